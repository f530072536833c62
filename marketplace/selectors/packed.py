"""Running totals of parts: packed by loan in the database, unpacked here into flat arrays."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import psycopg
from django.db import connection, transaction
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg.pq import Format

from accounts.selectors.bulk import array_of, fetch_columns
from marketplace.core.arrays import IntArray, offsets_of

# What the parts of a loan (``l``) have received: for readers of one lender's parts, who take
# ``principal[number]`` and so on, which unpacks an array of the whole loan. Whoever may read many
# parts of a loan takes `packed_totals` or `outstanding_by`, which unpack each array once.
LATEST = (
    " LEFT JOIN marketplace_distribution AS d ON d.loan_id = l.id AND d.number = l.distributions"
)
RECEIVED = "coalesce(d.principal[p.number], 0)"

# PostgreSQL's binary array of one dimension: five integers, then each element with its length.
_HEADER_BYTES = 20
_RUNS = itertools.count(1)
_ELEMENT = np.dtype([("length", ">i4"), ("value", ">i8")])


@dataclass(frozen=True, eq=False)
class PackedTotals:
    """What the parts of some loans have received so far, pence.

    Attributes:
        loan: ``[L]``, rising; a loan of which nothing was spread is not in it.
        offsets: ``[L + 1]``, where each loan's parts start.
        principal, interest, fee: ``[N]``, by loan and part number; interest is before the fee.
    """

    loan: IntArray
    offsets: IntArray
    principal: IntArray
    interest: IntArray
    fee: IntArray

    def of(self, loan: IntArray, number: IntArray) -> tuple[IntArray, IntArray, IntArray]:
        """Principal, interest and fee of parts, ``[M]`` each; nothing where nothing was spread.

        Args:
            loan: the loan of each part, ``[M]``.
            number: its number in the loan, from 1, ``[M]``.
        """
        if not len(self.loan):
            nothing = np.zeros_like(loan)
            return nothing, nothing, nothing
        place = np.minimum(np.searchsorted(self.loan, loan), len(self.loan) - 1)
        known = self.loan[place] == loan
        row = np.where(known, self.offsets[place] + number - 1, 0)
        principal, interest, fee = (
            np.where(known, column[row], 0) for column in (self.principal, self.interest, self.fee)
        )
        return principal, interest, fee


def packed_totals(where: str = "true", parameters: Sequence[Any] = ()) -> PackedTotals:
    """What all parts of the loans have received that a condition on ``l`` names; one statement."""
    [loan], (principal, interest, fee), offsets = fetch_packed(
        "SELECT l.id, d.principal, d.interest, d.fee FROM marketplace_loan AS l"
        " JOIN marketplace_distribution AS d ON d.loan_id = l.id AND d.number = l.distributions"
        f" WHERE {where} ORDER BY l.id",
        parameters,
        (1, 3),
    )
    return PackedTotals(loan, offsets, principal, interest, fee)


def outstanding_by(
    one: str, other: str, where: str, parameters: Sequence[Any]
) -> tuple[IntArray, IntArray, IntArray]:
    """Principal of parts that is not yet repaid, summed by two columns; two statements.

    Args:
        one, other: bigint columns of ``marketplace_part AS p`` or ``marketplace_loan AS l``.
        where: which parts.
        parameters: of the condition.

    Returns:
        Both columns, by one and then the other, and the pence, ``[M]`` each.
    """
    *columns, loan, number, size = fetch_columns(
        f"SELECT {one}, {other}, p.loan_id, p.number::bigint, p.size FROM marketplace_part AS p"
        f" JOIN marketplace_loan AS l ON l.id = p.loan_id WHERE {where}",
        parameters,
        5,
    )
    if not len(loan):
        return loan, loan, loan
    totals = packed_totals("l.id = ANY (%s::bigint[])", [array_of(np.unique(loan))])
    order = np.lexsort(columns[::-1])
    first, second = (column[order] for column in columns)
    starts = np.flatnonzero(np.append(True, np.diff(first) | np.diff(second)))
    left = (size - totals.of(loan, number)[0])[order]
    return first[starts], second[starts], np.add.reduceat(left, starts)


def fetch_packed(
    query: str, parameters: Sequence[Any], columns: tuple[int, int]
) -> tuple[list[IntArray], list[IntArray], IntArray]:
    """Rows of bigints and then of packed bigints, all arrays of a row equally long; one statement.

    Args:
        columns: how many of each the query gives, neither with NULLs; at least one is packed.

    Returns:
        The plain columns, ``[R]`` each; the packed ones, end to end, ``[N]`` each; and where each
        row's values start in those, ``[R + 1]``.
    """
    connection.ensure_connection()
    with (
        connection.wrap_database_errors,
        # Django's own cursor binds on the client's side, which knows no binary results.
        psycopg.Cursor(connection.connection) as cursor,
    ):
        cursor.execute(query, list(parameters), binary=True)
        result = cursor.pgresult
        if result is None:
            raise ValueError("the query gave no rows")
        rows = range(result.ntuples)
        read = [
            [result.get_value(row, column) or b"" for row in rows] for column in range(sum(columns))
        ]
    return _columns(read, columns[0])


def packed_runs(
    query: str, parameters: Sequence[Any], columns: tuple[int, int], *, rows: int = 2_000
) -> Iterator[tuple[list[IntArray], list[IntArray], IntArray]]:
    """As :func:`fetch_packed`, so many rows at a time: for more than fits the memory at once."""
    connection.ensure_connection()
    with (
        transaction.atomic(),
        connection.wrap_database_errors,
        psycopg.ServerCursor(connection.connection, f"runs_{next(_RUNS)}") as cursor,
    ):
        bigint = psycopg.adapters.types["int8"]
        for kind in (bigint.oid, bigint.array_oid):
            cursor.adapters.register_loader(kind, _Raw)
        cursor.execute(query, list(parameters), binary=True)
        while found := cursor.fetchmany(rows):
            yield _columns([list(cells) for cells in zip(*found, strict=True)], columns[0])


class _Raw(Loader):
    """Leaves a value as it came."""

    format = Format.BINARY

    def load(self, data: Buffer) -> bytes:
        """The bytes."""
        return bytes(data)


def _columns(
    read: list[list[bytes]], plain: int
) -> tuple[list[IntArray], list[IntArray], IntArray]:
    counts = [max(len(cell) - _HEADER_BYTES, 0) // _ELEMENT.itemsize for cell in read[plain]]
    return (
        [np.frombuffer(b"".join(cells), dtype=">i8").astype(np.int64) for cells in read[:plain]],
        [_unpacked(cells) for cells in read[plain:]],
        offsets_of(np.array(counts, dtype=np.int64)),
    )


def _unpacked(cells: list[bytes]) -> IntArray:
    values = b"".join([cell[_HEADER_BYTES:] for cell in cells])
    return np.frombuffer(values, dtype=_ELEMENT)["value"].astype(np.int64)
