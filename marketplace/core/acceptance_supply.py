"""What the offers of one market can give to ``k`` listings, and the cheapest units for demands.

**Supply.** A lender's entries share the exposure limit: into one listing, the entries with a limit
of at most ``t`` give at most ``t`` together. Into ``k`` listings without an end the lender can
therefore give::

    f(k) = min over t in {0, limits} of (budgets of the entries with a limit above t) + k * t

(a cut: of the entries, those up to some limit are held by their limits, the others by their money).
``f`` is concave, and equals a sum of *pieces* ``min(size, slope * k)``: the steps between the
lender's limits are the slopes, the budgets standing at them the sizes, and neighbours are pooled
until ``size / slope`` no longer rises with the limit. What an entry adds to the better-placed ones
of its lender is the difference of two such sums, so every figure here adds up over entries.

**Which demands can be met.** All ``n`` demands together, exactly when the sum ``S(k)`` of the ``k``
largest is at most ``G(k)``, the sum of ``f(k)`` over the lenders, for every ``k`` (Gale and Ryser;
a cut that holds ``k`` listings back costs least with the largest).

**Least cost.** The units that entries can give together are the independent sets of a matroid
(a gammoid), so taking as much as possible in queue order costs least; and by how much the first
``i`` entries fill the demands is ``r(i) = min over k of G_i(k) + total - S(k)``. Entry ``i`` gives
``r(i) - r(i - 1)``. The ``k`` that decides never grows with ``i`` (money and listings complement
each other), so between two places with the same ``k`` every entry gives what it adds at that ``k``:
halving the queue finds the few places where ``k`` changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from marketplace.core.arrays import IntArray

_Node = tuple[int, int, int, int, IntArray, int, int]


@dataclass(frozen=True, slots=True)
class Supply:
    """What ``N`` entries add, one after another in queue order, as ``P`` signed pieces.

    Attributes:
        entries: ``N``.
        entry: ``int64 [P]``, the entry that a piece belongs to; never falls.
        size, slope: ``[P]``, a piece is worth ``min(size, slope * k)``; both are negative where
            the piece is taken off.
        bend: ``[P]``, ``size // slope``: up to this ``k`` the slope decides.
    """

    entries: int
    entry: IntArray
    size: IntArray
    slope: IntArray
    bend: IntArray

    @classmethod
    def of(cls, lenders: IntArray, budgets: IntArray, limits: IntArray) -> Self:
        """Make the pieces of entries in queue order.

        Args:
            lenders: ``int64 [N]``, whose each entry is.
            budgets: ``[N]``, units of £10.
            limits: ``[N]``, exposure limit, units; products with budgets must stay in 64 bits.
        """
        rows = np.flatnonzero((budgets > 0) & (limits > 0))
        if (np.diff(np.sort(lenders[rows])) > 0).all():  # one entry a lender is one piece
            size, slope = budgets[rows], limits[rows]
            return cls(budgets.size, rows, size, slope, size // slope)
        rows = rows[np.argsort(lenders[rows], kind="stable")]
        step, size, slope = _pooled(*_staircases(lenders[rows], budgets[rows], limits[rows]))
        # What an entry's lender gives with it, less what the lender gives without it.
        has_next = np.zeros(rows.size, dtype=np.bool_)
        has_next[:-1] = lenders[rows[1:]] == lenders[rows[:-1]]
        again = np.flatnonzero(has_next[step])
        entry = np.concatenate([rows[step], rows[step[again] + 1]])
        size = np.concatenate([size, -size[again]])
        slope = np.concatenate([slope, -slope[again]])
        order = np.argsort(entry, kind="stable")
        size, slope = size[order], slope[order]
        return cls(budgets.size, entry[order], size, slope, size // slope)

    def up_to(self, most: int) -> IntArray:
        """Return ``G(k)`` for ``k`` from 0 to ``most``, units ``[most + 1]``."""
        return self.between(0, self.entries, 0, most)

    def between(self, start: int, end: int, low: int, high: int) -> IntArray:
        """Return what entries ``start`` to ``end`` add for each ``k`` from ``low`` to ``high``."""
        first, last = np.searchsorted(self.entry, (start, end))
        bend = np.clip(self.bend[first:last], low - 1, high) - (low - 1)
        # bincount adds floats, which is exact: sums stay below 2**53
        flat = np.bincount(bend, self.size[first:last], high - low + 2).astype(np.int64)
        steep = np.bincount(bend, self.slope[first:last], high - low + 2).astype(np.int64)
        sloping = int(self.slope[first:last].sum()) - np.cumsum(steep[:-1])
        total: IntArray = np.cumsum(flat[:-1]) + sloping * np.arange(low, high + 1)
        return total

    def at(self, start: int, end: int, listings: int) -> IntArray:
        """Return what each entry from ``start`` to ``end`` adds for ``k = listings``, units."""
        first, last = np.searchsorted(self.entry, (start, end))
        sloping = self.bend[first:last] >= listings
        worth = np.where(sloping, self.slope[first:last] * listings, self.size[first:last])
        return np.bincount(self.entry[first:last] - start, worth, end - start).astype(np.int64)


def largest_sums(demands: IntArray) -> IntArray:
    """Return ``S(k)``, the sum of the ``k`` largest demands, for ``k`` from 0 on: ``[n + 1]``."""
    return np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(np.sort(demands)[::-1])])


def cheapest_units(supply: Supply, demands: IntArray) -> IntArray:
    """Return how many units each entry gives where the demands are met at the least cost, ``[N]``.

    Earlier entries give first. Where the demands can't all be met, as much of them as can be.
    """
    sums = largest_sums(demands)
    short = sums[-1] - sums
    units = np.zeros(supply.entries, dtype=np.int64)
    listings = demands.size
    met, deciding = _least(supply.up_to(listings) + short)
    nothing = np.zeros(listings + 1 - deciding, dtype=np.int64)
    nodes: list[_Node] = [(0, supply.entries, deciding, listings, nothing, 0, met)]
    while nodes:
        start, end, low, high, given, before, after = nodes.pop()
        if low == high:
            units[start:end] = supply.at(start, end, low)
        elif end - start == 1:
            units[start] = after - before
        else:
            middle = (start + end) // 2
            reached = given + supply.between(start, middle, low, high)
            met, place = _least(reached + short[low : high + 1])
            nodes.append((start, middle, low + place, high, given[place:], before, met))
            nodes.append((middle, end, low, low + place, reached[: place + 1], met, after))
    return units


def _least(values: IntArray) -> tuple[int, int]:
    """Return the least value and the last place where it stands."""
    place = values.size - 1 - int(np.argmin(values[::-1]))
    return int(values[place]), place


def _staircases(
    lenders: IntArray, budgets: IntArray, limits: IntArray
) -> tuple[IntArray, IntArray, IntArray]:
    """Return, for each entry, its lender's steps once the entry has joined the earlier ones.

    Args:
        lenders: ``[M]``, a lender's entries lie together, in queue order.
        budgets, limits: ``[M]``, positive.

    Returns:
        The entry's place ``[T]``; the budget that stands at each of the lender's distinct limits,
        from the lowest; and how far that limit is above the one before.
    """
    by_limit = np.lexsort((limits, lenders))
    new_lender = np.diff(lenders, prepend=-1) != 0  # in both orders, lenders fill the same rows
    rises = np.diff(limits[by_limit], prepend=0)
    rises[new_lender] = limits[by_limit][new_lender]
    new_limit = new_lender | (rises != 0)
    owner = np.cumsum(new_lender) - 1
    entries, steps = np.bincount(owner), np.bincount(owner[new_limit])
    kind = np.empty_like(owner)
    kind[by_limit] = np.cumsum(new_limit) - 1  # the entry's limit among all lenders' limits
    first_kind, first_entry = np.cumsum(steps) - steps, np.cumsum(entries) - entries
    starts = np.cumsum(entries * steps) - entries * steps
    # A table for each lender, limits by entries: each budget in its place, then running sums.
    column = (kind - first_kind[owner]) * entries[owner]
    own = starts[owner] + column + np.arange(owner.size) - first_entry[owner]
    table = np.zeros(int((entries * steps).sum()), dtype=np.int64)
    table[own] = budgets
    running = np.cumsum(table)
    # The same tables read entry by entry.
    whose = np.repeat(np.arange(entries.size), entries * steps)
    place = np.arange(whose.size) - starts[whose]
    entry, step = np.divmod(place, steps[whose])
    begin = starts[whose] + step * entries[whose]
    sizes = running[begin + entry] - running[begin] + table[begin]
    return entry + first_entry[whose], sizes, rises[new_limit][first_kind[whose] + step]


def _pooled(
    entry: IntArray, size: IntArray, slope: IntArray
) -> tuple[IntArray, IntArray, IntArray]:
    """Pool neighbouring steps of an entry until ``size / slope`` doesn't rise with the limit."""
    while True:
        rises = size[1:] * slope[:-1] > size[:-1] * slope[1:]
        joins = np.append(False, rises & (entry[1:] == entry[:-1]))[: entry.size]
        if not joins.any():
            some = size > 0
            return entry[some], size[some], slope[some]
        heads = np.flatnonzero(~joins)
        entry, size, slope = (
            entry[heads],
            np.add.reduceat(size, heads),
            np.add.reduceat(slope, heads),
        )
