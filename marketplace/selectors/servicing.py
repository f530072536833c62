"""What servicing needs to know about loans, as columns: parts, instalments, payments.

Callers that go on to write hold the loans first (``lock_loans``), so that what they read stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
from django.db import connection

from accounts.selectors.bulk import array_of, fetch_columns
from marketplace.core.arrays import PENCE_PER_UNIT, BoolArray, IntArray, offsets_of
from marketplace.core.distribution import PartBook
from marketplace.core.states import PAYABLE as PAYABLE_STATES
from marketplace.core.states import SCHEDULED
from marketplace.core.waterfall import OpenInstalments
from marketplace.selectors.packed import fetch_packed

# States in which instalments go on falling due, and those in which payments are taken.
SERVICED = tuple(state.value for state in SCHEDULED)
PAYABLE = tuple(state.value for state in PAYABLE_STATES)


def loan_offsets(owners: IntArray, sorted_ids: IntArray) -> IntArray:
    """Where each id's rows start in ``owners`` (sorted), shape ``[L + 1]``."""
    starts: IntArray = np.append(
        np.searchsorted(owners, sorted_ids, side="left"), len(owners)
    ).astype(np.int64)
    return starts


@dataclass(frozen=True)
class LoanParts:
    """The parts of some loans, by loan and number.

    ``loan`` is ``[L]`` (sorted), the other arrays follow the book's rows ``[N]``.
    """

    loan: IntArray
    lender: IntArray
    book: PartBook


def load_parts(loan_ids: IntArray) -> LoanParts:
    """The parts of the loans (sorted ids) with their running totals; one statement.

    The parts' numbers stand for their ids, in whose order they are.
    """
    [loan], packed, offsets = fetch_packed(
        "SELECT l.id, s.lender, s.size, s.rate, coalesce(d.principal, s.nothing),"
        " coalesce(d.interest, s.nothing), coalesce(d.fee, s.nothing)"
        " FROM unnest(%s::bigint[]) AS n (id) JOIN marketplace_loan AS l ON l.id = n.id"
        " CROSS JOIN LATERAL (SELECT array_agg(p.lender_id) AS lender, array_agg(p.size) AS size,"
        " array_agg(p.monthly_rate) AS rate, array_fill(0::bigint, ARRAY[count(*)::integer])"
        " AS nothing FROM (SELECT lender_id, size, monthly_rate FROM marketplace_part"
        " WHERE loan_id = n.id ORDER BY number) AS p) AS s"
        " LEFT JOIN marketplace_distribution AS d"
        " ON d.loan_id = l.id AND d.number = l.distributions ORDER BY l.id",
        [array_of(loan_ids)],
        (1, 6),
    )
    lender, size, rate, principal, interest, fee = packed
    counts = np.diff(offsets)
    book = PartBook(
        part_id=np.arange(len(size)) - np.repeat(offsets[:-1], counts) + 1,
        units=size // PENCE_PER_UNIT,
        size=size,
        monthly_e12=rate,
        principal_received=principal,
        interest_received=interest,
        fee_received=fee,
        offsets=offsets,
    )
    return LoanParts(loan=loan, lender=lender, book=book)


@dataclass(frozen=True)
class PartRates:
    """What fixes the interest of loans' parts; rows by loan and number, ``offsets [L + 1]``."""

    units: IntArray
    monthly_e12: IntArray
    offsets: IntArray

    def of(self, loans: IntArray) -> PartRates:
        """Those of some of the loans, given by their places."""
        counts = np.diff(self.offsets)[loans]
        starts = self.offsets[loans]
        rows = np.repeat(starts - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())
        return PartRates(self.units[rows], self.monthly_e12[rows], offsets_of(counts))


