"""Close of day with workers on the queue: real processes, the same result as one process's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from django.db import connection, connections, transaction
from procrastinate.contrib.django import app
from procrastinate.contrib.django.models import ProcrastinateJob, ProcrastinateWorker

from api.jobs import STAGING, close_business_day, collector, staged_by
from marketplace.core.collecting import CollectorRefused
from marketplace.models import StagedSlice
from marketplace.selectors.closing import days_closed
from tests.conftest import _cloned
from tests.faults.test_cycle_death import _owner
from tests.faults.test_market_races import _wait_for
from tests.marketplace import house as fixtures
from tests.marketplace.closing_town import build_town, clone_of, close, counted, picture
from tests.marketplace.house import House
from tests.world import CLEARED

house_template = fixtures.house_template
PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def town(house_template: House, django_db_blocker: Any) -> Iterator[str]:
    """A town on the evening before its payments clear; its name, with nobody connected."""
    with django_db_blocker.unblock(), _cloned(house_template.database) as name:
        build_town(House(name, house_template.facts, house_template.markets), loans=6)
        close(CLEARED - timedelta(days=1))
        connection.close()
        yield name


@pytest.fixture(scope="module")
def alone(town: str, django_db_blocker: Any) -> Any:
    """What the day comes to, and its counts, where one process closes it."""
    with django_db_blocker.unblock(), clone_of(town):
        report = close(CLEARED)
        return picture(), counted(report)


def _url(user: str, password: str) -> str:
    settings = connection.settings_dict
    asked = {"host": settings["HOST"], "port": settings["PORT"]}
    query = urlencode({name: value for name, value in asked.items() if value})
    return f"postgresql://{quote(user)}:{quote(password)}@/{settings['NAME']}?{query}"


@contextmanager
def _workers(count: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """So many worker processes on the test's database, ready for work."""
    role = connection.settings_dict
    url = _url(role["USER"], role["PASSWORD"])
    environ = os.environ | {"DATABASE_URL": url, "DATABASE_OWNER_URL": url}
    command = [sys.executable, "manage.py", "procrastinate", "worker", f"--queues={STAGING}"]
    started = [subprocess.Popen(command, cwd=PROJECT, env=environ) for _ in range(count)]
    try:
        deadline = time.monotonic() + 120
        while ProcrastinateWorker.objects.count() < count:
            assert time.monotonic() < deadline, "the workers didn't start"
            time.sleep(0.05)
        yield started
    finally:
        for process in started:
            process.kill()
            process.wait()


def test_two_workers_come_to_what_one_process_does(town: str, alone: Any) -> None:
    with clone_of(town), _workers(2) as workers:
        report = close(CLEARED, stage=staged_by(2, fewest=1))
        assert (picture(), counted(report)) == alone
        jobs = ProcrastinateJob.objects.filter(task_name="stage_slice")
        assert set(jobs.values_list("status", flat=True)) <= {"succeeded"}
        assert not StagedSlice.objects.exists()
        assert all(process.poll() is None for process in workers)


def test_what_a_dead_worker_leaves_the_poster_does(town: str, alone: Any) -> None:
    with clone_of(town), _workers(1) as workers:
        workers[0].send_signal(signal.SIGSTOP)
        close(CLEARED, stage=staged_by(1, fewest=1, patience=0.3))
        assert picture() == alone[0]
    with clone_of(town):
        close(CLEARED, stage=staged_by(2, fewest=1, patience=0.1))
        assert picture() == alone[0]


def test_a_worker_killed_at_its_work(town: str, alone: Any) -> None:
    """It has computed its slice and is about to store it; nobody hears of it again."""
    with clone_of(town) as name, _workers(1) as workers, _owner(name):
        by_worker = staged_by(1, fewest=1, patience=0.3)
        killed: list[int] = []

        def stage(day: date) -> None:
            with transaction.atomic("owner"):
                with connections["owner"].cursor() as owner:
                    owner.execute("LOCK TABLE marketplace_stagedslice IN EXCLUSIVE MODE")
                by_worker(day)
                if day == CLEARED:
                    _wait_for("wait_event_type = 'Lock' AND query LIKE '%stagedslice%'", 1)
                    workers[0].kill()
                    killed.append(workers[0].wait())

        close(CLEARED, stage=stage)
        assert killed == [-signal.SIGKILL]
        assert picture() == alone[0]


def test_the_clock_closes_the_day_it_was_meant_for(
    town: str, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.TENNER_SANDBOX_SEED = "7"
    with clone_of(town):
        evening = datetime(CLEARED.year, CLEARED.month, CLEARED.day, 22, 30, tzinfo=UTC)
        close_business_day(timestamp=int(evening.timestamp()))
        assert days_closed().last == CLEARED


@pytest.mark.parametrize("seed", ["seven", "-7", "7.0", " "])
def test_a_seed_that_is_none(settings: Any, seed: str) -> None:
    settings.TENNER_SANDBOX_SEED = seed
    with pytest.raises(CollectorRefused, match="whole number"):
        collector()


def test_what_the_clock_starts() -> None:
    """Close of day once an evening; whatever died is handed on every few minutes."""
    crons = {each.task.name: each.cron for each in app.periodic_registry.periodic_tasks.values()}
    assert crons == {"close_business_day": "30 22 * * *", "retry_stalled": "*/5 * * * *"}
