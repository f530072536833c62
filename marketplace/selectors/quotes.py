"""Indicative quotes from the order book as it stands; they reserve nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import numpy as np

from marketplace.core.answers import Rung, Wait, days_until, rate_ladder
from marketplace.core.errors import LoanAmountRefused
from marketplace.core.house import HOUSE, House
from marketplace.core.order_book import NOBODY, Fill, Held, Queue, fill, nothing_held
from marketplace.core.quoting import LoanQuote, quote_from_queue
from marketplace.models import Application
from marketplace.selectors.answers import Expected
from marketplace.selectors.market_history import recent_lending
from marketplace.selectors.markets import MarketView, list_markets, named_market
from marketplace.selectors.order_book import load_held, load_order_book


@dataclass(frozen=True)
class PlatformQuote:
    """A quote in one of the house's markets.

    ``ladder`` is how the rate grows with the amount, up to the market's largest loan or as far as
    the order book goes.
    """

    market: MarketView
    quote: LoanQuote
    ladder: tuple[Rung, ...]


@dataclass(frozen=True)
class LoanAsked:
    """A loan that somebody asks about, and the order book that it would meet."""

    market: MarketView
    amount: int
    on: date
    borrower_id: int
    queue: Queue = field(repr=False)
    held: Held = field(repr=False)

    def quote(self) -> PlatformQuote:
        """What the loan would cost now, the arrangement fee counted in the APR.

        Raises:
            LoanAmountRefused: an amount off the £10 step.
            NotEnoughOffers: says how much could be funded.
        """
        quote = quote_from_queue(
            self.queue,
            self.amount,
            self.market.term_months,
            arrangement_fee=self.market.fee_on(self.amount),
            held=self.held,
            borrower_id=self.borrower_id,
        )
        largest = self._filled(self.market.maximum_amount)
        return PlatformQuote(self.market, quote, rate_ladder(largest, self.market.minimum_amount))

    def funded_by(self, highest: int | None = None) -> Expected | None:
        """By when a listing of the loan would likely be funded.

        The next day, if the order book funds the whole of it at or under its highest rate. Else
        it waits for what is missing, as fast as money at such rates was lent lately; where the
        book is deep enough but too dear, for the whole of it. Listings that wait already are not
        counted: where they arrived before it, this is the better case. One statement, if any.

        Args:
            highest: the listing's highest rate, ppm; the default one when not given.

        Returns:
            ``None`` where nothing was lent at such rates, or where it would take too long.
        """
        found = self._filled(self.amount)
        rate = found.blend.annual_ppm if found.is_whole else None
        most = _default_highest(self.market, rate, HOUSE) if highest is None else highest
        if rate is not None and rate <= most:
            return Expected.after(self.on, Wait(1, 1, 1))
        lending = recent_lending(self.on).get(self.market.market_id)
        if lending is None:
            return None
        missing = self.amount if rate is not None else self.amount - found.fundable
        return Expected.after(self.on, days_until(missing, lending.daily(most)))

    def _filled(self, amount: int) -> Fill:
        return fill(self.queue, amount, held=self.held, borrower_id=self.borrower_id)


def ask_about_loan(
    *, band: str, term_months: int, amount: int, on: date, borrower_id: int | None = None
) -> LoanAsked:
    """Look up what a loan of ``amount`` pence would meet; five to nine statements.

    Raises:
        MarketUnknown, LoanAmountRefused: no such market, or an amount outside its limits.
    """
    markets = list_markets()
    market = named_market(markets, band, term_months)
    if not market.minimum_amount <= amount <= market.maximum_amount:
        raise LoanAmountRefused(
            f"A loan in {market.name} is £{market.minimum_amount // 100:,} to "
            f"£{market.maximum_amount // 100:,}.",
            field="amount",
        )
    return LoanAsked(
        market=market,
        amount=amount,
        on=on,
        borrower_id=NOBODY if borrower_id is None else borrower_id,
        queue=load_order_book(on, markets).queue(market.market_id),
        held=(
            nothing_held()
            if borrower_id is None
            else load_held(np.array([borrower_id], dtype=np.int64))
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
    the next step, and never above the market's bound. Eight statements at most.
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
        quoted = filled.blend.annual_ppm if filled.is_whole else None
        rates.append(_default_highest(market, quoted, house))
    return rates


def _default_highest(market: MarketView, quoted: int | None, house: House) -> int:
    step = house.highest_rate_step
    rate = market.guide_rate if quoted is None else quoted
    wanted = -(-(rate + house.quote_margin) // step) * step
    return min(wanted, market.highest_rate // step * step)
