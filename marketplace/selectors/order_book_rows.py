"""The order book as rows of an order-book file: what stands in markets' queues, in queue order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

import numpy as np

from accounts.models import Member
from marketplace.core.arrays import PENCE_PER_UNIT, IntArray
from marketplace.core.order_book import nothing_held, takes
from marketplace.core.order_book_export import MASK
from marketplace.core.order_book_file import BookRow
from marketplace.core.standing import NamedRates, Orders, Standing, queue_of, standing
from marketplace.models import Offer
from marketplace.selectors.markets import MarketView, list_markets, named_market
from marketplace.selectors.order_book import load_markets, load_named, load_orders

_SECOND = timedelta(seconds=1)


def order_book_rows(
    on: date, markets: Sequence[tuple[str, int]] | None = None, *, named: bool = False
) -> list[BookRow]:
    """What stands in markets on a business date: one row an entry, each market in queue order.

    A quote from these rows is the platform's for somebody who owes nobody, without the fee:

    * ``max_exposure`` is the offer's limit per borrower. Rows of a masked file are lenders of their
      own, so there a lender's further offers carry what the better-placed ones leave of it, and are
      left out where that is nothing.
    * ``offered_at`` is the day on which the offer was placed, and so many seconds later that the
      dates tell the order in which rates were set. Pool money, which stands behind own rates
      whatever its age, is as much later as its place needs.
    * Money less than a £10 step, which no loan can take, is left out.

    Nine statements at most.

    Args:
        on: business date.
        markets: bands and terms; all without.
        named: whether members and offers are named, by public ids, or masked.

    Raises:
        MarketUnknown: there is no such market; says which there are.
        risk.core.errors.RiskRefusal: no rate table is approved.
    """
    views = list_markets()
    wanted = views if markets is None else [named_market(views, *market) for market in markets]
    orders = load_orders()
    rates = load_named(orders)
    book = standing(orders, rates, load_markets(views, on))
    labels = _labels(orders)
    moments = _moments(orders, rates, labels)
    rows: list[BookRow] = []
    for view in wanted:
        place = next(n for n, other in enumerate(views) if other.market_id == view.market_id)
        entries = _entries(orders, book, book.of(place), named=named)
        rows += _rows(_Market(views, view, book, entries), labels, moments, len(rows), named=named)
    return rows


@dataclass(frozen=True)
class _Labels:
    """How orders are told outside, one of each an order."""

    offers: list[UUID]
    lenders: list[UUID]
    placed_on: list[date]


@dataclass(frozen=True)
class _Entries:
    """Entries of one market that give something, in queue order; pence."""

    row: IntArray
    limit: IntArray
    available: IntArray


@dataclass(frozen=True)
class _Market:
    views: Sequence[MarketView]
    view: MarketView
    book: Standing
    entries: _Entries


# When the rate of an order (row) was set in a market (id).
_Moments = dict[tuple[int, int], datetime]


def _labels(orders: Orders) -> _Labels:
    offers = Offer.objects.in_bulk(orders.offer_id.tolist())
    lenders = dict(
        Member.objects.filter(pk__in=np.unique(orders.lender_id).tolist()).values_list(
            "pk", "public_id"
        )
    )
    return _Labels(
        offers=[offers[key].public_id for key in orders.offer_id.tolist()],
        lenders=[lenders[key] for key in orders.lender_id.tolist()],
        placed_on=[offers[key].placed_on for key in orders.offer_id.tolist()],
    )


def _moments(orders: Orders, rates: NamedRates, labels: _Labels) -> _Moments:
    """A date for each rate, rising with the places in the queues."""
    moments: _Moments = {}
    last = datetime.min.replace(tzinfo=UTC)
    orders_of = np.searchsorted(orders.offer_id, rates.offer_id)
    for row in np.argsort(rates.place).tolist():
        order = int(orders_of[row])
        placed = datetime.combine(labels.placed_on[order], time(), UTC)
        last = max(placed, last + _SECOND)
        moments[order, int(rates.market_id[row])] = last
    return moments


def _entries(orders: Orders, book: Standing, rows: IntArray, *, named: bool) -> _Entries:
    rows = rows[book.most[rows] >= PENCE_PER_UNIT]
    available = book.most[rows] // PENCE_PER_UNIT * PENCE_PER_UNIT
    queue = queue_of(book, rows, orders, available)
    gives = takes(queue, nothing_held())
    limit = queue.limit
    if not named:
        limit = np.where(gives < np.minimum(limit, available), gives, limit)
    kept = limit > 0
    return _Entries(rows[kept], limit[kept], available[kept])


def _rows(
    market: _Market, labels: _Labels, moments: _Moments, before: int, *, named: bool
) -> list[BookRow]:
    """One market's rows; ``before`` rows of other markets come first."""
    book = market.book
    rows: list[BookRow] = []
    rate, moment = 0, datetime.min.replace(tzinfo=UTC)
    entries = (market.entries.row, market.entries.limit, market.entries.available)
    columns = zip(*(column.tolist() for column in entries), strict=True)
    for entry, limit, available in columns:
        order, origin = int(book.order[entry]), market.views[int(book.origin[entry])]
        told = moments[order, origin.market_id]
        # Of equal rates each is later than the one before it.
        moment = told if book.rate[entry] != rate else max(told, moment + _SECOND)
        rate = int(book.rate[entry])
        rows.append(
            BookRow(
                row=before + len(rows) + 2,
                member=str(labels.lenders[order]) if named else None,
                market=market.view.band,
                term=market.view.term_months,
                offer_name=str(labels.offers[order]) if named else MASK,
                offered_at=moment,
                original_market=origin.band,
                rate_ppm=rate,
                max_exposure=limit,
                available=available,
                loan_size=None,
                simple_rate=None,
            )
        )
    return rows
