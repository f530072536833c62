"""The rows of bank files: written and moved in sets, a statement for each table."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

import psycopg
from django.db import connection

from accounts.core.bank_booking import (
    BookedLine,
    EarlierLine,
    KnownCollection,
    KnownPayment,
)
from accounts.core.bank_overlap import content_digest, lasting_reference
from accounts.core.bank_statement import BankStatement
from accounts.core.bank_states import (
    LineOutcome,
    OurAccount,
    PaymentKind,
    PaymentState,
    SuspenseState,
)
from accounts.core.collecting import EXPECTED, LONGEST_REASON, CollectionState

# Advisory locks of this class are held by whoever books a statement of the account of that number.
_LOCK_CLASS = 7404


def lock_bank_accounts(accounts: Collection[OurAccount]) -> None:
    """Let nobody else book statements of these accounts until the transaction ends."""
    numbers = sorted(list(OurAccount).index(account) for account in set(accounts))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(%s, n) FROM unnest(%s::integer[]) AS t (n) ORDER BY n",
            [_LOCK_CLASS, numbers],
        )


def lock_payments(end_to_end_ids: Collection[str]) -> dict[str, KnownPayment]:
    """Payments of ours by end-to-end id, locked; one statement."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT end_to_end_id, id, kind, state, amount, coalesce(member_id, 0),"
            " coalesce(item_id, 0) FROM accounts_outgoingpayment"
            " WHERE end_to_end_id = ANY (%s) ORDER BY id FOR UPDATE",
            [sorted(set(end_to_end_ids))],
        )
        return {
            row[0]: KnownPayment(row[1], PaymentKind(row[2]), PaymentState(row[3]), *row[4:])
            for row in cursor.fetchall()
        }


def lock_collections(names: Collection[str]) -> dict[str, list[KnownCollection]]:
    """Direct debits by end-to-end id, batch's id and file's id, locked; one statement at most."""
    if not names:
        return {}
    found: dict[str, list[KnownCollection]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.end_to_end_id, c.batch, coalesce(f.message_id, ''), c.id, c.state, c.amount,"
            " c.credited_line_id IS NOT NULL, c.returned_line_id IS NOT NULL"
            " FROM accounts_collection AS c"
            " LEFT JOIN accounts_collectionfilestored AS f ON f.id = c.file_id"
            " WHERE c.end_to_end_id = ANY (%(names)s) OR (c.batch <> '' AND c.batch = ANY"
            " (%(names)s)) OR c.file_id IN (SELECT id FROM accounts_collectionfilestored"
            " WHERE message_id = ANY (%(names)s)) ORDER BY c.id FOR UPDATE OF c",
            {"names": sorted(set(names))},
        )
        for *named, number, state, amount, credited, returned in cursor.fetchall():
            one = KnownCollection(number, CollectionState(state), amount, credited, returned)
            for name in named:
                if name:
                    found[name].append(one)
    return dict(found)


def move_collections(booked: Sequence[BookedLine]) -> None:
    """Direct debits that came in, or came back unpaid; two statements at most.

    One that came back is unpaid from then on; one that was known to be unpaid stays what it is.
    """
    if not any(one.collections for one in booked):
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE accounts_collection AS c SET credited_line_id = n.line"
            " FROM unnest(%s::bigint[], %s::bigint[]) AS n (id, line) WHERE c.id = n.id",
            _columns(
                [
                    (number, one.new.id)
                    for one in booked
                    if one.outcome is LineOutcome.COLLECTED
                    for number in one.collections
                ],
                2,
            ),
        )
        cursor.execute(
            "UPDATE accounts_collection AS c SET returned_line_id = n.line,"
            " reason = CASE WHEN c.reason = '' THEN n.reason ELSE c.reason END,"
            " state = CASE WHEN c.state = ANY (%s) THEN %s ELSE c.state END"
            " FROM unnest(%s::bigint[], %s::bigint[], %s::text[]) AS n (id, line, reason)"
            " WHERE c.id = n.id",
            [
                [state.value for state in EXPECTED],
                CollectionState.UNPAID.value,
                *_columns(
                    [
                        (number, one.new.id, (one.new.line.return_reason or "")[:LONGEST_REASON])
                        for one in booked
                        if one.outcome is LineOutcome.COLLECTION_UNPAID
                        for number in one.collections
                    ],
                    3,
                ),
            ],
        )


def _columns(rows: Sequence[tuple[Any, ...]], width: int) -> list[list[Any]]:
    """Rows as columns, which there are also of no rows."""
    return [[row[place] for row in rows] for place in range(width)]


def lock_items(
    earlier: Sequence[EarlierLine], payments: Collection[KnownPayment]
) -> list[EarlierLine]:
    """Lock the suspense items that may move; returns ``earlier`` as it is then. One statement."""
    ids = {line.id for line in earlier if line.item_state is not None}
    ids |= {payment.item_id for payment in payments if payment.item_id}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT line_id, state, coalesce(member_id, 0) FROM accounts_suspenseitem"
            " WHERE line_id = ANY (%s) ORDER BY line_id FOR UPDATE",
            [sorted(ids)],
        )
        now = {item: (SuspenseState(state), member) for item, state, member in cursor.fetchall()}
    return [
        replace(line, item_state=now[line.id][0], member_id=now[line.id][1])
        if line.id in now
        else line
        for line in earlier
    ]


