"""Borrowers' payments: taken in when they arrive, and allocated at once to what is due.

They are spread over the parts once they have cleared: :mod:`marketplace.services.distributing`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from django.db import connection, transaction

from accounts.core.chart import Book, Kind
from accounts.core.money import LARGEST_PENCE
from accounts.core.posting import LONGEST_REFERENCE, EntryDraft, EntryKind, Leg, posting
from accounts.selectors.bank_matching import last_closed_date
from accounts.selectors.bulk import array_of
from accounts.selectors.ledger import account_ids, platform_accounts
from accounts.services.idempotency import once
from accounts.services.posting import post
from marketplace.core.arrays import IntArray, whole
from marketplace.core.house import HOUSE, House
from marketplace.core.life_refusals import PaymentRefused
from marketplace.core.loan_events import Excess, PaymentKind
from marketplace.core.schedule import add_business_days
from marketplace.core.states import PAYABLE, LoanState
from marketplace.models import Loan
from marketplace.selectors.closing import last_day_spread
from marketplace.selectors.servicing import (
    LoanClaims,
    load_claims,
    load_latest_days,
    load_open_instalments,
)
from marketplace.services.allocating import Allocated, Arrived, allocate, claims_fall
from marketplace.services.calendar import bank_holidays_around
from marketplace.services.distributing import distribute_cleared
from marketplace.services.falling_due import bring_up
from marketplace.services.locks import lock_loans, lock_servicing

__all__ = [
    "PaymentBackDated",
    "PaymentDraft",
    "distribute_cleared",
    "receive_payments",
]


class PaymentBackDated(PaymentRefused):
    """A payment of a day that is over, or before something else happened to its loan."""

    code = "PAYMENT_BACK_DATED"


@dataclass(frozen=True)
class PaymentDraft:
    """What arrived for a loan.

    Attributes:
        loan_id: for which loan.
        amount: pence.
        kind: how it came; from the borrower's cash it clears at once.
        reference: the payer's or the bank's.
        cost: pence of it that its recovery cost.
        excess: only ``keep`` is done here for what is beyond what is due.
        received_on: the day from which it counts; the business date without it.
    """

    loan_id: int
    amount: int
    kind: PaymentKind = PaymentKind.COLLECTION
    reference: str = ""
    cost: int = 0
    excess: Excess = Excess.KEEP
    received_on: date | None = None


def receive_payments(
    *, payments: Sequence[PaymentDraft], on: date, actor: str, key: str, house: House = HOUSE
) -> int:
    """Take payments in, and allocate them: oldest due first, interest before principal.

    The money goes through the borrowers' cash into their loans' clearing, where it waits out of
    anyone's reach until it is spread. When nothing is due a payment waits whole for the next due
    date. What falls due by ``on`` does so first, in a transaction before. One payment a loan; a
    fixed number of statements.

    Returns:
        How many were taken in; the same again for a key used before.

    Raises:
        PaymentRefused: an unknown or closed loan, a loan named twice, no amount, or more than can
            still come to the loan.
        PaymentBackDated: something happened to the loan since, or close of day has spread what
            had cleared on that day.
        IdempotencyConflict: the key was used for other payments.
        NotEnoughMoney: a payment from cash that isn't there.
    """
    _check_drafts(payments, on)
    loans = [payment.loan_id for payment in payments]
    bring_up(loan_ids=loans, on=on, actor=actor, house=house)
    with transaction.atomic():
        answer = once(
            scope=actor,
            name="receive_payments",
            key=key,
            content={"on": on, "payments": [_content(payment) for payment in payments]},
            action=lambda: {"taken": _receive(payments, on, actor, house)},
        )
    return int(answer["taken"])


def _content(payment: PaymentDraft) -> tuple[object, ...]:
    return (
        payment.loan_id,
        payment.amount,
        payment.kind.value,
        payment.reference,
        payment.cost,
        payment.received_on,
    )


def _check_drafts(payments: Sequence[PaymentDraft], on: date) -> None:
    """Refuse what can be seen to be wrong without looking at the loans."""
    if len({payment.loan_id for payment in payments}) != len(payments):
        raise PaymentRefused("A loan is named twice among the payments.", field="loan")
    for payment in payments:
        if not whole(payment.amount) or not 0 < payment.amount <= LARGEST_PENCE:
            raise PaymentRefused("A payment is a whole number of pence above zero.", field="amount")
        most = payment.amount if payment.kind is PaymentKind.RECOVERY else 0
        if not whole(payment.cost) or not 0 <= payment.cost <= most:
            raise PaymentRefused(
                "Only a recovery has a cost, of no more than what it brought.", field="cost"
            )
        if len(payment.reference) > LONGEST_REFERENCE or "\0" in payment.reference:
            raise PaymentRefused(
                f"A reference has up to {LONGEST_REFERENCE} characters.", field="reference"
            )
        if payment.excess is not Excess.KEEP:
            raise PaymentRefused(
                "Payments taken in together keep what is beyond what is due; ask for a prepayment "
                "of the loan to repay principal before its time.",
                field="excess",
            )
        if payment.received_on is not None and payment.received_on > on:
            raise PaymentRefused(
                f"A payment can't be received on {payment.received_on}: the business date is {on}.",
                field="received_on",
            )


def _receive(payments: Sequence[PaymentDraft], on: date, actor: str, house: House) -> int:
    if not payments:
        return 0
    lock_servicing()
    drafts = sorted(payments, key=lambda payment: payment.loan_id)
    ids = np.array([payment.loan_id for payment in drafts], dtype=np.int64)
    lock_loans(ids)
    claims = load_claims(ids)
    _check_loans(drafts, claims)
    received = [payment.received_on or on for payment in drafts]
    _check_days(drafts, received, on)
    arrived = Arrived(
        loan=ids,
        number=_next_numbers(ids),
        amount=np.array([payment.amount for payment in drafts], dtype=np.int64),
        cost=np.array([payment.cost for payment in drafts], dtype=np.int64),
    )
    to = allocate(arrived, claims, load_open_instalments(ids))
    _store(drafts, received, arrived, to, on, actor, house)
    _post(drafts, received, arrived, claims, to, on, actor)
    return len(drafts)


def _check_loans(drafts: Sequence[PaymentDraft], claims: LoanClaims) -> None:
    """Refuse loans that take no payments, and amounts beyond what can come to them."""
    if len(claims.loan) != len(drafts):
        taking = set(claims.loan.tolist())
        loan = next(draft.loan_id for draft in drafts if draft.loan_id not in taking)
        state = Loan.objects.filter(pk=loan).values_list("state", flat=True).first()
        raise PaymentRefused(
            f"Loan {loan} is {state or 'unknown'}; payments are taken for loans that are "
            f"{', '.join(sorted(PAYABLE))}.",
            state=None if state is None else LoanState(state),
            allowed=PAYABLE,
            field="loan",
        )
    for draft, payable in zip(drafts, claims.payable.tolist(), strict=True):
        if draft.amount > payable:
            raise PaymentRefused(
                f"No more than {payable} pence can still come to loan {draft.loan_id}, not "
                f"{draft.amount}.",
                field="amount",
            )


def _check_days(drafts: Sequence[PaymentDraft], received: Sequence[date], on: date) -> None:
    """Refuse a payment of a day that is over, or after which something happened to its loan."""
    spread = last_day_spread()
    over = next((day for day in received if spread is not None and day <= spread), None)
    if over is not None:
        raise PaymentBackDated(
            f"What cleared on {over} is spread already: take the payment by itself "
            "(take_payment), which replays what came later, or let it count from a later day.",
            field="received_on",
        )
    if all(day == on for day in received):
        return
    latest = load_latest_days(np.array([draft.loan_id for draft in drafts], dtype=np.int64))
    for draft, day, last in zip(drafts, received, latest, strict=True):
        if day < on and day < last:
            raise PaymentBackDated(
                f"Something happened to loan {draft.loan_id} on {last}, after {day}: take the "
                "payment by itself (take_payment), which replays what came later.",
                field="received_on",
            )


def _next_numbers(loan_ids: IntArray) -> IntArray:
    """Take the loans' next numbers, ``[L]``; one statement."""
    with connection.cursor() as cursor:
        cursor.execute(
            "WITH n AS (UPDATE marketplace_loan SET events = events + 1"
            " WHERE id = ANY (%s::bigint[]) RETURNING id, events)"
            " SELECT events FROM n ORDER BY id",
            [array_of(loan_ids)],
        )
        return np.array([row[0] for row in cursor.fetchall()], dtype=np.int64)


