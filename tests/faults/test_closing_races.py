"""Close of day while people work on loans: a loan waits for whoever has it, or is done first."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, connections, transaction

from accounts.core.chart import Kind
from accounts.models import Account
from marketplace.core.closing import Step
from marketplace.core.collecting import SandboxCollector, SandboxRates
from marketplace.core.loan_events import PaymentKind
from marketplace.models import Listing, Offer, Part, Payment
from marketplace.selectors.closing import DayReport
from marketplace.services.bouncing import bounce_payments
from marketplace.services.locks import hold_offers, lock_loans, lock_matching
from marketplace.services.matching import run_cycle
from marketplace.services.single_payments import take_payment
from tests.conftest import _cloned
from tests.faults.test_cycle_death import _owner
from tests.faults.test_market_races import _thread, _wait_for
from tests.marketplace import house as fixtures
from tests.marketplace.closing_town import build_town, clone_of, close
from tests.marketplace.house import House, key
from tests.marketplace.lives import assert_sound, received
from tests.world import ACTOR, CLEARED, DAY

house_template = fixtures.house_template
SURE = SandboxCollector(1, SandboxRates(fails=0, bounces=0))


@pytest.fixture(scope="module")
def town(house_template: House, django_db_blocker: Any) -> Iterator[str]:
    """A town on the evening before its first payments clear; its name, with nobody connected."""
    with django_db_blocker.unblock(), _cloned(house_template.database) as name:
        build_town(House(name, house_template.facts, house_template.markets))
        close(CLEARED - timedelta(days=1), collector=SURE)
        connection.close()
        yield name


@pytest.fixture
def payments(town: str) -> Iterator[list[Payment]]:
    """The three payments that clear today, of three loans, in a town of the test's own."""
    with clone_of(town):
        yield list(Payment.objects.order_by("loan_id"))


def _bounce(payment: Payment) -> None:
    bounce_payments(payments=[payment.pk], on=CLEARED, actor=ACTOR, key=key(), reason="")


def _closing(reports: list[DayReport]) -> Any:
    return _thread(lambda: reports.append(close(CLEARED, collector=SURE)))


def test_a_person_has_a_loan_when_it_is_to_be_spread(payments: list[Payment]) -> None:
    """The step waits for them, and spreads what is there when they are done."""
    reports: list[DayReport] = []
    bounced, more = payments[0], payments[1].loan_id
    with transaction.atomic():
        lock_loans([bounced.loan_id, more])
        closing = _closing(reports)
        _wait_for("wait_event_type = 'Lock' AND query LIKE '%marketplace_loan%'", 1)
        _bounce(bounced)
    closing.join()
    [report] = reports
    assert report.counted(Step.DISTRIBUTE, "loans") == 2
    assert received(bounced.loan_id) == []
    assert received(more) != []
    assert_sound(CLEARED)


def test_a_person_comes_while_the_step_posts(payments: list[Payment]) -> None:
    """They wait until all is spread, and then take it back, or pay more."""
    reports: list[DayReport] = []
    bounced, more = payments[0], payments[1].loan_id
    lender = Part.objects.filter(loan=payments[2].loan_id).values_list("lender", flat=True)[0]
    account = Account.objects.get(kind=Kind.CASH.value, owner_id=lender).pk
    with (
        _owner(connection.settings_dict["NAME"]),
        transaction.atomic("owner"),
        connections["owner"].cursor() as owner,
    ):
        owner.execute("SELECT FROM accounts_account WHERE id = %s FOR UPDATE", [account])
        closing = _closing(reports)
        _wait_for("wait_event_type = 'Lock'", 1)
        people = [
            _thread(lambda: _bounce(bounced)),
            _thread(
                lambda: take_payment(
                    loan_id=more,
                    amount=500,
                    received_on=CLEARED,
                    on=CLEARED,
                    actor=ACTOR,
                    key=key(),
                )
            ),
        ]
        _wait_for("wait_event_type = 'Lock' AND query LIKE '%marketplace_loan%'", 2)
    for thread in (closing, *people):
        thread.join()
    [report] = reports
    assert report.counted(Step.DISTRIBUTE, "loans") == 3
    # Two parts: what they got was taken back.
    assert received(bounced.loan_id) == [(0, 0, 0), (0, 0, 0)]
    assert Payment.objects.filter(loan=more).count() == 2
    assert_sound(CLEARED)


