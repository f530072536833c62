"""Specifications: what they say, and how a bad one is refused."""

from __future__ import annotations

import pytest

from risk.core.errors import ColumnRefused, SpecRefused
from risk.core.reading import read_table
from risk.core.spec import DataSpec, Kind, spec_from_mapping, spec_from_toml
from risk.core.table import TextColumn
from risk.core.toml_values import parse_toml
from risk.specs import spec_text
from tests.risk.examples import LENDING_CLUB, REPOSITORY, SPEC

HEADER = ("amount", "term", "income", "searches", "home", "town", "sex", "price")


def test_reads_the_invented_specification(spec: DataSpec) -> None:
    assert (spec.outcome_column, spec.outcome_months) == ("outcome", 24)
    assert (spec.bad_values, spec.good_values) == (("bad",), ("good",))
    assert dict(spec.term_months) == {"short": 36, "long": 60}
    assert spec.column("income").kind is Kind.NUMBER
    assert spec.column("home").levels == {"rents": "rented", "owns": "owned"}
    assert spec.column("never heard of").words == "never heard of"


def test_survives_storage_as_json(spec: DataSpec) -> None:
    assert spec_from_mapping(parse_toml(SPEC)) == spec


def test_inputs_leave_out_prices_protected_and_set_aside_columns(spec: DataSpec) -> None:
    assert spec.input_columns(HEADER) == ("amount", "term", "income", "searches", "home")
    assert spec.input_columns(HEADER, ["town", "income"]) == ("town", "income")


@pytest.mark.parametrize(
    ("column", "said"),
    [
        ("price", "a price"),
        ("sex", "a protected attribute"),
        ("outcome", "the outcome"),
        ("shoe_size", "no column"),
    ],
)
def test_a_column_that_may_not_be_an_input_is_refused(
    spec: DataSpec, column: str, said: str
) -> None:
    with pytest.raises(ColumnRefused, match=said) as refused:
        spec.input_columns(HEADER, ["income", column])
    assert refused.value.field == column


def test_lending_club_refuses_its_price_columns(lending_club_spec: DataSpec) -> None:
    assert lending_club_spec.price_columns == ("int_rate", "sub_grade")
    for column in lending_club_spec.price_columns:
        with pytest.raises(ColumnRefused):
            lending_club_spec.input_columns(["int_rate", "sub_grade"], [column])


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ('name = "Invented loans"', "name = 3", "name"),
        ('column = "outcome"\n', "", "outcome.column"),
        ("months = 24", 'months = "two years"', "outcome.months"),
        ("months = 24", "months = 0", "outcome.months"),
        ('bad = "bad"', 'bad = "good"', "outcome.bad"),
        ("short = 36", "short = -1", "term.months.short"),
        ('price = ["price"]', 'price = "price"', "refused.price"),
        ('price = ["price"]', 'price = ["amount"]', "amount"),
        ("least = 1\n", 'least = "one"\n', "columns.amount.least"),
        ('kind = "number"', 'kind = "colour"', "columns.amount.kind"),
        ('bad = "bad"\n', "", "outcome.bad"),
        ('bad = "bad"', "bad = []", "outcome.bad"),
        ('bad = "bad"', 'bad = { is = "bad" }', "outcome.bad"),
        ('bad = "bad"\ngood = "good"', 'bad = [1, 2]\ngood = ["0", "1.0"]', "outcome.bad"),
        ("months = 24", 'months = 24\nmissing_outcome = "guess"', "outcome.missing_outcome"),
        ("[refused]", "[refussed]", "refussed"),
        ('price = ["price"]', 'prices = ["price"]', "refused.prices"),
        ("least = 1\n", "least = 200_000\n", "columns.amount.least"),
        ("least = 1\n", 'least = 1\noutside = "guess"\n', "columns.amount.outside"),
        ('words = "home"', 'words = "home"\noutside = "clip"', "columns.home.outside"),
        ('words = "home"', 'words = "home"\nleast = 1', "columns.home.kind"),
        ("[set_aside]", "[inputs]\ncolumns = []\n[set_aside]", "inputs.columns"),
        ("[set_aside]", '[inputs]\ncolumns = ["town"]\n[set_aside]', "inputs.columns"),
        ("[set_aside]", '[time]\ncolumn = "outcome"\n[set_aside]', "time.column"),
        ("[set_aside]", '[leaks.override]\nincome = ""\n[set_aside]', "leaks.override.income"),
        ("[set_aside]", '[reading]\nencoding = "ebcdic"\n[set_aside]', "reading.encoding"),
        ("[set_aside]", '[reading]\ndelimiter = "::"\n[set_aside]', "reading.delimiter"),
        ("[set_aside]", '[reading]\nduplicates = "hide"\n[set_aside]', "reading.duplicates"),
    ],
)
def test_a_bad_specification_is_refused_by_place(old: str, new: str, field: str) -> None:
    with pytest.raises(SpecRefused) as refused:
        spec_from_toml(SPEC.replace(old, new, 1))
    assert refused.value.field == field


