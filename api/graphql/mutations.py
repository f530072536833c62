"""What can be changed: each parses, calls one service, and reads back what it made."""

# ruff: noqa: ARG003 - graphene hands root and info to every resolver.

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import graphene

from api.business_date import today
from api.errors import InputRefused, NotFound
from api.graphql.access import borrower, lender
from api.graphql.bank_mutations import CancelWithdrawal, RegisterBankDetails, RequestWithdrawal
from api.graphql.ids import NOTHING_THERE, public_id_of
from api.graphql.inputs import idempotency_key
from api.graphql.refusals import Answer, refusing
from api.graphql.types.borrowing import Application, Listing
from api.graphql.types.lending import Offer
from api.graphql.wire import Money, MoneyInput, RateInput, pence
from marketplace.selectors.borrowings import application_by_key, find_application, listing_by_key
from marketplace.selectors.depth import market_keys
from marketplace.selectors.offers import find_offer, offer_by_key
from marketplace.services.borrowing import (
    ApplicationDraft,
    ListingDraft,
    apply_for_loans,
    list_loans,
)
from marketplace.services.changing_offers import cancel_offer
from marketplace.services.offering import OfferDraft, place_offers


class MarketRateInput(graphene.InputObjectType):
    """A rate asked in one market."""

    band = graphene.String(required=True)
    term_months = graphene.Int(required=True)
    rate = RateInput(required=True)


class PlaceOfferInput(graphene.InputObjectType):
    """A standing order."""

    idempotency_key = idempotency_key()
    amount = MoneyInput(required=True, description="A multiple of £10.")
    exposure_limit = MoneyInput(required=True, description="The most for one borrower.")
    rates = graphene.List(
        graphene.NonNull(MarketRateInput),
        required=True,
        description="A riskier band's rate stands in the safer bands of its term too.",
    )


class PlaceOffer(Answer, graphene.Mutation):
    """Put cash on offer."""

    class Arguments:
        input = PlaceOfferInput(required=True)

    offer = graphene.Field(Offer)

    @classmethod
    @refusing
    def mutate(
        cls,
        root: Any,
        info: graphene.ResolveInfo,
        input: PlaceOfferInput,  # noqa: A002 - the schema's word
    ) -> Any:
        """Place one offer of the lender who asks."""
        member = lender(info)
        [placed] = place_offers(
            drafts=[
                OfferDraft(
                    lender_id=member.pk,
                    amount=pence(input.amount, field="amount"),
                    exposure_limit=pence(input.exposure_limit, field="exposure_limit"),
                    rates=_rates(input.rates),
                )
            ],
            on=today(),
            actor=member.reference,
            key=input.idempotency_key,
        )
        return cls(offer=offer_by_key(placed, today()))


def _rates(given: Sequence[MarketRateInput]) -> Mapping[int, int]:
    names = [(one.band, one.term_months) for one in given]
    if len(set(names)) < len(names):
        raise InputRefused("A market is named twice.", field="rates")
    return dict(zip(market_keys(names), [one.rate.ppm for one in given], strict=True))


class CancelOfferInput(graphene.InputObjectType):
    """Which offer to take back."""

    idempotency_key = idempotency_key()
    offer_id = graphene.ID(required=True)


class CancelOffer(Answer, graphene.Mutation):
    """Take an offer out of the order book; what is not matched is cash again."""

    class Arguments:
        input = CancelOfferInput(required=True)

    offer = graphene.Field(Offer)
    returned = graphene.Field(Money, description="What went back to cash.")

    @classmethod
    @refusing
    def mutate(
        cls,
        root: Any,
        info: graphene.ResolveInfo,
        input: CancelOfferInput,  # noqa: A002 - the schema's word
    ) -> Any:
        """Cancel an offer of the lender who asks."""
        member = lender(info)
        offer = find_offer(member.pk, public_id_of(input.offer_id, "Offer", field="offer"), today())
        if offer is None:
            raise NotFound(NOTHING_THERE, field="offer")
        returned = cancel_offer(
            offer_id=offer.key,
            lender_id=member.pk,
            on=today(),
            actor=member.reference,
            key=input.idempotency_key,
        )
        return cls(offer=offer_by_key(offer.key, today()), returned=returned)


