"""Questions about money in and out: what waits, what is under way, what was refused."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from uuid import UUID

from accounts.core.bank_details import BankDetails as Account
from accounts.core.bank_states import (
    CURRENT_DETAILS,
    IN_SUSPENSE,
    UNDER_WAY,
    DetailsState,
    FileState,
    LineOutcome,
    PaymentKind,
    PaymentState,
    SuspenseState,
)
from accounts.core.errors import AccountsRefusal
from accounts.models import (
    BankDetails,
    BankFile,
    BankLine,
    Member,
    OutgoingPayment,
    Role,
    SuspenseItem,
)

MOST_WITHDRAWALS = 100


class WithdrawalsRefused(AccountsRefusal):
    """A page of withdrawals that can't be cut."""

    code = "PAGE_REFUSED"


class MemberUnknown(AccountsRefusal):
    """A member who doesn't exist."""

    code = "MEMBER_UNKNOWN"


@dataclass(frozen=True)
class SuspenseView:
    """Money in suspense, in pence, with what the bank says of it.

    Attributes:
        days: since it arrived.
    """

    key: int
    amount: int
    state: SuspenseState
    arrived_on: date
    days: int
    counterparty: str = field(repr=False)
    remittance: str = field(repr=False)


def suspense_list(on: date) -> list[SuspenseView]:
    """Money that waits in suspense, the oldest first; one statement."""
    items = SuspenseItem.objects.filter(state__in=IN_SUSPENSE).select_related("line")
    return [
        SuspenseView(
            item.pk,
            item.amount,
            SuspenseState(item.state),
            item.arrived_on,
            (on - item.arrived_on).days,
            item.line.counterparty,
            item.line.remittance,
        )
        for item in items.order_by("arrived_on", "pk")
    ]


@dataclass(frozen=True)
class UnexplainedView:
    """A line that nobody can explain, in signed pence; ``days`` since the bank booked it."""

    key: int
    account: str
    amount: int
    booked_on: date
    days: int
    end_to_end_id: str | None


def unexplained_list(on: date) -> list[UnexplainedView]:
    """Unexplained lines that no later line undid, the oldest first; one statement."""
    lines = BankLine.objects.filter(
        outcome=LineOutcome.UNEXPLAINED, reversed_by__isnull=True, reverses__isnull=True
    )
    return [
        UnexplainedView(
            line.pk,
            line.account,
            line.amount,
            line.booked_on,
            (on - line.booked_on).days,
            line.end_to_end_id,
        )
        for line in lines.order_by("booked_on", "pk")
    ]


@dataclass(frozen=True)
class PaymentView:
    """A payment out, in pence; of its bank account only what may be shown."""

    key: int
    public_id: UUID
    kind: PaymentKind
    state: PaymentState
    amount: int
    masked: str
    end_to_end_id: str
    requested_on: date


def payments_under_way() -> list[PaymentView]:
    """Payments asked for or sent, the oldest first; one statement."""
    payments = OutgoingPayment.objects.filter(state__in=UNDER_WAY).order_by("pk")
    return [_payment(payment) for payment in payments]


def payment_by_key(key: int) -> PaymentView:
    """A payment just made or moved; one statement."""
    return _payment(OutgoingPayment.objects.get(pk=key))


def find_withdrawal(member_id: int, public_id: UUID) -> PaymentView | None:
    """A member's own withdrawal, or none; one statement."""
    payment = OutgoingPayment.objects.filter(
        kind=PaymentKind.WITHDRAWAL, member_id=member_id, public_id=public_id
    ).first()
    return None if payment is None else _payment(payment)


