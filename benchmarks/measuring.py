"""What the benchmarks share: results, timing in turn, databases of their own, progress."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from django.core.management import call_command
from django.db import connections
from psycopg import sql
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

NAME = "tenner_bench"
NO_PEER = "the limit"
Found = TypeVar("Found")


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


@dataclass(frozen=True)
class LeftOut:
    """A benchmark without a figure, because its peer can't be had here."""

    name: str
    reason: str


Outcome = Result | LeftOut


def ledger_rate(
    name: str, ours: float, unit: str, peer: str, theirs: float, *, at_least: float
) -> Result:
    """A rate of the ledger beside a peer's, both in ``unit``; ``at_least`` is the least ratio."""
    ratio = ours / theirs
    limit = f">= {at_least:g}"
    return Result(name, "ledger", ours, unit, peer, theirs, ratio, limit, ratio >= at_least)


def at_most(name: str, area: str, value: float, unit: str, limit: float) -> Result:
    """A figure without a peer, which may be ``limit`` at most; ``ratio`` is the room it has."""
    ratio = limit / value if value else float(value <= limit)
    return Result(
        name, area, value, unit, NO_PEER, limit, ratio, f"<= {limit:g}", holds=bool(value <= limit)
    )


def at_least(name: str, area: str, value: float, unit: str, limit: float) -> Result:
    """A figure without a peer, which must be ``limit`` at least; ``ratio`` is the room it has."""
    return Result(
        name,
        area,
        value,
        unit,
        NO_PEER,
        limit,
        value / limit,
        f">= {limit:g}",
        holds=bool(value >= limit),
    )


@contextmanager
def one_core() -> Iterator[None]:
    """This process, and what it starts meanwhile, stay on one core: peers meet the same machine."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def median_of(
    ours: Callable[[], float], peers: Callable[[], float], runs: int
) -> tuple[float, float]:
    """Medians of two measurements made in turn, so that a drifting machine is fair to both.

    Each callable makes one run and returns its seconds. The first pair is a warm-up.
    """
    first, second = medians_in_turn("", [ours, peers], runs)
    return first, second


def medians_in_turn(label: str, measure: Sequence[Callable[[], float]], runs: int) -> list[float]:
    """Median of each of several measurements, over ``runs`` rounds in which each has its turn.

    A round before them is a warm-up. The order turns round with every round, so that none always
    follows the same neighbour.
    """
    found: list[list[float]] = [[] for _ in measure]
    with working(label, (runs + 1) * len(measure)) as step:
        for turn in range(runs + 1):
            places = range(len(measure))
            for place in places if turn % 2 == 0 else reversed(places):
                found[place].append(measure[place]())
                step()
    return [statistics.median(values[1:]) for values in found]


def seconds(work: Callable[[], object]) -> float:
    """How long a piece of work takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def timed(work: Callable[[], Found]) -> tuple[float, Found]:
    """How long a piece of work takes, and what it finds."""
    began = time.perf_counter()
    found = work()
    return time.perf_counter() - began, found


@contextmanager
def working(label: str, total: int) -> Iterator[Callable[[], None]]:
    """Show on a terminal how far long work is; gives what to call after each of ``total`` steps."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task(label, total=total)
        yield lambda: progress.advance(task)


def _admin(statement: str, name: str) -> None:
    owner = connections["owner"]
    owner.ensure_connection()
    with owner.connection.cursor() as cursor:
        cursor.execute(sql.SQL(statement).format(sql.Identifier(name)))


@contextmanager
def own_database() -> Iterator[None]:
    """A migrated database that exists for one benchmark only."""
    _admin("DROP DATABASE IF EXISTS {}", NAME)
    _admin("CREATE DATABASE {}", NAME)
    with _working_in(NAME):
        call_command("migrate", verbosity=0)
        yield


@contextmanager
def database_copy() -> Iterator[None]:
    """A copy of the benchmark's database as it stands, in which the work goes on meanwhile."""
    connections["default"].close()  # nobody else may be connected to what is copied
    name = f"{NAME}_copy"
    _admin("DROP DATABASE IF EXISTS {}", name)
    _admin(f"CREATE DATABASE {{}} TEMPLATE {NAME}", name)
    with _working_in(name):
        yield


@contextmanager
def _working_in(name: str) -> Iterator[None]:
    """Both connections go to this database, which is dropped at the end."""
    homes = {alias: connections[alias].settings_dict["NAME"] for alias in ("default", "owner")}
    try:
        for alias in homes:
            connections[alias].close()
            connections[alias].settings_dict["NAME"] = name
        yield
    finally:
        for alias, home in homes.items():
            connections[alias].close()
            connections[alias].settings_dict["NAME"] = home
        _admin("DROP DATABASE IF EXISTS {}", name)


@contextmanager
def peer_database(peer: str) -> Iterator[dict[str, str]]:
    """An empty database of a peer's own on the same server, owned by the owner's role.

    Yields:
        the environment in which libpq, and so the peer, connects to it.
    """
    name = f"{NAME}_{peer}"
    _admin("DROP DATABASE IF EXISTS {}", name)
    _admin("CREATE DATABASE {}", name)
    info = connections["owner"].connection.info
    there = {
        "PGHOST": info.host,
        "PGPORT": str(info.port),
        "PGUSER": info.user,
        "PGPASSWORD": info.password,
        "PGDATABASE": name,
    }
    try:
        yield {**os.environ, **{key: value for key, value in there.items() if value}}
    finally:
        _admin("DROP DATABASE IF EXISTS {}", name)
