"""The marketplace's part of an internal reconciliation: the rules of its audit, as checks."""

from __future__ import annotations

from datetime import date

from django.db import connection

from accounts.core.reconciliation import Check, Finding, both
from marketplace.selectors.audit import market_findings, replay_finding
from marketplace.selectors.findings import Wrong

# How many of the loans touched on a day are replayed: a loan takes a millisecond or more.
REPLAYED = 200

# A sample that is another one every day, and the same when it is asked for again.
_TOUCHED = """
SELECT loan_id FROM (
    SELECT loan_id FROM marketplace_payment
        WHERE %(on)s IN (recorded_on, allocated_on, distributed_on, bounced_on)
    UNION SELECT loan_id FROM marketplace_loanevent WHERE %(on)s IN (recorded_on, voided_on)
    UNION SELECT loan_id FROM marketplace_loanmove WHERE recorded_on = %(on)s
) AS touched ORDER BY md5(loan_id || '/' || %(on)s), loan_id LIMIT %(most)s
"""


def market_checks(on: date | None = None) -> list[Check]:
    """What loans, parts and offers say against the ledger and each other.

    The audit's rules (:func:`marketplace.selectors.audit.market_findings`), with every loan, part
    or member that breaks one as a finding; and with a day, up to :data:`REPLAYED` of the loans with
    which something happened on it, replayed. Call it in one snapshot. A fixed number of statements.
    """
    replayed = [] if on is None else [replay_finding(touched(on))]
    return [
        Check(
            finding.code,
            finding.rule,
            finding.expected,
            finding.found,
            finding.checked,
            tuple(_difference(wrong) for wrong in finding.all_wrong),
        )
        for finding in (*market_findings(), *replayed)
    ]


def touched(on: date, most: int = REPLAYED) -> list[int]:
    """Loans with which something happened on a day, no more than ``most``; one statement."""
    with connection.cursor() as cursor:
        cursor.execute(_TOUCHED, {"on": on, "most": most})
        return [loan for (loan,) in cursor.fetchall()]


def _difference(wrong: Wrong) -> Finding:
    amount = wrong.found - wrong.expected
    return Finding(wrong.name, amount, both(wrong.expected, wrong.found) if amount else "")
