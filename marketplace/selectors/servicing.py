"""What servicing needs to know about loans, as columns: parts, open instalments, payments."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
from django.db import connection

from accounts.selectors.bulk import fetch_columns
from marketplace.core.arrays import PENCE_PER_UNIT, IntArray
from marketplace.core.distribution import PartBook
from marketplace.core.states import LoanState
from marketplace.core.waterfall import OpenInstalments

# States in which instalments go on falling due and payments are spread.
SERVICED = (LoanState.ACTIVE.value, LoanState.ARREARS.value)
PAYABLE = (*SERVICED, LoanState.DEFAULT.value)


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
    part_loan: IntArray
    lender: IntArray
    book: PartBook


def load_parts(loan_ids: IntArray) -> LoanParts:
    """The parts of the loans (sorted ids) with their running totals; one statement."""
    owner, part, lender, size, rate, principal, interest, fee = fetch_columns(
        "SELECT loan_id, id, lender_id, size, monthly_rate, principal_received,"
        " interest_received, fee_paid FROM marketplace_part WHERE loan_id = ANY (%s)"
        " ORDER BY loan_id, number",
        [loan_ids.tolist()],
        8,
    )
    book = PartBook(
        part_id=part,
        units=size // PENCE_PER_UNIT,
        size=size,
        monthly_e12=rate,
        principal_received=principal,
        interest_received=interest,
        fee_received=fee,
        offsets=loan_offsets(owner, loan_ids),
    )
    return LoanParts(loan=loan_ids, part_loan=owner, lender=lender, book=book)


@dataclass(frozen=True)
class PartRates:
    """What fixes the interest of loans' parts; rows by loan and number, ``offsets [L + 1]``."""

    units: IntArray
    monthly_e12: IntArray
    offsets: IntArray


def load_part_rates(loan_ids: IntArray) -> PartRates:
    """Sizes and rates of the parts of the loans (sorted ids); one statement."""
    owner, size, rate = fetch_columns(
        "SELECT loan_id, size, monthly_rate FROM marketplace_part WHERE loan_id = ANY (%s)"
        " ORDER BY loan_id, number",
        [loan_ids.tolist()],
        3,
    )
    return PartRates(size // PENCE_PER_UNIT, rate, loan_offsets(owner, loan_ids))


@dataclass(frozen=True)
class FallingDue:
    """Instalments whose day has come, one a loan, by loan.

    ``balance_months`` is the loan's sum before this instalment, ``outstanding`` its principal now.
    """

    instalment: IntArray
    loan: IntArray
    number: IntArray
    balance_months: IntArray
    outstanding: IntArray


def earliest_due(on: date) -> date | None:
    """The first day by ``on`` with an instalment that is not yet counted; one statement."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT min(i.due_on) FROM marketplace_instalment AS i"
            " JOIN marketplace_loan AS l ON l.id = i.loan_id"
            " WHERE i.due_on <= %s AND i.interest_due IS NULL AND l.state = ANY (%s)",
            [on, list(SERVICED)],
        )
        found: date | None = cursor.fetchone()[0]
    return found


def load_falling_due(on: date) -> FallingDue:
    """The earliest instalment of each serviced loan that is due by ``on`` and not yet counted."""
    columns = fetch_columns(
        "SELECT DISTINCT ON (l.id) i.id, l.id AS loan, i.number::bigint, l.balance_months,"
        " l.amount - l.principal_paid"
        " FROM marketplace_instalment AS i JOIN marketplace_loan AS l ON l.id = i.loan_id"
        " WHERE i.due_on <= %s AND i.interest_due IS NULL AND l.state = ANY (%s)"
        " ORDER BY l.id, i.number",
        [on, list(SERVICED)],
        5,
    )
    return FallingDue(*columns)


@dataclass(frozen=True)
class ClearedPayments:
    """Payments that have cleared and are not spread yet, the earliest of each loan, by loan.

    ``borrower``, ``amount`` (pence) and ``fee_ppm`` (the loan's servicing fee) go with them.
    """

    payment: IntArray
    loan: IntArray
    number: IntArray
    borrower: IntArray
    amount: IntArray
    fee_ppm: IntArray


def load_cleared(on: date) -> ClearedPayments:
    """The earliest undistributed payment of each loan that has cleared by ``on`` and has a use.

    One that came early waits in the loan's clearing until an instalment has fallen due.
    """
    columns = fetch_columns(
        "SELECT DISTINCT ON (l.id) p.id, l.id AS loan, p.number::bigint, l.borrower_id, p.amount,"
        " l.servicing_fee::bigint"
        " FROM marketplace_payment AS p JOIN marketplace_loan AS l ON l.id = p.loan_id"
        " WHERE p.distributed_on IS NULL AND p.clears_on <= %s AND (l.principal_paid = l.amount"
        " OR EXISTS (SELECT FROM marketplace_instalment AS i WHERE i.loan_id = l.id"
        " AND i.interest_due IS NOT NULL"
        " AND (i.interest_paid < i.interest_due OR i.principal_paid < i.principal_due)))"
        " ORDER BY l.id, p.number",
        [on],
        6,
    )
    return ClearedPayments(*columns)


@dataclass(frozen=True)
class LoanInstalments:
    """Open instalments of loans with their ids ``[M]``.

    ``paid_pence_months`` is ``S`` of the last settled instalment of each loan, ``[L]``.
    """

    instalment: IntArray
    open: OpenInstalments
    paid_pence_months: IntArray


def load_open_instalments(loan_ids: IntArray) -> LoanInstalments:
    """Instalments of the loans (sorted ids) that are due and not settled; two statements."""
    columns = fetch_columns(
        "SELECT loan_id, id, number::bigint, interest_due, principal_due, interest_paid,"
        " principal_paid, balance_months FROM marketplace_instalment"
        " WHERE loan_id = ANY (%s) AND interest_due IS NOT NULL"
        " AND (interest_paid < interest_due OR principal_paid < principal_due)"
        " ORDER BY loan_id, number",
        [loan_ids.tolist()],
        8,
    )
    owner, instalment, number, interest, principal, interest_paid, principal_paid, months = columns
    settled_loan, settled_months = fetch_columns(
        "SELECT loan_id, max(balance_months) FROM marketplace_instalment"
        " WHERE loan_id = ANY (%s) AND interest_due IS NOT NULL"
        " AND interest_paid = interest_due AND principal_paid = principal_due"
        " GROUP BY loan_id ORDER BY loan_id",
        [loan_ids.tolist()],
        2,
    )
    paid = np.zeros(len(loan_ids), dtype=np.int64)
    paid[np.searchsorted(loan_ids, settled_loan)] = settled_months
    opened = OpenInstalments(
        number=number,
        interest_due=interest,
        principal_due=principal,
        interest_paid=interest_paid,
        principal_paid=principal_paid,
        pence_months=months,
        offsets=loan_offsets(owner, loan_ids),
    )
    return LoanInstalments(instalment=instalment, open=opened, paid_pence_months=paid)
