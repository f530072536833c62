"""The book against the bank: our three accounts, as the ledger and their statements have them."""

from __future__ import annotations

from datetime import date

from django.db import connection

from accounts.core.bank_states import LineOutcome, OurAccount, SuspenseState
from accounts.core.chart import Kind
from accounts.core.reconciliation import (
    BankPosition,
    BreakState,
    Check,
    Finding,
    bank_balances,
    statements_missing,
)

BANK_KINDS: dict[OurAccount, Kind] = {
    OurAccount.CLIENT: Kind.CLIENT_BANK,
    OurAccount.OWN: Kind.OWN_BANK,
    OurAccount.FUND: Kind.FUND_BANK,
}
UNEXPLAINED = "bank_line_unexplained"
# Which lines "l" nobody can explain yet; with the values that it takes.
_OPEN = (
    "l.outcome = %s AND l.reverses_id IS NULL"
    " AND NOT EXISTS (SELECT FROM accounts_bankline AS r WHERE r.reverses_id = l.id)"
    " AND NOT EXISTS (SELECT FROM accounts_break AS b WHERE b.rule = %s"
    "  AND b.reference = 'bank-line:' || l.id AND b.state = %s)"
)
_OPEN_VALUES = (LineOutcome.UNEXPLAINED.value, UNEXPLAINED, BreakState.RESOLVED.value)


def external_checks(on: date) -> list[Check]:
    """Every check with the bank on a business date; three statements.

    Items that a person has to deal with are findings of their own: money in suspense, and lines
    that nobody can explain. A line stays what it is, so it counts as explained once somebody
    resolved its break, or when the bank has taken it back.
    """
    positions = bank_positions(on)
    return [
        bank_balances(positions),
        statements_missing(positions, on),
        _suspense_items(on),
        _unexplained_lines(on),
    ]


# The ledger at the end of a date is what it has now, less what came later: few rows, by index.
_POSITIONS = """
WITH ours (account, kind) AS (SELECT * FROM unnest(%(accounts)s::text[], %(kinds)s::text[])),
latest AS MATERIALIZED (
    SELECT DISTINCT ON (account) account, id, closing, closed_on FROM accounts_bankstatement
    WHERE closed_on <= %(on)s ORDER BY account, closed_on DESC, id DESC
), ledger AS (
    SELECT o.account, sum(a.balance - CASE WHEN l.id IS NULL THEN 0 ELSE
        coalesce((SELECT sum(t.amount) FROM accounts_transfer AS t
            WHERE t.debit_id = a.id AND t.effective_on > l.closed_on), 0)
        - coalesce((SELECT sum(t.amount) FROM accounts_transfer AS t
            WHERE t.credit_id = a.id AND t.effective_on > l.closed_on), 0) END)::bigint AS pence
    FROM ours AS o JOIN accounts_account AS a ON a.kind = o.kind
    LEFT JOIN latest AS l ON l.account = o.account GROUP BY o.account
), lines AS (
    SELECT l.account,
        sum(b.amount) FILTER (WHERE (s.closed_on, s.id) <= (l.closed_on, l.id)
            AND b.effective_on > l.closed_on) AS booked_later,
        sum(b.amount) FILTER (WHERE (s.closed_on, s.id) > (l.closed_on, l.id)
            AND b.effective_on <= l.closed_on) AS known_later
    FROM latest AS l JOIN accounts_bankstatement AS s ON s.account = l.account
    JOIN accounts_bankline AS b ON b.statement_id = s.id GROUP BY l.account
)
SELECT o.account, coalesce(g.pence, 0), l.closed_on, coalesce(l.closing, 0),
    coalesce(n.booked_later, 0)::bigint, coalesce(n.known_later, 0)::bigint
FROM ours AS o LEFT JOIN ledger AS g ON g.account = o.account
LEFT JOIN latest AS l ON l.account = o.account LEFT JOIN lines AS n ON n.account = o.account
ORDER BY array_position(%(accounts)s::text[], o.account)
"""


def bank_positions(on: date) -> list[BankPosition]:
    """Each of our accounts at the end of its last statement up to a date; one statement."""
    with connection.cursor() as cursor:
        cursor.execute(
            _POSITIONS,
            {
                "on": on,
                "accounts": [account.value for account in BANK_KINDS],
                "kinds": [kind.value for kind in BANK_KINDS.values()],
            },
        )
        return [BankPosition(*row) for row in cursor.fetchall()]


def _suspense_items(on: date) -> Check:
    """Money that arrived and that nobody has been found for; one statement."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT line_id, amount, arrived_on FROM accounts_suspenseitem"
            " WHERE state = %s AND arrived_on <= %s ORDER BY line_id",
            [SuspenseState.OPEN.value, on],
        )
        rows = cursor.fetchall()
    return _items("suspense_item", "No money waits in suspense", "in suspense since", rows)


def _unexplained_lines(on: date) -> Check:
    """Lines that nobody can explain yet; one statement."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT l.id, l.amount, l.booked_on FROM accounts_bankline AS l"
            f" WHERE l.effective_on <= %s AND {_OPEN} ORDER BY l.id",
            [on, *_OPEN_VALUES],
        )
        rows = cursor.fetchall()
    return _items(UNEXPLAINED, "Every line of the bank is explained", "at the bank since", rows)


def has_unexplained_debit(amount: int) -> bool:
    """Whether so many pence left the client account and nobody can say why; one statement."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM accounts_bankline AS l"
            f" WHERE l.account = %s AND l.amount = %s AND {_OPEN})",
            [OurAccount.CLIENT.value, -amount, *_OPEN_VALUES],
        )
        [found] = cursor.fetchone()
    return bool(found)


def _items(rule: str, title: str, what: str, rows: list[tuple[int, int, date]]) -> Check:
    findings = tuple(
        Finding(f"bank-line:{line}", amount, f"{what} {day.isoformat()}", day)
        for line, amount, day in rows
    )
    found = sum(finding.amount for finding in findings)
    return Check(rule, title, found=found, checked=len(findings), findings=findings)
