"""From a probability of going bad to the rate that earns a lender's target, and back.

A loan of hazard h (the chance to go bad in a month, the same in every month) pays each month
with chance 1 - h. Per unit of opening balance a paying month brings 1 + r - f (balance,
interest, less the servicing fee); one that goes bad brings the share 1 - LGD of the balance,
``lag`` months later. Discounted at the monthly target y the two are worth 1 + y:

    (1 - h) (1 + r - f) + h (1 - LGD) v**lag = 1 + y,    v = 1 / (1 + y)

so that r = (1 + y - h (1 - LGD) v**lag) / (1 - h) - 1 + f. The value is the balance in every
period, so the rate holds for any term, amortisation, and early repayment at par. Rates are
annual effective floats in here, and integer parts per million at the borders.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from risk.core.errors import PricingRefused
from risk.core.table import FloatArray, IntArray

PPM = 1_000_000
YEAR = 12
_NEWTON_ROUNDS = 60
_ROUNDING = 1e-15  # of a monthly rate: a guide rate of just the fee is not under it
_NEWTON_STEP = 1e-15


@dataclass(frozen=True, slots=True)
class LossTerms:
    """What is assumed of losses and fees, as shares.

    ``loss_given_default`` of the balance is lost when a loan goes bad; the rest comes back
    ``recovery_lag_months`` later. ``servicing_fee`` is a year's, of the outstanding balance.
    """

    loss_given_default: float
    recovery_lag_months: int
    servicing_fee: float


def to_ppm(values: npt.ArrayLike) -> IntArray:
    """Shares or rates as whole parts per million, halves to even; the one rounding at borders.

    Raises:
        PricingRefused: for a value that is not finite.
    """
    array = np.asarray(values, dtype=np.float64)
    if not np.isfinite(array).all():
        raise PricingRefused("A rate or probability is not a finite number.")
    return np.rint(array * PPM).astype(np.int64)


def from_ppm(values: npt.ArrayLike) -> FloatArray:
    """Whole parts per million as shares."""
    shares: FloatArray = np.asarray(values, dtype=np.float64) / PPM
    return shares


def pd_in_year(pd_outcome: npt.ArrayLike, months: int) -> FloatArray:
    """12-month PD of a PD over ``months``, under a constant monthly hazard.

    Raises:
        PricingRefused: for a PD outside 0 to 1 (1 excluded), or fewer months than one.
    """
    return -np.expm1(np.log1p(-_chances(pd_outcome)) * (YEAR / _months(months)))


def monthly_hazard(pd12: npt.ArrayLike) -> FloatArray:
    """Chance to go bad in a month: h = 1 - (1 - PD12)**(1/12).

    Raises:
        PricingRefused: for a PD outside 0 to 1 (1 excluded).
    """
    return -np.expm1(np.log1p(-_chances(pd12)) / YEAR)


def monthly_rate(annual: npt.ArrayLike) -> FloatArray:
    """Monthly rate of an annual effective one: (1 + r)**(1/12) - 1.

    Raises:
        PricingRefused: for a rate that is not finite, or not above -100 %.
    """
    rates = np.asarray(annual, dtype=np.float64)
    if not np.isfinite(rates).all() or (rates <= -1).any():
        raise PricingRefused("A rate must be a finite number above -100 %.")
    return np.expm1(np.log1p(rates) / YEAR)


def annual_rate(monthly: npt.ArrayLike) -> FloatArray:
    """Annual effective rate of a monthly one: (1 + i)**12 - 1."""
    yearly: FloatArray = np.expm1(np.log1p(np.asarray(monthly, dtype=np.float64)) * YEAR)
    return yearly


def guide_rate(pd12: npt.ArrayLike, target: npt.ArrayLike, terms: LossTerms) -> FloatArray:
    """Gross annual rate at which a lender's expected net annual return is ``target``.

    Args:
        pd12: 12-month PDs; ``target``: annual effective returns; any shapes that broadcast.

    Raises:
        PricingRefused: for a PD outside 0 to 1 (1 excluded), or a rate that is no rate.
    """
    hazard, aim = monthly_hazard(pd12), monthly_rate(target)
    back = hazard * (1 - terms.loss_given_default) * (1 + aim) ** -terms.recovery_lag_months
    gross = (1 + aim - back) / (1 - hazard) - 1 + terms.servicing_fee / YEAR
    return annual_rate(gross)


def net_return(gross: npt.ArrayLike, pd12: npt.ArrayLike, terms: LossTerms) -> FloatArray:
    """Expected net annual return of a lender who asks ``gross``: the inverse of `guide_rate`.

    Newton's method on the monthly return. The function is increasing and concave, so that from a
    point at or below the root the steps rise to it and never pass it; the return with nothing
    recovered is such a point.

    Args:
        gross: annual effective rates; ``pd12``: 12-month PDs; any shapes that broadcast.

    Raises:
        PricingRefused: for a PD outside 0 to 1 (1 excluded), a rate that is no rate, or a gross
            rate under the servicing fee.
    """
    hazard = monthly_hazard(pd12)
    income = monthly_rate(gross) - terms.servicing_fee / YEAR
    if (income < -_ROUNDING).any():
        raise PricingRefused("A gross rate must be at least the servicing fee.", field="rate")
    paid = (1 - hazard) * (1 + income)
    back = hazard * (1 - terms.loss_given_default)
    lag = terms.recovery_lag_months
    growth = paid + np.zeros_like(back)
    for _ in range(_NEWTON_ROUNDS):
        late = back * growth**-lag
        step = (growth - late - paid) / (1 + lag * late / growth)
        growth = growth - step
        if float(np.abs(step).max(initial=0.0)) < _NEWTON_STEP:
            break
    return annual_rate(growth - 1)


def instalment_share(annual: npt.ArrayLike, months: int) -> FloatArray:
    """Level monthly instalment per unit lent, at an annual effective rate over ``months``.

    Raises:
        PricingRefused: for a rate that is no rate, or fewer months than one.
    """
    rate, length = monthly_rate(annual), _months(months)
    safe = np.where(rate == 0, 1.0, rate)
    return np.where(rate == 0, 1 / length, safe / -np.expm1(-length * np.log1p(safe)))


def expected_loss(
    gross: npt.ArrayLike, pd12: npt.ArrayLike, months: int, terms: LossTerms
) -> FloatArray:
    """Expected lifetime loss as a share of the amount lent, not discounted.

    The sum over months of the chance to go bad in that month, times the balance then outstanding
    under level instalments, times the loss given default.

    Raises:
        PricingRefused: for a PD outside 0 to 1 (1 excluded), a rate that is no rate, or fewer
            months than one.
    """
    hazard, rate = monthly_hazard(pd12), monthly_rate(gross)
    instalment = instalment_share(gross, months)
    balance, alive = np.ones_like(instalment), np.ones_like(hazard)
    lost = np.zeros(np.broadcast_shapes(hazard.shape, rate.shape))
    for _ in range(months):
        lost = lost + alive * hazard * balance
        balance = balance * (1 + rate) - instalment
        alive = alive * (1 - hazard)
    return lost * terms.loss_given_default


def _chances(values: npt.ArrayLike) -> FloatArray:
    chances = np.asarray(values, dtype=np.float64)
    if not ((chances >= 0) & (chances < 1)).all():
        raise PricingRefused("A probability of going bad must be at least 0 and below 1.")
    return chances


def _months(months: int) -> int:
    if months < 1:
        raise PricingRefused("A term must be one month at least.", field="term_months")
    return months
