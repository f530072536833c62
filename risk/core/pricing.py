"""From a probability of going bad to the rate that earns a lender's target, and back.

A loan of hazard h (the chance to go bad in a month, the same in every month) pays each month
with chance 1 - h. Per unit of opening balance a paying month brings 1 + r - f (balance,
interest, less the servicing fee, which is never more than the interest); one that goes bad
brings the share 1 - LGD of the balance, ``lag`` months later. Discounted at the monthly target y
the two are worth 1 + y:

    (1 - h) (1 + r - f) + h (1 - LGD) v**lag = 1 + y,    v = 1 / (1 + y)

so that r = (1 + y - h (1 - LGD) v**lag) / (1 - h) - 1 + f. The value is the balance in every
period, so the rate holds for any term, amortisation, and early repayment at par.

In a market that the provision fund covers, the fund pays the lender what was due when a loan
goes bad: the lender bears no loss, and r = y + f. The loss is the borrower's to pay, as a
contribution within the arrangement fee.

Rates are annual effective floats in here, and integer parts per million at the borders.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from risk.core.errors import PricingRefused
from risk.core.pricing_ageing import AgeingLoans
from risk.core.pricing_constant import ConstantLoans
from risk.core.pricing_rates import (
    BLOCK,
    PPM,
    YEAR,
    annual_rate,
    by_term,
    chances,
    from_ppm,
    gross_rates,
    monthly_hazard,
    monthly_rate,
    one_term,
    pd_in_year,
    pieces,
    terms_in_months,
    to_ppm,
)
from risk.core.pricing_series import annuity
from risk.core.pricing_terms import HazardShape, LossTerms, PricingTerms
from risk.core.table import BoolArray, FloatArray

__all__ = [
    "PPM",
    "YEAR",
    "HazardShape",
    "LossTerms",
    "PricingTerms",
    "annual_rate",
    "expected_loss",
    "from_ppm",
    "guide_rate",
    "instalment_share",
    "monthly_hazard",
    "monthly_rate",
    "net_return",
    "pd_in_year",
    "to_ppm",
]

_ROUNDING = 1e-15  # of a monthly rate: a guide rate of just the fee is not under it
_ANY_TERM = 1  # a constant hazard's rate holds for every term


def guide_rate(
    pd12: npt.ArrayLike,
    target: npt.ArrayLike,
    terms: LossTerms,
    *,
    covered: npt.ArrayLike = False,
) -> FloatArray:
    """Gross annual rate at which a lender's expected net annual return is ``target``.

    The hazard is constant; `risk.core.pricing_loans.price_loans` takes one that ages.

    Args:
        pd12: 12-month PDs; ``target``: annual effective returns; any shapes that broadcast.
        covered: whether the provision fund bears the loss; broadcasts likewise.

    Raises:
        PricingRefused: for a PD outside 0 to 1 (1 excluded), a target that is no rate, or one so
            low that the rate would be under the servicing fee.
    """
    borne = np.where(as_flags(covered), 0.0, chances(pd12))
    aim, borne = np.broadcast_arrays(monthly_rate(target), borne)
    loans = ConstantLoans(PricingTerms(terms), _ANY_TERM)
    margin = checked_margin(loans.margin(loans.risk(borne), 1 + aim))
    return annual_rate(margin + terms.servicing_fee / YEAR)


def net_return(
    gross: npt.ArrayLike,
    pd12: npt.ArrayLike,
    terms: LossTerms,
    *,
    covered: npt.ArrayLike = False,
) -> FloatArray:
    """Expected net annual return of a lender who asks ``gross``: the inverse of `guide_rate`.

    At a rate under the servicing fee the fee takes all the interest, and no more.

    Args:
        gross: annual effective rates; ``pd12``: 12-month PDs; any shapes that broadcast.
        covered: whether the provision fund bears the loss; broadcasts likewise.

    Raises:
        PricingRefused: for a PD outside 0 to 1 (1 excluded), or a rate under 0 or not finite.
    """
    borne = np.where(as_flags(covered), 0.0, chances(pd12))
    rate, borne = np.broadcast_arrays(gross_rates(gross), borne)
    loans = ConstantLoans(PricingTerms(terms), _ANY_TERM)
    flat_rate, flat_borne = rate.ravel(), borne.ravel()
    found = np.empty_like(flat_rate)
    for start in range(0, len(found), BLOCK):
        part = slice(start, start + BLOCK)
        found[part] = loans.growth(loans.risk(flat_borne[part]), flat_rate[part])
    return annual_rate(found - 1).reshape(rate.shape)


def instalment_share(annual: npt.ArrayLike, months: int) -> FloatArray:
    """Level monthly instalment per unit lent, at an annual effective rate over ``months``.

    Raises:
        PricingRefused: for a rate that is no rate, or fewer months than one.
    """
    return 1 / annuity(1 / (1 + monthly_rate(annual)), one_term(months))


def expected_loss(
    gross: npt.ArrayLike,
    pd12: npt.ArrayLike,
    months: npt.ArrayLike,
    terms: LossTerms | PricingTerms,
) -> FloatArray:
    """Expected lifetime loss as a share of the amount lent, not discounted.

    The sum over months of the chance to run and go bad in that month, times the balance then
    outstanding under level instalments, times the loss given default.

    Args:
        gross: annual effective rates; ``pd12``: 12-month PDs; ``months``: terms; any shapes that
            broadcast.
        terms: of losses alone, or with prepayment and a hazard that moves with age.

    Raises:
        PricingRefused: for a PD outside 0 to 1 (1 excluded), a rate under 0, or a term outside 1
            to 600 months.
    """
    whole = terms if isinstance(terms, PricingTerms) else PricingTerms(terms)
    rate, pd, term = np.broadcast_arrays(gross_rates(gross), chances(pd12), terms_in_months(months))
    flat_rate, flat_pd = rate.ravel(), pd.ravel()
    found = np.empty_like(flat_rate)
    for length, places in by_term(term.ravel()):
        loans = loans_of(whole, length)
        for part in pieces(places, loans.at_once):
            found[part] = loans.defaulted(loans.risk(flat_pd[part]), flat_rate[part])
    return (found * whole.losses.loss_given_default).reshape(rate.shape)


def loans_of(terms: PricingTerms, months: int) -> ConstantLoans | AgeingLoans:
    """What a term's loans earn and lose, under the hazard that ``terms`` assume."""
    if terms.shape is None:
        return ConstantLoans(terms, months)
    return AgeingLoans(terms, terms.shape, months)


def checked_margin(margin: FloatArray) -> FloatArray:
    """Monthly rates over the servicing fee, none under it.

    Raises:
        PricingRefused: for one under it: the fee would take more than the interest.
    """
    if (margin < -_ROUNDING).any():
        raise PricingRefused(
            "The target is below what a lender earns at a rate of the servicing fee alone.",
            field="target",
        )
    return margin


def as_flags(values: npt.ArrayLike) -> BoolArray:
    """Yes or no of each loan, checked.

    Raises:
        PricingRefused: for anything else.
    """
    found = np.asarray(values)
    if found.dtype != np.bool_:
        raise PricingRefused("Whether a loan is covered must be true or false.", field="covered")
    return found
