"""COPY in PostgreSQL's binary format straight from numpy columns: bulk writes without row loops."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from psycopg import sql

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

Column = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Packed:
    """A column of arrays of bigints, one a row, laid end to end.

    Attributes:
        values: ``int64 [N]``.
        offsets: ``int64 [L + 1]``, where each row's values start, rising: no array is empty.
    """

    values: npt.NDArray[np.int64]
    offsets: npt.NDArray[np.int64]

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self.offsets) - 1


_SIGNATURE = b"PGCOPY\n\xff\r\n\x00" + (0).to_bytes(4, "big") + (0).to_bytes(4, "big")
_TRAILER = (-1).to_bytes(2, "big", signed=True)
# Dates travel as days since 2000-01-01, which is day 10957 of numpy's calendar.
_DATE_ORIGIN = 10_957
# Rows encoded together: they stay in a processor's cache, and the server begins with the first.
_TOGETHER = 8_192
# Of rows with arrays, so many: a megabyte or two.
_TOGETHER_PACKED = 512
# An array in PostgreSQL's binary form: the field's length, dimensions, a mark for NULLs, the type
# of its elements, how many there are, the first one's place; then length and value of each.
_ARRAY = np.dtype(
    [(name, ">i4") for name in ("field", "dimensions", "nulls", "type", "length", "first")]
)
_ELEMENT = np.dtype([("length", ">i4"), ("value", ">i8")])
_BIGINT, _BIGINT_BYTES = 20, 8


def encode_rows(columns: Mapping[str, Column | Packed]) -> Iterator[bytes]:
    """The columns as one binary COPY stream, piece by piece.

    ``int64``, ``int32``, ``int16``, ``bool`` and ``datetime64[D]`` columns become bigint, integer,
    smallint, boolean and date, columns of raw bytes of one width (``V32``) bytea or a text of so
    many bytes, :class:`Packed` ones ``bigint[]``. There are no NULLs: leave such a column to its
    default.

    Raises:
        TypeError: a column of another type.
        ValueError: columns of different lengths, a packed column before one that isn't, or an empty
            array in it.
    """
    lengths = {len(column) for column in columns.values()}
    if len(lengths) != 1:
        raise ValueError("the columns of a COPY must have one length")
    count = lengths.pop()
    plain = [column for column in columns.values() if not isinstance(column, Packed)]
    packed = [column for column in columns.values() if isinstance(column, Packed)]
    if any(isinstance(column, Packed) for column in list(columns.values())[: len(plain)]):
        raise ValueError("packed columns come last")
    encoded = [_encode(column) for column in plain]
    fields: list[tuple[str, str]] = [("count", ">i2")]
    for place, (kind, _) in enumerate(encoded):
        fields += [(f"length{place}", ">i4"), (f"value{place}", kind)]
    for column in packed:
        _check_packed(column)
    return _pieces(encoded, packed, np.dtype(fields), count)


def _check_packed(column: Packed) -> None:
    if column.values.dtype != np.int64:
        raise TypeError(f"a packed column of {column.values.dtype} can't be copied")
    ends = (int(column.offsets[0]), int(column.offsets[-1]))
    if ends != (0, len(column.values)) or (np.diff(column.offsets) < 1).any():
        raise ValueError("the rows of a packed column must have a value each, and use them all")


def _pieces(
    encoded: Sequence[tuple[str, Column]],
    packed: Sequence[Packed],
    row: np.dtype[Any],
    count: int,
) -> Iterator[bytes]:
    together = _TOGETHER_PACKED if packed else _TOGETHER
    rows = np.zeros(min(count, together), dtype=row)
    rows["count"] = len(encoded) + len(packed)
    for place, (kind, _) in enumerate(encoded):
        rows[f"length{place}"] = np.dtype(kind).itemsize
    yield _SIGNATURE
    for first in range(0, count, together):
        piece = rows[: count - first]
        for place, (_, values) in enumerate(encoded):
            piece[f"value{place}"] = values[first : first + together]
        yield _with_arrays(piece, packed, first) if packed else piece.tobytes()
    yield _TRAILER


def _with_arrays(piece: Column, packed: Sequence[Packed], first: int) -> bytes:
    """The rows of a piece, each followed by its arrays; a step of Python an array, not a value."""
    fields = [_cut(piece, np.arange(len(piece) + 1) * piece.dtype.itemsize)]
    for column in packed:
        offsets = column.offsets[first : first + len(piece) + 1]
        lengths = np.diff(offsets)
        heads = np.empty(len(piece), dtype=_ARRAY)
        heads["field"] = _ARRAY.itemsize - 4 + _ELEMENT.itemsize * lengths
        for name, value in (("dimensions", 1), ("nulls", 0), ("type", _BIGINT), ("first", 1)):
            heads[name] = value
        heads["length"] = lengths
        elements = np.empty(int(offsets[-1] - offsets[0]), dtype=_ELEMENT)
        elements["length"] = _BIGINT_BYTES
        elements["value"] = column.values[offsets[0] : offsets[-1]]
        fields.append(_cut(heads, np.arange(len(piece) + 1) * _ARRAY.itemsize))
        fields.append(_cut(elements, (offsets - offsets[0]) * _ELEMENT.itemsize))
    return b"".join(chain.from_iterable(zip(*fields, strict=True)))


def _cut(records: Column, offsets: npt.NDArray[np.int64]) -> list[bytes]:
    """The bytes of the records between each two offsets."""
    whole = records.tobytes()
    return [whole[start:end] for start, end in pairwise(offsets.tolist())]


def _encode(column: Column) -> tuple[str, Column]:
    if column.dtype.kind == "M":
        days = column.astype("datetime64[D]").astype(np.int64) - _DATE_ORIGIN
        return ">i4", days.astype(np.int32)
    if column.dtype == np.bool_:
        return "u1", column.astype(np.uint8)
    if column.dtype.kind == "i" and column.dtype.itemsize in (2, 4, 8):
        return f">i{column.dtype.itemsize}", column
    if column.dtype.kind == "V" and column.dtype.itemsize:
        return f"V{column.dtype.itemsize}", column
    raise TypeError(f"a column of {column.dtype} can't be copied")


def copy_rows(
    connection: BaseDatabaseWrapper, table: str, columns: Mapping[str, Column | Packed]
) -> int:
    """COPY the columns into ``table`` in one statement; returns the number of rows.

    Triggers fire as for any INSERT. The caller's transaction must be open.
    """
    statement = sql.SQL("COPY {} ({}) FROM STDIN WITH (FORMAT BINARY)").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    connection.ensure_connection()
    # COPY goes past Django's cursor: its errors must still arrive as Django's.
    with (
        connection.wrap_database_errors,
        connection.connection.cursor() as cursor,
        cursor.copy(statement) as copy,
    ):
        for piece in encode_rows(columns):
            copy.write(piece)
    return len(next(iter(columns.values())))
