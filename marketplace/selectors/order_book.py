"""The order book as the matching engine reads it: orders, what they name, listings, holdings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from accounts.selectors.bulk import array_of, fetch_columns
from marketplace.core.arrays import PENCE_PER_UNIT, IntArray
from marketplace.core.cycle import CycleInput, OpenListings
from marketplace.core.order_book import Held, Queue
from marketplace.core.standing import (
    PPM,
    Markets,
    NamedRates,
    Orders,
    Pricing,
    Standing,
    queue_of,
    standing,
)
from marketplace.core.states import LATE, ListingState, LoanState, OfferState
from marketplace.selectors.markets import MarketView, list_markets
from marketplace.selectors.packed import outstanding_by
from marketplace.selectors.traded import traded_rates

# A loan whose borrower still owes, or whose lenders still hope: it counts as exposure.
HELD = tuple(
    state.value
    for state in (
        LoanState.FUNDED,
        LoanState.ACTIVE,
        LoanState.ARREARS,
        LoanState.ARRANGEMENT,
        LoanState.HARDSHIP,
        LoanState.DEFAULT,
    )
)

_FIGURES = (
    "r.pricing::bigint, coalesce(r.margin, 0)::bigint, coalesce(r.floor, 0)::bigint,"
    " coalesce(r.share, 0)::bigint"
)


@dataclass(frozen=True)
class OrderBook:
    """The queues of all markets as they stand."""

    orders: Orders
    markets: Markets
    standing: Standing

    def rows(self, market_id: int) -> IntArray:
        """One market's entries that have money for it, in queue order: rows of ``standing``."""
        [market] = np.flatnonzero(self.markets.market_id == market_id)
        rows = self.standing.of(int(market))
        return rows[self.standing.most[rows] >= PENCE_PER_UNIT]

    def queue(self, market_id: int) -> Queue:
        """One market's queue; its ``offer_id`` are rows of ``standing``."""
        rows = self.rows(market_id)
        return queue_of(self.standing, rows, self.orders, self.standing.most[rows])


def load_order_book(on: date, markets: Sequence[MarketView] | None = None) -> OrderBook:
    """The queues of all markets on a business date; seven statements at most, six with the markets.

    Raises:
        risk.core.errors.RiskRefusal: no rate table is approved.
    """
    orders, seen = load_orders(), load_markets(list_markets() if markets is None else markets, on)
    return OrderBook(orders, seen, standing(orders, load_named(orders), seen))


def load_orders() -> Orders:
    """The open offers with at least £10 left; one statement."""
    return Orders(
        *fetch_columns(
            "SELECT id, lender_id, amount, available, repaid, coalesce(exposure_limit, 0),"
            " coalesce(exposure_share, 0)::bigint FROM marketplace_offer"
            " WHERE state = %s AND available >= %s ORDER BY id",
            [OfferState.OPEN.value, PENCE_PER_UNIT],
            7,
        )
    )


def load_named(orders: Orders) -> NamedRates:
    """What these offers name, in order of place; two statements, two more where pools have a mix.

    Own rates, which are the most by far, are read by themselves: they have half the columns.
    """
    query = (
        "SELECT r.offer_id, r.market_id, r.id, {} FROM marketplace_offerrate AS r"
        " JOIN marketplace_offer AS o ON o.id = r.offer_id"
        " WHERE o.state = %s AND o.available >= %s AND r.pricing {} %s"
    )
    parameters = [OfferState.OPEN.value, PENCE_PER_UNIT, int(Pricing.OWN)]
    own = fetch_columns(query.format("r.rate::bigint", "="), parameters, 4)
    others = fetch_columns(query.format(_FIGURES, "<>"), parameters, 7)
    named, strange = np.zeros_like(own[0]), np.zeros_like(others[0])
    offer, market, place, rate = map(np.append, own, [*others[:3], strange])
    pricing, margin, floor, share = (
        np.append(filler, column)
        for filler, column in zip(
            [named + Pricing.OWN, named, named, named], others[3:], strict=True
        )
    )
    # Sorted here, in a fraction of the time: the same book gives the same digest.
    by_place = np.argsort(place)
    kept = by_place[np.isin(offer[by_place], orders.offer_id)]
    columns = (offer, market, pricing, rate, margin, floor, share, place)
    offer, market, pricing, rate, margin, floor, share, place = (c[kept] for c in columns)
    pool = pricing == Pricing.POOL
    mixed = pool & np.isin(offer, offer[pool & (share < PPM)])
    lent = np.zeros_like(offer)
    lent[mixed] = _lent(offer[mixed], market[mixed])
    return NamedRates(offer, market, pricing, rate, margin, floor, share, lent, place)


def _lent(offer: IntArray, market: IntArray) -> IntArray:
    """Pence of each offer that lie in loans of each market: principal not yet repaid."""
    if not offer.size:
        return np.zeros(0, dtype=np.int64)
    offers, markets, pence = outstanding_by(
        "p.offer_id",
        "l.market_id",
        "p.offer_id = ANY (%s::bigint[]) AND l.state = ANY (%s)",
        [array_of(np.unique(offer)), list(HELD)],
    )
    known = dict(zip(zip(offers.tolist(), markets.tolist(), strict=True), pence, strict=True))
    pairs = zip(offer.tolist(), market.tolist(), strict=True)
    return np.array([known.get(pair, 0) for pair in pairs], dtype=np.int64)


def load_markets(views: Sequence[MarketView], on: date) -> Markets:
    """Markets in the order given, with their traded rates; one statement."""
    traded = traded_rates(on)
    rows = [
        (
            view.market_id,
            view.term_months,
            view.position,
            view.lowest_rate,
            view.highest_rate,
            view.guide_rate,
            traded.get(view.market_id, view.guide_rate),
        )
        for view in views
    ]
    return Markets(*np.array(rows, dtype=np.int64).reshape(-1, 7).T)


def load_open_listings() -> OpenListings:
    """Every listing that looks for money; one statement.

    One whose borrower has fallen behind with another loan meanwhile waits.
    """
    return OpenListings(
        *fetch_columns(
            "SELECT n.market_id, n.id, n.borrower_id, n.amount, n.highest_rate::bigint"
            " FROM marketplace_listing AS n WHERE n.state = %s AND NOT EXISTS (SELECT FROM"
            " marketplace_loan AS l WHERE l.borrower_id = n.borrower_id AND l.state = ANY (%s))"
            " ORDER BY n.id",
            [ListingState.OPEN.value, list(LATE)],
            5,
        )
    )


def load_held(borrower_ids: IntArray) -> Held:
    """What lenders hold in these borrowers: principal not yet repaid, pence; two statements."""
    borrower, lender, pence = outstanding_by(
        "l.borrower_id",
        "p.lender_id",
        "l.borrower_id = ANY (%s::bigint[]) AND l.state = ANY (%s)",
        [array_of(borrower_ids), list(HELD)],
    )
    return Held(borrower_id=borrower, lender_id=lender, pence=pence)


def load_sight(views: Sequence[MarketView], on: date) -> CycleInput:
    """All that a cycle sees, markets in the order in which it clears them.

    Call it with the open offers locked: what is read is what stood at the cut-off.
    """
    orders, listings = load_orders(), load_open_listings()
    return CycleInput(
        orders=orders,
        named=load_named(orders),
        markets=load_markets(views, on),
        listings=listings,
        held=load_held(listings.borrower_id),
    )
