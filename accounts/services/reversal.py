"""Taking an entry back by another that mirrors it: the only way to correct the book."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
from django.db import connection, transaction

from accounts.core.bank_booking import OF_A_BANK_LINE
from accounts.core.errors import AccountsRefusal
from accounts.core.posting import REVERSIBLE, EntryDraft, EntryKind, Posting
from accounts.services.idempotency import once
from accounts.services.posting import post

LONGEST_REASON = 200


class EntryNotReversible(AccountsRefusal):
    """An entry that can't be taken back here: unknown, or more than money hangs on it."""

    code = "ENTRY_NOT_REVERSIBLE"


def reverse_entry(*, entry_id: int, key: str, on: date, actor: str, reason: str) -> int:
    """Take one entry back: the same transfers the other way round, on a business date of today.

    For entries that are about money alone (:data:`REVERSIBLE`). What the market did is taken back
    by the market, which has more to undo than money, and what a bank file did by its own services.

    Args:
        entry_id: which entry.
        key: idempotency key, unique for the actor.
        on: business date of the correction, not of the mistake.
        actor: who corrects it.
        reason: for the people who ask later; without personal data, up to 200 characters.

    Returns:
        id of the reversing entry.

    Raises:
        EntryNotReversible: no such entry, or one of a kind that others must undo.
        AlreadyReversed: it has been taken back before.
        NotEnoughMoney: what it brought has been spent.
        AccountUnknown, DateRefused, IdempotencyConflict.
    """
    if not 0 < len(reason) <= LONGEST_REASON:
        raise EntryNotReversible("A reversal needs a reason of up to 200 characters.")

    def reverse() -> dict[str, Any]:
        mirrored = _mirror(entry_id, f"{EntryKind.REVERSED}/{actor}/{key}", on, actor)
        return {"entry": int(post(mirrored).entry_ids[0])}

    with transaction.atomic():
        answer = once(
            scope=actor,
            name="reverse_entry",
            key=key,
            content={"entry": entry_id, "reason": reason},
            action=reverse,
        )
    reversal: int = answer["entry"]
    return reversal


def _mirror(entry_id: int, key: str, on: date, actor: str) -> Posting:
    """The posting that takes an entry back."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT kind, effective_on, key FROM accounts_entry WHERE id = %s", [entry_id]
        )
        row = cursor.fetchone()
        if row is None or row[0] not in REVERSIBLE:
            raise EntryNotReversible(
                "There is no such entry." if row is None else f"A {row[0]} is not undone this way.",
                field="entry",
            )
        if row[2].startswith(OF_A_BANK_LINE):
            raise EntryNotReversible(
                "The bank says that this happened, and only its statement can take it back.",
                field="entry",
            )
        cursor.execute(
            "SELECT credit_id, debit_id, amount, book FROM accounts_transfer"
            " WHERE entry_id = %s AND effective_on = %s ORDER BY id",
            [entry_id, row[1]],
        )
        table = np.array(cursor.fetchall(), dtype=np.int64).reshape(-1, 4).T
    draft = EntryDraft(
        kind=EntryKind.REVERSED,
        key=key,
        effective_on=on,
        actor=actor,
        reference=f"entry:{entry_id}",
        reverses=entry_id,
    )
    debit, credit, amount, book = map(np.ascontiguousarray, table)
    places = np.zeros(len(amount), dtype=np.int64)
    return Posting((draft,), places, debit, credit, amount, book).checked()
