"""Clearing one market: laws on random books, and that timing and size gain nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pytest

from marketplace.core.arrays import IntArray
from marketplace.core.clearing import Clearing, Outcome, clear_market
from marketplace.core.order_book import Held, Listings, Queue, nothing_held
from marketplace.core.rates import blend, monthly_rate_e12

from .flow_oracle import most_and_least
from .reference import ints
from .test_acceptance_laws import OWN, Market


@dataclass(frozen=True)
class Book:
    """One tiny market; offers are numbered from 500 and listings from 70, rows in any order."""

    queue: Queue
    listings: Listings
    held: Held

    def shuffled(self, draw: np.random.Generator) -> Book:
        def rows(columns: tuple[IntArray, ...]) -> list[IntArray]:
            order = draw.permutation(columns[0].size)
            return [column[order] for column in columns]

        return Book(
            Queue(*rows(_columns(self.queue))),
            Listings(*rows(_columns(self.listings))),
            Held(*rows(_columns(self.held))),
        )

    def as_market(self, listings: list[int]) -> Market:
        """The book in units, with these rows of listings, by arrival."""
        queue, wanted = self.queue, self.listings
        order = sorted(
            range(queue.offer_id.size),
            key=lambda i: (queue.rate_ppm[i], queue.rate_set[i], queue.offer_id[i]),
        )
        listings = sorted(listings, key=lambda i: (wanted.arrived[i], wanted.listing_id[i]))
        held = []
        for place, row in enumerate(listings):
            borrower = int(wanted.borrower_id[row])
            for lender in set(queue.lender_id.tolist()):
                mine = (self.held.borrower_id == borrower) & (self.held.lender_id == lender)
                units = -(-int(self.held.pence[mine].sum()) // 1_000)
                held.append((lender, place, OWN if lender == borrower else units))
        return Market(
            [
                (
                    int(queue.rate_ppm[i]),
                    int(queue.lender_id[i]),
                    int(queue.available[i]) // 1_000,
                    int(queue.limit[i]) // 1_000,
                )
                for i in order
            ],
            [(int(wanted.amount[i]) // 1_000, int(wanted.highest_rate_ppm[i])) for i in listings],
            held,
        )


def _columns(rows: Queue | Listings | Held) -> tuple[IntArray, ...]:
    return tuple(getattr(rows, name) for name in rows.__dataclass_fields__)


def books(seed: int, count: int) -> Iterator[Book]:
    draw = np.random.default_rng(seed)
    for _ in range(count):
        offers, loans, rows = (int(draw.integers(1, most)) for most in (8, 6, 5))
        yield Book(
            Queue(
                offer_id=draw.permutation(offers) + 500,
                lender_id=draw.integers(0, draw.integers(1, 7), offers),
                rate_ppm=draw.integers(4, 12, offers) * 10_000,
                rate_set=draw.integers(0, 3, offers),
                limit=draw.integers(0, 5, offers) * 1_000,
                available=draw.integers(0, 8_500, offers),
            ),
            Listings(
                listing_id=draw.permutation(loans) + 70,
                borrower_id=draw.integers(0, 12, loans),
                arrived=draw.integers(0, 3, loans),
                amount=draw.integers(1, 9, loans) * 1_000,
                highest_rate_ppm=draw.integers(8, 25, loans) * 5_000,
            ),
            Held(
                borrower_id=draw.integers(0, 12, rows),
                lender_id=draw.integers(0, 7, rows),
                pence=draw.integers(1, 3_500, rows),
            ),
        )


def check_money_and_limits(book: Book, cleared: Clearing) -> None:
    """Each loan is whole, no offer is overdrawn, nobody passes a limit or lends to themselves."""
    queue, listings, held = book.queue, book.listings, book.held
    rows = np.argsort(queue.offer_id)[cleared.offer_id - 500]
    assert (queue.lender_id[rows] == cleared.lender_id).all()
    assert (queue.rate_ppm[rows] == cleared.rate_ppm).all()
    taken = np.zeros_like(queue.available)
    np.add.at(taken, rows, cleared.amount)
    assert (queue.available - taken == cleared.available).all()
    assert (cleared.available >= 0).all()
    assert (cleared.amount > 0).all()
    assert (cleared.amount % 1_000 == 0).all()
    arrivals = [one.listing_id for one in cleared.outcomes]
    keys = [
        (arrivals.index(listing), queue.rate_ppm[row], queue.rate_set[row], queue.offer_id[row])
        for listing, row in zip(cleared.listing_id.tolist(), rows.tolist(), strict=True)
    ]
    assert keys == sorted(set(keys))
    for outcome in cleared.outcomes:
        loan = int(np.flatnonzero(listings.listing_id == outcome.listing_id)[0])
        mine = cleared.listing_id == outcome.listing_id
        assert mine.any() == (outcome.outcome is Outcome.FUNDED)
        if not mine.any():
            continue
        assert cleared.amount[mine].sum() == listings.amount[loan] == outcome.fundable
        mixed = blend(cleared.amount[mine], monthly_rate_e12(cleared.rate_ppm[mine]))
        assert mixed.annual_ppm == outcome.rate_ppm
        assert mixed.annual_ppm <= listings.highest_rate_ppm[loan]
        borrower = listings.borrower_id[loan]
        assert (cleared.lender_id[mine] != borrower).all()
        for lender, limit in zip(queue.lender_id[rows], queue.limit[rows], strict=True):
            has = held.pence[(held.borrower_id == borrower) & (held.lender_id == lender)].sum()
            under = mine & (cleared.lender_id == lender) & (queue.limit[rows] <= limit)
            given = cleared.amount[under].sum()
            assert given == 0 or given + has <= limit


def cheapest_by_offer(market: Market) -> tuple[list[int], int]:
    """Units that each entry adds to the largest flow of the ones before it, and the least cost.

    All demands are met in the end, so taking from the front of the queue is cheapest.
    """
    held = {(lender, listing): units for lender, listing, units in market.held}
    flows = [
        most_and_least(
            lenders=[lender for _, lender, _, _ in market.entries[:end]],
            budgets=[budget for _, _, budget, _ in market.entries[:end]],
            limits=[limit for _, _, _, limit in market.entries[:end]],
            costs=[rate for rate, *_ in market.entries[:end]],
            demands={place: demand for place, (demand, _) in enumerate(market.listings)},
            held=held,
        )
        for end in range(len(market.entries) + 1)
    ]
    return np.diff([met for met, _ in flows]).tolist(), flows[-1][1]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_clearing_keeps_the_laws_and_costs_least(seed: int) -> None:
    seen = dict.fromkeys(Outcome, 0)
    again = 0
    for book in books(seed, 200):
        cleared = clear_market(book.queue, book.listings, book.held)
        check_money_and_limits(book, cleared)
        outcomes = {one.listing_id: one for one in cleared.outcomes}
        ids = book.listings.listing_id.tolist()
        funded = [i for i, one in enumerate(ids) if outcomes[one].outcome is Outcome.FUNDED]
        units, cost = cheapest_by_offer(book.as_market(funded))
        order = np.lexsort((book.queue.offer_id, book.queue.rate_set, book.queue.rate_ppm))
        taken = (book.queue.available - cleared.available) // 1_000
        assert taken[order].tolist() == units
        assert (cleared.amount // 1_000 * cleared.rate_ppm).sum() == cost
        for one in outcomes.values():
            seen[one.outcome] += 1
        again += cleared.runs > 1
    assert min(seen.values()) > 20
    assert again > 0


def test_who_is_funded_is_the_plain_definition() -> None:
    """Borrower's first listings, less those whose own blend was too dear, by the plain rule."""
    for book in books(4, 240):
        cleared = clear_market(book.queue, book.listings, book.held)
        wanted = book.listings
        playing: list[int] = []
        for one in cleared.outcomes:
            row = int(np.flatnonzero(wanted.listing_id == one.listing_id)[0])
            first = wanted.borrower_id[row] not in wanted.borrower_id[playing]
            assert first == (one.outcome is not Outcome.EARLIER_LISTING_FIRST)
            if first:
                playing.append(row)
        if cleared.runs > 1:
            continue  # those left out by their own blend depend on the mix
        taken, left, _ = book.as_market(playing).plainly()
        for place, row in enumerate(playing):
            one = next(o for o in cleared.outcomes if o.listing_id == wanted.listing_id[row])
            assert (one.outcome is Outcome.FUNDED) == (place in taken)
            assert (one.outcome is Outcome.RATE_ABOVE_HIGHEST) == (place in left)


