"""Writing an order-book file: the layout that :mod:`marketplace.core.order_book_file` reads.

Whoever reads such a file again gets the rows that were written, and its running figures are exact:
``Loan Size`` in pence, ``Simple Rate`` to the nearest millionth, halves to even. A running size
beyond the most that a file may say (:data:`LARGEST_FILE_AMOUNT`) is left empty.
Source: ``docs/matching.md``, "Order-book files".
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from fractions import Fraction

from accounts.core.money import text_from_pence
from marketplace.core.arrays import PENCE_PER_UNIT
from marketplace.core.errors import OrderBookRefused
from marketplace.core.order_book_file import (
    AVAILABLE,
    COLUMNS,
    DATE,
    EXPOSURE,
    LARGEST_FILE_AMOUNT,
    LONGEST_LINE,
    MARKET,
    MEMBER,
    NAME,
    ORIGINAL,
    RATE,
    TERM,
    BookRow,
    guarded,
)
from marketplace.core.rates import LARGEST_ANNUAL_PPM, PPM

MASK = "******"
FILE = "the order book"
# Two such names, every quotation mark doubled, and the other cells fit one line.
_LONGEST_NAME = LONGEST_LINE * 2 // 9
_LONGEST_BAND = 40


def order_book_csv(rows: Iterable[BookRow]) -> Iterator[str]:
    """Write offers as lines of CSV, the header first.

    Args:
        rows: offers of any markets; each market's in queue order (by rate, then date), which is
            what the running figures follow. A ``member`` or an offer name that is ``None`` or empty
            is masked. The rows' own numbers and running figures are not used.

    Yields:
        Lines, each with its line end.

    Raises:
        OrderBookRefused: a row that a reader would refuse or take for another one; names the row
            (the line that it would be) and the column. What was yielded before is no whole file.
    """
    yield _line(COLUMNS)
    running: dict[tuple[str, int], _Running] = {}
    for number, row in enumerate(rows, start=2):
        _check(row, number)
        sums = running.setdefault((row.market, row.term), _Running())
        sums.add(row, number)
        yield _line(
            (
                MASK if row.member is None else _member(row.member, number),
                _band(row.market, MARKET, number),
                str(row.term),
                _name(row.offer_name, NAME, number),
                _moment(row.offered_at),
                _band(row.original_market, ORIGINAL, number),
                _fraction(row.rate_ppm),
                text_from_pence(row.max_exposure),
                text_from_pence(row.available),
                text_from_pence(sums.size) if sums.size <= LARGEST_FILE_AMOUNT else "",
                _fraction(round(Fraction(sums.weighted, sums.size))),
            )
        )


class _Running:
    """One market's running figures, in exact sums: pence, and pence times ppm."""

    def __init__(self) -> None:
        self.size = 0
        self.weighted = 0
        self.last: tuple[int, datetime] | None = None

    def add(self, row: BookRow, number: int) -> None:
        place = (row.rate_ppm, row.offered_at)
        if self.last is not None and place < self.last:
            raise _refused("comes before the row above it in the queue.", number, RATE)
        self.last = place
        exposure = min(row.max_exposure, row.available)
        self.size += exposure
        self.weighted += exposure * row.rate_ppm


def _check(row: BookRow, number: int) -> None:
    if row.offered_at.utcoffset() != timedelta(0) or row.offered_at.microsecond:
        raise _refused("is not a whole second in UTC.", number, DATE)
    for column, pence in ((EXPOSURE, row.max_exposure), (AVAILABLE, row.available)):
        if not 0 < pence <= LARGEST_FILE_AMOUNT or pence % PENCE_PER_UNIT:
            raise _refused("is not a multiple of £10 from £10 to £100m.", number, column)
    if row.term <= 0:
        raise _refused("is not a number of months.", number, TERM)
    if not 0 < row.rate_ppm <= LARGEST_ANNUAL_PPM:
        raise _refused("is not above 0 and at most 100 % a year.", number, RATE)


def _line(cells: Iterable[str]) -> str:
    kept = io.StringIO()
    csv.writer(kept, lineterminator="\r\n").writerow(cells)
    return kept.getvalue()


def _fraction(ppm: int) -> str:
    """A rate as a fraction of six decimals; 100 %, which no fraction says, with its sign."""
    return "100%" if ppm == PPM else f"0.{ppm:06d}"


def _moment(moment: datetime) -> str:
    return (
        f"{moment.day:02d}/{moment.month:02d}/{moment.year:04d}"
        f" {moment.hour:02d}:{moment.minute:02d}:{moment.second:02d}"
    )


def _member(name: str, number: int) -> str:
    if not name.strip("*"):
        raise _refused("would be taken for a masked member.", number, MEMBER)
    return _name(name, MEMBER, number)


def _band(name: str, column: str, number: int) -> str:
    if not 0 < len(name) <= _LONGEST_BAND or _name(name, column, number) != name:
        raise _refused("is not the name of a market.", number, column)
    return name


def _name(name: str, column: str, number: int) -> str:
    """A name as it is written; what a spreadsheet would run as a formula is guarded."""
    if name != name.strip() or not name.isprintable() or len(name) > _LONGEST_NAME:
        raise _refused(
            f"is not a name of at most {_LONGEST_NAME} printable characters.", number, column
        )
    return guarded(name)


def _refused(reason: str, number: int, column: str) -> OrderBookRefused:
    return OrderBookRefused(f"this {reason}", file=FILE, row=number, column=column)
