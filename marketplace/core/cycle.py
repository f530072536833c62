"""One matching cycle over all markets, as a pure function of what stood at the cut-off.

Markets are cleared one after another, in the order given; what one market took of an offer's money
is gone for the next. Clearing several markets at once, with budgets that they share, would be a
general flow: one after another keeps each of them exact (``docs/matching.md``). The same input
gives the same result for ever, so that a stored cycle can be replayed.
"""

from __future__ import annotations

import hashlib
import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from marketplace.core.arrays import IntArray
from marketplace.core.clearing import Clearing, ListingOutcome, clear_market
from marketplace.core.order_book import Held, Listings
from marketplace.core.standing import (
    Markets,
    NamedRates,
    Orders,
    Standing,
    Tier,
    queue_of,
    standing,
)

# Changes when the same input may give another result, so that a replay knows.
ENGINE = 1
_FAST = 1  # of zlib's levels: a third of the time of the usual one, for a tenth more bytes


@dataclass(frozen=True, slots=True)
class OpenListings:
    """Every open listing, ``L`` rows in any order; a smaller id arrived earlier.

    Attributes:
        market_id, listing_id, borrower_id: ``int64 [L]``.
        amount: ``[L]``, pence.
        highest_rate: ``[L]``, the most that the borrower pays, ppm.
    """

    market_id: IntArray
    listing_id: IntArray
    borrower_id: IntArray
    amount: IntArray
    highest_rate: IntArray

    def of(self, market_id: int) -> Listings:
        """One market's listings as clearing wants them."""
        rows = np.flatnonzero(self.market_id == market_id)
        return Listings(
            listing_id=self.listing_id[rows],
            borrower_id=self.borrower_id[rows],
            arrived=self.listing_id[rows],
            amount=self.amount[rows],
            highest_rate_ppm=self.highest_rate[rows],
        )


@dataclass(frozen=True, slots=True)
class CycleInput:
    """All that a cycle sees."""

    orders: Orders
    named: NamedRates
    markets: Markets
    listings: OpenListings
    held: Held

    def digest(self) -> bytes:
        """SHA-256 of every figure, so that a replay can tell that it saw the same."""
        whole = hashlib.sha256()
        for name, column in self._columns():
            whole.update(f"{name}:{len(column)}|".encode())
            whole.update(np.ascontiguousarray(column, dtype=">i8").tobytes())
        return whole.digest()

    def packed(self) -> bytes:
        """The input as compressed bytes, to be kept."""
        kept = io.BytesIO()
        np.savez(kept, allow_pickle=False, **{n: _narrowest(c) for n, c in self._columns()})
        return zlib.compress(kept.getvalue(), _FAST)

    @classmethod
    def unpacked(cls, data: bytes) -> CycleInput:
        """The input that :meth:`packed` kept."""
        with np.load(io.BytesIO(zlib.decompress(data)), allow_pickle=False) as kept:
            blocks = {
                block: kind(
                    **{f.name: kept[f"{block}.{f.name}"].astype(np.int64) for f in fields(kind)}
                )
                for block, kind in _BLOCKS.items()
            }
        return cls(**blocks)

    def _columns(self) -> Iterator[tuple[str, IntArray]]:
        for block, kind in _BLOCKS.items():
            for field in fields(kind):
                yield f"{block}.{field.name}", getattr(getattr(self, block), field.name)


def _narrowest(column: IntArray) -> npt.NDArray[Any]:
    """The column in as few bytes as hold it: packing takes time by the byte."""
    least = min(int(column.min(initial=0)), -1)
    return column.astype(np.result_type(*map(np.min_scalar_type, (least, column.max(initial=0)))))


