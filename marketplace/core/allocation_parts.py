"""Parts as arrays, and parts that change: what a mending works on."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from marketplace.core.arrays import IntArray, offsets_of

_SHORT_LISTINGS = 2**16


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
