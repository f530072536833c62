"""The audit: what must hold between ledger, loans and parts, re-derived from scratch."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import date

from django.db import connection, transaction

from accounts.selectors.ledger import check_book
from marketplace.selectors.audit_parts import part_findings
from marketplace.selectors.audit_rules import rule_findings
from marketplace.selectors.findings import Finding, Wrong, finding_of
from marketplace.selectors.loan_lives import replay_findings


def audit(*, on: date | None = None) -> list[Finding]:
    """Every rule of the book and the loans; reads everything, changes nothing.

    All of it as of one instant, so that it may run beside writers. Once a day was closed, the life
    of every paid-out loan is also worked out anew and compared.

    Args:
        on: replay loans as of this day, whether or not days were closed: all before it are over.
    """
    if connection.in_atomic_block:
        return _audit(on)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        return _audit(on)


def _audit(on: date | None) -> list[Finding]:
    book = check_book()
    sums = [f"{which.name.lower()}: {total}" for which, total in book.book_sums.items() if total]
    return [
        Finding(
            "The ledger sums to zero in each book",
            len(book.book_sums),
            len(sums),
            sums[0] if sums else "",
        ),
        Finding(
            "Stored balances equal the ones re-derived from transfers",
            book.accounts,
            len(book.wrong_accounts),
            f"account {book.wrong_accounts[0]}" if book.wrong_accounts else "",
        ),
        *market_findings(thorough=True),
        replay_finding(on=on),
    ]


def market_findings(*, thorough: bool = False) -> list[Finding]:
    """The rules of loans, parts and offers alone, without the book's; twelve statements.

    ``thorough`` looks at everything that was ever spread as well, in one more.
    """
    return [*part_findings(), *rule_findings(thorough=thorough)]


def replay_finding(loan_ids: Collection[int] | None = None, *, on: date | None = None) -> Finding:
    """Loans against the replay of their lives, as of the last day closed: nothing before one is.

    Nine statements for each 500 loans, and one.

    Args:
        loan_ids: which loans; all that were paid out without it.
        on: as of this day instead.
    """
    replayed = replay_findings(loan_ids, on=on)
    first = f": {replayed.differences[0].what}" if replayed.differences else ""
    found = finding_of(
        "Every loan is what its contract, payments and events make of it when they are replayed",
        "loan_replay",
        replayed.loans,
        (0, 0),
        [Wrong(f"loan {loan}") for loan in replayed.wrong],
    )
    return replace(found, example=f"{found.example}{first}")
