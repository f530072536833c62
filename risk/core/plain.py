"""Typed values back from the plain ones that they were kept as in JSON."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass
from datetime import date
from enum import Enum
from typing import Any, ClassVar, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from risk.core.errors import RiskRefusal

Typed = TypeVar("Typed")


class StoredRefused(RiskRefusal):
    """Something kept as JSON that can't be read back as what it was."""

    code: ClassVar[str] = "RISK_STORED_REFUSED"


def from_plain(kind: type[Typed], values: Mapping[str, Any]) -> Typed:
    """A frozen dataclass from its fields as JSON holds them, nested ones and tuples of them too.

    Read are dataclasses, enums by value, dates in ISO, tuples, mappings by text, optional values,
    numbers, text and truth values. Whole numbers become floats where a float belongs.

    Raises:
        StoredRefused: when a field is missing or doesn't fit.
    """
    try:
        return cast("Typed", _typed(kind, values))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StoredRefused(f"The stored {kind.__name__} can't be read: {error!r}.") from error


def _typed(hint: Any, value: Any) -> Any:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return _optional(get_args(hint), value)
    if origin is tuple:
        return _tuple(get_args(hint), value)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        of = get_args(hint)[1]
        return {key: _typed(of, each) for key, each in value.items()}
    if isinstance(hint, type):
        return _plain_type(hint, value)
    return value


def _plain_type(hint: type, value: Any) -> Any:
    if is_dataclass(hint):
        hints = get_type_hints(hint)
        return hint(**{name: _typed(hints[name], each) for name, each in value.items()})
    if issubclass(hint, Enum):
        return hint(value)
    if issubclass(hint, date):
        return date.fromisoformat(value)
    if hint is float:
        return float(value)
    if not isinstance(value, hint):
        raise TypeError(f"{value!r} is no {hint.__name__}")
    return value


def _optional(kinds: Sequence[Any], value: Any) -> Any:
    if value is None and type(None) in kinds:
        return None
    [kind] = [kind for kind in kinds if kind is not type(None)]
    return _typed(kind, value)


def _tuple(kinds: Sequence[Any], value: Any) -> tuple[Any, ...]:
    if len(kinds) == 2 and kinds[1] is ...:
        return tuple(_typed(kinds[0], each) for each in value)
    return tuple(_typed(kind, each) for kind, each in zip(kinds, value, strict=True))
