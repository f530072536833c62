"""What a lender has: parts, their totals, and offers."""

# ruff: noqa: ARG004 - graphene hands root and info to every resolver.

from __future__ import annotations

from typing import Any

import graphene
from graphene import relay

from api.graphql.access import lender
from api.graphql.types.loan import Loan
from api.graphql.wire import Money, OfferStateType, Rate
from marketplace.selectors.offers import OfferView
from marketplace.selectors.portfolio import PartView, portfolio_totals


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

    @staticmethod
    def resolve_totals(root: Any, info: graphene.ResolveInfo) -> Any:
        """Over all parts, whatever the page."""
        return portfolio_totals(lender(info).pk)


class StandingRate(graphene.ObjectType):
    """A rate at which an offer stands in a market."""

    band = graphene.String(required=True)
    term_months = graphene.Int(required=True)
    rate = graphene.Field(Rate, required=True)
    named_in = graphene.String(
        required=True, description="The band whose rate was named; another one implies this."
    )


class Offer(graphene.ObjectType):
    """A lender's standing order."""

    class Meta:
        interfaces = (relay.Node,)
        possible_types = (OfferView,)

    public_id = graphene.UUID(required=True)
    amount = graphene.Field(Money, required=True, description="What was placed.")
    available = graphene.Field(Money, required=True, description="What is not yet matched.")
    exposure_limit = graphene.Field(Money, required=True, description="The most for one borrower.")
    placed_on = graphene.Date(required=True)
    state = graphene.Field(OfferStateType, required=True)
    rates = graphene.List(graphene.NonNull(StandingRate), required=True)

    @staticmethod
    def resolve_id(root: OfferView, info: graphene.ResolveInfo) -> Any:
        """The public id becomes the global one."""
        return root.public_id


class OfferConnection(relay.Connection):
    """A lender's offers, the newest first."""

    class Meta:
        node = Offer
        strict_types = True
