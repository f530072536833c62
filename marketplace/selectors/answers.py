"""Answers for lenders: where offers stand, when they will likely lend, and why they did not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from typing import Protocol

import numpy as np

from accounts.selectors.bulk import fetch_columns
from accounts.selectors.ledger import member_balances
from marketplace.core.answers import (
    LenderSpread,
    Lending,
    Wait,
    first_match,
    lender_spread,
    nothing_lent,
    places_of,
)
from marketplace.core.arrays import PENCE_PER_UNIT
from marketplace.core.cycle import CycleInput
from marketplace.core.house import HOUSE
from marketplace.core.match_answers import Given, MarketDid, MatchAnswer, PastCycle, last_answers
from marketplace.core.states import CycleState, OfferState
from marketplace.models import Cycle, Loan, Offer
from marketplace.selectors.market_history import recent_lending
from marketplace.selectors.markets import MarketView
from marketplace.selectors.order_book import HELD, load_order_book
from marketplace.selectors.packed import LATEST, RECEIVED


@dataclass(frozen=True)
class Expected:
    """When something will likely happen: one chance in ten by ``early``, nine by ``late``."""

    early: date
    likely: date
    late: date

    @classmethod
    def after(cls, on: date, wait: Wait | None) -> Expected | None:
        """The dates of a wait that begins on a day."""
        if wait is None:
            return None
        days = (wait.early, wait.likely, wait.late)
        return cls(*(on + timedelta(days=each) for each in days))


@dataclass(frozen=True)
class LastAnswer:
    """What became of an offer in a market at the last cycle.

    ``marginal_rate`` is the highest rate lent at there, ppm; none where nothing was lent.
    """

    run_on: date
    answer: MatchAnswer
    marginal_rate: int | None


@dataclass(frozen=True)
class QueueView:
    """An offer in one market's queue.

    Attributes:
        band, term_months: the market.
        rate: at which it stands, or would with money on offer, ppm; none outside the bounds.
        place: 1 is the front; none where it doesn't stand now.
        ahead: pence before it; none likewise.
        expected: when its first £10 will likely be lent; none where that can't be said.
        last: what became of it at the last cycle; none before the first.
    """

    band: str
    term_months: int
    rate: int | None
    place: int | None
    ahead: int | None
    expected: Expected | None
    last: LastAnswer | None


class PageRates(Protocol):
    """What a page's offers ask, as far as it matters here."""

    @property
    def views(self) -> list[MarketView]:
        """Every market."""

    def named_by(self, offer_key: int) -> Mapping[tuple[str, int], int | None]:
        """The markets (band and term) in which an offer asks or would stand, and at what rate."""


