"""What borrowers see of a running loan and change in it: quotes come true, refusals say why."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from graphql_relay import to_global_id

from accounts.models import Member, Transfer
from accounts.selectors.ledger import member_balances
from marketplace.core.loan_events import DefaultCause
from marketplace.core.states import LoanState
from marketplace.models import Instalment, LoanEvent, Payment
from marketplace.services.defaulting import declare_default
from marketplace.services.notices import write_notices
from tests.api.conftest import Asked, ask
from tests.api.test_mutations import codes, gbp, run
from tests.marketplace.house import (
    Funded,
    House,
    borrowers,
    funded,
    house,
    house_template,
    key,
    paid_out,
    shared_house,
)
from tests.marketplace.lives import assert_sound, take, work, work_until
from tests.marketplace.statements import statements
from tests.world import ACTOR, DAY, FIRST_DUE

__all__ = ["house", "house_template", "shared_house"]

MID_MAY = date(2016, 5, 16)
ONE_DAY = timedelta(days=1)

TERMS = "{ instalment { amount } instalments nextDueOn lastDueOn interestToCome { amount } }"
FIGURE = """{ on interestOverdue { amount } principalOverdue { amount } principalNotDue { amount }
  interestStub { amount } days waiting { amount } total { amount } toPay { amount } }"""
LOAN = """{ state instalment { amount } outstanding { amount } daysPastDue
  owed { interest { amount } principal { amount } total { amount } }
  nextInstalment { number dueOn totalDue { amount } interestPlanned { amount } }
  instalments { number kind dueOn interestPlanned { amount } interestDue { amount }
    totalDue { amount } isPaid }
  payments { number kind amount { amount } excess outcome reference receivedOn clearsOn
    allocatedOn distributedOn principal { amount } interest { amount } returned { amount } }
  events { number kind effectiveOn recordedOn months day amount { amount } voidedOn } }"""


def _mutation(name: str, takes: str) -> str:
    return (
        f"mutation ($input: {takes}!) {{ {name}(input: $input)"
        f" {{ errors {{ code field message }} loan {LOAN} }} }}"
    )


PAY = _mutation("payLoan", "PayLoanInput")
PREPAY = _mutation("prepayLoan", "PrepayLoanInput")
SETTLE = _mutation("settleLoan", "FigureInput")
RESCIND = _mutation("rescindLoan", "FigureInput")
DUE_DAY = _mutation("changeDueDay", "DueDayInput")
HOLIDAY = _mutation("takeHoliday", "HolidayInput")


@pytest.fixture
def on(business_date: None, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets the business date, from the first day on."""

    def set_to(day: date) -> None:
        monkeypatch.setenv("TENNER_BUSINESS_DATE", day.isoformat())

    set_to(DAY)
    return set_to


@pytest.fixture
def made(house: House, on: Any) -> Funded:
    """£1,000 at 7.004 %, the first £30.78 paid and spread; it is 16 May, and £985 are in cash."""
    loan = paid_out(house)
    work_until(DAY, FIRST_DUE)
    take(loan, 3_078, FIRST_DUE)
    work_until(FIRST_DUE, MID_MAY - ONE_DAY)
    on(MID_MAY)
    return loan


def _id(loan: Funded) -> str:
    return str(to_global_id("MyLoan", str(loan.loan.public_id)))


def change(loan: Funded, mutation: str, *, by: Member | None = None, **given: Any) -> Any:
    """The mutation's answer to the borrower, under a key of its own unless one is given."""
    values = {"loanId": _id(loan), "idempotencyKey": given.pop("key", None) or key(), **given}
    return run(by or loan.borrower, mutation, values)


def done(loan: Funded, mutation: str, **given: Any) -> Any:
    """The loan as the answer shows it; nothing was refused."""
    answer = change(loan, mutation, **given)
    assert answer["errors"] == []
    return answer["loan"]


def see(loan: Funded, what: str, *, by: Member | None = None) -> Asked:
    """Ask for fields of the loan as its borrower."""
    return ask(
        by or loan.borrower,
        f"query ($id: ID!) {{ node(id: $id) {{ ... on MyLoan {what} }} }}",
        {"id": _id(loan)},
    )


