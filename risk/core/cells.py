"""From the cells of one column to numbers, text or outcomes, with notes on what was changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from risk.core.numerals import numbers_of
from risk.core.reading_spec import OutcomeValue, ReadingSpec, outcome_key, outcome_keys
from risk.core.spec import ColumnSpec, Kind, Outside
from risk.core.table import (
    MISSING,
    BoolArray,
    Column,
    FloatArray,
    IntArray,
    NumberColumn,
    TextColumn,
    frozen,
)

# Beyond any amount, count or share of a person's finances.
ABSURD = 1e12
# A column with at most so many words among its values is a column of numbers.
STRAY_SHARE = 0.05
_SHOWN = 40
_EXAMPLES = 3
# Below so many rows, all different is no sign of an identifier.
_FEW_ROWS = 100


class CellRefused(Exception):
    """The row at ``place``, counted from 0, can't be used, for a reason in words."""

    def __init__(self, place: int, problem: str) -> None:
        super().__init__(problem)
        self.place = place
        self.problem = problem


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """A column's cells, trimmed: place ``places[i]`` among the different ``values``.

    ``places`` has shape ``(rows,)``; ``counts`` (how often each value is there) and ``missing``
    have the shape of ``values``.
    """

    values: tuple[str, ...]
    places: IntArray
    counts: IntArray
    missing: BoolArray

    def take(self, rows: IntArray) -> Cells:
        """The cells of the rows at these places."""
        places = self.places[rows]
        counts = np.bincount(places, minlength=len(self.values))
        used = np.flatnonzero(counts)
        new_place = np.zeros(len(counts), dtype=np.int64)
        new_place[used] = np.arange(len(used))
        values = tuple(self.values[place] for place in used)
        return Cells(values, new_place[places], counts[used], self.missing[used])

    def first(self, chosen: BoolArray) -> int:
        """The first row whose value is chosen, of which there must be one."""
        return int(np.flatnonzero(chosen[self.places])[0])

    def rows_of(self, chosen: BoolArray) -> int:
        """How many rows have a chosen value."""
        return int(self.counts[chosen].sum())

    def examples(self, chosen: BoolArray) -> str:
        """Up to three chosen values, the most frequent first."""
        places = np.flatnonzero(chosen)
        often = places[np.argsort(-self.counts[places], kind="stable")][:_EXAMPLES]
        return ", ".join(shown(self.values[place]) for place in often)


def cells_of(texts: npt.NDArray[np.object_], reading: ReadingSpec) -> Cells:
    """The cells of a column: each different value is looked at once, however many rows."""
    places, found = pd.factorize(texts)
    values = [value.strip() for value in found]
    if len(set(values)) < len(values):
        merged, distinct = pd.factorize(np.array(values, dtype=object))
        places, values = merged[places], list(distinct)
    return Cells(
        tuple(values),
        places,
        np.bincount(places, minlength=len(values)),
        np.array([value in reading.missing for value in values], dtype=np.bool_),
    )


def count_duplicates(columns: Sequence[Cells]) -> tuple[int, tuple[int, int] | None]:
    """How many rows are the same as an earlier one in every column; the first, and its double."""
    places = pd.DataFrame({number: cells.places for number, cells in enumerate(columns)})
    same = places.duplicated().to_numpy()
    if not same.any():
        return 0, None
    row = int(np.flatnonzero(same)[0])
    equal = np.logical_and.reduce([cells.places == cells.places[row] for cells in columns])
    return int(same.sum()), (int(np.flatnonzero(equal)[0]), row)


def shown(value: str) -> str:
    """A value in quotes, cut to a length that a message can hold, on one line."""
    return "'" + " ".join(value[:_SHOWN].split()) + "'"


def column_of(
    cells: Cells,
    column: ColumnSpec,
    decimal: str,
    *,
    stray_share: float = STRAY_SHARE,
    to_learn: bool = True,
) -> tuple[Column, tuple[str, ...]]:
    """A column of numbers or of text, and sentences on what had to be done.

    Args:
        stray_share: where the kind is not stated, a column with at most this share of words among
            its values is one of numbers, and they count as missing.
        to_learn: whether to say what can't be learnt from. A column to be scored may well hold one
            value, or another one in every row.

    Raises:
        CellRefused: for a word where a number was stated, or a number out of stated bounds.
    """
    if column.kind is Kind.TEXT:
        return _text(cells, column, to_learn=to_learn)
    numbers, is_number = _numbers(cells, decimal)
    words = ~cells.missing & ~is_number
    stray, known = cells.rows_of(words), cells.rows_of(~cells.missing)
    if column.kind is None and stray > stray_share * known:
        return _text(cells, column, to_learn=to_learn)
    if stray and column.kind is Kind.NUMBER:
        place = cells.first(words)
        raise CellRefused(
            place,
            f"{shown(cells.values[cells.places[place]])} is not a number. If it stands for a "
            f"missing value, list it in [reading] missing.",
        )
    notes = []
    if stray:
        notes.append(
            f"{column.name}: words among its numbers, counted as missing: {stray} of {known} "
            f"values ({cells.examples(words)})."
        )
    numbers, changed = _within(cells, numbers, column)
    values = numbers[cells.places]
    if to_learn:
        changed = (*changed, *_remarks(cells, column.name), *_identifier(values, column.name))
    return NumberColumn(frozen(values)), (*notes, *changed)


