"""The loan book as monitoring needs it: every loan's outcome, dues and payments, as of a day.

Everything is taken from what was recorded with a day up to the one asked for, so that the book of a
past day can be watched again. States are those of the recorded moves; what was corrected later
counts from the day of the correction. Only the dues of a loan whose schedule was changed are those
of today.
"""

from __future__ import annotations

from datetime import date

import numpy as np

from accounts.selectors.bulk import fetch_columns
from marketplace.core.arrays import IntArray
from marketplace.core.states import LoanState
from risk.core.roll_rates import DayArray, Dues
from risk.core.watched_book import WatchedBook

# A move into one of these means that something was, or may be, lost; into one of those that
# nothing more is owed and nothing was lost after all.
_LOST = (LoanState.DEFAULT, LoanState.SETTLED, LoanState.WRITTEN_OFF)
_CLOSED = (LoanState.REPAID, LoanState.RESCINDED, LoanState.RECOVERED)
_FORBORNE = (LoanState.ARRANGEMENT, LoanState.HARDSHIP)
_ENDED = (LoanState.SETTLED, LoanState.WRITTEN_OFF)

# numpy's NaT is the smallest bigint, so a missing day travels as that.
_DAYS = "coalesce(({} - DATE '1970-01-01')::bigint, '-9223372036854775808'::bigint)"
_LOANS = f"""
WITH moved AS (
    SELECT loan_id,
        min(moved_on) FILTER (WHERE state_after = ANY (%s)) AS lost_on,
        min(moved_on) FILTER (WHERE state_after = ANY (%s)) AS closed_on,
        (array_agg(state_after ORDER BY id DESC))[1] AS state
    FROM marketplace_loanmove WHERE recorded_on <= %s GROUP BY loan_id),
brought AS (
    SELECT loan_id, spread_on, kind,
        principal_total - lag(principal_total, 1, 0::bigint) OVER w AS principal
    FROM marketplace_distribution WHERE spread_on <= %s
    WINDOW w AS (PARTITION BY loan_id ORDER BY number)
    UNION ALL
    SELECT loan_id, distributed_on, kind, to_fund_principal + cost_principal
    FROM marketplace_payment
    WHERE distributed_on <= %s AND (bounced_on IS NULL OR bounced_on > %s)
    AND to_fund_principal + cost_principal > 0),
paid AS (
    SELECT p.loan_id, sum(p.principal) AS principal,
        sum(p.principal) FILTER (WHERE p.spread_on > m.lost_on) AS recovered
    FROM brought AS p JOIN moved AS m ON m.loan_id = p.loan_id
    WHERE p.kind <> 'fund' GROUP BY p.loan_id)
SELECT l.id, l.assessment_id, {_DAYS.format("l.paid_out_on")}, {_DAYS.format("m.lost_on")},
    {_DAYS.format("m.closed_on")}, (m.state = ANY (%s))::int::bigint,
    (m.state = ANY (%s))::int::bigint, l.amount,
    (l.amount - coalesce(p.principal, 0))::bigint, l.rate::bigint, l.term_months::bigint,
    coalesce(p.recovered, 0)::bigint
FROM marketplace_loan AS l JOIN moved AS m ON m.loan_id = l.id
LEFT JOIN paid AS p ON p.loan_id = l.id
WHERE l.paid_out_on <= %s ORDER BY l.id
"""
# Interest that is not fixed yet is what was planned: it counts from its due date only, when it is.
_DUES = """
SELECT i.loan_id, (i.due_on - DATE '1970-01-01')::bigint,
    coalesce(i.interest_due, i.interest_planned) + i.principal_due
FROM marketplace_instalment AS i JOIN marketplace_loan AS l ON l.id = i.loan_id
WHERE l.paid_out_on <= %s ORDER BY i.loan_id, i.number
"""
# Money that has arrived counts, spread over the parts or not, as it does when loans are aged.
_PAYMENTS = """
SELECT p.loan_id, (p.received_on - DATE '1970-01-01')::bigint,
    CASE WHEN p.allocated_on IS NULL THEN p.amount ELSE p.principal + p.interest END
FROM marketplace_payment AS p JOIN marketplace_loan AS l ON l.id = p.loan_id
WHERE l.paid_out_on <= %s AND p.recorded_on <= %s
    AND (p.bounced_on IS NULL OR p.bounced_on > %s) ORDER BY p.loan_id, p.number
"""


def loan_history(on: date) -> WatchedBook:
    """Every loan paid out by ``on``, as it stood at the end of that day; three statements."""
    named = [[state.value for state in states] for states in (_LOST, _CLOSED, _ENDED, _FORBORNE)]
    lost, closed, ended_states, forborne_states = named
    parameters = [lost, closed, *[on] * 4, ended_states, forborne_states, on]
    columns = fetch_columns(_LOANS, parameters, 12)
    loan, assessment, paid_out_on, lost_on, closed_on, ended, forborne = columns[:7]
    amount, outstanding, rate, term, recovered = columns[7:]
    due_loan, due_on, due = fetch_columns(_DUES, [on], 3)
    paid_loan, paid_on, paid = fetch_columns(_PAYMENTS, [on, on, on], 3)
    return WatchedBook(
        on=on,
        loan=loan,
        assessment=assessment,
        paid_out_on=_dated(paid_out_on),
        lost_on=_dated(lost_on),
        closed_on=_dated(closed_on),
        written_off=ended == 1,
        forborne=forborne == 1,
        amount=amount,
        outstanding=outstanding,
        rate_ppm=rate,
        term_months=term,
        recovered=recovered,
        dues=Dues(
            loans=len(loan),
            due_loan=np.searchsorted(loan, due_loan),
            due_on=_dated(due_on),
            due=due,
            paid_loan=np.searchsorted(loan, paid_loan),
            paid_on=_dated(paid_on),
            paid=paid,
        ),
    )


def _dated(days: IntArray) -> DayArray:
    dated: DayArray = days.view("datetime64[D]")
    return dated
