"""Pricing: worked examples, a brute-force cash-flow table, and laws."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from risk.core.errors import PricingRefused
from risk.core.pricing import (
    HazardShape,
    LossTerms,
    PricingTerms,
    annual_rate,
    expected_loss,
    from_ppm,
    guide_rate,
    instalment_share,
    monthly_hazard,
    monthly_rate,
    net_return,
    pd_in_year,
    to_ppm,
)

NO_LOSS = LossTerms(loss_given_default=0.0, recovery_lag_months=0, servicing_fee=0.0)
ALL_LOST = LossTerms(loss_given_default=1.0, recovery_lag_months=0, servicing_fee=0.0)
HOUSE = LossTerms(loss_given_default=0.8, recovery_lag_months=12, servicing_fee=0.01)

chances = st.floats(0, 0.6)
targets = st.floats(0, 0.3)
losses = st.builds(
    LossTerms,
    loss_given_default=st.floats(0, 1),
    recovery_lag_months=st.integers(0, 36),
    servicing_fee=st.floats(0, 0.03),
)


def test_pd_of_two_years_in_one() -> None:
    # Surviving two years of 2 % each: 1 - .98 x .98 = .0396.
    assert pd_in_year(0.0396, 24) == pytest.approx(0.02)
    assert pd_in_year(0.02, 12) == pytest.approx(0.02)


def test_hazard_of_a_year_of_one_percent_months() -> None:
    assert monthly_hazard(1 - 0.99**12) == pytest.approx(0.01)


def test_without_losses_the_rate_is_target_and_fee() -> None:
    assert guide_rate(0.0, 0.05, NO_LOSS) == pytest.approx(0.05)
    fee = LossTerms(0.0, 0, 0.012)
    assert guide_rate(0.0, 0.0, fee) == pytest.approx(1.001**12 - 1)


def test_when_all_is_lost_the_living_pay_for_the_dead() -> None:
    # One in a hundred goes bad each month and nothing comes back: 99 must pay what 100 owe.
    assert guide_rate(1 - 0.99**12, 0.0, ALL_LOST) == pytest.approx((100 / 99) ** 12 - 1)


def test_what_comes_back_at_once_and_whole_is_no_loss() -> None:
    # The balance comes back, but that month's interest doesn't: .99 (1 + r) + .01 = 1 + y.
    y = 1.05 ** (1 / 12) - 1
    expected = (1 + y - 0.01) / 0.99
    assert guide_rate(1 - 0.99**12, 0.05, NO_LOSS) == pytest.approx(expected**12 - 1)


def test_instalment_of_the_house_fixture() -> None:
    # £480 at 6.9 % and £520 at 7.1 % fund £1,000 over 36 months at 7.004 %: £30.78 a month.
    assert round(1_000 * float(instalment_share(0.07004, 36)), 2) == 30.78
    assert instalment_share(0.0, 36) == pytest.approx(1 / 36)


def test_expected_loss_of_one_and_two_months() -> None:
    pd12 = 1 - 0.99**12
    half = LossTerms(0.5, 0, 0.0)
    assert expected_loss(0.0, pd12, 1, half) == pytest.approx(0.01 * 0.5)
    # The second month half of the balance is left, and 99 of 100 are alive.
    assert expected_loss(0.0, pd12, 2, half) == pytest.approx((0.01 + 0.99 * 0.01 / 2) * 0.5)


def _value_of_cash_flows(
    gross: float, pd12: float, months: int, terms: LossTerms, target: float, prepays: float
) -> float:
    """What a lender of 1 expects, month by month, discounted at the target."""
    # Not by subtracting from one: of a rate near nothing too few digits would be left.
    rate = math.expm1(math.log1p(gross) / 12)
    hazard = 1 - (1 - pd12) ** (1 / 12)
    v = (1 + target) ** (-1 / 12)
    instalment = rate / -math.expm1(-months * math.log1p(rate)) if rate else 1 / months
    balance, alive, value = 1.0, 1.0, 0.0
    for month in range(1, months + 1):
        interest = balance * rate
        fee = balance * terms.servicing_fee / 12
        principal = instalment - interest
        bad = alive * hazard
        back = balance * (1 - terms.loss_given_default)
        value += bad * back * v ** (month + terms.recovery_lag_months)
        paying = alive - bad
        value += paying * (interest + principal - fee) * v**month
        balance -= principal
        value += paying * prepays * balance * v**month
        alive = paying * (1 - prepays)
    return value


@given(chances, targets, st.sampled_from([12, 36, 60]), losses, st.sampled_from([0.0, 0.01, 0.2]))
def test_expected_cash_flows_at_the_guide_rate_are_worth_the_loan(
    pd12: float, target: float, months: int, terms: LossTerms, prepays: float
) -> None:
    gross = float(guide_rate(pd12, target, terms))
    value = _value_of_cash_flows(gross, pd12, months, terms, target, prepays)
    assert value == pytest.approx(1.0, abs=1e-9)


@given(chances, targets, losses)
def test_net_return_is_the_inverse_of_the_guide_rate(
    pd12: float, target: float, terms: LossTerms
) -> None:
    gross = guide_rate(pd12, target, terms)
    assert float(net_return(gross, pd12, terms)) == pytest.approx(target, abs=1e-10)


@given(st.floats(0.02, 0.5), chances, losses)
def test_guide_rate_is_the_inverse_of_net_return(
    gross: float, pd12: float, terms: LossTerms
) -> None:
    assume(gross > (1 + terms.servicing_fee / 12) ** 12 - 1)
    expected = net_return(gross, pd12, terms)
    assert float(guide_rate(pd12, expected, terms)) == pytest.approx(gross, abs=1e-9)


@given(st.lists(chances, min_size=2, max_size=20, unique=True), targets, losses)
def test_a_riskier_loan_never_costs_less(pds: list[float], target: float, terms: LossTerms) -> None:
    rates = guide_rate(np.sort(pds), target, terms)
    assert (np.diff(rates) >= -1e-12).all()


@given(chances, st.floats(0.02, 0.4), losses)
def test_a_higher_rate_never_earns_less(pd12: float, gross: float, terms: LossTerms) -> None:
    lower, higher = net_return([gross + 0.02, gross + 0.03], pd12, terms)
    assert higher > lower


@given(chances, st.integers(1, 60), losses)
def test_expected_loss_is_between_nothing_and_everything(
    pd12: float, months: int, terms: LossTerms
) -> None:
    loss = float(expected_loss(0.1, pd12, months, terms))
    assert 0 <= loss <= terms.loss_given_default
    assert loss <= float(expected_loss(0.1, pd12, months + 1, terms)) + 1e-12


@given(chances, st.integers(1, 60), losses, st.sampled_from([0.0, 0.06, 0.5]), st.floats(0, 0.4))
def test_expected_loss_is_the_sum_of_its_months(
    pd12: float, months: int, terms: LossTerms, prepays: float, gross: float
) -> None:
    whole = PricingTerms(terms, prepayment=prepays)
    rate = (1 + gross) ** (1 / 12) - 1
    growth = [(1 + rate) ** month for month in range(months)]
    hazard = 1 - (1 - pd12) ** (1 / 12)
    stays = (1 - hazard) * (1 - prepays) ** (1 / 12)
    # Principal grows with the rate from month to month; what is left is what isn't repaid yet.
    left = [sum(growth[month:]) / sum(growth) for month in range(months)]
    lost = sum(stays**month * hazard * left[month] for month in range(months))
    ours = float(expected_loss(gross, pd12, months, whole))
    assert ours == pytest.approx(lost * terms.loss_given_default, abs=1e-12)


def test_terms_of_many_lengths_at_once() -> None:
    months = np.array([[60, 1], [36, 36]])
    found = expected_loss([[0.05, 0.1], [0.05, 0.0]], 0.04, months, HOUSE)
    for place in np.ndindex(2, 2):
        rate = [[0.05, 0.1], [0.05, 0.0]][place[0]][place[1]]
        alone = expected_loss(rate, 0.04, int(months[place]), HOUSE)
        assert found[place] == pytest.approx(float(alone), abs=1e-15)


def test_a_covered_lender_asks_for_target_and_fee() -> None:
    # 5 % a year is .4074 % a month, the fee 1/12 of 1 %; what the risk is doesn't matter.
    expected = (1.05 ** (1 / 12) + 0.01 / 12) ** 12 - 1
    rates = guide_rate([0.0, 0.2], 0.05, HOUSE, covered=True)
    assert rates == pytest.approx([expected, expected], abs=1e-14)
    earned = net_return(rates, [0.0, 0.2], HOUSE, covered=[True, False])
    assert earned[0] == pytest.approx(0.05, abs=1e-14)
    assert earned[1] < 0


def test_a_rate_under_the_fee_leaves_nothing_and_no_less() -> None:
    assert net_return([0.0, 0.005, 0.01], 0.0, HOUSE) == pytest.approx([0.0, 0.0, 0.0], abs=1e-15)
    # One in a hundred goes bad each month and nothing comes back: 99 % of the balance a month.
    bare = LossTerms(1.0, 0, 0.01)
    assert net_return(0.005, 1 - 0.99**12, bare) == pytest.approx(0.99**12 - 1)


def test_a_million_loans_broadcast() -> None:
    pd12 = np.linspace(0.001, 0.2, 100_000)
    rates = guide_rate(pd12, 0.05, HOUSE)
    assert rates.shape == pd12.shape
    assert np.abs(net_return(rates, pd12, HOUSE) - 0.05).max() < 1e-10


def test_ppm_rounds_half_to_even_and_back() -> None:
    assert to_ppm([0.07125, 0.0000005, 0.0000015]).tolist() == [71_250, 0, 2]
    assert from_ppm([71_250]).tolist() == [0.07125]
    with pytest.raises(PricingRefused):
        to_ppm(float("nan"))


def test_monthly_and_annual_rates_are_inverse() -> None:
    assert annual_rate(monthly_rate(0.07)) == pytest.approx(0.07)


@pytest.mark.parametrize("chance", [-0.01, 1.0, float("nan")])
def test_a_chance_outside_its_range_is_refused(chance: float) -> None:
    with pytest.raises(PricingRefused):
        guide_rate(chance, 0.05, HOUSE)
    with pytest.raises(PricingRefused):
        pd_in_year(chance, 24)


def test_what_is_no_rate_or_term_is_refused() -> None:
    with pytest.raises(PricingRefused):
        monthly_rate(-1.0)
    with pytest.raises(PricingRefused, match="0 or more"):
        net_return(-0.005, 0.01, HOUSE)
    with pytest.raises(PricingRefused, match="servicing fee"):
        guide_rate(0.0, -0.001, HOUSE)
    with pytest.raises(PricingRefused):
        instalment_share(0.05, 0)
    with pytest.raises(PricingRefused):
        pd_in_year(0.05, 0)
    with pytest.raises(PricingRefused, match="true or false"):
        guide_rate(0.05, 0.05, HOUSE, covered="yes")
    for months in (0, 601, 1.5, float("nan")):
        with pytest.raises(PricingRefused, match="whole number of months"):
            expected_loss(0.05, 0.05, months, HOUSE)


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: LossTerms(1.1, 12, 0.01), "loss_given_default"),
        (lambda: LossTerms(float("nan"), 12, 0.01), "loss_given_default"),
        (lambda: LossTerms(0.8, -1, 0.01), "recovery_lag_months"),
        (lambda: LossTerms(0.8, 12, -0.01), "servicing_fee"),
        (lambda: PricingTerms(HOUSE, prepayment=1.0), "prepayment"),
        (lambda: PricingTerms(HOUSE, prepayment=-0.1), "prepayment"),
        (lambda: PricingTerms(HOUSE, buffer=-0.1), "buffer"),
        (lambda: HazardShape((), 24), "weights"),
        (lambda: HazardShape((1.0, -1.0), 24), "weights"),
        (lambda: HazardShape((1.0, math.inf), 24), "weights"),
        (lambda: HazardShape((0.0, 1.0), 1), "weights"),
        (lambda: HazardShape((1.0,), 0), "kept_months"),
    ],
)
def test_terms_outside_their_range_are_refused(make: Callable[[], object], field: str) -> None:
    with pytest.raises(PricingRefused) as refused:
        make()
    assert refused.value.field == field
