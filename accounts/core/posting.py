"""What is handed to the posting gate: entries, and the transfers that belong to them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from operator import mul

import numpy as np
import numpy.typing as npt

from accounts.core.chart import Book
from accounts.core.errors import AccountsRefusal, AmountRefused
from accounts.core.money import LARGEST_PENCE

IntArray = npt.NDArray[np.int64]


class PostingMalformed(AccountsRefusal):
    """A posting whose arrays disagree, or with an entry that moves nothing."""

    code = "POSTING_MALFORMED"


# A row of numbers for each of two unlike sums, and the finisher of splitmix64 (Steele, Lea and
# Flood, 2014), after which rows that differ in a bit have nothing in common.
_FACTORS = np.array(
    [
        [0x9E3779B97F4A7C15, 0xD1B54A32D192ED03, 0xABC98388FB8FAC03, 0x8CB92BA72F3D8DD7],
        [0xF1357AEA2E62A9C5, 0xDB4F0B9175AE2165, 0xA0761D6478BD642F, 0xE7037ED1A0B428DB],
    ],
    dtype=np.uint64,
)
_MIX = (
    (np.uint64(30), np.uint64(0xBF58476D1CE4E5B9)),
    (np.uint64(27), np.uint64(0x94D049BB133111EB)),
)
_LAST_SHIFT = np.uint64(31)
# The same in plain integers, for postings of so few transfers that numpy is the slower way.
_SINGLE = 4
_FACTOR_ROWS = _FACTORS.tolist()
_MIX_STEPS = tuple((int(shift), int(factor)) for shift, factor in _MIX)
_MASK = 2**64 - 1
# Accounts have ids of 32 bits.
_LARGEST_ID = 2**31 - 1
# A line of the journal has room for so many, whatever their accounts and amounts.
_MOST_TRANSFERS = 500_000
_MANY = 10_000
# Debit accounts whose ids differ in the lower 12 bits only are near: some hundred index pages.
_NEAR = 12

_NO_ACCOUNT = "An account's id is a whole number of 32 bits above zero."
_PAYS_ITSELF = "An account can't pay itself."
_NO_AMOUNT = "A transfer moves a whole number of pence above zero."

_NOTHING = np.zeros((5, 0), dtype=np.int64)

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
    DEPOSIT_UNKNOWN = "deposit_unknown"
    DEPOSIT_REVERSED = "deposit_reversed"
    SUSPENSE_ASSIGNED = "suspense_assigned"
    SUSPENSE_RETURNED = "suspense_returned"
    WITHDRAWAL_CANCELLED = "withdrawal_cancelled"
    WITHDRAWAL_REJECTED = "withdrawal_rejected"
    WITHDRAWAL_RETURNED = "withdrawal_returned"
    DEBT_REPAID = "debt_repaid"
    ADVANCED = "advanced"
    FEES_SWEPT = "fees_swept"
    BANK_MOVED = "bank_moved"
    BANK_UNEXPLAINED = "bank_unexplained"
    REVERSED = "reversed"
    PAYMENT_BOUNCED = "payment_bounced"
    LOAN_CORRECTED = "loan_corrected"
    LOAN_CHANGED = "loan_changed"
    CLAIM_WRITTEN_OFF = "claim_written_off"
    FUND_PAID = "fund_paid"
    FEE_REFUNDED = "fee_refunded"
    COLLECTED = "collected"
    COLLECTION_UNPAID = "collection_unpaid"
    MATCH_CANCELLED = "match_cancelled"


# Entries about money alone, which another entry can take back without anything else to undo.
REVERSIBLE = frozenset(
    {EntryKind.DEPOSIT, EntryKind.ADVANCED, EntryKind.DEBT_REPAID, EntryKind.FEES_SWEPT}
)


@dataclass(frozen=True)
class EntryDraft:
    """One thing that happened.

    Attributes:
        kind: what happened.
        key: idempotency key, unique in the whole book; prefix it with the operation and its scope.
        effective_on: the business date.
        actor: who caused it, as a reference without personal data (``member:7``, ``cycle:3``).
        reference: what it is about (``loan:12``), without personal data.
        reverses: id of the entry that this one takes back, if it does.
    """

    kind: EntryKind
    key: str
    effective_on: date
    actor: str
    reference: str
    reverses: int | None = None

    def check(self) -> None:
        """Refuse a key or a text that is not stored as it is.

        Raises:
            PostingMalformed: it is too long, has a NUL in it, or there is no key.
        """
        if "\0" in self.key + self.actor + self.reference:
            raise PostingMalformed("An entry's texts have no NUL in them.")
        if not 0 < len(self.key) <= LONGEST_KEY:
            raise PostingMalformed(f"An entry's key has 1 to {LONGEST_KEY} characters.")
        if max(len(self.actor), len(self.reference)) > LONGEST_REFERENCE:
            raise PostingMalformed(
                f"An entry's actor and reference have up to {LONGEST_REFERENCE} characters."
            )


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
        columns = (self.entry, self.debit, self.credit, self.amount, self.book)
        if len({len(column) for column in columns}) != 1:
            raise PostingMalformed("The columns of a posting must have one length.")
        if len(self.entry) and self.entry.min() < 0:
            raise PostingMalformed("A transfer's entry is a place in the list of entries.")
        transfers = np.bincount(self.entry, minlength=len(self.entries))
        if len(transfers) != len(self.entries) or not transfers.all():
            raise PostingMalformed("Every entry must have a transfer, and every transfer an entry.")
        if len({entry.key for entry in self.entries}) != len(self.entries):
            raise PostingMalformed("Two entries of one posting have the same key.")
        if transfers.max(initial=0) > _MOST_TRANSFERS:
            raise PostingMalformed(f"An entry has at most {_MOST_TRANSFERS:,} transfers.")
        for entry in self.entries:
            entry.check()
        self._check_moves()
        return self

    def _check_moves(self) -> None:
        """Refuse transfers between accounts that can't be, and of amounts that can't be."""
        for ids in (self.debit, self.credit):
            if len(ids) and not 0 < ids.min() <= ids.max() <= _LARGEST_ID:
                raise PostingMalformed(_NO_ACCOUNT)
        if (self.debit == self.credit).any():
            raise PostingMalformed(_PAYS_ITSELF)
        if len(self.amount) and not 0 < self.amount.min() <= self.amount.max() <= LARGEST_PENCE:
            raise AmountRefused(_NO_AMOUNT)

    def digests(self) -> list[bytes]:
        """A digest of each entry's content, so that a key used again can be compared.

        SHA-256 over what the entry says and over two 64-bit sums of its transfers, each mixed by
        itself: the order in which they were given does not matter, and nothing need be sorted.
        """
        sizes = np.bincount(self.entry, minlength=len(self.entries)).tolist()
        return list(map(_digest, self.entries, sizes, *self._sums(len(self.entries))))

    def _sums(self, count: int) -> list[list[int]]:
        """The mixed transfers of each entry added up modulo 2**64, twice; two rows of ``count``."""
        columns = (self.debit, self.credit, self.amount, self.book)
        if len(self.entry) <= _SINGLE:
            return _sums_of_few(self.entry.tolist(), [c.tolist() for c in columns], count)
        mixed = _FACTORS @ np.stack(columns).view(np.uint64)
        for shift, factor in _MIX:
            mixed ^= mixed >> shift
            mixed *= factor
        mixed ^= mixed >> _LAST_SHIFT
        totals = np.zeros((2, count), dtype=np.uint64)
        for total, values in zip(totals, mixed, strict=True):
            np.add.at(total, self.entry, values)
        return totals.tolist()

    def for_storage(self) -> Posting:
        """The same posting with its transfers in the order in which they are best written.

        Of many, rows of near debit accounts lie together, and within those rise by credit account:
        so both indexes by account are written in long runs through few pages, not at random. Few
        stay as they were given, which is how people want to read them.
        """
        if len(self.entry) < _MANY:
            return self
        order = np.argsort((self.debit >> _NEAR << 32) | self.credit, kind="stable")
        columns = (self.entry, self.debit, self.credit, self.amount, self.book)
        return Posting(self.entries, *(column[order] for column in columns))


def _sums_of_few(entry: list[int], columns: list[list[int]], count: int) -> list[list[int]]:
    """What :meth:`Posting._sums` gives, without numpy, whose every step costs a microsecond."""
    totals = [[0] * count, [0] * count]
    for total, factors in zip(totals, _FACTOR_ROWS, strict=True):
        for place, *transfer in zip(entry, *columns, strict=True):
            mixed = sum(map(mul, factors, transfer)) & _MASK
            for shift, factor in _MIX_STEPS:
                mixed = (mixed ^ mixed >> shift) * factor & _MASK
            total[place] = total[place] + (mixed ^ mixed >> 31) & _MASK
    return totals


def _digest(entry: EntryDraft, size: int, first: int, second: int) -> bytes:
    """See :meth:`Posting.digests`."""
    return hashlib.sha256(
        f"{entry.kind}|{entry.effective_on.isoformat()}|{entry.reference}|"
        f"{entry.reverses}|{size}|{first}|{second}".encode()
    ).digest()


@dataclass(frozen=True)
class SingleTransfer:
    """One entry with one transfer, the commonest posting by far, without arrays.

    Attributes:
        entry: what happened.
        debit, credit: account ids.
        amount: pence, above zero.
        book: which book.
    """

    entry: EntryDraft
    debit: int
    credit: int
    amount: int
    book: Book

    def check(self) -> None:
        """Refuse what :meth:`Posting.checked` refuses.

        Raises:
            PostingMalformed: an account that can't be, or that pays itself, or a key that can't be.
            AmountRefused: an amount that is not a whole number above zero and within bounds.
        """
        if type(self.debit) is not int or type(self.credit) is not int:
            raise PostingMalformed(_NO_ACCOUNT)
        if not (0 < self.debit <= _LARGEST_ID and 0 < self.credit <= _LARGEST_ID):
            raise PostingMalformed(_NO_ACCOUNT)
        if self.debit == self.credit:
            raise PostingMalformed(_PAYS_ITSELF)
        if type(self.amount) is not int or not 0 < self.amount <= LARGEST_PENCE:
            raise AmountRefused(_NO_AMOUNT)
        self.entry.check()

    def digest(self) -> bytes:
        """The digest of the same posting with arrays: see :meth:`Posting.digests`."""
        columns = [[self.debit], [self.credit], [self.amount], [int(self.book)]]
        [first], [second] = _sums_of_few([0], columns, 1)
        return _digest(self.entry, 1, first, second)


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
    blocks = []
    for leg in legs:
        values = (leg.entry, leg.debit, leg.credit, leg.amount, int(leg.book))
        sizes = [size for size in map(_size, values) if size is not None]
        block = np.empty((5, 0 if 0 in sizes else max(sizes, default=1)), dtype=np.int64)
        for row, value in zip(block, values, strict=True):
            row[:] = value
        blocks.append(block)
    table = blocks[0] if len(blocks) == 1 else np.concatenate([_NOTHING, *blocks], axis=1)
    if not table[3].all():
        table = np.ascontiguousarray(table[:, table[3] != 0])
    return Posting(tuple(entries), *table).checked()


def _size(column: IntArray | int) -> int | None:
    """How many rows a column has, or None for a number that stands for as many as there are.

    Raises:
        AmountRefused: fractions, which must not be cut off in silence.
    """
    if type(column) is int:
        return None
    array = np.asarray(column)
    if array.dtype.kind not in "iu":
        raise AmountRefused("Accounts and amounts are whole numbers.")
    return array.size if array.ndim else None
