"""Withdrawals: asked for, in a file, confirmed, returned, rejected, cancelled; and bank details."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from xml.etree import ElementTree as ET

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.core.bank_details import BankDetailsRefused
from accounts.core.bank_states import BankMoveRefused, LineOutcome
from accounts.core.chart import Kind
from accounts.core.errors import AmountRefused
from accounts.core.payment_file import NAMESPACE
from accounts.models import BankDetails, Entry, Member, OutgoingPayment
from accounts.selectors.ledger import Balances, member_balances, totals_by_kind
from accounts.services.bank_details import (
    BankDetailsCoolingOff,
    BankDetailsUnknown,
    NoVerifiedAccount,
    SelfVerification,
    refuse_bank_details,
    register_bank_details,
    verify_bank_details,
)
from accounts.services.debts import settle_debts
from accounts.services.payment_files import NothingToPay
from accounts.services.payments import PaymentUnknown, cancel_payment, reject_payment
from accounts.services.posting import IdempotencyConflict, NotEnoughMoney
from accounts.services.withdrawals import DebtOwed, cancel_withdrawal, request_withdrawal
from tests.accounts.services.bank_desk import (
    DAY,
    OPERATIONS,
    Bank,
    fits,
    give,
    payable,
    pays_in,
    people,
    send_file,
)
from tests.bank_files import withdrawal_paid, withdrawal_returned


@pytest.fixture
def bank(db: None) -> Bank:
    return Bank()


@pytest.fixture
def ada(bank: Bank) -> Member:
    """A member with £100.00 and an account that can be paid."""
    [member] = people(1)
    give(bank.writes(pays_in("A1", member, 10_000)))
    payable(member)
    return member


def ask(member: Member, amount: int = 4_000, key: str = "w1") -> OutgoingPayment:
    number = request_withdrawal(member_id=member.pk, amount=amount, key=key, on=DAY)
    return OutgoingPayment.objects.get(pk=number)


def state_of(payment: OutgoingPayment) -> str:
    payment.refresh_from_db()
    return payment.state


def money(member: Member) -> tuple[int, int]:
    """Cash, and what is on its way."""
    balances: Balances = member_balances(member.pk)
    return balances.cash, balances.on_its_way


class TestTheWholeWay:
    def test_asked_for_sent_confirmed(self, bank: Bank, ada: Member) -> None:
        """£40.00 of £100.00, by hand."""
        payment = ask(ada)
        assert money(ada) == (6_000, 4_000)
        assert (payment.state, payment.identification) == ("requested", "40478470872490")
        file = send_file()
        assert (file.count, file.total, state_of(payment)) == (1, 4_000, "sent")
        root = ET.fromstring(bytes(file.content))  # noqa: S314 - our own
        assert [node.text for node in root.iter(f"{{{NAMESPACE}}}EndToEndId")] == [
            payment.end_to_end_id
        ]
        imported = give(bank.writes(withdrawal_paid("B1", 4_000, payment.end_to_end_id)))
        assert imported.outcomes == {LineOutcome.WITHDRAWAL_CONFIRMED: 1}
        assert state_of(payment) == "confirmed"
        assert money(ada) == (6_000, 0)
        fits()

    def test_money_that_comes_back_after_that(self, bank: Bank, ada: Member) -> None:
        payment = ask(ada)
        send_file()
        give(bank.writes(withdrawal_paid("B1", 4_000, payment.end_to_end_id)))
        give(bank.writes(withdrawal_returned("B2", 4_000, payment.end_to_end_id)))
        assert state_of(payment) == "returned"
        assert money(ada) == (10_000, 0)
        fits()

    def test_paid_and_returned_in_one_file_in_any_order(self, bank: Bank, ada: Member) -> None:
        payment = ask(ada)
        send_file()
        paid = withdrawal_paid("B1", 4_000, payment.end_to_end_id)
        back = withdrawal_returned("B2", 4_000, payment.end_to_end_id)
        imported = give(bank.writes(back, paid))
        assert imported.outcomes == {
            LineOutcome.WITHDRAWAL_CONFIRMED: 1,
            LineOutcome.WITHDRAWAL_RETURNED: 1,
        }
        assert (state_of(payment), money(ada)) == ("returned", (10_000, 0))
        fits()

    def test_rejected_without_showing_on_a_statement(self, bank: Bank, ada: Member) -> None:
        payment = ask(ada)
        send_file()
        reject_payment(payment_id=payment.pk, key="r", on=DAY, actor=OPERATIONS)
        assert (state_of(payment), money(ada)) == ("rejected", (10_000, 0))
        # Should the bank pay after all, nobody ordered it any more.
        imported = give(bank.writes(withdrawal_paid("B1", 4_000, payment.end_to_end_id)))
        assert imported.outcomes == {LineOutcome.UNEXPLAINED: 1}
        assert money(ada) == (10_000, 0)
        fits()

    def test_not_rejected_while_as_much_left_unexplained(self, bank: Bank, ada: Member) -> None:
        """It may be this payment, and her money would be paid out twice."""
        payment = ask(ada)
        send_file()
        line = withdrawal_paid("B1", 4_000, "LOST-ON-THE-WAY")
        give(bank.writes(line))
        with pytest.raises(BankMoveRefused, match="Explain that line first"):
            reject_payment(payment_id=payment.pk, key="r", on=DAY, actor=OPERATIONS)
        assert (state_of(payment), money(ada)) == ("sent", (6_000, 4_000))
        give(bank.writes(replace(line, reference="B2", amount=4_000, reversal=True)))
        reject_payment(payment_id=payment.pk, key="r", on=DAY, actor=OPERATIONS)
        assert (state_of(payment), money(ada)) == ("rejected", (10_000, 0))
        fits()

    def test_a_return_whose_payment_was_never_seen_waits_in_suspense(
        self, bank: Bank, ada: Member
    ) -> None:
        payment = ask(ada)
        send_file()
        imported = give(bank.writes(withdrawal_returned("B1", 4_000, payment.end_to_end_id)))
        assert imported.outcomes == {LineOutcome.SUSPENSE: 1}
        assert (state_of(payment), money(ada)) == ("sent", (6_000, 4_000))
        fits()

    @pytest.mark.parametrize("amount", [3_999, 4_001])
    def test_another_amount_is_unexplained(self, bank: Bank, ada: Member, amount: int) -> None:
        payment = ask(ada)
        send_file()
        imported = give(bank.writes(withdrawal_paid("B1", amount, payment.end_to_end_id)))
        assert imported.outcomes == {LineOutcome.UNEXPLAINED: 1}
        assert (state_of(payment), money(ada)) == ("sent", (6_000, 4_000))
        fits()

    def test_paid_twice_is_unexplained_the_second_time(self, bank: Bank, ada: Member) -> None:
        payment = ask(ada)
        send_file()
        give(bank.writes(withdrawal_paid("B1", 4_000, payment.end_to_end_id)))
        imported = give(bank.writes(withdrawal_paid("B2", 4_000, payment.end_to_end_id)))
        assert imported.outcomes == {LineOutcome.UNEXPLAINED: 1}
        assert money(ada) == (6_000, 0)
        fits()
        # One of the two comes back: she was paid once, as she asked, and Tenner has lost nothing.
        give(bank.writes(withdrawal_returned("B3", 4_000, payment.end_to_end_id)))
        assert (state_of(payment), money(ada)) == ("confirmed", (6_000, 0))
        assert totals_by_kind()[Kind.OWN_FUNDS] == 0
        fits()
        # So does the other.
        give(bank.writes(withdrawal_returned("B4", 4_000, payment.end_to_end_id)))
        assert (state_of(payment), money(ada)) == ("returned", (10_000, 0))
        fits()


class TestAskingAndCancelling:
    def test_once_a_key(self, ada: Member) -> None:
        assert ask(ada).pk == ask(ada).pk
        assert money(ada) == (6_000, 4_000)
        with pytest.raises(IdempotencyConflict):
            ask(ada, 4_001)

    def test_not_more_than_there_is(self, ada: Member) -> None:
        with pytest.raises(NotEnoughMoney):
            ask(ada, 10_001)
        assert not OutgoingPayment.objects.exists()

    @pytest.mark.parametrize("amount", [0, -1, 10**12])
    def test_amounts(self, ada: Member, amount: int) -> None:
        with pytest.raises(AmountRefused):
            ask(ada, amount)

    def test_cancelled_before_it_is_in_a_file(self, ada: Member) -> None:
        payment = ask(ada)
        for _ in range(2):
            cancel_withdrawal(payment_id=payment.pk, member_id=ada.pk, key="c", on=DAY)
        assert (state_of(payment), money(ada)) == ("cancelled", (10_000, 0))
        with pytest.raises(NothingToPay):
            send_file()
        with pytest.raises(BankMoveRefused):
            cancel_withdrawal(payment_id=payment.pk, member_id=ada.pk, key="d", on=DAY)
        fits()

    def test_not_after_that_and_not_somebody_elses(self, ada: Member) -> None:
        [ben] = people(1)
        payment = ask(ada)
        with pytest.raises(PaymentUnknown):
            cancel_withdrawal(payment_id=payment.pk, member_id=ben.pk, key="c", on=DAY)
        with pytest.raises(BankMoveRefused):
            reject_payment(payment_id=payment.pk, key="r", on=DAY, actor=OPERATIONS)
        send_file()
        with pytest.raises(BankMoveRefused):
            cancel_payment(payment_id=payment.pk, key="c", on=DAY, actor=OPERATIONS)
        assert money(ada) == (6_000, 4_000)

    def test_not_by_who_owes(self, bank: Bank, ada: Member) -> None:
        """£60 of £100 on its way, £100 taken back, £60 stopped: £60 there, and £60 owed."""
        payment = ask(ada, 6_000)
        back = replace(pays_in("R1", ada, -10_000), reversal=True)
        give(bank.writes(back))
        cancel_withdrawal(payment_id=payment.pk, member_id=ada.pk, key="c", on=DAY)
        assert (money(ada), totals_by_kind()[Kind.DEBT]) == ((6_000, 0), 6_000)
        with pytest.raises(DebtOwed):
            ask(ada, 100, "w2")
        assert settle_debts(on=DAY, actor=OPERATIONS, key="night") == 6_000
        with pytest.raises(NotEnoughMoney):
            ask(ada, 100, "w2")
        fits()


class TestFiles:
    def test_the_same_key_gives_the_same_bytes(self, ada: Member) -> None:
        ask(ada)
        first = send_file()
        ask(ada, 100, "w2")
        again = send_file()
        assert (again.pk, bytes(again.content)) == (first.pk, bytes(first.content))
        second = send_file("file-2")
        assert (second.count, second.total) == (1, 100)
        assert second.message_id != first.message_id

    @pytest.mark.usefixtures("ada")
    def test_nothing_to_pay(self) -> None:
        with pytest.raises(NothingToPay):
            send_file()

    def test_the_id_is_in_the_text_that_faster_payments_carries(self, ada: Member) -> None:
        payment = ask(ada)
        text = f"<Ustrd>{payment.end_to_end_id} TENNER WITHDRAWAL</Ustrd>"
        assert text.encode() in bytes(send_file().content)
        assert len(payment.end_to_end_id) <= 18

    def test_details_refused_since_are_not_paid(self, ada: Member) -> None:
        """Her withdrawal waits to be cancelled."""
        payment = ask(ada)
        refuse_bank_details(details_id=BankDetails.objects.get().pk, key="n", actor=OPERATIONS)
        with pytest.raises(NothingToPay):
            send_file()
        cancel_payment(payment_id=payment.pk, key="c", on=DAY, actor=OPERATIONS)
        assert money(ada) == (10_000, 0)

    def test_as_many_statements_for_one_as_for_forty(self, ada: Member) -> None:
        counts = []
        for size in (1, 40):
            for number in range(size):
                ask(ada, 10, f"{size}-{number}")
            with CaptureQueriesContext(connection) as queries:
                send_file(f"file-{size}")
            counts.append(len(queries))
        assert counts == [10, 10]


class TestBankDetails:
    def register(self, member: Member, number: str = "12345678", key: str = "k") -> BankDetails:
        details = register_bank_details(
            member_id=member.pk,
            holder="Zoë Müller",
            sort_code="20-00-00",
            account_number=number,
            key=key,
            on=DAY,
            actor=member.reference,
        )
        return BankDetails.objects.get(pk=details)

    def test_unverified_then_cooling_off_then_usable(self, bank: Bank) -> None:
        [member] = people(1)
        give(bank.writes(pays_in("A1", member, 10_000)))
        details = self.register(member)
        with pytest.raises(NoVerifiedAccount):
            ask(member)
        usable = verify_bank_details(details_id=details.pk, key="v", on=DAY, actor=OPERATIONS)
        assert usable == DAY + timedelta(days=3)
        for wait in (0, 2):
            with pytest.raises(BankDetailsCoolingOff):
                request_withdrawal(
                    member_id=member.pk, amount=100, key="w", on=DAY + timedelta(days=wait)
                )
        request_withdrawal(member_id=member.pk, amount=100, key="w", on=usable)
        assert OutgoingPayment.objects.get().holder == "Zoë Müller"

    def test_not_verified_before_it_was_registered(self, ada: Member) -> None:
        """Nobody shortens the days of cooling off by a date of the past."""
        details = self.register(ada)
        with pytest.raises(BankDetailsRefused):
            verify_bank_details(
                details_id=details.pk, key="v", on=DAY - timedelta(days=1), actor=OPERATIONS
            )

    def test_new_details_stop_withdrawals_at_once(self, ada: Member) -> None:
        before = ask(ada)
        new = self.register(ada)
        states = dict(BankDetails.objects.values_list("identification", "state"))
        assert states == {"40478470872490": "replaced", "20000012345678": "pending"}
        with pytest.raises(NoVerifiedAccount):
            ask(ada, 100, "w2")
        verify_bank_details(details_id=new.pk, key="v", on=DAY, actor=OPERATIONS)
        with pytest.raises(BankDetailsCoolingOff):
            ask(ada, 100, "w2")
        # What was asked for goes to whom it was then.
        assert before.identification == "40478470872490"

    def test_the_same_details_again_change_nothing(self, ada: Member) -> None:
        first = self.register(ada)
        verify_bank_details(details_id=first.pk, key="v", on=DAY, actor=OPERATIONS)
        assert self.register(ada, key="other").pk == first.pk
        assert BankDetails.objects.get(pk=first.pk).state == "verified"

    def test_refused_ones_are_not_paid(self, ada: Member) -> None:
        details = BankDetails.objects.get()
        refuse_bank_details(details_id=details.pk, key="n", actor=OPERATIONS)
        with pytest.raises(NoVerifiedAccount):
            ask(ada)
        with pytest.raises(BankMoveRefused):
            verify_bank_details(details_id=details.pk, key="v", on=DAY, actor=OPERATIONS)

    @pytest.mark.usefixtures("db")
    def test_nobody_verifies_their_own(self) -> None:
        [member] = people(1)
        details = self.register(member)
        with pytest.raises(SelfVerification):
            verify_bank_details(details_id=details.pk, key="v", on=DAY, actor=member.reference)
        with pytest.raises(BankDetailsUnknown):
            verify_bank_details(details_id=0, key="w", on=DAY, actor=OPERATIONS)

    @pytest.mark.parametrize(
        ("iban", "sort_code", "number"),
        [
            (None, None, None),
            (None, "200000", None),
            ("GB54TNNR20000055779911", "200000", "55779911"),
            ("GB55TNNR20000055779911", None, None),
        ],
    )
    @pytest.mark.usefixtures("db")
    def test_what_is_no_account(
        self, iban: str | None, sort_code: str | None, number: str | None
    ) -> None:
        [member] = people(1)
        with pytest.raises(BankDetailsRefused):
            register_bank_details(
                member_id=member.pk,
                holder="Ann",
                iban=iban,
                sort_code=sort_code,
                account_number=number,
                key="k",
                on=DAY,
                actor=member.reference,
            )


def test_each_step_has_its_entry(bank: Bank, ada: Member) -> None:
    payment = ask(ada)
    cancel_withdrawal(payment_id=payment.pk, member_id=ada.pk, key="c", on=DAY)
    second = ask(ada, key="w2")
    send_file()
    give(bank.writes(withdrawal_paid("B1", 4_000, second.end_to_end_id)))
    kinds = Entry.objects.order_by("id").values_list("kind", "reference")
    me = ada.reference
    assert list(kinds) == [
        ("deposit", me),
        ("withdrawal_sent", me),
        ("withdrawal_cancelled", me),
        ("withdrawal_sent", me),
        ("withdrawal_confirmed", me),
    ]
