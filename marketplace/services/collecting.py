"""Direct debits of what falls due: asked for, answered, and taken in as payments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import numpy as np
from django.db import transaction

from accounts.core.collecting import CollectionState
from accounts.selectors.collecting import (
    CollectionView,
    collections_due,
    last_attempts,
    subjects_under_way,
)
from accounts.services.asking_collections import CollectionDraft, ask_for_collections
from accounts.services.collecting import Unpaid, fail_collections, take_in
from accounts.services.collection_files import send_collections
from accounts.services.idempotency import once
from marketplace.core.collecting import Collector, Presented
from marketplace.core.house import HOUSE, House
from marketplace.core.loan_events import PaymentKind
from marketplace.core.schedule import add_business_days, following_business_day
from marketplace.selectors.calendar import bank_holidays
from marketplace.selectors.collecting import collectable, loans_ahead
from marketplace.selectors.direct_debits import (
    due_instalments,
    loan_of,
    oldest_due,
    subject_of,
)
from marketplace.selectors.servicing import load_claims
from marketplace.services.locks import lock_loans, lock_servicing
from marketplace.services.payments import PaymentDraft, receive_payments


@dataclass(frozen=True)
class Collected:
    """What a collection did: numbers of direct debits, and pence.

    Attributes:
        asked: asked for now.
        sent: given to the bank in a file now.
        taken: that count as collected now.
        failed: that failed at once.
        pence: of those that were taken.
        rests: pence of them that their loans couldn't take, for the borrowers' cash
            (:func:`accounts.services.collected_rests.move_rests`).
    """

    asked: int = 0
    sent: int = 0
    taken: int = 0
    failed: int = 0
    pence: int = 0
    rests: int = 0


def collect(
    *,
    on: date,
    collector: Collector,
    actor: str,
    key: str,
    today: date | None = None,
    house: House = HOUSE,
) -> Collected:
    """Collect what falls due, once; a fixed number of statements, and one posting.

    Asks for each instalment that is due so many business days ahead as the collector wants, gives
    the bank its file, and takes in as payments what is to be collected by today. Each due date of
    a loan is asked for once: what fails stays in arrears. On a day that is no business day
    nothing is collected. Of a loan with several direct debits the oldest is taken in now, the next
    one on the next business day.

    Args:
        on: business date, whose instalments have fallen due.
        collector: who collects.
        actor: who asks.
        key: idempotency key, unique for the actor.
        today: the business date that it is, where a missed day is caught up: a bank is asked for
            the first day that it can still do; ``on`` without it.
        house: the house's settings.

    Raises:
        CollectionFileRefused, BankTextRefused: the bank would send the file back.
        DateRefused, IdempotencyConflict.
    """
    now = max(on, today or on) if collector.by_file else on
    return _once(
        "collect", on, actor, key, {}, lambda: _collect(on, now, collector, actor, key, house)
    )


def collect_again(
    *,
    loan_ids: Sequence[int],
    on: date,
    collector: Collector,
    actor: str,
    key: str,
    house: House = HOUSE,
) -> Collected:
    """Collect all that is overdue on loans, because somebody asks for it.

    It is another attempt at the oldest due date that isn't covered. For a bank it goes into the
    next file, for the first day that the bank can do.

    Args:
        loan_ids: which; those that owe nothing, that are borne with or in default, that have a
            direct debit under way, or whose borrowers gave no mandate, are left out.
        on: business date.
        collector: who collects.
        actor: who asks.
        key: idempotency key, unique for the actor.
        house: the house's settings.

    Raises:
        DateRefused, IdempotencyConflict.
    """
    return _once(
        "collect_again",
        on,
        actor,
        key,
        {"loans": sorted(loan_ids)},
        lambda: _collect_again(loan_ids, on, collector, actor, key, house),
    )


def _once(
    name: str,
    on: date,
    actor: str,
    key: str,
    content: dict[str, Any],
    action: Callable[[], Collected],
) -> Collected:
    with transaction.atomic():
        answer = once(
            scope=actor,
            name=name,
            key=key,
            content={"on": on, **content},
            action=lambda: asdict(action()),
        )
    return Collected(**answer)


def _collect(
    on: date, now: date, collector: Collector, actor: str, key: str, house: House
) -> Collected:
    holidays = bank_holidays(on.year - 1, now.year + 1)
    if following_business_day(on, holidays) != on:
        return Collected()
    lock_servicing()
    due_on, day = (
        add_business_days(since, collector.business_days_ahead, holidays) for since in (on, now)
    )
    drafts = [
        CollectionDraft(due.borrower_id, due.amount, subject_of(due.loan_id), due.due_on, day)
        for due in due_instalments(_business_day_before(due_on, holidays), due_on)
    ]
    asked = len(ask_for_collections(asked=drafts, on=on, actor=actor, mandated=collector.by_file))
    sent = 0
    if collector.by_file:
        made_at = datetime.combine(now, time(), UTC)
        file = send_collections(on=now, actor=actor, created_at=made_at)
        sent = file.count if file is not None else 0
    return _take_in(asked, sent, on, collector, actor, key, house)


def _collect_again(
    loan_ids: Sequence[int], on: date, collector: Collector, actor: str, key: str, house: House
) -> Collected:
    lock_servicing()
    wanted = set(loan_ids)
    owed = collectable(on)
    amounts = {
        loan: pence
        for loan, pence in zip(owed.loan.tolist(), owed.amount.tolist(), strict=True)
        if loan in wanted
    }
    under_way = subjects_under_way([subject_of(loan) for loan in amounts], on)
    oldest = oldest_due([loan for loan in amounts if subject_of(loan) not in under_way], on)
    attempts = last_attempts([subject_of(loan) for loan in oldest])
    holidays = bank_holidays(on.year, on.year + 1)
    day = add_business_days(on, collector.business_days_ahead, holidays)
    drafts = [
        CollectionDraft(
            due.borrower_id,
            amounts[loan],
            subject_of(loan),
            due.due_on,
            day,
            attempts.get((subject_of(loan), due.due_on), 0) + 1,
        )
        for loan, due in sorted(oldest.items())
    ]
    asked = ask_for_collections(asked=drafts, on=on, actor=actor, mandated=collector.by_file)
    return _take_in(len(asked), 0, on, collector, actor, key, house)


def _business_day_before(day: date, holidays: frozenset[date]) -> date:
    before = day - timedelta(days=1)
    while following_business_day(before, holidays) != before:
        before -= timedelta(days=1)
    return before


def _take_in(
    asked: int,
    sent: int,
    on: date,
    collector: Collector,
    actor: str,
    key: str,
    house: House,
) -> Collected:
    """Answer what is to be collected by today, and take in what was collected; it posts, last."""
    good, failed = _answered(_to_answer(on, collector), collector)
    fail_collections(unpaid=failed)
    limits = _limits(good)
    taken = {
        one.end_to_end_id: min(one.amount, limits.get(loan_of(one.subject), 0)) for one in good
    }
    rests = {
        one.end_to_end_id: one.amount - taken[one.end_to_end_id]
        for one in good
        if taken[one.end_to_end_id] < one.amount
    }
    take_in(end_to_end_ids=list(taken), on=on, rests=rests)
    payments = [
        PaymentDraft(
            loan_of(one.subject),
            taken[one.end_to_end_id],
            kind=PaymentKind.COLLECTION,
            reference=one.end_to_end_id,
        )
        for one in good
        if taken[one.end_to_end_id]
    ]
    if payments:
        receive_payments(payments=payments, on=on, actor=actor, key=key, house=house)
    return Collected(
        asked=asked,
        sent=sent,
        taken=len(taken),
        failed=len(failed),
        pence=sum(taken.values()),
        rests=sum(rests.values()),
    )


def _limits(good: Sequence[CollectionView]) -> dict[int, int]:
    """Pence that the loans can take still, by loan; nothing for others. One statement."""
    loans = np.array(sorted({loan_of(one.subject) for one in good}), dtype=np.int64)
    if not len(loans):
        return {}
    claims = load_claims(loans)
    return dict(zip(claims.loan.tolist(), claims.payable.tolist(), strict=True))


def _to_answer(on: date, collector: Collector) -> list[CollectionView]:
    """What is to be collected by today, the oldest of each loan, locked; five statements.

    Of a loan with later records it waits for the close of a later day: payments count in order.
    """
    loans = np.array(sorted(_oldest(on, collector)), dtype=np.int64)
    if not len(loans):
        return []
    lock_loans(loans)
    ahead = loans_ahead(on, loans)
    # Read again: somebody may have settled a loan before they let go of it.
    oldest = _oldest(on, collector)
    return [one for loan, one in oldest.items() if loan not in ahead]


def _oldest(on: date, collector: Collector) -> dict[int, CollectionView]:
    """The oldest direct debit of each loan that is to be collected by today; one statement."""
    oldest: dict[int, CollectionView] = {}
    for one in collections_due(on):
        # What a bank was given is collected, whoever collects now.
        asked = not collector.by_file and not one.mandate
        loan = loan_of(one.subject)
        if loan and (asked or one.state is CollectionState.SENT):
            oldest.setdefault(loan, one)
    return oldest


def _answered(
    due: Sequence[CollectionView], collector: Collector
) -> tuple[list[CollectionView], list[Unpaid]]:
    """Those that count as collected, and those that failed at once."""
    good, failed = [], []
    for one in due:
        answer = collector.answer(Presented(loan_of(one.subject), one.due_on, one.attempt))
        if answer.collected or one.state is CollectionState.SENT:
            good.append(one)
        else:
            failed.append(Unpaid(one.end_to_end_id, answer.reason))
    return good, failed
