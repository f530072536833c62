"""``manage.py servicing``, as people of operations meet it: each subcommand, and its refusals."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from accounts.models import Entry, Member, Role
from accounts.selectors.ledger import member_balances
from marketplace.core.loan_events import LoanEventKind
from marketplace.core.states import LoanState
from marketplace.models import Distribution, LoanEvent, Payment
from marketplace.selectors.loan_sheet import loan_sheet
from tests.api.test_commands import Told
from tests.api.test_market_commands import cells, command, refused
from tests.factories import MemberFactory
from tests.marketplace.house import (
    Funded,
    House,
    funded,
    house,
    house_template,
    key,
    paid_out,
    shared_house,
)
from tests.marketplace.lives import assert_sound, take, work, work_until
from tests.marketplace.statements import statements
from tests.world import DAY, FIRST_DUE

__all__ = ["house", "house_template", "shared_house"]

MID_MAY = date(2016, 5, 16)
JUNE = date(2016, 6, 10)
ONE_DAY = timedelta(days=1)
WHY = "--reason=told by phone"


@pytest.fixture
def made(house: House, business_date: None, monkeypatch: pytest.MonkeyPatch) -> Funded:
    """£1,000 at 7.004 %, the first £30.78 paid and spread; it is 16 May, and £985 are in cash."""
    loan = paid_out(house)
    work_until(DAY, FIRST_DUE)
    take(loan, 3_078, FIRST_DUE)
    work_until(FIRST_DUE, MID_MAY - ONE_DAY)
    monkeypatch.setenv("TENNER_BUSINESS_DATE", MID_MAY.isoformat())
    return loan


@pytest.fixture
def late(made: Funded, monkeypatch: pytest.MonkeyPatch) -> Funded:
    """The same on 10 June: the £30.78 of 1 June are overdue."""
    work_until(MID_MAY, JUNE)
    monkeypatch.setenv("TENNER_BUSINESS_DATE", JUNE.isoformat())
    assert made.loan.state == LoanState.ARREARS
    return made


@pytest.fixture
def officer(house: House) -> Member:
    member: Member = MemberFactory.build(role=Role.OPERATIONS, is_lender=False, is_borrower=False)
    member.save()
    return member


class Desk:
    """Where a person of operations works on a loan."""

    def __init__(self, capsys: pytest.CaptureFixture[str], officer: Member) -> None:
        self._capsys = capsys
        self.officer = officer

    def told(self, action: str, made: Funded | int, *words: str) -> Told:
        """What is told of an action."""
        loan = made if isinstance(made, int) else made.loan_id
        return command(self._capsys, "servicing", action, str(loan), *words)

    def change(self, action: str, made: Funded | int, *words: str, by_key: str = "") -> Told:
        """What is told of a change, under a key of its own unless one is given."""
        by = (f"--by={self.officer.email}", f"--key={by_key or key()}")
        return self.told(action, made, *words, *by)

    def done(self, action: str, made: Funded, *words: str, by_key: str = "") -> str:
        """The one line that a change is answered with."""
        told = self.change(action, made, *words, by_key=by_key)
        assert (told.status, told.error) == (0, "")
        [line] = told.out.strip().splitlines()
        return line


@pytest.fixture
def desk(capsys: pytest.CaptureFixture[str], officer: Member) -> Desk:
    return Desk(capsys, officer)


def happened(made: Funded) -> LoanEvent:
    """The last event."""
    return LoanEvent.objects.filter(loan=made.loan_id).latest("number")


class TestShowing:
    def test_a_loan_with_all_that_happened_to_it(self, late: Funded, desk: Desk) -> None:
        desk.done("pay", late, "10", "--reference=cheque [red]7[/red]")
        desk.done("arrangement", late, "20", "6", WHY)
        shown = desk.told("show", late)
        assert shown.status == 0
        out = shown.out
        assert f"Loan {late.loan_id} of {late.borrower.reference}, A/36: arrangement" in out
        assert "£1,000.00 at 7.004 %, paid out 2016-04-01; outstanding £970.40" in out
        # £30.78 less £10.00; interest of £5.52 came first.
        assert "owed now £20.78 (interest £0.00, principal £20.78), 9 days past due" in out
        assert late.borrower.name not in out
        assert late.borrower.email not in out
        # Each row: instalments, then payments; numbers repeat, so look for whole rows.
        assert cells(out, "36 ")[:3] == ["36", "2019-04-01", "regular"]
        assert "cheque [red]7[/red]" in out
        for words in ("collection", "cleared", "cash", "allocated"):
            assert words in out
        assert "£20.00, 6 months" in out
        assert "arrears" in out

    def test_it_takes_five_statements_whatever_happened(self, late: Funded, desk: Desk) -> None:
        for _ in range(2):
            desk.done("pay", late, "1")

        def read() -> None:
            sheet = loan_sheet(late.loan_id)
            assert sheet is not None
            assert (len(sheet.loan.instalments), len(sheet.payments)) == (36, 3)
            assert len(sheet.moves) > 1

        assert statements(read) == 5

    def test_a_loan_that_waits_for_its_acceptance(self, house: House, desk: Desk) -> None:
        made = funded(house)
        assert "paid out -; outstanding £1,000.00" in desk.told("show", made).out

    @pytest.mark.parametrize("loan", [0, 999_999, 10**17])
    @pytest.mark.usefixtures("made")
    def test_no_loan(self, desk: Desk, loan: int) -> None:
        refused(desk.told("show", loan), "NOT_FOUND: There is no such loan.")
        refused(desk.told("quote", loan, "settlement"), "LOAN_QUOTE_REFUSED")
        refused(desk.change("pay", loan, "5"), "LOAN_NOT_PAID_OUT")
        refused(desk.change("bounce", loan, "1", WHY), "LOAN_PAYMENT_UNKNOWN")
        refused(desk.change("void", loan, "1", WHY), "LOAN_EVENT_REFUSED")
        refused(desk.change("default", loan, "death", WHY), "LOAN_NOT_PAID_OUT")


class TestQuotes:
    def test_a_settlement(self, made: Funded, desk: Desk) -> None:
        """15 of 31 days: see the loan's own test."""
        out = desk.told("quote", made, "settlement").out
        assert "To settle on 2016-05-16" in out
        assert cells(out, "principal not yet due")[1] == "£974.88"
        assert cells(out, "interest for 15 days")[1] == "£2.67"
        assert cells(out, "to pay")[1] == "£977.55"
        later = desk.told("quote", made, "settlement", "--on", "2016-05-25").out
        assert cells(later, "interest for 24 days")[1] == "£4.27"

    def test_stepping_back(self, house: House, desk: Desk) -> None:
        made = paid_out(house)
        out = desk.told("quote", made, "rescission", "--on=2016-04-01").out
        assert cells(out, "to pay")[1] == "£1,000.00"
        assert cells(out, "arrangement fee given back")[1] == "£15.00"
        assert cells(out, "net of the fee")[1] == "£985.00"

    def test_a_prepayment_beside_the_loan_as_it_is(self, made: Funded, desk: Desk) -> None:
        out = desk.told("quote", made, "prepayment", "200").out
        assert "£200.00 repay principal, £0.00 go to what is due" in out
        assert cells(out, "as it is")[1:5] == ["£30.78", "35", "2016-06-01", "2019-04-01"]
        assert cells(out, "shorter")[1:5] == ["£30.78", "28", "2016-06-01", "2018-09-03"]
        assert cells(out, "smaller")[2:5] == ["35", "2016-06-01", "2019-04-01"]

    def test_a_holiday_and_another_due_day(self, made: Funded, desk: Desk) -> None:
        out = desk.told("quote", made, "holiday", "2").out
        assert cells(out, "changed")[2:5] == ["35", "2016-08-01", "2019-06-03"]
        out = desk.told("quote", made, "due-day", "20").out
        assert cells(out, "changed")[2:5] == ["35", "2016-06-20", "2019-04-23"]
        assert not LoanEvent.objects.filter(loan=made.loan_id).exists()

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (("prepayment",), "AMOUNT_REFUSED"),
            (("prepayment", "0"), "PAYMENT_REFUSED"),
            (("prepayment", "1000000"), "PAYMENT_REFUSED"),
            (("holiday",), "INPUT_REFUSED"),
            (("holiday", "two"), "INPUT_REFUSED: 'two' is not a number"),
            (("holiday", "4"), "HOLIDAY_REFUSED"),
            (("due-day", "29"), "DUE_DAY_REFUSED"),
            (("rescission",), "RESCISSION_REFUSED"),
            (("settlement", "--on=2016-05-01"), "LOAN_QUOTE_REFUSED"),
            (("settlement", "--on=9999-12-31"), "LIFE_REFUSED"),
        ],
    )
    def test_what_can_not_be(
        self, made: Funded, desk: Desk, words: tuple[str, ...], said: str
    ) -> None:
        refused(desk.told("quote", made, *words), said)


