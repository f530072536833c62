"""Why an offer's money was not lent in a market at a cycle, from what the cycle saw and did.

The first of these that holds is the answer: some of it was lent; its rate lay outside the market's
bounds, or its mix was reached; there was no listing; none was funded; an earlier market took its
money; only cheaper money was lent; its limit was reached with every borrower funded; others at the
same rate stood before it.

Rate and money are what stood at the cut-off, worked out as the cycle did. That limits alone keep
money back where dearer money was lent holds because a cycle lends at the least cost: otherwise the
two could be swapped. Source: the house design, "The market".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from marketplace.core.arrays import PENCE_PER_UNIT, BoolArray, IntArray, int_array, same_length
from marketplace.core.cycle import CycleInput
from marketplace.core.standing import NamedRates, Orders, Pricing, Standing, standing

_STEP = PENCE_PER_UNIT


class MatchAnswer(StrEnum):
    """What became of an offer in one market at a cycle; stable names."""

    MATCHED = "MATCHED"
    RATE_TOO_HIGH = "RATE_TOO_HIGH"
    BEHIND_OTHERS = "BEHIND_OTHERS"
    EXPOSURE_REACHED = "EXPOSURE_REACHED"
    NO_LISTING = "NO_LISTING"
    LISTINGS_WAITED = "LISTINGS_WAITED"
    LENT_ELSEWHERE = "LENT_ELSEWHERE"
    MIX_REACHED = "MIX_REACHED"
    OUT_OF_BOUNDS = "OUT_OF_BOUNDS"
    NO_CASH = "NO_CASH"
    PAUSED = "PAUSED"
    AFTER_CUT_OFF = "AFTER_CUT_OFF"


@dataclass(frozen=True, slots=True)
class MarketDid:
    """What a market did in a cycle: listings seen, loans funded, the highest rate lent at (ppm)."""

    listings: int
    loans: int
    marginal_rate: int | None


@dataclass(frozen=True, slots=True)
class Given:
    """Parts that a cycle gave to the lenders asked about, ``K`` rows in any order.

    Attributes:
        offer_id, lender_id, market_id, borrower_id: ``int64 [K]``.
        amount: ``[K]``, pence.
    """

    offer_id: IntArray
    lender_id: IntArray
    market_id: IntArray
    borrower_id: IntArray
    amount: IntArray


@dataclass(frozen=True, slots=True)
class PastCycle:
    """A cycle as it is remembered.

    Attributes:
        seen: what it saw.
        did: what each market did, by market id.
        funded: the borrowers whose loans each market funded, by market id.
        given: all parts of the lenders asked about.
    """

    seen: CycleInput
    did: Mapping[int, MarketDid]
    funded: Mapping[int, Sequence[int]]
    given: Given


def last_answers(cycle: PastCycle, offers: npt.ArrayLike) -> dict[tuple[int, int], MatchAnswer]:
    """What became of offers (ids, ``[N]``) in each market that they named or stood in, by both ids.

    An offer that was not in the order book at the cut-off is not in it: it was paused, without £10,
    or not there yet.

    Raises:
        ShapeRefused: ids or parts that are no flat arrays of integers of one length.
    """
    seen = cycle.seen
    rows = np.flatnonzero(np.isin(seen.orders.offer_id, int_array(offers, "offers")))
    orders = _taken(seen.orders, rows)
    named = _taken(seen.named, np.isin(seen.named.offer_id, orders.offer_id))
    history = _History.of(cycle, orders.lender_id)
    limits, markets = orders.limits().tolist(), seen.markets.market_id.tolist()
    answers = dict(_not_standing(named, seen))
    for (order, turn), (rate, most) in _entries(standing(orders, named, seen.markets)).items():
        offer, market = int(orders.offer_id[order]), markets[turn]
        if history.by_offer[offer, market]:
            answers[offer, market] = MatchAnswer.MATCHED
            continue
        before = sum(history.by_offer[offer, other] for other in markets[:turn])
        left = min(most, int(orders.available[order]) - before)
        lender = int(orders.lender_id[order])
        room = any(
            borrower != lender and limits[order] - history.by_pair[lender, borrower] >= _STEP
            for borrower in cycle.funded.get(market, ())
        )
        answers[offer, market] = _why(cycle.did[market], rate, left, has_room=room)
    return answers


def _why(did: MarketDid, rate: int, left: int, *, has_room: bool) -> MatchAnswer:
    """Why an entry with ``left`` pence at ``rate`` gave nothing to a market."""
    if not did.listings:
        return MatchAnswer.NO_LISTING
    if not did.loans or did.marginal_rate is None:
        return MatchAnswer.LISTINGS_WAITED
    if left < _STEP:
        return MatchAnswer.LENT_ELSEWHERE
    if rate > did.marginal_rate:
        return MatchAnswer.RATE_TOO_HIGH
    # Dearer money was lent although this was there: at the least cost only limits do that.
    if rate < did.marginal_rate or not has_room:
        return MatchAnswer.EXPOSURE_REACHED
    return MatchAnswer.BEHIND_OTHERS


def _entries(stands: Standing) -> dict[tuple[int, int], tuple[int, int]]:
    """Rate and money of each order (row) in each market (row); both entries of pool money."""
    entries: dict[tuple[int, int], tuple[int, int]] = {}
    columns = (stands.order, stands.market, stands.rate, stands.most)
    for order, market, rate, most in zip(*(one.tolist() for one in columns), strict=True):
        entries[order, market] = rate, most + entries.get((order, market), (0, 0))[1]
    return entries


def _not_standing(
    named: NamedRates, seen: CycleInput
) -> Iterator[tuple[tuple[int, int], MatchAnswer]]:
    """Why what was named does not stand, for each that does not (and for some that do).

    Guide rates lie within the bounds and money comes in £10 steps, so pool money can only lack
    room in its mix. A market that no rate table priced is left out.
    """
    priced = np.isin(named.market_id, seen.markets.market_id)
    columns = (column[priced] for column in (named.offer_id, named.market_id, named.pricing))
    for offer, market, pricing in zip(*(column.tolist() for column in columns), strict=True):
        full = pricing == Pricing.POOL
        yield (offer, market), (MatchAnswer.MIX_REACHED if full else MatchAnswer.OUT_OF_BOUNDS)


_Block = TypeVar("_Block", Orders, NamedRates)


def _taken(block: _Block, rows: IntArray | BoolArray) -> _Block:
    """Some rows of a block of columns."""
    return type(block)(*(getattr(block, field.name)[rows] for field in fields(block)))


@dataclass(frozen=True, slots=True)
class _History:
    """After the cycle: what lenders have in borrowers, and what offers gave markets; pence."""

    by_pair: defaultdict[tuple[int, int], int]
    by_offer: defaultdict[tuple[int, int], int]

    @classmethod
    def of(cls, cycle: PastCycle, lenders: IntArray) -> _History:
        """What concerns these lenders."""
        given, held = cycle.given, cycle.seen.held
        offer, lender, market, borrower, pence = same_length(
            **{field.name: getattr(given, field.name) for field in fields(Given)}
        )
        theirs = np.isin(held.lender_id, lenders)
        by_pair: defaultdict[tuple[int, int], int] = defaultdict(int)
        by_offer: defaultdict[tuple[int, int], int] = defaultdict(int)
        for keys, amounts, sums in (
            ((held.lender_id[theirs], held.borrower_id[theirs]), held.pence[theirs], by_pair),
            ((lender, borrower), pence, by_pair),
            ((offer, market), pence, by_offer),
        ):
            pairs = zip(*(key.tolist() for key in keys), strict=True)
            for pair, amount in zip(pairs, amounts.tolist(), strict=True):
                sums[pair] += amount
        return cls(by_pair, by_offer)
