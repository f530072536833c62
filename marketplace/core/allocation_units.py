"""How many units each entry gives: the least-cost amounts, before any loan is named.

Say that lender ``l`` gives ``u_l`` units and may put at most ``m_l`` into one listing. By the
theorem of Gale and Ryser (maximum flow, minimum cut) these amounts can be routed into ``n``
listings if and only if, for every ``k`` from 0 to ``n``,

    sum over l of max(0, u_l - m_l k)  <=  the sum of the n - k smallest demands.

A lender with several limits gives ``W(t)`` units from entries whose limit is at most ``t``; its
term is ``max over t of (W(t) - k t)``, which only depends on the upper concave hull of the points
``(t, W(t))``. Each edge of the hull is a *piece*: a lender of its own with a limit (the edge's
width) and units (its height), both whole numbers. So one formula serves every market.

The sets of units that can be routed are the independent sets of a matroid (a gammoid: units
linked to demands by disjoint paths), so taking them in queue order, each entry as much as still
can be routed, costs the least, and is the lexicographically largest of the cheapest choices.
With ``slack(k)``, the right side less the left, an entry may add
``min over k of (slack(k) + what its lender has at k - what it would have with nothing more)``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from marketplace.core.arrays import IntArray, offsets_of


@dataclass(frozen=True, slots=True)
class Entries:
    """Entries in queue order, and their *slots*: the distinct limits of each lender.

    Attributes:
        rates: ``int64 [E]``, ppm.
        budgets: ``[E]``, units.
        limits: ``[E]``, most units of the lender's entries up to this limit in one listing.
        lender: ``[E]``, dense numbers from 0.
        slot: ``[E]``, the slot of each entry; slots are sorted by lender, then limit.
        slot_lender, slot_limit: ``[S]``.
        slot_step: ``[S]``, the slot's limit less the lender's next lower one.
        slot_start: ``[lenders + 1]``, offsets of each lender's slots.
        is_plain: whether every lender has one entry; slots are then the entries.
    """

    rates: IntArray
    budgets: IntArray
    limits: IntArray
    lender: IntArray
    slot: IntArray
    slot_lender: IntArray
    slot_limit: IntArray
    slot_step: IntArray
    slot_start: IntArray
    is_plain: bool


@dataclass(frozen=True, slots=True)
class Pieces:
    """Edges of lenders' hulls, by lender: what can be spread independently of each other.

    Attributes:
        lender: ``int64 [P]``.
        limit: ``[P]``, units of the piece in one listing at most.
        units: ``[P]``, units to be spread.
    """

    lender: IntArray
    limit: IntArray
    units: IntArray


def entries_of(lenders: IntArray, rates: IntArray, budgets: IntArray, limits: IntArray) -> Entries:
    """Return the entries with their slots; lenders are renumbered densely, in their own order.

    Where each lender has one entry they are numbered as the entries are.
    """
    rows = np.arange(lenders.shape[0], dtype=np.int64)
    if (np.diff(np.sort(lenders)) > 0).all():
        starts = np.arange(rows.shape[0] + 1, dtype=np.int64)
        slots = (rows, rows, limits, limits, starts)
        return Entries(rates, budgets, limits, rows, *slots, is_plain=True)
    _, lender = np.unique(lenders, return_inverse=True)
    order = np.lexsort((limits, lender))
    by_lender, by_limit = lender[order], limits[order]
    fresh = np.ones(rows.shape[0], dtype=np.bool_)
    same_lender = by_lender[1:] == by_lender[:-1]
    fresh[1:] = ~same_lender | (by_limit[1:] != by_limit[:-1])
    slot = np.empty_like(rows)
    slot[order] = np.cumsum(fresh) - 1
    slot_lender, slot_limit = by_lender[fresh], by_limit[fresh]
    below = np.zeros_like(slot_limit)
    below[1:] = np.where(slot_lender[1:] == slot_lender[:-1], slot_limit[:-1], 0)
    starts = offsets_of(np.bincount(slot_lender))
    slots = (slot, slot_lender, slot_limit, slot_limit - below, starts)
    return Entries(rates, budgets, limits, lender, *slots, is_plain=False)


def hull_pieces(lender: IntArray, step: IntArray, units: IntArray) -> Pieces:
    """Return the hulls' edges of lenders' slots, given in order of limit.

    Adjacent edges whose slope doesn't fall are pooled until none is left; pooling in any order
    leads to the same hull. Integers only: products stay below 2**62 as both factors are at most
    the total demand.
    """
    while True:
        pooled = (lender[1:] == lender[:-1]) & (units[1:] * step[:-1] >= units[:-1] * step[1:])
        if not pooled.any():
            return Pieces(lender, step, units)
        starts = np.flatnonzero(np.concatenate([np.ones(1, dtype=np.bool_), ~pooled]))
        lender = lender[starts]
        step, units = np.add.reduceat(step, starts), np.add.reduceat(units, starts)


def crowding(limit: IntArray, units: IntArray, listings: int) -> IntArray:
    """Return ``sum of max(0, units - limit k)`` for ``k = 0 .. listings``, ``[listings + 1]``."""
    reach = np.minimum(-(-units // np.maximum(limit, 1)), listings + 1)
    # bincount adds floats, which is exact: the sums stay below 2**53
    height = np.bincount(reach, units, listings + 2)
    slope = np.bincount(reach, limit, listings + 2)
    above = (
        np.cumsum(height[::-1])[::-1][1:]
        - np.arange(listings + 1) * np.cumsum(slope[::-1])[::-1][1:]
    )
    return above.astype(np.int64)


def room(demands: IntArray) -> IntArray:
    """Return the sum of the ``n - k`` smallest demands for ``k = 0 .. n``, ``[n + 1]``."""
    return offsets_of(np.sort(demands))[::-1].copy()


def can_be_routed(pieces: Pieces, demands: IntArray) -> bool:
    """Whether pieces that sum to the demands can be spread (Gale and Ryser)."""
    limit, units = pieces.limit, pieces.units
    return bool((crowding(limit, units, demands.shape[0]) <= room(demands)).all())


def units_given(entries: Entries, demands: IntArray) -> IntArray:
    """Return the units that each entry gives at least cost, ``[E]``.

    They sum to the demands' total unless the demands can't be met; then to the most that can be.
    Runs of entries are tried at their ceilings; a run that doesn't fit is halved, down to the one
    entry that binds, which is measured exactly.
    """
    greedy = _Greedy(entries, demands)
    start, size, last = 0, entries.rates.shape[0], entries.rates.shape[0]
    while start < last and greedy.slack[0] > 0:
        stop = min(start + size, last)
        if greedy.take(start, stop):
            start, size = stop, 2 * size
        elif stop - start > 1:
            size = (stop - start) // 2
        else:
            greedy.take_exactly(start)
            start += 1
    return greedy.given


class _Greedy:
    """The greedy's state: what is given so far, by entry and slot, and the slack."""

    def __init__(self, entries: Entries, demands: IntArray) -> None:
        self.entries = entries
        self.slack = room(demands)
        self.given = np.zeros(entries.rates.shape[0], dtype=np.int64)
        self._slot_units = np.zeros(entries.slot_limit.shape[0], dtype=np.int64)
        self._numbers = np.arange(demands.shape[0] + 1, dtype=np.int64)
        self._ceilings = _lone_ceilings(entries, demands)

    def take(self, start: int, stop: int) -> bool:
        """Give all of a run's ceilings if that can be routed; return whether it could."""
        entries, rows = self.entries, slice(start, stop)
        # Where slack(k) is 0 a lender can't have more than its limit times k.
        tight = int(np.argmin(self.slack))
        most = entries.limits[rows] * tight
        if not entries.is_plain:
            most = np.maximum(most - self._slot_units[entries.slot[rows]], 0)
        wish = np.minimum(self._ceilings[rows], most)
        running = np.minimum(np.cumsum(wish), self.slack[0])
        wish = np.diff(running, prepend=0)
        change = self._change(rows, wish)
        if (change > self.slack).any():
            return False
        self.given[rows] = wish
        self.slack -= change
        np.add.at(self._slot_units, entries.slot[rows], wish)
        return True

    def take_exactly(self, row: int) -> None:
        """Give the most that one entry can add."""
        entries, slot = self.entries, int(self.entries.slot[row])
        lender = int(entries.lender[row])
        own = slice(int(entries.slot_start[lender]), int(entries.slot_start[lender + 1]))
        units = np.cumsum(self._slot_units[own])[:, None]
        lines = units - entries.slot_limit[own][:, None] * self._numbers
        before = np.maximum(lines.max(axis=0), 0)
        top = lines[slot - own.start :].max(axis=0)
        most = min(int(self._ceilings[row]), int((self.slack + before - top).min()))
        self.slack -= np.maximum(top + most - before, 0)
        self.given[row] = most
        self._slot_units[slot] += most

    def _change(self, rows: slice, wish: IntArray) -> IntArray:
        """Return by how much a run's wish would raise the left sides."""
        entries, listings = self.entries, self._numbers.shape[0] - 1
        if entries.is_plain:
            return crowding(entries.limits[rows], wish, listings)
        touched = np.zeros(entries.slot_start.shape[0] - 1, dtype=np.bool_)
        touched[entries.lender[rows]] = True
        slots = np.flatnonzero(touched[entries.slot_lender])
        later = self._slot_units.copy()
        np.add.at(later, entries.slot[rows], wish)
        lender, step = entries.slot_lender[slots], entries.slot_step[slots]
        before = hull_pieces(lender, step, self._slot_units[slots])
        after = hull_pieces(lender, step, later[slots])
        return crowding(after.limit, after.units, listings) - crowding(
            before.limit, before.units, listings
        )


def _lone_ceilings(entries: Entries, demands: IntArray) -> IntArray:
    """Return what each entry would give if its lender were alone in the market, ``[E]``.

    Entries up to limit ``t`` can't give more together than the sum of ``min(demand, t)``.
    """
    rising = np.sort(demands)
    below = np.searchsorted(rising, entries.slot_limit)
    reach = offsets_of(rising)[below] + entries.slot_limit * (rising.shape[0] - below)
    ceilings: IntArray = np.minimum(entries.budgets, reach[entries.slot])
    if entries.is_plain:
        return ceilings
    wanted = np.bincount(entries.lender, ceilings)
    crowded = wanted > reach[entries.slot_start[:-1]]
    left: dict[int, list[int]] = {}
    for row in np.flatnonzero(crowded[entries.lender]).tolist():
        lender, slot = int(entries.lender[row]), int(entries.slot[row])
        first = int(entries.slot_start[lender])
        if lender not in left:
            left[lender] = reach[first : int(entries.slot_start[lender + 1])].tolist()
        rooms = left[lender]
        taken = min(int(ceilings[row]), *rooms[slot - first :])
        ceilings[row] = taken
        for place in range(slot - first, len(rooms)):
            rooms[place] -= taken
    return ceilings
