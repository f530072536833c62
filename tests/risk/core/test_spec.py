"""Specifications: what they say, and how a bad one is refused."""

from __future__ import annotations

import pytest

from risk.core.errors import ColumnRefused, SpecRefused
from risk.core.spec import DataSpec, Kind, spec_from_mapping, spec_from_toml
from risk.core.toml_values import parse_toml
from risk.specs import spec_text
from tests.risk.examples import SPEC

HEADER = ("amount", "term", "income", "searches", "home", "town", "sex", "price")


def test_reads_the_invented_specification(spec: DataSpec) -> None:
    assert (spec.outcome_column, spec.bad_value, spec.outcome_months) == ("outcome", "bad", 24)
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
        ('kind = "number"', 'kind = "colour"', "columns.amount"),
    ],
)
def test_a_bad_specification_is_refused_by_place(old: str, new: str, field: str) -> None:
    with pytest.raises(SpecRefused) as refused:
        spec_from_toml(SPEC.replace(old, new, 1))
    assert refused.value.field == field


def test_what_is_not_toml_is_refused() -> None:
    with pytest.raises(SpecRefused, match="not TOML"):
        spec_from_toml("= nothing")


def test_an_unknown_specification_is_not_found() -> None:
    with pytest.raises(FileNotFoundError):
        spec_text("nobody_knows")
