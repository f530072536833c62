"""What an offer may ask."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.core.offers import (
    MarketBounds,
    OfferRefused,
    Peg,
    check_amounts,
    check_pool,
    check_rates,
)

MARKETS = [
    MarketBounds(363, "3/36", 36, 3, 50_000, 120_000),
    MarketBounds(360, "0/36", 36, 0, 20_000, 60_000),
]
WHOLE = 1_000_000


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


@pytest.mark.parametrize("rate", [50_000, 120_000, Peg(0, 1), Peg(-70_000, 120_000)])
def test_rates_and_pegs_at_the_edges_are_accepted(rate: int | Peg) -> None:
    check_rates({363: rate, 360: Peg(40_000, 60_000)}, MARKETS)


@pytest.mark.parametrize("floor", [120_001, 0, -1])
def test_a_floor_that_a_peg_never_reaches_is_refused(floor: int) -> None:
    with pytest.raises(OfferRefused) as refusal:
        check_rates({360: 30_000, 363: Peg(0, floor)}, MARKETS)
    assert (refusal.value.code, refusal.value.field) == ("OFFER_REFUSED", "rates")
    assert refusal.value.message == (
        "A peg in 3/36 reaches up to 12.00 %: its floor lies above nothing and not above that."
    )


@pytest.mark.parametrize("margin", [70_001, -70_001])
def test_a_margin_wider_than_the_bounds_is_refused(margin: int) -> None:
    # 12 % less 5 % is 7 %.
    with pytest.raises(OfferRefused) as refusal:
        check_rates({363: Peg(margin, 60_000)}, MARKETS)
    assert refusal.value.field == "rates"
    assert refusal.value.message == (
        "Rates in 3/36 lie between 5.00 % and 12.00 %: a margin can't be wider than that."
    )


def test_a_peg_in_an_unknown_market_is_refused() -> None:
    with pytest.raises(OfferRefused, match="no such market"):
        check_rates({363: 60_000, 1: Peg(0, 60_000)}, MARKETS)


@given(st.integers(-90_000, 90_000), st.integers(-10, 130_000))
def test_pegs_are_accepted_exactly_when_they_can_stand(margin: int, floor: int) -> None:
    fits = abs(margin) <= 70_000 and 0 < floor <= 120_000
    with nullcontext() if fits else pytest.raises(OfferRefused):
        check_rates({363: Peg(margin, floor)}, MARKETS)


def pool(
    *,
    amount: int = 100_000,
    exposure_share: int = 10_000,
    mix: Mapping[int, int] | None = None,
) -> None:
    """A pool offer of £1,000, 1 % (£10) for one borrower, all of it in one market."""
    check_pool(
        amount=amount,
        exposure_share=exposure_share,
        mix={363: WHOLE} if mix is None else mix,
        markets=MARKETS,
        step=1_000,
    )


def test_pool_money_that_can_all_be_lent_is_accepted() -> None:
    pool()
    pool(exposure_share=WHOLE)
    pool(amount=1_000, exposure_share=WHOLE)
    pool(mix={363: 500_000, 360: 500_000})
    pool(mix={363: WHOLE, 360: 1})


@pytest.mark.parametrize("amount", [0, -1_000, 999, 100_500])
def test_pool_money_comes_in_steps(amount: int) -> None:
    with pytest.raises(OfferRefused, match="multiple of £10") as refusal:
        pool(amount=amount, exposure_share=WHOLE)
    assert refusal.value.field == "amount"


@pytest.mark.parametrize(
    ("amount", "share", "least"),
    [
        (100_000, 9_999, "1 %"),  # £9.99
        (100_000, 0, "1 %"),
        (100_000, -10_000, "1 %"),
        (100_000, WHOLE + 1, "1 %"),
        (150_000, 6_666, "0.67 %"),  # .666 % would be £9.99 and .667 % £10.005
        (1_000, 999_999, "100 %"),  # all of £10, or no step
        (2_000, 499_999, "50 %"),
    ],
)
def test_a_share_for_one_borrower_is_a_step_at_least_and_all_at_most(
    amount: int, share: int, least: str
) -> None:
    with pytest.raises(OfferRefused) as refusal:
        pool(amount=amount, exposure_share=share)
    assert refusal.value.field == "exposure_share"
    assert refusal.value.message == (
        f"At most 100 %, and of £{amount // 100:,} at least {least} for one borrower, which is £10."
    )
    # What the sentence says would be accepted is accepted.
    pool(amount=amount, exposure_share=round(float(least.split(maxsplit=1)[0]) * 10_000))


@pytest.mark.parametrize(
    ("mix", "words"),
    [
        ({}, "must reach 100 %"),
        ({363: 999_999}, "must reach 100 %"),
        ({363: 500_000, 360: 499_999}, "must reach 100 %"),
        ({363: WHOLE, 360: 0}, "The share in 0/36 is more than nothing"),
        ({363: WHOLE, 360: -1}, "The share in 0/36 is more than nothing"),
        ({363: WHOLE + 1}, "The share in 3/36 is more than nothing and at most 100 %"),
    ],
)
def test_a_mix_that_leaves_money_nowhere_to_go_is_refused(mix: dict[int, int], words: str) -> None:
    with pytest.raises(OfferRefused, match=words) as refusal:
        pool(mix=mix)
    assert refusal.value.field == "mix"


def test_a_mix_with_an_unknown_market_is_refused() -> None:
    with pytest.raises(OfferRefused, match="no such market") as refusal:
        pool(mix={363: WHOLE, 1: WHOLE})
    assert refusal.value.field == "mix"


@given(st.integers(1, 10_000).map(lambda units: units * 1_000), st.integers(-10, WHOLE + 10))
def test_a_share_is_accepted_exactly_when_it_makes_a_step(amount: int, share: int) -> None:
    fits = share <= WHOLE and amount * share >= 1_000 * WHOLE
    with nullcontext() if fits else pytest.raises(OfferRefused):
        pool(amount=amount, exposure_share=share)
