"""``manage.py bank``: the day of operations, and one line with status 2 for what is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from http import HTTPStatus
from pathlib import Path

import pytest

from accounts.models import (
    BankDetails,
    BankFile,
    Member,
    OutgoingPayment,
    PaymentFileStored,
    Role,
    SuspenseItem,
)
from accounts.selectors.ledger import member_balances
from accounts.services.bank_details import register_bank_details
from accounts.services.withdrawals import DebtOwed, request_withdrawal
from api.errors import told as told_of
from tests.accounts.services.bank_desk import Bank, earn_fees, fits, payable, pays_in, people
from tests.api.test_commands import Told, command
from tests.bank_files import money_in
from tests.factories import MemberFactory

DAY = date(2016, 5, 2)
ON = ("--on", DAY.isoformat())

Run = Callable[..., Told]


@pytest.fixture
def run(committed_db: str, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs ``bank`` on the day, and expects it to do what it is told."""

    def run(*words: str, status: int = 0) -> Told:
        told = command(capsys, "bank", *words, *ON)
        assert told.status == status, told.error
        assert "Traceback" not in told.error
        return told

    return run


@pytest.fixture
def bank() -> Bank:
    return Bank()


def saved(folder: Path, content: bytes, name: str = "day.xml") -> str:
    path = folder / name
    path.write_bytes(content)
    return str(path)


def test_a_day(run: Run, bank: Bank, tmp_path: Path) -> None:
    """A deposit and something unknown in; details verified; a withdrawal and a return out."""
    ada, ben = people(2)
    first = bank.writes(
        pays_in("A1", ada, 10_000, on=DAY),
        money_in("A2", 700, "thanks", on=DAY),
        money_in("A3", 50, "what", on=DAY),
        on=DAY,
    )
    told = run("import", saved(tmp_path, first))
    assert "1 statements, 3 lines" in told.out
    assert "nothing new" in run("import", saved(tmp_path, first)).out
    listed = run("suspense").out
    assert "£7.00" in listed
    assert "thanks" in listed
    one, other = SuspenseItem.objects.order_by("pk")
    run("suspense", "assign", str(one.pk), "--member", ben.email.upper())
    assert member_balances(ben.pk).cash == 700
    run("suspense", "return", str(other.pk))

    details = register_bank_details(
        member_id=ada.pk,
        holder="Ada Payer",
        sort_code="200000",
        account_number="12345678",
        key="k",
        on=DAY,
        actor=ada.reference,
    )
    pending = run("details", "list").out
    assert "••••5678" in pending
    assert "12345678" not in pending
    MemberFactory.build(
        email="olga@tenner.example", role=Role.OPERATIONS, is_lender=False, is_borrower=False
    ).save()
    told = run("details", "verify", str(details), "--by", "olga@tenner.example")
    assert "withdrawals from 2016-05-05" in told.out
    stored = BankDetails.objects.get(pk=details)
    usable = stored.usable_from
    assert stored.verified_by == Member.objects.get(email="olga@tenner.example").reference
    assert usable is not None
    number = request_withdrawal(member_id=ada.pk, amount=4_000, key="w", on=usable)

    output = tmp_path / "out.xml"
    told = run("payments", "file", "--output", str(output))
    assert "2 payments, £40.50" in told.out
    assert "Key: file/2016-05-02" in told.out
    assert output.read_bytes() == bytes(PaymentFileStored.objects.get().content)
    assert "sent" in run("payments", "list").out
    run("payments", "reject", str(number))
    assert OutgoingPayment.objects.get(pk=number).state == "rejected"
    assert "£0.00" in run("debts").out
    fits()


