"""Files of direct debits for the bank."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django.db import connection, transaction

from accounts.core.bank_details import BankDetails
from accounts.core.bank_states import DetailsState
from accounts.core.collecting import COLLECTION, CollectionState
from accounts.core.collection_file import (
    MOST_COLLECTIONS,
    CollectionFile,
    DirectDebit,
    SequenceType,
    write_collection_file,
)
from accounts.core.errors import AccountsRefusal
from accounts.models import CollectionFileStored
from accounts.services.bank_house import bank_house
from accounts.services.bank_rows import next_ids
from accounts.services.idempotency import once

_REMITTANCE = "TENNER LOAN"


class NothingToCollect(AccountsRefusal):
    """A file of direct debits with nothing in it."""

    code = "NOTHING_TO_COLLECT"


@dataclass(frozen=True, slots=True)
class _Asked:
    """A direct debit to be sent; ``sent_before`` says whether its mandate was used."""

    id: int
    end_to_end_id: str
    amount: int
    collect_on: date
    mandate_id: int
    mandate: str
    signed_on: date
    holder: str
    identification: str
    sent_before: bool


def make_collection_file(
    *, on: date, key: str, actor: str, created_at: datetime
) -> CollectionFileStored:
    """Put every direct debit that is asked for into one pain.008 file; fixed number of statements.

    Left out, and asked for still: one whose mandate was cancelled or whose account was refused
    since, and one whose day has passed, which is cancelled or asked for again by a person.

    Args:
        on: business date.
        key: idempotency key; the same again gives the same file, byte for byte.
        actor: who makes it.
        created_at: an instant with a time zone.

    Raises:
        NothingToCollect: nothing was asked for since the last file.
        CollectionFileRefused, BankTextRefused, AmountRefused: the bank would send it back.
        IdempotencyConflict.
    """
    with transaction.atomic():
        answer = once(
            scope=actor,
            name="make_collection_file",
            key=key,
            content={},
            action=lambda: _answer(on, actor, created_at),
        )
        return CollectionFileStored.objects.get(pk=answer["file"])


def _answer(on: date, actor: str, created_at: datetime) -> dict[str, Any]:
    made = send_collections(on=on, actor=actor, created_at=created_at)
    if made is None:
        raise NothingToCollect("There is nothing to collect.")
    return {"file": made.pk}


def send_collections(*, on: date, actor: str, created_at: datetime) -> CollectionFileStored | None:
    """Make a file inside a transaction, which says by itself when; nothing if there is nothing.

    Raises:
        CollectionFileRefused, BankTextRefused, AmountRefused: the bank would send it back.
    """
    asked = _lock_asked(on)
    if not asked:
        return None
    [number] = next_ids("accounts_collectionfilestored", 1)
    house = bank_house()
    file = CollectionFile(
        message_id=f"{COLLECTION}-{on:%Y%m%d}-{number:010d}",
        created_at=created_at,
        creditor=house.client,
        creditor_id=house.creditor_id,
        debits=_debits(asked),
    )
    content = write_collection_file(file)
    made = CollectionFileStored.objects.create(
        pk=number,
        message_id=file.message_id,
        content=content,
        digest=hashlib.sha256(content).digest(),
        count=len(file.debits),
        total=file.total,
        made_on=on,
        actor=actor,
    )
    _mark(number, file)
    return made


def _lock_asked(on: date) -> list[_Asked]:
    """What is to be sent, locked: of two files at once the second finds these sent."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.id, c.end_to_end_id, c.amount, c.collect_on, m.id, m.reference, m.signed_on,"
            " d.holder, d.identification, EXISTS (SELECT FROM accounts_collection AS e"
            "  WHERE e.mandate_id = m.id AND e.file_id IS NOT NULL"
            "  AND (e.state <> %s OR e.credited_line_id IS NOT NULL))"
            " FROM accounts_collection AS c JOIN accounts_mandate AS m ON m.id = c.mandate_id"
            " JOIN accounts_bankdetails AS d ON d.id = m.details_id"
            " WHERE c.state = %s AND c.collect_on >= %s AND m.cancelled_on IS NULL"
            " AND d.state <> %s ORDER BY c.id LIMIT %s FOR UPDATE OF c",
            [
                CollectionState.UNPAID.value,
                CollectionState.ASKED.value,
                on,
                DetailsState.REFUSED.value,
                MOST_COLLECTIONS,
            ],
        )
        return [_Asked(*row) for row in cursor.fetchall()]


def _debits(asked: Sequence[_Asked]) -> tuple[DirectDebit, ...]:
    """The direct debits, the earliest of an unused mandate as its first."""
    used = {one.mandate_id for one in asked if one.sent_before}
    debits = {}
    for one in sorted(asked, key=lambda one: (one.collect_on, one.id)):
        first = one.mandate_id not in used
        used.add(one.mandate_id)
        debits[one.id] = DirectDebit(
            end_to_end_id=one.end_to_end_id,
            amount=one.amount,
            debtor=BankDetails(one.holder, one.identification),
            mandate=one.mandate,
            signed_on=one.signed_on,
            sequence=SequenceType.FIRST if first else SequenceType.RECURRENT,
            collect_on=one.collect_on,
            remittance=f"{one.end_to_end_id} {_REMITTANCE}",
        )
    return tuple(debits[one.id] for one in asked)


def _mark(number: int, file: CollectionFile) -> None:
    """Mark as sent, and check that what is marked is what the file says, in number and in sum."""
    placed = [
        (debit.end_to_end_id, batch.batch_id) for batch in file.batches for debit in batch.debits
    ]
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE accounts_collection AS c SET state = %s, file_id = %s, batch = n.batch"
            " FROM unnest(%s::text[], %s::text[]) AS n (name, batch)"
            " WHERE c.end_to_end_id = n.name",
            [
                CollectionState.SENT.value,
                number,
                [name for name, _ in placed],
                [batch for _, batch in placed],
            ],
        )
        cursor.execute(
            "SELECT count(*), coalesce(sum(amount), 0)::bigint FROM accounts_collection"
            " WHERE file_id = %s",
            [number],
        )
        if cursor.fetchone() != (len(file.debits), file.total):
            raise AssertionError("a file of direct debits and its collections differ")
