"""Money in and out as the bank says it was: statements from files, booked to the penny, once."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

from django.db import transaction

from accounts.core.bank_booking import BookedLine, Desk, NewLine
from accounts.core.bank_csv import read_bank_csv
from accounts.core.bank_overlap import (
    BankStatementConflict,
    check_lines_new,
    lasting_reference,
    new_statements,
    without_known_rows,
)
from accounts.core.bank_statement import BankStatement, check_continuity
from accounts.core.bank_states import FileFormat, FileState, LineOutcome, OurAccount
from accounts.core.camt053 import read_camt053
from accounts.core.collecting import collection_in
from accounts.core.errors import AccountsRefusal
from accounts.core.references import member_in
from accounts.selectors.bank_matching import (
    accounts_of_file,
    earlier_lines,
    find_holders,
    known_references,
    known_statements,
    last_closed_date,
    statement_ends,
)
from accounts.services.bank_entries import posting_of_lines
from accounts.services.bank_files import ReceivedFile, find_file, keep_refused, store_file
from accounts.services.bank_house import bank_house
from accounts.services.bank_rows import (
    lock_bank_accounts,
    lock_collections,
    lock_items,
    lock_payments,
    move_collections,
    move_payments,
    next_ids,
    write_items,
    write_lines,
    write_statements,
)
from accounts.services.debts import settle_debts
from accounts.services.posting import DateRefused, post


@dataclass(frozen=True)
class ImportedFile:
    """What became of a file.

    Attributes:
        file_id: under which it is kept.
        unchanged: nothing in it was new.
        statements: how many were booked now.
        outcomes: how many lines of each outcome were booked now.
        debt_repaid: pence that members who got money now repaid of what they owed.
    """

    file_id: int
    unchanged: bool
    statements: int = 0
    outcomes: Mapping[LineOutcome, int] = field(default_factory=dict)
    debt_repaid: int = 0


def import_bank_file(
    *,
    content: bytes,
    name: str,
    format: FileFormat,  # noqa: A002 - the word of whoever has a file
    on: date,
    actor: str,
    account: str = "",
) -> ImportedFile:
    """Book what is new in a bank file; all of it or nothing. A fixed number of statements.

    The same file again, or another with the same statements, changes nothing. A file that is
    refused is kept with its refusal, and may be given again.

    Args:
        content: the file's bytes.
        name: what it was called, for people.
        format: how it is written.
        on: business date, open and not in the future. A line is booked on the bank's date where
            that is open still, else on this one.
        actor: who gives the file.
        account: whose statement a CSV file is: ``client``, ``own``, ``fund`` or its number.

    Raises:
        BankFileMalformed, BankFileHostile, BankFileTooLarge, BankFileUnsupported,
        BankStatementUnbalanced, AmountRefused: the file can't be read, or doesn't add up.
        BankAccountUnknown: a statement of none of our accounts.
        BankStatementGap: it doesn't go on where the last statement of its account stopped.
        BankStatementConflict, BankLineConflict: known with other content, in another statement, or
            given for another account.
        DateRefused: the business date is closed, or something in the file is later than it.
    """
    file = ReceivedFile(content, hashlib.sha256(content).digest(), name, format, on, actor)
    try:
        statements = _read(content, format, account)
        with transaction.atomic():
            imported, members = _book_file(file, statements)
    except AccountsRefusal as refusal:
        keep_refused(file=file, refusal=refusal)
        raise
    if not members:
        return imported
    repaid = settle_debts(
        on=on, actor=actor, key=f"bank-file/{imported.file_id}", member_ids=members
    )
    return replace(imported, debt_repaid=repaid)


def _read(content: bytes, format: FileFormat, account: str) -> list[BankStatement]:  # noqa: A002
    """The file's statements, by our names of the accounts."""
    house = bank_house()
    if format is FileFormat.CSV:
        ours = house.account(account)
        return [replace(read_bank_csv(content, account=account), account=ours.value)]
    return [
        replace(statement, account=house.account(statement.account).value)
        for statement in read_camt053(content)
    ]


def _book_file(
    file: ReceivedFile, statements: Sequence[BankStatement]
) -> tuple[ImportedFile, list[int]]:
    """What became of the file, and the members who got money."""
    lock_bank_accounts([OurAccount(statement.account) for statement in statements])
    known = find_file(file)
    if known is not None and known[1] is not FileState.REFUSED:
        _check_same_account(known[0], file, statements)
        return ImportedFile(known[0], unchanged=True), []
    closed = last_closed_date()
    if closed is not None and file.received_on <= closed:
        raise DateRefused("The business date is closed: give the file on an open one.", field="on")
    fresh = _fresh(file, statements)
    if not fresh:
        return ImportedFile(store_file(file=file, state=FileState.UNCHANGED), unchanged=True), []
    _check_dates(fresh, file.received_on)
    booked = _book(file, fresh, closed)
    counts = Counter(one.outcome for one in booked.lines)
    paid = {one.member_id for one in booked.lines if one.member_id and one.new.line.amount > 0}
    imported = ImportedFile(booked.file_id, False, len(fresh), dict(counts))
    return imported, sorted(paid)


