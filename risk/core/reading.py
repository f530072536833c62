"""From the bytes of a CSV file and its specification to a table, or one clear refusal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from risk.core.cells import (
    STRAY_SHARE,
    CellRefused,
    Cells,
    cells_of,
    column_of,
    count_duplicates,
    outcomes_of,
    shown,
)
from risk.core.csv_rows import Rows, read_rows, without_index
from risk.core.errors import DataRefused, OutcomeRefused
from risk.core.reading_spec import Duplicates
from risk.core.spec import DataSpec, Kind
from risk.core.table import BoolArray, Column, IntArray, Table, make_table

_VALUES_SHOWN = 5


def read_table(content: bytes, file_name: str, spec: DataSpec) -> Table:
    """Read a CSV file of past applications with outcomes.

    The whole file is checked before anything is returned. Every column but the outcome is kept,
    refused ones too (they are never inputs). What was dropped, changed or counted as missing is in
    the table's notes; ``docs/specification.md`` says what happens to which kind of dirt.

    Raises:
        DataRefused: naming file, row (1 is the header) and column: not text, empty, a missing or
            repeated column, a row too short or too long, a duplicate row where they are refused,
            a word where a number was stated, a value out of stated bounds, an unknown or missing
            outcome or term.
        OutcomeRefused: when all outcomes are of one class.
    """
    rows, cells, notes = _cells(content, file_name, spec, spec.required_columns())
    problems: list[DataRefused] = []
    kept = np.arange(len(rows))
    is_bad = np.zeros(len(rows), dtype=np.bool_)
    try:
        is_bad, missing = _outcomes(rows, cells[spec.outcome_column], spec)
    except DataRefused as problem:
        problems.append(problem)
    else:
        kept = np.flatnonzero(~missing)
        if missing.any():
            gone = int(missing.sum())
            notes.append(f"{spec.outcome_column}: rows without an outcome, left out: {gone}.")
    columns: dict[str, Column] = {}
    for name, found in cells.items():
        if name == spec.outcome_column:
            continue
        try:
            columns[name], remarks = _column(rows, name, found, kept, spec)
            notes += remarks
        except DataRefused as problem:
            problems.append(problem)
    if problems:
        raise min(problems, key=lambda problem: problem.row)
    if len(np.unique(is_bad[kept])) < 2:
        raise _one_class(file_name, cells[spec.outcome_column], spec, is_bad)
    return make_table(columns, rows=rows.lines[kept], is_bad=is_bad[kept], notes=notes)


def read_applications(
    content: bytes, file_name: str, spec: DataSpec, kinds: Mapping[str, Kind]
) -> Table:
    """Read a CSV file of applications to be scored: an outcome is not needed, and not read.

    Cells are read as in past applications, but that a word in a column of numbers whose kind was
    not stated is a missing value, however many there are.

    Args:
        kinds: what the columns that the model reads held in training; the others are left out.

    Raises:
        DataRefused: as :func:`read_table`, of these columns.
    """
    rows, cells, notes = _cells(content, file_name, spec, tuple(kinds))
    everything = np.arange(len(rows))
    columns: dict[str, Column] = {}
    problems: list[DataRefused] = []
    for name, kind in kinds.items():
        try:
            columns[name], remarks = _column(rows, name, cells[name], everything, spec, kind=kind)
            notes += remarks
        except DataRefused as problem:
            problems.append(problem)
    if problems:
        raise min(problems, key=lambda problem: problem.row)
    return make_table(columns, rows=rows.lines, notes=notes)


def _cells(
    content: bytes, file_name: str, spec: DataSpec, needed: tuple[str, ...]
) -> tuple[Rows, dict[str, Cells], list[str]]:
    """The cells by column of a file that has those needed, and notes on the file as a whole."""
    notes: list[str] = []
    written = read_rows(content, file_name, spec.reading, needed)
    rows = without_index(written, needed)
    if rows is not written:
        notes.append("The first column has no name and numbers the rows: it was left out.")
    cells = {
        name: cells_of(texts, spec.reading)
        for name, texts in zip(rows.header, rows.columns, strict=True)
    }
    count, first = count_duplicates(list(cells.values()))
    if first is not None:
        earlier, row = first
        if spec.reading.duplicates is Duplicates.REFUSE:
            raise rows.refusal(
                row,
                f"the row is the same as row {rows.lines[earlier]} in every column.",
                f"{rows.header[0]} to {rows.header[-1]}",
            )
        notes.append(
            f"Rows that are the same as an earlier one in every column, kept: {count}, the first "
            f"in row {rows.lines[row]}."
        )
    return rows, cells, notes


def _outcomes(rows: Rows, cells: Cells, spec: DataSpec) -> tuple[BoolArray, BoolArray]:
    """Whether each row is bad, and whether its outcome is missing."""
    column = spec.outcome_column
    try:
        is_bad, missing = outcomes_of(cells, spec.bad_values, spec.good_values)
    except CellRefused as problem:
        raise rows.refusal(problem.place, problem.problem, column) from problem
    if missing.any() and not spec.drop_missing_outcome:
        place = int(np.flatnonzero(missing)[0])
        value = cells.values[cells.places[place]]
        mark = f" ({shown(value)} is a mark of missing values)" if value else ""
        raise rows.refusal(
            place,
            f'the outcome is missing{mark}. missing_outcome = "drop" under [outcome] leaves such '
            f"rows out.",
            column,
        )
    return is_bad, missing


def _one_class(file_name: str, cells: Cells, spec: DataSpec, is_bad: BoolArray) -> OutcomeRefused:
    column = spec.outcome_column
    which = "bad" if is_bad.any() else "good"
    order = np.argsort(-cells.counts, kind="stable")[:_VALUES_SHOWN]
    found = ", ".join(f"{shown(cells.values[i])} ({int(cells.counts[i])} rows)" for i in order)
    more = " and others" if len(cells.values) > _VALUES_SHOWN else ""
    return OutcomeRefused(
        f"{file_name}, column {column}: every outcome is {which}, so there is nothing to "
        f"learn from them. Found: {found}{more}.",
        field=column,
    )


def _column(
    rows: Rows, name: str, cells: Cells, kept: IntArray, spec: DataSpec, *, kind: Kind | None = None
) -> tuple[Column, tuple[str, ...]]:
    """A column, of the rows that are kept.

    ``kind`` is what it held in training, where the specification doesn't say; without it, the
    column is there to learn from.
    """
    column = spec.column(name)
    stated = column.kind
    stray_share = STRAY_SHARE
    if stated is None and column.name == spec.term_column and spec.term_months:
        # The terms are named by their text, though it be "36".
        stated = Kind.TEXT
    elif stated is None and column.name == spec.time_column:
        # A few dates among years are not missing: the column is text.
        stray_share = 0.0
    elif stated is None and kind is Kind.NUMBER:
        stray_share = 1.0
    elif stated is None:
        stated = kind
    if len(kept) < len(rows):
        cells = cells.take(kept)
    try:
        made, notes = column_of(
            cells,
            replace(column, kind=stated),
            spec.reading.decimal,
            stray_share=stray_share,
            to_learn=kind is None,
        )
        if column.name == spec.term_column and spec.term_months:
            _check_terms(cells, spec)
    except CellRefused as problem:
        raise rows.refusal(int(kept[problem.place]), problem.problem, column.name) from problem
    return made, notes


def _check_terms(cells: Cells, spec: DataSpec) -> None:
    unknown = np.array([value not in spec.term_months for value in cells.values])
    if unknown.any():
        place = cells.first(unknown)
        raise CellRefused(
            place,
            f"{shown(cells.values[cells.places[place]])} is not a term: expected "
            f"{', '.join(spec.term_months)}.",
        )