class FactInput(graphene.InputObjectType):
    """One thing that the risk model asks for: a number or a text."""

    name = graphene.String(required=True)
    number = graphene.Float()
    text = graphene.String()


class ApplyForLoanInput(graphene.InputObjectType):
    """What a borrower asks for."""

    idempotency_key = idempotency_key()
    amount = MoneyInput(required=True, description="A multiple of £10.")
    term_months = graphene.Int(required=True)
    facts = graphene.List(graphene.NonNull(FactInput), required=True)


class ApplyForLoan(Answer, graphene.Mutation):
    """Apply, and be assessed at once."""

    class Arguments:
        input = ApplyForLoanInput(required=True)

    application = graphene.Field(Application)

    @classmethod
    @refusing
    def mutate(
        cls,
        root: Any,
        info: graphene.ResolveInfo,
        input: ApplyForLoanInput,  # noqa: A002 - the schema's word
    ) -> Any:
        """Take in one application of the borrower who asks."""
        member = borrower(info)
        [made] = apply_for_loans(
            drafts=[
                ApplicationDraft(
                    borrower_id=member.pk,
                    amount=pence(input.amount, field="amount"),
                    term_months=input.term_months,
                    facts=_facts(input.facts),
                )
            ],
            on=today(),
            actor=member.reference,
            key=input.idempotency_key,
        )
        return cls(application=application_by_key(made))


def _facts(given: Sequence[FactInput]) -> dict[str, float | str]:
    facts: dict[str, float | str] = {}
    for fact in given:
        number, text = fact.get("number"), fact.get("text")
        value = text if number is None else number
        if value is None or (number is not None and text is not None):
            raise InputRefused(f"{fact.name} is either a number or a text.", field="facts")
        if fact.name in facts:
            raise InputRefused(f"{fact.name} is there twice.", field="facts")
        facts[fact.name] = value
    return facts


class ListLoanInput(graphene.InputObjectType):
    """Which application to list."""

    idempotency_key = idempotency_key()
    application_id = graphene.ID(required=True)
    highest_rate = RateInput(
        description="The most that is paid, in steps of .25 %; without it the quote plus .5 %."
    )


class ListLoan(Answer, graphene.Mutation):
    """List an assessed application, to be funded in the next matching cycle that can."""

    class Arguments:
        input = ListLoanInput(required=True)

    listing = graphene.Field(Listing)

    @classmethod
    @refusing
    def mutate(
        cls,
        root: Any,
        info: graphene.ResolveInfo,
        input: ListLoanInput,  # noqa: A002 - the schema's word
    ) -> Any:
        """List an application of the borrower who asks."""
        member = borrower(info)
        asked = public_id_of(input.application_id, "Application", field="application")
        application = find_application(member.pk, asked)
        if application is None:
            raise NotFound(NOTHING_THERE, field="application")
        highest = input.get("highest_rate")
        [listed] = list_loans(
            drafts=[ListingDraft(application.key, None if highest is None else highest.ppm)],
            on=today(),
            actor=member.reference,
            key=input.idempotency_key,
            borrower_id=member.pk,
        )
        return cls(listing=listing_by_key(listed))


class Mutation(graphene.ObjectType):
    """What can be changed; nothing is done twice under one idempotency key."""

    place_offer = PlaceOffer.Field()
    cancel_offer = CancelOffer.Field()
    apply_for_loan = ApplyForLoan.Field()
    list_loan = ListLoan.Field()
    register_bank_details = RegisterBankDetails.Field()
    request_withdrawal = RequestWithdrawal.Field()
    cancel_withdrawal = CancelWithdrawal.Field()
