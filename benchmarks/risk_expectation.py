"""What to expect: one lender of 400 parts against a Monte Carlo, and 50,000 lenders at once."""

from __future__ import annotations

import statistics

import numpy as np
from scipy.special import ndtri
from scipy.stats import binom

from benchmarks.measuring import Result, at_most, one_core, seconds, timed
from marketplace.core.arrays import offsets_of
from risk.core.expectation import LossDistribution, loss_distribution
from risk.core.expectation_many import expect_many
from risk.core.table import FloatArray, IntArray

CORRELATION = 0.04
PARTS, RUNS, AT_ONCE = 400, 1_000_000, 20_000
LENDERS = 50_000
WORST = 0.999
ERROR = 4.0  # standard deviations of the Monte Carlo's


def risk_expectation() -> list[Result]:
    """The time of one lender, and whether its worst in a thousand is the Monte Carlo's."""
    rng = np.random.default_rng(16)
    pd, loss = _parts(rng, PARTS)
    with one_core():
        found = loss_distribution(pd=pd, loss=loss, correlation=CORRELATION)
        ours = statistics.median(
            seconds(lambda: loss_distribution(pd=pd, loss=loss, correlation=CORRELATION))
            for _ in range(15)
        )
        peer, drawn = timed(lambda: _monte_carlo(rng, pd, loss))
    return [
        Result(
            "risk-expectation",
            "risk",
            ours * 1_000,
            "ms",
            f"Monte Carlo, {RUNS:,} runs, numpy",
            peer * 1_000,
            peer / ours,
            "<= 20",
            holds=ours <= 0.020,
        ),
        _quantile(found, drawn),
    ]


def _quantile(found: LossDistribution, drawn: IntArray) -> Result:
    """The quantile beside the draws that it must lie between, give or take a step of the grid."""
    worst = found.quantile(WORST)
    spread = ERROR * float(binom.std(RUNS, WORST))
    low, middle, high = (
        int(drawn[round(RUNS * WORST + by * spread) - 1]) for by in (-1.0, 0.0, 1.0)
    )
    return Result(
        "risk-expectation-quantile",
        "risk",
        float(worst),
        "p",
        f"Monte Carlo, {RUNS:,} runs",
        float(middle),
        worst / middle,
        f"{low - found.grid:,} to {high + found.grid:,}",
        holds=low - found.grid <= worst <= high + found.grid,
    )


def risk_expectation_many() -> Result:
    """All lenders' percentiles at once, on one core."""
    rng = np.random.default_rng(17)
    counts = rng.integers(100, PARTS + 1, LENDERS)
    offsets = offsets_of(counts)
    pd, loss = _parts(rng, int(offsets[-1]))
    earned = np.add.reduceat(loss, offsets[:-1]) // 6
    with one_core():
        ours = seconds(
            lambda: expect_many(
                offsets=offsets, pd=pd, loss=loss, earned=earned, correlation=CORRELATION
            )
        )
    return at_most("risk-expectation-many", "risk", ours, "s", 30)


def _parts(rng: np.random.Generator, count: int) -> tuple[FloatArray, IntArray]:
    """Chances to default before maturity around 8 %, and losses of parts of £10 to £50."""
    pd = np.clip(rng.lognormal(np.log(0.07), 0.6, count), 0.001, 0.6)
    return pd, rng.integers(1, 6, count) * rng.integers(650, 980, count)


def _monte_carlo(rng: np.random.Generator, pd: FloatArray, loss: IntArray) -> IntArray:
    """The losses of so many runs of the same model, in ascending order."""
    threshold = (ndtri(pd) / np.sqrt(1 - CORRELATION)).astype(np.float32)
    scale = np.sqrt(CORRELATION / (1 - CORRELATION))
    drawn = []
    for _ in range(RUNS // AT_ONCE):
        factor = (scale * rng.standard_normal(AT_ONCE)).astype(np.float32)
        own = rng.standard_normal((AT_ONCE, len(pd)), dtype=np.float32)
        defaults = own + factor[:, np.newaxis] < threshold
        drawn.append(np.rint(defaults.astype(np.float32) @ loss.astype(np.float32)))
    return np.sort(np.concatenate(drawn)).astype(np.int64)
