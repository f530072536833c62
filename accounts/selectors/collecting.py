"""Questions about direct debits: who allowed them, what is under way, what came back."""

from __future__ import annotations

from collections.abc import Collection as Some
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date

from django.db.models import Max, Q, QuerySet

from accounts.core.bank_details import BankDetails as Account
from accounts.core.collecting import CollectionState
from accounts.models import Collection, CollectionFileStored, Mandate

UNDER_WAY = (CollectionState.ASKED, CollectionState.SENT)


@dataclass(frozen=True)
class MandateView:
    """A mandate; of its account only what may be shown."""

    key: int
    member_id: int
    email: str = field(repr=False)
    reference: str
    masked: str
    signed_on: date
    cancelled_on: date | None


@dataclass(frozen=True)
class CollectionView:
    """A direct debit, in pence.

    Attributes:
        rest: of it, what its subject couldn't take.
        on_statement: whether a line of the bank's brought it, and none took it back.
        file: the id of the file that it is in; empty for none.
    """

    end_to_end_id: str
    member_id: int
    mandate: str
    amount: int
    subject: str
    due_on: date
    attempt: int
    collect_on: date
    state: CollectionState
    reason: str
    taken_on: date | None
    rest: int
    on_statement: bool
    file: str


@dataclass(frozen=True)
class CollectionFileView:
    """A file of direct debits as it was given to the bank; ``total`` in pence."""

    message_id: str
    made_on: date
    count: int
    total: int


def current_mandate(member_id: int) -> MandateView | None:
    """A member's own mandate, or none; one statement."""
    return next(
        _mandates(Mandate.objects.filter(member_id=member_id, cancelled_on__isnull=True)), None
    )


def mandate_by_key(key: int) -> MandateView:
    """A mandate just set up or cancelled; one statement."""
    return next(_mandates(Mandate.objects.filter(pk=key)))


def current_mandates() -> list[MandateView]:
    """Every mandate that stands, the newest first; one statement."""
    return list(_mandates(Mandate.objects.filter(cancelled_on__isnull=True).order_by("-pk")))


def _mandates(mandates: QuerySet[Mandate]) -> Iterator[MandateView]:
    rows = mandates.select_related("member", "details")
    return (
        MandateView(
            row.pk,
            row.member_id,
            row.member.email,
            row.reference,
            Account(row.details.holder, row.details.identification).masked,
            row.signed_on,
            row.cancelled_on,
        )
        for row in rows
    )


def collections_under_way() -> list[CollectionView]:
    """Direct debits asked for or sent, the earliest first; one statement."""
    return _views(Collection.objects.filter(state__in=UNDER_WAY).order_by("collect_on", "pk"))


def collections_due(by: date) -> list[CollectionView]:
    """Direct debits asked for or sent whose day has come, the oldest first; one statement."""
    due = Collection.objects.filter(state__in=UNDER_WAY, collect_on__lte=by)
    return _views(due.order_by("collect_on", "pk"))


def to_take_back(by: date) -> list[CollectionView]:
    """Direct debits that counted as collected by a day, and came back; one statement."""
    unpaid = Collection.objects.filter(state=CollectionState.UNPAID, taken_on__lte=by)
    return _views(unpaid.order_by("pk"))


def collected_without_mandate(since: date) -> list[CollectionView]:
    """What a collector without a file collected from a day on, the oldest first; one statement."""
    collected = Collection.objects.filter(
        state=CollectionState.COLLECTED,
        mandate__isnull=True,
        is_recorded=False,
        taken_on__gte=since,
    )
    return _views(collected.order_by("pk"))


def last_attempts(subjects: Some[str]) -> dict[tuple[str, date], int]:
    """How often each due date of these subjects was asked for; one statement."""
    rows = (
        Collection.objects.filter(subject__in=list(subjects))
        .values_list("subject", "due_on")
        .annotate(last=Max("attempt"))
    )
    return {(subject, due_on): last for subject, due_on, last in rows}


def subjects_under_way(subjects: Some[str], on: date) -> frozenset[str]:
    """Those of the subjects with a direct debit that a bank has or will be given; one statement."""
    waiting = Q(state=CollectionState.SENT) | Q(state=CollectionState.ASKED, collect_on__gte=on)
    found = Collection.objects.filter(waiting, subject__in=list(subjects))
    return frozenset(found.values_list("subject", flat=True))


def collection_files(limit: int) -> list[CollectionFileView]:
    """The last files, the newest first; one statement."""
    files = CollectionFileStored.objects.order_by("-pk")
    rows = files.values_list("message_id", "made_on", "count", "total")
    return [CollectionFileView(*row) for row in rows[:limit]]


def collection_file_content(message_id: str) -> bytes | None:
    """A file as it was given to the bank, or none; one statement."""
    files = CollectionFileStored.objects.filter(message_id=message_id)
    content = files.values_list("content", flat=True).first()
    return None if content is None else bytes(content)


def _views(collections: QuerySet[Collection]) -> list[CollectionView]:
    rows = collections.select_related("mandate", "file").defer("file__content")
    return [
        CollectionView(
            row.end_to_end_id,
            row.member_id,
            row.mandate.reference if row.mandate else "",
            row.amount,
            row.subject,
            row.due_on,
            row.attempt,
            row.collect_on,
            CollectionState(row.state),
            row.reason,
            row.taken_on,
            row.rest,
            row.credited_line_id is not None and row.returned_line_id is None,
            row.file.message_id if row.file else "",
        )
        for row in rows
    ]
