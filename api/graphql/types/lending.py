"""What a lender has: parts, their totals, offers, and the answers to them."""

# ruff: noqa: ARG004 - graphene hands root and info to every resolver.

from __future__ import annotations

from typing import Any

import graphene
from graphene import relay
from graphql_relay import to_global_id

from api.graphql.access import lender
from api.graphql.paging import PageField, connection, wanted
from api.graphql.types.loan import Loan
from api.graphql.types.market import Expected
from api.graphql.wire import MatchAnswerType, Money, OfferStateType, PricingType, Rate, Share
from api.wording import answered
from marketplace.core.answers import LenderSpread as SpreadView
from marketplace.core.loan_events import DistributionKind
from marketplace.selectors.answers import LastAnswer
from marketplace.selectors.offers import OfferView
from marketplace.selectors.portfolio import PartView, portfolio_totals
from marketplace.selectors.receipts import Receipt as ReceiptView
from marketplace.selectors.receipts import receipts_page

DistributionKindType = graphene.Enum.from_enum(DistributionKind)


class Receipt(graphene.ObjectType):
    """What one distribution brought to a lender's part; a correction may take something back."""

    part_id = graphene.ID(required=True, description="The part, by its global id.")
    spread_on = graphene.Date(required=True)
    kind = graphene.Field(DistributionKindType, required=True)
    principal = graphene.Field(Money, required=True)
    interest = graphene.Field(Money, required=True, description="Before the fee.")
    fee = graphene.Field(Money, required=True)
    net = graphene.Field(Money, required=True, description="What reached the lender's cash.")

    @staticmethod
    def resolve_part_id(root: ReceiptView, info: graphene.ResolveInfo) -> str:
        """The public id becomes the global one."""
        return to_global_id("Part", root.part_id)


class ReceiptConnection(relay.Connection):
    """What came to a lender's parts, the newest first."""

    class Meta:
        node = Receipt
        strict_types = True


class Part(graphene.ObjectType):
    """A lender's part of a loan."""

    class Meta:
        interfaces = (relay.Node,)
        possible_types = (PartView,)

    number = graphene.Int(required=True, description="The part's place in the loan.")
    size = graphene.Field(Money, required=True)
    rate = graphene.Field(Rate, required=True, description="What the lender asked and is paid.")
    expected_return = graphene.Field(
        Rate,
        required=True,
        description="What the lender was told to expect a year when matched, after fee and losses.",
    )
    principal_received = graphene.Field(Money, required=True)
    interest_received = graphene.Field(Money, required=True, description="Before the fee.")
    fee_paid = graphene.Field(Money, required=True)
    outstanding = graphene.Field(Money, required=True)
    loan = graphene.Field(Loan, required=True)
    distributions = graphene.List(
        graphene.NonNull(Receipt),
        required=True,
        description="What each distribution of the loan brought, the newest first.",
    )

    @staticmethod
    def resolve_distributions(root: PartView, info: graphene.ResolveInfo) -> Any:
        """Read for all parts of the page at once."""
        return root.receipts

    @staticmethod
    def resolve_id(root: PartView, info: graphene.ResolveInfo) -> str:
        """The public id becomes the global one."""
        return root.public_id


class PortfolioTotals(graphene.ObjectType):
    """Sums over all parts of loans that were paid out.

    lent = principalReceived + outstanding + defaulted.
    """

    parts = graphene.Int(required=True)
    borrowers = graphene.Int(required=True, description="How many different ones.")
    lent = graphene.Field(Money, required=True)
    outstanding = graphene.Field(Money, required=True, description="Without the defaulted.")
    defaulted = graphene.Field(
        Money, required=True, description="Principal open on loans in default or lost."
    )
    principal_received = graphene.Field(Money, required=True)
    interest_received = graphene.Field(Money, required=True, description="Before fees.")
    fee_paid = graphene.Field(Money, required=True)


class PortfolioConnection(relay.Connection):
    """A lender's parts, the newest first, and their totals."""

    class Meta:
        node = Part
        name = "PortfolioConnection"
        strict_types = True

    totals = graphene.Field(PortfolioTotals, required=True)
    receipts = PageField(
        ReceiptConnection, required=True, description="Of all parts, whatever the page."
    )

    @staticmethod
    def resolve_totals(root: Any, info: graphene.ResolveInfo) -> Any:
        """Over all parts, whatever the page."""
        return portfolio_totals(lender(info).pk)

    @staticmethod
    def resolve_receipts(
        root: Any, info: graphene.ResolveInfo, first: int | None = None, after: str | None = None
    ) -> Any:
        """Of all parts, whatever the page."""
        page = receipts_page(lender(info).pk, wanted(first, after))
        return connection(ReceiptConnection, page)


