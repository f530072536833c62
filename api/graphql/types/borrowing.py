"""What a borrower asks for: applications and listings."""

# ruff: noqa: ARG004 - graphene hands root and info to every resolver.

from __future__ import annotations

from typing import Any

import graphene
from graphene import relay

from api.graphql.types.market import MarketName
from api.graphql.wire import ApplicationStateType, ListingStateType, Money, Rate
from marketplace.selectors.borrowings import ApplicationView, ListingView


class Application(graphene.ObjectType):
    """What a borrower asked for, and what was said of it."""

    class Meta:
        interfaces = (relay.Node,)
        possible_types = (ApplicationView,)

    public_id = graphene.UUID(required=True)
    amount = graphene.Field(Money, required=True)
    term_months = graphene.Int(required=True)
    applied_on = graphene.Date(required=True)
    state = graphene.Field(ApplicationStateType, required=True)
    band = graphene.String(description="None until assessed, and beyond the last band.")
    guide_rate = graphene.Field(Rate)
    reasons = graphene.List(
        graphene.NonNull(graphene.String), required=True, description="Of the assessment."
    )

    @staticmethod
    def resolve_id(root: ApplicationView, info: graphene.ResolveInfo) -> Any:
        """The public id becomes the global one."""
        return root.public_id


class ApplicationConnection(relay.Connection):
    """A borrower's applications, the newest first."""

    class Meta:
        node = Application
        strict_types = True


class Listing(graphene.ObjectType):
    """An assessed loan that looks for money."""

    class Meta:
        interfaces = (relay.Node,)
        possible_types = (ListingView,)

    application = graphene.Field(Application, required=True)
    market = graphene.Field(MarketName, required=True)
    amount = graphene.Field(Money, required=True)
    highest_rate = graphene.Field(Rate, required=True, description="The most that is paid.")
    listed_on = graphene.Date(required=True)
    expires_on = graphene.Date(required=True)
    state = graphene.Field(ListingStateType, required=True)
    waits_because = graphene.String(description="Why the last cycle did not fund it.")

    @staticmethod
    def resolve_id(root: ListingView, info: graphene.ResolveInfo) -> Any:
        """The application's public id becomes the listing's global one."""
        return root.public_id

    @staticmethod
    def resolve_market(root: ListingView, info: graphene.ResolveInfo) -> Any:
        """Where it is listed."""
        return MarketName(band=root.band, term_months=root.term_months)


class ListingConnection(relay.Connection):
    """A borrower's listings, the newest first."""

    class Meta:
        node = Listing
        strict_types = True
