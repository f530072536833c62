"""Moving loans from state to state, by the one table, with a record of each move."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from django.db import connection

from accounts.services.transactions import require_transaction
from marketplace.core.states import LoanState, require_move
from marketplace.models import LoanMove

# The day on which a loan got there is kept on the loan itself for these states.
_DATED = {
    LoanState.ACTIVE: "paid_out_on",
    LoanState.DEFAULT: "defaulted_on",
    LoanState.WRITTEN_OFF: "written_off_on",
    LoanState.REPAID: "closed_on",
    LoanState.RECOVERED: "closed_on",
    LoanState.SETTLED: "closed_on",
    LoanState.RESCINDED: "closed_on",
    LoanState.CANCELLED: "closed_on",
}


@dataclass(frozen=True)
class LoanMoved:
    """One loan's move, and why; ``on`` is the day from which it counts, if another than most."""

    loan_id: int
    before: LoanState
    after: LoanState
    reason: str
    on: date | None = None


def move_loans(*, moves: Sequence[LoanMoved], on: date, recorded_on: date | None = None) -> None:
    """Move loans, and record it: one statement for each state they go to, and one record.

    Args:
        moves: the moves; of a loan at most one.
        on: the day from which they count.
        recorded_on: the business date of the record; ``on`` without it.

    Raises:
        MoveRefused: a move that the table doesn't allow, or a loan that is not where the caller
            thinks it is.
    """
    require_transaction()
    if not moves:
        return
    for move in moves:
        require_move(move.before, move.after)
    with connection.cursor() as cursor:
        for after in sorted({move.after for move in moves}):
            chosen = [move for move in moves if move.after is after]
            dated = _DATED.get(after)
            # A loan that is cured of arrears keeps the day it was paid out.
            stamp = f", {dated} = coalesce(l.{dated}, n.day)" if dated else ""
            cursor.execute(
                f"UPDATE marketplace_loan AS l SET state = %(after)s{stamp}"
                " FROM unnest(%(ids)s::bigint[], %(before)s::text[], %(days)s::date[])"
                " AS n (id, before, day)"
                " WHERE l.id = n.id AND l.state = n.before",
                {
                    "after": after.value,
                    "days": [move.on or on for move in chosen],
                    "ids": [move.loan_id for move in chosen],
                    "before": [move.before.value for move in chosen],
                },
            )
            if cursor.rowcount != len(chosen):
                raise RuntimeError("a loan moved while it was being moved")
    LoanMove.objects.bulk_create(
        [
            LoanMove(
                loan_id=move.loan_id,
                state_before=move.before.value,
                state_after=move.after.value,
                moved_on=move.on or on,
                recorded_on=recorded_on or on,
                reason=move.reason,
            )
            for move in moves
        ]
    )
