"""What the benchmarks share: a result, repeated timing in turn, and a database of their own."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.core.management import call_command
from django.db import connections
from psycopg import sql

NAME = "tenner_bench"


@dataclass(frozen=True)
class Result:
    """One figure beside its peer's; ``ratio`` is our speed over the peer's: above 1 is faster."""

    name: str
    area: str
    value: float
    unit: str
    peer: str
    peer_value: float
    ratio: float
    limit: str
    holds: bool


def median_of(
    ours: Callable[[], float], peers: Callable[[], float], runs: int
) -> tuple[float, float]:
    """Medians of two measurements made in turn, so that a drifting machine is fair to both.

    Each callable makes one run and returns its seconds. The first pair is a warm-up.
    """
    pairs = [(ours(), peers()) for _ in range(runs + 1)][1:]
    return (
        statistics.median(pair[0] for pair in pairs),
        statistics.median(pair[1] for pair in pairs),
    )


def seconds(work: Callable[[], object]) -> float:
    """How long a piece of work takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _admin(statement: str) -> None:
    owner = connections["owner"]
    owner.ensure_connection()
    with owner.connection.cursor() as cursor:
        cursor.execute(sql.SQL(statement).format(sql.Identifier(NAME)))


@contextmanager
def own_database() -> Iterator[None]:
    """A migrated database that exists for one benchmark only."""
    homes = {alias: connections[alias].settings_dict["NAME"] for alias in ("default", "owner")}
    _admin("DROP DATABASE IF EXISTS {}")
    _admin("CREATE DATABASE {}")
    try:
        for alias in homes:
            connections[alias].close()
            connections[alias].settings_dict["NAME"] = NAME
        call_command("migrate", verbosity=0)
        yield
    finally:
        for alias, home in homes.items():
            connections[alias].close()
            connections[alias].settings_dict["NAME"] = home
        _admin("DROP DATABASE IF EXISTS {}")
