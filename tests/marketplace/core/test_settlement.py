"""Settlement figures, and what is allowed in which state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date

import pytest

from marketplace.core.life import DayStage, Life, live
from marketplace.core.loan_events import Excess, LoanEvent, LoanEventKind, PaymentEvent
from marketplace.core.settlement import (
    ArrangementRefused,
    DefaultRefused,
    DueDayRefused,
    HardshipRefused,
    HolidayRefused,
    LoanActionRefused,
    PaymentRefused,
    RescissionRefused,
    SettledShortRefused,
    SettlementRefused,
    WriteOffRefused,
    check_arrangement,
    check_default,
    check_due_day,
    check_hardship,
    check_holiday,
    check_payment,
    check_rescission,
    check_settled_short,
    check_settlement,
    check_write_off,
    most_payable,
    rescission_quote,
    settlement_quote,
)
from marketplace.core.states import PAYABLE, SCHEDULED, LoanState

from .life_histories import contract_of

# £1,000 in one part at 12.6825 % a year, 1 % a month, over 12 months: £88.85 a month from
# 30 December 2015 (29 February 2016 for the 30th); paid out on 30 November 2015.
DEAL = contract_of([100], [126_825], 12)
ON = date(2015, 12, 15)


def as_of(on: date, *payments: PaymentEvent) -> Life:
    return live(DEAL, payments, [], on, through=DayStage.TAKEN)


def paid(number: int, on: date, amount: int = 8_885) -> PaymentEvent:
    return PaymentEvent(number, on, on, amount)


RUNNING = as_of(ON)


def in_state(state: LoanState) -> Life:
    return replace(RUNNING, state=state)


def test_settling_in_the_first_month() -> None:
    # 15 of 30 days of £1,000 at 1 %: £5.
    quote = settlement_quote(RUNNING, ON)
    assert (quote.days, quote.month_days) == (15, 30)
    assert (quote.principal_not_due, quote.interest_stub) == (100_000, 500)
    assert (quote.principal_overdue, quote.interest_overdue, quote.waiting) == (0, 0, 0)
    assert quote.total == quote.to_pay == 100_500


def test_settling_with_an_instalment_unpaid() -> None:
    # On 30 December £10 of interest and £78.85 of principal fell due. On 14 January, 15 of the
    # 31 days to 30 January: £1,000 is still owed, 1,000 * .01 * 15 / 31 = 4.8387, £4.84.
    quote = settlement_quote(as_of(date(2016, 1, 14)), date(2016, 1, 14))
    assert (quote.interest_overdue, quote.principal_overdue) == (1_000, 7_885)
    assert (quote.principal_not_due, quote.interest_stub) == (92_115, 484)
    assert quote.total == 1_000 + 100_000 + 484


def test_what_waits_is_taken_off() -> None:
    quote = settlement_quote(as_of(ON, paid(1, ON, 5_000)), ON)
    assert (quote.total, quote.waiting, quote.to_pay) == (100_500, 5_000, 95_500)


def test_on_a_due_date_nothing_is_added() -> None:
    # The instalment of the day has fallen due, its month is charged, and no day of the next is.
    quote = settlement_quote(as_of(date(2015, 12, 30)), date(2015, 12, 30))
    assert (quote.interest_stub, quote.days, quote.interest_overdue) == (0, 0, 1_000)


def test_rescinding_costs_interest_by_days() -> None:
    quote = rescission_quote(RUNNING, accepted_on=date(2015, 12, 1), on=ON)
    assert quote.total == 100_500


def test_the_last_day_to_rescind() -> None:
    # Fourteen days from 1 December end on the 15th.
    check_rescission(RUNNING, accepted_on=date(2015, 12, 1), on=ON)
    with pytest.raises(RescissionRefused, match="2015-12-15"):
        check_rescission(RUNNING, accepted_on=date(2015, 12, 1), on=date(2015, 12, 16))
    with pytest.raises(RescissionRefused, match="not on record"):
        check_rescission(RUNNING, accepted_on=None, on=ON)


def test_a_loan_is_rescinded_once() -> None:
    accepted = date(2015, 12, 1)
    with pytest.raises(RescissionRefused, match="rescinded on 2015-12-14 already"):
        check_rescission(RUNNING, accepted_on=accepted, on=ON, earlier=[date(2015, 12, 14)])


ACTIONS: list[tuple[Callable[[Life], None], type[LoanActionRefused], tuple[LoanState, ...]]] = [
    (lambda life: check_payment(life, 1, received_on=ON, on=ON), PaymentRefused, PAYABLE),
    (check_settlement, SettlementRefused, SCHEDULED),
    (lambda life: check_holiday(life, 1, on=ON), HolidayRefused, (LoanState.ACTIVE,)),
    (lambda life: check_due_day(life, 5), DueDayRefused, (LoanState.ACTIVE,)),
    (
        lambda life: check_arrangement(life, 100, 3),
        ArrangementRefused,
        (LoanState.ARREARS, LoanState.HARDSHIP, LoanState.ARRANGEMENT),
    ),
    (lambda life: check_hardship(life, ON, on=ON), HardshipRefused, SCHEDULED),
    (check_default, DefaultRefused, SCHEDULED),
    (check_write_off, WriteOffRefused, (LoanState.DEFAULT,)),
    (
        lambda life: check_settled_short(life, 10),
        SettledShortRefused,
        (
            LoanState.ARREARS,
            LoanState.ARRANGEMENT,
            LoanState.HARDSHIP,
            LoanState.DEFAULT,
            LoanState.WRITTEN_OFF,
        ),
    ),
    (
        lambda life: check_rescission(life, accepted_on=ON, on=ON),
        RescissionRefused,
        SCHEDULED,
    ),
]


@pytest.mark.parametrize("state", LoanState)
@pytest.mark.parametrize(("check", "refusal", "allowed"), ACTIONS)
def test_a_state_allows_it_or_is_named(
    check: Callable[[Life], None],
    refusal: type[LoanActionRefused],
    allowed: tuple[LoanState, ...],
    state: LoanState,
) -> None:
    if state in allowed:
        check(in_state(state))
        return
    with pytest.raises(refusal) as refused:
        check(in_state(state))
    assert refused.value.state is state
    assert set(refused.value.allowed) == set(allowed)
    assert state in refused.value.message
    assert all(other in refused.value.message for other in allowed)


@pytest.mark.parametrize(
    ("amount", "received_on", "field"),
    [
        (0, ON, "amount"),
        (-5, ON, "amount"),
        (100_000_000, ON, "amount"),
        (100, date(2015, 12, 16), "received_on"),
    ],
)
def test_payments_of_nothing_a_million_or_tomorrow(
    amount: int, received_on: date, field: str
) -> None:
    with pytest.raises(PaymentRefused) as refused:
        check_payment(RUNNING, amount, received_on=received_on, on=ON)
    assert refused.value.field == field


def test_the_most_that_a_loan_can_come_to() -> None:
    # All twelve instalments as planned, less what waits.
    planned = sum(row.principal_due + row.interest_planned for row in RUNNING.rows)
    assert most_payable(RUNNING) == planned
    check_payment(RUNNING, planned, received_on=ON, on=ON)
    with pytest.raises(PaymentRefused, match=str(planned)):
        check_payment(RUNNING, planned + 1, received_on=ON, on=ON)
    assert most_payable(as_of(ON, paid(1, ON, 700))) == planned - 700


def test_prepaying_all_is_settling() -> None:
    check_payment(RUNNING, 99_999, received_on=ON, on=ON, excess=Excess.SHORTER)
    with pytest.raises(PaymentRefused, match="settle it early"):
        check_payment(RUNNING, 100_000, received_on=ON, on=ON, excess=Excess.SMALLER)


def test_house_limits_of_holidays() -> None:
    for months in (0, 4):
        with pytest.raises(HolidayRefused, match="1 to 3"):
            check_holiday(RUNNING, months, on=ON)
    with pytest.raises(HolidayRefused, match="2016-12-01"):
        check_holiday(RUNNING, 1, on=ON, earlier=[date(2015, 12, 1)])
    check_holiday(RUNNING, 3, on=ON, earlier=[date(2014, 12, 15)])
    # The day after the due date the loan isn't aged yet, but late.
    late = as_of(date(2015, 12, 31))
    with pytest.raises(HolidayRefused, match="2015-12-30"):
        check_holiday(late, 1, on=date(2015, 12, 31))


def test_due_days() -> None:
    for day in (0, 29, 31):
        with pytest.raises(DueDayRefused, match="1 to 28"):
            check_due_day(RUNNING, day)
    check_due_day(RUNNING, 28)
    moved = live(DEAL, [], [LoanEvent(1, LoanEventKind.DUE_DAY, ON, day=5)], ON)
    with pytest.raises(DueDayRefused, match="already"):
        check_due_day(moved, 5)


def test_a_due_day_is_not_moved_on_and_on() -> None:
    # From 30 December to 5 January; on to the 28th makes 29 days in all, to 4 February 36.
    moved = live(DEAL, [], [LoanEvent(1, LoanEventKind.DUE_DAY, ON, day=5)], ON)
    check_due_day(moved, 28)
    with pytest.raises(DueDayRefused, match="2016-01-05 has moved already"):
        check_due_day(moved, 4)
    # Once is always near enough: from the 15th to the 14th of the next month are 30 days.
    for paid_out in (date(2015, 11, 15), date(2015, 12, 31), date(2016, 1, 31)):
        life = live(replace(DEAL, paid_out_on=paid_out), [], [], paid_out)
        for day in range(1, 29):
            if life.rows[0].nominal_on.day != day:
                check_due_day(life, day)


def test_nothing_to_move_after_the_last_due_date() -> None:
    over = replace(in_state(LoanState.ACTIVE), rows=())
    with pytest.raises(DueDayRefused, match="fallen due"):
        check_due_day(over, 5)


def test_terms_of_arrangements_and_hardship() -> None:
    late = in_state(LoanState.ARREARS)
    for amount, months in ((0, 3), (10, 0), (10, 61)):
        with pytest.raises(ArrangementRefused):
            check_arrangement(late, amount, months)
    for until in (date(2015, 12, 14), date(2016, 12, 16)):
        with pytest.raises(HardshipRefused):
            check_hardship(RUNNING, until, on=ON)


def test_settling_for_less_is_for_less() -> None:
    late = in_state(LoanState.ARREARS)
    check_settled_short(late, 99_999)
    for amount in (-1, 100_000):
        with pytest.raises(SettledShortRefused, match="99999"):
            check_settled_short(late, amount)


def test_a_paid_loan_has_nothing_to_settle_or_to_default_on() -> None:
    done = replace(RUNNING, principal_owed=0, interest_owed=0)
    with pytest.raises(SettlementRefused, match="nothing"):
        settlement_quote(done, ON)
    with pytest.raises(DefaultRefused, match="nothing"):
        check_default(done)
