"""A small book with sealing: short ways to post, on any date and in any connection."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date
from typing import Any

import numpy as np
from django.db import connection, connections, transaction

from accounts.core.chart import Book, Kind
from accounts.core.posting import EntryDraft, EntryKind, Leg, posting
from accounts.selectors.ledger import account_ids, platform_accounts
from accounts.services.opening import open_accounts
from accounts.services.posting import post
from accounts.services.sealing import Sealed, seal_all

DAY = date(2016, 4, 1)
_KEYS = itertools.count(1)

# Debit, credit, pence.
Move = tuple[int, int, int]


def open_book(members: int = 3) -> list[int]:
    """Cash accounts of members 1 and on, and then one of the bank's; commits."""
    owners = np.arange(1, members + 1)
    with transaction.atomic():
        open_accounts(kinds=[Kind.CASH], owner_ids=owners)
    cash = account_ids(Kind.CASH, owners).tolist()
    return [*cash, int(platform_accounts(Kind.CLIENT_BANK, ["bank"])[0])]


def book(moves: Sequence[Move], on: date = DAY, key: str | None = None) -> int:
    """Post an entry; returns its id. Commits unless a transaction is open."""
    entry = EntryDraft(EntryKind.DEPOSIT, key or f"book-{next(_KEYS)}", on, "test", "test")
    legs = [Leg(0, debit, credit, pence, Book.CASH) for debit, credit, pence in moves]
    with transaction.atomic():
        return int(post(posting([entry], legs)).entry_ids[0])


def seal_now() -> Sealed | None:
    """Seal all that can be; the last batch."""
    batches = list(seal_all())
    return batches[-1] if batches else None


class Elsewhere:
    """Another connection, in a thread of its own."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1)
        self._open: Any = None

    def run(self, work: Callable[[], Any]) -> Any:
        """Do it there, and wait for it."""
        return self._pool.submit(work).result(20)

    def begin(self, work: Callable[[], Any]) -> Any:
        """Do it there, in a transaction that stays open."""

        def start() -> Any:
            self._open = transaction.atomic()
            self._open.__enter__()
            return work()

        return self.run(start)

    def commit(self) -> None:
        """End that transaction."""
        self.run(lambda: self._open.__exit__(None, None, None))

    def close(self) -> None:
        """Let the connection go, and whatever is open in it."""
        self.run(self._let_go)
        self._pool.shutdown()

    @staticmethod
    def _let_go() -> None:
        # Looked up in the thread: its own connection, not the caller's.
        connection.close()


@contextmanager
def elsewhere() -> Iterator[Elsewhere]:
    """Another connection for a while."""
    other = Elsewhere()
    try:
        yield other
    finally:
        other.close()


def book_nothing(key: str, made_in: int | None = None) -> None:
    """An entry without transfers, which the gate would refuse; with a forged transaction id."""
    names, values = ("", "") if made_in is None else (", made_in", f", '{made_in}'")
    with (connection if made_in is None else connections["owner"]).cursor() as cursor:
        cursor.execute(
            "INSERT INTO accounts_entry"
            f" (kind, key, digest, effective_on, actor, reference{names})"
            f" VALUES ('deposit', %s, '', '2016-04-01', 'test', 'test'{values})",
            [key],
        )


@contextmanager
def altered() -> Iterator[Any]:
    """The owner's cursor in the test's database, with all triggers disabled."""
    settings = connections["owner"].settings_dict
    home = settings["NAME"]
    connections["owner"].close()
    settings["NAME"] = connection.settings_dict["NAME"]
    try:
        with connections["owner"].cursor() as cursor:
            cursor.execute(
                "SELECT c.oid::regclass::text FROM pg_class AS c"
                " WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"
                " AND relname LIKE 'accounts\\_%%' AND relhastriggers"
            )
            tables = [name for (name,) in cursor.fetchall()]
            for table in tables:
                cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
            yield cursor
            for table in tables:
                cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
    finally:
        connections["owner"].close()
        settings["NAME"] = home


def at_once(work: Callable[[int], None], workers: int) -> None:
    """Run ``work`` in threads with connections of their own, started together."""
    barrier = threading.Barrier(workers)

    def run(number: int) -> None:
        try:
            connection.ensure_connection()
            barrier.wait()
            work(number)
        finally:
            connection.close()

    with ThreadPoolExecutor(workers) as pool:
        for done in [pool.submit(run, number) for number in range(workers)]:
            done.result()
