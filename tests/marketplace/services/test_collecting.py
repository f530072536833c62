"""What falls due is collected once: by the sandbox, or by a bank that is given a file."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from accounts.core.bank_statement import BankLine
from accounts.core.bank_states import FileFormat
from accounts.core.chart import Kind
from accounts.core.reconciliation import SealMark
from accounts.models import Collection, CollectionFileStored, Member
from accounts.selectors.ledger import member_balances, totals_by_kind
from accounts.selectors.reconciliation import internal_checks
from accounts.services.bank_details import register_bank_details, verify_bank_details
from accounts.services.bank_import import import_bank_file
from accounts.services.collected_rests import move_rests
from accounts.services.collecting import Unpaid, collections_unpaid
from accounts.services.mandates import set_up_mandate
from marketplace.core.collecting import (
    PPM,
    Collector,
    FileCollector,
    SandboxCollector,
    SandboxRates,
)
from marketplace.core.loan_events import DefaultCause, PaymentKind
from marketplace.models import Instalment, Loan, Payment
from marketplace.selectors.direct_debits import bounces_due, sandbox_bounces
from marketplace.services.ageing import age_loans
from marketplace.services.bouncing_collections import BouncedCollections, bounce_due
from marketplace.services.changing_loans import agree_arrangement, grant_hardship
from marketplace.services.collecting import Collected, collect, collect_again
from marketplace.services.defaulting import declare_default, settle_for_less
from marketplace.services.falling_due import fall_due
from marketplace.services.single_payments import take_payment
from tests.accounts.services.bank_desk import Bank
from tests.accounts.services.test_banking_races import at_once
from tests.marketplace.house import Funded, House, key, paid_out, pay
from tests.marketplace.statements import statements
from tests.world import ACTOR, DAY, FIRST_DUE

PAYS = SandboxCollector(1, SandboxRates(0, 0))
FAILS = SandboxCollector(1, SandboxRates(PPM, 0))
BOUNCES = SandboxCollector(1, SandboxRates(0, PPM, latest_bounce=1))
BANK = FileCollector(3)
# Paid out on Friday 1 April 2016, due on Tuesday 3 May: 28 and 29 April and 3 May are the three
# business days after Wednesday 27 April, since 2 May is a bank holiday.
AHEAD = date(2016, 4, 27)
# The house design's loan: £1,000 at 7.0 % over 36 months is £30.78 a month.
LEVEL = 3_078


def collects(on: date, by: Collector, with_key: str | None = None) -> Collected:
    return collect(on=on, collector=by, actor=ACTOR, key=with_key or key())


def due(made: Funded, by: Collector, on: date = FIRST_DUE) -> Collected:
    """The instalment falls due, and the day's collection runs."""
    fall_due(on=on, actor=ACTOR)
    return collects(on, by)


def lets_collect(member: Member, on: date = DAY) -> None:
    details = register_bank_details(
        member_id=member.pk,
        holder="Ann Payer",
        sort_code="40-47-84",
        account_number="70872490",
        key="details",
        on=on,
        actor=member.reference,
    )
    verify_bank_details(details_id=details, key=key(), on=on, actor=ACTOR)
    set_up_mandate(member_id=member.pk, on=on, key="m", actor=member.reference)


def collecting() -> int:
    """What collecting holds, once it is what the direct debits say."""
    checks, _ = internal_checks(SealMark())
    [check] = [check for check in checks if check.rule == "collecting"]
    assert check.findings == ()
    assert check.checked == 1
    return totals_by_kind()[Kind.COLLECTING]


def statement(bank: Bank, *lines: BankLine, on: date = FIRST_DUE) -> None:
    import_bank_file(
        content=bank.writes(*lines, on=on),
        name="bank.xml",
        format=FileFormat.CAMT053,
        on=on,
        actor=ACTOR,
    )


