"""The book by days past due, and the industry's figures of bad debt, as of a day."""

from __future__ import annotations

from datetime import date

import numpy as np

from accounts.selectors.bulk import fetch_columns
from marketplace.core.bad_debt import ArrearsReport, DebtBook, arrears_report_of
from marketplace.models import Market
from marketplace.selectors.loan_history import loan_history
from risk.core.roll_rates import days_past_due
from risk.selectors.expectation_terms import expectation_terms

# Costs as they were recorded by that day; the year is the pay-out's.
_LOANS = """
SELECT l.id, l.market_id, l.expected_loss::bigint,
    extract(year FROM l.paid_out_on)::bigint, coalesce(c.cost, 0)::bigint
FROM marketplace_loan AS l LEFT JOIN (
    SELECT loan_id, sum(cost_principal + cost_interest) AS cost FROM marketplace_payment
    WHERE distributed_on <= %s AND (bounced_on IS NULL OR bounced_on > %s) AND cost > 0
    GROUP BY loan_id) AS c ON c.loan_id = l.id
WHERE l.paid_out_on <= %s ORDER BY l.id
"""


def arrears_report(on: date) -> ArrearsReport:
    """The book as it stood at the end of a day; eight statements, five where nothing was paid out.

    Days past due, states and payments are those recorded by then, so that the report of a past day
    is the same whenever it is asked for. Money that had arrived counts as paid, as it does when
    loans are aged. Forecasts are those frozen with each loan.
    """
    history = loan_history(on)
    loan, market, expected, year, cost = fetch_columns(_LOANS, [on, on, on], 5)
    markets = {market.pk: market for market in Market.objects.all()}
    if (loan != history.loan).any():
        raise RuntimeError("the loan book changed while it was read")
    late = days_past_due(history.dues, np.array([on], dtype="datetime64[D]"))[:, 0]
    lost = ~np.isnat(history.lost_on) & (history.lost_on <= np.datetime64(on, "D"))
    closed = ~np.isnat(history.closed_on) & (history.closed_on <= np.datetime64(on, "D"))
    severity = np.zeros(len(loan))
    if len(loan):
        severity = expectation_terms(assessment_ids=history.assessment).loss_given_default
    book = DebtBook(
        market=_names(market, {key: str(each) for key, each in markets.items()}),
        band=_names(market, {key: each.band for key, each in markets.items()}),
        year=year,
        lent=history.amount,
        outstanding=history.outstanding,
        days_past_due=late,
        lost=lost,
        closed=closed,
        forborne=history.forborne,
        expected_loss=expected,
        loss_given_default=severity,
        cost=cost,
    )
    ordered = sorted(markets.values(), key=lambda each: (each.term_months, each.position))
    safest = {each.band: each.position for each in ordered}
    return arrears_report_of(
        on,
        book,
        bands=sorted(safest, key=lambda band: safest[band]),
        markets=[str(each) for each in ordered],
    )


def _names(market: np.ndarray, by_key: dict[int, str]) -> np.ndarray:
    return np.array([by_key[key] for key in market.tolist()], dtype=object)