def test_debts_as_often_as_there_is_something(run: Run, bank: Bank, tmp_path: Path) -> None:
    """£60 of £100 on its way, £100 taken back: £60 owed, and there when the payment is stopped."""
    [ada] = people(1)
    payable(ada, on=DAY)
    line = pays_in("A1", ada, 10_000, on=DAY)
    run("import", saved(tmp_path, bank.writes(line, on=DAY)))
    number = request_withdrawal(member_id=ada.pk, amount=6_000, key="w", on=DAY)
    back = replace(line, reference="R1", amount=-10_000, reversal=True)
    run("import", saved(tmp_path, bank.writes(back, on=DAY)))
    assert "£0.00" in run("debts").out
    run("payments", "cancel", str(number))
    with pytest.raises(DebtOwed) as refusal:
        request_withdrawal(member_id=ada.pk, amount=6_000, key="again", on=DAY)
    assert told_of(refusal.value).status == HTTPStatus.CONFLICT
    assert "£60.00" in run("debts").out
    fits()


def test_a_refused_file_is_kept_and_can_be_looked_at(run: Run, bank: Bank, tmp_path: Path) -> None:
    broken = bank.writes(money_in("A1", 100, on=DAY), on=DAY).replace(b">1.00<", b">9.00<", 1)
    told = run("import", saved(tmp_path, broken), status=2)
    [line] = told.error.strip().splitlines()
    assert "BANK_STATEMENT_UNBALANCED" in line
    assert "BANK_STATEMENT_UNBALANCED" in run("files").out
    output = tmp_path / "again.xml"
    run("files", "show", str(BankFile.objects.get().pk), "--output", str(output))
    assert output.read_bytes() == broken
    assert not SuspenseItem.objects.exists()


def test_what_strangers_write_commands_nothing(run: Run, bank: Bank, tmp_path: Path) -> None:
    """Markup and terminal control characters in a payer's text are shown, not obeyed."""
    hostile = money_in("A1", 700, "[/bold] [red]x \x9b2J", payer="[/] \u202eAnn", on=DAY)
    run("import", saved(tmp_path, bank.writes(hostile, on=DAY)))
    listed = run("suspense").out
    assert "[/bold] [red]x" in listed
    assert "\x9b" not in listed
    assert "\u202e" not in listed


def test_more_was_asked_for_since(run: Run, bank: Bank, tmp_path: Path) -> None:
    earn_fees(bank, 500)
    run("payments", "sweep")
    output = tmp_path / "out.xml"
    run("payments", "file", "--output", str(output))
    written = output.read_bytes()
    run("payments", "reject", str(OutgoingPayment.objects.get().pk))
    run("payments", "sweep", "--key", "second")
    told = run("payments", "file", "--output", str(output))
    assert output.read_bytes() == written
    assert "1 payments were asked for since" in told.out
    told = run("payments", "file", "--output", str(output), "--key", "later")
    assert output.read_bytes() != written
    assert "were asked for" not in told.out


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("suspense", "return", "1"), "SUSPENSE_UNKNOWN"),
        (("suspense", "assign", "1", "--member", "nobody@example.org"), "MEMBER_UNKNOWN"),
        (("details", "verify", "1"), "BANK_DETAILS_UNKNOWN"),
        (("details", "refuse", "1"), "BANK_DETAILS_UNKNOWN"),
        (("payments", "cancel", "1"), "PAYMENT_UNKNOWN"),
        (("debts", "--by", "nobody@example.org"), "MEMBER_UNKNOWN"),
        (("payments", "sweep"), "NOTHING_TO_SWEEP"),
        (("payments", "file", "--output", "never.xml"), "NOTHING_TO_PAY"),
        (("files", "show", "1", "--output", "never.xml"), "no bank file 1"),
        (("import", "nowhere.xml"), "nowhere.xml: No such file"),
    ],
)
def test_refusals(run: Run, words: tuple[str, ...], code: str) -> None:
    told = run(*words, status=2)
    [line] = told.error.strip().splitlines()
    assert code in line


def test_csv_by_name(run: Run, tmp_path: Path) -> None:
    text = "date,description,reference,amount,balance\n2016-05-02,IN,,5.00,5.00\n"
    told = run("import", saved(tmp_path, text.encode(), "day.csv"), "--account", "client")
    assert "1 lines" in told.out
    told = run("import", saved(tmp_path, text.encode() + b"\n", "day.csv"), status=2)
    assert "BANK_ACCOUNT_UNKNOWN" in told.error
