"""Entries with their transfers as the journal writes them, read in bulk."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple

import numpy as np
from django.db import connection

from accounts.core.errors import AccountsRefusal
from accounts.core.journal import BOOKS, JournalEntry, JournalTransfer, account_name
from accounts.core.posting import IntArray
from accounts.selectors.bulk import fetch_columns

STORED = "e.id, e.kind, e.key, e.effective_on, e.recorded_at, e.actor, e.reference, e.reverses_id"
# Ids of entries that were sealed together lie together, except those of a transaction that took
# long: a gap of so many ids is left out of what is read, and the widest of them if there are many.
_GAP, _MOST_GAPS = 4_096, 31
# Transfers that are read at a time, about.
_BLOCK = 200_000

# What isn't a book has no name, which is the format's to refuse.
_BOOK_NAMES = defaultdict(str, {int(book): name for book, name in BOOKS.items()})


class JournalGap(AccountsRefusal):
    """Sealed entries of which one isn't there."""

    code = "JOURNAL_GAP"

    def __init__(self, number: int) -> None:
        super().__init__(f"Entry {number} of the journal is missing.")
        self.number = number


class StoredEntry(NamedTuple):
    """An entry as it is stored; the columns of ``STORED``."""

    id: int
    kind: str
    key: str
    effective_on: date
    recorded_at: datetime
    actor: str
    reference: str
    reverses: int | None


@dataclass(frozen=True)
class Transfers:
    """The transfers of entries, in the order of the entries and then of transfer ids.

    Attributes:
        starts: place of each entry's first transfer, and the end of all; shape ``(e + 1,)``.
        debit, credit: account ids, shape ``(n,)``.
        amount: pence, shape ``(n,)``.
        book: shape ``(n,)``.
    """

    starts: IntArray
    debit: IntArray
    credit: IntArray
    amount: IntArray
    book: IntArray

    def until(self, entries: int) -> Transfers:
        """Those of the first ``entries``."""
        end = int(self.starts[entries])
        columns = (self.debit, self.credit, self.amount, self.book)
        return Transfers(self.starts[: entries + 1], *(column[:end] for column in columns))

    def and_then(self, others: Transfers) -> Transfers:
        """Those of these entries, followed by those of others."""
        return Transfers(
            np.concatenate([self.starts, others.starts[1:] + self.starts[-1]]),
            np.concatenate([self.debit, others.debit]),
            np.concatenate([self.credit, others.credit]),
            np.concatenate([self.amount, others.amount]),
            np.concatenate([self.book, others.book]),
        )


def transfers_of(entries: Sequence[StoredEntry]) -> Transfers:
    """The transfers of entries, by the index on entry ids and by their dates; one statement.

    A transfer of another date than its entry's isn't the entry's: whoever altered it is found out.
    """
    ids = np.array([entry.id for entry in entries], dtype=np.int64)
    days = np.array([entry.effective_on for entry in entries], dtype="datetime64[D]")
    if not len(ids):
        nothing = np.zeros(0, dtype=np.int64)
        return Transfers(np.zeros(1, dtype=np.int64), nothing, nothing, nothing, nothing)
    sorter = np.argsort(ids)
    ranges = _ranges(ids[sorter])
    found, key, day, debit, credit, amount, book = fetch_columns(
        "SELECT entry_id, id, (effective_on - date '1970-01-01')::bigint, debit_id::bigint,"
        " credit_id::bigint, amount, book::bigint FROM accounts_transfer"
        f" WHERE effective_on BETWEEN '{days.min()}' AND '{days.max()}' AND ("
        + " OR ".join(f"entry_id BETWEEN {first} AND {last}" for first, last in ranges)
        + ")",
        [],
        7,
    )
    near = np.minimum(np.searchsorted(ids, found, sorter=sorter), len(ids) - 1)
    place = sorter[near]
    theirs = (ids[place] == found) & (days.astype(np.int64)[place] == day)
    order = np.lexsort((key[theirs], place[theirs]))
    sizes = np.bincount(place[theirs], minlength=len(ids))
    return Transfers(
        np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        *(column[theirs][order] for column in (debit, credit, amount, book)),
    )


def _ranges(ids: IntArray) -> list[tuple[int, int]]:
    """Few ranges that hold all ids, which come in order, without the widest gaps."""
    gaps = np.diff(ids)
    wide = np.flatnonzero(gaps > _GAP)
    if len(wide) > _MOST_GAPS:
        wide = np.sort(wide[np.argsort(gaps[wide])[-_MOST_GAPS:]])
    firsts = ids[np.concatenate([[0], wide + 1]).astype(np.int64)]
    lasts = ids[np.concatenate([wide, [len(ids) - 1]]).astype(np.int64)]
    return list(zip(firsts.tolist(), lasts.tolist(), strict=True))