class TestPaying:
    def test_a_payment_once(self, late: Funded, desk: Desk) -> None:
        for _ in range(2):
            line = desk.done("pay", late, "10", by_key="ten")
            assert line == (
                f"Loan {late.loan_id} is arrears; £20.78 are owed now,"
                " £970.40 of principal are outstanding."
            )
        paid = Payment.objects.filter(loan=late.loan_id).latest("number")
        assert (paid.amount, paid.received_on, paid.actor) == (
            1_000,
            JUNE,
            desk.officer.reference,
        )
        assert member_balances(late.borrower.pk).cash == 98_500 - 1_000
        refused(desk.change("pay", late, "11", by_key="ten"), "IDEMPOTENCY_CONFLICT")
        assert_sound(JUNE)

    def test_a_payment_of_a_past_day_puts_right_what_came_after(
        self, late: Funded, desk: Desk
    ) -> None:
        line = desk.done("pay", late, "30.78", "--received-on=2016-06-01", "--kind=collection")
        assert "is active; £0.00 are owed now, £949.62" in line
        paid = Payment.objects.filter(loan=late.loan_id).latest("number")
        assert (paid.received_on, paid.recorded_on, paid.kind) == (
            date(2016, 6, 1),
            JUNE,
            "collection",
        )
        assert member_balances(late.borrower.pk).cash == 98_500
        assert_sound(JUNE)

    def test_one_bounces(self, made: Funded, desk: Desk) -> None:
        """What lenders had of it is theirs no more, and £30.78 are overdue since 3 May."""
        assert desk.done("bounce", made, "1", WHY) == (
            f"Loan {made.loan_id} is arrears; £30.78 are owed now,"
            " £1,000.00 of principal are outstanding."
        )
        assert Payment.objects.get(loan=made.loan_id).bounced_on == MID_MAY
        assert Distribution.objects.filter(loan=made.loan_id).latest("number").principal == [0, 0]
        assert_sound(MID_MAY)
        entries = Entry.objects.count()
        again = desk.change("bounce", made, "1", WHY)
        assert (again.status, again.out) == (2, "")
        assert Entry.objects.count() == entries

    def test_prepaying(self, made: Funded, desk: Desk) -> None:
        line = desk.done("prepay", made, "200", "smaller")
        assert "is active; £0.00 are owed now, £774.88 of principal" in line
        assert_sound(MID_MAY)

    def test_settling(self, made: Funded, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        line = desk.done("settle", made, "--kind=collection")
        assert "£0.00 are owed now, £0.00 of principal" in line
        assert Payment.objects.filter(loan=made.loan_id).latest("number").amount == 97_755
        cleared = date(2016, 5, 19)
        work_until(MID_MAY, cleared)
        assert made.loan.state == LoanState.REPAID
        monkeypatch.setenv("TENNER_BUSINESS_DATE", cleared.isoformat())
        refused(desk.change("pay", made, "5"), "PAYMENT_REFUSED", "is repaid", "allowed: active")
        assert_sound(cleared)

    def test_stepping_back(self, house: House, desk: Desk) -> None:
        made = paid_out(house)
        desk.done("rescind", made, "--on=2016-04-01")
        work(DAY)
        assert made.loan.state == LoanState.RESCINDED
        # £985.00 and the fee of £15.00, less £1,000.00.
        assert member_balances(made.borrower.pk).cash == 0
        assert_sound(DAY)

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (("pay", "0"), "PAYMENT_REFUSED: A payment is a whole number of pence above zero."),
            (("pay", "-5"), "PAYMENT_REFUSED: A payment is a whole number of pence above zero."),
            (("pay", "1000000"), "PAYMENT_REFUSED: 100000000 pence are more than all"),
            (("pay", "ten"), "AMOUNT_REFUSED"),
            (("pay", "5", "--received-on=2016-05-17"), "today is 2016-05-16"),
            (("pay", "5", "--received-on=2016-03-31"), "before the loan was paid out, 2016-04-01"),
            (("pay", "985.01"), "NOT_ENOUGH_MONEY"),
            (("pay", "5", f"--reference={'x' * 61}"), "RECORD_REFUSED"),
            (("pay", "5", "--on=2016-05-01"), "2016-05-0"),
            (("pay", "5", "--on=9999-12-31"), "9999-12-31 has not come yet"),
            (("holiday", "1", "--on=2016-05-17"), "has not come yet; today is 2016-05-16"),
            (("hardship", "2016-06-20", "--on=2016-05-17", WHY), "2016-05-17 has not come yet"),
            (("bounce", "1", "--on=2016-05-17", WHY), "2016-05-17 has not come yet"),
            (("prepay", "974.88", "shorter"), "settle it early instead"),
            (("recover", "5"), "RECOVERY_REFUSED: A loan that is active has nothing to recover"),
            (("rescind",), "until 2016-04-15"),
            (("due-day", "1"), "DUE_DAY_REFUSED"),
            (("holiday", "0"), "HOLIDAY_REFUSED: A payment holiday has 1 to 3 months."),
            (("arrangement", "20", "6", WHY), "ARRANGEMENT_REFUSED: A loan that is active can't"),
            (("end-arrangement", WHY), "ARRANGEMENT_REFUSED"),
            (("end-hardship", WHY), "HARDSHIP_REFUSED"),
            (("hardship", "2016-05-15", WHY), "HARDSHIP_REFUSED"),
            (("hardship", "9999-12-31", WHY), "HARDSHIP_REFUSED"),
            (("write-off", WHY), "WRITE_OFF_REFUSED: A loan that is active can't be written off"),
            (("settle-short", "5", WHY), "SETTLED_SHORT_REFUSED"),
            (("default", "death", "--reason= "), "RECORD_REFUSED: Say why"),
            (("default", "death", f"--reason={'x' * 201}"), "RECORD_REFUSED"),
            (("void", "1", WHY), "LOAN_EVENT_REFUSED"),
            (("void", "99999999999", WHY), "LOAN_EVENT_REFUSED"),
            (("bounce", "2", WHY), "LOAN_PAYMENT_UNKNOWN"),
            (("bounce", "99999999999", WHY), "LOAN_PAYMENT_UNKNOWN"),
        ],
    )
    def test_what_can_not_be(
        self, made: Funded, desk: Desk, words: tuple[str, ...], said: str
    ) -> None:
        action, *rest = words
        refused(desk.change(action, made, *rest), said)
        assert Payment.objects.filter(loan=made.loan_id).count() == 1
        assert not LoanEvent.objects.filter(loan=made.loan_id).exists()

    def test_who_is_not_of_operations(self, made: Funded, desk: Desk) -> None:
        for email in ("nobody@example.org", made.borrower.email):
            told = desk.told("pay", made, "5", f"--by={email}", "--key=k")
            refused(told, "MEMBER_UNKNOWN")

    def test_a_key_that_is_none(self, made: Funded, desk: Desk) -> None:
        refused(desk.change("pay", made, "5", by_key="k" * 121), "IDEMPOTENCY_KEY_REFUSED")

    @pytest.mark.parametrize(
        "words",
        [("pay",), ("pay", "x"), ("default", "1", "boredom"), ("hardship", "1", "soon"), ("fly",)],
    )
    def test_words_that_make_no_command(
        self, capsys: pytest.CaptureFixture[str], officer: Member, words: tuple[str, ...]
    ) -> None:
        told = command(capsys, "servicing", *words, f"--by={officer.email}", "--key=k")
        assert told.status != 0
        assert "Traceback" not in told.error


