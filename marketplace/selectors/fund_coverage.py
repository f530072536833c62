"""How far the provision fund goes: everything that its coverage is made of, from the book."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from accounts.selectors.bulk import fetch_columns
from marketplace.core.arrays import BoolArray, IntArray
from marketplace.core.arrears import INDUSTRY_ARREARS_DAYS
from marketplace.core.fund_coverage import (
    STRESS,
    Coverage,
    CoveredLoans,
    FundFigures,
    coverage,
    losses_to_come,
)
from marketplace.core.provision_fund import recoveries_to_come
from marketplace.core.states import LoanState
from marketplace.selectors.provision_fund import (
    CLAIMS,
    DecisionView,
    FundDay,
    fund_balance,
    fund_decisions,
    fund_history,
)
from risk.core.house import house_from_mapping
from risk.models import RateTable
from risk.selectors.expectation_terms import ExpectationTerms, expectation_terms

# Losses are still to come of loans that run, and of those about to be paid out.
_FORBORNE = (LoanState.ARRANGEMENT, LoanState.HARDSHIP)
_RUNNING = (LoanState.ACTIVE, LoanState.ARREARS, *_FORBORNE)
_DAYS_A_MONTH = 365.25 / 12

_LOANS = """
SELECT l.id, l.assessment_id, a.rate_table_id, (l.state = 'funded')::int::bigint,
    l.amount - l.principal_paid, coalesce(i.interest, 0)::bigint, l.expected_loss::bigint,
    l.rate::bigint, l.term_months::bigint,
    CASE WHEN l.state = 'funded' THEN l.term_months::bigint ELSE coalesce(i.ahead, 0) END,
    (l.state = ANY (%s) OR coalesce(%s - i.oldest, 0) > %s)::int::bigint, l.contribution
FROM marketplace_loan AS l JOIN risk_assessment AS a ON a.id = l.assessment_id
LEFT JOIN LATERAL (
    SELECT count(*) FILTER (WHERE n.interest_due IS NULL AND n.principal_due > 0) AS ahead,
        sum(n.interest_due - n.interest_paid) AS interest,
        min(n.due_on) FILTER (WHERE n.due_on < %s AND n.interest_due IS NOT NULL
            AND (n.interest_paid < n.interest_due OR n.principal_paid < n.principal_due)) AS oldest
    FROM marketplace_instalment AS n WHERE n.loan_id = l.id) AS i ON true
WHERE l.covered AND l.state = ANY (%s) ORDER BY l.id
"""
_OWED = f"""
SELECT loan_id, assessment_id, ((%s)::date - defaulted_on)::bigint,
    CASE WHEN state = 'declined' THEN 0 ELSE principal + interest END, owned,
    greatest(paid, owned) FROM ({CLAIMS}) AS q ORDER BY loan_id
"""


@dataclass(frozen=True)
class FundReport:
    """The fund's coverage as loans stand now, and its decisions and money up to a day."""

    coverage: Coverage
    decisions: tuple[DecisionView, ...]
    history: tuple[FundDay, ...]


def fund_report(on: date) -> FundReport:
    """All that is published of the fund; at most ten statements."""
    return FundReport(
        fund_coverage(on),
        tuple(each for each in fund_decisions() if each.decided_on <= on),
        tuple(fund_history(on)),
    )


def fund_coverage(on: date) -> Coverage:
    """How far the fund goes against the losses still to come; at most seven statements.

    The loans are as they stand now; ``on`` says how late they are. Loans in default that the fund
    has not declined to pay for are claims on it, proposed or not.
    """
    balance = fund_balance()
    loans = fetch_columns(
        _LOANS,
        [
            [state.value for state in _FORBORNE],
            on,
            INDUSTRY_ARREARS_DAYS,
            on,
            [LoanState.FUNDED.value, *(state.value for state in _RUNNING)],
        ],
        12,
    )
    claims = fetch_columns(_OWED, [on], 6)
    assessments = np.concatenate([loans[1], claims[1]])
    if not len(assessments):
        return coverage(FundFigures(balance=balance))
    frozen = expectation_terms(assessment_ids=assessments)
    count = len(loans[0])
    expected, stressed = _losses(loans, _rows(frozen, slice(0, count)))
    recovered = _recoveries(claims, _rows(frozen, slice(count, None)))
    coming, outstanding, in_trouble = loans[3] == 1, loans[4], loans[10] == 1
    return coverage(
        FundFigures(
            balance=balance,
            waiting=int(claims[3].sum()),
            loans=int((~coming).sum()),
            outstanding=_sum(outstanding, ~coming),
            in_trouble=_sum(outstanding, ~coming & in_trouble),
            losses=_sum(expected, ~coming),
            stressed_losses=_sum(stressed, ~coming),
            coming_loans=int(coming.sum()),
            contributions=_sum(loans[11], coming),
            coming_losses=_sum(expected, coming),
            coming_stressed_losses=_sum(stressed, coming),
            owned=int(claims[4].sum()),
            recoveries=recovered,
            stressed_recoveries=int(recovered * STRESS.recovered),
        )
    )


def _rows(frozen: ExpectationTerms, rows: slice) -> ExpectationTerms:
    return ExpectationTerms(
        frozen.pd12[rows],
        frozen.loss_given_default[rows],
        frozen.recovery_lag_months[rows],
        frozen.covered[rows],
        frozen.correlation[rows],
    )


def _losses(loans: Sequence[IntArray], frozen: ExpectationTerms) -> tuple[IntArray, IntArray]:
    """Expected and stressed losses of each loan, by the terms of its rate table."""
    table = loans[2]
    expected, stressed = np.zeros_like(table), np.zeros_like(table)
    for key, rate_table in RateTable.objects.in_bulk(np.unique(table).tolist()).items():
        mine = np.flatnonzero(table == key)
        found = losses_to_come(
            CoveredLoans(
                outstanding=loans[4][mine],
                overdue_interest=loans[5][mine],
                frozen_loss=loans[6][mine],
                rate=loans[7][mine],
                term=loans[8][mine],
                months_left=loans[9][mine],
                pd12=frozen.pd12[mine],
                correlation=frozen.correlation[mine],
                in_trouble=loans[10][mine] == 1,
            ),
            house_from_mapping(rate_table.settings).pricing,
        )
        expected[mine], stressed[mine] = found.expected, found.stressed
    return expected, stressed


def _recoveries(claims: Sequence[IntArray], frozen: ExpectationTerms) -> int:
    """What claims that the fund owns, and those that it may yet pay, should bring."""
    days, waiting, owned, paid = claims[2:]
    return int(
        recoveries_to_come(
            paid + waiting,
            owned + waiting,
            frozen.loss_given_default,
            (days / _DAYS_A_MONTH).astype(np.int64),
            frozen.recovery_lag_months,
        ).sum()
    )


def _sum(pence: IntArray, chosen: BoolArray) -> int:
    return int(pence[chosen].sum())