def load_part_rates(loan_ids: IntArray) -> PartRates:
    """Sizes and rates of the parts of the loans (sorted ids); one statement."""
    _, [size, rate], offsets = fetch_packed(
        "SELECT n.id, s.size, s.rate FROM unnest(%s::bigint[]) AS n (id) CROSS JOIN LATERAL"
        " (SELECT array_agg(p.size) AS size, array_agg(p.monthly_rate) AS rate FROM"
        " (SELECT size, monthly_rate FROM marketplace_part WHERE loan_id = n.id ORDER BY number)"
        " AS p) AS s ORDER BY n.id",
        [array_of(loan_ids)],
        (1, 2),
    )
    return PartRates(size // PENCE_PER_UNIT, rate, offsets)


@dataclass(frozen=True)
class FallingDue:
    """Instalments whose day has come, ``[M]``, by loan and number.

    ``balance_months`` is the loan's sum before them, ``outstanding`` its principal now;
    ``is_frozen`` says that it bears no interest. The rest is the instalment's.
    """

    is_frozen: BoolArray
    instalment: IntArray
    loan: IntArray
    number: IntArray
    balance_months: IntArray
    outstanding: IntArray
    period_days: IntArray
    month_days: IntArray
    pence_days: IntArray


_UNCOUNTED = (
    " FROM marketplace_instalment AS i JOIN marketplace_loan AS l ON l.id = i.loan_id"
    " WHERE i.due_on <= %s AND i.interest_due IS NULL AND l.state = ANY (%s)"
    " AND (%s::bigint[] IS NULL OR i.loan_id = ANY (%s::bigint[]))"
)


def earliest_due(on: date, loan_ids: IntArray | None = None) -> date | None:
    """The first day by ``on`` with an instalment that is not yet counted; one statement.

    Args:
        on: business date.
        loan_ids: of which loans; all without it.
    """
    some = None if loan_ids is None else array_of(loan_ids)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT min(i.due_on)" + _UNCOUNTED,
            [on, list(SERVICED), some, some],
        )
        found: date | None = cursor.fetchone()[0]
    return found


def loans_due(on: date, loan_ids: IntArray | None = None) -> IntArray:
    """Loans with an instalment due by ``on`` that is not yet counted, sorted; one statement."""
    some = None if loan_ids is None else array_of(loan_ids)
    [loans] = fetch_columns(
        "SELECT DISTINCT i.loan_id" + _UNCOUNTED + " ORDER BY 1",
        [on, list(SERVICED), some, some],
        1,
    )
    return loans


def load_falling_due(on: date, loan_ids: IntArray) -> FallingDue:
    """The instalments of the loans that are due by ``on`` and not yet counted; one statement."""
    some = array_of(loan_ids)
    *columns, frozen = fetch_columns(
        "SELECT i.id, l.id AS loan, i.number::bigint, l.balance_months,"
        " l.amount - l.principal_paid, i.period_days::bigint, i.month_days::bigint, i.pence_days,"
        " (l.state = 'hardship')::integer::bigint" + _UNCOUNTED + " ORDER BY l.id, i.number",
        [on, list(SERVICED), some, some],
        9,
    )
    return FallingDue(frozen.astype(np.bool_), *columns)


@dataclass(frozen=True)
class LoanInstalments:
    """Open instalments of loans with their ids ``[M]``."""

    instalment: IntArray
    open: OpenInstalments


def load_open_instalments(loan_ids: IntArray) -> LoanInstalments:
    """Instalments of the loans (sorted ids) that are due and not settled; one statement."""
    columns = fetch_columns(
        "SELECT loan_id, id, number::bigint, interest_due, principal_due, interest_paid,"
        " principal_paid FROM marketplace_instalment"
        " WHERE loan_id = ANY (%s::bigint[]) AND interest_due IS NOT NULL"
        " AND (interest_paid < interest_due OR principal_paid < principal_due)"
        " ORDER BY loan_id, number",
        [array_of(loan_ids)],
        7,
    )
    owner, instalment, number, interest, principal, interest_paid, principal_paid = columns
    opened = OpenInstalments(
        number=number,
        interest_due=interest,
        principal_due=principal,
        interest_paid=interest_paid,
        principal_paid=principal_paid,
        offsets=loan_offsets(owner, loan_ids),
    )
    return LoanInstalments(instalment=instalment, open=opened)


