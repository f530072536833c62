"""The journal as a file: any range of sealed entries, streamed, that ``accounts.verify`` checks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from typing import NamedTuple

from django.db import connection

from accounts.core.errors import AccountsRefusal
from accounts.core.journal import (
    START,
    Header,
    JournalEntry,
    Tally,
    account_name,
    journal_lines,
)
from accounts.selectors.journal import sealed_blocks
from accounts.selectors.sealing import last_seal

# Balances as a seal left them: of each account's latest date known then.
_BALANCES = """
SELECT a.kind, a.owner_id, a.stripe, a.side * d.balance FROM accounts_account AS a
CROSS JOIN LATERAL (
    SELECT latest_on FROM accounts_daybalance WHERE account_id = a.id AND number <= %(number)s
    ORDER BY number DESC LIMIT 1
) AS l
CROSS JOIN LATERAL (
    SELECT balance FROM accounts_daybalance
    WHERE account_id = a.id AND effective_on = l.latest_on AND number <= %(number)s
    ORDER BY number DESC LIMIT 1
) AS d
WHERE d.balance <> 0
"""


class JournalRangeRefused(AccountsRefusal):
    """A range of the journal that isn't there, or a period that ends before it begins."""

    code = "JOURNAL_RANGE_REFUSED"


class Numbers(NamedTuple):
    """A range of entries; ``last`` is ``first - 1`` where there is none."""

    first: int
    last: int


def numbers_of_period(first: date, until: date) -> Numbers:
    """The smallest range that holds every sealed entry of a period; reads all entries once.

    Args:
        first, until: business dates, ``until`` not being part of the period.

    Raises:
        JournalRangeRefused: the period ends before it begins.
    """
    if first > until:
        raise JournalRangeRefused("A period can't end before it begins.", field="until")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT min(s.number), max(s.number) FROM accounts_sealedentry AS s"
            " JOIN accounts_entry AS e ON e.id = s.entry_id"
            " WHERE e.effective_on >= %s AND e.effective_on < %s",
            [first, until],
        )
        low, high = cursor.fetchone()
    if low is None:
        end = last_seal().number
        return Numbers(end + 1, end)
    return Numbers(int(low), int(high))


def export_journal(
    numbers: Numbers, progress: Callable[[int], None] = lambda _done: None
) -> Iterator[bytes]:
    """The lines of a journal of these entries, checked against their seals while they are read.

    Memory is that of a block of entries, and of the balances of all accounts.

    Args:
        numbers: which entries.
        progress: told after each block how many entries are written.

    Raises:
        JournalRangeRefused: entries that aren't sealed.
        JournalGap, JournalMalformed: an entry is missing or isn't what was sealed; nothing that
            was handed out before is of use then.
    """
    end = last_seal().number
    first, last = numbers
    if not 1 <= first <= last + 1 <= end + 1:
        raise JournalRangeRefused(
            f"The journal holds entries 1 to {end}; a range lies within them.", field="first"
        )
    header = Header(first, last, _hash_of(first - 1), balances_at(first - 1))
    return journal_lines(header, _entries(numbers, progress))


def balances_at(number: int) -> dict[str, int]:
    """Credits less debits of each account that aren't nothing after an entry, in pence, by name."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(max(last_number), 0) FROM accounts_seal WHERE last_number <= %s",
            [number],
        )
        (sealed,) = cursor.fetchone()
        cursor.execute(_BALANCES, {"number": sealed})
        tally = Tally({account_name(*row[:3]): int(row[3]) for row in cursor.fetchall()})
    for block in sealed_blocks(sealed + 1, number):
        for entry, _ in block.entries:
            tally.add(entry.transfers)
    return dict(tally.footer(START).closing)


def _hash_of(number: int) -> bytes:
    """The hash of an entry, or of what stands before the first."""
    if number == 0:
        return START
    with connection.cursor() as cursor:
        cursor.execute("SELECT hash FROM accounts_sealedentry WHERE number = %s", [number])
        row = cursor.fetchone()
    return bytes(row[0]) if row else b""


def _entries(
    numbers: Numbers, progress: Callable[[int], None]
) -> Iterator[tuple[JournalEntry, bytes]]:
    done = 0
    for block in sealed_blocks(*numbers):
        yield from block.entries
        done += len(block.entries)
        progress(done)
