"""How a file of applications is written: its marks, its doubles, and the values of its outcome."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from risk.core.errors import SpecRefused
from risk.core.numerals import DECIMAL_MARKS, number_of
from risk.core.toml_values import (
    Values,
    choice,
    only_keys,
    optional_text,
    optional_texts,
)

OutcomeValue = str | int | float | bool

# What spreadsheets, R, pandas and databases write for "nothing". The empty cell always is.
MISSING_MARKS = (
    "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "null", "NULL", "Null", "None",
    "?", ".", "-",
)  # fmt: skip
DELIMITERS = (",", ";", "\t", "|")


class Encoding(Enum):
    """How a file's bytes are text."""

    UTF_8 = "utf-8"
    UTF_16 = "utf-16"
    LATIN_1 = "latin-1"
    WINDOWS = "windows-1252"


class Duplicates(Enum):
    """What happens to a row that is the same as an earlier one in every column."""

    REFUSE = "refuse"
    KEEP = "keep"


class MissingOutcome(Enum):
    """What happens to a row without an outcome."""

    REFUSE = "refuse"
    DROP = "drop"


@dataclass(frozen=True, slots=True)
class ReadingSpec:
    """How to read a file; a ``delimiter`` of none is found in the header."""

    missing: frozenset[str] = frozenset({"", *MISSING_MARKS})
    duplicates: Duplicates = Duplicates.KEEP
    encoding: Encoding = Encoding.UTF_8
    delimiter: str | None = None
    decimal: str = "."


def reading_spec(values: Values) -> ReadingSpec:
    """Read the section on reading.

    Raises:
        SpecRefused: when a value can't be used, or a key is not known.
    """
    at = "reading."
    only_keys(values, {"missing", "duplicates", "encoding", "delimiter", "decimal"}, at)
    marks = optional_texts(values, "missing", at)
    return ReadingSpec(
        missing=frozenset({"", *(MISSING_MARKS if marks is None else map(str.strip, marks))}),
        duplicates=choice(values, "duplicates", Duplicates, at) or Duplicates.KEEP,
        encoding=choice(values, "encoding", Encoding, at) or Encoding.UTF_8,
        delimiter=_mark(values, "delimiter", DELIMITERS),
        decimal=_mark(values, "decimal", DECIMAL_MARKS) or ".",
    )


def _mark(values: Values, key: str, accepted: tuple[str, ...]) -> str | None:
    found = optional_text(values, key, "reading.")
    if found is not None and found not in accepted:
        shown = ", ".join(repr(mark) for mark in accepted)
        raise SpecRefused(f"reading.{key} must be one of {shown}.", field=f"reading.{key}")
    return found


def outcome_values(outcome: Values, key: str) -> tuple[OutcomeValue, ...]:
    """The value or the list of values under ``key`` of the section on the outcome.

    Raises:
        SpecRefused: when there is none, or one that is not text, a number, true or false.
    """
    at = f"outcome.{key}"
    if key not in outcome:
        raise SpecRefused(f"{at} is missing.", field=at)
    found = outcome[key]
    values = found if isinstance(found, list) else [found]
    if not values or any(not isinstance(v, str | int | float) or v == "" for v in values):
        raise SpecRefused(
            f"{at} must be a text, a number, true or false, or a list of such values.", field=at
        )
    return tuple(values)


def outcome_keys(values: Iterable[OutcomeValue]) -> frozenset[str | float]:
    """What cells are compared with: see :func:`outcome_key`; true and false in any case."""
    found: set[str | float] = set()
    for value in values:
        if isinstance(value, bool):
            word = str(value)
            found |= {word.lower(), word, word.upper()}
        else:
            found.add(float(value) if not isinstance(value, str) else outcome_key(value))
    return frozenset(found)


def outcome_key(cell: str) -> str | float:
    """A cell of the outcome as it is compared: numbers by value, so that 1 is 1.0."""
    trimmed = cell.strip()
    number = number_of(trimmed)
    return trimmed if number is None else number
