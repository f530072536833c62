"""Relay connections over pages that the selectors cut: never more rows than are shown."""

from __future__ import annotations

import base64
import binascii
from typing import Any

import graphene
from graphene.relay.connection import PageInfo

from api.errors import InputRefused
from marketplace.selectors.paging import DEFAULT_PAGE, Page, PageWanted

_PREFIX = "after:"


class PageField(graphene.Field):
    """A field with the arguments ``first`` and ``after`` whose type is a connection."""

    def __init__(self, connection: type[graphene.relay.Connection], **options: Any) -> None:
        super().__init__(
            connection,
            first=graphene.Int(default_value=DEFAULT_PAGE, description="1 to 100 rows."),
            after=graphene.String(description="A cursor: the row to go on from."),
            **options,
        )


def wanted(first: int | None, after: str | None) -> PageWanted:
    """The page asked for.

    Raises:
        InputRefused: a cursor that never came from here.
    """
    size = DEFAULT_PAGE if first is None else first
    return PageWanted(size, None if after is None else _row_of(after))


def connection(kind: type[graphene.relay.Connection], page: Page[Any]) -> Any:
    """A page as a connection of a kind; each row's cursor is its public id, wrapped up."""
    edges = [kind.Edge(node=row, cursor=_cursor_of(str(row.public_id))) for row in page.rows]
    return kind(
        edges=edges,
        page_info=PageInfo(
            has_next_page=page.has_next,
            has_previous_page=page.has_previous,
            start_cursor=edges[0].cursor if edges else None,
            end_cursor=edges[-1].cursor if edges else None,
        ),
    )


def _cursor_of(public_id: str) -> str:
    return base64.urlsafe_b64encode(f"{_PREFIX}{public_id}".encode()).decode()


def _row_of(cursor: str) -> str:
    try:
        text = base64.urlsafe_b64decode(cursor.encode()).decode()
    except (binascii.Error, UnicodeError):
        text = ""
    if not text.startswith(_PREFIX):
        raise InputRefused("This is not a cursor of ours.", field="after")
    return text.removeprefix(_PREFIX)
