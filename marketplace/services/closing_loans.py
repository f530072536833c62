"""Loans whose last penny was spread are repaid, or recovered; those that caught up are cured."""

from __future__ import annotations

from datetime import date

from django.db import connection

from accounts.selectors.bulk import array_of
from marketplace.core.arrays import IntArray
from marketplace.core.states import PAYABLE, LoanState
from marketplace.services.moves import LoanMoved, move_loans

_RECOVERED = (LoanState.RECOVERED, "All that was owed has been recovered.")
_PAID_UP = {LoanState.DEFAULT: _RECOVERED, LoanState.WRITTEN_OFF: _RECOVERED}
_REPAID = (LoanState.REPAID, "All instalments are paid.")
_RESCINDED = (LoanState.RESCINDED, "All that was lent and its interest is paid back.")
_CURED = (LoanState.ACTIVE, "Everything overdue has been paid.")


def close_or_cure(*, loan_ids: IntArray, on: date) -> None:
    """Move the loans (just spread over) that have nothing left to pay, or nothing overdue.

    What counts is money that was spread, not only allocated. What falls due on ``on`` itself is
    not overdue. A fixed number of statements.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT l.id, l.state, d.principal = l.amount AND d.interest = i.interest,"
            " EXISTS (SELECT FROM marketplace_loanevent WHERE loan_id = l.id"
            " AND kind = 'rescission' AND voided_on IS NULL)"
            " FROM marketplace_loan AS l"
            " CROSS JOIN LATERAL (SELECT sum(principal) AS principal, sum(interest) AS interest"
            " FROM marketplace_payment WHERE loan_id = l.id AND distributed_on IS NOT NULL"
            " AND bounced_on IS NULL) AS d"
            " CROSS JOIN LATERAL (SELECT sum(interest_due) AS interest,"
            " coalesce(sum(interest_due + principal_due) FILTER (WHERE due_on < %s), 0) AS overdue"
            " FROM marketplace_instalment WHERE loan_id = l.id AND interest_due IS NOT NULL) AS i"
            " WHERE l.id = ANY (%s::bigint[]) AND l.state = ANY (%s)"
            " AND (l.principal_paid = l.amount OR l.state = 'arrears')"
            " AND (d.principal = l.amount AND d.interest = i.interest"
            " OR l.state = 'arrears' AND d.principal + d.interest >= i.overdue) ORDER BY l.id",
            [on, array_of(loan_ids), [state.value for state in PAYABLE]],
        )
        rows = cursor.fetchall()
    moves = []
    for loan, state, paid_up, rescinded in rows:
        before = LoanState(state)
        end = _RESCINDED if rescinded else _REPAID
        after, reason = _PAID_UP.get(before, end) if paid_up else _CURED
        moves.append(LoanMoved(loan, before, after, reason))
    move_loans(moves=moves, on=on)
