"""COPY in PostgreSQL's binary format straight from numpy columns: bulk writes without row loops."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from psycopg import sql

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

Column = npt.NDArray[Any]

_SIGNATURE = b"PGCOPY\n\xff\r\n\x00" + (0).to_bytes(4, "big") + (0).to_bytes(4, "big")
_TRAILER = (-1).to_bytes(2, "big", signed=True)
# Dates travel as days since 2000-01-01, which is day 10957 of numpy's calendar.
_DATE_ORIGIN = 10_957
# Rows encoded together: they stay in a processor's cache, and the server begins with the first.
_TOGETHER = 8_192


def encode_rows(columns: Mapping[str, Column]) -> Iterator[bytes]:
    """The columns as one binary COPY stream, piece by piece.

    ``int64``, ``int32``, ``int16``, ``bool`` and ``datetime64[D]`` columns become bigint, integer,
    smallint, boolean and date, columns of raw bytes of one width (``V32``) bytea. There are no
    NULLs: leave such a column to its default.

    Raises:
        TypeError: a column of another type.
        ValueError: columns of different lengths.
    """
    lengths = {len(column) for column in columns.values()}
    if len(lengths) != 1:
        raise ValueError("the columns of a COPY must have one length")
    count = lengths.pop()
    encoded = [_encode(column) for column in columns.values()]
    fields: list[tuple[str, str]] = [("count", ">i2")]
    for place, (kind, _) in enumerate(encoded):
        fields += [(f"length{place}", ">i4"), (f"value{place}", kind)]
    return _pieces(encoded, np.dtype(fields), count)


def _pieces(
    encoded: Sequence[tuple[str, Column]], row: np.dtype[Any], count: int
) -> Iterator[bytes]:
    rows = np.zeros(min(count, _TOGETHER), dtype=row)
    rows["count"] = len(encoded)
    for place, (kind, _) in enumerate(encoded):
        rows[f"length{place}"] = np.dtype(kind).itemsize
    yield _SIGNATURE
    for first in range(0, count, _TOGETHER):
        piece = rows[: count - first]
        for place, (_, values) in enumerate(encoded):
            piece[f"value{place}"] = values[first : first + _TOGETHER]
        yield piece.tobytes()
    yield _TRAILER


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


def copy_rows(connection: BaseDatabaseWrapper, table: str, columns: Mapping[str, Column]) -> int:
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
