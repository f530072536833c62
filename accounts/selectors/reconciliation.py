"""The book against itself: what a reconciliation finds without asking the bank."""

from __future__ import annotations

from collections.abc import Callable

from django.db import connection

from accounts.core.bank_states import IN_SUSPENSE, UNDER_WAY, PaymentKind
from accounts.core.chart import Kind
from accounts.core.collecting import STRAY, CollectionState
from accounts.core.journal import account_name
from accounts.core.reconciliation import (
    Check,
    Compared,
    Finding,
    Held,
    SealMark,
    both,
    client_money,
    compare,
    fund_money,
)
from accounts.selectors.ledger import check_book
from accounts.selectors.reconciliation_seals import check_journal


def internal_checks(
    since: SealMark, progress: Callable[[int, int], None] = lambda _done, _all: None
) -> tuple[list[Check], SealMark | None]:
    """Every internal check of the accounts room, as of now; call it in one snapshot.

    Eleven statements, and those of the journal: three a block of about 200,000 transfers.

    Args:
        since: the journal is derived again from here; all of it from ``SealMark()``.
        progress: told how many of the journal's entries are derived, of how many.

    Returns:
        The checks, and up to where the journal fits, if it does.
    """
    held = held_by_kind()
    journal, mark = check_journal(since, progress)
    stored, sums = _stored_balances()
    return [
        stored,
        sums,
        client_money(held),
        fund_money(held),
        _suspense(held),
        _collecting(held),
        _strays(),
        _on_its_way(),
        _floors(stored.checked),
        journal,
    ], mark


def _stored_balances() -> tuple[Check, Check]:
    """Stored balances against transfers, and each book's sum; four statements."""
    book = check_book()
    stored = Check(
        "stored_balance",
        "Every stored balance is what the transfers add up to",
        checked=book.accounts,
        findings=tuple(_wrong_balance(*row) for row in _derived(book.wrong_accounts)),
    )
    sums = [Compared(which.name.lower(), 0, total) for which, total in book.book_sums.items()]
    return stored, compare("book_sum", "Each book sums to nothing", sums)


# A transfer may name an account that isn't there: then there is nothing to compare with.
_DERIVED = """
SELECT u.id, a.kind, a.owner_id, a.stripe, a.balance, a.side * (
    coalesce((SELECT sum(amount) FROM accounts_transfer
        WHERE credit_id = u.id AND book = a.book), 0)
    - coalesce((SELECT sum(amount) FROM accounts_transfer
        WHERE debit_id = u.id AND book = a.book), 0))::bigint
FROM (SELECT DISTINCT unnest(%s::integer[]) AS id) AS u
LEFT JOIN accounts_account AS a ON a.id = u.id ORDER BY u.id
"""

_Derived = tuple[int, str | None, int, int, int, int]


def _derived(account_ids: tuple[int, ...]) -> list[_Derived]:
    """Kind, owner, stripe, stored and derived balance of accounts, by index; one statement."""
    with connection.cursor() as cursor:
        cursor.execute(_DERIVED, [list(account_ids)])
        rows: list[_Derived] = cursor.fetchall()
    return rows


def _wrong_balance(
    account: int, kind: str | None, owner: int, stripe: int, stored: int, derived: int
) -> Finding:
    if kind is None:
        return Finding(f"account:{account}", detail="transfers name an account that isn't there")
    detail = both(derived, stored) if stored != derived else "transfers of the other book name it"
    return Finding(account_name(kind, owner, stripe), stored - derived, detail)


def held_by_kind() -> dict[Kind, Held]:
    """What the accounts of each kind hold; one statement.

    Of a member's or a loan's account, less than nothing counts as nothing; the platform's stripes
    count as one account.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT kind, sum(balance)::bigint, CASE WHEN max(owner_id) = 0"
            " THEN greatest(sum(balance), 0) ELSE sum(greatest(balance, 0)) END::bigint"
            " FROM accounts_account GROUP BY kind"
        )
        return {Kind(kind): Held(net, owed) for kind, net, owed in cursor.fetchall()}


def _suspense(held: dict[Kind, Held]) -> Check:
    """What suspense holds against the items that are in it; one statement."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(sum(amount), 0)::bigint FROM accounts_suspenseitem"
            " WHERE state = ANY (%s)",
            [[state.value for state in IN_SUSPENSE]],
        )
        (items,) = cursor.fetchone()
    found = held.get(Kind.SUSPENSE, Held()).net
    title = "Suspense holds the money of its open items"
    return compare("suspense", title, [Compared("suspense", items, found)])