def _store(
    drafts: Sequence[PaymentDraft],
    received: Sequence[date],
    arrived: Arrived,
    to: Allocated,
    on: date,
    actor: str,
    house: House,
) -> None:
    """Write the payments and what they were allocated to; one statement."""
    clears = {
        day: add_business_days(day, house.clearing_days, bank_holidays_around(day))
        for day in set(received)
    }
    numbers = (
        arrived.loan,
        arrived.number,
        arrived.amount,
        arrived.cost,
        to.principal,
        to.interest,
        to.returned,
        to.to_fund_principal,
        to.to_fund_interest,
        to.cost_principal,
        to.cost_interest,
    )
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO marketplace_payment (loan_id, number, amount, cost, principal, interest,"
            " returned, to_fund_principal, to_fund_interest, cost_principal, cost_interest, kind,"
            " reference, received_on, clears_on, allocated_on, recorded_on, actor)"
            " SELECT n.*, %s, %s FROM unnest("
            + ", ".join(["%s::bigint[]"] * len(numbers))
            + ", %s::text[], %s::text[], %s::date[], %s::date[], %s::date[]) AS n",
            [
                on,
                actor,
                *map(array_of, numbers),
                [draft.kind.value for draft in drafts],
                [draft.reference for draft in drafts],
                list(received),
                [
                    day if draft.kind is PaymentKind.CASH else clears[day]
                    for draft, day in zip(drafts, received, strict=True)
                ],
                [
                    day if taken else None
                    for day, taken in zip(received, to.is_allocated.tolist(), strict=True)
                ],
            ],
        )


