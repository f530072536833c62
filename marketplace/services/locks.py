"""The locks that keep batch work of one sort from overlapping; held until the transaction ends."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import connection

from accounts.selectors.bulk import array_of
from accounts.services.transactions import require_transaction
from marketplace.core.arrays import IntArray, int_array


def lock_servicing() -> None:
    """One at a time: instalments falling due, payments, distributions, ageing, pay-out."""
    _lock("servicing")


def lock_loans(loan_ids: Sequence[int] | IntArray) -> None:
    """Nobody else works on these loans until the transaction ends; one round trip.

    Everybody takes the loans they work on like this before reading their details, batches and
    people alike, so a loan that somebody works on waits or is done first, and never done twice.
    How far the close of a day has gone stays so, too (:func:`hold_loans`).
    """
    require_transaction()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock_shared(hashtext('loans'));"
            " SELECT FROM marketplace_loan WHERE id = ANY (%s::bigint[])"
            " ORDER BY id FOR NO KEY UPDATE",
            [array_of(int_array(loan_ids, "loan_ids"))],
        )


def hold_loans() -> None:
    """Wait for all who work on loans; nobody takes one until the transaction ends.

    For whoever says that a day has gone further: what people did before is there to be seen, and
    they read it afterwards. Taken after :func:`lock_servicing`, before any loan.
    """
    _lock("loans")


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