def quoted(loan: Funded, field: str, inside: str) -> Any:
    asked = see(loan, f"{{ found: {field} {inside} }}")
    assert asked.errors == []
    return asked.data["node"]["found"]


def pounds(pence: int) -> dict[str, str]:
    return {"amount": f"{pence // 100}.{pence % 100:02d}"}


def terms_of(loan: Any) -> dict[str, Any]:
    """A loan's terms, from the instalments that have not fallen due."""
    coming = [row for row in loan["instalments"] if row["interestDue"] is None]
    interest = sum(round(float(row["interestPlanned"]["amount"]) * 100) for row in coming)
    return {
        "instalment": loan["instalment"],
        "instalments": len(coming),
        "nextDueOn": coming[0]["dueOn"],
        "lastDueOn": coming[-1]["dueOn"],
        "interestToCome": pounds(interest),
    }


class TestPaying:
    def test_what_is_due_is_paid_from_cash_interest_first(self, made: Funded, on: Any) -> None:
        """1 June: interest of £974.88 at .56583 % a month is £5.52, with £25.26 of principal."""
        first = date(2016, 6, 1)
        work_until(MID_MAY, first - ONE_DAY)
        on(first)
        work(first)
        seen = see(made, LOAN).data["node"]
        assert seen["owed"] == {
            "interest": pounds(552),
            "principal": pounds(2_526),
            "total": pounds(3_078),
        }
        assert (seen["nextInstalment"]["number"], seen["daysPastDue"]) == (3, 0)
        loan = done(made, PAY, amount=gbp("10.00"))
        assert loan["owed"] == {
            "interest": pounds(0),
            "principal": pounds(2_526 - 448),
            "total": pounds(2_526 - 448),
        }
        assert loan["outstanding"] == pounds(97_488 - 448)
        assert loan["payments"][-1] == {
            "number": 2,
            "kind": "CASH",
            "amount": pounds(1_000),
            "excess": "KEEP",
            "outcome": "ALLOCATED",
            "reference": "",
            "receivedOn": "2016-06-01",
            "clearsOn": "2016-06-01",
            "allocatedOn": "2016-06-01",
            "distributedOn": None,
            "principal": pounds(448),
            "interest": pounds(552),
            "returned": pounds(0),
        }
        assert member_balances(made.borrower.pk).cash == 98_500 - 1_000
        assert_sound(first)

    def test_money_before_anything_is_due_waits(self, made: Funded) -> None:
        loan = done(made, PAY, amount=gbp("30"))
        assert loan["payments"][-1]["outcome"] == "WAITING"
        assert loan["outstanding"] == pounds(97_488)

    def test_the_same_key_pays_once_even_a_day_later(self, made: Funded, on: Any) -> None:
        loan = done(made, PAY, amount=gbp("30"), key="june")
        on(MID_MAY + ONE_DAY)
        assert done(made, PAY, amount=gbp("30"), key="june") == loan
        assert Payment.objects.filter(loan=made.loan_id).count() == 2
        again = change(made, PAY, amount=gbp("31"), key="june")
        assert codes(again) == [("IDEMPOTENCY_CONFLICT", None)]

    @pytest.mark.parametrize(
        ("amount", "code", "words"),
        [
            ("0", "PAYMENT_REFUSED", "above zero"),
            ("-5.00", "PAYMENT_REFUSED", "above zero"),
            ("ten", "AMOUNT_REFUSED", "pounds"),
            ("0.001", "AMOUNT_REFUSED", "two decimals"),
            # £974.88 and £102.44 of interest are all that can still come.
            ("1000000.00", "PAYMENT_REFUSED", "more than all that this loan can come to, 107732"),
        ],
    )
    def test_amounts_that_can_not_be(
        self, made: Funded, amount: str, code: str, words: str
    ) -> None:
        answer = change(made, PAY, amount=gbp(amount))
        assert codes(answer) == [(code, "amount")]
        assert words in answer["errors"][0]["message"]
        assert Payment.objects.filter(loan=made.loan_id).count() == 1

    def test_more_than_is_in_cash_is_refused(self, made: Funded) -> None:
        answer = change(made, PAY, amount=gbp("985.01"))
        assert [code for code, _ in codes(answer)] == ["NOT_ENOUGH_MONEY"]
        assert Payment.objects.filter(loan=made.loan_id).count() == 1