def _collecting(held: dict[Kind, Held]) -> Check:
    """What collecting holds against the direct debits that are in it; one statement.

    A direct debit is in it once it counted as collected, until its payment is taken back, and what
    its subject couldn't take once it is the member's cash, until that is taken back; a line that
    brought it takes it out, and one that took it back puts it in again. Where there are none
    at all, payments were taken in without, and there is nothing to compare with.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*), coalesce(sum("
            "(amount - rest) * (taken_on IS NOT NULL AND state <> %s)::integer"
            " + rest * (rest_on IS NOT NULL AND rest_back_on IS NULL)::integer - amount"
            " * (credited_line_id IS NOT NULL AND returned_line_id IS NULL)::integer), 0)::bigint"
            " FROM accounts_collection",
            [CollectionState.BOUNCED.value],
        )
        count, expected = cursor.fetchone()
    found = held.get(Kind.COLLECTING, Held()).net
    rows = [Compared("collecting", expected, found)] if count else []
    return compare("collecting", "Collecting holds what is collected and on no statement", rows)


def _strays() -> Check:
    """Direct debits that the bank brought and that count for nothing; one statement.

    Their loan could take them no more, or they were told to be unpaid before.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT end_to_end_id, amount, collect_on FROM accounts_collection"
            " WHERE credited_line_id IS NOT NULL AND returned_line_id IS NULL"
            " AND state = ANY (%s) ORDER BY id",
            [[state.value for state in STRAY]],
        )
        rows = cursor.fetchall()
    findings = tuple(
        Finding(f"collection:{name}", amount, "at the bank, and for no payment", day)
        for name, amount, day in rows
    )
    title = "Direct debits that the bank brought are payments"
    found = sum(finding.amount for finding in findings)
    return Check("collection_stray", title, found=found, checked=len(rows), findings=findings)


def _on_its_way() -> Check:
    """Each member's money on its way against their withdrawals under way; one statement.

    The table of payments knows every withdrawal that went through it. Where it has none at all,
    money was sent by :mod:`accounts.services.cash` alone, and there is nothing to compare with;
    from the first withdrawal on, every member is compared.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(a.owner_id, p.member_id), coalesce(p.amount, 0)::bigint,"
            " coalesce(a.balance, 0)"
            " FROM (SELECT owner_id, balance FROM accounts_account WHERE kind = %s) AS a"
            " FULL JOIN (SELECT member_id, sum(amount) AS amount FROM accounts_outgoingpayment"
            "  WHERE kind = %s AND state = ANY (%s) GROUP BY member_id) AS p"
            " ON p.member_id = a.owner_id"
            " WHERE EXISTS (SELECT FROM accounts_outgoingpayment WHERE kind = %s) ORDER BY 1",
            [
                Kind.ON_ITS_WAY.value,
                PaymentKind.WITHDRAWAL.value,
                [state.value for state in UNDER_WAY],
                PaymentKind.WITHDRAWAL.value,
            ],
        )
        rows = [
            Compared(f"member:{member}", asked, held) for member, asked, held in cursor.fetchall()
        ]
    title = "Money on its way is what withdrawals under way were asked for"
    return compare("on_its_way", title, rows)


# A striped account that is floored is floored as the sum of its stripes.
_BELOW = """
SELECT a.kind, a.owner_id, a.stripe::integer, a.balance, 'is not as the chart says'
FROM accounts_account AS a JOIN accounts_chartline AS c ON c.kind = a.kind
WHERE (a.book, a.side, a.pooled) <> (c.book, c.side, c.floored AND c.stripes > 1)
    OR a.floor IS DISTINCT FROM CASE WHEN c.floored AND c.stripes = 1 THEN 0 END
UNION ALL
SELECT a.kind, a.owner_id, a.stripe, a.balance, 'is below its floor'
FROM accounts_account AS a JOIN accounts_chartline AS c ON c.kind = a.kind
WHERE c.floored AND c.stripes = 1 AND a.balance < 0
UNION ALL
SELECT a.kind, 0, NULL, sum(a.balance)::bigint, 'is below its floor'
FROM accounts_account AS a JOIN accounts_chartline AS c ON c.kind = a.kind
WHERE c.floored AND c.stripes > 1 GROUP BY a.kind HAVING sum(a.balance) < 0
ORDER BY 1, 2, 3, 5
"""


def _floors(accounts: int) -> Check:
    """Accounts below their floors, or whose rules are not the chart's; one statement."""
    with connection.cursor() as cursor:
        cursor.execute(_BELOW)
        rows = cursor.fetchall()
    findings = {}
    for kind, owner, stripe, balance, what in rows:
        name = kind if stripe is None else account_name(kind, owner, stripe)
        findings[name] = Finding(name, min(balance, 0), what)
    title = "Accounts have the chart's rules, and nothing below their floors"
    return Check("floors", title, checked=accounts, findings=tuple(findings.values()))
