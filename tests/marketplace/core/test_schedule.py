"""Schedules of level instalments, and due dates."""

from datetime import date
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketplace.core.errors import ScheduleRefused
from marketplace.core.interest import cumulative_interest
from marketplace.core.rates import monthly_rate_e12
from marketplace.core.schedule import (
    add_business_days,
    contract_schedule,
    contract_schedules,
    due_date,
    following_business_day,
    level_instalment,
)

from .reference import ints

PERCENT_A_MONTH = 10_000_000_000


@pytest.mark.parametrize(
    ("pounds", "percent", "months", "pence"),
    [
        # From any table of annuities: 1,000 at 1 % a period.
        (1_000, 1, 12, 8_885),
        (1_000, 1, 24, 4_707),
        (1_000, 1, 36, 3_321),
        (1_000, 1, 60, 2_224),
        (10_000, 1, 12, 88_849),
        (1_000, 2, 12, 9_456),
        (1_000, 0, 10, 10_000),
    ],
)
def test_level_instalments_of_known_tables(
    pounds: int, percent: int, months: int, pence: int
) -> None:
    assert level_instalment(pounds * 100, percent * PERCENT_A_MONTH, months) == pence


def test_the_level_instalment_rounds_halves_to_even() -> None:
    # No interest: 25p over 10 months is 2.5p, 35p is 3.5p.
    assert [level_instalment(pence, 0, 10) for pence in (25, 35)] == [2, 4]


@pytest.mark.parametrize(
    ("principal", "rate", "months"), [(0, 1, 12), (-5, 1, 12), (100, 1, 0), (100, -1, 12)]
)
def test_no_schedule_for_nothing(principal: int, rate: int, months: int) -> None:
    with pytest.raises(ScheduleRefused):
        level_instalment(principal, rate, months)


def test_two_instalments_by_hand() -> None:
    # £1,000 in one part at 1 % a month: level 1000 / (1 - 1.01**-2) = 50,751.24p, so 50,751p.
    # First: interest 1,000p, principal 49,751p, 50,249p left.
    # Second: interest 502.49p, fixed as 502p (1,502.49p in all), principal 50,249p.
    schedule = contract_schedule([100], [PERCENT_A_MONTH], 2)
    assert schedule.level == 50_751
    assert schedule.interest.tolist() == [1_000, 502]
    assert schedule.principal.tolist() == [49_751, 50_249]
    assert schedule.balance.tolist() == [50_249, 0]
    assert schedule.pence_months.tolist() == [100_000, 150_249]
    assert schedule.instalments.tolist() == [50_751, 50_751]
    assert schedule.total_repayable == 101_502


def test_the_same_loan_in_ten_pound_parts_owes_what_its_parts_are_owed() -> None:
    # Each £10 part has 10p, then 5.0249p fixed as 5p: the last instalment is 2p less than above.
    schedule = contract_schedule([1] * 100, [PERCENT_A_MONTH] * 100, 2)
    assert schedule.interest.tolist() == [1_000, 500]
    assert schedule.instalments.tolist() == [50_751, 50_749]


def test_the_house_fixture() -> None:
    # £480 at 6.9 % and £520 at 7.1 % over 36 months: £30.78 a month, £1,108.10 in all.
    schedule = contract_schedule([48, 52], monthly_rate_e12(ints(69_000, 71_000)), 36)
    assert schedule.level == 3_078
    assert schedule.total_repayable == 110_810
    assert (schedule.instalments[:-1] == 3_078).all()


def test_without_interest_the_last_instalment_absorbs_the_rest() -> None:
    schedule = contract_schedule([100], [0], 3)
    assert schedule.instalments.tolist() == [33_333, 33_333, 33_334]
    # £10 over 60 are 16.67p, rounded to 17p: the last keeps a penny.
    assert contract_schedule([1], [0], 60).instalments.tolist() == [17] * 58 + [13, 1]


loan_parts = st.lists(
    st.tuples(st.integers(1, 60), st.integers(0, 1_000_000)), min_size=1, max_size=25
)


@settings(deadline=None, max_examples=60)
@given(loan_parts, st.integers(1, 60))
def test_principal_falls_to_nothing_and_interest_is_the_parts(
    parts: list[tuple[int, int]], months: int
) -> None:
    units = np.array([size for size, _ in parts])
    rates = monthly_rate_e12(np.array([rate for _, rate in parts]))
    total = int(units.sum())
    schedule = contract_schedule(units, rates, months)
    assert schedule.principal.sum() == total * 1_000
    assert schedule.balance[-1] == 0
    assert (schedule.principal >= 0).all()
    assert (schedule.interest >= 0).all()
    before = np.append(total * 1_000, schedule.balance[:-1])
    assert (before - schedule.principal == schedule.balance).all()
    assert (np.cumsum(before) == schedule.pence_months).all()
    later = np.arange(months)[::-1]
    assert (schedule.balance >= later).all()
    assert (schedule.instalments[:-1] == schedule.level)[(schedule.balance > later)[:-1]].all()
    fixed = [
        int(cumulative_interest(units, rates, [s], [total]).sum()) for s in schedule.pence_months
    ]
    assert np.cumsum(schedule.interest).tolist() == fixed


