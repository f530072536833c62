"""What borrowers owe on a day: the list that a collection is made from, and what has to wait."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from django.db import connection

from accounts.selectors.bulk import array_of, fetch_columns
from marketplace.core.arrays import IntArray
from marketplace.selectors.servicing import SERVICED


@dataclass(frozen=True)
class Collectable:
    """Loans with something to collect: ``amount`` pence due, money on its way taken off."""

    loan: IntArray
    amount: IntArray


def collectable(on: date) -> Collectable:
    """What is due by ``on`` and not covered by money that came in, by loan; one statement."""
    columns = fetch_columns(
        "WITH owed AS (SELECT i.loan_id, sum(i.interest_due + i.principal_due - i.interest_paid"
        " - i.principal_paid) AS amount FROM marketplace_instalment AS i"
        " JOIN marketplace_loan AS l ON l.id = i.loan_id"
        " WHERE i.interest_due IS NOT NULL AND i.due_on <= %s AND l.state = ANY (%s)"
        " GROUP BY i.loan_id),"
        # What came before anything was due is taken for what falls due first.
        " coming AS (SELECT loan_id, sum(amount) AS amount FROM marketplace_payment"
        " WHERE allocated_on IS NULL AND bounced_on IS NULL GROUP BY loan_id)"
        " SELECT o.loan_id, (o.amount - coalesce(c.amount, 0))::bigint FROM owed AS o"
        " LEFT JOIN coming AS c ON c.loan_id = o.loan_id"
        " WHERE o.amount > coalesce(c.amount, 0) ORDER BY o.loan_id",
        [on, list(SERVICED)],
        2,
    )
    return Collectable(*columns)


def loans_ahead(on: date, loan_ids: IntArray) -> frozenset[int]:
    """Those of the loans of which something is on record that is later than ``on``; one statement.

    Somebody worked on them after a day whose close was missed, or goes on after midnight: what the
    close of that day would do to them comes with the close of a later one.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT l.id FROM marketplace_loan AS l WHERE l.id = ANY (%s::bigint[])"
            # What falls due before its time, at default or the end, has its day still to come.
            " AND greatest((SELECT max(due_on) FROM marketplace_instalment WHERE loan_id = l.id"
            "  AND interest_due IS NOT NULL AND l.defaulted_on IS NULL AND l.closed_on IS NULL),"
            " (SELECT max(greatest(recorded_on, allocated_on, distributed_on, bounced_on))"
            "  FROM marketplace_payment WHERE loan_id = l.id),"
            " (SELECT max(greatest(recorded_on, voided_on))"
            "  FROM marketplace_loanevent WHERE loan_id = l.id),"
            " (SELECT max(recorded_on) FROM marketplace_loanmove WHERE loan_id = l.id)) > %s",
            [array_of(loan_ids), on],
        )
        return frozenset(row[0] for row in cursor.fetchall())
