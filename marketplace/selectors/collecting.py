"""What borrowers owe on a day: the list that a collection is made from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from accounts.selectors.bulk import fetch_columns
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
