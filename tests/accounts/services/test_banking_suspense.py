"""Money in suspense, deposits that the bank takes back, debts, and what nobody can explain."""

from __future__ import annotations

from dataclasses import replace

import pytest

from accounts.core.bank_statement import BankLine
from accounts.core.bank_states import BankMoveRefused, LineOutcome
from accounts.core.chart import MEMBER_KINDS, Kind
from accounts.models import BankLine as StoredLine
from accounts.models import Entry, Member, OutgoingPayment, SuspenseItem
from accounts.selectors.ledger import AccountMissing, member_balances, totals_by_kind
from accounts.services.days import close_accounts
from accounts.services.debts import settle_debts
from accounts.services.payment_files import NothingToSweep, SweepUnderWay, sweep_fees
from accounts.services.payments import cancel_payment, reject_payment
from accounts.services.suspense import (
    NoWayBack,
    SuspenseUnknown,
    assign_suspense,
    return_suspense,
)
from accounts.services.withdrawals import request_withdrawal
from tests.accounts.services.bank_desk import (
    DAY,
    OPERATIONS,
    Bank,
    earn_fees,
    fits,
    give,
    payable,
    pays_in,
    people,
    send_file,
)
from tests.bank_files import money_in, withdrawal_paid, withdrawal_returned


@pytest.fixture
def bank(db: None) -> Bank:
    return Bank()


def taken_back(line: BankLine, reference: str) -> BankLine:
    """The bank's reversal of a line."""
    return replace(line, reference=reference, amount=-line.amount, reversal=True)


def item(bank: Bank, amount: int = 700) -> SuspenseItem:
    give(bank.writes(money_in(f"S{bank.sequence}", amount, "thank you")))
    return SuspenseItem.objects.latest("line_id")


def send_back(unknown: SuspenseItem, key: str = "r") -> OutgoingPayment:
    number = return_suspense(item_id=unknown.pk, key=key, on=DAY, actor=OPERATIONS)
    return OutgoingPayment.objects.get(pk=number)


def state_of(row: SuspenseItem | OutgoingPayment) -> str:
    row.refresh_from_db()
    return row.state


class TestSuspense:
    def test_assigned_to_whom_it_is_for(self, bank: Bank) -> None:
        [ada] = people(1)
        unknown = item(bank)
        for _ in range(2):
            assign_suspense(item_id=unknown.pk, member_id=ada.pk, key="a", on=DAY, actor=OPERATIONS)
        assert (state_of(unknown), unknown.member_id) == ("assigned", ada.pk)
        assert member_balances(ada.pk).cash == 700
        with pytest.raises(BankMoveRefused):
            assign_suspense(item_id=unknown.pk, member_id=ada.pk, key="b", on=DAY, actor="x")
        fits()

    def test_not_to_nobody(self, bank: Bank) -> None:
        unknown = item(bank)
        with pytest.raises(AccountMissing):
            assign_suspense(item_id=unknown.pk, member_id=0, key="a", on=DAY, actor=OPERATIONS)
        with pytest.raises(SuspenseUnknown):
            assign_suspense(item_id=0, member_id=1, key="b", on=DAY, actor=OPERATIONS)
        assert state_of(unknown) == "open"

    def test_sent_back_and_confirmed(self, bank: Bank) -> None:
        unknown = item(bank)
        payment = send_back(unknown)
        assert (payment.holder, payment.identification) == ("Ann Payer", "40478470872490")
        assert state_of(unknown) == "returning"
        send_file()
        fits()
        imported = give(bank.writes(withdrawal_paid("B1", 700, payment.end_to_end_id)))
        assert imported.outcomes == {LineOutcome.RETURN_CONFIRMED: 1}
        assert (state_of(unknown), state_of(payment)) == ("returned", "confirmed")
        assert totals_by_kind()[Kind.CLIENT_BANK] == 0
        fits()

    def test_sent_back_and_bounced(self, bank: Bank) -> None:
        unknown = item(bank)
        payment = send_back(unknown)
        send_file()
        give(bank.writes(withdrawal_paid("B1", 700, payment.end_to_end_id)))
        imported = give(bank.writes(withdrawal_returned("B2", 700, payment.end_to_end_id)))
        assert imported.outcomes == {LineOutcome.RETURN_BOUNCED: 1}
        assert (state_of(unknown), state_of(payment)) == ("open", "returned")
        fits()
        again = send_back(unknown, "again")
        assert again.end_to_end_id != payment.end_to_end_id

    @pytest.mark.parametrize("sent", [False, True])
    def test_stopped_on_its_way(self, bank: Bank, sent: bool) -> None:  # noqa: FBT001 - a case
        unknown = item(bank)
        payment = send_back(unknown)
        if sent:
            send_file()
            reject_payment(payment_id=payment.pk, key="x", on=DAY, actor=OPERATIONS)
        else:
            cancel_payment(payment_id=payment.pk, key="x", on=DAY, actor=OPERATIONS)
        assert state_of(unknown) == "open"
        fits()

    def test_money_that_came_from_no_account(self, bank: Bank) -> None:
        give(bank.writes(replace(money_in("S1", 700), counterparty_account="")))
        unknown = SuspenseItem.objects.get()
        with pytest.raises(NoWayBack):
            send_back(unknown)
        assert state_of(unknown) == "open"