class TestPrepaying:
    @pytest.mark.parametrize("choice", ["SHORTER", "SMALLER"])
    def test_it_does_what_was_quoted(self, made: Funded, choice: str) -> None:
        """£200 of £974.88 after 15 of 31 days, with 35 instalments to come."""
        before = terms_of(see(made, LOAN).data["node"])
        quote = quoted(
            made,
            'prepaymentQuote(amount: {amount: "200", currency: GBP})',
            f"{{ amount {{ amount }} due {{ amount }} prepaid {{ amount }} before {TERMS}"
            f" shorter {TERMS} smaller {TERMS} savedShorter {{ amount }}"
            " savedSmaller { amount } }",
        )
        assert (quote["amount"], quote["due"], quote["prepaid"]) == (
            pounds(20_000),
            pounds(0),
            pounds(20_000),
        )
        assert quote["before"] == before
        # £774.88 over 35 months at .56583 % a month: 774.88 i / (1 - (1 + i)^-35).
        monthly = 1.07004 ** (1 / 12) - 1
        smaller = float(quote["smaller"]["instalment"]["amount"])
        assert smaller == pytest.approx(774.88 * monthly / (1 - (1 + monthly) ** -35), abs=0.02)
        assert quote["smaller"]["lastDueOn"] == before["lastDueOn"] == "2019-04-01"
        assert quote["shorter"]["instalment"] == pounds(3_078)
        # ln(30.78 / (30.78 - 774.88 i)) / ln(1 + i) = 27.2 months: 28 instalments.
        assert (quote["shorter"]["instalments"], quote["shorter"]["lastDueOn"]) == (
            28,
            "2018-09-03",
        )
        loan = done(made, PREPAY, amount=gbp("200"), choice=choice)
        after = terms_of(loan)
        assert after == quote[choice.lower()]
        saved = quote[f"saved{choice.title()}"]["amount"]
        more, less = (float(one["interestToCome"]["amount"]) for one in (before, after))
        assert float(saved) == pytest.approx(more - less, abs=0.001)
        assert loan["outstanding"] == pounds(77_488)
        assert loan["payments"][-1]["excess"] == choice
        assert member_balances(made.borrower.pk).cash == 98_500 - 20_000
        assert_sound(MID_MAY)

    def test_all_of_a_loan_is_settled_instead(self, made: Funded) -> None:
        answer = change(made, PREPAY, amount=gbp("974.88"), choice="SHORTER")
        assert codes(answer) == [("PAYMENT_REFUSED", "amount")]
        assert "settle it early instead" in answer["errors"][0]["message"]

    def test_another_choice_is_no_query(self, made: Funded) -> None:
        values = {
            "loanId": _id(made),
            "idempotencyKey": "k",
            "amount": gbp("5"),
            "choice": "KEEP",
        }
        assert ask(made.borrower, PREPAY, {"input": values}).codes == ["QUERY_REFUSED"]


