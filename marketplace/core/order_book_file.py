"""Order-book files in the layout of Zopa's public market report.

One row an offer in one market (``Market`` is a band, ``Term`` months). Rates are annual effective
fractions (``0.071``, also ``7.1%``), amounts pounds in £10 steps, dates ``dd/mm/yyyy hh:mm:ss`` (or
ISO). ``Member ID`` may be masked with asterisks, or empty: then each row is its own lender; rows of
a named member share that lender's exposure limit. ``Loan Size`` and ``Simple Rate`` are the file's
own running figures: they are checked by :mod:`marketplace.core.running_figures`, never used.
Columns are found by name, in any order; further columns are ignored. Nothing is returned unless
every row is good. Source: ``docs/matching.md``.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np

from accounts.core.errors import AmountRefused
from accounts.core.money import pence_from_text
from marketplace.core.arrays import PENCE_PER_UNIT
from marketplace.core.errors import OrderBookRefused
from marketplace.core.order_book import Queue
from marketplace.core.rates import LARGEST_ANNUAL_PPM, PPM

MEMBER, MARKET, TERM, NAME = "Member ID", "Market", "Term", "Offer Name"
DATE, ORIGINAL, RATE = "Offer Date", "Original Market", "Offer Rate"
EXPOSURE, AVAILABLE = "Max Exposure", "Available"
LOAN_SIZE, SIMPLE_RATE = "Loan Size", "Simple Rate"
COLUMNS = (
    *(MEMBER, MARKET, TERM, NAME, DATE, ORIGINAL, RATE),
    *(EXPOSURE, AVAILABLE, LOAN_SIZE, SIMPLE_RATE),
)

LARGEST_FILE_AMOUNT = 10_000_000_000  # £100m in pence
LONGEST_LINE = 4_096
_POUNDS = re.compile(r"£?\s?(\d{1,3}(?:,\d{3})+|\d{1,10})(\.\d{1,2})?", re.ASCII)
_NUMBER = re.compile(r"(\d{0,4})(?:\.(\d{0,12}))?", re.ASCII)
_SIGNED = re.compile(r"-\s?£?[\d.,]+%?|£-[\d.,]+", re.ASCII)
_DAY_FIRST = ("%d/%m/%Y %H:%M:%S", "%d/%m/%Y %H:%M", "%d/%m/%Y")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# What spreadsheets take for a formula at the start of a cell, and what says that it is none.
_FORMULA, _GUARD = ("=", "+", "-", "@"), "'"


@dataclass(frozen=True, slots=True)
class BookRow:
    """One offer of an order-book file.

    Attributes:
        row: line number in the file, from 1 (the header is line 1).
        member: the member's name, or ``None`` where it is masked or empty.
        market: the band; original_market: the band that the offer names (riskier when implied).
        term: months.
        offer_name: as written, without what guards it against spreadsheets.
        offered_at: when the offer was made (taken as UTC where the file doesn't say).
        rate_ppm: annual effective, ppm.
        max_exposure, available: pence, multiples of £10.
        loan_size: the file's running size, pence, or ``None`` where it is empty.
        simple_rate: the file's running mean rate, a fraction, or ``None`` where it is empty.
    """

    row: int
    member: str | None
    market: str
    term: int
    offer_name: str
    offered_at: datetime
    original_market: str
    rate_ppm: int
    max_exposure: int
    available: int
    loan_size: int | None
    simple_rate: Decimal | None


@dataclass(frozen=True, slots=True)
class OrderBookFile:
    """A whole order-book file, rows as in the file."""

    file: str
    rows: tuple[BookRow, ...]


def parse_order_book(
    data: bytes, file: str, *, bands: Collection[str], terms: Collection[int]
) -> OrderBookFile:
    """Read an order-book file.

    Args:
        data: the file's bytes (UTF-8, with or without a byte-order mark; any line ends).
        file: its name, for messages.
        bands: the markets (bands) that are known.
        terms: the terms (months) that are known.

    Raises:
        OrderBookRefused: for the first thing that is wrong, naming file, row and column.
    """
    lines = _records(_text(data, file), file)
    header_row, header = next(lines, (0, []))
    if not header:
        raise OrderBookRefused("the file is empty.", file=file)
    places = _places(header, header_row, file)
    seen: dict[tuple[str, ...], int] = {}
    rows: list[BookRow] = []
    for row, cells in lines:
        if len(cells) != len(header):
            raise OrderBookRefused(
                f"there are {len(cells)} values for {len(header)} columns.",
                file=file,
                row=row,
                column=header[len(cells)] if len(cells) < len(header) else header[-1],
            )
        earlier = seen.setdefault(tuple(cells), row)
        if earlier != row:
            raise OrderBookRefused(
                f"this is the same offer as row {earlier}, in every column.",
                file=file,
                row=row,
                column=MEMBER,
            )
        read = _Cells(file, row, {name: cells[place] for name, place in places.items()})
        rows.append(read.book_row(bands, terms))
    if not rows:
        raise OrderBookRefused("there are no offers below the header.", file=file, row=header_row)
    return OrderBookFile(file=file, rows=tuple(rows))


def queue_of(book: OrderBookFile, *, band: str, term: int) -> Queue:
    """Return one market of the file as a queue for :mod:`marketplace.core.order_book`.

    Equal rates go by date; where dates are equal too, whoever brings more goes first, then by what
    else the row says, so that the result doesn't depend on the order of rows. ``offer_id`` is the
    row number in the file, ``rate_set`` the place in that order.
    """
    rows = sorted(
        (row for row in book.rows if row.market == band and row.term == term), key=_queue_key
    )
    lenders: dict[str, int] = {}
    lender_ids = [
        place if row.member is None else lenders.setdefault(row.member, len(rows) + len(lenders))
        for place, row in enumerate(rows)
    ]
    return Queue(
        offer_id=np.array([row.row for row in rows], dtype=np.int64),
        lender_id=np.array(lender_ids, dtype=np.int64),
        rate_ppm=np.array([row.rate_ppm for row in rows], dtype=np.int64),
        rate_set=np.arange(len(rows), dtype=np.int64),
        limit=np.array([row.max_exposure for row in rows], dtype=np.int64),
        available=np.array([row.available for row in rows], dtype=np.int64),
    )


def guarded(text: str) -> str:
    """Return a name so that no spreadsheet runs it as a formula; reading gives it back."""
    return _GUARD + text if text.lstrip(_GUARD).startswith(_FORMULA) else text


def _unguarded(text: str) -> str:
    is_guarded = text.startswith(_GUARD) and text.lstrip(_GUARD).startswith(_FORMULA)
    return text[1:] if is_guarded else text


def _queue_key(row: BookRow) -> tuple[object, ...]:
    return (
        *(row.rate_ppm, (row.offered_at - _EPOCH) // timedelta(microseconds=1)),
        *(-min(row.max_exposure, row.available), -row.available, -row.max_exposure),
        *(row.member or "", row.offer_name, row.original_market),
        *(row.loan_size or 0, row.simple_rate or Decimal(0)),
    )


def _text(data: bytes, file: str) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = data.count(b"\n", 0, error.start) + 1
        raise OrderBookRefused(
            "this is not text: save the file as CSV in UTF-8.", file=file, row=row
        ) from None
    if "\0" in text:
        row = text.count("\n", 0, text.index("\0")) + 1
        raise OrderBookRefused(
            "this is not text: it holds zero bytes. Save the file as CSV.", file=file, row=row
        )
    return text


def _records(text: str, file: str) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and stripped cells of each line that isn't blank."""
    for number, line in enumerate(io.StringIO(text, newline=None), start=1):
        if len(line) > LONGEST_LINE:
            raise OrderBookRefused(
                f"the line is longer than {LONGEST_LINE} characters.", file=file, row=number
            )
        try:
            cells = next(csv.reader([line], strict=True), [])
        except csv.Error:
            raise OrderBookRefused(
                "a quotation mark is left open or stands inside a value.", file=file, row=number
            ) from None
        stripped = [cell.strip() for cell in cells]
        if any(stripped):
            yield number, stripped


def _places(header: list[str], row: int, file: str) -> dict[str, int]:
    """Return where each known column stands."""
    names = [name.casefold() for name in header]
    places: dict[str, int] = {}
    for column in COLUMNS:
        count = names.count(column.casefold())
        if count != 1:
            problem = "is missing" if count == 0 else "is there twice"
            raise OrderBookRefused(
                f"the column {problem}; the columns are {', '.join(COLUMNS)}.",
                file=file,
                row=row,
                column=column,
            )
        places[column] = names.index(column.casefold())
    return places


@dataclass(frozen=True, slots=True)
class _Cells:
    """One line's cells by column, and how each kind of cell is read."""

    file: str
    row: int
    cells: dict[str, str]

    def book_row(self, bands: Collection[str], terms: Collection[int]) -> BookRow:
        """Read the whole line."""
        market = self._band(MARKET, bands)
        return BookRow(
            row=self.row,
            member=_unguarded(self.cells[MEMBER]) if self.cells[MEMBER].strip("*") else None,
            market=market,
            term=self._term(terms),
            offer_name=_unguarded(self.cells[NAME]),
            offered_at=self._date(),
            original_market=self._band(ORIGINAL, bands) if self.cells[ORIGINAL] else market,
            rate_ppm=self._rate_ppm(),
            max_exposure=self._amount(EXPOSURE),
            available=self._amount(AVAILABLE),
            loan_size=self._pence(LOAN_SIZE) if self.cells[LOAN_SIZE] else None,
            simple_rate=self._rate(SIMPLE_RATE) if self.cells[SIMPLE_RATE] else None,
        )

    def _refused(self, column: str, reason: str) -> OrderBookRefused:
        return OrderBookRefused(
            f"{self._shown(column)} {reason}", file=self.file, row=self.row, column=column
        )

    def _shown(self, column: str) -> str:
        cell = self.cells[column]
        return f"'{cell if len(cell) <= 40 else cell[:40] + '...'}'"

    def _band(self, column: str, bands: Collection[str]) -> str:
        if self.cells[column] not in bands:
            raise self._refused(
                column, f"is not a known market; the markets are {', '.join(sorted(bands))}."
            )
        return self.cells[column]

    def _term(self, terms: Collection[int]) -> int:
        known = {str(term): term for term in terms}
        if self.cells[TERM] not in known:
            raise self._refused(
                TERM, f"is not a known term; the terms are {', '.join(known)} months."
            )
        return known[self.cells[TERM]]

    def _date(self) -> datetime:
        text = self.cells[DATE]
        for layout in _DAY_FIRST:
            try:
                return datetime.strptime(text, layout).replace(tzinfo=UTC)
            except ValueError:
                continue
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise self._refused(
                DATE, "is not a date: write it as 19/08/2011 18:38:30 or 2011-08-19T18:38:30."
            ) from None
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment

    def _rate_ppm(self) -> int:
        ppm = self._rate(RATE) * PPM
        if ppm == 0 or ppm > LARGEST_ANNUAL_PPM:
            raise self._refused(RATE, "is absurd: a rate is above 0 and at most 100 % a year.")
        if ppm != int(ppm):
            raise self._refused(RATE, "has more than six decimals (four in a percentage).")
        return int(ppm)

    def _rate(self, column: str) -> Decimal:
        """Read an annual rate as a fraction: ``0.071`` or ``7.1%``."""
        text = self.cells[column]
        percent = text.endswith("%")
        match = _NUMBER.fullmatch(text.removesuffix("%").rstrip())
        if match is None or not (match[1] or match[2]):
            if _SIGNED.fullmatch(text):
                raise self._refused(
                    column, "is negative: a rate is above 0 and at most 100 % a year."
                )
            raise self._refused(column, "is not a rate: write a fraction such as 0.071, or 7.1%.")
        number = Decimal(f"{match[1] or 0}.{match[2] or 0}")
        if percent:
            number /= 100
        elif number >= 1:
            raise self._refused(
                column, "is too high for a fraction: write 7.1 % as 0.071, or as 7.1%."
            )
        return number

    def _amount(self, column: str) -> int:
        pence = self._pence(column)
        if pence == 0:
            raise self._refused(column, "is nothing: the smallest amount is 10.")
        if pence % PENCE_PER_UNIT:
            raise self._refused(column, "is not a multiple of £10.")
        return pence

    def _pence(self, column: str) -> int:
        """Read pounds: ``10``, ``10.00``, ``£1,390``."""
        text = self.cells[column]
        match = _POUNDS.fullmatch(text)
        if match is None:
            if _SIGNED.fullmatch(text):
                raise self._refused(column, "is negative: amounts are above nothing.")
            raise self._refused(column, "is not an amount: write pounds such as 10 or 10.00.")
        try:
            pence = pence_from_text(match[1].replace(",", "") + (match[2] or ""))
        except AmountRefused:
            pence = LARGEST_FILE_AMOUNT + 1
        if pence > LARGEST_FILE_AMOUNT:
            raise self._refused(column, "is absurd: amounts are at most £100m.")
        return pence
