"""Columns as bins, and bins as parameters: steps for numbers, levels for text.

A numeric column is cut at quantiles of what was seen in training; its effect is a sum of steps,
one at each cut (cumulative coding), so that a bound on the sign of the steps makes it monotone.
A missing number has an effect of its own, measured from the average of the known ones. A text
column has an effect for each level; rare and unseen levels share one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from risk.core.table import MISSING, Column, FloatArray, IntArray, NumberColumn, Table, TextColumn


@dataclass(frozen=True, slots=True)
class NumberCoding:
    """Bins of a numeric column: bin b holds values above b of the ascending ``edges``.

    The last bin holds missing values. Infinities fall into the outermost bins.
    """

    column: str
    edges: tuple[float, ...]

    @property
    def bins(self) -> int:
        """How many bins there are, the missing one included."""
        return len(self.edges) + 2


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
    table: Table, columns: Sequence[str], *, most_steps: int, rare_below: int
) -> tuple[Coding, ...]:
    """Cut each column from what ``table`` shows (outcomes are not looked at).

    Args:
        most_steps: at most so many steps for a numeric column, at evenly spaced quantiles.
        rare_below: text levels of fewer rows are pooled.
    """
    return tuple(
        NumberCoding(name, _edges(column.values, most_steps))
        if isinstance(column := table.columns[name], NumberColumn)
        else TextCoding(name, _levels(column, rare_below))
        for name in columns
    )


def _edges(values: FloatArray, most_steps: int) -> tuple[float, ...]:
    known = values[np.isfinite(values)]
    if not len(known):
        return ()
    shares = np.arange(1, most_steps + 1) / (most_steps + 1)
    cuts = np.unique(np.quantile(known, shares, method="lower"))
    return tuple(float(cut) for cut in cuts if cut < known.max())


def _levels(column: TextColumn, rare_below: int) -> tuple[str, ...]:
    counts = np.bincount(column.codes[column.codes != MISSING], minlength=len(column.levels))
    return tuple(
        level
        for level, count in zip(column.levels, counts, strict=True)
        if count >= max(rare_below, 1)
    )


def bin_places(coding: Coding, column: Column) -> IntArray:
    """The bin of each row, shape ``(n,)``. A column of the other kind counts as missing."""
    if isinstance(coding, NumberCoding) and isinstance(column, NumberColumn):
        found = np.searchsorted(np.array(coding.edges), column.values, side="left")
        return np.where(np.isnan(column.values), coding.bins - 1, found).astype(np.int64)
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


@dataclass(frozen=True, slots=True, eq=False)
class Design:
    """A table coded for fitting.

    ``one_hot`` has shape (rows, bins); ``effects`` has shape (bins, parameters) and turns
    parameters into the effect of each bin (both are sparse: their products use no BLAS threads,
    so that results don't depend on how many there are); `x ``is_level`` have shape (parameters,).
    """

    one_hot: sparse.csr_array
    effects: sparse.csr_array
    blocks: tuple[Block, ...]
    is_step: FloatArray
    is_level: FloatArray

    def rows(self, places: IntArray) -> Design:
        """The same design with only the rows at ``places``."""
        picked = sparse.csr_array(self.one_hot[places])
        return Design(picked, self.effects, self.blocks, self.is_step, self.is_level)


def make_design(table: Table, codings: Sequence[Coding]) -> Design:
    """Code the rows of ``table`` by ``codings``."""
    places = [bin_places(coding, table.columns[coding.column]) for coding in codings]
    codes: list[FloatArray] = []
    blocks: list[Block] = []
    steps: list[bool] = []
    levels: list[bool] = []
    bin_start = parameter_start = 0
    for coding, found in zip(codings, places, strict=True):
        code = _code(coding, found)
        bins, parameters = code.shape
        blocks.append(
            Block(
                coding,
                slice(bin_start, bin_start + bins),
                slice(parameter_start, parameter_start + parameters),
            )
        )
        codes.append(code)
        numeric = isinstance(coding, NumberCoding)
        steps += [numeric and place < parameters - 1 for place in range(parameters)]
        levels += [not numeric] * parameters
        bin_start, parameter_start = bin_start + bins, parameter_start + parameters
    return Design(
        _one_hot(places, [block.bins.start for block in blocks], bin_start, len(table)),
        sparse.csr_array(sparse.block_diag(codes)),
        tuple(blocks),
        np.array(steps, dtype=np.float64),
        np.array(levels, dtype=np.float64),
    )


def _code(coding: Coding, places: IntArray) -> FloatArray:
    """Bins by parameters of one column: cumulative for numbers, one each for text."""
    if isinstance(coding, TextCoding):
        return np.eye(coding.bins)
    steps = len(coding.edges)
    code = np.zeros((steps + 2, steps + 1))
    code[: steps + 1, :steps] = np.tri(steps + 1, steps, -1)
    known = np.bincount(places, minlength=steps + 2)[: steps + 1].astype(np.float64)
    if known.sum() > 0:
        code[-1, :steps] = known @ code[: steps + 1, :steps] / known.sum()
    code[-1, -1] = 1.0
    return code


def _one_hot(
    places: Sequence[IntArray], starts: Sequence[int], bins: int, rows: int
) -> sparse.csr_array:
    width = len(places)
    columns = (
        np.stack([found + start for found, start in zip(places, starts, strict=True)], axis=1)
        if width
        else np.zeros((rows, 0), dtype=np.int64)
    )
    bounds = np.arange(0, rows * width + 1, width) if width else np.zeros(rows + 1, dtype=np.int64)
    data = np.ones(rows * width)
    return sparse.csr_array((data, columns.ravel(), bounds), shape=(rows, bins))
