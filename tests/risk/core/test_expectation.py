"""The distribution of losses: cases for the hand, a plain recursion, a Monte Carlo, and laws."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, norm

from risk.core.expectation import (
    LONGEST_GRID,
    ExpectationRefused,
    LossDistribution,
    loss_distribution,
)
from risk.core.table import FloatArray, IntArray

portfolios = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 60)), min_size=1, max_size=25).map(
    lambda rows: (np.array([p for p, _ in rows]), np.array([k * 10 for _, k in rows]))
)
correlations = st.sampled_from([0.0, 0.04, 0.3, 0.7])

# Of a distribution function: the trapezoidal rule over the factor keeps it within a few millionths,
# and less where few borrowers hang together as closely as .7.
CLOSE = 1e-5


def by_recursion(pd: FloatArray, steps: IntArray, correlation: float) -> FloatArray:
    """Shift and add, exposure by exposure, at many values of the factor; chances by step."""
    nodes = np.linspace(-7, 7, 401) if correlation else np.zeros(1)
    weights = norm.pdf(nodes)
    given_z = norm.cdf(
        (norm.ppf(pd)[:, None] - math.sqrt(correlation) * nodes) / math.sqrt(1 - correlation)
    )
    found = np.zeros((len(nodes), int(steps.sum()) + 1))
    found[:, 0] = 1
    for p, k in zip(given_z, steps.tolist(), strict=True):
        moved = np.roll(found, k, axis=1) * p[:, None]
        found = found * (1 - p[:, None]) + moved
    mixed: FloatArray = weights / weights.sum() @ found
    return mixed


def furthest(found: LossDistribution, wanted: FloatArray) -> float:
    """Largest difference of the distribution functions."""
    length = max(len(found.probabilities), len(wanted))
    ours, theirs = np.ones(length), np.ones(length)
    ours[: len(found.probabilities)] = np.cumsum(found.probabilities)
    theirs[: len(wanted)] = np.cumsum(wanted)
    return float(np.abs(ours - theirs).max())


def test_two_exposures_without_correlation() -> None:
    found = loss_distribution(pd=[0.1, 0.2], loss=[50, 30], correlation=0.0)
    # Neither .9 x .8; only the 30p one .9 x .2; only the 50p one .1 x .8; both .1 x .2.
    wanted = {0: 0.72, 30: 0.18, 50: 0.08, 80: 0.02}
    assert found.grid == 10
    for loss, chance in zip(found.losses.tolist(), found.probabilities, strict=True):
        assert chance == pytest.approx(wanted.get(loss, 0.0), abs=1e-12)
    assert found.mean == pytest.approx(0.1 * 50 + 0.2 * 30)
    assert [found.quantile(q) for q in (0.0, 0.72, 0.73, 0.9, 0.95, 0.99)] == [
        *(0, 0, 30, 30, 50, 80)
    ]
    assert found.chance_above(-1) == 1
    assert found.chance_above(0) == pytest.approx(0.28, abs=1e-12)
    assert found.chance_above(29) == found.chance_above(0)
    assert found.chance_above(30) == pytest.approx(0.1, abs=1e-12)
    assert found.chance_above(80) == 0
    # Variance: .1 x .9 x 50 x 50 + .2 x .8 x 30 x 30 = 225 + 144.
    assert found.deviation == pytest.approx(math.sqrt(369), abs=1e-6)


def test_two_exposures_under_one_factor() -> None:
    found = loss_distribution(pd=[0.5, 0.5], loss=[10, 20], correlation=0.5)
    # Both are under their median: a quarter and arcsin(rho) over two pi, of which rho = 1/2 makes
    # a twelfth more (Sheppard, 1899).
    assert found.probabilities == pytest.approx([1 / 3, 1 / 6, 1 / 6, 1 / 3], abs=1e-7)


def test_equal_exposures_without_correlation_are_binomial() -> None:
    found = loss_distribution(pd=np.full(40, 0.3), loss=np.full(40, 70), correlation=0.0)
    chances = found.probabilities[::7]
    wanted = binom.pmf(np.arange(41), 40, 0.3)
    assert chances == pytest.approx(wanted[: len(chances)], abs=1e-12)
    assert wanted[len(chances) :].sum() < 1e-12
    assert found.probabilities[3::7].sum() == 0


@settings(max_examples=25, deadline=None)
@given(portfolios, correlations)
def test_equals_the_plain_recursion(
    portfolio: tuple[FloatArray, IntArray], correlation: float
) -> None:
    pd, loss = portfolio
    found = loss_distribution(pd=pd, loss=loss, correlation=correlation)
    assert furthest(found, by_recursion(pd, loss // 10, correlation)) < CLOSE
    assert found.probabilities.min() >= 0
    assert found.probabilities.sum() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("correlation", [0.0, 0.04, 0.3])
@pytest.mark.parametrize("chances", [(0.002, 0.03), (0.02, 0.3), (0.3, 0.8)])
def test_many_exposures_equal_the_plain_recursion(
    chances: tuple[float, float], correlation: float
) -> None:
    """Enough defaults that only few frequencies matter, and so few that all do."""
    rng = np.random.default_rng(7)
    pd, steps = rng.uniform(*chances, 120), rng.integers(1, 9, 120)
    found = loss_distribution(pd=pd, loss=steps * 10, correlation=correlation)
    assert furthest(found, by_recursion(pd, steps, correlation)) < CLOSE


def test_the_worst_in_a_thousand_of_a_monte_carlo() -> None:
    rng = np.random.default_rng(11)
    runs, count, correlation = 100_000, 150, 0.04
    pd, loss = rng.uniform(0.01, 0.2, count), rng.integers(600, 4_500, count)
    found = loss_distribution(pd=pd, loss=loss, correlation=correlation)
    threshold = norm.ppf(pd)
    drawn = np.zeros(runs)
    factor = rng.standard_normal(runs) * math.sqrt(correlation)
    for exposure in range(count):
        assets = factor + math.sqrt(1 - correlation) * rng.standard_normal(runs)
        drawn += (assets < threshold[exposure]) * loss[exposure]
    drawn.sort()
    # Of 100,000 draws 100 exceed the quantile, give or take 4 standard deviations of 10 each; the
    # grid may move it by a step.
    worst = found.quantile(0.999)
    assert drawn[runs - 141] - 10 <= worst <= drawn[runs - 60] + 10
    assert found.mean == pytest.approx(float(pd @ loss))
    assert drawn.mean() == pytest.approx(found.mean, abs=4 * found.deviation / math.sqrt(runs))


@settings(max_examples=25, deadline=None)
@given(portfolios, correlations)
def test_the_mean_is_the_sum_of_chance_times_loss(
    portfolio: tuple[FloatArray, IntArray], correlation: float
) -> None:
    pd, loss = portfolio
    found = loss_distribution(pd=pd, loss=loss + 3, correlation=correlation)
    assert found.mean == pytest.approx(float(pd @ (loss + 3)), rel=1e-12)
    # On the grid it is off by less than a step times the largest chance.
    assert found.losses @ found.probabilities == pytest.approx(
        found.mean, abs=10 * float(pd.max()) + 1e-3
    )


@settings(max_examples=25, deadline=None)
@given(portfolios, correlations, st.randoms(use_true_random=False))
def test_order_does_not_matter_and_what_loses_nothing_changes_nothing(
    portfolio: tuple[FloatArray, IntArray], correlation: float, random: Any
) -> None:
    pd, loss = portfolio
    places = list(range(len(pd)))
    random.shuffle(places)
    before = loss_distribution(pd=pd, loss=loss + 4, correlation=correlation)
    after = loss_distribution(
        pd=np.append(pd[places], [0.4, 0.0]),
        loss=np.append(loss[places] + 4, [0, 900]),
        correlation=correlation,
    )
    assert np.array_equal(before.probabilities, after.probabilities)
    assert after.mean == pytest.approx(before.mean)


@settings(max_examples=25, deadline=None)
@given(portfolios, correlations, st.integers(2, 5))
def test_losses_times_a_number_are_as_likely(
    portfolio: tuple[FloatArray, IntArray], correlation: float, times: int
) -> None:
    pd, loss = portfolio
    once = loss_distribution(pd=pd, loss=loss, correlation=correlation)
    more = loss_distribution(pd=pd, loss=loss * times, correlation=correlation)
    assert np.array_equal(more.probabilities[::times], once.probabilities)


@pytest.mark.parametrize("correlation", [0.0, 0.04, 0.3])
def test_more_borrowers_narrow_the_range(correlation: float) -> None:
    widths = []
    for count in (10, 40, 160, 640):
        found = loss_distribution(
            pd=np.full(count, 0.1), loss=np.full(count, 64_000 // count), correlation=correlation
        )
        widths.append(found.quantile(0.95) - found.quantile(0.05))
        assert found.mean == pytest.approx(6_400)
    assert widths == sorted(widths, reverse=True)
    assert widths[0] > widths[-1]


def test_more_correlation_widens_the_tail() -> None:
    worst = [
        loss_distribution(pd=np.full(100, 0.1), loss=np.full(100, 100), correlation=rho).quantile(
            0.999
        )
        for rho in (0.0, 0.04, 0.15, 0.3)
    ]
    assert worst == sorted(set(worst))


def test_a_large_portfolio_has_longer_steps() -> None:
    loss = np.full(300, 1_000_003)
    found = loss_distribution(pd=np.full(300, 0.05), loss=loss, correlation=0.04)
    assert found.grid in (10 * 2**power for power in range(1, 30))
    assert 300 * 1_000_003 / found.grid <= LONGEST_GRID
    # Losses of a million each: the quantile is a whole number of them, but for a step.
    assert found.quantile(0.999) / 1_000_003 == pytest.approx(
        round(found.quantile(0.999) / 1_000_003), abs=2 * found.grid / 1_000_003
    )


def test_one_exposure_that_surely_defaults() -> None:
    found = loss_distribution(pd=[1.0], loss=[1_230], correlation=0.2)
    assert (found.quantile(0.0), found.quantile(0.001), found.chance_above(1_229)) == (0, 1_230, 1)


REFUSED: list[dict[str, Any]] = [
    {"pd": [1.01]},
    {"pd": [-0.01]},
    {"pd": [float("nan")]},
    {"pd": [], "loss": np.array([], dtype=np.int64)},
    {"pd": [0.1, 0.1]},
    {"pd": [[0.1]], "loss": [[10]]},
    {"loss": [-10]},
    {"loss": [10.5]},
    {"loss": [10**13]},
    {"correlation": 1.0},
    {"correlation": -0.01},
    {"correlation": float("nan")},
    {"pd": np.full(100_001, 0.1), "loss": np.full(100_001, 10)},
]


@pytest.mark.parametrize("wrong", REFUSED)
def test_what_can_not_be_used_is_refused(wrong: dict[str, Any]) -> None:
    right: dict[str, Any] = {"pd": [0.1], "loss": [10], "correlation": 0.04}
    with pytest.raises(ExpectationRefused) as refused:
        loss_distribution(**right | wrong)
    assert refused.value.code == "RISK_EXPECTATION_REFUSED"


def test_quantiles_and_amounts_that_are_none_are_refused() -> None:
    found = loss_distribution(pd=[0.1], loss=[10], correlation=0.0)
    for share in (-0.1, 1.1, float("nan")):
        with pytest.raises(ExpectationRefused):
            found.quantile(share)
    with pytest.raises(ExpectationRefused):
        found.chance_above(float("nan"))
