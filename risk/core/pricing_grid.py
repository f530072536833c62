"""A smooth function of two numbers for a million loans, from its values on a small grid.

Between the grid's points it is a product of Chebyshev polynomials (Trefethen, *Approximation
Theory and Approximation Practice*, 2013, chapters 3 and 8), for which the error of a function
without kinks falls by a factor with every point. The error is not assumed: the interpolant is
compared with the function at other points, the edges among them, and the grid grows until they
agree. Where no grid does, or there are few loans, the function itself is used.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from risk.core.pricing_rates import BLOCK
from risk.core.table import FloatArray

Function = Callable[[FloatArray, FloatArray], FloatArray]

_FEW = 4_000
_GRIDS = ((10, 8), (16, 12), (28, 16), (48, 28))
_CHECKS = 9
_DIRECT = 1_024  # loans at a time where the function itself works on (loans, months)


def evaluate(function: Function, x: FloatArray, y: FloatArray, tolerance: float) -> FloatArray:
    """``function(x, y)``, within ``tolerance`` where a grid stands in for it.

    Args:
        function: smooth; takes and gives arrays of one shape ``(k,)``.
        x: shape ``(n,)``, as ``y``.
    """
    if len(x) > _FEW:
        bounds = (float(x.min()), float(x.max())), (float(y.min()), float(y.max()))
        for nodes in _GRIDS:
            grid = _Grid(function, *bounds, nodes)
            if grid.error(function) <= tolerance:
                return grid.many(x, y)
    found = np.empty_like(x)
    for start in range(0, len(x), _DIRECT):
        part = slice(start, start + _DIRECT)
        found[part] = function(x[part], y[part])
    return found


class _Grid:
    """Coefficients of the product polynomials that meet a function on a grid of ``nodes``."""

    def __init__(
        self,
        function: Function,
        x_range: tuple[float, float],
        y_range: tuple[float, float],
        nodes: tuple[int, int],
    ) -> None:
        self._x, self._y = _scale(x_range), _scale(y_range)
        (x_at, x_back), (y_at, y_back) = _roots(nodes[0]), _roots(nodes[1])
        values = _on_product(function, _from_unit(x_at, self._x), _from_unit(y_at, self._y))
        self._coefficients = np.ascontiguousarray((x_back @ values @ y_back.T).T)

    def error(self, function: Function) -> float:
        """The largest difference at points between those of the grid, edges included."""
        units = np.linspace(-1, 1, _CHECKS)
        x, y = _from_unit(units, self._x), _from_unit(units, self._y)
        direct = _on_product(function, x, y).ravel()
        ours = self.many(np.repeat(x, len(y)), np.tile(y, len(x)))
        return float(np.abs(ours - direct).max())

    def many(self, x: FloatArray, y: FloatArray) -> FloatArray:
        """The interpolant at ``(x, y)``, shape ``(n,)``."""
        found = np.empty_like(x)
        for start in range(0, len(x), BLOCK):
            part = slice(start, start + BLOCK)
            in_y = self._coefficients @ _polynomials(
                (x[part] - self._x[0]) / self._x[1], self._coefficients.shape[1]
            )
            found[part] = _clenshaw(in_y, (y[part] - self._y[0]) / self._y[1])
        return found


def _scale(bounds: tuple[float, float]) -> tuple[float, float]:
    """Middle and half the width of a range; a range of one point gets a width that is no matter."""
    low, high = bounds
    half = (high - low) / 2
    return (low + high) / 2, half if half > 0 else 1e-9


def _from_unit(units: FloatArray, scale: tuple[float, float]) -> FloatArray:
    return scale[0] + scale[1] * units


def _roots(count: int) -> tuple[FloatArray, FloatArray]:
    """Chebyshev points of -1 to 1, and the matrix from values there to coefficients."""
    angles = (np.arange(count) + 0.5) * np.pi / count
    back = np.cos(np.arange(count)[:, None] * angles[None, :]) * (2 / count)
    back[0] /= 2
    return np.cos(angles), back


def _on_product(function: Function, x: FloatArray, y: FloatArray) -> FloatArray:
    return function(np.repeat(x, len(y)), np.tile(y, len(x))).reshape(len(x), len(y))


def _polynomials(at: FloatArray, count: int) -> FloatArray:
    """The first Chebyshev polynomials, shape ``(count, n)``."""
    rows = np.empty((count, len(at)))
    rows[0], rows[1], twice = 1.0, at, 2 * at
    for k in range(2, count):
        np.multiply(twice, rows[k - 1], out=rows[k])
        rows[k] -= rows[k - 2]
    return rows


def _clenshaw(coefficients: FloatArray, at: FloatArray) -> FloatArray:
    """Sum of Chebyshev polynomials with coefficients of each point's own, shape ``(count, n)``."""
    twice = 2 * at
    later, latest = np.zeros_like(at), coefficients[-1].copy()
    for row in coefficients[-2:0:-1]:
        later, latest = latest, row + twice * latest - later
    total: FloatArray = coefficients[0] + at * latest - later
    return total
