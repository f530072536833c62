"""From standing orders to queues: which offers stand in which market, at what rate, in what order.

An offer names a rate in some markets, or a peg, or it is pool money that lends at the guide rate.
What stands in a market's queue is worked out afresh at every cut-off, because traded rates, guide
rates and bounds move while orders stand:

* an own rate is what its lender said; a peg is the market's traded rate and a margin, within the
  market's bounds and never below the lender's floor; pool money lends at the guide rate;
* the cascade: asking a rate of a riskier band implies the safer bands of the same term at that
  rate, unless the same offer names its own there; of several implied rates the lowest counts;
* what lies outside a market's bounds does not stand there.

Order: rate; own rates and pegs before the pool; among own rates and pegs the time the rate was
set; in the pool repaid money before new money, then the largest share of money still idle, then
time. Sources: the house design, section 5; Zopa's "Original Market" column.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np

from marketplace.core.arrays import PENCE_PER_UNIT, BoolArray, IntArray
from marketplace.core.order_book import Queue

PPM = 1_000_000
_UNBOUNDED = np.iinfo(np.int64).max
# Rates are below 2**21 ppm, places in the queue below 2**42: both fit one number that sorts.
_PLACE_BITS = 42


class Pricing(IntEnum):
    """How a rate came about; stored with each part."""

    OWN = 0
    PEG = 1
    POOL = 2


class Tier(IntEnum):
    """Who goes first among entries of one rate."""

    ASKED = 0
    POOL_REPAID = 1
    POOL_NEW = 2


@dataclass(frozen=True, slots=True)
class Orders:
    """Standing orders, ``N`` rows by id.

    Attributes:
        offer_id: ``int64 [N]``, ascending.
        lender_id: ``[N]``.
        amount: ``[N]``, pence placed; what has come back from borrowers is not counted again.
        available: ``[N]``, pence not matched.
        repaid: ``[N]``, how many of those came back from borrowers.
        limit: ``[N]``, exposure limit per borrower, pence; 0 where ``share`` counts.
        share: ``[N]``, pool money's limit per borrower as ppm of ``amount``; else 0.
    """

    offer_id: IntArray
    lender_id: IntArray
    amount: IntArray
    available: IntArray
    repaid: IntArray
    limit: IntArray
    share: IntArray

    def limits(self) -> IntArray:
        """Exposure limits per borrower, pence in whole £10 steps; ``[N]``."""
        by_share = self.amount * self.share // PPM
        limits: IntArray = np.where(self.share > 0, by_share, self.limit)
        return limits // PENCE_PER_UNIT * PENCE_PER_UNIT


@dataclass(frozen=True, slots=True)
class NamedRates:
    """What offers named, ``R`` rows in any order, at most one an offer and market.

    Attributes:
        offer_id, market_id: ``int64 [R]``.
        pricing: :class:`Pricing`, ``[R]``.
        rate: ``[R]``, ppm, of own rates.
        margin: ``[R]``, ppm over the traded rate (or under it), of pegs.
        floor: ``[R]``, ppm, of pegs.
        share: ``[R]``, ppm of the offer's money that may lie in this market, of pool money.
        lent: ``[R]``, pence of pool money that lie there.
        place: ``[R]``, when the rate was set; distinct.
    """

    offer_id: IntArray
    market_id: IntArray
    pricing: IntArray
    rate: IntArray
    margin: IntArray
    floor: IntArray
    share: IntArray
    lent: IntArray
    place: IntArray


@dataclass(frozen=True, slots=True)
class Markets:
    """Markets, ``M`` rows in the order in which they are cleared.

    Attributes:
        market_id: ``int64 [M]``.
        term_months, position: ``[M]``; bands are counted from the safest.
        lowest, highest: ``[M]``, bounds of rates, ppm.
        guide, traded: ``[M]``, ppm.
    """

    market_id: IntArray
    term_months: IntArray
    position: IntArray
    lowest: IntArray
    highest: IntArray
    guide: IntArray
    traded: IntArray


@dataclass(frozen=True, slots=True)
class Standing:
    """Entries of all queues, ``E`` rows by market (in the order of markets) and queue.

    Attributes:
        market: ``int64 [E]``, row in the markets.
        order: ``[E]``, row in the orders.
        origin: ``[E]``, row of the market that named the rate.
        rate: ``[E]``, ppm.
        pricing: ``[E]``, :class:`Pricing`.
        tier: ``[E]``, :class:`Tier`.
        room: ``[E]``, pence that the offer's mix leaves it in this market, repaid and new money
            together; without bound where it has no mix.
        most: ``[E]``, pence that this entry may give in its market, before any market is cleared;
            nothing where repaid money fills the mix. New money stands behind it all the same: an
            earlier market may take the repaid money first.
    """

    market: IntArray
    order: IntArray
    origin: IntArray
    rate: IntArray
    pricing: IntArray
    tier: IntArray
    room: IntArray
    most: IntArray

    def of(self, market: int) -> IntArray:
        """The rows of one market (a row of the markets), in queue order."""
        first, last = np.searchsorted(self.market, [market, market + 1])
        return np.arange(first, last)


def standing(orders: Orders, named: NamedRates, markets: Markets) -> Standing:
    """Work out the queues of all markets.

    Rates of offers or markets that are not given are ignored: an offer that is paused, a market
    that no rate table prices.
    """
    asked = _asked(orders, named, markets)
    entries = _with_money(orders, _within(_with_implied(asked, orders, markets), markets))
    idle = np.where(entries.tier == Tier.ASKED, 0, _idle(orders)[entries.order])
    queue = np.lexsort((entries.place, -idle, entries.tier, entries.rate, entries.market))
    return Standing(
        market=entries.market[queue],
        order=entries.order[queue],
        origin=entries.origin[queue],
        rate=entries.rate[queue],
        pricing=entries.pricing[queue],
        tier=entries.tier[queue],
        room=entries.room[queue],
        most=entries.most[queue],
    )


def queue_of(standing: Standing, rows: IntArray, orders: Orders, left: IntArray) -> Queue:
    """One market's queue; its ``offer_id`` are rows of ``standing``.

    Args:
        standing: all entries.
        rows: those of the market, in queue order.
        orders: the orders.
        left: pence that each of these entries may still give, ``[len(rows)]``.
    """
    order = standing.order[rows]
    return Queue(
        offer_id=rows,
        lender_id=orders.lender_id[order],
        rate_ppm=standing.rate[rows],
        rate_set=np.arange(len(rows), dtype=np.int64),
        limit=orders.limits()[order],
        available=left,
    )


@dataclass(frozen=True, slots=True)
class _Entries:
    """Entries on their way into the queues; like :class:`Standing`, with their places."""

    market: IntArray
    order: IntArray
    origin: IntArray
    rate: IntArray
    pricing: IntArray
    tier: IntArray
    room: IntArray
    most: IntArray
    place: IntArray

    def rows(self, rows: IntArray | BoolArray) -> _Entries:
        """Some of them."""
        return _Entries(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))


def _joined(blocks: Sequence[_Entries]) -> _Entries:
    return _Entries(
        *(
            np.concatenate([getattr(block, name) for block in blocks])
            for name in _Entries.__dataclass_fields__
        )
    )


def _asked(orders: Orders, named: NamedRates, markets: Markets) -> _Entries:
    """The named rates as they are today."""
    order = _row_of(named.offer_id, orders.offer_id)
    market = _row_of(named.market_id, markets.market_id)
    known = np.flatnonzero((order >= 0) & (market >= 0))
    # Interest that was put on offer again is in the mix too, so that it has somewhere to go.
    lies_out = np.zeros(len(orders.offer_id), dtype=np.int64)
    there = order >= 0
    np.add.at(lies_out, order[there], named.lent[there])
    whole = np.maximum(orders.amount, orders.available + lies_out)
    order, market, pricing = order[known], market[known], named.pricing[known]
    pegged = np.clip(
        markets.traded[market] + named.margin[known],
        markets.lowest[market],
        markets.highest[market],
    )
    rate = np.select(
        [pricing == Pricing.OWN, pricing == Pricing.PEG],
        [named.rate[known], np.maximum(named.floor[known], pegged)],
        markets.guide[market],
    )
    in_mix = whole[order] * named.share[known] // PPM - named.lent[known]
    return _Entries(
        market=market,
        order=order,
        origin=market,
        rate=rate,
        pricing=pricing,
        tier=np.full(len(known), Tier.ASKED, dtype=np.int64),
        room=np.where(pricing == Pricing.POOL, np.maximum(in_mix, 0), _UNBOUNDED),
        most=np.zeros(len(known), dtype=np.int64),
        place=named.place[known],
    )


def _with_implied(asked: _Entries, orders: Orders, markets: Markets) -> _Entries:
    """The entries and those that they imply in safer bands.

    The lowest rate, and of equal ones the earliest, is handed down from band to band: both are one
    number, so that a whole band's offers are done at once.
    """
    blocks = [asked]
    naming = np.flatnonzero(asked.pricing != Pricing.POOL)
    by_place = naming[np.argsort(asked.place[naming])]
    for term in np.unique(markets.term_months):
        in_term = np.flatnonzero(markets.term_months == term)
        handed_down = np.full(len(orders.offer_id), _UNBOUNDED)
        for market in in_term[np.argsort(-markets.position[in_term])]:
            here = naming[asked.market[naming] == market]
            silent = handed_down != _UNBOUNDED
            silent[asked.order[here]] = False
            order = np.flatnonzero(silent)
            source = by_place[
                np.searchsorted(asked.place[by_place], handed_down[order] & (2**_PLACE_BITS - 1))
            ]
            implied = asked.rows(source)
            blocks.append(replace(implied, market=np.full(len(order), market)))
            key = (asked.rate[here] << _PLACE_BITS) | asked.place[here]
            handed_down[asked.order[here]] = np.minimum(handed_down[asked.order[here]], key)
    return _joined(blocks)


def _within(entries: _Entries, markets: Markets) -> _Entries:
    """Those inside the bounds of their markets."""
    rate, market = entries.rate, entries.market
    return entries.rows((rate >= markets.lowest[market]) & (rate <= markets.highest[market]))


def _with_money(orders: Orders, entries: _Entries) -> _Entries:
    """Those that can give a step; pool money is two entries, what was repaid and what is new."""
    pool = entries.pricing == Pricing.POOL
    own, pooled = entries.rows(~pool), entries.rows(pool)
    own = replace(own, most=orders.available[own.order])
    repaid = np.minimum(orders.repaid[pooled.order], pooled.room)
    new = np.minimum((orders.available - orders.repaid)[pooled.order], pooled.room)
    of_repaid = replace(pooled, most=repaid, tier=np.full_like(pooled.tier, Tier.POOL_REPAID))
    of_new = replace(
        pooled,
        most=np.minimum(new, pooled.room - repaid),
        tier=np.full_like(pooled.tier, Tier.POOL_NEW),
    )
    return _joined(
        [
            own.rows(own.most >= PENCE_PER_UNIT),
            of_repaid.rows(repaid >= PENCE_PER_UNIT),
            of_new.rows(new >= PENCE_PER_UNIT),
        ]
    )


def _idle(orders: Orders) -> IntArray:
    """The share of each order's money that is not matched, ppm; ``[N]``."""
    return orders.available * PPM // np.maximum(orders.amount, 1)


def _row_of(ids: IntArray, known: IntArray) -> IntArray:
    """The row of each id among ``known``, which are distinct; -1 for a stranger."""
    if not known.size:
        return np.full(len(ids), -1, dtype=np.int64)
    by_id = np.argsort(known, kind="stable")
    found = np.minimum(np.searchsorted(known[by_id], ids), len(known) - 1)
    rows: IntArray = np.where(known[by_id][found] == ids, by_id[found], -1)
    return rows
