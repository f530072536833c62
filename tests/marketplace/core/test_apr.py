"""The annual percentage rate of charge."""

import math
from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.core.apr import apr
from marketplace.core.errors import AprRefused

Flows = list[tuple[float, int]]


@pytest.mark.parametrize(
    ("advances", "payments", "percent", "digits"),
    [
        # Published examples of directives 90/88/EEC and 98/7/EC.
        ([(0.0, 100_000)], [(1.5, 120_000)], 12.92, 2),
        ([(0.0, 95_000)], [(1.5, 120_000)], 16.85, 2),
        ([(0.0, 100_000)], [(0.0, 5_000), (1.5, 120_000)], 16.85, 2),
        ([(0.0, 100_000)], [(1.0, 60_000), (2.0, 60_000)], 13.07, 2),
        ([(0.0, 100_000)], [(0.25, 27_200), (0.5, 27_200), (1.0, 54_400)], 13.19, 2),
        ([(0.0, 1_000_000)], [((k + 1) / 12, 22_244) for k in range(60)], 12.7, 1),
        # The same by days, 546 of them of years of 365 and of 365.25 days.
        ([(0.0, 100_000)], [(546 / 365, 120_000)], 12.96, 2),
        ([(0.0, 100_000)], [(546 / 365.25, 120_000)], 12.97, 2),
        ([(0.0, 95_000)], [(546 / 365, 120_000)], 16.9, 1),
        (
            [(0.0, 100_000)],
            [(90 / 365, 27_200), (181 / 365, 27_200), (365 / 365, 54_400)],
            13.226,
            3,
        ),
        # COM(2005) 483, the proposal of 2008/48/EC: 6,000 repaid as 48 monthly 149.31; with 60
        # taken off at the start; as 48 monthly 150.56; with 60 off, as 48 monthly 152.31. Where
        # five digits are compared, the last ones that it prints don't solve the equation.
        ([(0.0, 600_000)], [((k + 1) / 12, 14_931) for k in range(48)], 9.380593, 6),
        ([(0.0, 594_000)], [((k + 1) / 12, 14_931) for k in range(48)], 9.95497, 5),
        ([(0.0, 600_000)], [((k + 1) / 12, 15_056) for k in range(48)], 9.856689, 6),
        ([(0.0, 594_000)], [((k + 1) / 12, 15_231) for k in range(48)], 11.10701, 5),
        # By definition: half as much again a year, for 40 days.
        ([(0.0, 100_000)], [(40 / 365, round(100_000 * 1.5 ** (40 / 365)))], 50.0, 2),
        # By definition: what grows 825-fold in a year costs 82,400 %. So does 75 % a month, nearly:
        # 1.75 ** 12 = 825.005.
        ([(0.0, 10_000)], [(1.0, 8_250_000)], 82_400.0, 6),
        ([(0.0, 10_000)], [(1 / 12, 17_500)], 82_400.5, 1),
        # Half of it is all that comes back: -50 %.
        ([(0.0, 100_000)], [(1.0, 50_000)], -50.0, 9),
        # Two advances a year apart, repaid at once a year later, at 10 %: 1.21 + 1.1 times £100.
        ([(0.0, 10_000), (1.0, 10_000)], [(2.0, 23_100)], 10.0, 9),
        # Who pays £1.10 first, and gets £1.00 a year later: 1.00 / 1.10 - 1.
        ([(1.0, 100)], [(0.0, 110)], -9.090909, 6),
        # 400 (x - 1.1) (x - 1.4) = 400 x**2 - 1,000 x + 616: of both rates, the one nearer to zero.
        ([(1.0, 100_000)], [(0.0, 40_000), (2.0, 61_600)], 10.0, 9),
        # Nothing is charged.
        ([(0.0, 100_000)], [(0.5, 50_000), (1.0, 50_000)], 0.0, 12),
    ],
)
def test_examples(advances: Flows, payments: Flows, percent: float, digits: int) -> None:
    assert round(apr(advances, payments) * 100, digits) == percent


