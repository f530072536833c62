"""Watching: a run looks at a book and is kept, raises alarms, and officers close them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, ClassVar

from django.db import transaction

from risk.core.alarms import (
    AlarmDraft,
    plain,
    prediction_alarms,
    roll_alarms,
    stability_alarms,
)
from risk.core.content import content_hash
from risk.core.credit_loss import StageRules
from risk.core.errors import NotFound, RiskRefusal
from risk.core.monitoring import FALSE_ALARM_RATE
from risk.core.monthly_stability import MonthStability, monthly_stability
from risk.core.roll_rates import WINDOW_MONTHS
from risk.core.states import ALARM_MOVES, AlarmState, require_move
from risk.core.watched_book import WatchedBook
from risk.core.watching import BookFindings, Losses, losses_from_json, watch_book
from risk.models import Alarm, MonitoringRun
from risk.selectors.watching import (
    AlarmView,
    Populations,
    RunView,
    alarm_view,
    forecasts_of,
    open_alarms,
    populations,
    run_before,
)
from risk.services.numbering import hold_alarms
from risk.services.people import checked_handle

Progress = Callable[[str, int, int], None]

STABILITY_MONTHS = 36
LONGEST_WORD = 1_000
_STEPS = ("forecasts", "outcomes, rolls and losses", "stability", "keeping the run")


class AlarmRefused(RiskRefusal):
    """An alarm that can't be closed so: without a word, too long a one, or before it was raised."""

    code: ClassVar[str] = "RISK_ALARM_REFUSED"


class AlarmClosed(RiskRefusal):
    """An alarm that somebody has closed already."""

    code: ClassVar[str] = "RISK_ALARM_CLOSED"


@dataclass(frozen=True, slots=True, eq=False)
class Watched:
    """A run with what it found; ``new`` unless the very same was kept before.

    ``previous`` is the run of the latest day before, ``opening`` its losses, both none at the
    first; ``raised`` the alarms that this run raised, ``open`` all that are open now. ``model`` is
    none without a champion.
    """

    run_id: int
    on: date
    digest: str
    new: bool
    loans: int
    model: str | None
    findings: BookFindings
    stability: tuple[MonthStability, ...]
    previous: RunView | None
    opening: Losses | None
    raised: tuple[AlarmView, ...]
    open: tuple[AlarmView, ...]


def watch(*, book: WatchedBook, progress: Progress | None = None) -> Watched:
    """Look at a book as of its day, keep what was found, and raise alarms.

    The same book on the same day is the same run: it is kept once, and raises its alarms once, so
    that what an officer has closed meanwhile stays closed. A fixed number of statements, whatever
    the number of loans and applications.

    Args:
        book: the loans.
        progress: told what is done now, and how many steps of how many.

    Raises:
        NotFound: a loan whose assessment there is not.
        MonitoringRefused: for a book that can't be watched, such as a loan without a pay-out.
        DataRefused: when rows of the champion's data set were added or lost.
    """
    tell = progress or (lambda _what, _done, _of: None)
    tell(_STEPS[0], 0, len(_STEPS))
    forecasts = forecasts_of(book.assessment, on=book.on)
    tell(_STEPS[1], 1, len(_STEPS))
    findings = watch_book(book, forecasts)
    tell(_STEPS[2], 2, len(_STEPS))
    people = populations(on=book.on, since=_months_before(book.on, STABILITY_MONTHS))
    shifts = _stability(people)
    tell(_STEPS[3], 3, len(_STEPS))
    model = None if people is None else people.model
    scope = _scope(book, model)
    figures = _figures(findings, shifts)
    digest = content_hash({"on": book.on.isoformat(), "scope": scope, "figures": figures})
    drafts = [
        *prediction_alarms(findings.cohorts),
        *roll_alarms(findings.rolls.worsenings),
        *stability_alarms(shifts, model or ""),
    ]
    with transaction.atomic():
        run, new = MonitoringRun.objects.get_or_create(
            on=book.on, digest=digest, defaults={"scope": scope, "figures": figures}
        )
        raised = raise_alarms(drafts=drafts, on=book.on) if new else []
    tell(_STEPS[3], len(_STEPS), len(_STEPS))
    previous = run_before(book.on)
    return Watched(
        run_id=run.pk,
        on=book.on,
        digest=digest,
        new=new,
        loans=len(book.loan),
        model=model,
        findings=findings,
        stability=shifts,
        previous=previous,
        opening=losses_from_json(previous.figures["credit_loss"]) if previous else None,
        raised=tuple(raised),
        open=tuple(open_alarms()),
    )


