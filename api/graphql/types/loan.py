"""Loans: as a lender sees them in a part, and as their borrower does."""

# ruff: noqa: ARG003, ARG004 - graphene hands root and info to every resolver.

from __future__ import annotations

from typing import Any

import graphene
from graphene import relay

from api.graphql.types.market import MarketName
from api.graphql.wire import LoanStateType, Money, Rate
from marketplace.selectors.borrowings import BorrowedLoanView
from marketplace.selectors.loan_views import LoanView


class Instalment(graphene.ObjectType):
    """What falls due on one day, and what of it is paid."""

    number = graphene.Int(required=True)
    due_on = graphene.Date(required=True)
    principal_due = graphene.Field(Money, required=True)
    interest_planned = graphene.Field(Money, required=True, description="By the contract.")
    interest_due = graphene.Field(Money, description="Fixed on the day; none before it.")
    total_due = graphene.Field(Money, required=True)
    principal_paid = graphene.Field(Money, required=True)
    interest_paid = graphene.Field(Money, required=True)
    is_paid = graphene.Boolean(required=True)


class LoanFields:
    """What lenders and the borrower both see of a loan. Nobody is named."""

    public_id = graphene.UUID(required=True)
    market = graphene.Field(MarketName, required=True)
    amount = graphene.Field(Money, required=True)
    term_months = graphene.Int(required=True)
    rate = graphene.Field(Rate, required=True, description="The blend that the borrower pays.")
    instalment = graphene.Field(Money, required=True, description="Each month's.")
    state = graphene.Field(LoanStateType, required=True)
    principal_paid = graphene.Field(Money, required=True)
    interest_paid = graphene.Field(Money, required=True)
    outstanding = graphene.Field(Money, required=True)
    funded_on = graphene.Date(required=True)
    paid_out_on = graphene.Date()
    closed_on = graphene.Date()
    defaulted_on = graphene.Date()
    instalments = graphene.List(
        graphene.NonNull(Instalment), required=True, description="None before pay-out."
    )

    @staticmethod
    def resolve_id(root: LoanView, info: graphene.ResolveInfo) -> Any:
        """The public id becomes the global one."""
        return root.public_id

    @staticmethod
    def resolve_market(root: LoanView, info: graphene.ResolveInfo) -> Any:
        """The loan's own band and term."""
        return MarketName(band=root.band, term_months=root.term_months)


class Loan(LoanFields, graphene.ObjectType):
    """A loan of which the lender who asks holds a part."""

    class Meta:
        interfaces = (relay.Node,)

    @classmethod
    def is_type_of(cls, root: Any, info: graphene.ResolveInfo) -> bool:
        """Exactly a lender's view."""
        return type(root) is LoanView


class MyLoan(LoanFields, graphene.ObjectType):
    """A loan of the borrower who asks, with what it costs."""

    class Meta:
        interfaces = (relay.Node,)

    arrangement_fee = graphene.Field(Money, required=True, description="Kept back at pay-out.")
    paid_out = graphene.Field(
        Money, required=True, description="What reaches the borrower: amount less fee."
    )
    total_repayable = graphene.Field(Money, description="By the contract; none before pay-out.")
    apr = graphene.Field(Rate, description="By the contract; none before pay-out.")

    @classmethod
    def is_type_of(cls, root: Any, info: graphene.ResolveInfo) -> bool:
        """Exactly a borrower's view."""
        return type(root) is BorrowedLoanView


class MyLoanConnection(relay.Connection):
    """A borrower's loans, the newest first."""

    class Meta:
        node = MyLoan
        strict_types = True
