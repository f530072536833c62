"""Markets, their order books, and quotes."""

# ruff: noqa: ARG003, ARG004 - graphene hands root and info to every resolver.

from __future__ import annotations

from typing import Any

import graphene

from api.business_date import today
from api.graphql.access import signed_in
from api.graphql.refusals import Answer, refusing
from api.graphql.wire import Money, MoneyInput, Rate, pence
from marketplace.selectors.depth import MarketWithDepth, levels_of
from marketplace.selectors.markets import MarketView
from marketplace.selectors.quotes import PlatformQuote, quote_loan

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

    @staticmethod
    def resolve_levels(root: Any, info: graphene.ResolveInfo) -> Any:
        """The quote's parts by rate."""
        return levels_of(root.parts)


class QuoteAnswer(Answer, graphene.ObjectType):
    """A quote, or why there is none."""

    quote = graphene.Field(Quote)

    @classmethod
    @refusing
    def ask(
        cls,
        root: Any,
        info: graphene.ResolveInfo,
        band: str,
        term_months: int,
        amount: MoneyInput,
    ) -> Any:
        """A borrower's own quote leaves out their own offers and what lenders hold in them."""
        member = signed_in(info)
        found = quote_loan(
            band=band,
            term_months=term_months,
            amount=pence(amount, field="amount"),
            on=today(),
            borrower_id=member.pk if member.is_borrower else None,
        )
        return cls(quote=_quote(found))


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
    return shown


def _name(market: MarketView) -> Any:
    return MarketName(band=market.band, term_months=market.term_months)
