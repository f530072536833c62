"""Penalised logistic likelihood under bounds, by analytic gradient; and a line through log-odds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import optimize
from scipy.special import expit

from risk.core.encoding import Design
from risk.core.table import BoolArray, FloatArray

_MOST_ROUNDS = 1_000
_LINE_ROUNDS = 100
# Keeps the line finite when outcomes are separated completely.
_LINE_RIDGE = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Terms:
    """Penalties and bounds of the parameters, each of shape (parameters,).

    The penalty is ``sum(ridge * b**2) / 2 + sum(lasso * b)``: where a bound fixes the sign of a
    parameter, a signed ``lasso`` is the absolute value, and smooth.
    """

    ridge: FloatArray
    lasso: FloatArray
    lower: FloatArray
    upper: FloatArray


def fit_bounded(
    design: Design,
    is_bad: BoolArray,
    terms: Terms,
    *,
    start: FloatArray | None = None,
    tolerance: float = 1e-5,
) -> FloatArray:
    """The parameters of least penalised negative log-likelihood, by L-BFGS-B.

    Args:
        is_bad: outcomes, shape ``(rows,)``.
        start: parameters to start from, shape ``(1 + parameters,)``.
        tolerance: of the projected gradient of the mean over rows.

    Returns:
        Intercept first, shape ``(1 + parameters,)``.
    """
    outcome = is_bad.astype(np.float64)
    rows = len(outcome)
    one_hot, effects = design.one_hot, design.effects
    one_hot_across, effects_across = one_hot.T.tocsr(), effects.T.tocsr()

    def objective(point: FloatArray) -> tuple[float, FloatArray]:
        values = point[1:]
        odds = point[0] + one_hot @ (effects @ values)
        miss = expit(odds) - outcome
        penalty = float(np.sum((0.5 * terms.ridge * values + terms.lasso) * values))
        loss = float(np.sum(np.logaddexp(0.0, odds) - outcome * odds))
        slope = effects_across @ (one_hot_across @ miss) + terms.ridge * values + terms.lasso
        gradient = np.concatenate([[miss.sum()], slope])
        return (loss + penalty) / rows, gradient / rows

    lower = np.concatenate([[-np.inf], terms.lower])
    upper = np.concatenate([[np.inf], terms.upper])
    if start is None:
        share = outcome.mean()
        start = np.zeros(len(lower))
        start[0] = np.log(share / (1.0 - share))
    result = optimize.minimize(
        objective,
        np.clip(start, lower, upper),
        jac=True,
        method="L-BFGS-B",
        bounds=optimize.Bounds(lower, upper),
        options={"maxiter": _MOST_ROUNDS, "ftol": 1e-12, "gtol": tolerance, "maxcor": 10},
    )
    return np.asarray(result.x, dtype=np.float64)


def log_loss(odds: FloatArray, is_bad: BoolArray) -> float:
    """Mean negative log-likelihood of outcomes under log-odds, both of shape ``(n,)``."""
    return float(np.mean(np.logaddexp(0.0, odds) - is_bad * odds))


def fit_line(odds: FloatArray, is_bad: BoolArray) -> tuple[float, float]:
    """Intercept and slope of the logistic regression of outcomes on log-odds, by Newton steps.

    Platt (1999). A slope of 1 and an intercept of 0 say that the log-odds are calibrated.

    Args:
        odds: log-odds of bad, shape ``(n,)``.
        is_bad: outcomes, shape ``(n,)``.
    """
    outcome = is_bad.astype(np.float64)
    basis = np.stack([np.ones_like(odds), odds], axis=1)
    line = np.array([0.0, 1.0])
    loss = _line_loss(basis, outcome, line)
    for _ in range(_LINE_ROUNDS):
        chance = expit(basis @ line)
        gradient = basis.T @ (chance - outcome) + _LINE_RIDGE * line
        weight = chance * (1.0 - chance)
        curvature = (basis * weight[:, None]).T @ basis + _LINE_RIDGE * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        size = 1.0
        while (new_loss := _line_loss(basis, outcome, line - size * step)) > loss and size > 1e-8:
            size /= 2.0
        line = line - size * step
        settled = loss - new_loss <= 1e-14 * max(abs(loss), 1.0)
        loss = new_loss
        if settled:
            break
    return float(line[0]), float(line[1])


def _line_loss(basis: FloatArray, outcome: FloatArray, line: FloatArray) -> float:
    odds = basis @ line
    likelihood = float(np.logaddexp(0.0, odds).sum() - outcome @ odds)
    return likelihood + 0.5 * _LINE_RIDGE * float(line @ line)
