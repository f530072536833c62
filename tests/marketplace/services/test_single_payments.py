"""Single payments: any amount, today or on a past date, in an open period or a closed one.

The house design's loan: £480 at 6.9 % and £520 at 7.1 %, £30.78 a month from 3 May 2016. Its first
instalment is 566p interest and 2,512p principal; S is 100,000 pence-months after it.
"""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from accounts.core.chart import Kind
from accounts.models import Entry
from accounts.services.days import close_date
from accounts.services.posting import IdempotencyConflict, NotEnoughMoney
from marketplace.core.loan_events import Excess, PaymentKind
from marketplace.core.settlement import PaymentRefused
from marketplace.core.states import LoanState
from marketplace.models import Instalment, Payment
from marketplace.services.changing_loans import agree_arrangement
from marketplace.services.loan_records import LoanNotPaidOut, RecordRefused
from marketplace.services.payments import PaymentDraft, receive_payments
from marketplace.services.single_payments import take_payment
from tests.marketplace.house import House, funded, key
from tests.marketplace.lives import (
    assert_sound,
    balance,
    bounce,
    picture,
    received,
    running,
    take,
    work,
    work_until,
)
from tests.world import ACTOR, CLEARED, DAY, FIRST_DUE

SECOND_DUE = date(2016, 6, 1)
_A_DAY = timedelta(days=1)


def test_a_payment_of_today_is_what_the_batch_would_have_taken(house: House) -> None:
    ours, twin = running(house), running(house)
    work(FIRST_DUE)
    taken = take(ours, 3_078, FIRST_DUE)
    receive_payments(
        payments=[PaymentDraft(twin.loan_id, 3_078)], on=FIRST_DUE, actor=ACTOR, key=key()
    )
    assert (taken.number, taken.booked_on, taken.replayed) == (1, FIRST_DUE, False)
    assert picture(ours) == picture(twin)
    assert balance(Kind.CLEARING, ours.loan_id) == 3_078
    work_until(FIRST_DUE, CLEARED)
    assert received(ours.loan_id) == [(1_206, 268, 40), (1_306, 298, 43)]
    assert picture(ours) == picture(twin)
    assert_sound(CLEARED)


def test_a_payment_before_anything_is_due_waits_whole(house: House) -> None:
    made = running(house)
    take(made, 3_078, DAY)
    assert balance(Kind.CLEARING, made.loan_id) == 3_078
    assert Payment.objects.get(loan=made.loan_id).allocated_on is None
    work_until(DAY, CLEARED)
    assert received(made.loan_id) == [(1_206, 268, 40), (1_306, 298, 43)]
    assert_sound(CLEARED)


def test_a_past_date_counts_for_interest_arrears_and_lenders(house: House) -> None:
    """Recorded in June, paid in May: everything is as if it had been taken in May."""
    ours, twin = running(house), running(house)
    work(FIRST_DUE)
    take(twin, 3_078, FIRST_DUE)
    work_until(FIRST_DUE + _A_DAY, SECOND_DUE)
    assert ours.loan.state == LoanState.ARREARS
    # Overdue principal bears interest: S is 2 x 100,000 without the payment, 2,512 less with it.
    assert ours.loan.balance_months == 200_000
    late = SECOND_DUE + timedelta(days=6)
    work_until(SECOND_DUE + _A_DAY, late)
    taken = take(ours, 3_078, late, received_on=FIRST_DUE)
    assert taken.replayed
    assert taken.booked_on == FIRST_DUE
    assert "put right on 2016-06-07" in taken.said
    assert ours.loan.balance_months == 197_488
    assert picture(ours) == picture(twin)
    assert Entry.objects.get(key=f"payment/{ours.loan_id}/1").effective_on == FIRST_DUE
    correction = Entry.objects.get(key=f"loan_corrected/{ours.loan_id}/1")
    assert correction.effective_on == late
    work(late)
    assert_sound(late)


def test_a_closed_date_is_booked_today_and_says_so(house: House) -> None:
    ours, twin = running(house), running(house)
    work(FIRST_DUE)
    take(twin, 3_078, FIRST_DUE)
    work_until(FIRST_DUE + _A_DAY, SECOND_DUE)
    close_date(day=date(2016, 5, 31), actor=ACTOR)
    taken = take(ours, 3_078, SECOND_DUE, received_on=FIRST_DUE)
    assert taken.booked_on == SECOND_DUE
    assert taken.said.startswith("Counts from 2016-05-03, and is booked on 2016-06-01")
    payment = Payment.objects.get(loan=ours.loan_id)
    assert (payment.received_on, payment.recorded_on) == (FIRST_DUE, SECOND_DUE)
    assert Entry.objects.get(key=f"payment/{ours.loan_id}/1").effective_on == SECOND_DUE
    assert picture(ours) == picture(twin)
    assert_sound(SECOND_DUE)


def test_a_back_dated_payment_that_bounces_was_never_there(house: House) -> None:
    ours, twin = running(house), running(house)
    work_until(DAY, SECOND_DUE)
    take(ours, 3_078, SECOND_DUE, received_on=FIRST_DUE)
    bounce(ours, 1, SECOND_DUE)
    work(SECOND_DUE)
    assert picture(ours) == picture(twin)
    assert_sound(SECOND_DUE)


