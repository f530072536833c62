"""The loan book for monitoring: as it stood on a day, in three statements."""

from __future__ import annotations

from datetime import date

import numpy as np

from marketplace.models import Distribution
from marketplace.selectors.loan_history import loan_history
from marketplace.services.ageing import age_loans
from marketplace.services.falling_due import fall_due
from marketplace.services.payments import distribute_cleared
from risk.core.roll_rates import days_past_due, month_ends
from tests.marketplace.house import Funded, House, funded, paid_out, pay
from tests.marketplace.statements import statements
from tests.world import ACTOR, CLEARED, DAY, FIRST_DUE

DEFAULT = date(2016, 10, 1)


def _life(house: House) -> Funded:
    """One instalment paid on 3 May 2016 and no more: in default on 1 October."""
    made = paid_out(house)
    fall_due(on=FIRST_DUE, actor=ACTOR)
    pay(made.loan_id, 3_078, FIRST_DUE)
    distribute_cleared(on=CLEARED, actor=ACTOR)
    for month in (6, 7, 8, 9):
        fall_due(on=date(2016, month, 1), actor=ACTOR)
    age_loans(on=date(2016, 6, 2))
    age_loans(on=DEFAULT)
    return made


def test_a_book_of_a_past_day_is_what_was_true_then(house: House) -> None:
    made = _life(house)
    before, after = loan_history(date(2016, 9, 30)), loan_history(DEFAULT)
    assert before.loan.tolist() == after.loan.tolist() == [made.loan_id]
    assert np.isnat(before.lost_on).all()
    assert after.lost_on.tolist() == [DEFAULT]
    # 2,512p of principal, as in the worked example of payments; on the day before it was spread
    # all £1,000 were owed.
    assert before.outstanding.tolist() == [100_000 - 2_512]
    assert loan_history(date(2016, 5, 5)).outstanding.tolist() == [100_000]
    assert after.amount.tolist() == [100_000]
    assert after.paid_out_on.tolist() == [DAY]
    assert after.term_months.tolist() == [36]
    assert after.assessment.tolist() == [made.loan.assessment_id]
    assert len(loan_history(date(2016, 3, 31)).loan) == 0


def test_days_past_due_at_month_ends(house: House) -> None:
    _life(house)
    ends = month_ends(date(2016, 9, 30), 5)
    # Paid on the due date in May, though spread three days later. Unpaid since 1 June: 29 days at
    # the end of June, 60 in July, 91 in August, 121 in September.
    late = days_past_due(loan_history(DEFAULT).dues, ends)
    assert late.tolist() == [[0, 0, 29, 60, 91, 121]]
    # Asked for on a day before, the same.
    assert days_past_due(loan_history(date(2016, 9, 30)).dues, ends).tolist() == late.tolist()


def test_a_recovered_loan_tells_what_came_back(house: House) -> None:
    made = _life(house)
    pay(made.loan_id, 10_000, date(2016, 11, 1))
    distribute_cleared(on=date(2016, 11, 4), actor=ACTOR)
    got = Distribution.objects.filter(loan=made.loan_id).latest("number")
    [recovered] = loan_history(date(2016, 11, 4)).recovered.tolist()
    assert recovered == got.principal_total - 2_512 > 0
    assert loan_history(date(2016, 11, 3)).recovered.tolist() == [0]


def test_a_loan_that_is_not_paid_out_is_not_in_the_book(house: House) -> None:
    funded(house)
    assert len(loan_history(date(2020, 1, 1)).loan) == 0


def test_it_is_three_statements_for_any_number_of_loans(house: House) -> None:
    paid_out(house)
    assert statements(lambda: loan_history(DAY)) == 3
    paid_out(house)
    assert statements(lambda: loan_history(DAY)) == 3
    assert len(loan_history(DAY).loan) == 2
