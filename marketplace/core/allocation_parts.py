"""Parts as arrays, and parts that change: what a mending works on."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from marketplace.core.arrays import BoolArray, IntArray, offsets_of

KeyArray = npt.NDArray[Any]  # of 32 or 64 bits without sign, as far as the numbers need

_SHORT_LISTINGS = 2**16
_TRIES = 8  # rounds of exchanges, each with rows twice as far away
_NEAREST = 8  # rows on either side among which the first partners are
_CANDIDATES = 2_000  # partners looked at in a round, as long as few units are out of place
_MOST_CANDIDATES = 64  # for one unit


@dataclass(frozen=True, slots=True)
class Parts:
    """Whose units are in which listing: by row (an entry or a piece), then by listing.

    Attributes:
        row, listing, units: ``int64 [K]``; each pair once, units positive.
    """

    row: IntArray
    listing: IntArray
    units: IntArray


@dataclass(frozen=True, slots=True)
class Rules:
    """What parts must obey, ``E`` entries in queue order and ``n`` listings.

    Attributes:
        lender: ``int64 [E]``, dense numbers from 0.
        budgets, limits: ``[E]``, units.
        demands: ``[n]``, units.
        held: units that a lender already has in a listing's borrower, by lender and listing.
    """

    lender: IntArray
    budgets: IntArray
    limits: IntArray
    demands: IntArray
    held: dict[tuple[int, int], int]


class WorkingParts:
    """Parts that change: rows and listings are turned into dicts when they are first touched.

    Attributes:
        entries, listings: how many there are.
        lender, limits: by entry.
        several: the entries, by limit, of each lender that has several.
    """

    def __init__(self, parts: Parts, rules: Rules) -> None:
        self._given, self._rules = parts, rules
        self.entries: int = rules.lender.shape[0]
        self.listings: int = rules.demands.shape[0]
        self.limits: list[int] = rules.limits.tolist()
        self.lender: list[int] = rules.lender.tolist()
        self.several = _siblings(rules)
        self._held = rules.held
        self._held_pairs = Counter(lender for lender, _ in rules.held)
        counts = np.bincount(parts.row, minlength=self.entries)
        self._row_start: list[int] = offsets_of(counts).tolist()
        self._by_listing: tuple[IntArray, list[int]] | None = None
        self._rows: dict[int, dict[int, int]] = {}
        self._columns: dict[int, set[int]] = {}
        self._changed: set[int] = set()

    def sums(self, index: IntArray, size: int) -> IntArray:
        """Return the units as they were given, summed by row or by listing."""
        return np.bincount(index, self._given.units, size).astype(np.int64)

    def row(self, entry: int) -> dict[int, int]:
        """Units by listing of one entry."""
        found = self._rows.get(entry)
        if found is None:
            own = slice(self._row_start[entry], self._row_start[entry + 1])
            listings, units = self._given.listing[own], self._given.units[own]
            found = dict(zip(listings.tolist(), units.tolist(), strict=True))
            self._rows[entry] = found
        return found

    def column(self, listing: int) -> set[int]:
        """The entries with units in one listing."""
        found = self._columns.get(listing)
        if found is None:
            if self._by_listing is None:
                self._by_listing = _by_listing(self._given.listing, self.listings)
            order, start = self._by_listing
            found = set(self._given.row[order[start[listing] : start[listing + 1]]].tolist())
            for entry in self._changed:
                if listing in self._rows[entry]:
                    found.add(entry)
                else:
                    found.discard(entry)
            self._columns[listing] = found
        return found

    def add(self, entry: int, listing: int, units: int) -> None:
        """Change what an entry has in a listing; its budget and the demand are not touched."""
        row, column = self.row(entry), self._columns.get(listing)
        now = row.get(listing, 0) + units
        if now:
            row[listing] = now
        else:
            del row[listing]
        if column is not None:
            (column.add if now else column.discard)(entry)
        self._changed.add(entry)

    def most(self, entry: int, listing: int) -> int:
        """What the lender's entries up to this one's limit may have in the listing together."""
        held = self._held.get((self.lender[entry], listing), 0)
        return max(0, self.limits[entry] - held)

    def siblings(self, entry: int) -> tuple[int, ...]:
        """The entries of the same lender by limit; none if the entry is alone."""
        return self.several.get(self.lender[entry], ())

    def obstacle(self, entry: int, listing: int) -> int | None:
        """Return the lowest limit from the entry's own up that is full, if any is."""
        own = self.limits[entry]
        siblings = self.siblings(entry)
        if not siblings:
            is_open = self.row(entry).get(listing, 0) < self.most(entry, listing)
            return None if is_open else own
        total, last = 0, len(siblings) - 1
        for place, sibling in enumerate(siblings):
            limit = self.limits[sibling]
            total += self.row(sibling).get(listing, 0)
            is_top = place == last or self.limits[siblings[place + 1]] != limit
            if is_top and limit >= own and total >= self.most(sibling, listing):
                return limit
        return None

    def room(self, entry: int, listing: int) -> int:
        """How many units the entry may add in the listing; none where there is an obstacle."""
        siblings = self.siblings(entry)
        if not siblings:
            return max(self.most(entry, listing) - self.row(entry).get(listing, 0), 0)
        least, total, own = self.most(siblings[-1], listing), 0, self.limits[entry]
        for place, sibling in enumerate(siblings, start=1):
            total += self.row(sibling).get(listing, 0)
            is_top = self.limits[sibling] != self.limits[siblings[min(place, len(siblings) - 1)]]
            if self.limits[sibling] >= own and (is_top or place == len(siblings)):
                least = min(least, self.most(sibling, listing) - total)
        return max(least, 0)

    def open_places(self, entry: int) -> set[int]:
        """The listings where the entry may have room; exact if its lender has no other entry."""
        if self.siblings(entry):
            return set(range(self.listings))
        row = self.row(entry)
        places = set(range(self.listings)).difference(row)
        if self.limits[entry] > 1:
            places.update(row)
        if not self._held_pairs.get(self.lender[entry]):
            limit = self.limits[entry]
            return {j for j in places if row.get(j, 0) < limit}
        return {j for j in places if row.get(j, 0) < self.most(entry, j)}

    def is_full(self, entry: int) -> bool:
        """Whether the entry is at its limit everywhere, so that no chain leaves it."""
        if self.siblings(entry):
            return False
        touched = len(self.row(entry)) + self._held_pairs.get(self.lender[entry], 0)
        if self.limits[entry] and touched < self.listings:
            return False
        return not self.open_places(entry)

    def suspects(self) -> list[tuple[int, int]]:
        """One entry and listing for each lender's pair that may hold too much."""
        given, lender = self._given, self._rules.lender
        over = np.flatnonzero(given.units > self._rules.limits[given.row])
        found = dict.fromkeys(
            (int(lender[given.row[part]]), int(given.listing[part])) for part in over.tolist()
        )
        found.update(dict.fromkeys(self._held))
        first = np.zeros(int(lender.max(initial=-1)) + 1, dtype=np.int64)
        first[lender[::-1]] = np.arange(lender.shape[0])[::-1]
        pairs = [(int(first[one]), listing) for one, listing in found if one < first.shape[0]]
        return sorted(pairs)

    def has_changed(self) -> bool:
        """Whether anything has been moved or taken out."""
        return bool(self._changed)

    def parts(self) -> Parts:
        """Return the parts as they are now."""
        given, start = self._given, self._row_start
        rows: list[IntArray] = []
        listings: list[IntArray] = []
        units: list[IntArray] = []
        done = 0
        for entry in sorted(self._changed):
            row = self._rows[entry]
            own, names = slice(done, start[entry]), sorted(row)
            rows += [given.row[own], np.full(len(row), entry)]
            listings += [given.listing[own], np.array(names, dtype=np.int64)]
            units += [given.units[own], np.array([row[j] for j in names], dtype=np.int64)]
            done = start[entry + 1]
        return Parts(
            np.concatenate([*rows, given.row[done:]]),
            np.concatenate([*listings, given.listing[done:]]),
            np.concatenate([*units, given.units[done:]]),
        )


