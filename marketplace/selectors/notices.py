"""Notices as their members read them, and as staff see the outbox."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from django.db.models import QuerySet

from marketplace.models import Notice
from marketplace.selectors.paging import Page, PageWanted, newest_first


@dataclass(frozen=True)
class NoticeView:
    """A notice as its member reads it; ``loan`` is none where it is about no single loan."""

    public_id: UUID
    loan: UUID | None
    name: str
    subject: str
    body: str
    written_on: date
    delivered_at: datetime | None


@dataclass(frozen=True)
class OutboxRow:
    """A notice that waits, without what it says: staff need not read it to send it."""

    key: int
    member_id: int
    loan_id: int | None
    name: str
    written_on: date
    attempts: int
    failure: str


def notices_page(member_id: int, wanted: PageWanted) -> Page[NoticeView]:
    """A member's own notices, the newest first; one statement, two with a cursor.

    Raises:
        PageRefused, CursorRefused.
    """
    return newest_first(
        Notice.objects.filter(member_id=member_id).select_related("loan"),
        wanted,
        anchor=_named,
        view=lambda rows: [_view(row) for row in rows],
    )


def find_notice(member_id: int, public_id: UUID) -> NoticeView | None:
    """A member's own notice, or none; one statement."""
    found = Notice.objects.filter(member_id=member_id, public_id=public_id)
    row = found.select_related("loan").first()
    return None if row is None else _view(row)


def outbox(limit: int) -> tuple[list[OutboxRow], int]:
    """The first notices to be delivered, and how many there are in all; two statements."""
    waiting = Notice.objects.filter(delivered_at__isnull=True)
    rows = [
        OutboxRow(
            key=row.pk,
            member_id=row.member_id,
            loan_id=row.loan_id,
            name=row.template,
            written_on=row.written_on,
            attempts=row.attempts,
            failure=row.failure,
        )
        for row in waiting.order_by("attempts", "pk").defer("subject", "body")[:limit]
    ]
    return rows, waiting.count()


def _named(rows: QuerySet[Notice], cursor: str) -> QuerySet[Notice]:
    try:
        return rows.filter(public_id=UUID(cursor))
    except ValueError:
        return rows.none()


def _view(row: Notice) -> NoticeView:
    return NoticeView(
        public_id=row.public_id,
        loan=None if row.loan is None else row.loan.public_id,
        name=row.template,
        subject=row.subject,
        body=row.body,
        written_on=row.written_on,
        delivered_at=row.delivered_at,
    )
