"""What the ledger's benchmarks share: a funded book, posting in bulk, a table to compare with."""

from __future__ import annotations

from datetime import date

import numpy as np
from django.db import connections, transaction

from accounts.core.chart import Book, Kind
from accounts.core.posting import EntryDraft, EntryKind, IntArray, Leg, posting
from accounts.selectors.ledger import account_ids, platform_accounts
from accounts.services.opening import open_accounts
from accounts.services.posting import Posted, post

DAY = date(2016, 4, 1)
FUNDS = 10_000_000


def make_twin(table: str, of: str) -> None:
    """A table of the same shape, partitions and indexes, without triggers, checks, foreign keys."""
    with connections["owner"].cursor() as cursor:
        cursor.execute(f"DROP TABLE IF EXISTS {table}")
        cursor.execute("SELECT pg_get_partkeydef(%s::regclass)", [of])
        (key,) = cursor.fetchone()
        cursor.execute(
            f"CREATE TABLE {table}"
            f" (LIKE {of} INCLUDING IDENTITY INCLUDING INDEXES INCLUDING DEFAULTS)"
            + (f" PARTITION BY {key}" if key else "")
        )
        cursor.execute(
            "SELECT pg_get_expr(c.relpartbound, c.oid) FROM pg_inherits AS i"
            " JOIN pg_class AS c ON c.oid = i.inhrelid WHERE i.inhparent = %s::regclass"
            " ORDER BY c.relname",
            [of],
        )
        for place, (bound,) in enumerate(cursor.fetchall()):
            cursor.execute(f"CREATE TABLE {table}_{place} PARTITION OF {table} {bound}")


def open_funded(members: int) -> IntArray:
    """Open cash accounts of members 1 to ``members``, with £100,000 each; their ids."""
    owners = np.arange(1, members + 1)
    with transaction.atomic():
        open_accounts(kinds=[Kind.CASH], owner_ids=owners)
    cash = account_ids(Kind.CASH, owners)
    bank = platform_accounts(Kind.CLIENT_BANK, [str(owner) for owner in owners])
    post_bulk("fund", np.zeros(members, dtype=np.int64), bank, cash, FUNDS)
    return cash


def draft(key: str, on: date = DAY) -> EntryDraft:
    """An entry for a benchmark."""
    return EntryDraft(EntryKind.DEPOSIT, key, on, "bench", "bench")


def post_bulk(
    key: str, entry: IntArray, debit: IntArray, credit: IntArray, amount: int, on: date = DAY
) -> Posted:
    """Post transfers of ``amount`` pence each in one transaction, through the gate.

    Args:
        key: prefix of the entries' keys.
        entry: number of each transfer's entry from 0 on, each used, shape ``(n,)``.
        debit: account ids, shape ``(n,)``.
        credit: account ids, shape ``(n,)``.
        amount: of each transfer.
        on: business date.
    """
    entries = [draft(f"{key}/{place}", on) for place in range(int(entry.max()) + 1)]
    with transaction.atomic():
        return post(posting(entries, [Leg(entry, debit, credit, amount, Book.CASH)]))
