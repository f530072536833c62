"""What direct debits are made from, and what has to be done about those that came back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

from django.db import connection

from accounts.selectors.collecting import (
    CollectionView,
    collected_without_mandate,
    to_take_back,
)
from marketplace.core.collecting import LONGEST_BOUNCE, Collector, Presented
from marketplace.core.loan_events import InstalmentKind, PaymentKind
from marketplace.core.schedule import add_business_days
from marketplace.core.states import LoanState
from marketplace.selectors.calendar import bank_holidays

# Who has an arrangement, or is in hardship, pays as agreed; nobody takes it from their account.
COLLECTED_FROM = (LoanState.ACTIVE, LoanState.ARREARS)
_SUBJECT = "loan:"


@dataclass(frozen=True, slots=True)
class DueInstalment:
    """What one instalment of a loan still lacks, in pence; planned interest where it isn't due."""

    loan_id: int
    borrower_id: int
    due_on: date
    amount: int


@dataclass(frozen=True, slots=True)
class BounceDue:
    """A direct debit whose payment has to be taken back.

    Attributes:
        end_to_end_id: which.
        payment_id: the payment; 0 where its loan could take nothing of it.
        loan_id: whose payment.
        amount: pence of the payment.
        reason: the bank's code, or empty.
    """

    end_to_end_id: str
    payment_id: int
    loan_id: int
    amount: int
    reason: str


def subject_of(loan_id: int) -> str:
    """How direct debits name a loan."""
    return f"{_SUBJECT}{loan_id}"


def loan_of(subject: str) -> int:
    """The loan that a direct debit is for; 0 if it is for something else."""
    number = subject.removeprefix(_SUBJECT)
    return int(number) if number != subject and number.isdecimal() else 0


def due_instalments(after: date, by: date) -> list[DueInstalment]:
    """Instalments due after a day and by another that lack something, by loan; one statement.

    Money that came before anything was due, and waits for them, is taken off.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT i.loan_id, l.borrower_id, i.due_on, i.principal_due - i.principal_paid"
            " + coalesce(i.interest_due, i.interest_planned) - i.interest_paid"
            " - coalesce((SELECT sum(p.amount) FROM marketplace_payment AS p"
            "  WHERE p.loan_id = l.id AND p.allocated_on IS NULL AND p.distributed_on IS NULL"
            "  AND p.bounced_on IS NULL), 0)::bigint"
            " FROM marketplace_instalment AS i JOIN marketplace_loan AS l ON l.id = i.loan_id"
            " WHERE i.due_on > %s AND i.due_on <= %s AND i.kind = %s AND l.state = ANY (%s)"
            " ORDER BY i.loan_id, i.due_on",
            [
                after,
                by,
                InstalmentKind.REGULAR.value,
                [state.value for state in COLLECTED_FROM],
            ],
        )
        rows = (DueInstalment(*row) for row in cursor.fetchall())
        return [row for row in rows if row.amount > 0]


@dataclass(frozen=True, slots=True)
class OldestDue:
    """A loan's borrower, and the oldest due date that isn't covered."""

    loan_id: int
    borrower_id: int
    due_on: date


def oldest_due(loan_ids: Sequence[int], on: date) -> dict[int, OldestDue]:
    """The oldest uncovered due date of loans that are collected from, by loan; one statement."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT i.loan_id, l.borrower_id, min(i.due_on) FROM marketplace_instalment AS i"
            " JOIN marketplace_loan AS l ON l.id = i.loan_id WHERE i.loan_id = ANY (%s)"
            " AND i.due_on <= %s AND i.interest_due IS NOT NULL AND"
            " (i.interest_paid < i.interest_due OR i.principal_paid < i.principal_due)"
            " AND l.state = ANY (%s) GROUP BY i.loan_id, l.borrower_id",
            [list(loan_ids), on, [state.value for state in COLLECTED_FROM]],
        )
        return {row[0]: OldestDue(*row) for row in cursor.fetchall()}


def bounces_due(on: date, collector: Collector) -> list[BounceDue]:
    """Direct debits whose payments are to be taken back by a day; three statements at most.

    Those that the bank took back, or said to be unpaid, and those that the sandbox lets bounce.
    """
    return _with_payments([*to_take_back(on), *_of_sandbox(on, collector)])


def bounces_waiting(on: date) -> list[BounceDue]:
    """Of those, the ones that are known to be unpaid; two statements at most."""
    return _with_payments(to_take_back(on))


def sandbox_bounces(on: date, collector: Collector) -> list[BounceDue]:
    """Of those, the ones that the sandbox lets bounce by a day; two statements at most."""
    return _with_payments(_of_sandbox(on, collector))


def _of_sandbox(on: date, collector: Collector) -> list[CollectionView]:
    if collector.by_file:
        return []
    # Twice the longest bounce in calendar days, and holidays.
    since = on - timedelta(days=2 * LONGEST_BOUNCE + 7)
    holidays = bank_holidays(since.year, on.year + 1)
    bounced = []
    for one in collected_without_mandate(since):
        presented = Presented(loan_of(one.subject), one.due_on, one.attempt)
        answer = collector.answer(presented)
        if not answer.bounces_after or one.taken_on is None:
            continue
        if add_business_days(one.taken_on, answer.bounces_after, holidays) <= on:
            bounced.append(replace(one, reason=answer.reason))
    return bounced


def _with_payments(collections: Iterable[CollectionView]) -> list[BounceDue]:
    found = {one.end_to_end_id: one for one in collections}
    payments = _payments(found)
    due = []
    for name, one in found.items():
        payment, amount = payments.get(name, (0, 0))
        due.append(BounceDue(name, payment, loan_of(one.subject), amount, one.reason))
    return due


def _payments(collections: Mapping[str, CollectionView]) -> dict[str, tuple[int, int]]:
    """Payments that stand by end-to-end id: id and pence; one statement."""
    if not collections:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT p.reference, p.id, p.amount FROM marketplace_payment AS p"
            " JOIN unnest(%s::bigint[], %s::text[]) AS n (loan, name)"
            " ON n.loan = p.loan_id AND n.name = p.reference"
            # The reference of a payment from cash is whatever its payer chose.
            " WHERE p.bounced_on IS NULL AND p.kind <> %s",
            [
                [loan_of(one.subject) for one in collections.values()],
                list(collections),
                PaymentKind.CASH.value,
            ],
        )
        return {name: (payment, amount) for name, payment, amount in cursor.fetchall()}
