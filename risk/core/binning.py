"""A column cut into bins of monotone risk, with the weight of evidence of each.

Numbers: isotonic regression of the outcome on the value (pool adjacent violators; Barlow,
Bartholomew, Bremner and Brunk, 1972), in the direction asked for or in the likelier one; its
steps are the first bins. Text: levels in order of their bad rate, each drawn to the average as
if some more rows of average make-up had been seen. Then neighbours are merged: while a bin has
too few rows or too few of a class, and while two are so alike that one bin is as good.

Weight of evidence of a bin with ``b`` bad and ``g`` good of ``B`` and ``G`` in all, with ``s`` more
rows of the average make-up, so that it is always finite and 0 for a bin that nobody is in:

    WoE = log((b + s B / (B + G)) / (g + s G / (B + G))) - log(B / G)

Positive means riskier than average (Siddiqi, Credit Risk Scorecards, 2006, has good over bad).
The information value of a column is the sum of (b / B - g / G) WoE over its bins.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import isotonic_regression
from scipy.special import xlogy

from risk.core.errors import ColumnRefused, OutcomeRefused, RiskRefusal
from risk.core.spec import Direction
from risk.core.table import (
    MISSING,
    BoolArray,
    Column,
    FloatArray,
    IntArray,
    NumberColumn,
    Table,
    TextColumn,
)


class BinningRefused(RiskRefusal):
    """Settings that no column can be binned by."""

    code = "RISK_BINNING_REFUSED"


@dataclass(frozen=True, slots=True)
class BinningSettings:
    """How columns are cut.

    A bin holds at least ``least_share`` of all rows, and ``least_of_class`` bad and good ones.
    Merging neighbours must cost more than ``least_gain`` of log-likelihood (1 is Akaike's
    criterion). Levels under ``rare_share`` of the rows or ``rare_rows`` rows are pooled, and
    others ordered as if ``level_rows`` more rows of average make-up had been seen of each.
    ``smoothing`` is the rows of average make-up added for weights of evidence. ``specials`` are
    values of numeric columns with a bin each, such as -1 for "never".
    """

    least_share: float = 0.05
    least_of_class: int = 5
    least_gain: float = 0.25
    rare_share: float = 0.005
    rare_rows: int = 30
    level_rows: float = 50.0
    smoothing: float = 10.0
    specials: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Bin:
    """One bin: its rows, its bad ones, its share of all rows, and its weight of evidence."""

    rows: int
    bad: int
    share: float
    bad_rate: float
    woe: float


@dataclass(frozen=True, slots=True)
class NumberBinning:
    """Bins of a numeric column.

    First come the ranges (bin b holds values above b of the ascending finite ``edges``; infinities
    fall into the outermost), then one bin for each of ``specials``, then missing values. A bin
    without rows has a bad rate and a weight of evidence of the average.
    """

    column: str
    edges: tuple[float, ...]
    specials: tuple[float, ...]
    direction: Direction
    bins: tuple[Bin, ...]
    iv: float


@dataclass(frozen=True, slots=True)
class TextBinning:
    """Bins of a text column.

    First come the ``groups`` of levels, the safest first, then rare and unseen levels, then
    missing values. A bin without rows has a bad rate and a weight of evidence of the average.
    """

    column: str
    groups: tuple[tuple[str, ...], ...]
    bins: tuple[Bin, ...]
    iv: float


Binning = NumberBinning | TextBinning


@dataclass(frozen=True, slots=True)
class ColumnStrength:
    """How well a column alone tells bad from good, from its bins, on the rows they were cut by.

    ``iv`` is the information value; ``auc`` the chance that a bad row's bin is riskier than a good
    one's, ties counted half. Bins of chance alone have an ``auc`` somewhat above .5.
    """

    iv: float
    auc: float

    @property
    def gini(self) -> float:
        """2 AUC - 1."""
        return 2.0 * self.auc - 1.0


def learn_binning(
    name: str,
    column: Column,
    is_bad: BoolArray,
    *,
    settings: BinningSettings | None = None,
    direction: Direction | None = None,
) -> Binning:
    """Cut a column by what the outcomes show. The order of rows doesn't matter.

    A constant column has one bin, an all-missing one only that of missing values, and both an
    information value of 0.

    Args:
        is_bad: outcomes, shape ``(n,)``.
        direction: of a numeric column's risk, none to take the likelier. Text has no direction.

    Raises:
        OutcomeRefused: when the outcomes aren't as many as rows, or of one class only.
        BinningRefused: for settings that can't be used.
    """
    settings = settings or BinningSettings()
    _check(column, is_bad, settings)
    if isinstance(column, TextColumn):
        return _text_binning(name, column, is_bad, settings)
    return _number_binning(name, column.values, is_bad, settings, direction)


def binning_places(binning: Binning, column: Column) -> IntArray:
    """The bin of each row, shape ``(n,)``. A column of the other kind counts as missing."""
    missing = len(binning.bins) - 1
    if isinstance(binning, NumberBinning) and isinstance(column, NumberColumn):
        places = np.searchsorted(np.array(binning.edges), column.values, side="left")
        for order, special in enumerate(binning.specials):
            places[column.values == special] = len(binning.edges) + 1 + order
        places[np.isnan(column.values)] = missing
        return places.astype(np.int64, copy=False)
    if isinstance(binning, TextBinning) and isinstance(column, TextColumn):
        bin_of = {level: bin_ for bin_, group in enumerate(binning.groups) for level in group}
        bins = [bin_of.get(level, missing - 1) for level in column.levels]
        # MISSING is -1, which picks the entry added last.
        return np.array([*bins, missing], dtype=np.int64)[column.codes]
    return np.full(_size(column), missing, dtype=np.int64)


def evidence(binning: Binning, column: Column) -> FloatArray:
    """The weight of evidence of each row's bin, shape ``(n,)``, always finite."""
    return np.array([bin_.woe for bin_ in binning.bins])[binning_places(binning, column)]


