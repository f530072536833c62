"""What a change of a loan would come to, as its borrower sees it before making it."""

# ruff: noqa: ARG004 - graphene hands root and info to every resolver.

from __future__ import annotations

from datetime import date
from typing import Any

import graphene

from api.business_date import today
from api.graphql.wire import Money, MoneyInput, pence
from marketplace.selectors.borrowings import BorrowedLoanView
from marketplace.selectors.loan_quotes import (
    RescissionQuote as RescissionQuoteView,
)
from marketplace.selectors.loan_quotes import (
    due_day_quote,
    holiday_quote,
    prepayment_quote,
    rescission_quote,
    settlement_quote,
)

_DAY = "Today's business date without; a later day: if nothing else happens before."


class SettlementQuote(graphene.ObjectType):
    """What settles a loan on a day. There is no charge."""

    on = graphene.Date(required=True)
    interest_overdue = graphene.Field(Money, required=True)
    principal_overdue = graphene.Field(Money, required=True)
    principal_not_due = graphene.Field(Money, required=True)
    interest_stub = graphene.Field(
        Money, required=True, description="For the days since the last due date."
    )
    days = graphene.Int(required=True, description="How many days that are.")
    waiting = graphene.Field(
        Money, required=True, description="Paid already, and waiting for something to fall due."
    )
    total = graphene.Field(Money, required=True)
    to_pay = graphene.Field(Money, required=True, description="The total less what waits.")


class LoanTerms(graphene.ObjectType):
    """How a loan would go on."""

    instalment = graphene.Field(Money, required=True)
    instalments = graphene.Int(required=True, description="How many are still to come.")
    next_due_on = graphene.Date()
    last_due_on = graphene.Date()
    interest_to_come = graphene.Field(Money, required=True)


class PrepaymentQuote(graphene.ObjectType):
    """What a prepayment would do, for both choices."""

    amount = graphene.Field(Money, required=True)
    due = graphene.Field(Money, required=True, description="Of it goes to what is due.")
    prepaid = graphene.Field(Money, required=True)
    before = graphene.Field(LoanTerms, required=True)
    shorter = graphene.Field(LoanTerms, required=True, description="The same instalment.")
    smaller = graphene.Field(LoanTerms, required=True, description="The same end.")
    saved_shorter = graphene.Field(Money, required=True, description="Interest saved.")
    saved_smaller = graphene.Field(Money, required=True, description="Interest saved.")


class ChangeQuote(graphene.ObjectType):
    """A loan before and after a holiday, or with another due day."""

    before = graphene.Field(LoanTerms, required=True)
    after = graphene.Field(LoanTerms, required=True)
    interest_more = graphene.Field(Money, required=True, description="What it costs.")


class RescissionQuote(graphene.ObjectType):
    """What stepping back from a loan costs, within 14 days of accepting it."""

    figure = graphene.Field(SettlementQuote, required=True)
    refunded = graphene.Field(
        Money, required=True, description="The arrangement fee, which is given back."
    )
    net = graphene.Field(Money, required=True, description="The figure less the refund.")

    @staticmethod
    def resolve_figure(root: RescissionQuoteView, info: graphene.ResolveInfo) -> Any:
        """As it is."""
        return root.figure


class LoanQuotes:
    """Quotes of changes; each refuses, with what is allowed, what the loan's state forbids."""

    settlement_quote = graphene.Field(SettlementQuote, on=graphene.Date(description=_DAY))
    prepayment_quote = graphene.Field(PrepaymentQuote, amount=MoneyInput(required=True))
    holiday_quote = graphene.Field(ChangeQuote, months=graphene.Int(required=True))
    due_day_quote = graphene.Field(ChangeQuote, day=graphene.Int(required=True))
    rescission_quote = graphene.Field(RescissionQuote)

    @staticmethod
    def resolve_settlement_quote(
        root: BorrowedLoanView, info: graphene.ResolveInfo, on: date | None = None
    ) -> Any:
        """The figure of the day."""
        return settlement_quote(root.key, on or today())

    @staticmethod
    def resolve_prepayment_quote(
        root: BorrowedLoanView, info: graphene.ResolveInfo, amount: Any
    ) -> Any:
        """Both choices, today."""
        return prepayment_quote(root.key, pence(amount, field="amount"), today())

    @staticmethod
    def resolve_holiday_quote(
        root: BorrowedLoanView, info: graphene.ResolveInfo, months: int
    ) -> Any:
        """From today on."""
        return holiday_quote(root.key, months, today())

    @staticmethod
    def resolve_due_day_quote(root: BorrowedLoanView, info: graphene.ResolveInfo, day: int) -> Any:
        """From today on."""
        return due_day_quote(root.key, day, today())

    @staticmethod
    def resolve_rescission_quote(root: BorrowedLoanView, info: graphene.ResolveInfo) -> Any:
        """Today."""
        return rescission_quote(root.key, today())
