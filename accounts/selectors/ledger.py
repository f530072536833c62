"""Questions to the ledger: which accounts, and how much is in them."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from django.db import connection

from accounts.core.chart import LINES, Book, Kind, Owner
from accounts.core.errors import AccountsRefusal
from accounts.core.posting import IntArray
from accounts.selectors.bulk import array_of, fetch_columns


class AccountMissing(AccountsRefusal):
    """An account that was never opened."""

    code = "ACCOUNT_MISSING"


def account_ids(kind: Kind, owner_ids: IntArray) -> IntArray:
    """Ids of the accounts of one kind, in the order of their owners; one statement.

    Raises:
        AccountMissing: an owner without such an account.
    """
    owners, places = np.unique(owner_ids, return_inverse=True)
    known, ids = fetch_columns(
        "SELECT owner_id, id::bigint FROM accounts_account"
        " WHERE kind = %s AND stripe = 0 AND owner_id = ANY (%s::bigint[])"
        " ORDER BY owner_id",
        [str(kind), array_of(owners)],
        2,
    )
    if len(known) != len(owners):
        raise AccountMissing(f"There is no {kind} account for one of the owners.")
    found: IntArray = ids[places]
    return found


def platform_accounts(kind: Kind, keys: Sequence[str]) -> IntArray:
    """The stripe of a platform account for each entry, by the entry's key; shape ``(len(keys),)``.

    Stripes keep one hot row from making unrelated members wait for each other. The key decides,
    so that a posting made again under its key is the same posting.
    """
    stripes = _stripes(kind)
    chosen = [zlib.crc32(key.encode()) % len(stripes) for key in keys]
    found: IntArray = stripes[np.array(chosen, dtype=np.int64)]
    return found


# The platform's accounts are opened by migration and never go, so that a connection need ask for
# them once only. They are kept with the connection: another one may lead to another database.
_KNOWN: WeakKeyDictionary[Any, dict[Kind, IntArray]] = WeakKeyDictionary()


def _stripes(kind: Kind) -> IntArray:
    """Ids of all stripes of a platform account, in their order.

    Raises:
        AccountMissing: not an account of the platform.
    """
    if LINES[kind].owner is not Owner.PLATFORM:
        raise AccountMissing(f"{kind} is not an account of the platform.")
    connection.ensure_connection()
    known = _KNOWN.setdefault(connection.connection, {})
    if kind not in known:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT id FROM accounts_account WHERE kind = %s ORDER BY stripe", [str(kind)]
            )
            known[kind] = np.array([row[0] for row in cursor.fetchall()], dtype=np.int64)
    return known[kind]


@dataclass(frozen=True)
class Balances:
    """What one member has, in pence."""

    cash: int
    on_offer: int
    matched: int
    on_its_way: int


def member_balances(member_id: int) -> Balances:
    """Stored balances of one member; one statement, whatever the history's length."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT kind, balance FROM accounts_account WHERE owner_id = %s AND kind = ANY (%s)",
            [member_id, [str(k) for k in LINES if LINES[k].owner is Owner.MEMBER]],
        )
        found = dict(cursor.fetchall())
    return Balances(
        cash=found.get(Kind.CASH, 0),
        on_offer=found.get(Kind.ON_OFFER, 0),
        matched=found.get(Kind.MATCHED, 0),
        on_its_way=found.get(Kind.ON_ITS_WAY, 0),
    )


def totals_by_kind() -> dict[Kind, int]:
    """Sum of the stored balances of each kind of account, in pence."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT kind, sum(balance)::bigint FROM accounts_account GROUP BY kind")
        return {Kind(kind): int(total) for kind, total in cursor.fetchall()}


@dataclass(frozen=True)
class BookCheck:
    """The outcome of re-deriving the whole book.

    Attributes:
        book_sums: credits less debits over all stored balances of each book; 0 when in balance.
        wrong_accounts: accounts whose stored balance differs from the re-derived one.
        accounts: how many were compared.
        transfers: how many transfers there are.
    """

    book_sums: dict[Book, int]
    wrong_accounts: tuple[int, ...]
    accounts: int
    transfers: int

    @property
    def holds(self) -> bool:
        """Whether nothing was found wrong."""
        return not self.wrong_accounts and not any(self.book_sums.values())


def check_book() -> BookCheck:
    """Re-derive every balance from the transfers and compare it with the stored one.

    Trusts nothing but the transfers: side and floor play no part other than the sign.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT book, sum(side * balance)::bigint FROM accounts_account GROUP BY book"
        )
        sums = {Book(book): int(total) for book, total in cursor.fetchall()}
        cursor.execute(
            "WITH legs AS (SELECT credit_id AS id, book, amount FROM accounts_transfer"
            " UNION ALL SELECT debit_id, book, -amount FROM accounts_transfer),"
            " derived AS (SELECT id, book, sum(amount) AS net FROM legs GROUP BY id, book)"
            " SELECT DISTINCT coalesce(a.id, d.id) FROM accounts_account AS a"
            " FULL JOIN derived AS d ON d.id = a.id AND d.book = a.book"
            " WHERE a.id IS NULL OR a.side * coalesce(d.net, 0) <> a.balance ORDER BY 1"
        )
        wrong = tuple(int(row[0]) for row in cursor.fetchall())
        cursor.execute(
            "SELECT (SELECT count(*) FROM accounts_account),"
            " (SELECT count(*) FROM accounts_transfer)"
        )
        accounts, transfers = cursor.fetchone()
    return BookCheck(sums, wrong, int(accounts), int(transfers))
