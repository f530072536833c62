"""Members take out their cash: set aside when asked for, paid with the next file to the bank."""

from __future__ import annotations

from datetime import date
from typing import Any

from django.db import transaction

from accounts.core.bank_states import PaymentKind
from accounts.core.chart import Kind
from accounts.core.errors import AccountsRefusal, AmountRefused
from accounts.core.money import LARGEST_PENCE
from accounts.selectors.bank_accounts import load_accounts
from accounts.services.bank_details import usable_account
from accounts.services.cash import CashMovement, send_withdrawals
from accounts.services.holding import hold_accounts
from accounts.services.idempotency import once
from accounts.services.payments import ask_for_payment, cancel_payment


class DebtOwed(AccountsRefusal):
    """A withdrawal of who owes Tenner money."""

    code = "DEBT_OWED"


def request_withdrawal(*, member_id: int, amount: int, key: str, on: date) -> int:
    """Ask for cash to be paid to the member's verified account.

    Args:
        member_id: whose cash; who asks.
        amount: pence, above zero.
        key: idempotency key, unique for the member.
        on: business date.

    Returns:
        id of the payment; the first one again for a key used before.

    Raises:
        AmountRefused: no amount.
        NoVerifiedAccount, BankDetailsCoolingOff: nowhere to pay it to, or not yet.
        DebtOwed: the member owes Tenner money.
        NotEnoughMoney: more than the member has in cash.
        AccountMissing, DateRefused, IdempotencyConflict.
    """
    actor = f"member:{member_id}"

    def request() -> dict[str, Any]:
        if not 0 < amount <= LARGEST_PENCE:
            raise AmountRefused("A withdrawal is of an amount above zero.", field="amount")
        payment = ask_for_payment(
            kind=PaymentKind.WITHDRAWAL,
            amount=amount,
            to=usable_account(member_id=member_id, on=on),
            on=on,
            actor=actor,
            member_id=member_id,
        )
        _check_owes_nothing(member_id)
        movement = CashMovement(member_id, amount, f"payment/{payment.pk}")
        send_withdrawals(movements=[movement], on=on, actor=actor)
        return {"payment": payment.pk}

    with transaction.atomic():
        answer = once(
            scope=actor,
            name="request_withdrawal",
            key=key,
            content={"amount": amount},
            action=request,
        )
    payment: int = answer["payment"]
    return payment


def _check_owes_nothing(member_id: int) -> None:
    """Under the locks of the posting that follows, so that no debt arises in between."""
    accounts = load_accounts([member_id], kinds=(Kind.CASH,))
    held = hold_accounts(ids=accounts.all_ids)
    if any(held[account] for account in accounts.ids.get((Kind.DEBT, member_id), ())):
        raise DebtOwed(
            "You owe money that your bank took back: it is taken from your cash first, and what is "
            "left then can be withdrawn."
        )


def cancel_withdrawal(*, payment_id: int, member_id: int, key: str, on: date) -> None:
    """Take back a withdrawal that was not given to the bank yet; it is cash again.

    Raises:
        PaymentUnknown: no such withdrawal of this member.
        BankMoveRefused: it was given to the bank, or cancelled before.
        DateRefused, IdempotencyConflict.
    """
    cancel_payment(
        payment_id=payment_id, key=key, on=on, actor=f"member:{member_id}", member_id=member_id
    )