def key_kind(rows: int, listings: int) -> Any:
    """The narrowest type for keys: ``row << listings.bit_length() | listing``."""
    return np.uint32 if rows.bit_length() + listings.bit_length() <= 32 else np.uint64


def exchange(keys: KeyArray, bits: int, limits: IntArray, held: KeyArray) -> int:
    """Exchange units above limits with units of rows nearby, in place; return how many are left.

    A unit out of place takes the listing of another row's unit, which takes its own. So rows and
    listings keep their units, and as rows are in order of rate, the listings' rates hardly change.
    Only exchanges that are valid whichever others are made: what has been given away still counts.

    Args:
        keys: of each unit, sorted: row | listing, the latter in the last ``bits`` bits.
        bits: of the listing.
        limits: ``int64 [rows]``, units of one row in one listing.
        held: keys of units that rows hold besides, sorted.
    """
    kind: Any = keys.dtype.type
    left = _above(keys, bits, limits, held)
    if not left.size:
        return 0
    start = np.searchsorted(keys, np.arange(limits.shape[0] + 1, dtype=kind) << kind(bits))
    is_loose = np.zeros(keys.shape[0], dtype=np.bool_)
    is_loose[left] = True
    now, taken = keys.copy(), held
    for attempt in range(_TRIES):
        row = (now[left] >> kind(bits)).astype(np.int64)
        position, whose = _partners(left, row, start, attempt)
        mine_now, other = now[left, None], now[position]
        swap = (mine_now ^ other) & kind((1 << bits) - 1)
        mine, theirs = mine_now ^ swap, other ^ swap
        valid = (whose != row[:, None]) & ~is_loose[position]
        valid &= ~_is_full(keys, taken, mine, limits[row, None])
        good = np.nonzero(valid)
        valid[good] = ~_is_full(keys, taken, theirs[good], limits[whose[good]])
        column = valid.argmax(axis=1)
        chosen = np.flatnonzero(valid[np.arange(row.shape[0]), column])
        position, mine, theirs = (
            table[chosen, column[chosen]] for table in (position, mine, theirs)
        )
        apart = _apart(position) & _apart(mine, theirs)
        chosen, position, mine, theirs = (c[apart] for c in (chosen, position, mine, theirs))
        now[left[chosen]], now[position] = mine, theirs
        taken = np.sort(np.concatenate([taken, mine, theirs]))
        left = np.delete(left, chosen)
        if not left.size:
            break
    now.sort(kind="stable")  # nearly sorted as it is: one pass
    keys[:] = now
    # A unit may have come right as another of its pair was taken in exchange.
    return int(_above(keys, bits, limits, held).shape[0]) if left.size else 0


