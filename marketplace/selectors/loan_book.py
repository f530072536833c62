"""The loan book as of a day, for auditors."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import date

from django.db import connection

from marketplace.core.loan_book import COLUMNS, BookLoan, book_row
from marketplace.core.states import LOST, LoanState

# Everything is taken from what was recorded by the end of the day asked for, and is never changed
# afterwards: a correction is a row of its own day. So the book of a past day is the same whenever
# it is asked for. Collected is what was spread over the parts and came from the borrower (not the
# provision fund), and what of it the fund got and recovery cost.
_QUERY = """
SELECT l.id, l.borrower_id, l.paid_out_on, l.amount,
    (coalesce(s.principal, 0) + coalesce(p.principal, 0))::bigint,
    (coalesce(s.interest, 0) + coalesce(p.interest, 0))::bigint,
    coalesce(p.payments, 0), p.last_on, l.term_months, l.rate, m.state_after,
    CASE WHEN m.state_after = ANY (%(lost)s) THEN m.defaulted_on END, b.postcode
FROM marketplace_loan AS l
JOIN accounts_member AS b ON b.id = l.borrower_id
JOIN (
    SELECT loan_id, (array_agg(state_after ORDER BY id DESC))[1] AS state_after,
        (array_agg(moved_on ORDER BY id DESC) FILTER (WHERE state_after = 'default'))[1]
            AS defaulted_on
    FROM marketplace_loanmove WHERE recorded_on <= %(on)s GROUP BY loan_id
) AS m ON m.loan_id = l.id
LEFT JOIN (
    SELECT loan_id, sum(principal) FILTER (WHERE kind <> 'fund') AS principal,
        sum(interest) FILTER (WHERE kind <> 'fund') AS interest
    FROM (
        SELECT loan_id, kind,
            principal_total - lag(principal_total, 1, 0::bigint) OVER w AS principal,
            interest_total - lag(interest_total, 1, 0::bigint) OVER w AS interest
        FROM marketplace_distribution WHERE spread_on <= %(on)s
        WINDOW w AS (PARTITION BY loan_id ORDER BY number)
    ) AS brought GROUP BY loan_id
) AS s ON s.loan_id = l.id
LEFT JOIN (
    SELECT loan_id, count(*) AS payments, max(received_on) AS last_on,
        sum(to_fund_principal + cost_principal) FILTER (WHERE distributed_on <= %(on)s)
            AS principal,
        sum(to_fund_interest + cost_interest) FILTER (WHERE distributed_on <= %(on)s) AS interest
    FROM marketplace_payment
    WHERE recorded_on <= %(on)s AND (bounced_on IS NULL OR bounced_on > %(on)s) GROUP BY loan_id
) AS p ON p.loan_id = l.id
WHERE l.paid_out_on <= %(on)s
ORDER BY l.id
"""


def loan_book(on: date) -> list[BookLoan]:
    """Every loan paid out by ``on``, as it stood at the end of that day; one statement."""
    with connection.cursor() as cursor:
        cursor.execute(_QUERY, {"on": on, "lost": list(LOST)})
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
