"""Each use case that moves money is carried out once per key, and answers the same again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from django.db import connection

from accounts.core.errors import AccountsRefusal
from accounts.services.posting import IdempotencyConflict
from accounts.services.transactions import require_transaction

LONGEST_KEY = 120


class KeyRefused(AccountsRefusal):
    """An idempotency key that is empty or too long."""

    code = "IDEMPOTENCY_KEY_REFUSED"


def once(
    *,
    scope: str,
    name: str,
    key: str,
    content: Mapping[str, Any],
    action: Callable[[], dict[str, Any]],
) -> dict[str, Any]:
    """Carry out ``action`` unless the key was used, and return its answer (JSON).

    The row of the key is inserted first, so of two callers at the same instant the second waits
    for the first's commit and then gets its answer.

    Args:
        scope: who asks, such as ``member:7``; keys of different scopes never meet.
        name: the operation.
        key: chosen by the caller, 1 to 120 characters.
        content: what was asked for; must be the same when the key is used again. Leave the
            business date out of what people ask for, or a retry after midnight is a conflict.
        action: does the work inside the caller's transaction.

    Raises:
        KeyRefused: no key, or a key too long.
        IdempotencyConflict: the key was used before with other content.
    """
    require_transaction()
    if not 0 < len(key) <= LONGEST_KEY or not key.isprintable():
        raise KeyRefused(
            f"An idempotency key has 1 to {LONGEST_KEY} printable characters.", field="key"
        )
    canonical = json.dumps(content, sort_keys=True, default=str)
    digest = hashlib.sha256(canonical.encode()).digest()
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO accounts_operation (scope, name, key, digest) VALUES (%s, %s, %s, %s)"
            " ON CONFLICT (scope, name, key) DO NOTHING RETURNING id",
            [scope, name, key, digest],
        )
        row = cursor.fetchone()
        if row is None:
            return _first_answer(scope, name, key, digest)
        answer = action()
        cursor.execute(
            "UPDATE accounts_operation SET answer = %s WHERE id = %s", [json.dumps(answer), row[0]]
        )
    return answer


def _first_answer(scope: str, name: str, key: str, digest: bytes) -> dict[str, Any]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT digest, answer FROM accounts_operation"
            " WHERE scope = %s AND name = %s AND key = %s",
            [scope, name, key],
        )
        known, answer = cursor.fetchone()
    if bytes(known) != digest:
        raise IdempotencyConflict(f"The key '{key}' was used before for something else.")
    first: dict[str, Any] = json.loads(answer) if isinstance(answer, str) else answer
    return first
