"""The journal: sealed entries in their order, chained by SHA-256, written as JSON lines.

A header, a line an entry, a footer, each ended by one newline::

    {"first":1,"format":"tenner-journal/1","last":2,"opening":{},"previous":"00..."}
    {"entry":{"actor":..,"effective_on":..,"id":..,"key":..,"kind":..,"number":1,"recorded_at":..,
     "reference":..,"reverses":null,"transfers":[["cash","client_bank/0","cash/7",50000],..]},
     "hash":"8f.."}
    {"closing":{"cash/7":50000,..},"entries":2,"hash":..,"pence":{"cash":..,"claims":..},
     "transfers":3}

Every line is canonical JSON: names sorted, no spaces, ASCII, whole numbers of 64 bits. So one
content has one text, and an entry's hash is SHA-256 of the 32 bytes before it followed by the text
of its ``entry`` object, as it stands in the line. ``opening`` and ``closing`` hold what isn't
nothing of each account's credits less debits, in pence. An account is ``kind/owner``, followed by
``/stripe`` when that isn't 0; a transfer is book, debit, credit and pence.

The standard library alone, so that an auditor needs nothing else to check a file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from hashlib import sha256
from json.encoder import encode_basestring_ascii
from typing import Any, NamedTuple

from accounts.core.chart import LINES, Book, ChartLine, Kind, Owner
from accounts.core.errors import AccountsRefusal

FORMAT = "tenner-journal/1"
# What stands before the first entry of a book.
START = bytes(32)
LARGEST = 2**63 - 1
# Room for about a million transfers in an entry, or for two million accounts in a header.
LONGEST_LINE = 1 << 26
BOOKS = {book: book.name.lower() for book in Book}
BOOK_NAMES = frozenset(BOOKS.values())
_ACCOUNT = re.compile(r"([a-z_]+)/(0|[1-9][0-9]{0,18})(?:/([1-9][0-9]{0,4}))?")
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)


class JournalMalformed(AccountsRefusal):
    """A journal, or a part of one, that isn't what the format says."""

    code = "JOURNAL_MALFORMED"


class JournalTransfer(NamedTuple):
    """One amount of ``pence`` from one account to another of a book, all by name.

    A tuple, since millions of them are made: half the time of a frozen dataclass.
    """

    book: str
    debit: str
    credit: str
    pence: int


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One sealed entry; ``number`` is its place in the chain, ``reverses`` the id of another."""

    number: int
    id: int
    kind: str
    key: str
    effective_on: date
    recorded_at: datetime
    actor: str
    reference: str
    reverses: int | None
    transfers: Sequence[JournalTransfer]


@dataclass(frozen=True)
class Header:
    """A file's first line: which numbers it holds, the hash before them, and balances then.

    ``last`` is ``first - 1`` in a file without entries; ``opening`` in pence, credits less debits.
    """

    first: int
    last: int
    previous: bytes
    opening: Mapping[str, int]


@dataclass(frozen=True)
class Footer:
    """A file's last line: how much it holds, pence moved by book, balances after it, last hash."""

    entries: int
    transfers: int
    pence: Mapping[str, int]
    closing: Mapping[str, int]
    hash: bytes


@lru_cache(maxsize=1 << 20)
def account_line(name: str) -> ChartLine:
    """The chart's line for an account's name.

    Raises:
        JournalMalformed: no account can have this name.
    """
    match = _ACCOUNT.fullmatch(name)
    if match is None or match[1] not in LINES:
        raise JournalMalformed(f"{name!a} is no account of the chart.")
    line = LINES[Kind(match[1])]
    owner, stripe = int(match[2]), int(match[3] or 0)
    ours = line.owner is Owner.PLATFORM
    if (owner == 0) != ours or owner > LARGEST or stripe >= line.stripes:
        raise JournalMalformed(f"{name!a} is no account of the chart.")
    return line


def account_name(kind: str, owner: int, stripe: int = 0) -> str:
    """How a journal names an account."""
    return f"{kind}/{owner}/{stripe}" if stripe else f"{kind}/{owner}"


