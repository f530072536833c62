"""Direct debits: taken in, unpaid, undone. The money is booked by who takes it in.

Whoever debits ``collecting`` says here for which collections, in the same transaction and before
the posting: reconciliation compares the account with them, and the bank's lines find them.
"""

from __future__ import annotations

from collections.abc import Collection as Some
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType
from typing import Any

from django.db import connection, transaction

from accounts.core.collecting import (
    LONGEST_REASON,
    CollectionRefused,
    CollectionState,
    CollectionUnknown,
    check_collection_move,
    collection_reference,
    is_collection_reference,
)
from accounts.models import Collection
from accounts.services.asking_collections import CollectionDraft, check_draft
from accounts.services.bank_rows import next_ids
from accounts.services.idempotency import once
from accounts.services.transactions import require_transaction

_LONGEST_ID = 35
NO_RESTS: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class ReceiptDraft:
    """Money that is taken in without having been asked for here, such as a recovery.

    Attributes:
        member_id: who owed it.
        amount: pence, above zero.
        subject: what it pays, as a reference.
        reference: the end-to-end id that the bank's line will have, where that is known.
    """

    member_id: int
    amount: int
    subject: str
    reference: str = ""


@dataclass(frozen=True, slots=True)
class Unpaid:
    """A direct debit that wasn't paid, and the bank's reason code (``AM04``) or nothing."""

    end_to_end_id: str
    reason: str = ""


def take_in(*, end_to_end_ids: Some[str], on: date, rests: Mapping[str, int] = NO_RESTS) -> None:
    """Say that direct debits count as collected from a day; three statements at most.

    Args:
        end_to_end_ids: which.
        on: the day.
        rests: pence of some of them that what they are for can't take:
            :func:`accounts.services.collected_rests.move_rests` makes them the member's cash.

    Raises:
        CollectionUnknown: one that doesn't exist.
        CollectionMoveRefused: one that isn't asked for or sent.
    """
    _move(set(end_to_end_ids) - set(rests), CollectionState.COLLECTED, taken_on=on)
    if not rests:
        return
    _lock_for(rests, CollectionState.COLLECTED)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE accounts_collection AS c SET state = %s, taken_on = %s, rest = n.rest"
            " FROM unnest(%s::text[], %s::bigint[]) AS n (name, rest)"
            " WHERE c.end_to_end_id = n.name",
            [CollectionState.COLLECTED.value, on, list(rests), list(rests.values())],
        )


def withdraw_collections(*, end_to_end_ids: Some[str]) -> None:
    """Say that direct debits are for nothing any more; two statements.

    If one was sent, its money waits in suspense when it comes, for operations to give to whose
    it is.

    Raises:
        CollectionUnknown: one that doesn't exist.
        CollectionMoveRefused: one that isn't asked for or sent.
    """
    _move(end_to_end_ids, CollectionState.CANCELLED)


def give_up_collection(*, end_to_end_id: str, actor: str, key: str) -> None:
    """Let operations say that a direct debit is for nothing any more: see withdraw_collections.

    Raises:
        CollectionUnknown: there is no such direct debit.
        CollectionMoveRefused: it isn't asked for or sent.
        IdempotencyConflict.
    """

    def withdraw() -> dict[str, Any]:
        withdraw_collections(end_to_end_ids=[end_to_end_id])
        return {}

    with transaction.atomic():
        once(
            scope=actor,
            name="give_up_collection",
            key=key,
            content={"collection": end_to_end_id},
            action=withdraw,
        )


def cancel_asked(*, subjects: Some[str]) -> int:
    """Cancel what is asked for on account of these subjects and in no file yet; one statement.

    Returns:
        How many were cancelled.
    """
    require_transaction()
    return Collection.objects.filter(
        subject__in=list(subjects), state=CollectionState.ASKED
    ).update(state=CollectionState.CANCELLED)


def fail_collections(*, unpaid: Sequence[Unpaid]) -> None:
    """Say that direct debits were not paid, inside a transaction; two statements.

    Raises:
        CollectionUnknown, CollectionMoveRefused, CollectionRefused.
    """
    if any(len(one.reason) > LONGEST_REASON for one in unpaid):
        raise CollectionRefused(
            f"A bank's reason has up to {LONGEST_REASON} characters.", field="reason"
        )
    reasons = {one.end_to_end_id: one.reason for one in unpaid}
    if len(reasons) != len(unpaid):
        raise CollectionRefused("A direct debit is named twice.", field="end_to_end_id")
    _lock_for(reasons, CollectionState.UNPAID)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE accounts_collection AS c SET state = %s, reason = n.reason"
            " FROM unnest(%s::text[], %s::text[]) AS n (name, reason)"
            " WHERE c.end_to_end_id = n.name",
            [CollectionState.UNPAID.value, list(reasons), list(reasons.values())],
        )


