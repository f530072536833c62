"""Plain statements as CSV, for banks and days without camt.053.

Columns, in any order and letter case, further ones left out:

==============  ==================================================================================
``date``        booking date, ``2016-04-01`` or ``01/04/2016`` (day first), one form in a file
``description`` the bank's text
``reference``   the payer's text; may be empty
``amount``      pounds, up to two decimals, thousands commas allowed; ``-`` for money out
``balance``     likewise: the balance after the row
==============  ==================================================================================

Rows go from the oldest to the newest or the other way round. The running balance gives the opening
and the closing balance, and shows where a row is missing. Text is UTF-8, with or without a
byte-order mark; separators are commas.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

from accounts.core.bank_statement import (
    LARGEST_FILE_BYTES,
    BankFileMalformed,
    BankFileTooLarge,
    BankLine,
    BankStatement,
    BankStatementGap,
    account_from_text,
    with_unique_references,
)
from accounts.core.collecting import collection_in
from accounts.core.errors import AmountRefused
from accounts.core.money import Pence, pence_from_text, text_from_pence

DATE, DESCRIPTION, REFERENCE = "date", "description", "reference"
AMOUNT, BALANCE = "amount", "balance"
COLUMNS = (DATE, DESCRIPTION, REFERENCE, AMOUNT, BALANCE)
LONGEST_ROW = 4_096
_ISO = re.compile(r"(\d{4})-(\d{2})-(\d{2})", re.ASCII)
_DAY_FIRST = re.compile(r"(\d{2})/(\d{2})/(\d{4})", re.ASCII)
_THOUSANDS = re.compile(r"-?\d{1,3}(?:,\d{3})+(?:\.\d{1,2})?", re.ASCII)
_OURS = re.compile(r"\bTNR-[WRS]-\d{10}\b", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class _Row:
    """A row that was read: its number in the file (the header is row 1), amounts in pence."""

    number: int
    on: date
    text: str
    amount: Pence
    balance: Pence
    digest: str


def read_bank_csv(data: bytes, *, account: str) -> BankStatement:
    """Read one statement.

    The same bytes have the same statement id. A line's reference is made from what the row says,
    its balance included, so that it is the same in another download that overlaps this one.

    Args:
        data: the file's bytes.
        account: whose statement it is (IBAN, or sort code and account number): CSV doesn't say.

    Raises:
        BankFileTooLarge, BankFileMalformed: the message names row and column.
        BankStatementGap: an amount that doesn't lead from one balance to the next.
        AmountRefused: an amount that isn't pounds and pence other than zero.
    """
    rows = _in_order(list(_rows(data)))
    first, last = rows[0], rows[-1]
    digest = hashlib.sha256(data).hexdigest()[:12]
    lines = [
        BankLine(
            reference=f"csv-{row.digest}",
            booked_on=row.on,
            amount=row.amount,
            remittance=row.text,
            end_to_end_id=_ours(row),
        )
        for row in rows
    ]
    return BankStatement(
        statement_id=f"csv-{last.on.isoformat()}-{digest}",
        account=account_from_text(account),
        sequence=None,
        opening=first.balance - first.amount,
        opened_on=first.on,
        closing=last.balance,
        closed_on=last.on,
        created="",
        lines=with_unique_references(lines),
    ).checked()


def _ours(row: _Row) -> str | None:
    """Our own id of a payment that went out, or of direct debits, where the row's text has one."""
    found = set(_OURS.findall(row.text)) if row.amount < 0 else set()
    if found:
        return found.pop() if len(found) == 1 else None
    return collection_in(row.text)


