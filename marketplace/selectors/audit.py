"""The audit: what must hold between ledger, loans and parts, re-derived from scratch."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from django.db import connection, transaction

from accounts.selectors.bulk import fetch_columns
from accounts.selectors.ledger import check_book
from marketplace.core.arrays import PENCE_PER_UNIT, IntArray, segment_sums
from marketplace.core.interest import cumulative_interest
from marketplace.selectors.servicing import loan_offsets


class Wrong(NamedTuple):
    """One thing that breaks a rule: its name, and the pence where the rule is about an amount."""

    name: str
    expected: int = 0
    found: int = 0


@dataclass(frozen=True)
class Finding:
    """One thing that must hold: how much was looked at, and what was found wrong.

    Attributes:
        rule: what must hold, for a person.
        checked, wrong: how many.
        example: the first that is wrong.
        code: the rule's name in reconciliations.
        expected, found: pence in all, where the rule is about an amount.
        all_wrong: everything that is wrong.
    """

    rule: str
    checked: int
    wrong: int
    example: str = ""
    code: str = ""
    expected: int = 0
    found: int = 0
    all_wrong: tuple[Wrong, ...] = ()

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
        Finding(
            "The ledger sums to zero in each book",
            len(book.book_sums),
            len(sums),
            sums[0] if sums else "",
        ),
        Finding(
            "Stored balances equal the ones re-derived from transfers",
            book.accounts,
            len(book.wrong_accounts),
            f"account {book.wrong_accounts[0]}" if book.wrong_accounts else "",
        ),
        *market_findings(),
    ]


def market_findings() -> list[Finding]:
    """The rules of loans, parts and offers alone, without the book's; eight statements."""
    return [*_shares(), *(_counted(*rule) for rule in _RULES)]


