"""Interest fixed in whole pence, and the servicing fee."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.core.errors import InterestOutOfBounds, MarketplaceRefusal, ShapeRefused
from marketplace.core.interest import (
    cumulative_fee,
    cumulative_interest,
    cumulative_interest_by_loan,
    fee_rate_e12,
)

from . import reference
from .reference import ints

PERCENT_A_MONTH = 10_000_000_000  # 1 % in 10⁻¹²


def test_each_part_carries_its_own_fraction_of_a_penny() -> None:
    # £1,000, a £10 part at .55 % a month. First due date: 1,000p x .0055 = 5.5p, fixed as 6p.
    # Second, with £970 outstanding: 9.7/10 of that, 5.335p; 10.835p in all, fixed as 11p: 5p more.
    rate = PERCENT_A_MONTH * 55 // 100
    fixed = [cumulative_interest([1], [rate], [s], [100])[0] for s in (100_000, 197_000)]
    assert fixed == [6, 11]


def test_a_loan_of_hundred_parts_owes_the_sum_of_its_parts() -> None:
    # £1,000 at 1 %: 10p a part. With £502.49 outstanding next, 5.0249p a part, fixed as 5p.
    units, rates = np.full(100, 1), np.full(100, PERCENT_A_MONTH)
    first = cumulative_interest(units, rates, [100_000], [100])
    second = cumulative_interest(units, rates, [150_249], [100])
    assert first.sum() == 1_000
    assert (second - first).sum() == 500


parts = st.integers(1, 100_000).flatmap(
    lambda total: st.tuples(
        st.integers(0, total),
        st.integers(0, 60_000_000_000),
        st.integers(0, total * 1_000 * 240),
        st.just(total),
    )
)


@given(st.lists(parts, min_size=1, max_size=30))
def test_interest_is_exact_for_any_loan_up_to_a_million_pounds(
    rows: list[tuple[int, int, int, int]],
) -> None:
    units, rates, months, totals = (np.array(column) for column in zip(*rows, strict=True))
    expected = [reference.interest(*row) for row in rows]
    assert cumulative_interest(units, rates, months, totals).tolist() == expected


@pytest.mark.parametrize(
    ("units", "rate", "months", "total"),
    [
        (10**6, 10**11, 9 * 10**12, 10**6),  # every bound at once
        (10**6 - 1, 10**11 - 1, 9 * 10**12 - 1, 10**6),
        (1, 10**11, 9 * 10**6, 1),
        (999_983, 99_999_999_977, 8_999_846_999_993, 999_983),  # nothing cancels
        (2_500, 59_463_094_359, 2_500_000 * 240, 2_500),
    ],
)
def test_interest_is_exact_at_the_bounds(units: int, rate: int, months: int, total: int) -> None:
    expected = reference.interest(units, rate, months, total)
    assert cumulative_interest([units], [rate], [months], [total]).tolist() == [expected]


@pytest.mark.parametrize(
    ("units", "rate", "months", "total"),
    [
        (-1, 1, 1, 1),
        (2, 1, 1, 1),
        (1, -1, 1, 1),
        (1, 10**11 + 1, 1, 1),
        (1, 1, -1, 1),
        (1, 1, 9 * 10**6 + 1, 1),
        (1, 1, 1, 0),
        (1, 1, 1, 10**6 + 1),
    ],
)
def test_what_is_not_proved_is_refused(units: int, rate: int, months: int, total: int) -> None:
    with pytest.raises(InterestOutOfBounds):
        cumulative_interest([units], [rate], [months], [total])


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ShapeRefused):
        cumulative_interest([1, 1, 1], [5, 5], [10], [3])
    with pytest.raises(ShapeRefused):
        cumulative_interest([1], [0.01], [10], [3])


@given(st.lists(st.lists(st.integers(1, 50), min_size=1, max_size=8), min_size=1, max_size=6))
def test_many_loans_at_once_are_each_loan_alone(loans: list[list[int]]) -> None:
    units = np.concatenate([np.array(loan) for loan in loans])
    rates = (np.arange(units.size) % 7 + 1) * 3_141_592_653
    offsets = np.cumsum([0, *(len(loan) for loan in loans)])
    months = np.array([sum(loan) * 777 for loan in loans])
    together = cumulative_interest_by_loan(units, rates, months, offsets)
    for place, loan in enumerate(loans):
        rows = slice(offsets[place], offsets[place + 1])
        alone = cumulative_interest(loan, rates[rows], [months[place]], [sum(loan)])
        assert together[rows].tolist() == alone.tolist()


def test_no_loans_have_no_interest() -> None:
    assert cumulative_interest_by_loan(ints(), ints(), ints(), ints(0)).size == 0


def test_a_fee_of_one_per_cent_is_a_twelfth_a_month() -> None:
    assert fee_rate_e12(10_000).tolist() == [833_333_333]
    # £100 of £1,000, all outstanding for 12 due dates: 1 % of £100 in all.
    interest = cumulative_interest([10], [PERCENT_A_MONTH], [1_200_000], [100])
    assert interest.tolist() == [1_200]
    assert cumulative_fee([10], interest, [1_200_000], [100], 10_000).tolist() == [100]


def test_the_fee_is_never_more_than_the_interest() -> None:
    # .05 % a month of £10 for two due dates: 1p; the fee alone would be 1.67p, fixed as 2p.
    interest = cumulative_interest([1], [PERCENT_A_MONTH // 20], [200_000], [100])
    assert interest.tolist() == [1]
    assert cumulative_fee([1], interest, [200_000], [100], 10_000).tolist() == [1]


@pytest.mark.parametrize("fee_ppm", [-1, 1_000_001])
def test_an_absurd_fee_is_refused(fee_ppm: int) -> None:
    with pytest.raises(MarketplaceRefusal):
        fee_rate_e12(fee_ppm)