def test_a_person_who_is_not_done_when_nothing_more_is_to_be_spread(
    payments: list[Payment],
) -> None:
    """Cash clears at once, so it is of this day: the step waits until they are done."""
    _bounce(payments[0])
    close(CLEARED, collector=SURE)
    saturday = CLEARED + timedelta(days=1)
    with transaction.atomic():
        taken = take_payment(
            loan_id=payments[0].loan_id,
            amount=500,
            on=saturday,
            actor=ACTOR,
            key=key(),
            kind=PaymentKind.CASH,
        )
        closing = _thread(lambda: close(saturday, collector=SURE))
        _wait_for("wait_event = 'advisory'", 1)
    closing.join()
    paid = Payment.objects.get(loan=payments[0].loan_id, number=taken.number)
    assert paid.distributed_on == saturday
    assert_sound(saturday)


def test_a_person_takes_back_what_the_step_is_to_take_back(payments: list[Payment]) -> None:
    """They have the loan; the step finds when its turn comes that it is done."""
    bouncing = SandboxCollector(1, SandboxRates(fails=0, bounces=1_000_000, latest_bounce=1))
    reports: list[DayReport] = []
    with transaction.atomic():
        lock_loans([payments[0].loan_id])
        closing = _thread(lambda: reports.append(close(CLEARED, collector=bouncing)))
        _wait_for("wait_event_type = 'Lock' AND query LIKE '%marketplace_loan%'", 1)
        _bounce(payments[0])
    closing.join()
    [report] = reports
    assert report.counted(Step.BOUNCES, "payments") == 2
    assert Payment.objects.filter(bounced_on=CLEARED).count() == 3
    assert_sound(CLEARED)


def test_a_cycle_that_somebody_runs_while_listings_lapse(payments: list[Payment]) -> None:
    """Both want the listings and the offers: whoever comes second waits at the offers."""
    Listing.objects.filter(state="expired").update(state="open", expires_on=DAY)
    reports: list[DayReport] = []
    with transaction.atomic():
        lock_matching()
        hold_offers()
        closing = _closing(reports)
        _wait_for("wait_event = 'advisory'", 1)
        run_cycle(on=CLEARED, actor=ACTOR, key=key())
    closing.join()
    assert not Listing.objects.filter(state="open").exists()
    [report] = reports
    assert report.counted(Step.LAPSE, "listings") == 0


def test_offers_are_topped_up_in_the_order_in_which_others_take_them(
    payments: list[Payment],
) -> None:
    """Somebody has the first of them: the step waits for it, and has none of the others."""
    parts = Part.objects.filter(loan__in=[payment.loan_id for payment in payments])
    offers = Offer.objects.filter(pk__in=parts.values("offer")).order_by("pk")
    offers.update(tops_up=True)
    first, *others = offers.values_list("pk", flat=True)
    # Written once more, it lies behind the others.
    offers.filter(pk=first).update(tops_up=True)
    reports: list[DayReport] = []

    def run() -> None:
        with connection.cursor() as cursor:
            # Many offers are gone through as they lie; so are these few.
            cursor.execute("SET enable_nestloop = off; SET enable_mergejoin = off")
        reports.append(close(CLEARED, collector=SURE))

    with transaction.atomic():
        Offer.objects.select_for_update().get(pk=first)
        closing = _thread(run)
        _wait_for("wait_event_type = 'Lock' AND query LIKE '%marketplace_offer%'", 1)
        free = Offer.objects.select_for_update(skip_locked=True).filter(pk__in=others)
        assert len(free) == len(others) == 5
    closing.join()
    [report] = reports
    assert report.counted(Step.TOP_UP, "distributions") == 3
