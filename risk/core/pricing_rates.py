"""Rates, chances and months: how they are checked, turned into monthly ones, and rounded."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from risk.core.errors import PricingRefused
from risk.core.table import FloatArray, IntArray

PPM = 1_000_000
YEAR = 12
LONGEST_MONTHS = 600
BLOCK = 16_384  # loans at a time: their arrays stay in a core's cache


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
    return -np.expm1(np.log1p(-chances(pd_outcome)) * (YEAR / one_term(months)))


def monthly_hazard(pd12: npt.ArrayLike) -> FloatArray:
    """Chance to go bad in a month: h = 1 - (1 - PD12)**(1/12).

    Raises:
        PricingRefused: for a PD outside 0 to 1 (1 excluded).
    """
    return -np.expm1(np.log1p(-chances(pd12)) / YEAR)


def monthly_rate(annual: npt.ArrayLike) -> FloatArray:
    """Monthly rate of an annual effective one: (1 + r)**(1/12) - 1.

    Raises:
        PricingRefused: for a rate that is not finite, or not above -100 %.
    """
    rates = np.asarray(annual, dtype=np.float64)
    if not np.isfinite(rates).all() or (rates <= -1).any():
        raise PricingRefused("A rate must be a finite number above -100 %.", field="rate")
    return np.expm1(np.log1p(rates) / YEAR)


def annual_rate(monthly: npt.ArrayLike) -> FloatArray:
    """Annual effective rate of a monthly one: (1 + i)**12 - 1."""
    yearly: FloatArray = np.expm1(np.log1p(np.asarray(monthly, dtype=np.float64)) * YEAR)
    return yearly


def chances(values: npt.ArrayLike) -> FloatArray:
    """Probabilities of going bad, checked.

    Raises:
        PricingRefused: for one outside 0 to 1 (1 excluded), or not a number.
    """
    found = np.asarray(values, dtype=np.float64)
    if not ((found >= 0) & (found < 1)).all():
        raise PricingRefused("A probability of going bad must be at least 0 and below 1.")
    return found


def gross_rates(annual: npt.ArrayLike) -> FloatArray:
    """Gross annual rates as monthly ones, checked.

    Raises:
        PricingRefused: for a rate under nothing, or not finite.
    """
    monthly = monthly_rate(annual)
    if (monthly < 0).any():
        raise PricingRefused("A gross rate must be 0 or more.", field="rate")
    return monthly


def one_term(months: int) -> int:
    """A number of months, checked.

    Raises:
        PricingRefused: for fewer than one.
    """
    if months < 1:
        raise PricingRefused("A term must be one month at least.", field="term_months")
    return months


def terms_in_months(months: npt.ArrayLike) -> IntArray:
    """Terms in whole months, checked.

    Raises:
        PricingRefused: for one that is not whole, or not from 1 to 600 months.
    """
    found = np.asarray(months)
    if found.dtype.kind == "f" and (np.isfinite(found) & (found == np.floor(found))).all():
        found = found.astype(np.int64)
    if found.dtype.kind not in "iu" or not ((found >= 1) & (found <= LONGEST_MONTHS)).all():
        raise PricingRefused(
            f"A term must be a whole number of months, from 1 to {LONGEST_MONTHS}.",
            field="term_months",
        )
    return found.astype(np.int64)


def by_term(months: IntArray) -> Iterator[tuple[int, IntArray]]:
    """Each term that occurs, with the places of its loans, ascending.

    Args:
        months: checked terms, shape ``(n,)``.
    """
    order = np.argsort(months.astype(np.uint16), kind="stable")
    counts = np.bincount(months)
    ends = np.cumsum(counts)
    for term in np.flatnonzero(counts).tolist():
        yield term, order[ends[term - 1] : ends[term]]


def pieces(places: IntArray, at_once: int) -> Iterator[IntArray]:
    """The places, ``at_once`` at a time."""
    for start in range(0, len(places), at_once):
        yield places[start : start + at_once]


def whole_power(base: FloatArray, exponent: int) -> FloatArray:
    """``base ** exponent`` for a whole exponent of 0 or more, by squaring: a few products."""
    found = np.ones_like(base)
    square = base
    while exponent:
        if exponent & 1:
            found = found * square
        exponent >>= 1
        if exponent:
            square = square * square
    return found
