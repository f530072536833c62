"""What a reconciliation finds: each break made for real, and its figures by hand."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import date, timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from accounts.core.chart import Book, Kind
from accounts.core.posting import EntryDraft, EntryKind, Leg, posting
from accounts.core.reconciliation import Check, SealMark
from accounts.models import BankLine, SealedEntry
from accounts.selectors.bank_accounts import load_accounts
from accounts.selectors.ledger import check_book
from accounts.selectors.reconciliation import internal_checks
from accounts.selectors.reconciliation_bank import external_checks
from accounts.services.cash import CashMovement, deposit, send_withdrawals
from accounts.services.posting import post
from accounts.services.withdrawals import request_withdrawal
from tests.accounts.books import altered, book, open_book, seal_now
from tests.accounts.services.bank_desk import (
    DAY,
    Bank,
    earn_fees,
    give,
    payable,
    pays_in,
    people,
    send_file,
)
from tests.bank_files import money_in, withdrawal_paid

NEXT = DAY + timedelta(days=1)
Broken = dict[str, list[tuple[str, int]]]


def broken(checks: Iterable[Check]) -> Broken:
    """Reference and pence of what each rule found."""
    return {
        check.rule: [(finding.reference, finding.amount) for finding in check.findings]
        for check in checks
        if not check.holds
    }


def internal(since: SealMark | None = None) -> dict[str, Check]:
    checks, _ = internal_checks(since or SealMark())
    return {check.rule: check for check in checks}


def with_itself(since: SealMark | None = None) -> Broken:
    return broken(internal(since).values())


def with_bank(on: date = DAY) -> Broken:
    return broken(external_checks(on))


def moved(
    kind: EntryKind, debit: Kind, credit: Kind, member: int, amount: int, to: int | None = None
) -> None:
    """One entry between two accounts of a member, of another one or of the platform."""
    accounts = load_accounts([member, to or member])
    key = f"{kind}/{debit}/{credit}/{member}"
    ids = accounts.id(debit, member, key), accounts.id(credit, to or member, key)
    with transaction.atomic():
        entry = EntryDraft(kind, key, DAY, "t", "t")
        post(posting([entry], [Leg(0, *ids, amount, Book.CASH)]))


def line_of(reference: str) -> int:
    return BankLine.objects.get(reference=reference).pk


class TestABookThatHolds:
    @pytest.mark.usefixtures("db")
    def test_by_hand(self) -> None:
        """£100 of Ada's, of which £30 are on their way out; £7 of nobody's; £2 of fees."""
        bank = Bank()
        [ada] = people(1)
        payable(ada)
        give(bank.writes(pays_in("A1", ada, 10_000), money_in("A2", 700, "thanks")))
        earn_fees(bank, 200)
        request_withdrawal(member_id=ada.pk, amount=3_000, key="w", on=DAY)
        found = internal()
        assert broken(found.values()) == {}
        client = found["client_money"]
        assert (client.expected, client.found) == (10_900, 10_900)
        assert (found["suspense"].expected, found["suspense"].found) == (700, 700)
        assert (found["on_its_way"].expected, found["on_its_way"].found) == (3_000, 3_000)
        assert found["stored_balance"].checked == check_book().accounts
        # The payment is at the bank still, in the ledger as there.
        [balances, *_] = external_checks(DAY)
        assert (balances.expected, balances.found, balances.checked) == (10_900, 10_900, 1)
        assert with_bank() == {"suspense_item": [(f"bank-line:{line_of('A2')}", 700)]}

    @pytest.mark.usefixtures("db")
    def test_statements_are_fixed_in_number(self) -> None:
        bank = Bank()
        counts = []
        for size in (1, 12):
            give(bank.writes(*(pays_in(f"{size}/{m.pk}", m, 500) for m in people(size))))
            with CaptureQueriesContext(connection) as queries:
                internal()
                external_checks(DAY)
            counts.append(len(queries))
        assert counts[0] == counts[1]


class TestStoredBalances:
    @pytest.mark.usefixtures("committed_db")
    def test_a_balance_changed_by_the_owner(self) -> None:
        [ada] = people(1)
        give(Bank().writes(pays_in("A1", ada, 10_000)))
        with altered() as cursor:
            cursor.execute(
                "UPDATE accounts_account SET balance = balance + 1"
                " WHERE kind = 'cash' AND owner_id = %s",
                [ada.pk],
            )
        found = internal()
        assert broken(found.values()) == {
            "stored_balance": [(f"cash/{ada.pk}", 1)],
            "book_sum": [("cash", 1)],
            "client_money": [("client", -1)],
        }
        [finding] = found["stored_balance"].findings
        assert finding.detail == "expected 100.00, found 100.01"

    @pytest.mark.usefixtures("committed_db")
    def test_a_transfer_changed_by_the_owner(self) -> None:
        ada, _, _, bank = open_book()
        book([(bank, ada, 500)])
        stripe = connection.cursor().execute(
            "SELECT 'client_bank/0/' || stripe FROM accounts_account WHERE id = %s", [bank]
        )
        [name] = stripe.fetchone()
        with altered() as cursor:
            cursor.execute("UPDATE accounts_transfer SET amount = 499")
        assert sorted(with_itself()["stored_balance"]) == [("cash/1", 1), (name, 1)]

    @pytest.mark.usefixtures("committed_db")
    def test_a_transfer_that_names_no_account(self) -> None:
        ada, _, _, bank = open_book()
        book([(bank, ada, 500)])
        with altered() as cursor:
            cursor.execute("UPDATE accounts_transfer SET credit_id = 2000000000")
        assert sorted(with_itself()["stored_balance"]) == [
            ("account:2000000000", 0),
            ("cash/1", 500),
        ]

    @pytest.mark.usefixtures("committed_db")
    def test_a_transfer_moved_to_the_other_book(self) -> None:
        ada, _, _, bank = open_book()
        book([(bank, ada, 500)])
        with altered() as cursor:
            cursor.execute("UPDATE accounts_transfer SET book = 2")
        assert ("cash/1", 500) in with_itself()["stored_balance"]


class TestClientMoney:
    @pytest.mark.usefixtures("db")
    def test_a_debt_is_a_shortfall_until_it_is_advanced(self) -> None:
        """Ada's £100 are taken back after she gave £60 to Ben: £60 are missing."""
        bank = Bank()
        ada, ben = people(2)
        paid = pays_in("A1", ada, 10_000)
        give(bank.writes(paid))
        moved(EntryKind.DEPOSIT, Kind.CASH, Kind.CASH, ada.pk, 6_000, ben.pk)
        give(bank.writes(replace(paid, reference="A2", amount=-10_000, reversal=True)))
        client = internal()["client_money"]
        assert (client.expected, client.found) == (6_000, 0)
        [finding] = client.findings
        assert finding.detail == "expected 60.00, found 0.00; members owe 60.00"
        # Tenner pays it into the client account.
        moved(EntryKind.ADVANCED, Kind.CLIENT_BANK, Kind.OWN_BANK, ada.pk, 6_000)
        assert with_itself() == {}
        # Ada pays again, which repays Tenner: its £60 have to be taken out of client money.
        give(bank.writes(pays_in("A3", ada, 6_000)))
        assert with_itself() == {"client_money": [("client", 6_000)]}

    @pytest.mark.usefixtures("db")
    def test_what_nobody_ordered_is_a_shortfall(self) -> None:
        bank = Bank()
        [ada] = people(1)
        give(bank.writes(pays_in("A1", ada, 10_000), withdrawal_paid("A2", 500, "STRANGE")))
        assert with_itself() == {"client_money": [("client", -500)]}
        assert with_bank() == {"bank_line_unexplained": [(f"bank-line:{line_of('A2')}", -500)]}

    @pytest.mark.usefixtures("db")
    def test_fees_taken_out_beyond_what_was_earned(self) -> None:
        [ada] = people(1)
        give(Bank().writes(pays_in("A1", ada, 10_000)))
        moved(EntryKind.FEES_SWEPT, Kind.FEES, Kind.CLIENT_BANK, ada.pk, 200)
        assert with_itself() == {"client_money": [("client", -200)]}

    @pytest.mark.usefixtures("db")
    def test_the_fund_against_its_bank(self) -> None:
        fund = Bank("GB97TNNR20000055779913")
        give(fund.writes(money_in("F1", 900)))
        assert with_itself() == {}
        give(fund.writes(withdrawal_paid("F2", 100, "STRANGE")))
        # Own funds owe it, and the client's pond is as it was.
        assert with_itself() == {"fund_money": [("fund", -100)]}


