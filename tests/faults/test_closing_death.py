"""Close of day under ``kill -9``, of its process and of PostgreSQL, at random moments.

After each of them the server is there again, the days are closed once more, and every account,
loan, part, instalment and payment is what it is where nothing was killed. ``TENNER_NIGHTLY`` says
how many times; five without it.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.faults.closing_house import SAID
from tests.faults.embedded_house import PROJECT, House, opened, run, until

KILLS = int(os.environ.get("TENNER_NIGHTLY") or 5)


@dataclass
class Town:
    """A server with the town in its own database, and the process that works on copies of it."""

    house: House
    process: subprocess.Popen[str]
    owner: str = ""

    def ask(self, word: str, argument: object = "") -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(word, argument, file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        assert answer, f"{word} {argument} ended the process"
        return json.loads(answer)

    def copy(self, name: str) -> None:
        # Copied with a checkpoint. Copied through the log, a sequence that was ahead of its log in
        # the template would fall back in a crash, as none does in a database that is no copy.
        run(self.owner, f"CREATE DATABASE {name} TEMPLATE tenner STRATEGY FILE_COPY")

    def drop(self, name: str) -> None:
        run(self.owner, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="module")
def town() -> Iterator[Town]:
    with opened() as house:
        environ = {
            name: value
            for name, value in os.environ.items()
            if "DATABASE" not in name and name != "TENNER_THROWAWAY"
        }
        with subprocess.Popen(
            [sys.executable, "-m", "tests.faults.closing_house"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=PROJECT,
            env=environ | {"TENNER_DATA": str(house.folder)},
        ) as process:
            made = Town(house, process)
            made.ask("build")
            owner = house.user().owner
            made.owner = owner.replace("/tenner?", "/postgres?")
            yield made
            assert process.stdin is not None
            process.stdin.close()


def test_killed_at_random_moments_nothing_is_lost_or_done_twice(town: Town) -> None:
    town.copy("calm")
    calm = town.ask("close", "calm")
    town.copy("timed")
    begun = time.monotonic()
    assert town.ask("wait", town.ask("victim", "timed")) == 0
    seconds = time.monotonic() - begun
    moments = random.Random(20160503)
    killed = 0
    for number in range(KILLS):
        name = f"killed_{number}"
        town.copy(name)
        victim = town.ask("victim", name)
        time.sleep(moments.uniform(0, seconds))
        if number % 2:
            os.kill(town.house.postmaster, signal.SIGKILL)
            town.ask("ensure")
        else:
            os.kill(victim, signal.SIGKILL)
        killed += town.ask("wait", victim) != 0
        after = town.ask("close", name)
        assert after == calm, f"kill {number}"
        town.drop(name)
    assert killed >= KILLS // 2


def _begun(town: Town, name: str) -> bool:
    """Whether a step of the first day is done, in half a minute at most."""
    url = town.owner.replace("/postgres?", f"/{name}?")
    done = "SELECT name FROM marketplace_daystep WHERE day > '2016-05-02'"
    return until(lambda: bool(run(url, done)), 30)


def test_two_at_once_and_one_is_killed(town: Town) -> None:
    """The other one goes on, and does what the dead one has not done."""
    town.copy("alone")
    alone = town.ask("close", "alone")
    town.copy("shared")
    victims = [town.ask("victim", "shared") for _ in range(2)]
    assert _begun(town, "shared")
    os.kill(victims[0], signal.SIGKILL)
    assert town.ask("wait", victims[0]) == signal.SIGKILL
    assert town.ask("wait", victims[1]) == 0
    assert town.ask("close", "shared") == alone


def test_the_command_says_that_the_server_was_killed(town: Town) -> None:
    """Exit status 3 and one line; no trace of the stack."""
    town.copy("told")
    pid = town.ask("command", "told")
    assert _begun(town, "told")
    os.kill(town.house.postmaster, signal.SIGKILL)
    assert os.waitstatus_to_exitcode(town.ask("wait", pid)) == 3
    town.ask("ensure")
    [line] = (town.house.folder / SAID).read_text().splitlines()
    assert line.startswith("CommandError: The database failed: ")
    assert line.endswith("What is done is done, and the next run goes on from there.")
