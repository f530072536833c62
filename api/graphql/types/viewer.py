"""Who is signed in, and what they have."""

# ruff: noqa: ARG004 - graphene hands root and info to every resolver.

from __future__ import annotations

from typing import Any

import graphene
from graphene import relay

from accounts.core.references import payment_reference
from accounts.models import Member
from accounts.selectors.banking import DetailsView, current_bank_details
from accounts.selectors.collecting import MandateView, current_mandate
from accounts.selectors.ledger import Balances as BalancesView
from accounts.selectors.ledger import member_balances
from api.business_date import today
from api.graphql.paging import PageField, connection, wanted
from api.graphql.types.banking import (
    BankDetails,
    DirectDebit,
    WithdrawalConnection,
    withdrawals,
)
from api.graphql.types.borrowing import ApplicationConnection, ListingConnection
from api.graphql.types.lending import LenderSpread, OfferConnection
from api.graphql.types.notice import NoticeConnection
from api.graphql.types.statement import StatementConnection, StatementField, ask
from api.graphql.wire import MemberRole, Money
from marketplace.core.answers import LenderSpread as SpreadView
from marketplace.selectors.answers import spread_of_lender
from marketplace.selectors.borrowings import applications_page, listings_page
from marketplace.selectors.notices import notices_page
from marketplace.selectors.offers import offers_page


class Balances(graphene.ObjectType):
    """A member's money, by where it is."""

    cash = graphene.Field(Money, required=True, description="Free to offer or to withdraw.")
    on_offer = graphene.Field(Money, required=True, description="In the order book.")
    matched = graphene.Field(Money, required=True, description="For loans not yet paid out.")
    on_its_way = graphene.Field(Money, required=True, description="Sent to the bank.")


class Viewer(graphene.ObjectType):
    """Who is signed in."""

    class Meta:
        interfaces = (relay.Node,)
        possible_types = (Member,)

    public_id = graphene.UUID(required=True)
    name = graphene.String(required=True)
    email = graphene.String(required=True)
    role = graphene.Field(MemberRole, required=True)
    is_lender = graphene.Boolean(required=True)
    is_borrower = graphene.Boolean(required=True)
    balances = graphene.Field(Balances, description="None for staff, who hold no money.")
    applications = PageField(ApplicationConnection, required=True)
    listings = PageField(ListingConnection, required=True)
    offers = PageField(OfferConnection, required=True)
    spread = graphene.Field(
        LenderSpread, description="How well a lender's money is spread; none for who isn't one."
    )
    payment_reference = graphene.String(
        description="Write it on every payment to us: it says whose money it is. None for staff."
    )
    bank_details = graphene.Field(BankDetails, description="Where withdrawals go, once verified.")
    direct_debit = graphene.Field(
        DirectDebit, description="The borrower's that stands; none if none does."
    )
    withdrawals = PageField(WithdrawalConnection, required=True)
    notices = PageField(NoticeConnection, required=True)
    statement = StatementField(
        StatementConnection,
        description="What moved in one of the member's accounts; none for staff.",
    )

    @staticmethod
    def resolve_id(root: Member, info: graphene.ResolveInfo) -> Any:
        """The public id becomes the global one."""
        return root.public_id

    @staticmethod
    def resolve_balances(root: Member, info: graphene.ResolveInfo) -> BalancesView | None:
        """Stored balances."""
        return None if root.is_staff else member_balances(root.pk)

    @staticmethod
    def resolve_applications(
        root: Member, info: graphene.ResolveInfo, first: int | None = None, after: str | None = None
    ) -> Any:
        """The member's own."""
        return connection(ApplicationConnection, applications_page(root.pk, wanted(first, after)))

    @staticmethod
    def resolve_listings(
        root: Member, info: graphene.ResolveInfo, first: int | None = None, after: str | None = None
    ) -> Any:
        """The member's own."""
        return connection(ListingConnection, listings_page(root.pk, wanted(first, after)))

    @staticmethod
    def resolve_offers(
        root: Member, info: graphene.ResolveInfo, first: int | None = None, after: str | None = None
    ) -> Any:
        """The member's own."""
        return connection(OfferConnection, offers_page(root.pk, wanted(first, after), today()))

    @staticmethod
    def resolve_spread(root: Member, info: graphene.ResolveInfo) -> SpreadView | None:
        """The member's own."""
        return spread_of_lender(root.pk) if root.is_lender else None

    @staticmethod
    def resolve_statement(root: Member, info: graphene.ResolveInfo, **wanted: Any) -> Any:
        """The member's own."""
        return None if root.is_staff else ask(root.pk, **wanted)

    @staticmethod
    def resolve_payment_reference(root: Member, info: graphene.ResolveInfo) -> str | None:
        """The member's own."""
        return None if root.is_staff else payment_reference(root.pk)

    @staticmethod
    def resolve_bank_details(root: Member, info: graphene.ResolveInfo) -> DetailsView | None:
        """The member's own; of the account only the last characters."""
        return current_bank_details(root.pk)

    @staticmethod
    def resolve_direct_debit(root: Member, info: graphene.ResolveInfo) -> MandateView | None:
        """The member's own; of the account only the last characters."""
        return current_mandate(root.pk)

    @staticmethod
    def resolve_withdrawals(
        root: Member, info: graphene.ResolveInfo, first: int | None = None, after: str | None = None
    ) -> Any:
        """The member's own."""
        return withdrawals(root.pk, wanted(first, after))

    @staticmethod
    def resolve_notices(
        root: Member, info: graphene.ResolveInfo, first: int | None = None, after: str | None = None
    ) -> Any:
        """The member's own."""
        return connection(NoticeConnection, notices_page(root.pk, wanted(first, after)))
