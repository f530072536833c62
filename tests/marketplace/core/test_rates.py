"""Annual and monthly rates, and the blend."""

from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.core.errors import RateRefused, ShapeRefused
from marketplace.core.rates import Blend, annual_fraction, blend, monthly_rate_e12

from .reference import ints


def test_doubling_in_a_year_is_the_equal_tempered_semitone_a_month() -> None:
    # 2 ** (1/12) = 1.059463094359295...
    assert monthly_rate_e12(1_000_000) == 59_463_094_359


def test_no_rate_is_no_rate() -> None:
    assert monthly_rate_e12(0) == 0
    assert annual_fraction(0) == 0.0


@given(st.integers(0, 1_000_000))
def test_the_monthly_rate_is_the_nearest_integer(annual_ppm: int) -> None:
    with localcontext() as context:
        context.prec = 60
        exact = (1 + Decimal(annual_ppm) / 10**6) ** (Decimal(1) / 12) - 1
        assert abs(exact * 10**12 - monthly_rate_e12(annual_ppm)) <= Decimal("0.5")


def test_an_array_of_rates_is_each_rate_alone_in_the_same_shape() -> None:
    rates = np.array([[70_000, 0], [71_250, 70_000]], dtype=np.int64)
    expected = [[monthly_rate_e12(int(rate)) for rate in row] for row in rates]
    assert monthly_rate_e12(rates).tolist() == expected


@pytest.mark.parametrize("annual_ppm", [-1, 1_000_001, 7_100_000])
def test_an_absurd_rate_is_refused(annual_ppm: int) -> None:
    with pytest.raises(RateRefused):
        monthly_rate_e12(annual_ppm)


def test_the_fixture_blends_to_seven_per_cent() -> None:
    # £480 at 6.9 % and £520 at 7.1 %: the mean of annual rates would be
    # (480 x 6.9 + 520 x 7.1) / 1000 = 7.004 %; by monthly rates it is a hair less than that.
    mixed = blend([48_000, 52_000], monthly_rate_e12(ints(69_000, 71_000)))
    assert mixed.annual_fraction == pytest.approx(0.07004, abs=1e-6)
    assert mixed.annual_ppm == 70_040
    assert mixed.amount == 100_000


def test_a_blend_of_one_rate_is_that_rate() -> None:
    assert blend([1_000, 30_000], monthly_rate_e12(ints(71_000, 71_000))).annual_ppm == 71_000


@given(
    st.lists(
        st.tuples(st.integers(0, 2_500_000), st.integers(0, 60_000_000_000)),
        min_size=1,
        max_size=60,
    )
)
def test_a_blend_is_the_exact_weighted_mean(parts: list[tuple[int, int]]) -> None:
    mixed = blend([amount for amount, _ in parts], [rate for _, rate in parts])
    assert mixed.amount == sum(amount for amount, _ in parts)
    assert mixed.weighted == sum(amount * rate for amount, rate in parts)
    if mixed.amount:
        assert mixed.monthly_e12 == Fraction(mixed.weighted, mixed.amount)


def test_large_books_blend_exactly() -> None:
    # 1,000 amounts of £90m at 9.999999... % a month: each product alone is beyond 64 bits.
    amount, rate = 9_000_000_000, 99_999_999_999
    assert blend([amount] * 1_000, [rate] * 1_000).weighted == 1_000 * amount * rate


def test_nothing_has_no_rate() -> None:
    with pytest.raises(RateRefused):
        _ = blend([], []).annual_ppm
    assert blend([], []) == Blend(amount=0, weighted=0)


@pytest.mark.parametrize(
    ("amounts", "rates"), [([-1], [5]), ([1], [-5]), ([1], [10**11 + 1]), ([10**13], [5])]
)
def test_absurd_blends_are_refused(amounts: list[int], rates: list[int]) -> None:
    with pytest.raises(RateRefused):
        blend(amounts, rates)


def test_floats_are_refused() -> None:
    with pytest.raises(ShapeRefused):
        blend([10.5], [5])
