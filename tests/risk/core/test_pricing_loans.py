"""Whole prices: by hand, against month-by-month cash flows, and laws."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from risk.core.cash_flows import CashFlowTable, cash_flow_table
from risk.core.errors import PricingRefused
from risk.core.pricing import (
    HazardShape,
    LossTerms,
    PricingTerms,
    expected_loss,
    guide_rate,
    instalment_share,
)
from risk.core.pricing_loans import Pricing, appraise_loans, price_loans

HOUSE = LossTerms(loss_given_default=0.8, recovery_lag_months=12, servicing_fee=0.01)
PLAIN = PricingTerms(HOUSE, prepayment=0.06, buffer=0.1)
# Few go bad at first, most in the second year.
HUMP = HazardShape((0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.4, 1.5, 1.6, 1.6, 1.5, 1.3, 1.0, 0.8), 24)
AGEING = PricingTerms(HOUSE, prepayment=0.06, buffer=0.1, shape=HUMP)
ONE_IN_A_HUNDRED = 1 - 0.99**12

shapes = st.one_of(
    st.none(),
    st.builds(
        HazardShape,
        st.lists(st.floats(0.05, 3), min_size=1, max_size=40).map(tuple),
        st.integers(1, 36),
    ),
)
all_terms = st.builds(
    PricingTerms,
    st.builds(LossTerms, st.floats(0, 1), st.integers(0, 36), st.floats(0, 0.03)),
    st.sampled_from([0.0, 0.06, 0.5]),
    st.floats(0, 0.5),
    shapes,
)


def test_two_months_by_hand() -> None:
    """Half of a defaulted balance comes back at once, 1 in 100 goes bad a month, no fee."""
    terms = PricingTerms(LossTerms(0.5, 0, 0.0), buffer=0.1)
    priced = price_loans(ONE_IN_A_HUNDRED, 2, 0.0, terms)
    # A target of nothing: .99 (1 + r) + .01 x .5 = 1, so that r = .995 / .99 - 1 = .50505 %.
    rate = 0.995 / 0.99 - 1
    assert float(priced.gross_rate) == pytest.approx((1 + rate) ** 12 - 1, abs=1e-14)
    # Two instalments of A repay 1: A/(1 + r) + A/(1 + r)^2 = 1.
    assert float(priced.instalment) == pytest.approx((1 + rate) ** 2 / (2 + rate), abs=1e-15)
    # After the first, (1 + r) - A is left: about a half, for 99 of 100.
    left = 1 + rate - (1 + rate) ** 2 / (2 + rate)
    loss = 0.5 * (0.01 + 0.99 * 0.01 * left)
    assert float(priced.expected_loss) == pytest.approx(loss, abs=1e-15)
    assert (float(priced.contribution), float(priced.arrangement_fee)) == (0.0, 0.0)
    assert float(priced.apr) == pytest.approx(float(priced.gross_rate), abs=1e-13)

    covered = price_loans(ONE_IN_A_HUNDRED, 2, 0.0, terms, covered=True, own_fee_ppm=20_000)
    # No loss and no fee: lent at nothing, repaid in halves; the loss is on 1 and then on .5.
    assert float(covered.gross_rate) == pytest.approx(0.0, abs=1e-15)
    assert float(covered.instalment) == pytest.approx(0.5)
    contribution = 0.5 * (0.01 + 0.99 * 0.01 * 0.5) * 1.1
    assert float(covered.contribution) == pytest.approx(contribution, abs=1e-15)
    fee = contribution + 0.02
    assert float(covered.arrangement_fee) == pytest.approx(fee, abs=1e-15)
    # .5 u + .5 u^2 = 1 - fee, with 1 + APR = u^-12.
    u = (-1 + (1 + 8 * (1 - fee)) ** 0.5) / 2
    assert float(covered.apr) == pytest.approx(u**-12 - 1, abs=1e-12)
    # Without the fund the lender is short of a half of 1 in 100 each month.
    assert float(covered.expected_return) == pytest.approx(0.0, abs=1e-15)
    assert float(covered.uncovered_return) == pytest.approx(0.995**12 - 1, abs=1e-14)


def test_three_months_of_cash_flows_by_hand() -> None:
    # At no interest a third is repaid a month; 1 in 100 goes bad, a fifth comes back a month
    # later, and a tenth of the others repay early.
    terms = PricingTerms(LossTerms(0.8, 1, 0.12), prepayment=1 - 0.9**12)
    table = cash_flow_table(0.0, ONE_IN_A_HUNDRED, 3, terms)
    assert table.month.tolist() == [1, 2, 3, 4]
    stays = 0.99 * 0.9
    assert table.running == pytest.approx([1, stays, stays**2, 0])
    assert table.balance == pytest.approx([1, 2 / 3, 1 / 3, 0])
    assert table.principal == pytest.approx([0.99 / 3, stays * 0.99 / 3, stays**2 * 0.99 / 3, 0])
    assert table.prepaid == pytest.approx([0.099 * 2 / 3, stays * 0.099 / 3, 0, 0])
    bad = np.array([0.01, stays * 0.01 * 2 / 3, stays**2 * 0.01 / 3])
    assert table.defaulted == pytest.approx([*bad, 0])
    assert table.recovered == pytest.approx([0, *(bad * 0.2)])
    # A fee of 1 % of the balance would be due, but there is no interest to keep it from.
    assert table.fee.tolist() == [0, 0, 0, 0]
    assert table.to_lender == pytest.approx(table.principal + table.prepaid + table.recovered)


@given(
    st.floats(0, 0.6),
    st.floats(0, 0.3),
    st.sampled_from([1, 2, 12, 36, 60, 61]),
    all_terms,
    st.booleans(),
)
@settings(max_examples=200, deadline=None)
def test_the_cash_flows_at_the_solved_rate_are_worth_the_amount(
    pd12: float,
    target: float,
    months: int,
    terms: PricingTerms,
    covered: bool,  # noqa: FBT001 - drawn, not called
) -> None:
    # A contribution of nearly the whole amount has no price.
    assume(not covered or expected_loss(0.3, pd12, months, terms) * (1 + terms.buffer) < 0.9)
    priced = price_loans(pd12, months, target, terms, covered=covered)
    table = cash_flow_table(float(priced.gross_rate), pd12, months, terms, covered=covered)
    assert table.worth(target) == pytest.approx(1.0, abs=1e-10)
    assert float(priced.expected_return) == pytest.approx(target, abs=1e-10)
    lost = table.defaulted.sum() * terms.losses.loss_given_default
    assert float(priced.expected_loss) == pytest.approx(lost, abs=1e-11)
    alone = cash_flow_table(float(priced.gross_rate), pd12, months, terms)
    assert alone.worth(float(priced.uncovered_return)) == pytest.approx(1.0, abs=1e-9)
    assert (table.fee <= table.interest + 1e-18).all()
    assert table.principal.sum() + table.prepaid.sum() + table.defaulted.sum() == pytest.approx(1)


@given(
    st.floats(0, 0.2),
    st.floats(0, 0.02),
    st.integers(1, 60),
    all_terms,
)
@settings(deadline=None)
def test_the_fee_is_never_above_the_interest(
    pd12: float, gross: float, months: int, terms: PricingTerms
) -> None:
    table = cash_flow_table(gross, pd12, months, terms)
    assert (table.fee <= table.interest + 1e-18).all()
    found = appraise_loans(pd12, months, gross, terms)
    assert table.worth(float(found.expected_return)) == pytest.approx(1.0, abs=1e-9)


@given(
    st.floats(0, 0.5),
    st.floats(0, 0.2),
    st.sampled_from([1, 12, 36, 60]),
    st.floats(0, 0.9),
)
@settings(deadline=None)
def test_prepayment_at_par_leaves_a_constant_hazard_s_rate_alone(
    pd12: float, target: float, months: int, prepayment: float
) -> None:
    """The rate earns the target on every balance, so it doesn't matter how long one lasts.

    By induction from the last month: if what is still owed is worth itself, a month that brings
    1 + y per unit, instalment and the rest of the balance together, is worth its opening balance,
    whether the rest is repaid at once or goes on.
    """
    never = price_loans(pd12, months, target, PricingTerms(HOUSE))
    often = PricingTerms(HOUSE, prepayment=prepayment)
    table = cash_flow_table(float(never.gross_rate), pd12, months, often)
    assert table.worth(target) == pytest.approx(1.0, abs=1e-10)
    assert float(price_loans(pd12, months, target, often).gross_rate) == float(never.gross_rate)


def test_prepayment_moves_the_rate_where_the_hazard_ages() -> None:
    # The bad months come late; early repayment keeps loans from getting there.
    late = HazardShape((0.0,) * 12 + (1.0,), 24)
    rates = [
        float(price_loans(0.05, 36, 0.05, PricingTerms(HOUSE, paid, shape=late)).gross_rate)
        for paid in (0.0, 0.3, 0.6)
    ]
    assert rates[0] > rates[1] > rates[2]


def test_equal_weights_are_the_constant_hazard() -> None:
    flat = PricingTerms(HOUSE, 0.06, 0.1, HazardShape((1.0, 1.0, 1.0), 24))
    pds = [0.001, 0.02, 0.3]
    one, other = (price_loans(pds, 60, 0.05, terms) for terms in (PLAIN, flat))
    for field in fields(Pricing):
        assert getattr(one, field.name) == pytest.approx(getattr(other, field.name), abs=1e-12)


def test_a_shape_keeps_the_pd_of_its_months() -> None:
    # Weights 1, 2, 3 and 3 again add up to 9 over 4 months: scaled by 4/9.
    assert HazardShape((1.0, 2.0, 3.0), 4).over(5) == pytest.approx(
        np.array([4, 8, 12, 12, 12]) / 9
    )
    table = cash_flow_table(0.05, 0.04, 24, PricingTerms(HOUSE, shape=HUMP))
    survives = np.prod(1 - table.hazard[:24])
    # 24 months at 4 % a year: 1 - .96^2 = 7.84 % go bad.
    assert 1 - survives == pytest.approx(0.0784)


@pytest.mark.parametrize("terms", [PLAIN, AGEING])
def test_more_risk_costs_more_and_more_so_the_longer(terms: PricingTerms) -> None:
    pds = np.linspace(0, 0.3, 50)
    for covered in (False, True):
        priced = price_loans(pds, 36, 0.05, terms, covered=covered, own_fee_ppm=10_000)
        assert (np.diff(priced.expected_loss) > 0).all()
        assert (np.diff(priced.apr) > 0).all()
        assert (np.diff(priced.uncovered_return) <= 1e-9).all()
    assert (np.diff(price_loans(pds, 36, 0.05, terms).gross_rate) > 0).all()


def test_the_fee_is_the_house_s_part_and_the_contribution() -> None:
    priced = price_loans(
        [0.02, 0.02], 36, 0.05, PLAIN, covered=[True, False], own_fee_ppm=[7_500, 30_000]
    )
    assert priced.contribution == pytest.approx([1.1 * float(priced.expected_loss[0]), 0])
    assert priced.arrangement_fee == pytest.approx([0.0075 + priced.contribution[0], 0.03])
    assert priced.gross_rate[1] == pytest.approx(float(guide_rate(0.02, 0.05, HOUSE)))


@given(st.floats(0, 0.5), st.floats(0, 0.95), st.sampled_from([1, 7, 36, 60, 120]))
@settings(deadline=None)
def test_the_apr_makes_instalments_worth_what_is_paid_out(
    gross: float, fee: float, months: int
) -> None:
    terms = PricingTerms(LossTerms(0.0, 0, 0.0))
    found = appraise_loans(0.0, months, gross, terms, own_fee_ppm=fee * 1e6)
    instalment = float(instalment_share(gross, months))
    discount = (1 + float(found.apr)) ** (-np.arange(1, months + 1) / 12)
    assert instalment * discount.sum() == pytest.approx(1 - fee, rel=1e-9)
    assert float(found.apr) >= gross - 1e-13


@pytest.mark.parametrize("terms", [PLAIN, AGEING])
def test_a_book_is_priced_as_its_loans_are_one_by_one(terms: PricingTerms) -> None:
    rng = np.random.default_rng(11)
    count = 30_000
    pds, targets = rng.uniform(0, 0.3, count), rng.uniform(0, 0.12, count)
    months, covered = rng.choice([12, 36, 60], count), rng.random(count) < 0.5
    fees = rng.integers(0, 40_000, count)
    book = price_loans(pds, months, targets, terms, covered=covered, own_fee_ppm=fees)
    assert np.abs(book.expected_return - targets).max() < 1e-10
    for place in rng.integers(0, count, 60).tolist():
        one = price_loans(
            pds[place],
            months[place],
            targets[place],
            terms,
            covered=covered[place],
            own_fee_ppm=fees[place],
        )
        for field in fields(Pricing):
            mine, alone = getattr(book, field.name)[place], float(getattr(one, field.name))
            assert mine == pytest.approx(alone, abs=5e-11), field.name
        table: CashFlowTable = cash_flow_table(
            float(book.gross_rate[place]),
            pds[place],
            months[place],
            terms,
            covered=bool(covered[place]),
        )
        assert table.worth(targets[place]) == pytest.approx(1.0, abs=1e-10)


def test_the_shape_of_the_answer_is_that_of_the_question() -> None:
    assert price_loans(0.01, 36, 0.05, PLAIN).apr.shape == ()
    assert price_loans([[0.01], [0.02]], [36, 60, 1], 0.05, AGEING).apr.shape == (2, 3)
    assert price_loans([], 36, 0.05, PLAIN).apr.shape == (0,)


@pytest.mark.parametrize("terms", [PLAIN, AGEING])
@pytest.mark.parametrize(
    "asked",
    [
        {"pd12": 1.0},
        {"pd12": float("nan")},
        {"pd12": -0.01},
        {"term_months": 0},
        {"term_months": 36.5},
        {"target": float("nan")},
        {"target": -1.0},
        {"target": -0.2},
        {"own_fee_ppm": -1},
        {"own_fee_ppm": 1_000_000},
        {"own_fee_ppm": 990_000, "covered": True, "pd12": 0.1},
        {"covered": 2},
    ],
)
def test_what_has_no_price_is_refused(terms: PricingTerms, asked: dict[str, float]) -> None:
    usual: dict[str, float] = {"pd12": 0.02, "term_months": 36, "target": 0.05}
    with pytest.raises(PricingRefused):
        price_loans(terms=terms, **(usual | asked))
