"""The posting gate: the one way by which money moves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from django.db import connection
from django.db.utils import DatabaseError

from accounts.core.errors import AccountsRefusal
from accounts.core.posting import IntArray, Posting
from accounts.services.bulk import copy_rows
from accounts.services.transactions import require_transaction


class NotEnoughMoney(AccountsRefusal):
    """A transfer that would take an account below its floor."""

    code = "NOT_ENOUGH_MONEY"


class AccountUnknown(AccountsRefusal):
    """A transfer from or to an account that is unknown, closed or of the other book."""

    code = "ACCOUNT_UNKNOWN"


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
        IdempotencyConflict: a key was used before with other content, or only some keys are new.
        RuntimeError: no transaction is open.
    """
    require_transaction()
    if not posting.entries:
        return Posted(np.zeros(0, dtype=np.int64), replayed=False)
    digests = posting.digests()
    written = _write_entries(posting, digests)
    keys = [entry.key for entry in posting.entries]
    if len(written) < len(keys):
        return _replayed(keys, digests, written)
    ids = np.array([written[key] for key in keys], dtype=np.int64)
    with _refusals():
        copy_rows(
            connection,
            "accounts_transfer",
            {
                "entry_id": ids[posting.entry],
                "book": posting.book.astype(np.int16),
                "debit_id": posting.debit,
                "credit_id": posting.credit,
                "amount": posting.amount,
            },
        )
    return Posted(ids, replayed=False)


def _write_entries(posting: Posting, digests: Sequence[bytes]) -> dict[str, int]:
    """Insert the entries whose keys are new; returns their ids by key."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO accounts_entry (kind, key, digest, effective_on, actor, reference)"
            " SELECT * FROM unnest(%s::text[], %s::text[], %s::bytea[], %s::date[], %s::text[],"
            " %s::text[]) ON CONFLICT (key) DO NOTHING RETURNING key, id",
            [
                [str(entry.kind) for entry in posting.entries],
                [entry.key for entry in posting.entries],
                list(digests),
                [entry.effective_on for entry in posting.entries],
                [entry.actor for entry in posting.entries],
                [entry.reference for entry in posting.entries],
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


@contextmanager
def _refusals() -> Iterator[None]:
    """Turn the database's refusals of a posting into typed ones; other errors stay what they are.

    Raises:
        NotEnoughMoney, AccountUnknown: see :func:`post`.
    """
    try:
        yield
    except DatabaseError as error:
        cause = error.__cause__
        state = getattr(cause, "sqlstate", None)
        constraint = getattr(getattr(cause, "diag", None), "constraint_name", None)
        if constraint == "accounts_account_no_overdraft":
            raise NotEnoughMoney("There is not enough money in the account for this.") from error
        if state == "TN004":
            raise AccountUnknown("A transfer names an account that can't be posted to.") from error
        raise
