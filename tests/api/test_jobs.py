"""Close of day with workers on the queue: real processes, the same result as one process's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from django.db import connection
from procrastinate.contrib.django import app
from procrastinate.contrib.django.models import ProcrastinateJob, ProcrastinateWorker

from api.jobs import STAGING, close_business_day, staged_by
from marketplace.models import StagedSlice
from marketplace.selectors.closing import day_report, days_closed
from tests.conftest import _cloned
from tests.marketplace import house as fixtures
from tests.marketplace.closing_town import build_town, clone_of, close, counted, picture
from tests.marketplace.house import House
from tests.world import CLEARED

house_template = fixtures.house_template
PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def town(house_template: House, django_db_blocker: Any) -> Iterator[str]:
    """The name of the town's database, with nobody connected."""
    with django_db_blocker.unblock(), _cloned(house_template.database) as name:
        build_town(House(name, house_template.facts, house_template.markets), loans=8)
        connection.close()
        yield name


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
        deadline = time.monotonic() + 30
        while ProcrastinateWorker.objects.count() < count:
            assert time.monotonic() < deadline, "the workers didn't start"
            time.sleep(0.05)
        yield started
    finally:
        for process in started:
            process.kill()
            process.wait()


def test_two_workers_come_to_what_one_process_does(town: str) -> None:
    with clone_of(town):
        close(CLEARED)
        alone = picture(), counted(day_report(CLEARED))  # type: ignore[arg-type]
    with clone_of(town), _workers(2) as workers:
        report = close(CLEARED, stage=staged_by(2, fewest=1))
        assert (picture(), counted(report)) == alone
        jobs = ProcrastinateJob.objects.filter(task_name="stage_slice")
        assert set(jobs.values_list("status", flat=True)) <= {"succeeded"}
        assert not StagedSlice.objects.exists()
        assert all(process.poll() is None for process in workers)


def test_what_a_dead_worker_leaves_the_poster_does(town: str) -> None:
    with clone_of(town):
        close(CLEARED)
        alone = picture()
    with clone_of(town), _workers(1) as workers:
        workers[0].send_signal(signal.SIGSTOP)
        close(CLEARED, stage=staged_by(1, fewest=1, patience=0.3))
        assert picture() == alone
    with clone_of(town):
        close(CLEARED, stage=staged_by(2, fewest=1, patience=0.1))
        assert picture() == alone


def test_the_clock_closes_the_day_it_was_meant_for(
    town: str, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.TENNER_SANDBOX_SEED = "7"
    with clone_of(town):
        evening = datetime(CLEARED.year, CLEARED.month, CLEARED.day, 22, 30, tzinfo=UTC)
        close_business_day(timestamp=int(evening.timestamp()))
        assert days_closed().last == CLEARED


def test_what_the_clock_starts() -> None:
    """Close of day once an evening; whatever died is handed on every few minutes."""
    crons = {each.task.name: each.cron for each in app.periodic_registry.periodic_tasks.values()}
    assert crons == {"close_business_day": "30 22 * * *", "retry_stalled": "*/5 * * * *"}
