"""Close of day: its order, each step exactly once, catching up, two at once, what it reports."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.utils import DatabaseError, ProgrammingError

from accounts.selectors.reconciliations import list_breaks
from accounts.services.days import close_date
from accounts.services.posting import DateRefused
from marketplace.core.closing import STEPS, DayNotCome, DayOutOfOrder, Step
from marketplace.core.collecting import SandboxCollector, SandboxRates
from marketplace.core.house import HOUSE
from marketplace.core.loan_events import PaymentKind
from marketplace.models import DayRun, DayStep, Loan, Payment, StagedSlice
from marketplace.selectors.audit import audit
from marketplace.selectors.closing import day_report, days_closed
from marketplace.services.closing_day import close_books, close_day
from marketplace.services.payments import PaymentBackDated, PaymentDraft, receive_payments
from marketplace.services.single_payments import take_payment
from marketplace.services.staging import SliceRefused, stage_distribution
from tests.conftest import _cloned
from tests.marketplace.closing_town import (
    BEFORE,
    LAST,
    build_town,
    clone_of,
    close,
    counted,
    days,
    picture,
)
from tests.marketplace.house import House, key, paid_out
from tests.marketplace.statements import statements
from tests.world import ACTOR, CLEARED, DAY, FIRST_DUE

SURE = SandboxRates(fails=0, bounces=0)


@pytest.fixture(scope="module")
def town(house_template: House, django_db_blocker: Any) -> Iterator[str]:
    """The name of the town's database, with nobody connected."""
    with django_db_blocker.unblock(), _cloned(house_template.database) as name:
        build_town(House(name, house_template.facts, house_template.markets))
        connection.close()
        yield name


@pytest.fixture
def here(town: str) -> Iterator[str]:
    """A town of the test's own."""
    with clone_of(town) as name:
        yield name


@pytest.fixture(scope="module")
def straight(town: str, django_db_blocker: Any) -> Mapping[date, Any]:
    """What all comes to by two days, and each day's counts, where nothing disturbs the close."""
    with django_db_blocker.unblock(), clone_of(town):
        seen = {}
        for last in (CLEARED, LAST):
            close(last)
            seen[last] = picture(), [counted(day_report(day)) for day in days(last=last)]  # type: ignore[arg-type]
        return seen


class Stopped(Exception):
    """What a test stops a run with."""


def _stop_before(day: date, step: Step) -> Any:
    """Progress that stops the run before a step."""

    def progress(what: str, _done: int, _all: int) -> None:
        if what == f"{day} {step}":
            raise Stopped

    return progress


def test_what_a_day_reports(here: str) -> None:
    """Three loans of £1,000, £2,000 and £1,200: each pays its first instalment in full."""
    sure = SandboxCollector(1, SURE)
    report = close(FIRST_DUE, collector=sure)
    assert tuple(each.step for each in report.steps) == STEPS
    done = [each.done_at for each in report.steps]
    assert done == sorted(done)  # type: ignore[type-var]
    assert report.finished_at is not None
    assert report.counted(Step.FALL_DUE, "instalments") == 3
    # £30.78 of £1,000 at the blend of 7.0 %: the house design's figure, one of the three.
    assert report.counted(Step.COLLECT, "taken") == 3
    assert report.counted(Step.COLLECT, "pence") > 3_078
    assert report.counted(Step.PAY_OUT, "loans") == 1
    assert report.counted(Step.DISTRIBUTE, "payments") == 0
    # The town's bank has sent nothing.
    assert [each.detail for each in list_breaks()] == ["no statement yet"]
    assert report.breaks == 1
    later = close(CLEARED, collector=sure)
    # Three business days later: 2, 3 and 1 parts, a share each.
    assert later.counted(Step.DISTRIBUTE, "payments") == 3
    assert later.counted(Step.DISTRIBUTE, "shares") == 6
    assert day_report(CLEARED) == later
    assert [finding.rule for finding in audit() if not finding.holds] == []


def test_closed_again_nothing_happens(here: str) -> None:
    first = close(CLEARED)
    seen = picture()
    assert close(CLEARED) == first
    assert close(FIRST_DUE) == day_report(FIRST_DUE)
    assert picture() == seen


def test_a_payment_of_a_day_that_is_over_is_replayed(here: str) -> None:
    """From cash, so it would have been spread on the day; the batch service can't put it there."""
    close(FIRST_DUE)
    loan = Loan.objects.filter(instalments__interest_due__isnull=False).order_by("pk")[0].pk
    with pytest.raises(PaymentBackDated, match="is spread already"):
        receive_payments(payments=[PaymentDraft(loan, 900)], on=FIRST_DUE, actor=ACTOR, key=key())
    taken = take_payment(
        loan_id=loan,
        amount=900,
        received_on=FIRST_DUE,
        on=FIRST_DUE,
        actor=ACTOR,
        key=key(),
        kind=PaymentKind.CASH,
    )
    payment = Payment.objects.get(loan=loan, number=taken.number)
    assert payment.distributed_on == FIRST_DUE
    with pytest.raises(PaymentBackDated, match="is spread already"):
        receive_payments(
            payments=[PaymentDraft(loan, 900, received_on=FIRST_DUE)],
            on=FIRST_DUE + timedelta(days=1),
            actor=ACTOR,
            key=key(),
        )
    close(CLEARED)
    assert [finding.rule for finding in audit() if not finding.holds] == []