class TestSuspenseAndWithdrawals:
    @pytest.mark.usefixtures("committed_db")
    def test_an_item_changed_by_the_owner(self) -> None:
        give(Bank().writes(money_in("A1", 700, "thanks")))
        with altered() as cursor:
            cursor.execute("UPDATE accounts_suspenseitem SET amount = 650")
        assert with_itself() == {"suspense": [("suspense", 50)]}

    @pytest.mark.usefixtures("db")
    def test_money_sent_without_the_table_is_not_compared(self) -> None:
        [ada] = people(1)
        deposit(movements=[CashMovement(ada.pk, 10_000, "in")], on=DAY, actor="t")
        send_withdrawals(movements=[CashMovement(ada.pk, 3_000, "out")], on=DAY, actor="t")
        way = internal()["on_its_way"]
        assert (way.holds, way.checked) == (True, 0)

    @pytest.mark.usefixtures("db")
    def test_from_the_first_withdrawal_on_everybody_is(self) -> None:
        ada, ben = people(2)
        payable(ada)
        cash = [CashMovement(member.pk, 10_000, f"in-{member.pk}") for member in (ada, ben)]
        deposit(movements=cash, on=DAY, actor="t")
        request_withdrawal(member_id=ada.pk, amount=2_500, key="w", on=DAY)
        send_file()
        assert with_itself() == {}
        send_withdrawals(movements=[CashMovement(ben.pk, 3_000, "out")], on=DAY, actor="t")
        assert with_itself() == {"on_its_way": [(f"member:{ben.pk}", 3_000)]}


