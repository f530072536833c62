"""Single transfers from eight processes: the gate, pgbench's TPC-B and django-hordak in turn."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Callable
from contextlib import ExitStack

from django.conf import settings

from benchmarks.ledger import open_funded
from benchmarks.measuring import (
    NAME,
    LeftOut,
    Outcome,
    Result,
    ledger_rate,
    medians_in_turn,
    own_database,
    peer_database,
)
from benchmarks.peers import pgbench
from benchmarks.peers.hordak import PEER as HORDAK
from benchmarks.peers.hordak import hordak
from benchmarks.workers import Workers

PROCESSES, MEMBERS = 8, 10_000
RUNS, SECONDS = 5, 6


def ledger_single() -> list[Outcome]:
    """Random pairs of 10,000 members, and all over one platform account; every one durable."""
    with ExitStack() as stack:
        stack.enter_context(own_database())
        peer = stack.enter_context(hordak(PROCESSES, accounts=MEMBERS))
        bench = stack.enter_context(peer_database("pgbench"))
        pgbench.fill(bench)
        open_funded(MEMBERS)
        command = [sys.executable, "-m", "benchmarks.ledger_poster"]
        folder = str(settings.BASE_DIR)
        ours = stack.enter_context(
            Workers(command, PROCESSES, folder=folder, environment=os.environ)
        )
        ours.ask("open", database=NAME, members=MEMBERS)
        measure = [
            _rate(ours, "pairs"),
            _rate(ours, "into"),
            _rate(ours, "out_of"),
            lambda: pgbench.rate(bench, clients=PROCESSES, seconds=SECONDS),
        ]
        if isinstance(peer, Workers):
            measure.append(_rate(peer, "singles"))
        pairs, into, out_of, tpcb, *theirs = medians_in_turn("ledger-single", measure, RUNS)
    unit, name = "transfers/s", "ledger-single-hordak"
    return [
        ledger_rate("ledger-single", pairs, unit, pgbench.PEER, tpcb, at_least=0.5),
        LeftOut(name, peer)
        if isinstance(peer, str)
        else ledger_rate(name, pairs, unit, HORDAK, theirs[0], at_least=3),
        _hot(into, out_of, pairs),
    ]


def _hot(into: float, out_of: float, pairs: float) -> Result:
    """The worse of the two directions."""
    worse, way = min((into, "into"), (out_of, "out of"))
    unit = f"transfers/s {way} it"
    return ledger_rate("ledger-hot", worse, unit, "our random pairs", pairs, at_least=0.8)


def _rate(workers: Workers, do: str) -> Callable[[], float]:
    """A measurement of transfers a second, each run with a number of its own."""
    runs = itertools.count()
    return lambda: workers.rate(do, seconds=SECONDS, run=next(runs))
