"""All markets at a glance, for the people of operations."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from django.db.models import Count, Sum

from marketplace.core.states import ListingState
from marketplace.models import CycleMarket, Listing
from marketplace.selectors.depth import markets_with_depth
from marketplace.selectors.traded import traded_rates


@dataclass(frozen=True)
class BoardRow:
    """A market as it stands; amounts in pence, rates in annual effective ppm.

    Attributes:
        market: band and term.
        guide_rate: of the approved rate table.
        traded_rate: what own-rate lenders got lately; the guide rate where nothing traded.
        best_rate, marginal_rate: the lowest and the highest rate asked; ``None`` without offers.
        on_offer: money that stands in the queue; an offer's counts in each of its markets.
        offers: entries of the queue.
        open_listings, asked: how many listings look for money, and for how much.
        last_cycle_on: business date of the newest cycle that cleared this market, if any.
        last_loans, last_lent: what it funded there.
    """

    market: str
    guide_rate: int
    traded_rate: int
    best_rate: int | None
    marginal_rate: int | None
    on_offer: int
    offers: int
    open_listings: int
    asked: int
    last_cycle_on: date | None
    last_loans: int
    last_lent: int


def market_board(on: date) -> list[BoardRow]:
    """Every market on a business date, by term and band; nine statements.

    Raises:
        risk.core.errors.RiskRefusal: no rate table is approved.
    """
    markets = markets_with_depth(on)
    traded = traded_rates(on)
    asking = {
        row["market"]: row
        for row in Listing.objects.filter(state=ListingState.OPEN)
        .values("market")
        .annotate(listings=Count("pk"), asked=Sum("amount"))
        .order_by("market_id")
    }
    newest = CycleMarket.objects.order_by("market_id", "-cycle_id").distinct("market_id")
    last = {row.market_id: row for row in newest.select_related("cycle")}
    board = []
    for each in markets:
        view, depth = each.market, each.depth
        asks, did = asking.get(view.market_id), last.get(view.market_id)
        board.append(
            BoardRow(
                market=view.name,
                guide_rate=view.guide_rate,
                traded_rate=traded.get(view.market_id, view.guide_rate),
                best_rate=depth.best_rate,
                marginal_rate=depth.marginal_rate,
                on_offer=depth.on_offer,
                offers=depth.offers,
                open_listings=asks["listings"] if asks else 0,
                asked=asks["asked"] if asks else 0,
                last_cycle_on=did.cycle.run_on if did else None,
                last_loans=did.loans if did else 0,
                last_lent=did.lent if did else 0,
            )
        )
    return board
