"""Mending an allocation: units that stand where they may not are moved along chains.

A unit of one listing may change its lender by a *chain*: an entry adds a unit in a listing, another
entry's unit leaves that listing and is added in the next, and so on. These are the augmenting paths
of the flow network *entry -> the lender's limits, rising -> listing*.

First, where lenders have one entry each, units are exchanged with rows nearby, many at once. Then
three steps, each an exact argument about that flow, for what is left:

1. Units above what a pair may hold are taken out, and entry by entry put where listings miss
   units, straight or by a chain. Who gives how much stays as it was.
2. A listing that still misses a unit gets it from the first entry in the queue that has money left
   and a chain to it. If no such entry has one, there is no augmenting path from the source, the
   flow is the largest there is, and the demands can't be met.
3. While an entry with money left has a chain that ends by pushing out a unit of a later entry, it
   does so. That cancels all negative cycles, hence the cost is least and nobody earlier in the
   queue could give more. (Bases of a matroid that no single exchange improves are best.)

One walk serves all entries of step 2, and of step 3, in queue order: what an earlier entry reached
without success is of no use to a later one. A walk visits each listing and each part about once.

Every step moves as many units at once as it could move one after another: what it takes does not
grow with the size of the loans.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from marketplace.core.allocation_parts import (
    Parts,
    Rules,
    WorkingParts,
    exchange,
    key_kind,
    parts_of,
)
from marketplace.core.errors import MarketplaceRefusal

_MOST_EXCHANGED = 10_000_000  # units, each a key
_NEARBY = 200  # places in the queue within which an exchange is tried before a walk


class DemandsUnmet(MarketplaceRefusal):
    """The entries can't fund all of the listings whole within budgets and limits."""

    code = "DEMANDS_UNMET"


def mend(parts: Parts, rules: Rules, *, is_fixed: bool) -> Parts:
    """Return parts that obey the rules, from parts that sum to no more than the demands allow.

    Args:
        parts: may exceed what pairs may hold and what listings demand; rows give no more than
            their budgets.
        rules: the limits to be obeyed.
        is_fixed: whether every row gives its whole budget, and that is known to be possible; if
            not, the parts are taken to be of least cost where nothing is held.

    Raises:
        DemandsUnmet: when the demands can't be met.
    """
    parts, left = _exchanged(parts, rules)
    if not left and _is_whole(parts, rules, is_fixed=is_fixed):
        return parts
    work = _Mending(parts, rules)
    work.take_out()
    if is_fixed:
        work.hand_out()
    work.move()
    work.fund()
    if not is_fixed and work.has_changed():
        work.improve()
    return work.parts()


def _exchanged(parts: Parts, rules: Rules) -> tuple[Parts, int]:
    """Exchange what stands where it may not, and return how much still does.

    Only where each lender has one entry. Rows and listings keep their units, so what was of least
    cost with nothing held stays so.
    """
    rows, listings = rules.lender.shape[0], rules.demands.shape[0]
    pairs = np.array([(*pair, units) for pair, units in rules.held.items()], dtype=np.int64)
    pairs = pairs.reshape(-1, 3)
    held = np.minimum(pairs[:, 2], rules.limits[pairs[:, 0]])
    most = int(parts.units.sum(dtype=np.float64)) + int(held.sum(dtype=np.float64))
    is_plain = bool((rules.lender == np.arange(rows)).all())
    if not parts.row.size or not is_plain or most > _MOST_EXCHANGED:
        return parts, most
    bits, kind = listings.bit_length(), key_kind(rows, listings)
    keys = np.repeat(((parts.row << bits) | parts.listing).astype(kind), parts.units)
    besides = np.repeat(((pairs[:, 0] << bits) | pairs[:, 1]).astype(kind), held)
    left = exchange(keys, bits, rules.limits, np.sort(besides))
    return parts_of(keys, bits), left


def _is_whole(parts: Parts, rules: Rules, *, is_fixed: bool) -> bool:
    """Whether the demands are met, and, if it is fixed, each row gives its budget."""
    given = np.bincount(parts.listing, parts.units, rules.demands.shape[0])
    used = np.bincount(parts.row, parts.units, rules.budgets.shape[0])
    return bool((given == rules.demands).all() and (not is_fixed or (used == rules.budgets).all()))


