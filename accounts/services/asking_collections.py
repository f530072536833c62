"""Direct debits are asked for, each due date of what they pay once an attempt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from django.db import connection

from accounts.core.bank_states import DetailsState
from accounts.core.collecting import CollectionRefused, CollectionState, collection_reference
from accounts.core.errors import AmountRefused
from accounts.core.money import LARGEST_PENCE
from accounts.core.posting import LONGEST_REFERENCE
from accounts.services.bank_rows import next_ids
from accounts.services.transactions import require_transaction

LONGEST_ATTEMPT = 32_767


@dataclass(frozen=True, slots=True)
class CollectionDraft:
    """A direct debit to be asked for.

    Attributes:
        member_id: who pays.
        amount: pence, above zero.
        subject: what it pays, as a reference (``loan:12``).
        due_on: which due date of it.
        collect_on: the day on which the bank is to collect it.
        attempt: 1, or more for a due date that was asked for before.
    """

    member_id: int
    amount: int
    subject: str
    due_on: date
    collect_on: date
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class AskedCollection:
    """A direct debit that was asked for, with the end-to-end id that it got."""

    end_to_end_id: str
    draft: CollectionDraft


def ask_for_collections(
    *, asked: Sequence[CollectionDraft], on: date, actor: str, mandated: bool = True
) -> list[AskedCollection]:
    """Store direct debits for the next file; two statements, whatever their number.

    What was asked for before (same subject, due date and attempt) is left out, so that asking
    again collects nothing twice.

    Args:
        asked: what to collect.
        on: business date.
        actor: who asks.
        mandated: under the member's mandate, and without those who gave none by the day of
            collection; otherwise under none, for collectors that go by no file.

    Returns:
        Those that are asked for now, in the order given.

    Raises:
        AmountRefused: an amount that isn't a whole number of pence above zero.
        CollectionRefused: a subject or an attempt that can't be.
    """
    require_transaction()
    for draft in asked:
        check_draft(draft)
    if not asked:
        return []
    numbers = next_ids("accounts_collection", len(asked))
    by_reference = {
        collection_reference(number): (number, draft)
        for number, draft in zip(numbers, asked, strict=True)
    }
    rows = [(number, name, draft) for name, (number, draft) in by_reference.items()]
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO accounts_collection (id, end_to_end_id, member_id, mandate_id, amount,"
            " subject, due_on, attempt, collect_on, state, asked_on, actor)"
            " SELECT n.id, n.name, n.member, m.id, n.amount, n.subject, n.due_on, n.attempt,"
            " n.collect_on, %s, %s, %s FROM unnest(%s::bigint[], %s::text[], %s::bigint[],"
            " %s::bigint[], %s::text[], %s::date[], %s::smallint[], %s::date[])"
            " AS n (id, name, member, amount, subject, due_on, attempt, collect_on)"
            f" LEFT JOIN {_MANDATES} ON m.member_id = n.member AND m.signed_on <= n.collect_on"
            " WHERE NOT %s OR m.id IS NOT NULL ORDER BY n.id"
            " ON CONFLICT (subject, due_on, attempt) DO NOTHING RETURNING end_to_end_id",
            [
                CollectionState.ASKED.value,
                on,
                actor,
                [number for number, _, _ in rows],
                [name for _, name, _ in rows],
                [draft.member_id for _, _, draft in rows],
                [draft.amount for _, _, draft in rows],
                [draft.subject for _, _, draft in rows],
                [draft.due_on for _, _, draft in rows],
                [draft.attempt for _, _, draft in rows],
                [draft.collect_on for _, _, draft in rows],
                mandated,
                DetailsState.REFUSED.value,
                mandated,
            ],
        )
        made = {row[0] for row in cursor.fetchall()}
    return [AskedCollection(name, draft) for _, name, draft in rows if name in made]


# Nothing is collected from an account that was refused since.
_MANDATES = (
    "(SELECT a.id, a.member_id, a.signed_on FROM accounts_mandate AS a"
    " JOIN accounts_bankdetails AS d ON d.id = a.details_id"
    " WHERE %s AND a.cancelled_on IS NULL AND d.state <> %s) AS m"
)


def check_draft(draft: CollectionDraft) -> None:
    """Refuse a draft that can't be.

    Raises:
        AmountRefused, CollectionRefused: see :func:`ask_for_collections`.
    """
    if not 0 < draft.amount <= LARGEST_PENCE:
        raise AmountRefused("A direct debit is a whole number of pence above zero.", field="amount")
    if not 0 < len(draft.subject) <= LONGEST_REFERENCE:
        raise CollectionRefused(
            f"What is collected for has a reference of 1 to {LONGEST_REFERENCE} characters.",
            field="subject",
        )
    if not 0 < draft.attempt <= LONGEST_ATTEMPT:
        raise CollectionRefused("Attempts are counted from 1.", field="attempt")
