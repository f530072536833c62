"""Bounces leave everything as if the payment had never come, and the record that it did.

The house design's loan: £480 at 6.9 % and £520 at 7.1 %, £30.78 a month. Its first instalment is
566p interest (268p and 298p) and 2,512p principal (1,206p and 1,306p); fees are 40p and 43p.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from accounts.core.chart import Kind
from accounts.models import Entry
from accounts.selectors.ledger import totals_by_kind
from accounts.services.cash import CashMovement, send_withdrawals
from accounts.services.debts import settle_debts
from marketplace.core.loan_events import PaymentKind
from marketplace.core.states import LoanState
from marketplace.models import Distribution, LoanMove, Payment
from marketplace.services.bouncing import BounceRefused, bounce_payments
from marketplace.services.settling_loans import settle_early
from tests.marketplace.house import Funded, House, key
from tests.marketplace.lives import (
    assert_sound,
    balance,
    bounce,
    kinds_of_events,
    owed,
    picture,
    received,
    running,
    take,
    work,
    work_until,
)
from tests.world import ACTOR, CLEARED, DAY, FIRST_DUE

SECOND_DUE = date(2016, 6, 1)
SECOND_CLEARED = date(2016, 6, 6)
_A_DAY = timedelta(days=1)


def _first_paid(house: House) -> Funded:
    made = running(house)
    work(FIRST_DUE)
    take(made, 3_078, FIRST_DUE)
    return made


def test_a_bounce_before_it_is_spread_moves_no_lenders_money(house: House) -> None:
    made = _first_paid(house)
    assert balance(Kind.INTEREST_DUE, made.loan_id) == 0
    bounced = bounce(made, 1, date(2016, 5, 5))
    [loan] = bounced.loans
    assert (loan.to_lenders, loan.from_lenders, loan.advanced) == (0, 0, 0)
    assert loan.changed
    assert not Distribution.objects.filter(loan=made.loan_id).exists()
    assert balance(Kind.CLEARING, made.loan_id) == 0
    assert balance(Kind.PRINCIPAL_OWED, made.loan_id) == 100_000
    assert balance(Kind.INTEREST_DUE, made.loan_id) == 566
    # The direct debit is uncollected again: 3,078p in, 3,078p out.
    assert totals_by_kind()[Kind.COLLECTING] == 0
    assert_sound(date(2016, 5, 5))


def test_a_bounce_after_it_is_spread_takes_back_every_penny(house: House) -> None:
    made = _first_paid(house)
    work(CLEARED)
    assert received(made.loan_id) == [(1_206, 268, 40), (1_306, 298, 43)]
    [loan] = bounce(made, 1, CLEARED + _A_DAY).loans
    # 1,206 + 268 - 40 = 1,434 and 1,306 + 298 - 43 = 1,561.
    assert loan.from_lenders == 1_434 + 1_561
    assert loan.advanced == 0
    assert received(made.loan_id) == [(0, 0, 0), (0, 0, 0)]
    assert [balance(Kind.CASH, lender.pk) for lender in made.lenders] == [0, 0]
    assert totals_by_kind()[Kind.FEES] == 1_500
    assert made.loan.state == LoanState.ARREARS
    assert_sound(CLEARED + _A_DAY)


def test_the_record_that_it_came_stays(house: House) -> None:
    made = _first_paid(house)
    work(CLEARED)
    on = date(2016, 5, 9)
    bounce(made, 1, on)
    payment = Payment.objects.get(loan=made.loan_id)
    assert (payment.amount, payment.received_on, payment.bounced_on) == (3_078, FIRST_DUE, on)
    assert payment.distributed_on is None
    kinds = Distribution.objects.filter(loan=made.loan_id).order_by("number").values_list("kind")
    assert list(kinds) == [("payment",), ("correction",)]
    entry = Entry.objects.get(key=f"payment_bounced/{made.loan_id}/undone/1")
    assert (entry.kind, entry.effective_on) == ("payment_bounced", on)


def test_what_a_lender_has_spent_is_advanced_and_set_off(house: House) -> None:
    made = _first_paid(house)
    work(CLEARED)
    spender, saver = made.lenders
    send_withdrawals(movements=[CashMovement(spender.pk, 1_000, key())], on=CLEARED, actor=ACTOR)
    [loan] = bounce(made, 1, CLEARED + _A_DAY).loans
    # Of 1,434p the spender has 434p left; 1,000p are advanced. The saver gives back 1,561p.
    assert (loan.from_lenders, loan.advanced) == (1_434 + 1_561, 1_000)
    assert (balance(Kind.CASH, spender.pk), balance(Kind.DEBT, spender.pk)) == (0, 1_000)
    assert (balance(Kind.CASH, saver.pk), balance(Kind.DEBT, saver.pk)) == (0, 0)
    # The instalment is paid again: 1,434p come, of which 1,000p settle the debt.
    again = CLEARED + timedelta(days=3)
    take(made, 3_078, again)
    work_until(again, again + timedelta(days=5))
    assert received(made.loan_id) == [(1_206, 268, 40), (1_306, 298, 43)]
    settled = settle_debts(on=again + timedelta(days=5), actor=ACTOR, key=key())
    assert settled == 1_000
    assert (balance(Kind.CASH, spender.pk), balance(Kind.DEBT, spender.pk)) == (434, 0)
    assert_sound(again + timedelta(days=5))


@pytest.mark.parametrize(("bounced", "late_by"), [(1, 2), (2, 40), (3, 2), (3, 40)])
def test_a_bounced_payment_leaves_what_its_twin_has(
    house: House, bounced: int, late_by: int
) -> None:
    """Three payments, one of which bounces, some days after the last: the twin never had it."""
    ours, twin = running(house), running(house)
    plan = [(FIRST_DUE, 3_078), (date(2016, 5, 20), 1_111), (SECOND_DUE, 2_500)]
    day = DAY
    for number, (when, amount) in enumerate(plan, start=1):
        work_until(day, when - _A_DAY)
        work(when)
        day = when + _A_DAY
        take(ours, amount, when)
        if number != bounced:
            take(twin, amount, when)
    last = SECOND_DUE + timedelta(days=late_by)
    work_until(day, last - _A_DAY)
    bounce(ours, bounced, last)
    work(last)
    assert picture(ours) == picture(twin)
    assert_sound(last)
    work_until(last + _A_DAY, last + timedelta(days=35))
    assert picture(ours) == picture(twin)
    assert_sound(last + timedelta(days=35))


def test_a_bounced_settlement_leaves_the_loan_running(house: House) -> None:
    ours, twin = running(house), running(house)
    work_until(DAY, FIRST_DUE)
    for made in (ours, twin):
        take(made, 3_078, FIRST_DUE)
    work_until(FIRST_DUE + _A_DAY, date(2016, 5, 15))
    on = date(2016, 5, 16)
    settled = settle_early(
        loan_id=ours.loan_id, on=on, actor=ACTOR, key=key(), kind=PaymentKind.COLLECTION
    )
    assert settled.payment is not None
    work_until(on, date(2016, 5, 22))
    assert ours.loan.state == LoanState.REPAID
    bounce(ours, settled.payment, date(2016, 5, 23))
    work(date(2016, 5, 23))
    assert kinds_of_events(ours) == []
    assert ours.loan.state == LoanState.ACTIVE
    assert picture(ours) == picture(twin)
    moves = LoanMove.objects.filter(loan=ours.loan_id).order_by("id")
    assert [move.state_after for move in moves] == ["active", "repaid", "active"]
    assert_sound(date(2016, 5, 23))
    work_until(date(2016, 5, 24), SECOND_DUE)
    assert owed(ours.loan_id) == owed(twin.loan_id) > 0
    assert_sound(SECOND_DUE)


def test_returned_excess_that_was_spent_becomes_the_borrowers_debt(house: House) -> None:
    made = running(house)
    work(FIRST_DUE)
    take(made, 5_000, FIRST_DUE)
    work(CLEARED)
    borrower = made.borrower.pk
    # 98,500p were paid out, and 5,000 - 3,078 = 1,922p came back. All of it goes but 22p.
    assert balance(Kind.CASH, borrower) == 100_422
    send_withdrawals(movements=[CashMovement(borrower, 100_400, key())], on=CLEARED, actor=ACTOR)
    [loan] = bounce(made, 1, CLEARED + _A_DAY).loans
    assert (loan.to_borrower, loan.advanced) == (-1_922, 1_900)
    assert (balance(Kind.CASH, borrower), balance(Kind.DEBT, borrower)) == (0, 1_900)
    assert_sound(CLEARED + _A_DAY)


def test_a_payment_bounces_once(house: House) -> None:
    made = _first_paid(house)
    payment = Payment.objects.get(loan=made.loan_id)
    name = key()
    asked: dict[str, Any] = {"on": FIRST_DUE, "actor": ACTOR, "reason": "no funds"}
    first = bounce_payments(payments=[payment.pk], key=name, **asked)
    assert bounce_payments(payments=[payment.pk], key=name, **asked) == first
    with pytest.raises(BounceRefused, match="bounced already, on 2016-05-03"):
        bounce_payments(payments=[payment.pk], key=key(), **asked)


def test_what_cannot_bounce(house: House) -> None:
    made = running(house)
    work(FIRST_DUE)
    take(made, 100, FIRST_DUE, kind=PaymentKind.CASH)
    cash = Payment.objects.get(loan=made.loan_id).pk
    asked: dict[str, Any] = {"on": FIRST_DUE, "actor": ACTOR, "reason": ""}
    with pytest.raises(BounceRefused, match="from cash"):
        bounce_payments(payments=[cash], key=key(), **asked)
    with pytest.raises(BounceRefused, match="unknown"):
        bounce_payments(payments=[cash + 1], key=key(), **asked)
    take(made, 100, FIRST_DUE)
    collected = Payment.objects.get(loan=made.loan_id, number=2).pk
    with pytest.raises(BounceRefused, match="recorded on 2016-05-03"):
        bounce_payments(payments=[collected], key=key(), on=DAY, actor=ACTOR, reason="")
