"""One payment of one loan: any amount, on today's date or a past one, kept or prepaid as asked."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from django.db import transaction

from accounts.core.posting import EntryKind
from accounts.selectors.bank_matching import last_closed_date
from accounts.services.idempotency import once
from marketplace.core.arrays import whole
from marketplace.core.house import HOUSE, House
from marketplace.core.loan_events import Excess, PaymentKind
from marketplace.core.settlement import PaymentRefused, check_payment
from marketplace.models import Payment
from marketplace.selectors.stored_lives import replay_to
from marketplace.services.loan_changes import receipt_day
from marketplace.services.loan_records import LoanNow, PaymentRecord, add_payment, hold_loan
from marketplace.services.rebuilding import Cause, Rebuilt, rebuild_loans


@dataclass(frozen=True)
class PaymentTaken:
    """A payment that was taken.

    Attributes:
        number: its place in the loan's list of payments and events.
        reference: under which it was recorded.
        received_on: the day from which it counts for the borrower.
        booked_on: the business date on which its receipt is booked.
        replayed: whether what came after it was put right.
        said: for a person: from when it counts and when it is booked.
    """

    number: int
    reference: str
    received_on: date
    booked_on: date
    replayed: bool
    said: str


def take_payment(
    *,
    loan_id: int,
    amount: int,
    on: date,
    actor: str,
    key: str,
    received_on: date | None = None,
    kind: PaymentKind = PaymentKind.COLLECTION,
    excess: Excess = Excess.KEEP,
    reference: str = "",
    cost: int = 0,
    house: House = HOUSE,
) -> PaymentTaken:
    """Take one payment, and put right whatever depends on it.

    One with a past date counts for the borrower from that date: what came after it is replayed, and
    the differences are posted on ``on``. Its receipt is booked on its date, or on ``on`` if that
    date is closed or it comes from cash: ``booked_on`` and ``said`` of the answer tell, and so do
    the payment's own ``received_on`` and ``recorded_on``.

    Args:
        loan_id: which loan.
        amount: pence.
        on: the business date.
        actor: who takes it.
        key: idempotency key, unique for the actor.
        received_on: the day on which it came, ``on`` or before; ``on`` when not given.
        kind: from the borrower's cash, or from outside: collected, or through recovery.
        excess: what becomes of what is beyond what is due.
        reference: the payer's or the bank's, up to 60 characters.
        cost: pence of it that its recovery cost.
        house: the house's rules.

    Raises:
        LoanNotPaidOut: no such loan, or not paid out.
        PaymentRefused: an amount, a date or a state of the loan for which nothing can be taken.
        NotEnoughMoney: it is to come from cash that is not there.
        IdempotencyConflict: the key was used for another payment.
    """
    record = PaymentRecord(amount, kind, received_on or on, excess, cost, reference)
    with transaction.atomic():
        answer = once(
            scope=actor,
            name="take_payment",
            key=key,
            content={"loan": loan_id, **asdict(record), "received_on": received_on},
            action=lambda: _take(loan_id, record, on, actor, house),
        )
    days = {name: date.fromisoformat(answer[name]) for name in ("received_on", "booked_on")}
    return PaymentTaken(**(answer | days))


def _take(
    loan_id: int, record: PaymentRecord, on: date, actor: str, house: House
) -> dict[str, Any]:
    now = hold_loan(loan_id=loan_id, on=on, house=house)
    check_single(now, record, on=on, house=house)
    number, _ = pay(now, record, on=on, actor=actor, house=house)
    booked_on = _booked_on(record, on)
    reference = Payment.objects.values_list("reference", flat=True).get(loan=loan_id, number=number)
    return {
        "number": number,
        "reference": reference,
        "received_on": record.received_on.isoformat(),
        "booked_on": booked_on.isoformat(),
        "replayed": record.received_on < on,
        "said": _said(record.received_on, booked_on, on),
    }


def pay(
    now: LoanNow, record: PaymentRecord, *, on: date, actor: str, house: House
) -> tuple[int, Rebuilt]:
    """Write a payment that was checked, and rebuild its loan; its number, and what that did.

    It posts, so it comes last in the transaction.
    """
    number = add_payment(loan=now.loan, record=record, on=on, actor=actor, house=house)
    late = record.received_on < on
    [rebuilt] = rebuild_loans(
        causes=[Cause(now.loan.pk, added=frozenset({number}))],
        on=on,
        actor=actor,
        kind=EntryKind.LOAN_CORRECTED if late else EntryKind.LOAN_CHANGED,
        reason=f"a payment of {record.received_on} was recorded",
        house=house,
    )
    return number, rebuilt


def check_single(now: LoanNow, record: PaymentRecord, *, on: date, house: House) -> None:
    """Refuse a payment that the loan can't take now, or couldn't have taken on its date.

    Raises:
        PaymentRefused: says why, and what would be taken.
    """
    dates = {"received_on": record.received_on, "on": on}
    late = record.received_on < on
    keep = record.excess if not late else Excess.KEEP
    check_payment(now.life, record.amount, excess=keep, **dates)
    check_cost(record)
    if not late:
        return
    paid_out_on = now.loan.paid_out_on
    if paid_out_on is not None and record.received_on < paid_out_on:
        raise PaymentRefused(
            f"A payment can't be received before the loan was paid out, {paid_out_on}.",
            field="received_on",
        )
    then = replay_to(now.stored, record.received_on, house=house)
    check_payment(then, record.amount, excess=record.excess, **dates)


def check_cost(record: PaymentRecord) -> None:
    """Refuse a cost of what is no recovery, or one that is more than it brought.

    Raises:
        PaymentRefused: says what it may be.
    """
    most = record.amount if record.kind is PaymentKind.RECOVERY else 0
    if not whole(record.cost) or not 0 <= record.cost <= most:
        raise PaymentRefused(
            f"Only a recovery has a cost, of no more than it brought; here 0 to {most} pence.",
            field="cost",
        )


def _booked_on(record: PaymentRecord, on: date) -> date:
    """See :func:`marketplace.services.loan_changes.receipt_day`, which books it."""
    return receipt_day(record.kind, record.received_on, on=on, closed=last_closed_date())


def _said(received_on: date, booked_on: date, on: date) -> str:
    if received_on == on:
        return f"Taken on {on}."
    if booked_on == received_on:
        return f"Counts and is booked from {received_on}; what came after it was put right on {on}."
    return (
        f"Counts from {received_on}, and is booked on {booked_on}, as what came after it is:"
        " its own date is closed, or the money was still cash then."
    )
