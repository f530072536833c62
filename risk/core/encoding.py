"""Columns as bins, and bins as parameters: steps for numbers, levels for text.

A numeric column is cut so that its bins hold about as many rows each, but for the outermost ones,
which are halved towards the ends: risk often turns steep where few rows are. A value that fills a
bin alone has it for itself. Its effect is a sum of steps, one at each cut (cumulative coding), so
that a bound on the sign of the steps makes it monotone. A missing number has an effect of its own,
measured from the average of the known ones, and so have values that stand apart (codes such as
-9 or 999 for "not asked"). A text column has an effect for each level; rare and unseen levels
share one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from risk.core.table import MISSING, Column, FloatArray, IntArray, NumberColumn, Table, TextColumn

# Among so many rows a bin must hold one, and ten in any case.
_LEAST_SHARE = 1_000
_LEAST_ROWS = 10
# At most so many values at one end of a column are taken for codes.
_MOST_CODES = 3
# So often is the outermost bin at either end halved, as long as its parts hold enough rows.
TAIL_CUTS = 3
# A column with fewer other values is a list of codes altogether: steps fit it well.
_FEWEST_OTHERS = 4
# Text levels beyond the most frequent ones are pooled.
MOST_LEVELS = 200


@dataclass(frozen=True, slots=True)
class NumberCoding:
    """Bins of a numeric column: bin b holds values above b of the ascending ``edges``.

    After them comes a bin for each of the values ``apart``, and last the one of missing values.
    Infinities fall into the outermost bins of the edges.
    """

    column: str
    edges: tuple[float, ...]
    apart: tuple[float, ...] = ()

    @property
    def bins(self) -> int:
        """How many bins there are, those of values apart and the missing one included."""
        return len(self.edges) + len(self.apart) + 2


@dataclass(frozen=True, slots=True)
class TextCoding:
    """Bins of a text column: one a level, then rare and unseen levels, then missing."""

    column: str
    levels: tuple[str, ...]

    @property
    def bins(self) -> int:
        """How many bins there are, the rare and the missing one included."""
        return len(self.levels) + 2


Coding = NumberCoding | TextCoding


def learn_codings(
    table: Table,
    columns: Sequence[str],
    *,
    most_steps: int,
    rare_below: int,
    most_levels: int = MOST_LEVELS,
    tail_cuts: int = TAIL_CUTS,
    whole: frozenset[str] = frozenset(),
) -> tuple[Coding, ...]:
    """Cut each column from what ``table`` shows (outcomes are not looked at).

    Args:
        most_steps: at most so many steps for a numeric column, and ``tail_cuts`` more at either
            end.
        rare_below: text levels of fewer rows are pooled.
        most_levels: so are those beyond the most frequent ones.
        whole: numeric columns in which no value may stand apart.
    """
    return tuple(
        _number_coding(
            name, column.values, (most_steps, tail_cuts), may_stand_apart=name not in whole
        )
        if isinstance(column := table.columns[name], NumberColumn)
        else TextCoding(name, _levels(column, rare_below, most_levels))
        for name in columns
    )


def _number_coding(
    name: str, values: FloatArray, cuts: tuple[int, int], *, may_stand_apart: bool
) -> NumberCoding:
    distinct, counts = np.unique(values[np.isfinite(values)], return_counts=True)
    least = max(_LEAST_ROWS, len(values) // _LEAST_SHARE)
    apart = _apart(distinct, counts, least) if may_stand_apart else np.zeros(0, dtype=np.int64)
    codes = tuple(float(value) for value in distinct[apart])
    kept, kept_counts = np.delete(distinct, apart), np.delete(counts, apart)
    return NumberCoding(name, _edges(kept, kept_counts, cuts, least), codes)


def _apart(distinct: FloatArray, counts: IntArray, least: int) -> IntArray:
    """Places of frequent values at either end in a group far from all others.

    Above: farther from the next value than that is from the least. Below: negative whole numbers
    where everything else is at least zero. A rare value of the group (96 beside many 98) has too
    few rows for an effect of its own, and stays in the outermost bin.
    """
    found: list[int] = []
    size = len(distinct)
    for codes in range(1, min(_MOST_CODES, size - _FEWEST_OTHERS) + 1):
        top, rest = distinct[size - codes :], distinct[: size - codes]
        if top[0] - rest[-1] > rest[-1] - rest[0]:
            found = _frequent(range(size - codes, size), counts, least)
    below = int(np.searchsorted(distinct, 0.0))
    negative = distinct[:below]
    if (
        0 < below <= _MOST_CODES
        and size - below - len(found) >= _FEWEST_OTHERS
        and (negative == np.round(negative)).all()
    ):
        found = [*_frequent(range(below), counts, least), *found]
    return np.array(found, dtype=np.int64)


def _frequent(places: range, counts: IntArray, least: int) -> list[int]:
    return [place for place in places if counts[place] >= least]


def _edges(
    distinct: FloatArray, counts: IntArray, cuts: tuple[int, int], least: int
) -> tuple[float, ...]:
    """Cuts that give bins of about equal size, the outermost ones halved towards the ends.

    A value larger than a bin has one for itself. Bins of too few rows join the next one.
    """
    if len(distinct) <= 1:
        return ()
    most_steps, tail_cuts = cuts
    heavy = counts * (most_steps + 1) >= counts.sum()
    light = np.where(heavy, 0, counts)
    room = max(most_steps + 1 - int(heavy.sum()), 1)
    middle = np.cumsum(light) - light / 2
    tail = 0.5 ** np.arange(1, tail_cuts + 1) / room
    shares = np.sort(np.concatenate([np.arange(1, room) / room, tail, 1.0 - tail]))
    bin_of = shares.searchsorted(middle / max(light.sum(), 1), side="right")
    cut = heavy[1:] | heavy[:-1] | (bin_of[1:] != bin_of[:-1])
    ends = np.append(np.flatnonzero(cut), len(distinct) - 1)
    held = np.diff(np.append(0, np.cumsum(counts)[ends]))
    edges: list[float] = []
    waiting = 0
    for end, rows in zip(ends[:-1].tolist(), held[:-1].tolist(), strict=True):
        waiting += rows
        if waiting >= least:
            edges.append(float(distinct[end]))
            waiting = 0
    if edges and held[-1] + waiting < least:
        edges.pop()
    return tuple(edges)


def _levels(column: TextColumn, rare_below: int, most_levels: int) -> tuple[str, ...]:
    counts = np.bincount(column.codes[column.codes != MISSING], minlength=len(column.levels))
    frequent = np.argsort(-counts, kind="stable")[:most_levels]
    kept = sorted(place for place in frequent.tolist() if counts[place] >= max(rare_below, 1))
    return tuple(column.levels[place] for place in kept)


def bin_places(coding: Coding, column: Column) -> IntArray:
    """The bin of each row, shape ``(n,)``. A column of the other kind counts as missing."""
    if isinstance(coding, NumberCoding) and isinstance(column, NumberColumn):
        found = np.searchsorted(np.array(coding.edges), column.values, side="left")
        for place, value in enumerate(coding.apart, start=len(coding.edges) + 1):
            found[column.values == value] = place
        found[np.isnan(column.values)] = coding.bins - 1
        return found.astype(np.int64, copy=False)
    if isinstance(coding, TextCoding) and isinstance(column, TextColumn):
        bin_of = {level: place for place, level in enumerate(coding.levels)}
        pooled = len(coding.levels)
        bins = [bin_of.get(level, pooled) for level in column.levels]
        # MISSING is -1, which picks the entry added last.
        return np.array([*bins, coding.bins - 1], dtype=np.int64)[column.codes]
    size = len(column.values if isinstance(column, NumberColumn) else column.codes)
    return np.full(size, coding.bins - 1, dtype=np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Where one column's bins and parameters lie in the whole design."""

    coding: Coding
    bins: slice
    parameters: slice

    @property
    def steps(self) -> slice:
        """Where the steps of a numeric column lie among the parameters; empty for text."""
        count = len(self.coding.edges) if isinstance(self.coding, NumberCoding) else 0
        return slice(self.parameters.start, self.parameters.start + count)


