"""What the columns of a table of applications mean: a small TOML beside the data, typed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType

from risk.core.errors import ColumnRefused, SpecRefused
from risk.core.toml_values import (
    Values,
    optional_number,
    optional_text,
    parse_toml,
    section,
    text,
    texts,
    whole,
)

LONGEST_MONTHS = 480


class Kind(Enum):
    """What a column holds."""

    NUMBER = "number"
    TEXT = "text"


class Direction(Enum):
    """How the risk moves as the value of a numeric column rises."""

    RISING = "rising"
    FALLING = "falling"


@dataclass(frozen=True, slots=True)
class ColumnSpec:
    """One column: ``words`` is a noun phrase read after "The"; outside the bounds is absurd."""

    name: str
    words: str
    kind: Kind | None = None
    least: float | None = None
    most: float | None = None
    direction: Direction | None = None
    levels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class IncomeSpec:
    """The column of income, and the number of months that it is the income of."""

    column: str
    months: int


@dataclass(frozen=True, slots=True)
class DataSpec:
    """A data set's meaning: its outcome, and which columns may be inputs of a model."""

    name: str
    outcome_column: str
    bad_value: str
    good_value: str
    outcome_months: int
    amount_column: str | None
    term_column: str | None
    term_months: Mapping[str, int]
    income: IncomeSpec | None
    price_columns: tuple[str, ...]
    protected_columns: tuple[str, ...]
    set_aside: tuple[str, ...]
    columns: Mapping[str, ColumnSpec]

    def column(self, name: str) -> ColumnSpec:
        """The column's specification; one that is not described speaks under its own name."""
        return self.columns.get(name) or ColumnSpec(name=name, words=name)

    def required_columns(self) -> tuple[str, ...]:
        """The columns that a file of this specification must have, outcome first."""
        named = [self.outcome_column, self.amount_column, self.term_column]
        income = [self.income.column] if self.income else []
        present = [name for name in [*named, *income, *self.columns] if name is not None]
        return tuple(dict.fromkeys(present))

    def input_columns(
        self, header: Iterable[str], asked: Iterable[str] | None = None
    ) -> tuple[str, ...]:
        """The columns of ``header`` that a model may use, or those ``asked`` for, all checked.

        Raises:
            ColumnRefused: for a price, protected, outcome or unknown column asked for.
        """
        present = list(header)
        refused = {
            **dict.fromkeys(self.price_columns, "a price that was set already"),
            **dict.fromkeys(self.protected_columns, "a protected attribute"),
            self.outcome_column: "the outcome itself",
        }
        if asked is None:
            aside = {*refused, *self.set_aside}
            return tuple(name for name in present if name not in aside)
        wanted = tuple(asked)
        for name in wanted:
            if name in refused:
                raise ColumnRefused(
                    f"{name} can't be an input of a model: it is {refused[name]}.", field=name
                )
            if name not in present:
                raise ColumnRefused(f"There is no column {name}.", field=name)
        return wanted


def spec_from_toml(toml_text: str) -> DataSpec:
    """Read a specification from TOML text.

    Raises:
        SpecRefused: when it is not TOML, or a value is missing or can't be used.
    """
    return spec_from_mapping(parse_toml(toml_text))


def spec_from_mapping(values: Values) -> DataSpec:
    """Read a specification from parsed TOML (or the JSON that it was stored as).

    Raises:
        SpecRefused: when a value is missing or can't be used.
    """
    outcome = section(values, "outcome")
    term = section(values, "term")
    refused = section(values, "refused")
    spec = DataSpec(
        name=text(values, "name"),
        outcome_column=text(outcome, "column", "outcome."),
        bad_value=text(outcome, "bad", "outcome."),
        good_value=text(outcome, "good", "outcome."),
        outcome_months=whole(outcome, "months", least=1, most=LONGEST_MONTHS, at="outcome."),
        amount_column=optional_text(section(values, "amount"), "column", "amount."),
        term_column=optional_text(term, "column", "term."),
        term_months=_term_months(term),
        income=_income(section(values, "income")),
        price_columns=texts(refused, "price", "refused."),
        protected_columns=texts(refused, "protected", "refused."),
        set_aside=texts(section(values, "set_aside"), "columns", "set_aside."),
        columns=MappingProxyType(_columns(section(values, "columns"))),
    )
    _check(spec)
    return spec


def _check(spec: DataSpec) -> None:
    if spec.bad_value == spec.good_value:
        raise SpecRefused("The bad and the good outcome are the same.", field="outcome.bad")
    barred = {*spec.price_columns, *spec.protected_columns, spec.outcome_column}
    for name in (spec.amount_column, spec.term_column):
        if name in barred:
            raise SpecRefused(
                f"{name} is both refused and the application's own amount or term.", field=name
            )


def _term_months(term: Values) -> Mapping[str, int]:
    months = section(term, "months", "term.")
    return MappingProxyType(
        {
            level: whole(months, level, least=1, most=LONGEST_MONTHS, at="term.months.")
            for level in months
        }
    )


def _income(values: Values) -> IncomeSpec | None:
    column = optional_text(values, "column", "income.")
    if column is None:
        return None
    return IncomeSpec(column, whole(values, "months", least=1, most=12, at="income."))


def _columns(values: Values) -> dict[str, ColumnSpec]:
    found: dict[str, ColumnSpec] = {}
    for name in values:
        at = f"columns.{name}."
        entry = section(values, name, "columns.")
        levels = section(entry, "levels", at)
        kind = optional_text(entry, "kind", at)
        direction = optional_text(entry, "direction", at)
        try:
            found[name] = ColumnSpec(
                name=name,
                words=optional_text(entry, "words", at) or name,
                kind=Kind(kind) if kind else None,
                least=optional_number(entry, "least", at),
                most=optional_number(entry, "most", at),
                direction=Direction(direction) if direction else None,
                levels=MappingProxyType({key: text(levels, key, at) for key in levels}),
            )
        except ValueError as error:
            raise SpecRefused(f"{at}kind or direction: {error}.", field=at.rstrip(".")) from error
    return found
