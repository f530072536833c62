"""The locks that keep batch work of one sort from overlapping; held until the transaction ends."""

from __future__ import annotations

from django.db import connection

from accounts.services.transactions import require_transaction


def lock_servicing() -> None:
    """One at a time: instalments falling due, payments, distributions, ageing, pay-out."""
    _lock("servicing")


def lock_matching() -> None:
    """One at a time: matching cycles."""
    _lock("matching")


def _lock(name: str) -> None:
    require_transaction()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [name])
