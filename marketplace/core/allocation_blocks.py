"""Markets in which money is tight fall apart into blocks, each to be spread by itself.

With listings by falling demand, let ``slack(k)`` be the sum of the ``n - k`` smallest demands less
``sum over l of max(0, u_l - m_l k)`` (see :mod:`marketplace.core.allocation_units`). Where it is 0
nothing is left to choose between the ``k`` largest listings and the others: the second term is the
least that the pieces can put outside the ``k`` largest, so every piece puts exactly
``min(u_l, m_l k)`` into those. Between two such places ``a < b`` a piece puts
``clip(u_l - m_l a, 0, m_l (b - a))`` units into that block; one at the upper end of this is at its
limit in all of the block's listings. What remains is a smaller market with some slack inside.

Few pieces in few listings are spread by :func:`_dense`: the same fit as in
:mod:`marketplace.core.allocation_spread`, with every piece a class of its own, then columns that
are off are mended by the shortest chains through a matrix of listings.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from itertools import pairwise

import numpy as np

from marketplace.core.allocation_mending import mend
from marketplace.core.allocation_parts import Parts, Rules
from marketplace.core.allocation_shares import Classes, FloatArray, fit, shares_of
from marketplace.core.allocation_spread import _walk as walk
from marketplace.core.allocation_spread import fair, level, widest
from marketplace.core.allocation_units import Pieces, can_be_routed, crowding, room
from marketplace.core.arrays import IntArray

_MOST_MENDED = 5_000  # units out of place, beyond which the fair mix is given up
_FEW = 64  # units out of place, up to which chains mend them at once
_DENSE_CELLS, _DENSE_LISTINGS = 4_000_000, 1_000
_DENSE_ROUNDS = 6  # every piece is a class of its own, and many are near their limits

_Found = list[tuple[IntArray, IntArray, IntArray]]


class Path(StrEnum):
    """How the units were spread; where blocks differ, the plainest way that any of them took."""

    FAIR = "fair"
    LEVEL = "level"


class _Spreading:
    """Parts as they are found, block by block, and the plainest path."""

    def __init__(self) -> None:
        self._found: _Found = []
        self.path = Path.FAIR

    def add(self, row: IntArray, listing: IntArray, units: IntArray) -> None:
        self._found.append((row, listing, units))

    def parts(self, listings: int) -> Parts:
        """All parts, by row, then listing."""
        row, listing, units = (np.concatenate(column) for column in zip(*self._found, strict=True))
        order = np.argsort(row * listings + listing, kind="stable")
        return Parts(row[order], listing[order], units[order])


_Solve = Callable[[IntArray, IntArray, IntArray, IntArray, FloatArray], Parts]


def spread(
    units: IntArray, limits: IntArray, rates: IntArray, demands: IntArray
) -> tuple[Parts, Path]:
    """Spread pieces, given in rate order, over the listings: exactly, and as fairly as may be.

    Args:
        units: ``int64 [P]``, positive, summing to the demands' total.
        limits: ``[P]``, for which the units can be routed.
        rates: ``[P]``, ppm, rising.
        demands: ``[n]``, positive.
    """
    done = _Spreading()

    def whole(
        units: IntArray,
        limits: IntArray,
        rates: IntArray,
        demands: IntArray,
        costs: FloatArray,
    ) -> Parts:
        parts, path = _whole(units, limits, rates, demands, costs)
        if path is Path.LEVEL:
            done.path = path
        return parts

    def widened(
        units: IntArray,
        limits: IntArray,
        rates: IntArray,
        demands: IntArray,
        costs: FloatArray,
    ) -> Parts:
        narrow = _narrow(units, limits, demands)
        return _by_blocks(units, narrow, rates, demands, costs, whole)

    costs: FloatArray = demands.astype(np.float64) * (
        float((units * rates).sum()) / float(units.sum())
    )
    return _by_blocks(units, limits, rates, demands, costs, widened), done.path


def _by_blocks(
    units: IntArray,
    limits: IntArray,
    rates: IntArray,
    demands: IntArray,
    costs: FloatArray,
    solve: _Solve,
) -> Parts:
    """Cut a market where it is tight, and solve what remains of each block.

    ``costs`` is what each listing's units should cost together; pieces that are forced into all
    listings of a block come off it.
    """
    listings = demands.shape[0]
    by_size = np.argsort(-demands, kind="stable")
    slack = room(demands) - crowding(limits, units, listings)
    cuts = np.flatnonzero(slack == 0).tolist()
    if cuts == [0, listings]:
        return solve(units, limits, rates, demands, costs)
    done = _Spreading()
    for first, last in pairwise(cuts):
        columns = np.sort(by_size[first:last])
        width = last - first
        share = np.clip(units - limits * first, 0, limits * width)
        if width == 1:
            rows = np.flatnonzero(share)
            done.add(rows, np.full_like(rows, columns[0]), share[rows])
            continue
        full = np.flatnonzero((share == limits * width) & (share > 0))
        done.add(
            np.repeat(full, width), np.tile(columns, full.size), np.repeat(limits[full], width)
        )
        rest = np.flatnonzero((share > 0) & (share < limits * width))
        need = demands[columns] - int(limits[full].sum())
        open_to = np.flatnonzero(need)
        if open_to.size:
            spent = float((limits[full] * rates[full]).sum())
            left = costs[columns[open_to]] - spent
            inner = solve(share[rest], limits[rest], rates[rest], need[open_to], left)
            done.add(rest[inner.row], columns[open_to][inner.listing], inner.units)
    return done.parts(listings)


def _narrow(units: IntArray, limits: IntArray, demands: IntArray) -> IntArray:
    """Limits with which the pieces reach many listings, and which can still be routed.

    First a unit a listing for every piece with no more units than there are listings, and as
    little more for the larger ones as can be routed; where that can't be, one reach for all.
    """
    listings = demands.shape[0]
    large = units > listings
    pieces, even = np.zeros_like(units), 1
    while True:
        narrow = np.where(large, np.minimum(limits, -(-units * even // listings)), 1)
        if can_be_routed(Pieces(pieces, narrow, units), demands):
            return narrow
        if (narrow >= limits)[large].all():
            return widest(Pieces(pieces, limits, units), demands)
        even *= 2


def _whole(
    units: IntArray, limits: IntArray, rates: IntArray, demands: IntArray, costs: FloatArray
) -> tuple[Parts, Path]:
    """Spread a block in which nothing is forced."""
    parts = fair(units, limits, rates, demands, costs)
    wrong = _MOST_MENDED + 1 if parts is None else _out_of_place(parts, units, limits, demands)
    listings = demands.shape[0]
    if wrong > _FEW and listings <= _DENSE_LISTINGS and units.shape[0] * listings <= _DENSE_CELLS:
        return _dense(units, limits, rates, demands), Path.FAIR
    if parts is None or wrong > _MOST_MENDED:
        return level(units, limits, demands), Path.LEVEL
    if wrong:
        rules = Rules(np.arange(units.shape[0]), units, limits, demands, {})
        parts = mend(parts, rules, is_fixed=True)
    return parts, Path.FAIR


def _out_of_place(parts: Parts, units: IntArray, limits: IntArray, demands: IntArray) -> int:
    """Return how many units stand above limits or are missing somewhere.

    A row that gives more than its units can't be mended: it counts as too many.
    """
    if int(limits.max()) == 1:
        above = int(parts.units.sum() - parts.units.shape[0])
    else:
        above = int(np.maximum(parts.units - limits[parts.row], 0).sum())
    sums = np.bincount(parts.listing, parts.units, demands.shape[0]).astype(np.int64)
    rows = np.bincount(parts.row, parts.units, units.shape[0]).astype(np.int64)
    if (rows > units).any():
        return _MOST_MENDED + 1
    return above + int(np.abs(sums - demands).sum())


def _dense(units: IntArray, limits: IntArray, rates: IntArray, demands: IntArray) -> Parts:
    """Spread few pieces over few listings through a full matrix."""
    mean = float((units * rates).sum()) / float(units.sum())
    apart: FloatArray = rates.astype(np.float64) - mean
    distance: FloatArray = apart / max(float(np.abs(apart).max()), 1.0)
    pieces = np.arange(units.shape[0])
    wide, most = units.astype(np.float64), limits.astype(np.float64)
    every = np.ones(units.shape[0], dtype=np.bool_)
    classes = Classes(pieces, every, np.ones_like(wide), most, wide, distance, distance)
    shares = shares_of(
        classes, units, pieces, *fit(classes, demands.astype(np.float64), rounds=_DENSE_ROUNDS)
    )
    aims = shares.copy()
    given = walk(shares, units, limits, distance, np.zeros((2, demands.shape[0])), demands)
    given = _within_limits(given, limits, units)
    _Columns(given, aims, limits, demands).mend()
    row, listing = np.nonzero(given)
    return Parts(row, listing, given[row, listing])


def _within_limits(given: IntArray, limits: IntArray, units: IntArray) -> IntArray:
    """Cut what is above limits, and give rows that lack units more where they have most room."""
    kept = np.minimum(given, limits[:, None])
    for row in np.flatnonzero(kept.sum(axis=1) != units).tolist():
        lacks = int(units[row] - kept[row].sum())
        while lacks:
            room_left = limits[row] - kept[row] if lacks > 0 else kept[row]
            places = np.argsort(-room_left, kind="stable")[: abs(lacks)]
            places = places[room_left[places] > 0]
            kept[row, places] += 1 if lacks > 0 else -1
            lacks = int(units[row] - kept[row].sum())
    return kept


class _Columns:
    """Mends the sums of columns of a full matrix, in place; sums of rows stay as they are.

    ``links[a, b]`` counts the rows that can move a unit from listing ``a`` to listing ``b``: those
    that have one there, and room here. It is kept up to date by whole rows and columns.
    """

    def __init__(
        self, given: IntArray, aims: FloatArray, limits: IntArray, demands: IntArray
    ) -> None:
        self._given, self._aims, self._limits = given, aims, limits
        self._over = given.sum(axis=0) - demands
        self._has, self._has_room = given > 0, given < limits[:, None]
        self._links = self._has.astype(np.float32).T @ self._has_room.astype(np.float32)

    def mend(self) -> None:
        """Move units until every column has its demand.

        A chain always exists: the units can be routed, so from a column over its demand one under
        it is reached (were it not, the columns reached would be over their demands with no way to
        hold less).
        """
        while (self._over > 0).any():
            path = self._path()
            for before, after in pairwise(path):
                self._move(before, after)
            self._over[path[0]] -= 1
            self._over[path[-1]] += 1

    def _path(self) -> list[int]:
        """A shortest chain of listings from one over its demand to one under it."""
        layers = [np.flatnonzero(self._over > 0)]
        unseen = self._over <= 0
        under = np.zeros(0, dtype=np.int64)
        while not under.size:
            reached = (self._links[layers[-1]] > 0).any(axis=0) & unseen
            layers.append(np.flatnonzero(reached))
            if not layers[-1].size:
                raise AssertionError("units that can be routed have a chain")
            unseen &= ~reached
            under = layers[-1][self._over[layers[-1]] < 0]
        path = [int(under[np.argmin(self._over[under])])]
        for layer in layers[-2::-1]:
            path.append(int(layer[np.argmax(self._links[layer, path[-1]])]))
        return path[::-1]

    def _move(self, before: int, after: int) -> None:
        """Move a unit of the row that it suits best: whose aims it comes nearest to."""
        given, aims = self._given, self._aims
        can = np.flatnonzero(self._has[:, before] & self._has_room[:, after])
        wish = (aims[can, after] - given[can, after]) - (aims[can, before] - given[can, before])
        row = int(can[np.argmax(wish)])
        self._add(row, before, -1)
        self._add(row, after, 1)

    def _add(self, row: int, listing: int, units: int) -> None:
        now = int(self._given[row, listing]) + units
        self._given[row, listing] = now
        has, has_room = self._has[row], self._has_room[row]
        if (now > 0) != has[listing]:
            has[listing] = now > 0
            self._links[listing] += has_room if now > 0 else -1.0 * has_room
        is_open = now < self._limits[row]
        if is_open != has_room[listing]:
            has_room[listing] = is_open
            self._links[:, listing] += has if is_open else -1.0 * has