def raise_alarms(*, drafts: Sequence[AlarmDraft], on: date) -> list[AlarmView]:
    """Raise alarms; one of a kind and subject that is open already isn't raised again.

    Four statements, whatever the number of drafts; none for no drafts.

    Returns:
        Those that were raised.
    """
    wanted = {(draft.kind.value, draft.subject_key): draft for draft in drafts}
    if not wanted:
        return []
    with transaction.atomic():
        rows = [
            Alarm(
                kind=kind,
                subject=draft.subject,
                subject_key=key,
                words=draft.words,
                figures=draft.figures,
                raised_on=on,
            )
            for (kind, key), draft in wanted.items()
        ]
        hold_alarms()  # so that what is newer is this call's own
        newest = Alarm.objects.order_by("-id").values_list("id", flat=True).first() or 0
        # The database keeps one open alarm a subject: those that are there already are left alone.
        Alarm.objects.bulk_create(rows, ignore_conflicts=True)
        made = Alarm.objects.filter(id__gt=newest, raised_on=on).order_by("id")
        return [alarm_view(each) for each in made if (each.kind, each.subject_key) in wanted]


def close_alarm(*, alarm_id: int, officer: str, word: str, on: date) -> AlarmView:
    """Close an alarm with a word.

    Args:
        alarm_id: its key.
        officer: handle of the person who closes it.
        word: why, 1 to 1,000 characters.
        on: the business date.

    Raises:
        NotFound: there is no such alarm.
        AlarmClosed: somebody has closed it.
        AlarmRefused: no word, too long a one, or a day before the alarm's.
        HandleRefused: the officer's handle is empty or too long.
    """
    checked_handle(officer, "officer")
    said = word.strip()
    if not 0 < len(said) <= LONGEST_WORD or not "".join(said.split()).isprintable():
        raise AlarmRefused(
            f"An alarm is closed with a word: 1 to {LONGEST_WORD:,} printable characters that say"
            " why.",
            field="word",
        )
    with transaction.atomic():
        alarm = Alarm.objects.select_for_update().filter(pk=alarm_id).first()
        if alarm is None:
            raise NotFound(f"There is no alarm {alarm_id}.", field="alarm")
        if alarm.state == AlarmState.CLOSED.value:
            raise AlarmClosed(
                f"Alarm {alarm_id} was closed by {alarm.closed_by} on {alarm.closed_on}.",
                field="alarm",
            )
        if on < alarm.raised_on:
            raise AlarmRefused(
                f"Alarm {alarm_id} was raised on {alarm.raised_on}: it can't be closed earlier.",
                field="on",
            )
        require_move(ALARM_MOVES, AlarmState(alarm.state), AlarmState.CLOSED)
        alarm.state = AlarmState.CLOSED.value
        alarm.closed_by, alarm.closed_on, alarm.closing_word = officer, on, said
        alarm.save(update_fields=["state", "closed_by", "closed_on", "closing_word"])
    return alarm_view(alarm)


def _stability(people: Populations | None) -> tuple[MonthStability, ...]:
    if people is None:
        return ()
    return monthly_stability(
        people.reference,
        people.recent,
        month=people.month,
        months=people.months,
        columns=people.columns,
    )


def _scope(book: WatchedBook, model: str | None) -> dict[str, Any]:
    """What was looked at, and by which rules."""
    return {
        "loans": len(book.loan),
        "model": model,
        "vintage": "quarter of pay-out",
        "false_alarm_rate": FALSE_ALARM_RATE,
        "window_months": WINDOW_MONTHS,
        "stability_months": STABILITY_MONTHS,
        "stage_rules": plain(StageRules()),
    }


def _figures(findings: BookFindings, shifts: Sequence[MonthStability]) -> Mapping[str, Any]:
    return {
        "cohorts": plain(findings.cohorts),
        "rolls": plain(findings.rolls),
        "credit_loss": plain(findings.losses),
        "stability": plain(list(shifts)),
    }


def _months_before(on: date, months: int) -> date:
    """The first day of the month so many months before ``on``'s."""
    count = on.year * 12 + on.month - 1 - months
    return date(count // 12, count % 12 + 1, 1)
