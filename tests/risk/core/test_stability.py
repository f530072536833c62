"""The stability index: by hand, its laws, and how often noise alone raises an alarm."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

from risk.core.stability import (
    StabilityRefused,
    Verdict,
    bin_counts,
    score_bins,
    stability,
)

counts = st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), min_size=1, max_size=12)
both_have_rows = counts.filter(lambda rows: all(sum(side) > 0 for side in zip(*rows, strict=True)))


def test_index_of_two_bins() -> None:
    found = stability([50, 50], [80, 20])
    # Half a row for each of two bins: a mixture of 1/101 even shares. .5 stays .5;
    # .8 becomes (80 + .5)/101 and .2 becomes (20 + .5)/101.
    low, high = 20.5 / 101, 80.5 / 101
    by_hand = (0.5 - high) * math.log(0.5 / high) + (0.5 - low) * math.log(0.5 / low)
    assert found.index == pytest.approx(by_hand)
    assert found.index == pytest.approx(0.4062, abs=1e-4)
    # One degree of freedom, 1/100 + 1/100.
    assert found.expected_noise == pytest.approx(0.02)
    # The 95 % quantile of chi-square(1) is 3.8415, the 99.9 % one 10.828: .077 and .217 are below
    # the customary limits, which therefore count.
    assert (found.amber, found.red) == (0.1, 0.25)
    assert found.verdict is Verdict.RED


def test_thresholds_of_small_samples_are_those_of_noise() -> None:
    found = stability([10, 10, 10, 10], [2, 2, 3, 3])
    # Chi-square(3): 7.8147 at 95 %, 16.266 at 99.9 %; 1/40 + 1/10 = .125.
    assert found.amber == pytest.approx(7.8147 * 0.125, rel=1e-4)
    assert found.red == pytest.approx(16.266 * 0.125, rel=1e-4)
    assert found.verdict is Verdict.STABLE


def test_a_real_shift_too_small_to_matter_raises_no_alarm() -> None:
    found = stability([500_000, 500_000], [520_000, 480_000])
    assert found.noise_chance < 1e-9
    assert found.verdict is Verdict.STABLE


def test_a_middling_shift_is_amber() -> None:
    # (.7 - .5) ln(.7/.5) + (.3 - .5) ln(.3/.5) = .0673 + .1022
    found = stability([50_000, 50_000], [70_000, 30_000])
    assert found.index == pytest.approx(0.2 * math.log(0.7 / 0.5) - 0.2 * math.log(0.6), abs=1e-4)
    assert found.verdict is Verdict.AMBER


def test_more_comparisons_ask_for_more() -> None:
    one = stability([10] * 5, [4] * 5)
    many = stability([10] * 5, [4] * 5, comparisons=20)
    each = 1 - 0.95 ** (1 / 20)
    assert many.amber == pytest.approx((1 / 50 + 1 / 20) * chi2.isf(each, 4))
    assert many.amber > one.amber


@pytest.mark.parametrize("shape", ["even", "falling"])
@pytest.mark.parametrize(("n", "m", "bins"), [(40, 25, 10), (300, 60, 10), (80, 80, 5)])
def test_noise_alone_raises_no_more_alarms_than_promised(
    shape: str, n: int, m: int, bins: int
) -> None:
    generator = np.random.default_rng(11)
    shares = np.full(bins, 1 / bins) if shape == "even" else 0.6 ** np.arange(bins)
    shares = shares / shares.sum()
    runs = 400
    reference = generator.multinomial(n, shares, size=runs)
    recent = generator.multinomial(m, shares, size=runs)
    found = [stability(a, b) for a, b in zip(reference, recent, strict=True)]
    alarms = sum(each.verdict is not Verdict.STABLE for each in found)
    red = sum(each.verdict is Verdict.RED for each in found)
    # 20 and .4 are promised; three standard deviations are 13 and 2.
    assert alarms <= 33
    assert red <= 2
    # The customary limit would have cried wolf.
    assert sum(each.index > 0.1 for each in found) > 2 * alarms


def test_a_new_population_is_seen_in_a_small_sample() -> None:
    generator = np.random.default_rng(12)
    edges = score_bins(generator.normal(size=2_000))
    reference = bin_counts(edges, generator.normal(size=2_000))
    moved = bin_counts(edges, generator.normal(1.5, size=60))
    assert stability(reference, moved).verdict is Verdict.RED


@given(both_have_rows)
def test_index_is_never_negative_and_does_not_look_at_order(rows: list[tuple[int, int]]) -> None:
    reference, recent = (np.array(side) for side in zip(*rows, strict=True))
    found = stability(reference, recent)
    assert math.isfinite(found.index)
    assert found.index >= 0
    assert 0 <= found.noise_chance <= 1
    assert found.amber < found.red
    turned = stability(reference[::-1], recent[::-1])
    assert turned.index == pytest.approx(found.index, abs=1e-12)
    swapped = stability(recent, reference)
    assert swapped.index == pytest.approx(found.index, abs=1e-12)


@given(both_have_rows)
def test_index_is_zero_just_where_shares_are_equal(rows: list[tuple[int, int]]) -> None:
    reference, recent = (np.array(side) for side in zip(*rows, strict=True))
    assert stability(reference, reference * 3).index == pytest.approx(0, abs=1e-12)
    equal = bool((reference * recent.sum() == recent * reference.sum()).all())
    assert (stability(reference, recent).index < 1e-12) == equal


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=80), st.integers(1, 15))
def test_every_score_falls_into_a_bin(scores: list[float], bins: int) -> None:
    values = np.array(scores)
    edges = score_bins(values, bins)
    assert len(edges) < bins
    assert (np.diff(edges) > 0).all()
    found = bin_counts(edges, values)
    assert found.sum() == len(values)
    assert found[-1] == 0
    # No bin of the reference is empty.
    assert (found[:-1] > 0).all()


def test_bins_hold_their_upper_edge_and_missing_has_its_own() -> None:
    edges = score_bins(np.array([1.0, 2.0, 3.0, 4.0]), 2)
    assert edges.tolist() == [2.0]
    values = np.array([2.0, 2.1, math.inf, -math.inf, math.nan])
    assert bin_counts(edges, values).tolist() == [2, 2, 1]


def test_one_bin_only_is_stable() -> None:
    found = stability([5, 0], [9, 0])
    assert found.index == pytest.approx(0, abs=1e-12)
    assert (found.bins, found.noise_chance) == (1, 1.0)
    assert found.verdict is Verdict.STABLE


@pytest.mark.parametrize(
    ("reference", "recent"),
    [
        ([1, 2], [1, 2, 3]),
        ([0, 0], [1, 2]),
        ([1, 2], [0, 0]),
        ([-1, 2], [1, 2]),
        ([1.5, 2], [1, 2]),
        ([math.nan, 2], [1, 2]),
        ([math.inf, 2], [1, 2]),
        ([[1], [2]], [[1], [2]]),
        (["a"], ["b"]),
        ([], []),
    ],
)
def test_counts_that_can_not_be_compared_are_refused(
    reference: list[object], recent: list[object]
) -> None:
    with pytest.raises(StabilityRefused):
        stability(reference, recent)  # type: ignore[arg-type]


def test_bins_of_nothing_are_refused() -> None:
    with pytest.raises(StabilityRefused):
        score_bins(np.array([math.nan]))
    with pytest.raises(StabilityRefused):
        score_bins(np.array([1.0]), 0)
    with pytest.raises(StabilityRefused):
        stability([1], [1], comparisons=0)
