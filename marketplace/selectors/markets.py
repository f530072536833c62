"""Questions about markets: their bounds, their order books, what a loan would cost there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from marketplace.core.errors import MarketplaceRefusal
from marketplace.core.offers import MarketBounds
from marketplace.core.rates import PPM
from marketplace.models import Market
from risk.selectors.rate_tables import RateTableView, current_rate_table


class MarketUnknown(MarketplaceRefusal):
    """A market that does not exist."""

    code = "MARKET_UNKNOWN"


@dataclass(frozen=True)
class MarketView:
    """A market with the approved rate table's figures for it; rates in annual effective ppm."""

    market_id: int
    band: str
    term_months: int
    position: int
    minimum_amount: int
    maximum_amount: int
    guide_rate: int
    lowest_rate: int
    highest_rate: int
    arrangement_fee: int
    contribution: int

    @property
    def name(self) -> str:
        """Band and term."""
        return f"{self.band}/{self.term_months}"

    def fee_on(self, amount: int) -> int:
        """The arrangement fee on a loan of ``amount`` pence, in pence.

        Rounded down: a fraction of a penny stays with the borrower.
        """
        return amount * self.arrangement_fee // PPM

    def contribution_on(self, amount: int) -> int:
        """The provision fund's part of that fee, in pence, rounded down."""
        return amount * self.contribution // PPM

    @property
    def bounds(self) -> MarketBounds:
        """What its queue accepts."""
        return MarketBounds(
            market_id=self.market_id,
            name=self.name,
            term_months=self.term_months,
            position=self.position,
            lowest=self.lowest_rate,
            highest=self.highest_rate,
        )


def list_markets(rate_table: RateTableView | None = None) -> list[MarketView]:
    """Every open market that the approved rate table prices, by term and band.

    Two statements, or one when the rate table is handed in.

    Raises:
        risk.core.errors.RiskRefusal: no rate table is approved.
    """
    table = rate_table or current_rate_table()
    priced = {(row.band, row.term_months): row for row in table.rows}
    return [
        MarketView(
            market_id=market.pk,
            band=market.band,
            term_months=market.term_months,
            position=market.position,
            minimum_amount=market.minimum_amount,
            maximum_amount=market.maximum_amount,
            guide_rate=row.guide_rate,
            lowest_rate=row.lowest_rate,
            highest_rate=row.highest_rate,
            arrangement_fee=row.arrangement_fee_ppm,
            contribution=row.contribution_ppm,
        )
        for market in Market.objects.all()
        if (row := priced.get((market.band, market.term_months))) is not None
    ]


def named_market(markets: Sequence[MarketView], band: str, term_months: int) -> MarketView:
    """The market of a band and a term among those given.

    Raises:
        MarketUnknown: there is none; says which there are.
    """
    for market in markets:
        if (market.band, market.term_months) == (band, term_months):
            return market
    names = ", ".join(market.name for market in markets)
    raise MarketUnknown(f"There is no market {band}/{term_months}; there are {names}.")
