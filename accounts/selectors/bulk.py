"""Reading many rows as numpy columns: COPY in binary format, without a Python object a value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from django.db import connection
from psycopg import sql

IntArray = npt.NDArray[np.int64]

_HEADER = 19
_TRAILER = 2


def fetch_columns(query: str, parameters: Sequence[Any], columns: int) -> list[IntArray]:
    """The rows of ``query`` as ``columns`` arrays of ``int64``; one statement.

    Every column of the query must be a bigint without NULLs (cast it, and use coalesce).

    Raises:
        ValueError: rows of another shape than promised.
    """
    connection.ensure_connection()
    with connection.connection.cursor() as cursor:
        statement = sql.SQL("COPY ({}) TO STDOUT WITH (FORMAT BINARY)").format(sql.SQL(query))
        with cursor.copy(statement, parameters) as copy:
            data = b"".join(bytes(block) for block in copy)
    fields: list[tuple[str, str]] = [("count", ">i2")]
    for place in range(columns):
        fields += [(f"length{place}", ">i4"), (f"value{place}", ">i8")]
    shape = np.dtype(fields)
    body = memoryview(data)[_HEADER : len(data) - _TRAILER]
    if len(body) % shape.itemsize:
        raise ValueError("the query's columns are not the bigints it promised")
    rows = np.frombuffer(body, dtype=shape)
    if len(rows) and (np.any(rows["count"] != columns) or _any_other_length(rows, columns)):
        raise ValueError("the query's columns are not the bigints it promised")
    return [rows[f"value{place}"].astype(np.int64) for place in range(columns)]


def _any_other_length(rows: npt.NDArray[Any], columns: int) -> bool:
    return any(bool(np.any(rows[f"length{place}"] != 8)) for place in range(columns))
