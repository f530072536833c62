"""A validated, immutable table of applications: columns of numbers or of text, as arrays."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from risk.core.errors import FactsRefused
from risk.core.spec import Kind

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
Fact = str | int | float | None
Facts = Mapping[str, Fact]

MISSING = -1

_PLAIN_TYPES: Mapping[Kind, set[type]] = {
    Kind.NUMBER: {int, float, type(None)},
    Kind.TEXT: {str, type(None)},
}

Scalar = TypeVar("Scalar", bound=np.generic)


@dataclass(frozen=True, slots=True, eq=False)
class NumberColumn:
    """Numbers, shape ``(n,)``; NaN where the value is missing."""

    values: FloatArray

    def take(self, places: IntArray) -> NumberColumn:
        """The same column at ``places``."""
        return NumberColumn(frozen(self.values[places]))

    def fact(self, place: int) -> Fact:
        """The value at ``place``: none where missing, a whole number where it is one."""
        value = float(self.values[place])
        if math.isnan(value):
            return None
        return int(value) if value.is_integer() else value


@dataclass(frozen=True, slots=True, eq=False)
class TextColumn:
    """Text as ``codes`` into sorted ``levels``, shape ``(n,)``; :data:`MISSING` where missing."""

    levels: tuple[str, ...]
    codes: IntArray

    def take(self, places: IntArray) -> TextColumn:
        """The same column at ``places``, with the same levels."""
        return TextColumn(self.levels, frozen(self.codes[places]))

    def fact(self, place: int) -> Fact:
        """The value at ``place``, none where missing."""
        code = int(self.codes[place])
        return None if code == MISSING else self.levels[code]


Column = NumberColumn | TextColumn


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Columns of equal length.

    ``rows`` are the lines of the file (1 is the header), or places from 0 when there was no file.
    ``is_bad`` are the outcomes, or none when they are not known. ``notes`` are sentences on what
    reading the file had to do; rows taken from a table have none.
    """

    columns: Mapping[str, Column]
    rows: IntArray
    is_bad: BoolArray | None = None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, places: IntArray) -> Table:
        """The rows at ``places``, in that order."""
        return Table(
            MappingProxyType({name: col.take(places) for name, col in self.columns.items()}),
            frozen(self.rows[places]),
            None if self.is_bad is None else frozen(self.is_bad[places]),
        )

    def facts(self) -> Iterator[dict[str, Fact]]:
        """Each row as plain values by column, none where missing."""
        for place in range(len(self)):
            yield {name: column.fact(place) for name, column in self.columns.items()}

    def json_facts(self) -> Iterator[str]:
        """Each row of :meth:`facts` as JSON text, made column by column, which is quicker.

        Raises:
            FactsRefused: for an infinite number, which JSON can't hold.
        """
        parts = [_json_parts(name, column) for name, column in self.columns.items()]
        if not parts:
            return iter(["{}"] * len(self))
        return ("{" + ",".join(row) + "}" for row in zip(*parts, strict=True))


def number_column(values: npt.ArrayLike) -> NumberColumn:
    """A column of numbers from anything array-like, shape ``(n,)``."""
    return NumberColumn(frozen(np.array(values, dtype=np.float64)))


def text_column(values: Sequence[str | None]) -> TextColumn:
    """A column of text; none and the empty text are missing."""
    levels = tuple(sorted(value for value in set(values) if value))
    code_of: dict[str | None, int] = {level: code for code, level in enumerate(levels)}
    code_of |= {None: MISSING, "": MISSING}
    codes = np.fromiter(map(code_of.__getitem__, values), np.int64, len(values))
    return TextColumn(levels, frozen(codes))


def make_table(
    columns: Mapping[str, Column],
    *,
    rows: npt.ArrayLike | None = None,
    is_bad: npt.ArrayLike | None = None,
    notes: Sequence[str] = (),
) -> Table:
    """A table from columns of equal length; ``rows`` are counted from 0 unless given.

    Raises:
        FactsRefused: when lengths differ.
    """
    lengths = {
        len(col.values) if isinstance(col, NumberColumn) else len(col.codes)
        for col in columns.values()
    }
    size = max(lengths, default=0)
    numbers = np.arange(size) if rows is None else np.array(rows, dtype=np.int64)
    outcomes = None if is_bad is None else frozen(np.array(is_bad, dtype=np.bool_))
    lengths |= {len(numbers)} | ({len(outcomes)} if outcomes is not None else set())
    if len(lengths) > 1:
        raise FactsRefused("The columns of a table must be of one length.")
    return Table(MappingProxyType(dict(columns)), frozen(numbers), outcomes, tuple(notes))


def table_from_facts(
    facts: Sequence[Facts],
    columns: Mapping[str, Kind | None],
    *,
    labels: Sequence[str] | None = None,
    rows: npt.ArrayLike | None = None,
    is_bad: npt.ArrayLike | None = None,
) -> Table:
    """A table of the named columns from plain facts; a fact that is not there is missing.

    A kind of none is decided by the values: text when there is any text. ``labels`` name each
    application in a refusal.

    Raises:
        FactsRefused: for a word where a number belongs, or the other way round.
    """
    made: dict[str, Column] = {}
    for name, stated in columns.items():
        values = [row.get(name) for row in facts]
        types = set(map(type, values))
        kind = stated or (Kind.TEXT if str in types else Kind.NUMBER)
        if not types <= _PLAIN_TYPES[kind]:
            _check_kind(name, kind, values, labels)
        if kind is Kind.TEXT:
            made[name] = text_column([None if value is None else str(value) for value in values])
        else:
            # numpy takes none for NaN.
            made[name] = number_column(np.array(values, dtype=np.float64))
    if rows is None:
        rows = np.arange(len(facts))
    return make_table(made, rows=rows, is_bad=is_bad)


def _check_kind(
    name: str, kind: Kind, values: Sequence[Fact], labels: Sequence[str] | None
) -> None:
    wanted: type | tuple[type, ...] = str if kind is Kind.TEXT else (int, float)
    for place, value in enumerate(values):
        if value is not None and (isinstance(value, bool) or not isinstance(value, wanted)):
            whose = labels[place] if labels is not None else f"row {place}"
            raise FactsRefused(f"{whose}: {name} must be a {kind.value}.", field=name)


def _json_parts(name: str, column: Column) -> list[str]:
    """``"name":value`` for each row; each different value is written once."""
    encode = json.JSONEncoder(ensure_ascii=False).encode
    if isinstance(column, TextColumn):
        texts = [*map(encode, column.levels), "null"]
        places = np.where(column.codes == MISSING, len(column.levels), column.codes)
    else:
        found, places = np.unique(column.values, return_inverse=True)
        if np.isinf(found).any():
            raise FactsRefused(f"{name} can't be kept: a number is infinite.", field=name)
        texts = [
            "null" if math.isnan(value) else str(int(value)) if value.is_integer() else repr(value)
            for value in found.tolist()
        ]
    key = encode(name)
    parts: list[str] = np.array([f"{key}:{text}" for text in texts], dtype=object)[places].tolist()
    return parts


def frozen(array: npt.NDArray[Scalar]) -> npt.NDArray[Scalar]:
    """The same array, which can't be written to from now on."""
    array.setflags(write=False)
    return array
