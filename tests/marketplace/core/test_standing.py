"""From standing orders to queues: worked examples. Their laws are with those of the cycle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pytest

from marketplace.core.arrays import IntArray
from marketplace.core.order_book import nothing_held, takes
from marketplace.core.standing import (
    Markets,
    NamedRates,
    Orders,
    Pricing,
    Tier,
    queue_of,
    standing,
)

PERCENT = 10_000  # ppm
WHOLE = 1_000_000  # ppm: all of it
OWN, PEG, POOL = (int(one) for one in Pricing)
ASKED, REPAID, NEW = (int(one) for one in Tier)


class Order(NamedTuple):
    """A row of the orders; £100 of new money with a limit of £100 unless told otherwise."""

    offer_id: int
    lender_id: int = 7
    amount: int = 10_000
    available: int = 10_000
    repaid: int = 0
    limit: int = 10_000
    share: int = 0


class Ask(NamedTuple):
    """A row of the named rates."""

    offer_id: int
    market_id: int
    pricing: int = OWN
    rate: int = 0
    margin: int = 0
    floor: int = 0
    share: int = 0
    lent: int = 0
    place: int = 0


class Market(NamedTuple):
    """A row of the markets: 2 % to 20 %, guide and traded rate 8 %, unless told otherwise."""

    market_id: int
    term_months: int = 36
    position: int = 0
    lowest: int = 2 * PERCENT
    highest: int = 20 * PERCENT
    guide: int = 8 * PERCENT
    traded: int = 8 * PERCENT


class Entry(NamedTuple):
    """An entry of a queue by ids instead of rows."""

    market: int
    offer: int
    origin: int
    rate: int
    pricing: int
    tier: int
    room: int
    most: int


UNBOUNDED = 2**63 - 1


def columns(kind: Any, rows: Sequence[tuple[int, ...]], width: int) -> Any:
    """Rows as the arrays of ``kind``."""
    return kind(*np.array(rows, dtype=np.int64).reshape(-1, width).T)


def entries(orders: Sequence[Order], asks: Sequence[Ask], markets: Sequence[Market]) -> list[Entry]:
    """What stands, as :func:`standing` says."""
    found = standing(
        columns(Orders, orders, 7), columns(NamedRates, asks, 9), columns(Markets, markets, 7)
    )
    rows = zip(*(getattr(found, name).tolist() for name in found.__slots__), strict=True)
    return [
        Entry(
            markets[market].market_id,
            orders[order].offer_id,
            markets[origin].market_id,
            *figures,
        )
        for market, order, origin, *figures in rows
    ]


def rates(orders: Sequence[Order], asks: Sequence[Ask], markets: Sequence[Market]) -> list[Any]:
    """Market, offer, the market that named the rate, and the rate of each entry."""
    return [entry[:4] for entry in entries(orders, asks, markets)]


# Four bands of 36 months, the safest first, and two of 60.
LADDER = [Market(1, 36, 0), Market(2, 36, 1), Market(3, 36, 2), Market(4, 36, 3)]
LONGER = [Market(11, 60, 0), Market(12, 60, 1)]
ONE = [Order(5)]


def test_a_riskier_band_implies_the_safer_ones_of_its_term() -> None:
    asked = [Ask(5, 3, rate=90_000)]
    assert rates(ONE, asked, LADDER + LONGER) == [
        (1, 5, 3, 90_000),
        (2, 5, 3, 90_000),
        (3, 5, 3, 90_000),
    ]


def test_terms_are_ladders_of_their_own() -> None:
    asked = [Ask(5, 2, rate=90_000, place=1), Ask(5, 12, rate=95_000, place=2)]
    assert rates(ONE, asked, LADDER + LONGER) == [
        (1, 5, 2, 90_000),
        (2, 5, 2, 90_000),
        (11, 5, 12, 95_000),
        (12, 5, 12, 95_000),
    ]


def test_a_named_rate_wins_over_an_implied_one_even_if_it_is_higher() -> None:
    asked = [Ask(5, 4, rate=70_000, place=1), Ask(5, 2, rate=90_000, place=2)]
    # 7 % of band 4 goes on down: to 3, past 2, which has its own 9 %, and to 1, where it is lower.
    assert rates(ONE, asked, LADDER) == [
        (1, 5, 4, 70_000),
        (2, 5, 2, 90_000),
        (3, 5, 4, 70_000),
        (4, 5, 4, 70_000),
    ]


def test_of_several_implied_rates_the_lowest_counts() -> None:
    asked = [Ask(5, 4, rate=90_000, place=1), Ask(5, 3, rate=80_000, place=2)]
    assert rates(ONE, asked, LADDER) == [
        (1, 5, 3, 80_000),
        (2, 5, 3, 80_000),
        (3, 5, 3, 80_000),
        (4, 5, 4, 90_000),
    ]


@pytest.mark.parametrize(("third", "fourth", "origin"), [(1, 3, 3), (3, 1, 4)])
def test_of_equal_implied_rates_the_one_set_first_counts(
    third: int, fourth: int, origin: int
) -> None:
    # Offer 6 asks the same 9 % of band 1, between the two times at which offer 5 set its rates:
    # offer 5 stands before it only because its earlier place is the one handed on.
    asked = [
        Ask(5, 3, rate=90_000, place=third),
        Ask(5, 4, rate=90_000, place=fourth),
        Ask(6, 1, rate=90_000, place=2),
    ]
    found = rates([Order(5), Order(6)], asked, LADDER)
    assert found[:3] == [(1, 5, origin, 90_000), (1, 6, 1, 90_000), (2, 5, origin, 90_000)]


def test_a_rate_outside_a_market_is_handed_on_to_the_next() -> None:
    # 9 % is too much for band 2 (up to 8 %), too little for band 1 of the first ladder (from 10 %),
    # and outside band 3's own bounds, which have moved since it was named there.
    bounded = [
        Market(1, 36, 0),
        Market(2, 36, 1, highest=80_000),
        Market(3, 36, 2, lowest=100_000),
    ]
    assert rates(ONE, [Ask(5, 3, rate=90_000)], bounded) == [(1, 5, 3, 90_000)]
    at_the_edges = [
        Market(1, 36, 0, highest=90_000),
        Market(2, 36, 1, lowest=90_000),
        Market(3, 36, 2, highest=89_999),
        Market(4, 36, 3, lowest=90_001),
    ]
    assert rates(ONE, [Ask(5, 4, rate=90_000)], at_the_edges) == [
        (1, 5, 4, 90_000),
        (2, 5, 4, 90_000),
    ]


def test_a_rate_named_outside_the_bounds_still_keeps_implied_ones_away() -> None:
    # Band 2 has its own 9 %, above its bound today: the 7 % of band 3 doesn't stand there instead.
    ladder = [Market(1, 36, 0), Market(2, 36, 1, highest=80_000), Market(3, 36, 2)]
    asked = [Ask(5, 3, rate=70_000, place=1), Ask(5, 2, rate=90_000, place=2)]
    assert rates(ONE, asked, ladder) == [(1, 5, 3, 70_000), (3, 5, 3, 70_000)]


@pytest.mark.parametrize(
    ("margin", "floor", "expected"),
    [
        (0, 20_000, 80_000),  # the traded rate itself
        (5_000, 20_000, 85_000),
        (-10_000, 20_000, 70_000),
        (-70_000, 10_000, 20_000),  # 8 % - 7 % = 1 %: the market begins at 2 %
        (150_000, 20_000, 200_000),  # 8 % + 15 % = 23 %: the market ends at 20 %
        (-10_000, 75_000, 75_000),  # 8 % - 1 % = 7 %: below the floor of 7.5 %
        (-70_000, 200_000, 200_000),  # a floor at the very top
        (0, 200_001, None),  # above everything that may stand here
    ],
)
def test_a_peg_follows_the_traded_rate_within_bounds_and_above_its_floor(
    margin: int, floor: int, expected: int | None
) -> None:
    asked = [Ask(5, 1, PEG, margin=margin, floor=floor)]
    found = entries(ONE, asked, [Market(1, guide=30_000)])
    assert [(entry.rate, entry.pricing) for entry in found] == (
        [] if expected is None else [(expected, PEG)]
    )


def test_pegs_cascade_at_the_rate_of_the_market_they_were_named_in() -> None:
    # 9 % traded in band 2, and .5 % more; band 1 trades at 6 %, which this peg doesn't follow.
    ladder = [Market(1, 36, 0, traded=60_000), Market(2, 36, 1, traded=90_000)]
    asked = [Ask(5, 2, PEG, margin=5_000, floor=50_000)]
    found = entries(ONE, asked, ladder)
    assert [entry[:5] for entry in found] == [(1, 5, 2, 95_000, PEG), (2, 5, 2, 95_000, PEG)]


def test_own_rates_and_pegs_of_one_rate_stand_by_time() -> None:
    asked = [
        Ask(5, 1, rate=80_000, place=3),
        Ask(6, 1, PEG, margin=0, floor=50_000, place=2),
        Ask(7, 1, rate=80_000, place=1),
        Ask(8, 1, rate=79_999, place=4),
    ]
    found = entries([Order(5), Order(6), Order(7), Order(8)], asked, [Market(1)])
    assert [entry.offer for entry in found] == [8, 7, 6, 5]


def pool(offer_id: int, *, amount: int = 10_000, available: int = 10_000, repaid: int = 0) -> Order:
    return Order(offer_id, 7, amount, available, repaid, limit=0, share=WHOLE)


def test_the_pool_lends_at_the_guide_rate_behind_whoever_asks_it() -> None:
    asked = [
        Ask(5, 1, POOL, share=WHOLE, place=1),
        Ask(6, 1, rate=85_000, place=2),
        Ask(7, 1, PEG, margin=5_000, floor=50_000, place=3),
        Ask(8, 1, rate=85_001, place=4),
    ]
    market = Market(1, guide=85_000)
    found = entries([pool(5), Order(6), Order(7), Order(8)], asked, [market])
    assert [(entry.offer, entry.rate, entry.tier) for entry in found] == [
        (6, 85_000, ASKED),
        (7, 85_000, ASKED),
        (5, 85_000, NEW),
        (8, 85_001, ASKED),
    ]


def test_pool_money_does_not_cascade() -> None:
    assert rates([pool(5)], [Ask(5, 3, POOL, share=WHOLE)], LADDER) == [(3, 5, 3, 80_000)]


def test_in_the_pool_repaid_money_goes_first_then_the_largest_idle_share_then_time() -> None:
    # Idle: £40 of £100; £60 of £100; £90 of £150 is .6 as well, set later; £100 of £1,000 is .1.
    orders = [
        pool(5, available=4_000),
        pool(6, available=6_000, repaid=2_000),
        pool(7, amount=15_000, available=9_000),
        pool(8, amount=100_000, available=10_000, repaid=10_000),
    ]
    asked = [
        Ask(offer, 1, POOL, share=WHOLE, place=place)
        for offer, place in ((5, 1), (6, 2), (7, 3), (8, 4))
    ]
    found = entries(orders, asked, [Market(1)])
    assert [(entry.offer, entry.tier, entry.most) for entry in found] == [
        (6, REPAID, 2_000),
        (8, REPAID, 10_000),
        (6, NEW, 4_000),
        (7, NEW, 9_000),
        (5, NEW, 4_000),
    ]
    # Set the other way round, only the two of equal shares change places.
    turned = [ask._replace(place=10 - ask.place) for ask in asked]
    assert [entry.offer for entry in entries(orders, turned, [Market(1)])] == [6, 8, 7, 6, 5]


@pytest.mark.parametrize(
    ("share", "lent", "room", "most"),
    [
        (1_000_000, 0, 10_000, [3_000, 7_000]),
        (600_000, 0, 6_000, [3_000, 3_000]),  # £60 of £100 in all, repaid money first
        (600_000, 4_000, 2_000, [2_000, 0]),  # £40 lie there: £20 more, all of it repaid
        (600_000, 5_001, 999, []),  # not a step more
        (600_000, 9_000, 0, []),  # more than the share lies there
        (359_000, 0, 3_590, [3_000, 590]),  # £35.90: £30 are repaid, and £5.90 are no step
    ],
)
def test_a_mix_caps_what_lies_in_a_market(
    share: int, lent: int, room: int, most: list[int]
) -> None:
    # £30 of the £100 came back from borrowers, if that is still there.
    asked = [Ask(5, 1, POOL, share=share, lent=lent)]
    left = 10_000 - lent
    order = pool(5, available=left, repaid=min(3_000, left))
    found = entries([order], asked, [Market(1)])
    assert [(entry.tier, entry.room) for entry in found] == [(REPAID, room), (NEW, room)][
        : len(most)
    ]
    assert [entry.most for entry in found] == most


def test_interest_put_on_offer_again_is_in_the_mix() -> None:
    # £100 placed; £45 lie in the market, £65 are on offer: £110 in all, half of it is £55.
    asked = [Ask(5, 1, POOL, share=500_000, lent=4_500), Ask(5, 2, POOL, share=500_000)]
    found = entries([pool(5, available=6_500)], asked, [Market(1), Market(2)])
    assert [(entry.market, entry.room) for entry in found] == [(1, 1_000), (2, 5_500)]


def test_money_below_a_step_does_not_stand() -> None:
    asked = [Ask(offer, 1, rate=80_000, place=offer) for offer in (5, 6, 7)]
    orders = [Order(5, available=999), Order(6, available=1_000), Order(7, available=0)]
    assert [entry.offer for entry in entries(orders, asked, [Market(1)])] == [6]


def test_offers_and_markets_that_are_not_given_are_ignored() -> None:
    asked = [
        Ask(5, 99, rate=70_000, place=1),  # no such market: implies nothing either
        Ask(99, 2, rate=70_000, place=2),  # no such offer
        Ask(5, 2, rate=90_000, place=3),
    ]
    assert rates(ONE, asked, LADDER) == [(1, 5, 2, 90_000), (2, 5, 2, 90_000)]


def test_nothing_stands_where_there_is_nothing() -> None:
    asked = [Ask(5, 2, rate=90_000)]
    assert entries([], asked, LADDER) == []
    assert entries(ONE, [], LADDER) == []
    assert entries(ONE, asked, []) == []


def test_limits_are_amounts_or_shares_in_whole_steps() -> None:
    orders = columns(
        Orders,
        [
            Order(1, limit=12_000),
            Order(2, limit=12_999),
            Order(3, amount=123_000, limit=0, share=20_000),  # 2 % of £1,230 are £24.60
            Order(4, amount=40_000, limit=0, share=20_000),  # 2 % of £400 are £8: nothing
        ],
        7,
    )
    assert orders.limits().tolist() == [12_000, 12_000, 2_000, 0]


def test_a_queue_shows_clearing_the_entries_of_one_market() -> None:
    orders = columns(Orders, [Order(5, 50, limit=3_000), Order(6, 60, available=2_000)], 7)
    asked = columns(
        NamedRates, [Ask(5, 2, rate=90_000, place=1), Ask(6, 1, rate=90_000, place=2)], 9
    )
    found = standing(orders, asked, columns(Markets, LADDER, 7))
    rows = found.of(0)
    assert (rows.tolist(), found.of(1).tolist(), found.of(2).tolist()) == ([0, 1], [2], [])
    queue = queue_of(found, rows, orders, found.most[rows])
    assert queue.lender_id.tolist() == [50, 60]
    assert queue.rate_ppm.tolist() == [90_000, 90_000]
    assert queue.rate_set.tolist() == [0, 1]
    # The first gives £30 by its limit of £100, the second the £20 that it has.
    assert takes(queue, nothing_held()).tolist() == [3_000, 2_000]


def test_columns_are_whole_numbers() -> None:
    found = standing(
        columns(Orders, ONE, 7),
        columns(NamedRates, [Ask(5, 3, rate=90_000)], 9),
        columns(Markets, LADDER, 7),
    )
    kinds: list[IntArray] = [getattr(found, name) for name in found.__slots__]
    assert {column.dtype for column in kinds} == {np.dtype(np.int64)}