def column_strength(table: Table, outcomes: BoolArray, column: str) -> ColumnStrength:
    """How well one column alone tells the outcomes, shape ``(n,)``, by its default bins.

    Raises:
        ColumnRefused: when there is no such column.
        OutcomeRefused: when the outcomes aren't as many as rows, or of one class only.
    """
    if column not in table.columns:
        raise ColumnRefused(f"There is no column {column}.", field=column)
    return strength(learn_binning(column, table.columns[column], outcomes))


def strength(binning: Binning) -> ColumnStrength:
    """Information value and AUC of bins."""
    ranked = sorted(binning.bins, key=lambda bin_: bin_.woe)
    bad = np.array([bin_.bad for bin_ in ranked], dtype=np.float64)
    good = np.array([bin_.rows - bin_.bad for bin_ in ranked], dtype=np.float64)
    safer = np.cumsum(good) - 0.5 * good
    return ColumnStrength(binning.iv, float(bad @ safer / (bad.sum() * good.sum())))


def _size(column: Column) -> int:
    return len(column.values if isinstance(column, NumberColumn) else column.codes)


def _check(column: Column, is_bad: BoolArray, settings: BinningSettings) -> None:
    if len(is_bad) != _size(column):
        raise OutcomeRefused(f"{_size(column)} rows need as many outcomes, not {len(is_bad)}.")
    if is_bad.all() or not is_bad.any():
        raise OutcomeRefused("All outcomes are the same: there is nothing to learn from them.")
    if not (0 <= settings.least_share <= 1 and 0 <= settings.rare_share <= 1):
        raise BinningRefused("Least shares of rows must lie between 0 and 1.")
    least = (settings.least_of_class, settings.rare_rows, settings.least_gain, settings.level_rows)
    if not min(least) >= 0 or not 0 < settings.smoothing < math.inf:
        raise BinningRefused("Least numbers must be 0 or more, and the smoothing above 0.")
    distinct = set(settings.specials)
    if len(distinct) < len(settings.specials) or not all(map(math.isfinite, distinct)):
        raise BinningRefused("Special values must be finite and different.")


def _number_binning(
    name: str,
    values: FloatArray,
    is_bad: BoolArray,
    settings: BinningSettings,
    direction: Direction | None,
) -> NumberBinning:
    ranged = ~np.isnan(values)
    for special in settings.specials:
        ranged &= values != special
    tops, rows, bad = _by_value(values[ranged], is_bad[ranged])
    starts, found = _isotonic(rows, bad, direction)
    first = starts[_merged(_summed(rows, starts), _summed(bad, starts), len(values), settings)]
    edges = tuple(tops[first[1:] - 1].tolist())
    empty = (_EMPTY,) * (len(edges) + 2 + len(settings.specials))
    cut = NumberBinning(name, edges, settings.specials, found, empty, 0.0)
    bins, iv = _bins(cut, NumberColumn(values), is_bad, settings)
    return replace(cut, bins=bins, iv=iv)


def _by_value(values: FloatArray, is_bad: BoolArray) -> tuple[FloatArray, IntArray, IntArray]:
    """The different values, ascending, with the rows and the bad ones of each.

    Infinities count as the outermost finite values.
    """
    finite = values[np.isfinite(values)]
    bounds = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 0.0)
    order = np.argsort(values)
    ranked: FloatArray = np.clip(values[order], *bounds).astype(np.float64, copy=False)
    starts = np.flatnonzero(np.diff(ranked, prepend=-np.inf))
    rows = np.diff(starts, append=len(ranked))
    return ranked[starts], rows, _summed(is_bad[order].astype(np.int64), starts)


