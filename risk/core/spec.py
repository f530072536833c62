"""What the columns of a table of applications mean: a small TOML beside the data, typed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType

from risk.core.errors import ColumnRefused, SpecRefused
from risk.core.reading_spec import (
    MissingOutcome,
    OutcomeValue,
    ReadingSpec,
    outcome_keys,
    outcome_values,
    reading_spec,
)
from risk.core.toml_values import (
    Values,
    choice,
    only_keys,
    optional_number,
    optional_text,
    optional_texts,
    parse_toml,
    section,
    text,
    texts,
    whole,
)

LONGEST_MONTHS = 480
# How long an outcome is taken to cover when the specification doesn't say.
DEFAULT_MONTHS = 12

_SECTIONS = frozenset(
    {
        "name", "description", "outcome", "amount", "term", "income", "time", "refused",
        "set_aside", "inputs", "leaks", "reading", "columns",
    }
)  # fmt: skip


class Kind(Enum):
    """What a column holds."""

    NUMBER = "number"
    TEXT = "text"


class Direction(Enum):
    """How the risk moves as the value of a numeric column rises."""

    RISING = "rising"
    FALLING = "falling"


class Outside(Enum):
    """What happens to a number out of bounds: the file is refused, or the value is changed."""

    REFUSE = "refuse"
    MISSING = "missing"
    CLIP = "clip"


@dataclass(frozen=True, slots=True)
class ColumnSpec:
    """One column: ``words`` is a noun phrase read after "The"; outside the bounds is absurd.

    ``outside`` of none is to refuse where a bound is stated, else to count as missing.
    """

    name: str
    words: str
    kind: Kind | None = None
    least: float | None = None
    most: float | None = None
    direction: Direction | None = None
    levels: Mapping[str, str] = field(default_factory=dict)
    outside: Outside | None = None


@dataclass(frozen=True, slots=True)
class IncomeSpec:
    """The column of income, and the number of months that it is the income of."""

    column: str
    months: int


@dataclass(frozen=True, slots=True)
class DataSpec:
    """A data set's meaning: its outcome, and which columns may be inputs of a model.

    ``good_values`` is empty when every outcome that isn't bad is good. ``inputs`` are the columns
    asked for, none for all that may be inputs. ``leak_reasons`` say, by column, why an officer
    lets in what looks like a leak. ``time_column`` tells when, for results by time only.
    """

    name: str | None
    outcome_column: str
    bad_values: tuple[OutcomeValue, ...]
    good_values: tuple[OutcomeValue, ...]
    outcome_months: int
    drop_missing_outcome: bool
    amount_column: str | None
    term_column: str | None
    term_months: Mapping[str, int]
    income: IncomeSpec | None
    time_column: str | None
    price_columns: tuple[str, ...]
    protected_columns: tuple[str, ...]
    set_aside: tuple[str, ...]
    inputs: tuple[str, ...] | None
    leak_reasons: Mapping[str, str]
    reading: ReadingSpec
    columns: Mapping[str, ColumnSpec]

    def column(self, name: str) -> ColumnSpec:
        """The column's specification; one that is not described speaks under its own name."""
        return self.columns.get(name) or ColumnSpec(name=name, words=name)

    def required_columns(self) -> tuple[str, ...]:
        """Every column that is named anywhere here, so must be in a file; the outcome first."""
        single = [self.outcome_column, self.amount_column, self.term_column, self.time_column]
        named = [
            *single,
            *([self.income.column] if self.income else []),
            *self.price_columns,
            *self.protected_columns,
            *self.set_aside,
            *(self.inputs or ()),
            *self.leak_reasons,
            *self.columns,
        ]
        return tuple(dict.fromkeys(name for name in named if name is not None))

    def barred_columns(self) -> Mapping[str, str]:
        """The columns that can never be inputs, with the reason in words."""
        time = {self.time_column: "the time that results are shown by"} if self.time_column else {}
        return {
            **time,
            **dict.fromkeys(self.price_columns, "a price that was set already"),
            **dict.fromkeys(self.protected_columns, "a protected attribute"),
            self.outcome_column: "the outcome itself",
        }

    def input_columns(
        self, header: Iterable[str], asked: Iterable[str] | None = None
    ) -> tuple[str, ...]:
        """The columns of ``header`` that a model may use, or those ``asked`` for, all checked.

        Those that the specification asks for count where ``asked`` is none.

        Raises:
            ColumnRefused: for a price, protected, outcome, time or unknown column asked for.
        """
        present = list(header)
        barred = self.barred_columns()
        if asked is None and self.inputs is None:
            aside = {*barred, *self.set_aside}
            return tuple(name for name in present if name not in aside)
        wanted = tuple(dict.fromkeys((self.inputs or ()) if asked is None else asked))
        for name in wanted:
            if name in barred:
                raise ColumnRefused(
                    f"{name} can't be an input of a model: it is {barred[name]}.", field=name
                )
            if name not in present:
                raise ColumnRefused(f"There is no column {name}.", field=name)
        return wanted


