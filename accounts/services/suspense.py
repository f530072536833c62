"""Money that arrived for nobody known: given to whom it is for, or sent back."""

from __future__ import annotations

from datetime import date
from typing import Any

from django.db import transaction

from accounts.core.bank_details import BankDetails, details_from_identification
from accounts.core.bank_states import PaymentKind, SuspenseState, check_suspense_move
from accounts.core.chart import Kind
from accounts.core.errors import AccountsRefusal
from accounts.core.posting import EntryKind
from accounts.models import SuspenseItem
from accounts.services.bank_moves import move_money
from accounts.services.debts import settle_debts
from accounts.services.idempotency import once
from accounts.services.payments import ask_for_payment


class SuspenseUnknown(AccountsRefusal):
    """Money in suspense that doesn't exist."""

    code = "SUSPENSE_UNKNOWN"


class NoWayBack(AccountsRefusal):
    """Money whose line doesn't say from which account it came."""

    code = "SUSPENSE_NO_WAY_BACK"


def assign_suspense(*, item_id: int, member_id: int, key: str, on: date, actor: str) -> None:
    """Give money in suspense to the member whose it is; what they owe is taken from it.

    Raises:
        SuspenseUnknown: no such money.
        BankMoveRefused: it is not open.
        AccountMissing, AccountUnknown: the member has no open account.
        DateRefused, IdempotencyConflict.
    """

    def assign() -> dict[str, Any]:
        item = _move(item_id, SuspenseState.ASSIGNED, on, actor, member_id=member_id)
        move_money(
            kind=EntryKind.SUSPENSE_ASSIGNED,
            key=f"{EntryKind.SUSPENSE_ASSIGNED}/{item_id}",
            debit=Kind.SUSPENSE,
            credit=Kind.CASH,
            member_id=member_id,
            amount=item.amount,
            on=on,
            actor=actor,
        )
        return {}

    with transaction.atomic():
        once(
            scope=actor,
            name="assign_suspense",
            key=key,
            content={"item": item_id, "member": member_id},
            action=assign,
        )
    settle_debts(on=on, actor=actor, key=f"suspense/{item_id}", member_ids=[member_id])


def return_suspense(*, item_id: int, key: str, on: date, actor: str) -> int:
    """Send money in suspense back to the account that it came from, with the next file.

    It leaves suspense when the bank has paid it; it is open again if that fails.

    Returns:
        id of the payment.

    Raises:
        SuspenseUnknown: no such money.
        BankMoveRefused: it is not open.
        NoWayBack: the line has no account, or none that can be paid.
        IdempotencyConflict.
    """

    def send_back() -> dict[str, Any]:
        item = _move(item_id, SuspenseState.RETURNING, on, actor)
        payment = ask_for_payment(
            kind=PaymentKind.RETURN,
            amount=item.amount,
            to=_payer(item),
            on=on,
            actor=actor,
            item_id=item_id,
        )
        return {"payment": payment.pk}

    with transaction.atomic():
        answer = once(
            scope=actor,
            name="return_suspense",
            key=key,
            content={"item": item_id},
            action=send_back,
        )
    payment: int = answer["payment"]
    return payment


def _payer(item: SuspenseItem) -> BankDetails:
    line = item.line
    try:
        return details_from_identification(line.counterparty, line.counterparty_account)
    except AccountsRefusal as refusal:
        raise NoWayBack(
            "The bank's line doesn't say from which account this came: ask the bank."
        ) from refusal


def _move(item_id: int, state: SuspenseState, on: date, actor: str, **fields: Any) -> SuspenseItem:
    """Lock an item and move it; returns it as it was."""
    item = (
        SuspenseItem.objects.select_for_update(of=("self",))
        .select_related("line")
        .filter(pk=item_id)
        .first()
    )
    if item is None:
        raise SuspenseUnknown("There is no money in suspense of that number.", field="item")
    check_suspense_move(SuspenseState(item.state), state)
    SuspenseItem.objects.filter(pk=item_id).update(
        state=state, actor=actor, changed_on=on, **fields
    )
    return item
