"""What the lines of a bank file may be about: statements, members and lines known before."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date

from django.db import connection

from accounts.core.bank_booking import EarlierLine, base_of
from accounts.core.bank_overlap import names_of
from accounts.core.bank_statement import BankLine, BankStatement, StatementEnd
from accounts.core.bank_states import LineOutcome, OurAccount, SuspenseState
from accounts.core.chart import Kind


def known_statements(statements: Collection[BankStatement]) -> dict[tuple[str, str], bytes]:
    """Digests of those that are stored, by account and statement id; one statement."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT account, statement_id, digest FROM accounts_bankstatement"
            " WHERE (account, statement_id) IN"
            " (SELECT * FROM unnest(%s::text[], %s::text[]))",
            [[s.account for s in statements], [s.statement_id for s in statements]],
        )
        return {(account, name): bytes(digest) for account, name, digest in cursor.fetchall()}


def known_references(statements: Collection[BankStatement]) -> dict[str, set[str]]:
    """Which of their lines' references are booked, by account; one statement."""
    known: dict[str, set[str]] = {account.value: set() for account in OurAccount}
    names = {name for s in statements for line in s.lines for name in names_of(line.reference)}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT account, lasting_reference FROM accounts_bankline"
            " WHERE account = ANY (%s) AND lasting_reference = ANY (%s)",
            [[s.account for s in statements], sorted(names)],
        )
        for account, reference in cursor.fetchall():
            known[account].add(reference)
    return known


def accounts_of_file(file_id: int) -> set[str]:
    """Of which of our accounts a file's statements were booked; one statement."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT account FROM accounts_bankstatement WHERE file_id = %s", [file_id]
        )
        return {row[0] for row in cursor.fetchall()}


def statement_ends() -> dict[str, StatementEnd]:
    """Where the last statement of each of our accounts stopped; one statement."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT ON (account) account, sequence, closing, closed_on"
            " FROM accounts_bankstatement ORDER BY account, id DESC"
        )
        return {row[0]: StatementEnd(*row) for row in cursor.fetchall()}


def last_closed_date() -> date | None:
    """The last business date that is closed; one statement."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT max(day) FROM accounts_closedday")
        row: tuple[date | None] = cursor.fetchone()
    return row[0]


@dataclass(frozen=True)
class Holders:
    """Members who can be booked to.

    Attributes:
        payers: active, with an open account.
        holders: with an open account, active or not.
    """

    payers: frozenset[int]
    holders: frozenset[int]


def find_holders(member_ids: Iterable[int]) -> Holders:
    """Which of these are members with open accounts; one statement."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT m.id, m.is_active FROM accounts_member AS m"
            " JOIN accounts_account AS a ON a.owner_id = m.id AND a.kind = %s"
            " WHERE m.id = ANY (%s) AND a.closed_on IS NULL",
            [str(Kind.CASH), sorted(set(member_ids))],
        )
        rows = cursor.fetchall()
    return Holders(
        frozenset(member for member, active in rows if active),
        frozenset(member for member, _ in rows),
    )


def earlier_lines(undoing: Collection[BankLine]) -> list[EarlierLine]:
    """Lines of the client account that these may undo, the oldest first; one statement."""
    if not undoing:
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT l.id, l.reference, l.end_to_end_id, l.counterparty_account, l.amount,"
            " l.outcome, coalesce(l.member_id, 0), i.state"
            " FROM accounts_bankline AS l"
            " LEFT JOIN accounts_suspenseitem AS i ON i.line_id = l.id"
            " WHERE l.account = %s AND l.amount = ANY (%s) AND l.outcome = ANY (%s)"
            " AND (split_part(l.reference, '#', 1) = ANY (%s) OR l.end_to_end_id = ANY (%s)"
            " OR l.counterparty_account = ANY (%s))"
            " AND NOT EXISTS (SELECT 1 FROM accounts_bankline AS r WHERE r.reverses_id = l.id)"
            " ORDER BY l.id",
            [
                OurAccount.CLIENT.value,
                sorted({-line.amount for line in undoing}),
                [LineOutcome.DEPOSIT, LineOutcome.SUSPENSE, LineOutcome.UNEXPLAINED],
                [base_of(line.reference) for line in undoing],
                [line.end_to_end_id for line in undoing if line.end_to_end_id],
                [line.counterparty_account for line in undoing if line.counterparty_account],
            ],
        )
        return [
            EarlierLine(
                line,
                reference,
                end_to_end_id,
                counterparty_account,
                amount,
                LineOutcome(outcome),
                member,
                None if item is None else SuspenseState(item),
            )
            for (
                line,
                reference,
                end_to_end_id,
                counterparty_account,
                amount,
                outcome,
                member,
                item,
            ) in cursor.fetchall()
        ]
