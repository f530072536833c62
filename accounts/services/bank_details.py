"""Where members are paid: registered by themselves, verified by operations, then cooling off."""

from __future__ import annotations

from datetime import date
from typing import Any

from django.db import connection, transaction

from accounts.core.bank_details import BankDetails as Account
from accounts.core.bank_details import BankDetailsRefused, details_from_iban, details_from_uk
from accounts.core.bank_states import CURRENT_DETAILS, DetailsState, check_details_move
from accounts.core.errors import AccountsRefusal
from accounts.models import BankDetails
from accounts.services.bank_house import bank_house
from accounts.services.idempotency import once
from accounts.services.transactions import require_transaction


class BankDetailsUnknown(AccountsRefusal):
    """Bank details that don't exist."""

    code = "BANK_DETAILS_UNKNOWN"


class SelfVerification(AccountsRefusal):
    """Somebody who would verify their own bank details."""

    code = "BANK_DETAILS_SELF_VERIFICATION"


class NoVerifiedAccount(AccountsRefusal):
    """A member without a verified bank account."""

    code = "NO_VERIFIED_ACCOUNT"


class BankDetailsCoolingOff(AccountsRefusal):
    """Bank details that were verified too short a time ago."""

    code = "BANK_DETAILS_COOLING_OFF"


def register_bank_details(
    *,
    member_id: int,
    holder: str,
    key: str,
    on: date,
    actor: str,
    iban: str | None = None,
    sort_code: str | None = None,
    account_number: str | None = None,
) -> int:
    """Take in where a member wants to be paid: an IBAN, or a sort code and an account number.

    It takes the place of what was registered before, verified or not: until it is verified and
    has cooled off, nothing can be withdrawn. The same details again change nothing.

    Returns:
        id of the details.

    Raises:
        BankDetailsRefused, BankTextRefused: no account, or a holder that banks can't carry.
        IdempotencyConflict.
    """
    account = _account(holder, iban, sort_code, account_number)
    with transaction.atomic():
        answer = once(
            scope=actor,
            name="register_bank_details",
            key=key,
            content={"member": member_id, "account": (account.holder, account.identification)},
            action=lambda: {"details": _register(member_id, account, on)},
        )
    details: int = answer["details"]
    return details


def _account(
    holder: str, iban: str | None, sort_code: str | None, account_number: str | None
) -> Account:
    if iban and not sort_code and not account_number:
        return details_from_iban(holder, iban)
    if sort_code and account_number and not iban:
        return details_from_uk(holder, sort_code, account_number)
    raise BankDetailsRefused(
        "Give either an IBAN, or a sort code and an account number.", field="iban"
    )


def _register(member_id: int, account: Account, on: date) -> int:
    with connection.cursor() as cursor:
        # Of two registrations at once, one waits for the other.
        cursor.execute("SELECT 1 FROM accounts_member WHERE id = %s FOR NO KEY UPDATE", [member_id])
    current = (
        BankDetails.objects.select_for_update()
        .filter(member_id=member_id, state__in=CURRENT_DETAILS)
        .first()
    )
    if current is not None:
        if (current.holder, current.identification) == (account.holder, account.identification):
            return current.pk
        _move(current, DetailsState.REPLACED)
    made = BankDetails.objects.create(
        member_id=member_id,
        holder=account.holder,
        identification=account.identification,
        state=DetailsState.PENDING,
        registered_on=on,
    )
    return made.pk


def verify_bank_details(*, details_id: int, key: str, on: date, actor: str) -> date:
    """Say that an account is the member's own, after operations has seen proof.

    Returns:
        The first day on which the member can be paid there.

    Raises:
        BankDetailsUnknown, BankMoveRefused.
        BankDetailsRefused: on a date before they were registered.
        SelfVerification: the member's own details.
        IdempotencyConflict.
    """

    def verify() -> dict[str, Any]:
        details = _locked(details_id)
        if actor == f"member:{details.member_id}":
            raise SelfVerification("Somebody else has to verify these bank details.")
        if on < details.registered_on:
            raise BankDetailsRefused("Nothing is verified before it is registered.", field="on")
        usable_from = bank_house().usable_from(on)
        _move(
            details,
            DetailsState.VERIFIED,
            verified_on=on,
            verified_by=actor,
            usable_from=usable_from,
        )
        return {"usable_from": usable_from.isoformat()}

    with transaction.atomic():
        answer = once(
            scope=actor,
            name="verify_bank_details",
            key=key,
            content={"details": details_id},
            action=verify,
        )
    return date.fromisoformat(answer["usable_from"])


def refuse_bank_details(*, details_id: int, key: str, actor: str) -> None:
    """Say that an account can't be shown to be the member's; nothing is paid there.

    Raises:
        BankDetailsUnknown, BankMoveRefused, IdempotencyConflict.
    """

    def refuse() -> dict[str, Any]:
        _move(_locked(details_id), DetailsState.REFUSED)
        return {}

    with transaction.atomic():
        once(
            scope=actor,
            name="refuse_bank_details",
            key=key,
            content={"details": details_id},
            action=refuse,
        )


def usable_account(*, member_id: int, on: date) -> Account:
    """The account to which a member's money may go, locked so that it isn't replaced meanwhile.

    Raises:
        NoVerifiedAccount: none is verified.
        BankDetailsCoolingOff: it was verified too short a time ago.
    """
    require_transaction()
    details = (
        BankDetails.objects.select_for_update()
        .filter(member_id=member_id, state=DetailsState.VERIFIED)
        .first()
    )
    if details is None:
        raise NoVerifiedAccount("Register a bank account first, and wait until it is verified.")
    if details.usable_from is None or on < details.usable_from:
        raise BankDetailsCoolingOff(
            f"Money can be withdrawn to this bank account from {details.usable_from} on."
        )
    return Account(details.holder, details.identification)


def _locked(details_id: int) -> BankDetails:
    details = BankDetails.objects.select_for_update().filter(pk=details_id).first()
    if details is None:
        raise BankDetailsUnknown("There are no bank details of that number.", field="details")
    return details


def _move(details: BankDetails, state: DetailsState, **fields: Any) -> None:
    check_details_move(DetailsState(details.state), state)
    BankDetails.objects.filter(pk=details.pk).update(state=state, **fields)