def canonical(entry: JournalEntry) -> bytes:
    """The text of an entry that is hashed and written.

    Joined as text: several times faster than ``json.dumps``, and the same since names of accounts
    need no escape.

    Raises:
        JournalMalformed: a field that the format has no room for, such as a fraction of a penny.
    """
    if type(entry.effective_on) is not date or entry.recorded_at.tzinfo is None:
        raise JournalMalformed("An entry has a business date, and an instant with its time zone.")
    if not entry.kind or not entry.key:
        raise JournalMalformed("An entry has a kind and a key.")
    if entry.reverses == entry.id:
        raise JournalMalformed("An entry can't reverse itself.")
    reverses = "null" if entry.reverses is None else whole(entry.reverses, 1)
    # Without a zone it is written three times as fast.
    instant = entry.recorded_at.astimezone(UTC).replace(tzinfo=None).isoformat("T", "microseconds")
    _check_transfers(entry.transfers)
    rows = ",".join([f'["{b}","{d}","{c}",{p}]' for b, d, c, p in entry.transfers])
    return (
        f'{{"actor":{_quoted(entry.actor)},"effective_on":"{entry.effective_on.isoformat()}"'
        f',"id":{whole(entry.id, 1)},"key":{_quoted(entry.key)},"kind":{_quoted(entry.kind)}'
        f',"number":{whole(entry.number, 1)},"recorded_at":"{instant}Z"'
        f',"reference":{_quoted(entry.reference)},"reverses":{reverses},"transfers":[{rows}]}}'
    ).encode("ascii")


def chain(previous: bytes, content: bytes) -> bytes:
    """The hash of an entry: of the hash before it (32 bytes) and its canonical text."""
    return sha256(previous + content).digest()


@dataclass(slots=True)
class Chain:
    """The end of a chain, which grows by an entry at a time; a new book's by default."""

    number: int = 0
    hash: bytes = START

    def add(self, number: int, content: bytes) -> bytes:
        """Chain the canonical text of the next entry; returns its hash.

        Raises:
            JournalMalformed: the number isn't the next one.
        """
        if number != self.number + 1:
            raise JournalMalformed(f"Entry {self.number + 1} is expected here, not {number}.")
        self.number, self.hash = number, chain(self.hash, content)
        return self.hash

    def follow(self, number: int, content: bytes, sealed: bytes) -> None:
        """Chain an entry that was sealed before.

        Raises:
            JournalMalformed: the number isn't the next one, or the hash isn't that of the content.
        """
        if self.add(number, content) != sealed:
            raise JournalMalformed(
                f"The hash of entry {number} isn't that of its content and the hash before it."
            )


class _Nets(dict[str, int]):
    """Credits less debits of one book's accounts, in pence; a new account is checked once."""

    def __init__(self, book: Book) -> None:
        super().__init__()
        self.book = book

    def __missing__(self, name: str) -> int:
        if account_line(name).book is not self.book:
            raise JournalMalformed(f"{name} isn't an account of the {BOOKS[self.book]} book.")
        return 0


class Tally:
    """Adds up a file's entries, from its opening balances to its footer; pence throughout.

    Raises:
        JournalMalformed: opening balances of no account, of nothing, or that don't cancel out.
    """

    def __init__(self, opening: Mapping[str, int]) -> None:
        self.entries = 0
        self.transfers = 0
        self.pence = dict.fromkeys(sorted(BOOK_NAMES), 0)
        self._nets = {name: _Nets(book) for book, name in BOOKS.items()}
        for account, net in opening.items():
            self._nets[BOOKS[account_line(account).book]][account] = net
        for book, nets in self._nets.items():
            if sum(nets.values()):
                raise JournalMalformed(f"The opening balances of the {book} book don't cancel out.")

    def add(self, transfers: Sequence[JournalTransfer]) -> None:
        """Count an entry whose transfers ``canonical`` has taken.

        Raises:
            JournalMalformed: an account that pays itself or is of the other book.
        """
        nets, pence = self._nets, self.pence
        for book, debit, credit, amount in transfers:
            if debit == credit:
                raise JournalMalformed(f"{debit} can't pay itself.")
            net = nets[book]
            net[debit] -= amount
            net[credit] += amount
            pence[book] += amount
        self.entries += 1
        self.transfers += len(transfers)

    def footer(self, last: bytes) -> Footer:
        """The footer of what was counted, whose last hash is given."""
        closing = {a: net for nets in self._nets.values() for a, net in nets.items() if net}
        return Footer(self.entries, self.transfers, dict(self.pence), closing, last)


def overdrawn(closing: Mapping[str, int]) -> list[str]:
    """Members' and loans' accounts below their floor in these balances, in order of name.

    The platform's are left out: its floors hold for the sum of an account's stripes.
    """
    lines = {account: account_line(account) for account in closing}
    return sorted(
        account
        for account, line in lines.items()
        if line.floored and line.owner is not Owner.PLATFORM and line.side * closing[account] < 0
    )


