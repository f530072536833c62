"""The cascade and the bounds of offers, by hand and as laws."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.core.offers import (
    MarketBounds,
    OfferRefused,
    StandingRate,
    check_amounts,
    standing_rates,
)

# Bands 1 (safest) to 4 over 36 months, and 1 to 2 over 60; ids are term x 10 + position.
MARKETS = [
    MarketBounds(term * 10 + position, f"{position}/{term}", term, position, low, high)
    for term, position, low, high in (
        (36, 1, 20_000, 80_000),
        (36, 2, 30_000, 90_000),
        (36, 3, 50_000, 120_000),
        (36, 4, 70_000, 150_000),
        (60, 1, 20_000, 80_000),
        (60, 2, 30_000, 90_000),
    )
]
BY_ID = {market.market_id: market for market in MARKETS}


def _rates(named: dict[int, int]) -> dict[int, tuple[int, int]]:
    return {
        one.market_id: (one.rate, one.original_market_id) for one in standing_rates(named, MARKETS)
    }


def test_a_rate_goes_down_to_every_safer_band_of_its_term() -> None:
    assert _rates({363: 75_000}) == {361: (75_000, 363), 362: (75_000, 363), 363: (75_000, 363)}


def test_a_named_rate_wins_over_an_implied_one() -> None:
    assert _rates({363: 75_000, 362: 85_000}) == {
        # Of 8.5 % and 7.5 % the lower goes on down.
        361: (75_000, 363),
        362: (85_000, 362),
        363: (75_000, 363),
    }


def test_an_implied_rate_above_a_safer_bands_bound_does_not_stand_there() -> None:
    assert _rates({364: 100_000}) == {363: (100_000, 364), 364: (100_000, 364)}


def test_an_implied_rate_passes_over_a_band_that_does_not_take_it() -> None:
    # 2.5 % is below band 2's bound and inside band 1's.
    narrow = [
        MarketBounds(1, "1", 36, 1, 20_000, 80_000),
        MarketBounds(2, "2", 36, 2, 30_000, 90_000),
    ]
    riskier = MarketBounds(3, "3", 36, 3, 20_000, 90_000)
    assert standing_rates({3: 25_000}, [*narrow, riskier]) == [
        StandingRate(1, 3, 25_000),
        StandingRate(3, 3, 25_000),
    ]


def test_terms_are_cascades_of_their_own() -> None:
    assert set(_rates({602: 60_000})) == {601, 602}


@pytest.mark.parametrize("rate", [49_999, 120_001])
def test_a_named_rate_out_of_bounds_is_refused(rate: int) -> None:
    with pytest.raises(OfferRefused) as refusal:
        standing_rates({363: rate}, MARKETS)
    assert refusal.value.message == "A rate in 3/36 lies between 5.00 % and 12.00 %."


def test_no_market_and_an_unknown_one_are_refused() -> None:
    for named in ({}, {1: 70_000}):
        with pytest.raises(OfferRefused) as refusal:
            standing_rates(named, MARKETS)
        assert refusal.value.field == "rates"


_NAMED = st.fixed_dictionaries(
    {}, optional={m.market_id: st.integers(m.lowest, m.highest) for m in MARKETS}
).filter(bool)


@given(_NAMED)
def test_laws_of_the_cascade(named: dict[int, int]) -> None:
    standing = standing_rates(named, MARKETS)
    places = [one.market_id for one in standing]
    assert len(set(places)) == len(places)
    assert set(named) <= set(places)
    for one in standing:
        market, origin = BY_ID[one.market_id], BY_ID[one.original_market_id]
        assert market.lowest <= one.rate <= market.highest
        assert named[one.original_market_id] == one.rate
        if one.market_id in named:
            assert one.original_market_id == one.market_id
        else:
            assert origin.term_months == market.term_months
            assert origin.position > market.position
            riskier = [
                rate
                for key, rate in named.items()
                if BY_ID[key].term_months == market.term_months
                and BY_ID[key].position > market.position
            ]
            assert one.rate == min(riskier)


@pytest.mark.parametrize(("amount", "limit"), [(1_000, 1_000), (5_000, 1_000), (10**9, 10**9)])
def test_steps_of_ten_pounds_are_accepted(amount: int, limit: int) -> None:
    check_amounts(amount=amount, exposure_limit=limit, step=1_000)


@given(st.integers(-5_000, 50_000), st.integers(-5_000, 50_000))
def test_amounts_are_accepted_exactly_when_they_are_steps_and_fit(amount: int, limit: int) -> None:
    fits = 0 < limit <= amount and amount % 1_000 == 0 and limit % 1_000 == 0
    with nullcontext() if fits else pytest.raises(OfferRefused, match=r"£10|more than the offer"):
        check_amounts(amount=amount, exposure_limit=limit, step=1_000)
