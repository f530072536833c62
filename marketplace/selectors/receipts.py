"""What lenders received: their share of each distribution, from the totals before and after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from django.db import connection

from marketplace.core.loan_events import DistributionKind
from marketplace.selectors.paging import Page, PageWanted, check_size, no_such_row


@dataclass(frozen=True)
class Receipt:
    """A part's share of one distribution, in pence.

    ``interest`` is before the fee. In a correction each of the three may be below nothing: what
    turned out not to be the part's is taken back.
    """

    loan_id: UUID
    part: int
    number: int
    spread_on: date
    kind: DistributionKind
    principal: int
    interest: int
    fee: int

    @property
    def public_id(self) -> str:
        """The loan's public id, the part's number in it, and the distribution's."""
        return f"{self.part_id}/{self.number}"

    @property
    def part_id(self) -> str:
        """The part's public id."""
        return f"{self.loan_id}/{self.part}"

    @property
    def net(self) -> int:
        """What reached the lender's cash, pence."""
        return self.principal + self.interest - self.fee


_LARGEST_NUMBER = 2**31

# Which rows are wanted is settled on the headers alone: arrays are unpacked for one page's.
_WANTED = """
SELECT d.id, p.id, d.loan_id, d.number, p.number
FROM marketplace_part AS p JOIN marketplace_distribution AS d ON d.loan_id = p.loan_id
WHERE {} ORDER BY d.id DESC, p.id DESC {}
"""
_SHARES = """
WITH wanted (distribution, part, loan, number, place) AS MATERIALIZED ({})
SELECT l.public_id, w.place, w.number, d.spread_on, d.kind,
    d.principal[w.place] - coalesce(b.principal[w.place], 0),
    d.interest[w.place] - coalesce(b.interest[w.place], 0),
    d.fee[w.place] - coalesce(b.fee[w.place], 0)
FROM wanted AS w JOIN marketplace_loan AS l ON l.id = w.loan
JOIN marketplace_distribution AS d ON d.id = w.distribution
LEFT JOIN marketplace_distribution AS b ON b.loan_id = w.loan AND b.number = w.number - 1
ORDER BY w.distribution DESC, w.part DESC
"""
_ANCHOR = """
SELECT d.id, p.id FROM marketplace_loan AS l
JOIN marketplace_part AS p ON p.loan_id = l.id AND p.number = %s
JOIN marketplace_distribution AS d ON d.loan_id = l.id AND d.number = %s
WHERE l.public_id = %s AND p.lender_id = %s
"""


def receipts_page(lender_id: int, wanted: PageWanted) -> Page[Receipt]:
    """What came to a lender's parts, the newest first; one statement, two with a cursor.

    One row a part and distribution. The cursor is a receipt's ``public_id``.

    Raises:
        PageRefused, CursorRefused.
    """
    check_size(wanted)
    where, values = "p.lender_id = %s", [lender_id]
    if wanted.after is not None:
        where += " AND (d.id, p.id) < (%s, %s)"
        values += _anchor(lender_id, wanted.after)
    found = _shares(where, values, f"LIMIT {wanted.size + 1}")
    return Page(
        rows=tuple(found[: wanted.size]),
        has_next=len(found) > wanted.size,
        has_previous=wanted.after is not None,
    )


def receipts_of_parts(part_keys: Sequence[int]) -> list[Receipt]:
    """Everything that came to some parts, the newest first; one statement."""
    return _shares("p.id = ANY (%s)", [list(part_keys)], "")


def _anchor(lender_id: int, cursor: str) -> tuple[int, int]:
    """The keys of the distribution and the part that a cursor names."""
    loan, _, rest = cursor.partition("/")
    part, _, number = rest.partition("/")
    try:
        values: list[Any] = [_small(part), _small(number), UUID(loan), lender_id]
    except ValueError:
        raise no_such_row() from None
    with connection.cursor() as statement:
        statement.execute(_ANCHOR, values)
        found = statement.fetchone()
    if found is None:
        raise no_such_row()
    return found[0], found[1]


def _small(text: str) -> int:
    number = int(text)
    if not 0 < number < _LARGEST_NUMBER:
        raise ValueError(text)
    return number


def _shares(where: str, values: list[Any], limit: str) -> list[Receipt]:
    with connection.cursor() as cursor:
        cursor.execute(_SHARES.format(_WANTED.format(where, limit)), values)
        return [
            Receipt(
                loan_id=loan,
                part=part,
                number=number,
                spread_on=spread_on,
                kind=DistributionKind(kind),
                principal=principal,
                interest=interest,
                fee=fee,
            )
            for loan, part, number, spread_on, kind, principal, interest, fee in cursor.fetchall()
        ]