def test_two_lines_are_enough() -> None:
    spec = spec_from_toml('[outcome]\ncolumn = "default"\nbad = 1\n')
    assert (spec.name, spec.outcome_months, spec.good_values) == (None, 12, ())
    assert spec.required_columns() == ("default",)
    assert spec.input_columns(["default", "age", "income"]) == ("age", "income")


def test_every_column_that_is_named_must_be_in_the_file() -> None:
    text = SPEC + '\n[time]\ncolumn = "year"\n[leaks.override]\nhint = "known before"\n'
    asked = spec_from_toml(text + '[inputs]\ncolumns = ["income", "extra"]\n')
    named = {"outcome", "year", "hint", "extra", "price", "sex", "town", *HEADER}
    assert set(asked.required_columns()) == named
    assert asked.leak_reasons == {"hint": "known before"}


def test_the_time_is_never_an_input() -> None:
    spec = spec_from_toml(SPEC + '\n[time]\ncolumn = "year"\n')
    header = (*HEADER, "year")
    assert "year" not in spec.input_columns(header)
    with pytest.raises(ColumnRefused, match="time"):
        spec.input_columns(header, ["year"])


def test_the_columns_asked_for_are_the_inputs() -> None:
    spec = spec_from_toml(SPEC + '\n[inputs]\ncolumns = ["income", "home"]\n')
    assert spec.input_columns(HEADER) == ("income", "home")
    assert spec.input_columns(HEADER, ["searches"]) == ("searches",)


@pytest.mark.parametrize("column", ["price", "sex", "outcome"])
def test_a_specification_can_not_ask_for_a_barred_column(column: str) -> None:
    with pytest.raises(ColumnRefused) as refused:
        spec_from_toml(SPEC + f'\n[inputs]\ncolumns = ["income", "{column}"]\n')
    assert refused.value.field == column


@pytest.mark.parametrize("name", ["lending_club_2016q1", "german_credit"])
def test_the_specifications_beside_the_data_fit_it(name: str) -> None:
    content = (LENDING_CLUB.parent / f"{name}.csv").read_bytes()
    spec = spec_from_toml(spec_text(name))
    table = read_table(content, f"{name}.csv", spec)
    assert table.notes == ()
    for column, values in table.columns.items():
        words = spec.column(column)
        assert words.words != column
        if isinstance(values, TextColumn) and words.levels:
            assert set(values.levels) == set(words.levels)
    inputs = spec.input_columns(table.columns)
    assert not set(inputs) & {*spec.price_columns, *spec.protected_columns}


def test_the_examples_of_the_documentation_can_be_used() -> None:
    page = (REPOSITORY / "docs" / "specification.md").read_text(encoding="utf-8")
    shortest, longest = (
        spec_from_toml(part.partition("```")[0]) for part in page.split("```toml\n")[1:]
    )
    table = read_table(b"sex,age,default\nf,30,0\nm,40,1\n", "f.csv", shortest)
    assert shortest.input_columns(table.columns) == ("age",)
    assert (longest.time_column, longest.reading.decimal) == ("issued", ",")


def test_what_is_not_toml_is_refused() -> None:
    with pytest.raises(SpecRefused, match="not TOML"):
        spec_from_toml("= nothing")


def test_an_unknown_specification_is_not_found() -> None:
    with pytest.raises(FileNotFoundError):
        spec_text("nobody_knows")
