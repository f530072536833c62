"""The audit: what must hold between ledger, loans and parts, re-derived from scratch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from django.db import connection, transaction

from accounts.selectors.bulk import fetch_columns
from accounts.selectors.ledger import check_book
from marketplace.core.arrays import PENCE_PER_UNIT, segment_sums
from marketplace.core.interest import cumulative_interest
from marketplace.selectors.servicing import loan_offsets


@dataclass(frozen=True)
class Finding:
    """One thing that must hold: how much was looked at, and what was found wrong."""

    rule: str
    checked: int
    wrong: int
    example: str = ""

    @property
    def holds(self) -> bool:
        """Whether nothing was found wrong."""
        return self.wrong == 0


def audit() -> list[Finding]:
    """Every rule of the book and the loans; reads everything, changes nothing.

    All of it as of one instant, so that it may run beside writers.
    """
    if connection.in_atomic_block:
        return _audit()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        return _audit()


def _audit() -> list[Finding]:
    book = check_book()
    sums = [f"{which.name.lower()}: {total}" for which, total in book.book_sums.items() if total]
    return [
        Finding("The ledger sums to zero in each book", len(book.book_sums), len(sums), *sums[:1]),
        Finding(
            "Stored balances equal the ones re-derived from transfers",
            book.accounts,
            len(book.wrong_accounts),
            f"account {book.wrong_accounts[0]}" if book.wrong_accounts else "",
        ),
        *_shares(),
        *(_counted(rule, query) for rule, query in _RULES),
    ]


def _shares() -> list[Finding]:
    """Each part's running totals against its exact share of what its loan has been paid."""
    owner, size, principal, interest, rate = fetch_columns(
        "SELECT loan_id, size, principal_received, interest_received, monthly_rate"
        " FROM marketplace_part ORDER BY loan_id, number",
        [],
        5,
    )
    loan, amount, paid, interest_paid, full, following = fetch_columns(
        "SELECT l.id, l.amount, l.principal_paid, l.interest_paid, coalesce((SELECT max("
        " i.balance_months) FROM marketplace_instalment AS i WHERE i.loan_id = l.id"
        " AND i.interest_due IS NOT NULL AND (u.number IS NULL OR i.number < u.number)), 0),"
        " CASE WHEN u.interest_paid > 0 THEN u.balance_months ELSE 0 END"
        " FROM marketplace_loan AS l LEFT JOIN LATERAL (SELECT n.number, n.interest_paid,"
        " n.balance_months FROM marketplace_instalment AS n WHERE n.loan_id = l.id"
        " AND n.interest_paid < n.interest_due ORDER BY n.number LIMIT 1) AS u ON true"
        " WHERE EXISTS (SELECT FROM marketplace_part AS p WHERE p.loan_id = l.id) ORDER BY l.id",
        [],
        6,
    )
    offsets = loan_offsets(owner, loan)
    counts = np.diff(offsets)
    row = np.repeat(np.arange(len(loan)), counts)
    # In integers: |received x P - R x weight| < P; both products stay below 2**63.
    wrong_principal = np.abs(principal * amount[row] - paid[row] * size) >= amount[row]
    units = size // PENCE_PER_UNIT
    totals = np.repeat(segment_sums(units, offsets), counts)
    fixed = cumulative_interest(units, rate, full[row], totals)
    bucket = np.where(
        following[row] > 0, cumulative_interest(units, rate, following[row], totals) - fixed, 0
    )
    inside = segment_sums(interest - fixed, offsets)
    whole = segment_sums(bucket, offsets)
    gap = np.abs((interest - fixed) * whole[row] - inside[row] * bucket)
    # Between two periods nothing is being filled: there the fixed interest is all there is.
    wrong_interest = np.where(whole[row] > 0, gap >= whole[row], interest != fixed)
    wrong_sums = segment_sums(interest, offsets) != interest_paid
    rule = "Every part's {} is within a penny of its exact share"
    return [
        _found(rule.format("principal"), wrong_principal),
        _found(rule.format("interest"), wrong_interest),
        _found("Every loan's interest paid is the sum of its parts'", wrong_sums),
    ]


