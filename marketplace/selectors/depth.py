"""How deep a market's order book is: money on offer by rate, and never who offers it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

from django.db import connection

from marketplace.core.arrays import PENCE_PER_UNIT
from marketplace.core.quoting import QuotePart
from marketplace.core.states import OfferState
from marketplace.models import Market
from marketplace.selectors.markets import MarketUnknown, MarketView, find_market, list_markets


@dataclass(frozen=True)
class RateLevel:
    """The offers of one rate (annual effective ppm).

    ``amount`` is the money at this rate, ``cumulative`` at this rate and all lower ones, pence.
    """

    rate: int
    amount: int
    cumulative: int
    offers: int


@dataclass(frozen=True)
class Depth:
    """One market's order book by rate, the lowest first.

    The money of an offer that stands in several markets is counted in each of them.
    """

    levels: tuple[RateLevel, ...]

    @property
    def on_offer(self) -> int:
        """All money on offer, pence."""
        return self.levels[-1].cumulative if self.levels else 0

    @property
    def offers(self) -> int:
        """How many offers stand in the queue."""
        return sum(level.offers for level in self.levels)

    @property
    def best_rate(self) -> int | None:
        """The lowest rate asked, ppm: the front of the queue."""
        return self.levels[0].rate if self.levels else None

    @property
    def marginal_rate(self) -> int | None:
        """The highest rate asked, ppm: what the last ten pounds on offer would cost."""
        return self.levels[-1].rate if self.levels else None


class Depths:
    """The order books of some markets: read when first asked for, in one statement."""

    def __init__(self, market_ids: Iterable[int]) -> None:
        self._keys = list(market_ids)

    @cached_property
    def _by_market(self) -> Mapping[int, Depth]:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT r.market_id, r.rate, sum(o.available)::bigint,"
                " sum(sum(o.available)) OVER (PARTITION BY r.market_id ORDER BY r.rate)::bigint,"
                " count(*) FROM marketplace_offerrate AS r"
                " JOIN marketplace_offer AS o ON o.id = r.offer_id"
                " WHERE r.market_id = ANY (%s) AND o.state = %s AND o.available >= %s"
                " GROUP BY r.market_id, r.rate ORDER BY r.market_id, r.rate",
                [self._keys, OfferState.OPEN.value, PENCE_PER_UNIT],
            )
            rows = cursor.fetchall()
        return {
            market: Depth(tuple(RateLevel(*row[1:]) for row in levels))
            for market, levels in groupby(rows, key=lambda row: row[0])
        }

    def of(self, market_id: int) -> Depth:
        """One market's order book."""
        return self._by_market.get(market_id, Depth(()))


@dataclass(frozen=True)
class MarketWithDepth:
    """A market with its bounds, and its order book when asked for."""

    market: MarketView
    depths: Depths

    @property
    def depth(self) -> Depth:
        """Its order book; shared with the other markets read with it."""
        return self.depths.of(self.market.market_id)


def markets_with_depth() -> list[MarketWithDepth]:
    """Every market, by term and band: two statements, and one more for all order books.

    Raises:
        risk.core.errors.RiskRefusal: no rate table is approved.
    """
    markets = list_markets()
    depths = Depths(market.market_id for market in markets)
    return [MarketWithDepth(market, depths) for market in markets]


def market_with_depth(band: str, term_months: int) -> MarketWithDepth:
    """One market: two statements, and one more for its order book.

    Raises:
        MarketUnknown: there is none; says which there are.
        risk.core.errors.RiskRefusal: no rate table is approved.
    """
    market = find_market(band, term_months)
    return MarketWithDepth(market, Depths([market.market_id]))


def market_keys(names: Iterable[tuple[str, int]]) -> list[int]:
    """The keys of markets named by band and term, in the order given; one statement.

    Raises:
        MarketUnknown: one of them does not exist.
    """
    known = {(market.band, market.term_months): market.pk for market in Market.objects.all()}
    keys = []
    for band, term_months in names:
        if (band, term_months) not in known:
            raise MarketUnknown(f"There is no market {band}/{term_months}.", field="rates")
        keys.append(known[band, term_months])
    return keys


def levels_of(parts: Iterable[QuotePart]) -> tuple[RateLevel, ...]:
    """A quote's parts (in queue order) summed up by rate."""
    levels: list[RateLevel] = []
    cumulative = 0
    for rate, group in groupby(parts, key=lambda part: part.rate_ppm):
        amounts = [part.amount for part in group]
        cumulative += sum(amounts)
        levels.append(RateLevel(rate, sum(amounts), cumulative, len(amounts)))
    return tuple(levels)
