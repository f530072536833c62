"""The ledger's accounts that bank lines move, found once for a whole file."""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from django.db import connection

from accounts.core.chart import LINES, MEMBER_KINDS, Kind, Owner
from accounts.selectors.ledger import AccountMissing

_PLATFORM = [str(kind) for kind, line in LINES.items() if line.owner is Owner.PLATFORM]


@dataclass(frozen=True)
class AccountTable:
    """Ids of the platform's accounts and of some members'.

    Attributes:
        ids: by kind and owner, the stripes in order.
    """

    ids: dict[tuple[Kind, int], list[int]]

    def id(self, kind: Kind, owner_id: int, key: str) -> int:
        """An account; of the platform's stripes the one that an entry's key falls on.

        Raises:
            AccountMissing: it was never opened.
        """
        platform = LINES[kind].owner is Owner.PLATFORM
        stripes = self.ids.get((kind, 0 if platform else owner_id))
        if not stripes:
            raise AccountMissing(f"There is no {kind} account for one of the owners.")
        return stripes[zlib.crc32(key.encode()) % len(stripes)] if platform else stripes[0]

    @property
    def all_ids(self) -> list[int]:
        """Every account of the table."""
        return [account for stripes in self.ids.values() for account in stripes]


def load_accounts(member_ids: Iterable[int], kinds: Collection[Kind] = ()) -> AccountTable:
    """The accounts of these members and the platform's; one statement.

    Args:
        member_ids: whose.
        kinds: leaves out the platform's accounts of other kinds, unless it is empty.
    """
    table: dict[tuple[Kind, int], list[int]] = defaultdict(list)
    platform = [kind for kind in _PLATFORM if not kinds or kind in kinds]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT kind, owner_id, id FROM accounts_account"
            " WHERE (owner_id = 0 AND kind = ANY (%s)) OR (owner_id = ANY (%s) AND kind = ANY (%s))"
            " ORDER BY kind, owner_id, stripe",
            [platform, sorted(set(member_ids)), [str(kind) for kind in MEMBER_KINDS]],
        )
        for kind, owner, account in cursor.fetchall():
            table[Kind(kind), owner].append(account)
    return AccountTable(dict(table))
