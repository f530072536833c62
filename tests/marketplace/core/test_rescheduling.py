"""Working the remaining schedule out anew."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from marketplace.core.errors import InterestOutOfBounds, ScheduleRefused
from marketplace.core.rates import monthly_rate_e12
from marketplace.core.rescheduling import (
    PartRates,
    Period,
    growth,
    level_over,
    released_steps,
    remaining_schedule,
)
from marketplace.core.schedule import contract_schedule, level_instalment

from . import reference
from .reference import ints

ONE_PERCENT = Fraction(1, 100)
MONTH = Period(30, 30)
# £1,000 in one part at 1 % a month.
LOAN = PartRates(ints(100), ints(10_000_000_000))


def test_growth_of_a_month_is_the_balance() -> None:
    assert growth(97_531, MONTH) == 97_531
    assert growth(97_531, Period(31, 31)) == 97_531


def test_growth_by_days() -> None:
    # 10 of 31 days of 100,000p: 32,258.06; half of 31 days of 1p is .5, rounded up.
    assert growth(100_000, Period(31, 31), 10) == 32_258
    assert growth(1, Period(30, 30), 15) == 1
    # No stub is longer than its period.
    assert growth(100_000, Period(31, 31), 40) == 100_000
    # A period made longer: 46 days of which 31 count as a month: 148,387.1.
    assert growth(100_000, Period(46, 31)) == 148_387
    # 20,000p prepaid on day 10 of 31, 80,000p still owed at the end: (80,000 * 31 + 20,000 * 10)
    # / 31 = 86,451.6.
    assert growth(80_000, Period(31, 31, 200_000)) == 86_452


@pytest.mark.parametrize(
    ("balance", "period", "days"), [(-1, MONTH, None), (1, Period(1, 0), None), (1, MONTH, -1)]
)
def test_no_growth_of_nonsense(balance: int, period: Period, days: int | None) -> None:
    with pytest.raises(ScheduleRefused):
        growth(balance, period, days)


def test_level_over_a_regular_month_is_the_annuity() -> None:
    assert level_over(100_000, 12, ONE_PERCENT, MONTH) == 8_885
    assert level_over(100_000, 12, ONE_PERCENT, MONTH) == level_instalment(
        100_000, 10_000_000_000, 12
    )


def test_level_over_a_longer_first_period() -> None:
    # Two instalments, the first after one and a half months at 1 %: 1,000 * 1.015 = L + L / 1.01,
    # L = 1,015 * 1.01 / 2.01 = 510.0249.
    assert level_over(100_000, 2, ONE_PERCENT, Period(45, 30)) == 51_002


def test_level_with_skipped_months() -> None:
    # One skipped month of £1,000 is 100,000 pence-months, £10 of interest, £5 with each of two
    # instalments; without it they are 1,000 * .01 / (1 - 1.01 ** -2) = 507.5124.
    assert level_over(100_000, 2, ONE_PERCENT, MONTH, 100_000) == 51_251


def test_two_instalments_by_hand() -> None:
    # As in the contract's own example: £507.51, 1,000p of interest, then 502p.
    plan = remaining_schedule(LOAN, balance=100_000, pence_months=0, first=MONTH, count=2)
    assert (plan.level, plan.principal.tolist()) == (50_751, [49_751, 50_249])
    assert plan.interest.tolist() == [1_000, 502]


def test_shorter_keeps_the_instalment() -> None:
    # £600 left at 1 % of instalments of £250: 250.00 (6.00 interest), 250.00 (3.56), and the rest:
    # 600 - 244 - 246.44 = 109.56 and 1.0956 of interest; in all 10.6556, fixed as 10.66.
    plan = remaining_schedule(
        LOAN, balance=60_000, pence_months=0, first=MONTH, count=9, level=25_000
    )
    assert plan.principal.tolist() == [24_400, 24_644, 10_956]
    assert plan.interest.tolist() == [600, 356, 110]


def test_shorter_after_interest_above_the_instalment() -> None:
    # £10 left of £1,000, the rest prepaid on the last day: the first month's interest, £10.00, is
    # more than the instalment of £1.00. Eleven of those repay £10, as 1.01 ** -11 < .9: twelve.
    first = Period(30, 30, 99_000 * 30)
    plan = remaining_schedule(LOAN, balance=1_000, pence_months=0, first=first, count=36, level=100)
    assert (plan.principal[0], plan.interest[0], plan.principal.size) == (0, 1_000, 12)


def test_an_instalment_that_never_repays_is_refused() -> None:
    with pytest.raises(ScheduleRefused, match="never"):
        remaining_schedule(LOAN, balance=100_000, pence_months=0, first=MONTH, count=9, level=1_000)


def test_a_first_instalment_of_interest_alone() -> None:
    # 5 % a month over 60 months: level 5,282.8p. After a period of two months 10,000p of interest
    # are due: that is the first instalment, and the other 59 repay the loan:
    # 100,000 * .05 / (1 - 1.05 ** -59) = 5,297.8.
    loan = PartRates(ints(100), ints(50_000_000_000))
    plan = remaining_schedule(loan, balance=100_000, pence_months=0, first=Period(60, 30), count=60)
    assert plan.principal[0] == 0
    assert plan.interest[0] == 10_000
    assert plan.level == 5_298
    assert plan.principal.sum() == 100_000


def test_a_first_instalment_of_what_was_prepaid() -> None:
    # £900 of £1,000 are prepaid on the last day of a month: its interest is still £10.00, more than
    # the level over twelve, (10,000 + .01 * 100,000) / (1 + 10.36763) = 967.7. So the other eleven
    # repay the £100: 10,000 * .01 / (1 - 1.01 ** -11) = 964.5.
    first = Period(30, 30, 90_000 * 30)
    plan = remaining_schedule(LOAN, balance=10_000, pence_months=0, first=first, count=12)
    assert (plan.principal[0], plan.interest[0], plan.level) == (0, 1_000, 965)
    # £990 are: over twelve it would be 880.6, of which two repay the £10; over eleven 96.5.
    first = Period(30, 30, 99_000 * 30)
    plan = remaining_schedule(LOAN, balance=1_000, pence_months=0, first=first, count=12)
    assert (plan.principal[0], plan.level, plan.principal[-1]) == (0, 96, 100)


def test_few_pence_over_many_instalments() -> None:
    # 40p over 24 are 1.67p, rounded to 2p: a penny of principal is left for each later one.
    loan = PartRates(ints(100), ints(0))
    plan = remaining_schedule(loan, balance=40, pence_months=0, first=MONTH, count=24)
    assert plan.principal.tolist() == [2] * 16 + [1] * 8


def test_fewer_pence_than_instalments() -> None:
    plan = remaining_schedule(LOAN, balance=3, pence_months=0, first=MONTH, count=10)
    assert plan.principal.tolist() == [1, 1, 1]


def test_released_in_equal_steps() -> None:
    assert released_steps(10, 4) == [3, 2, 3, 2]  # 2.5, 5, 7.5, 10, halves up
    assert released_steps(0, 3) == [0, 0, 0]


def test_beyond_the_bounds_is_refused() -> None:
    with pytest.raises(InterestOutOfBounds):
        LOAN.interest(9_000_000 * 100 + 1)
    with pytest.raises(InterestOutOfBounds):
        LOAN.interest(-1)
    with pytest.raises(ScheduleRefused):
        level_over(0, 3, ONE_PERCENT, MONTH)


parts = st.lists(st.tuples(st.integers(1, 60), st.integers(0, 900_000)), min_size=1, max_size=12)


@settings(deadline=None, max_examples=40)
@given(parts, st.integers(1, 60))
def test_from_pay_out_it_is_the_contract(loan: list[tuple[int, int]], months: int) -> None:
    units = np.array([size for size, _ in loan])
    rates = monthly_rate_e12(np.array([rate for _, rate in loan]))
    contract = contract_schedule(units, rates, months)
    plan = remaining_schedule(
        PartRates(units, rates),
        balance=int(units.sum()) * 1_000,
        pence_months=0,
        first=MONTH,
        count=months,
    )
    assert plan.level == contract.level
    assert plan.principal.tolist() == contract.principal.tolist()
    assert plan.interest.tolist() == contract.interest.tolist()


@settings(deadline=None, max_examples=60)
@given(
    parts,
    st.integers(1, 100_000),
    st.integers(0, 500_000),
    st.integers(1, 24),
    st.integers(28, 62),
    st.integers(0, 3),
    st.booleans(),
)
@example([(1, 111_686)], 5_926, 14_945, 10, 62, 3, True)  # the last interest outlives the level
def test_principal_falls_to_nothing_and_interest_is_the_parts(
    loan: list[tuple[int, int]],
    balance: int,
    before: int,
    count: int,
    days: int,
    skipped: int,
    shorter: bool,  # noqa: FBT001 - drawn
) -> None:
    deferred = skipped * balance  # of a holiday of so many months
    units = np.array([size for size, _ in loan])
    rates = monthly_rate_e12(np.array([rate for _, rate in loan]))
    book, first = PartRates(units, rates), Period(days, 31)
    level = level_over(balance, count, book.monthly, first) * 2 + 5 if shorter else None
    plan = remaining_schedule(
        book,
        balance=balance,
        pence_months=before,
        first=first,
        count=count,
        level=level,
        deferred=deferred,
    )
    assert plan.principal.sum() == balance
    assert (plan.principal >= 0).all()
    assert (plan.interest >= 0).all()
    assert plan.released.sum() == deferred
    assert plan.principal.size <= count
    # S grows by the first period, then by a month's balance each, and what is released.
    months, left = before, balance
    for k, repaid in enumerate(plan.principal.tolist()):
        exact = Fraction(left * days, 31) if k == 0 else Fraction(left)
        months += int(exact + Fraction(1, 2)) + int(plan.released[k])
        left -= repaid
    total = int(units.sum())

    def fixed(s: int) -> int:
        pairs = zip(units.tolist(), rates.tolist(), strict=True)
        return sum(reference.interest(u, r, s, total) for u, r in pairs)

    assert plan.interest.sum() == fixed(months) - fixed(before)
    if level is not None and plan.principal.size < count:
        assert plan.principal[-1] + plan.interest[-1] <= level
    together = plan.principal + plan.interest
    assert plan.principal[-1] > 0
    # Each but the last is the level, or interest above it, or leaves a penny for each later one.
    after = balance - np.cumsum(plan.principal)
    later = np.arange(plan.principal.size)[::-1]
    other = (together != plan.level) & (plan.principal > 0) & (after > later)
    assert not other.any()
    assert (after >= later).all()
