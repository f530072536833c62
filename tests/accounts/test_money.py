"""Whole pence: reading, writing, rounding and splitting them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.core.errors import AmountRefused
from accounts.core.money import Rounding, pence_from_text, round_pence, split, text_from_pence


@pytest.mark.parametrize(
    ("text", "pence"),
    [("10", 1000), ("10.5", 1050), ("10.05", 1005), (" 0.01 ", 1), ("-3.20", -320), ("0", 0)],
)
def test_reads_pounds_with_at_most_two_decimals(text: str, pence: int) -> None:
    assert pence_from_text(text) == pence


@pytest.mark.parametrize(
    "text", ["", "ten", "1.005", "1e3", "1,000", "£5", "NaN", "inf", "--1", "1.", "９", "9" * 11]
)
def test_refuses_what_is_not_an_amount(text: str) -> None:
    with pytest.raises(AmountRefused) as refusal:
        pence_from_text(text, field="amount")
    assert refusal.value.code == "AMOUNT_REFUSED"
    assert refusal.value.field == "amount"


@given(st.integers(-(10**11), 10**11))
def test_writing_and_reading_is_the_same_amount(pence: int) -> None:
    assert pence_from_text(text_from_pence(pence)) == pence


def test_rounds_by_the_named_mode() -> None:
    assert [round_pence(2.5, mode) for mode in Rounding] == [2, 3, 2]
    assert [round_pence(-2.5, mode) for mode in Rounding] == [-3, -2, -2]
    with pytest.raises(AmountRefused):
        round_pence(float("nan"), Rounding.DOWN)


def test_splits_ten_pence_in_three() -> None:
    # 10/3 = 3.33 each: three pence each, and the penny left goes to the first.
    assert split(10, [1, 1, 1]).tolist() == [4, 3, 3]
    # 100 by 1:2:4 is 14.29, 28.57, 57.14: the largest remainder, .57, gets the penny left.
    assert split(100, [1, 2, 4]).tolist() == [14, 29, 57]


@given(
    st.integers(0, 10**12),
    st.lists(st.integers(0, 10**9), min_size=1, max_size=40).filter(any),
)
def test_a_split_loses_nothing_and_is_fair_to_a_penny(amount: int, weights: list[int]) -> None:
    shares = split(amount, weights).tolist()
    total = sum(weights)
    assert sum(shares) == amount
    for share, weight in zip(shares, weights, strict=True):
        assert abs(share * total - amount * weight) < total


@pytest.mark.parametrize(("amount", "weights"), [(-1, [1]), (1, []), (1, [0, 0]), (1, [2, -1])])
def test_refuses_a_split_over_nothing(amount: int, weights: list[int]) -> None:
    with pytest.raises(AmountRefused):
        split(amount, weights)
