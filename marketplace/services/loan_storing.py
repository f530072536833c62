"""Writing what a replay decides of loans: a fixed number of statements, whatever the number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.db import connection

from accounts.services.transactions import require_transaction
from marketplace.core.life_records import Life
from marketplace.core.loan_events import DistributionKind
from marketplace.core.states import LoanState
from marketplace.models import Distribution, Instalment, LoanEvent, LoanMove
from marketplace.selectors.stored_lives import Columns, Position, StoredLife

_DATES = frozenset(
    {
        "nominal_on",
        "due_on",
        "allocated_on",
        "distributed_on",
        "defaulted_on",
        "closed_on",
        "written_off_on",
    }
)
_TEXTS = frozenset({"kind", "state"})


@dataclass(frozen=True, eq=False)
class Rewriting:
    """One loan that is to become what its life says.

    Attributes:
        stored: what is stored.
        life: its replay.
        before, after: the figures of both.
        kind: of the distribution that holds the new totals.
    """

    stored: StoredLife
    life: Life
    before: Position
    after: Position
    kind: DistributionKind

    @property
    def spreads(self) -> bool:
        """Whether parts' totals change, or which payments are spread: that makes a distribution."""
        return not self.before.same_totals(self.after) or any(
            self.before.payments[number]["distributed_on"] != columns["distributed_on"]
            for number, columns in self.after.payments.items()
        )

    @property
    def changes(self) -> bool:
        """Whether anything stored changes."""
        return (
            self.spreads
            or bool(self.life.found)
            or self.before.loan != self.after.loan
            or self.before.instalments != self.after.instalments
            or self.before.payments != self.after.payments
        )


def store_lives(rewritings: Sequence[Rewriting], *, on: date, actor: str, reason: str) -> None:
    """Store what the lives of loans decide; ten statements at most.

    Args:
        rewritings: the loans, locked by the caller.
        on: the business date of the record.
        actor: who caused it.
        reason: why a loan moved back to a state, for the record of moves.
    """
    require_transaction()
    changing = [each for each in rewritings if each.changes]
    _store_instalments(changing)
    _store_payments(changing)
    _store_loans(changing)
    LoanEvent.objects.bulk_create([event for each in changing for event in _found(each, on, actor)])
    LoanMove.objects.bulk_create([move for each in changing for move in _moves(each, on, reason)])
    Distribution.objects.bulk_create([_distribution(each, on) for each in changing if each.spreads])


def _store_instalments(changing: Sequence[Rewriting]) -> None:
    """Write rows that differ, and take away those that the new schedule doesn't have."""
    gone = [
        row.pk
        for each in changing
        for row in each.stored.instalments
        if row.number not in each.after.instalments
    ]
    if gone:
        # Rows with money on them stay; here it moves to other rows of the same loan.
        Instalment.objects.filter(pk__in=gone).update(principal_paid=0, interest_paid=0)
        Instalment.objects.filter(pk__in=gone).delete()
    rows = [
        Instalment(loan_id=each.stored.loan.pk, number=number, **columns)
        for each in changing
        for number, columns in each.after.instalments.items()
        if each.before.instalments.get(number) != columns
    ]
    if rows:
        names = next(iter(changing[0].after.instalments.values())).keys()
        Instalment.objects.bulk_create(
            rows,
            update_conflicts=True,
            unique_fields=["loan", "number"],
            update_fields=list(names),
        )


def _store_payments(changing: Sequence[Rewriting]) -> None:
    _update(
        "marketplace_payment",
        {
            row.pk: each.after.payments[row.number]
            for each in changing
            for row in each.stored.payments
            if each.before.payments[row.number] != each.after.payments[row.number]
        },
    )


def _store_loans(changing: Sequence[Rewriting]) -> None:
    _update(
        "marketplace_loan",
        {
            each.stored.loan.pk: each.after.loan
            | {"events": each.stored.loan.events + len(each.life.found)}
            for each in changing
        },
    )


def _update(table: str, rows: Mapping[int, Columns]) -> None:
    """Set the same columns of rows by id; one statement."""
    if not rows:
        return
    names = list(next(iter(rows.values())))
    columns: list[list[Any]] = [[row[name] for row in rows.values()] for name in names]
    given = ", ".join(f"%s::{_type(name)}[]" for name in names)
    assigned = ", ".join(f"{name} = n.{name}" for name in names)
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {table} AS t SET {assigned} FROM unnest(%s::bigint[], {given})"
            f" AS n (id, {', '.join(names)}) WHERE t.id = n.id",
            [list(rows), *columns],
        )


def _type(name: str) -> str:
    if name in _DATES:
        return "date"
    return "text" if name in _TEXTS else "bigint"


def _found(each: Rewriting, on: date, actor: str) -> list[LoanEvent]:
    """Events that follow from the life and are on record from now on, such as a default."""
    loan = each.stored.loan
    return [
        LoanEvent(
            loan=loan,
            number=number,
            kind=event.kind.value,
            effective_on=event.on,
            recorded_on=on,
            actor=actor,
            cause=event.cause.value if event.cause else "",
        )
        for number, event in enumerate(each.life.found, start=loan.events + 1)
    ]


def _moves(each: Rewriting, on: date, reason: str) -> list[LoanMove]:
    """The moves that lead from the stored state to the new one.

    Where the life's own moves since the last recorded one lead there, they are recorded. A loan
    that a correction puts elsewhere gets one move, on the day on which it came to be so.
    """
    state = LoanState(each.stored.loan.state)
    life = each.life
    if state is life.state:
        return []
    last = each.stored.last_move.moved_on
    starts = [n for n, move in enumerate(life.moves) if move.before is state and move.on >= last]
    steps = life.moves[starts[-1] :] if starts else ()
    rows = [(move.before, move.after, move.on, move.reason) for move in steps]
    if not rows:
        rows = [(state, life.state, life.since, f"Corrected: {reason}")]
    return [
        LoanMove(
            loan=each.stored.loan,
            state_before=before.value,
            state_after=after.value,
            moved_on=day,
            recorded_on=on,
            reason=why[:200],
        )
        for before, after, day, why in rows
    ]


def _distribution(each: Rewriting, on: date) -> Distribution:
    """The new totals; where a part's principal falls, nothing of it is put on offer again."""
    after = each.after
    falls = bool((after.principal < each.before.principal).any())
    return Distribution(
        loan=each.stored.loan,
        number=each.stored.loan.distributions + 1,
        kind=each.kind.value,
        spread_on=on,
        topped_up_on=on if falls else None,
        principal_total=int(after.principal.sum()),
        interest_total=int(after.interest.sum()),
        fee_total=int(after.fee.sum()),
        principal=after.principal.tolist(),
        interest=after.interest.tolist(),
        fee=after.fee.tolist(),
    )
