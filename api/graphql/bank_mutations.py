"""What members change about money out: where it goes, and how much of it."""

# ruff: noqa: ARG003 - graphene hands root and info to every resolver.

from __future__ import annotations

from typing import Any

import graphene

from accounts.selectors.banking import current_bank_details, find_withdrawal, payment_by_key
from accounts.services.bank_details import register_bank_details
from accounts.services.withdrawals import cancel_withdrawal, request_withdrawal
from api.business_date import today
from api.errors import NotFound
from api.graphql.access import account_holder
from api.graphql.ids import NOTHING_THERE, public_id_of
from api.graphql.inputs import idempotency_key
from api.graphql.refusals import Answer, refusing
from api.graphql.types.banking import BankDetails, Withdrawal
from api.graphql.wire import MoneyInput, pence


class RegisterBankDetailsInput(graphene.InputObjectType):
    """An account: either an IBAN, or a sort code and an account number."""

    idempotency_key = idempotency_key()
    holder = graphene.String(required=True, description="As the bank writes it.")
    iban = graphene.String()
    sort_code = graphene.String(description='Six digits, such as "20-00-00".')
    account_number = graphene.String(description="Eight digits.")


class RegisterBankDetails(Answer, graphene.Mutation):
    """Say where withdrawals go. What was registered before is replaced at once."""

    class Arguments:
        input = RegisterBankDetailsInput(required=True)

    bank_details = graphene.Field(BankDetails)

    @classmethod
    @refusing
    def mutate(
        cls,
        root: Any,
        info: graphene.ResolveInfo,
        input: RegisterBankDetailsInput,  # noqa: A002 - the schema's word
    ) -> Any:
        """Register an account of the member who asks."""
        member = account_holder(info)
        register_bank_details(
            member_id=member.pk,
            holder=input.holder,
            iban=input.get("iban"),
            sort_code=input.get("sort_code"),
            account_number=input.get("account_number"),
            key=input.idempotency_key,
            on=today(),
            actor=member.reference,
        )
        return cls(bank_details=current_bank_details(member.pk))


class RequestWithdrawalInput(graphene.InputObjectType):
    """How much of the cash is to be paid out."""

    idempotency_key = idempotency_key()
    amount = MoneyInput(required=True)


class RequestWithdrawal(Answer, graphene.Mutation):
    """Ask for cash to be paid to the member's verified bank account."""

    class Arguments:
        input = RequestWithdrawalInput(required=True)

    withdrawal = graphene.Field(Withdrawal)

    @classmethod
    @refusing
    def mutate(
        cls,
        root: Any,
        info: graphene.ResolveInfo,
        input: RequestWithdrawalInput,  # noqa: A002 - the schema's word
    ) -> Any:
        """Set aside cash of the member who asks."""
        member = account_holder(info)
        payment = request_withdrawal(
            member_id=member.pk,
            amount=pence(input.amount, field="amount"),
            key=input.idempotency_key,
            on=today(),
        )
        return cls(withdrawal=payment_by_key(payment))


class CancelWithdrawalInput(graphene.InputObjectType):
    """Which withdrawal to take back."""

    idempotency_key = idempotency_key()
    withdrawal_id = graphene.ID(required=True)


class CancelWithdrawal(Answer, graphene.Mutation):
    """Take back a withdrawal that is not with the bank yet; it is cash again."""

    class Arguments:
        input = CancelWithdrawalInput(required=True)

    withdrawal = graphene.Field(Withdrawal)

    @classmethod
    @refusing
    def mutate(
        cls,
        root: Any,
        info: graphene.ResolveInfo,
        input: CancelWithdrawalInput,  # noqa: A002 - the schema's word
    ) -> Any:
        """Cancel a withdrawal of the member who asks."""
        member = account_holder(info)
        asked = public_id_of(input.withdrawal_id, "Withdrawal", field="payment")
        payment = find_withdrawal(member.pk, asked)
        if payment is None:
            raise NotFound(NOTHING_THERE, field="payment")
        cancel_withdrawal(
            payment_id=payment.key, member_id=member.pk, key=input.idempotency_key, on=today()
        )
        return cls(withdrawal=payment_by_key(payment.key))
