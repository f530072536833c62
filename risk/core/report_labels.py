"""Columns as few named groups, for tables by time and by attribute, and names of bins."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from risk.core.encoding import Coding, NumberCoding
from risk.core.spec import ColumnSpec
from risk.core.stability import score_bins
from risk.core.table import MISSING, Column, FloatArray, IntArray, NumberColumn

MOST_PERIODS = 24
MOST_GROUPS = 12
NOT_KNOWN = "not known"
OTHERS = "others"
_NUMBER_GROUPS = 5
_MONTHS = {
    name: place
    for place, name in enumerate(
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), 1
    )
}
_ISO = re.compile(r"(\d{4})-(\d{1,2})(?:-\d{1,2}(?:[T ].*)?)?")
_WORDED = re.compile(r"(?:\d{1,2}[- ])?([A-Za-z]{3})[a-z]*[- ](\d{4})")
_QUARTER = re.compile(r"(\d{4})[- ]?Q([1-4])", re.IGNORECASE)
_YEAR = re.compile(r"(\d{4})(?:\.0)?")

# A period and its groupings from fine to coarse: (order, name) each.
_Period = tuple[int, str]


def groups_of(column: Column, spec: ColumnSpec) -> tuple[tuple[str, ...], IntArray]:
    """Names of a column's groups, and the group of each row, shape ``(n,)``.

    Text: the most frequent levels, the others together. Numbers: each value where there are few,
    else ranges of about equal size. Rows without a value are a group of their own.
    """
    if isinstance(column, NumberColumn):
        names, places = _number_groups(column.values)
    else:
        names, places = _level_groups(column.levels, column.codes, spec)
    return _with_unknown(names, places)


def periods_of(column: Column) -> tuple[tuple[str, ...], IntArray]:
    """Names of periods in time order, and the period of each row, shape ``(n,)``.

    Dates (2016-03-31, 2016-03, Mar-2016, 2016Q1, 2016) become months, or quarters or years where
    there would be more than :data:`MOST_PERIODS`. Anything else is taken in the order of its
    values, neighbours together where there are too many.
    """
    if isinstance(column, NumberColumn):
        values, codes = np.unique(column.values, return_inverse=True)
        known = int((~np.isnan(values)).sum())
        words = [number_text(value) for value in values[:known].tolist()]
        places = np.where(np.isnan(column.values), MISSING, codes).astype(np.int64)
    else:
        words, places = list(column.levels), column.codes
    used = np.unique(places[places != MISSING])
    dates = [_date(words[place]) for place in used.tolist()]
    if dates and all(date is not None for date in dates):
        found = _dated([date for date in dates if date is not None])
    else:
        found = _in_order([words[place] for place in used.tolist()])
    names = tuple(name for _, name in sorted(set(found)))
    of_word = np.full(len(words) + 1, MISSING, dtype=np.int64)
    of_word[used] = [names.index(name) for _, name in found]
    return _with_unknown(names, of_word[places])


def bin_names(coding: Coding, spec: ColumnSpec) -> tuple[str, ...]:
    """What each bin of a column is called, the missing one last; no two alike."""
    if not isinstance(coding, NumberCoding):
        worded = [spec.levels.get(level, level) for level in coding.levels]
        levels = worded if len(set(worded)) == len(worded) else list(coding.levels)
        return (*levels, "rare or unseen", NOT_KNOWN)
    apart = [f"exactly {number_text(value)}" for value in coding.apart]
    return (*_ranges(coding.edges), *apart, NOT_KNOWN)


def number_text(value: float, digits: int = 6) -> str:
    """A number for a person, with at most so many significant digits."""
    if abs(value) < 10**digits and value == math.floor(value):
        return str(int(value))
    return f"{value:,.{digits}g}"


def _ranges(edges: Sequence[float]) -> tuple[str, ...]:
    if not edges:
        return ("any value",)
    words: list[str] = []
    for digits in range(6, 18):
        words = [number_text(edge, digits) for edge in edges]
        if len(set(words)) == len(words):
            break
    between = [f"over {low} to {high}" for low, high in pairwise(words)]
    return (f"up to {words[0]}", *between, f"over {words[-1]}")


def _number_groups(values: FloatArray) -> tuple[tuple[str, ...], IntArray]:
    known = np.unique(values[~np.isnan(values)])
    if len(known) <= MOST_GROUPS:
        places = np.searchsorted(known, values)
        names = tuple(number_text(value, 17) for value in known.tolist())
    else:
        edges = score_bins(values, _NUMBER_GROUPS)
        places = np.searchsorted(edges, values, side="left")
        names = _ranges(edges.tolist())
    return names, np.where(np.isnan(values), MISSING, places).astype(np.int64)


def _level_groups(
    levels: Sequence[str], codes: IntArray, spec: ColumnSpec
) -> tuple[tuple[str, ...], IntArray]:
    counts = np.bincount(codes[codes != MISSING], minlength=len(levels))
    used = int((counts > 0).sum())
    kept = used if used <= MOST_GROUPS else MOST_GROUPS - 1
    frequent = np.argsort(-counts, kind="stable")[:kept]
    place_of = np.full(len(levels) + 1, kept, dtype=np.int64)
    place_of[frequent] = np.arange(kept)
    place_of[MISSING] = MISSING
    names = [spec.levels.get(levels[place], levels[place]) for place in frequent.tolist()]
    return (*names, *([OTHERS] if used > kept else [])), place_of[codes]


def _with_unknown(names: tuple[str, ...], places: IntArray) -> tuple[tuple[str, ...], IntArray]:
    unknown = places == MISSING
    if not unknown.any():
        return names, places
    return (*names, NOT_KNOWN), np.where(unknown, len(names), places).astype(np.int64)


def _date(word: str) -> tuple[int, int | None, int | None] | None:
    """Year, quarter and month of a date, the latter two where they are said."""
    text = word.strip()
    if found := _ISO.fullmatch(text):
        year, month = int(found[1]), int(found[2])
    elif (found := _WORDED.fullmatch(text)) and found[1].lower() in _MONTHS:
        year, month = int(found[2]), _MONTHS[found[1].lower()]
    elif found := _QUARTER.fullmatch(text):
        return int(found[1]), int(found[2]), None
    elif (found := _YEAR.fullmatch(text)) and 1900 <= int(found[1]) <= 2200:
        return int(found[1]), None, None
    else:
        return None
    return (year, (month + 2) // 3, month) if 1 <= month <= 12 else None


def _dated(dates: Sequence[tuple[int, int | None, int | None]]) -> list[_Period]:
    """The finest of months, quarters and years that all dates have and that are few enough."""
    months = [(year * 12 + month, f"{year}-{month:02d}") for year, _, month in dates if month]
    quarters = [(year * 4 + part, f"{year} Q{part}") for year, part, _ in dates if part]
    for found in (months, quarters):
        if len(found) == len(dates) and len(set(found)) <= MOST_PERIODS:
            return found
    years = [(year, str(year)) for year, _, _ in dates]
    return years if len(set(years)) <= MOST_PERIODS else _in_order([name for _, name in years])


def _in_order(words: Sequence[str]) -> list[_Period]:
    """Words in ascending order, as runs of neighbours where they are too many."""
    distinct = list(dict.fromkeys(words))
    if len(distinct) <= MOST_PERIODS:
        return [(distinct.index(word), word) for word in words]
    run_of = {word: place * MOST_PERIODS // len(distinct) for place, word in enumerate(distinct)}
    first: dict[int, str] = {}
    last: dict[int, str] = {}
    for word in distinct:
        first.setdefault(run_of[word], word)
        last[run_of[word]] = word
    named = {
        run: word if word == last[run] else f"{word} to {last[run]}" for run, word in first.items()
    }
    return [(run_of[word], named[run_of[word]]) for word in words]
