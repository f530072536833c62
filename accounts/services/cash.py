"""Money in from the bank and out to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from django.db import transaction

from accounts.core.chart import LINES, Book, Kind, Owner
from accounts.core.errors import AmountRefused
from accounts.core.money import LARGEST_PENCE
from accounts.core.posting import EntryDraft, EntryKind, IntArray, Leg, SingleTransfer, posting
from accounts.selectors.ledger import account_ids, platform_accounts
from accounts.services.posting import Posted, post, post_alone


@dataclass(frozen=True)
class CashMovement:
    """One member's money in or out.

    Attributes:
        member_id: whose.
        amount: pence, above zero.
        key: idempotency key, unique within the operation.
    """

    member_id: int
    amount: int
    key: str


def deposit(*, movements: Sequence[CashMovement], on: date, actor: str) -> Posted:
    """Money that arrived at the bank becomes members' cash.

    Args:
        movements: any number; a fixed number of statements.
        on: business date of the bank's booking.
        actor: who says so, such as ``statement:2016-04-01``.

    Raises:
        AmountRefused, AccountMissing, IdempotencyConflict.
    """
    return _move(movements, EntryKind.DEPOSIT, Kind.CLIENT_BANK, Kind.CASH, on, actor)


def send_withdrawals(*, movements: Sequence[CashMovement], on: date, actor: str) -> Posted:
    """Members' cash is set aside and sent to the bank; it is theirs until the bank confirms.

    Raises:
        NotEnoughMoney: more than a member has in cash.
        AmountRefused, AccountMissing, IdempotencyConflict.
    """
    return _move(movements, EntryKind.WITHDRAWAL_SENT, Kind.CASH, Kind.ON_ITS_WAY, on, actor)


def confirm_withdrawals(*, movements: Sequence[CashMovement], on: date, actor: str) -> Posted:
    """The bank has paid out what was on its way.

    Raises:
        NotEnoughMoney: more than is on its way.
        AmountRefused, AccountMissing, IdempotencyConflict.
    """
    kind = EntryKind.WITHDRAWAL_CONFIRMED
    return _move(movements, kind, Kind.ON_ITS_WAY, Kind.CLIENT_BANK, on, actor)


def _move(
    movements: Sequence[CashMovement],
    what: EntryKind,
    debit: Kind,
    credit: Kind,
    on: date,
    actor: str,
) -> Posted:
    """One entry a movement, between a member's account and another of theirs or the bank."""
    members, amounts = _columns(movements)
    entries = _entries(movements, what, on, actor)
    keys = [entry.key for entry in entries]
    gives, takes = (
        platform_accounts(kind, keys)
        if LINES[kind].owner is Owner.PLATFORM
        else account_ids(kind, members)
        for kind in (debit, credit)
    )
    if len(movements) == 1:
        [[gives_one], [takes_one], [pence]] = gives.tolist(), takes.tolist(), amounts.tolist()
        return post_alone(SingleTransfer(entries[0], gives_one, takes_one, pence, Book.CASH))
    leg = Leg(np.arange(len(movements)), gives, takes, amounts, Book.CASH)
    with transaction.atomic():
        return post(posting(entries, [leg]))


def _columns(movements: Sequence[CashMovement]) -> tuple[IntArray, IntArray]:
    for movement in movements:
        if type(movement.amount) is not int or not 0 < movement.amount <= LARGEST_PENCE:
            raise AmountRefused(
                "An amount of money in or out is a whole number of pence above zero.",
                field="amount",
            )
    return (
        np.array([m.member_id for m in movements], dtype=np.int64),
        np.array([m.amount for m in movements], dtype=np.int64),
    )


def _entries(
    movements: Sequence[CashMovement], kind: EntryKind, on: date, actor: str
) -> list[EntryDraft]:
    return [
        EntryDraft(
            kind=kind,
            key=f"{kind}/{m.key}",
            effective_on=on,
            actor=actor,
            reference=f"member:{m.member_id}",
        )
        for m in movements
    ]
