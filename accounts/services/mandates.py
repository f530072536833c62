"""Members let us collect from their bank account, and take that back."""

from __future__ import annotations

from datetime import date
from typing import Any

from django.db import connection, transaction

from accounts.core.bank_states import DetailsState
from accounts.core.collecting import CollectionState, mandate_reference
from accounts.core.errors import AccountsRefusal
from accounts.models import BankDetails, Collection, Mandate
from accounts.services.bank_details import NoVerifiedAccount
from accounts.services.bank_rows import next_ids
from accounts.services.idempotency import once


class NoMandate(AccountsRefusal):
    """A member who has not let us collect."""

    code = "NO_MANDATE"


class MandateDateRefused(AccountsRefusal):
    """A mandate that would be cancelled before it was given."""

    code = "MANDATE_DATE_REFUSED"


def set_up_mandate(*, member_id: int, on: date, key: str, actor: str) -> int:
    """Take a member's leave to collect from their verified bank account.

    It takes the place of a mandate for another account; for the same account nothing changes.
    What was asked for under the old one and is in no file yet is cancelled.

    Returns:
        id of the mandate.

    Raises:
        NoVerifiedAccount: the member has no verified bank account.
        MandateDateRefused: the mandate that it replaces was given later.
        IdempotencyConflict.
    """
    return _once("set_up_mandate", member_id, key, actor, lambda: _set_up(member_id, on))


def cancel_mandate(*, member_id: int, on: date, key: str, actor: str) -> int:
    """Take back the leave to collect; what was asked for and is in no file yet is cancelled.

    What the bank has been given is collected still, and may be claimed back from the payer's bank.

    Returns:
        id of the mandate that was cancelled.

    Raises:
        NoMandate: there is none.
        MandateDateRefused: it was given later.
        IdempotencyConflict.
    """

    def cancel() -> int:
        mandate = _current(member_id)
        if mandate is None:
            raise NoMandate("There is no direct debit to cancel.")
        _cancel(mandate, on)
        return mandate.pk

    return _once("cancel_mandate", member_id, key, actor, cancel)


def _once(name: str, member_id: int, key: str, actor: str, action: Any) -> int:
    with transaction.atomic():
        answer = once(
            scope=actor,
            name=name,
            key=key,
            content={"member": member_id},
            action=lambda: {"mandate": action()},
        )
    mandate: int = answer["mandate"]
    return mandate


def _set_up(member_id: int, on: date) -> int:
    with connection.cursor() as cursor:
        # Of two at once, one waits for the other; so does who replaces the bank details.
        cursor.execute("SELECT 1 FROM accounts_member WHERE id = %s FOR NO KEY UPDATE", [member_id])
    details = (
        BankDetails.objects.select_for_update()
        .filter(member_id=member_id, state=DetailsState.VERIFIED)
        .first()
    )
    if details is None:
        raise NoVerifiedAccount("Register a bank account first, and wait until it is verified.")
    current = _current(member_id)
    if current is not None:
        if current.details.identification == details.identification:
            return current.pk
        _cancel(current, on)
    [number] = next_ids("accounts_mandate", 1)
    Mandate.objects.create(
        pk=number,
        member_id=member_id,
        details=details,
        reference=mandate_reference(number),
        signed_on=on,
        last_changed=on,
    )
    return number


def _current(member_id: int) -> Mandate | None:
    mandates = Mandate.objects.select_for_update(of=("self",)).select_related("details")
    return mandates.filter(member_id=member_id, cancelled_on__isnull=True).first()


def _cancel(mandate: Mandate, on: date) -> None:
    if on < mandate.signed_on:
        raise MandateDateRefused(
            f"This direct debit was set up on {mandate.signed_on}: it can't be cancelled before.",
            field="on",
        )
    Mandate.objects.filter(pk=mandate.pk).update(cancelled_on=on, last_changed=on)
    Collection.objects.filter(mandate_id=mandate.pk, state=CollectionState.ASKED).update(
        state=CollectionState.CANCELLED
    )