_BLOCKS = {
    "orders": Orders,
    "named": NamedRates,
    "markets": Markets,
    "listings": OpenListings,
    "held": Held,
}


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of all funded loans, ``K`` rows: by market, loan in order of arrival, and queue.

    Attributes:
        listing_id, offer_id, lender_id: ``int64 [K]``.
        rate: ``[K]``, ppm.
        amount: ``[K]``, pence.
        pricing: ``[K]``, :class:`marketplace.core.standing.Pricing`.
        limit: ``[K]``, the exposure limit per borrower that counted, pence.
    """

    listing_id: IntArray
    offer_id: IntArray
    lender_id: IntArray
    rate: IntArray
    amount: IntArray
    pricing: IntArray
    limit: IntArray


@dataclass(frozen=True, slots=True)
class MarketResult:
    """What one market did.

    Attributes:
        market_id: which.
        entries: how many entries stood in its queue.
        on_offer: pence that they could have given, each on its own.
        best_rate: the lowest rate asked, ppm; ``None`` without entries.
        clearing: the parts and outcomes; ``offer_id`` there is the entry's row.
        parts: the parts.
    """

    market_id: int
    entries: int
    on_offer: int
    best_rate: int | None
    clearing: Clearing
    parts: Parts


@dataclass(frozen=True, slots=True)
class CycleResult:
    """What a cycle decides.

    Attributes:
        parts: of all markets.
        taken: pence taken of each order, rows as in the input's orders.
        repaid_taken: how many of those had come back from borrowers.
        markets: each market's, in the order of clearing.
    """

    parts: Parts
    taken: IntArray
    repaid_taken: IntArray
    markets: tuple[MarketResult, ...]

    @property
    def outcomes(self) -> list[ListingOutcome]:
        """What became of each listing."""
        return [outcome for market in self.markets for outcome in market.clearing.outcomes]


def run_markets(seen: CycleInput) -> CycleResult:
    """Clear every market in turn.

    Raises:
        MarketplaceRefusal: figures that can't be: see :func:`clear_market`.
    """
    queues = standing(seen.orders, seen.named, seen.markets)
    taken, repaid_taken = np.zeros((2, len(seen.orders.offer_id)), dtype=np.int64)
    held, results = seen.held, []
    for market, market_id in enumerate(seen.markets.market_id.tolist()):
        rows = queues.of(market)
        left = _left(queues, rows, seen.orders, taken, repaid_taken)
        queue = queue_of(queues, rows, seen.orders, left)
        clearing = clear_market(queue, seen.listings.of(market_id), held)
        parts = _parts(queues, seen.orders, clearing)
        order = queues.order[clearing.offer_id]
        np.add.at(taken, order, clearing.amount)
        repaid = queues.tier[clearing.offer_id] == Tier.POOL_REPAID
        np.add.at(repaid_taken, order[repaid], clearing.amount[repaid])
        held = _with_parts(held, seen.listings, parts)
        results.append(
            MarketResult(
                market_id=market_id,
                entries=len(rows),
                on_offer=int(left.sum()),
                best_rate=int(queue.rate_ppm[0]) if len(rows) else None,
                clearing=clearing,
                parts=parts,
            )
        )
    return CycleResult(_joined([one.parts for one in results]), taken, repaid_taken, tuple(results))


def _left(
    queues: Standing, rows: IntArray, orders: Orders, taken: IntArray, repaid_taken: IntArray
) -> IntArray:
    """Pence that each entry of a market may still give, after the markets before it; ``[E]``.

    Repaid money fills the mix first: what an earlier market took of it leaves room for new money.
    """
    order, tier, room = queues.order[rows], queues.tier[rows], queues.room[rows]
    repaid = (orders.repaid - repaid_taken)[order]
    whole = (orders.available - taken)[order]
    first = np.minimum(repaid, room)
    left: IntArray = np.select(
        [tier == Tier.POOL_REPAID, tier == Tier.POOL_NEW],
        [first, np.minimum(whole - repaid, room - first)],
        whole,
    )
    return left


def _parts(queues: Standing, orders: Orders, clearing: Clearing) -> Parts:
    """A market's parts; what an offer gave one loan of repaid and of new money is one part."""
    entry = clearing.offer_id
    order = queues.order[entry]
    row, amount = np.arange(len(entry)), clearing.amount
    if (queues.tier[entry] != Tier.ASKED).any():
        pair = clearing.listing_id * len(orders.offer_id) + order
        _, first, place = np.unique(pair, return_index=True, return_inverse=True)
        sums = np.zeros(len(first), dtype=np.int64)
        np.add.at(sums, place, amount)
        kept = np.argsort(first)
        row, amount = first[kept], sums[kept]
    return Parts(
        listing_id=clearing.listing_id[row],
        offer_id=orders.offer_id[order[row]],
        lender_id=clearing.lender_id[row],
        rate=clearing.rate_ppm[row],
        amount=amount,
        pricing=queues.pricing[entry[row]],
        limit=orders.limits()[order[row]],
    )


def _with_parts(held: Held, listings: OpenListings, parts: Parts) -> Held:
    """What lenders have in borrowers, the new parts included."""
    by_id = np.argsort(listings.listing_id)
    where = by_id[np.searchsorted(listings.listing_id[by_id], parts.listing_id)]
    return Held(
        borrower_id=np.concatenate([held.borrower_id, listings.borrower_id[where]]),
        lender_id=np.concatenate([held.lender_id, parts.lender_id]),
        pence=np.concatenate([held.pence, parts.amount]),
    )


def _joined(blocks: list[Parts]) -> Parts:
    empty = [np.zeros(0, dtype=np.int64)]
    return Parts(
        *(
            np.concatenate(empty + [getattr(block, field.name) for block in blocks])
            for field in fields(Parts)
        )
    )