class TestSettling:
    def test_the_figure_of_the_day_settles_it(self, made: Funded) -> None:
        """£974.88, and 15 of 31 days of £5.52: £2.67. £977.55 of the £985.00 in cash."""
        figure = quoted(made, "settlementQuote", FIGURE)
        assert figure == {
            "on": "2016-05-16",
            "interestOverdue": pounds(0),
            "principalOverdue": pounds(0),
            "principalNotDue": pounds(97_488),
            "interestStub": pounds(267),
            "days": 15,
            "waiting": pounds(0),
            "total": pounds(97_755),
            "toPay": pounds(97_755),
        }
        for _ in range(2):
            loan = done(made, SETTLE, figure=gbp("977.55"), key="settle")
            assert loan["instalments"][-1] == {
                "number": 2,
                "kind": "SETTLEMENT",
                "dueOn": "2016-05-16",
                "interestPlanned": pounds(267),
                "interestDue": pounds(267),
                "totalDue": pounds(97_755),
                "isPaid": True,
            }
            assert (loan["owed"]["total"], loan["nextInstalment"]) == (pounds(0), None)
            assert [event["kind"] for event in loan["events"]] == ["SETTLEMENT"]
        assert member_balances(made.borrower.pk).cash == 745
        assert Payment.objects.filter(loan=made.loan_id).count() == 2
        work(MID_MAY)
        assert see(made, LOAN).data["node"]["state"] == "REPAID"
        assert_sound(MID_MAY)

    def test_what_waits_is_taken_off_the_figure(self, made: Funded) -> None:
        done(made, PAY, amount=gbp("30"))
        figure = quoted(made, "settlementQuote", FIGURE)
        assert (figure["total"], figure["waiting"]) == (pounds(97_755), pounds(3_000))
        assert figure["toPay"] == pounds(94_755)
        loan = done(made, SETTLE, figure=gbp("947.55"))
        assert loan["owed"]["total"] == pounds(0)
        assert member_balances(made.borrower.pk).cash == 745

    def test_a_figure_for_a_later_day(self, made: Funded) -> None:
        """25 May: 24 of 31 days, (2 * 97488 * 24 * i + 31) // 62 = £4.27."""
        figure = quoted(made, 'settlementQuote(on: "2016-05-25")', FIGURE)
        assert (figure["on"], figure["days"], figure["interestStub"]) == (
            "2016-05-25",
            24,
            pounds(427),
        )

    def test_another_figure_is_refused(self, made: Funded) -> None:
        for figure in ("977.54", "0", "1000000"):
            answer = change(made, SETTLE, figure=gbp(figure))
            assert codes(answer) == [("FIGURE_CHANGED", "figure")]
            assert "97755 pence" in answer["errors"][0]["message"]
        assert not LoanEvent.objects.filter(loan=made.loan_id).exists()


class TestSteppingBack:
    QUOTE = f"{{ figure {FIGURE} refunded {{ amount }} net {{ amount }} }}"

    def test_it_costs_what_was_quoted(self, house: House, on: Any) -> None:
        """Ten of 30 days: a third of the parts' £2.68 and £2.98 a month is 89p and 99p."""
        made = paid_out(house)
        day = date(2016, 4, 11)
        on(day)
        take(made, 500, day)  # from outside; it waits, and is a part of the figure
        quote = quoted(made, "rescissionQuote", self.QUOTE)
        assert quote["figure"]["interestStub"] == pounds(188)
        assert quote["figure"]["total"] == pounds(100_188)
        assert quote["figure"]["toPay"] == pounds(99_688)
        assert (quote["refunded"], quote["net"]) == (pounds(1_500), pounds(98_188))
        loan = done(made, RESCIND, figure=gbp("996.88"))
        assert [event["kind"] for event in loan["events"]] == ["RESCISSION"]
        assert loan["owed"]["total"] == pounds(0)
        # £985.00 and the fee of £15.00, less £996.88.
        assert member_balances(made.borrower.pk).cash == 312
        work_until(day, date(2016, 4, 14))
        assert see(made, LOAN).data["node"]["state"] == "RESCINDED"
        assert_sound(date(2016, 4, 14))

    def test_after_fourteen_days_it_is_too_late(self, house: House, on: Any) -> None:
        made = paid_out(house)
        on(DAY + timedelta(days=14))
        assert quoted(made, "rescissionQuote", self.QUOTE)["figure"]["days"] == 14
        on(DAY + timedelta(days=15))
        asked = see(made, f"{{ rescissionQuote {self.QUOTE} }}")
        assert asked.codes == ["RESCISSION_REFUSED"]
        answer = change(made, RESCIND, figure=gbp("1000"))
        assert [code for code, _ in codes(answer)] == ["RESCISSION_REFUSED"]
        assert "until 2016-04-15" in answer["errors"][0]["message"]


