"""What can be asked."""

# ruff: noqa: ARG004 - graphene hands root and info to every resolver.

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import graphene
from graphene import relay

from accounts.models import Member
from accounts.selectors.banking import find_withdrawal
from api.business_date import today
from api.errors import NotFound
from api.graphql.access import borrower, lender, signed_in
from api.graphql.ids import NOTHING_THERE, named, public_id, public_id_of
from api.graphql.paging import PageField, connection, wanted
from api.graphql.types.expectation import Expectation
from api.graphql.types.lending import PortfolioConnection
from api.graphql.types.loan import MyLoanConnection
from api.graphql.types.market import Market, QuoteAnswer
from api.graphql.types.notice import Agreement
from api.graphql.types.provision_fund import ProvisionFund
from api.graphql.types.viewer import Viewer
from api.graphql.wire import MoneyInput, RateInput
from marketplace.selectors.agreements import find_agreement
from marketplace.selectors.borrowings import (
    find_application,
    find_borrowed_loan,
    find_listing,
    loans_page,
)
from marketplace.selectors.depth import market_with_depth, markets_with_depth
from marketplace.selectors.expectations import expectation_of
from marketplace.selectors.fund_coverage import fund_coverage
from marketplace.selectors.notices import find_notice
from marketplace.selectors.offers import find_offer
from marketplace.selectors.portfolio import (
    find_loan_as_lender,
    find_part,
    portfolio_page,
)

# How each type is found for a member who asks by global id: their own, or nothing.
_FOUND_BY: dict[str, Callable[[Member, str], Any]] = {
    "Application": lambda member, text: find_application(member.pk, public_id(text)),
    "Listing": lambda member, text: find_listing(member.pk, public_id(text)),
    "Loan": lambda member, text: find_loan_as_lender(member.pk, public_id(text)),
    "MyLoan": lambda member, text: find_borrowed_loan(member.pk, public_id(text)),
    "Notice": lambda member, text: find_notice(member.pk, public_id(text)),
    "Offer": lambda member, text: find_offer(member.pk, public_id(text), today()),
    "Part": lambda member, text: find_part(member.pk, text),
    "Withdrawal": lambda member, text: find_withdrawal(member.pk, public_id(text)),
    "Viewer": lambda member, text: member if public_id(text) == member.public_id else None,
}


class Query(graphene.ObjectType):
    """What can be asked; each field refuses what its member may not see."""

    node = graphene.Field(
        relay.Node,
        id=graphene.ID(required=True),
        description="Anything of the member's own by its global id.",
    )
    viewer = graphene.Field(Viewer, description="Who is signed in.")
    markets = graphene.List(graphene.NonNull(Market), description="By term and band.")
    market = graphene.Field(
        Market, band=graphene.String(required=True), term_months=graphene.Int(required=True)
    )
    quote = graphene.Field(
        QuoteAnswer,
        band=graphene.String(required=True),
        term_months=graphene.Int(required=True),
        amount=MoneyInput(required=True),
        highest_rate=RateInput(
            description="A listing's, for fundedBy; without it the quote plus .5 %."
        ),
        resolver=QuoteAnswer.ask,
        description="What a loan would cost now; reserves nothing.",
    )
    portfolio = PageField(PortfolioConnection, description="The lender's parts.")
    expectation = graphene.Field(
        Expectation,
        description="What the lender should expect of the parts held; none without parts that run.",
    )
    agreement = graphene.Field(
        Agreement,
        loan_id=graphene.ID(required=True),
        description="The terms of a loan of the borrower's own: as offered while it is funded, as "
        "accepted from then on; none for a loan that was not accepted in time.",
    )
    provision_fund = graphene.Field(
        ProvisionFund,
        description="How far the provision fund goes against losses; it guarantees nothing.",
    )
    my_loans = PageField(MyLoanConnection, description="The borrower's loans.")

    @staticmethod
    def resolve_node(root: Any, info: graphene.ResolveInfo, id: str) -> Any:  # noqa: A002 - Relay's
        """The member's own thing of that id."""
        member = signed_in(info)
        kind, text = named(id)
        find = _FOUND_BY.get(kind)
        found = find(member, text) if find else None
        if found is None:
            raise NotFound(NOTHING_THERE, field="id")
        return found

    @staticmethod
    def resolve_viewer(root: Any, info: graphene.ResolveInfo) -> Member:
        """Who asks."""
        return signed_in(info)

    @staticmethod
    def resolve_markets(root: Any, info: graphene.ResolveInfo) -> list[Any]:
        """For anyone signed in: who offers is not told."""
        signed_in(info)
        return [Market.of(found) for found in markets_with_depth(today())]

    @staticmethod
    def resolve_market(root: Any, info: graphene.ResolveInfo, band: str, term_months: int) -> Any:
        """For anyone signed in: who offers is not told."""
        signed_in(info)
        return Market.of(market_with_depth(band, term_months, today()))

    @staticmethod
    def resolve_portfolio(
        root: Any, info: graphene.ResolveInfo, first: int | None = None, after: str | None = None
    ) -> Any:
        """The lender's own."""
        page = portfolio_page(lender(info).pk, wanted(first, after))
        return connection(PortfolioConnection, page)

    @staticmethod
    def resolve_expectation(root: Any, info: graphene.ResolveInfo) -> Any:
        """The lender's own."""
        return expectation_of(lender(info).pk)

    @staticmethod
    def resolve_agreement(root: Any, info: graphene.ResolveInfo, loan_id: str) -> Any:
        """The borrower's own."""
        member = borrower(info)
        return find_agreement(member.pk, public_id_of(loan_id, "MyLoan", field="loan"), today())

    @staticmethod
    def resolve_provision_fund(root: Any, info: graphene.ResolveInfo) -> Any:
        """For anyone signed in."""
        signed_in(info)
        return fund_coverage(today())

    @staticmethod
    def resolve_my_loans(
        root: Any, info: graphene.ResolveInfo, first: int | None = None, after: str | None = None
    ) -> Any:
        """The borrower's own."""
        return connection(MyLoanConnection, loans_page(borrower(info).pk, wanted(first, after)))
