"""Clearing one market against the same rule written as a plain loop."""

from __future__ import annotations

import numpy as np

from benchmarks.measuring import Result, median_of, seconds
from marketplace.core.matching import Held, Listings, Queue, clear_market, nothing_held

OFFERS, LISTINGS = 6_000, 150


def market_clear() -> Result:
    """150 listings over 6,000 offers, price order, then time."""
    rng = np.random.default_rng(5)
    queue = Queue(
        offer_id=np.arange(OFFERS),
        lender_id=np.arange(OFFERS),
        rate_ppm=rng.integers(40, 120, OFFERS) * 1_000,
        rate_set=rng.permutation(OFFERS),
        limit=rng.integers(1, 6, OFFERS) * 1_000,
        available=rng.integers(20, 400, OFFERS) * 1_000,
    )
    listings = Listings(
        listing_id=np.arange(LISTINGS),
        borrower_id=np.arange(LISTINGS) + 1_000_000,
        arrived=np.arange(LISTINGS),
        amount=rng.integers(100, 1_500, LISTINGS) * 1_000,
        highest_rate_ppm=np.full(LISTINGS, 1_000_000),
    )
    held = nothing_held()
    _same(queue, listings, held)
    ours, peers = median_of(
        lambda: seconds(lambda: clear_market(queue, listings, held)),
        lambda: seconds(lambda: _plain(queue, listings)),
        5,
    )
    return Result(
        "market-clear",
        "matching",
        ours,
        "s",
        "plain Python loop",
        peers,
        peers / ours,
        "shown, no limit yet",
        holds=True,
    )


def _same(queue: Queue, listings: Listings, held: Held) -> None:
    """The peer must do the same work, or the comparison means nothing."""
    ours = clear_market(queue, listings, held)
    columns = (ours.listing_id, ours.offer_id, ours.amount)
    taken = list(zip(*(column.tolist() for column in columns), strict=True))
    if taken != _plain(queue, listings):
        raise RuntimeError("the peer clears the market differently")


def _plain(queue: Queue, listings: Listings) -> list[tuple[int, int, int]]:
    entries = sorted(
        zip(
            queue.rate_ppm.tolist(),
            queue.rate_set.tolist(),
            queue.offer_id.tolist(),
            queue.limit.tolist(),
            strict=True,
        )
    )
    left = dict(zip(queue.offer_id.tolist(), queue.available.tolist(), strict=True))
    taken: list[tuple[int, int, int]] = []
    for listing, amount in zip(listings.listing_id.tolist(), listings.amount.tolist(), strict=True):
        need, mine = amount, []
        for _, _, offer, limit in entries:
            give = min(left[offer], limit, need) // 1_000 * 1_000
            if give:
                mine.append((listing, offer, give))
                need -= give
            if not need:
                break
        if not need:
            for _, offer, give in mine:
                left[offer] -= give
            taken += mine
    return taken
