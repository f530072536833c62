"""What ageing needs to know: the oldest overdue dates, and arrangements and hardship."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from django.db import connection

from accounts.selectors.bulk import array_of
from marketplace.core.arrays import IntArray
from marketplace.core.states import LoanState

_OPEN = (
    " i.interest_due IS NOT NULL"
    " AND (i.interest_paid < i.interest_due OR i.principal_paid < i.principal_due)"
)


def load_overdue(
    on: date, states: Sequence[LoanState], loan_ids: IntArray | None = None
) -> dict[int, date]:
    """The oldest due date before ``on`` that is not covered, of each loan late in these states.

    One statement; payments count as soon as they are allocated.
    """
    some = None if loan_ids is None else array_of(loan_ids)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT i.loan_id, min(i.due_on) FROM marketplace_instalment AS i"
            f" JOIN marketplace_loan AS l ON l.id = i.loan_id WHERE {_OPEN} AND i.due_on < %s"
            " AND l.state = ANY (%s) AND (%s::bigint[] IS NULL OR i.loan_id = ANY (%s::bigint[]))"
            " GROUP BY i.loan_id ORDER BY i.loan_id",
            [on, [state.value for state in states], some, some],
        )
        return dict(cursor.fetchall())


def load_late_on(days: Mapping[int, date]) -> set[int]:
    """Those of the loans with something uncovered that was due before their day; one statement."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT n.id FROM unnest(%s::bigint[], %s::date[]) AS n (id, day)"
            f" JOIN marketplace_instalment AS i ON i.loan_id = n.id AND {_OPEN}"
            " AND i.due_on < n.day",
            [list(days), list(days.values())],
        )
        return {row[0] for row in cursor.fetchall()}


def load_paused(loan_ids: Sequence[int]) -> set[int]:
    """Those of the loans that had an arrangement or hardship; one statement."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT loan_id FROM marketplace_loanevent WHERE loan_id = ANY (%s)"
            " AND voided_on IS NULL AND kind IN ('arrangement', 'hardship')",
            [list(loan_ids)],
        )
        return {row[0] for row in cursor.fetchall()}


@dataclass(frozen=True)
class Spell:
    """An arrangement or hardship that lasts.

    Attributes:
        loan_id: whose.
        state: which.
        began: its first day.
        until: of hardship, its last day; otherwise as ``began``.
        amount: of an arrangement, pence a month.
        months: of an arrangement.
        paid: what was received since it began, in order: the day, and pence.
    """

    loan_id: int
    state: LoanState
    began: date
    until: date
    amount: int
    months: int
    paid: tuple[tuple[date, int], ...]


def load_spells(loan_ids: IntArray | None = None) -> list[Spell]:
    """The arrangements and hardship that last, by loan; one statement."""
    some = None if loan_ids is None else array_of(loan_ids)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT l.id, l.state, e.effective_on, coalesce(e.until, e.effective_on), e.amount,"
            " e.months, y.days, y.amounts FROM marketplace_loan AS l CROSS JOIN LATERAL ("
            " SELECT * FROM marketplace_loanevent WHERE loan_id = l.id AND kind = l.state"
            " AND voided_on IS NULL ORDER BY effective_on DESC, number DESC LIMIT 1) AS e"
            " CROSS JOIN LATERAL (SELECT array_agg(received_on) AS days,"
            " array_agg(amount) AS amounts FROM marketplace_payment AS p WHERE p.loan_id = l.id"
            " AND p.bounced_on IS NULL"
            " AND (p.received_on, p.number) > (e.effective_on, e.number)) AS y"
            " WHERE l.state IN ('arrangement', 'hardship')"
            " AND (%s::bigint[] IS NULL OR l.id = ANY (%s::bigint[])) ORDER BY l.id",
            [some, some],
        )
        return [
            Spell(
                loan_id=loan,
                state=LoanState(state),
                began=began,
                until=until,
                amount=amount,
                months=months,
                paid=tuple(zip(days or (), amounts or (), strict=True)),
            )
            for loan, state, began, until, amount, months, days, amounts in cursor.fetchall()
        ]
