"""What is handed to the posting gate: entries, and the transfers that belong to them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from accounts.core.chart import Book
from accounts.core.errors import AccountsRefusal, AmountRefused
from accounts.core.money import LARGEST_PENCE

IntArray = npt.NDArray[np.int64]


class PostingMalformed(AccountsRefusal):
    """A posting whose arrays disagree, or with an entry that moves nothing."""

    code = "POSTING_MALFORMED"


LONGEST_KEY = 200
LONGEST_REFERENCE = 60


class EntryKind(StrEnum):
    """What happened."""

    DEPOSIT = "deposit"
    WITHDRAWAL_SENT = "withdrawal_sent"
    WITHDRAWAL_CONFIRMED = "withdrawal_confirmed"
    OFFER_PLACED = "offer_placed"
    OFFER_CANCELLED = "offer_cancelled"
    MATCHED = "matched"
    PAID_OUT = "paid_out"
    INTEREST_FELL_DUE = "interest_fell_due"
    PAYMENT_RECEIVED = "payment_received"
    PAYMENT_DISTRIBUTED = "payment_distributed"


@dataclass(frozen=True)
class EntryDraft:
    """One thing that happened.

    Attributes:
        kind: what happened.
        key: idempotency key, unique in the whole book; prefix it with the operation and its scope.
        effective_on: the business date.
        actor: who caused it, as a reference without personal data (``member:7``, ``cycle:3``).
        reference: what it is about (``loan:12``), without personal data.
    """

    kind: EntryKind
    key: str
    effective_on: date
    actor: str
    reference: str


@dataclass(frozen=True)
class Posting:
    """Entries and their transfers as columns.

    Attributes:
        entries: the entries, in order.
        entry: place of each transfer's entry in ``entries``, shape ``(n,)``.
        debit, credit: account ids, shape ``(n,)``.
        amount: pence, above zero, shape ``(n,)``.
        book: :class:`Book` of each transfer, shape ``(n,)``.
    """

    entries: tuple[EntryDraft, ...]
    entry: IntArray
    debit: IntArray
    credit: IntArray
    amount: IntArray
    book: IntArray

    def checked(self) -> Posting:
        """This posting, once its arrays are known to fit.

        Raises:
            PostingMalformed: arrays of different lengths, an entry without transfers, a key twice
                or too long, an account paying itself.
            AmountRefused: an amount that is not above zero and within bounds.
        """
        lengths = {len(a) for a in (self.entry, self.debit, self.credit, self.amount, self.book)}
        if len(lengths) != 1:
            raise PostingMalformed("The columns of a posting must have one length.")
        used = np.unique(self.entry)
        if len(used) != len(self.entries) or (len(used) and used[-1] != len(self.entries) - 1):
            raise PostingMalformed("Every entry must have a transfer, and every transfer an entry.")
        if len({entry.key for entry in self.entries}) != len(self.entries):
            raise PostingMalformed("Two entries of one posting have the same key.")
        for entry in self.entries:
            if not 0 < len(entry.key) <= LONGEST_KEY:
                raise PostingMalformed(f"An entry's key has 1 to {LONGEST_KEY} characters.")
            if max(len(entry.actor), len(entry.reference)) > LONGEST_REFERENCE:
                raise PostingMalformed(
                    f"An entry's actor and reference have up to {LONGEST_REFERENCE} characters."
                )
        if np.any(self.debit == self.credit):
            raise PostingMalformed("An account can't pay itself.")
        if np.any(self.amount <= 0) or np.any(self.amount > LARGEST_PENCE):
            raise AmountRefused("A transfer moves a whole number of pence above zero.")
        return self

    def digests(self) -> list[bytes]:
        """SHA-256 of each entry's content, so that a key used again can be compared.

        The order in which an entry's transfers were given does not matter.
        """
        order = np.lexsort((self.amount, self.credit, self.debit, self.book, self.entry))
        rows = np.stack(
            [self.book[order], self.debit[order], self.credit[order], self.amount[order]], axis=1
        ).astype(">i8")
        bounds = np.searchsorted(self.entry[order], np.arange(len(self.entries) + 1))
        return [
            hashlib.sha256(
                f"{entry.kind}|{entry.effective_on.isoformat()}|{entry.reference}|".encode()
                + rows[bounds[place] : bounds[place + 1]].tobytes()
            ).digest()
            for place, entry in enumerate(self.entries)
        ]


@dataclass(frozen=True)
class Leg:
    """A block of transfers of one book that belong to given entries; scalars are broadcast."""

    entry: IntArray | int
    debit: IntArray | int
    credit: IntArray | int
    amount: IntArray | int
    book: Book


def posting(entries: Sequence[EntryDraft], legs: Sequence[Leg]) -> Posting:
    """Put blocks of transfers together into one checked posting; zero amounts are left out.

    Raises:
        PostingMalformed, AmountRefused: see :meth:`Posting.checked`.
    """
    columns: list[IntArray] = []
    for leg in legs:
        parts = np.broadcast_arrays(
            np.atleast_1d(np.asarray(leg.entry, dtype=np.int64)),
            np.asarray(leg.debit, dtype=np.int64),
            np.asarray(leg.credit, dtype=np.int64),
            np.asarray(leg.amount, dtype=np.int64),
            np.int64(leg.book),
        )
        columns.append(np.stack(parts))
    table = np.concatenate(columns, axis=1) if columns else np.zeros((5, 0), dtype=np.int64)
    table = table[:, table[3] != 0]
    return Posting(tuple(entries), *(np.ascontiguousarray(row) for row in table)).checked()