def withdrawals_page(
    member_id: int, *, size: int, after: UUID | None
) -> tuple[list[PaymentView], bool]:
    """A member's own withdrawals, the newest first; one statement, two with a cursor.

    Args:
        member_id: whose.
        size: how many, 1 to 100.
        after: the withdrawal to go on from.

    Returns:
        The page, and whether there are more.

    Raises:
        WithdrawalsRefused: a page of no rows or too many, or after none of the member's.
    """
    if not 1 <= size <= MOST_WITHDRAWALS:
        raise WithdrawalsRefused(f"A page has 1 to {MOST_WITHDRAWALS} rows.", field="first")
    payments = OutgoingPayment.objects.filter(kind=PaymentKind.WITHDRAWAL, member_id=member_id)
    if after is not None:
        key = payments.filter(public_id=after).values_list("pk", flat=True).first()
        if key is None:
            raise WithdrawalsRefused("There is no such row to go on from.", field="after")
        payments = payments.filter(pk__lt=key)
    found = list(payments.order_by("-pk")[: size + 1])
    return [_payment(payment) for payment in found[:size]], len(found) > size


def _payment(payment: OutgoingPayment) -> PaymentView:
    return PaymentView(
        payment.pk,
        payment.public_id,
        PaymentKind(payment.kind),
        PaymentState(payment.state),
        payment.amount,
        Account(payment.holder, payment.identification).masked,
        payment.end_to_end_id,
        payment.requested_on,
    )


@dataclass(frozen=True)
class DetailsView:
    """A member's current bank details; of the account only what may be shown."""

    key: int
    member_id: int
    email: str = field(repr=False)
    holder: str = field(repr=False)
    masked: str
    state: DetailsState
    registered_on: date
    usable_from: date | None


def current_bank_details(member_id: int) -> DetailsView | None:
    """A member's own, or none; one statement."""
    details = BankDetails.objects.select_related("member").filter(
        member_id=member_id, state__in=CURRENT_DETAILS
    )
    return next((_details(one) for one in details), None)


def pending_bank_details() -> list[DetailsView]:
    """Bank details that wait for operations, the oldest first; one statement."""
    details = BankDetails.objects.select_related("member").filter(state=DetailsState.PENDING)
    return [_details(one) for one in details.order_by("pk")]


def _details(details: BankDetails) -> DetailsView:
    return DetailsView(
        details.pk,
        details.member_id,
        details.member.email,
        details.holder,
        Account(details.holder, details.identification).masked,
        DetailsState(details.state),
        details.registered_on,
        details.usable_from,
    )


@dataclass(frozen=True)
class FileView:
    """A bank file that came; without its content."""

    key: int
    name: str
    format: str
    state: FileState
    received_on: date
    refusal_code: str
    refusal_message: str


def refused_files() -> list[FileView]:
    """Bank files that are refused still, the newest first; one statement."""
    files = BankFile.objects.filter(state=FileState.REFUSED).defer("content").order_by("-pk")
    return [
        FileView(
            file.pk,
            file.name,
            file.format,
            FileState(file.state),
            file.received_on,
            file.refusal_code,
            file.refusal_message,
        )
        for file in files
    ]


def bank_file_content(key: int) -> bytes | None:
    """A bank file as it came, or none; one statement."""
    content = BankFile.objects.filter(pk=key).values_list("content", flat=True).first()
    return None if content is None else bytes(content)


def member_by_email(email: str) -> int:
    """The id of the member with this e-mail address; one statement.

    Raises:
        MemberUnknown: nobody has it.
    """
    key = Member.objects.filter(email=email.lower()).values_list("pk", flat=True).first()
    if key is None:
        raise MemberUnknown("No member has this e-mail address.", field="member")
    return key


def operator_by_email(email: str) -> str:
    """How entries name the member of operations with this e-mail address; one statement.

    Raises:
        MemberUnknown: nobody of operations who is active has it.
    """
    operator = Member.objects.filter(
        email=email.lower(), role=Role.OPERATIONS, is_active=True
    ).first()
    if operator is None:
        raise MemberUnknown("Nobody of operations has this e-mail address.", field="by")
    return operator.reference
