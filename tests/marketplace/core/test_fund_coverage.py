"""How far the fund goes: worked by hand, against month-by-month cash flows, and how it is said."""

from __future__ import annotations

import re
from statistics import NormalDist

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from marketplace.core.fund_coverage import (
    NO_GUARANTEE,
    CoveredLoans,
    FundFigures,
    Stress,
    coverage,
    losses_to_come,
)
from marketplace.core.provision_fund import PPM
from risk.core.cash_flows import cash_flow_table
from risk.core.pricing import LossTerms, PricingTerms

TERMS = PricingTerms(LossTerms(0.8, 12, 0.01), prepayment=0.06, buffer=0.1)
PENCE = st.integers(0, 10**10)


def _loans(**columns: list[float] | list[int] | list[bool]) -> CoveredLoans:
    given_columns = {
        "outstanding": [100_000],
        "overdue_interest": [0],
        "frozen_loss": [20_000],
        "rate": [70_000],
        "term": [36],
        "months_left": [36],
        "pd12": [0.02],
        "correlation": [0.04],
        "in_trouble": [False],
    } | columns
    return CoveredLoans(**{name: np.array(column) for name, column in given_columns.items()})


def test_a_loan_just_paid_out_has_its_whole_forecast_before_it() -> None:
    # £1,000 at a frozen lifetime loss of 2 %: £20.00. £550 with 60 months, 3.5 %: £19.25.
    found = losses_to_come(
        _loans(
            outstanding=[100_000, 55_000],
            frozen_loss=[20_000, 35_000],
            term=[36, 60],
            months_left=[36, 60],
            overdue_interest=[0, 0],
            rate=[70_000, 81_000],
            pd12=[0.02, 0.03],
            correlation=[0.04, 0.04],
            in_trouble=[False, False],
        ),
        TERMS,
    )
    assert found.expected.tolist() == [2_000, 1_925]


def test_half_way_there_is_left_what_the_months_to_come_lose() -> None:
    # Independently, from the cash flows of a loan of 1 over 36 months: what it loses from month 19
    # on, given that it still runs then, per unit owed then; the frozen 2 % beside its whole loss.
    flows = cash_flow_table(0.07, 0.02, 36, TERMS)
    lost = flows.defaulted[:36] * 0.8
    ahead = lost[18:].sum() / (flows.running[18] * flows.balance[18])
    expected = 54_321 * 0.02 * ahead / lost.sum()
    found = losses_to_come(_loans(outstanding=[54_321], months_left=[18]), TERMS)
    assert found.expected.tolist() == [round(expected)]
    assert found.expected[0] < 54_321 * 0.02


def test_one_month_is_left_at_least() -> None:
    late = losses_to_come(_loans(months_left=[0]), TERMS)
    last = losses_to_come(_loans(months_left=[1]), TERMS)
    assert late.expected.tolist() == last.expected.tolist()
    assert late.expected[0] > 0


def test_stress_is_a_bad_year_with_half_the_recoveries_and_overdue_interest() -> None:
    # £1,000 just paid out, one month long: expected loss £20 at 80 % means £25 defaulting. The
    # chance to default in the month is p = 1 - .98^(1/12); in the stress it is
    # Phi((Phi^-1(p) - sqrt(.04) Phi^-1(.01)) / sqrt(.96)). Half of the 20 % comes back: 90 % lost.
    # With it go four months' interest.
    normal = NormalDist()
    chance = 1 - 0.98 ** (1 / 12)
    worse = normal.cdf((normal.inv_cdf(chance) - 0.2 * normal.inv_cdf(0.01)) / 0.96**0.5)
    monthly = 1.07 ** (1 / 12) - 1
    expected = 2_500 * worse / chance * (1 + 4 * monthly) * 0.9
    found = losses_to_come(_loans(term=[1], months_left=[1]), TERMS)
    assert found.expected.tolist() == [2_000]
    assert found.stressed.tolist() == [int(np.ceil(expected))]


def test_stress_takes_loans_in_trouble_as_lost() -> None:
    # £1,000 and £15 of overdue interest, half of the 20 % recovered: 90 % of 101,500p.
    found = losses_to_come(_loans(overdue_interest=[1_500], in_trouble=[True]), TERMS)
    assert found.stressed.tolist() == [91_350]
    assert found.expected.tolist() == [2_000]


def test_without_a_chance_to_default_or_a_loss_there_is_none() -> None:
    none = losses_to_come(_loans(frozen_loss=[0], pd12=[0.0], correlation=[0.0]), TERMS)
    assert none.expected.tolist() == [0]
    assert none.stressed.tolist() == [0]
    all_back = PricingTerms(LossTerms(0.0, 12, 0.01))
    assert losses_to_come(_loans(frozen_loss=[0]), all_back).expected.tolist() == [0]


@given(
    outstanding=st.integers(0, 2_500_000),
    overdue=st.integers(0, 100_000),
    frozen=st.integers(0, PPM),
    rate=st.integers(0, 400_000),
    term=st.integers(1, 60),
    left=st.integers(0, 60),
    pd=st.floats(0, 0.99),
    correlation=st.floats(0, 0.5),
    lgd=st.floats(0, 1),
    trouble=st.booleans(),
)
def test_stressed_losses_are_never_below_expected_ones(
    *,
    outstanding: int,
    overdue: int,
    frozen: int,
    rate: int,
    term: int,
    left: int,
    pd: float,
    correlation: float,
    lgd: float,
    trouble: bool,
) -> None:
    found = losses_to_come(
        _loans(
            outstanding=[outstanding],
            overdue_interest=[overdue],
            frozen_loss=[frozen],
            rate=[rate],
            term=[term],
            months_left=[left],
            pd12=[pd],
            correlation=[correlation],
            in_trouble=[trouble],
        ),
        PricingTerms(LossTerms(lgd, 12, 0.01), prepayment=0.06),
    )
    assert 0 <= found.expected[0] <= outstanding
    assert found.stressed[0] >= found.expected[0]


