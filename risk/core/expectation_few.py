"""Lenders of few exposures, many lenders in one go: the model of :mod:`risk.core.expectation`.

Few losses make a lumpy total, which a table of logarithms on a coarse grid blurs. Up to
:data:`ENUMERATED` exposures every set of them that can default is an outcome of its own: its loss
and, for each value of the factor, its chance, doubled from exposure to exposure. With more, up to
:data:`MOST`, the chances of each step are carried from exposure to exposure (a lender's recursion,
over all values of the factor at once), on 10p where :data:`STEPS` of them hold all but a small
rest of the loss and on a longer step elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from risk.core.expectation import GRID, chances_given, factor_nodes, to_steps
from risk.core.expectation_given import highest_losses
from risk.core.table import FloatArray, IntArray

ENUMERATED = 10
MOST = 31
STEPS = 3_072
AT_ONCE = 64  # lenders
_REST = 1e-7
_FURTHEST = 5.0  # beyond that the factor has a chance of 6e-7
_SPACING, _WIDEST = 1.2, 0.5
_LOOKS = 28
_MOST_NODES = 401


@dataclass(frozen=True, slots=True, eq=False)
class Likely:
    """One lender's losses in steps of ``grid`` pence, ascending, with their chances."""

    grid: int
    steps: IntArray
    chances: FloatArray


def few_distributions(pd: FloatArray, losses: IntArray, correlation: float) -> list[Likely]:
    """Distribution of each lender's loss.

    Args:
        pd: chances to default, 0 to 1, shape ``(lenders, n)``, ``n`` from 1 to :data:`MOST`.
        losses: whole pence, of the same shape.
        correlation: from 0 to below 1.
    """
    # The order in which one lender's losses are rounded to the grid.
    order = np.lexsort((losses, pd))
    chances, lost = np.take_along_axis(pd, order, 1), np.take_along_axis(losses, order, 1)
    lost = np.where(chances > 0, lost, 0)
    nodes, weights = _nodes(chances, lost, correlation)
    flat = chances_given(chances.ravel(), nodes, correlation)
    given = np.ascontiguousarray(flat.reshape(len(nodes), *chances.shape).transpose(1, 0, 2))
    if chances.shape[1] <= ENUMERATED:
        return _enumerated(given, lost, weights)
    size = lost.astype(np.float64)
    highest = highest_losses(
        np.einsum("bkn,bn->bk", given, size),
        np.einsum("bkn,bn->bk", given, size**2),
        np.maximum(lost.max(axis=1), 1),
        lost.sum(axis=1),
        np.log(np.maximum(weights / _REST, 2.0)),
    )
    return [
        _recursion(chance, loss, weights, int(np.ceil(most)))
        for chance, loss, most in zip(given, lost, highest.tolist(), strict=True)
    ]


def _enumerated(given: FloatArray, lost: IntArray, weights: FloatArray) -> list[Likely]:
    steps = np.array([to_steps(one, GRID) for one in lost])
    chances = np.broadcast_to(weights[:, np.newaxis], (*given.shape[:2], 1))
    sums = np.zeros((len(lost), 1), dtype=np.int64)
    for exposure in range(lost.shape[1]):
        bad = chances * given[:, :, exposure, np.newaxis]
        chances = np.concatenate([chances - bad, bad], axis=2)
        sums = np.concatenate([sums, sums + steps[:, exposure, np.newaxis]], axis=1)
    mixed = chances.sum(axis=1)
    order = np.argsort(sums, axis=1, kind="stable")
    sums, mixed = np.take_along_axis(sums, order, 1), np.take_along_axis(mixed, order, 1)
    return [Likely(GRID, each, chance) for each, chance in zip(sums, mixed, strict=True)]


def _recursion(given: FloatArray, lost: IntArray, weights: FloatArray, highest: int) -> Likely:
    """Steps up to ``highest`` pence, the chances of what is beyond left out."""
    grid = GRID * max(-(-highest // ((STEPS - 1) * GRID)), 1)
    steps = to_steps(lost, grid)
    last = min(-(-highest // grid), int(steps.sum()))
    # By steps: while the total reached is small, little is carried.
    order = np.argsort(steps, kind="stable")
    # Single precision: its rounding is far below what the rest leaves out.
    found = np.zeros((len(weights), last + 1), dtype=np.float32)
    found[:, 0] = weights
    reached = 0
    for step, chance in zip(steps[order].tolist(), given.T[order].astype(np.float32), strict=True):
        if not step:
            continue
        bad = found[:, : reached + 1] * chance[:, np.newaxis]
        found[:, : reached + 1] -= bad
        reached = min(reached + step, last)
        found[:, step : reached + 1] += bad[:, : max(reached + 1 - step, 0)]
    mixed = found.sum(axis=0, dtype=np.float64)
    return Likely(grid, np.arange(len(mixed)), mixed / mixed.sum())


def _nodes(pd: FloatArray, losses: IntArray, correlation: float) -> tuple[FloatArray, FloatArray]:
    """Values of the factor near enough for each of the lenders, as for one of them."""
    if correlation == 0:
        return np.zeros(1), np.ones(1)
    look = np.linspace(-_FURTHEST, _FURTHEST, _LOOKS)
    given = chances_given(pd.ravel(), look, correlation).reshape(_LOOKS, *pd.shape)
    size = losses.astype(np.float64)
    deviation = np.sqrt(((given * (1 - given)) * size**2).sum(axis=2))
    slope = np.abs(np.diff((given * size).sum(axis=2), axis=0)) / (look[1] - look[0])
    moves = slope > 1e-12 * size.sum(axis=1)
    width = np.maximum(deviation[1:], deviation[:-1])[moves] / slope[moves]
    finest = 2 * _FURTHEST / (_MOST_NODES - 1)
    spacing = float(np.clip(_SPACING * width.min(initial=1.0), finest, _WIDEST))
    return factor_nodes(spacing, _FURTHEST)
