"""Pricing a whole book at once: rate, fees, what the lender earns and what the borrower pays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from risk.core.errors import PricingRefused
from risk.core.pricing import as_flags, checked_margin, loans_of
from risk.core.pricing_ageing import AgeingLoans
from risk.core.pricing_constant import ConstantLoans
from risk.core.pricing_rates import (
    BLOCK,
    PPM,
    YEAR,
    by_term,
    chances,
    gross_rates,
    monthly_rate,
    pieces,
    terms_in_months,
    whole_power,
)
from risk.core.pricing_series import annuity, discount_of_annuity
from risk.core.pricing_terms import PricingTerms
from risk.core.table import BoolArray, FloatArray, IntArray

Loans = ConstantLoans | AgeingLoans
# Monthly gross rates from a term's loans, their risk, whether covered, and what was given.
Rates = Callable[[Loans, FloatArray, BoolArray, FloatArray], FloatArray]


@dataclass(frozen=True, slots=True, eq=False)
class Pricing:
    """Prices of loans, all of one shape; rates are annual effective, shares are of the amount.

    Attributes:
        gross_rate: what the borrower pays the lender.
        expected_return: the lender's expected net return, with the fund where covered.
        uncovered_return: the same if the fund paid nothing.
        expected_loss: lifetime loss, expected, not discounted, whoever bears it.
        contribution: the part of the arrangement fee that goes to the provision fund: the
            expected loss and the buffer where covered, else nothing.
        arrangement_fee: kept back at pay-out, the contribution included.
        apr: the borrower's, by the UK formula (FCA CONC App 1.2): the x that makes instalments
            over (1 + x)**(k / 12) add up to the amount less the arrangement fee.
        instalment: level, monthly.
    """

    gross_rate: FloatArray
    expected_return: FloatArray
    uncovered_return: FloatArray
    expected_loss: FloatArray
    contribution: FloatArray
    arrangement_fee: FloatArray
    apr: FloatArray
    instalment: FloatArray


def price_loans(
    pd12: npt.ArrayLike,
    term_months: npt.ArrayLike,
    target: npt.ArrayLike,
    terms: PricingTerms,
    *,
    covered: npt.ArrayLike = False,
    own_fee_ppm: npt.ArrayLike = 0,
) -> Pricing:
    """Price loans so that each earns its lender's target net return.

    Args:
        pd12: 12-month PDs.
        term_months: whole months, 1 to 600.
        target: annual effective net returns.
        covered: whether the provision fund bears the loss.
        own_fee_ppm: the platform's own part of the arrangement fee, ppm of the amount; the
            contribution comes on top. All arrays have shapes that broadcast.

    Raises:
        PricingRefused: for a PD outside 0 to 1 (1 excluded), a term outside its range, a target
            that is no rate or below what the servicing fee alone leaves, a negative fee, or an
            arrangement fee that takes the whole amount.
    """

    def solved(loans: Loans, risk: FloatArray, safe: BoolArray, aim: FloatArray) -> FloatArray:
        margin = monthly_rate(aim)
        margin[~safe] = loans.margin(risk[~safe], 1 + margin[~safe])
        return checked_margin(margin) + terms.monthly_fee

    return _priced(solved, pd12, term_months, target, terms, covered, own_fee_ppm)


def appraise_loans(
    pd12: npt.ArrayLike,
    term_months: npt.ArrayLike,
    gross_rate: npt.ArrayLike,
    terms: PricingTerms,
    *,
    covered: npt.ArrayLike = False,
    own_fee_ppm: npt.ArrayLike = 0,
) -> Pricing:
    """What loans at given gross rates earn and cost, as `price_loans` says of those it solves.

    Args:
        gross_rate: annual effective; the rest as `price_loans` takes it.

    Raises:
        PricingRefused: as `price_loans`, and for a rate under 0 or not finite.
    """

    def given(loans: Loans, risk: FloatArray, safe: BoolArray, rate: FloatArray) -> FloatArray:
        del loans, risk, safe
        return gross_rates(rate)

    return _priced(given, pd12, term_months, gross_rate, terms, covered, own_fee_ppm)


def _priced(
    rates: Rates,
    pd12: npt.ArrayLike,
    term_months: npt.ArrayLike,
    given: npt.ArrayLike,
    terms: PricingTerms,
    covered: npt.ArrayLike,
    own_fee_ppm: npt.ArrayLike,
) -> Pricing:
    """Go through the loans term by term, so many at a time that they stay in the cache."""
    arrays = np.broadcast_arrays(
        chances(pd12),
        terms_in_months(term_months),
        np.asarray(given, dtype=np.float64),
        as_flags(covered),
        _own_fees(own_fee_ppm),
    )
    pd, months, told, flags, own = (array.ravel() for array in arrays)
    priced = Pricing(*(np.empty(len(pd)) for _ in fields(Pricing)))
    for length, places in by_term(months):
        loans = loans_of(terms, length)
        for part in pieces(places, loans.at_once):
            risk, safe = loans.risk(pd[part]), flags[part]
            gross = rates(loans, risk, safe, told[part])
            alone = loans.growth(risk, gross)
            lost = terms.losses.loss_given_default * loans.defaulted(risk, gross)
            for start in range(0, len(part), BLOCK):
                some = slice(start, start + BLOCK)
                earned = _Earned(gross[some], alone[some], lost[some], safe[some])
                _write(priced, part[some], earned, own[part[some]], terms, length)
    shape = arrays[0].shape
    return Pricing(*(getattr(priced, field.name).reshape(shape) for field in fields(Pricing)))


@dataclass(frozen=True, slots=True, eq=False)
class _Earned:
    """Monthly gross rates, monthly growth without the fund, lifetime losses, whether covered."""

    gross: FloatArray
    alone: FloatArray
    lost: FloatArray
    covered: BoolArray


def _write(
    priced: Pricing,
    places: IntArray,
    earned: _Earned,
    own_fee: FloatArray,
    terms: PricingTerms,
    months: int,
) -> None:
    """Write loans of one term into their places: with the fund, the fees and the APR."""
    gross, covered = earned.gross, earned.covered
    contribution = np.where(covered, earned.lost * (1 + terms.buffer), 0.0)
    fee = own_fee + contribution
    if (fee >= 1).any():
        raise PricingRefused(
            "The arrangement fee, with the provision contribution, must be less than the loan.",
            field="arrangement_fee",
        )
    u = 1 / (1 + gross)
    worth = annuity(u, months)
    with_fund = np.where(covered, 1 + np.maximum(gross - terms.monthly_fee, 0.0), earned.alone)
    priced.gross_rate[places] = _annual(1 + gross)
    priced.expected_return[places] = _annual(with_fund)
    priced.uncovered_return[places] = _annual(earned.alone)
    priced.expected_loss[places] = earned.lost
    priced.contribution[places] = contribution
    priced.arrangement_fee[places] = fee
    priced.apr[places] = _annual(1 / discount_of_annuity(u, worth, fee, months))
    priced.instalment[places] = 1 / worth


def _annual(growth: FloatArray) -> FloatArray:
    return whole_power(growth, YEAR) - 1


def _own_fees(own_fee_ppm: npt.ArrayLike) -> FloatArray:
    fees = np.asarray(own_fee_ppm, dtype=np.float64)
    if not ((fees >= 0) & (fees < PPM)).all():
        raise PricingRefused(
            f"An arrangement fee must be 0 ppm or more, and less than {PPM}.",
            field="arrangement_fee",
        )
    shares: FloatArray = fees / PPM
    return shares
