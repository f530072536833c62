"""Which days are to be closed, and which are refused."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.core.closing import (
    STEPS,
    DayNotCome,
    DayOutOfOrder,
    Step,
    days_to_close,
    first_to_close,
)

DAY = date(2016, 5, 3)
DAYS = st.dates(date(2016, 1, 1), date(2017, 12, 31))


def test_missed_days_come_in_order() -> None:
    days = days_to_close(DAY, today=DAY, began=date(2016, 4, 1), last=date(2016, 4, 29))
    # Saturday to Tuesday: every calendar day counts.
    assert days == [date(2016, 4, 30), date(2016, 5, 1), date(2016, 5, 2), DAY]


def test_the_first_close_begins_with_the_first_pay_out() -> None:
    days = days_to_close(DAY, today=DAY, began=date(2016, 5, 2), last=None)
    assert days == [date(2016, 5, 2), DAY]


def test_before_any_pay_out_there_is_one_day() -> None:
    assert days_to_close(DAY, today=DAY, began=None, last=None) == [DAY]


def test_a_day_that_is_closed_is_left() -> None:
    assert days_to_close(DAY, today=DAY, began=date(2016, 4, 1), last=DAY) == []


def test_a_day_that_has_not_come() -> None:
    with pytest.raises(DayNotCome, match="2016-05-03 has not come yet: today is 2016-05-02"):
        days_to_close(DAY, today=DAY - timedelta(days=1), began=None, last=None)


def test_somebody_says_which_day_is_the_first() -> None:
    assert first_to_close(DAY, first=None) == DAY
    assert first_to_close(DAY, first=DAY) == DAY
    with pytest.raises(DayOutOfOrder, match="closed since 2016-05-02: that can't begin with"):
        first_to_close(DAY, first=DAY - timedelta(days=1))


def test_a_day_before_the_first() -> None:
    with pytest.raises(DayOutOfOrder, match="2016-05-04 was the first"):
        days_to_close(DAY, today=DAY + timedelta(days=9), began=date(2016, 5, 4), last=None)


@given(first=DAYS, closed=st.integers(0, 40), ahead=st.integers(0, 40))
def test_every_day_is_closed_once(first: date, closed: int, ahead: int) -> None:
    """Closing day by day, from wherever one stands, is closing all of them at once."""
    on = first + timedelta(days=closed + ahead)
    last = first + timedelta(days=closed - 1) if closed else None
    days = days_to_close(on, today=on, began=first, last=last)
    assert days == [first + timedelta(days=n) for n in range(closed, closed + ahead + 1)]


def test_the_order_of_the_steps() -> None:
    """Money comes in before it is spread, is spread before it is lent; the seal comes last."""
    order = {step: place for place, step in enumerate(STEPS)}
    assert order[Step.BOUNCES] < order[Step.FALL_DUE] < order[Step.COLLECT]
    assert order[Step.COLLECT] < order[Step.RESTS] < order[Step.DISTRIBUTE]
    assert order[Step.DISTRIBUTE] < order[Step.AGE] < order[Step.FUND]
    assert order[Step.PAY_OUT] < order[Step.SETTLE_DEBTS] < order[Step.TOP_UP] < order[Step.CYCLE]
    assert STEPS[-2:] == (Step.RECONCILE, Step.SEAL)
    assert len(STEPS) == 16
