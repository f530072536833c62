"""What ridge logistic regression minimises: the objective, its gradient, its Hessian, a sample.

:mod:`risk.core.logistic` states the objective and finds its optimum.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from risk.core.errors import OutcomeRefused, RiskRefusal
from risk.core.table import FloatArray

# Rows worked on at a time: they stay in a core's cache between the two products of a pass.
_BLOCK = 8_192
# A sample is this part of the rows, half of each class where there are so many. It needs so many
# rows, and so many for each column: its Hessian is then near that of all rows.
_PART, LEAST_ROWS, _LEAST_ROWS_A_COLUMN = 8, 8_192, 200


class FitRefused(RiskRefusal):
    """Features, weights or a penalty that no optimum can be found for."""

    code = "RISK_FIT_REFUSED"


@dataclass(frozen=True, slots=True, eq=False)
class Value:
    """The objective and its gradient, shape (1 + p,), at a point."""

    loss: float
    gradient: FloatArray

    @property
    def finite(self) -> bool:
        """Whether the floats' range was enough."""
        return math.isfinite(self.loss) and bool(np.isfinite(self.gradient).all())


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """What is minimised. A point is the intercept, then the coefficients: shape (1 + p,).

    ``signs`` are -1 for an outcome of 1 and 1 for one of 0, ``ridge`` is the penalty of each part
    of a point, and ``shift``, where there is one, is taken from the features.
    """

    features: FloatArray
    signs: FloatArray
    weights: FloatArray | None
    ridge: FloatArray
    shift: FloatArray | None

    @property
    def total_weight(self) -> float:
        """Of all rows; their number where none is given."""
        return float(len(self.signs) if self.weights is None else self.weights.sum())

    def value(self, point: FloatArray) -> Value:
        """One pass over the rows. Values beyond the floats' range come out as not finite."""
        loss, gradient = 0.0, np.zeros(len(point))
        with np.errstate(over="ignore", invalid="ignore"):
            for rows, block in self._blocks():
                sign = self.signs[rows]
                odds = block @ point[1:]
                odds += point[0]
                odds *= sign  # of the outcome that was not seen
                tail = np.exp(-np.abs(odds))
                whole = 1.0 + tail
                lost = np.maximum(odds, 0.0)
                lost += np.log(whole)
                np.copyto(tail, 1.0, where=odds > 0)
                miss = tail
                miss /= whole
                miss *= sign
                if self.weights is not None:
                    miss *= self.weights[rows]
                    lost *= self.weights[rows]
                loss += float(lost.sum())
                gradient[0] += miss.sum()
                gradient[1:] += miss @ block
            pull = self.ridge * point
            return Value(loss + 0.5 * float(pull @ point), gradient + pull)

    def hessian(self, point: FloatArray) -> FloatArray:
        """Another pass: the second derivatives, shape (1 + p, 1 + p)."""
        size = len(point)
        total = np.zeros((size, size))
        scaled = np.empty((min(_BLOCK, len(self.signs)), size))
        with np.errstate(over="ignore", invalid="ignore"):
            for rows, block in self._blocks():
                tail = np.exp(-np.abs(block @ point[1:] + point[0]))
                weight = tail / (1.0 + tail) ** 2
                if self.weights is not None:
                    weight *= self.weights[rows]
                part = scaled[: len(block)]
                np.sqrt(weight, out=part[:, 0])
                np.multiply(block, part[:, :1], out=part[:, 1:])
                total += part.T @ part  # numpy hands a product like this to dsyrk
        total[np.diag_indices(size)] += self.ridge
        return total

    def _blocks(self) -> Iterator[tuple[slice, FloatArray]]:
        for start in range(0, len(self.signs), _BLOCK):
            rows = slice(start, start + _BLOCK)
            block = self.features[rows]
            yield rows, block if self.shift is None else block - self.shift


def problem_of(
    features: npt.ArrayLike,
    outcomes: npt.ArrayLike,
    weights: npt.ArrayLike | None,
    penalty: float,
) -> Problem:
    """What is asked for, checked as far as that needs no pass over the features."""
    rows = np.asarray(features)
    if rows.ndim != 2 or rows.dtype.kind not in "biuf":
        raise FitRefused("Features must be numbers, in rows and columns.", field="features")
    seen = np.asarray(outcomes)
    if seen.shape != rows.shape[:1]:
        raise FitRefused(
            f"{len(rows)} rows of features need outcomes of that shape, not {seen.shape}.",
            field="outcomes",
        )
    if seen.dtype.kind not in "biuf" or not ((seen == 0) | (seen == 1)).all():
        raise OutcomeRefused("Outcomes must be 0 or 1.")
    weighed = None if weights is None else np.asarray(weights, dtype=np.float64)
    if weighed is not None and (
        weighed.shape != seen.shape or not np.isfinite(weighed).all() or (weighed < 0).any()
    ):
        raise FitRefused("Weights must be finite, 0 or more, one a row.", field="weights")
    counted = seen if weighed is None else seen[weighed > 0]
    if not (counted == 0).any() or not (counted == 1).any():
        raise OutcomeRefused("All outcomes are the same: there is nothing to learn from them.")
    if not (math.isfinite(penalty) and penalty >= 0):
        raise FitRefused("The penalty must be a finite number, 0 or more.", field="penalty")
    ridge = np.full(rows.shape[1] + 1, float(penalty))
    ridge[0] = 0.0
    return Problem(np.asarray(rows, dtype=np.float64), 1.0 - 2.0 * seen, weighed, ridge, None)


def sample_of(problem: Problem) -> Problem | None:
    """Evenly spaced rows of each class, weighing as much as all; none where rows are few."""
    rows, columns = problem.features.shape
    if rows < _PART * max(LEAST_ROWS, _LEAST_ROWS_A_COLUMN * columns):
        return None
    weights = np.ones(rows) if problem.weights is None else problem.weights
    places, weighing = [], []
    for sign in (1.0, -1.0):
        every = np.flatnonzero((problem.signs == sign) & (weights > 0))
        taken = every[:: max(1, 2 * _PART * len(every) // rows)]
        places.append(taken)
        weighing.append(weights[taken] * (weights[every].sum() / weights[taken].sum()))
    chosen = np.concatenate(places)
    return replace(
        problem,
        features=problem.features[chosen],
        signs=problem.signs[chosen],
        weights=np.concatenate(weighing),
    )


def unusable(features: FloatArray) -> FitRefused:
    """The refusal that names the first column that isn't finite, where there is one."""
    wrong = np.flatnonzero(~np.isfinite(features).all(axis=0))
    which = f" Column {wrong[0]} (from 0) has others." if len(wrong) else ""
    return FitRefused(f"Features must be finite numbers under 1e100.{which}", field="features")
