"""Markets, their order books, and quotes."""

# ruff: noqa: ARG003, ARG004 - graphene hands root and info to every resolver.

from __future__ import annotations

from typing import Any

import graphene

from api.business_date import today
from api.graphql.access import signed_in
from api.graphql.refusals import Answer, refusal, refusing
from api.graphql.wire import Money, MoneyInput, Rate, RateInput, pence
from marketplace.core.errors import NotEnoughOffers
from marketplace.selectors.depth import MarketWithDepth, levels_of
from marketplace.selectors.market_history import MarketCycleView
from marketplace.selectors.markets import MarketView
from marketplace.selectors.quotes import PlatformQuote, ask_about_loan

PPM = 1_000_000


class MarketName(graphene.ObjectType):
    """A market's name: a band of risk over a term."""

    band = graphene.String(required=True, description="A*, A, B, C, D or E.")
    term_months = graphene.Int(required=True)


class RateLevel(graphene.ObjectType):
    """The money of one rate; who offers it is not told."""

    rate = graphene.Field(Rate, required=True)
    amount = graphene.Field(Money, required=True, description="Money at this rate.")
    cumulative = graphene.Field(
        Money, required=True, description="Money at this rate and all lower ones."
    )
    offers = graphene.Int(required=True, description="How many offers.")


class Depth(graphene.ObjectType):
    """An order book by rate. An offer counts in every market it stands in."""

    on_offer = graphene.Field(Money, required=True)
    offers = graphene.Int(required=True)
    best_rate = graphene.Field(Rate, description="The lowest rate asked.")
    marginal_rate = graphene.Field(Rate, description="What the last ten pounds would cost.")
    levels = graphene.List(graphene.NonNull(RateLevel), required=True)


class MarketCycle(graphene.ObjectType):
    """What a market did in one matching cycle."""

    run_on = graphene.Date(required=True)
    on_offer = graphene.Field(Money, required=True)
    best_rate = graphene.Field(Rate, description="The lowest rate on offer.")
    listings = graphene.Int(required=True, description="Loans that looked for money.")
    requested = graphene.Field(Money, required=True, description="How much they wanted together.")
    loans = graphene.Int(required=True, description="Loans funded.")
    lent = graphene.Field(Money, required=True)
    marginal_rate = graphene.Field(Rate, description="The highest rate lent at.")
    blend_rate = graphene.Field(Rate, description="What its loans cost together.")
    lowest_blend = graphene.Field(Rate, description="The cheapest loan's rate.")
    highest_blend = graphene.Field(Rate, description="The dearest loan's rate.")
    deviation = graphene.Float(
        required=True,
        description="Standard deviation of its loans' rates, weighted by amount, in basis points.",
    )

    @staticmethod
    def resolve_requested(root: MarketCycleView, info: graphene.ResolveInfo) -> int:
        """What all listings asked for."""
        return root.asked

    @staticmethod
    def resolve_deviation(root: MarketCycleView, info: graphene.ResolveInfo) -> float:
        """Stored in thousandths of a ppm; a basis point is 100 ppm."""
        return root.deviation / 100_000


class Expected(graphene.ObjectType):
    """When something will likely happen, if the market goes on as in the last 28 days."""

    early = graphene.Date(required=True, description="One chance in ten that it's by then.")
    likely = graphene.Date(required=True)
    late = graphene.Date(required=True, description="Nine chances in ten that it's by then.")


class Market(graphene.ObjectType):
    """A market with the approved rate table's figures."""

    name = graphene.String(required=True, description='Band and term, such as "A*/36".')
    band = graphene.String(required=True)
    term_months = graphene.Int(required=True)
    minimum_amount = graphene.Field(Money, required=True, description="Of one loan.")
    maximum_amount = graphene.Field(Money, required=True, description="Of one loan.")
    guide_rate = graphene.Field(Rate, required=True)
    lowest_rate = graphene.Field(Rate, required=True, description="The least an offer may ask.")
    highest_rate = graphene.Field(Rate, required=True, description="The most an offer may ask.")
    arrangement_fee = graphene.Field(
        Rate, required=True, description="Share of the loan kept back at pay-out; not a year's."
    )
    depth = graphene.Field(Depth, required=True)
    traded_rate = graphene.Field(
        Rate,
        required=True,
        description="What own-rate lenders got in the last 28 days, else the guide rate: pegs "
        "follow it.",
    )
    last_marginal_rate = graphene.Field(
        Rate, description="The highest rate lent at when it last lent; none before it ever did."
    )
    history = graphene.List(
        graphene.NonNull(MarketCycle),
        required=True,
        days=graphene.Int(default_value=28, description="1 to 366."),
        description="Its cycles, the newest first, at most 100.",
    )

    @classmethod
    def of(cls, found: MarketWithDepth) -> Any:
        """A market as read; the order book is read when it is asked for."""
        plain = {name: getattr(found.market, name) for name in _MARKET_FIELDS}
        market = cls(**plain)
        market.found = found
        return market

    @staticmethod
    def resolve_depth(root: Any, info: graphene.ResolveInfo) -> Any:
        """Read together with those of the other markets asked for."""
        return root.found.depth

    @staticmethod
    def resolve_traded_rate(root: Any, info: graphene.ResolveInfo) -> Any:
        """Read together with those of the other markets asked for."""
        return root.found.traded_rate

    @staticmethod
    def resolve_last_marginal_rate(root: Any, info: graphene.ResolveInfo) -> Any:
        """Read together with those of the other markets asked for."""
        return root.found.last_marginal_rate

    @staticmethod
    def resolve_history(root: Any, info: graphene.ResolveInfo, days: int) -> Any:
        """Read together with those of the other markets asked for."""
        return root.found.history(days)