def _fresh(file: ReceivedFile, statements: Sequence[BankStatement]) -> list[BankStatement]:
    """The statements that are new, each going on where the last one of its account stopped."""
    fresh = new_statements(statements, known_statements(statements))
    own = file.format is FileFormat.CSV
    references = known_references(fresh)
    if own:
        rests = [without_known_rows(each, references[each.account]) for each in fresh]
        fresh = [rest for rest in rests if rest is not None]
    for statement in fresh:
        booked = references[statement.account]
        check_lines_new(statement.lines, booked, own=own)
        booked |= {name for line in statement.lines if (name := lasting_reference(line, own=own))}
    check_continuity(fresh, after=statement_ends())
    return fresh


_OTHER_ACCOUNT = (
    "This very file was given for another of our accounts: compare it with the bank's papers."
)


def _check_same_account(
    file_id: int, file: ReceivedFile, statements: Sequence[BankStatement]
) -> None:
    """A CSV file doesn't say whose it is: the same bytes are not the same for another account."""
    booked = accounts_of_file(file_id)
    other = booked - {each.account for each in statements}
    if other or (not booked and _fresh(file, statements)):
        raise BankStatementConflict(_OTHER_ACCOUNT)


def _check_dates(statements: Sequence[BankStatement], on: date) -> None:
    for statement in statements:
        latest = max([statement.closed_on, *(line.booked_on for line in statement.lines)])
        if latest > on:
            raise DateRefused(
                f"Statement {statement.statement_id} speaks of {latest.isoformat()}, "
                f"which is after the business date {on.isoformat()}.",
                field="on",
            )


@dataclass(frozen=True)
class _Booked:
    file_id: int
    lines: list[BookedLine]


def _book(file: ReceivedFile, statements: Sequence[BankStatement], closed: date | None) -> _Booked:
    new = _new_lines(statements, file.received_on, closed)
    desk = _desk(new)
    booked = desk.book(new)
    file_id = store_file(file=file, state=FileState.POSTED)
    if not file_id:
        raise BankStatementConflict(_OTHER_ACCOUNT)
    statement_ids = next_ids("accounts_bankstatement", len(statements))
    write_statements(statements, statement_ids, file_id)
    places = [
        place
        for place, statement in zip(statement_ids, statements, strict=True)
        for _ in statement.lines
    ]
    own = file.format is FileFormat.CSV
    write_lines(booked, places, own=own)
    write_items(booked, desk.item_states, on=file.received_on, actor=file.actor)
    move_payments(desk.payment_states)
    move_collections(booked)
    post(posting_of_lines(booked, actor=file.actor))
    return _Booked(file_id, booked)


def _new_lines(statements: Sequence[BankStatement], on: date, closed: date | None) -> list[NewLine]:
    lines = [(OurAccount(each.account), line) for each in statements for line in each.lines]
    ids = next_ids("accounts_bankline", len(lines))
    return [
        NewLine(
            number,
            account,
            line,
            line.booked_on if closed is None or line.booked_on > closed else on,
            (member_in(line.remittance) or 0) if line.amount > 0 else 0,
        )
        for number, (account, line) in zip(ids, lines, strict=True)
    ]


def _desk(new: Sequence[NewLine]) -> Desk:
    """Everything that the lines may be about, locked where they may change it."""
    payments = lock_payments([one.line.end_to_end_id for one in new if one.line.end_to_end_id])
    client = [one.line for one in new if one.account is OurAccount.CLIENT]
    collections = lock_collections(
        [name for ln in client if (name := ln.end_to_end_id or collection_in(ln.remittance))]
    )
    earlier = lock_items(
        earlier_lines([ln for ln in client if ln.reversal or ln.return_reason is not None]),
        payments.values(),
    )
    members = find_holders(
        [
            *(one.named for one in new if one.named),
            *(payment.member_id for payment in payments.values()),
            *(line.member_id for line in earlier),
        ]
    )
    own = bank_house().own
    names = {own.identification, own.domestic or own.identification}
    return Desk(payments, members.payers, members.holders, earlier, names, collections)
