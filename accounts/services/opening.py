"""Opening accounts in the ledger, for members and for loans, any number at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from django.db import connection

from accounts.core.chart import Kind
from accounts.core.posting import IntArray
from accounts.services.transactions import require_transaction


def open_accounts(*, kinds: Sequence[Kind], owner_ids: IntArray) -> None:
    """Open one account of each kind for each owner; those that exist stay as they are.

    One statement whatever the number.
    """
    require_transaction()
    owners = np.repeat(owner_ids, len(kinds)).tolist()
    names = [str(kind) for kind in kinds] * len(owner_ids)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO accounts_account (kind, owner_id, stripe)"
            " SELECT kind, owner_id, 0 FROM unnest(%s::text[], %s::bigint[]) AS n (kind, owner_id)"
            " ON CONFLICT (kind, owner_id, stripe) DO NOTHING",
            [names, owners],
        )
