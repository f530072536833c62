"""Sealing: committed entries are numbered and chained, in batches, after the fact.

Whoever posts doesn't wait for it. Entries are sealed in the order of their transactions, once every
transaction up to theirs has ended, so that none can appear later with a lower number.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from django.db import connection, transaction

from accounts.core.day_balances import AccountDays, added_up, carried_on
from accounts.core.errors import AccountsRefusal
from accounts.core.journal import Chain, canonical
from accounts.core.posting import IntArray
from accounts.selectors.journal import AccountNames, account_names, journal_entries
from accounts.selectors.known import SEALING_LOCK
from accounts.selectors.sealing import (
    Clock,
    LastSeal,
    Unsealed,
    known_days,
    last_seal,
    transaction_clock,
    unsealed,
)
from accounts.services.bulk import copy_rows

MOST_TRANSFERS = 500_000


class SealHorizonAhead(AccountsRefusal):
    """A book whose transaction ids are another server's."""

    code = "SEAL_HORIZON_AHEAD"


@dataclass(frozen=True)
class Sealed:
    """A batch that was sealed.

    Attributes:
        entries, transfers: how many; 0 if there was nothing to seal.
        last_number: of the last entry sealed so far.
        hash: of that entry, 32 bytes.
        sealed_at: when the last seal was made; none before the first.
        more: whether other entries could have been sealed too.
    """

    entries: int
    transfers: int
    last_number: int
    hash: bytes
    sealed_at: datetime | None
    more: bool


def seal(*, most_transfers: int = MOST_TRANSFERS) -> Sealed:
    """Seal a batch of entries, in a transaction of its own: all of the batch or nothing.

    Args:
        most_transfers: the batch ends with the transaction that reaches so many.

    Raises:
        SealHorizonAhead: the book came from another server, whose transaction ids were higher.
        JournalMalformed: an entry that the journal has no room for: somebody altered it.
        RuntimeError: a transaction is open already.
    """
    with transaction.atomic(durable=True):
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", SEALING_LOCK)
        last, clock = last_seal(), transaction_clock()
        _refuse_strangers(last, clock)
        batch = unsealed(last.horizon, clock.settled, most_transfers)
        if not batch.entries:
            return Sealed(0, 0, last.number, last.hash, last.sealed_at, more=False)
        transfers = batch.transfers
        names = account_names(np.concatenate([transfers.debit, transfers.credit]))
        end = _write_chain(last, batch, names)
        _write_balances(end.number, batch, names)
        sealed_at = _write_seal(last, batch, end)
    count = len(batch.entries)
    return Sealed(count, len(transfers.amount), end.number, end.hash, sealed_at, batch.more)


def seal_all(*, most_transfers: int = MOST_TRANSFERS) -> Iterator[Sealed]:
    """Seal batch after batch until nothing is left; each is committed when it is handed out.

    Raises:
        SealHorizonAhead, JournalMalformed, RuntimeError: see :func:`seal`.
    """
    while True:
        sealed = seal(most_transfers=most_transfers)
        if sealed.entries:
            yield sealed
        if not sealed.more:
            return


def _refuse_strangers(last: LastSeal, clock: Clock) -> None:
    """Refuse a book made under transaction ids that this server has yet to come to.

    Its new entries would lie behind the last seal's horizon, where none is looked for.
    """
    least = max(last.horizon, clock.newest + 1)
    if least > clock.next:
        raise SealHorizonAhead(
            f"The book knows transactions up to {least}, this server only up to {clock.next}: it"
            " was restored from another server's dump. Stop the server, run pg_resetwal"
            f" --epoch={least >> 32} --next-transaction-id={(least + 1) % 2**32} on it, or more,"
            " and start it again (docs/operations.md)."
        )


def _write_chain(last: LastSeal, batch: Unsealed, names: AccountNames) -> Chain:
    """Number and chain the entries; returns the end of the chain."""
    end = Chain(last.number, last.hash)
    hashes = bytearray()
    for entry in journal_entries(last.number + 1, batch.entries, batch.transfers, names):
        hashes += end.add(entry.number, canonical(entry))
    copy_rows(
        connection,
        "accounts_sealedentry",
        {
            "number": np.arange(last.number + 1, end.number + 1),
            "entry_id": np.array([entry.id for entry in batch.entries], dtype=np.int64),
            "hash": np.frombuffer(hashes, dtype="V32"),
        },
    )
    return end


def _write_balances(number: int, batch: Unsealed, names: AccountNames) -> None:
    """What each account touched holds at the end of each date that changes, as known now."""
    changes = _changes(batch, names)
    if not len(changes.account):
        return
    firsts = changes.firsts()
    first = AccountDays(changes.account[firsts], changes.day[firsts], changes.pence[firsts])
    new, latest = carried_on(known_days(first), changes)
    copy_rows(
        connection,
        "accounts_daybalance",
        {
            "account_id": new.account.astype(np.int32),
            "effective_on": new.day.astype("datetime64[D]"),
            "number": np.full(len(new.account), number),
            "balance": new.pence,
            "latest_on": latest.astype("datetime64[D]"),
        },
    )


def _changes(batch: Unsealed, names: AccountNames) -> AccountDays:
    """Each account's change by date, in pence and in its own sign."""
    transfers = batch.transfers
    days = np.array([entry.effective_on for entry in batch.entries], dtype="datetime64[D]")
    day = np.repeat(days.astype(np.int64), np.diff(transfers.starts))
    account: IntArray = np.concatenate([transfers.debit, transfers.credit])
    pence = np.concatenate([-transfers.amount, transfers.amount])
    sides = names.sides[names.places(account)]
    return added_up(account, np.concatenate([day, day]), sides * pence)


def _write_seal(last: LastSeal, batch: Unsealed, end: Chain) -> datetime:
    """The seal itself; returns when it was made, later than any before it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO accounts_seal (last_number, entries, transfers, horizon, hash, sealed_at)"
            " VALUES (%s, %s, %s, %s, %s,"
            "  greatest(clock_timestamp(), %s::timestamptz + interval '1 microsecond'))"
            " RETURNING sealed_at",
            [
                end.number,
                len(batch.entries),
                len(batch.transfers.amount),
                batch.horizon,
                end.hash,
                last.sealed_at,
            ],
        )
        (sealed_at,) = cursor.fetchone()
    moment: datetime = sealed_at
    return moment