class OfferAnswers:
    """The answers to all offers of a page: read when first asked for.

    At most nine statements, whatever the page: the order book (three, and one more with a pool;
    the markets are the page's), what was lent lately, and of the last cycle what it saw, what its
    markets did, whom it funded and what it took of these lenders.
    """

    def __init__(self, offers: Sequence[Offer], rates: PageRates, on: date) -> None:
        self._offers = {offer.pk: offer for offer in offers}
        self._rates = rates
        self._on = on

    def of(self, offer_key: int) -> tuple[QueueView, ...]:
        """One offer's queues, by term and band; none once it is cancelled."""
        offer = self._offers[offer_key]
        if offer.state == OfferState.CANCELLED:
            return ()
        named = self._rates.named_by(offer_key)
        return tuple(
            self._in_market(offer, market, named[market.band, market.term_months])
            for market in self._rates.views
            if (market.band, market.term_months) in named
        )

    def _in_market(self, offer: Offer, market: MarketView, rate: int | None) -> QueueView:
        place, ahead = self._places.get((offer.pk, market.market_id), (None, None))
        wait = None
        if rate is not None and ahead is not None:
            lending = self._lending.get(market.market_id, nothing_lent(HOUSE.traded_days))
            wait = first_match(ahead, rate, lending)
        return QueueView(
            band=market.band,
            term_months=market.term_months,
            rate=rate,
            place=place,
            ahead=ahead,
            expected=Expected.after(self._on, wait),
            last=self._last(offer, market.market_id),
        )

    def _last(self, offer: Offer, market_id: int) -> LastAnswer | None:
        if self._cycle is None:
            return None
        run_on, past = self._cycle
        did = past.did.get(market_id)
        answer = self._answers.get((offer.pk, market_id))
        if answer is None:
            answer = _absent(offer, stood=bool((past.seen.orders.offer_id == offer.pk).any()))
        return LastAnswer(run_on, answer, did.marginal_rate if did else None)

    @cached_property
    def _places(self) -> dict[tuple[int, int], tuple[int, int]]:
        """Place and pence ahead, by offer and market."""
        book = load_order_book(self._on, self._rates.views)
        offers = book.orders.offer_id
        found = places_of(book.standing, np.flatnonzero(np.isin(offers, list(self._offers))))
        columns = (
            offers[found.order],
            book.markets.market_id[found.market],
            found.place,
            found.ahead,
        )
        rows = zip(*(column.tolist() for column in columns), strict=True)
        return {(offer, market): (place, ahead) for offer, market, place, ahead in rows}

    @cached_property
    def _lending(self) -> Mapping[int, Lending]:
        return recent_lending(self._on)

    @cached_property
    def _cycle(self) -> tuple[date, PastCycle] | None:
        return _last_cycle({offer.lender_id for offer in self._offers.values()})

    @cached_property
    def _answers(self) -> dict[tuple[int, int], MatchAnswer]:
        return {} if self._cycle is None else last_answers(self._cycle[1], list(self._offers))


def _absent(offer: Offer, *, stood: bool) -> MatchAnswer:
    """Why an offer was not in a market's queue at the cut-off.

    What is paused or without money now is told that; whether it was so then is not known.
    """
    if not stood and offer.state == OfferState.PAUSED:
        return MatchAnswer.PAUSED
    if not stood and offer.available < PENCE_PER_UNIT:
        return MatchAnswer.NO_CASH
    return MatchAnswer.AFTER_CUT_OFF


def _last_cycle(lenders: set[int]) -> tuple[date, PastCycle] | None:
    """The last cycle with all that it gave to some lenders; four statements."""
    cycle = (
        Cycle.objects.filter(state=CycleState.DONE).select_related("sight").order_by("pk").last()
    )
    if cycle is None:
        return None
    did = {
        row.market_id: MarketDid(row.listings, row.loans, row.marginal_rate)
        for row in cycle.markets.order_by("turn")
    }
    funded: dict[int, list[int]] = {}
    for market, borrower in Loan.objects.filter(cycle=cycle).values_list("market", "borrower"):
        funded.setdefault(market, []).append(borrower)
    given = fetch_columns(
        "SELECT p.offer_id, p.lender_id, l.market_id, l.borrower_id, p.size"
        " FROM marketplace_part AS p JOIN marketplace_loan AS l ON l.id = p.loan_id"
        " WHERE l.cycle_id = %s AND p.lender_id = ANY (%s)",
        [cycle.pk, sorted(lenders)],
        5,
    )
    seen = CycleInput.unpacked(bytes(cycle.sight.packed))
    return cycle.run_on, PastCycle(seen, did, funded, Given(*given))


def spread_of_lender(lender_id: int) -> LenderSpread:
    """How well one lender's money is spread over those who owe it now; two statements."""
    [owed] = fetch_columns(
        f"SELECT sum(p.size - {RECEIVED})::bigint"
        f" FROM marketplace_part AS p JOIN marketplace_loan AS l ON l.id = p.loan_id{LATEST}"
        " WHERE p.lender_id = %s AND l.state = ANY (%s) GROUP BY l.borrower_id",
        [lender_id, list(HELD)],
        1,
    )
    balances = member_balances(lender_id)
    return lender_spread(owed, balances.cash + balances.on_offer)
