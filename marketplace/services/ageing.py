"""Ageing loans: overdue ones go into arrears, and into default when four months have passed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from django.db import connection, transaction

from marketplace.core.arrears import is_default
from marketplace.core.house import HOUSE, House
from marketplace.core.states import LoanState
from marketplace.selectors.servicing import SERVICED
from marketplace.services.locks import lock_servicing
from marketplace.services.moves import LoanMoved, move_loans


@dataclass(frozen=True)
class Aged:
    """How many loans went into arrears, and how many into default."""

    arrears: int
    default: int


def age_loans(*, on: date, house: House = HOUSE) -> Aged:
    """Move loans by the oldest due date that is not fully paid for before ``on``.

    Money that has arrived and is not cleared yet counts as paid. Default is reached when the
    oldest unpaid due date is four calendar months past (house rule; Zopa's own).

    Returns:
        How many loans moved.
    """
    with transaction.atomic():
        lock_servicing()
        with connection.cursor() as cursor:
            cursor.execute(
                "WITH owed AS ("
                " SELECT i.loan_id, i.due_on, sum(i.interest_due + i.principal_due"
                " - i.interest_paid - i.principal_paid) OVER (PARTITION BY i.loan_id"
                " ORDER BY i.number) AS unpaid FROM marketplace_instalment AS i"
                " WHERE i.interest_due IS NOT NULL AND i.due_on < %s),"
                " coming AS (SELECT loan_id, sum(amount) AS amount FROM marketplace_payment"
                " WHERE distributed_on IS NULL GROUP BY loan_id)"
                " SELECT l.id, l.state, min(o.due_on) FROM marketplace_loan AS l"
                " JOIN owed AS o ON o.loan_id = l.id"
                " LEFT JOIN coming AS c ON c.loan_id = l.id"
                " WHERE l.state = ANY (%s) AND o.unpaid > coalesce(c.amount, 0)"
                " GROUP BY l.id, l.state ORDER BY l.id",
                [on, list(SERVICED)],
            )
            rows = cursor.fetchall()
        moves: list[LoanMoved] = []
        for loan, state, oldest in rows:
            if is_default(oldest, on, months=house.default_months):
                reason = f"The instalment of {oldest} is {house.default_months} months overdue."
                moves.append(LoanMoved(loan, LoanState(state), LoanState.DEFAULT, reason))
            elif state == LoanState.ACTIVE:
                reason = f"The instalment of {oldest} is overdue."
                moves.append(LoanMoved(loan, LoanState.ACTIVE, LoanState.ARREARS, reason))
        move_loans(moves=moves, on=on)
        defaulted = [move.loan_id for move in moves if move.after is LoanState.DEFAULT]
        _make_all_due(defaulted)
    return Aged(arrears=len(moves) - len(defaulted), default=len(defaulted))


def _make_all_due(loan_ids: Sequence[int]) -> None:
    """At default all principal is due at once, and no more interest falls due.

    What is paid from then on goes to the oldest instalment first, as before.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE marketplace_instalment AS i SET interest_due = 0,"
            " balance_months = l.balance_months FROM marketplace_loan AS l"
            " WHERE l.id = i.loan_id AND l.id = ANY (%s) AND i.interest_due IS NULL",
            [list(loan_ids)],
        )
