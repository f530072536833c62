"""What lenders should expect of the parts that they hold, against the cash flows by hand."""

from __future__ import annotations

from datetime import date

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from marketplace.models import Distribution, Loan, Part
from marketplace.selectors.expectations import expectation_of, expectations_of_all
from marketplace.services.ageing import age_loans
from marketplace.services.falling_due import fall_due
from risk.core.expectation import ExpectationRefused
from risk.selectors.assessments import assessments_by_id
from tests.marketplace.house import House, funded, paid_out, pay_monthly
from tests.world import ACTOR, FIRST_DUE


def test_one_part_of_one_loan(house: House) -> None:
    made = paid_out(house)
    part = Part.objects.get(loan=made.loan_id, number=1)
    assert (part.size, part.rate) == (48_000, 69_000)
    found = expectation_of(part.lender_id)
    assert found is not None
    assert (found.parts, found.borrowers, found.outstanding) == (1, 1, 48_000)
    [view] = assessments_by_id(ids=[made.loan.assessment_id]).values()
    # Month by month: balances fall by the loan's rate, the part earns its own less the fee.
    hazard = 1 - (1 - view.pd12_ppm / 1e6) ** (1 / 12)
    loan_rate, own = 1.07004 ** (1 / 12) - 1, 1.069 ** (1 / 12) - 1
    payment = loan_rate / (1 - (1 + loan_rate) ** -36)
    balances, balance = [], 1.0
    for _ in range(36):
        balances.append(balance)
        balance = balance * (1 + loan_rate) - payment
    chances = [hazard * (1 - hazard) ** month for month in range(36)]
    pd = sum(chances)
    lost = sum(c * b for c, b in zip(chances, balances, strict=True)) / pd * 0.8
    month = sum(c * (m + 1) for m, c in enumerate(chances)) / pd - 1
    until = sum(balances[: int(month)]) + (month % 1) * balances[int(month)]
    interest = own - 0.01 / 12
    earned = 48_000 * interest * sum(balances)
    loss = 48_000 * (lost + interest * (sum(balances) - until))
    without = found.without_fund
    assert without.expected_profit == pytest.approx(earned - pd * loss, abs=1)
    assert without.chance_of_loss == pytest.approx(pd, abs=1e-6)
    assert without.profit_high == pytest.approx(earned, abs=1)
    assert without.worst_loss == pytest.approx(loss, abs=6)
    covered = without != found.with_fund
    assert found.covered == (48_000 if covered else 0)
    if covered:
        # Only interest can be lost then.
        assert found.with_fund.chance_of_loss == 0
        assert found.with_fund.worst_loss == pytest.approx(loss - 48_000 * lost, abs=6)
        half = expectation_of(part.lender_id, fund_pays=0.5)
        assert half is not None
        assert half.with_fund.worst_loss == pytest.approx(loss - 24_000 * lost, abs=6)


def test_what_was_repaid_is_not_expected_any_more(house: House) -> None:
    made = paid_out(house)
    before = expectation_of(made.lenders[0].pk)
    pay_monthly(made, 2)
    after = expectation_of(made.lenders[0].pk)
    got = Distribution.objects.filter(loan=made.loan_id).latest("number")
    assert before is not None
    assert after is not None
    assert after.outstanding == 48_000 - got.principal[0] < before.outstanding
    assert after.average_months < before.average_months
    assert after.without_fund.chance_of_loss < before.without_fund.chance_of_loss


def test_what_is_not_paid_out_or_in_default_is_left_out(house: House) -> None:
    waiting = funded(house)
    assert expectation_of(waiting.lenders[0].pk) is None
    made = paid_out(house)
    fall_due(on=FIRST_DUE, actor=ACTOR)
    age_loans(on=date(2016, 9, 3))
    assert Loan.objects.get(pk=made.loan_id).state == "default"
    assert expectation_of(made.lenders[0].pk) is None
    assert expectations_of_all() is None


def test_all_lenders_at_once_are_the_same_as_one_by_one(house: House) -> None:
    paid_out(house)
    paid_out(house, [(70_000, 60_000), (72_000, 40_000)])
    found = expectations_of_all()
    assert found is not None
    assert found.lender.tolist() == sorted(
        Part.objects.values_list("lender_id", flat=True).distinct()
    )
    for place, lender in enumerate(found.lender.tolist()):
        one = expectation_of(lender)
        assert one is not None
        assert (found.borrowers[place], found.outstanding[place]) == (
            one.borrowers,
            one.outstanding,
        )
        for many, alone in (
            (found.without_fund, one.without_fund),
            (found.with_fund, one.with_fund),
        ):
            assert many.expected_return[place] == pytest.approx(alone.expected_return)
            assert many.return_low[place] == pytest.approx(alone.return_low)
            assert many.return_high[place] == pytest.approx(alone.return_high)
            assert many.chance_of_loss[place] == pytest.approx(alone.chance_of_loss, abs=1e-6)
            assert many.worst_loss[place] == alone.worst_loss


def test_the_number_of_statements_does_not_grow(house: House) -> None:
    for _ in range(2):
        made = paid_out(house)
        with CaptureQueriesContext(
            connection,
        ) as asked:
            expectation_of(made.lenders[0].pk)
            expectations_of_all()
        assert len(asked) <= 8


def test_a_fund_can_not_pay_more_than_all(house: House) -> None:
    made = paid_out(house)
    with pytest.raises(ExpectationRefused):
        expectation_of(made.lenders[0].pk, fund_pays=1.1)
