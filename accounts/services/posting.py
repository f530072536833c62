"""The posting gate: the one way by which money moves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from weakref import WeakSet

import numpy as np
import psycopg
from django.db import connection
from django.db.utils import DatabaseError

from accounts.core.errors import AccountsRefusal
from accounts.core.posting import EntryDraft, IntArray, Posting, SingleTransfer
from accounts.services.bulk import Column, copy_rows
from accounts.services.transactions import require_transaction

_PLACES = 11
_POST_ENTRY = f"SELECT accounts_post_entry({', '.join(['%s'] * _PLACES)})"
_STATEMENT = b"tenner_post_entry"
_WITH_PLACES = (_POST_ENTRY % tuple(f"${place + 1}" for place in range(_PLACES))).encode()
_NOT_PREPARED = b"26000"
# The connections that know the statement.
_PREPARED: WeakSet[psycopg.Connection[Any]] = WeakSet()
# An entry with up to so many transfers travels as one statement; COPY is for more.
_FEW = 50


class NotEnoughMoney(AccountsRefusal):
    """A transfer that would take an account below its floor."""

    code = "NOT_ENOUGH_MONEY"


class AccountUnknown(AccountsRefusal):
    """A transfer from or to an account that is unknown, closed or of the other book."""

    code = "ACCOUNT_UNKNOWN"


class DateRefused(AccountsRefusal):
    """A business date that is closed, or that has not come yet."""

    code = "BUSINESS_DATE_REFUSED"


class IsolationRefused(AccountsRefusal):
    """A transaction with one snapshot, which can't see what others close or spend meanwhile."""

    code = "ISOLATION_REFUSED"


class AlreadyReversed(AccountsRefusal):
    """An entry that another one takes back already."""

    code = "ALREADY_REVERSED"


class IdempotencyConflict(AccountsRefusal):
    """A key that was used before with other content."""

    code = "IDEMPOTENCY_CONFLICT"


@dataclass(frozen=True)
class Posted:
    """The gate's answer.

    Attributes:
        entry_ids: ids of the entries in the order given, shape ``(e,)``.
        replayed: whether the same posting had been made before, so that nothing moved now.
    """

    entry_ids: IntArray
    replayed: bool


def post(posting: Posting) -> Posted:
    """Write a posting: all of it or nothing, once.

    Four statements at most, whatever the size. Post last in a transaction, and once: accounts
    stay locked from here until it commits.

    Raises:
        NotEnoughMoney: an account would fall below its floor.
        AccountUnknown: an account that can't be posted to.
        DateRefused: a business date that is closed, or later than today.
        AlreadyReversed: an entry takes back what was taken back before.
        IdempotencyConflict: a key was used before with other content, or only some keys are new.
        RuntimeError: no transaction is open.
    """
    require_transaction()
    if not posting.entries:
        return Posted(np.zeros(0, dtype=np.int64), replayed=False)
    if len(posting.entries) == 1 and len(posting.entry) <= _FEW:
        return _post_few(posting)
    digests = posting.digests()
    keys = [entry.key for entry in posting.entries]
    with _refusals():
        written = _write_entries(posting, digests)
        if len(written) < len(keys):
            return _replayed(keys, digests, written)
        ids = np.array([written[key] for key in keys], dtype=np.int64)
        copy_rows(connection, "accounts_transfer", _columns(posting.for_storage(), ids))
    return Posted(ids, replayed=False)


def post_alone(single: SingleTransfer) -> Posted:
    """Write one entry with one transfer, with no transaction open or inside one.

    It is one statement, which the database makes a transaction by itself: a third of the round
    trips, for a use case that writes nothing else.

    Raises:
        PostingMalformed, AmountRefused: see :meth:`SingleTransfer.check`.
        NotEnoughMoney, AccountUnknown, DateRefused, AlreadyReversed, IdempotencyConflict: see
            :func:`post`.
    """
    single.check()
    moves = [single.book], [single.debit], [single.credit], [single.amount]
    return _post_at_once(single.entry, single.digest(), moves)


def _post_few(posting: Posting) -> Posted:
    """Post one entry with few transfers."""
    [entry], [digest] = posting.entries, posting.digests()
    columns = (posting.book, posting.debit, posting.credit, posting.amount)
    return _post_at_once(entry, digest, [column.tolist() for column in columns])


def _post_at_once(entry: EntryDraft, digest: bytes, moves: Sequence[Sequence[int]]) -> Posted:
    """Post in a single round trip; ``moves`` are books, debits, credits and amounts."""
    values = [
        entry.kind.value,
        entry.key,
        "\\x" + digest.hex(),
        entry.effective_on.isoformat(),
        entry.actor,
        entry.reference,
        None if entry.reverses is None else str(entry.reverses),
        *map(_array, moves),
    ]
    connection.ensure_connection()
    try:
        with connection.wrap_database_errors:
            made = _call(connection.connection, values)
    except DatabaseError as error:
        _refuse(error)
        raise
    if made is None:
        return _replayed([entry.key], [digest], {})
    return Posted(np.array([int(made)], dtype=np.int64), replayed=False)


def _columns(posting: Posting, ids: IntArray) -> dict[str, Column]:
    """The columns of the table of transfers."""
    days = np.array([entry.effective_on for entry in posting.entries], dtype="datetime64[D]")
    return {
        "entry_id": ids[posting.entry],
        "amount": posting.amount,
        "debit_id": posting.debit.astype(np.int32),
        "credit_id": posting.credit.astype(np.int32),
        "effective_on": days[posting.entry],
        "book": posting.book.astype(np.int16),
    }