class TestReversals:
    def test_all_of_it_is_there(self, bank: Bank) -> None:
        [ada] = people(1)
        line = pays_in("A1", ada, 10_000)
        give(bank.writes(line))
        imported = give(bank.writes(taken_back(line, "R1")))
        assert imported.outcomes == {LineOutcome.DEPOSIT_REVERSED: 1}
        assert member_balances(ada.pk).cash == 0
        stored = StoredLine.objects.get(reference="R1")
        assert stored.reverses == StoredLine.objects.get(reference="A1")
        assert totals_by_kind()[Kind.DEBT] == 0
        fits()

    def test_some_of_it_was_withdrawn(self, bank: Bank) -> None:
        """£100 in, £60 out, £100 taken back: £40 from cash, £60 owed; £25 in repays £25 of it."""
        [ada] = people(1)
        payable(ada)
        line = pays_in("A1", ada, 10_000)
        give(bank.writes(line))
        payment = withdraw(ada, 6_000)
        give(bank.writes(withdrawal_paid("B1", 6_000, payment.end_to_end_id)))
        give(bank.writes(taken_back(line, "R1")))
        assert member_balances(ada.pk).cash == 0
        assert totals_by_kind()[Kind.DEBT] == 6_000
        fits()
        imported = give(bank.writes(pays_in("A2", ada, 2_500)))
        assert imported.debt_repaid == 2_500
        assert member_balances(ada.pk).cash == 0
        assert totals_by_kind()[Kind.DEBT] == 3_500
        # Whatever else they get: the rest, by way of suspense.
        unknown = item(bank, 5_000)
        assign_suspense(item_id=unknown.pk, member_id=ada.pk, key="a", on=DAY, actor=OPERATIONS)
        assert member_balances(ada.pk).cash == 1_500
        assert totals_by_kind()[Kind.DEBT] == 0
        assert settle_debts(on=DAY, actor=OPERATIONS, key="night") == 0
        kinds = list(Entry.objects.order_by("id").values_list("kind", flat=True))
        assert kinds.count("debt_repaid") == 2
        fits()

    def test_in_one_file_with_what_it_undoes(self, bank: Bank) -> None:
        [ada] = people(1)
        one, two = pays_in("A1", ada, 10_000), pays_in("A2", ada, 300)
        give(bank.writes(taken_back(one, "R1"), one, two))
        assert member_balances(ada.pk).cash == 300
        assert totals_by_kind()[Kind.DEBT] == 0
        fits()

    def test_no_line_is_taken_back_twice(self, bank: Bank) -> None:
        [ada] = people(1)
        line = pays_in("A1", ada, 10_000)
        give(bank.writes(line))
        give(bank.writes(taken_back(line, "R1")))
        imported = give(bank.writes(taken_back(line, "R2")))
        assert imported.outcomes == {LineOutcome.UNEXPLAINED: 1}
        fits()

    def test_the_right_one_of_two_alike(self, bank: Bank) -> None:
        ada, ben = people(2)
        one, two = pays_in("A1", ada, 10_000), pays_in("A2", ben, 10_000)
        give(bank.writes(one, two))
        # The bank repeats the reference of the line that it undoes.
        give(bank.writes(taken_back(one, "A1")))
        assert member_balances(ada.pk).cash == 0
        assert member_balances(ben.pk).cash == 10_000
        fits()

    def test_numbers_within_a_statement_name_nobody(self, bank: Bank) -> None:
        """Both statements count their lines from 1: the account tells whose it was."""
        ada, ben = people(2)
        one = replace(pays_in("1", ada, 10_000), counterparty_account="20000011111111")
        two = replace(pays_in("2", ben, 10_000), counterparty_account="20000022222222")
        give(bank.writes(one, two))
        give(bank.writes(taken_back(two, "1")))
        assert member_balances(ada.pk).cash == 10_000
        assert member_balances(ben.pk).cash == 0
        fits()

    def test_out_of_suspense(self, bank: Bank) -> None:
        line = money_in("S1", 700)
        give(bank.writes(line))
        give(bank.writes(taken_back(line, "R1")))
        assert SuspenseItem.objects.get().state == "returned"
        assert totals_by_kind()[Kind.SUSPENSE] == 0
        fits()

    def test_out_of_suspense_in_one_file(self, bank: Bank) -> None:
        line = money_in("S1", 700)
        give(bank.writes(line, taken_back(line, "R1")))
        assert SuspenseItem.objects.get().state == "returned"
        fits()

    def test_from_whom_it_was_assigned_to(self, bank: Bank) -> None:
        [ada] = people(1)
        line = money_in("S1", 700)
        give(bank.writes(line))
        assign_suspense(
            item_id=SuspenseItem.objects.get().pk,
            member_id=ada.pk,
            key="a",
            on=DAY,
            actor=OPERATIONS,
        )
        give(bank.writes(taken_back(line, "R1")))
        assert member_balances(ada.pk).cash == 0
        fits()

    def test_from_somebody_who_has_left(self, bank: Bank) -> None:
        """Their accounts are closed: what the bank takes back is Tenner's to make good."""
        [ada] = people(1)
        payable(ada)
        line = pays_in("A1", ada, 10_000)
        give(bank.writes(line))
        payment = withdraw(ada, 10_000)
        give(bank.writes(withdrawal_paid("B1", 10_000, payment.end_to_end_id)))
        close_accounts(owner_id=ada.pk, kinds=[str(kind) for kind in MEMBER_KINDS], on=DAY)
        assert give(bank.writes(taken_back(line, "R1"))).outcomes == {LineOutcome.UNEXPLAINED: 1}
        # And their withdrawal that comes back waits in suspense.
        back = withdrawal_returned("B2", 10_000, payment.end_to_end_id)
        assert give(bank.writes(back)).outcomes == {LineOutcome.SUSPENSE: 1}
        assert state_of(payment) == "confirmed"
        fits()

    def test_not_what_is_on_its_way_back(self, bank: Bank) -> None:
        line = money_in("S1", 700)
        give(bank.writes(line))
        payment = send_back(SuspenseItem.objects.get())
        send_file()
        imported = give(bank.writes(taken_back(line, "R1")))
        assert imported.outcomes == {LineOutcome.UNEXPLAINED: 1}
        assert state_of(payment) == "sent"
        fits()


