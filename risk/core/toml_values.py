"""Typed reading of parsed TOML: each value is checked, and a refusal names its place."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from enum import Enum
from typing import TypeVar

from risk.core.errors import SpecRefused

Values = Mapping[str, object]
Choice = TypeVar("Choice", bound=Enum)


def parse_toml(text: str) -> dict[str, object]:
    """Parse TOML text.

    Raises:
        SpecRefused: when it is not TOML.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SpecRefused(f"The specification is not TOML: {error}.") from error


def section(values: Values, key: str, at: str = "") -> Values:
    """The table named ``key``, or an empty one.

    Raises:
        SpecRefused: when there is something else under that name.
    """
    found = values.get(key, {})
    if not isinstance(found, dict):
        raise SpecRefused(f"{at}{key} must be a table.", field=f"{at}{key}")
    return found


def sections(values: Values, key: str) -> tuple[Values, ...]:
    """The array of tables named ``key``, which must hold at least one.

    Raises:
        SpecRefused: when it is missing, empty or something else.
    """
    found = values.get(key)
    if not isinstance(found, list) or not found or not all(isinstance(row, dict) for row in found):
        raise SpecRefused(f"{key} must be one or more tables.", field=key)
    return tuple(found)


def optional_text(values: Values, key: str, at: str = "") -> str | None:
    """The text under ``key``, or none.

    Raises:
        SpecRefused: when it is not text, or is empty.
    """
    found = values.get(key)
    if found is None:
        return None
    if not isinstance(found, str) or not found:
        raise SpecRefused(f"{at}{key} must be text.", field=f"{at}{key}")
    return found


def text(values: Values, key: str, at: str = "") -> str:
    """The text under ``key``.

    Raises:
        SpecRefused: when it is missing or not text.
    """
    found = optional_text(values, key, at)
    if found is None:
        raise SpecRefused(f"{at}{key} is missing.", field=f"{at}{key}")
    return found


def texts(values: Values, key: str, at: str = "") -> tuple[str, ...]:
    """The list of texts under ``key``, or an empty one.

    Raises:
        SpecRefused: when it is something else.
    """
    found = values.get(key, [])
    if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
        raise SpecRefused(f"{at}{key} must be a list of texts.", field=f"{at}{key}")
    return tuple(found)


def whole(values: Values, key: str, *, least: int, most: int, at: str = "") -> int:
    """The whole number under ``key``, from ``least`` to ``most``.

    Raises:
        SpecRefused: when it is missing, not a whole number, or outside.
    """
    found = values.get(key)
    if isinstance(found, bool) or not isinstance(found, int) or not least <= found <= most:
        raise SpecRefused(
            f"{at}{key} must be a whole number from {least} to {most}.", field=f"{at}{key}"
        )
    return found


def optional_number(values: Values, key: str, at: str = "") -> float | None:
    """The number under ``key``, or none.

    Raises:
        SpecRefused: when it is not a finite number.
    """
    found = values.get(key)
    if found is None:
        return None
    if isinstance(found, bool) or not isinstance(found, int | float) or not abs(found) < 1e300:
        raise SpecRefused(f"{at}{key} must be a number.", field=f"{at}{key}")
    return float(found)


def optional_texts(values: Values, key: str, at: str = "") -> tuple[str, ...] | None:
    """The list of texts under ``key``, or none when it is not there.

    Raises:
        SpecRefused: when it is something else.
    """
    return texts(values, key, at) if key in values else None


def choice(values: Values, key: str, kind: type[Choice], at: str = "") -> Choice | None:
    """The member of an enumeration whose value is under ``key``, or none.

    Raises:
        SpecRefused: when it is none of the members' values.
    """
    found = optional_text(values, key, at)
    if found is None:
        return None
    members = {str(member.value): member for member in kind}
    if found not in members:
        accepted = ", ".join(f'"{value}"' for value in members)
        raise SpecRefused(f"{at}{key} must be one of {accepted}.", field=f"{at}{key}")
    return members[found]


def only_keys(values: Values, accepted: Collection[str], at: str = "") -> None:
    """Refuse a key that nobody reads: it is a slip of the pen, which could let a column in.

    Raises:
        SpecRefused: naming the key and those that are accepted.
    """
    for key in values:
        if key not in accepted:
            raise SpecRefused(
                f"{at}{key} is not known here; accepted: {', '.join(sorted(accepted))}.",
                field=f"{at}{key}",
            )
