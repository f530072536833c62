"""What members change about money out: where it goes, and how much of it."""

from __future__ import annotations

from typing import Any

import graphene

from accounts.selectors.banking import current_bank_details, find_withdrawal, payment_by_key
from accounts.selectors.collecting import mandate_by_key
from accounts.services.bank_details import register_bank_details
from accounts.services.mandates import cancel_mandate, set_up_mandate
from accounts.services.withdrawals import cancel_withdrawal, request_withdrawal
from api.errors import NotFound
from api.graphql.access import account_holder, borrower
from api.graphql.ids import NOTHING_THERE, public_id_of
from api.graphql.keyed import Asked, KeyedInput, KeyedMutation
from api.graphql.types.banking import BankDetails, DirectDebit, Withdrawal
from api.graphql.wire import MoneyInput, pence


class RegisterBankDetailsInput(KeyedInput):
    """An account: either an IBAN, or a sort code and an account number."""

    holder = graphene.String(required=True, description="As the bank writes it.")
    iban = graphene.String()
    sort_code = graphene.String(description='Six digits, such as "20-00-00".')
    account_number = graphene.String(description="Eight digits.")


class RegisterBankDetails(KeyedMutation):
    """Say where withdrawals go. What was registered before is replaced at once."""

    takes = RegisterBankDetailsInput
    allows = account_holder
    bank_details = graphene.Field(BankDetails)

    @classmethod
    def change(cls, asked: Asked) -> Any:
        """Register an account of the member who asks."""
        member, given = asked.member, asked.input
        register_bank_details(
            member_id=member.pk,
            holder=given.holder,
            iban=given.get("iban"),
            sort_code=given.get("sort_code"),
            account_number=given.get("account_number"),
            key=asked.key,
            on=asked.on,
            actor=asked.actor,
        )
        return cls(bank_details=current_bank_details(member.pk))


class RequestWithdrawalInput(KeyedInput):
    """How much of the cash is to be paid out."""

    amount = MoneyInput(required=True)


class RequestWithdrawal(KeyedMutation):
    """Ask for cash to be paid to the member's verified bank account."""

    takes = RequestWithdrawalInput
    allows = account_holder
    withdrawal = graphene.Field(Withdrawal)

    @classmethod
    def change(cls, asked: Asked) -> Any:
        """Set aside cash of the member who asks."""
        member, given = asked.member, asked.input
        payment = request_withdrawal(
            member_id=member.pk,
            amount=pence(given.amount, field="amount"),
            key=asked.key,
            on=asked.on,
        )
        return cls(withdrawal=payment_by_key(payment))


class CancelWithdrawalInput(KeyedInput):
    """Which withdrawal to take back."""

    withdrawal_id = graphene.ID(required=True)


class CancelWithdrawal(KeyedMutation):
    """Take back a withdrawal that is not with the bank yet; it is cash again."""

    takes = CancelWithdrawalInput
    allows = account_holder
    withdrawal = graphene.Field(Withdrawal)

    @classmethod
    def change(cls, asked: Asked) -> Any:
        """Cancel a withdrawal of the member who asks."""
        member, given = asked.member, asked.input
        meant = public_id_of(given.withdrawal_id, "Withdrawal", field="payment")
        payment = find_withdrawal(member.pk, meant)
        if payment is None:
            raise NotFound(NOTHING_THERE, field="payment")
        cancel_withdrawal(payment_id=payment.key, member_id=member.pk, key=asked.key, on=asked.on)
        return cls(withdrawal=payment_by_key(payment.key))


class DirectDebitInput(KeyedInput):
    """Nothing beyond the key: it is about the account that is registered and verified."""


class SetUpDirectDebit(KeyedMutation):
    """Let us collect what falls due from the borrower's verified bank account.

    It takes the place of one for another account.
    """

    takes = DirectDebitInput
    allows = borrower
    direct_debit = graphene.Field(DirectDebit)

    @classmethod
    def change(cls, asked: Asked) -> Any:
        """Take the leave of the borrower who asks."""
        mandate = set_up_mandate(
            member_id=asked.member.pk, on=asked.on, key=asked.key, actor=asked.actor
        )
        return cls(direct_debit=mandate_by_key(mandate))


class CancelDirectDebit(KeyedMutation):
    """Take back the leave to collect; what the bank has been given already is collected still."""

    takes = DirectDebitInput
    allows = borrower
    direct_debit = graphene.Field(DirectDebit)

    @classmethod
    def change(cls, asked: Asked) -> Any:
        """Cancel the mandate of the borrower who asks."""
        mandate = cancel_mandate(
            member_id=asked.member.pk, on=asked.on, key=asked.key, actor=asked.actor
        )
        return cls(direct_debit=mandate_by_key(mandate))