class TestUnexplained:
    def test_money_that_left_is_tenners_to_make_good(self, bank: Bank) -> None:
        [ada] = people(1)
        give(bank.writes(pays_in("A1", ada, 10_000)))
        line = withdrawal_paid("X1", 2_500, "NOBODY-KNOWS")
        imported = give(bank.writes(line))
        assert imported.outcomes == {LineOutcome.UNEXPLAINED: 1}
        assert totals_by_kind()[Kind.OWN_FUNDS] == -2_500
        assert member_balances(ada.pk).cash == 10_000
        fits()
        back = replace(line, reference="X2", amount=2_500, reversal=True)
        assert give(bank.writes(back)).outcomes == {LineOutcome.UNEXPLAINED: 1}
        assert totals_by_kind()[Kind.OWN_FUNDS] == 0
        fits()


class TestOtherAccounts:
    def test_fees_are_swept(self, bank: Bank) -> None:
        """£15.83 of fees, by hand, over both banks' statements."""
        own = Bank("GB27TNNR20000055779912")
        earn_fees(bank, 1_583)
        number = sweep_fees(on=DAY, key="s", actor=OPERATIONS)
        payment = OutgoingPayment.objects.get(pk=number)
        assert (payment.amount, payment.identification) == (1_583, "GB27TNNR20000055779912")
        with pytest.raises(SweepUnderWay):
            sweep_fees(on=DAY, key="t", actor=OPERATIONS)
        send_file()
        assert totals_by_kind()[Kind.FEES] == 1_583
        give(bank.writes(withdrawal_paid("B1", 1_583, payment.end_to_end_id)))
        assert (totals_by_kind()[Kind.FEES], state_of(payment)) == (0, "confirmed")
        arrived = replace(money_in("O1", 1_583), end_to_end_id=payment.end_to_end_id)
        assert give(own.writes(arrived)).outcomes == {LineOutcome.SWEEP_CONFIRMED: 1}
        totals = totals_by_kind()
        assert (totals[Kind.OWN_BANK], totals[Kind.OWN_FUNDS]) == (1_583, 1_583)
        with pytest.raises(NothingToSweep):
            sweep_fees(on=DAY, key="u", actor=OPERATIONS)
        fits()

    def test_a_sweep_that_comes_back(self, bank: Bank) -> None:
        earn_fees(bank, 1_583)
        number = sweep_fees(on=DAY, key="s", actor=OPERATIONS)
        payment = OutgoingPayment.objects.get(pk=number)
        send_file()
        give(bank.writes(withdrawal_paid("B1", 1_583, payment.end_to_end_id)))
        give(bank.writes(withdrawal_returned("B2", 1_583, payment.end_to_end_id)))
        assert totals_by_kind()[Kind.FEES] == 1_583
        assert sweep_fees(on=DAY, key="t", actor=OPERATIONS) != number
        fits()

    @pytest.mark.usefixtures("db")
    def test_our_own_and_the_funds_account_follow_their_statements(self) -> None:
        own, fund = Bank("GB27TNNR20000055779912"), Bank("GB97TNNR20000055779913")
        give(own.writes(money_in("O1", 9_000), withdrawal_paid("O2", 1_000, "RENT")))
        give(fund.writes(money_in("F1", 500), withdrawal_paid("F2", 100, "WHAT")))
        totals = totals_by_kind()
        assert (totals[Kind.OWN_BANK], totals[Kind.FUND_BANK]) == (8_000, 400)
        assert (totals[Kind.PROVISION_FUND], totals[Kind.OWN_FUNDS]) == (500, 7_900)
        outcomes = list(StoredLine.objects.order_by("id").values_list("outcome", flat=True))
        assert outcomes == ["moved", "moved", "moved", "unexplained"]
        fits()


def withdraw(member: Member, amount: int) -> OutgoingPayment:
    """A withdrawal that was given to the bank."""
    number = request_withdrawal(member_id=member.pk, amount=amount, key="w", on=DAY)
    send_file()
    return OutgoingPayment.objects.get(pk=number)