def _shares() -> list[Finding]:
    """Each part's running totals against its exact share of what its loan has been paid."""
    owner, number, size, principal, interest, rate = fetch_columns(
        "SELECT loan_id, number::bigint, size, principal_received, interest_received, monthly_rate"
        " FROM marketplace_part ORDER BY loan_id, number",
        [],
        6,
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
    received = segment_sums(interest, offsets)
    wrong_sums = np.flatnonzero(received != interest_paid)
    rule = "Every part's {} is within a penny of its exact share"
    return [
        _parts(rule.format("principal"), "part_principal", wrong_principal, owner, number),
        _parts(rule.format("interest"), "part_interest", wrong_interest, owner, number),
        _finding(
            "Every loan's interest paid is the sum of its parts'",
            "loan_interest",
            len(loan),
            (int(interest_paid.sum()), int(received.sum())),
            [
                Wrong(f"loan {loan[place]}", int(interest_paid[place]), int(received[place]))
                for place in wrong_sums
            ],
        ),
    ]


def _parts(
    rule: str,
    code: str,
    wrong: np.ndarray[tuple[int], np.dtype[np.bool_]],
    owner: IntArray,
    number: IntArray,
) -> Finding:
    names = [
        Wrong(f"part {number[place]} of loan {owner[place]}") for place in np.flatnonzero(wrong)
    ]
    return _finding(rule, code, len(wrong), (0, 0), names)


def _counted(rule: str, code: str, query: str) -> Finding:
    with connection.cursor() as cursor:
        cursor.execute(_SUMS_AND_WRONG.format(query))
        (_, checked, *sums), *wrong = cursor.fetchall()
    found = sorted(wrong, key=operator.itemgetter(1))
    return _finding(
        rule, code, checked, (sums[0], sums[1]), [Wrong(row[0], *row[2:]) for row in found]
    )


def _finding(
    rule: str, code: str, checked: int, sums: tuple[int, int], wrong: list[Wrong]
) -> Finding:
    example = wrong[0].name if wrong else ""
    return Finding(rule, checked, len(wrong), example, code, *sums, all_wrong=tuple(wrong))


# How many there are and their sums first, then what is wrong: a book may have millions of rows.
_SUMS_AND_WRONG = """
WITH rows (name, holds, expected, found) AS MATERIALIZED ({})
SELECT NULL AS name, count(*) AS place, coalesce(sum(expected), 0)::bigint,
    coalesce(sum(found), 0)::bigint FROM rows
UNION ALL
SELECT name, row_number() OVER (), expected, found FROM rows WHERE holds IS NOT TRUE
"""

# Each query gives one row a thing looked at: its name, whether the rule holds for it, and the pence
# expected and found. After the rule comes its name in reconciliations.
_RULES = (
    (
        "Every loan's principal is the sum of its parts",
        "loan_principal",
        "SELECT 'loan ' || l.id, l.amount = sum(p.size) AND l.principal_paid ="
        " sum(p.principal_received), l.amount - l.principal_paid,"
        " sum(p.size - p.principal_received)::bigint FROM marketplace_loan AS l"
        " JOIN marketplace_part AS p ON p.loan_id = l.id GROUP BY l.id ORDER BY l.id",
    ),
    (
        "The ledger has of each loan what its borrower still owes, and payments not yet cleared",
        "loan_claims",
        "SELECT 'loan ' || l.id, p.balance = l.owed AND i.balance = l.due AND c.balance ="
        " l.waiting, l.owed + l.due + l.waiting, p.balance + i.balance + c.balance"
        " FROM (SELECT id, CASE WHEN paid_out_on IS NULL THEN 0 ELSE amount - principal_paid END"
        "  AS owed, coalesce((SELECT sum(n.interest_due - n.interest_paid)"
        "   FROM marketplace_instalment AS n WHERE n.loan_id = m.id"
        "   AND n.interest_due IS NOT NULL), 0)::bigint AS due,"
        "  coalesce((SELECT sum(y.amount) FROM marketplace_payment AS y WHERE y.loan_id = m.id"
        "   AND y.distributed_on IS NULL), 0)::bigint AS waiting"
        "  FROM marketplace_loan AS m) AS l"
        " JOIN accounts_account AS p ON p.kind = 'principal_owed' AND p.owner_id = l.id"
        " JOIN accounts_account AS i ON i.kind = 'interest_due' AND i.owner_id = l.id"
        " JOIN accounts_account AS c ON c.kind = 'clearing' AND c.owner_id = l.id ORDER BY l.id",
    ),
    (
        "Money on offer in the ledger is what the lender's offers have available",
        "on_offer",
        "SELECT 'member ' || a.owner_id, a.balance = coalesce(o.available, 0),"
        " coalesce(o.available, 0)::bigint, a.balance"
        " FROM accounts_account AS a LEFT JOIN (SELECT lender_id, sum(available) AS available"
        " FROM marketplace_offer GROUP BY lender_id) AS o ON o.lender_id = a.owner_id"
        " WHERE a.kind = 'on_offer' ORDER BY a.owner_id",
    ),
    (
        "Money matched in the ledger is what the lender's parts await pay-out with",
        "matched",
        "SELECT 'member ' || a.owner_id, a.balance = coalesce(m.size, 0),"
        " coalesce(m.size, 0)::bigint, a.balance"
        " FROM accounts_account AS a LEFT JOIN (SELECT p.lender_id, sum(p.size) AS size"
        " FROM marketplace_part AS p JOIN marketplace_loan AS l ON l.id = p.loan_id"
        " WHERE l.state = 'funded' GROUP BY p.lender_id) AS m ON m.lender_id = a.owner_id"
        " WHERE a.kind = 'matched' ORDER BY a.owner_id",
    ),
    (
        "Each part's running totals are the sum of its shares of payments",
        "part_totals",
        "SELECT 'part ' || p.number || ' of loan ' || p.loan_id,"
        " p.principal_received = coalesce(d.principal, 0)"
        " AND p.interest_received = coalesce(d.interest, 0) AND p.fee_paid = coalesce(d.fee, 0),"
        " coalesce(d.principal + d.interest - d.fee, 0)::bigint,"
        " p.principal_received + p.interest_received - p.fee_paid"
        " FROM marketplace_part AS p LEFT JOIN (SELECT part_id, sum(principal) AS principal,"
        " sum(interest) AS interest, sum(fee) AS fee FROM marketplace_distribution"
        " GROUP BY part_id) AS d ON d.part_id = p.id ORDER BY p.loan_id, p.number",
    ),
    (
        "Nobody holds more of a borrower than the exposure limit of the offer they lent through",
        "exposure",
        "SELECT 'lender ' || p.lender_id || ' in borrower ' || l.borrower_id,"
        " sum(p.size - p.principal_received) <= max(p.limit), 0::bigint,"
        " greatest(sum(p.size - p.principal_received) - max(p.limit), 0)::bigint"
        " FROM marketplace_part AS p JOIN marketplace_loan AS l"
        " ON l.id = p.loan_id JOIN marketplace_offer AS o ON o.id = p.offer_id"
        " WHERE l.state <> 'cancelled' GROUP BY p.lender_id, l.borrower_id",
    ),
)
