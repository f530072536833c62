"""Contacts with borrowers, and what they promise to pay."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
from django.db import transaction
from django.db.models import F, Q

from accounts.models import Member, Role
from accounts.services.idempotency import once
from marketplace.core.arrays import whole
from marketplace.core.promises import (
    Came,
    Channel,
    ContactRefused,
    Direction,
    Promised,
    PromiseRefused,
    PromiseState,
    judge,
)
from marketplace.core.states import PAYABLE
from marketplace.core.wording import pounds
from marketplace.models import Contact, Loan, Payment, Promise
from marketplace.selectors.servicing import load_claims
from marketplace.services.locks import lock_loans
from marketplace.services.paying_out import LoanUnknown

LONGEST_NOTE = 4_000


@dataclass(frozen=True)
class Judged:
    """How many promises were found kept, and how many broken."""

    kept: int
    broken: int


def log_contact(
    *,
    loan_id: int,
    on: date,
    channel: Channel,
    direction: Direction,
    note: str,
    staff: str,
    key: str,
) -> int:
    """Keep a contact with a loan's borrower on record.

    Args:
        loan_id: about which loan.
        on: the day of the contact.
        channel: how.
        direction: who began.
        note: what was said; personal data, which stays here.
        staff: reference of the member of staff who had it (``member:7``).
        key: idempotency key, unique for that member of staff.

    Returns:
        The contact's id.

    Raises:
        LoanUnknown: there is no such loan.
        ContactRefused: no note, one too long, or somebody who isn't staff.
        IdempotencyConflict: the key was used for another contact.
    """
    said = note.strip()
    if not 0 < len(said) <= LONGEST_NOTE or "\0" in said:
        raise ContactRefused(f"A note has 1 to {LONGEST_NOTE:,} characters.", field="note")
    number = staff.removeprefix("member:")
    found = Member.objects.filter(pk=int(number)) if number.isdecimal() else Member.objects.none()
    person = found.exclude(role=Role.MEMBER).filter(is_active=True).first()
    if person is None:
        raise ContactRefused("Only a member of staff logs contacts.", field="staff")
    how = {"channel": Channel(channel).value, "direction": Direction(direction).value}

    def log() -> dict[str, Any]:
        _known(loan_id)
        made = Contact.objects.create(loan_id=loan_id, on=on, note=said, staff=person, **how)
        return {"contact": made.pk}

    with transaction.atomic():
        answer = once(
            scope=staff,
            name="log_contact",
            key=key,
            content={"loan": loan_id, "note": said, **how},
            action=log,
        )
    return int(answer["contact"])


def record_promise(
    *, loan_id: int, amount: int, due_on: date, on: date, actor: str, key: str
) -> int:
    """Keep on record that a borrower promised to pay.

    Args:
        loan_id: of which loan.
        amount: pence.
        due_on: the last day on which they may come.
        on: the day of the promise.
        actor: who recorded it.
        key: idempotency key, unique for the actor.

    Returns:
        The promise's id.

    Raises:
        LoanUnknown: there is no such loan.
        PromiseRefused: a loan that takes no payments, an amount of nothing or above all that the
            loan can still come to, or a day that is past.
        IdempotencyConflict: the key was used for another promise.
    """

    def promise() -> dict[str, Any]:
        lock_loans([loan_id])
        _check_promise(_known(loan_id), amount, due_on, on)
        made = Promise.objects.create(
            loan_id=loan_id, amount=amount, due_on=due_on, made_on=on, actor=actor
        )
        return {"promise": made.pk}

    with transaction.atomic():
        answer = once(
            scope=actor,
            name="record_promise",
            key=key,
            content={"loan": loan_id, "amount": amount, "due_on": due_on},
            action=promise,
        )
    return int(answer["promise"])


def _check_promise(loan: Loan, amount: int, due_on: date, on: date) -> None:
    if loan.state not in PAYABLE:
        allowed = ", ".join(sorted(PAYABLE))
        raise PromiseRefused(
            f"This loan is {loan.state}; promises are taken for loans that are {allowed}.",
            field="loan",
        )
    [most] = load_claims(np.array([loan.pk], dtype=np.int64)).payable.tolist()
    if not whole(amount) or not 0 < amount <= most:
        raise PromiseRefused(
            f"A promise is of an amount above nothing, up to the {pounds(most)} that the loan can "
            "still come to.",
            field="amount",
        )
    if due_on < on:
        raise PromiseRefused("A promise is for a day that is not past.", field="due_on")


def judge_promises(*, on: date) -> Judged:
    """Mark open promises that are kept by the end of ``on``, and those whose day is past.

    One that was kept by a payment which bounced since, or broken before a payment of its time was
    recorded, is judged again. A fixed number of statements.
    """
    with transaction.atomic():
        _reopen(on)
        loans = Promise.objects.filter(state=PromiseState.OPEN).values("loan")
        promises = defaultdict(list)
        for row in Promise.objects.select_for_update().filter(loan__in=loans).order_by("pk"):
            promises[row.loan_id].append(row)
        changed = []
        payments = _payments(list(promises))
        for loan_id, rows in promises.items():
            promised = [Promised(row.amount, row.made_on, row.due_on) for row in rows]
            for row, state in zip(rows, judge(promised, payments[loan_id], on), strict=True):
                if row.state == PromiseState.OPEN and state is not PromiseState.OPEN:
                    row.state, row.judged_on = state, on
                    changed.append(row)
        Promise.objects.bulk_update(changed, ["state", "judged_on"])
    kept = sum(row.state is PromiseState.KEPT for row in changed)
    return Judged(kept, len(changed) - kept)


def _known(loan_id: int) -> Loan:
    loan = Loan.objects.filter(pk=loan_id).first()
    if loan is None:
        raise LoanUnknown("There is no such loan.", field="loan")
    return loan


def _reopen(on: date) -> None:
    """Open promises again that were judged before a payment bounced, or came to light."""
    bounced = Q(
        state=PromiseState.KEPT,
        loan__received__bounced_on__gte=F("judged_on"),
        loan__received__bounced_on__lte=on,
    )
    found = Q(
        state=PromiseState.BROKEN,
        loan__received__recorded_on__gte=F("judged_on"),
        loan__received__recorded_on__lte=on,
        loan__received__received_on__lte=F("due_on"),
    )
    again = Promise.objects.filter(bounced | found).order_by().values("pk")
    Promise.objects.filter(pk__in=again).update(state=PromiseState.OPEN, judged_on=None)


def _payments(loan_ids: list[int]) -> dict[int, list[Came]]:
    """What came of each loan's payments and stayed."""
    found: dict[int, list[Came]] = defaultdict(list)
    rows = Payment.objects.filter(loan__in=loan_ids, bounced_on__isnull=True)
    for row in rows.order_by("received_on", "number"):
        found[row.loan_id].append(Came(row.amount, row.received_on))
    return found