def _numbers(cells: Cells, decimal: str) -> tuple[FloatArray, BoolArray]:
    numbers = np.full(len(cells.values), np.nan)
    is_number = np.zeros(len(cells.values), dtype=np.bool_)
    known = np.flatnonzero(~cells.missing)
    numbers[known], is_number[known] = numbers_of([cells.values[i] for i in known], decimal)
    return numbers, is_number


def _within(
    cells: Cells, numbers: FloatArray, column: ColumnSpec
) -> tuple[FloatArray, tuple[str, ...]]:
    """The numbers within their bounds, and a note of how many were not."""
    least = -ABSURD if column.least is None else column.least
    most = ABSURD if column.most is None else column.most
    outside = (numbers < least) | (numbers > most)
    if not outside.any():
        return numbers, ()
    stated = column.least is not None or column.most is not None
    policy = column.outside or (Outside.REFUSE if stated else Outside.MISSING)
    bounds = f"{least:,.15g} to {most:,.15g}"
    if policy is Outside.REFUSE:
        place = cells.first(outside)
        raise CellRefused(
            place,
            f"{shown(cells.values[cells.places[place]])} is not a sane value: expected {bounds}.",
        )
    clip = policy is Outside.CLIP
    done = "moved to the nearest bound" if clip else "counted as missing"
    note = (
        f"{column.name}: values outside {bounds}, {done}: {cells.rows_of(outside)} "
        f"({cells.examples(outside)})."
    )
    inside = np.clip(numbers, least, most) if clip else np.where(outside, np.nan, numbers)
    return inside, (note,)


def _text(cells: Cells, column: ColumnSpec, *, to_learn: bool) -> tuple[Column, tuple[str, ...]]:
    known = np.flatnonzero(~cells.missing)
    levels = tuple(sorted(cells.values[place] for place in known))
    code_of = {level: code for code, level in enumerate(levels)}
    codes = np.array([code_of.get(value, MISSING) for value in cells.values], dtype=np.int64)
    notes = _remarks(cells, column.name) if to_learn else ()
    if to_learn and len(levels) == len(cells.places) > _FEW_ROWS:
        notes = (
            f"{column.name}: text that is different in every row, so nothing can be learnt from"
            " it.",
        )
    return TextColumn(levels, frozen(codes[cells.places])), notes


def _remarks(cells: Cells, name: str) -> tuple[str, ...]:
    """What a column says that says nothing."""
    if cells.missing.all():
        return (f"{name}: every value is missing, so it has no effect.",)
    if len(cells.values) == 1:
        return (f"{name}: it is the same in every row, so it has no effect.",)
    return ()


def _identifier(values: FloatArray, name: str) -> tuple[str, ...]:
    """A note on whole numbers that rise from row to row: most likely a number given to rows."""
    rising = len(values) > _FEW_ROWS and bool((np.diff(values) > 0).all())
    if not rising or (values != np.floor(values)).any():
        return ()
    return (
        f"{name}: whole numbers that rise with every row look like an identifier; if so, set the "
        f"column aside.",
    )


def outcomes_of(
    cells: Cells, bad: Sequence[OutcomeValue], good: Sequence[OutcomeValue]
) -> tuple[BoolArray, BoolArray]:
    """Whether each row is bad, and whether its outcome is missing, each of shape ``(rows,)``.

    A value that is stated counts as what it is stated to be, though it be a mark of missing values.

    Raises:
        CellRefused: for an outcome that is neither, where the good ones are stated.
    """
    bad_keys, good_keys = outcome_keys(bad), outcome_keys(good)
    keys = [outcome_key(value) for value in cells.values]
    is_bad = np.array([key in bad_keys for key in keys], dtype=np.bool_)
    is_good = np.array([key in good_keys for key in keys], dtype=np.bool_)
    missing = cells.missing & ~is_bad & ~is_good
    if good:
        unknown = ~(is_bad | is_good | missing)
        if unknown.any():
            place = cells.first(unknown)
            raise CellRefused(
                place,
                f"{shown(cells.values[cells.places[place]])} is not an outcome: expected "
                f"{_stated(bad)} for bad or {_stated(good)} for good.",
            )
    return is_bad[cells.places], missing[cells.places]


def _stated(values: Sequence[OutcomeValue]) -> str:
    return " or ".join(
        str(value).lower() if isinstance(value, bool) else f"'{value}'" for value in values
    )