@dataclass(frozen=True)
class LoanClaims:
    """What is owed on loans, pence ``[L]``, by loan.

    Attributes:
        is_written_off: whether the claim stands in the books no more.
        loan: sorted.
        principal: not yet repaid by what was allocated.
        interest: fallen due and not yet paid.
        planned: interest that is still to fall due, by the schedule.
        waiting: payments that wait for something to fall due.
        fund_principal, fund_interest: of it, the provision fund's.
        borrower: whose loan it is.
    """

    is_written_off: BoolArray
    loan: IntArray
    principal: IntArray
    interest: IntArray
    planned: IntArray
    waiting: IntArray
    fund_principal: IntArray
    fund_interest: IntArray
    borrower: IntArray

    @property
    def payable(self) -> IntArray:
        """The most that can still come to each loan, pence."""
        coming: IntArray = self.principal + self.interest + self.planned - self.waiting
        return np.maximum(coming, 0)


def load_claims(loan_ids: IntArray) -> LoanClaims:
    """What is owed on the loans (sorted ids) that take payments; one statement."""
    *columns, written_off = fetch_columns(
        "SELECT l.id, l.amount - l.principal_paid, coalesce(i.due, 0)::bigint - l.interest_paid,"
        " coalesce(i.planned, 0)::bigint, coalesce(y.waiting, 0)::bigint, l.fund_principal,"
        " l.fund_interest, l.borrower_id, (l.state = 'written_off')::integer::bigint"
        " FROM marketplace_loan AS l LEFT JOIN LATERAL (SELECT sum(interest_due) AS due,"
        " sum(interest_planned) FILTER (WHERE interest_due IS NULL) AS planned"
        " FROM marketplace_instalment WHERE loan_id = l.id) AS i ON true"
        " LEFT JOIN LATERAL (SELECT sum(amount) AS waiting FROM marketplace_payment"
        " WHERE loan_id = l.id AND distributed_on IS NULL AND bounced_on IS NULL"
        " AND allocated_on IS NULL) AS y ON true"
        " WHERE l.id = ANY (%s::bigint[]) AND l.state = ANY (%s) ORDER BY l.id",
        [array_of(loan_ids), list(PAYABLE)],
        9,
    )
    return LoanClaims(written_off.astype(np.bool_), *columns)


@dataclass(frozen=True)
class WaitingPayments:
    """Payments that wait for something to fall due, ``[P]``, by loan and number; pence."""

    payment: IntArray
    loan: IntArray
    number: IntArray
    amount: IntArray
    cost: IntArray


def load_waiting(loan_ids: IntArray) -> WaitingPayments:
    """The payments of the loans that are not allocated to anything; one statement."""
    columns = fetch_columns(
        "SELECT id, loan_id, number::bigint, amount, cost FROM marketplace_payment"
        " WHERE loan_id = ANY (%s::bigint[]) AND distributed_on IS NULL AND bounced_on IS NULL"
        " AND allocated_on IS NULL ORDER BY loan_id, received_on, number",
        [array_of(loan_ids)],
        5,
    )
    return WaitingPayments(*columns)


