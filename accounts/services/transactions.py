"""Who opens a transaction: the outermost service does; one called inside requires it open."""

from __future__ import annotations

from django.db import DEFAULT_DB_ALIAS, connections


def require_transaction(using: str = DEFAULT_DB_ALIAS) -> None:
    """Refuse to go on outside a transaction.

    Raises:
        RuntimeError: a mistake in the calling code: what follows must not be half done.
    """
    if not connections[using].in_atomic_block:
        raise RuntimeError("this service must be called inside an open transaction")
