"""Keeping bank files as they came: the posted ones and the refused ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

import psycopg
from django.db import connection, transaction

from accounts.core.bank_statement import LARGEST_FILE_BYTES
from accounts.core.bank_states import FileFormat, FileState
from accounts.core.errors import AccountsRefusal

_LONGEST_NAME = 200


@dataclass(frozen=True)
class ReceivedFile:
    """A bank file as it came.

    Attributes:
        content: its bytes, SHA-256 of which is ``sha256``.
        name: what it was called.
        format: how it is written.
        received_on: business date; actor: who gave it.
    """

    content: bytes = field(repr=False)
    sha256: bytes
    name: str
    format: FileFormat
    received_on: date
    actor: str


def find_file(file: ReceivedFile) -> tuple[int, FileState] | None:
    """Id and state of a file that came before; one statement."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, state FROM accounts_bankfile WHERE sha256 = %s", [file.sha256])
        row = cursor.fetchone()
    return None if row is None else (row[0], FileState(row[1]))


def store_file(
    *, file: ReceivedFile, state: FileState, refusal: AccountsRefusal | None = None
) -> int:
    """Store a file, or move one on that was refused before; returns its id. One statement.

    A file that was posted stays as it is, whatever is said of it later.
    """
    # What is too large to be read is too large to be kept; its hash and name tell which it was.
    content = file.content if len(file.content) <= LARGEST_FILE_BYTES else b""
    connection.ensure_connection()
    with (
        connection.wrap_database_errors,
        # Django's own cursor would write megabytes of bytes into the statement as text.
        psycopg.Cursor(connection.connection) as cursor,
    ):
        cursor.execute(
            "INSERT INTO accounts_bankfile AS f (sha256, name, format, content, received_on, actor,"
            " state, refusal_code, refusal_message, refusal_where)"
            " VALUES (%b, %s, %s, %b, %s, %s, %s, %s, %s, %s)"
            " ON CONFLICT (sha256) DO UPDATE SET state = excluded.state, name = excluded.name,"
            " received_on = excluded.received_on, actor = excluded.actor,"
            " refusal_code = excluded.refusal_code, refusal_message = excluded.refusal_message,"
            " refusal_where = excluded.refusal_where, recorded_at = now()"
            " WHERE f.state = 'refused' RETURNING id",
            [
                file.sha256,
                "".join(c for c in file.name if c.isprintable())[:_LONGEST_NAME],
                file.format.value,
                content,
                file.received_on,
                file.actor,
                state.value,
                "" if refusal is None else refusal.code,
                "" if refusal is None else refusal.message,
                "" if refusal is None else (refusal.field or "")[:200],
            ],
        )
        row = cursor.fetchone()
    return 0 if row is None else int(row[0])


def keep_refused(*, file: ReceivedFile, refusal: AccountsRefusal) -> None:
    """Keep a refused file for a person to look at, whatever else was undone."""
    with transaction.atomic():
        store_file(file=file, state=FileState.REFUSED, refusal=refusal)