def collections_unpaid(*, unpaid: Sequence[Unpaid], on: date, actor: str, key: str) -> int:
    """Say that the bank couldn't collect, for what no statement shows, or not yet.

    What had counted as collected waits for its payment to be taken back.

    Args:
        unpaid: which, and why.
        on: business date.
        actor: who says so.
        key: idempotency key, unique for the actor.

    Returns:
        How many; the same again for a key used before.

    Raises:
        CollectionUnknown: one that doesn't exist.
        CollectionMoveRefused: one that is unpaid already, or that was cancelled.
        CollectionRefused: a reason that is too long, or one named twice.
        IdempotencyConflict.
    """

    def fail() -> dict[str, Any]:
        fail_collections(unpaid=unpaid)
        return {"unpaid": len(unpaid), "on": on.isoformat()}

    with transaction.atomic():
        answer = once(
            scope=actor,
            name="collections_unpaid",
            key=key,
            content={"unpaid": [(one.end_to_end_id, one.reason) for one in unpaid]},
            action=fail,
        )
    count: int = answer["unpaid"]
    return count


def taken_back(*, end_to_end_ids: Some[str], reason: str = "") -> int:
    """Say that payments of direct debits were taken back again; four statements at most.

    One that had counted as collected until now is unpaid on the way. References that are no
    collection's, and collections whose payments are taken back already, are left out.

    Returns:
        How many were taken back.
    """
    require_transaction()
    known = Collection.objects.select_for_update().filter(
        end_to_end_id__in=list(end_to_end_ids), taken_on__isnull=False
    )
    states = dict(known.order_by("pk").values_list("pk", "state"))
    collected = [pk for pk, state in states.items() if state == CollectionState.COLLECTED]
    Collection.objects.filter(pk__in=collected).update(
        state=CollectionState.UNPAID, reason=reason[:LONGEST_REASON]
    )
    unpaid = [pk for pk, state in states.items() if state != CollectionState.BOUNCED]
    return Collection.objects.filter(pk__in=unpaid).update(state=CollectionState.BOUNCED)


def record_receipts(*, receipts: Sequence[ReceiptDraft], on: date, actor: str) -> list[str]:
    """Say that money was taken in that wasn't asked for here; five statements.

    Returns:
        The end-to-end id of each: the reference that was given, or one that is made, where there
        was none, it is in use, or it is one of those that direct debits get.

    Raises:
        AmountRefused, CollectionRefused: see :func:`ask_for_collections`.
    """
    require_transaction()
    if not receipts:
        return []
    attempts = _next_attempts({receipt.subject for receipt in receipts}, on)
    drafts = []
    for receipt in receipts:
        attempt = attempts[receipt.subject]
        attempts[receipt.subject] += 1
        drafts.append(
            CollectionDraft(receipt.member_id, receipt.amount, receipt.subject, on, on, attempt)
        )
    for draft in drafts:
        check_draft(draft)
    wanted = [receipt.reference for receipt in receipts]
    used = set(
        Collection.objects.filter(end_to_end_id__in=wanted).values_list("end_to_end_id", flat=True)
    )
    names = []
    for number, name in zip(next_ids("accounts_collection", len(drafts)), wanted, strict=True):
        taken = name in used or is_collection_reference(name)
        fits = 0 < len(name) <= _LONGEST_ID and not taken
        names.append(name if fits else collection_reference(number))
        used.add(names[-1])
    Collection.objects.bulk_create(
        Collection(
            end_to_end_id=name,
            member_id=draft.member_id,
            amount=draft.amount,
            subject=draft.subject,
            due_on=draft.due_on,
            attempt=draft.attempt,
            collect_on=draft.collect_on,
            state=CollectionState.ASKED,
            is_recorded=True,
            asked_on=on,
            actor=actor,
        )
        for name, draft in zip(names, drafts, strict=True)
    )
    Collection.objects.filter(end_to_end_id__in=names).update(
        state=CollectionState.COLLECTED, taken_on=on
    )
    return names


def _next_attempts(subjects: Some[str], on: date) -> dict[str, int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT n.subject, coalesce(max(c.attempt), 0) + 1 FROM unnest(%s::text[])"
            " AS n (subject) LEFT JOIN accounts_collection AS c"
            " ON c.subject = n.subject AND c.due_on = %s GROUP BY n.subject",
            [sorted(subjects), on],
        )
        return dict(cursor.fetchall())


def _move(end_to_end_ids: Some[str], state: CollectionState, **fields: Any) -> None:
    ids = _lock_for(end_to_end_ids, state)
    Collection.objects.filter(pk__in=ids).update(state=state, **fields)


def _lock_for(end_to_end_ids: Some[str], state: CollectionState) -> list[int]:
    """Lock collections that are to move; returns their ids."""
    require_transaction()
    wanted = set(end_to_end_ids)
    found = list(
        Collection.objects.select_for_update()
        .filter(end_to_end_id__in=wanted)
        .order_by("pk")
        .values_list("pk", "state")
    )
    if len(found) != len(wanted):
        raise CollectionUnknown("There is no such direct debit.", field="end_to_end_id")
    for old in sorted({old for _, old in found}):
        check_collection_move(CollectionState(old), state)
    return [pk for pk, _ in found]