def test_row_order_does_not_matter() -> None:
    draw = np.random.default_rng(9)
    for book in books(5, 150):
        turned = book.shuffled(draw)
        one = clear_market(book.queue, book.listings, book.held)
        two = clear_market(turned.queue, turned.listings, turned.held)
        order = np.argsort(book.queue.offer_id)
        again = np.argsort(turned.queue.offer_id)
        assert one.available[order].tolist() == two.available[again].tolist()
        for name in one.__dataclass_fields__:
            if name != "available":
                left, right = getattr(one, name), getattr(two, name)
                assert (
                    np.array_equal(left, right) if isinstance(left, np.ndarray) else left == right
                )


def _market(seed: int) -> tuple[Queue, Listings]:
    """600 lenders of about £70 and 40 listings of £100 to £1,000, with money enough for all."""
    draw = np.random.default_rng(seed)
    lenders, loans = 600, 40
    queue = Queue(
        offer_id=np.arange(lenders),
        lender_id=np.arange(lenders),
        rate_ppm=draw.integers(40, 151, lenders) * 1_000,
        rate_set=np.arange(lenders),
        limit=np.full(lenders, 1_000),
        available=np.maximum(1, draw.lognormal(1.5, 1.0, lenders)).astype(np.int64) * 1_000,
    )
    amounts = np.clip(draw.lognormal(3.6, 0.6, loans), 10, 100).astype(np.int64) * 1_000
    listings = Listings(
        listing_id=np.arange(loans),
        borrower_id=np.arange(loans) + 10_000,
        arrived=np.arange(loans),
        amount=amounts,
        highest_rate_ppm=np.full(loans, 150_000),
    )
    return queue, listings


