"""Rules of offers: which amounts, rates, pegs and mixes may stand in the order book."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from marketplace.core.errors import MarketplaceRefusal
from marketplace.core.rates import PPM


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
class Peg:
    """A rate that follows the market: the traded rate and ``margin`` (ppm), never below ``floor``.

    A margin below nothing asks less than what own-rate lenders got lately.
    """

    margin: int
    floor: int


def check_amounts(*, amount: int, exposure_limit: int, step: int) -> None:
    """Refuse an amount or limit (pence) that is not a positive multiple of ``step``.

    Raises:
        OfferRefused: says what would be accepted.
    """
    _check_step("amount", amount, step)
    _check_step("exposure_limit", exposure_limit, step)
    if exposure_limit > amount:
        raise OfferRefused(
            "The exposure limit per borrower can't be more than the offer itself.",
            field="exposure_limit",
        )


def check_rates(asked: Mapping[int, int | Peg], markets: Sequence[MarketBounds]) -> None:
    """Refuse rates and pegs that can't stand in their markets.

    Args:
        asked: an own rate (annual effective ppm) or a peg, by market id.
        markets: every market that is open.

    Raises:
        OfferRefused: none asked, an unknown market, a rate outside its bounds, a floor above the
            highest rate that the peg can reach, or a margin wider than the bounds.
    """
    if not asked:
        raise OfferRefused("An offer names a rate in at least one market.", field="rates")
    known = {market.market_id: market for market in markets}
    for market_id, rate in asked.items():
        market = _known(market_id, known, "rates")
        lowest, highest = market.lowest, market.highest
        bounds = f"{lowest / 10_000:.2f} % and {highest / 10_000:.2f} %"
        if not isinstance(rate, Peg):
            if not lowest <= rate <= highest:
                raise OfferRefused(f"A rate in {market.name} lies between {bounds}.", field="rates")
            continue
        if not 0 < rate.floor <= highest:
            raise OfferRefused(
                f"A peg in {market.name} reaches up to {highest / 10_000:.2f} %: its floor lies "
                "above nothing and not above that.",
                field="rates",
            )
        if abs(rate.margin) > highest - lowest:
            raise OfferRefused(
                f"Rates in {market.name} lie between {bounds}: a margin can't be wider than that.",
                field="rates",
            )


def check_pool(
    *,
    amount: int,
    exposure_share: int,
    mix: Mapping[int, int],
    markets: Sequence[MarketBounds],
    step: int,
) -> None:
    """Refuse a pool offer (pence, shares in ppm) that could not be lent.

    Raises:
        OfferRefused: an amount off the step, a share per borrower that is less than a step or more
            than all, an unknown market, or a mix that leaves some of the money nowhere to go.
    """
    _check_step("amount", amount, step)
    if not 0 < exposure_share <= PPM or amount * exposure_share // PPM < step:
        least = min(-(-step * 100 * 100 // amount) / 100, 100)
        raise OfferRefused(
            f"At most 100 %, and of £{amount // 100:,} at least {least:g} % for one borrower, "
            f"which is £{step // 100}.",
            field="exposure_share",
        )
    known = {market.market_id: market for market in markets}
    for market_id, share in mix.items():
        market = _known(market_id, known, "mix")
        if not 0 < share <= PPM:
            raise OfferRefused(
                f"The share in {market.name} is more than nothing and at most 100 %.", field="mix"
            )
    if sum(mix.values()) < PPM:
        raise OfferRefused(
            "The shares of the markets in the mix must reach 100 %, or some of the money could "
            "never be lent.",
            field="mix",
        )


def _known(market_id: int, known: Mapping[int, MarketBounds], field: str) -> MarketBounds:
    if market_id not in known:
        names = ", ".join(market.name for market in known.values())
        raise OfferRefused(f"There is no such market; there are {names}.", field=field)
    return known[market_id]


def _check_step(field: str, value: int, step: int) -> None:
    pounds = step // 100
    if type(value) is not int or value < step or value % step:
        raise OfferRefused(
            f"An offer's {field.replace('_', ' ')} is a multiple of £{pounds}, from £{pounds} up.",
            field=field,
        )
