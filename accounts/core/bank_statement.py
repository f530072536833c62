"""What every bank file becomes: statements of booked lines, in pence, checked to the penny.

A statement is taken whole or not at all. Its opening balance and its lines must make its closing
balance, and it must go on where the statement before it stopped: a line that is missing, doubled
or changed shows as a typed refusal here, before anything is posted.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from types import MappingProxyType

from accounts.core.errors import AccountsRefusal, AmountRefused
from accounts.core.money import LARGEST_PENCE, Pence, pence_from_text, text_from_pence

LARGEST_FILE_BYTES = 64 * 1024 * 1024
# Max35Text of ISO 20022 for the bank's own references; "#" and a number may be put behind it.
LONGEST_IDENTIFIER = 35
LONGEST_REFERENCE = 60
LONGEST_NAME = 140
_BETWEEN = re.compile(r"[\W_]+")


class BankFileMalformed(AccountsRefusal):
    """A bank file that breaks its own format."""

    code = "BANK_FILE_MALFORMED"


class BankFileHostile(AccountsRefusal):
    """A bank file built to harm its reader: a document type, entities, endless nesting."""

    code = "BANK_FILE_HOSTILE"


class BankFileTooLarge(AccountsRefusal):
    """A bank file above :data:`LARGEST_FILE_BYTES`."""

    code = "BANK_FILE_TOO_LARGE"


class BankFileUnsupported(AccountsRefusal):
    """A file that may be good, but not one that is read here."""

    code = "BANK_FILE_UNSUPPORTED"


class BankStatementUnbalanced(AccountsRefusal):
    """Opening balance and lines don't make the closing balance."""

    code = "BANK_STATEMENT_UNBALANCED"


class BankStatementGap(AccountsRefusal):
    """A statement that doesn't go on where the one before it stopped."""

    code = "BANK_STATEMENT_GAP"


@dataclass(frozen=True, slots=True)
class BankLine:
    """One booked movement on a bank account.

    What names a person is left out of ``repr``, so that it stays out of logs.

    Attributes:
        reference: unique in its statement, and the same whenever that statement is read again.
        booked_on: the bank's booking date.
        value_on: the day from which it counts for interest, where the bank says so.
        amount: signed pence: above zero for money in, below zero for money out.
        reversal: the bank marks it as undoing an earlier line; the sign is this line's own.
        counterparty: name of the other side, or empty.
        counterparty_account: IBAN, or sort code and account number, without spaces; or empty.
        remittance: free text and structured creditor references, joined by single spaces.
        end_to_end_id: what the payer gave the payment, or we a direct debit or a batch of them that
            is booked in one sum; ``None`` where nothing was provided.
        return_reason: code of a returned payment (``AC04``), empty where the bank gives none;
            ``None`` for what isn't a return.
        transaction_code: the bank's, such as ``PMNT-RCDT-ESCT``; or empty.
    """

    reference: str
    booked_on: date
    amount: Pence
    value_on: date | None = None
    reversal: bool = False
    counterparty: str = field(default="", repr=False)
    counterparty_account: str = field(default="", repr=False)
    remittance: str = field(default="", repr=False)
    end_to_end_id: str | None = None
    return_reason: str | None = None
    transaction_code: str = ""


@dataclass(frozen=True, slots=True)
class StatementEnd:
    """Where a statement stopped: what the next one of the account has to go on from.

    Attributes:
        account: as in :class:`BankStatement`.
        sequence: the statement's number, ``None`` where it has none.
        closing: signed pence.
        closed_on: date of the closing balance.
    """

    account: str
    sequence: int | None
    closing: Pence
    closed_on: date


@dataclass(frozen=True, slots=True)
class BankStatement:
    """One statement of one account: booked lines between two booked balances.

    Attributes:
        statement_id: the bank's.
        account: IBAN, or sort code and account number: capitals and digits, nothing between.
        sequence: the electronic sequence number, else the legal one, else ``None``.
        opening, closing: signed pence.
        opened_on, closed_on: dates of these balances.
        created: when the bank made it, as printed; or empty.
        lines: in the bank's order.
    """

    statement_id: str
    account: str
    sequence: int | None
    opening: Pence
    opened_on: date
    closing: Pence
    closed_on: date
    created: str
    lines: tuple[BankLine, ...]

    @property
    def end(self) -> StatementEnd:
        """Where this statement stopped."""
        return StatementEnd(self.account, self.sequence, self.closing, self.closed_on)

    def checked(self) -> BankStatement:
        """This statement, once it is known to add up.

        Raises:
            BankStatementUnbalanced: opening balance plus lines isn't the closing balance.
            BankFileMalformed: a reference twice, a text longer than its format allows.
            AmountRefused: a line of nothing, or anything beyond the largest amount.
        """
        for text, longest in ((self.statement_id, LONGEST_IDENTIFIER), (self.account, 34)):
            if not 0 < len(text) <= longest:
                raise BankFileMalformed(
                    f"A statement's id has 1 to {LONGEST_IDENTIFIER} characters, its account 1 "
                    f"to 34; one of them has {len(text)}."
                )
        if len(self.created) > LONGEST_IDENTIFIER:
            raise BankFileMalformed("A statement's time of creation is no time.", field="created")
        for line in self.lines:
            _check_line(line)
        if len({line.reference for line in self.lines}) != len(self.lines):
            raise BankFileMalformed("Two lines of a statement have the same reference.")
        if max(abs(self.opening), abs(self.closing)) > LARGEST_PENCE:
            raise AmountRefused("A balance is beyond the largest amount handled.", field="balance")
        made = self.opening + sum(line.amount for line in self.lines)
        if made != self.closing:
            raise BankStatementUnbalanced(
                f"Statement {self.statement_id} opens with {text_from_pence(self.opening)}, and "
                f"its lines make {text_from_pence(made)}, but it closes with "
                f"{text_from_pence(self.closing)}: ask the bank for it again."
            )
        return self


