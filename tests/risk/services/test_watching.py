"""Watching a book: runs that are kept once, alarms that are raised once and closed with a word."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from django.db import transaction
from django.db.utils import DatabaseError
from pytest_django import DjangoAssertNumQueries

from risk.core.alarms import AlarmDraft, AlarmKind
from risk.core.errors import HandleRefused, NotFound
from risk.core.facts import ApplicationFacts
from risk.core.monitoring import Finding
from risk.core.pricing import from_ppm
from risk.core.roll_rates import Dues
from risk.core.states import AlarmState
from risk.core.watched_book import WatchedBook
from risk.models import Alarm, Assessment, MonitoringRun
from risk.selectors.past_applications import holdout_rows
from risk.selectors.watching import alarms, forecasts_of, open_alarms, run_before
from risk.services.assessing import assess_applications
from risk.services.watching import (
    AlarmClosed,
    AlarmRefused,
    close_alarm,
    raise_alarms,
    watch,
)
from tests.risk.conftest import ON, Registered

pytestmark = pytest.mark.django_db

LATER = date(2018, 4, 30)
DRAFT = AlarmDraft(AlarmKind.PREDICTION, "band A, all vintages", "*/A", "Too many.", {"actual": 9})


def _assessed(registered: Registered, count: int) -> list[int]:
    """Keys of assessments of past applicants who were given a band."""
    rows = holdout_rows(model_version=registered.model_version)[: 2 * count]
    assess_applications(
        applications=[
            ApplicationFacts(
                f"row-{row.row_number}",
                round(float(row.amount or 0) * 100),
                row.term_months or 0,
                row.facts,
            )
            for row in rows
        ],
        on=ON,
    )
    banded = Assessment.objects.exclude(band="").order_by("id")
    return list(banded.values_list("id", flat=True)[:count])


def _book(assessments: list[int], *, lost: int = 0, on: date = LATER) -> WatchedBook:
    """Loans of £1,000 that pay £100 on the first of each month; the first few never pay."""
    size, months = len(assessments), 24
    due_on = np.datetime64("2016-05", "M") + np.arange(36)
    paid_by = np.arange(size * months)
    never = np.full(size, np.datetime64("NaT", "D"))
    lost_on = np.where(np.arange(size) < lost, np.datetime64("2016-09-01", "D"), never)
    pays = paid_by // months >= lost
    return WatchedBook(
        on=on,
        loan=np.arange(size),
        assessment=np.array(assessments, dtype=np.int64),
        paid_out_on=np.full(size, np.datetime64("2016-04-01", "D")),
        lost_on=lost_on,
        closed_on=never,
        written_off=np.zeros(size, dtype=np.bool_),
        forborne=np.zeros(size, dtype=np.bool_),
        amount=np.full(size, 100_000),
        outstanding=np.where(np.arange(size) < lost, 100_000, 40_000),
        rate_ppm=np.full(size, 70_000),
        term_months=np.full(size, 36),
        recovered=np.zeros(size, dtype=np.int64),
        dues=Dues(
            size,
            np.repeat(np.arange(size), 36),
            np.tile(due_on.astype("datetime64[D]"), size),
            np.full(size * 36, 10_000),
            (paid_by // months)[pays],
            due_on[paid_by % months].astype("datetime64[D]")[pays],
            np.full(int(pays.sum()), 10_000),
        ),
    )


def test_forecasts_are_the_frozen_ones_in_the_order_asked_for(registered: Registered) -> None:
    first, second, third = _assessed(registered, 3)
    got = forecasts_of(np.array([third, first, third]), on=LATER)
    frozen = Assessment.objects.in_bulk([first, second, third])
    asked = [frozen[key] for key in (third, first, third)]
    assert got.pd_outcome.tolist() == from_ppm([one.pd_outcome_ppm for one in asked]).tolist()
    assert got.pd12.tolist() == from_ppm([one.pd12_ppm for one in asked]).tolist()
    assert [got.bands[at] for at in got.band] == [one.band for one in asked]
    assert got.bands[:2] == ("A*", "A")
    assert got.outcome_months.tolist() == [24] * 3
    assert got.loss_given_default.tolist() == [0.8] * 3
    assert np.isnan(got.pd12_now).all()
    with pytest.raises(NotFound):
        forecasts_of(np.array([first, 10**9]), on=LATER)


def test_a_run_is_kept_once_and_raises_its_alarms_once(registered: Registered) -> None:
    keys = _assessed(registered, 40)
    bad = _book(keys, lost=38)
    one = watch(book=bad)
    assert one.new
    assert one.findings.cohorts[0].finding is Finding.TOO_MANY
    assert one.findings.cohorts[0].actual == 38
    assert {each.kind for each in one.raised} >= {"prediction"}
    assert one.open == tuple(open_alarms())
    # The very same again, also after an officer has closed its alarms: the same run, no alarm.
    for each in one.raised:
        close_alarm(alarm_id=each.id, officer="officer-1", word="Known.", on=LATER)
    again = watch(book=bad)
    assert (again.new, again.run_id, again.digest) == (False, one.run_id, one.digest)
    assert again.raised == again.open == ()
    assert MonitoringRun.objects.count() == 1
    # The next day it is still so: raised again, now that nothing is open.
    tomorrow = watch(book=_book(keys, lost=38, on=date(2018, 5, 1)))
    assert tomorrow.new
    assert {each.subject_key for each in tomorrow.raised if each.kind == "prediction"} == {
        each.subject_key for each in one.raised if each.kind == "prediction"
    }
    # The day after, what is open isn't raised a second time.
    assert watch(book=_book(keys, lost=38, on=date(2018, 5, 2))).raised == ()


def test_a_book_as_predicted_raises_nothing_of_its_outcomes(registered: Registered) -> None:
    seen = watch(book=_book(_assessed(registered, 40), lost=3))
    assert not [each for each in seen.raised if each.kind in ("prediction", "roll_rate")]
    losses = seen.findings.losses
    # Three loans in default owe £1,000 each, the others £400: none late, so stage 1.
    assert [(row.loans, row.balance) for row in losses.totals] == [
        (37, 37 * 40_000),
        (0, 0),
        (3, 3 * 100_000),
    ]
    # 20 months in default, the lag of twelve is over: all is expected to be lost.
    assert losses.totals[2].loss == 3 * 100_000
    assert losses.loss == sum(row.loss for row in losses.rows)


def test_losses_move_from_the_run_before(registered: Registered) -> None:
    keys = _assessed(registered, 20)
    first = watch(book=_book(keys))
    assert first.previous is None
    second = watch(book=_book(keys, lost=2, on=date(2018, 5, 31)))
    assert second.previous is not None
    assert second.previous.id == first.run_id
    assert second.opening == first.findings.losses
    assert run_before(LATER) is None


def test_it_is_as_many_statements_for_any_number_of_loans(
    registered: Registered, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    keys = _assessed(registered, 40)
    for number, (few, lost) in enumerate(((keys[:1], 0), (keys, 3))):
        # 4 of forecasts, 3 of populations, 6 of keeping the run (looked for, written, and two
        # savepoints with their ends), 1 each of the run before and of open alarms.
        with django_assert_num_queries(15):
            watch(book=_book(few, lost=lost, on=date(2018, 4, 10 + number)))
    # An alarm takes 3 more, and its savepoint 2.
    with django_assert_num_queries(21):
        assert watch(book=_book(keys, lost=38, on=date(2018, 4, 20))).raised


def test_no_loans_and_no_champion(db: None) -> None:
    seen = watch(book=_book([]))
    assert (seen.loans, seen.model, seen.stability) == (0, None, ())
    assert seen.findings.cohorts == ()
    assert seen.findings.losses.loss == 0
    assert seen.raised == ()


def test_an_open_alarm_is_not_raised_twice(db: None) -> None:
    [raised] = raise_alarms(drafts=[DRAFT, DRAFT], on=LATER)
    assert (raised.state, raised.words, raised.raised_on) == (AlarmState.OPEN, "Too many.", LATER)
    assert raise_alarms(drafts=[DRAFT], on=date(2018, 5, 31)) == []
    assert raise_alarms(drafts=[], on=LATER) == []
    assert open_alarms() == [raised]


def test_an_officer_closes_an_alarm_with_a_word(db: None) -> None:
    [raised] = raise_alarms(drafts=[DRAFT], on=LATER)
    closed = close_alarm(
        alarm_id=raised.id, officer="officer-2", word="  Retrained. ", on=date(2018, 5, 2)
    )
    assert (closed.state, closed.closed_by, closed.closing_word, closed.closed_on) == (
        AlarmState.CLOSED,
        "officer-2",
        "Retrained.",
        date(2018, 5, 2),
    )
    assert open_alarms() == []
    assert alarms() == [closed]
    with pytest.raises(AlarmClosed, match="officer-2 on 2018-05-02"):
        close_alarm(alarm_id=raised.id, officer="officer-3", word="Again.", on=date(2018, 5, 3))
    # It has gone, so that it may come again.
    assert len(raise_alarms(drafts=[DRAFT], on=date(2018, 5, 31))) == 1


def test_what_closes_no_alarm(db: None) -> None:
    [raised] = raise_alarms(drafts=[DRAFT], on=LATER)
    for word in ("", "  \n", "x" * 1_001, "\u200b", "a\x00b"):
        with pytest.raises(AlarmRefused):
            close_alarm(alarm_id=raised.id, officer="officer-2", word=word, on=LATER)
    with pytest.raises(AlarmRefused, match="earlier"):
        close_alarm(alarm_id=raised.id, officer="officer-2", word="x", on=date(2018, 4, 29))
    with pytest.raises(HandleRefused):
        close_alarm(alarm_id=raised.id, officer=" ", word="x", on=LATER)
    with pytest.raises(NotFound):
        close_alarm(alarm_id=raised.id + 1, officer="officer-2", word="x", on=LATER)
    assert open_alarms() == [raised]
    with pytest.raises(DatabaseError, match="immutable"), transaction.atomic():
        Alarm.objects.filter(pk=raised.id).update(words="Nothing.")
