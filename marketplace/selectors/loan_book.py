"""The loan book as of a day, for auditors."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import date

from django.db import connection

from marketplace.core.loan_book import COLUMNS, BookLoan, book_row
from marketplace.core.states import LoanState

# Everything is taken from what was recorded by the end of the day asked for, so that the book of
# a past day is the same whenever it is asked for.
_QUERY = """
SELECT l.id, l.borrower_id, l.paid_out_on, l.amount, coalesce(p.principal, 0)::bigint,
    coalesce(p.interest, 0)::bigint, coalesce(p.payments, 0), p.last_on, l.term_months, l.rate,
    m.state_after, CASE WHEN l.defaulted_on <= %(on)s THEN l.defaulted_on END, b.postcode
FROM marketplace_loan AS l
JOIN accounts_member AS b ON b.id = l.borrower_id
JOIN LATERAL (
    SELECT state_after FROM marketplace_loanmove
    WHERE loan_id = l.id AND moved_on <= %(on)s ORDER BY id DESC LIMIT 1
) AS m ON true
LEFT JOIN (
    SELECT loan_id, count(*) AS payments, max(received_on) AS last_on,
        sum(principal) FILTER (WHERE distributed_on <= %(on)s) AS principal,
        sum(interest) FILTER (WHERE distributed_on <= %(on)s) AS interest
    FROM marketplace_payment WHERE received_on <= %(on)s GROUP BY loan_id
) AS p ON p.loan_id = l.id
WHERE l.paid_out_on <= %(on)s
ORDER BY l.id
"""


def loan_book(on: date) -> list[BookLoan]:
    """Every loan paid out by ``on``, as it stood at the end of that day; one statement."""
    with connection.cursor() as cursor:
        cursor.execute(_QUERY, {"on": on})
        return [
            BookLoan(
                loan_id=str(row[0]),
                member_id=str(row[1]),
                paid_out_on=row[2],
                amount=row[3],
                principal_paid=row[4],
                interest_paid=row[5],
                payments=row[6],
                last_payment_on=row[7],
                term_months=row[8],
                rate=row[9],
                state=LoanState(row[10]),
                defaulted_on=row[11],
                postcode=row[12],
            )
            for row in cursor.fetchall()
        ]


def loan_book_csv(on: date, *, secret: bytes) -> Iterator[str]:
    """The loan book as lines of CSV, header first.

    Args:
        on: the snapshot date.
        secret: key of the pseudonyms; the same key gives the same pseudonyms in every extract.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")
    for row in (COLUMNS, *(book_row(loan, on=on, secret=secret) for loan in loan_book(on))):
        writer.writerow(row)
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
