"""Notices: written once for each occasion, and delivered by e-mail from an outbox."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date

from django.core.mail import EmailMessage, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.db import connection, transaction
from django.utils import timezone

from marketplace.core.house import HOUSE, House
from marketplace.core.notices import current_template
from marketplace.models import Notice
from marketplace.selectors.notices_due import DueNotice, due_notices


@dataclass(frozen=True)
class NoticesWritten:
    """How many notices are new."""

    notices: int


@dataclass(frozen=True)
class Delivered:
    """How many notices were delivered, and how many could not be; those are tried again."""

    sent: int
    failed: int


def write_notices(*, on: date, house: House = HOUSE) -> NoticesWritten:
    """Write what members have to be told by the end of ``on``, each occasion once.

    A fixed number of statements. Another run, at the same time or later, writes none of it again.

    Raises:
        NoticeRefused: a template that doesn't fit what is to be told.
    """
    with transaction.atomic():
        return NoticesWritten(_store(due_notices(on, house), on))


def deliver_notices(*, limit: int) -> Delivered:
    """Deliver up to ``limit`` notices through Django's e-mail backend, each in its transaction.

    A notice is locked while it is on its way, and others go on with the next one. One that fails
    is kept with the error's name, and tried again another time, after those tried less often. A
    process that dies between sending and noting it sends that one again.
    """
    sent = 0
    failed: list[int] = []
    mail = get_connection()
    while sent + len(failed) < limit:
        with transaction.atomic():
            notice = _next(failed)
            if notice is None:
                break
            notice.attempts += 1
            notice.failure = _send(notice, mail)
            if notice.failure:
                failed.append(notice.pk)
            else:
                sent += 1
                notice.delivered_at = timezone.now()
            notice.save(update_fields=["attempts", "failure", "delivered_at"])
    return Delivered(sent, len(failed))


def _store(due: Sequence[DueNotice], on: date) -> int:
    """Insert what is not there, in one order, so that two writers don't wait for each other."""
    rows = sorted(
        due, key=lambda each: (each.occasion, each.name, each.member_id, each.loan_id or 0)
    )
    texts = [current_template(each.name).render(each.fields) for each in rows]
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO marketplace_notice (public_id, member_id, loan_id, template, version,"
            " occasion, subject, body, written_on, created_at, attempts, failure)"
            " SELECT gen_random_uuid(), member, loan, template, version, occasion, subject, body,"
            " %s, now(), 0, '' FROM unnest(%s::bigint[], %s::bigint[], %s::text[],"
            " %s::smallint[], %s::text[], %s::text[], %s::text[]) WITH ORDINALITY"
            " AS n (member, loan, template, version, occasion, subject, body, place)"
            " ORDER BY place ON CONFLICT DO NOTHING",
            [
                on,
                [each.member_id for each in rows],
                [each.loan_id for each in rows],
                [each.name.value for each in rows],
                [current_template(each.name).version for each in rows],
                [each.occasion for each in rows],
                [subject for subject, _ in texts],
                [body for _, body in texts],
            ],
        )
        return int(cursor.rowcount)


def _next(but: Collection[int]) -> Notice | None:
    """The next one to deliver that nobody else delivers now, locked."""
    return (
        Notice.objects.select_for_update(skip_locked=True, of=("self",))
        .select_related("member")
        .filter(delivered_at__isnull=True)
        .exclude(pk__in=but)
        .order_by("attempts", "pk")
        .first()
    )


def _send(notice: Notice, mail: BaseEmailBackend) -> str:
    """Send one; returns the name of the error, or nothing."""
    message = EmailMessage(notice.subject, notice.body, to=[notice.member.email], connection=mail)
    try:
        message.send()
    except Exception as error:  # noqa: BLE001 - each backend has errors of its own
        # Its name alone: what it says may name the person.
        return type(error).__name__
    return ""