@dataclass(frozen=True)
class AccountNames:
    """What the journal calls accounts, and their sides.

    Attributes:
        ids: in order, shape ``(n,)``.
        names: as many.
        sides: 1 or -1, shape ``(n,)``.
    """

    ids: IntArray
    names: list[str]
    sides: IntArray

    def places(self, ids: IntArray) -> IntArray:
        """Places of accounts in these columns; shape that of ``ids``."""
        found: IntArray = np.searchsorted(self.ids, ids).astype(np.int64)
        return found


def account_names(ids: IntArray) -> AccountNames:
    """Names and sides of accounts; one statement.

    An account that doesn't exist has no name, which the journal's format refuses, and no side.
    """
    wanted = np.unique(ids)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, kind, owner_id, stripe, side FROM accounts_account WHERE id = ANY (%s)",
            [wanted.tolist()],
        )
        found = {row[0]: row[1:] for row in cursor.fetchall()}
    rows = [found.get(key) for key in wanted.tolist()]
    names = [account_name(*row[:3]) if row else "" for row in rows]
    sides = np.array([row[3] if row else 0 for row in rows], dtype=np.int64)
    return AccountNames(wanted, names, sides)


def journal_entries(
    first: int, entries: Sequence[StoredEntry], transfers: Transfers, names: AccountNames
) -> Iterator[JournalEntry]:
    """The entries as the journal has them, numbered from ``first`` on."""
    debit, credit = names.places(transfers.debit), names.places(transfers.credit)
    book, name = _BOOK_NAMES.__getitem__, names.names.__getitem__
    starts = transfers.starts.tolist()
    for place, entry in enumerate(entries):
        rows = slice(starts[place], starts[place + 1])
        yield JournalEntry(
            number=first + place,
            id=entry.id,
            kind=entry.kind,
            key=entry.key,
            effective_on=entry.effective_on,
            recorded_at=entry.recorded_at,
            actor=entry.actor,
            reference=entry.reference,
            reverses=entry.reverses,
            transfers=list(
                map(
                    JournalTransfer,
                    map(book, transfers.book[rows].tolist()),
                    map(name, debit[rows].tolist()),
                    map(name, credit[rows].tolist()),
                    transfers.amount[rows].tolist(),
                )
            ),
        )


@dataclass(frozen=True)
class SealedBlock:
    """Sealed entries whose numbers follow each other, as they are stored now.

    Attributes:
        entries: each with the hash under which it was sealed.
        transfers: how many they have.
    """

    entries: list[tuple[JournalEntry, bytes]]
    transfers: int


def sealed_blocks(first: int, last: int) -> Iterator[SealedBlock]:
    """Sealed entries ``first`` to ``last`` in blocks of about as many transfers each.

    Three statements a block. Memory is that of one block, whatever the range.

    Raises:
        JournalGap: a number that isn't there.
    """
    while first <= last:
        end = min(last, first + _entries_a_block(first) - 1)
        yield _sealed_block(first, end)
        first = end + 1


def _entries_a_block(number: int) -> int:
    """How many entries from ``number`` on have about a block's transfers, by their seal's mean."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT greatest(1, least(last_number - %s + 1, %s * entries / greatest(transfers, 1)))"
            " FROM accounts_seal WHERE last_number >= %s ORDER BY last_number LIMIT 1",
            [number, _BLOCK, number],
        )
        row = cursor.fetchone()
    return int(row[0]) if row else 1


def _sealed_block(first: int, last: int) -> SealedBlock:
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT s.number, s.hash, {STORED} FROM accounts_sealedentry AS s"
            " JOIN accounts_entry AS e ON e.id = s.entry_id"
            " WHERE s.number BETWEEN %s AND %s ORDER BY s.number",
            [first, last],
        )
        rows = cursor.fetchall()
    for expected, row in enumerate(rows, start=first):
        if row[0] != expected:
            raise JournalGap(expected)
    if len(rows) != last - first + 1:
        raise JournalGap(first + len(rows))
    entries = [StoredEntry._make(row[2:]) for row in rows]
    transfers = transfers_of(entries)
    names = account_names(np.concatenate([transfers.debit, transfers.credit]))
    made = journal_entries(first, entries, transfers, names)
    hashes = [bytes(row[1]) for row in rows]
    return SealedBlock(list(zip(made, hashes, strict=True)), len(transfers.amount))
