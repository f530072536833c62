"""Payments that bounce: every figure as if they had never come, and the record that they did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from django.db import connection, transaction

from accounts.core.posting import EntryKind
from accounts.services.collecting import taken_back
from accounts.services.idempotency import once
from marketplace.core.errors import MarketplaceRefusal
from marketplace.core.house import HOUSE, House
from marketplace.core.loan_events import PaymentKind
from marketplace.core.states import LoanState
from marketplace.models import Payment
from marketplace.services.loan_records import check_text
from marketplace.services.locks import lock_loans
from marketplace.services.rebuilding import Cause, Rebuilt, rebuild_loans


class BounceRefused(MarketplaceRefusal):
    """A payment that can't bounce: unknown, bounced already, from cash, or not come yet."""

    code = "BOUNCE_REFUSED"


@dataclass(frozen=True)
class Bounced:
    """How many payments bounced, and what that did to their loans."""

    payments: int
    loans: tuple[Rebuilt, ...]


def bounce_payments(
    *,
    payments: Sequence[int],
    on: date,
    actor: str,
    key: str,
    reason: str,
    house: House = HOUSE,
) -> Bounced:
    """Take payments back that the bank has taken back, and replay what came after them.

    What hangs on them is taken back too: a settlement, a settlement for less, a rescission. Lenders
    give back what they were given as far as their cash goes, and Tenner advances the rest; where
    the payment was not yet spread, no lender's money moves. A fixed number of statements.

    Args:
        payments: ids of the payments.
        on: the business date.
        actor: who says so.
        key: idempotency key, unique for the actor.
        reason: the bank's, without personal data.
        house: the house's rules.

    Raises:
        BounceRefused: names the payment and why it can't bounce.
        IdempotencyConflict: the key was used for other payments.
    """
    with transaction.atomic():
        answer = once(
            scope=actor,
            name="bounce_payments",
            key=key,
            content={"payments": sorted(payments), "reason": reason},
            action=lambda: _bounce(payments, on, actor, reason, house),
        )
    return Bounced(answer["payments"], tuple(map(rebuilt_of, answer["loans"])))


def rebuilt_of(answer: dict[str, Any]) -> Rebuilt:
    """A stored answer as what it was."""
    states = {name: LoanState(answer[name]) for name in ("before", "after")}
    return Rebuilt(**(answer | states))


def _bounce(
    payments: Sequence[int], on: date, actor: str, reason: str, house: House
) -> dict[str, Any]:
    check_text(reason=reason)
    if not payments:
        return {"payments": 0, "loans": []}
    loans = Payment.objects.filter(pk__in=payments).values_list("loan_id", flat=True)
    lock_loans(sorted(set(loans)))
    rows = list(Payment.objects.filter(pk__in=payments).order_by("loan_id", "number"))
    _check(payments, rows, on)
    ids = [row.pk for row in rows]
    Payment.objects.filter(pk__in=ids).update(bounced_on=on)
    events = _take_back_events(ids, on, actor)
    taken_back(end_to_end_ids=[row.reference for row in rows if row.reference], reason=reason)
    undone: dict[int, set[int]] = {}
    numbers = [(row.loan_id, row.number) for row in rows]
    for loan, number in numbers + events:
        undone.setdefault(loan, set()).add(number)
    rebuilt = rebuild_loans(
        causes=[Cause(loan, undone=frozenset(taken)) for loan, taken in undone.items()],
        on=on,
        actor=actor,
        kind=EntryKind.PAYMENT_BOUNCED,
        reason=f"a payment bounced ({reason})" if reason else "a payment bounced",
        house=house,
    )
    return {"payments": len(rows), "loans": [asdict(each) for each in rebuilt]}


def _take_back_events(payments: Sequence[int], on: date, actor: str) -> list[tuple[int, int]]:
    """Take back the events that came with payments; the loan and number of each."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE marketplace_loanevent AS e SET voided_on = %s, voided_by = %s"
            " FROM marketplace_payment AS p WHERE p.id = ANY (%s) AND e.loan_id = p.loan_id"
            " AND e.payment = p.number AND e.voided_on IS NULL RETURNING e.loan_id, e.number",
            [on, actor, list(payments)],
        )
        return [(loan, number) for loan, number in cursor.fetchall()]


def _check(payments: Sequence[int], rows: Sequence[Payment], on: date) -> None:
    if len(rows) != len(set(payments)) or len(rows) != len(payments):
        raise BounceRefused("A payment is unknown, or named twice.", field="payments")
    for row in rows:
        name = f"Payment {row.number} of loan {row.loan_id}"
        if row.bounced_on is not None:
            raise BounceRefused(f"{name} bounced already, on {row.bounced_on}.", field="payments")
        if row.kind == PaymentKind.CASH:
            raise BounceRefused(
                f"{name} was made from cash: only money from outside can bounce.", field="payments"
            )
        if row.recorded_on > on:
            raise BounceRefused(
                f"{name} was recorded on {row.recorded_on}: it can't have bounced by {on}.",
                field="payments",
            )