class _Mending(WorkingParts):
    """The three steps, on parts that change."""

    def __init__(self, parts: Parts, rules: Rules) -> None:
        super().__init__(parts, rules)
        used = self.sums(parts.row, rules.lender.shape[0])
        self._left = (rules.budgets - used).tolist()
        self._used = used.tolist()
        given = self.sums(parts.listing, rules.demands.shape[0])
        self._missing = (rules.demands - given).tolist()
        self._homeless: dict[int, int] = {}
        self._taken: list[tuple[int, int, int]] = []
        self._wanting: dict[int, int] = {}

    def take_out(self) -> None:
        """Take out units above what pairs may hold or listings demand."""
        for entry, listing in self.suspects():
            self._cut_pair(entry, listing)
        for listing in [j for j, missing in enumerate(self._missing) if missing < 0]:
            # Rows with few units find another place most easily.
            for entry in sorted(self.column(listing), key=lambda e: (self._used[e], -e)):
                over = -self._missing[listing] - self._wanting.get(listing, 0)
                if over > 0:
                    self._take(entry, listing, min(over, self.row(entry)[listing]))
        wanting = {
            listing: missing + self._wanting.get(listing, 0)
            for listing, missing in enumerate(self._missing)
        }
        self._wanting = {listing: units for listing, units in wanting.items() if units}

    def _cut_pair(self, entry: int, listing: int) -> None:
        """Take out what a lender has above its limits in a listing.

        At each limit the highest limits up to there give way, so that lower ones that were full
        stay full: only then does what was of least cost stay so.
        """
        total, stack = 0, []
        for sibling in self.siblings(entry) or (entry,):
            has = self.row(sibling).get(listing, 0)
            total += has
            stack.append([sibling, has])
            over = total - self.most(sibling, listing)
            while over > 0:
                units = min(over, stack[-1][1])
                if units:
                    self._take(stack[-1][0], listing, units)
                over, total = over - units, total - units
                stack[-1][1] -= units
                if not stack[-1][1]:
                    stack.pop()

    def _take(self, entry: int, listing: int, units: int) -> None:
        self.add(entry, listing, -units)
        self._taken.append((entry, listing, units))
        self._homeless[entry] = self._homeless.get(entry, 0) + units
        self._wanting[listing] = self._wanting.get(listing, 0) + units

    def hand_out(self) -> None:
        """Make what rows have not given yet look for a place."""
        for entry, left in enumerate(self._left):
            if left > 0:
                self._homeless[entry] = self._homeless.get(entry, 0) + left
                self._used[entry] += left
                self._left[entry] = 0

    def move(self) -> None:
        """Step 1: find new places for units taken out; what finds none is given back."""
        for entry, listing, units in self._taken:
            left = units
            while left and (moved := self._near(entry, listing, left)):
                left -= moved
                self._homeless[entry] -= moved
        for entry in sorted(self._homeless):
            while self._homeless[entry] and (placed := self._place(entry)):
                self._homeless[entry] -= placed
            self._left[entry] += self._homeless[entry]
            self._used[entry] -= self._homeless[entry]

    def _place(self, entry: int) -> int:
        """Put homeless units where some are missing: straight, by an exchange, or by a chain."""
        most = self._homeless[entry]
        placed = self._straight(entry, most)
        for listing in [] if placed else list(self._wanting)[:_NEARBY]:
            placed = self._near(entry, listing, most)
            if placed:
                break
        return placed or self._by_chain([entry], self._homeless)[1]

    def _near(self, entry: int, listing: int, most: int) -> int:
        """Exchange with an entry nearby in the queue, whose rate is about the same.

        It moves units into ``listing`` from another one, where ``entry`` takes its place. Returns
        how many, at most ``most``.
        """
        wanted = min(most, self._wanting.get(listing, 0))
        if not wanted:
            return 0
        lender = self.lender[entry]
        places = self.open_places(entry) - {listing}
        for distance in range(1, min(_NEARBY, self.entries) if places else 1):
            for other in (entry - distance, entry + distance):
                if not 0 <= other < self.entries or self.lender[other] == lender:
                    continue
                theirs = min(wanted, self.room(other, listing))
                for place in sorted(places & self.row(other).keys()) if theirs else ():
                    units = min(theirs, self.room(entry, place), self.row(other)[place])
                    if units:
                        self.add(other, place, -units)
                        self.add(entry, place, units)
                        self._settle(other, listing, units)
                        return units
        return 0

    def fund(self) -> None:
        """Step 2: fund what is still missing from entries with money left, in queue order."""
        loose = [e for e, left in enumerate(self._left) if left > 0 and not self.is_full(e)]
        while self._wanting:
            entry, units = self._by_chain(loose, self._left)
            if not units:
                raise DemandsUnmet(
                    "The entries can't fund all of the listings whole: ask for fewer listings, "
                    "or for more offers.",
                    field="demands",
                )
            self._left[entry] -= units
            self._used[entry] += units
            if not self._left[entry]:
                loose.remove(entry)

    def improve(self) -> None:
        """Step 3: let entries push out later ones while a chain allows it."""
        while True:
            last = max((e for e, used in enumerate(self._used) if used), default=-1)
            loose = [e for e in range(last) if self._left[e] > 0 and not self.is_full(e)]
            if not loose or not self._exchange(loose):
                return

    def _straight(self, entry: int, most: int) -> int:
        """Add homeless units where some are missing, if the entry may; returns how many."""
        for listing, missing in self._wanting.items():
            units = min(most, missing, self.room(entry, listing))
            if units:
                self._settle(entry, listing, units)
                return units
        return 0

    def _settle(self, entry: int, listing: int, units: int) -> None:
        self.add(entry, listing, units)
        self._wanting[listing] -= units
        if not self._wanting[listing]:
            del self._wanting[listing]

    def _by_chain(
        self, starts: list[int], spare: Sequence[int] | Mapping[int, int]
    ) -> tuple[int, int]:
        """Bring units of the first of ``starts`` with a chain to a listing that misses some.

        Returns:
            That entry, and how many: at most its ``spare`` ones; none where none has a chain.
        """
        walk = _Walk(self)
        for start in starts:
            for entry in walk.reach(start):
                for listing, missing in self._wanting.items():
                    units = min(spare[start], missing, self.room(entry, listing))
                    if units:
                        units = min(units, walk.width(entry))
                        self._settle(entry, listing, units)
                        walk.retrace(entry, units)
                        return start, units
        return -1, 0

    def _exchange(self, starts: list[int]) -> bool:
        """Push units of the last entry that the first of ``starts`` reaches out of the market."""
        walk = _Walk(self)
        for start in starts:
            reached = max((e for e in walk.reach(start) if self._used[e]), default=start)
            if reached > start:
                units = min(self._left[start], walk.width(reached))
                walk.retrace(reached, units)
                self._left[start] -= units
                self._used[start] += units
                self._left[reached] += units
                self._used[reached] -= units
                return True
        return False