def _call(raw: psycopg.Connection[Any], values: list[str | None]) -> bytes | str | None:
    """Call ``accounts_post_entry``: the fewest steps of Python between here and the server.

    libpq is asked directly, which takes a third of the time of a cursor; only a transaction that
    is yet to begin needs one.
    """
    encoded: list[Any] = [None if value is None else value.encode() for value in values]
    if raw.pgconn.transaction_status != psycopg.pq.TransactionStatus.IDLE:
        result = raw.pgconn.exec_params(_WITH_PLACES, encoded)
    elif raw.autocommit:
        result = _call_prepared(raw, encoded)
    else:
        with psycopg.Cursor(raw) as cursor:
            cursor.execute(_POST_ENTRY, values)
            [row] = cursor.fetchall()
            return row[0]  # type: ignore[no-any-return]
    if result.status == psycopg.pq.ExecStatus.TUPLES_OK:
        return result.get_value(0, 0)
    if raw.pgconn.status == psycopg.pq.ConnStatus.BAD:
        raise psycopg.OperationalError(raw.pgconn.get_error_message())
    raise psycopg.errors.error_from_result(result)


def _call_prepared(raw: psycopg.Connection[Any], encoded: list[Any]) -> psycopg.pq.abc.PGresult:
    """Prepare the statement once a connection: parsing and planning it is a sixth of the work."""
    if raw not in _PREPARED:
        raw.pgconn.prepare(_STATEMENT, _WITH_PLACES)
        _PREPARED.add(raw)
    result = raw.pgconn.exec_prepared(_STATEMENT, encoded)
    if result.error_field(psycopg.pq.DiagnosticField.SQLSTATE) == _NOT_PREPARED:
        # A pool between here and the server has changed the server's end of the connection.
        result = raw.pgconn.exec_params(_WITH_PLACES, encoded)
    return result


def _array(column: Sequence[int]) -> str:
    """The numbers as PostgreSQL writes an array: an eighth of the time of adapting a list."""
    return "{" + ",".join(map(int.__repr__, column)) + "}"


def _write_entries(posting: Posting, digests: Sequence[bytes]) -> dict[str, int]:
    """Insert the entries whose keys are new; returns their ids by key."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO accounts_entry"
            " (kind, key, digest, effective_on, actor, reference, reverses_id)"
            " SELECT * FROM unnest(%s::text[], %s::text[], %s::bytea[], %s::date[], %s::text[],"
            " %s::text[], %s::bigint[]) AS n (kind, key) ORDER BY n.key"
            " ON CONFLICT (key) DO NOTHING RETURNING key, id",
            [
                [str(entry.kind) for entry in posting.entries],
                [entry.key for entry in posting.entries],
                list(digests),
                [entry.effective_on for entry in posting.entries],
                [entry.actor for entry in posting.entries],
                [entry.reference for entry in posting.entries],
                [entry.reverses for entry in posting.entries],
            ],
        )
        return dict(cursor.fetchall())


def _replayed(keys: list[str], digests: list[bytes], written: dict[str, int]) -> Posted:
    """The first answer again, if every key is known with the same content."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT key, id, digest FROM accounts_entry WHERE key = ANY (%s)", [keys])
        known = {key: (int(entry), bytes(digest)) for key, entry, digest in cursor.fetchall()}
    for key, digest in zip(keys, digests, strict=True):
        if written or known[key][1] != digest:
            raise IdempotencyConflict(f"The key '{key}' was used before for something else.")
    return Posted(np.array([known[key][0] for key in keys], dtype=np.int64), replayed=True)


_BY_CONSTRAINT: dict[str, tuple[type[AccountsRefusal], str]] = {
    "accounts_account_no_overdraft": (
        NotEnoughMoney,
        "There is not enough money in the account for this.",
    ),
    "accounts_entry_reverses_id_key": (AlreadyReversed, "The entry has been taken back already."),
}
_BY_STATE: dict[str, tuple[type[AccountsRefusal], str]] = {
    "TN004": (AccountUnknown, "A transfer names an account that can't be posted to."),
    "TN005": (DateRefused, "The business date has not come yet."),
    "TN006": (DateRefused, "The business date is closed."),
    "TN011": (IsolationRefused, "Money moves in transactions that see what others commit."),
    "TN008": (NotEnoughMoney, "There is not enough money in the account for this."),
}


@contextmanager
def _refusals() -> Iterator[None]:
    """Turn the database's refusals of a posting into typed ones; other errors stay what they are.

    Raises:
        NotEnoughMoney, AccountUnknown, DateRefused, AlreadyReversed: see :func:`post`.
    """
    try:
        yield
    except DatabaseError as error:
        _refuse(error)
        raise


def _refuse(error: DatabaseError) -> None:
    """Raise the typed refusal that the database's error stands for, if it does for one."""
    cause = error.__cause__
    constraint = getattr(getattr(cause, "diag", None), "constraint_name", None)
    refusal = _BY_CONSTRAINT.get(constraint or "") or _BY_STATE.get(
        getattr(cause, "sqlstate", None) or ""
    )
    if refusal is not None:
        raise refusal[0](refusal[1]) from error
