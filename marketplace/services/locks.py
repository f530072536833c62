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


def hold_offers() -> None:
    """Nobody changes, pauses, cancels or tops up an offer until the transaction ends.

    For the cycle, between what it reads and what it writes. Placing goes on: what is placed after
    the reading is for the next one.
    """
    _lock("offers")


def share_offers() -> None:
    """Wait for a cycle that holds the offers; several may change offers at the same time."""
    require_transaction()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock_shared(hashtext('offers'))")


def _lock(name: str) -> None:
    require_transaction()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [name])
