"""Which statements of a file are new: banks send the same twice, and downloads overlap."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from itertools import takewhile

from accounts.core.bank_statement import BankLine, BankStatement
from accounts.core.errors import AccountsRefusal

# Numbers that a bank counts within one statement, not over the account's life.
COUNTED = re.compile(r"\d{1,9}", re.ASCII)


class BankStatementConflict(AccountsRefusal):
    """A statement that is known, with other content."""

    code = "BANK_STATEMENT_CONFLICT"


class BankLineConflict(AccountsRefusal):
    """A line that was booked before, in another statement."""

    code = "BANK_LINE_CONFLICT"


def content_digest(statement: BankStatement) -> bytes:
    """SHA-256 of what a statement says, without when the bank printed it."""
    said = [
        statement.sequence,
        statement.opening,
        statement.opened_on.isoformat(),
        statement.closing,
        statement.closed_on.isoformat(),
        [
            (
                line.reference,
                line.booked_on.isoformat(),
                line.amount,
                line.reversal,
                line.counterparty,
                line.counterparty_account,
                line.remittance,
                line.end_to_end_id,
                line.return_reason,
            )
            for line in statement.lines
        ],
    ]
    return hashlib.sha256(json.dumps(said).encode()).digest()


def lasting_reference(line: BankLine, *, own: bool) -> str | None:
    """The line's reference where it is one of the account's life, not of its statement alone.

    Args:
        line: the line.
        own: the reference was made by us from all that the line says, as those of CSV are: it is.

    Otherwise these are not: numbers within a statement, references made up for want of the bank's,
    the payer's own end-to-end id, and what an undoing line shares with the one that it undoes.
    """
    if not own and (
        line.reversal
        or line.return_reason is not None
        or line.reference == line.end_to_end_id
        or "#" in line.reference
        or COUNTED.fullmatch(line.reference)
    ):
        return None
    return line.reference


def new_statements(
    statements: Sequence[BankStatement], known: Mapping[tuple[str, str], bytes]
) -> list[BankStatement]:
    """The statements that are not known yet, in order.

    Args:
        statements: as read, by our names of the accounts.
        known: digest by account and statement id.

    Raises:
        BankStatementConflict: an id that is known with other content.
    """
    seen = dict(known)
    fresh: list[BankStatement] = []
    for statement in statements:
        name = (statement.account, statement.statement_id)
        digest = content_digest(statement)
        if name not in seen:
            seen[name] = digest
            fresh.append(statement)
        elif seen[name] != digest:
            raise BankStatementConflict(
                f"Statement {statement.statement_id} is known with other content: "
                "ask the bank which one is right."
            )
    return fresh


def without_known_rows(statement: BankStatement, known: Collection[str]) -> BankStatement | None:
    """A download less the rows at its beginning that are booked; ``None`` when nothing is left.

    Args:
        statement: read from CSV, whose references are made from what its rows say.
        known: references of the account that are booked.
    """
    booked = list(takewhile(lambda line: line.reference in known, statement.lines))
    if not booked:
        return statement
    rest = statement.lines[len(booked) :]
    if not rest:
        return None
    return replace(
        statement,
        opening=statement.opening + sum(line.amount for line in booked),
        opened_on=rest[0].booked_on,
        lines=rest,
    )


def names_of(reference: str) -> tuple[str, ...]:
    """Under which names a row made by us may be booked: its number depends on the download."""
    base = reference.partition("#")[0]
    return reference, base, f"{base}#1"


def check_lines_new(lines: Sequence[BankLine], known: AbstractSet[str], *, own: bool) -> None:
    """Check that no line was booked before; ``own`` as in :func:`lasting_reference`.

    Raises:
        BankLineConflict: one was.
    """
    for line in lines:
        names = names_of(line.reference) if own else (line.reference,)
        if lasting_reference(line, own=own) is not None and not known.isdisjoint(names):
            raise BankLineConflict(
                f"Line {line.reference} was booked before, in another statement: "
                "ask the bank which of the two is right."
            )