def load_latest_days(loan_ids: IntArray) -> list[date]:
    """The last day on which anything happened to each of the loans (sorted ids); one statement."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT greatest(l.paid_out_on, (SELECT max(due_on) FROM marketplace_instalment"
            " WHERE loan_id = l.id AND interest_due IS NOT NULL AND l.defaulted_on IS NULL),"
            " (SELECT max(received_on) FROM marketplace_payment"
            " WHERE loan_id = l.id AND bounced_on IS NULL), (SELECT max(effective_on)"
            " FROM marketplace_loanevent WHERE loan_id = l.id AND voided_on IS NULL),"
            " (SELECT max(spread_on) FROM marketplace_distribution WHERE loan_id = l.id),"
            " (SELECT max(moved_on) FROM marketplace_loanmove WHERE loan_id = l.id))"
            " FROM marketplace_loan AS l WHERE l.id = ANY (%s::bigint[]) ORDER BY l.id",
            [array_of(loan_ids)],
        )
        return [row[0] for row in cursor.fetchall()]


def loans_to_spread(on: date) -> IntArray:
    """Loans with an allocated payment that has cleared by ``on`` and is not spread, sorted."""
    [loans] = fetch_columns(
        "SELECT DISTINCT p.loan_id FROM marketplace_payment AS p WHERE p.distributed_on IS NULL"
        " AND p.bounced_on IS NULL AND greatest(p.clears_on, p.allocated_on) <= %s"
        " AND p.allocated_on IS NOT NULL ORDER BY 1",
        [on],
        1,
    )
    return loans


@dataclass(frozen=True)
class ClearedPayments:
    """Allocated payments that have cleared and are not spread yet, ``[P]``, by loan and number.

    Attributes:
        payment, loan, number: which.
        principal, interest: what the lenders get of it, gross of the servicing fee, pence.
        to_fund, cost, returned: what goes to the provision fund, for the recovery, and back to the
            borrower, pence.
        borrower: whose loan it is.
        fee_ppm: the loan's servicing fee.
        distributions, events, version: stamps of the loan: the last numbers of its distributions
            and events, and what the database knows its row's latest change by.
        interest_before: what lenders have had of interest so far, pence.
    """

    payment: IntArray
    loan: IntArray
    number: IntArray
    principal: IntArray
    interest: IntArray
    to_fund: IntArray
    cost: IntArray
    returned: IntArray
    borrower: IntArray
    fee_ppm: IntArray
    distributions: IntArray
    events: IntArray
    version: IntArray
    interest_before: IntArray


def load_cleared(on: date, loan_ids: IntArray) -> ClearedPayments:
    """What is to be spread of the loans; one statement."""
    columns = fetch_columns(
        "SELECT p.id, l.id AS loan, p.number::bigint,"
        " p.principal - p.to_fund_principal - p.cost_principal,"
        " p.interest - p.to_fund_interest - p.cost_interest,"
        " p.to_fund_principal + p.to_fund_interest, p.cost_principal + p.cost_interest,"
        " p.returned, l.borrower_id, l.servicing_fee::bigint, l.distributions::bigint,"
        " l.events::bigint, l.xmin::text::bigint, coalesce(d.interest_total, 0)"
        " FROM marketplace_payment AS p JOIN marketplace_loan AS l ON l.id = p.loan_id"
        " LEFT JOIN marketplace_distribution AS d"
        " ON d.loan_id = l.id AND d.number = l.distributions"
        " WHERE p.loan_id = ANY (%s::bigint[]) AND p.distributed_on IS NULL"
        " AND p.bounced_on IS NULL AND p.allocated_on IS NOT NULL"
        " AND greatest(p.clears_on, p.allocated_on) <= %s ORDER BY l.id, p.number",
        [array_of(loan_ids), on],
        14,
    )
    return ClearedPayments(*columns)


@dataclass(frozen=True)
class Periods:
    """Interest periods that have fallen due, ``[M]``, by loan and number; ``offsets [L + 1]``."""

    interest_due: IntArray
    pence_months: IntArray
    offsets: IntArray


def load_periods(loan_ids: IntArray) -> Periods:
    """The interest periods of the loans (sorted ids) that have fallen due; one statement."""
    owner, interest, months = fetch_columns(
        "SELECT loan_id, interest_due, balance_months FROM marketplace_instalment"
        " WHERE loan_id = ANY (%s::bigint[]) AND interest_due IS NOT NULL"
        " ORDER BY loan_id, number",
        [array_of(loan_ids)],
        3,
    )
    return Periods(interest, months, loan_offsets(owner, loan_ids))