@settings(deadline=None, max_examples=40)
@given(loan_parts, st.integers(1, 60))
def test_row_order_does_not_matter(parts: list[tuple[int, int]], months: int) -> None:
    def total(rows: list[tuple[int, int]]) -> int:
        rates = monthly_rate_e12(np.array([rate for _, rate in rows]))
        return contract_schedule([size for size, _ in rows], rates, months).total_repayable

    assert total(parts) == total(parts[::-1])


def test_many_loans_at_once_are_each_loan_alone() -> None:
    units = ints(100, 30, 70, 5, 45, 50)
    rates = monthly_rate_e12(ints(50_000, 60_000, 90_000, 0, 200_000, 999_999))
    offsets, months = ints(0, 1, 3, 6), [36, 60, 12]
    together = contract_schedules(units, rates, offsets, months)
    for loan, schedule in enumerate(together):
        rows = slice(offsets[loan], offsets[loan + 1])
        alone = contract_schedule(units[rows], rates[rows], months[loan])
        assert schedule.level == alone.level
        assert schedule.interest.tolist() == alone.interest.tolist()
        assert schedule.balance.tolist() == alone.balance.tolist()
    assert contract_schedules(ints(), ints(), ints(0), []) == []


def test_an_instalment_that_does_not_cover_the_interest_is_refused() -> None:
    # Over 600 months at 10 % a month the annuity is the interest, to the penny: nothing is repaid.
    with pytest.raises(ScheduleRefused, match="interest of instalment 1"):
        contract_schedule([100], [10 * PERCENT_A_MONTH], 600)


def test_the_blend_may_be_any_fraction() -> None:
    assert level_instalment(100_000, Fraction(2 * PERCENT_A_MONTH, 2), 12) == 8_885


@pytest.mark.parametrize(
    ("paid_out", "number", "due"),
    [
        (date(2016, 1, 15), 1, date(2016, 2, 15)),
        (date(2016, 1, 31), 1, date(2016, 2, 29)),
        (date(2016, 1, 31), 2, date(2016, 3, 31)),  # the original day comes back
        (date(2015, 10, 31), 4, date(2016, 2, 29)),
        (date(2016, 12, 30), 2, date(2017, 2, 28)),
        (date(2016, 3, 1), 60, date(2021, 3, 1)),
    ],
)
def test_due_dates(paid_out: date, number: int, due: date) -> None:
    assert due_date(paid_out, number) == due


def test_instalments_are_numbered_from_one() -> None:
    with pytest.raises(ScheduleRefused):
        due_date(date(2016, 1, 15), 0)


# Easter 2016: Good Friday 25 March, Easter Monday 28 March.
EASTER = frozenset({date(2016, 3, 25), date(2016, 3, 28)})


@pytest.mark.parametrize(
    ("day", "business_day"),
    [
        (date(2016, 3, 24), date(2016, 3, 24)),
        (date(2016, 3, 25), date(2016, 3, 29)),
        (date(2016, 3, 26), date(2016, 3, 29)),
        (date(2016, 4, 2), date(2016, 4, 4)),
    ],
)
def test_the_following_business_day(day: date, business_day: date) -> None:
    assert following_business_day(day, EASTER) == business_day


@pytest.mark.parametrize(
    ("day", "count", "end"),
    [
        (date(2016, 3, 21), 3, date(2016, 3, 24)),
        (date(2016, 3, 24), 3, date(2016, 3, 31)),  # Tuesday, Wednesday, Thursday after Easter
        (date(2016, 4, 2), 3, date(2016, 4, 6)),  # from a Saturday: Monday is the first
        (date(2016, 4, 2), 0, date(2016, 4, 4)),
        (date(2016, 4, 4), 0, date(2016, 4, 4)),
    ],
)
def test_counting_business_days(day: date, count: int, end: date) -> None:
    assert add_business_days(day, count, EASTER) == end


def test_business_days_are_not_counted_backwards() -> None:
    with pytest.raises(ScheduleRefused):
        add_business_days(date(2016, 4, 2), -1, EASTER)
