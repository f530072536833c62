"""Loans: as a lender sees them in a part, and as their borrower does."""

# ruff: noqa: ARG003, ARG004 - graphene hands root and info to every resolver.

from __future__ import annotations

from typing import Any

import graphene
from graphene import relay

from api.business_date import today
from api.graphql.types.loan_quotes import LoanQuotes
from api.graphql.types.market import MarketName
from api.graphql.wire import LoanStateType, Money, Rate
from marketplace.core.loan_events import Excess, InstalmentKind, LoanEventKind, PaymentKind
from marketplace.selectors.borrowings import BorrowedLoanView
from marketplace.selectors.loan_records import PaymentOutcome
from marketplace.selectors.loan_views import LoanView

InstalmentKindType = graphene.Enum.from_enum(InstalmentKind)
PaymentKindType = graphene.Enum.from_enum(PaymentKind)
PaymentOutcomeType = graphene.Enum.from_enum(PaymentOutcome)
ExcessType = graphene.Enum.from_enum(Excess)
LoanEventKindType = graphene.Enum.from_enum(LoanEventKind)


class Instalment(graphene.ObjectType):
    """What falls due on one day, and what of it is paid."""

    number = graphene.Int(required=True)
    kind = graphene.Field(InstalmentKindType, required=True)
    due_on = graphene.Date(required=True)
    principal_due = graphene.Field(Money, required=True)
    interest_planned = graphene.Field(Money, required=True, description="By the contract.")
    interest_due = graphene.Field(Money, description="Fixed on the day; none before it.")
    total_due = graphene.Field(Money, required=True)
    principal_paid = graphene.Field(Money, required=True)
    interest_paid = graphene.Field(Money, required=True)
    is_paid = graphene.Boolean(required=True)


class Owed(graphene.ObjectType):
    """What has fallen due and isn't covered by payments."""

    interest = graphene.Field(Money, required=True)
    principal = graphene.Field(Money, required=True)
    total = graphene.Field(Money, required=True)


class LoanPayment(graphene.ObjectType):
    """What arrived from a borrower, and what became of it."""

    number = graphene.Int(required=True, description="Among the loan's payments and events.")
    kind = graphene.Field(PaymentKindType, required=True)
    amount = graphene.Field(Money, required=True)
    reference = graphene.String(required=True)
    excess = graphene.Field(
        ExcessType, required=True, description="What becomes of money beyond what is due."
    )
    outcome = graphene.Field(
        PaymentOutcomeType,
        required=True,
        description="WAITING until something is due; ALLOCATED: it counts; CLEARED: its money "
        "reached the lenders; BOUNCED: it counts for nothing.",
    )
    received_on = graphene.Date(required=True)
    clears_on = graphene.Date(required=True)
    allocated_on = graphene.Date()
    distributed_on = graphene.Date()
    bounced_on = graphene.Date()
    principal = graphene.Field(Money, required=True)
    interest = graphene.Field(Money, required=True)
    returned = graphene.Field(Money, required=True, description="Went back to the borrower's cash.")


class LoanEvent(graphene.ObjectType):
    """What happened to a loan beside payments; what its kind doesn't have is none."""

    number = graphene.Int(required=True, description="Among the loan's payments and events.")
    kind = graphene.Field(LoanEventKindType, required=True)
    effective_on = graphene.Date(required=True, description="The day from which it counts.")
    recorded_on = graphene.Date(required=True)
    amount = graphene.Field(Money)
    interest = graphene.Field(Money)
    months = graphene.Int()
    day = graphene.Int(description="Of the month on which instalments fall due from then on.")
    until = graphene.Date()
    voided_on = graphene.Date(description="When it was taken back.")


class LoanFields:
    """What lenders and the borrower both see of a loan. Nobody is named."""

    public_id = graphene.UUID(required=True)
    market = graphene.Field(MarketName, required=True)
    amount = graphene.Field(Money, required=True)
    term_months = graphene.Int(required=True)
    rate = graphene.Field(Rate, required=True, description="The blend that the borrower pays.")
    instalment = graphene.Field(Money, required=True, description="Each month's.")
    state = graphene.Field(LoanStateType, required=True)
    principal_paid = graphene.Field(
        Money, required=True, description="Covered by payments, cleared or not."
    )
    interest_paid = graphene.Field(Money, required=True)
    outstanding = graphene.Field(Money, required=True)
    days_past_due = graphene.Int(
        required=True,
        description="Since the oldest due date not covered; 0 where none is late.",
    )
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

    @staticmethod
    def resolve_days_past_due(root: LoanView, info: graphene.ResolveInfo) -> int:
        """As of today's business date."""
        return root.days_past_due(today())


class Loan(LoanFields, graphene.ObjectType):
    """A loan of which the lender who asks holds a part."""

    class Meta:
        interfaces = (relay.Node,)

    @classmethod
    def is_type_of(cls, root: Any, info: graphene.ResolveInfo) -> bool:
        """Exactly a lender's view."""
        return type(root) is LoanView


class MyLoan(LoanQuotes, LoanFields, graphene.ObjectType):
    """A loan of the borrower who asks, with what it costs."""

    class Meta:
        interfaces = (relay.Node,)

    arrangement_fee = graphene.Field(Money, required=True, description="Kept back at pay-out.")
    paid_out = graphene.Field(
        Money, required=True, description="What reaches the borrower: amount less fee."
    )
    total_repayable = graphene.Field(Money, description="By the contract; none before pay-out.")
    apr = graphene.Field(Rate, description="By the contract; none before pay-out.")
    owed = graphene.Field(Owed, required=True, description="What is to be paid now.")
    next_instalment = graphene.Field(
        Instalment, description="The first that has not fallen due; none where nothing will."
    )
    payments = graphene.List(graphene.NonNull(LoanPayment), required=True, description="By number.")
    events = graphene.List(graphene.NonNull(LoanEvent), required=True, description="By number.")

    @classmethod
    def is_type_of(cls, root: Any, info: graphene.ResolveInfo) -> bool:
        """Exactly a borrower's view."""
        return type(root) is BorrowedLoanView


class MyLoanConnection(relay.Connection):
    """A borrower's loans, the newest first."""

    class Meta:
        node = MyLoan
        strict_types = True
