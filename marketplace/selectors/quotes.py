"""Indicative quotes from the order book as it stands; they reserve nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from marketplace.core.errors import LoanAmountRefused
from marketplace.core.house import HOUSE, House
from marketplace.core.order_book import NOBODY, fill
from marketplace.core.quoting import LoanQuote, quote_from_queue
from marketplace.models import Application
from marketplace.selectors.markets import MarketView, list_markets, named_market
from marketplace.selectors.order_book import load_held, load_order_book


@dataclass(frozen=True)
class PlatformQuote:
    """A quote in one of the house's markets."""

    market: MarketView
    quote: LoanQuote


def quote_loan(
    *, band: str, term_months: int, amount: int, on: date, borrower_id: int | None = None
) -> PlatformQuote:
    """What a loan of ``amount`` pence would cost now, the arrangement fee counted in the APR.

    Raises:
        MarketUnknown, LoanAmountRefused: no such market, or an amount outside its limits.
        NotEnoughOffers: says how much could be funded.
    """
    markets = list_markets()
    market = named_market(markets, band, term_months)
    if not market.minimum_amount <= amount <= market.maximum_amount:
        raise LoanAmountRefused(
            f"A loan in {market.name} is £{market.minimum_amount // 100:,} to "
            f"£{market.maximum_amount // 100:,}.",
            field="amount",
        )
    held = None if borrower_id is None else load_held(np.array([borrower_id], dtype=np.int64))
    queue = load_order_book(on, markets).queue(market.market_id)
    return PlatformQuote(
        market,
        quote_from_queue(
            queue,
            amount,
            market.term_months,
            arrangement_fee=market.fee_on(amount),
            held=held,
            borrower_id=NOBODY if borrower_id is None else borrower_id,
        ),
    )


def default_highest_rate(
    applications: Sequence[Application],
    markets: Mapping[int, MarketView],
    on: date,
    house: House = HOUSE,
) -> list[int]:
    """The highest rate that each listing carries by default, annual effective ppm.

    The quote (or the guide rate, when there are not enough offers) plus the house's margin, up to
    the next step, and never above the market's bound. Four statements.
    """
    book = load_order_book(on, list(markets.values()))
    held = load_held(np.array([a.borrower_id for a in applications], dtype=np.int64))
    queues = {key: book.queue(key) for key in markets}
    rates: list[int] = []
    for application in applications:
        market = markets[application.market_id or 0]
        filled = fill(
            queues[market.market_id],
            application.amount,
            held=held,
            borrower_id=application.borrower_id,
        )
        quoted = filled.blend.annual_ppm if filled.is_whole else market.guide_rate
        step = house.highest_rate_step
        wanted = -(-(quoted + house.quote_margin) // step) * step
        rates.append(min(wanted, market.highest_rate // step * step))
    return rates