def _summed(counts: IntArray, starts: IntArray) -> IntArray:
    return np.add.reduceat(counts, starts) if len(starts) else counts[:0]


def _isotonic(
    rows: IntArray, bad: IntArray, direction: Direction | None
) -> tuple[IntArray, Direction]:
    """The first place of each step of the isotonic bad rate, in the likelier direction."""
    if not len(rows):
        return np.zeros(0, dtype=np.int64), direction or Direction.RISING
    likeliest = -math.inf
    for tried in [direction] if direction else [Direction.RISING, Direction.FALLING]:
        found = isotonic_regression(bad / rows, weights=rows, increasing=tried is Direction.RISING)
        starts = np.asarray(found.blocks[:-1], dtype=np.int64)
        likely = float(_likelihood(_summed(rows, starts), _summed(bad, starts)).sum())
        if likely > likeliest:
            likeliest, best = likely, (starts, tried)
    return best


def _likelihood(rows: IntArray, bad: IntArray) -> FloatArray:
    """Log-likelihood of bins at their own bad rates."""
    good = rows - bad
    found = xlogy(bad, bad / rows) + xlogy(good, good / rows)
    return np.asarray(found, dtype=np.float64)


def _merged(rows: IntArray, bad: IntArray, total: int, settings: BinningSettings) -> IntArray:
    """The first place of each bin once neighbours are merged, the likest first."""
    starts = np.arange(len(rows))
    while len(rows) > 1:
        both_rows, both_bad = rows[:-1] + rows[1:], bad[:-1] + bad[1:]
        likely = _likelihood(rows, bad)
        lost = likely[:-1] + likely[1:] - _likelihood(both_rows, both_bad)
        few = np.minimum(bad, rows - bad) < settings.least_of_class
        small = few | (rows < settings.least_share * total)
        if small.any():
            smallest = int(np.argmin(np.where(small, rows, total + 1)))
            sides = [side for side in (smallest - 1, smallest) if 0 <= side < len(lost)]
            joint = min(sides, key=lost.__getitem__)
        else:
            joint = int(np.argmin(lost))
            if lost[joint] >= settings.least_gain:
                break
        rows, bad = np.delete(rows, joint + 1), np.delete(bad, joint + 1)
        rows[joint], bad[joint] = both_rows[joint], both_bad[joint]
        starts = np.delete(starts, joint + 1)
    return starts


def _text_binning(
    name: str, column: TextColumn, is_bad: BoolArray, settings: BinningSettings
) -> TextBinning:
    known = column.codes != MISSING
    size = len(column.levels)
    rows = np.bincount(column.codes[known], minlength=size)
    bad = np.bincount(column.codes[known & is_bad], minlength=size)
    least = max(settings.rare_rows, settings.rare_share * len(is_bad), 1)
    common = np.flatnonzero(rows >= least)
    more = settings.level_rows
    rate = (bad[common] + more * is_bad.mean()) / (rows[common] + more)
    # Of equal rates the order is that of the levels' names.
    ranked = common[np.lexsort((np.array(column.levels, dtype=object)[common], rate))]
    starts = _merged(rows[ranked], bad[ranked], len(is_bad), settings)
    groups = tuple(
        tuple(sorted(column.levels[code] for code in group))
        for group in np.split(ranked, starts[1:])
        if len(group)
    )
    cut = TextBinning(name, groups, (_EMPTY,) * (len(groups) + 2), 0.0)
    bins, iv = _bins(cut, column, is_bad, settings)
    return replace(cut, bins=bins, iv=iv)


def _bins(
    cut: Binning, column: Column, is_bad: BoolArray, settings: BinningSettings
) -> tuple[tuple[Bin, ...], float]:
    """The bins of a column that is cut so, and its information value."""
    places = binning_places(cut, column)
    rows = np.bincount(places, minlength=len(cut.bins))
    bad = np.bincount(places[is_bad], minlength=len(cut.bins))
    good = rows - bad
    all_bad, all_good = bad.sum(), good.sum()
    rate = all_bad / len(is_bad)
    more = settings.smoothing
    woe = np.log((bad + more * rate) / (good + more * (1 - rate))) - np.log(all_bad / all_good)
    # A bin without rows, and one that holds them all, differ from nothing but by rounding.
    woe[(rows == 0) | (rows == len(is_bad))] = 0.0
    iv = float((bad / all_bad - good / all_good) @ woe)
    bad_rate = np.where(rows > 0, bad / np.maximum(rows, 1), rate)
    made = zip(rows.tolist(), bad.tolist(), bad_rate.tolist(), woe.tolist(), strict=True)
    return tuple(Bin(r, b, r / len(is_bad), p, w) for r, b, p, w in made), iv


_EMPTY = Bin(0, 0, 0.0, 0.0, 0.0)
