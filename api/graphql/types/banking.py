"""Money out: where it goes, and how far it is."""

# ruff: noqa: ARG004 - graphene hands root and info to every resolver.

from __future__ import annotations

from typing import Any

import graphene
from graphene import relay

from accounts.core.bank_states import DetailsState, PaymentState
from accounts.selectors.banking import PaymentView, withdrawals_page
from api.graphql.ids import public_id
from api.graphql.paging import connection
from api.graphql.wire import Money
from marketplace.selectors.paging import Page, PageWanted

BankDetailsState = graphene.Enum.from_enum(DetailsState, name="BankDetailsState")
WithdrawalState = graphene.Enum.from_enum(PaymentState, name="WithdrawalState")


class BankDetails(graphene.ObjectType):
    """The bank account to which a member's withdrawals go."""

    holder = graphene.String(required=True)
    masked = graphene.String(required=True, description="The account's last characters.")
    state = graphene.Field(BankDetailsState, required=True)
    usable_from = graphene.Date(description="The first day of withdrawals, once verified.")


class DirectDebit(graphene.ObjectType):
    """A borrower's leave to collect what falls due from their bank account."""

    reference = graphene.String(required=True, description="The mandate's, as the bank shows it.")
    masked = graphene.String(required=True, description="The account's last characters.")
    signed_on = graphene.Date(required=True)
    cancelled_on = graphene.Date(description="The day from which nothing more is asked for.")


class Withdrawal(graphene.ObjectType):
    """Cash on its way to the member's bank."""

    class Meta:
        interfaces = (relay.Node,)
        possible_types = (PaymentView,)

    public_id = graphene.UUID(required=True)
    amount = graphene.Field(Money, required=True)
    state = graphene.Field(WithdrawalState, required=True)
    masked = graphene.String(required=True, description="The account's last characters.")
    requested_on = graphene.Date(required=True)

    @staticmethod
    def resolve_id(root: PaymentView, info: graphene.ResolveInfo) -> Any:
        """The public id becomes the global one."""
        return root.public_id


class WithdrawalConnection(relay.Connection):
    """A member's withdrawals, the newest first."""

    class Meta:
        node = Withdrawal
        strict_types = True


def withdrawals(member_id: int, page: PageWanted) -> Any:
    """One page of a member's withdrawals."""
    after = None if page.after is None else public_id(page.after, field="after")
    rows, more = withdrawals_page(member_id, size=page.size, after=after)
    found = Page(tuple(rows), has_next=more, has_previous=after is not None)
    return connection(WithdrawalConnection, found)
