"""Ridge logistic regression at its optimum: quasi-Newton steps from a sample's own Hessian.

The fit minimises, over an intercept a and coefficients b of rows x with outcomes y of 0 or 1,

    sum of w * (log(1 + exp(a + x b)) - y (a + x b)) + penalty / 2 * sum of b**2

(scikit-learn's objective at C = 1 / penalty). The sum grows with the rows: a penalty means the
same for twice the rows with half the weights each.

Many rows are first fitted on an even sample of each class. That fit is a good start, and the
inverse of its Hessian is nearly that of all rows, so that each further round needs one pass for
the gradient alone; what the passes tell of the Hessian is kept by rank-two updates (Broyden,
Fletcher, Goldfarb and Shanno; Nocedal and Wright, Numerical Optimization, 6.1). Where steps
shrink too slowly, the Hessian of all rows is made (a Newton step). A line search guards every
step. The sample decides how fast the optimum is reached, never where it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import linalg

from risk.core.logistic_problem import (
    LEAST_ROWS,
    FitRefused,
    Problem,
    Value,
    problem_of,
    sample_of,
    unusable,
)
from risk.core.table import FloatArray

__all__ = ["FitRefused", "RidgeFit", "fit_ridge_logistic"]

# The sample's optimum lies further from that of all rows than this.
_SAMPLE_TOLERANCE = 3e-3
_MOST_ROUNDS = 100
# A step that shrank to less than this share of the one before it needs no new Hessian.
_GOOD_SHRINKING = 0.3
_DECREASE = 1e-4
# Sums over rows are not known better than this share of themselves, and steps that promise less
# than the second share can't be told from rounding.
_ROUNDING, _FLOOR = 1e-12, 1e-20
_LEAST_JITTER = 1e-13
_MOST_HALVINGS = 40
# A mean loss under this, in log-odds, tells every outcome.
_TOLD = 1e-9
# Columns whose mean is so many times their spread are centred, or the Hessian would be singular.
_FAR = 1e3


@dataclass(frozen=True, slots=True, eq=False)
class RidgeFit:
    """The optimum.

    ``coefficients`` have shape ``(p,)``, in log-odds a unit of each column. ``rounds`` counts the
    passes over all rows. ``gradient`` is the largest component of the objective's gradient before
    the last step, for columns of spread 1 and a total weight of 1.
    """

    intercept: float
    coefficients: FloatArray
    rounds: int
    gradient: float

    def log_odds(self, features: npt.ArrayLike) -> FloatArray:
        """Log-odds of rows, shape ``(n,)``, from features of shape ``(n, p)``."""
        odds: FloatArray = np.asarray(features, dtype=np.float64) @ self.coefficients
        return odds + self.intercept


def fit_ridge_logistic(
    features: npt.ArrayLike,
    outcomes: npt.ArrayLike,
    *,
    penalty: float,
    weights: npt.ArrayLike | None = None,
    intercept_penalised: bool = False,
    tolerance: float = 1e-7,
    start: RidgeFit | None = None,
) -> RidgeFit:
    """The ridge logistic regression of outcomes on features; the same on every run.

    Args:
        features: finite numbers, shape ``(n, p)``, in either memory order (no copy is made of
            64-bit floats). Constant columns get a coefficient of 0, and scales don't matter.
        outcomes: 0 or 1, false or true, shape ``(n,)``.
        penalty: on half the sum of squared coefficients, 0 or more; with 0 the outcomes must
            not be separable, and of several optima one is given.
        weights: of the rows, 0 or more, shape ``(n,)``; 1 each unless given.
        intercept_penalised: whether the penalty is on the intercept too.
        tolerance: the last step moves no coefficient by more than this, in log-odds for one
            spread (standard deviation) of its column. The optimum is nearer still.
        start: a fit to start from, such as that of a neighbouring penalty.

    Raises:
        OutcomeRefused: when only one class has any weight, or outcomes are not 0 and 1.
        FitRefused: for NaN or infinite features, shapes that don't fit, a negative penalty or
            weight, and where there is no finite optimum (separable outcomes without a penalty).
    """
    problem = problem_of(features, outcomes, weights, penalty)
    if not tolerance > 0:
        raise FitRefused("The tolerance must be above 0.", field="tolerance")
    if intercept_penalised:
        problem.ridge[0] = penalty
    mean, spread = _mean_and_spread(problem.features)
    # Centring moves the intercept, which only a free intercept can follow.
    if not intercept_penalised and (np.abs(mean) > _FAR * spread).any():
        problem = replace(problem, shift=mean)
    scale = np.concatenate([[1.0], np.where(spread > 0, spread, 1.0)])
    point = _first_point(problem, start, intercept_penalised=intercept_penalised)
    found = _solve(problem, point, scale, tolerance)
    if not found.settled:
        raise FitRefused(
            "No finite optimum was found: the features may tell all outcomes apart."
            " A larger penalty is needed.",
            field="penalty",
        )
    coefficients = found.point[1:]
    moved = 0.0 if problem.shift is None else float(problem.shift @ coefficients)
    steepest = np.abs(found.value.gradient / scale).max() / problem.total_weight
    return RidgeFit(float(found.point[0]) - moved, coefficients, found.rounds, float(steepest))


def _solve(problem: Problem, point: FloatArray, scale: FloatArray, tolerance: float) -> _Found:
    """From the optimum and Hessian of a sample, which is solved the same way, where rows are many.

    ``scale`` is the spread of each part of a point.
    """
    sample = sample_of(problem)
    inverse = None
    if sample is not None:
        point = _solve(sample, point, scale, _SAMPLE_TOLERANCE).point
        inverse = _inverse(sample.hessian(point))
    return _Search(problem, scale, tolerance).run(point, inverse)


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """Where a search ended: the passes it took, and whether that is the optimum."""

    point: FloatArray
    value: Value
    rounds: int
    settled: bool


@dataclass(frozen=True, slots=True, eq=False)
class _Search:
    """The way down to the optimum; see :func:`_solve`."""

    problem: Problem
    scale: FloatArray
    tolerance: float

    def run(self, point: FloatArray, inverse: FloatArray | None) -> _Found:
        """Go down from a point.

        Args:
            inverse: of a Hessian near that of ``point``, or none for the very one.
        """
        value = self._first(point)
        rounds, before = 1, math.inf
        exact = inverse is None
        if inverse is None:
            inverse = _inverse(self.problem.hessian(point))
        while rounds < _MOST_ROUNDS and value.loss > self._separated:
            step = -(inverse @ value.gradient)
            size = float(np.abs(step * self.scale).max())
            promised = float(-step @ value.gradient)
            slow = size > _GOOD_SHRINKING * before
            if size <= self.tolerance:
                # So near it, the step does more than it would need to: it isn't measured again.
                return _Found(point + step, value, rounds, settled=True)
            if slow and promised <= _FLOOR * value.loss:
                return _Found(point, value, rounds, settled=True)
            moved = None
            if exact or not slow:
                moved, found, passes = self._along(point, value, step)
                rounds += passes
            if moved is None and exact:
                # Not even a Newton step leads lower: as near as rounding lets it be, or lost.
                return _Found(point, value, rounds, promised <= _ROUNDING * value.loss)
            if moved is None:
                inverse, exact = _inverse(self.problem.hessian(point)), True
                continue
            inverse = _updated(inverse, moved - point, found.gradient - value.gradient)
            point, value, before, exact = moved, found, size, False
        return _Found(point, value, rounds, settled=False)

    @property
    def _separated(self) -> float:
        """Without a penalty, a loss this low means that the features tell all outcomes."""
        return 0.0 if self.problem.ridge.any() else _TOLD * self.problem.total_weight

    def _first(self, point: FloatArray) -> Value:
        value = self.problem.value(point)
        if not value.finite:
            raise unusable(self.problem.features)
        return value

    def _along(
        self, point: FloatArray, value: Value, step: FloatArray
    ) -> tuple[FloatArray | None, Value, int]:
        """The first of ever shorter steps that leads lower (Armijo), and the passes it took."""
        slope = float(step @ value.gradient)
        slack = _ROUNDING * abs(value.loss)
        for halvings in range(_MOST_HALVINGS):
            size = 0.5**halvings
            moved = point + size * step
            found = self.problem.value(moved)
            if found.finite and found.loss <= value.loss + _DECREASE * size * slope + slack:
                return moved, found, halvings + 1
        return None, value, _MOST_HALVINGS


def _inverse(hessian: FloatArray) -> FloatArray:
    """The inverse by Cholesky, of the matrix scaled to a diagonal of 1.

    Where that is singular to rounding, as little as it takes is added to the diagonal.

    Raises:
        FitRefused: when second derivatives are beyond the floats' range.
    """
    if not np.isfinite(hessian).all():
        raise FitRefused("Features must be finite numbers under 1e100.")
    diagonal = np.diag(hessian)
    scale = 1.0 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    scaled = hessian * scale * scale[:, None]
    whole = np.eye(len(scale))
    jitter = _LEAST_JITTER
    while True:
        try:
            factor = linalg.cho_factor(scaled + jitter * whole, lower=True)
        except linalg.LinAlgError:
            jitter *= 10.0
        else:
            inverse: FloatArray = linalg.cho_solve(factor, whole) * scale * scale[:, None]
            return inverse


def _updated(inverse: FloatArray, moved: FloatArray, turned: FloatArray) -> FloatArray:
    """The inverse Hessian once a move is known to have turned the gradient so (BFGS)."""
    bent = float(moved @ turned)
    if not bent > 0:
        return inverse
    reach = inverse @ turned
    cross = np.outer(reach, moved) / bent
    more = (1.0 + turned @ reach / bent) / bent
    return inverse - cross - cross.T + more * np.outer(moved, moved)


def _mean_and_spread(features: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Of each column, or of evenly spaced rows where they are many."""
    seen = features[:: max(1, len(features) // LEAST_ROWS)]
    with np.errstate(over="ignore", invalid="ignore"):
        mean, spread = seen.mean(axis=0), seen.std(axis=0)
    if not np.isfinite(spread).all():
        raise unusable(features)
    # Of a constant column rounding may leave a spread.
    return mean, np.where(spread > _ROUNDING * np.abs(mean), spread, 0.0)


def _first_point(
    problem: Problem, start: RidgeFit | None, *, intercept_penalised: bool
) -> FloatArray:
    """The start, or the average log-odds where there is none."""
    point = np.zeros(len(problem.ridge))
    if start is None:
        share = float(np.average(problem.signs < 0, weights=problem.weights))
        point[0] = 0.0 if intercept_penalised else math.log(share / (1.0 - share))
        return point
    if len(start.coefficients) != len(point) - 1:
        raise FitRefused(
            f"The start must have {len(point) - 1} coefficients, not {len(start.coefficients)}.",
            field="start",
        )
    moved = 0.0 if problem.shift is None else problem.shift @ start.coefficients
    point[0], point[1:] = start.intercept + moved, start.coefficients
    return point
