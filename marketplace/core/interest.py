"""Interest of parts, fixed in whole pence from one integer a loan, exact in 64 bits.

A loan keeps one integer ``S(t)``: the sum, over its due dates so far, of the principal outstanding
on them (*pence-months*). A part of ``u`` units (of £10) out of ``U``, at a monthly rate of ``r``
(10⁻¹²), has by due date ``t`` the cumulative interest

    I(t) = floor(u * r * S(t) / (U * 10**12) + 1/2)   pence,

and the period's *bucket* is ``I(t) - I(t - 1)``: each part's own fraction of a penny is carried
without being stored. The loan's interest due is the sum over its parts.

**Why 64 bits are enough.** Let ``k = u * r`` and ``S = Q * U + R`` with ``0 <= R < U``. Then

    k * S / U = k * Q + k * R / U,

and, since a floor inside a floor of an integer division changes nothing,

    I = floor((k * Q + floor(k * R / U) + 5 * 10**11) / 10**12).

``k * Q`` may be beyond 64 bits, so ``k = kh * 10**12 + kl`` is split once, which gives

    I = kh * Q + floor((kl * Q + floor(k * R / U) + 5 * 10**11) / 10**12).

With ``U <= 10**6``, ``u <= U``, ``r <= 10**11`` and ``Q <= 9 * 10**6`` (9,000 months of the whole
loan outstanding, as a unit is 1,000 pence):

- ``k <= 10**17``; ``kh * Q <= 10**5 * 9 * 10**6``; ``kl * Q < 9 * 10**18``;
- ``floor(k * R / U) < k <= 10**17``, so the bracket is below ``9.2 * 10**18 < 2**63``;
- ``k * R`` itself is formed only where it is below ``2**63``; otherwise ``k = a * U + b`` gives
  ``floor(k * R / U) = a * R + floor(b * R / U)`` with ``a * R <= r * R <= 10**17`` and
  ``b * R < U * U <= 10**12``.

Anything outside those bounds is refused. Source: the house design, "A loan's life".
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from marketplace.core.arrays import LARGEST_INT, IntArray, int_array, offsets_array, segment_sums
from marketplace.core.errors import InterestOutOfBounds, ShapeRefused
from marketplace.core.rates import E12, LARGEST_ANNUAL_PPM, LARGEST_MONTHLY_E12

LARGEST_UNITS = 1_000_000
LARGEST_PENCE_MONTHS_PER_UNIT = 9_000_000


def fee_rate_e12(fee_ppm: npt.ArrayLike) -> IntArray:
    """Return monthly servicing rates (10⁻¹², ``[M]``) of simple annual fees (ppm), halves up.

    1 % a year (10,000 ppm) is 833,333,333: a twelfth of it a month, not compounded.

    Args:
        fee_ppm: one fee, or ``[M]`` of them.

    Raises:
        InterestOutOfBounds: for a fee below nothing or above 100 % a year.
    """
    fees = int_array(np.atleast_1d(np.asarray(fee_ppm)), "fee_ppm")
    if fees.size and (fees.min() < 0 or fees.max() > LARGEST_ANNUAL_PPM):
        raise InterestOutOfBounds(
            f"A servicing fee must lie between 0 and {LARGEST_ANNUAL_PPM} ppm a year.",
            field="fee_ppm",
        )
    return (2 * fees * 1_000_000 + 12) // 24


def cumulative_interest(
    units: npt.ArrayLike,
    monthly_e12: npt.ArrayLike,
    pence_months: npt.ArrayLike,
    total_units: npt.ArrayLike,
) -> IntArray:
    """Return each part's interest fixed so far, in whole pence (see the module's formula).

    Args:
        units: each part's size in units of £10, ``[N]``.
        monthly_e12: each part's monthly rate in 10⁻¹², ``[N]`` or one for all.
        pence_months: ``S`` of each part's loan, ``[N]`` or one for all.
        total_units: ``U`` of each part's loan, ``[N]`` or one for all.

    Returns:
        ``int64`` pence, shape ``[N]``.

    Raises:
        InterestOutOfBounds: outside the bounds proved above.
        ShapeRefused: for floats, or shapes that don't fit.
    """
    parts = int_array(units, "units")
    rates = _broadcastable(monthly_e12, "monthly_e12", parts.shape[0])
    months = _broadcastable(pence_months, "pence_months", parts.shape[0])
    totals = _broadcastable(total_units, "total_units", parts.shape[0])
    check_interest_bounds(parts, rates, months, totals)
    if (parts > totals).any():
        raise InterestOutOfBounds("A part can't be larger than its loan.", field="units")
    whole, rest = np.divmod(months, totals)
    return fixed_interest(parts * rates, whole, rest, totals)


def cumulative_interest_by_loan(
    units: IntArray,
    monthly_e12: IntArray,
    pence_months: IntArray,
    offsets: IntArray,
) -> IntArray:
    """Return the interest fixed so far of the parts of many loans, in whole pence.

    Args:
        units: ``[N]``, units of £10; a loan's total is the sum over its parts.
        monthly_e12: ``[N]``, monthly rates in 10⁻¹².
        pence_months: ``S`` of each loan, ``[L]``.
        offsets: where each loan's parts start, ``[L + 1]``.

    Returns:
        ``int64`` pence, shape ``[N]``.

    Raises:
        InterestOutOfBounds: outside the bounds proved above.
        ShapeRefused: for floats, or shapes that don't fit.
    """
    parts = int_array(units, "units")
    rates = int_array(monthly_e12, "monthly_e12", parts.shape[0])
    starts = offsets_array(offsets, parts.shape[0])
    months = int_array(pence_months, "pence_months", starts.shape[0] - 1)
    if parts.size == 0:
        return parts.copy()
    totals = segment_sums(parts, starts)
    check_interest_bounds(parts, rates, months, totals)
    whole, rest = np.divmod(months, totals)
    counts = np.diff(starts)
    return fixed_interest(
        parts * rates, np.repeat(whole, counts), np.repeat(rest, counts), np.repeat(totals, counts)
    )


def cumulative_fee(
    units: npt.ArrayLike,
    interest: IntArray,
    pence_months: npt.ArrayLike,
    total_units: npt.ArrayLike,
    fee_ppm: npt.ArrayLike,
) -> IntArray:
    """Return each part's servicing fee fixed so far, in whole pence, at most its ``interest``.

    Args:
        units: ``[N]``, units of £10.
        interest: each part's cumulative interest at the same ``pence_months``, pence, ``[N]``.
        pence_months: ``S`` of each part's loan, ``[N]`` or one for all.
        total_units: ``U`` of each part's loan, ``[N]`` or one for all.
        fee_ppm: the fee a year on outstanding principal, simple, ppm, ``[N]`` or one for all.

    Raises:
        InterestOutOfBounds: outside the bounds proved above.
    """
    uncapped = cumulative_interest(units, fee_rate_e12(fee_ppm), pence_months, total_units)
    return np.minimum(uncapped, interest)


def fixed_interest(
    weighted: IntArray, whole: IntArray, rest: IntArray, total_units: IntArray
) -> IntArray:
    """Evaluate the module's formula for ``k = u * r``, ``Q``, ``R`` and ``U``, unchecked.

    Callers check the bounds; all arrays broadcast to the shape of ``weighted``, ``[N]``.
    """
    if weighted.size == 0:
        return weighted.copy()
    largest = int(weighted.max())
    if largest * int(total_units.max()) <= LARGEST_INT:
        # In place: the temporaries of one long expression would cost as much as its divisions.
        share = weighted * rest
        share //= total_units
    else:
        times, left = np.divmod(weighted, total_units)
        share = times * rest + left * rest // total_units
    high, low = (None, weighted) if largest < E12 else np.divmod(weighted, E12)
    fixed: IntArray = low * whole
    fixed += share
    fixed += E12 // 2
    fixed //= E12
    if high is not None:
        fixed += high * whole
    return fixed


def check_interest_bounds(
    units: IntArray, monthly_e12: IntArray, pence_months: IntArray, total_units: IntArray
) -> None:
    """Raise unless all values lie inside the bounds for which the formula is proved.

    Args:
        units: ``[N]``; monthly_e12: ``[N]``; pence_months and total_units: one a loan or part.

    Raises:
        InterestOutOfBounds: where one of them doesn't.
    """
    if units.size == 0:
        return
    if units.min() < 0 or total_units.min() < 1 or total_units.max() > LARGEST_UNITS:
        raise InterestOutOfBounds(
            f"A loan must be of 1 to {LARGEST_UNITS} units, and no part below nothing.",
            field="units",
        )
    if monthly_e12.min() < 0 or monthly_e12.max() > LARGEST_MONTHLY_E12:
        raise InterestOutOfBounds(
            f"A monthly rate must lie between 0 and {LARGEST_MONTHLY_E12} in 10⁻¹².",
            field="monthly_e12",
        )
    if pence_months.min() < 0 or (pence_months > LARGEST_PENCE_MONTHS_PER_UNIT * total_units).any():
        raise InterestOutOfBounds(
            "A loan's pence-months can't be negative, nor above "
            f"{LARGEST_PENCE_MONTHS_PER_UNIT} a unit.",
            field="pence_months",
        )


def _broadcastable(values: npt.ArrayLike, name: str, length: int) -> IntArray:
    array = int_array(np.atleast_1d(np.asarray(values)), name)
    if array.shape[0] not in (1, length):
        raise ShapeRefused(f"{name} has {array.shape[0]} rows, not 1 or {length}.", field=name)
    return array
