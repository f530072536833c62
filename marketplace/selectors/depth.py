"""How deep a market's order book is: money on offer by rate, and never who offers it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from itertools import groupby

import numpy as np

from marketplace.core.quoting import QuotePart
from marketplace.models import Market
from marketplace.selectors.market_history import MarketCycleView, MarketHistories
from marketplace.selectors.markets import MarketUnknown, MarketView, list_markets, named_market
from marketplace.selectors.order_book import OrderBook, load_order_book


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
    """The order books of some markets: read when first asked for, in five statements."""

    def __init__(self, markets: Sequence[MarketView], on: date) -> None:
        self._markets = markets
        self._on = on

    @cached_property
    def _book(self) -> OrderBook:
        return load_order_book(self._on, self._markets)

    def of(self, market_id: int) -> Depth:
        """One market's order book."""
        queue = self._book.queue(market_id)
        rates, place, offers = np.unique(queue.rate_ppm, return_inverse=True, return_counts=True)
        money = np.zeros(len(rates), dtype=np.int64)
        np.add.at(money, place, queue.available)
        columns = (rates, money, np.cumsum(money), offers)
        rows = zip(*(column.tolist() for column in columns), strict=True)
        return Depth(tuple(RateLevel(*row) for row in rows))


@dataclass(frozen=True)
class MarketWithDepth:
    """A market with its bounds, and its order book and history when asked for."""

    market: MarketView
    depths: Depths
    histories: MarketHistories

    @property
    def depth(self) -> Depth:
        """Its order book; shared with the other markets read with it."""
        return self.depths.of(self.market.market_id)

    @property
    def traded_rate(self) -> int:
        """What own-rate lenders got lately, ppm: the rate that pegs follow."""
        return self.histories.traded.get(self.market.market_id, self.market.guide_rate)

    @property
    def last_marginal_rate(self) -> int | None:
        """The highest rate lent at when the market last lent, ppm; none before it ever did."""
        return self.histories.last_marginal.get(self.market.market_id)

    def history(self, days: int) -> tuple[MarketCycleView, ...]:
        """Its cycles of the last days, the newest first.

        Raises:
            HistoryRefused: no days, or too many.
        """
        return self.histories.of(self.market.market_id, days)


def markets_with_depth(on: date) -> list[MarketWithDepth]:
    """Every market, by term and band: two statements, and five more for all order books.

    Traded rates, last marginal rates and histories are one more each, if asked for.

    Raises:
        risk.core.errors.RiskRefusal: no rate table is approved.
    """
    markets = list_markets()
    depths, histories = Depths(markets, on), MarketHistories(on)
    return [MarketWithDepth(market, depths, histories) for market in markets]


def market_with_depth(band: str, term_months: int, on: date) -> MarketWithDepth:
    """One market: two statements, and five more for its order book; see
    :func:`markets_with_depth`.

    Raises:
        MarketUnknown: there is none; says which there are.
        risk.core.errors.RiskRefusal: no rate table is approved.
    """
    markets = list_markets()
    # All of them: what stands here may be implied by a riskier band's rate.
    found = named_market(markets, band, term_months)
    return MarketWithDepth(found, Depths(markets, on), MarketHistories(on))


def market_keys(names: Iterable[tuple[str, int]], *, field: str = "rates") -> list[int]:
    """The keys of markets named by band and term, in the order given; one statement.

    Args:
        names: the markets.
        field: the input that named them.

    Raises:
        MarketUnknown: one of them does not exist.
    """
    known = {(market.band, market.term_months): market.pk for market in Market.objects.all()}
    keys = []
    for band, term_months in names:
        if (band, term_months) not in known:
            there = ", ".join(f"{each}/{term}" for each, term in known)
            raise MarketUnknown(
                f"There is no market {band}/{term_months}; there are {there}.", field=field
            )
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