class TestDates:
    def test_a_holiday_does_what_was_quoted(self, made: Funded) -> None:
        """June and July are skipped; the last instalment moves from 1 April to 3 June 2019."""
        quote = quoted(
            made,
            "holidayQuote(months: 2)",
            f"{{ before {TERMS} after {TERMS} interestMore {{ amount }} }}",
        )
        assert quote["before"] == terms_of(see(made, LOAN).data["node"])
        loan = done(made, HOLIDAY, months=2)
        after = terms_of(loan)
        assert after == quote["after"]
        assert (after["instalments"], after["nextDueOn"]) == (35, "2016-08-01")
        assert after["lastDueOn"] == "2019-06-03"  # 1 June is a Saturday
        more, less = (float(one["interestToCome"]["amount"]) for one in (after, quote["before"]))
        assert float(quote["interestMore"]["amount"]) == pytest.approx(more - less, abs=0.001)
        # Two months of £974.88 at .56583 %, spread over the rest: principal falls as it did.
        assert more - less == pytest.approx(11.03, abs=0.05)
        [event] = loan["events"]
        assert (event["kind"], event["months"], event["effectiveOn"]) == (
            "HOLIDAY",
            2,
            "2016-05-16",
        )
        assert_sound(MID_MAY)

    def test_another_due_day_does_what_was_quoted(self, made: Funded) -> None:
        """Day 20 from June on; the last, 20 April 2019, is a Saturday before Easter Monday."""
        quote = quoted(
            made,
            "dueDayQuote(day: 20)",
            f"{{ before {TERMS} after {TERMS} interestMore {{ amount }} }}",
        )
        loan = done(made, DUE_DAY, day=20)
        after = terms_of(loan)
        assert after == quote["after"]
        assert (after["instalments"], after["nextDueOn"], after["lastDueOn"]) == (
            35,
            "2016-06-20",
            "2019-04-23",
        )
        # 19 days of 31 more: £974.88 * .56583 % * 19 / 31 = £3.38. The first instalment repays less
        # by so much, the last by nothing: £3.38 / 2 for 35 months more, £0.33.
        assert float(quote["interestMore"]["amount"]) == pytest.approx(3.71, abs=0.03)
        assert loan["events"][0]["day"] == 20
        assert_sound(MID_MAY)

    @pytest.mark.parametrize(
        ("mutation", "given", "refused"),
        [
            (HOLIDAY, {"months": 0}, ("HOLIDAY_REFUSED", "months")),
            (HOLIDAY, {"months": 4}, ("HOLIDAY_REFUSED", "months")),
            (HOLIDAY, {"months": 2**31 - 1}, ("HOLIDAY_REFUSED", "months")),
            (DUE_DAY, {"day": 0}, ("DUE_DAY_REFUSED", "day")),
            (DUE_DAY, {"day": 29}, ("DUE_DAY_REFUSED", "day")),
            (DUE_DAY, {"day": 1}, ("DUE_DAY_REFUSED", "day")),
        ],
    )
    def test_months_and_days_that_can_not_be(
        self, made: Funded, mutation: str, given: dict[str, Any], refused: tuple[str, str]
    ) -> None:
        assert codes(change(made, mutation, **given)) == [refused]
        assert not LoanEvent.objects.filter(loan=made.loan_id).exists()

    def test_a_second_holiday_comes_a_year_later(self, made: Funded) -> None:
        done(made, HOLIDAY, months=1)
        answer = change(made, HOLIDAY, months=1)
        assert codes(answer) == [("HOLIDAY_REFUSED", "months")]
        assert "from 2017-05-16 on" in answer["errors"][0]["message"]


QUOTES = {
    "SETTLEMENT_REFUSED": f"settlementQuote {FIGURE}",
    "HOLIDAY_REFUSED": f"holidayQuote(months: 1) {{ after {TERMS} }}",
    "DUE_DAY_REFUSED": f"dueDayQuote(day: 9) {{ after {TERMS} }}",
    "RESCISSION_REFUSED": "rescissionQuote { net { amount } }",
    "PAYMENT_REFUSED": 'prepaymentQuote(amount: {amount: "9", currency: GBP}) {'
    " prepaid { amount } }",
}
CHANGES: dict[str, tuple[str, dict[str, Any]]] = {
    "SETTLEMENT_REFUSED": (SETTLE, {"figure": gbp("1")}),
    "HOLIDAY_REFUSED": (HOLIDAY, {"months": 1}),
    "DUE_DAY_REFUSED": (DUE_DAY, {"day": 9}),
    "RESCISSION_REFUSED": (RESCIND, {"figure": gbp("1")}),
    "PAYMENT_REFUSED": (PAY, {"amount": gbp("9")}),
}


