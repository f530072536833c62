"""Laws of queues and of cycles on random books, against plain models of the same rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import Any, NamedTuple

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from marketplace.core.cycle import CycleInput, CycleResult, OpenListings, run_markets
from marketplace.core.order_book import Held
from marketplace.core.standing import Markets, NamedRates, Orders, Pricing, Tier

from .flow_oracle import most_and_least
from .test_standing import (
    ASKED,
    LADDER,
    NEW,
    OWN,
    PEG,
    PERCENT,
    POOL,
    REPAID,
    UNBOUNDED,
    WHOLE,
    Ask,
    Entry,
    Market,
    Order,
    columns,
    entries,
)


def plainly(orders: Sequence[Order], asks: Sequence[Ask], markets: Sequence[Market]) -> list[Entry]:
    """The rules once more, by loops over one market and one offer at a time."""
    found: list[Entry] = []
    for market in markets:
        queue: list[tuple[tuple[int, ...], Entry]] = []
        for order in orders:
            asked = _asked_in(market, order, asks, markets)
            if asked is None:
                continue
            rate, ask = asked
            if not market.lowest <= rate <= market.highest:
                continue
            idle = order.available * WHOLE // max(order.amount, 1) if ask.pricing == POOL else 0
            ids = market.market_id, order.offer_id, ask.market_id
            for tier, money, room, most in _money(order, ask, asks):
                if min(money, room) >= 1_000:
                    entry = Entry(*ids, rate, ask.pricing, tier, room, most)
                    queue.append(((rate, tier, -idle, ask.place), entry))
        found += [entry for _, entry in sorted(queue)]
    return found


def _asked_in(
    market: Market, order: Order, asks: Sequence[Ask], markets: Sequence[Market]
) -> tuple[int, Ask] | None:
    """The rate, and where it comes from, at which an offer would stand in a market."""
    by_id = {one.market_id: one for one in markets}
    mine = [ask for ask in asks if ask.offer_id == order.offer_id and ask.market_id in by_id]
    here = [ask for ask in mine if ask.market_id == market.market_id]
    above = [
        ask
        for ask in mine
        if ask.pricing != POOL
        and by_id[ask.market_id].term_months == market.term_months
        and by_id[ask.market_id].position > market.position
    ]
    able = [(_today(ask, by_id[ask.market_id]), ask.place, ask) for ask in here or above]
    if not able:
        return None
    rate, _, ask = min(able)
    return rate, ask


def _today(ask: Ask, market: Market) -> int:
    if ask.pricing == OWN:
        return ask.rate
    if ask.pricing == POOL:
        return market.guide
    return max(ask.floor, min(max(market.traded + ask.margin, market.lowest), market.highest))


def _room_in_mix(order: Order, ask: Ask, asks: Sequence[Ask]) -> int:
    lies_out = sum(each.lent for each in asks if each.offer_id == order.offer_id)
    money = max(order.amount, order.available + lies_out)
    return max(money * ask.share // WHOLE - ask.lent, 0)


def _money(order: Order, ask: Ask, asks: Sequence[Ask]) -> list[tuple[int, int, int, int]]:
    """Tier, money, room in the mix and what of it is there at first, pence, of each entry."""
    if ask.pricing != POOL:
        return [(ASKED, order.available, UNBOUNDED, order.available)]
    room = _room_in_mix(order, ask, asks)
    repaid, new = min(order.repaid, room), order.available - order.repaid
    return [(REPAID, order.repaid, room, repaid), (NEW, new, room, min(new, room - repaid))]


class World(NamedTuple):
    """What stands, row by row."""

    orders: list[Order]
    asks: list[Ask]
    markets: list[Market]


def random_world(draw: Random, *, step: int = 1_000, most: int = 5) -> World:
    """Up to ``most`` markets and nine offers in steps of money; few rates, so many are equal."""

    def rate() -> int:
        return draw.randint(4, 11) * PERCENT

    ladder = [(term, position) for term in (36, 60) for position in range(4)]
    markets = []
    for market_id, (term, position) in enumerate(draw.sample(ladder, draw.randint(1, most))):
        lowest, guide, highest = sorted((rate() - 20_000, rate(), rate() + 20_000))
        traded = rate() + draw.choice([0, 5_000])
        markets.append(Market(market_id, term, position, lowest, highest, guide, traded))
    orders, asks = [], []
    for offer_id in range(10, 10 + draw.randint(1, 9)):
        pooled = draw.random() < 0.4
        available = draw.randint(0, 9) * step
        repaid = draw.randint(0, available // step) * step
        share = draw.choice([150_000, 333_333, WHOLE]) if pooled else 0
        amount, limit = draw.randint(1, 12) * step, draw.randint(1, 4) * 1_000
        orders.append(Order(offer_id, draw.randint(0, 4), amount, available, repaid, limit, share))
        for market_id in draw.sample(range(most + 1), draw.randint(1, min(most, 4))):
            pricing = POOL if pooled else draw.choice([OWN, PEG])
            mix = draw.choice([250_000, 600_000, WHOLE])
            margin, lent = draw.randint(-3, 3) * PERCENT, draw.choice([0, 0, 1_234])
            asks.append(Ask(offer_id, market_id, pricing, rate(), margin, rate(), mix, lent))
    # Some offers have gone meanwhile; places are distinct.
    gone = {order.offer_id for order in orders if draw.random() < 0.1}
    places = draw.sample(range(len(asks)), len(asks))
    return World(
        [order for order in orders if order.offer_id not in gone],
        [ask._replace(place=place) for ask, place in zip(asks, places, strict=True)],
        markets,
    )


SEEDS = st.integers(0, 2**48)


@settings(max_examples=140, deadline=None)
@given(SEEDS)
def test_what_stands_is_what_the_plain_rules_say(seed: int) -> None:
    draw = Random(seed)
    for step in (1_000, 900):
        world = random_world(draw, step=step)
        assert entries(*world) == plainly(*world)


@settings(max_examples=90, deadline=None)
@given(SEEDS)
def test_the_order_of_rows_changes_nothing(seed: int) -> None:
    draw = Random(seed)
    world = random_world(draw)
    orders = draw.sample(world.orders, len(world.orders))
    asks = draw.sample(world.asks, len(world.asks))
    assert entries(orders, asks, world.markets) == entries(*world)
    # Markets come in the order in which they are cleared: each has its queue all the same.
    markets = draw.sample(world.markets, len(world.markets))
    turn = {market.market_id: row for row, market in enumerate(markets)}
    found = entries(world.orders, world.asks, markets)
    assert found == sorted(entries(*world), key=lambda entry: turn[entry.market])


def test_random_books_have_all_sorts_of_entries_in_them() -> None:
    """What the two laws above are worth."""
    seen: Counter[str] = Counter()
    draw = Random(1)
    for _ in range(300):
        for entry in entries(*random_world(draw)):
            sort = "named" if entry.origin == entry.market else "implied"
            seen.update([f"{sort} {Pricing(entry.pricing).name}", Tier(entry.tier).name])
    assert set(seen) == {
        *("named OWN", "implied OWN", "named PEG", "implied PEG", "named POOL"),
        *("ASKED", "POOL_REPAID", "POOL_NEW"),
    }
    assert min(seen.values()) > 50


def test_many_offers_at_once_are_as_many_one_by_one() -> None:
    """Rates and places at the ends of what fits into one number that sorts."""
    draw = np.random.default_rng(3)
    last = 2**42 - 1
    orders = [Order(offer) for offer in range(40)]
    asks = [
        Ask(offer, market, rate=int(draw.choice([1, 80_000, WHOLE])), place=0)
        for offer in range(40)
        for market in draw.permutation([1, 2, 3, 4])[:2].tolist()
    ]
    places = draw.permutation(len(asks))
    asks = [ask._replace(place=last - int(place)) for ask, place in zip(asks, places, strict=True)]
    ladder = [market._replace(lowest=1, highest=WHOLE) for market in LADDER]
    assert entries(orders, asks, ladder) == plainly(orders, asks, ladder)


# Cycles.


class Listing(NamedTuple):
    """A row of the open listings."""

    market_id: int
    listing_id: int
    borrower_id: int
    amount: int
    highest: int


class Cycle(NamedTuple):
    """A whole input, row by row; ``held`` is borrower, lender, pence."""

    world: World
    listings: list[Listing]
    held: list[tuple[int, int, int]]

    def seen(self) -> CycleInput:
        """It as arrays."""
        return CycleInput(
            orders=columns(Orders, self.world.orders, 7),
            named=columns(NamedRates, self.world.asks, 9),
            markets=columns(Markets, self.world.markets, 7),
            listings=columns(OpenListings, self.listings, 5),
            held=columns(Held, self.held, 3),
        )

    def turned(self, draw: Random) -> Cycle:
        """The same with its rows in another order; markets stay in theirs."""
        world, listings, held = self
        orders = draw.sample(world.orders, len(world.orders))
        asks = draw.sample(world.asks, len(world.asks))
        return Cycle(
            World(orders, asks, world.markets),
            draw.sample(listings, len(listings)),
            draw.sample(held, len(held)),
        )


def random_cycle(draw: Random) -> Cycle:
    """A random book, listings of £10 to £50, lenders 0 to 4, of whom some borrow as well."""
    world = random_world(draw, step=2_000, most=3)
    ids = draw.sample(range(100, 120), draw.randint(1, 6))
    listings = [
        Listing(
            draw.choice(world.markets).market_id,
            listing,
            draw.randint(3, 9),
            draw.randint(1, 5) * 1_000,
            draw.randint(14, 30) * 5_000,
        )
        for listing in ids
    ]
    held = [
        (draw.randint(3, 9), draw.randint(0, 4), draw.randint(1, 2_500))
        for _ in range(draw.randint(0, 4))
    ]
    return Cycle(world, listings, held)


class Given(NamedTuple):
    """A part by ids: ``limit`` is the offer's, in units; ``units`` are £10 steps."""

    listing: int
    offer: int
    lender: int
    rate: int
    units: int
    limit: int


