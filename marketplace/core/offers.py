"""Rules of offers: which amounts and rates may stand in the order book, and the cascade."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from marketplace.core.errors import MarketplaceRefusal


class OfferRefused(MarketplaceRefusal):
    """An offer that can't stand in the order book; the message says what would be accepted."""

    code = "OFFER_REFUSED"


@dataclass(frozen=True)
class MarketBounds:
    """What a market accepts.

    Attributes:
        market_id: its key.
        name: ``band/term``, for messages.
        term_months, position: its term, and its band counted from the safest.
        lowest, highest: bounds of rates, annual effective ppm.
    """

    market_id: int
    name: str
    term_months: int
    position: int
    lowest: int
    highest: int


@dataclass(frozen=True)
class StandingRate:
    """A rate with which an offer stands in a market's queue.

    ``original_market_id`` is where the lender named it; another market when it is implied.
    """

    market_id: int
    original_market_id: int
    rate: int


def check_amounts(*, amount: int, exposure_limit: int, step: int) -> None:
    """Refuse an amount or limit (pence) that is not a positive multiple of ``step``.

    Raises:
        OfferRefused: says what would be accepted.
    """
    pounds = step // 100
    for field, value in (("amount", amount), ("exposure_limit", exposure_limit)):
        if value < step or value % step:
            raise OfferRefused(
                f"An offer's {field.replace('_', ' ')} is a multiple of £{pounds}, "
                f"from £{pounds} up.",
                field=field,
            )
    if exposure_limit > amount:
        raise OfferRefused(
            "The exposure limit per borrower can't be more than the offer itself.",
            field="exposure_limit",
        )


def standing_rates(named: Mapping[int, int], markets: Sequence[MarketBounds]) -> list[StandingRate]:
    """The rates with which an offer stands: those it names, and those they imply.

    Asking a rate of a riskier band implies the safer bands of the same term at that rate, unless
    the offer names its own rate there; of several implied rates the lowest counts. Where an
    implied rate is outside the safer market's bounds, the offer doesn't stand there. Source:
    the house design, section 5; Zopa's "Original Market" column.

    Args:
        named: annual effective ppm by market id.
        markets: every market that is open.

    Returns:
        Standing rates by term and band.

    Raises:
        OfferRefused: no rate named, an unknown market, or a named rate outside its bounds.
    """
    if not named:
        raise OfferRefused("An offer names a rate in at least one market.", field="rates")
    known = {market.market_id: market for market in markets}
    for market_id, rate in named.items():
        market = known.get(market_id)
        if market is None:
            raise OfferRefused("There is no such market.", field="rates")
        if not market.lowest <= rate <= market.highest:
            raise OfferRefused(
                f"A rate in {market.name} lies between {market.lowest / 10_000:.2f} % and "
                f"{market.highest / 10_000:.2f} %.",
                field="rates",
            )
    standing: list[StandingRate] = []
    lowest_implied: dict[int, tuple[int, int]] = {}
    for market in sorted(markets, key=lambda m: (m.term_months, -m.position)):
        implied = lowest_implied.get(market.term_months)
        if market.market_id in named:
            rate, origin = named[market.market_id], market.market_id
            lowest_implied[market.term_months] = min(implied or (rate, origin), (rate, origin))
        elif implied is not None and market.lowest <= implied[0] <= market.highest:
            rate, origin = implied
        else:
            continue
        standing.append(StandingRate(market.market_id, origin, rate))
    standing.sort(key=lambda s: (known[s.market_id].term_months, known[s.market_id].position))
    return standing
