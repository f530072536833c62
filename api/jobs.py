"""Jobs on the queue: close of day by the clock, and its distribution computed by many workers.

Workers run wherever the database can be reached: ``manage.py procrastinate worker``. They compute
and stage; one poster posts, and computes itself what no worker has. So a worker that is killed
costs time, never money.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from django.conf import settings
from procrastinate import JobContext, RetryStrategy
from procrastinate.contrib.django import app
from procrastinate.contrib.django.models import ProcrastinateWorker

from marketplace.core.collecting import (
    Collector,
    CollectorRefused,
    FileCollector,
    SandboxCollector,
)
from marketplace.selectors.closing import staged_slices
from marketplace.selectors.servicing import loans_to_spread
from marketplace.services.closing_day import close_day
from marketplace.services.closing_steps import Stager
from marketplace.services.staging import stage_distribution

STAGING, CLOSING = "staging", "closing"
ACTOR = "close of day"
# More slices than workers, so that a slow worker holds up the rest the less.
SLICES_A_WORKER = 2
# For fewer loans than this it takes longer to start a worker than to do its work.
FEWEST_LOANS = 500
# How long the poster waits for the next slice before it computes what is missing itself.
PATIENCE_SECONDS = 10.0
_POLL_SECONDS = 0.02
# A worker that doesn't go when it is asked to is killed.
_PARTING_SECONDS = 2.0


@app.task(name="stage_slice", queue=STAGING)
def stage_slice(*, day: str, number: int, slices: int) -> None:
    """Compute the distribution of one slice of the loans, and stage it for the poster."""
    stage_distribution(on=date.fromisoformat(day), number=number, slices=slices)


@app.periodic(cron="30 22 * * *")
@app.task(
    name="close_business_day",
    queue=CLOSING,
    queueing_lock="close_business_day",
    retry=RetryStrategy(max_attempts=5, wait=60),
)
def close_business_day(timestamp: int) -> None:
    """Close the day of an instant, half past ten in the evening, and the days missed before it.

    A run that is late closes the day it was meant for: by then the next one may have begun. One
    that fails, on a deadlock or a server that restarts, goes on from there a minute later.
    """
    on = datetime.fromtimestamp(timestamp, UTC).astimezone(ZoneInfo("Europe/London")).date()
    # This one worker is taken up by closing.
    others = ProcrastinateWorker.objects.count() - 1
    close_day(on=on, actor=ACTOR, collector=collector(), stage=staged_by(others))


@app.periodic(cron="*/5 * * * *")
@app.task(name="retry_stalled", queue=CLOSING, queueing_lock="retry_stalled", pass_context=True)
async def retry_stalled(context: JobContext, timestamp: int) -> None:  # noqa: ARG001 - the queue's
    """Hand on the jobs of workers that died: each of ours may be done again."""
    manager = context.app.job_manager
    for job in await manager.get_stalled_jobs():
        await manager.retry_job(job)


def collector(seed: str = "") -> Collector:
    """Who collects: a sandbox, with a seed given or set, else files of direct debits for the bank.

    Raises:
        CollectorRefused: a seed that is no whole number.
    """
    chosen = seed or settings.TENNER_SANDBOX_SEED
    if chosen and not chosen.isdecimal():
        raise CollectorRefused(f"The sandbox's seed is a whole number, not '{chosen}'.")
    return SandboxCollector(int(chosen)) if chosen else FileCollector()


def staged_by(
    workers: int,
    *,
    fewest: int = FEWEST_LOANS,
    patience: float = PATIENCE_SECONDS,
    own: bool = False,
) -> Stager:
    """Have a day's distribution computed by workers before it is posted.

    Args:
        workers: how many there are; for none it is left to the poster.
        fewest: below so many loans it is left to the poster, too.
        patience: seconds to wait for the next slice before the rest is left to the poster.
        own: start the workers here, for this day alone; they end once nothing is left to do.
    """

    def stage(day: date) -> None:
        if workers < 1 or len(loans_to_spread(day)) < fewest:
            return
        slices = workers * SLICES_A_WORKER
        for number in range(slices):
            stage_slice.defer(day=day.isoformat(), number=number, slices=slices)
        with _workers(workers if own else 0):
            _wait(day, slices, patience)

    return stage


@contextmanager
def _workers(count: int) -> Iterator[None]:
    """So many workers for staging; whatever they are at when they are no longer needed is left."""
    command = [sys.executable, str(settings.BASE_DIR / "manage.py"), "procrastinate", "worker"]
    started = [
        subprocess.Popen(  # noqa: S603 - our own command
            [*command, f"--queues={STAGING}", "--one-shot"], stdin=subprocess.DEVNULL
        )
        for _ in range(count)
    ]
    try:
        yield
    finally:
        for process in started:
            process.terminate()
        for process in started:
            try:
                process.wait(_PARTING_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(day: date, slices: int, patience: float) -> None:
    """Wait for all slices of a day, as long as one comes after the other."""
    staged, since = 0, time.monotonic()
    while staged < slices and time.monotonic() - since < patience:
        time.sleep(_POLL_SECONDS)
        now = staged_slices(day, slices)
        if now > staged:
            staged, since = now, time.monotonic()
