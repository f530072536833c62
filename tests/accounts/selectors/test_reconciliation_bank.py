"""The book against the bank: statements that differ, stay away, or have lines of other days."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from accounts.core.reconciliation import ReconciliationKind
from accounts.models import BankFile, BankStatement, Break, Entry
from accounts.selectors.reconciliation_bank import external_checks
from accounts.services.cash import CashMovement, deposit
from accounts.services.days import close_date
from accounts.services.reconciliation import record, resolve_break
from accounts.services.withdrawals import request_withdrawal
from tests.accounts.selectors.test_reconciliation import NEXT, line_of, with_bank, with_itself
from tests.accounts.services.bank_desk import (
    DAY,
    OPERATIONS,
    Bank,
    give,
    payable,
    pays_in,
    people,
    send_file,
)
from tests.bank_files import money_in, withdrawal_paid


@pytest.mark.usefixtures("db")
def test_a_closing_balance_that_differs() -> None:
    [ada] = people(1)
    give(Bank().writes(pays_in("A1", ada, 10_000)))
    assert with_bank() == {}
    BankStatement.objects.create(
        file=BankFile.objects.get(),
        account="client",
        statement_id="ANOTHER",
        opening=10_000,
        opened_on=NEXT,
        closing=10_001,
        closed_on=NEXT,
        digest=bytes(32),
    )
    assert with_bank(DAY) == {}
    assert with_bank(NEXT) == {"bank_balance": [("client", -1)]}


@pytest.mark.usefixtures("db")
def test_an_entry_that_the_bank_knows_nothing_of() -> None:
    """It is no difference on the day before, and one from its own day on."""
    bank = Bank()
    [ada] = people(1)
    give(bank.writes(pays_in("A1", ada, 10_000)))
    deposit(movements=[CashMovement(ada.pk, 300, "in")], on=NEXT, actor="t")
    assert with_bank(NEXT) == {}
    give(bank.writes(on=NEXT), on=NEXT)
    assert with_bank(DAY) == {}
    assert with_bank(NEXT) == {"bank_balance": [("client", 300)]}


@pytest.mark.usefixtures("db")
def test_a_statement_of_a_closed_day() -> None:
    """Its line is booked on the next day: the day's own balance is explained by that."""
    bank = Bank()
    ada, ben = people(2)
    close_date(day=DAY, actor="t")
    give(bank.writes(pays_in("A1", ada, 10_000)), on=NEXT)
    assert with_bank(DAY) == {}
    give(bank.writes(pays_in("A2", ben, 400), on=NEXT), on=NEXT)
    [balances, *_] = external_checks(NEXT)
    assert (balances.expected, balances.found) == (10_400, 10_400)


@pytest.mark.usefixtures("db")
def test_a_line_of_a_later_statement_with_an_earlier_date() -> None:
    bank = Bank()
    ada, ben = people(2)
    give(bank.writes(pays_in("A1", ada, 10_000)))
    give(bank.writes(pays_in("A2", ben, 400, on=DAY), on=NEXT), on=NEXT)
    assert with_bank(DAY) == {}
    assert with_bank(NEXT) == {}


@pytest.mark.usefixtures("db")
def test_a_payment_leaves_the_ledgers_bank_with_the_banks_line() -> None:
    bank = Bank()
    [ada] = people(1)
    payable(ada)
    give(bank.writes(pays_in("A1", ada, 10_000)))
    payment = request_withdrawal(member_id=ada.pk, amount=3_000, key="w", on=DAY)
    send_file()
    give(bank.writes(on=NEXT), on=NEXT)
    assert with_bank(NEXT) == {}
    later = NEXT + timedelta(days=1)
    paid = withdrawal_paid("A2", 3_000, f"TNR-W-{payment:010d}", on=later)
    give(bank.writes(paid, on=later), on=later)
    assert (with_bank(later), with_itself()) == ({}, {})


@pytest.mark.usefixtures("db")
def test_statements_that_stay_away() -> None:
    [ada] = people(1)
    assert with_bank() == {}
    deposit(movements=[CashMovement(ada.pk, 300, "in")], on=DAY, actor="t")
    assert with_bank() == {"bank_statement": [("client", 300)]}
    give(Bank().writes(money_in("A1", 700, "thanks")))
    assert "bank_statement" not in with_bank(DAY + timedelta(days=5))
    assert with_bank(DAY + timedelta(days=6))["bank_statement"] == [("client", 1_000)]


@pytest.mark.usefixtures("db")
def test_a_line_is_explained_when_the_bank_takes_it_back() -> None:
    bank = Bank()
    strange = withdrawal_paid("A1", 500, "STRANGE")
    give(bank.writes(strange))
    assert list(with_bank()) == ["bank_line_unexplained"]
    give(bank.writes(replace(strange, reference="A2", amount=500, reversal=True)))
    assert (with_bank(), with_itself()) == ({}, {})


@pytest.mark.usefixtures("db")
def test_a_line_is_explained_when_somebody_says_so() -> None:
    give(Bank().writes(withdrawal_paid("A1", 500, "STRANGE")))
    external = ReconciliationKind.EXTERNAL
    record(on=DAY, kind=external, checks=external_checks(DAY), actor="t", key="1")
    found = Break.objects.get()
    assert (found.reference, found.amount) == (f"bank-line:{line_of('A1')}", -500)
    resolve_break(break_id=found.pk, note="A charge of the bank's.", actor=OPERATIONS, on=DAY)
    assert with_bank() == {}


@pytest.mark.usefixtures("db")
def test_nothing_personal_is_in_a_break() -> None:
    give(Bank().writes(money_in("A1", 700, "thanks to Ada", payer="Ada Example")))
    [finding] = [f for check in external_checks(DAY) for f in check.findings]
    assert finding.since == DAY
    assert "Ada" not in f"{finding}"
    assert Entry.objects.count() == 1
