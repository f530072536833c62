"""Penalised logistic likelihood under bounds, by Newton steps; and a line through log-odds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import linalg, optimize
from scipy.special import expit

from risk.core.encoding import Design
from risk.core.table import BoolArray, FloatArray

_MOST_ROUNDS = 60
_MOST_SWAPS = 40
_LEAST_STEP = 1e-6
# A curvature is kept while a step lowers the loss by this share of what it promised.
_GOOD_STEP = 0.9
_LINE_ROUNDS = 100
# Keeps the line finite when outcomes are separated completely.
_LINE_RIDGE = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Terms:
    """Penalties and bounds of the parameters, each of shape (1 + parameters,), intercept first.

    The penalty is ``sum(ridge * b**2) / 2 + sum(lasso * b)``: where a bound fixes the sign of a
    parameter, a signed ``lasso`` is the absolute value, and smooth.
    """

    ridge: FloatArray
    lasso: FloatArray
    lower: FloatArray
    upper: FloatArray


def fit_bounded(
    design: Design,
    outcome: FloatArray,
    terms: Terms,
    *,
    start: FloatArray,
    inside: FloatArray,
    gram: FloatArray | None = None,
    tolerance: float = 1e-2,
    most_rounds: int = _MOST_ROUNDS,
    exact: bool = False,
) -> FloatArray:
    """The parameters of least penalised negative log-likelihood, by projected Newton steps.

    Each step solves the quadratic model exactly under the bounds, then is halved until the loss
    falls. The curvature is kept from step to step while it predicts well: it costs as much as
    ten gradients.

    Args:
        outcome: 1 for bad, 0 for good, shape ``(rows,)``.
        start: parameters to start from, shape ``(1 + parameters,)``.
        inside: 1 for rows that count, 0 for those left out, shape ``(rows,)``.
        gram: of the design, weighted near the start, where it is known.
        tolerance: the last step is one that promises to lower the loss (in all) by less.
        exact: take the curvature anew at every step, so that the last digits settle.

    Returns:
        Intercept first, shape ``(1 + parameters,)``.
    """
    point = np.clip(start, terms.lower, terms.upper)
    odds = design.log_odds(point)
    loss = _loss(odds, outcome, inside) + penalty(point, terms)
    curvature = None if gram is None else design.curvature(gram)
    for _ in range(most_rounds):
        chance = expit(odds)
        gradient = design.sums(inside * (chance - outcome)) + terms.ridge * point + terms.lasso
        if curvature is None:
            curvature = design.curvature(design.gram(inside * chance * (1.0 - chance)))
        step = solve_box(curvature + np.diag(terms.ridge), gradient, point, terms) - point
        promised = -float((gradient * step).sum())
        if promised <= tolerance:
            return point + step if promised > 0.0 else point
        along = design.log_odds(step)
        size = 1.0
        while (
            new_loss := _loss(odds + size * along, outcome, inside)
            + penalty(point + size * step, terms)
        ) > loss - 1e-4 * size * promised and size > _LEAST_STEP:
            size /= 2.0
        if size <= _LEAST_STEP:
            break
        point, odds = point + size * step, odds + size * along
        if loss - new_loss < _GOOD_STEP * promised / 2.0 or exact:
            curvature = None
        loss = new_loss
    return point


def solve_box(
    curvature: FloatArray, gradient: FloatArray, point: FloatArray, terms: Terms
) -> FloatArray:
    """The least point within bounds of a quadratic with this gradient and curvature at ``point``.

    Primal-dual active sets (Hintermueller, Ito, Kunisch, 2002): solve with some parameters held at
    their bounds, then hold those that left them and let go those that are pulled inward, until
    nothing changes. L-BFGS-B takes over should the sets go round in circles.
    """
    wanted = _times(curvature, point) - gradient
    low = (point <= terms.lower) & (gradient > 0)
    high = (point >= terms.upper) & (gradient < 0)
    found = point
    for _ in range(_MOST_SWAPS):
        held = low | high
        found = np.where(low, terms.lower, np.where(high, terms.upper, 0.0))
        free = np.flatnonzero(~held)
        right = wanted - (_times(curvature, found) if held.any() else 0.0)
        found[free] = linalg.solve(
            curvature[np.ix_(free, free)], right[free], assume_a="pos", check_finite=False
        )
        pull = _times(curvature, found) - wanted
        new_low = (low & (pull > 0)) | (~held & (found < terms.lower))
        new_high = (high & (pull < 0)) | (~held & (found > terms.upper))
        if (new_low == low).all() and (new_high == high).all():
            return found
        low, high = new_low, new_high

    def objective(x: FloatArray) -> tuple[float, FloatArray]:
        bent = _times(curvature, x)
        return float((x * (0.5 * bent - wanted)).sum()), bent - wanted

    result = optimize.minimize(
        objective,
        np.clip(found, terms.lower, terms.upper),
        jac=True,
        method="L-BFGS-B",
        bounds=optimize.Bounds(terms.lower, terms.upper),
        options={"maxiter": 1_000, "ftol": 1e-14, "gtol": 1e-8},
    )
    return np.asarray(result.x, dtype=np.float64)


def _times(matrix: FloatArray, vector: FloatArray) -> FloatArray:
    """Matrix times vector without BLAS threads."""
    return np.asarray(np.einsum("ij,j->i", matrix, vector))


def _loss(odds: FloatArray, outcome: FloatArray, inside: FloatArray) -> float:
    return float((inside * (np.logaddexp(0.0, odds) - outcome * odds)).sum())


def penalty(point: FloatArray, terms: Terms) -> float:
    """What the terms charge for parameters."""
    return float(((0.5 * terms.ridge * point + terms.lasso) * point).sum())


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
