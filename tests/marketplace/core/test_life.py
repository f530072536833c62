"""A loan's life by hand: £1,000 in one part at 1 % a month, twelve instalments of £88.85.

Paid out on 30 November 2015, so the first due dates are 30 December, 30 January (a Saturday: due
on 1 February) and 29 February. The first instalment is 1,000p of interest and 7,885p of principal.
"""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from marketplace.core.life import DayStage, Life, LifeRefused, live
from marketplace.core.loan_events import (
    DefaultCause,
    DistributionKind,
    Excess,
    InstalmentKind,
    LoanEvent,
    LoanEventKind,
    PaymentEvent,
)
from marketplace.core.states import LoanState, MoveRefused

from .life_histories import START, contract_of

DEAL = contract_of([100], [126_825], 12, fee_ppm=0)
K = LoanEventKind
DUE = date(2015, 12, 30)
EARLY = date(2015, 12, 10)


def told(on: date, *items: PaymentEvent | LoanEvent, through: DayStage = DayStage.AGED) -> Life:
    payments = [item for item in items if isinstance(item, PaymentEvent)]
    events = [item for item in items if isinstance(item, LoanEvent)]
    return live(DEAL, payments, events, on, through=through)


def paid(number: int, on: date, amount: int = 8_885, excess: Excess = Excess.KEEP) -> PaymentEvent:
    return PaymentEvent(number, on, on + timedelta(days=3), amount, excess)


def states(life: Life) -> list[tuple[date, LoanState]]:
    return [(move.on, move.after) for move in life.moves]


def test_an_instalment_paid_on_its_day_is_spread_when_it_has_cleared() -> None:
    life = told(DUE + timedelta(days=2), paid(1, DUE))
    assert (life.principal_paid, life.interest_paid) == (7_885, 1_000)
    assert (life.principal_owed, life.interest_owed, life.clearing) == (92_115, 0, 8_885)
    assert life.distributions == ()
    life = told(DUE + timedelta(days=3), paid(1, DUE))
    assert (life.principal.tolist(), life.interest.tolist()) == ([7_885], [1_000])
    assert (life.clearing, life.state) == (0, LoanState.ACTIVE)
    # The next month's interest is 1 % of £921.15, 921.15p: 1,921.15p in all, fixed as 1,921p.
    life = told(date(2016, 2, 1), paid(1, DUE))
    assert (life.rows[1].interest_due, life.rows[1].nominal_on) == (921, date(2016, 1, 30))
    assert life.pence_months == 100_000 + 92_115


def test_what_comes_early_waits_and_what_is_left_goes_back() -> None:
    life = told(DUE - timedelta(days=1), paid(1, EARLY, 9_000))
    assert (life.waiting, life.payments[0].allocated_on) == (9_000, None)
    life = told(DUE, paid(1, EARLY, 9_000))
    outcome = life.payments[0]
    assert (outcome.allocated_on, outcome.distributed_on) == (DUE, DUE)
    assert (outcome.interest, outcome.principal, outcome.returned) == (1_000, 7_885, 115)


def test_late_by_a_day_cured_when_cleared() -> None:
    life = told(date(2016, 1, 10), paid(1, date(2016, 1, 4)))
    assert states(life) == [
        (date(2015, 12, 31), LoanState.ARREARS),
        (date(2016, 1, 7), LoanState.ACTIVE),
    ]


def test_what_cures_and_what_repays_on_one_day_are_one_move() -> None:
    # The overdue instalment and the settlement clear together: from arrears it is repaid.
    late, on = date(2016, 1, 4), date(2016, 1, 7)
    items = (paid(1, late), LoanEvent(2, K.SETTLEMENT, on), PaymentEvent(3, on, on, 93_000))
    assert states(told(on, *items)) == [
        (date(2015, 12, 31), LoanState.ARREARS),
        (on, LoanState.REPAID),
    ]


def test_money_that_is_on_its_way_is_not_late() -> None:
    assert told(DUE + timedelta(days=1), paid(1, DUE)).state is LoanState.ACTIVE


def test_four_months_late_is_default_and_that_stands() -> None:
    day = date(2016, 4, 30)
    life = told(day)
    assert states(life)[-1] == (day, LoanState.DEFAULT)
    assert life.found == (LoanEvent(0, K.DEFAULT, day, cause=DefaultCause.OVERDUE),)
    # Four instalments had fallen due with interest; the other eight only as principal.
    assert [row.interest_due for row in life.rows[4:]] == [0] * 8
    assert life.principal_owed == 100_000
    # Recorded, it stands though a payment for a day before comes to light; nothing new is found.
    recorded = LoanEvent(2, K.DEFAULT, day, cause=DefaultCause.OVERDUE)
    life = told(day, paid(3, date(2016, 3, 1), 30_000), recorded)
    assert (life.state, life.found, life.defaulted_on) == (LoanState.DEFAULT, (), day)


