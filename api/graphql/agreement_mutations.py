"""What borrowers do with a funded loan: accept its exact terms, or leave it."""

from __future__ import annotations

from typing import Any

import graphene

from api.errors import NotFound
from api.graphql.access import borrower
from api.graphql.ids import NOTHING_THERE, public_id_of
from api.graphql.keyed import Asked, KeyedInput, KeyedMutation
from api.graphql.types.loan import MyLoan
from api.graphql.types.notice import Agreement
from marketplace.selectors.agreements import find_agreement
from marketplace.selectors.borrowings import BorrowedLoanView, find_borrowed_loan
from marketplace.services.agreements import accept_agreements, cancel_funded


class AcceptAgreementInput(KeyedInput):
    """Which loan, and the text that was seen."""

    loan_id = graphene.ID(required=True)
    digest = graphene.String(
        required=True, description="Of the text that was seen: it alone is accepted."
    )


class AcceptAgreement(KeyedMutation):
    """Accept the terms of a funded loan, which is then paid out at the close of the day."""

    takes = AcceptAgreementInput
    allows = borrower
    agreement = graphene.Field(Agreement)

    @classmethod
    def change(cls, asked: Asked) -> Any:
        """Accept for the borrower who asks."""
        loan = own_loan(asked)
        accept_agreements(
            loan_ids=[loan.key],
            on=asked.on,
            actor=asked.actor,
            key=asked.key,
            borrower_id=asked.member.pk,
            digest=asked.input.digest,
        )
        return cls(agreement=find_agreement(asked.member.pk, loan.public_id, asked.on))


class CancelFundedLoanInput(KeyedInput):
    """Which loan to leave."""

    loan_id = graphene.ID(required=True)


class CancelFundedLoan(KeyedMutation):
    """Leave a loan before it is paid out, accepted or not: nothing is owed."""

    takes = CancelFundedLoanInput
    allows = borrower
    loan = graphene.Field(MyLoan)

    @classmethod
    def change(cls, asked: Asked) -> Any:
        """Cancel for the borrower who asks."""
        loan = own_loan(asked)
        cancel_funded(
            loan_id=loan.key,
            on=asked.on,
            actor=asked.actor,
            key=asked.key,
            borrower_id=asked.member.pk,
        )
        return cls(loan=find_borrowed_loan(asked.member.pk, loan.public_id))


def own_loan(asked: Asked) -> BorrowedLoanView:
    """The loan that is meant, if it is the borrower's own.

    Raises:
        NotFound: there is none, or it is somebody else's.
    """
    meant = public_id_of(asked.input.loan_id, "MyLoan", field="loan")
    loan = find_borrowed_loan(asked.member.pk, meant)
    if loan is None:
        raise NotFound(NOTHING_THERE, field="loan")
    return loan