def _refuses(made: Funded, state: LoanState, refusals: list[str]) -> None:
    """Quotes and changes are refused with their codes; the state is named; nothing happens."""
    assert made.loan.state == state
    before = (Transfer.objects.count(), LoanEvent.objects.count(), Payment.objects.count())
    for code in refusals:
        asked = see(made, f"{{ publicId {QUOTES[code]} }}")
        assert asked.codes == [code]
        [error] = asked.errors
        assert f"A loan that is {state.value} can't" in error["message"]
        assert "allowed: " in error["message"]
        # What was asked beside it is answered.
        assert asked.data["node"]["publicId"] == str(made.loan.public_id)
        mutation, given = CHANGES[code]
        answer = change(made, mutation, **given)
        assert codes(answer) == [(code, "loanId")]
        assert f"A loan that is {state.value} can't" in answer["errors"][0]["message"]
    after = (Transfer.objects.count(), LoanEvent.objects.count(), Payment.objects.count())
    assert after == before


class TestRefusals:
    def test_a_loan_in_arrears_has_no_holiday(self, made: Funded, on: Any) -> None:
        late = date(2016, 6, 10)
        work_until(MID_MAY, late)
        on(late)
        _refuses(made, LoanState.ARREARS, ["HOLIDAY_REFUSED", "DUE_DAY_REFUSED"])
        # Settling it is allowed: what is overdue, and 9 of 30 days.
        figure = quoted(made, "settlementQuote", FIGURE)
        assert (figure["interestOverdue"], figure["principalOverdue"]) == (
            pounds(552),
            pounds(2_526),
        )
        assert figure["days"] == 9

    def test_a_loan_in_default_takes_payments_alone(self, made: Funded) -> None:
        declare_default(
            loan_id=made.loan_id,
            cause=DefaultCause.DEATH,
            on=MID_MAY,
            actor=ACTOR,
            key=key(),
            reason="told by the executor",
        )
        _refuses(
            made,
            LoanState.DEFAULT,
            ["SETTLEMENT_REFUSED", "HOLIDAY_REFUSED", "DUE_DAY_REFUSED", "RESCISSION_REFUSED"],
        )
        assert done(made, PAY, amount=gbp("9"))["outstanding"] == pounds(97_488 - 900)

    def test_a_closed_loan_takes_nothing(self, made: Funded) -> None:
        done(made, SETTLE, figure=gbp("977.55"))
        work(MID_MAY)
        _refuses(made, LoanState.REPAID, list(QUOTES))

    @pytest.mark.usefixtures("on")
    def test_a_loan_not_paid_out_has_nothing_to_pay(self, house: House) -> None:
        made = funded(house)
        for code, quote in QUOTES.items():
            assert see(made, f"{{ {quote} }}").codes == ["LOAN_QUOTE_REFUSED"]
            mutation, given = CHANGES[code]
            assert codes(change(made, mutation, **given)) == [("LOAN_NOT_PAID_OUT", "loanId")]

    @pytest.mark.parametrize(
        ("day", "code"),
        [("2016-05-01", "LOAN_QUOTE_REFUSED"), ("9999-12-31", "LIFE_REFUSED")],
    )
    def test_quotes_for_days_that_are_gone_or_out_of_sight(
        self, made: Funded, day: str, code: str
    ) -> None:
        asked = see(made, f'{{ settlementQuote(on: "{day}") {FIGURE} }}')
        assert asked.codes == [code]
        assert asked.errors[0]["extensions"]["field"] == "on"
        assert asked.data["node"] == {"settlementQuote": None}

    @pytest.mark.parametrize("code", CHANGES)
    def test_nobody_elses_loan_is_changed_or_quoted(self, made: Funded, code: str) -> None:
        mutation, given = CHANGES[code]
        [stranger] = borrowers(1)
        assert codes(change(made, mutation, by=stranger, **given)) == [("NOT_FOUND", "loanId")]
        assert see(made, f"{{ {QUOTES[code]} }}", by=stranger).codes == ["NOT_FOUND"]
        lender = made.lenders[0]
        assert codes(change(made, mutation, by=lender, **given)) == [("FORBIDDEN", None)]
        values = {"loanId": _id(made), "idempotencyKey": "k", **given}
        assert codes(run(None, mutation, values)) == [("UNAUTHENTICATED", None)]

    @pytest.mark.parametrize("loan", ["", "x", "TXlMb2FuOjE=", "TG9hbjox", "\x00"])
    def test_what_is_no_loan_of_anybody(self, made: Funded, loan: str) -> None:
        for mutation, given in CHANGES.values():
            values = {"loanId": loan, "idempotencyKey": "k", **given}
            answer = run(made.borrower, mutation, values)
            [error] = answer["errors"]
            assert (error["code"], error["field"]) in {
                ("NOT_FOUND", "loanId"),
                ("INPUT_REFUSED", "loanId"),
            }

    def test_a_key_that_is_none(self, made: Funded) -> None:
        for bad in (" \x00", "k" * 121):
            answer = change(made, PAY, amount=gbp("9"), key=bad)
            assert codes(answer) == [("IDEMPOTENCY_KEY_REFUSED", "idempotencyKey")]