def _post(
    drafts: Sequence[PaymentDraft],
    received: Sequence[date],
    arrived: Arrived,
    claims: LoanClaims,
    to: Allocated,
    on: date,
    actor: str,
) -> None:
    """Collected or from cash, into the loans' clearing; and the claims fall.

    A payment counts on the day it was received, where that day is still open.
    """
    closed = last_closed_date() if min(received) < on else None
    entries = [
        EntryDraft(
            EntryKind.PAYMENT_RECEIVED,
            f"payment/{loan}/{number}",
            on if closed is not None and day <= closed else day,
            actor,
            f"loan:{loan}",
        )
        for loan, number, day in zip(
            arrived.loan.tolist(), arrived.number.tolist(), received, strict=True
        )
    ]
    keys = [entry.key for entry in entries]
    every = np.arange(len(entries))
    cash = account_ids(Kind.CASH, claims.borrower)
    collected = np.array([draft.kind is not PaymentKind.CASH for draft in drafts])
    legs = [
        Leg(
            every,
            debit=platform_accounts(Kind.COLLECTING, keys),
            credit=cash,
            amount=arrived.amount * collected,
            book=Book.CASH,
        ),
        Leg(
            every,
            debit=cash,
            credit=account_ids(Kind.CLEARING, arrived.loan),
            amount=arrived.amount,
            book=Book.CASH,
        ),
        *claims_fall(every, keys, arrived, claims, to),
    ]
    post(posting(entries, legs))
