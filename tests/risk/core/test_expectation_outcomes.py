"""From parts to outcomes: cases for the hand, and laws."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from risk.core.expectation import ExpectationRefused
from risk.core.expectation_outcomes import (
    Parts,
    expect,
    exposures,
    forecasts,
    return_in_year,
    spread_over,
)
from risk.core.pricing import LossTerms, expected_loss


def parts(count: int = 2, **given: Any) -> Parts:
    """Parts of £10 over one month at 1 % a month, one in ten of which default and lose all."""
    of: dict[str, Any] = {
        "borrower": np.arange(count),
        "outstanding": np.full(count, 1_000),
        "months": np.full(count, 1),
        "rate": np.full(count, 1.01**12 - 1),
        "loan_rate": np.full(count, 1.01**12 - 1),
        "pd12": np.full(count, 1 - 0.9**12),
        "loss_given_default": np.ones(count),
        "recovery_lag_months": np.zeros(count, dtype=np.int64),
        "servicing_fee": np.zeros(count),
        "covered": np.zeros(count, dtype=np.bool_),
    }
    return Parts(**of | given)


def test_two_parts_of_one_month() -> None:
    found = expect(parts(), correlation=0.0, narrowing=False)
    # Each earns 10p with .9 and loses £10 with .1; £20 are at work for a month.
    without = found.without_fund
    assert without.expected_profit == pytest.approx(2 * (0.9 * 10 - 0.1 * 1_000))
    assert without.expected_return == pytest.approx((1 - 182 / 2_000) ** 12 - 1)
    # Two times 10p, or a loss of 990p, or of 2,000p; 0.95 lies where one defaults (.81 to .99).
    assert without.chance_of_loss == pytest.approx(0.19)
    assert (without.profit_low, without.profit_high) == (20 - 1_010, 20)
    assert without.return_high == pytest.approx(1.01**12 - 1)
    # Both with a chance of .01.
    assert without.worst_loss == 2_020
    assert (found.outstanding, found.parts, found.average_months) == (2_000, 2, 1)


def test_two_months_and_a_default_between_them() -> None:
    # £10 at nothing a month on the loan: £5 are repaid a month. The part earns 1 % a month: 15p.
    of = parts(1, months=np.array([2]), loan_rate=np.zeros(1))
    told = forecasts(of)
    assert told.pd == pytest.approx([1 - 0.9**2])
    assert told.earned == pytest.approx([15])
    # In default in the first month with .1 (£10 lost), in the second with .09 (£5).
    assert told.principal_lost == pytest.approx([(0.1 * 1_000 + 0.09 * 500) / 0.19])
    # The expected month is 1 + 9/19: of the first month's 10p, 9/19 are paid.
    assert told.interest_lost == pytest.approx([15 - 10 * 9 / 19])
    # £10 for a month, and £5 with .9 for another.
    assert told.pence_months == pytest.approx([1_000 + 450])
    # Half comes back three months later.
    later = replace(of, loss_given_default=np.array([0.5]), recovery_lag_months=np.array([3]))
    assert forecasts(later).pence_months == pytest.approx(
        [1_450 + 3 * 0.5 * (0.1 * 1_000 + 0.09 * 500)]
    )


def test_the_expected_principal_lost_is_the_pricings() -> None:
    months, terms = 36, LossTerms(0.8, 12, 0.01)
    of = parts(
        1,
        months=np.array([months]),
        rate=np.array([0.08]),
        loan_rate=np.array([0.08]),
        pd12=np.array([0.04]),
        loss_given_default=np.array([0.8]),
    )
    told = forecasts(of)
    wanted = 1_000 * float(expected_loss(0.08, 0.04, months, terms))
    assert told.pd[0] * told.principal_lost[0] == pytest.approx(wanted)


def test_the_fund_makes_good_the_principal_of_covered_parts() -> None:
    of = parts(covered=np.array([True, False]))
    owed = exposures(of, fund_pays=1.0)
    # £10 and the month's 10p of interest; of the covered one only the interest.
    assert owed.loss.tolist() == [1_010, 1_010]
    assert owed.loss_with_fund.tolist() == [10, 1_010]
    assert exposures(of, fund_pays=0.5).loss_with_fund.tolist() == [510, 1_010]
    assert expect(of, correlation=0.04, fund_pays=0.0).with_fund.worst_loss == 2_020
    found = expect(of, correlation=0.04)
    assert found.covered == 1_000
    assert found.with_fund.worst_loss == 1_020
    assert found.with_fund.expected_profit == pytest.approx(
        found.without_fund.expected_profit + 0.1 * 1_000
    )


def test_parts_of_one_borrower_default_together() -> None:
    together = expect(parts(borrower=np.array([7, 7])), correlation=0.0)
    assert (together.parts, together.borrowers) == (2, 1)
    assert together.without_fund.chance_of_loss == pytest.approx(0.1)
    apart = expect(parts(), correlation=0.0)
    assert together.without_fund.expected_profit == apart.without_fund.expected_profit


def test_lenders_are_kept_apart() -> None:
    owed = exposures(parts(4, borrower=np.array([1, 2, 1, 1])), np.array([0, 0, 1, 1]))
    assert owed.offsets.tolist() == [0, 2, 3]
    assert owed.loss.tolist() == [1_010, 1_010, 2_020]
    assert owed.earned.tolist() == [20, 20]


def test_more_borrowers_narrow_the_range() -> None:
    count = 40
    of = parts(count, pd12=np.linspace(0.05, 0.4, count), months=np.full(count, 12))
    found = expect(of, correlation=0.04)
    assert [at.borrowers for at in found.narrowing] == [10, 20, 40, 80, 160]
    widths = [at.outcomes.return_high - at.outcomes.return_low for at in found.narrowing]
    assert widths == sorted(widths, reverse=True)
    assert widths[0] > 1.5 * widths[-1]
    for at in found.narrowing:
        assert at.outcomes.expected_profit == pytest.approx(
            found.without_fund.expected_profit, abs=count
        )


def test_a_mix_over_other_numbers_of_borrowers() -> None:
    owed = exposures(parts(2, pd12=np.array([1 - 0.5**12, 1 - 0.9**12])))
    # One in two and one in ten: over four of half the size twice each, over one the mean.
    chances, losses = spread_over(owed, 4)
    assert chances == pytest.approx([0.1, 0.1, 0.5, 0.5])
    assert losses.tolist() == [505] * 4
    chances, losses = spread_over(owed, 1)
    assert chances == pytest.approx([0.3])
    assert losses.tolist() == [2_020]


def test_returns_in_a_year() -> None:
    # £1 on £100 for a month; £12 lost of £1 at work; nothing at work.
    found = return_in_year([100, -1_200, 0], [10_000, 100, 0])
    assert found == pytest.approx([1.01**12 - 1, -1, 0])


REFUSED: list[dict[str, Any]] = [
    {"pd12": np.array([0.1, 1.0])},
    {"pd12": np.array([0.1, float("nan")])},
    {"rate": np.array([0.1, float("inf")])},
    {"rate": np.array([0.1, -0.1])},
    {"loss_given_default": np.array([0.1, 1.1])},
    {"servicing_fee": np.array([0.1, -0.1])},
    {"months": np.array([1, 0])},
    {"months": np.array([1, 601])},
    {"outstanding": np.array([1_000, -1])},
    {"outstanding": np.array([0, 0])},
    {"recovery_lag_months": np.array([0, -1])},
    {"covered": np.array([True])},
]


@pytest.mark.parametrize("wrong", REFUSED)
def test_what_can_not_be_used_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ExpectationRefused):
        expect(parts(**wrong), correlation=0.04)


def test_nothing_and_a_fund_out_of_range_are_refused() -> None:
    with pytest.raises(ExpectationRefused):
        expect(parts(0), correlation=0.04)
    with pytest.raises(ExpectationRefused):
        expect(parts(), correlation=0.04, fund_pays=1.5)