class AskedRate(graphene.ObjectType):
    """What an offer asks in one market: a rate, a peg, or a place in the pool's mix."""

    band = graphene.String(required=True)
    term_months = graphene.Int(required=True)
    pricing = graphene.Field(PricingType, required=True)
    rate = graphene.Field(Rate, description="Of an own rate.")
    margin = graphene.Field(Rate, description="Of a peg: over the traded rate, or under it.")
    floor = graphene.Field(Rate, description="Of a peg: never below this.")
    share = graphene.Field(Share, description="Of the pool's mix: the most for this market.")


class StandingRate(graphene.ObjectType):
    """A rate at which an offer stands in a market."""

    band = graphene.String(required=True)
    term_months = graphene.Int(required=True)
    rate = graphene.Field(Rate, required=True)
    pricing = graphene.Field(PricingType, required=True, description="How the rate came about.")
    named_in = graphene.String(
        required=True, description="The band whose rate was named; another one implies this."
    )


class OfferAnswer(graphene.ObjectType):
    """What became of an offer in one market at the last cycle."""

    run_on = graphene.Date(required=True, description="The cycle's day.")
    code = graphene.Field(MatchAnswerType, required=True)
    words = graphene.String(required=True, description="A sentence for a person.")
    marginal_rate = graphene.Field(Rate, description="The highest rate lent at; none without.")

    @staticmethod
    def resolve_code(root: LastAnswer, info: graphene.ResolveInfo) -> Any:
        """The answer itself."""
        return root.answer

    @staticmethod
    def resolve_words(root: LastAnswer, info: graphene.ResolveInfo) -> str:
        """The answer for a person."""
        return answered(root.answer)


class QueuePlace(graphene.ObjectType):
    """Where an offer stands in one market's queue, and what is to be expected of it."""

    band = graphene.String(required=True)
    term_months = graphene.Int(required=True)
    rate = graphene.Field(Rate, description="None outside the market's bounds.")
    place = graphene.Int(description="1 is the front; none where it doesn't stand now.")
    ahead = graphene.Field(Money, description="Money before it; none where it doesn't stand now.")
    expected = graphene.Field(
        Expected,
        description="When its first £10 will likely be lent; none where nothing was lent lately at "
        "its rate or above. Money that comes later and asks less is not foreseen.",
    )
    last = graphene.Field(OfferAnswer, description="At the last cycle; none before the first.")


class Offer(graphene.ObjectType):
    """A lender's standing order."""

    class Meta:
        interfaces = (relay.Node,)
        possible_types = (OfferView,)

    public_id = graphene.UUID(required=True)
    amount = graphene.Field(Money, required=True, description="What was placed.")
    available = graphene.Field(Money, required=True, description="What is not yet matched.")
    repaid = graphene.Field(
        Money, required=True, description="How much of that came back from borrowers."
    )
    is_pool = graphene.Boolean(required=True, description="Whether it lends at the guide rate.")
    exposure_limit = graphene.Field(
        Money, description="The most for one borrower; none of a pool offer."
    )
    exposure_share = graphene.Field(
        Share, description="The same of a pool offer, as a share of its money."
    )
    tops_up = graphene.Boolean(
        required=True, description="Whether what borrowers repay is put on offer again."
    )
    placed_on = graphene.Date(required=True)
    state = graphene.Field(OfferStateType, required=True)
    asked = graphene.List(
        graphene.NonNull(AskedRate), required=True, description="As its lender named it."
    )
    rates = graphene.List(
        graphene.NonNull(StandingRate), required=True, description="As it stands today."
    )
    queue = graphene.List(
        graphene.NonNull(QueuePlace),
        required=True,
        description="Its place in each market, and the answers; empty once it is cancelled.",
    )

    @staticmethod
    def resolve_id(root: OfferView, info: graphene.ResolveInfo) -> Any:
        """The public id becomes the global one."""
        return root.public_id


class OfferConnection(relay.Connection):
    """A lender's offers, the newest first."""

    class Meta:
        node = Offer
        strict_types = True


class LenderSpread(graphene.ObjectType):
    """How well a lender's money is spread over those who owe it."""

    borrowers = graphene.Int(required=True, description="How many owe something.")
    lent = graphene.Field(Money, required=True, description="What they owe.")
    largest = graphene.Field(Money, required=True, description="The most that one of them owes.")
    largest_share = graphene.Field(Share, required=True, description="That, of all that is lent.")
    effective_borrowers = graphene.Float(
        required=True,
        description="One over the sum of squared shares: as many equal ones would be spread as "
        "well. 0 where nothing is lent.",
    )
    idle_share = graphene.Field(
        Share, required=True, description="Cash and money on offer, of all the lender's money."
    )

    @staticmethod
    def resolve_effective_borrowers(root: SpreadView, info: graphene.ResolveInfo) -> float:
        """To two decimals."""
        return round(root.effective, 2)
