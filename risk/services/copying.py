"""Bulk writes: COPY of rows in one statement, through Django's open connection."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from django.db import connection, models
from psycopg import sql


def copy_rows(
    model: type[models.Model], columns: Sequence[str], rows: Iterable[Sequence[object]]
) -> None:
    """COPY rows into a model's table in one statement; triggers and constraints hold.

    The caller's transaction must be open. JSON goes in as text.

    Raises:
        RuntimeError: outside a transaction: a mistake in the calling code.
    """
    if not connection.in_atomic_block:
        raise RuntimeError("rows must be copied inside an open transaction")
    table = model._meta.db_table  # noqa: SLF001 - Django documents it as public
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    with connection.connection.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)
