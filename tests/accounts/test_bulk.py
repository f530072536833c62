"""Columns in and out of the database in bulk: what goes in comes out, and nothing else passes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from django.db import connection
from django.db.utils import DatabaseError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.core.posting import IntArray
from accounts.selectors.bulk import fetch_columns
from accounts.services.bulk import Packed, copy_rows, encode_rows

_ROW = st.tuples(
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-(2**31), 2**31 - 1),
    st.integers(-(2**15), 2**15 - 1),
    st.booleans(),
    st.dates(),
)


@pytest.fixture
def table(db: None) -> str:
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TEMP TABLE bulk_trial (big bigint, middle integer, small smallint,"
            " flag boolean, day date) ON COMMIT DROP"
        )
    return "bulk_trial"


@given(rows=st.lists(_ROW, max_size=30))
@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_what_is_copied_in_is_read_back(table: str, rows: list[tuple[Any, ...]]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM {table}")
    types: list[Any] = [np.int64, np.int32, np.int16, np.bool_, "datetime64[D]"]
    columns = [np.array([row[place] for row in rows], dtype=t) for place, t in enumerate(types)]
    names = ["big", "middle", "small", "flag", "day"]
    assert copy_rows(connection, table, dict(zip(names, columns, strict=True))) == len(rows)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {table} ORDER BY ctid")
        assert cursor.fetchall() == rows
    big, middle = fetch_columns(
        f"SELECT big, middle::bigint FROM {table} WHERE small >= %s ORDER BY ctid", [-(2**15)], 2
    )
    assert big.tolist() == [row[0] for row in rows]
    assert middle.tolist() == [row[1] for row in rows]


def test_columns_keep_the_order_asked_for(table: str) -> None:
    copy_rows(connection, table, {"big": np.array([3, 1, 2])})
    assert fetch_columns(f"SELECT big FROM {table} ORDER BY big DESC", [], 1)[0].tolist() == [
        3,
        2,
        1,
    ]


def test_nulls_and_other_types_are_refused(table: str) -> None:
    copy_rows(connection, table, {"middle": np.array([7], dtype=np.int32)})
    with pytest.raises(ValueError, match="bigints"):
        fetch_columns(f"SELECT big FROM {table}", [], 1)
    with pytest.raises(ValueError, match="bigints"):
        fetch_columns(f"SELECT middle FROM {table}", [], 1)


def test_a_wrong_query_is_djangos_error(table: str) -> None:
    with pytest.raises(DatabaseError):
        fetch_columns(f"SELECT nothing FROM {table}", [], 1)


@pytest.mark.parametrize("column", [np.array([1.5]), np.array(["a"]), np.array([1], dtype="u8")])
def test_floats_and_texts_are_no_columns(column: Any) -> None:
    with pytest.raises(TypeError):
        encode_rows({"a": column})


def test_columns_of_unequal_length_are_refused() -> None:
    with pytest.raises(ValueError, match="one length"):
        encode_rows({"a": np.array([1]), "b": np.array([1, 2])})


_ARRAYS = st.lists(
    st.tuples(
        st.integers(-(2**63), 2**63 - 1),
        st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=8),
        st.lists(st.integers(0, 9), min_size=1, max_size=3),
    ),
    max_size=20,
)


def _packed(arrays: list[list[int]]) -> Packed:
    values = np.array([value for array in arrays for value in array], dtype=np.int64)
    lengths = np.array([len(array) for array in arrays], dtype=np.int64)
    return Packed(values, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))


@given(rows=_ARRAYS)
@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_arrays_of_any_lengths_are_read_back(
    db: None, rows: list[tuple[int, list[int], list[int]]]
) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TEMP TABLE IF NOT EXISTS packed_trial (n bigint, a bigint[],"
            " b bigint[]) ON COMMIT DROP"
        )
        cursor.execute("DELETE FROM packed_trial")
    columns: dict[str, IntArray | Packed] = {
        "n": np.array([row[0] for row in rows], dtype=np.int64),
        "a": _packed([row[1] for row in rows]),
        "b": _packed([row[2] for row in rows]),
    }
    assert copy_rows(connection, "packed_trial", columns) == len(rows)
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM packed_trial ORDER BY ctid")
        assert cursor.fetchall() == rows


def test_more_rows_with_arrays_than_are_encoded_together(db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE packed_trial (n bigint, a bigint[]) ON COMMIT DROP")
    number = np.arange(1_200)
    arrays = [[each, -each] if each % 2 else [each] for each in number.tolist()]
    copy_rows(connection, "packed_trial", {"n": number, "a": _packed(arrays)})
    with connection.cursor() as cursor:
        cursor.execute("SELECT a FROM packed_trial ORDER BY n")
        assert [row[0] for row in cursor.fetchall()] == arrays


def test_packed_columns_that_can_not_be_copied_are_refused() -> None:
    one = Packed(np.array([1, 2]), np.array([0, 2]))
    with pytest.raises(ValueError, match="last"):
        encode_rows({"a": one, "n": np.array([1])})
    with pytest.raises(ValueError, match="one length"):
        encode_rows({"n": np.array([1, 2]), "a": one})
    for offsets in ([0, 0, 2], [0, 1], [1, 2]):
        with pytest.raises(ValueError, match="value each"):
            encode_rows({"a": Packed(np.array([1, 2]), np.array(offsets))})
    with pytest.raises(TypeError):
        encode_rows({"a": Packed(np.array([1.5]), np.array([0, 1]))})
