"""Files of past applications: what is read, and each way in which a bad one is refused."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk.core.errors import DataRefused
from risk.core.reading import read_table
from risk.core.spec import DataSpec, spec_from_toml
from risk.core.table import NumberColumn, TextColumn, table_from_facts
from tests.risk.examples import FIRST, HEADER, SECOND, SPEC, csv_bytes


def test_reads_numbers_text_missing_values_and_outcomes(spec: DataSpec) -> None:
    third = "3000,short,,1,,Leeds,f,8,bad"
    table = read_table(csv_bytes(FIRST, SECOND, third), "loans.csv", spec)
    income, home = table.columns["income"], table.columns["home"]
    assert isinstance(income, NumberColumn)
    assert isinstance(home, TextColumn)
    assert income.values[:2].tolist() == [24_000.0, 18_000.0]
    assert math.isnan(income.values[2])
    assert (home.levels, home.codes.tolist()) == (("owns", "rents"), [0, 1, -1])
    assert table.rows.tolist() == [2, 3, 4]
    assert table.is_bad is not None
    assert table.is_bad.tolist() == [False, True, True]
    assert "outcome" not in table.columns


def test_the_columns_of_a_table_can_not_be_written_to(spec: DataSpec) -> None:
    table = read_table(csv_bytes(FIRST, SECOND), "loans.csv", spec)
    column = table.columns["amount"]
    assert isinstance(column, NumberColumn)
    with pytest.raises(ValueError, match="read-only"):
        column.values[0] = 5.0


def test_facts_make_the_same_table_again(spec: DataSpec) -> None:
    third = "3000.5,short,,1,,Leeds,f,8,bad"
    table = read_table(csv_bytes(FIRST, SECOND, third), "loans.csv", spec)
    facts = list(table.facts())
    assert facts[2] == {
        "amount": 3000.5,
        "term": "short",
        "income": None,
        "searches": 1,
        "home": None,
        "town": "Leeds",
        "sex": "f",
        "price": 8,
    }
    again = table_from_facts(facts, {name: spec.column(name).kind for name in table.columns})
    assert list(again.facts()) == facts


def test_accepts_windows_line_ends_a_byte_order_mark_and_blank_lines(spec: DataSpec) -> None:
    content = b"\xef\xbb\xbf" + f"{HEADER}\r\n{FIRST}\r\n\r\n{SECOND}\r\n".encode()
    assert read_table(content, "loans.csv", spec).rows.tolist() == [2, 4]


def test_the_real_file_loads(lending_club_spec: DataSpec) -> None:
    from tests.risk.examples import LENDING_CLUB

    table = read_table(LENDING_CLUB.read_bytes(), LENDING_CLUB.name, lending_club_spec)
    assert len(table) == 9_857
    assert table.is_bad is not None
    assert int(table.is_bad.sum()) == 517


BAD_FILES = [
    ("empty", b"", 1, None, "empty"),
    ("only blank lines", b"\n\n  \n", 1, None, "empty"),
    ("no rows", csv_bytes(), 1, None, "no row"),
    ("zero bytes", csv_bytes(FIRST, "a\0b"), 3, None, "not text"),
    ("a picture", b"\x89PNG\r\n\x1a\n\xff\xfe", 1, None, "not text"),
    ("another encoding", csv_bytes(FIRST) + "2,£,é\n".encode("latin-1"), 3, None, "not text"),
    (
        "a missing column",
        csv_bytes("1,2", header="amount,term"),
        1,
        "outcome",
        "the column is missing",
    ),
    ("a repeated column", csv_bytes(FIRST, header=HEADER + ",amount"), 1, "amount", "twice"),
    ("a column without a name", csv_bytes(FIRST, header=HEADER + ","), 1, None, "no name"),
    ("a short row", csv_bytes(FIRST, "5,short"), 3, "income", "2 values"),
    ("a long row", csv_bytes(FIRST, SECOND + ",1"), 3, "outcome", "10 values"),
    ("an open quote", csv_bytes(FIRST, '"2,3'), 3, None, "not CSV"),
    (
        "a word where a number belongs",
        csv_bytes(FIRST, SECOND.replace("18000", "lots")),
        3,
        "income",
        "'lots' is not a number",
    ),
    ("no number", csv_bytes(SECOND.replace("18000", "nan")), 2, "income", "'nan'"),
    ("infinity", csv_bytes(SECOND.replace("18000", "inf")), 2, "income", "'inf'"),
    ("a thousands mark", csv_bytes(SECOND.replace("18000", "18_000")), 2, "income", "18_000"),
    ("a negative amount", csv_bytes(FIRST.replace("1000", "-1000", 1)), 2, "amount", "sane"),
    ("an absurd amount", csv_bytes(FIRST, SECOND.replace("2000", "9e9")), 3, "amount", "sane"),
    ("an absurd price", csv_bytes(SECOND.replace("12.5", "1e13")), 2, "price", "sane"),
    ("an unknown term", csv_bytes(SECOND.replace("long", "48")), 2, "term", "not a term"),
    ("an unknown outcome", csv_bytes(FIRST.replace("good", "fine")), 2, "outcome", "'fine'"),
    ("a missing outcome", csv_bytes(FIRST.replace("good", "")), 2, "outcome", "missing"),
    ("a duplicate row", csv_bytes(FIRST, SECOND, FIRST), 4, "amount", "same as row 2"),
]


@pytest.mark.parametrize(
    ("content", "row", "column", "said"),
    [case[1:] for case in BAD_FILES],
    ids=[case[0] for case in BAD_FILES],
)
def test_a_bad_file_is_refused_by_file_row_and_column(
    spec: DataSpec, content: bytes, row: int, column: str | None, said: str
) -> None:
    with pytest.raises(DataRefused, match=said) as refused:
        read_table(content, "loans.csv", spec)
    message = refused.value.message
    assert message.startswith(f"loans.csv, row {row}")
    assert (refused.value.file, refused.value.row) == ("loans.csv", row)
    if column is not None:
        assert f"column {column}" in message
    assert "\n" not in message


def test_the_first_bad_row_is_the_one_named(spec: DataSpec) -> None:
    content = csv_bytes(FIRST.replace("good", "fine"), SECOND.replace("2000", "lots"))
    with pytest.raises(DataRefused, match="'fine'"):
        read_table(content, "loans.csv", spec)


@given(st.binary(max_size=200))
def test_any_bytes_give_a_table_or_a_refusal(content: bytes) -> None:
    spec = spec_from_toml(SPEC)
    for file in (content, csv_bytes(FIRST) + content):
        said = ""
        try:
            said = f"loans.csv, row {len(read_table(file, 'loans.csv', spec))}"
        except DataRefused as refused:
            said = refused.message
        assert said.startswith("loans.csv, row ")
