"""How well money is spread: parts per loan, borrowers per lender, and what lies idle."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connection

from accounts.core.chart import Kind
from accounts.selectors.bulk import fetch_columns
from accounts.selectors.ledger import totals_by_kind
from marketplace.core.arrays import IntArray


@dataclass(frozen=True)
class Spread:
    """One row a loan in the first two arrays, one row a lender in the others.

    ``largest`` is a lender's largest share of one borrower in what they lent, in ppm.
    """

    parts_per_loan: IntArray
    lenders_per_loan: IntArray
    borrowers_per_lender: IntArray
    largest: IntArray


def spread() -> Spread:
    """Over all loans that were ever funded; two statements."""
    parts, lenders = fetch_columns(
        "SELECT count(*), count(DISTINCT lender_id) FROM marketplace_part"
        " GROUP BY loan_id ORDER BY loan_id",
        [],
        2,
    )
    borrowers, largest = fetch_columns(
        "SELECT count(*), (max(size) * 1000000 / sum(size))::bigint FROM ("
        " SELECT p.lender_id, l.borrower_id, sum(p.size) AS size FROM marketplace_part AS p"
        " JOIN marketplace_loan AS l ON l.id = p.loan_id GROUP BY 1, 2) AS pair"
        " GROUP BY lender_id ORDER BY lender_id",
        [],
        2,
    )
    return Spread(parts, lenders, borrowers, largest)


@dataclass(frozen=True)
class Idle:
    """Where the lenders' money is, in pence."""

    cash: int
    on_offer: int
    matched: int
    lent: int

    @property
    def share(self) -> float:
        """Money not lent as a share of all, a fraction; 0 when there is none at all."""
        total = self.cash + self.on_offer + self.matched + self.lent
        return (self.cash + self.on_offer) / total if total else 0.0


def idle() -> Idle:
    """Lenders' money by state; borrowers' cash is not in it. Three statements."""
    totals = totals_by_kind()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(sum(a.balance), 0)::bigint FROM accounts_account AS a"
            " JOIN accounts_member AS m ON m.id = a.owner_id"
            " WHERE a.kind = 'cash' AND m.is_lender"
        )
        cash = int(cursor.fetchone()[0])
    return Idle(
        cash=cash,
        on_offer=totals.get(Kind.ON_OFFER, 0),
        matched=totals.get(Kind.MATCHED, 0),
        lent=totals.get(Kind.PRINCIPAL_OWED, 0),
    )


def loans_by_state() -> dict[str, int]:
    """How many loans are in each state."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT state, count(*) FROM marketplace_loan GROUP BY state ORDER BY state")
        return dict(cursor.fetchall())