def _rates(cleared: Clearing) -> dict[int, int]:
    assert all(one.outcome is Outcome.FUNDED for one in cleared.outcomes)
    return {one.listing_id: one.rate_ppm or 0 for one in cleared.outcomes}


@pytest.mark.parametrize("seed", [1, 2])
def test_arriving_earlier_gains_nothing(seed: int) -> None:
    # Serving by arrival, rates would run from 4 % to more than 8 %. Here nobody's rate moves.
    queue, listings = _market(seed)
    before = clear_market(queue, listings, nothing_held())
    rates = _rates(before)
    assert before.blends.deviation_ppm < 500
    for listing in (0, 19, 39):
        arrived = listings.arrived.copy()
        for moment in (-1, 99):
            arrived[listing] = moment
            moved = clear_market(queue, replace(listings, arrived=arrived), nothing_held())
            assert moved.available.tolist() == before.available.tolist()
            assert _rates(moved) == rates


@pytest.mark.parametrize("units", [10, 30, 100])
def test_borrowing_more_or_less_gains_nothing(units: int) -> None:
    # What a loan of this size pays above or below the whole, as each of several listings in turn.
    gains = []
    for seed in (1, 2):
        queue, listings = _market(seed)
        for listing in range(0, 40, 4):
            amount = listings.amount.copy()
            amount[listing] = units * 1_000
            cleared = clear_market(queue, replace(listings, amount=amount), nothing_held())
            assert cleared.blends.least_cost_ppm is not None
            gains.append(_rates(cleared)[listing] - cleared.blends.least_cost_ppm)
    assert abs(np.mean(gains)) < 500
    # Nobody is further off than one £10 step moved from the cheapest rate to the dearest.
    assert np.abs(gains).max() * units < 150_000 - 40_000


def test_short_money_goes_by_arrival_and_not_by_size() -> None:
    # £100 of ten lenders, £10 each: the first two loans take all of it, however small the third.
    queue = Queue(
        np.arange(10), np.arange(10), np.arange(4, 14) * 10_000, np.arange(10), *ints(0, 0)[:, None]
    )
    queue = replace(queue, limit=np.full(10, 1_000), available=np.full(10, 1_000))
    listings = Listings(
        ints(1, 2, 3), ints(71, 72, 73), ints(2, 1, 3), ints(5, 5, 1) * 1_000, ints(*[200_000] * 3)
    )
    cleared = clear_market(queue, listings, nothing_held())
    assert [one.listing_id for one in cleared.outcomes] == [2, 1, 3]
    assert [one.outcome for one in cleared.outcomes] == [
        Outcome.FUNDED,
        Outcome.FUNDED,
        Outcome.NOT_ENOUGH_OFFERS,
    ]
