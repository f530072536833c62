"""What is sealed, what waits for it, and whether the seals still fit the book."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import numpy as np
from django.db import connection

from accounts.core.day_balances import AccountDays
from accounts.core.journal import START
from accounts.core.posting import IntArray
from accounts.selectors.bulk import fetch_columns
from accounts.selectors.journal import STORED, StoredEntry, Transfers, transfers_of

# Entries that are read first, when nothing is known of how many transfers they have.
_FIRST_LOOK = 2_000

# The transaction id below which everything in this database has ended. Transactions of the
# server's other databases write nothing here, so that they hold nothing up, and neither do those of
# the server itself, which have no user (autovacuum); one that can't be told to be of either does.
# What has ended is visible to every later statement.
_HORIZON = """
SELECT least(pg_snapshot_xmax(s)::text::bigint, (
    SELECT min(x::text::bigint) FROM pg_snapshot_xip(s) AS x
    WHERE mod(x::text::bigint, 4294967296)::text NOT IN (
        SELECT l.transactionid::text FROM pg_locks AS l JOIN pg_stat_activity AS a ON a.pid = l.pid
        WHERE l.locktype = 'transactionid' AND l.mode = 'ExclusiveLock' AND l.granted
            AND (a.datname <> current_database() OR a.usesysid IS NULL)
    )
))
FROM (SELECT pg_current_snapshot() AS s OFFSET 0) AS now
"""


@dataclass(frozen=True)
class LastSeal:
    """The last seal; before the first one, nothing up to number 0.

    Attributes:
        number: of the last entry sealed.
        hash: of that entry, 32 bytes.
        horizon: the transaction id below which every entry is sealed.
        sealed_at: when; none before the first.
    """

    number: int = 0
    hash: bytes = START
    horizon: int = 0
    sealed_at: datetime | None = None


def last_seal() -> LastSeal:
    """The last seal; one statement."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT last_number, hash, horizon, sealed_at FROM accounts_seal"
            " ORDER BY last_number DESC LIMIT 1"
        )
        row = cursor.fetchone()
    return LastSeal(row[0], bytes(row[1]), row[2], row[3]) if row else LastSeal()


@dataclass(frozen=True)
class Clock:
    """Where transaction ids are.

    Attributes:
        settled: the id below which every transaction of this database has ended.
        next: the least id that no transaction has had yet, as far as is known.
        newest: the highest that made an entry which can be seen, 0 without any.
    """

    settled: int
    next: int
    newest: int


def transaction_clock() -> Clock:
    """Where transaction ids are; two statements."""
    with connection.cursor() as cursor:
        cursor.execute(_HORIZON)
        (settled,) = cursor.fetchone()
        cursor.execute(
            "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint, coalesce((SELECT"
            " made_in::text::bigint FROM accounts_entry ORDER BY made_in DESC LIMIT 1), 0)"
        )
        upcoming, newest = cursor.fetchone()
    return Clock(settled, upcoming, newest)


