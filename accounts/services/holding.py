"""Holding accounts still: for whoever takes as far as it goes, and must know how far that is."""

from __future__ import annotations

from collections.abc import Collection

from django.db import connection

from accounts.services.transactions import require_transaction


def hold_accounts(*, ids: Collection[int]) -> dict[int, int]:
    """Lock accounts until the transaction ends; returns their balances in pence. One statement.

    Call it right before posting, with every account of the posting: the locks are those that the
    posting takes, in its order, so that two of them can't wait for each other in a circle.
    """
    require_transaction()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT account_id, held FROM accounts_hold_accounts(%s::integer[])", [list(ids)]
        )
        return dict(cursor.fetchall())