def test_settling_early() -> None:
    # 15 of 30 days at 1 % of £1,000: 500p.
    on = date(2015, 12, 15)
    items = (LoanEvent(1, K.SETTLEMENT, on), paid(2, on, 100_500))
    life = told(date(2016, 3, 1), *items)
    row = life.rows[0]
    assert len(life.rows) == 1
    assert (row.kind, row.principal_due, row.interest_due) == (
        InstalmentKind.SETTLEMENT,
        100_000,
        500,
    )
    assert (life.state, life.closed_on) == (LoanState.REPAID, date(2015, 12, 18))
    # Rescinding is the same, but for the state.
    items = (LoanEvent(1, K.RESCISSION, on), paid(2, on, 100_500))
    assert told(date(2016, 3, 1), *items).state is LoanState.RESCINDED


@pytest.mark.parametrize(("excess", "rows"), [(Excess.SHORTER, 11), (Excess.SMALLER, 13)])
def test_prepaying(excess: Excess, rows: int) -> None:
    # £200 on day 10 of 30: (80,000 * 30 + 20,000 * 10) / 30 = 86,666.67 pence-months.
    life = told(DUE, paid(1, EARLY, 20_000, excess))
    first = life.rows[1]
    assert (life.rows[0].kind, life.rows[0].principal_due) == (InstalmentKind.PREPAYMENT, 20_000)
    assert (life.pence_months, first.interest_due, first.pence_days) == (86_667, 867, 200_000)
    assert len(life.rows) == rows
    # Smaller: (80,000 + .01 * 86,666.67) / (1 + 10.36763) = 7,113.8. Shorter keeps £88.85.
    assert life.level == (8_885 if excess is Excess.SHORTER else 7_114)
    assert first.principal_due == life.level - 867


def test_a_holiday_of_a_month() -> None:
    # 30 December is skipped; its 100,000 pence-months come with the twelve others, 8,333.33 each.
    # Level: 8,884.88 + 1 % of 8,333.33 = 8,968.2.
    life = told(date(2016, 2, 1), LoanEvent(1, K.HOLIDAY, EARLY, months=1))
    first = life.rows[0]
    assert (first.nominal_on, first.due_on) == (date(2016, 1, 30), date(2016, 2, 1))
    assert (life.level, life.pence_months, first.interest_due) == (8_968, 108_333, 1_083)
    assert len(life.rows) == 12
    assert life.rows[11].nominal_on == date(2016, 12, 30)
    assert life.state is LoanState.ACTIVE


def test_settling_in_a_holiday_costs_the_days_gone_by() -> None:
    # On 14 January, 30 of 30 days to 30 December and 15 of 31: nothing falls due before 30 January,
    # the skipped month's 100,000 and 100,000 * 15 / 31 = 48,387 pence-months.
    holiday = LoanEvent(1, K.HOLIDAY, EARLY, months=1)
    assert told(date(2016, 1, 14), holiday).stub_months == 148_387
    # On 20 December, 20 of 30 days.
    assert told(date(2015, 12, 20), holiday).stub_months == 66_667


def test_what_is_overdue_costs_nothing_in_skipped_months() -> None:
    # The holiday is taken on the due date, and its instalment stays unpaid: £921.15 are not due. A
    # day later, 1 of the 31 days to 30 January: 92,115 / 31 = 2,971.5 of 3 * 92,115 pence-months.
    holiday = LoanEvent(1, K.HOLIDAY, DUE, months=3)
    assert told(date(2015, 12, 31), holiday).stub_months == 2_971
    assert told(date(2016, 3, 30), holiday).stub_months == 276_345


def test_another_due_day() -> None:
    # From 30 December to 15 January: 46 days of which 30 are a month, 153,333 pence-months.
    # Level: (100,000 + .01 * 153,333.33) / (1 + 10.36763) = 8,931.8.
    life = told(date(2016, 1, 15), LoanEvent(1, K.DUE_DAY, EARLY, day=15))
    assert (life.level, life.pence_months, life.rows[0].interest_due) == (8_932, 153_333, 1_533)
    assert [row.nominal_on.day for row in life.rows] == [15] * 12


def test_hardship_freezes_interest_and_the_clock() -> None:
    hardship = LoanEvent(1, K.HARDSHIP, EARLY, until=date(2016, 1, 31))
    life = told(date(2016, 1, 31), hardship)
    assert (life.rows[0].interest_due, life.pence_months) == (0, 0)
    assert states(life) == [(EARLY, LoanState.HARDSHIP), (date(2016, 1, 31), LoanState.ARREARS)]
    assert life.found == (LoanEvent(0, K.HARDSHIP_ENDED, date(2016, 1, 31)),)
    # 32 days after the due date didn't count: 30 April and 32 days.
    assert told(date(2016, 6, 30), hardship).defaulted_on == date(2016, 6, 1)


def test_an_arrangement_kept_or_broken() -> None:
    deal = LoanEvent(1, K.ARRANGEMENT, date(2016, 1, 4), amount=5_000, months=2)
    # A month and seven days of grace: 11 February.
    broken = told(date(2016, 2, 28), deal, paid(2, date(2016, 1, 20), 4_999))
    assert states(broken)[1:] == [
        (date(2016, 1, 4), LoanState.ARRANGEMENT),
        (date(2016, 2, 11), LoanState.ARREARS),
    ]
    kept = told(date(2016, 3, 4), deal, paid(2, date(2016, 1, 20), 5_000))
    assert states(kept)[2:] == [(date(2016, 3, 4), LoanState.ARREARS)]
    assert kept.found[0].kind is K.ARRANGEMENT_ENDED


