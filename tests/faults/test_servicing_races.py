"""Two connections at once on one loan: one is done first, never both on the same state."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import date

from django.db import connection, transaction

from accounts.core.errors import AccountsRefusal
from marketplace.core.errors import MarketplaceRefusal
from marketplace.core.states import LoanState
from marketplace.models import Distribution, LoanEvent, Payment
from marketplace.services.bouncing import bounce_payments
from marketplace.services.distributing import distribute_cleared
from marketplace.services.locks import lock_loans
from marketplace.services.settling_loans import settle_early
from marketplace.services.single_payments import take_payment
from tests.faults.test_ledger_races import _at_once as at_once
from tests.faults.test_market_races import _thread, _wait_for
from tests.marketplace import house as fixtures
from tests.marketplace.house import Funded, House, key
from tests.marketplace.lives import assert_sound, received, running, take, work, work_until
from tests.world import ACTOR, CLEARED, DAY, FIRST_DUE

house_template = fixtures.house_template
committed_house = fixtures.committed_house

MID_MAY = date(2016, 5, 16)


def _paid(house: House) -> Funded:
    made = running(house)
    work_until(DAY, FIRST_DUE)
    take(made, 3_078, FIRST_DUE)
    return made


def _noting(refused: list[str], action: Callable[[], object]) -> None:
    try:
        action()
    except (MarketplaceRefusal, AccountsRefusal) as refusal:
        refused.append(refusal.code)


def test_two_settlements_at_once_settle_once(committed_house: House) -> None:
    made = _paid(committed_house)
    work_until(FIRST_DUE, CLEARED)
    refused: list[str] = []

    def settle(_number: int) -> None:
        _noting(
            refused,
            lambda: settle_early(loan_id=made.loan_id, on=MID_MAY, actor=ACTOR, key=key()),
        )

    at_once(settle, 3)
    assert refused == ["SETTLEMENT_REFUSED"] * 2
    assert LoanEvent.objects.filter(loan=made.loan_id).count() == 1
    work(MID_MAY)
    assert made.loan.state == LoanState.REPAID
    assert_sound(MID_MAY)


def test_the_same_bounce_told_at_once_is_one(committed_house: House) -> None:
    made = _paid(committed_house)
    work_until(FIRST_DUE, CLEARED)
    payment = Payment.objects.get(loan=made.loan_id).pk
    refused: list[str] = []

    def bounce(_number: int) -> None:
        _noting(
            refused,
            lambda: bounce_payments(
                payments=[payment], on=CLEARED, actor=ACTOR, key=key(), reason=""
            ),
        )

    at_once(bounce, 3)
    assert refused == ["BOUNCE_REFUSED"] * 2
    assert received(made.loan_id) == [(0, 0, 0), (0, 0, 0)]
    assert_sound(CLEARED)


def test_payments_at_once_are_all_taken_in_some_order(committed_house: House) -> None:
    made = _paid(committed_house)

    def pay(number: int) -> None:
        take(made, 100 + number, FIRST_DUE)

    at_once(pay, 4)
    rows = Payment.objects.filter(loan=made.loan_id).order_by("number")
    assert [row.number for row in rows] == [1, 2, 3, 4, 5]
    assert sorted(row.amount for row in rows) == [100, 101, 102, 103, 3_078]
    work_until(FIRST_DUE, CLEARED)
    assert_sound(CLEARED)


def test_spreading_waits_for_a_person_and_finds_what_they_did(committed_house: House) -> None:
    """The batch begins while a bounce is under way: the bounced payment is never spread."""
    made = _paid(committed_house)
    payment = Payment.objects.get(loan=made.loan_id).pk
    shares: list[int] = []
    with transaction.atomic():
        lock_loans([made.loan_id])
        batch = _thread(lambda: shares.append(distribute_cleared(on=CLEARED, actor=ACTOR)))
        _wait_for("wait_event_type = 'Lock'", 1)
        bounce_payments(payments=[payment], on=CLEARED, actor=ACTOR, key=key(), reason="")
    batch.join()
    assert shares == [0]
    assert not Distribution.objects.filter(loan=made.loan_id).exists()
    work(CLEARED)
    assert_sound(CLEARED)


def test_a_bounce_and_the_batch_at_once_come_to_the_same(committed_house: House) -> None:
    made = _paid(committed_house)
    payment = Payment.objects.get(loan=made.loan_id).pk
    done = threading.Barrier(2)

    def one(number: int) -> None:
        done.wait()
        if number:
            bounce_payments(payments=[payment], on=CLEARED, actor=ACTOR, key=key(), reason="")
        else:
            distribute_cleared(on=CLEARED, actor=ACTOR)
        connection.close()

    at_once(one, 2)
    assert received(made.loan_id) in ([], [(0, 0, 0), (0, 0, 0)])
    work(CLEARED)
    assert_sound(CLEARED)


def test_a_late_payment_while_its_twin_settles(committed_house: House) -> None:
    made = _paid(committed_house)
    work_until(FIRST_DUE, CLEARED)
    refused: list[str] = []

    def one(number: int) -> None:
        if number:
            _noting(
                refused,
                lambda: settle_early(loan_id=made.loan_id, on=MID_MAY, actor=ACTOR, key=key()),
            )
        else:
            _noting(
                refused,
                lambda: take_payment(
                    loan_id=made.loan_id,
                    amount=5_000,
                    received_on=CLEARED,
                    on=MID_MAY,
                    actor=ACTOR,
                    key=key(),
                ),
            )

    at_once(one, 2)
    work_until(MID_MAY, date(2016, 5, 20))
    assert made.loan.state == LoanState.REPAID
    assert_sound(date(2016, 5, 20))
