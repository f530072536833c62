"""The audit of loans against their lives: every stored figure is what its replay gives."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date

from marketplace.core.differences import Difference, Findings
from marketplace.core.house import HOUSE, House
from marketplace.core.life_records import DayStage, Life
from marketplace.models import DayRun, Loan
from marketplace.selectors.stored_lives import (
    Columns,
    StoredLife,
    day_stage,
    last_recorded,
    load_lives,
    position_of,
    replay,
    stage_of,
)

# Loans that are read and replayed at a time.
_BLOCK = 500


@dataclass(frozen=True)
class Replayed:
    """Stored loans against their replays: how many were compared, and what differs."""

    loans: int
    wrong: tuple[int, ...]
    differences: tuple[Difference, ...]


def replay_findings(
    loan_ids: Collection[int] | None = None, *, on: date | None = None, house: House = HOUSE
) -> Replayed:
    """Compare every figure of loans with its replay; nine statements for each 500 loans.

    A loan is compared as of the last day that was closed, or as of the last day on which anything
    was recorded of it, if that is later.

    Args:
        loan_ids: which loans; all that were paid out without it.
        on: compare as of this day instead, as far as it has gone. Without it nothing is compared
            before a day was closed: until then nobody has said that the days before are complete.
        house: the house's rules.
    """
    last = on or (
        DayRun.objects.filter(finished_at__isnull=False)
        .order_by("-day")
        .values_list("day", flat=True)
        .first()
    )
    if last is None:
        return Replayed(0, (), ())
    found = Findings()
    wrong: list[int] = []
    count = 0
    stages: dict[date, DayStage] = {}
    for block in _blocks(loan_ids):
        for stored in load_lives(block):
            day = max(last, last_recorded(stored))
            if day not in stages:
                stages[day] = day_stage(day)
            before = found.count
            life = replay(stored, day, through=stage_of(stored, day, stages[day]), house=house)
            _compare(stored, life, found)
            wrong += [stored.loan.pk] if found.count > before else []
            count += 1
    return Replayed(count, tuple(wrong), tuple(found.shown))


def _blocks(loan_ids: Collection[int] | None) -> Iterator[list[int]]:
    loans = Loan.objects.filter(paid_out_on__isnull=False)
    if loan_ids is not None:
        loans = loans.filter(pk__in=list(loan_ids))
    ids = list(loans.order_by("pk").values_list("pk", flat=True))
    for first in range(0, len(ids), _BLOCK):
        yield ids[first : first + _BLOCK]


def _compare(stored: StoredLife, life: Life, found: Findings) -> None:
    title = f"loan {stored.loan.pk}"
    bounced = [row.number for row in stored.payments if row.bounced_on is not None]
    now, then = stored.position, position_of(life, bounced)
    _compare_columns(title, now.loan, then.loan, found)
    pairs = ((now.instalments, then.instalments), (now.payments, then.payments))
    for name, (left, right) in zip(("instalment", "payment"), pairs, strict=True):
        found.compare(f"{title}: numbers of {name}s", sorted(left), sorted(right))
        for number in sorted(left.keys() & right.keys()):
            _compare_columns(f"{title}, {name} {number}", left[number], right[number], found)
    for name in ("principal", "interest", "fee"):
        found.compare(
            f"{title}: {name} of its parts",
            getattr(now, name).tolist(),
            getattr(then, name).tolist(),
        )
    found.compare(f"{title}: events not recorded", 0, len(life.found))


def _compare_columns(title: str, stored: Columns, replayed: Columns, found: Findings) -> None:
    for name, value in replayed.items():
        found.compare(f"{title}: {name}", stored[name], value)
