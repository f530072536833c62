"""What a borrower sees of a loan: what is owed, what arrived and became of it, what is next."""

from __future__ import annotations

from datetime import date

from marketplace.core.loan_events import LoanEventKind, PaymentKind
from marketplace.selectors.borrowings import BorrowedLoanView, loans_page
from marketplace.selectors.loan_records import PaymentOutcome
from marketplace.selectors.loan_views import Owed
from marketplace.selectors.paging import PageWanted
from marketplace.services.ageing import age_loans
from marketplace.services.falling_due import fall_due
from marketplace.services.payments import distribute_cleared
from tests.marketplace.house import Funded, House, paid_out, pay
from tests.world import ACTOR, CLEARED, DAY, FIRST_DUE


def _seen(made: Funded) -> BorrowedLoanView:
    [loan] = loans_page(made.borrower.pk, PageWanted()).rows
    return loan


def test_what_is_owed_and_next_from_day_to_day(house: House) -> None:
    """£1,000 at 7.004 %: £30.78 a month, of the first £5.66 interest and £25.12 principal."""
    made = paid_out(house)
    loan = _seen(made)
    assert (loan.owed, loan.days_past_due(DAY)) == (Owed(0, 0), 0)
    assert loan.next_instalment is not None
    assert (loan.next_instalment.number, loan.next_instalment.due_on) == (1, FIRST_DUE)
    fall_due(on=FIRST_DUE, actor=ACTOR)
    loan = _seen(made)
    assert loan.owed == Owed(566, 2_512)
    assert (loan.days_past_due(FIRST_DUE), loan.days_past_due(CLEARED)) == (0, 3)
    assert loan.next_instalment is not None
    assert loan.next_instalment.number == 2
    # Interest comes first: of £10.00, £5.66 are interest and £4.34 principal, at once.
    pay(made.loan_id, 1_000, FIRST_DUE)
    loan = _seen(made)
    assert loan.owed == Owed(0, 2_512 - 434)
    assert (loan.interest_paid, loan.principal_paid, loan.outstanding) == (566, 434, 99_566)
    pay(made.loan_id, 2_078, FIRST_DUE)
    assert _seen(made).owed.total == 0
    assert _seen(made).days_past_due(CLEARED) == 0


def test_payments_with_what_became_of_them(house: House) -> None:
    made = paid_out(house)
    pay(made.loan_id, 500, DAY)
    [waits] = _seen(made).payments
    assert (waits.number, waits.kind, waits.outcome) == (
        1,
        PaymentKind.COLLECTION,
        PaymentOutcome.WAITING,
    )
    fall_due(on=FIRST_DUE, actor=ACTOR)
    pay(made.loan_id, 3_078, FIRST_DUE)
    first, second = _seen(made).payments
    assert (first.outcome, first.allocated_on) == (PaymentOutcome.ALLOCATED, FIRST_DUE)
    # £5.66 of interest take all of the first £5.00 and 66p of the second payment.
    assert (first.interest, first.principal) == (500, 0)
    assert (second.interest, second.principal) == (66, 2_512)
    distribute_cleared(on=CLEARED, actor=ACTOR)
    first, second = _seen(made).payments
    assert {first.outcome, second.outcome} == {PaymentOutcome.CLEARED}
    # £30.78 are due and £35.78 came: £5.00 go back.
    assert (first.returned, second.returned) == (0, 500)


def test_default_is_an_event_and_makes_all_principal_due(house: House) -> None:
    made = paid_out(house)
    fall_due(on=FIRST_DUE, actor=ACTOR)
    assert _seen(made).events == ()
    age_loans(on=date(2016, 9, 3))
    loan = _seen(made)
    assert [event.kind for event in loan.events] == [LoanEventKind.DEFAULT]
    assert loan.owed == Owed(566, 100_000)
    assert loan.next_instalment is None
    # From 3 May to 3 September are 123 days.
    assert loan.days_past_due(date(2016, 9, 3)) == 123


def test_cost_by_the_contract_stays_whatever_is_paid(house: House) -> None:
    made = paid_out(house)
    before = _seen(made)
    assert before.total_repayable == sum(row.total_due for row in before.instalments)
    assert before.apr is not None
    fall_due(on=FIRST_DUE, actor=ACTOR)
    age_loans(on=date(2016, 9, 3))
    after = _seen(made)
    assert (after.total_repayable, after.apr) == (before.total_repayable, before.apr)
