"""The posting gate in bulk against a bare COPY of the same rows, and against django-hordak."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import date

import numpy as np
import psycopg
from django.db import connection, transaction
from psycopg import sql

from accounts.core.chart import Book
from accounts.core.posting import IntArray
from accounts.services.bulk import Column, encode_rows
from benchmarks.ledger import DAY, make_twin, open_funded, post_bulk
from benchmarks.measuring import (
    LeftOut,
    Outcome,
    ledger_rate,
    medians_in_turn,
    own_database,
    seconds,
    working,
)
from benchmarks.peers.hordak import PEER as HORDAK
from benchmarks.peers.hordak import hordak
from benchmarks.workers import Workers

ACCOUNTS, ROWS, ENTRIES = 60_000, 400_000, 1_000
RUNS, LARGE_RUNS, LARGE = 5, 3, 4_000_000
HORDAK_ROWS = 10_000
# How much the ratio over a large table may stay behind the small one's by chance.
NOISE = 0.05
TWIN = "binary COPY, no triggers"


def ledger_bulk() -> list[Outcome]:
    """400,000 transfers over 60,000 accounts a post: gate, triggers and balances, durable.

    The same again once the table holds four million, as dates go on and all on one date.
    """
    with ExitStack() as stack:
        stack.enter_context(own_database())
        peer = stack.enter_context(hordak(1, accounts=ACCOUNTS))
        rows = _Rows(open_funded(ACCOUNTS))
        measure: list[Callable[[], float]] = [rows.post, rows.copy]
        if isinstance(peer, Workers):
            measure.append(lambda: _hordak_row(peer))
        ours, twin, *theirs = _rates(measure, RUNS, "ledger-bulk")
        results: list[Outcome] = [
            ledger_rate("ledger-bulk", ours, "rows/s", TWIN, twin, at_least=0.7)
        ]
        name, label = "ledger-bulk-hordak", f"{HORDAK}, {HORDAK_ROWS:,} a block"
        results.append(
            LeftOut(name, peer)
            if isinstance(peer, str)
            else ledger_rate(name, ours, "transfers/s", label, theirs[0], at_least=30)
        )
        rows.fill(LARGE // ROWS - rows.posts, "ledger-bulk-4m")
        large, large_twin = _rates([rows.post, rows.copy], LARGE_RUNS, "ledger-bulk-4m")
        rows.stay_on(DAY)
        rows.fill(LARGE // ROWS, "ledger-bulk-4m-one-date")
        dense = _rates([rows.post, rows.copy], LARGE_RUNS, "ledger-bulk-4m-one-date")
    found = ledger_rate("ledger-bulk-4m", large, "rows/s", TWIN, large_twin, at_least=0.7)
    least = max(0.7, (1 - NOISE) * ours / twin)
    limit = f"{found.limit}, {1 - NOISE:.0%} of small"
    results.insert(1, replace(found, limit=limit, holds=found.ratio >= least))
    name = "ledger-bulk-4m-one-date"
    results.insert(2, ledger_rate(name, dense[0], "rows/s", TWIN, dense[1], at_least=0.7))
    return results


class _Rows:
    """Random transfers, into the book through the gate and into its twin by COPY.

    Both get the same rows in the same order; that the gate then writes them in an order that suits
    the indexes is its own work and time. Both measurements answer seconds a row. Until
    ``stay_on``, each run is of another year, so that each begins with an empty partition.
    """

    def __init__(self, cash: IntArray) -> None:
        make_twin("twin_transfer", "accounts_transfer")
        self._cash = cash
        self._pick = np.random.default_rng(3)
        self.posts = 0
        self._day: date | None = None
        self._last: dict[str, Column] = {}

    def post(self) -> float:
        """Post new transfers."""
        debit = self._pick.integers(0, ACCOUNTS, ROWS)
        credit = (debit + self._pick.integers(1, ACCOUNTS, ROWS)) % ACCOUNTS
        entry = np.sort(self._pick.permutation(ROWS) % ENTRIES)
        debit, credit = self._cash[debit], self._cash[credit]
        key, day = f"run-{self.posts}", self._day or DAY.replace(year=2005 + self.posts)
        self.posts += 1

        def work() -> None:
            posted = post_bulk(key, entry, debit, credit, 7, on=day)
            self._last["entry_id"] = posted.entry_ids[entry]

        self._last = {
            "amount": np.full(ROWS, 7),
            "debit_id": debit.astype(np.int32),
            "credit_id": credit.astype(np.int32),
            "effective_on": np.full(ROWS, day, dtype="datetime64[D]"),
            "book": np.full(ROWS, Book.CASH, dtype=np.int16),
        }
        return seconds(work) / ROWS

    def copy(self) -> float:
        """Copy the transfers posted last into the twin; encoding them is not counted."""
        data = b"".join(encode_rows(self._last))
        write = sql.SQL("COPY twin_transfer ({}) FROM STDIN (FORMAT BINARY)").format(
            sql.SQL(", ").join(map(sql.Identifier, self._last))
        )

        def work() -> None:
            with (
                transaction.atomic(),
                psycopg.Cursor(connection.connection) as cursor,
                cursor.copy(write) as copying,
            ):
                copying.write(data)

        return seconds(work) / ROWS

    def stay_on(self, day: date) -> None:
        """Post on one date from here on, into one partition: what no business does."""
        self._day = day

    def fill(self, runs: int, label: str) -> None:
        """Let both tables grow by so many runs."""
        with working(f"{label}: filling", runs) as step:
            for _ in range(runs):
                self.post()
                self.copy()
                step()


def _rates(measure: Sequence[Callable[[], float]], runs: int, label: str) -> list[float]:
    """Rows a second of each."""
    return [1 / spent for spent in medians_in_turn(label, measure, runs)]


def _hordak_row(peer: Workers) -> float:
    (spent,) = peer.ask("bulk", transfers=HORDAK_ROWS)
    return float(spent) / HORDAK_ROWS
