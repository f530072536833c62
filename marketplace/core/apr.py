"""The annual percentage rate of charge (APR) by the UK formula.

It is the ``x`` that makes all advances worth as much as all payments,

    sum of advance / (1 + x) ** t  =  sum of payment / (1 + x) ** t,

with times ``t`` in years from the first advance. Source: FCA handbook, CONC App 1.2, the same
equation as Annex I of directive 2008/48/EC. Solved for ``u = log(1 + x)``, in which costs of
-99 % and of 82,400 % a year are equally far from trouble.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq

from marketplace.core.arrays import whole
from marketplace.core.errors import AprRefused

_FIRST_STEP = 0.05
_GROWTH = 1.25
# As far as floats tell rates apart: exp(600) - 1 is finite, exp(-36) - 1 is still above -1.
_FURTHEST_UP, _FURTHEST_DOWN = 600.0, 36.0


def apr(advances: Sequence[tuple[float, int]], payments: Sequence[tuple[float, int]]) -> float:
    """Return the annual percentage rate of charge, as a fraction (.127 is 12.7 %).

    Where several rates solve the equation, it is the one nearest to zero on the side that the
    total cost says: positive when more is paid than was advanced, negative when less is. The other
    side counts where that one has none, as when more is paid first than is advanced later.

    Args:
        advances: what the borrower receives: (years, pence) each, fees kept back taken off.
        payments: what the borrower pays: (years, pence) each.

    Raises:
        AprRefused: for flows of nothing, amounts that aren't whole pence from 0 up, times that
            aren't finite numbers from 0 up, or flows that no rate above -100 % a year makes equal.
    """
    times, amounts = _flows(advances, payments)
    total = math.fsum(amounts)
    if total == 0:
        return 0.0
    sides = [(1.0, _FURTHEST_UP), (-1.0, _FURTHEST_DOWN)]
    for direction, furthest in sides if total < 0 else reversed(sides):
        root = _nearest_root(times, amounts, direction, furthest)
        if root is not None:
            return math.expm1(root)
    raise AprRefused("No annual rate makes these payments worth as much as the advances.")


def _nearest_root(
    times: npt.NDArray[np.float64],
    amounts: npt.NDArray[np.float64],
    direction: float,
    furthest: float,
) -> float | None:
    """Return the ``u`` nearest to zero, in a direction and not beyond ``furthest``, that solves."""

    def worth(u: float) -> float:
        powers = -u * times
        return math.fsum(amounts * np.exp(powers - powers.max()))

    near, step = 0.0, _FIRST_STEP / max(float(times.max()), 1.0)
    sign = math.copysign(1.0, worth(near))
    while near < furthest:
        far = min(near + step, furthest)
        if worth(direction * far) * sign <= 0:
            return float(brentq(worth, direction * near, direction * far, xtol=1e-15, rtol=1e-14))
        near, step = far, step * _GROWTH
    return None


def _flows(
    advances: Sequence[tuple[float, int]], payments: Sequence[tuple[float, int]]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return times from the first flow on, and net amounts (advances positive) at each."""
    for name, flows in (("advances", advances), ("payments", payments)):
        if not any(amount for _, amount in flows):
            raise AprRefused(f"There are no {name}, so there is no annual rate.", field=name)
        for years, amount in flows:
            if not math.isfinite(years) or years < 0 or not whole(amount) or amount < 0:
                raise AprRefused(
                    f"{name} must be whole pence of nothing or more, at 0 years or later.",
                    field=name,
                )
    net: dict[float, int] = {}
    for flows, side in ((advances, 1), (payments, -1)):
        for years, amount in flows:
            net[years] = net.get(years, 0) + side * int(amount)
    used = {years: amount for years, amount in net.items() if amount}
    if not used:
        raise AprRefused("What is advanced is paid at once, so that any annual rate would do.")
    times = np.array(list(used), dtype=np.float64)
    return times - times.min(), np.array(list(used.values()), dtype=np.float64)