@dataclass(frozen=True, slots=True, eq=False)
class Design:
    """A table coded for fitting.

    ``places`` holds each row's bin within its column, a row of shape ``(n,)`` a column.
    ``effects`` has shape (1 + bins, 1 + parameters), the intercept first, and turns parameters
    into the effect of each bin. Nothing here is multiplied by BLAS, so that results don't depend
    on its number of threads. ``counts`` are the rows in each bin.
    """

    rows: int
    places: tuple[IntArray, ...]
    effects: sparse.csr_array
    across: sparse.csr_array
    blocks: tuple[Block, ...]
    counts: FloatArray

    @property
    def parameters(self) -> int:
        """How many parameters there are, the intercept included."""
        return int(self.effects.shape[1])

    def log_odds(self, parameters: FloatArray, rows: slice = slice(None)) -> FloatArray:
        """Log-odds of the ``rows``, all unless given, shape ``(n,)``."""
        effect = self.effects @ parameters
        total = np.full(self.rows, effect[0])[rows]
        for block, places in zip(self.blocks, self.places, strict=True):
            total += effect[1:][block.bins].take(places[rows])
        return total

    def sums(self, values: FloatArray) -> FloatArray:
        """Sum of ``values``, shape ``(n,)``, by parameter: the design's transpose times them."""
        parts = [np.array([values.sum()])]
        for block, places in zip(self.blocks, self.places, strict=True):
            parts.append(np.bincount(places, values, block.coding.bins))
        return np.asarray(self.across @ np.concatenate(parts))

    def gram(self, weights: FloatArray, rows: slice = slice(None)) -> FloatArray:
        """Weighted sum over ``rows`` of bins' products, shape (1 + bins, 1 + bins)."""
        size = int(self.effects.shape[0])
        found = np.zeros((size, size))
        weight = weights[rows]
        found[0, 0] = weight.sum()
        for first, block in enumerate(self.blocks):
            mine = self.places[first][rows]
            here = slice(block.bins.start + 1, block.bins.stop + 1)
            alone = np.bincount(mine, weight, block.coding.bins)
            found[0, here] = found[here, 0] = alone
            np.fill_diagonal(found[here, here], alone)
            for other, places in zip(self.blocks[:first], self.places[:first], strict=True):
                width = other.coding.bins
                pair = np.bincount(
                    mine * width + places[rows], weight, block.coding.bins * width
                ).reshape(block.coding.bins, width)
                there = slice(other.bins.start + 1, other.bins.stop + 1)
                found[here, there] = pair
                found[there, here] = pair.T
        return found

    def curvature(self, gram: FloatArray) -> FloatArray:
        """A :meth:`gram` by parameter, shape (1 + parameters, 1 + parameters)."""
        half = self.across @ gram
        return np.asarray(self.across @ np.ascontiguousarray(half.T))


