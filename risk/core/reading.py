"""From the bytes of a CSV file and its specification to a table, or one clear refusal."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from risk.core.errors import DataRefused
from risk.core.spec import ColumnSpec, DataSpec, Kind
from risk.core.table import Column, Table, make_table, number_column, text_column

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
# Beyond any amount, count or share of a person's finances.
_ABSURD = 1e12
_SHOWN = 40


@dataclass(frozen=True, slots=True)
class _Rows:
    """The cells of a file by row, and the line on which each row ends."""

    header: list[str]
    cells: list[list[str]]
    lines: list[int]


def read_table(content: bytes, file_name: str, spec: DataSpec) -> Table:
    """Read a CSV file of past applications with outcomes.

    The whole file is checked before anything is returned. An empty cell is a missing value;
    every column but the outcome is kept, refused ones too (they are never inputs).

    Raises:
        DataRefused: naming file, row (1 is the header) and column: not text, empty, a missing or
            repeated column, a row too short or too long, a duplicate row, a word where a number
            belongs, a value out of bounds, an unknown or missing outcome or term.
    """
    rows = _split_rows(_decode(content, file_name), file_name)
    _check_header(rows.header, file_name, spec)
    _check_shape(rows, file_name)
    problems: list[DataRefused] = []
    columns: dict[str, Column] = {}
    outcome: list[bool] = []
    for place, name in enumerate(rows.header):
        cells = [row[place] for row in rows.cells]
        try:
            if name == spec.outcome_column:
                outcome = _outcomes(cells, rows.lines, file_name, spec)
            else:
                columns[name] = _column(cells, rows.lines, file_name, spec, spec.column(name))
        except DataRefused as problem:
            problems.append(problem)
    if problems:
        raise min(problems, key=lambda problem: problem.row)
    return make_table(columns, rows=np.array(rows.lines), is_bad=np.array(outcome))


def _decode(content: bytes, file_name: str) -> str:
    if not content.strip():
        raise DataRefused("the file is empty.", file=file_name, row=1)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = content.count(b"\n", 0, error.start) + 1
        raise DataRefused("the file is not text in UTF-8.", file=file_name, row=row) from error
    if "\0" in text:
        row = text.count("\n", 0, text.index("\0")) + 1
        raise DataRefused("the file is not text: it holds zero bytes.", file=file_name, row=row)
    return text


def _split_rows(text: str, file_name: str) -> _Rows:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    cells: list[list[str]] = []
    lines: list[int] = []
    try:
        for row in reader:
            if row:
                cells.append(row)
                lines.append(reader.line_num)
    except csv.Error as error:
        raise DataRefused(f"not CSV: {error}.", file=file_name, row=reader.line_num) from error
    if not cells:
        raise DataRefused("the file is empty.", file=file_name, row=1)
    return _Rows([name.strip() for name in cells[0]], cells[1:], lines[1:])


def _check_header(header: Sequence[str], file_name: str, spec: DataSpec) -> None:
    for name in spec.required_columns():
        if name not in header:
            raise DataRefused("the column is missing.", file=file_name, row=1, column=name)
    for place, name in enumerate(header):
        if not name:
            raise DataRefused(f"column {place + 1} has no name.", file=file_name, row=1)
        if name in header[:place]:
            raise DataRefused("the column is there twice.", file=file_name, row=1, column=name)


def _check_shape(rows: _Rows, file_name: str) -> None:
    if not rows.cells:
        raise DataRefused("there is a header but no row.", file=file_name, row=1)
    width = len(rows.header)
    first_line: dict[tuple[str, ...], int] = {}
    for cells, line in zip(rows.cells, rows.lines, strict=True):
        if len(cells) != width:
            column = rows.header[len(cells)] if len(cells) < width else rows.header[-1]
            raise DataRefused(
                f"the row has {len(cells)} values, the header {width}.",
                file=file_name,
                row=line,
                column=column,
            )
        earlier = first_line.setdefault(tuple(cells), line)
        if earlier != line:
            raise DataRefused(
                f"the row is the same as row {earlier} in every column.",
                file=file_name,
                row=line,
                column=f"{rows.header[0]} to {rows.header[-1]}",
            )


def _outcomes(
    cells: Sequence[str], lines: Sequence[int], file_name: str, spec: DataSpec
) -> list[bool]:
    known = {spec.bad_value: True, spec.good_value: False}
    for value, line in zip(cells, lines, strict=True):
        if value not in known:
            said = f"'{value[:_SHOWN]}' is not an outcome" if value else "the outcome is missing"
            raise DataRefused(
                f"{said}: expected '{spec.bad_value}' or '{spec.good_value}'.",
                file=file_name,
                row=line,
                column=spec.outcome_column,
            )
    return [known[value] for value in cells]


def _column(
    cells: Sequence[str],
    lines: Sequence[int],
    file_name: str,
    spec: DataSpec,
    column: ColumnSpec,
) -> Column:
    kind = column.kind
    if kind is None:
        numeric = all(not cell or _NUMBER.fullmatch(cell.strip()) for cell in cells)
        kind = Kind.NUMBER if numeric else Kind.TEXT
    if kind is Kind.TEXT:
        if column.name == spec.term_column and spec.term_months:
            _check_terms(cells, lines, file_name, spec)
        return text_column(cells)
    values = [
        _number(cell.strip(), line, file_name, column)
        for cell, line in zip(cells, lines, strict=True)
    ]
    return number_column(values)


def _check_terms(
    cells: Sequence[str], lines: Sequence[int], file_name: str, spec: DataSpec
) -> None:
    for value, line in zip(cells, lines, strict=True):
        if value not in spec.term_months:
            raise DataRefused(
                f"'{value[:_SHOWN]}' is not a term: expected {', '.join(spec.term_months)}.",
                file=file_name,
                row=line,
                column=spec.term_column,
            )


def _number(cell: str, line: int, file_name: str, column: ColumnSpec) -> float:
    """The cell as a number, NaN when it is empty; refused when it is a word or out of bounds."""
    if not cell:
        return math.nan
    if not _NUMBER.fullmatch(cell):
        problem = f"'{cell[:_SHOWN]}' is not a number."
        raise DataRefused(problem, file=file_name, row=line, column=column.name)
    value = float(cell)
    least = -_ABSURD if column.least is None else column.least
    most = _ABSURD if column.most is None else column.most
    if not least <= value <= most:
        problem = f"{cell[:_SHOWN]} is not a sane value: expected {least:,.15g} to {most:,.15g}."
        raise DataRefused(problem, file=file_name, row=line, column=column.name)
    return value
