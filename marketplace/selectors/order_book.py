"""The order book as the matching engine reads it: queues, listings, and what is already held."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from accounts.selectors.bulk import fetch_columns
from marketplace.core.arrays import PENCE_PER_UNIT, IntArray
from marketplace.core.matching import Held, Listings, Queue
from marketplace.core.states import LATE, ListingState, LoanState, OfferState

# A loan whose borrower still owes, or whose lenders still hope: it counts as exposure.
_HELD = tuple(
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


@dataclass(frozen=True)
class OrderBook:
    """Every market's queue, by market, rate and time; all arrays have one row an entry.

    ``available`` is the offer's whole money: an offer stands in several markets with the same.
    """

    market: IntArray
    entry: IntArray
    offer: IntArray
    lender: IntArray
    rate: IntArray
    limit: IntArray
    available: IntArray

    def only(self, offers: IntArray) -> OrderBook:
        """The entries of these offers."""
        kept = np.isin(self.offer, offers)
        return OrderBook(*(getattr(self, name)[kept] for name in self.__dataclass_fields__))

    def queue(self, market_id: int, taken: dict[int, int] | None = None) -> Queue:
        """One market's queue; ``taken`` is what other markets took of offers in this cycle."""
        rows = np.flatnonzero(self.market == market_id)
        offers = self.offer[rows]
        available = self.available[rows].copy()
        if taken:
            gone = [taken.get(int(offer), 0) for offer in offers]
            available -= np.array(gone, dtype=np.int64)
        return Queue(
            offer_id=offers,
            lender_id=self.lender[rows],
            rate_ppm=self.rate[rows],
            rate_set=self.entry[rows],
            limit=self.limit[rows],
            available=available,
        )


def load_order_book(market_id: int | None = None) -> OrderBook:
    """The offers with at least £10 left, in every market or in one; one statement."""
    columns = fetch_columns(
        "SELECT r.market_id, r.id, r.offer_id, o.lender_id, r.rate::bigint, o.exposure_limit,"
        " o.available FROM marketplace_offerrate AS r JOIN marketplace_offer AS o"
        " ON o.id = r.offer_id WHERE o.state = %s AND o.available >= %s"
        " AND (%s::bigint IS NULL OR r.market_id = %s) ORDER BY r.market_id, r.rate, r.id",
        [OfferState.OPEN.value, PENCE_PER_UNIT, market_id, market_id],
        7,
    )
    return OrderBook(*columns)


@dataclass(frozen=True)
class OpenListings:
    """Every open listing, in order of arrival."""

    market: IntArray
    listing: IntArray
    borrower: IntArray
    amount: IntArray
    highest_rate: IntArray

    def of(self, market_id: int) -> Listings:
        """One market's listings as the engine wants them."""
        rows = np.flatnonzero(self.market == market_id)
        return Listings(
            listing_id=self.listing[rows],
            borrower_id=self.borrower[rows],
            arrived=self.listing[rows],
            amount=self.amount[rows],
            highest_rate_ppm=self.highest_rate[rows],
        )


def load_open_listings() -> OpenListings:
    """Every listing that looks for money; one statement.

    One whose borrower has fallen behind with another loan meanwhile waits.
    """
    columns = fetch_columns(
        "SELECT n.market_id, n.id, n.borrower_id, n.amount, n.highest_rate::bigint"
        " FROM marketplace_listing AS n WHERE n.state = %s AND NOT EXISTS (SELECT FROM"
        " marketplace_loan AS l WHERE l.borrower_id = n.borrower_id AND l.state = ANY (%s))"
        " ORDER BY n.id",
        [ListingState.OPEN.value, list(LATE)],
        5,
    )
    return OpenListings(*columns)


def load_held(borrower_ids: IntArray) -> Held:
    """What lenders hold in these borrowers: principal not yet repaid, pence; one statement."""
    borrower, lender, pence = fetch_columns(
        "SELECT l.borrower_id, p.lender_id, sum(p.size - p.principal_received)::bigint"
        " FROM marketplace_part AS p JOIN marketplace_loan AS l ON l.id = p.loan_id"
        " WHERE l.borrower_id = ANY (%s) AND l.state = ANY (%s)"
        " GROUP BY 1, 2 ORDER BY 1, 2",
        [borrower_ids.tolist(), list(_HELD)],
        3,
    )
    return Held(borrower_id=borrower, lender_id=lender, pence=pence)


def digest_of(book: OrderBook, listings: OpenListings, held: Held) -> bytes:
    """SHA-256 of all that a cycle sees, so that a replay can tell it saw the same."""
    whole = hashlib.sha256()
    for part in (book, listings, held):
        for name in part.__dataclass_fields__:
            whole.update(np.ascontiguousarray(getattr(part, name), dtype=">i8").tobytes())
            whole.update(b"|")
    return whole.digest()
