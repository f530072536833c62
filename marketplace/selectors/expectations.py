"""What lenders should expect of the parts that they hold now."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from accounts.selectors.bulk import fetch_columns
from marketplace.core.arrays import IntArray
from marketplace.core.states import LoanState
from marketplace.selectors.packed import packed_totals
from risk.core.expectation_many import ManyOutcomes, expect_many
from risk.core.expectation_outcomes import (
    Expectation,
    Exposures,
    Parts,
    expect,
    exposures,
    return_in_year,
)
from risk.core.pricing import from_ppm
from risk.selectors.expectation_terms import expectation_terms

FloatArray = npt.NDArray[np.float64]

# What runs. In default the loss has happened, and isn't expected any more; before the pay-out
# nothing is owed.
RUNNING = (LoanState.ACTIVE, LoanState.ARREARS, LoanState.ARRANGEMENT, LoanState.HARDSHIP)


@dataclass(frozen=True, eq=False)
class LendersExpected:
    """One entry a lender, shape ``(lenders,)``; pence, and returns a year as shares.

    ``low`` and ``high`` are the 5th and 95th percentile of the return to maturity;
    ``chance_of_loss`` is of a profit below nothing, ``grid`` the step to which percentiles of the
    profit are right.
    """

    grid: IntArray
    expected_return: FloatArray
    return_low: FloatArray
    return_high: FloatArray
    chance_of_loss: FloatArray
    worst_loss: IntArray


@dataclass(frozen=True, eq=False)
class AllExpected:
    """All lenders with parts that run, by member id; with the fund as if it paid in full."""

    lender: IntArray
    borrowers: IntArray
    outstanding: IntArray
    without_fund: LendersExpected
    with_fund: LendersExpected


def expectation_of(lender_id: int, *, fund_pays: float = 1.0) -> Expectation | None:
    """What one lender should expect to the maturity of all parts that run; five statements.

    A part counts with its principal still to come, its own rate and its loan's unpaid instalments;
    PD, loss given default, recovery lag and cover are those frozen with the loan's assessment.
    Parts in default are left out: their loss has happened. Parts in arrears count as if they were
    on time. Of several model versions the largest correlation is taken.

    Args:
        fund_pays: share of a covered part's lost principal that the fund makes good, 0 to 1.

    Returns:
        None for who holds no part that runs.

    Raises:
        ExpectationRefused: for a share outside 0 to 1.
    """
    _, parts, correlation = _running(" AND p.lender_id = %s", [lender_id])
    if parts is None:
        return None
    return expect(parts, correlation=correlation, fund_pays=fund_pays)


def expectations_of_all() -> AllExpected | None:
    """What every lender should expect, as :func:`expectation_of`; five statements.

    Returns:
        None where no part runs.
    """
    owner, parts, correlation = _running("", [])
    if parts is None:
        return None
    lender, place = np.unique(owner, return_inverse=True)
    owed = exposures(parts, place.astype(np.int64))
    borrowers = np.diff(owed.offsets)
    outstanding = np.bincount(place, parts.outstanding.astype(np.float64))
    return AllExpected(
        lender=lender,
        borrowers=borrowers,
        outstanding=np.rint(outstanding).astype(np.int64),
        without_fund=_expected(owed, owed.loss, correlation),
        with_fund=_expected(owed, owed.loss_with_fund, correlation),
    )


def _expected(owed: Exposures, loss: IntArray, correlation: float) -> LendersExpected:
    found: ManyOutcomes = expect_many(
        offsets=owed.offsets, pd=owed.pd, loss=loss, earned=owed.earned, correlation=correlation
    )
    return LendersExpected(
        grid=found.grid,
        expected_return=return_in_year(found.expected_profit, owed.pence_months),
        return_low=return_in_year(found.profit_low, owed.pence_months),
        return_high=return_in_year(found.profit_high, owed.pence_months),
        chance_of_loss=found.chance_of_loss,
        worst_loss=found.worst_loss,
    )


def _running(which: str, values: list[int]) -> tuple[IntArray, Parts | None, float]:
    """Lenders of the parts that run, those parts, and the correlation; five statements."""
    states = [state.value for state in RUNNING]
    rows = fetch_columns(
        "SELECT p.lender_id::bigint, l.borrower_id::bigint, l.assessment_id::bigint,"
        " p.size, greatest(due.months, 1), p.rate::bigint, l.rate::bigint,"
        " l.servicing_fee::bigint, l.id, p.number::bigint"
        " FROM marketplace_part AS p JOIN marketplace_loan AS l ON l.id = p.loan_id"
        " JOIN LATERAL (SELECT count(*) AS months FROM marketplace_instalment AS i"
        " WHERE i.loan_id = l.id AND i.principal_paid < i.principal_due) AS due ON true"
        f" WHERE l.state = ANY (%s){which} ORDER BY p.lender_id, p.id",
        [states, *values],
        10,
    )
    received = packed_totals(
        f"l.state = ANY (%s) AND EXISTS (SELECT FROM marketplace_part AS p"
        f" WHERE p.loan_id = l.id{which})",
        [states, *values],
    )
    principal, _, _ = received.of(rows[8], rows[9])
    still = principal < rows[3]
    lender, borrower, assessment, size, months, rate, loan_rate, fee = (
        column[still] for column in rows[:8]
    )
    outstanding = size - principal[still]
    if not len(lender):
        return lender, None, 0.0
    frozen = expectation_terms(assessment_ids=assessment)
    parts = Parts(
        borrower=borrower,
        outstanding=outstanding,
        months=months,
        rate=from_ppm(rate),
        loan_rate=from_ppm(loan_rate),
        pd12=frozen.pd12,
        loss_given_default=frozen.loss_given_default,
        recovery_lag_months=frozen.recovery_lag_months,
        servicing_fee=from_ppm(fee),
        covered=frozen.covered,
    )
    return lender, parts, float(frozen.correlation.max())