_MARKET_FIELDS = (
    "name",
    "band",
    "term_months",
    "minimum_amount",
    "maximum_amount",
    "guide_rate",
    "lowest_rate",
    "highest_rate",
    "arrangement_fee",
)


class Rung(graphene.ObjectType):
    """What a loan of another amount would cost."""

    amount = graphene.Field(Money, required=True)
    rate = graphene.Field(Rate, required=True)
    marginal_rate = graphene.Field(Rate, required=True)


class Quote(graphene.ObjectType):
    """What a loan would cost from the offers that stand now. It reserves nothing."""

    market = graphene.Field(MarketName, required=True)
    amount = graphene.Field(Money, required=True)
    rate = graphene.Field(Rate, required=True, description="The blend of the offers' rates.")
    marginal_rate = graphene.Field(
        Rate, required=True, description="The rate of the last offer that takes part."
    )
    instalment = graphene.Field(Money, required=True, description="Each month's.")
    total_repayable = graphene.Field(Money, required=True)
    arrangement_fee = graphene.Field(Money, required=True, description="Kept back at pay-out.")
    apr = graphene.Field(Rate, required=True, description="With the arrangement fee counted.")
    offers = graphene.Int(required=True, description="How many offers take part.")
    levels = graphene.List(
        graphene.NonNull(RateLevel), required=True, description="The blend: money by rate."
    )
    ladder = graphene.List(
        graphene.NonNull(Rung),
        required=True,
        description="How the rate grows with the amount, as far as the order book goes.",
    )

    @staticmethod
    def resolve_levels(root: Any, info: graphene.ResolveInfo) -> Any:
        """The quote's parts by rate."""
        return levels_of(root.parts)


class QuoteAnswer(Answer, graphene.ObjectType):
    """A quote, or why there is none."""

    quote = graphene.Field(Quote)
    funded_by = graphene.Field(
        Expected,
        description="By when a listing of this amount would likely be funded, with a quote or "
        "without enough offers; none where nothing was lent lately at such rates.",
    )

    @classmethod
    @refusing
    def ask(
        cls,
        root: Any,
        info: graphene.ResolveInfo,
        band: str,
        term_months: int,
        amount: MoneyInput,
        highest_rate: RateInput | None = None,
    ) -> Any:
        """A borrower's own quote leaves out their own offers and what lenders hold in them."""
        member = signed_in(info)
        asked = ask_about_loan(
            band=band,
            term_months=term_months,
            amount=pence(amount, field="amount"),
            on=today(),
            borrower_id=member.pk if member.is_borrower else None,
        )
        highest = None if highest_rate is None else highest_rate.ppm
        try:
            answer = {"quote": _quote(asked.quote())}
        except NotEnoughOffers as error:
            answer = {"errors": [refusal(error)]}
        return cls(funded_by=asked.funded_by(highest), **answer)


def _quote(found: PlatformQuote) -> Any:
    quote, market = found.quote, found.market
    shown = Quote(
        market=_name(market),
        amount=quote.amount,
        rate=quote.rate_ppm,
        marginal_rate=quote.marginal_rate_ppm,
        instalment=quote.instalment,
        total_repayable=quote.total_repayable,
        arrangement_fee=quote.arrangement_fee,
        apr=round(quote.apr * PPM),
        offers=quote.offers,
    )
    shown.parts = quote.parts
    shown.ladder = found.ladder
    return shown


def _name(market: MarketView) -> Any:
    return MarketName(band=market.band, term_months=market.term_months)