def spec_from_toml(toml_text: str) -> DataSpec:
    """Read a specification from TOML text.

    Raises:
        SpecRefused: when it is not TOML, or a value is missing or can't be used.
        ColumnRefused: when it asks for a price, protected, outcome or time column as an input.
    """
    return spec_from_mapping(parse_toml(toml_text))


def spec_from_mapping(values: Values) -> DataSpec:
    """Read a specification from parsed TOML (or the JSON that it was stored as).

    Raises:
        SpecRefused: when a value is missing or can't be used, or a key is not known.
        ColumnRefused: when it asks for a price, protected, outcome or time column as an input.
    """
    only_keys(values, _SECTIONS)
    outcome = _part(values, "outcome", "column", "bad", "good", "months", "missing_outcome")
    term = _part(values, "term", "column", "months")
    refused = _part(values, "refused", "price", "protected")
    missing_outcome = choice(outcome, "missing_outcome", MissingOutcome, "outcome.")
    spec = DataSpec(
        name=optional_text(values, "name"),
        outcome_column=text(outcome, "column", "outcome."),
        bad_values=outcome_values(outcome, "bad"),
        good_values=outcome_values(outcome, "good") if "good" in outcome else (),
        outcome_months=_months(outcome),
        drop_missing_outcome=missing_outcome is MissingOutcome.DROP,
        amount_column=optional_text(_part(values, "amount", "column"), "column", "amount."),
        term_column=optional_text(term, "column", "term."),
        term_months=_term_months(term),
        income=_income(_part(values, "income", "column", "months")),
        time_column=optional_text(_part(values, "time", "column"), "column", "time."),
        price_columns=texts(refused, "price", "refused."),
        protected_columns=texts(refused, "protected", "refused."),
        set_aside=texts(_part(values, "set_aside", "columns"), "columns", "set_aside."),
        inputs=optional_texts(_part(values, "inputs", "columns"), "columns", "inputs."),
        leak_reasons=MappingProxyType(_leak_reasons(_part(values, "leaks", "override"))),
        reading=reading_spec(section(values, "reading")),
        columns=MappingProxyType(_columns(section(values, "columns"))),
    )
    _check(spec)
    return spec


def _part(values: Values, key: str, *accepted: str) -> Values:
    found = section(values, key)
    only_keys(found, accepted, f"{key}.")
    return found


def _check(spec: DataSpec) -> None:
    if outcome_keys(spec.bad_values) & outcome_keys(spec.good_values):
        raise SpecRefused("The bad and the good outcome are the same.", field="outcome.bad")
    barred = spec.barred_columns()
    for name in (spec.amount_column, spec.term_column):
        if name in barred:
            raise SpecRefused(
                f"{name} is both refused and the application's own amount or term.", field=name
            )
    if spec.time_column == spec.outcome_column:
        raise SpecRefused("The time can't be the outcome.", field="time.column")
    if spec.inputs is not None:
        if not spec.inputs:
            raise SpecRefused("inputs.columns names no column.", field="inputs.columns")
        spec.input_columns(spec.inputs)
        both = set(spec.inputs) & set(spec.set_aside)
        if both:
            raise SpecRefused(
                f"{min(both)} is both an input and set aside.", field="inputs.columns"
            )


def _months(outcome: Values) -> int:
    if "months" not in outcome:
        return DEFAULT_MONTHS
    return whole(outcome, "months", least=1, most=LONGEST_MONTHS, at="outcome.")


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


def _leak_reasons(leaks: Values) -> dict[str, str]:
    reasons = section(leaks, "override", "leaks.")
    return {name: text(reasons, name, "leaks.override.") for name in reasons}


def _columns(values: Values) -> dict[str, ColumnSpec]:
    return {name: _column(name, section(values, name, "columns.")) for name in values}


def _column(name: str, entry: Values) -> ColumnSpec:
    at = f"columns.{name}."
    only_keys(entry, {"words", "kind", "least", "most", "direction", "levels", "outside"}, at)
    levels = section(entry, "levels", at)
    found = ColumnSpec(
        name=name,
        words=optional_text(entry, "words", at) or name,
        kind=choice(entry, "kind", Kind, at),
        least=optional_number(entry, "least", at),
        most=optional_number(entry, "most", at),
        direction=choice(entry, "direction", Direction, at),
        levels=MappingProxyType({key: text(levels, key, at) for key in levels}),
        outside=choice(entry, "outside", Outside, at),
    )
    bounded = found.least is not None or found.most is not None
    if bounded and found.kind is Kind.TEXT:
        raise SpecRefused(f"{at}kind is text, which has no bounds.", field=f"{at}kind")
    if found.least is not None and found.most is not None and found.least > found.most:
        raise SpecRefused(f"{at}least is above {at}most.", field=f"{at}least")
    if found.outside is Outside.CLIP and not bounded:
        raise SpecRefused(
            f'{at}outside = "clip" needs a bound: least, most or both.', field=f"{at}outside"
        )
    return found
