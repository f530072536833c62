"""From the rows of an order-book file to the offers that they are.

A row whose ``Original Market`` is another one is implied by that market's row and is no offer of
its own. Rows of one member and one offer name are one offer with a rate in each of their markets;
a row whose offer name is masked or empty is an offer by itself. Pegs and pool money are rates in a
file like any other. Source: ``docs/matching.md``, "Order-book files".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from marketplace.core.errors import OrderBookRefused
from marketplace.core.order_book_file import (
    AVAILABLE,
    EXPOSURE,
    MARKET,
    MEMBER,
    BookRow,
    OrderBookFile,
)


@dataclass(frozen=True, slots=True)
class FileOffer:
    """One offer of a file.

    Attributes:
        member: as the file names the lender.
        amount: pence.
        exposure_limit: pence, at most the amount: more than that nobody could have of it.
        rows: one a market, by date.
    """

    member: str
    amount: int
    exposure_limit: int
    rows: tuple[BookRow, ...]

    @property
    def row(self) -> int:
        """The first line of the file that is about it."""
        return min(row.row for row in self.rows)


@dataclass(frozen=True, slots=True)
class FileOffers:
    """The offers of a file.

    Attributes:
        offers: in the order in which they go into the queues: by date; where dates are equal,
            whoever brings more first, then as in the file.
        implied: how many rows are implied.
        orphans: how many of these are implied by a row that is not in the file.
    """

    offers: tuple[FileOffer, ...]
    implied: int
    orphans: int


def offers_of(book: OrderBookFile) -> FileOffers:
    """Sort a file's rows into offers.

    Raises:
        OrderBookRefused: a masked member, rows of one offer that disagree about its money or name
            one market twice, or no row that is an offer; names file, row and column.
    """
    own = [row for row in book.rows if row.original_market == row.market]
    if not own:
        raise OrderBookRefused(
            "every row is implied by another, so no offer is here.", file=book.file
        )
    groups: dict[tuple[str, ...], list[BookRow]] = {}
    for row in own:
        if row.member is None:
            raise _refused(book, row, MEMBER, "is masked: an offer to be placed names its lender.")
        group = groups.setdefault(_name(row.member, row), [])
        _check_same(book, group, row)
        group.append(row)
    offers = [_offer(member, rows) for (member, *_), rows in groups.items()]
    offers.sort(key=lambda offer: _by_date(offer.rows[0]))
    named = {(row.member, row.offer_name, row.market, row.term) for row in own}
    implied = [row for row in book.rows if row.original_market != row.market]
    orphans = sum(
        (row.member, row.offer_name, row.original_market, row.term) not in named for row in implied
    )
    return FileOffers(tuple(offers), len(implied), orphans)


def _name(member: str, row: BookRow) -> tuple[str, ...]:
    """What rows of one offer have in common."""
    if row.offer_name.strip("*"):
        return member, row.offer_name
    return member, row.offer_name, str(row.row)


def _check_same(book: OrderBookFile, group: list[BookRow], row: BookRow) -> None:
    for other in group:
        if (row.market, row.term) == (other.market, other.term):
            raise _refused(
                book, row, MARKET, f"is named by row {other.row} of the same offer already."
            )
    for column, mine, theirs in _money(group[:1], row):
        if mine != theirs:
            raise _refused(
                book,
                row,
                column,
                f"is not what row {group[0].row} of the same offer says: one offer has one amount "
                "and one limit in all its markets.",
            )


def _money(group: list[BookRow], row: BookRow) -> Iterator[tuple[str, int, int]]:
    for first in group:
        yield EXPOSURE, row.max_exposure, first.max_exposure
        yield AVAILABLE, row.available, first.available


def _offer(member: str, rows: list[BookRow]) -> FileOffer:
    amount, limit = rows[0].available, rows[0].max_exposure
    return FileOffer(member, amount, min(amount, limit), tuple(sorted(rows, key=_by_date)))


def _by_date(row: BookRow) -> tuple[object, ...]:
    return (
        row.offered_at,
        *(-min(row.max_exposure, row.available), -row.available, -row.max_exposure, row.row),
    )


def _refused(book: OrderBookFile, row: BookRow, column: str, reason: str) -> OrderBookRefused:
    return OrderBookRefused(f"this {reason}", file=book.file, row=row.row, column=column)