class TestSandbox:
    def test_what_is_due_is_paid_once(self, house: House) -> None:
        made = paid_out(house)
        fall_due(on=FIRST_DUE, actor=ACTOR)
        first = collects(FIRST_DUE, PAYS, "a")
        assert first == Collected(asked=1, taken=1, pence=LEVEL)
        assert collects(FIRST_DUE, PAYS, "a") == first
        assert collects(FIRST_DUE, PAYS, "b") == Collected()
        payment = Payment.objects.get(loan=made.loan_id)
        one = Collection.objects.get()
        assert (payment.amount, payment.reference) == (LEVEL, one.end_to_end_id)
        assert (one.subject, one.state, one.due_on) == (
            f"loan:{made.loan_id}",
            "collected",
            FIRST_DUE,
        )
        assert one.member_id == made.borrower.pk
        assert collecting() == LEVEL

    def test_what_fails_is_not_tried_again_by_itself(self, house: House) -> None:
        made = paid_out(house)
        assert due(made, FAILS) == Collected(asked=1, failed=1)
        one = Collection.objects.get()
        assert (one.state, one.reason) == ("unpaid", "AM04")
        for days in range(1, 8):
            assert collects(FIRST_DUE + timedelta(days=days), PAYS) == Collected()
        assert not Payment.objects.filter(loan=made.loan_id).exists()
        assert bounces_due(FIRST_DUE + timedelta(days=30), FAILS) == []

    def test_collected_again_when_somebody_asks(self, house: House) -> None:
        made = paid_out(house)
        due(made, FAILS)
        later = FIRST_DUE + timedelta(days=7)
        for _ in range(2):
            again = collect_again(
                loan_ids=[made.loan_id], on=later, collector=PAYS, actor=ACTOR, key="again"
            )
            assert again == Collected(asked=1, taken=1, pence=LEVEL)
        attempts = Collection.objects.order_by("attempt").values_list("attempt", "state")
        assert list(attempts) == [(1, "unpaid"), (2, "collected")]
        nothing = collect_again(
            loan_ids=[made.loan_id], on=later, collector=PAYS, actor=ACTOR, key="more"
        )
        assert nothing == Collected()

    def test_who_is_in_hardship_is_not_asked_again(self, house: House) -> None:
        made = paid_out(house)
        due(made, FAILS)
        Loan.objects.filter(pk=made.loan_id).update(state="hardship")
        later = FIRST_DUE + timedelta(days=7)
        again = collect_again(
            loan_ids=[made.loan_id], on=later, collector=PAYS, actor=ACTOR, key="again"
        )
        assert again == Collected()

    def test_a_payment_from_cash_under_its_reference_stays(self, house: House) -> None:
        """Whoever pays chooses the reference, and may choose the direct debit's."""
        made = paid_out(house)
        due(made, BOUNCES)
        name = Collection.objects.get().end_to_end_id
        take_payment(
            loan_id=made.loan_id,
            amount=500,
            on=FIRST_DUE,
            actor=ACTOR,
            key=key(),
            kind=PaymentKind.CASH,
            reference=name,
        )
        taken = bounce_due(
            on=FIRST_DUE + timedelta(days=1), collector=BOUNCES, actor=ACTOR, key="b"
        )
        assert taken == BouncedCollections(1, LEVEL)
        bounced = Payment.objects.filter(loan=made.loan_id, bounced_on__isnull=False)
        assert [payment.amount for payment in bounced] == [LEVEL]

    def test_what_bounces_is_taken_back_once(self, house: House) -> None:
        made = paid_out(house)
        before = Loan.objects.values().get(pk=made.loan_id)
        due(made, BOUNCES)
        assert sandbox_bounces(FIRST_DUE, BOUNCES) == []
        next_day = FIRST_DUE + timedelta(days=1)
        [bounce] = sandbox_bounces(next_day, BOUNCES)
        assert (bounce.loan_id, bounce.amount, bounce.reason) == (made.loan_id, LEVEL, "MD06")
        taken = bounce_due(on=next_day, collector=BOUNCES, actor=ACTOR, key="b")
        assert taken == BouncedCollections(1, LEVEL)
        assert bounce_due(on=next_day, collector=BOUNCES, actor=ACTOR, key="b") == taken
        assert bounce_due(
            on=next_day + timedelta(days=1), collector=BOUNCES, actor=ACTOR, key="c"
        ) == BouncedCollections(0, 0)
        payment = Payment.objects.get(loan=made.loan_id)
        assert payment.bounced_on == next_day
        one = Collection.objects.get()
        assert (one.state, one.reason) == ("bounced", "MD06")
        after = Loan.objects.get(pk=made.loan_id)
        assert (after.principal_paid, after.interest_paid) == (
            before["principal_paid"],
            before["interest_paid"],
        )
        assert collecting() == 0

    def test_missed_days_are_caught_up(self, house: House) -> None:
        """Nobody was there on 3 May: the bounce of the 4th is found on the 9th."""
        made = paid_out(house)
        due(made, BOUNCES)
        late = date(2016, 5, 9)
        assert [bounce.loan_id for bounce in bounces_due(late, BOUNCES)] == [made.loan_id]

    def test_nothing_on_a_day_of_rest(self, house: House) -> None:
        paid_out(house)
        for day in (date(2016, 4, 30), date(2016, 5, 1), date(2016, 5, 2)):
            assert collects(day, PAYS) == Collected()
        assert not Collection.objects.exists()

    def test_only_what_is_lacking(self, house: House) -> None:
        """£10 came before anything was due: £20.78 are left to collect."""
        made = paid_out(house)
        pay(made.loan_id, 1_000, DAY + timedelta(days=3))
        assert due(made, PAYS).pence == LEVEL - 1_000

    def test_as_many_statements_for_two_loans_as_for_five(self, house: House) -> None:
        for _ in range(9):
            paid_out(house)
        fall_due(on=FIRST_DUE, actor=ACTOR)
        days = [FIRST_DUE + timedelta(days=later) for later in (0, 1, 1, 2, 2, 2, 2, 2, 3)]
        every = list(Loan.objects.order_by("pk").values_list("pk", flat=True))
        for loan, day in zip(every, days, strict=True):
            Instalment.objects.filter(loan=loan, number=1).update(due_on=day)
        # The first day also finds the platform's accounts, which a connection asks for once.
        answers: list[Collected] = []
        sent = [
            statements(lambda: answers.append(collects(day, PAYS)))  # noqa: B023
            for day in sorted(set(days))
        ]
        assert [answer.taken for answer in answers] == [1, 2, 5, 1]
        assert sent[1] == sent[2]
        # A single payment needs no lock against other batches, and is one call of the ledger, not
        # rows that are copied.
        assert sent[3] < sent[1]

    @pytest.mark.parametrize("state", ["hardship", "arrangement", "default"])
    def test_who_pays_as_agreed_is_left_alone(self, house: House, state: str) -> None:
        made = paid_out(house)
        fall_due(on=FIRST_DUE, actor=ACTOR)
        Loan.objects.filter(pk=made.loan_id).update(state=state)
        assert collects(FIRST_DUE, PAYS) == Collected()

    def test_two_at_once_collect_once(self, committed_house: House) -> None:
        made = paid_out(committed_house)
        fall_due(on=FIRST_DUE, actor=ACTOR)
        answers = at_once(*[lambda: collects(FIRST_DUE, PAYS)] * 3)
        assert sorted(answer.taken for answer in answers) == [0, 0, 1]  # type: ignore[attr-defined]
        assert Payment.objects.filter(loan=made.loan_id).count() == 1