def waiting_entries() -> int:
    """How many entries that can be seen aren't sealed; one statement, as long as they are many."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM accounts_entry WHERE made_in >="
            " (SELECT coalesce(max(horizon), 0) FROM accounts_seal)::text::xid8"
        )
        (count,) = cursor.fetchone()
    return int(count)


@dataclass(frozen=True)
class Unsealed:
    """The entries to be sealed next, of whole transactions.

    Attributes:
        entries: in order of transaction and id.
        transfers: theirs.
        horizon: the transaction id up to which they are all.
        more: whether others that could be sealed come after them.
    """

    entries: list[StoredEntry]
    transfers: Transfers
    horizon: int
    more: bool


class _Look(NamedTuple):
    made_in: int
    entry: StoredEntry


def unsealed(horizon: int, settled: int, most_transfers: int) -> Unsealed:
    """Entries of transactions from ``horizon`` to below ``settled``, the oldest first.

    Whole transactions until there are ``most_transfers`` transfers. Two statements a look; the
    first look finds out how many transfers an entry has, so that few follow.
    """
    looks: list[_Look] = []
    transfers = transfers_of([])
    size = _FIRST_LOOK
    while True:
        found = _look(looks[-1] if looks else None, horizon, settled, size)
        looks += found
        transfers = transfers.and_then(transfers_of([look.entry for look in found]))
        is_all = len(found) < size
        made_in = np.array([look.made_in for look in looks], dtype=np.int64)
        # Where a transaction's entries end; the last one's are complete only if all were found.
        ends = np.append(np.flatnonzero(np.diff(made_in)) + 1, [len(looks)] if is_all else [])
        ends = ends.astype(np.int64)
        enough = transfers.starts[ends] >= most_transfers
        if is_all or np.any(enough):
            break
        each = max(len(transfers.amount) / len(looks), 1)
        size = max(int((most_transfers - len(transfers.amount)) / each), 0) + _FIRST_LOOK
    place = int(ends[np.argmax(enough)] if np.any(enough) else len(looks))
    more = place < len(looks) or not is_all
    return Unsealed(
        [look.entry for look in looks[:place]],
        transfers.until(place),
        looks[place].made_in if more else settled,
        more,
    )


def _look(after: _Look | None, horizon: int, settled: int, size: int) -> list[_Look]:
    since = (after.made_in, after.entry.id) if after else (horizon, 0)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT e.made_in::text::bigint, {STORED} FROM accounts_entry AS e"
            " WHERE e.made_in >= %s::text::xid8 AND e.made_in < %s::text::xid8"
            " AND (e.made_in, e.id) > (%s::text::xid8, %s) ORDER BY e.made_in, e.id LIMIT %s",
            [since[0], settled, *since, size],
        )
        return [_Look(row[0], StoredEntry._make(row[1:])) for row in cursor.fetchall()]


def known_days(first: AccountDays) -> AccountDays:
    """The balances known by account at the latest date up to a given one, and at all later ones.

    Args:
        first: a date for each of some accounts, each once; ``pence`` isn't looked at.

    One statement, two if an account has later dates; an index probe an account.
    """
    account, day, pence = fetch_columns(
        "SELECT d.account_id::bigint, (d.effective_on - date '1970-01-01')::bigint, d.balance"
        " FROM unnest(%s::integer[]) AS a (id) CROSS JOIN LATERAL ("
        "  SELECT account_id, effective_on, balance FROM accounts_daybalance"
        "  WHERE account_id = a.id ORDER BY effective_on DESC, number DESC LIMIT 1) AS d",
        [first.account.tolist()],
        3,
    )
    place = np.searchsorted(first.account, account)
    late = day > first.day[place]
    repaired = _from_day_on(first.account[place][late], first.day[place][late])
    account, day, pence = (
        np.concatenate([mine[~late], theirs])
        for mine, theirs in zip((account, day, pence), repaired, strict=True)
    )
    order = np.lexsort((day, account))
    return AccountDays(account[order], day[order], pence[order])


def _from_day_on(account: IntArray, day: IntArray) -> list[IntArray]:
    """The newest balances of accounts, at the latest date up to a day and all later dates."""
    if not len(account):
        return [account, day, day]
    return fetch_columns(
        "SELECT d.account_id::bigint, (d.effective_on - date '1970-01-01')::bigint, d.balance"
        " FROM unnest(%s::integer[], %s::integer[]) AS a (id, day) CROSS JOIN LATERAL ("
        "  SELECT DISTINCT ON (effective_on) account_id, effective_on, balance"
        "  FROM accounts_daybalance WHERE account_id = a.id AND effective_on >= coalesce("
        "   (SELECT max(effective_on) FROM accounts_daybalance"
        "    WHERE account_id = a.id AND effective_on <= date '1970-01-01' + a.day),"
        "   date '1970-01-01' + a.day)"
        "  ORDER BY effective_on DESC, number DESC) AS d",
        [account.tolist(), day.tolist()],
        3,
    )
