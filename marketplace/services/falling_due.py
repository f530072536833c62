"""The day an instalment comes: its interest is fixed and booked as a claim.

Payments that waited for it are allocated then, in order of number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from django.db import connection, transaction

from accounts.core.chart import Book, Kind
from accounts.core.posting import EntryDraft, EntryKind, Leg, posting
from accounts.selectors.bulk import array_of
from accounts.selectors.ledger import account_ids, platform_accounts
from accounts.services.posting import post
from marketplace.core.arrays import IntArray, segment_sums
from marketplace.core.house import HOUSE, House
from marketplace.core.interest import cumulative_interest_by_loan
from marketplace.selectors.servicing import (
    FallingDue,
    LoanClaims,
    PartRates,
    earliest_due,
    load_claims,
    load_falling_due,
    load_open_instalments,
    load_part_rates,
    load_waiting,
    loans_due,
)
from marketplace.services.ageing import age_loans
from marketplace.services.allocating import Allocated, Arrived, allocate, claims_fall
from marketplace.services.locks import lock_loans, lock_servicing


def fall_due(*, on: date, actor: str, house: House = HOUSE) -> int:
    """Fix the interest of every instalment due by ``on``; allocate the payments that waited for it.

    Interest is the monthly rate on the principal outstanding, part by part. Days that were missed
    are caught up in order, in a transaction each: before each of them loans are aged, so that a
    late run charges what a punctual one would have. A day by itself is one posting. The number of
    statements depends on how many due dates there are to catch up, not on loans or parts.

    Returns:
        How many instalments fell due.
    """
    count = 0
    while (day := earliest_due(on)) is not None:
        with transaction.atomic():
            lock_servicing()
            age_loans(on=day - timedelta(days=1), house=house)
            count += _fall_due(loans_due(day), day, actor)
    return count


def bring_up(
    *, loan_ids: Sequence[int] | IntArray, on: date, actor: str, house: House = HOUSE
) -> int:
    """Let what is due on some loans by ``on`` fall due, before somebody acts on them.

    They are aged up to the day before, too. So it makes no difference whether close of day ran.
    It posts when something falls due, in a transaction of its own: call it before opening yours.

    Returns:
        How many instalments fell due.
    """
    loans = np.unique(np.array(loan_ids, dtype=np.int64))
    count = 0
    while (day := earliest_due(on, loans)) is not None:
        with transaction.atomic():
            _hold(loans)
            age_loans(on=day - timedelta(days=1), loan_ids=loans, house=house)
            count += _fall_due(loans_due(day, loans), day, actor)
    with transaction.atomic():
        _hold(loans)
        age_loans(on=on - timedelta(days=1), loan_ids=loans, house=house)
    return count


def _hold(loans: IntArray) -> None:
    """One loan is held by itself; of several, only one batch at a time."""
    if len(loans) > 1:
        lock_servicing()
    lock_loans(loans)


def _fall_due(loans: IntArray, on: date, actor: str) -> int:
    lock_loans(loans)
    due = load_falling_due(on, loans)
    if not len(due.loan):
        return 0
    months, interest = _grown(due)
    _store(due, months, interest)
    _post(due, interest, _allocate_waiting(loans, on), on, actor)
    return len(due.loan)


def _grown(due: FallingDue) -> tuple[IntArray, IntArray]:
    """``S`` as of each instalment, and its interest in pence, ``[M]`` both."""
    # Halves up, in integers: see marketplace.core.rescheduling.
    twice = 2 * (due.outstanding * due.period_days + due.pence_days)
    grows = (twice + due.month_days) // (2 * due.month_days) * ~due.is_frozen
    loans, first = np.unique(due.loan, return_index=True)
    # Where two instalments of a loan fall on one day, the second's begins where the first's ends.
    running = np.cumsum(grows)
    place = np.searchsorted(loans, due.loan)
    months = due.balance_months + running - (running - grows)[first][place]
    parts = load_part_rates(loans)
    interest = np.empty_like(months)
    turn = np.arange(len(place)) - first[place]
    before = _interest(parts, due.balance_months[first])
    for number in range(int(turn.max()) + 1):
        rows = np.flatnonzero(turn == number)
        after = _interest(parts.of(place[rows]), months[rows])
        interest[rows] = after - before[place[rows]]
        before[place[rows]] = after
    return months, interest


def _interest(parts: PartRates, pence_months: IntArray) -> IntArray:
    """Interest of whole loans fixed when their pence-months are these, pence ``[L]``."""
    fixed = cumulative_interest_by_loan(parts.units, parts.monthly_e12, pence_months, parts.offsets)
    return segment_sums(fixed, parts.offsets)


def _store(due: FallingDue, months: IntArray, interest: IntArray) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE marketplace_instalment AS i SET interest_due = n.interest,"
            " balance_months = n.months"
            " FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[]) AS n (id, interest, months)"
            " WHERE i.id = n.id",
            [array_of(due.instalment), array_of(interest), array_of(months)],
        )
        cursor.execute(
            "UPDATE marketplace_loan AS l SET balance_months = n.months FROM"
            " (SELECT id, max(months) AS months FROM unnest(%s::bigint[], %s::bigint[])"
            " AS r (id, months) GROUP BY id) AS n WHERE l.id = n.id",
            [array_of(due.loan), array_of(months)],
        )


@dataclass(frozen=True)
class _Freed:
    """Payments that waited, and what they were allocated to."""

    arrived: Arrived
    claims: LoanClaims
    to: Allocated


def _allocate_waiting(loans: IntArray, on: date) -> _Freed | None:
    """Allocate what waited, if anything did; six statements at most."""
    waiting = load_waiting(loans)
    if not len(waiting.loan):
        return None
    arrived = Arrived(waiting.loan, waiting.number, waiting.amount, waiting.cost)
    claims = load_claims(np.unique(waiting.loan))
    to = allocate(arrived, claims, load_open_instalments(claims.loan))
    took = np.flatnonzero(to.is_allocated)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE marketplace_payment AS p SET allocated_on = %s, principal = n.principal,"
            " interest = n.interest, returned = n.returned, to_fund_principal = n.fund_p,"
            " to_fund_interest = n.fund_i, cost_principal = n.cost_p, cost_interest = n.cost_i"
            f" FROM unnest({', '.join(['%s::bigint[]'] * 8)})"
            " AS n (id, principal, interest, returned, fund_p, fund_i, cost_p, cost_i)"
            " WHERE p.id = n.id",
            [
                on,
                array_of(waiting.payment[took]),
                *(
                    array_of(column[took])
                    for column in (
                        to.principal,
                        to.interest,
                        to.returned,
                        to.to_fund_principal,
                        to.to_fund_interest,
                        to.cost_principal,
                        to.cost_interest,
                    )
                ),
            ],
        )
    return _Freed(arrived, claims, to)


def _post(due: FallingDue, interest: IntArray, freed: _Freed | None, on: date, actor: str) -> None:
    """One entry a loan: the interest that fell due, and what payments took off at once.

    A due date is named by its day: its number may change when the loan does.
    """
    loans, place = np.unique(due.loan, return_inverse=True)
    moved = np.bincount(place, weights=interest, minlength=len(loans)) > 0
    if freed is not None:
        of = np.searchsorted(loans, freed.arrived.loan)
        moved[of[freed.to.principal + freed.to.interest > 0]] = True
    booked = np.flatnonzero(moved)
    entries = [
        EntryDraft(EntryKind.INTEREST_FELL_DUE, f"due/{loan}/{on}", on, actor, f"loan:{loan}")
        for loan in loans[booked].tolist()
    ]
    keys = [entry.key for entry in entries]
    # Loans without an entry move nothing: their place doesn't matter.
    entry_of = np.minimum(np.searchsorted(booked, np.arange(len(loans))), max(len(booked) - 1, 0))
    legs = []
    if entries:
        entry = entry_of[place]
        legs.append(
            Leg(
                entry,
                debit=account_ids(Kind.INTEREST_DUE, due.loan),
                credit=platform_accounts(Kind.CLAIMS_HELD, keys)[entry],
                amount=interest,
                book=Book.CLAIMS,
            )
        )
        if freed is not None:
            legs += claims_fall(entry_of[of], keys, freed.arrived, freed.claims, freed.to)
    post(posting(entries, legs))
