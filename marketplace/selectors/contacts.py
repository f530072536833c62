"""What was said and promised about a loan: for staff."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

from marketplace.core.promises import Channel, Direction, PromiseState
from marketplace.models import Contact, Promise


@dataclass(frozen=True)
class ContactView:
    """One contact; the note is personal data."""

    on: date
    channel: Channel
    direction: Direction
    staff: str
    note: str = field(repr=False)


@dataclass(frozen=True)
class PromiseView:
    """A promise to pay, pence, and what became of it."""

    amount: int
    made_on: date
    due_on: date
    state: PromiseState
    judged_on: date | None


def contacts_of(loan_id: int) -> list[ContactView]:
    """A loan's contacts, the oldest first; one statement."""
    return [
        ContactView(
            on=row.on,
            channel=Channel(row.channel),
            direction=Direction(row.direction),
            staff=row.staff.reference,
            note=row.note,
        )
        for row in Contact.objects.filter(loan_id=loan_id).select_related("staff").order_by("pk")
    ]


def promises_of(loan_id: int) -> list[PromiseView]:
    """A loan's promises to pay, the oldest first; one statement."""
    return [
        PromiseView(
            amount=row.amount,
            made_on=row.made_on,
            due_on=row.due_on,
            state=PromiseState(row.state),
            judged_on=row.judged_on,
        )
        for row in Promise.objects.filter(loan_id=loan_id).order_by("pk")
    ]
