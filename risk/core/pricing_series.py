"""Sums over a loan's months in a few products, by doubling the number of months.

With u = 1 / (1 + i), level instalments leave the balance G(n + 1 - t) / G(n) at the start of
month t of n, where G(n) = 1 + u + ... + u**(n-1). A sum over n months is built from those over
half as many; every term is positive, so that nothing is lost by subtraction, at a rate of zero
or at a rate that equals a hazard either.
"""

from __future__ import annotations

import numpy as np

from risk.core.errors import PricingRefused
from risk.core.pricing_rates import whole_power
from risk.core.table import FloatArray

_ROUNDS = 1_000
_CLOSE = 1e-9  # a last step so small leaves an error of about its square


def annuity(u: FloatArray, months: int) -> FloatArray:
    """What 1 a month, in arrears, is worth: u + u**2 + ... + u**months."""
    total, power = np.ones_like(u), u
    for bit in bin(months)[3:]:
        total = total * (1 + power)
        power = power * power
        if bit == "1":
            total = total + power
            power = power * u
    return u * total


def balance_months(u: FloatArray, stays: FloatArray, months: int) -> FloatArray:
    """Expected opening balances added up, per unit lent, over the months of a term.

    The sum over t of stays**(t-1) G(n + 1 - t) / G(n): ``stays`` is the chance to go on from one
    month to the next. With D(n) the sum of stays**a u**b over a + b = n - 1, and E(n) that over
    a + b < n: D(m + n) = stays**m D(n) + u**n D(m), E(2n) = E(n) (1 + stays**n) + u G(n) D(n).
    """
    up, sp = u, stays
    G, D, E = np.ones_like(u), np.ones_like(u), np.ones_like(u)
    for bit in bin(months)[3:]:
        E = E * (1 + sp) + u * G * D
        D = D * (up + sp)
        G = G * (1 + up)
        up, sp = up * up, sp * sp
        if bit == "1":
            D = D * stays + up
            E = E + D
            G = G + up
            up, sp = up * u, sp * stays
    return E / G


def discount_of_annuity(
    u: FloatArray, worth: FloatArray, kept: FloatArray, months: int
) -> FloatArray:
    """The discount at which an annuity is worth the share 1 - ``kept`` of its worth at ``u``.

    Newton's method on an increasing convex function, from above whose root the steps fall to it
    and never pass it; the first step from below leads above. The start takes the annuity's
    logarithm, as a function of that of u, for the parabola with the mean and the variance of the
    payments' times. The slope is G(n) + W(n), W(n) the sum of k u**k over k < n.

    Args:
        u: monthly discounts, above 0, shape ``(n,)``.
        worth: the annuity's worth at ``u``, shape ``(n,)``.
        kept: shares, 0 or more and below 1, shape ``(n,)``.

    Raises:
        PricingRefused: when it is not found.
    """
    left = worth * (1 - kept)
    variance, log_kept = (months * months - 1) / 12, np.log1p(-kept)
    mean = np.maximum((months + 1) / 2 - variance * (1 - u), 1.0)
    bent = np.sqrt(np.maximum(mean * mean + 2 * variance * log_kept, 0.0))
    found: FloatArray = u * np.exp(2 * log_kept / (mean + bent))
    still = np.arange(len(u))
    for _ in range(_ROUNDS):
        here = found[still]
        value, slope = _annuity_and_slope(here, months)
        step = (value - left[still]) / slope
        found[still] = np.minimum(here - step, u[still])
        # A few loans with large fees need another round; the others don't wait for them.
        still = still[np.abs(step) >= _CLOSE]
        if not len(still):
            return found
    raise PricingRefused("No annual rate makes these instalments worth the amount paid out.")


def _annuity_and_slope(u: FloatArray, months: int) -> tuple[FloatArray, FloatArray]:
    G, W, power, count = np.ones_like(u), np.zeros_like(u), u, 1
    for bit in bin(months)[3:]:
        more = 1 + power
        W = W * more + power * (count * G)
        G = G * more
        power, count = power * power, 2 * count
        if bit == "1":
            W = W + count * power
            G = G + power
            power, count = power * u, count + 1
    return u * G, G + W


def constant_growth(paid: FloatArray, back: FloatArray, lag: int) -> FloatArray:
    """The growth g with g = paid + back g**-lag: a month's worth under a constant hazard.

    Newton's method. g - back g**-lag is increasing and concave, so that from a point at or below
    the root the steps rise to it and never pass it; what is paid is such a point.

    Raises:
        PricingRefused: when it is not found.
    """
    growth = paid
    for _ in range(_ROUNDS):
        late = back / whole_power(growth, lag)
        step = (growth - late - paid) / (1 + lag * late / growth)
        growth = growth - step
        if float(np.abs(step).max(initial=0.0)) < _CLOSE:
            return growth
    raise PricingRefused("No return explains such a rate at such a risk.")
