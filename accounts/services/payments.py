"""Payments out of client money: asked for, stopped, and what is given back then."""

from __future__ import annotations

from datetime import date
from typing import Any

from django.db import transaction

from accounts.core.bank_details import BankDetails
from accounts.core.bank_states import (
    BankMoveRefused,
    PaymentKind,
    PaymentState,
    SuspenseState,
    check_payment_move,
)
from accounts.core.chart import Kind
from accounts.core.errors import AccountsRefusal
from accounts.core.posting import EntryKind
from accounts.models import OutgoingPayment, SuspenseItem
from accounts.selectors.reconciliation_bank import has_unexplained_debit
from accounts.services.bank_moves import move_money
from accounts.services.bank_rows import next_ids
from accounts.services.idempotency import once
from accounts.services.transactions import require_transaction


class PaymentUnknown(AccountsRefusal):
    """A payment that doesn't exist, or isn't this member's."""

    code = "PAYMENT_UNKNOWN"


_STOPPED = {
    PaymentState.CANCELLED: EntryKind.WITHDRAWAL_CANCELLED,
    PaymentState.REJECTED: EntryKind.WITHDRAWAL_REJECTED,
}


def ask_for_payment(
    *,
    kind: PaymentKind,
    amount: int,
    to: BankDetails,
    on: date,
    actor: str,
    member_id: int | None = None,
    item_id: int | None = None,
) -> OutgoingPayment:
    """Store a payment for the next file; the money itself is the caller's to set aside.

    Args:
        kind: why.
        amount: pence, above zero.
        to: who is paid, as of now.
        on: business date; actor: who asks.
        member_id: whose withdrawal it is; item_id: the suspense item that it sends back.
    """
    require_transaction()
    [number] = next_ids("accounts_outgoingpayment", 1)
    return OutgoingPayment.objects.create(
        pk=number,
        kind=kind,
        member_id=member_id,
        item_id=item_id,
        amount=amount,
        holder=to.holder,
        identification=to.identification,
        end_to_end_id=f"TNR-{kind.value[0].upper()}-{number:010d}",
        state=PaymentState.REQUESTED,
        requested_on=on,
        actor=actor,
    )


def cancel_payment(
    *, payment_id: int, key: str, on: date, actor: str, member_id: int | None = None
) -> None:
    """Stop a payment that is in no file yet; what was set aside for it is given back.

    Args:
        payment_id: which.
        key: idempotency key, unique for the actor.
        on: business date.
        actor: who stops it.
        member_id: whose withdrawal it has to be, if a member asks.

    Raises:
        PaymentUnknown: no such payment, or not the member's.
        BankMoveRefused: it was given to the bank, or stopped before.
        DateRefused, IdempotencyConflict.
    """
    _stop_once(PaymentState.CANCELLED, payment_id, key, on, actor, member_id)


def reject_payment(*, payment_id: int, key: str, on: date, actor: str) -> None:
    """Say that the bank has not carried out a payment that it was given.

    For what shows on no statement. A payment that shows there, and its money coming back, are
    booked from the statement.

    Raises:
        BankMoveRefused: it is under way no more, or as much left the client account unexplained.
        PaymentUnknown, DateRefused, IdempotencyConflict.
    """
    _stop_once(PaymentState.REJECTED, payment_id, key, on, actor, None)


def _stop_once(
    state: PaymentState, payment_id: int, key: str, on: date, actor: str, member_id: int | None
) -> None:
    def stop() -> dict[str, Any]:
        _stop(_locked(payment_id, member_id), state, on, actor)
        return {}

    with transaction.atomic():
        once(
            scope=actor,
            name=f"payment_{state.value}",
            key=key,
            content={"payment": payment_id, "member": member_id},
            action=stop,
        )


def _locked(payment_id: int, member_id: int | None) -> OutgoingPayment:
    payments = OutgoingPayment.objects.select_for_update().filter(pk=payment_id)
    if member_id is not None:
        payments = payments.filter(member_id=member_id)
    payment = payments.first()
    if payment is None:
        raise PaymentUnknown("There is no such payment.", field="payment")
    return payment


def _stop(payment: OutgoingPayment, state: PaymentState, on: date, actor: str) -> None:
    check_payment_move(PaymentState(payment.state), state)
    if state is PaymentState.REJECTED and has_unexplained_debit(payment.amount):
        raise BankMoveRefused(
            "As much left the client account and nobody can say why: it may be this payment. "
            "Explain that line first."
        )
    OutgoingPayment.objects.filter(pk=payment.pk).update(state=state)
    if payment.item_id is not None:
        SuspenseItem.objects.filter(pk=payment.item_id).update(
            state=SuspenseState.OPEN, actor=actor, changed_on=on
        )
    if payment.member_id is not None:
        move_money(
            kind=_STOPPED[state],
            key=f"{_STOPPED[state]}/payment/{payment.pk}",
            debit=Kind.ON_ITS_WAY,
            credit=Kind.CASH,
            member_id=payment.member_id,
            amount=payment.amount,
            on=on,
            actor=actor,
        )