def _check_line(line: BankLine) -> None:
    if line.amount == 0 or abs(line.amount) > LARGEST_PENCE:
        raise AmountRefused("A line moves a whole number of pence other than zero.", field="amount")
    if (
        len(line.reference) > LONGEST_REFERENCE
        or len(line.counterparty) > LONGEST_NAME
        or len(line.counterparty_account) > LONGEST_IDENTIFIER
        or len(line.end_to_end_id or "") > LONGEST_IDENTIFIER
        or len(line.return_reason or "") > LONGEST_IDENTIFIER
        or len(line.transaction_code) > LONGEST_IDENTIFIER
    ):
        raise BankFileMalformed(
            f"A line's name has up to {LONGEST_NAME} characters, its reference up to "
            f"{LONGEST_REFERENCE}, and any other of its codes up to {LONGEST_IDENTIFIER}."
        )


def account_from_text(text: str) -> str:
    """Account identification without what is put in for the eye: ``20-00-00`` is ``200000``."""
    return _BETWEEN.sub("", text).upper()


def pence_moved(text: str, *, what: str) -> Pence:
    """Read the unsigned amount of a movement, in pounds, as pence.

    Raises:
        AmountRefused: not pounds with at most two decimals, negative, zero or too large;
            ``what`` says in the message whose amount it is.
    """
    try:
        pence = pence_from_text(text)
    except AmountRefused as refusal:
        raise AmountRefused(f"{what}: {refusal.message}", field="amount") from refusal
    if pence <= 0:
        raise AmountRefused(f"{what}: an amount above zero is needed.", field="amount")
    return pence


def with_unique_references(lines: Iterable[BankLine]) -> tuple[BankLine, ...]:
    """Lines whose references are each used once.

    A reference that several lines share gets ``#1``, ``#2``, ... by their order, and a line without
    one gets ``line#`` and its place, so that reading the same statement again gives the same.
    """
    lines = tuple(lines)
    shared = Counter(line.reference for line in lines)
    taken = {reference for reference, times in shared.items() if times == 1 and reference}
    if len(taken) == len(lines):
        return lines
    used: Counter[str] = Counter()
    unique: list[BankLine] = []
    for place, line in enumerate(lines, start=1):
        if line.reference in taken and shared[line.reference] == 1:
            unique.append(line)
            continue
        base = line.reference or "line"
        number = place if not line.reference else used[base] + 1
        while f"{base}#{number}" in taken:
            number += 1
        used[base] = number
        taken.add(f"{base}#{number}")
        unique.append(replace(line, reference=f"{base}#{number}"))
    return tuple(unique)


NO_ENDS: Mapping[str, StatementEnd] = MappingProxyType({})


def check_follows(previous: StatementEnd, statement: BankStatement) -> None:
    """Check that ``statement`` goes on where the account's previous one stopped.

    Sequence numbers are compared where both have one. They rise by one; in a new year they may
    begin again with 1, as legal sequence numbers do.

    Raises:
        BankStatementGap: another account, balance, number, or an earlier date.
    """
    name = f"Statement {statement.statement_id}"
    if statement.account != previous.account:
        raise BankStatementGap(f"{name} is of another account than the one before it.")
    if statement.opening != previous.closing:
        raise BankStatementGap(
            f"{name} opens with {text_from_pence(statement.opening)}, but the one before it closed "
            f"with {text_from_pence(previous.closing)}: a statement between them is missing."
        )
    if statement.closed_on < previous.closed_on:
        raise BankStatementGap(
            f"{name} closes on {statement.closed_on.isoformat()}, before the one that it follows: "
            "give statements in the order of their dates."
        )
    if statement.sequence is None or previous.sequence is None:
        return
    new_year = statement.sequence == 1 and statement.closed_on.year > previous.closed_on.year
    if statement.sequence != previous.sequence + 1 and not new_year:
        raise BankStatementGap(
            f"{name} has number {statement.sequence}, but {previous.sequence + 1} comes next: "
            "a statement is missing, or is given twice."
        )


def check_continuity(
    statements: Sequence[BankStatement], *, after: Mapping[str, StatementEnd] = NO_ENDS
) -> dict[str, StatementEnd]:
    """Check several statements, of one account or more, each account's in their order.

    Args:
        statements: as read.
        after: by account, where its last known statement stopped; a new account isn't in it.

    Returns:
        ``after``, moved on by the statements.

    Raises:
        BankStatementGap: see :func:`check_follows`.
    """
    ends = dict(after)
    for statement in statements:
        previous = ends.get(statement.account)
        if previous is not None:
            check_follows(previous, statement)
        ends[statement.account] = statement.end
    return ends
