"""Rates: annual effective in parts per million, monthly in 10⁻¹², and their blend.

Rates are *annual effective*, stored as integer parts per million (7.125 % is 71250). A part's
monthly rate ``(1 + r) ** (1 / 12) - 1`` is an integer in 10⁻¹², rounded once. The blend is the
amount-weighted mean of **monthly** rates (so that a loan's interest is the sum of its parts'),
computed from exact integer sums and never incrementally: Zopa's own running figure drifted.
Source: the house design, "Money, rates, time"; ``docs/matching.md``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import overload

import numpy as np
import numpy.typing as npt

from marketplace.core.arrays import LARGEST_INT, IntArray, same_length
from marketplace.core.errors import RateRefused

PPM = 1_000_000
E12 = 1_000_000_000_000
LARGEST_ANNUAL_PPM = 1_000_000  # 100 % a year
LARGEST_MONTHLY_E12 = 100_000_000_000  # 10 % a month, above any annual rate allowed
_LIMB = 1_000_000


@overload
def monthly_rate_e12(annual_ppm: int) -> int: ...
@overload
def monthly_rate_e12(annual_ppm: IntArray) -> IntArray: ...
def monthly_rate_e12(annual_ppm: int | IntArray) -> int | IntArray:
    """Turn annual effective rates (ppm) into monthly rates in 10⁻¹², correctly rounded.

    The rounding is decided in integers, so the result doesn't depend on the machine's libm.

    Args:
        annual_ppm: one rate, or an ``int64`` array of any shape, each from 0 to 1,000,000.

    Returns:
        An ``int``, or an ``int64`` array of the same shape.

    Raises:
        RateRefused: for a rate below nothing or above 100 % a year.
    """
    if isinstance(annual_ppm, np.ndarray):
        distinct, places = np.unique(annual_ppm, return_inverse=True)
        monthly = [_monthly_rate_e12(int(rate)) for rate in distinct]
        return np.array(monthly, dtype=np.int64)[places].reshape(annual_ppm.shape)
    return _monthly_rate_e12(int(annual_ppm))


@lru_cache(maxsize=65_536)
def _monthly_rate_e12(annual_ppm: int) -> int:
    if not 0 <= annual_ppm <= LARGEST_ANNUAL_PPM:
        raise RateRefused(
            f"{annual_ppm} ppm is not a rate: it must lie between 0 and "
            f"{LARGEST_ANNUAL_PPM} parts per million a year.",
            field="rate_ppm",
        )
    estimate = round(math.expm1(math.log1p(annual_ppm / PPM) / 12) * E12)
    # m is nearest when (1 + (m - 1/2) / E12)^12 <= 1 + r < (1 + (m + 1/2) / E12)^12
    target = (PPM + annual_ppm) * (2 * E12) ** 12
    while PPM * (2 * E12 + 2 * estimate + 1) ** 12 <= target:
        estimate += 1
    while PPM * (2 * E12 + 2 * estimate - 1) ** 12 > target:
        estimate -= 1
    return estimate


def annual_fraction(monthly_e12: float | Fraction) -> float:
    """Return the annual effective rate, as a fraction, of a monthly rate in 10⁻¹²."""
    return math.expm1(12 * math.log1p(float(monthly_e12 / E12)))


@dataclass(frozen=True, slots=True)
class Blend:
    """What several amounts at several rates cost together, held as exact sums.

    Attributes:
        amount: sum of the amounts, pence.
        weighted: sum of amount times monthly rate, pence in 10⁻¹² a month (any size).
    """

    amount: int
    weighted: int

    @property
    def monthly_e12(self) -> Fraction:
        """The amount-weighted mean of the monthly rates, exactly, in 10⁻¹².

        Raises:
            RateRefused: for a blend of nothing.
        """
        if self.amount <= 0:
            raise RateRefused("Nothing was blended, so there is no rate.")
        return Fraction(self.weighted, self.amount)

    @property
    def annual_fraction(self) -> float:
        """The blend as an annual effective rate, a fraction (.07 is 7 %).

        Raises:
            RateRefused: for a blend of nothing.
        """
        if self.amount <= 0:
            raise RateRefused("Nothing was blended, so there is no rate.")
        # A quotient of integers is rounded once, as that of the exact mean is.
        return math.expm1(12 * math.log1p(self.weighted / (self.amount * E12)))

    @property
    def annual_ppm(self) -> int:
        """The blend as an annual effective rate in whole ppm, to the nearest, halves to even."""
        return round(self.annual_fraction * PPM)


def blend(amounts: npt.ArrayLike, monthly_e12: npt.ArrayLike) -> Blend:
    """Blend amounts (pence, ``[N]``) at monthly rates (10⁻¹², ``[N]``) from exact integer sums.

    Each product is summed in two limbs of the rate, so sums stay in 64 bits for amounts that
    add up to less than 9.2 million million pence (92 billion pounds).

    Raises:
        RateRefused: for negative amounts or rates, rates beyond 10 % a month, or amounts beyond
            that bound.
        ShapeRefused: for arrays of unequal length or of floats.
    """
    whole, rates = same_length(amounts=amounts, monthly_e12=monthly_e12)
    if whole.size == 0:
        return Blend(amount=0, weighted=0)
    if whole.min() < 0 or rates.min() < 0 or rates.max() > LARGEST_MONTHLY_E12:
        raise RateRefused("Amounts and rates to be blended can't be negative or absurd.")
    if int(whole.max()) * whole.size > LARGEST_INT // _LIMB:
        raise RateRefused("The amounts to be blended are beyond what is handled exactly.")
    high, low = np.divmod(rates, _LIMB)
    weighted = int((whole * high).sum()) * _LIMB + int((whole * low).sum())
    return Blend(amount=int(whole.sum()), weighted=weighted)
