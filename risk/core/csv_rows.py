"""From the bytes of a CSV file to its header and columns of cells, or one clear refusal."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from risk.core.errors import DataRefused
from risk.core.reading_spec import DELIMITERS, Encoding, ReadingSpec
from risk.core.table import IntArray

CellArray = npt.NDArray[np.object_]

# The second is the name that pandas gives to a column without one.
_NAMELESS = ("", "Unnamed: 0")
_NAMES_SHOWN = 30


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """The cells of a file: one array of texts a column, shape ``(rows,)``.

    ``lines`` are the lines on which the rows end (1 is the header), of the same shape.
    """

    file_name: str
    header: tuple[str, ...]
    columns: tuple[CellArray, ...]
    lines: IntArray

    def __len__(self) -> int:
        return len(self.lines)

    def refusal(self, place: int, problem: str, column: str | None) -> DataRefused:
        """The refusal of the row at ``place``, counted from 0 without the header."""
        line = int(self.lines[place])
        return DataRefused(problem, file=self.file_name, row=line, column=column)


def read_rows(content: bytes, file_name: str, reading: ReadingSpec, needed: Sequence[str]) -> Rows:
    """Split a file into columns of cells; blank lines are passed over.

    Raises:
        DataRefused: when it is not text, not CSV, empty or without a row, a column that is
            ``needed`` is missing, one is nameless or there twice, or a row is too short or long.
    """
    text = _decode(content, file_name, reading.encoding)
    delimiter = reading.delimiter or _delimiter(text)
    rows = _split_plain(text, file_name, delimiter)
    if rows is None:
        rows = _split(text, file_name, delimiter, needed)
    _check_header(rows.header, needed, file_name)
    if not len(rows):
        raise DataRefused("there is a header but no row.", file=file_name, row=1)
    return rows


def without_index(rows: Rows, needed: Sequence[str]) -> Rows:
    """The rows without a nameless first column of different whole numbers: an index, no fact.

    R and pandas write one. A column that is ``needed`` stays.

    Raises:
        DataRefused: when the first column is nameless and something else.
    """
    first = rows.header[0]
    if first not in _NAMELESS or first in needed or len(rows.header) < 2:
        return rows
    index = [str(cell).strip() for cell in rows.columns[0]]
    if all(map(str.isdecimal, index)) and len(set(index)) == len(index):
        return Rows(rows.file_name, rows.header[1:], rows.columns[1:], rows.lines)
    if first:
        return rows
    raise DataRefused("column 1 has no name.", file=rows.file_name, row=1)


def _decode(content: bytes, file_name: str, encoding: Encoding) -> str:
    if not content.strip():
        raise DataRefused("the file is empty.", file=file_name, row=1)
    try:
        text = content.decode("utf-8-sig" if encoding is Encoding.UTF_8 else encoding.value)
    except UnicodeDecodeError as error:
        row = content.count(b"\n", 0, error.start) + 1
        others = ", ".join(f'"{other.value}"' for other in Encoding if other is not encoding)
        raise DataRefused(
            f"the file is not text in {encoding.value.upper()}. Under [reading], encoding "
            f"may be {others}.",
            file=file_name,
            row=row,
        ) from error
    if "\0" in text:
        row = text.count("\n", 0, text.index("\0")) + 1
        raise DataRefused("the file is not text: it holds zero bytes.", file=file_name, row=row)
    if not text.strip():
        raise DataRefused("the file is empty.", file=file_name, row=1)
    return text


def _delimiter(text: str) -> str:
    """The comma if the header has one, else the mark that it has most of."""
    header = text.lstrip().partition("\n")[0]
    if "," in header:
        return ","
    return max(DELIMITERS, key=header.count)


def _split_plain(text: str, file_name: str, delimiter: str) -> Rows | None:
    """The rows of a file with no quotes, no blank lines and rows of one width; none for another.

    Nine files in ten are so plain that the quick parser can make no mistake.
    """
    text = text.replace("\r\n", "\n")
    if '"' in text or "\r" in text:
        return None
    raw = (text if text.endswith("\n") else text + "\n").encode()
    letters = np.frombuffer(raw, dtype=np.uint8)
    marks = letters[(letters == ord("\n")) | (letters == ord(delimiter))]
    ends = np.flatnonzero(marks == ord("\n"))
    widths = np.diff(ends, prepend=-1)
    if widths[0] < 2 or (widths != widths[0]).any():
        return None
    frame = pd.read_csv(
        io.BytesIO(raw),
        sep=delimiter,
        header=None,
        index_col=False,
        dtype=object,
        na_filter=False,
        quoting=csv.QUOTE_NONE,
        skip_blank_lines=False,
        low_memory=False,
        engine="c",
    )
    columns = [frame[place].to_numpy() for place in frame]
    header = tuple(str(column[0]).strip() for column in columns)
    lines = np.arange(2, len(frame) + 1, dtype=np.int64)
    return Rows(file_name, header, tuple(column[1:] for column in columns), lines)


def _split(text: str, file_name: str, delimiter: str, needed: Sequence[str]) -> Rows:
    """The rows of any file, by the rules of CSV."""
    # A blank after the delimiter would keep a quoted cell from being seen as one.
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True
    )
    cells: list[list[str]] = []
    lines: list[int] = []
    try:
        for row in reader:
            if len(row) > 1 or (row and row[0].strip()):
                cells.append(row)
                lines.append(reader.line_num)
    except csv.Error as error:
        raise DataRefused(f"not CSV: {error}.", file=file_name, row=reader.line_num) from error
    header = tuple(name.strip() for name in cells[0])
    _check_header(header, needed, file_name)
    for row, line in zip(cells, lines, strict=True):
        if len(row) != len(header):
            column = header[len(row)] if len(row) < len(header) else header[-1]
            problem = f"the row has {len(row)} values, the header {len(header)}."
            raise DataRefused(problem, file=file_name, row=line, column=column)
    columns = tuple(
        np.array([row[place] for row in cells[1:]], dtype=object) for place in range(len(header))
    )
    return Rows(file_name, header, columns, np.array(lines[1:], dtype=np.int64))


def _check_header(header: Sequence[str], needed: Sequence[str], file_name: str) -> None:
    """The first column may be nameless: it could be an index."""
    for name in needed:
        if name not in header:
            more = " and others" if len(header) > _NAMES_SHOWN else ""
            names = ", ".join(" ".join(other.split()) for other in header[:_NAMES_SHOWN])
            problem = f"the column is missing. The file has: {names}{more}."
            raise DataRefused(problem, file=file_name, row=1, column=name)
    for place, name in enumerate(header):
        if not name and place:
            raise DataRefused(f"column {place + 1} has no name.", file=file_name, row=1)
        if name in header[:place]:
            raise DataRefused("the column is there twice.", file=file_name, row=1, column=name)
