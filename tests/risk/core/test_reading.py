"""Files of past applications: what is read, and each way in which a bad one is refused."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk.core.errors import DataRefused, FactsRefused, OutcomeRefused
from risk.core.numerals import number_of, numbers_of
from risk.core.reading import read_applications, read_table
from risk.core.spec import DataSpec, Kind, spec_from_toml
from risk.core.table import (
    Fact,
    NumberColumn,
    Table,
    TextColumn,
    make_table,
    number_column,
    table_from_facts,
)
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
    ("infinity", csv_bytes(SECOND.replace("18000", "inf")), 2, "income", "'inf'"),
    ("a thousands mark", csv_bytes(SECOND.replace("18000", "18_000")), 2, "income", "18_000"),
    ("a negative amount", csv_bytes(FIRST.replace("1000", "-1000", 1)), 2, "amount", "sane"),
    ("an absurd amount", csv_bytes(FIRST, SECOND.replace("2000", "9e9")), 3, "amount", "sane"),
    ("an unknown term", csv_bytes(SECOND.replace("long", "48")), 2, "term", "not a term"),
    ("an unknown outcome", csv_bytes(FIRST.replace("good", "fine")), 2, "outcome", "'fine'"),
    ("a missing outcome", csv_bytes(FIRST.replace("good", "")), 2, "outcome", "missing"),
    ("a blank outcome", csv_bytes(FIRST.replace("good", " NA ")), 2, "outcome", "'NA'"),
    ("a short row among quotes", csv_bytes(FIRST, '"5",short'), 3, "income", "2 values"),
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


def _spec(more: str = "", outcome: str = "bad = 1") -> DataSpec:
    return spec_from_toml(f'[outcome]\ncolumn = "y"\n{outcome}\n{more}')


def _values(table: Table, name: str) -> list[float | None]:
    column = table.columns[name]
    assert isinstance(column, NumberColumn)
    return [None if math.isnan(value) else value for value in column.values.tolist()]


def _texts(table: Table, name: str) -> list[Fact]:
    column = table.columns[name]
    assert isinstance(column, TextColumn)
    return [column.fact(place) for place in range(len(table))]


def test_a_duplicate_row_is_refused_where_that_is_asked() -> None:
    content = csv_bytes(FIRST, SECOND, FIRST)
    spec = spec_from_toml(SPEC + '\n[reading]\nduplicates = "refuse"\n')
    with pytest.raises(DataRefused, match="same as row 2") as refused:
        read_table(content, "loans.csv", spec)
    assert (refused.value.row, refused.value.column) == (4, "amount to outcome")
    kept = read_table(content, "loans.csv", spec_from_toml(SPEC))
    assert len(kept) == 3
    assert kept.notes == (
        "Rows that are the same as an earlier one in every column, kept: 1, the first in row 4.",
    )


@pytest.mark.parametrize(
    "spec_more",
    [
        '[refused]\nprice = ["rate"]',
        '[refused]\nprotected = ["rate"]',
        '[set_aside]\ncolumns = ["rate"]',
        '[time]\ncolumn = "rate"',
        '[inputs]\ncolumns = ["rate"]',
        '[amount]\ncolumn = "rate"',
        '[columns.rate]\nwords = "rate"',
        '[leaks.override]\nrate = "known"',
    ],
)
def test_a_specification_that_names_no_column_of_the_file_is_refused(spec_more: str) -> None:
    with pytest.raises(DataRefused, match=r"missing\. The file has: a, y") as refused:
        read_table(b"a,y\n1,0\n2,1\n", "f.csv", _spec(spec_more))
    assert (refused.value.row, refused.value.column) == (1, "rate")


@pytest.mark.parametrize(
    ("outcome", "cells", "expected"),
    [
        ("bad = 1", ["1", "0", "1.0", " 1"], [True, False, True, True]),
        ('bad = "1.0"', ["1", "0", "2", "x"], [True, False, False, False]),
        ("bad = [1, 2]", ["1", "0", "2", "3"], [True, False, True, False]),
        ("bad = true\ngood = false", ["True", "FALSE", "true"], [True, False, True]),
        ('bad = ["late", "lost"]\ngood = "paid"', ["paid", "late", "lost"], [False, True, True]),
        ('bad = "-"\ngood = "+"', ["+", "-"], [False, True]),
        ('bad = "bad"', ["Bad", "bad"], [False, True]),
    ],
)
def test_outcomes_are_compared_by_value(
    outcome: str, cells: list[str], expected: list[bool]
) -> None:
    lines = "".join(f"{number},{cell}\n" for number, cell in enumerate(cells))
    table = read_table(f"a,y\n{lines}".encode(), "f.csv", _spec(outcome=outcome))
    assert table.is_bad is not None
    assert table.is_bad.tolist() == expected


def test_rows_without_an_outcome_are_left_out_where_that_is_asked() -> None:
    content = b"a,b,y\n5,x,1\n6,odd,\n7,x,0\n8,rare,NA\n9,z,0\n"
    with pytest.raises(DataRefused, match='missing_outcome = "drop"') as refused:
        read_table(content, "f.csv", _spec())
    assert refused.value.row == 3
    table = read_table(content, "f.csv", _spec(outcome='bad = 1\nmissing_outcome = "drop"'))
    assert table.rows.tolist() == [2, 4, 6]
    assert _values(table, "a") == [5, 7, 9]
    column = table.columns["b"]
    assert isinstance(column, TextColumn)
    assert column.levels == ("x", "z")
    assert table.notes == ("y: rows without an outcome, left out: 2.",)


def test_one_class_only_is_refused_with_what_was_found() -> None:
    with pytest.raises(OutcomeRefused, match=r"good.*'0' \(2 rows\), '2' \(1 rows\)"):
        read_table(b"a,y\n1,0\n2,2\n3,0\n", "f.csv", _spec())
    with pytest.raises(OutcomeRefused, match="every outcome is bad"):
        read_table(b"a,y\n1,1\n2,1\n", "f.csv", _spec())


def test_marks_of_missing_values_are_missing_and_can_be_others() -> None:
    content = b"a,b,y\n1,x,0\nNA, ? ,1\n-,,0\n 4 ,None,1\nnan,unknown,0\n"
    table = read_table(content, "f.csv", _spec())
    assert _values(table, "a") == [1, None, None, 4, None]
    assert _texts(table, "b") == ["x", None, None, None, "unknown"]
    own = read_table(content, "f.csv", _spec('[reading]\nmissing = ["unknown", "-", "nan", "NA"]'))
    assert _texts(own, "b") == ["x", "?", None, "None", None]


# 100 known values: 5 words are 5 %, 6 are more.
@pytest.mark.parametrize(("words", "kind"), [(5, Kind.NUMBER), (6, Kind.TEXT)])
def test_a_few_words_among_numbers_are_missing(words: int, kind: Kind) -> None:
    cells = ["word"] * words + [str(number) for number in range(100 - words)] + [""] * 50
    lines = "".join(f"{cell},{place % 2}\n" for place, cell in enumerate(cells))
    table = read_table(f"a,y\n{lines}".encode(), "f.csv", _spec())
    if kind is Kind.NUMBER:
        assert _values(table, "a")[:7] == [None] * 5 + [0, 1]
        assert "counted as missing: 5 of 100 values ('word')" in " ".join(table.notes)
    else:
        assert _texts(table, "a")[5:8] == ["word", "0", "1"]
    dated = read_table(f"a,y\n{lines}".encode(), "f.csv", _spec('[time]\ncolumn = "a"'))
    assert _texts(dated, "a")[0] == "word"


@pytest.mark.parametrize(
    ("cell", "decimal", "value"),
    [
        ("1e5", ".", 100_000.0),
        ("1,234.5", ".", 1_234.5),
        ("-1,234,567", ".", -1_234_567.0),
        ("$1,234.50", ".", 1_234.5),
        ("-£5", ".", -5.0),
        ("€ 7", ".", 7.0),
        ("13.5%", ".", 13.5),
        ("13.5 %", ".", 13.5),
        ("13,5", ",", 13.5),
        ("1.234,5", ",", 1_234.5),
        (".5", ".", 0.5),
        ("-Infinity", ".", -math.inf),
        ("12,34", ".", None),
        ("1.5", ",", None),
        ("-$-5", ".", None),
        ("18_000", ".", None),
        ("1e", ".", None),
        ("\u0661", ".", None),
        ("36 months", ".", None),
    ],
)
def test_numbers_as_they_are_written(cell: str, decimal: str, value: float | None) -> None:
    assert number_of(cell, decimal) == value


@given(
    st.lists(
        st.one_of(
            st.floats(allow_nan=False, allow_infinity=False).map(repr),
            st.integers().map(str),
            st.text("0123456789+-.eE, %$_n\n", min_size=1, max_size=6).map(str.strip),
        ).filter(bool),
        max_size=8,
    )
)
def test_many_numbers_are_read_as_one_by_one(texts: list[str]) -> None:
    values, is_number = numbers_of(texts)
    alone = [number_of(text) for text in texts]
    assert is_number.tolist() == [value is not None for value in alone]
    assert values[is_number].tolist() == [value for value in alone if value is not None]


def test_absurd_values_are_missing_unless_bounds_are_stated() -> None:
    content = b"a,y\n5,0\ninf,1\n-1e13,0\n1e12,1\n1e999,0\n"
    table = read_table(content, "f.csv", _spec())
    assert _values(table, "a") == [5, None, None, 1e12, None]
    assert "counted as missing: 3" in table.notes[0]
    bounds = "[columns.a]\nleast = 0\nmost = 1e12\n"
    with pytest.raises(DataRefused, match="'inf' is not a sane value: expected 0 to") as refused:
        read_table(content, "f.csv", _spec(bounds))
    assert (refused.value.row, refused.value.column) == (3, "a")
    missing = read_table(content, "f.csv", _spec(bounds + 'outside = "missing"'))
    assert _values(missing, "a") == [5, None, None, 1e12, None]
    clipped = read_table(content, "f.csv", _spec(bounds + 'outside = "clip"'))
    assert _values(clipped, "a") == [5, 1e12, 0, 1e12, 1e12]
    assert "moved to the nearest bound: 3" in clipped.notes[0]


@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_finds_the_delimiter_when_the_header_has_no_comma(mark: str) -> None:
    content = f"a{mark}y{mark}t\n1,5{mark}0{mark}x, y\n2,25{mark}1{mark}z\n".encode()
    table = read_table(content, "f.csv", _spec('[reading]\ndecimal = ","'))
    assert _values(table, "a") == [1.5, 2.25]
    assert _texts(table, "t") == ["x, y", "z"]


def test_reads_other_encodings_when_told() -> None:
    content = "town,y\nKöln,0\nKöln,1\n"
    for encoding in ("latin-1", "windows-1252", "utf-16"):
        told = _spec(f'[reading]\nencoding = "{encoding}"')
        assert _texts(read_table(content.encode(encoding), "f.csv", told), "town") == ["Köln"] * 2
    with pytest.raises(DataRefused, match=r'encoding may be .*"latin-1"'):
        read_table(content.encode("latin-1"), "f.csv", _spec())


def test_a_nameless_index_is_left_out_and_another_nameless_column_refused() -> None:
    for first in ("", "Unnamed: 0"):
        table = read_table(f"{first},a,y\n7,5,0\n3,5,1\n".encode(), "f.csv", _spec())
        assert list(table.columns) == ["a"]
        assert "left out" in table.notes[0]
    with pytest.raises(DataRefused, match="column 1 has no name"):
        read_table(b",a,y\nx,5,0\n3,5,1\n", "f.csv", _spec())


def test_quotes_and_blank_lines_do_not_move_rows_or_change_cells() -> None:
    plain = b"a,t,y\n1,x,0\n 2 ,y z,1\n,,0\n"
    quoted = b'a,"t",y\r\n\r\n1, "x",0\r\n"2","y z",1\r\n"",,0\r\n'
    one, other = (read_table(content, "f.csv", _spec()) for content in (plain, quoted))
    assert list(one.facts()) == list(other.facts())
    assert (one.rows.tolist(), other.rows.tolist()) == ([2, 3, 4], [3, 4, 5])
    broken = b'a,t,y\n1,"two\nlines",0\n2,x,maybe\n'
    with pytest.raises(DataRefused, match="maybe") as refused:
        read_table(broken, "f.csv", _spec(outcome="bad = 1\ngood = 0"))
    assert refused.value.row == 4


def test_notes_tell_of_columns_that_say_nothing() -> None:
    lines = "".join(f"{place},p{place},7,,{place % 2}\n" for place in range(101))
    notes = read_table(f"id,code,same,none,y\n{lines}".encode(), "f.csv", _spec()).notes
    assert [note.partition(":")[0] for note in notes] == ["id", "code", "same", "none"]


def test_the_terms_of_a_column_of_numbers_are_its_texts() -> None:
    terms = '[term]\ncolumn = "t"\nmonths = { 36 = 36, 60 = 60 }'
    table = read_table(b"t,y\n36,0\n60,1\n", "f.csv", _spec(terms))
    assert _texts(table, "t") == ["36", "60"]


def test_applications_to_be_scored_are_not_judged_as_something_to_learn_from() -> None:
    """One value in every row, none, rising numbers and free text are all well for scoring."""
    header = b"same,none,number,text\n"
    rows = b"".join(b"7,,%d,word%d\n" % (n, n) for n in range(1, 201))
    kinds = {"same": Kind.NUMBER, "none": Kind.TEXT, "number": Kind.NUMBER, "text": Kind.TEXT}
    table = read_applications(header + rows, "f.csv", _spec(), kinds)
    assert table.notes == ()
    past = b"y,same,none,number,text\n" + b"".join(
        b"%d,7,,%d,word%d\n" % (n % 2, n, n) for n in range(1, 201)
    )
    told = read_table(past, "f.csv", _spec()).notes
    assert [note.split(":")[0] for note in told] == ["same", "none", "number", "text"]


def test_applications_are_read_without_an_outcome_by_the_kinds_of_training() -> None:
    kinds = {"a": Kind.NUMBER, "t": Kind.TEXT}
    table = read_applications(b"t,extra,a\n1,q,x\n2,q,5\n", "f.csv", _spec(), kinds)
    assert table.is_bad is None
    assert _values(table, "a") == [None, 5]
    assert _texts(table, "t") == ["1", "2"]
    with pytest.raises(DataRefused, match="the column is missing") as refused:
        read_applications(b"t\n1\n", "f.csv", _spec(), kinds)
    assert refused.value.column == "a"
    stated = _spec('[columns.a]\nkind = "number"')
    with pytest.raises(DataRefused, match="'x' is not a number"):
        read_applications(b"t,extra,a\n1,q,x\n2,q,5\n", "f.csv", stated, kinds)


def test_a_table_s_json_is_its_facts() -> None:
    content = 'a,t,y\n1.5,"quo""te é",0\n,,1\n1e20,x\\y,0\n'.encode()
    table = read_table(content, "f.csv", _spec("[columns.a]\nmost = 1e30"))
    assert [json.loads(text) for text in table.json_facts()] == list(table.facts())
    with pytest.raises(FactsRefused, match="can't be kept"):
        list(make_table({"a": number_column([math.inf])}).json_facts())


@given(st.binary(max_size=200))
def test_any_bytes_give_a_table_or_a_refusal(content: bytes) -> None:
    spec = spec_from_toml(SPEC)
    for file in (content, csv_bytes(FIRST) + content):
        said = ""
        try:
            said = f"loans.csv, row {len(read_table(file, 'loans.csv', spec))}"
        except DataRefused as refused:
            said = refused.message
        except OutcomeRefused as refused:
            said = refused.message.replace("column outcome", "row ")
        assert said.startswith("loans.csv, row ")
