"""Lenders of few exposures: against every set of defaults, and against one lender at a time."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy import integrate
from scipy.stats import norm

from risk.core.expectation import loss_distribution
from risk.core.expectation_few import ENUMERATED, few_distributions


def test_two_exposures_by_hand() -> None:
    # Independent, PD a half and a fifth: nothing .4, £1 .4, £2 .1, £3 .1.
    [likely] = few_distributions(np.array([[0.5, 0.2]]), np.array([[100, 200]]), 0.0)
    found = dict.fromkeys((likely.steps * likely.grid).tolist(), 0.0)
    for loss, chance in zip((likely.steps * likely.grid).tolist(), likely.chances, strict=True):
        found[loss] += float(chance)
    assert found == pytest.approx({0: 0.4, 100: 0.4, 200: 0.1, 300: 0.1})


def test_three_exposures_by_integrating_over_the_factor() -> None:
    pd, loss, correlation = np.array([0.03, 0.2, 1.0]), np.array([500, 90, 10]), 0.3

    def joint(z: float, bad: tuple[int, ...]) -> float:
        p = norm.cdf((norm.ppf(pd) - np.sqrt(correlation) * z) / np.sqrt(1 - correlation))
        return float(np.prod(np.where(bad, p, 1 - p)) * norm.pdf(z))

    wanted = {
        int(np.dot(bad, loss)): integrate.quad(joint, -9, 9, args=(bad,))[0]
        for bad in product((0, 1), repeat=3)
        if bad[2]
    }
    [likely] = few_distributions(pd[np.newaxis], loss[np.newaxis], correlation)
    found = dict(zip((likely.steps * likely.grid).tolist(), likely.chances.tolist(), strict=True))
    for amount, chance in wanted.items():
        assert found[amount] == pytest.approx(chance, abs=2e-6)


@pytest.mark.parametrize("count", [1, ENUMERATED, ENUMERATED + 1, 31])
@pytest.mark.parametrize("correlation", [0.0, 0.1])
def test_chances_are_those_of_one_lender(count: int, correlation: float) -> None:
    """Small loans: all on 10p, so that the chance of every loss can be compared."""
    rng = np.random.default_rng(count)
    pd, loss = rng.uniform(0, 0.3, (5, count)), rng.integers(0, 1_000, (5, count))
    for row, likely in enumerate(few_distributions(pd, loss, correlation)):
        one = loss_distribution(pd=pd[row], loss=loss[row], correlation=correlation)
        length = max(int(likely.steps.max()) + 1, len(one.probabilities))
        mine = np.bincount(likely.steps, likely.chances, length)
        theirs = np.bincount(np.arange(len(one.probabilities)), one.probabilities, length)
        assert likely.grid == one.grid == 10
        assert np.abs(np.cumsum(mine) - np.cumsum(theirs)).max() < 3e-6


@pytest.mark.parametrize("correlation", [0.0, 0.1])
def test_large_loans_get_longer_steps_and_keep_the_mean(correlation: float) -> None:
    rng = np.random.default_rng(8)
    pd, loss = rng.uniform(0.01, 0.2, (6, 20)), rng.integers(50_000, 400_000, (6, 20))
    for row, likely in enumerate(few_distributions(pd, loss, correlation)):
        assert likely.grid > 10
        assert likely.chances.sum() == pytest.approx(1)
        mean = float(likely.steps @ likely.chances) * likely.grid
        assert mean == pytest.approx(float(pd[row] @ loss[row]), abs=likely.grid)
