"""The posting gate in bulk against a bare COPY of the same rows."""

from __future__ import annotations

from datetime import date

import numpy as np
from django.db import connection, connections, transaction

from accounts.core.chart import Book, Kind
from accounts.core.posting import EntryDraft, EntryKind, IntArray, Leg, posting
from accounts.selectors.ledger import account_ids, platform_accounts
from accounts.services.bulk import Column, copy_rows
from accounts.services.opening import open_accounts
from accounts.services.posting import post
from benchmarks.measuring import Result, median_of, own_database, seconds

ACCOUNTS, ROWS, ENTRIES = 60_000, 400_000, 1_000
DAY = date(2016, 4, 1)


def make_twin(table: str, of: str) -> None:
    """A table of the same shape and indexes, without triggers, checks or foreign keys."""
    with connections["owner"].cursor() as cursor:
        cursor.execute(f"DROP TABLE IF EXISTS {table}")
        cursor.execute(f"CREATE TABLE {table} (LIKE {of} INCLUDING IDENTITY INCLUDING INDEXES)")


def ledger_bulk() -> Result:
    """400,000 transfers over 60,000 accounts: gate, triggers and balances, durable."""
    with own_database():
        members = np.arange(1, ACCOUNTS + 1)
        with transaction.atomic():
            open_accounts(kinds=[Kind.CASH], owner_ids=members)
        cash = account_ids(Kind.CASH, members)
        bank = platform_accounts(Kind.CLIENT_BANK, [str(member) for member in members])
        _post("fund", np.zeros(ACCOUNTS, dtype=np.int64), bank, cash, 10_000_000)
        make_twin("twin_transfer", "accounts_transfer")
        rng = np.random.default_rng(3)
        runs = iter(range(100))

        def ours() -> float:
            debit, credit, entry = _pairs(cash, rng)
            return seconds(lambda: _post(f"run-{next(runs)}", entry, debit, credit, 7))

        def peers() -> float:
            debit, credit, entry = _pairs(cash, rng)
            columns: dict[str, Column] = {
                "entry_id": entry,
                "book": np.ones(ROWS, dtype=np.int16),
                "debit_id": debit,
                "credit_id": credit,
                "amount": np.full(ROWS, 7),
            }
            return seconds(lambda: _copy(columns))

        our_time, peer_time = median_of(ours, peers, 5)
    ratio = peer_time / our_time
    return Result(
        "ledger-bulk",
        "ledger",
        ROWS / our_time,
        "rows/s",
        "binary COPY, no triggers",
        ROWS / peer_time,
        ratio,
        "shown, no limit yet",
        holds=True,
    )


def _pairs(
    cash: IntArray, rng: np.random.Generator
) -> tuple[
    IntArray,
    IntArray,
    IntArray,
]:
    debit = rng.integers(0, ACCOUNTS, ROWS)
    credit = (debit + rng.integers(1, ACCOUNTS, ROWS)) % ACCOUNTS
    return cash[debit], cash[credit], np.sort(rng.permutation(ROWS) % ENTRIES)


def _post(
    key: str,
    entry: IntArray,
    debit: IntArray,
    credit: IntArray,
    amount: int,
) -> None:
    count = int(entry.max()) + 1
    entries = [
        EntryDraft(EntryKind.DEPOSIT, f"{key}/{n}", DAY, "bench", "bench") for n in range(count)
    ]
    with transaction.atomic():
        post(posting(entries, [Leg(entry, debit, credit, amount, Book.CASH)]))


def _copy(columns: dict[str, Column]) -> None:
    with transaction.atomic():
        copy_rows(connection, "twin_transfer", columns)
