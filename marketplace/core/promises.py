"""Contacts with borrowers, and whether what they promised to pay came in time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from marketplace.core.errors import MarketplaceRefusal


class ContactRefused(MarketplaceRefusal):
    """A contact that can't be logged, and why."""

    code = "CONTACT_REFUSED"


class PromiseRefused(MarketplaceRefusal):
    """A promise that can't be recorded, and why."""

    code = "PROMISE_REFUSED"


class Channel(StrEnum):
    """How somebody was reached."""

    PHONE = "phone"
    EMAIL = "email"
    LETTER = "letter"
    MESSAGE = "message"
    MEETING = "meeting"


class Direction(StrEnum):
    """Who began: the borrower (in), or the house (out)."""

    IN = "in"
    OUT = "out"


class PromiseState(StrEnum):
    """What became of a promise to pay."""

    OPEN = "open"
    KEPT = "kept"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Promised:
    """A promise: pence from ``made_on`` until the end of ``due_on``."""

    amount: int
    made_on: date
    due_on: date


@dataclass(frozen=True, slots=True)
class Came:
    """Pence that came and stayed."""

    amount: int
    received_on: date


def judge(
    promises: Sequence[Promised], payments: Sequence[Came], on: date
) -> tuple[PromiseState, ...]:
    """Say of one loan's promises, in the order given, what became of each by the end of ``on``.

    Each penny counts for one promise. Payments, the oldest first, fill the promises that were made
    by their day and are not past, the one due first before the others. A promise that is filled is
    kept; one that is not is broken once its day is past, and open until then.

    *Example.* £50 are promised for the 5th and £50 for the 12th. £60 come on the 4th, £30 on the
    13th: the first promise is kept, the second (£10 of £50 by its day) is broken.
    """
    left = [promise.amount for promise in promises]
    order = sorted(range(len(promises)), key=lambda place: (promises[place].due_on, place))
    for payment in sorted(payments, key=lambda payment: payment.received_on):
        if payment.received_on > on:
            break
        rest = payment.amount
        for place in order:
            if promises[place].made_on <= payment.received_on <= promises[place].due_on:
                used = min(rest, left[place])
                left[place] -= used
                rest -= used
    return tuple(
        PromiseState.KEPT
        if not open_pence
        else PromiseState.BROKEN
        if promise.due_on < on
        else PromiseState.OPEN
        for promise, open_pence in zip(promises, left, strict=True)
    )
