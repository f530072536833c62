"""What members owe Tenner: taken from their cash as soon as there is some."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import numpy as np
from django.db import connection, transaction

from accounts.core.chart import Book, Kind
from accounts.core.posting import EntryDraft, EntryKind, Leg, posting
from accounts.services.holding import hold_accounts
from accounts.services.idempotency import once
from accounts.services.posting import post


def settle_debts(*, on: date, actor: str, key: str, member_ids: Sequence[int] | None = None) -> int:
    """Take what members owe from the cash that they have; a fixed number of statements.

    Args:
        on: business date.
        actor: who asks for it.
        key: idempotency key, unique for the actor.
        member_ids: of whom; everybody without it.

    Returns:
        Pence that were repaid.

    Raises:
        DateRefused, IdempotencyConflict.
    """
    with transaction.atomic():
        answer = once(
            scope=actor,
            name="settle_debts",
            key=key,
            content={"members": member_ids},
            action=lambda: {"repaid": _settle(member_ids, on, actor, key)},
        )
    repaid: int = answer["repaid"]
    return repaid


def _settle(member_ids: Sequence[int] | None, on: date, actor: str, key: str) -> int:
    owing = _owing(member_ids)
    held: dict[int, Any] = hold_accounts(ids=[account for row in owing for account in row[1:]])
    rows = [
        (member, cash, debt, min(held[cash], held[debt]))
        for member, cash, debt in owing
        if min(held[cash], held[debt]) > 0
    ]
    if not rows:
        return 0
    _, cash, debt, repaid = np.array(rows, dtype=np.int64).T
    drafts = [
        EntryDraft(
            EntryKind.DEBT_REPAID,
            f"debt-repaid/{actor}/{key}/{row[0]}",
            on,
            actor,
            f"member:{row[0]}",
        )
        for row in rows
    ]
    post(posting(drafts, [Leg(np.arange(len(rows)), cash, debt, repaid, Book.CASH)]))
    return int(repaid.sum())


def _owing(member_ids: Sequence[int] | None) -> list[tuple[int, int, int]]:
    """Member, cash account and debt account of those who owe something and have something."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT d.owner_id, c.id, d.id FROM accounts_account AS d"
            " JOIN accounts_account AS c ON c.owner_id = d.owner_id AND c.kind = %s"
            " WHERE d.kind = %s AND d.balance > 0 AND c.balance > 0"
            " AND (%s::bigint[] IS NULL OR d.owner_id = ANY (%s)) ORDER BY d.owner_id",
            [
                str(Kind.CASH),
                str(Kind.DEBT),
                None if member_ids is None else list(member_ids),
                None if member_ids is None else list(member_ids),
            ],
        )
        rows: list[tuple[int, int, int]] = cursor.fetchall()
    return rows
