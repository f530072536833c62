"""Reconciliations that were made, and breaks with their age and who resolved them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from django.db import models

from accounts.core.reconciliation import BreakState, ReconciliationKind, SealMark, age_in_days
from accounts.models import Break, Operation, Reconciliation, ReconciliationCheck


@dataclass(frozen=True)
class CheckView:
    """What one rule found; amounts in pence."""

    rule: str
    title: str
    expected: int
    found: int
    checked: int
    wrong: int

    @property
    def holds(self) -> bool:
        """Whether nothing differed."""
        return self.wrong == 0

    @property
    def difference(self) -> int:
        """Pence found less pence expected."""
        return self.found - self.expected


@dataclass(frozen=True)
class ReconciliationView:
    """One reconciliation as it was made."""

    id: int
    on: date
    kind: ReconciliationKind
    holds: bool
    actor: str
    made_at: datetime
    checks: tuple[CheckView, ...]


@dataclass(frozen=True)
class BreakView:
    """A break.

    Attributes:
        id: its number, by which it is resolved.
        rule, reference: what it is known by from day to day.
        amount: pence found last, less pence expected.
        detail: the figures, for a person.
        first_seen_on, last_seen_on: business dates.
        state: open, resolved by a person, or cleared since it was found no more.
        resolved_on: when it was closed.
        resolved_by: who did: a person, or the reconciliation that no longer found it.
        note: what the person wrote.
        follows: the break of the same rule and reference before this one, if there was one.
    """

    id: int
    rule: str
    reference: str
    amount: int
    detail: str
    first_seen_on: date
    last_seen_on: date
    state: BreakState
    resolved_on: date | None
    resolved_by: str
    note: str
    follows: int | None

    def age(self, on: date) -> int:
        """Calendar days it has been there by a business date, or was until it was closed."""
        return age_in_days(self.first_seen_on, self.resolved_on or on)


def reconciliations(ids: Sequence[int]) -> list[ReconciliationView]:
    """Reconciliations by id, in the order given; two statements."""
    found = Reconciliation.objects.in_bulk(ids)
    return _views([found[number] for number in ids])


def latest_reconciliations(limit: int, before: int | None = None) -> list[ReconciliationView]:
    """The newest reconciliations, from before a number on; two statements."""
    rows = Reconciliation.objects.order_by("-pk")
    if before is not None:
        rows = rows.filter(pk__lt=before)
    return _views(list(rows[:limit]))


def _views(rows: Sequence[Reconciliation]) -> list[ReconciliationView]:
    checks: dict[int, list[CheckView]] = {made.pk: [] for made in rows}
    stored = ReconciliationCheck.objects.filter(reconciliation__in=checks).order_by("pk")
    for row in stored:
        checks[row.reconciliation_id].append(
            CheckView(row.rule, row.title, row.expected, row.found, row.checked, row.wrong)
        )
    return [
        ReconciliationView(
            made.pk,
            made.on,
            ReconciliationKind(made.kind),
            made.holds,
            made.actor,
            made.made_at,
            tuple(checks[made.pk]),
        )
        for made in rows
    ]


def list_breaks(states: Collection[BreakState] = (BreakState.OPEN,)) -> list[BreakView]:
    """Breaks in some states, the oldest first; one statement."""
    return _breaks(models.Q(state__in=[state.value for state in states]))


def breaks_of_day(on: date) -> list[BreakView]:
    """Breaks that are open, and those that were closed on a date; one statement."""
    return _breaks(models.Q(state=BreakState.OPEN.value) | models.Q(resolved_on=on))


def _breaks(condition: models.Q) -> list[BreakView]:
    return [
        BreakView(
            row.pk,
            row.rule,
            row.reference,
            row.amount,
            row.detail,
            row.first_seen_on,
            row.last_seen_on,
            BreakState(row.state),
            row.resolved_on,
            row.resolved_by,
            row.note,
            row.follows_id,
        )
        for row in Break.objects.filter(condition).order_by("first_seen_on", "pk")
    ]


def last_seal_mark() -> SealMark:
    """Up to where the last internal reconciliation found the journal to fit; one statement.

    The journal's beginning, if it found that it doesn't, so that all of it is derived again.
    """
    row = Reconciliation.objects.filter(kind=ReconciliationKind.INTERNAL).order_by("pk").last()
    if row is None or row.sealed_number is None or row.sealed_hash is None:
        return SealMark()
    return SealMark(row.sealed_number, bytes(row.sealed_hash))


def is_recorded(kind: ReconciliationKind, actor: str, key: str) -> bool:
    """Whether a reconciliation was recorded under a key; one statement."""
    return Operation.objects.filter(scope=actor, name=operation_name(kind), key=key).exists()


def operation_name(kind: ReconciliationKind) -> str:
    """The operation under whose name a reconciliation's key is kept."""
    return f"reconcile_{kind.value}"
