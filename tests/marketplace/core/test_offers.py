"""What an offer may ask."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.core.offers import (
    MarketBounds,
    OfferRefused,
    check_amounts,
    check_rates,
)

MARKETS = [MarketBounds(363, "3/36", 36, 3, 50_000, 120_000)]


@pytest.mark.parametrize("rate", [49_999, 120_001])
def test_a_named_rate_out_of_bounds_is_refused(rate: int) -> None:
    with pytest.raises(OfferRefused) as refusal:
        check_rates({363: rate}, MARKETS)
    assert refusal.value.message == "A rate in 3/36 lies between 5.00 % and 12.00 %."


def test_no_market_and_an_unknown_one_are_refused() -> None:
    for named in ({}, {1: 70_000}):
        with pytest.raises(OfferRefused) as refusal:
            check_rates(named, MARKETS)
        assert refusal.value.field == "rates"


@pytest.mark.parametrize(("amount", "limit"), [(1_000, 1_000), (5_000, 1_000), (10**9, 10**9)])
def test_steps_of_ten_pounds_are_accepted(amount: int, limit: int) -> None:
    check_amounts(amount=amount, exposure_limit=limit, step=1_000)


@given(st.integers(-5_000, 50_000), st.integers(-5_000, 50_000))
def test_amounts_are_accepted_exactly_when_they_are_steps_and_fit(amount: int, limit: int) -> None:
    fits = 0 < limit <= amount and amount % 1_000 == 0 and limit % 1_000 == 0
    with nullcontext() if fits else pytest.raises(OfferRefused, match=r"£10|more than the offer"):
        check_amounts(amount=amount, exposure_limit=limit, step=1_000)
