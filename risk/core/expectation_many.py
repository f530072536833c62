"""What all lenders should expect, in one go.

The model of :mod:`risk.core.expectation`, on a grid of each lender's own: so many pence a step that
:data:`STEPS` of them hold all but a small rest of the loss. Losses are rounded to it as there, so
that every quantile is right to about one such step.

The logarithm of a sum's characteristic function is a sum over its exposures of a function of the
step count and the chance. That function is tabulated on a grid of chances, even in Phi^-1(PD), for
every value of the factor and every frequency, and interpolated by cubics; one matrix product adds
it up for many lenders. A lender whom the table doesn't fit (few exposures, one that outweighs the
others, a chance near 0 or 1) is computed as :mod:`risk.core.expectation_few` says, or alone, on
10p, where exposures are too many for that.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.fft import irfft
from scipy.special import ndtr, ndtri

from risk.core.expectation import (
    GRID,
    ExpectationRefused,
    chances_given,
    check_correlation,
    check_values,
    factor_nodes,
    loss_distribution,
    node_spacing,
)
from risk.core.expectation_few import AT_ONCE, MOST, Likely, few_distributions
from risk.core.expectation_given import highest_losses
from risk.core.table import BoolArray, FloatArray, IntArray

STEPS = 256
LOW, HIGH, WORST = 0.05, 0.95, 0.999
_REST = 1e-6
_FURTHEST = 5.0  # beyond that the factor has a chance of 6e-7
_NARROWEST, _WIDEST = 0.1, 0.55
_LOOSER = 1.5  # the factor's spacing than for one lender: right to 1e-4 of a tail
_APART = 0.14  # of the chances tabulated, in Phi^-1
_LEAST_CHANCE, _MOST_CHANCE = 1e-5, 0.9
_MOST_STEPS = 48  # of one exposure, in the table
_EXPOSURES_AT_ONCE = 500_000
_LENDERS_AT_ONCE = 256
_ROUNDING = 1e-9  # by which a chance may fall short of a quantile's share
_LARGEST = 20  # lenders who are asked how fine the factor must be

FloatTable = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class ManyOutcomes:
    """One entry a lender, shape ``(lenders,)``; profits and losses in pence.

    Attributes:
        grid: the step to which the lender's figures are right.
        expected_profit: what is earned if nobody defaults, less the mean loss.
        chance_of_loss: chance of a profit below nothing.
        profit_low, profit_high: 5th and 95th percentile of the profit.
        worst_loss: 99.9 % quantile of the loss.
    """

    grid: IntArray
    expected_profit: FloatArray
    chance_of_loss: FloatArray
    profit_low: IntArray
    profit_high: IntArray
    worst_loss: IntArray


def expect_many(
    *,
    offsets: npt.ArrayLike,
    pd: npt.ArrayLike,
    loss: npt.ArrayLike,
    earned: npt.ArrayLike,
    correlation: float,
) -> ManyOutcomes:
    """Percentiles of every lender's profit to maturity.

    Args:
        offsets: lender ``i`` has the exposures from ``offsets[i]`` to ``offsets[i + 1]``, one a
            borrower, shape ``(lenders + 1,)``; each has one at least.
        pd: chance of each exposure to default before its maturity, 0 to 1, shape ``(n,)``.
        loss: what it loses then, whole pence, shape ``(n,)``.
        earned: each lender's profit if nobody defaults, whole pence, shape ``(lenders,)``.
        correlation: of any two borrowers' assets, from 0 to below 1.

    Raises:
        ExpectationRefused: as :func:`risk.core.expectation.loss_distribution`, and for offsets
            that don't rise from 0 to ``n``.
    """
    chances, losses, starts, income = _checked(offsets, pd, loss, earned, correlation)
    lenders = len(starts) - 1
    found = ManyOutcomes(
        grid=np.full(lenders, GRID, dtype=np.int64),
        expected_profit=income.astype(np.float64) - np.add.reduceat(chances * losses, starts[:-1]),
        chance_of_loss=np.zeros(lenders),
        profit_low=np.zeros(lenders, dtype=np.int64),
        profit_high=np.zeros(lenders, dtype=np.int64),
        worst_loss=np.zeros(lenders, dtype=np.int64),
    )
    table = _Table(chances, losses, starts, correlation)
    for first, last in _blocks(starts):
        block = _Block(chances, losses, starts[first : last + 1], table)
        for rows in block.batches():
            _fill(found, first + rows, block.grid[rows], block.probabilities(rows), income)
        alone = first + np.flatnonzero(block.alone)
        counts = starts[alone + 1] - starts[alone]
        for lenders_of_few in _alike(alone[counts <= MOST], counts[counts <= MOST]):
            own_few = starts[lenders_of_few, np.newaxis] + np.arange(
                starts[lenders_of_few[0] + 1] - starts[lenders_of_few[0]]
            )
            told = few_distributions(chances[own_few], losses[own_few], correlation)
            for lender, likely in zip(lenders_of_few.tolist(), told, strict=True):
                _fill_one(found, lender, likely, int(income[lender]))
        for lender in alone[counts > MOST].tolist():
            own = slice(starts[lender], starts[lender + 1])
            one = loss_distribution(pd=chances[own], loss=losses[own], correlation=correlation)
            place = np.array([lender])
            _fill(found, place, np.array([one.grid]), one.probabilities[np.newaxis], income)
    return found


class _Table:
    """The logarithm of one exposure's characteristic function, weights of the factor included.

    ``rows`` has the step count (from 1) and the place on the grid of chances in its first
    dimension, and in its second the factor's values, the real and the imaginary part, and the
    frequencies.
    """

    def __init__(
        self, pd: FloatArray, losses: IntArray, starts: IntArray, correlation: float
    ) -> None:
        usable = pd[(pd >= _LEAST_CHANCE) & (pd <= _MOST_CHANCE)]
        ends = ndtri([usable.min(initial=0.5), usable.max(initial=0.5)])
        self.count = int(np.ceil((ends[1] - ends[0]) / _APART)) + 4
        self.first = float(ends[0]) - _APART
        grid = self.first + _APART * np.arange(self.count)
        self.nodes, self.weights = _nodes(pd, losses, starts, correlation)
        self.given = chances_given(ndtr(grid), self.nodes, correlation)
        circle = np.exp(-2j * np.pi / STEPS * np.arange(STEPS))
        factor = 1 + self.given.T[:, :, np.newaxis] * (circle - 1)
        size = np.log(np.maximum(np.abs(factor), 1e-30))
        # The angle falls from 0 to minus a half turn, and on from a half turn to 0: continuous in
        # the chance, which is all that the interpolation needs.
        angle = np.angle(factor)
        turns = np.arange(1, _MOST_STEPS + 1)[:, np.newaxis] * np.arange(STEPS // 2 + 1) % STEPS
        both = np.stack([size, angle], axis=2).astype(np.float32)
        self.rows: FloatTable = np.ascontiguousarray(
            both[..., turns].transpose(3, 0, 1, 2, 4)
        ).reshape(_MOST_STEPS * self.count, -1)


class _Block:
    """Some lenders' exposures, on each lender's own grid."""

    def __init__(self, pd: FloatArray, losses: IntArray, starts: IntArray, table: _Table) -> None:
        self.table = table
        self.starts = starts - starts[0]
        self.counts = np.diff(starts)
        owner = np.repeat(np.arange(len(self.counts)), self.counts)
        own = slice(starts[0], starts[-1])
        usable = (pd[own] >= _LEAST_CHANCE) & (pd[own] <= _MOST_CHANCE)
        place = (ndtri(np.where(usable, pd[own], 0.5)) - table.first) / _APART
        cell = np.clip(place.astype(np.int64), 1, table.count - 3)
        # Of like chance by rising loss: rounding then keeps the mean, and nearly the variance.
        order = np.lexsort((losses[own], owner * table.count + cell))
        chances, lost, usable = pd[own][order], losses[own][order], usable[order]
        self.cell = cell[order]
        self.offset = place[order] - self.cell
        self.grid = self._grids(owner, lost)
        before = np.cumsum(lost) - lost
        since = np.repeat(before[self.starts[:-1]], self.counts)
        step = np.repeat(self.grid, self.counts)
        reached = np.rint((before + lost - since) / step).astype(np.int64)
        self.steps = reached - np.rint((before - since) / step).astype(np.int64)
        self.steps[chances == 0] = 0
        largest = np.maximum.reduceat(self.steps, self.starts[:-1])
        strange = np.logical_or.reduceat(~usable & (self.steps > 0), self.starts[:-1])
        self.alone: BoolArray = (
            strange | (largest > _MOST_STEPS) | ((self.counts <= MOST) & (self.grid > GRID))
        )
        self.largest = largest

    def _grids(self, owner: IntArray, lost: IntArray) -> IntArray:
        """Pence a step: :data:`STEPS` hold each lender's loss, all but a small rest."""
        table = self.table
        # Up to the next chance on the grid, so that the bound holds.
        place = owner * table.count + self.cell + 1
        size = lost.astype(np.float64)
        shape = (len(self.counts), table.count)
        first, second = (
            np.bincount(place, weights, shape[0] * shape[1]).reshape(shape)
            for weights in (size, size**2)
        )
        highest = highest_losses(
            first @ table.given.T,
            second @ table.given.T,
            np.maximum.reduceat(lost, self.starts[:-1]),
            np.add.reduceat(lost, self.starts[:-1]),
            np.log(np.maximum(table.weights / _REST, 2.0)),
        )
        steps = np.ceil(highest / ((STEPS - 1) * GRID)).astype(np.int64)
        return np.maximum(steps, 1) * GRID

    def batches(self) -> Iterator[IntArray]:
        """Lenders whose largest exposures are alike in steps."""
        rows = np.flatnonzero(~self.alone)
        rows = rows[np.argsort(self.largest[rows], kind="stable")]
        for start in range(0, len(rows), _LENDERS_AT_ONCE):
            yield rows[start : start + _LENDERS_AT_ONCE]

    def probabilities(self, rows: IntArray) -> FloatArray:
        """Chances of 0, 1, 2 ... steps of the lenders' grids, shape ``(rows, STEPS)``."""
        table, counts = self.table, self.counts[rows]
        starts = np.cumsum(counts) - counts
        chosen = np.arange(counts.sum()) + np.repeat(self.starts[rows] - starts, counts)
        most = max(int(self.largest[rows].max()), 1)
        slot = np.repeat(np.arange(len(rows)), counts)
        steps, t = self.steps[chosen], self.offset[chosen]
        place = ((slot * most + steps - 1) * table.count + self.cell[chosen])[steps > 0]
        t = t[steps > 0]
        cubic = (
            -t * (t - 1) * (t - 2) / 6,
            (t + 1) * (t - 1) * (t - 2) / 2,
            -(t + 1) * t * (t - 2) / 2,
            (t + 1) * t * (t - 1) / 6,
        )
        length = len(rows) * most * table.count
        summed = sum(
            np.bincount(place + by, weights, length)
            for by, weights in zip((-1, 0, 1, 2), cubic, strict=True)
        )
        weights = np.asarray(summed, dtype=np.float32).reshape(len(rows), -1)
        logarithm = weights @ table.rows[: most * table.count]
        logarithm = logarithm.reshape(len(rows), len(table.nodes), 2, -1)
        size = np.exp(logarithm[:, :, 0]) * table.weights.astype(np.float32)[:, np.newaxis]
        spectrum = np.empty((len(rows), STEPS // 2 + 1), dtype=np.complex64)
        spectrum.real = (size * np.cos(logarithm[:, :, 1])).sum(axis=1)
        spectrum.imag = (size * np.sin(logarithm[:, :, 1])).sum(axis=1)
        found = np.maximum(irfft(spectrum, n=STEPS, axis=1), 0).astype(np.float64)
        mixed: FloatArray = found / found.sum(axis=1, keepdims=True)
        return mixed


def _fill(
    found: ManyOutcomes, lenders: IntArray, grid: IntArray, chances: FloatArray, earned: IntArray
) -> None:
    """Enter the figures of some lenders, whose losses have these chances on their grids."""
    reached = np.cumsum(chances, axis=1)
    income = earned[lenders]
    found.grid[lenders] = grid
    found.profit_low[lenders] = income - _quantiles(reached, chances, grid, 1 - LOW)
    found.profit_high[lenders] = income - _quantiles(reached, chances, grid, 1 - HIGH)
    found.worst_loss[lenders] = _quantiles(reached, chances, grid, WORST)
    # Losses within half a step of a place on the grid are rounded to it: they count in part.
    steps = income / grid
    nearest = np.clip(np.rint(steps), -1, chances.shape[1] - 1).astype(np.int64)
    rows = np.arange(len(lenders))
    part = np.where((grid > GRID) & (nearest > 0), nearest + 0.5 - steps, nearest > steps)
    above = np.where(nearest < 0, 1.0, 1 - reached[rows, nearest])
    above += np.where(nearest < 0, 0.0, chances[rows, nearest] * np.clip(part, 0, 1))
    found.chance_of_loss[lenders] = np.clip(above, 0, 1)


def _fill_one(found: ManyOutcomes, lender: int, likely: Likely, earned: int) -> None:
    """Enter the figures of one lender of few exposures."""
    reached = np.cumsum(likely.chances)
    shares = np.array([1 - LOW, 1 - HIGH, WORST]) - _ROUNDING
    places = np.searchsorted(reached, shares, side="left").clip(max=len(reached) - 1)
    high, low, worst = (likely.steps[places] * likely.grid).tolist()
    # Each loss is off by up to half a longer step, and the few that default by two at most.
    found.grid[lender] = likely.grid if likely.grid == GRID else 2 * likely.grid
    found.profit_low[lender] = earned - high
    found.profit_high[lender] = earned - low
    found.worst_loss[lender] = worst
    above = likely.chances[likely.steps * likely.grid > earned].sum()
    found.chance_of_loss[lender] = min(max(float(above), 0.0), 1.0)


def _alike(lenders: IntArray, counts: IntArray) -> Iterator[IntArray]:
    """Lenders of equally many exposures, some at a time."""
    for count in np.unique(counts).tolist():
        same = lenders[counts == count]
        for start in range(0, len(same), AT_ONCE):
            yield same[start : start + AT_ONCE]


def _quantiles(reached: FloatArray, chances: FloatArray, grid: IntArray, share: float) -> IntArray:
    """Losses in pence, on 10p; inside a longer step by its share of the step's chance."""
    rows = np.arange(len(grid))
    place = (reached < share - _ROUNDING).sum(axis=1).clip(max=chances.shape[1] - 1)
    inside = 0.5 - (reached[rows, place] - share) / np.maximum(chances[rows, place], 1e-12)
    between = (grid > GRID) & (place > 0)
    steps = place + np.where(between, np.clip(inside, -0.5, 0.5), 0.0)
    pence: IntArray = np.rint(steps * grid / GRID).astype(np.int64) * GRID
    return pence


def _nodes(
    pd: FloatArray, losses: IntArray, starts: IntArray, correlation: float
) -> tuple[FloatArray, FloatArray]:
    """Values of the factor, near enough for the lenders of most exposures, who need most."""
    if correlation == 0:
        return np.zeros(1), np.ones(1)
    largest = np.argsort(-np.diff(starts), kind="stable")[:_LARGEST].tolist()
    spacing = min(
        node_spacing(
            pd[starts[lender] : starts[lender + 1]],
            losses[starts[lender] : starts[lender + 1]],
            correlation,
            _FURTHEST,
        )
        for lender in largest
    )
    return factor_nodes(np.clip(_LOOSER * spacing, _NARROWEST, _WIDEST), _FURTHEST)


def _blocks(starts: IntArray) -> Iterator[tuple[int, int]]:
    """Runs of lenders with about ``_EXPOSURES_AT_ONCE`` exposures."""
    first, lenders = 0, len(starts) - 1
    while first < lenders:
        reach = int(np.searchsorted(starts, starts[first] + _EXPOSURES_AT_ONCE, side="right")) - 1
        last = max(reach, first + 1)
        yield first, last
        first = last


def _checked(
    offsets: npt.ArrayLike,
    pd: npt.ArrayLike,
    loss: npt.ArrayLike,
    earned: npt.ArrayLike,
    correlation: float,
) -> tuple[FloatArray, IntArray, IntArray, IntArray]:
    chances, losses = np.asarray(pd, dtype=np.float64), np.asarray(loss)
    starts, income = np.asarray(offsets), np.asarray(earned)
    if chances.ndim != 1 or chances.shape != losses.shape:
        raise ExpectationRefused("Chances and losses must be flat, one for one.", field="loss")
    check_correlation(correlation)
    check_values(chances, losses)
    if starts.dtype.kind not in "iu" or starts.ndim != 1 or len(starts) < 2:
        raise ExpectationRefused("Offsets must be whole, and name a lender.", field="offsets")
    if starts[0] != 0 or starts[-1] != len(chances) or (np.diff(starts) < 1).any():
        raise ExpectationRefused(
            f"Offsets must rise from 0 to {len(chances)}, with an exposure for each lender.",
            field="offsets",
        )
    if income.dtype.kind not in "iu" or income.shape != (len(starts) - 1,):
        raise ExpectationRefused("Each lender earns a whole number of pence.", field="earned")
    return chances, losses.astype(np.int64), starts.astype(np.int64), income.astype(np.int64)
