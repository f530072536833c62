"""A small town for close of day, and a picture of all that it came to.

Loans were paid out on the first of April 2016, all days up to the second of May are closed, and on
the third the first instalments are due. One loan waits for its pay-out, one for its borrower's
word, one listing for a cycle.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from typing import Any

from django.db import connection
from django.utils import timezone

from marketplace.core.collecting import SandboxCollector, SandboxRates
from marketplace.models import DayRun
from marketplace.selectors.closing import DayReport
from marketplace.services.agreements import accept_agreements
from marketplace.services.closing_day import close_day
from tests.conftest import _cloned
from tests.marketplace.house import House, borrowers, funded, key, listing, offer, paid_out
from tests.world import ACTOR, DAY, FIRST_DUE, enrol_lenders

BEFORE = FIRST_DUE - timedelta(days=1)
# Tuesday to Monday: due and collected, cleared and spread three business days later.
LAST = date(2016, 5, 9)
SANDBOX = SandboxCollector(7, SandboxRates(200_000, 300_000, latest_bounce=2))

# Parts (ppm, pence): the house design's, and others.
LOANS = (
    ((69_000, 48_000), (71_000, 52_000)),
    ((68_000, 100_000), (70_000, 90_000), (72_000, 10_000)),
    ((70_000, 120_000),),
)


def build_town(house: House, *, loans: int = len(LOANS)) -> list[int]:
    """Build it; the ids of the loans that are paid out."""
    made = [paid_out(house, LOANS[n % len(LOANS)]).loan_id for n in range(loans)]
    accepted = funded(house)
    accept_agreements(loan_ids=[accepted.loan_id], on=DAY, actor=ACTOR, key=key())
    funded(house)
    [lender] = enrol_lenders([150_000])
    offer(house, lender, 150_000, {"A/36": 75_000})
    [borrower] = borrowers(1)
    listing(house, borrower, 100_000, on=BEFORE)
    now = timezone.now()
    DayRun.objects.create(day=DAY, actor=ACTOR, finished_at=now)
    DayRun.objects.create(day=BEFORE, actor=ACTOR, finished_at=now)
    return made


@contextmanager
def clone_of(town: str) -> Iterator[str]:
    """A copy of a town's database, in which one may commit."""
    connection.close()
    with _cloned(town) as name:
        yield name


def close(on: date, **options: Any) -> DayReport:
    """Close a day with the sandbox."""
    options = {"collector": SANDBOX, **options}
    return close_day(on=on, actor=ACTOR, **options)


def days(first: date = FIRST_DUE, last: date = LAST) -> list[date]:
    """The days from one to another."""
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


# Of these rows everything is compared but what a sequence, a clock or chance gave them.
_OF_LOANS = (
    "marketplace_agreement",
    "marketplace_distribution",
    "marketplace_instalment",
    "marketplace_loanevent",
    "marketplace_loanmove",
    "marketplace_part",
    "marketplace_payment",
)
_OTHERS = ("marketplace_application", "marketplace_listing", "marketplace_offer")
_GIVEN = {
    *("id", "public_id", "loan_id", "payment_id", "cycle_id", "file_id", "reference"),
    *("end_to_end_id", "subject", "occasion", "batch"),
}
_PUBLIC_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

Picture = dict[str, Counter[str]]


def picture() -> Picture:
    """Every account, loan, part, payment, collection, notice and offer, whatever ids they got.

    A loan is known by its listing, and the stripes of an account of the platform are one.
    """
    seen: Picture = {}
    with connection.cursor() as cursor:
        cursor.execute("SELECT l.listing_id, to_jsonb(l) FROM marketplace_loan AS l")
        seen["marketplace_loan"] = _told(cursor.fetchall())
        for table in _OF_LOANS:
            cursor.execute(
                f"SELECT l.listing_id, to_jsonb(t) FROM {table} AS t"
                " JOIN marketplace_loan AS l ON l.id = t.loan_id"
            )
            seen[table] = _told(cursor.fetchall())
        cursor.execute(
            "SELECT l.listing_id, to_jsonb(c) FROM accounts_collection AS c"
            " JOIN marketplace_loan AS l ON c.subject = 'loan:' || l.id"
        )
        seen["accounts_collection"] = _told(cursor.fetchall())
        cursor.execute(
            "SELECT coalesce(l.listing_id, 0), to_jsonb(n) FROM marketplace_notice AS n"
            " LEFT JOIN marketplace_loan AS l ON l.id = n.loan_id"
        )
        seen["marketplace_notice"] = _told(cursor.fetchall())
        for table in _OTHERS:
            cursor.execute(f"SELECT t.id, to_jsonb(t) FROM {table} AS t")
            seen[table] = _told(cursor.fetchall())
        cursor.execute(
            "SELECT coalesce(l.listing_id, a.owner_id), jsonb_build_object('kind', a.kind,"
            " 'balance', sum(a.balance)) FROM accounts_account AS a LEFT JOIN marketplace_loan AS l"
            " ON l.id = a.owner_id AND a.kind IN ('clearing', 'principal_owed', 'interest_due')"
            " GROUP BY 1, a.kind"
        )
        seen["accounts_account"] = _told(cursor.fetchall())
        cursor.execute(
            "SELECT 0, jsonb_build_object('kind', e.kind, 'on', e.effective_on, 'debit', d.kind,"
            " 'credit', c.kind, 'count', count(*), 'pence', sum(t.amount))"
            " FROM accounts_transfer AS t JOIN accounts_entry AS e ON e.id = t.entry_id"
            " JOIN accounts_account AS d ON d.id = t.debit_id"
            " JOIN accounts_account AS c ON c.id = t.credit_id"
            " GROUP BY e.kind, e.effective_on, d.kind, c.kind"
        )
        seen["accounts_transfer"] = _told(cursor.fetchall())
    return seen


def _told(rows: list[tuple[int, Any]]) -> Counter[str]:
    told: Counter[str] = Counter()
    for owner, found in rows:
        row = json.loads(found) if isinstance(found, str) else found
        kept = {
            name: value
            for name, value in row.items()
            if name not in _GIVEN and not name.endswith("_at")
        }
        # A notice names the loan by its public id, which chance gave it.
        told[f"{owner} {_PUBLIC_ID.sub('a loan', json.dumps(kept, sort_keys=True))}"] += 1
    return told


def counted(report: DayReport) -> dict[str, tuple[dict[str, int], str]]:
    """A report without its times."""
    return {each.step.value: (dict(each.counts), each.note) for each in report.steps}