class Walk:
    """A cycle's result gone through market by market, with what is left of the money."""

    def __init__(self, cycle: Cycle, result: CycleResult) -> None:
        self.cycle, self.result = cycle, result
        self.orders = {order.offer_id: order for order in cycle.world.orders}
        self.borrower = {one.listing_id: one.borrower_id for one in cycle.listings}
        self.left = {order.offer_id: order.available for order in cycle.world.orders}
        self.repaid = {order.offer_id: order.repaid for order in cycle.world.orders}
        self.held: Counter[tuple[int, int]] = Counter()
        for borrower, lender, pence in cycle.held:
            self.held[lender, borrower] += pence

    def room(self, lender: int, borrower: int, limit: int) -> int:
        """Units that a lender's offers up to this limit may still give the borrower."""
        if lender == borrower:
            return 0
        return max(0, limit + -self.held[lender, borrower] // 1_000)

    def check(self) -> None:
        """Every market keeps the laws, and its funded loans cost the least that they can."""
        for market, cleared in zip(self.cycle.world.markets, self.result.markets, strict=True):
            assert cleared.market_id == market.market_id
            given = _given(cleared.parts)
            assert [each[:2] for each in given] == list(dict.fromkeys(each[:2] for each in given))
            self.check_limits(given)
            self.check_cost(market, given)
            for each in given:
                order = self.orders[each.offer]
                assert (each.lender, each.limit) == (order.lender_id, _limit(order))
                if order.share:
                    self.repaid[each.offer] -= min(self.repaid[each.offer], each.units * 1_000)
                self.left[each.offer] -= each.units * 1_000
                self.held[each.lender, self.borrower[each.listing]] += each.units * 1_000
        assert min(self.left.values(), default=0) >= 0
        found = self.result
        for row, order in enumerate(self.cycle.world.orders):
            assert found.taken[row] == order.available - self.left[order.offer_id]
            assert found.repaid_taken[row] == order.repaid - self.repaid[order.offer_id]

    def check_limits(self, given: Sequence[Given]) -> None:
        """For each limit: the lender's offers up to that one give no more than is left of it."""
        for each in given:
            up_to = sum(
                other.units
                for other in given
                if (other.listing, other.lender) == (each.listing, each.lender)
                and other.limit <= each.limit
            )
            assert 0 < up_to <= self.room(each.lender, self.borrower[each.listing], each.limit)

    def check_cost(self, market: Market, given: Sequence[Given]) -> None:
        """Whole loans, at the cost of a plain flow over what the markets before have left."""
        demands: Counter[int] = Counter()
        for each in given:
            demands[each.listing] += each.units
        mine = [one for one in self.cycle.listings if one.market_id == market.market_id]
        amounts = {one.listing_id: one.amount for one in mine if one.listing_id in demands}
        assert {listing: units * 1_000 for listing, units in demands.items()} == amounts
        stand = []
        for order in self.cycle.world.orders:
            asked = _asked_in(market, order, self.cycle.world.asks, self.cycle.world.markets)
            if asked and market.lowest <= asked[0] <= market.highest:
                money = self.left[order.offer_id]
                if asked[1].pricing == POOL:
                    money = min(money, _room_in_mix(order, asked[1], self.cycle.world.asks))
                stand.append((asked[0], order, money // 1_000))
        rate_of = {order.offer_id: rate for rate, order, _ in stand}
        assert all(rate_of[each.offer] == each.rate for each in given)
        if not given:
            return
        sent, cost = most_and_least(
            lenders=[order.lender_id for _, order, _ in stand],
            budgets=[units for *_, units in stand],
            limits=[_limit(order) for _, order, _ in stand],
            costs=[rate for rate, *_ in stand],
            demands=demands,
            held={
                (lender, listing): 10**6 - self.room(lender, self.borrower[listing], 10**6)
                for lender in {order.lender_id for _, order, _ in stand}
                for listing in demands
            },
        )
        assert sent == demands.total()
        assert cost == sum(each.units * each.rate for each in given)


def _given(parts: Any) -> list[Given]:
    units, limits = parts.amount // 1_000, parts.limit // 1_000
    found = (parts.listing_id, parts.offer_id, parts.lender_id, parts.rate, units, limits)
    return [Given(*row) for row in zip(*(column.tolist() for column in found), strict=True)]


def _limit(order: Order) -> int:
    return (order.amount * order.share // WHOLE if order.share else order.limit) // 1_000


@settings(max_examples=90, deadline=None)
@given(SEEDS)
def test_every_cycle_keeps_the_laws_at_the_least_cost(seed: int) -> None:
    draw = Random(seed)
    for _ in range(8):
        cycle = random_cycle(draw)
        Walk(cycle, run_markets(cycle.seen())).check()


@settings(max_examples=60, deadline=None)
@given(SEEDS)
def test_the_order_of_rows_changes_no_cycle(seed: int) -> None:
    draw = Random(seed)
    for _ in range(4):
        cycle = random_cycle(draw)
        turned = cycle.turned(draw)
        one, two = run_markets(cycle.seen()), run_markets(turned.seen())
        for name in one.parts.__slots__:
            assert getattr(one.parts, name).tolist() == getattr(two.parts, name).tolist()
        assert one.outcomes == two.outcomes
        for name in ("taken", "repaid_taken"):
            before, after = (
                dict(zip(each.seen().orders.offer_id.tolist(), getattr(of, name), strict=True))
                for each, of in ((cycle, one), (turned, two))
            )
            assert before == after


@settings(max_examples=60, deadline=None)
@given(SEEDS)
def test_every_cycle_can_be_kept_and_replayed(seed: int) -> None:
    seen = random_cycle(Random(seed)).seen()
    kept = CycleInput.unpacked(seen.packed())
    assert kept.digest() == seen.digest()
    one, two = run_markets(seen), run_markets(kept)
    assert all(
        np.array_equal(getattr(one.parts, name), getattr(two.parts, name))
        for name in one.parts.__slots__
    )
    assert one.outcomes == two.outcomes


def test_random_cycles_have_everything_in_them() -> None:
    """What the laws above are worth."""
    seen: Counter[str] = Counter()
    draw = Random(2)
    for _ in range(200):
        cycle = random_cycle(draw)
        result = run_markets(cycle.seen())
        parts = result.parts
        seen.update(outcome.outcome.value for outcome in result.outcomes)
        seen.update(Pricing(pricing).name for pricing in parts.pricing.tolist())
        seen["repaid"] += int((result.repaid_taken > 0).sum())
        markets = {(o, m.market_id) for m in result.markets for o in m.parts.offer_id.tolist()}
        seen["offers in several markets"] += len(markets) > len({offer for offer, _ in markets})
        borrower = {one.listing_id: one.borrower_id for one in cycle.listings}
        offers = {*zip(parts.listing_id.tolist(), parts.offer_id.tolist(), strict=True)}
        lenders = {*zip(parts.listing_id.tolist(), parts.lender_id.tolist(), strict=True)}
        seen["several offers of a lender"] += len(offers) > len(lenders)
        pairs = {(borrower[listing], lender) for listing, lender in lenders}
        seen["a lender meets a borrower in two markets"] += len(pairs) < len(lenders)
    assert len(seen) == 11
    assert min(seen.values()) >= 5