class TestBank:
    def test_a_file_ahead_and_a_payment_on_the_day(self, house: House) -> None:
        made = paid_out(house)
        lets_collect(made.borrower)
        assert collects(AHEAD - timedelta(days=1), BANK) == Collected()
        assert collects(AHEAD, BANK) == Collected(asked=1, sent=1)
        file = CollectionFileStored.objects.get()
        assert b"<ReqdColltnDt>2016-05-03</ReqdColltnDt>" in bytes(file.content)
        assert b"<SeqTp>FRST</SeqTp>" in bytes(file.content)
        assert (file.count, file.total, file.made_on) == (1, LEVEL, AHEAD)
        assert collects(AHEAD + timedelta(days=1), BANK) == Collected()
        assert not Payment.objects.filter(loan=made.loan_id).exists()
        assert due(made, BANK) == Collected(taken=1, pence=LEVEL)
        assert collecting() == LEVEL
        one = Collection.objects.get()
        bank = Bank()
        statement(bank, BankLine("C1", FIRST_DUE, LEVEL, end_to_end_id=one.end_to_end_id))
        assert collecting() == 0

    def test_without_a_mandate_nothing_is_asked_for(self, house: House) -> None:
        made = paid_out(house)
        assert collects(AHEAD, BANK) == Collected()
        assert due(made, BANK) == Collected()
        assert not CollectionFileStored.objects.exists()

    def test_a_mandate_given_after_the_day_of_collection_allows_nothing(self, house: House) -> None:
        """A missed day is caught up, and the borrower has let us collect only since."""
        made = paid_out(house)
        lets_collect(made.borrower, on=FIRST_DUE + timedelta(days=1))
        assert collects(AHEAD, BANK) == Collected()

    def test_of_a_missed_day_a_bank_is_asked_for_what_it_can_still_do(self, house: House) -> None:
        """27 April is closed on Friday 6 May: collected on the 11th, three business days later."""
        made = paid_out(house)
        lets_collect(made.borrower)
        today, possible = date(2016, 5, 6), date(2016, 5, 11)
        asked = collect(on=AHEAD, collector=BANK, actor=ACTOR, key=key(), today=today)
        assert asked == Collected(asked=1, sent=1)
        file = CollectionFileStored.objects.get()
        assert b"<ReqdColltnDt>2016-05-11</ReqdColltnDt>" in bytes(file.content)
        assert file.made_on == today
        fall_due(on=FIRST_DUE, actor=ACTOR)
        for day in (FIRST_DUE, possible - timedelta(days=1)):
            assert collects(day, BANK) == Collected()
        assert collects(possible, BANK) == Collected(taken=1, pence=LEVEL)
        assert Collection.objects.get().due_on == FIRST_DUE

    def test_what_is_under_way_is_not_asked_for_again(self, house: House) -> None:
        made = paid_out(house)
        lets_collect(made.borrower)
        due(made, BANK)
        days = [FIRST_DUE + timedelta(days=later) for later in range(3)]
        answers = [
            collect_again(
                loan_ids=[made.loan_id], on=day, collector=BANK, actor=ACTOR, key=key()
            ).asked
            for day in days
        ]
        assert answers == [1, 0, 0]
        assert collects(days[1], BANK).sent == 1
        again = collect_again(
            loan_ids=[made.loan_id], on=days[1], collector=BANK, actor=ACTOR, key=key()
        )
        assert again == Collected()

    def test_what_the_bank_takes_back_bounces(self, house: House) -> None:
        made = paid_out(house)
        lets_collect(made.borrower)
        collects(AHEAD, BANK)
        due(made, BANK)
        name = Collection.objects.get().end_to_end_id
        later = FIRST_DUE + timedelta(days=2)
        bank = Bank()
        statement(bank, BankLine("C1", FIRST_DUE, LEVEL, end_to_end_id=name))
        back = BankLine("C2", later, -LEVEL, end_to_end_id=name, return_reason="AM04")
        statement(bank, back, on=later)
        [bounce] = bounces_due(later, BANK)
        assert (bounce.loan_id, bounce.reason) == (made.loan_id, "AM04")
        taken = bounce_due(on=later, collector=BANK, actor=ACTOR, key=key())
        assert taken == BouncedCollections(1, LEVEL)
        assert Payment.objects.get(loan=made.loan_id).bounced_on == later
        assert collecting() == 0

    def test_what_failed_before_its_day_is_no_payment(self, house: House) -> None:
        made = paid_out(house)
        lets_collect(made.borrower)
        collects(AHEAD, BANK)
        name = Collection.objects.get().end_to_end_id
        collections_unpaid(unpaid=[Unpaid(name, "AC01")], on=AHEAD, actor=ACTOR, key=key())
        assert due(made, BANK) == Collected()
        assert bounces_due(FIRST_DUE, BANK) == []
        # Somebody asks for it again: it goes into the next file, for the first day possible.
        again = collect_again(
            loan_ids=[made.loan_id], on=FIRST_DUE, collector=BANK, actor=ACTOR, key=key()
        )
        assert again == Collected(asked=1)
        one = Collection.objects.get(attempt=2)
        assert (one.collect_on, one.due_on, one.state) == (
            date(2016, 5, 6),
            FIRST_DUE,
            "asked",
        )
        assert collects(date(2016, 5, 4), BANK).sent == 1
        assert collects(date(2016, 5, 6), BANK) == Collected(taken=1, pence=LEVEL)

    @pytest.mark.parametrize("what", ["arrangement", "hardship", "default", "settled for less"])
    def test_who_is_not_collected_from_any_more_is_in_no_later_file(
        self, house: House, what: str
    ) -> None:
        made = paid_out(house)
        lets_collect(made.borrower)
        late = FIRST_DUE + timedelta(days=1)
        fall_due(on=FIRST_DUE, actor=ACTOR)
        age_loans(on=late)
        asked: dict[str, Any] = {"on": late, "actor": ACTOR, "key": key()}
        loans = [made.loan_id]
        assert collect_again(loan_ids=loans, collector=BANK, **asked) == Collected(asked=1)
        about: dict[str, Any] = {"loan_id": made.loan_id, "reason": "told by phone", **asked}
        match what:
            case "arrangement":
                agree_arrangement(**about, amount=1_000, months=3)
            case "hardship":
                grant_hardship(**about, until=date(2016, 7, 1))
            case "default":
                declare_default(**about, cause=DefaultCause.DEATH)
            case _:
                settle_for_less(**about, amount=0)
        assert Collection.objects.get().state == "cancelled"
        assert collects(late, BANK).sent == 0

    def test_a_loan_that_can_take_no_more(self, house: House) -> None:
        """It was settled between the file and its day: the collection is the borrower's."""
        made = paid_out(house)
        lets_collect(made.borrower)
        collects(AHEAD, BANK)

        Loan.objects.filter(pk=made.loan_id).update(state="repaid")
        cash = member_balances(made.borrower.pk).cash
        assert due(made, BANK) == Collected(taken=1, rests=LEVEL)
        move_rests(on=FIRST_DUE, actor=ACTOR)
        assert member_balances(made.borrower.pk).cash == cash + LEVEL
        name = Collection.objects.get().end_to_end_id
        bank = Bank()
        statement(bank, BankLine("C1", FIRST_DUE, LEVEL, end_to_end_id=name))
        statement(bank, BankLine("C2", FIRST_DUE, -LEVEL, end_to_end_id=name))
        taken = bounce_due(on=FIRST_DUE, collector=BANK, actor=ACTOR, key=key())
        assert taken == BouncedCollections(0, 0)
        move_rests(on=FIRST_DUE, actor=ACTOR)
        assert member_balances(made.borrower.pk).cash == cash
        assert Collection.objects.get().state == "bounced"
