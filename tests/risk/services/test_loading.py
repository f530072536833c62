"""Loading a data set: all or nothing, once, in a fixed number of statements."""

from __future__ import annotations

import pytest
from pytest_django import DjangoAssertNumQueries

from risk.core.errors import ColumnRefused, DataRefused, OutcomeRefused, SpecRefused
from risk.core.reading import read_table
from risk.core.spec import DataSpec
from risk.models import DataSet, PastApplication
from risk.selectors.past_applications import data_table
from risk.services.loading import load_data_set
from tests.risk.conftest import ON
from tests.risk.examples import FIRST, SECOND, SPEC, csv_bytes, invented_csv

pytestmark = pytest.mark.django_db


def _load(content: bytes, spec_text: str = SPEC) -> DataSet:
    return load_data_set(
        content=content, file_name="loans.csv", spec_text=spec_text, name="Loans", on=ON
    )


def test_stores_rows_by_line_with_facts_and_outcome() -> None:
    data_set = _load(csv_bytes(FIRST, SECOND))
    rows = PastApplication.objects.filter(data_set=data_set).order_by("row_number")
    assert [(row.row_number, row.is_bad) for row in rows] == [(2, False), (3, True)]
    assert rows[0].facts["income"] == 24_000
    assert rows[0].facts["home"] == "owns"
    assert "outcome" not in rows[0].facts
    assert (data_set.row_count, data_set.columns[0]) == (2, "amount")


def test_the_stored_table_is_the_one_in_the_file(data_set: DataSet, spec: DataSpec) -> None:
    stored, read = data_table(data_set), read_table(invented_csv(), "invented.csv", spec)
    assert list(stored.facts()) == list(read.facts())
    assert list(stored.columns) == list(read.columns)
    assert stored.rows.tolist() == read.rows.tolist()
    assert stored.is_bad is not None
    assert read.is_bad is not None
    assert stored.is_bad.tolist() == read.is_bad.tolist()


def test_the_same_file_is_loaded_once(data_set: DataSet) -> None:
    again = load_data_set(
        content=invented_csv(), file_name="x.csv", spec_text=SPEC, name="Other name", on=ON
    )
    assert again == data_set
    assert PastApplication.objects.filter(data_set=again).count() == data_set.row_count


def test_the_same_file_under_another_specification_is_another_data_set(
    data_set: DataSet,
) -> None:
    other = _load(invented_csv(), SPEC.replace("months = 24", "months = 12", 1))
    assert other != data_set
    assert other.file_digest == data_set.file_digest


def test_nothing_of_a_bad_file_is_loaded() -> None:
    before = DataSet.objects.count(), PastApplication.objects.count()
    with pytest.raises(DataRefused, match=r"loans\.csv, row 3, column income"):
        _load(csv_bytes(FIRST, SECOND.replace("18000", "lots")))
    with pytest.raises(SpecRefused):
        _load(csv_bytes(FIRST, SECOND), "name = 1")
    assert (DataSet.objects.count(), PastApplication.objects.count()) == before


def test_statements_do_not_grow_with_rows(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    for content in (csv_bytes(FIRST, SECOND), invented_csv(400)):
        # Savepoints aside: look for it, insert it; the COPY is one more.
        with django_assert_num_queries(6):
            _load(content)


def test_progress_is_told_to_the_end() -> None:
    told: list[tuple[int, int]] = []
    load_data_set(
        content=invented_csv(1_200),
        file_name="loans.csv",
        spec_text=SPEC,
        name="Loans",
        on=ON,
        progress=lambda done, total: told.append((done, total)),
    )
    assert told == [(500, 1_200), (1_000, 1_200), (1_200, 1_200)]


def test_what_reading_had_to_do_is_kept() -> None:
    table = b",a,y\n1,5,0\n2,inf,1\n3,7,0\n"
    data_set = load_data_set(
        content=table,
        file_name="folder/loans 2020.csv",
        spec_text='[outcome]\ncolumn = "y"\nbad = 1\n',
        on=ON,
    )
    data_set.refresh_from_db()
    assert (data_set.name, data_set.columns, data_set.row_count) == ("loans 2020", ["a"], 3)
    assert [note.partition(":")[0] for note in data_set.notes] == [
        "The first column has no name and numbers the rows",
        "a",
    ]
    assert [row["a"] for row in data_table(data_set).facts()] == [5, None, 7]


def test_the_specification_names_the_data_set_unless_the_caller_does() -> None:
    for name, expected in ((None, "Invented loans"), ("Mine", "Mine"), ("x" * 300, "x" * 200)):
        spec_text = SPEC + f'\n[reading]\nmissing = ["{expected}"]\n'
        data_set = load_data_set(
            content=csv_bytes(FIRST, SECOND),
            file_name="loans.csv",
            spec_text=spec_text,
            name=name,
            on=ON,
        )
        assert data_set.name == expected


def test_one_class_or_a_barred_input_loads_nothing() -> None:
    before = DataSet.objects.count(), PastApplication.objects.count()
    with pytest.raises(OutcomeRefused):
        _load(csv_bytes(FIRST))
    with pytest.raises(ColumnRefused):
        _load(csv_bytes(FIRST, SECOND), SPEC + '\n[inputs]\ncolumns = ["sex"]\n')
    assert (DataSet.objects.count(), PastApplication.objects.count()) == before


def test_rows_added_afterwards_are_noticed(data_set: DataSet) -> None:
    PastApplication.objects.create(data_set=data_set, row_number=99_999, facts={}, is_bad=True)
    with pytest.raises(DataRefused, match="901 rows, and 900 were loaded"):
        data_table(data_set)
