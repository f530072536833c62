"""Settling, stepping back, due days, holidays, arrangements, hardship, and taking events back.

The house design's loan: £480 at 6.9 % and £520 at 7.1 %, £30.78 a month from 1 May 2016 (moved to
the 3rd). After the first instalment £974.88 are outstanding and S is 100,000 pence-months.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from accounts.core.chart import Kind
from accounts.selectors.ledger import totals_by_kind
from accounts.services.cash import CashMovement, deposit
from accounts.services.idempotency import KeyRefused
from accounts.services.posting import NotEnoughMoney
from marketplace.core.loan_events import Excess, PaymentKind
from marketplace.core.settlement import (
    ArrangementRefused,
    DueDayRefused,
    HardshipRefused,
    HolidayRefused,
    PaymentRefused,
    RescissionRefused,
    SettlementRefused,
)
from marketplace.core.states import LoanState
from marketplace.models import Instalment, LoanEvent
from marketplace.services.changing_loans import (
    EventRefused,
    agree_arrangement,
    change_due_day,
    end_arrangement,
    end_hardship,
    grant_hardship,
    take_holiday,
    void_event,
)
from marketplace.services.loan_records import RecordRefused
from marketplace.services.settling_loans import FigureChanged, prepay, rescind, settle_early
from tests.marketplace.house import Funded, House, key
from tests.marketplace.lives import (
    assert_sound,
    balance,
    bounce,
    kinds_of_events,
    picture,
    received,
    running,
    take,
    work,
    work_until,
)
from tests.world import ACTOR, DAY, FIRST_DUE

SECOND_DUE = date(2016, 6, 1)
MID_MAY = date(2016, 5, 16)
_A_DAY = timedelta(days=1)
# Size (pounds) and annual rate of the two parts.
_PARTS = ((480, 0.069), (520, 0.071))


def _one_paid(house: House) -> Funded:
    """Up to the evening of 15 May, the first instalment paid and spread."""
    made = running(house)
    work_until(DAY, FIRST_DUE)
    take(made, 3_078, FIRST_DUE)
    work_until(FIRST_DUE, MID_MAY - _A_DAY)
    return made


def _interest(pence_months: int) -> int:
    """Interest of both parts by so many pence-months, by the rule in plain floats."""
    return sum(
        int(size / 1_000 * ((1 + rate) ** (1 / 12) - 1) * pence_months + 0.5)
        for size, rate in _PARTS
    )


def _asked(made: Funded, on: date) -> dict[str, Any]:
    return {"loan_id": made.loan_id, "on": on, "actor": ACTOR, "key": key()}


def _dues(made: Funded) -> list[date]:
    rows = Instalment.objects.filter(loan=made.loan_id, interest_due__isnull=True)
    return list(rows.order_by("number").values_list("nominal_on", flat=True))


def test_settling_early_costs_principal_and_interest_by_days(house: House) -> None:
    made = _one_paid(house)
    settled = settle_early(**_asked(made, MID_MAY))
    # 15 of May's 31 days: S grows by 97,488 x 15 / 31 = 47,171.6, so 47,172. Interest by then
    # 393.9 -> 394p and 438.7 -> 439p; less 268p and 298p: 126p + 141p.
    assert settled.interest_stub == _interest(147_172) - 566 == 267
    assert settled.paid == 97_488 + 267
    assert balance(Kind.CASH, made.borrower.pk) == 98_500 - 97_755
    work(MID_MAY)
    assert made.loan.state == LoanState.REPAID
    assert made.loan.closed_on == MID_MAY
    assert [part[:2] for part in received(made.loan_id)] == [(48_000, 394), (52_000, 439)]
    assert balance(Kind.PRINCIPAL_OWED, made.loan_id) == 0
    assert_sound(MID_MAY)


def test_what_was_quoted_is_taken_or_refused(house: House) -> None:
    made = _one_paid(house)
    with pytest.raises(FigureChanged, match="97755 pence, not 97754"):
        settle_early(figure=97_754, **_asked(made, MID_MAY))
    asked = _asked(made, MID_MAY)
    first = settle_early(figure=97_755, **asked)
    assert settle_early(figure=97_755, **asked) == first
    assert LoanEvent.objects.filter(loan=made.loan_id).count() == 1


def test_settling_needs_the_cash_and_a_running_loan(house: House) -> None:
    made = _one_paid(house)
    take(made, 1_500, MID_MAY, kind=PaymentKind.CASH)
    with pytest.raises(KeyRefused):
        settle_early(loan_id=made.loan_id, on=MID_MAY, actor=ACTOR, key="")
    poor = running(house)
    # It was paid £985 and owes £1,000 and interest.
    with pytest.raises(NotEnoughMoney):
        settle_early(**_asked(poor, MID_MAY))
    settle_early(**_asked(made, MID_MAY))
    work(MID_MAY)
    with pytest.raises(SettlementRefused, match="repaid can't be settled early; allowed: active"):
        settle_early(**_asked(made, MID_MAY + _A_DAY))
    with pytest.raises(PaymentRefused, match="repaid can't take a payment"):
        take(made, 100, MID_MAY + _A_DAY)


def test_what_was_paid_and_waits_counts_towards_a_settlement(house: House) -> None:
    made = _one_paid(house)
    take(made, 5_000, MID_MAY)
    settled = settle_early(**_asked(made, MID_MAY))
    assert settled.paid == 97_755 - 5_000
    work_until(MID_MAY, MID_MAY + timedelta(days=5))
    assert made.loan.state == LoanState.REPAID
    assert_sound(MID_MAY + timedelta(days=5))


def test_stepping_back_returns_principal_interest_by_days_and_the_fee(house: House) -> None:
    made = running(house)
    on = date(2016, 4, 11)
    work_until(DAY, on)
    # 10 of April's 30 days: 33,333 pence-months: 89.2 -> 89p and 99.4 -> 99p. £985 were paid out,
    # £15.00 of fee come back: £1.88 are lacking, and fees on interest are 13p and 14p.
    with pytest.raises(NotEnoughMoney):
        rescind(**_asked(made, on))
    deposit(movements=[CashMovement(made.borrower.pk, 188, key())], on=on, actor=ACTOR)
    gone = rescind(figure=100_188, **_asked(made, on))
    assert (gone.paid, gone.interest_stub, gone.refunded) == (100_188, 188, 1_500)
    work(on)
    assert made.loan.state == LoanState.RESCINDED
    assert balance(Kind.CASH, made.borrower.pk) == 0
    assert received(made.loan_id) == [(48_000, 89, 13), (52_000, 99, 14)]
    assert totals_by_kind()[Kind.FEES] == 27
    assert_sound(on)


def test_who_is_in_hardship_may_step_back_too(house: House) -> None:
    """Interest is frozen: the principal goes back, and the fee returns."""
    made = running(house)
    on = date(2016, 4, 11)
    work_until(DAY, on)
    grant_hardship(until=FIRST_DUE, reason="illness", **_asked(made, on))
    deposit(movements=[CashMovement(made.borrower.pk, 1_500, key())], on=on, actor=ACTOR)
    gone = rescind(**_asked(made, on))
    assert (gone.paid, gone.interest_stub, gone.refunded) == (100_000, 0, 1_500)
    work(on)
    assert made.loan.state == LoanState.RESCINDED
    assert received(made.loan_id) == [(48_000, 0, 0), (52_000, 0, 0)]
    assert_sound(on)


def test_stepping_back_is_over_after_fourteen_days(house: House) -> None:
    made = running(house)
    on = date(2016, 4, 16)
    work_until(DAY, on)
    with pytest.raises(RescissionRefused, match="until 2016-04-15"):
        rescind(**_asked(made, on))


def test_a_rescission_whose_payment_bounces_takes_the_fee_again(house: House) -> None:
    ours, twin = running(house), running(house)
    on = date(2016, 4, 11)
    work_until(DAY, on)
    gone = rescind(kind=PaymentKind.COLLECTION, **_asked(ours, on))
    assert balance(Kind.CASH, ours.borrower.pk) == 98_500 + 1_500
    assert gone.payment is not None
    bounce(ours, gone.payment, on + _A_DAY)
    assert kinds_of_events(ours) == []
    assert picture(ours) == picture(twin)
    assert_sound(on + _A_DAY)


@pytest.mark.parametrize("kind", [PaymentKind.CASH, PaymentKind.COLLECTION])
def test_the_fee_comes_back_once_however_often_one_steps_back(
    house: House, kind: PaymentKind
) -> None:
    """Until the payment is spread the loan is active, and its terms were accepted just now."""
    made = running(house)
    # £985.00 were paid out; on the day itself £1,000.00 are to pay.
    deposit(movements=[CashMovement(made.borrower.pk, 1_500, key())], on=DAY, actor=ACTOR)
    rescind(kind=kind, **_asked(made, DAY))
    cash = balance(Kind.CASH, made.borrower.pk)
    assert made.loan.state == LoanState.ACTIVE
    with pytest.raises(RescissionRefused, match="rescinded on 2016-04-01 already"):
        rescind(kind=kind, **_asked(made, DAY))
    assert balance(Kind.CASH, made.borrower.pk) == cash
    assert kinds_of_events(made) == ["rescission"]
    assert_sound(DAY)


def test_another_due_day_makes_one_period_longer(house: House) -> None:
    made = _one_paid(house)
    changed = change_due_day(day=15, **_asked(made, MID_MAY))
    assert changed.next_due_on == date(2016, 6, 15)
    assert [day.day for day in _dues(made)] == [15] * 35
    work_until(MID_MAY, date(2016, 6, 15))
    # 31 days of May and 14 more: 97,488 x 45 / 31 = 141,514.8.
    assert made.loan.balance_months == 100_000 + 141_515
    second = Instalment.objects.get(loan=made.loan_id, number=2)
    assert second.interest_due == _interest(241_515) - 566
    rows = Instalment.objects.filter(loan=made.loan_id)
    assert sum(row.principal_due for row in rows) == 100_000
    assert_sound(date(2016, 6, 15))


def test_a_holiday_moves_the_rest_on_and_costs_its_interest_later(house: House) -> None:
    made = _one_paid(house)
    before = _dues(made)
    changed = take_holiday(months=2, **_asked(made, MID_MAY))
    after = _dues(made)
    assert len(before) == len(after) == 35
    assert (before[0], after[0]) == (date(2016, 6, 1), date(2016, 8, 1))
    assert (before[-1], after[-1]) == (date(2019, 4, 1), date(2019, 6, 1))
    assert changed.next_due_on == date(2016, 8, 1)
    assert changed.instalment > 3_078
    work_until(MID_MAY, SECOND_DUE)
    assert made.loan.balance_months == 100_000
    assert made.loan.state == LoanState.ACTIVE
    with pytest.raises(HolidayRefused, match="one payment holiday in 12 months"):
        take_holiday(months=1, **_asked(made, SECOND_DUE))
    assert_sound(SECOND_DUE)


def test_no_holiday_and_no_other_day_in_arrears(house: House) -> None:
    made = running(house)
    work_until(DAY, FIRST_DUE + _A_DAY)
    assert made.loan.state == LoanState.ARREARS
    asked = _asked(made, FIRST_DUE + _A_DAY)
    with pytest.raises(HolidayRefused, match="arrears can't have a payment holiday; allowed: acti"):
        take_holiday(months=1, **asked)
    with pytest.raises(DueDayRefused, match="allowed: active"):
        change_due_day(day=9, **asked)
    made = _one_paid(house)
    with pytest.raises(HolidayRefused, match="1 to 3 months"):
        take_holiday(months=4, **_asked(made, MID_MAY))
    with pytest.raises(DueDayRefused, match="day 1 to 28"):
        change_due_day(day=29, **_asked(made, MID_MAY))


def test_hardship_freezes_interest_and_ends(house: House) -> None:
    made = _one_paid(house)
    until = date(2016, 6, 15)
    changed = grant_hardship(until=until, reason="illness", **_asked(made, MID_MAY))
    assert changed.state is LoanState.HARDSHIP
    work_until(MID_MAY, until - _A_DAY, every_day=True)
    second = Instalment.objects.get(loan=made.loan_id, number=2)
    assert (second.interest_due, made.loan.balance_months) == (0, 100_000)
    assert made.loan.state == LoanState.HARDSHIP
    work_until(until, until + _A_DAY, every_day=True)
    assert made.loan.state == LoanState.ARREARS
    assert kinds_of_events(made) == ["hardship", "hardship_ended"]
    assert_sound(until + _A_DAY)


def test_hardship_can_be_ended_before(house: House) -> None:
    made = _one_paid(house)
    with pytest.raises(HardshipRefused, match="active has no hardship to end"):
        end_hardship(reason="", **_asked(made, MID_MAY))
    with pytest.raises(HardshipRefused, match="from 2016-05-16 to 2017-05-16"):
        grant_hardship(until=MID_MAY - _A_DAY, **_asked(made, MID_MAY))
    grant_hardship(until=date(2016, 7, 1), **_asked(made, MID_MAY))
    on = MID_MAY + timedelta(days=3)
    ended = end_hardship(reason="works again", **_asked(made, on))
    assert ended.state is LoanState.ACTIVE
    assert_sound(on)
    work(on)
    assert made.loan.state == LoanState.ACTIVE
    assert_sound(on)


def test_an_arrangement_is_kept_or_broken(house: House) -> None:
    kept, broken = running(house), running(house)
    start = FIRST_DUE + timedelta(days=10)
    work_until(DAY, start)
    for made in (kept, broken):
        changed = agree_arrangement(amount=1_000, months=3, **_asked(made, start))
        assert changed.state is LoanState.ARRANGEMENT
    # A month later, and seven days of grace: 20 June.
    work_until(start, date(2016, 6, 13), every_day=True)
    take(kept, 1_000, date(2016, 6, 13))
    work_until(date(2016, 6, 13), date(2016, 6, 19), every_day=True)
    assert broken.loan.state == LoanState.ARRANGEMENT
    work(date(2016, 6, 20))
    assert kept.loan.state == LoanState.ARRANGEMENT
    assert broken.loan.state == LoanState.ARREARS
    assert kinds_of_events(broken) == ["arrangement", "arrangement_ended"]
    with pytest.raises(ArrangementRefused, match="arrears has no arrangement to end"):
        end_arrangement(reason="", **_asked(broken, date(2016, 6, 20)))
    ended = end_arrangement(reason="another one follows", **_asked(kept, date(2016, 6, 21)))
    assert ended.state is LoanState.ARREARS
    work(date(2016, 6, 21))
    assert kept.loan.state == LoanState.ARREARS
    assert_sound(date(2016, 6, 21))


def test_an_arrangement_needs_arrears(house: House) -> None:
    made = _one_paid(house)
    with pytest.raises(ArrangementRefused, match="active can't have an arrangement"):
        agree_arrangement(amount=1_000, months=3, **_asked(made, MID_MAY))


def test_a_prepayment_chooses_what_it_changes(house: House) -> None:
    made = _one_paid(house)
    with pytest.raises(PaymentRefused, match="choose one"):
        prepay(amount=1_000, excess=Excess.KEEP, **_asked(made, MID_MAY))
    prepay(amount=10_000, excess=Excess.SMALLER, **_asked(made, MID_MAY))
    assert made.loan.principal_paid == 2_512 + 10_000
    work_until(MID_MAY, SECOND_DUE)
    # 97,488 for 15 days of 31 and 87,488 for 16: 92,326.7 pence-months.
    assert made.loan.balance_months == 100_000 + 92_327
    assert_sound(SECOND_DUE)


def test_an_event_entered_by_mistake_is_taken_back(house: House) -> None:
    ours, twin = _one_paid(house), _one_paid(house)
    holiday = take_holiday(months=3, **_asked(ours, MID_MAY))
    work_until(MID_MAY, SECOND_DUE + timedelta(days=8))
    assert ours.loan.state == LoanState.ACTIVE
    on = SECOND_DUE + timedelta(days=9)
    asked = _asked(ours, on)
    rebuilt = void_event(number=holiday.number, reason="the wrong loan", **asked)
    assert rebuilt.changed
    assert void_event(number=holiday.number, reason="the wrong loan", **asked) == rebuilt
    assert ours.loan.state == LoanState.ARREARS
    work(on)
    assert picture(ours) == picture(twin)
    assert kinds_of_events(ours) == []
    event = LoanEvent.objects.get(loan=ours.loan_id)
    assert (event.voided_on, event.voided_by) == (on, ACTOR)
    with pytest.raises(EventRefused, match="taken back already, on 2016-06-10"):
        void_event(number=holiday.number, reason="again", **_asked(ours, on))
    with pytest.raises(EventRefused, match="has no event 77"):
        void_event(number=77, reason="again", **_asked(ours, on))
    with pytest.raises(RecordRefused, match="Say why"):
        void_event(number=holiday.number, reason=" ", **_asked(ours, on))
    assert_sound(on)


def test_a_settlement_taken_back_keeps_its_payment(house: House) -> None:
    made = _one_paid(house)
    settled = settle_early(**_asked(made, MID_MAY))
    work(MID_MAY)
    void_event(number=settled.number, reason="a mistake", **_asked(made, MID_MAY + _A_DAY))
    # Nothing was due: it waits whole for the next due date.
    assert made.loan.state == LoanState.ACTIVE
    assert balance(Kind.CLEARING, made.loan_id) == settled.paid
    assert made.loan.principal_paid == 2_512
    work_until(MID_MAY + _A_DAY, SECOND_DUE)
    assert balance(Kind.CLEARING, made.loan_id) == 0
    assert balance(Kind.CASH, made.borrower.pk) == 98_500 - 3_078
    assert_sound(SECOND_DUE)