def test_catching_up_is_day_by_day(town: str, straight: Mapping[date, Any]) -> None:
    with clone_of(town):
        daily = [counted(close(day)) for day in days()]
        assert (picture(), daily) == straight[LAST]
    # Something was collected, spread, lent and paid out meanwhile, or this compares nothing.
    did = {step for day in daily for step, (counts, _) in day.items() if any(counts.values())}
    assert {"collect", "distribute", "cycle", "pay_out", "lapse", "top_up"} <= did


def test_stopped_before_every_step_and_run_again(town: str, straight: Mapping[date, Any]) -> None:
    """Two days, stopped before each of their steps in turn: the same as never stopped."""
    seen, reports = straight[CLEARED]
    with clone_of(town):
        close(CLEARED - timedelta(days=2))
        for day in (CLEARED - timedelta(days=1), CLEARED):
            for step in STEPS:
                with pytest.raises(Stopped):
                    close(CLEARED, progress=_stop_before(day, step))
        report = close(CLEARED)
        assert (picture(), counted(report)) == (seen, reports[-1])


def test_two_at_once_share_the_steps(town: str, straight: Mapping[date, Any]) -> None:
    with clone_of(town):
        answers: list[Any] = []
        gate = threading.Barrier(2)

        def run() -> None:
            gate.wait()
            try:
                answers.append(close(CLEARED))
            except BaseException as error:  # noqa: BLE001 - looked at below
                answers.append(error)
            finally:
                connection.close()

        threads = [threading.Thread(target=run) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert answers[0] == answers[1] == day_report(CLEARED)
        assert picture() == straight[CLEARED][0]
        assert DayStep.objects.filter(run_id=CLEARED).count() == len(STEPS)


def test_days_that_are_refused(here: str) -> None:
    with pytest.raises(DayNotCome, match="2016-05-09 has not come yet: today is 2016-05-03"):
        close(LAST, today=FIRST_DUE)
    with pytest.raises(DayNotCome):
        close(date(2999, 1, 1))
    with pytest.raises(DayOutOfOrder, match="2016-04-01 was the first"):
        close(DAY - timedelta(days=1))
    assert days_closed().missing(LAST) == tuple(days())
    assert not DayRun.objects.filter(day__gt=BEFORE).exists()


def test_closing_begins_where_somebody_says(house_template: House) -> None:
    """A book that was serviced otherwise until then has no days before it to catch up."""
    with clone_of(house_template.database) as name:
        paid_out(House(name, house_template.facts, house_template.markets))
        close_day(on=FIRST_DUE, since=BEFORE, actor=ACTOR)
        assert [run.day for run in DayRun.objects.order_by("day")] == [BEFORE, FIRST_DUE]
        close_day(on=CLEARED, actor=ACTOR)
        with pytest.raises(DayOutOfOrder, match="closed since 2016-05-02"):
            close_day(on=CLEARED, since=FIRST_DUE, actor=ACTOR)


def test_books_are_closed_after_the_day(here: str) -> None:
    """Or the day could book nothing any more, and no later one could be closed either."""
    with pytest.raises(DayOutOfOrder, match="2016-05-02 is the last day that close of day has"):
        close_books(day=FIRST_DUE, actor=ACTOR)
    close(FIRST_DUE)
    assert close_books(day=FIRST_DUE, actor=ACTOR).newly
    close_date(day=CLEARED, actor=ACTOR)
    with pytest.raises(DateRefused, match="closed"):
        close(CLEARED)


def test_it_opens_its_own_transactions(here: str) -> None:
    with pytest.raises(RuntimeError, match="durable"), transaction.atomic():
        close(FIRST_DUE)


def test_what_is_done_stays(here: str) -> None:
    close(FIRST_DUE)
    for refused in (
        "UPDATE marketplace_dayrun SET finished_at = now()",
        "UPDATE marketplace_daystep SET counts = '{}'",
        "UPDATE marketplace_daystep SET name = 'seal'",
        "DELETE FROM marketplace_daystep",
        "DELETE FROM marketplace_dayrun",
        "TRUNCATE marketplace_daystep",
    ):
        with pytest.raises((DatabaseError, ProgrammingError)), connection.cursor() as cursor:
            cursor.execute(refused)


def test_without_a_collector_nothing_is_collected(here: str) -> None:
    report = close_day(on=FIRST_DUE, actor=ACTOR)
    told = {each.step: each.note for each in report.steps}
    assert told[Step.COLLECT] == told[Step.BOUNCES] == "Nobody was named who collects."
    assert report.counted(Step.COLLECT, "taken") == 0


def test_collections_and_cycles_on_business_days_only(here: str) -> None:
    saturday = date(2016, 5, 7)
    report = close(saturday)
    told = {each.step: each.note for each in report.steps}
    assert told[Step.COLLECT] == told[Step.CYCLE] == "Banks are closed on this day."
    assert report.counted(Step.RECONCILE, "checks") > 0


def _staged(slices: int) -> Any:
    def stage(day: date) -> None:
        for number in range(slices):
            stage_distribution(on=day, number=number, slices=slices)

    return stage


def test_staged_drafts_come_to_the_same(town: str, straight: Mapping[date, Any]) -> None:
    seen, reports = straight[CLEARED]
    with clone_of(town):
        report = close(CLEARED, stage=_staged(3))
        assert (picture(), counted(report)) == (seen, reports[-1])
        assert not StagedSlice.objects.exists()


def test_a_draft_of_a_loan_that_changed_is_computed_again(
    town: str, straight: Mapping[date, Any]
) -> None:
    """Two slices say the same of every loan: what the first has written, the second doesn't."""

    def twice(day: date) -> None:
        stage_distribution(on=day, number=0, slices=1)
        stage_distribution(on=day, number=0, slices=2)
        stage_distribution(on=day, number=1, slices=2)

    with clone_of(town):
        close(CLEARED, stage=twice)
        assert picture() == straight[CLEARED][0]


def test_a_slice_that_comes_late_is_not_staged(here: str) -> None:
    close(CLEARED)
    assert stage_distribution(on=CLEARED, number=0, slices=1) == 0
    assert not StagedSlice.objects.exists()


@pytest.mark.parametrize(("number", "slices"), [(-1, 2), (2, 2), (0, 0), (0, 5_000)])
def test_a_slice_that_there_is_none_of(here: str, number: int, slices: int) -> None:
    with pytest.raises(SliceRefused, match="none of them"):
        stage_distribution(on=CLEARED, number=number, slices=slices)


def test_statements_do_not_grow_with_loans(house_template: House, town: str) -> None:
    """Three loans and six: the day they are due, one without work, the day they are spread."""

    def sent(name: str) -> list[int]:
        with clone_of(name):
            return [
                statements(lambda: close(on, collector=SandboxCollector(1, SURE)))  # noqa: B023
                for on in (FIRST_DUE, FIRST_DUE + timedelta(days=1), CLEARED)
            ]

    few = sent(town)
    with _cloned(house_template.database) as name:
        build_town(House(name, house_template.facts, house_template.markets), loans=6)
        many = sent(name)
    assert many == few


def _taken(loan_id: int, amount: int, on: date) -> None:
    take_payment(loan_id=loan_id, amount=amount, on=on, actor=ACTOR, key=key())


def test_a_person_who_was_ahead_of_a_missed_collection(here: str) -> None:
    """Their payment of Wednesday comes first, so Tuesday's direct debit counts from Wednesday."""
    wednesday = FIRST_DUE + timedelta(days=1)
    loan = Loan.objects.filter(state="active").order_by("pk")[0].pk
    _taken(loan, 1_000, wednesday)
    close(wednesday, collector=SandboxCollector(1, SURE))
    received = list(Payment.objects.order_by("loan", "number").values_list("loan", "received_on"))
    assert received[:2] == [(loan, wednesday)] * 2
    assert {day for _, day in received[2:]} == {FIRST_DUE}
    close(LAST, collector=SandboxCollector(1, SURE))
    assert [finding.rule for finding in audit() if not finding.holds] == []


def test_a_person_who_was_ahead_of_a_missed_bounce(here: str) -> None:
    """What bounced on a missed day is taken back on the first one that has the loan's records."""
    bouncing = SandboxCollector(1, SandboxRates(fails=0, bounces=1_000_000, latest_bounce=1))
    close(FIRST_DUE, collector=bouncing)
    ahead = FIRST_DUE + timedelta(days=2)
    loan = Payment.objects.order_by("loan")[0].loan_id
    _taken(loan, 1_000, ahead)
    close(ahead, collector=bouncing)
    bounced = dict(Payment.objects.filter(number=1).values_list("loan", "bounced_on"))
    assert bounced.pop(loan) == ahead
    assert set(bounced.values()) == {FIRST_DUE + timedelta(days=1)}
    assert [finding.rule for finding in audit() if not finding.holds] == []


def test_the_house_s_settings_are_those_of_every_step(here: str) -> None:
    close(FIRST_DUE, collector=SandboxCollector(1, SURE), house=replace(HOUSE, clearing_days=1))
    assert set(Payment.objects.values_list("clears_on", flat=True)) == {date(2016, 5, 4)}
