"""Pages of long lists: keyset pagination with cursors that name a row, never a place or a key."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.db.models import Model, QuerySet

from marketplace.core.errors import MarketplaceRefusal

DEFAULT_PAGE = 20
LARGEST_PAGE = 100

Row = TypeVar("Row", bound=Model)
View = TypeVar("View")


class PageRefused(MarketplaceRefusal):
    """A page of no rows, or of too many."""

    code = "PAGE_REFUSED"


class CursorRefused(MarketplaceRefusal):
    """A cursor that names no row of the list it is used on."""

    code = "CURSOR_REFUSED"


@dataclass(frozen=True)
class PageWanted:
    """Which page: ``size`` rows after the row that ``after`` names, from the start without it."""

    size: int = DEFAULT_PAGE
    after: str | None = None


@dataclass(frozen=True)
class Page(Generic[View]):
    """One page, and whether there are rows beyond its ends."""

    rows: tuple[View, ...]
    has_next: bool
    has_previous: bool


def check_size(wanted: PageWanted) -> None:
    """Refuse a page of no rows, or of too many.

    Raises:
        PageRefused.
    """
    if not 1 <= wanted.size <= LARGEST_PAGE:
        raise PageRefused(f"A page has 1 to {LARGEST_PAGE} rows.", field="first")


def no_such_row() -> CursorRefused:
    """The refusal of a cursor that names no row of the list."""
    return CursorRefused("There is no such row to go on from.", field="after")


def newest_first(
    rows: QuerySet[Row],
    wanted: PageWanted,
    *,
    anchor: Callable[[QuerySet[Row], str], QuerySet[Row]],
    view: Callable[[list[Row]], list[View]],
) -> Page[View]:
    """One page of ``rows``, the newest first: one statement, two with a cursor.

    Args:
        rows: all that the reader may see, unordered.
        wanted: which page.
        anchor: narrows ``rows`` to the one that a cursor names.
        view: turns the page's rows into what is handed out.

    Raises:
        PageRefused, CursorRefused.
    """
    check_size(wanted)
    page: QuerySet[Any] = rows
    if wanted.after is not None:
        key = anchor(rows, wanted.after).values_list("pk", flat=True).first()
        if key is None:
            raise no_such_row()
        page = rows.filter(pk__lt=key)
    found: list[Row] = list(page.order_by("-pk")[: wanted.size + 1])
    return Page(
        rows=tuple(view(found[: wanted.size])),
        has_next=len(found) > wanted.size,
        has_previous=wanted.after is not None,
    )