class _Walk:
    """A breadth-first walk from entry to entry by listings; later starts skip what was reached."""

    def __init__(self, work: WorkingParts) -> None:
        self._work = work
        self._unseen = dict.fromkeys(range(work.listings))
        self._origin: dict[int, tuple[int, int] | None] = {}

    def reach(self, start: int) -> Iterator[int]:
        """Yield ``start`` and every entry whose unit it can push out by a chain."""
        if start in self._origin:
            return
        self._origin[start] = None
        queue = deque([start])
        while queue:
            entry = queue.popleft()
            yield entry
            for listing in self._open(entry):
                for other in sorted(self._work.column(listing)):
                    if other not in self._origin:
                        self._origin[other] = (entry, listing)
                        queue.append(other)
            if self._work.siblings(entry):
                self._swap(entry, queue)

    def _open(self, entry: int) -> Iterator[int]:
        for listing in list(self._unseen):
            if self._work.obstacle(entry, listing) is None:
                del self._unseen[listing]
                yield listing

    def _swap(self, entry: int, queue: deque[int]) -> None:
        """Where a full limit stops the entry, it can still push out its own lender's units."""
        work = self._work
        for other in work.siblings(entry):
            if other not in self._origin:
                for listing in work.row(other):
                    full = work.obstacle(entry, listing)
                    if full is not None and work.limits[other] <= full:
                        self._origin[other] = (entry, listing)
                        queue.append(other)
                        break

    def width(self, entry: int) -> int:
        """How many units the chain that reached ``entry`` can move: one where lenders on it have
        several entries, as those stand in each other's way.
        """
        work, least = self._work, sys.maxsize
        step = self._origin[entry]
        while step is not None:
            before, listing = step
            if work.siblings(entry) or work.siblings(before):
                return 1
            least = min(least, work.row(entry)[listing], work.room(before, listing))
            entry, step = before, self._origin[before]
        return least

    def retrace(self, entry: int, units: int) -> None:
        """Make the moves of the chain that reached ``entry``."""
        step = self._origin[entry]
        while step is not None:
            before, listing = step
            self._work.add(entry, listing, -units)
            self._work.add(before, listing, units)
            entry, step = before, self._origin[before]