def test_a_milder_stress_loses_less() -> None:
    one_in_a_hundred = losses_to_come(_loans(), TERMS).stressed[0]
    one_in_five = losses_to_come(_loans(), TERMS, Stress(chance=0.2)).stressed[0]
    assert one_in_five < one_in_a_hundred


FIGURES = FundFigures(
    balance=653_000,
    waiting=20_000,
    losses=757_000,
    stressed_losses=1_500_000,
    contributions=110_000,
    coming_losses=100_000,
    coming_stressed_losses=200_000,
    recoveries=150_000,
    stressed_recoveries=75_000,
)


def test_the_four_ratios_worst_first() -> None:
    found = coverage(FIGURES)
    # Stressed, without: 653 / 1,520 = .4296; with: (653 + 110 + 75) / (1,520 + 200) = .4872.
    # Expected, without: 653 / 777 = .8404; with: (653 + 110 + 150) / (777 + 100) = 1.0410.
    assert [(r.stressed, r.with_income, r.times) for r in found.ratios] == [
        (True, False, "0.42"),
        (True, True, "0.48"),
        (False, False, "0.84"),
        (False, True, "1.04"),
    ]
    assert [(r.money, r.losses) for r in found.ratios] == [
        (653_000, 1_520_000),
        (838_000, 1_720_000),
        (653_000, 777_000),
        (913_000, 877_000),
    ]
    assert not found.covers_expected
    assert "would not cover" in found.headline


def test_future_income_that_brings_more_losses_than_money_is_no_help() -> None:
    found = coverage(
        FundFigures(
            balance=1_000, losses=500, stressed_losses=900, contributions=10, coming_losses=9,
            coming_stressed_losses=1_000,
        )
    )  # fmt: skip
    # Stressed: 1,000 / 900 without, 1,010 / 1,900 with. The worst is the first, whichever it is.
    assert (found.ratios[0].stressed, found.ratios[0].with_income) == (True, True)
    assert found.ratios[0].times == "0.53"


def test_a_ratio_is_never_said_without_its_two_sides() -> None:
    for ratio in coverage(FIGURES).ratios:
        assert f"£{ratio.money // 100:,}.00 for £{ratio.losses // 100:,}.00" in ratio.sentence
        assert ratio.times in ratio.sentence
    below = coverage(FIGURES).ratio(stressed=False, with_income=False)
    assert below.missing == 124_000
    assert "would not cover these losses: £1,240.00 missing" in below.sentence
    above = coverage(FIGURES).ratio(stressed=False, with_income=True)
    assert above.missing == 0
    assert "would not cover" not in above.sentence


def test_nearly_is_not_all() -> None:
    [worst, *_] = coverage(
        FundFigures(balance=99_999, losses=100_000, stressed_losses=100_000)
    ).ratios
    assert worst.times == "0.99"
    assert worst.ppm == 999_990
    assert "would not cover" in worst.sentence


def test_without_losses_there_is_no_ratio() -> None:
    found = coverage(FundFigures(balance=50_000))
    assert [r.ppm for r in found.ratios] == [None] * 4
    assert all("no losses" in r.sentence for r in found.ratios)
    assert found.covers_expected
    empty = coverage(FundFigures())
    assert empty.covers_expected


def test_an_empty_fund_covers_nothing() -> None:
    found = coverage(FundFigures(losses=1, stressed_losses=1))
    assert found.ratios[0].ppm == 0
    assert not found.covers_expected


def test_the_warning_says_that_it_is_no_guarantee() -> None:
    said = coverage(FIGURES).warning
    assert said == NO_GUARANTEE
    for word in ("discretionary", "nobody a right", "not be enough", "no guarantee"):
        assert word in said
    promising = re.compile(
        r"\b(safe|secure|protected|protects|guaranteed|insured)\b", re.IGNORECASE
    )
    found = coverage(FIGURES)
    for text in (said, found.headline, *(r.sentence for r in found.ratios)):
        assert not promising.search(text)


@given(
    balance=PENCE, waiting=PENCE, losses=PENCE, more=PENCE, contributions=PENCE, coming=PENCE,
    coming_more=PENCE, recoveries=PENCE,
)  # fmt: skip
def test_the_first_ratio_is_the_worst_and_more_money_never_lowers_one(
    balance: int,
    waiting: int,
    losses: int,
    more: int,
    contributions: int,
    coming: int,
    coming_more: int,
    recoveries: int,
) -> None:
    def made(balance: int) -> FundFigures:
        return FundFigures(
            balance=balance,
            waiting=waiting,
            losses=losses,
            stressed_losses=losses + more,
            contributions=contributions,
            coming_losses=coming,
            coming_stressed_losses=coming + coming_more,
            recoveries=recoveries,
            stressed_recoveries=recoveries // 2,
        )

    found = coverage(made(balance))
    shown = [r.ppm for r in found.ratios if r.ppm is not None]
    assert shown == sorted(shown)
    assert len(found.ratios) == 4
    richer = coverage(made(balance + 1_000))
    for stressed in (False, True):
        for with_income in (False, True):
            before = found.ratio(stressed=stressed, with_income=with_income)
            after = richer.ratio(stressed=stressed, with_income=with_income)
            assert (after.ppm or 0) >= (before.ppm or 0)
            assert (before.missing == 0) == (before.money >= before.losses)