def _rows(data: bytes) -> Iterator[_Row]:
    records = _records(data)
    header_row, header = next(records, (1, []))
    names = [name.strip().lower() for name in header]
    for column in COLUMNS:
        if names.count(column) != 1:
            raise _malformed(
                f"the header must name it once; needed are {', '.join(COLUMNS)}.",
                header_row,
                column,
            )
    places = {column: names.index(column) for column in COLUMNS}
    day = _day_reader()
    for number, cells in records:
        if len(cells) != len(header):
            raise _malformed(f"it has {len(cells)} values for {len(header)} columns.", number)
        row = {column: cells[place].strip() for column, place in places.items()}
        amount = _pence(row[AMOUNT], number, AMOUNT)
        if amount == 0:
            raise AmountRefused(_where("nothing moved.", number, AMOUNT), field=AMOUNT)
        content = "\x1f".join(row[column] for column in COLUMNS)
        yield _Row(
            number=number,
            on=day(row[DATE], number),
            text=" ".join(f"{row[REFERENCE]} {row[DESCRIPTION]}".split()),
            amount=amount,
            balance=_pence(row[BALANCE], number, BALANCE),
            digest=hashlib.sha256(content.encode()).hexdigest()[:24],
        )


def _records(data: bytes) -> Iterator[tuple[int, list[str]]]:
    """Rows that aren't empty, each with the number of its last line."""
    if len(data) > LARGEST_FILE_BYTES:
        raise BankFileTooLarge(f"Up to {LARGEST_FILE_BYTES:,} bytes are read.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = data[: error.start].count(b"\n") + 1
        raise _malformed("it isn't UTF-8 text: save the file as CSV UTF-8.", row) from error
    control = _CONTROL.search(text)
    if control:
        raise _malformed("it has a control character.", text.count("\n", 0, control.start()) + 1)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for cells in reader:
            if sum(map(len, cells)) > LONGEST_ROW:
                raise _malformed(f"it has more than {LONGEST_ROW} characters.", reader.line_num)
            if any(cell.strip() for cell in cells):
                yield reader.line_num, cells
    except csv.Error as error:
        raise _malformed("its quotation marks don't match.", reader.line_num) from error


def _day_reader() -> Callable[[str, int], date]:
    """Reads dates in the form that the first of them has, and refuses the other from then on."""
    form: list[re.Pattern[str]] = []

    def read(text: str, number: int) -> date:
        forms = form or [_ISO, _DAY_FIRST]
        for pattern in forms:
            match = pattern.fullmatch(text)
            if match:
                form[:] = [pattern]
                parts = [int(part) for part in match.groups()]
                try:
                    return date(*(parts if pattern is _ISO else parts[::-1]))
                except ValueError:
                    break
        raise _malformed(
            "write dates as 2016-04-01 or as 01/04/2016 (day first), one way in the whole file.",
            number,
            DATE,
        )

    return read


def _pence(text: str, number: int, column: str) -> Pence:
    plain = text.replace(",", "") if _THOUSANDS.fullmatch(text) else text
    try:
        return pence_from_text(plain, field=column)
    except AmountRefused as refusal:
        raise AmountRefused(_where(refusal.message, number, column), field=column) from refusal


def _in_order(rows: list[_Row]) -> Sequence[_Row]:
    """Rows from the oldest to the newest, whichever way the file goes, once balances agree."""
    if not rows:
        raise BankFileMalformed("There are no rows below the header.")
    newest_first = rows[::-1]
    if rows[0].on > rows[-1].on:
        ways = [newest_first]
    elif rows[0].on < rows[-1].on:
        ways = [rows]
    else:
        ways = [rows, newest_first]
    breaks = [_first_break(way) for way in ways]
    for way, broken in zip(ways, breaks, strict=True):
        if broken is None:
            return way
    before, after = breaks[0] or (rows[0], rows[0])
    if after.on < before.on:
        raise _malformed("it goes back in time.", after.number, DATE)
    expected = text_from_pence(before.balance + after.amount)
    raise BankStatementGap(
        _where(
            f"the balance before it and its amount make {expected}, not "
            f"{text_from_pence(after.balance)}: a row is missing or changed.",
            after.number,
            BALANCE,
        ),
        field=BALANCE,
    )


def _first_break(rows: Sequence[_Row]) -> tuple[_Row, _Row] | None:
    for before, after in pairwise(rows):
        if after.on < before.on or before.balance + after.amount != after.balance:
            return before, after
    return None


def _where(reason: str, row: int, column: str | None = None) -> str:
    return f"Row {row}{f', column {column}' if column else ''}: {reason}"


def _malformed(reason: str, row: int, column: str | None = None) -> BankFileMalformed:
    return BankFileMalformed(_where(reason, row, column), field=column)
