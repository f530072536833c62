"""Close of day: the batch work of a business date, in steps that are each done exactly once.

A step's mark is written in the same transaction as its work, so whatever is killed when, the next
run goes on where the last one stopped. Every step waits for whoever else closes the same day: two
runs at once share its steps.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date

from django.db import connection, transaction

from accounts.services.days import ClosedDate, close_date
from marketplace.core.closing import STEPS, DayOutOfOrder, Step, days_to_close, first_to_close
from marketplace.core.collecting import Collector
from marketplace.core.house import HOUSE, House
from marketplace.selectors.closing import DayReport, day_report, days_closed, is_step_done
from marketplace.services.closing_steps import APART, WORK, Closing, Did, Stager, no_stager

# What is being done, how much of it is done, and of how much.
Progress = Callable[[str, int, int], None]


def _silent(_what: str, _done: int, _all: int) -> None:
    """Tell nobody."""


def close_day(
    *,
    on: date,
    actor: str,
    collector: Collector | None = None,
    today: date | None = None,
    since: date | None = None,
    stage: Stager = no_stager,
    progress: Progress = _silent,
    house: House = HOUSE,
) -> DayReport:
    """Close a business day, and first every day before it that was missed, in order.

    Missed is every calendar day since the last one closed, or since the first pay-out if none was;
    before any pay-out there is nothing to catch up. A day that is closed is left as it is. The
    number of statements of a step doesn't depend on how many loans, parts or payments there are.

    Args:
        on: the day to close.
        actor: who closes it.
        collector: how instalments are collected; without one nothing is.
        today: the business date that it is; London's by the database's clock without it.
        since: the first day to be closed, where none was: a book that was serviced otherwise until
            then.
        stage: has workers compute drafts of a day's distribution before it is posted.
        progress: told the day and step, how many steps are done, and of how many.
        house: settings.

    Returns:
        The report of the day; the first one again if it was closed before.

    Raises:
        DayNotCome: a day later than today.
        DayOutOfOrder: a day before the first one that was closed, or before the first pay-out; or
            another day than ``since`` was the first.
        DateRefused: the books of a missed day are closed, so that nothing can be booked on it.
        RuntimeError: a transaction is open already.
    """
    stands = days_closed()
    now = today or stands.today
    began = stands.began if since is None else first_to_close(since, first=stands.first)
    days = days_to_close(on, today=now, began=began, last=stands.last)
    for place, day in enumerate(days):
        closing = Closing(day, actor, house, collector, stage, now)
        _begin(day, actor)
        for number, step in enumerate(STEPS):
            progress(f"{day} {step}", place * len(STEPS) + number, len(days) * len(STEPS))
            _carry_out(step, closing)
        _finish(day)
    report = day_report(on)
    if report is None:
        raise AssertionError("a day that was closed has no report")
    return report


def close_books(*, day: date, actor: str) -> ClosedDate:
    """Close a date in the ledger, and all before it, once close of day has done them.

    Otherwise their close could book nothing any more, and no later day could be closed either. A
    house that has never closed a day closes dates as it likes.

    Raises:
        DayOutOfOrder: close of day hasn't come so far.
        DateRefused: a date that has not come yet.
    """
    last = days_closed().last
    if last is not None and day > last:
        raise DayOutOfOrder(
            f"{last} is the last day that close of day has done: it has to book on {day} still."
            f" Run it first (manage.py close_day {day}).",
            field="day",
        )
    return close_date(day=day, actor=actor)


def _begin(day: date, actor: str) -> None:
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO marketplace_dayrun (day, actor) VALUES (%s, %s)"
            " ON CONFLICT (day) DO NOTHING",
            [day, actor],
        )


def _finish(day: date) -> None:
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE marketplace_dayrun SET finished_at = clock_timestamp()"
            " WHERE day = %s AND finished_at IS NULL",
            [day],
        )


@dataclass(frozen=True)
class _Mark:
    """What is known of a step: what was counted so far, and whether it is done."""

    counts: Mapping[str, int]
    is_done: bool


def _carry_out(step: Step, closing: Closing) -> None:
    """Do a step unless it is done: in one transaction, or as many as it has postings."""
    if step is Step.DISTRIBUTE and not is_step_done(closing.on, step):
        closing.stage(closing.on)
    if step in APART:
        _carry_out_apart(step, closing)
        return
    more = True
    while more:
        with transaction.atomic(durable=True):
            mark = _lock(closing.on, step)
            if mark.is_done:
                return
            begun = time.monotonic()
            did = WORK[step](closing)
            _write(closing.on, step, mark, did, begun)
            more = did.more


def _carry_out_apart(step: Step, closing: Closing) -> None:
    """Do a step that needs transactions of its own; done again, it finds it has been done."""
    if is_step_done(closing.on, step):
        return
    begun = time.monotonic()
    did = APART[step](closing)
    with transaction.atomic(durable=True):
        mark = _lock(closing.on, step)
        if not mark.is_done:
            _write(closing.on, step, mark, did, begun)


def _lock(day: date, step: Step) -> _Mark:
    """Wait until nobody else works on this day, and look how far its step has come."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT FROM marketplace_dayrun WHERE day = %s FOR UPDATE", [day])
        # A statement of its own: it has to see what whoever held the lock has committed.
        cursor.execute(
            "SELECT counts, done_at IS NOT NULL FROM marketplace_daystep"
            " WHERE day = %s AND name = %s",
            [day, step.value],
        )
        row: tuple[str, bool] | None = cursor.fetchone()
    return _Mark({}, is_done=False) if row is None else _Mark(json.loads(row[0]), is_done=row[1])


def _write(day: date, step: Step, mark: _Mark, did: Did, begun: float) -> None:
    """Add up what was done, and mark the step as done if that was all of it."""
    names = {*mark.counts, *did.counts}
    counts = {name: mark.counts.get(name, 0) + did.counts.get(name, 0) for name in names}
    spent = round((time.monotonic() - begun) * 1000)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO marketplace_daystep AS s (day, name, counts, note, milliseconds, done_at)"
            " VALUES (%s, %s, %s, %s, %s, CASE WHEN %s THEN NULL ELSE clock_timestamp() END)"
            " ON CONFLICT (day, name) DO UPDATE SET counts = EXCLUDED.counts,"
            " note = EXCLUDED.note, done_at = EXCLUDED.done_at,"
            " milliseconds = s.milliseconds + EXCLUDED.milliseconds",
            [day, step.value, json.dumps(counts), did.note, spent, did.more],
        )
