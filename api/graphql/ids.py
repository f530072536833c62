"""Relay's global ids over public ids; no database id ever leaves the house."""

from __future__ import annotations

from uuid import UUID

from graphql_relay import from_global_id

from api.errors import NotFound

NOTHING_THERE = "There is no such thing, or it is not yours."


def named(global_id: str) -> tuple[str, str]:
    """The type's name and the public id in a global id.

    Raises:
        NotFound: text that is no global id: there is nothing of that name.
    """
    try:
        resolved = from_global_id(global_id)
    except (ValueError, UnicodeError):
        raise NotFound(NOTHING_THERE, field="id") from None
    return resolved.type, resolved.id


def public_id(text: str, *, field: str = "id") -> UUID:
    """A public id.

    Raises:
        NotFound: text that is none.
    """
    try:
        return UUID(text)
    except ValueError:
        raise NotFound(NOTHING_THERE, field=field) from None


def public_id_of(global_id: str, kind: str, *, field: str) -> UUID:
    """The public id in a global id of one kind of thing.

    Raises:
        NotFound: a global id of another kind, or none.
    """
    found, text = named(global_id)
    if found != kind:
        raise NotFound(NOTHING_THERE, field=field)
    return public_id(text, field=field)