class TestFloors:
    @pytest.mark.usefixtures("committed_db")
    def test_an_account_below_nothing(self) -> None:
        [ada] = people(1)
        with altered() as cursor:
            cursor.execute(
                "UPDATE accounts_account SET floor = NULL, balance = -5"
                " WHERE kind = 'cash' AND owner_id = %s",
                [ada.pk],
            )
        [finding] = internal()["floors"].findings
        assert (finding.reference, finding.amount) == (f"cash/{ada.pk}", -5)

    @pytest.mark.usefixtures("committed_db")
    def test_an_account_without_its_floor(self) -> None:
        [ada] = people(1)
        with altered() as cursor:
            cursor.execute("UPDATE accounts_account SET floor = NULL WHERE kind = 'matched'")
        assert with_itself() == {"floors": [(f"matched/{ada.pk}", 0)]}

    @pytest.mark.usefixtures("committed_db")
    def test_stripes_below_nothing_together(self) -> None:
        give(Bank().writes(money_in("A1", 700, "thanks")))
        with altered() as cursor:
            cursor.execute(
                "UPDATE accounts_account SET balance = balance - 400"
                " WHERE kind = 'suspense' AND stripe < 2"
            )
        assert with_itself()["floors"] == [("suspense", -100)]


class TestJournal:
    def _three(self) -> tuple[list[int], SealMark]:
        """Entries 1 and 2 sealed and found to fit; then 3, sealed."""
        ada, ben, _, bank = open_book()
        entries = [book([(bank, ada, 500)]), book([(ada, ben, 20)])]
        seal_now()
        _, mark = internal_checks(SealMark())
        assert mark is not None
        assert mark.number == 2
        entries.append(book([(ada, ben, 30)]))
        seal_now()
        return entries, mark

    @pytest.mark.usefixtures("db")
    def test_nothing_sealed(self) -> None:
        checks, mark = internal_checks(SealMark())
        assert (checks[-1].rule, checks[-1].checked, mark) == ("journal", 0, SealMark())

    @pytest.mark.usefixtures("committed_db")
    def test_since_the_last_time_and_in_full(self) -> None:
        _, mark = self._three()
        for since, looked_at in ((mark, 1), (SealMark(), 3)):
            checks, reached = internal_checks(since)
            assert (checks[-1].holds, checks[-1].checked) == (True, looked_at)
            assert reached is not None
            assert reached.number == 3
            assert reached.hash == bytes(SealedEntry.objects.get(number=3).hash)

    @pytest.mark.usefixtures("committed_db")
    def test_an_entry_altered_since(self) -> None:
        entries, mark = self._three()
        with altered() as cursor:
            cursor.execute(
                "UPDATE accounts_entry SET actor = 'another' WHERE id = %s", [entries[2]]
            )
        for since in (mark, SealMark()):
            checks, reached = internal_checks(since)
            [finding] = checks[-1].findings
            assert (finding.reference, reached) == ("chain", None)
            assert finding.detail == "entry 3 isn't what was sealed, or is missing"

    @pytest.mark.usefixtures("committed_db")
    def test_an_entry_altered_before_shows_in_full_only(self) -> None:
        entries, mark = self._three()
        with altered() as cursor:
            cursor.execute(
                "UPDATE accounts_entry SET actor = 'another' WHERE id = %s", [entries[0]]
            )
        assert with_itself(mark) == {}
        assert with_itself() == {"journal": [("chain", 0)]}

    @pytest.mark.usefixtures("committed_db")
    def test_a_chain_made_anew_shows_at_the_mark(self) -> None:
        _, mark = self._three()
        with altered() as cursor:
            cursor.execute("UPDATE accounts_sealedentry SET hash = sha256(hash)")
            cursor.execute(
                "UPDATE accounts_seal AS s SET hash = e.hash FROM accounts_sealedentry AS e"
                " WHERE e.number = s.last_number"
            )
        assert with_itself(mark) == {"journal": [("chain", 0)]}

    @pytest.mark.usefixtures("committed_db")
    def test_the_hash_at_the_mark_alone(self) -> None:
        """What follows it still fits what was found there the last time."""
        _, mark = self._three()
        with altered() as cursor:
            cursor.execute("UPDATE accounts_sealedentry SET hash = sha256(hash) WHERE number = 2")
            cursor.execute("UPDATE accounts_seal SET hash = sha256(hash) WHERE last_number = 2")
        [finding] = internal(mark)["journal"].findings
        assert finding.detail == "entry 2 isn't what was sealed, or is missing"

    @pytest.mark.usefixtures("committed_db")
    def test_a_gap_a_wrong_seal_and_an_entry_passed_over(self) -> None:
        _, mark = self._three()
        with altered() as cursor:
            cursor.execute("DELETE FROM accounts_sealedentry WHERE number = 3")
        for since in (mark, SealMark()):
            found = with_itself(since)["journal"]
            assert {"chain", "seals", "unsealed"} <= {reference for reference, _ in found}