PAGE = """{ myLoans { edges { node { payments { number outcome amount { amount } }
  events { number kind } instalments { number } owed { total { amount } } apr { ppm } } } } }"""
NOTICES = "{ viewer { notices { edges { node { name subject body loan deliveredAt } } } } }"
RECEIPTS = """query ($first: Int, $after: String) { portfolio { receipts(first: $first,
  after: $after) { pageInfo { hasNextPage endCursor } edges { node { partId spreadOn kind
    principal { amount } interest { amount } fee { amount } net { amount } } } } } }"""


class TestStatements:
    """As many whatever there is to read; beside those that find out who asks."""

    @staticmethod
    def asking(member: Member, query: str) -> int:
        nobody_knows = statements(lambda: ask(member, "{ viewer { id } }"))
        return statements(lambda: ask(member, query)) - nobody_knows

    def test_loans_with_what_happened_to_them(self, made: Funded) -> None:
        """Five: loans, their instalments, payments, events, and the parts behind the APR."""
        few = self.asking(made.borrower, PAGE)
        for _ in range(3):
            done(made, PAY, amount=gbp("1"))
        done(made, HOLIDAY, months=1)
        [edge] = ask(made.borrower, PAGE).data["myLoans"]["edges"]
        assert (len(edge["node"]["payments"]), len(edge["node"]["events"])) == (4, 1)
        assert self.asking(made.borrower, PAGE) == few == 5

    def test_receipts_of_a_lender(self, made: Funded) -> None:
        lender = made.lenders[0]
        few = self.asking(lender, RECEIPTS)
        for instalment in (2, 3, 4):
            row = Instalment.objects.get(loan=made.loan_id, number=instalment)
            work_until(MID_MAY, row.due_on)
            take(made, 3_078, row.due_on)
            work_until(row.due_on, row.due_on + timedelta(days=7))
        first = ask(lender, RECEIPTS, {"first": 3}).data["portfolio"]["receipts"]
        assert (len(first["edges"]), first["pageInfo"]["hasNextPage"]) == (3, True)
        rest = ask(lender, RECEIPTS, {"after": first["pageInfo"]["endCursor"]})
        [edge] = rest.data["portfolio"]["receipts"]["edges"]
        # 48 % of £25.12 is £12.06, interest £2.68 and the fee 40p: the first instalment's.
        assert edge["node"]["principal"] == pounds(1_206)
        assert edge["node"]["interest"] == pounds(268)
        assert edge["node"]["net"] == pounds(1_206 + 268 - 40)
        assert self.asking(lender, RECEIPTS) == few == 3

    def test_notices(self, made: Funded) -> None:
        few = self.asking(made.borrower, NOTICES)
        for begin, late in ((MID_MAY, date(2016, 6, 10)), (date(2016, 6, 10), date(2016, 10, 1))):
            work_until(begin, late)
            write_notices(on=late)
        told = ask(made.borrower, NOTICES).data["viewer"]["notices"]["edges"]
        assert [edge["node"]["name"] for edge in told] == ["default", "arrears"]
        assert self.asking(made.borrower, NOTICES) == few == 1

    def test_the_book_holds_after_all_of_it(self, made: Funded) -> None:
        done(made, PREPAY, amount=gbp("100"), choice="SMALLER")
        done(made, DUE_DAY, day=15)
        done(made, PAY, amount=gbp("5"))
        work_until(MID_MAY, date(2016, 6, 20))
        assert_sound(date(2016, 6, 20))