@given(
    st.floats(0.01, 60),
    st.integers(1_000, 10_000_000),
    st.integers(1_000, 10_000_000),
)
def test_one_payment_has_a_closed_form(years: float, advance: int, payment: int) -> None:
    exponent = math.log(payment / advance) / years
    if not -35 < exponent < 599:
        return
    expected = math.expm1(exponent)
    assert apr([(0.0, advance)], [(years, payment)]) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@given(
    st.lists(st.tuples(st.floats(0.001, 30), st.integers(100, 1_000_000)), min_size=1, max_size=40),
    st.integers(1_000, 5_000_000),
)
def test_at_the_rate_both_sides_are_worth_the_same(payments: Flows, advance: int) -> None:
    try:
        rate = apr([(0.0, advance)], payments)
    except AprRefused:
        return
    u = math.log1p(rate)
    if abs(u) > 20:
        return
    largest = max(1.0, *(math.exp(-u * years) for years, _ in payments))
    worth = math.fsum(amount * math.exp(-u * years) for years, amount in payments)
    total = advance + sum(amount for _, amount in payments)
    assert abs(worth - advance) <= 1e-8 * largest * total


def by_bisection(advances: Flows, payments: Flows) -> float:
    """The rate in decimals of 50 digits, halving an interval in which only one root lies."""
    with localcontext() as context:
        context.prec = 30
        low, high = Decimal(0), Decimal(2_000)
        for _ in range(80):
            rate = (low + high) / 2
            worth = sum(
                side * pence / (1 + rate) ** Decimal(years)
                for side, flows in ((1, advances), (-1, payments))
                for years, pence in flows
            )
            low, high = (low, rate) if worth > 0 else (rate, high)
        return float(low)


@pytest.mark.parametrize(
    ("advances", "payments"),
    [
        (
            [(0.0, 100_000)],
            [(45 / 365, 5_000), *((45 / 365 + k / 12, 9_300) for k in range(1, 13))],
        ),
        ([(0.0, 50_000), (0.25, 50_000)], [(1.0 + k / 12, 9_500) for k in range(12)]),
        ([(0.0, 100_000)], [(0.0, 3_000), *((k / 12, 2_600) for k in range(1, 61))]),
        ([(0.0, 1)], [(100.0, 1_000_000)]),
        ([(0.0, 10_000)], [(7 / 365, 11_000)]),
        ([(0.0, 100_000_000)], [(k / 12, 800_000) for k in range(1, 481)]),
    ],
)
def test_decimals_by_bisection_say_the_same(advances: Flows, payments: Flows) -> None:
    assert apr(advances, payments) == pytest.approx(by_bisection(advances, payments), rel=1e-9)


def test_moving_every_date_changes_nothing() -> None:
    payments = [((k + 1) / 12, 8_885) for k in range(12)]
    later = [(years + 3.7, pence) for years, pence in payments]
    assert apr([(3.7, 100_000)], later) == pytest.approx(apr([(0.0, 100_000)], payments), abs=1e-12)


def test_an_annuity_costs_its_effective_rate() -> None:
    # £1,000,000 at 1 % a month: 1.01 ** 12 - 1 = 12.6825 % a year.
    payments = [((k + 1) / 12, 8_884_879) for k in range(12)]
    assert apr([(0.0, 100_000_000)], payments) == pytest.approx(1.01**12 - 1, abs=1e-7)


@pytest.mark.parametrize(
    ("advances", "payments"),
    [
        ([], [(1.0, 100)]),
        ([(0.0, 100)], []),
        ([(0.0, 0)], [(1.0, 100)]),
        ([(0.0, 100)], [(0.0, 100)]),
        ([(0.0, 100)], [(0.0, 120)]),
        ([(0.0, 100)], [(1.0, -100)]),
        ([(0.0, 100)], [(1.0, 100.5)]),
        ([(0.0, 100)], [(-1.0, 100)]),
        ([(0.0, 100)], [(math.nan, 100)]),
        ([(0.0, 100)], [(math.inf, 100)]),
        ([(0.0, 100)], [(0.0001, 10_000_000)]),
        ([(0.0, 10_000)], [(0.01, 1)]),
    ],
)
def test_flows_without_a_rate_are_refused(advances: Flows, payments: Flows) -> None:
    with pytest.raises(AprRefused):
        apr(advances, payments)