def header_line(header: Header) -> bytes:
    """A file's first line.

    Raises:
        JournalMalformed: numbers out of order, or balances that can't be.
    """
    if header.last < header.first - 1:
        raise JournalMalformed("The last number of a journal isn't before its first.")
    if header.first == 1 and (header.previous != START or header.opening):
        raise JournalMalformed("Nothing comes before entry 1: no hash and no opening balances.")
    return _line(
        {
            "first": whole(header.first, 1),
            "format": FORMAT,
            "last": whole(header.last, 0),
            "opening": _balances(header.opening),
            "previous": _hex(header.previous),
        }
    )


def entry_line(content: bytes, sealed: bytes) -> bytes:
    """The line of an entry, of its canonical text and its hash.

    Raises:
        JournalMalformed: longer than a line can be.
    """
    return _fitting(b'{"entry":%b,"hash":"%b"}\n' % (content, _hex(sealed).encode("ascii")))


def footer_line(footer: Footer) -> bytes:
    """A file's last line.

    Raises:
        JournalMalformed: counts or balances that can't be.
    """
    if footer.pence.keys() != BOOK_NAMES:
        raise JournalMalformed("The footer gives the pence of both books.")
    return _line(
        {
            "closing": _balances(footer.closing),
            "entries": whole(footer.entries, 0),
            "hash": _hex(footer.hash),
            "pence": {book: whole(pence, 0) for book, pence in footer.pence.items()},
            "transfers": whole(footer.transfers, 0),
        }
    )


def journal_lines(header: Header, sealed: Iterable[tuple[JournalEntry, bytes]]) -> Iterator[bytes]:
    """A whole journal of entries in order, each with the hash under which it was sealed.

    Raises:
        JournalMalformed: an entry that is missing, or isn't what was sealed.
    """
    yield header_line(header)
    end, tally = Chain(header.first - 1, header.previous), Tally(header.opening)
    for entry, hashed in sealed:
        content = canonical(entry)
        end.follow(entry.number, content, hashed)
        tally.add(entry.transfers)
        yield entry_line(content, hashed)
    if end.number != header.last:
        raise JournalMalformed(f"The journal ends with entry {end.number}, not {header.last}.")
    yield footer_line(tally.footer(end.hash))


def whole(found: Any, least: int) -> int:
    """A whole number of 64 bits from ``least`` up, whatever was found.

    Raises:
        JournalMalformed: it is something else. True and false are no numbers, nor are numpy's.
    """
    if type(found) is not int:
        raise JournalMalformed("A whole number is missing.")
    if not least <= found <= LARGEST:
        raise JournalMalformed(f"A number isn't within {least:,} and 2^63 - 1.")
    return found


def _quoted(found: Any) -> str:
    if not isinstance(found, str):
        raise JournalMalformed("A text is missing.")
    return encode_basestring_ascii(found)


def _hex(hashed: bytes) -> str:
    if len(hashed) != len(START):
        raise JournalMalformed("A hash has 32 bytes.")
    return hashed.hex()


def _balances(nets: Mapping[str, int]) -> dict[str, int]:
    """Balances that a header or a footer can hold: of accounts, and never nothing."""
    for account, net in nets.items():
        account_line(account)
        if whole(net, -LARGEST) == 0:
            raise JournalMalformed(f"{account} is listed with a balance of nothing.")
    return dict(nets)


def _check_transfers(transfers: Sequence[JournalTransfer]) -> None:
    """Refuse what joined text would get wrong: a fraction, or a name that needs an escape."""
    try:
        if any(type(t[3]) is not int or not 0 < t[3] <= LARGEST for t in transfers):
            raise JournalMalformed("A transfer moves a whole number of pence above nothing.")
        if not {t[0] for t in transfers} <= BOOK_NAMES:
            raise JournalMalformed(f"A book is one of {', '.join(sorted(BOOK_NAMES))}.")
        for account in {t[1] for t in transfers} | {t[2] for t in transfers}:
            account_line(account)
    except TypeError as error:
        raise JournalMalformed("A transfer names its book and its accounts by text.") from error


def _line(record: Mapping[str, Any]) -> bytes:
    return _fitting(_ENCODER.encode(record).encode("ascii") + b"\n")


def _fitting(line: bytes) -> bytes:
    if len(line) > LONGEST_LINE:
        raise JournalMalformed(f"A line has at most {LONGEST_LINE:,} bytes.")
    return line
