"""Statements become deposits and suspense, once, whole or not at all."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.core.bank_house import BankAccountUnknown
from accounts.core.bank_overlap import BankLineConflict, BankStatementConflict
from accounts.core.bank_statement import (
    BankFileHostile,
    BankFileMalformed,
    BankStatementGap,
    BankStatementUnbalanced,
)
from accounts.core.bank_states import LineOutcome
from accounts.core.chart import MEMBER_KINDS, Kind
from accounts.core.errors import AccountsRefusal
from accounts.core.references import payment_reference
from accounts.models import BankFile, BankLine, BankStatement, Entry, SuspenseItem
from accounts.selectors.ledger import member_balances, totals_by_kind
from accounts.services.days import close_accounts, close_date
from accounts.services.posting import DateRefused
from accounts.services.reversal import EntryNotReversible, reverse_entry
from tests.accounts.services.bank_desk import DAY, OPERATIONS, Bank, fits, give, pays_in, people
from tests.bank_files import camt053, money_in, statement


def refused(content: bytes, kind: type[AccountsRefusal], *, on: date = DAY) -> BankFile:
    """The file as it is kept, after a refusal that posted nothing."""
    before = Entry.objects.count(), BankLine.objects.count(), BankStatement.objects.count()
    with pytest.raises(kind) as refusal:
        give(content, on=on)
    after = Entry.objects.count(), BankLine.objects.count(), BankStatement.objects.count()
    assert before == after
    file = BankFile.objects.latest("id")
    assert (file.state, file.refusal_code) == ("refused", kind.code)
    assert file.refusal_message == refusal.value.message
    assert bytes(file.content) == content
    return file


@pytest.mark.parametrize("version", ["02", "08"])
def test_a_statement_by_hand(db: None, version: str) -> None:
    """£100 and £250.50 for two members, £7 for nobody known: £357.50 at the bank."""
    ada, ben = people(2)
    content = Bank(version=version).writes(
        pays_in("A1", ada, 10_000), pays_in("A2", ben, 25_050), money_in("A3", 700, "thanks")
    )
    imported = give(content)
    assert not imported.unchanged
    assert imported.outcomes == {LineOutcome.DEPOSIT: 2, LineOutcome.SUSPENSE: 1}
    assert member_balances(ada.pk).cash == 10_000
    assert member_balances(ben.pk).cash == 25_050
    totals = totals_by_kind()
    assert (totals[Kind.CLIENT_BANK], totals[Kind.SUSPENSE]) == (35_750, 700)
    item = SuspenseItem.objects.get()
    assert (item.amount, item.state, item.member_id) == (700, "open", None)
    line = BankLine.objects.get(reference="A1")
    entry = Entry.objects.get(key=line.entry_key)
    assert (entry.kind, entry.reference, entry.actor) == ("deposit", f"member:{ada.pk}", OPERATIONS)
    fits()


def test_entries_hold_no_personal_data(db: None) -> None:
    [ada] = people(1)
    give(Bank().writes(pays_in("A1", ada, 10_000), money_in("A2", 700, "from Zebedee Payer")))
    said = list(Entry.objects.values_list("key", "actor", "reference"))
    assert said
    for text in (text for entry in said for text in entry):
        assert "Payer" not in text
        assert "40478470872490" not in text


def test_what_the_bank_says_is_not_reversed_by_hand(db: None) -> None:
    [ada] = people(1)
    give(Bank().writes(pays_in("A1", ada, 10_000)))
    with pytest.raises(EntryNotReversible):
        reverse_entry(
            entry_id=Entry.objects.get().pk, key="r", on=DAY, actor=OPERATIONS, reason="wrong"
        )
    fits()


def test_the_same_again_changes_nothing(db: None) -> None:
    [ada] = people(1)
    made = statement(pays_in("A1", ada, 10_000))
    first = give(camt053(made))
    again = give(camt053(made))
    assert (again.file_id, again.unchanged, again.statements) == (first.file_id, True, 0)
    otherwise_written = give(camt053(made, prefix="bank"))
    assert otherwise_written.unchanged
    assert otherwise_written.file_id != first.file_id
    assert BankFile.objects.get(pk=otherwise_written.file_id).state == "unchanged"
    assert give(camt053(made, prefix="bank")).unchanged
    assert member_balances(ada.pk).cash == 10_000
    fits()


def test_what_is_new_in_an_overlapping_file_is_booked(db: None) -> None:
    [ada] = people(1)
    one = statement(pays_in("A1", ada, 10_000))
    two = statement(pays_in("B1", ada, 500), opening=10_000, sequence=2)
    give(camt053(one))
    assert give(camt053(one, two)).statements == 1
    assert member_balances(ada.pk).cash == 10_500
    fits()


def test_a_known_statement_with_other_content_is_a_conflict(db: None) -> None:
    [ada] = people(1)
    give(camt053(statement(pays_in("A1", ada, 10_000))))
    refused(camt053(statement(pays_in("A1", ada, 90_000))), BankStatementConflict)


def test_a_line_of_another_statement_is_a_conflict(db: None) -> None:
    [ada] = people(1)
    bank = Bank()
    give(bank.writes(pays_in("A1", ada, 10_000)))
    refused(bank.writes(pays_in("A1", ada, 20_000)), BankLineConflict)


def test_a_line_in_two_statements_of_one_file_is_a_conflict(db: None) -> None:
    [ada] = people(1)
    one = statement(pays_in("A1", ada, 100))
    two = statement(pays_in("A1", ada, 100), sequence=2, opening=100)
    refused(camt053(one, two), BankLineConflict)


def test_what_the_payer_calls_a_payment_is_not_its_reference(db: None) -> None:
    """Two payments that the payer named alike, and the bank not at all."""
    [ada] = people(1)
    bank = Bank()
    for _ in range(2):
        content = bank.writes(pays_in("Z", ada, 100)).replace(b"<AcctSvcrRef>Z</AcctSvcrRef>", b"")
        give(content.replace(b"<TxDtls>", b"<TxDtls><Refs><InstrId>MY-RENT</InstrId></Refs>"))
    assert member_balances(ada.pk).cash == 200
    fits()


def test_references_within_a_statement_are_not_of_the_accounts_life(db: None) -> None:
    """Entries numbered 1, 2, ... in each statement, or with no reference at all."""
    [ada] = people(1)
    bank = Bank()
    for _ in range(2):
        give(bank.writes(pays_in("1", ada, 100), pays_in("2", ada, 200), pays_in("", ada, 1)))
    assert member_balances(ada.pk).cash == 602
    fits()


def test_a_gap_is_refused_and_closed_by_the_missing_file(db: None) -> None:
    [ada] = people(1)
    bank = Bank()
    give(bank.writes(pays_in("A1", ada, 10_000)))
    missing = bank.writes(pays_in("A2", ada, 5_000))
    third = bank.writes(pays_in("A3", ada, 200))
    file = refused(third, BankStatementGap)
    give(missing)
    assert give(third).file_id == file.pk
    file.refresh_from_db()
    assert (file.state, file.refusal_code) == ("posted", "")
    assert member_balances(ada.pk).cash == 15_200
    fits()


def test_a_wrong_closing_balance(db: None) -> None:
    [ada] = people(1)
    content = camt053(statement(pays_in("A1", ada, 10_000)))
    changed = content.replace(b"100.00", b"90.00", 1)
    refused(changed, BankStatementUnbalanced)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', BankFileHostile),
        (b"<Document", BankFileMalformed),
        (b"", BankFileMalformed),
    ],
)
def test_hostile_and_broken_files(db: None, content: bytes, kind: type[AccountsRefusal]) -> None:
    refused(content, kind)
    assert refused(content, kind).pk == BankFile.objects.get().pk


def test_an_account_that_is_not_ours(db: None) -> None:
    made = statement(money_in("A1", 100), account="20000099999999")
    refused(camt053(made), BankAccountUnknown)


def test_dates(db: None) -> None:
    [ada] = people(1)
    bank = Bank()
    tomorrow = bank.writes(pays_in("A1", ada, 100, on=DAY + timedelta(days=1)), on=DAY)
    refused(tomorrow, DateRefused)
    close_date(day=DAY, actor="test")
    refused(tomorrow, DateRefused)
    # What was booked on a day that is closed by now is booked on the business date instead.
    late = DAY + timedelta(days=3)
    both = Bank().writes(pays_in("A1", ada, 100), pays_in("A2", ada, 50, on=late), on=late)
    give(both, on=late)
    days = dict(BankLine.objects.values_list("reference", "effective_on"))
    assert days == {"A1": late, "A2": late}
    assert BankLine.objects.get(reference="A1").booked_on == DAY
    assert set(Entry.objects.values_list("effective_on", flat=True)) == {late}
    fits()


def test_who_can_be_paid(db: None) -> None:
    """Money for a closed account or an inactive member waits in suspense."""
    closed, inactive, ada, ben = people(4)
    close_accounts(owner_id=closed.pk, kinds=[str(kind) for kind in MEMBER_KINDS], on=DAY)
    inactive.is_active = False
    inactive.save(update_fields=["is_active"])
    both = f"{payment_reference(ada.pk)} {payment_reference(ben.pk)}"
    give(
        Bank().writes(
            pays_in("A1", closed, 100),
            pays_in("A2", inactive, 200),
            money_in("A3", 300, both),
            money_in("A4", 400, payment_reference(99_999)),
        )
    )
    assert SuspenseItem.objects.count() == 4
    assert totals_by_kind()[Kind.SUSPENSE] == 1_000
    fits()


def test_as_many_statements_for_ten_lines_as_for_a_thousand(db: None) -> None:
    members = people(10)
    bank = Bank()
    counts = []
    for size in (10, 1_000):
        lines = [pays_in(f"L{size}-{n}", members[n % 10], 100 + n) for n in range(size - 2)]
        lines += [money_in(f"L{size}-x", 7), money_in(f"L{size}-y", 8)]
        content = bank.writes(*lines)
        with CaptureQueriesContext(
            connection,
        ) as queries:
            give(content)
        counts.append(len(queries))
    # Lines and entries go past Django's cursor: the insert of rows, and the posting's COPY.
    assert counts == [24, 24]
    fits()