def death() -> LoanEvent:
    return LoanEvent(1, K.DEFAULT, date(2015, 12, 15), cause=DefaultCause.DEATH)


def test_the_fund_owns_what_it_paid_for() -> None:
    # Of £1,000 it pays £600. Of £100 recovered at a cost of £10 its share is £60 less £6, that of
    # the lenders £40 less £4; its claim falls by £60.
    fund = LoanEvent(2, K.FUND_PAYMENT, date(2015, 12, 16), amount=60_000)
    came = PaymentEvent(3, date(2015, 12, 20), date(2015, 12, 20), 10_000, cost=1_000)
    life = told(date(2015, 12, 20), death(), fund, came)
    outcome = life.payments[0]
    assert (outcome.principal, outcome.cost_principal) == (10_000, 1_000)
    assert outcome.to_fund_principal == 5_400
    assert life.fund_principal == 54_000
    assert life.principal.tolist() == [63_600]
    assert [step.kind for step in life.distributions] == [
        DistributionKind.FUND,
        DistributionKind.PAYMENT,
    ]
    # It pays no more than lenders lack, whatever was decided.
    more = LoanEvent(2, K.FUND_PAYMENT, date(2015, 12, 16), amount=100_001, interest=5)
    assert told(date(2015, 12, 20), death(), more).fund_payments[0].principal == 100_000


def test_written_off_and_recovered_all_the_same() -> None:
    off = LoanEvent(2, K.WRITTEN_OFF, date(2016, 1, 4))
    life = told(date(2016, 1, 4), death(), off)
    assert (life.principal_owed, life.written_off_principal) == (0, 100_000)
    life = told(date(2016, 1, 10), death(), off, paid(3, date(2016, 1, 5), 100_000))
    assert (life.state, life.written_off_principal) == (LoanState.RECOVERED, 0)


def test_settled_for_less() -> None:
    # Interest of £10 first, £490 of principal; £510 are written off.
    on = date(2016, 1, 14)
    life = told(on, LoanEvent(1, K.SETTLED_SHORT, on, amount=50_000), paid(2, on, 50_000))
    assert (life.interest_paid, life.principal_paid) == (1_000, 49_000)
    assert (life.written_off_principal, life.written_off_interest) == (51_000, 0)
    assert (life.state, life.closed_on, life.clearing) == (LoanState.SETTLED, on, 50_000)
    # It is spread when it has cleared, and what comes later goes back.
    life = told(
        date(2016, 2, 1),
        LoanEvent(1, K.SETTLED_SHORT, on, amount=50_000),
        paid(2, on, 50_000),
        paid(3, date(2016, 1, 20), 700),
    )
    assert (life.principal.tolist(), life.payments[1].returned) == ([49_000], 700)


def test_a_day_in_stages() -> None:
    day = DUE + timedelta(days=3)
    one = paid(1, DUE)
    assert told(day, one, through=DayStage.TAKEN).distributions == ()
    assert len(told(day, one, through=DayStage.SPREAD).distributions) == 1
    late = DUE + timedelta(days=1)
    assert told(late, through=DayStage.SPREAD).state is LoanState.ACTIVE
    assert told(late, through=DayStage.AGED).state is LoanState.ARREARS


def test_what_finds_nothing_to_act_on_is_told() -> None:
    life = told(date(2016, 1, 4), death(), LoanEvent(2, K.HOLIDAY, date(2016, 1, 4), months=1))
    assert life.moot == (2,)


@pytest.mark.parametrize(
    "event", [LoanEvent(1, K.WRITTEN_OFF, EARLY), LoanEvent(1, K.SETTLED_SHORT, EARLY)]
)
def test_a_move_that_the_table_lacks_is_refused(event: LoanEvent) -> None:
    with pytest.raises(MoveRefused, match="active"):
        told(DUE, event)
    # Undoing a payment must not fail for what happened since: told leniently, it is moot.
    assert live(DEAL, [], [event], DUE, lenient=True).moot == (1,)


@pytest.mark.parametrize(
    "items",
    [
        (paid(1, EARLY), paid(1, DUE)),
        (paid(1, START - timedelta(days=1)),),
        (paid(1, DUE + timedelta(days=1)),),
        (paid(1, EARLY, 0),),
        (PaymentEvent(1, EARLY, EARLY, 5, cost=6),),
        (LoanEvent(1, K.DUE_DAY, EARLY, day=29),),
        (LoanEvent(1, K.HOLIDAY, EARLY),),
        (LoanEvent(1, K.HARDSHIP, EARLY),),
        (LoanEvent(1, K.ARRANGEMENT, EARLY, months=2),),
        (LoanEvent(1, K.FUND_PAYMENT, EARLY, amount=-1),),
    ],
)
def test_nonsense_is_refused(items: tuple[PaymentEvent | LoanEvent, ...]) -> None:
    with pytest.raises(LifeRefused):
        told(DUE, *items)
