"""Stability by month: the scores and inputs of each month's applications against the training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from risk.core.monitoring import MonitoringRefused
from risk.core.stability import Stability, bin_counts, score_bins, stability
from risk.core.table import MISSING, Column, FloatArray, IntArray, NumberColumn, Table, TextColumn

SCORE = "score"


@dataclass(frozen=True, slots=True)
class MonthStability:
    """One month's shift of ``what``: the score, or an input's column."""

    month: str
    what: str
    stability: Stability


@dataclass(frozen=True, slots=True, eq=False)
class Population:
    """Applications with their score: rows of ``table`` and ``points`` of shape ``(n,)``."""

    table: Table
    points: FloatArray


def monthly_stability(
    reference: Population,
    recent: Population,
    *,
    month: IntArray,
    months: Sequence[str],
    columns: Sequence[str],
) -> tuple[MonthStability, ...]:
    """Compare each month with the reference: the score first, then each input.

    Numbers are cut at the reference's deciles, missing ones apart; text has a bin for each level of
    the reference, one for all others, and one for missing. All comparisons are one family. Months
    without applications, and columns of which the reference knows nothing, are left out.

    Args:
        reference, recent: the model's training applications, and those assessed since.
        month: of each recent application, a place in ``months``, shape ``(n,)``.
        columns: the model's inputs, columns of both tables.

    Raises:
        MonitoringRefused: for unequal lengths.
    """
    if len(month) != len(recent.points) or len(recent.table) != len(recent.points):
        raise MonitoringRefused("Every application needs its month and its score.", field="month")
    seen = [place for place in range(len(months)) if (month == place).any()]
    binned = [(SCORE, *_number_bins(reference.points, recent.points))]
    binned += [
        (name, *_bins(reference.table.columns[name], recent.table.columns[name]))
        for name in columns
    ]
    known = [(name, old, new) for name, old, new in binned if old is not None]
    family = max(len(seen) * len(known), 1)
    made = []
    for place in seen:
        inside = month == place
        for name, old, new in known:
            counts = np.bincount(new[inside], minlength=len(old))
            result = stability(old, counts, comparisons=family)
            made.append(MonthStability(months[place], name, result))
    return tuple(made)


_Binned = tuple[IntArray | None, IntArray]


def _bins(reference: Column, recent: Column) -> _Binned:
    """Counts of the reference by bin, none when it can't be cut, and the recent rows' bins."""
    if isinstance(reference, NumberColumn) and isinstance(recent, NumberColumn):
        return _number_bins(reference.values, recent.values)
    if isinstance(reference, TextColumn) and isinstance(recent, TextColumn):
        return _text_bins(reference, recent)
    raise MonitoringRefused("A column must be of one kind, now as in training.", field="columns")


def _number_bins(reference: FloatArray, recent: FloatArray) -> _Binned:
    if not np.isfinite(reference).any():
        return None, np.zeros(len(recent), dtype=np.int64)
    edges = score_bins(reference)
    places = np.searchsorted(edges, recent, side="left").astype(np.int64)
    places[np.isnan(recent)] = len(edges) + 1
    return bin_counts(edges, reference), places


def _text_bins(reference: TextColumn, recent: TextColumn) -> _Binned:
    used = np.unique(reference.codes[reference.codes != MISSING])
    other, missing = len(used), len(used) + 1
    bin_of = {reference.levels[code]: place for place, code in enumerate(used.tolist())}
    # MISSING is -1, which picks the entry added last.
    old = np.array([*(bin_of.get(level, other) for level in reference.levels), missing])
    new = np.array([*(bin_of.get(level, other) for level in recent.levels), missing])
    counts = np.bincount(old[reference.codes], minlength=missing + 1).astype(np.int64)
    return counts, new[recent.codes].astype(np.int64)