def test_an_event_that_turns_out_to_have_had_no_reason_does_nothing(house: House) -> None:
    """An arrangement of a loan that was never in arrears, as a payment found later shows."""
    ours, twin = running(house), running(house)
    work(FIRST_DUE)
    take(twin, 3_078, FIRST_DUE)
    start = FIRST_DUE + timedelta(days=10)
    work_until(FIRST_DUE + _A_DAY, start)
    agree_arrangement(
        loan_id=ours.loan_id, amount=1_000, months=3, on=start, actor=ACTOR, key=key()
    )
    work(start)
    assert ours.loan.state == LoanState.ARRANGEMENT
    on = start + timedelta(days=5)
    work_until(start, on)
    take(ours, 3_078, on, received_on=FIRST_DUE)
    assert ours.loan.state == LoanState.ACTIVE
    assert picture(ours) == picture(twin)
    assert_sound(on)


def test_a_payment_from_cash_has_cleared_and_needs_the_cash(house: House) -> None:
    made = running(house)
    work(FIRST_DUE)
    take(made, 3_078, FIRST_DUE, kind=PaymentKind.CASH)
    # £985 were paid out.
    assert balance(Kind.CASH, made.borrower.pk) == 98_500 - 3_078
    work(FIRST_DUE)
    assert received(made.loan_id) == [(1_206, 268, 40), (1_306, 298, 43)]
    with pytest.raises(NotEnoughMoney):
        take(made, 96_000, FIRST_DUE, kind=PaymentKind.CASH)


def test_excess_can_make_the_loan_shorter_or_its_instalments_smaller(house: House) -> None:
    shorter, smaller = running(house), running(house)
    work(FIRST_DUE)
    for made, excess in ((shorter, Excess.SHORTER), (smaller, Excess.SMALLER)):
        take(made, 3_078 + 20_000, FIRST_DUE, excess=excess)
        rows = Instalment.objects.filter(loan=made.loan_id)
        assert sum(row.principal_due for row in rows) == 100_000
        assert rows.get(kind="prepayment").principal_due == 20_000
        assert made.loan.principal_paid == 2_512 + 20_000
    # A fifth of the principal less: some eight of 35 instalments of £30.78 fewer; or all 35, each
    # a fifth smaller: 77,488 / 97,488 of £30.78 is £24.47.
    assert shorter.loan.instalment == 3_078
    count = Instalment.objects.filter(loan=shorter.loan_id, kind="regular").count()
    assert 27 <= count <= 29
    assert smaller.loan.instalment in (2_446, 2_447)
    assert Instalment.objects.filter(loan=smaller.loan_id, kind="regular").count() == 36
    work_until(FIRST_DUE, CLEARED)
    assert_sound(CLEARED)


def test_a_bounced_prepayment_gives_the_old_schedule_back(house: House) -> None:
    ours, twin = running(house), running(house)
    work_until(DAY, FIRST_DUE)
    take(twin, 3_078, FIRST_DUE)
    take(ours, 3_078, FIRST_DUE)
    take(ours, 20_000, FIRST_DUE, excess=Excess.SHORTER)
    work_until(FIRST_DUE, CLEARED)
    bounce(ours, 2, CLEARED)
    assert picture(ours) == picture(twin)
    assert_sound(CLEARED)


def test_what_is_refused_says_what_would_be_taken(house: House) -> None:
    made = running(house)
    work(FIRST_DUE)
    with pytest.raises(PaymentRefused, match="today is 2016-05-03"):
        take(made, 100, FIRST_DUE, received_on=FIRST_DUE + _A_DAY)
    for nothing in (0, -1):
        with pytest.raises(PaymentRefused, match="above zero"):
            take(made, nothing, FIRST_DUE)
    with pytest.raises(PaymentRefused, match="more than all that this loan can come to"):
        take(made, 100_000_000, FIRST_DUE)
    with pytest.raises(PaymentRefused, match="before the loan was paid out, 2016-04-01"):
        take(made, 100, FIRST_DUE, received_on=DAY - _A_DAY)
    with pytest.raises(PaymentRefused, match="settle it early instead"):
        take(made, 3_078 + 97_488, FIRST_DUE, excess=Excess.SMALLER)
    with pytest.raises(LoanNotPaidOut, match="is funded; that can be done with") as refused:
        take(funded(house), 100, FIRST_DUE)
    assert refused.value.state is LoanState.FUNDED
    with pytest.raises(PaymentRefused, match="Only a recovery has a cost"):
        take_payment(loan_id=made.loan_id, amount=100, cost=1, on=FIRST_DUE, actor=ACTOR, key=key())
    with pytest.raises(RecordRefused, match="reference has up to 60"):
        take_payment(
            loan_id=made.loan_id,
            amount=100,
            received_on=FIRST_DUE,
            on=FIRST_DUE,
            actor=ACTOR,
            key=key(),
            reference="x" * 61,
        )
    assert not Payment.objects.filter(loan=made.loan_id).exists()


def test_the_same_key_is_one_payment(house: House) -> None:
    made = running(house)
    work(FIRST_DUE)
    name = key()

    def once(amount: int) -> object:
        return take_payment(
            loan_id=made.loan_id,
            amount=amount,
            received_on=FIRST_DUE,
            on=FIRST_DUE,
            actor=ACTOR,
            key=name,
        )

    assert once(500) == once(500)
    assert Payment.objects.filter(loan=made.loan_id).count() == 1
    with pytest.raises(IdempotencyConflict):
        once(501)
