"""Writing down what happened to a loan: payments and events, in its one list of numbers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from django.db import connection

from accounts.services.collecting import ReceiptDraft, record_receipts
from accounts.services.transactions import require_transaction
from marketplace.core.errors import MarketplaceRefusal
from marketplace.core.house import HOUSE, House
from marketplace.core.life_records import Life
from marketplace.core.life_refusals import LoanActionRefused
from marketplace.core.loan_events import DefaultCause, Excess, LoanEventKind, PaymentKind
from marketplace.core.schedule import add_business_days
from marketplace.core.states import LoanState
from marketplace.models import Loan, LoanEvent, Payment
from marketplace.selectors.direct_debits import subject_of
from marketplace.selectors.stored_lives import (
    StoredLife,
    day_stage,
    load_lives,
    replay,
    stage_of,
)
from marketplace.services.calendar import bank_holidays_around
from marketplace.services.locks import lock_loans

LONGEST_REASON = 200
LONGEST_REFERENCE = 60


class LoanNotPaidOut(LoanActionRefused):
    """A loan that is unknown, or not paid out, so that nothing can be owed on it."""

    code = "LOAN_NOT_PAID_OUT"


class RecordRefused(MarketplaceRefusal):
    """A reason or a reference that is too long to be kept, or a missing reason."""

    code = "RECORD_REFUSED"


@dataclass(frozen=True, eq=False)
class LoanNow:
    """A loan that nobody else touches until the transaction ends, and its life up to now."""

    stored: StoredLife
    life: Life

    @property
    def loan(self) -> Loan:
        """The loan itself."""
        return self.stored.loan


@dataclass(frozen=True)
class EventDraft:
    """An event to be written; what its kind doesn't have is nothing (see ``LoanEvent``)."""

    kind: LoanEventKind
    amount: int = 0
    interest: int = 0
    months: int = 0
    day: int = 0
    until: date | None = None
    cause: DefaultCause | None = None


@dataclass(frozen=True)
class PaymentRecord:
    """A payment to be written: ``amount`` and ``cost`` in pence."""

    amount: int
    kind: PaymentKind
    received_on: date
    excess: Excess = Excess.KEEP
    cost: int = 0
    reference: str = ""


def hold_loan(*, loan_id: int, on: date, house: House = HOUSE) -> LoanNow:
    """Lock a loan and live it up to now; nine statements.

    Raises:
        LoanNotPaidOut: there is no such loan, or it is not paid out.
        MarketplaceRefusal: the business date is before what is recorded of the loan.
    """
    require_transaction()
    lock_loans([loan_id])
    lives = load_lives([loan_id])
    if not lives:
        state = Loan.objects.filter(pk=loan_id).values_list("state", flat=True).first()
        raise LoanNotPaidOut(
            f"This loan is {state or 'unknown'}; that can be done with loans that are paid out.",
            state=None if state is None else LoanState(state),
            field="loan",
        )
    [stored] = lives
    life = replay(stored, on, through=stage_of(stored, on, day_stage(on)), house=house)
    return LoanNow(stored, life)


def add_event(
    *,
    loan_id: int,
    draft: EventDraft,
    on: date,
    actor: str,
    reason: str = "",
    with_payment: bool = False,
) -> int:
    """Write an event of a loan that the caller has locked; returns its number.

    Args:
        loan_id: which loan.
        draft: what happened.
        on: the business date of the record, and the day from which it counts.
        actor: who did it.
        reason: why, without personal data.
        with_payment: the next number is that of the payment that it comes with.

    Raises:
        RecordRefused: a reason that is too long.
    """
    check_text(reason=reason)
    number = _next_number(loan_id)
    LoanEvent.objects.create(
        loan_id=loan_id,
        number=number,
        kind=draft.kind.value,
        effective_on=on,
        recorded_on=on,
        actor=actor,
        reason=reason,
        amount=draft.amount,
        interest=draft.interest,
        months=draft.months,
        day=draft.day,
        until=draft.until,
        cause=draft.cause.value if draft.cause else "",
        payment=number + 1 if with_payment else None,
    )
    return number


def add_payment(
    *, loan: Loan, record: PaymentRecord, on: date, actor: str, house: House = HOUSE
) -> int:
    """Write a payment of a loan that the caller has locked; returns its number.

    Money from elsewhere is told to those who wait for it on a statement of the bank. A payment from
    cash has cleared when it comes.

    Raises:
        RecordRefused: a reference that is too long.
    """
    check_text(reference=record.reference)
    reference, clears_on = record.reference, record.received_on
    if record.kind is not PaymentKind.CASH:
        clears_on = add_business_days(
            clears_on, house.clearing_days, bank_holidays_around(clears_on)
        )
        receipt = ReceiptDraft(loan.borrower_id, record.amount, subject_of(loan.pk), reference)
        [reference] = record_receipts(receipts=[receipt], on=on, actor=actor)
    number = _next_number(loan.pk)
    Payment.objects.create(
        loan=loan,
        number=number,
        kind=record.kind.value,
        excess=record.excess.value,
        amount=record.amount,
        cost=record.cost,
        reference=reference,
        actor=actor,
        received_on=record.received_on,
        recorded_on=on,
        clears_on=clears_on,
    )
    return number


def check_text(*, reason: str = "", reference: str = "", needed: bool = False) -> None:
    """Refuse texts that can't be kept as they are, and no reason where one is needed.

    Raises:
        RecordRefused: names which, and how long it may be.
    """
    if needed and not reason.strip():
        raise RecordRefused("Say why, in up to 200 characters.", field="reason")
    for name, text, longest in (
        ("reason", reason, LONGEST_REASON),
        ("reference", reference, LONGEST_REFERENCE),
    ):
        if len(text) > longest or "\0" in text:
            raise RecordRefused(f"A {name} has up to {longest} characters.", field=name)


def _next_number(loan_id: int) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE marketplace_loan SET events = events + 1 WHERE id = %s RETURNING events",
            [loan_id],
        )
        [number] = cursor.fetchone()
    return int(number)
