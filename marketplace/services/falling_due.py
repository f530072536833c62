"""The day an instalment comes: its interest is fixed and booked as a claim."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
from django.db import connection, transaction

from accounts.core.chart import Book, Kind
from accounts.core.posting import EntryDraft, EntryKind, Leg, posting
from accounts.selectors.ledger import account_ids, platform_accounts
from accounts.services.posting import post
from marketplace.core.arrays import IntArray, segment_sums
from marketplace.core.interest import cumulative_interest_by_loan
from marketplace.selectors.servicing import (
    FallingDue,
    PartRates,
    earliest_due,
    load_falling_due,
    load_part_rates,
)
from marketplace.services.ageing import age_loans
from marketplace.services.locks import lock_servicing
from marketplace.services.payments import distribute_cleared


def fall_due(*, on: date, actor: str) -> int:
    """Fix the interest of every instalment due by ``on``, the earliest of each loan first.

    Interest is the monthly rate on the principal outstanding, part by part. Days that were missed
    are caught up in order: before each of them what had cleared is spread and loans are aged, so
    that a late run charges what a punctual one would have. The number of statements depends on
    how many due dates there are to catch up, not on the number of loans or parts.

    Returns:
        How many instalments fell due.
    """
    count = 0
    while True:
        # A transaction a day, so that each has one posting, and what is done stays done.
        day = earliest_due(on)
        if day is None:
            return count
        distribute_cleared(on=on, actor=actor, cleared_by=day - timedelta(days=1))
        age_loans(on=day)
        with transaction.atomic():
            lock_servicing()
            due = load_falling_due(day)
            if len(due.loan):
                _fall_due_once(due, day, actor)
            count += len(due.loan)


def _fall_due_once(due: FallingDue, on: date, actor: str) -> None:
    parts = load_part_rates(due.loan)
    months = due.balance_months + due.outstanding
    interest = _interest(parts, months) - _interest(parts, due.balance_months)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE marketplace_instalment AS i SET interest_due = n.interest,"
            " balance_months = n.months"
            " FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[]) AS n (id, interest, months)"
            " WHERE i.id = n.id",
            [due.instalment.tolist(), interest.tolist(), months.tolist()],
        )
        cursor.execute(
            "UPDATE marketplace_loan AS l SET balance_months = n.months"
            " FROM unnest(%s::bigint[], %s::bigint[]) AS n (id, months) WHERE l.id = n.id",
            [due.loan.tolist(), months.tolist()],
        )
    booked = np.flatnonzero(interest)
    entries = [
        EntryDraft(
            EntryKind.INTEREST_FELL_DUE,
            f"due/{due.loan[place]}/{due.number[place]}",
            on,
            actor,
            f"loan:{due.loan[place]}",
        )
        for place in booked
    ]
    leg = Leg(
        np.arange(len(booked)),
        debit=account_ids(Kind.INTEREST_DUE, due.loan[booked]),
        credit=platform_accounts(Kind.CLAIMS_HELD, [entry.key for entry in entries]),
        amount=interest[booked],
        book=Book.CLAIMS,
    )
    post(posting(entries, [leg]))


def _interest(parts: PartRates, pence_months: IntArray) -> IntArray:
    """Interest of whole loans fixed when their pence-months are these, pence ``[L]``."""
    fixed = cumulative_interest_by_loan(parts.units, parts.monthly_e12, pence_months, parts.offsets)
    return segment_sums(fixed, parts.offsets)
