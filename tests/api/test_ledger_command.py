"""``manage.py ledger``: balances, corrections, and closing dates and accounts."""

from __future__ import annotations

from datetime import date

import pytest
from django.utils import timezone

from accounts.models import ClosedDay, Entry, Member
from accounts.selectors.ledger import check_book, member_balances
from accounts.services.cash import CashMovement, deposit
from accounts.services.members import enrol_members
from marketplace.models import DayRun
from tests.api.test_commands import command
from tests.factories import MemberFactory

DAY = date(2016, 4, 1)


@pytest.fixture
def ada(committed_db: str) -> Member:
    """A member with £100.00."""
    [member] = enrol_members(members=[MemberFactory.build()])
    deposit(movements=[CashMovement(member.pk, 10_000, "in")], on=DAY, actor="test")
    return member


def test_the_book_is_shown_by_kind(ada: Member, capsys: pytest.CaptureFixture[str]) -> None:
    told = command(capsys, "ledger", "balances")
    assert told.status == 0
    rows = [line for line in told.out.splitlines() if "£100.00" in line]
    assert [row.split("│")[2].strip() for row in rows] == ["client_bank", "cash"]


def test_an_entry_is_taken_back_once(ada: Member, capsys: pytest.CaptureFixture[str]) -> None:
    entry = Entry.objects.get(kind="deposit")
    words = ("ledger", "reverse", str(entry.pk), "--reason", "typed twice", "--on", "2016-04-04")
    told = command(capsys, *words)
    assert (told.status, member_balances(ada.pk).cash) == (0, 0)
    assert f"Entry {entry.pk} is taken back by entry" in told.out
    assert command(capsys, *words).out == told.out
    again = command(capsys, *words, "--key", "another")
    assert (again.status, again.error.partition(":")[0]) == (2, "CommandError")
    assert "ALREADY_REVERSED" in again.error
    assert check_book().holds


def test_a_date_and_an_account_are_closed(ada: Member, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(capsys, "ledger", "close-day", "2016-04-01").out == "2016-04-01 is closed.\n"
    assert "was before" in command(capsys, "ledger", "close-day", "2016-04-01").out
    assert list(ClosedDay.objects.values_list("day", flat=True)) == [DAY]
    full = command(capsys, "ledger", "close-account", f"cash/{ada.pk}", "--on", "2016-04-04")
    assert (full.status, "ACCOUNT_NOT_EMPTY" in full.error) == (2, True)
    empty = command(capsys, "ledger", "close-account", f"matched/{ada.pk}", "--on", "2016-04-04")
    assert (empty.status, empty.out) == (0, f"matched/{ada.pk} is closed.\n")


def test_a_date_is_closed_after_its_close_of_day(
    ada: Member, capsys: pytest.CaptureFixture[str]
) -> None:
    DayRun.objects.create(day=DAY, actor="test", finished_at=timezone.now())
    told = command(capsys, "ledger", "close-day", "2016-04-02")
    assert (told.status, "DAY_OUT_OF_ORDER" in told.error) == (2, True)
    assert command(capsys, "ledger", "close-day", "2016-04-01").out == "2016-04-01 is closed.\n"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("reverse", "999999", "--reason", "why"), "ENTRY_NOT_REVERSIBLE"),
        (("close-day", "2999-01-01"), "BUSINESS_DATE_REFUSED"),
        (("close-account", "cash/999999"), "ACCOUNT_MISSING"),
        (("close-account", "nonsense"), "ACCOUNT_MISSING"),
    ],
)
def test_what_cannot_be_done_is_one_line_with_status_2(
    ada: Member, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], code: str
) -> None:
    told = command(capsys, "ledger", *words)
    assert (told.status, code in told.error, "Traceback" in told.error) == (2, True, False)
    assert member_balances(ada.pk).cash == 10_000