def _found(rule: str, wrong: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Finding:
    places = np.flatnonzero(wrong)
    return Finding(
        rule, len(wrong), len(places), f"row {int(places[0]) + 1}" if len(places) else ""
    )


def _counted(rule: str, query: str) -> Finding:
    with connection.cursor() as cursor:
        cursor.execute(query)
        rows = cursor.fetchall()
    wrong = [row for row in rows if not row[1]]
    return Finding(rule, len(rows), len(wrong), str(wrong[0][0]) if wrong else "")


# Each query gives one row a thing looked at: its name, and whether the rule holds for it.
_RULES = (
    (
        "Every loan's principal is the sum of its parts",
        "SELECT 'loan ' || l.id, l.amount = sum(p.size) AND l.principal_paid ="
        " sum(p.principal_received) FROM marketplace_loan AS l"
        " JOIN marketplace_part AS p ON p.loan_id = l.id GROUP BY l.id",
    ),
    (
        "The ledger has of each loan what its borrower still owes, and payments not yet cleared",
        "SELECT 'loan ' || l.id, p.balance = CASE WHEN l.paid_out_on IS NULL THEN 0"
        " ELSE l.amount - l.principal_paid END AND i.balance = (SELECT coalesce(sum("
        " n.interest_due - n.interest_paid), 0) FROM marketplace_instalment AS n"
        " WHERE n.loan_id = l.id AND n.interest_due IS NOT NULL)"
        " AND c.balance = (SELECT coalesce(sum(y.amount), 0) FROM marketplace_payment AS y"
        " WHERE y.loan_id = l.id AND y.distributed_on IS NULL) FROM marketplace_loan AS l"
        " JOIN accounts_account AS p ON p.kind = 'principal_owed' AND p.owner_id = l.id"
        " JOIN accounts_account AS i ON i.kind = 'interest_due' AND i.owner_id = l.id"
        " JOIN accounts_account AS c ON c.kind = 'clearing' AND c.owner_id = l.id",
    ),
    (
        "Money on offer in the ledger is what the lender's offers have available",
        "SELECT 'member ' || a.owner_id, a.balance = coalesce(o.available, 0)"
        " FROM accounts_account AS a LEFT JOIN (SELECT lender_id, sum(available) AS available"
        " FROM marketplace_offer GROUP BY lender_id) AS o ON o.lender_id = a.owner_id"
        " WHERE a.kind = 'on_offer'",
    ),
    (
        "Money matched in the ledger is what the lender's parts await pay-out with",
        "SELECT 'member ' || a.owner_id, a.balance = coalesce(m.size, 0)"
        " FROM accounts_account AS a LEFT JOIN (SELECT p.lender_id, sum(p.size) AS size"
        " FROM marketplace_part AS p JOIN marketplace_loan AS l ON l.id = p.loan_id"
        " WHERE l.state = 'funded' GROUP BY p.lender_id) AS m ON m.lender_id = a.owner_id"
        " WHERE a.kind = 'matched'",
    ),
    (
        "Each part's running totals are the sum of its shares of payments",
        "SELECT 'part ' || p.id, p.principal_received = coalesce(d.principal, 0)"
        " AND p.interest_received = coalesce(d.interest, 0) AND p.fee_paid = coalesce(d.fee, 0)"
        " FROM marketplace_part AS p LEFT JOIN (SELECT part_id, sum(principal) AS principal,"
        " sum(interest) AS interest, sum(fee) AS fee FROM marketplace_distribution"
        " GROUP BY part_id) AS d ON d.part_id = p.id",
    ),
    (
        "Nobody holds more of a borrower than the exposure limit of the offer they lent through",
        "SELECT 'lender ' || p.lender_id || ' in borrower ' || l.borrower_id,"
        " sum(p.size - p.principal_received) <= max(o.exposure_limit)"
        " FROM marketplace_part AS p JOIN marketplace_loan AS l"
        " ON l.id = p.loan_id JOIN marketplace_offer AS o ON o.id = p.offer_id"
        " WHERE l.state <> 'cancelled' GROUP BY p.lender_id, l.borrower_id",
    ),
)
