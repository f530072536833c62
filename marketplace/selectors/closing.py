"""Which business days are closed, which are missing, and what closing each of them did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from django.db import connection
from django.db.models import Max, Min

from marketplace.core.closing import STEPS, Step, days_to_close
from marketplace.models import DayRun, DayStep, Loan, StagedSlice


@dataclass(frozen=True)
class StepReport:
    """What one step of closing a day did.

    Attributes:
        step: which.
        counts: whole numbers by what they count; pence are ``pence``, ``principal``,
            ``interest``, ``rests``, ``given`` and ``taken_back``.
        note: why there was nothing to do, if there was a reason.
        seconds: its work took so long, without what was lost in a crash.
        done_at: when it was done; none while it isn't.
    """

    step: Step
    counts: Mapping[str, int]
    note: str
    seconds: float
    done_at: datetime | None


@dataclass(frozen=True)
class DayReport:
    """What closing a business day did; it stays as it is once ``finished_at`` is there.

    ``steps`` are in their order, those that were begun.
    """

    day: date
    actor: str
    started_at: datetime
    finished_at: datetime | None
    steps: tuple[StepReport, ...]

    def counted(self, step: Step, what: str) -> int:
        """A count of a step, 0 if it counted no such thing."""
        return sum(each.counts.get(what, 0) for each in self.steps if each.step is step)

    @property
    def breaks(self) -> int:
        """How many breaks were open when the day was reconciled."""
        return self.counted(Step.RECONCILE, "breaks")


@dataclass(frozen=True)
class DaysClosed:
    """Where closing days stands.

    Attributes:
        first: the first day that was closed, or is being closed.
        last: the last day that is closed.
        paid_out: the day of the first pay-out.
        today: London's date by the database's clock.
    """

    first: date | None
    last: date | None
    paid_out: date | None
    today: date

    @property
    def began(self) -> date | None:
        """The first day that is to be closed; none before the first pay-out."""
        return self.paid_out if self.first is None else self.first

    def missing(self, on: date) -> tuple[date, ...]:
        """The days up to ``on`` that are not closed; none before the first pay-out."""
        if self.began is None or on < self.began:
            return ()
        return tuple(days_to_close(on, today=on, began=self.began, last=self.last))


def days_closed() -> DaysClosed:
    """Where closing days stands; two statements."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT min(day), max(day) FILTER (WHERE finished_at IS NOT NULL),"
            " (now() AT TIME ZONE 'Europe/London')::date FROM marketplace_dayrun"
        )
        first, last, today = cursor.fetchone()
    paid_out: date | None = Loan.objects.aggregate(first=Min("paid_out_on"))["first"]
    return DaysClosed(first, last, paid_out, today)


def day_report(day: date) -> DayReport | None:
    """What closing a day did so far; none if it was never begun. Two statements."""
    reports = day_reports(since=day, until=day)
    return reports[0] if reports else None


def day_reports(*, since: date, until: date) -> tuple[DayReport, ...]:
    """The reports of the days from ``since`` to ``until``, both included; two statements."""
    runs = DayRun.objects.filter(day__range=(since, until)).order_by("day")
    steps: dict[date, list[StepReport]] = {}
    for row in DayStep.objects.filter(run__day__range=(since, until)):
        steps.setdefault(row.run_id, []).append(_step(row))
    return tuple(
        DayReport(
            day=run.day,
            actor=run.actor,
            started_at=run.started_at,
            finished_at=run.finished_at,
            steps=tuple(sorted(steps.get(run.day, ()), key=lambda each: STEPS.index(each.step))),
        )
        for run in runs
    )


def _step(row: DayStep) -> StepReport:
    return StepReport(
        step=Step(row.name),
        counts=dict(sorted(row.counts.items())),
        note=row.note,
        seconds=row.milliseconds / 1000,
        done_at=row.done_at,
    )


def last_day_spread() -> date | None:
    """The last day whose close has spread what had cleared, if there is one; one statement."""
    done = DayStep.objects.filter(name=Step.DISTRIBUTE, done_at__isnull=False)
    last: date | None = done.aggregate(last=Max("run"))["last"]
    return last


def is_step_done(day: date, step: Step) -> bool:
    """Whether a step of closing a day is done; one statement."""
    return DayStep.objects.filter(run_id=day, name=step.value, done_at__isnull=False).exists()


def staged_slices(day: date, slices: int) -> int:
    """How many of so many slices of a day's distribution are staged; one statement."""
    return StagedSlice.objects.filter(day=day, slices=slices).count()
