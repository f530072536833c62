"""Reading a balance: it must cost the same however many transfers an account has."""

from __future__ import annotations

import statistics
from collections.abc import Callable

import numpy as np

from accounts.core.posting import IntArray
from accounts.selectors.ledger import member_balances
from benchmarks.ledger import open_funded, post_bulk
from benchmarks.measuring import LeftOut, Outcome, Result, own_database, seconds, working
from benchmarks.peers.hordak import PEER as HORDAK
from benchmarks.peers.hordak import hordak

MEMBERS, MANY, FEW, BLOCK = 1_000, 1_000_000, 1_000, 250_000
TIMES, HORDAK_TIMES = 2_000, 15
SLOWEST, AT_MOST = 1.0, 1.2


def ledger_balance() -> list[Outcome]:
    """A member's balances at a million transfers, at a thousand, and as hordak adds them up."""
    with own_database():
        cash = open_funded(MEMBERS)
        with working("ledger-balance: filling", MANY // BLOCK + 1) as step:
            for block in range(MANY // BLOCK):
                _transfers(f"many-{block}", cash, 0, BLOCK)
                step()
            _transfers("few", cash, 1, FEW)
            step()
        many, few = _milliseconds([lambda: member_balances(1), lambda: member_balances(2)])
    ours = Result(
        "ledger-balance",
        "ledger",
        many,
        "ms",
        "an account with 1,000 transfers",
        few,
        few / many,
        f"<= {SLOWEST:g} ms, <= {AT_MOST:g} x peer",
        holds=many <= SLOWEST and many <= AT_MOST * few,
    )
    return [ours, _beside_hordak(many)]


def _beside_hordak(many: float) -> Outcome:
    name = "ledger-balance-hordak"
    with hordak(1, accounts=2) as peer:
        if isinstance(peer, str):
            return LeftOut(name, peer)
        with working(f"{name}: filling", 1):
            peer.ask("history", legs=MANY)
        (spent,) = peer.ask("balance", times=HORDAK_TIMES)
    theirs = 1_000 * statistics.median(spent)
    ratio, least = theirs / many, 100
    label = f"{HORDAK}, a million legs"
    limit = f">= {least}"
    return Result(name, "ledger", many, "ms", label, theirs, ratio, limit, ratio >= least)


def _transfers(key: str, cash: IntArray, place: int, rows: int) -> None:
    """Give the account at ``place`` this many transfers, half of them in and half out."""
    others = np.resize(cash[2:], rows)
    mine = np.full(rows, cash[place])
    is_in = np.arange(rows) % 2 == 0
    debit, credit = np.where(is_in, others, mine), np.where(is_in, mine, others)
    post_bulk(key, np.arange(rows) % min(rows, 1_000), debit, credit, 1)


def _milliseconds(questions: list[Callable[[], object]]) -> list[float]:
    """Median milliseconds of each, asked in turn after a tenth of the times as a warm-up."""
    spent: list[list[float]] = [[] for _ in questions]
    for _ in range(TIMES + TIMES // 10):
        for place, question in enumerate(questions):
            spent[place].append(seconds(question))
    return [1_000 * statistics.median(values[TIMES // 10 :]) for values in spent]