def _partners(
    left: IntArray, row: IntArray, start: IntArray, attempt: int
) -> tuple[IntArray, IntArray]:
    """Return places of units in rows nearby, and those rows, ``[units out of place, tries]``.

    Rows are drawn alike, whatever their size: those with few units are the most likely to take any.
    """
    rows = start.shape[0] - 1
    tries = np.arange(min(max(_CANDIDATES // left.shape[0], 1), _MOST_CANDIDATES))
    number = left[:, None] * 7919 + (tries + attempt * _MOST_CANDIDATES) * 104_729
    away = number % (2 * (_NEAREST << attempt)) - (_NEAREST << attempt)
    other = row[:, None] + away + (away >= 0)
    other = np.clip(
        np.where((other < 0) | (other >= rows), 2 * row[:, None] - other, other), 0, rows - 1
    )
    units = start[other + 1] - start[other]
    position = start[other] + (number >> 4) % np.maximum(units, 1)
    return np.minimum(position, start[-1] - 1), np.where(units > 0, other, row[:, None])


def _above(keys: KeyArray, bits: int, limits: IntArray, held: KeyArray) -> IntArray:
    """Return the places of units that are above their rows' limits, what is held included."""
    kind: Any = keys.dtype.type
    places: list[IntArray] = []
    if (limits == 1).all():
        places.append(np.flatnonzero(keys[1:] == keys[:-1]) + 1)
    else:
        most = limits[(keys >> kind(bits)).astype(np.int64)]
        before = np.arange(keys.shape[0]) - most
        places.append(np.flatnonzero((before >= 0) & (keys[np.maximum(before, 0)] == keys)))
    if held.size:
        pairs, units = np.unique(held, return_counts=True)
        start, end = np.searchsorted(keys, pairs), np.searchsorted(keys, pairs, side="right")
        over = units + (end - start) - limits[(pairs >> kind(bits)).astype(np.int64)]
        over = np.clip(over, 0, end - start)
        first = np.repeat(end - np.cumsum(over), over)
        places.append(first + np.arange(first.shape[0]))
        return np.unique(np.concatenate(places))
    return places[0]


def _is_full(keys: KeyArray, taken: KeyArray, wanted: KeyArray, limits: IntArray) -> BoolArray:
    """Whether a pair has its limit among the keys, or any unit among those taken besides."""
    place = np.searchsorted(keys, wanted) + np.maximum(limits, 1) - 1
    full = np.broadcast_to(limits == 0, wanted.shape).copy()
    full |= keys[np.minimum(place, keys.shape[0] - 1)] == wanted
    if taken.size:
        place = np.minimum(np.searchsorted(taken, wanted), taken.shape[0] - 1)
        full |= taken[place] == wanted
    return full


def _apart(*columns: npt.NDArray[Any]) -> BoolArray:
    """Return the rows none of whose values stands in an earlier place of any column, ``[N]``."""
    values = np.concatenate(columns)
    is_first = np.zeros(values.shape[0], dtype=np.bool_)
    is_first[np.unique(values, return_index=True)[1]] = True
    apart: BoolArray = np.logical_and.reduce(is_first.reshape(len(columns), -1), axis=0)
    return apart


def parts_of(keys: KeyArray, bits: int) -> Parts:
    """Return the parts of units' sorted keys: row | listing."""
    kind: Any = keys.dtype.type
    is_new = np.ones(keys.shape[0], dtype=np.bool_)
    np.not_equal(keys[1:], keys[:-1], out=is_new[1:])
    if is_new.all():
        units = np.ones(keys.shape[0], dtype=np.int64)
    else:
        first = np.flatnonzero(is_new)
        units, keys = np.diff(first, append=keys.shape[0]), keys[first]
    listing = keys & kind((1 << bits) - 1)
    return Parts((keys >> kind(bits)).astype(np.int64), listing.astype(np.int64), units)


def _by_listing(listing: IntArray, listings: int) -> tuple[IntArray, list[int]]:
    """Return the order of the parts by listing, and where each listing starts in it."""
    short = listing.astype(np.uint16) if listings < _SHORT_LISTINGS else listing
    order = np.argsort(short, kind="stable")  # short ones are sorted by radix, in two passes
    return order, offsets_of(np.bincount(listing, minlength=listings)).tolist()


def _siblings(rules: Rules) -> dict[int, tuple[int, ...]]:
    """The entries, by limit, of each lender that has several."""
    several = np.bincount(rules.lender, minlength=1) > 1
    rows = np.flatnonzero(several[rules.lender]) if rules.lender.size else rules.lender
    found: dict[int, list[int]] = {}
    for row in rows[np.lexsort((rows, rules.limits[rows]))].tolist():
        found.setdefault(int(rules.lender[row]), []).append(row)
    return {lender: tuple(entries) for lender, entries in found.items()}
