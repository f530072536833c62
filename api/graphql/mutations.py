"""What can be changed: each parses, calls one service, and reads back what it made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import graphene

from api.errors import InputRefused, NotFound
from api.graphql.access import borrower
from api.graphql.agreement_mutations import AcceptAgreement, CancelFundedLoan
from api.graphql.bank_mutations import (
    CancelDirectDebit,
    CancelWithdrawal,
    RegisterBankDetails,
    RequestWithdrawal,
    SetUpDirectDebit,
)
from api.graphql.ids import NOTHING_THERE, public_id_of
from api.graphql.keyed import Asked, KeyedInput, KeyedMutation
from api.graphql.loan_mutations import (
    ChangeDueDay,
    PayLoan,
    PrepayLoan,
    RescindLoan,
    SettleLoan,
    TakeHoliday,
)
from api.graphql.offer_mutations import (
    CancelOffer,
    ChangeOffer,
    PauseOffer,
    PlaceOffer,
    PlacePoolOffer,
    ResumeOffer,
)
from api.graphql.types.borrowing import Application, Listing
from api.graphql.wire import MoneyInput, RateInput, pence
from marketplace.selectors.borrowings import application_by_key, find_application, listing_by_key
from marketplace.services.borrowing import (
    ApplicationDraft,
    ListingDraft,
    apply_for_loans,
    list_loans,
)


class FactInput(graphene.InputObjectType):
    """One thing that the risk model asks for: a number or a text."""

    name = graphene.String(required=True)
    number = graphene.Float()
    text = graphene.String()


class ApplyForLoanInput(KeyedInput):
    """What a borrower asks for."""

    amount = MoneyInput(required=True, description="A multiple of £10.")
    term_months = graphene.Int(required=True)
    facts = graphene.List(graphene.NonNull(FactInput), required=True)


class ApplyForLoan(KeyedMutation):
    """Apply, and be assessed at once."""

    takes = ApplyForLoanInput
    allows = borrower
    application = graphene.Field(Application)

    @classmethod
    def change(cls, asked: Asked) -> Any:
        """Take in one application of the borrower who asks."""
        given = asked.input
        [made] = apply_for_loans(
            drafts=[
                ApplicationDraft(
                    borrower_id=asked.member.pk,
                    amount=pence(given.amount, field="amount"),
                    term_months=given.term_months,
                    facts=_facts(given.facts),
                )
            ],
            on=asked.on,
            actor=asked.actor,
            key=asked.key,
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


class ListLoanInput(KeyedInput):
    """Which application to list."""

    application_id = graphene.ID(required=True)
    highest_rate = RateInput(
        description="The most that is paid, in steps of .25 %; without it the quote plus .5 %."
    )


class ListLoan(KeyedMutation):
    """List an assessed application, to be funded in the next matching cycle that can."""

    takes = ListLoanInput
    allows = borrower
    listing = graphene.Field(Listing)

    @classmethod
    def change(cls, asked: Asked) -> Any:
        """List an application of the borrower who asks."""
        given = asked.input
        meant = public_id_of(given.application_id, "Application", field="application")
        application = find_application(asked.member.pk, meant)
        if application is None:
            raise NotFound(NOTHING_THERE, field="application")
        highest = given.get("highest_rate")
        [listed] = list_loans(
            drafts=[ListingDraft(application.key, None if highest is None else highest.ppm)],
            on=asked.on,
            actor=asked.actor,
            key=asked.key,
            borrower_id=asked.member.pk,
        )
        return cls(listing=listing_by_key(listed))


class Mutation(graphene.ObjectType):
    """What can be changed; nothing is done twice under one idempotency key."""

    place_offer = PlaceOffer.Field()
    place_pool_offer = PlacePoolOffer.Field()
    change_offer = ChangeOffer.Field()
    pause_offer = PauseOffer.Field()
    resume_offer = ResumeOffer.Field()
    cancel_offer = CancelOffer.Field()
    apply_for_loan = ApplyForLoan.Field()
    list_loan = ListLoan.Field()
    accept_agreement = AcceptAgreement.Field()
    cancel_funded_loan = CancelFundedLoan.Field()
    pay_loan = PayLoan.Field()
    prepay_loan = PrepayLoan.Field()
    settle_loan = SettleLoan.Field()
    rescind_loan = RescindLoan.Field()
    change_due_day = ChangeDueDay.Field()
    take_holiday = TakeHoliday.Field()
    register_bank_details = RegisterBankDetails.Field()
    set_up_direct_debit = SetUpDirectDebit.Field()
    cancel_direct_debit = CancelDirectDebit.Field()
    request_withdrawal = RequestWithdrawal.Field()
    cancel_withdrawal = CancelWithdrawal.Field()
