"""All lenders in one go against one at a time."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from risk.core.expectation import ExpectationRefused, loss_distribution
from risk.core.expectation_many import ManyOutcomes, expect_many
from risk.core.table import FloatArray, IntArray


def lenders(
    counts: IntArray, seed: int, *, chances: tuple[float, float] = (0.005, 0.25)
) -> tuple[IntArray, FloatArray, IntArray, IntArray]:
    rng = np.random.default_rng(seed)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    pd = rng.uniform(*chances, int(offsets[-1]))
    loss = rng.integers(1, 6, len(pd)) * rng.integers(650, 980, len(pd))
    return offsets, pd, loss, np.add.reduceat(loss, offsets[:-1]) // 6


def differences(
    many: ManyOutcomes,
    offsets: IntArray,
    pd: FloatArray,
    loss: IntArray,
    earned: IntArray,
    correlation: float,
) -> FloatArray:
    """Of the three percentiles, in steps of each lender's grid; shape ``(lenders, 3)``."""
    found = []
    for lender, (first, last) in enumerate(pairwise(offsets.tolist())):
        one = loss_distribution(pd=pd[first:last], loss=loss[first:last], correlation=correlation)
        assert many.expected_profit[lender] == pytest.approx(earned[lender] - one.mean)
        assert many.chance_of_loss[lender] == pytest.approx(
            one.chance_above(float(earned[lender])), abs=0.02
        )
        found.append(
            [
                earned[lender] - many.profit_low[lender] - one.quantile(0.95),
                earned[lender] - many.profit_high[lender] - one.quantile(0.05),
                many.worst_loss[lender] - one.quantile(0.999),
            ]
        )
    return np.abs(np.array(found)) / many.grid[:, np.newaxis]


@pytest.mark.parametrize("correlation", [0.04, 0.15])
def test_all_at_once_is_within_a_step_of_one_by_one(correlation: float) -> None:
    counts = np.random.default_rng(5).integers(100, 401, 40)
    case = lenders(counts, 6)
    offsets, pd, loss, earned = case
    many = expect_many(offsets=offsets, pd=pd, loss=loss, earned=earned, correlation=correlation)
    assert differences(many, *case, correlation).max() <= 1
    assert (many.grid > 10).all()


def test_lenders_of_few_or_strange_exposures_are_right_to_10p() -> None:
    counts = np.array([1, 2, 3, 60, 5])
    offsets, pd, loss, earned = lenders(counts, 8)
    pd[0], pd[1], pd[8] = 1.0, 0.0, 0.97
    loss[6] = 2_000_000
    many = expect_many(offsets=offsets, pd=pd, loss=loss, earned=earned, correlation=0.04)
    assert (many.grid == 10).all()
    assert differences(many, offsets, pd, loss, earned, 0.04).max() == 0


def test_lenders_do_not_know_of_each_other() -> None:
    offsets, pd, loss, earned = lenders(np.array([150, 200, 120]), 9)
    both = expect_many(offsets=offsets, pd=pd, loss=loss, earned=earned, correlation=0.04)
    own = slice(int(offsets[1]), int(offsets[2]))
    alone = expect_many(
        offsets=[0, 200], pd=pd[own], loss=loss[own], earned=earned[1:2], correlation=0.04
    )
    for name in ("profit_low", "profit_high", "worst_loss"):
        difference = getattr(both, name)[1] - getattr(alone, name)[0]
        assert abs(difference) <= both.grid[1]
    assert both.chance_of_loss[1] == pytest.approx(alone.chance_of_loss[0], abs=1e-3)


REFUSED: list[dict[str, Any]] = [
    {"offsets": [0, 1]},
    {"offsets": [1, 2]},
    {"offsets": [0, 0, 2]},
    {"offsets": [0]},
    {"offsets": [0.0, 2.0]},
    {"earned": [5, 5]},
    {"earned": [0.5]},
    {"pd": [0.1, 1.1]},
    {"pd": [0.1]},
    {"loss": [10, -10]},
    {"correlation": 1.0},
]


@pytest.mark.parametrize("wrong", REFUSED)
def test_what_can_not_be_used_is_refused(wrong: dict[str, Any]) -> None:
    right: dict[str, Any] = {
        "offsets": [0, 2],
        "pd": [0.1, 0.1],
        "loss": [10, 20],
        "earned": [5],
        "correlation": 0.04,
    }
    with pytest.raises(ExpectationRefused):
        expect_many(**right | wrong)