def make_design(table: Table, codings: Sequence[Coding], order: IntArray) -> Design:
    """Code the rows of ``table`` by ``codings``, in the ``order`` of places given."""
    found = [bin_places(coding, table.columns[coding.column])[order] for coding in codings]
    codes = [np.ones((1, 1))]
    counts = [np.zeros(0)]
    blocks: list[Block] = []
    bin_start, parameter_start = 0, 1
    for coding, places in zip(codings, found, strict=True):
        rows = np.bincount(places, minlength=coding.bins).astype(np.float64)
        code = _code(coding, rows)
        blocks.append(
            Block(
                coding,
                slice(bin_start, bin_start + coding.bins),
                slice(parameter_start, parameter_start + code.shape[1]),
            )
        )
        codes.append(code)
        counts.append(rows)
        bin_start, parameter_start = bin_start + coding.bins, parameter_start + code.shape[1]
    effects = sparse.csr_array(sparse.block_diag(codes))
    return Design(
        len(order),
        tuple(found),
        effects,
        sparse.csr_array(effects.T),
        tuple(blocks),
        np.concatenate(counts),
    )


def _code(coding: Coding, counts: FloatArray) -> FloatArray:
    """Bins by parameters of one column: cumulative for numbers, one each for text.

    A bin that holds every row tells nothing that the intercept doesn't: its effect is zero.
    """
    tells = counts < counts.sum()
    if isinstance(coding, TextCoding):
        return np.diag(tells.astype(np.float64))
    steps = len(coding.edges)
    code = np.zeros((coding.bins, coding.bins - 1))
    code[: steps + 1, :steps] = np.tri(steps + 1, steps, -1)
    known = counts[: steps + 1]
    if known.sum() > 0:
        code[steps + 1 :, :steps] = (known[:, None] * code[: steps + 1, :steps]).sum(
            axis=0
        ) / known.sum()
    code[steps + 1 :, steps:] = np.eye(coding.bins - steps - 1)
    return np.where(tells[:, None], code, 0.0)