def next_ids(table: str, count: int) -> list[int]:
    """Ids for rows that are to be written; one statement."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT nextval(pg_get_serial_sequence(%s, 'id')) FROM generate_series(1, %s)",
            [table, count],
        )
        return [row[0] for row in cursor.fetchall()]


def write_statements(statements: Sequence[BankStatement], ids: Sequence[int], file_id: int) -> None:
    """Store statements; one statement."""
    _insert(
        "accounts_bankstatement",
        {
            "id": ("bigint", ids),
            "file_id": ("bigint", [file_id] * len(ids)),
            "account": ("text", [s.account for s in statements]),
            "statement_id": ("text", [s.statement_id for s in statements]),
            "sequence": ("bigint", [s.sequence for s in statements]),
            "opening": ("bigint", [s.opening for s in statements]),
            "opened_on": ("date", [s.opened_on for s in statements]),
            "closing": ("bigint", [s.closing for s in statements]),
            "closed_on": ("date", [s.closed_on for s in statements]),
            "digest": ("bytea", [content_digest(s) for s in statements]),
        },
    )


def write_lines(booked: Sequence[BookedLine], statement_ids: Sequence[int], *, own: bool) -> None:
    """Store lines; one statement.

    Args:
        booked: the lines.
        statement_ids: of each line.
        own: as in :func:`accounts.core.bank_overlap.lasting_reference`.
    """
    lines = [one.new.line for one in booked]
    _insert(
        "accounts_bankline",
        {
            "id": ("bigint", [one.new.id for one in booked]),
            "statement_id": ("bigint", statement_ids),
            "account": ("text", [one.new.account.value for one in booked]),
            "reference": ("text", [line.reference for line in lines]),
            "lasting_reference": (
                "text",
                [lasting_reference(line, own=own) for line in lines],
            ),
            "booked_on": ("date", [line.booked_on for line in lines]),
            "effective_on": ("date", [one.new.effective_on for one in booked]),
            "amount": ("bigint", [line.amount for line in lines]),
            "reversal": ("boolean", [line.reversal for line in lines]),
            "end_to_end_id": ("text", [line.end_to_end_id for line in lines]),
            "return_reason": ("text", [line.return_reason for line in lines]),
            "remittance": ("text", [line.remittance for line in lines]),
            "counterparty": ("text", [line.counterparty for line in lines]),
            "counterparty_account": ("text", [line.counterparty_account for line in lines]),
            "outcome": ("text", [one.outcome.value for one in booked]),
            "member_id": ("bigint", [one.member_id or None for one in booked]),
            "payment_id": ("bigint", [one.payment_id or None for one in booked]),
            "reverses_id": ("bigint", [one.reverses or None for one in booked]),
        },
    )


def write_items(
    booked: Sequence[BookedLine], states: Mapping[int, SuspenseState], *, on: date, actor: str
) -> None:
    """Store suspense items for the lines in suspense, and move those of before; two statements.

    Args:
        booked: the lines.
        states: by item, those that moved.
        on: business date; actor: who says so.
    """
    new = [one.new for one in booked if one.outcome is LineOutcome.SUSPENSE]
    _insert(
        "accounts_suspenseitem",
        {
            "line_id": ("bigint", [line.id for line in new]),
            "amount": ("bigint", [line.line.amount for line in new]),
            "state": ("text", [states.get(line.id, SuspenseState.OPEN).value for line in new]),
            "actor": ("text", [actor] * len(new)),
            "arrived_on": ("date", [line.effective_on for line in new]),
            "changed_on": ("date", [on] * len(new)),
        },
    )
    moved = {item: state.value for item, state in states.items()}
    for line in new:
        moved.pop(line.id, None)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE accounts_suspenseitem AS i SET state = n.state, actor = %s, changed_on = %s"
            " FROM unnest(%s::bigint[], %s::text[]) AS n (id, state) WHERE i.line_id = n.id",
            [actor, on, list(moved), list(moved.values())],
        )


def move_payments(states: Mapping[int, PaymentState]) -> None:
    """Move payments that the bank has carried out, or whose money came back; two statements.

    One that did both in one file goes through both states.
    """
    with connection.cursor() as cursor:
        for new, old in (
            (PaymentState.CONFIRMED, PaymentState.SENT),
            (PaymentState.RETURNED, PaymentState.CONFIRMED),
        ):
            reached = [
                payment
                for payment, state in states.items()
                if state is PaymentState.RETURNED or state is new
            ]
            cursor.execute(
                "UPDATE accounts_outgoingpayment SET state = %s WHERE id = ANY (%s) AND state = %s",
                [new.value, reached, old.value],
            )


def _insert(table: str, columns: Mapping[str, tuple[str, Sequence[Any]]]) -> None:
    """Insert rows given as columns, each with its type in the database; one statement."""
    arrays = ", ".join(f"%b::{kind}[]" for kind, _ in columns.values())
    connection.ensure_connection()
    with (
        connection.wrap_database_errors,
        # Django's own cursor would write all values into the statement, one by one in Python.
        psycopg.Cursor(connection.connection) as cursor,
    ):
        cursor.execute(
            f"INSERT INTO {table} ({', '.join(columns)}) SELECT * FROM unnest({arrays})",
            [list(values) for _, values in columns.values()],
        )
