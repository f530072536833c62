"""Statements that add up, and go on where the one before stopped."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from accounts.core.bank_statement import (
    BankFileMalformed,
    BankLine,
    BankStatementGap,
    BankStatementUnbalanced,
    account_from_text,
    check_continuity,
    check_follows,
    with_unique_references,
)
from accounts.core.errors import AmountRefused
from tests.bank_files import DAY, money_in, statement, withdrawal_paid


def test_opening_and_lines_make_the_closing_balance() -> None:
    # 100.00 + 25.00 - 40.00 = 85.00
    good = statement(money_in("A", 2_500), withdrawal_paid("B", 4_000, "W-1"), opening=10_000)
    assert good.checked().closing == 8_500
    with pytest.raises(BankStatementUnbalanced, match=r"make 85\.00, but it closes with 85\.01"):
        replace(good, closing=8_501).checked()


@pytest.mark.parametrize("amount", [0, 10**11 + 1, -(10**11) - 1])
def test_refuses_a_line_of_nothing_or_too_much(amount: int) -> None:
    with pytest.raises(AmountRefused):
        statement(money_in("A", amount)).checked()


def test_refuses_a_reference_twice_and_texts_that_are_too_long() -> None:
    for lines in ([money_in("A", 1), money_in("A", 1)], [money_in("A" * 61, 1)]):
        with pytest.raises(BankFileMalformed):
            statement(*lines).checked()
    with pytest.raises(BankFileMalformed):
        statement(statement_id="S" * 36).checked()
    with pytest.raises(AmountRefused):
        statement(opening=10**12).checked()


def test_shared_and_missing_references_become_unique_and_stay_so() -> None:
    lines = [money_in(reference, 1) for reference in ("A", "B", "A", "", "A#1", "")]
    unique = [line.reference for line in with_unique_references(lines)]
    assert unique == ["A#2", "B", "A#3", "line#4", "A#1", "line#6"]
    assert [line.reference for line in with_unique_references(lines)] == unique


def test_a_line_does_not_show_who_in_its_repr() -> None:
    line = BankLine("A", DAY, 1, counterparty="Ann", counterparty_account="1", remittance="rent")
    assert "Ann" not in repr(line)
    assert "rent" not in repr(line)


def test_account_is_letters_and_digits() -> None:
    assert account_from_text("20-00-00 55779911") == "20000055779911"
    assert account_from_text("gb82 west 1234") == "GB82WEST1234"


def test_statements_follow_each_other() -> None:
    first = statement(money_in("A", 500), opening=100, sequence=7)
    second = statement(money_in("B", 1), opening=600, sequence=8, on=date(2016, 4, 4))
    other = statement(money_in("C", 9), account="20000000000001", sequence=3)
    ends = check_continuity([first, other, second])
    assert ends[first.account] == second.end
    assert ends[other.account].closing == 9
    assert check_continuity([second], after={first.account: first.end}) == {
        first.account: second.end
    }


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"opening": 601, "closing": 602}, "a statement between them is missing"),
        ({"sequence": 9}, "8 comes next"),
        ({"sequence": 7}, "8 comes next"),
        ({"closed_on": date(2016, 3, 31)}, "order of their dates"),
        ({"account": "20000000000001"}, "another account"),
    ],
)
def test_refuses_a_gap(changes: dict[str, object], says: str) -> None:
    first = statement(money_in("A", 500), opening=100, sequence=7)
    second = statement(money_in("B", 1), opening=600, sequence=8, on=date(2016, 4, 4))
    with pytest.raises(BankStatementGap, match=says) as refusal:
        check_follows(first.end, replace(second, **changes))  # type: ignore[arg-type]
    assert refusal.value.code == "BANK_STATEMENT_GAP"


def test_numbers_may_begin_again_in_a_new_year_and_may_be_missing() -> None:
    last = statement(sequence=366, on=date(2016, 12, 31))
    check_follows(last.end, statement(sequence=1, on=date(2017, 1, 1)))
    check_follows(last.end, statement(sequence=None, on=date(2016, 12, 31)))
    with pytest.raises(BankStatementGap):
        check_follows(last.end, statement(sequence=1, on=date(2016, 12, 31)))