class TestChanging:
    def test_another_due_day_and_back(self, made: Funded, desk: Desk) -> None:
        desk.done("due-day", made, "20")
        event = happened(made)
        assert (event.kind, event.day) == (LoanEventKind.DUE_DAY, 20)
        before = made.loan.instalment
        desk.done("void", made, str(event.number), WHY)
        assert made.loan.instalment == 3_078 < before
        event.refresh_from_db()
        assert (event.voided_on, event.voided_by) == (MID_MAY, desk.officer.reference)
        refused(
            desk.change("void", made, str(event.number), WHY),
            "LOAN_EVENT_REFUSED: Event 2 was taken back already, on 2016-05-16.",
        )
        assert_sound(MID_MAY)

    def test_a_holiday_but_not_in_arrears(
        self, made: Funded, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        desk.done("holiday", made, "1")
        assert happened(made).months == 1
        assert_sound(MID_MAY)
        after = date(2016, 7, 8)
        work_until(MID_MAY, after)  # 1 July is not paid
        monkeypatch.setenv("TENNER_BUSINESS_DATE", after.isoformat())
        told = desk.change("holiday", made, "1")
        refused(told, "HOLIDAY_REFUSED: A loan that is arrears can't", "allowed: active")

    def test_an_arrangement_and_its_end(self, late: Funded, desk: Desk) -> None:
        line = desk.done("arrangement", late, "20", "6", WHY)
        assert "is arrangement; £30.78 are owed now" in line
        event = happened(late)
        assert (event.amount, event.months, event.reason) == (2_000, 6, "told by phone")
        assert "is arrears" in desk.done("end-arrangement", late, WHY)
        assert_sound(JUNE)

    def test_hardship_and_its_end(self, late: Funded, desk: Desk) -> None:
        assert "is hardship" in desk.done("hardship", late, "2016-09-30", WHY)
        assert happened(late).until == date(2016, 9, 30)
        assert "is arrears" in desk.done("end-hardship", late, WHY)
        assert_sound(JUNE)

    def test_default_recovery_and_write_off(self, late: Funded, desk: Desk) -> None:
        """All principal is due: £974.88, and £5.52 of interest. Of £100, £10 are the cost."""
        line = desk.done("default", late, "insolvency", WHY)
        assert "is default; £980.40 are owed now, £974.88 of principal" in line
        refused(
            desk.change("settle", late),
            "SETTLEMENT_REFUSED: A loan that is default can't be settled early",
            "allowed: active, arrears, arrangement, hardship",
        )
        line = desk.done("recover", late, "100", "--cost=10", "--received-on=2016-06-10")
        # Interest first: £94.48 of principal.
        assert "£880.40 are owed now, £880.40 of principal" in line
        paid = Payment.objects.filter(loan=late.loan_id).latest("number")
        assert (paid.kind, paid.cost, paid.cost_interest, paid.cost_principal) == (
            "recovery",
            1_000,
            55,  # 1000 * 552 // 10000
            945,
        )
        refused(desk.change("recover", late, "5", "--cost=5.01"), "PAYMENT_REFUSED")
        assert "is written_off" in desk.done("write-off", late, WHY)
        assert "is written_off" in desk.done("recover", late, "20")
        assert_sound(JUNE)

    def test_settling_for_less(self, late: Funded, desk: Desk) -> None:
        line = desk.done("settle-short", late, "500", WHY, "--cost=50", "--reference=agency 7")
        assert "is settled; £0.00 are owed now" in line
        assert Payment.objects.filter(loan=late.loan_id).latest("number").amount == 50_000
        refused(desk.change("pay", late, "5"), "PAYMENT_REFUSED: A loan that is settled can't")
        assert_sound(JUNE)
