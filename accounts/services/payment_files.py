"""Everything that was asked to be paid, in one file for the bank; and fees out of client money."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from django.db import connection, transaction
from django.db.models import Exists, OuterRef, Sum

from accounts.core.bank_details import BankDetails
from accounts.core.bank_states import (
    UNDER_WAY,
    DetailsState,
    OurAccount,
    PaymentKind,
    PaymentState,
)
from accounts.core.chart import Kind
from accounts.core.errors import AccountsRefusal
from accounts.core.payment_file import MOST_ORDERS, PaymentFile, PaymentOrder, write_payment_file
from accounts.models import Account, OutgoingPayment, PaymentFileStored
from accounts.models import BankDetails as StoredDetails
from accounts.services.bank_house import bank_house
from accounts.services.bank_rows import lock_bank_accounts, next_ids
from accounts.services.idempotency import once
from accounts.services.payments import ask_for_payment

# What who is paid reads, after the payment's id. Faster Payments carries 18 characters, so the id
# comes first: a CSV statement has no other place for it.
_REMITTANCE = {
    PaymentKind.WITHDRAWAL: "TENNER WITHDRAWAL",
    PaymentKind.RETURN: "TENNER RETURNED",
    PaymentKind.SWEEP: "TENNER FEES",
}


class NothingToPay(AccountsRefusal):
    """A payment file with nothing in it."""

    code = "NOTHING_TO_PAY"


class NothingToSweep(AccountsRefusal):
    """No fees in client money."""

    code = "NOTHING_TO_SWEEP"


class SweepUnderWay(AccountsRefusal):
    """Fees that are on their way out already."""

    code = "SWEEP_UNDER_WAY"


def make_payment_file(*, on: date, key: str, actor: str, created_at: datetime) -> PaymentFileStored:
    """Put every payment that was asked for into one pain.001 file; a fixed number of statements.

    Args:
        on: business date: the day on which the bank is to pay.
        key: idempotency key; the same again gives the same file, byte for byte.
        actor: who makes it.
        created_at: an instant with a time zone.

    Raises:
        NothingToPay: nothing was asked for since the last file.
        PaymentFileRefused, BankTextRefused, AmountRefused: the bank would send it back.
        IdempotencyConflict.
    """
    with transaction.atomic():
        answer = once(
            scope=actor,
            name="make_payment_file",
            key=key,
            content={},
            action=lambda: {"file": _make(on, actor, created_at)},
        )
        return PaymentFileStored.objects.get(pk=answer["file"])


def _make(on: date, actor: str, created_at: datetime) -> int:
    # Of two files at once the second waits here, and then finds these payments sent.
    # Nothing is paid to an account that was refused since: such a payment waits to be cancelled.
    theirs = StoredDetails.objects.filter(
        member_id=OuterRef("member_id"), identification=OuterRef("identification")
    )
    asked = (
        OutgoingPayment.objects.filter(state=PaymentState.REQUESTED)
        .exclude(
            Exists(theirs.filter(state=DetailsState.REFUSED))
            & ~Exists(theirs.filter(state=DetailsState.VERIFIED))
        )
        .order_by("pk")
    )
    rows = list(
        asked.select_for_update().values_list(
            "pk", "kind", "amount", "holder", "identification", "end_to_end_id"
        )[:MOST_ORDERS]
    )
    if not rows:
        raise NothingToPay("There is nothing to pay.")
    [number] = next_ids("accounts_paymentfilestored", 1)
    file = PaymentFile(
        message_id=f"TNR-{on:%Y%m%d}-{number:010d}",
        created_at=created_at,
        debtor=bank_house().client,
        requested_on=on,
        orders=tuple(
            PaymentOrder(
                end_to_end_id,
                amount,
                BankDetails(holder, identification),
                f"{end_to_end_id} {_REMITTANCE[PaymentKind(kind)]}",
            )
            for _, kind, amount, holder, identification, end_to_end_id in rows
        ),
    )
    PaymentFileStored.objects.create(
        pk=number,
        message_id=file.message_id,
        content=write_payment_file(file),
        count=len(file.orders),
        total=file.total,
        requested_on=on,
        actor=actor,
    )
    OutgoingPayment.objects.filter(pk__in=[row[0] for row in rows]).update(
        state=PaymentState.SENT, file_id=number
    )
    _check(number, file)
    return number


def _check(number: int, file: PaymentFile) -> None:
    """Check that what is marked as sent is what the file says, in number and in sum."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*), coalesce(sum(amount), 0)::bigint FROM accounts_outgoingpayment"
            " WHERE file_id = %s",
            [number],
        )
        if cursor.fetchone() != (len(file.orders), file.total):
            raise AssertionError("a payment file and its payments differ")


def sweep_fees(*, on: date, key: str, actor: str) -> int:
    """Ask for the fees in client money to be paid to our own account, with the next file.

    They stay fees until the bank has paid them; while that is under way there is no second sweep.

    Returns:
        id of the payment.

    Raises:
        NothingToSweep, SweepUnderWay, IdempotencyConflict.
    """

    def sweep() -> dict[str, Any]:
        lock_bank_accounts([OurAccount.CLIENT])
        if OutgoingPayment.objects.filter(kind=PaymentKind.SWEEP, state__in=UNDER_WAY).exists():
            raise SweepUnderWay("Fees are being swept: wait for the bank to confirm it.")
        fees = Account.objects.filter(kind=Kind.FEES).aggregate(total=Sum("balance"))["total"]
        if not fees or fees < 0:
            raise NothingToSweep("There are no fees in client money.")
        payment = ask_for_payment(
            kind=PaymentKind.SWEEP, amount=fees, to=bank_house().own, on=on, actor=actor
        )
        return {"payment": payment.pk}

    with transaction.atomic():
        answer = once(scope=actor, name="sweep_fees", key=key, content={}, action=sweep)
    payment: int = answer["payment"]
    return payment
