"""Figures that can be checked by hand, and their laws."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk.core.errors import OutcomeRefused
from risk.core.fitting import fit_line
from risk.core.validation import (
    CalibrationRow,
    auc,
    auc_interval,
    brier,
    calibration_line,
    calibration_table,
    figures_from_json,
    hosmer_lemeshow,
    judge,
    ks,
    wilson_interval,
)

# Bad at .9 and .7; good at .8, .6 and .5. Of the 6 pairs of a bad and a good one, 3 + 2 are right.
IS_BAD = np.array([True, False, True, False, False])
SCORE = np.array([0.9, 0.8, 0.7, 0.6, 0.5])

outcomes = st.lists(st.tuples(st.booleans(), st.integers(1, 99)), min_size=4, max_size=60).filter(
    lambda rows: 0 < sum(bad for bad, _ in rows) < len(rows)
)


def test_auc_of_five_points() -> None:
    assert auc(IS_BAD, SCORE) == pytest.approx(5 / 6)


def test_auc_counts_a_tie_as_half() -> None:
    assert auc(np.array([True, False]), np.array([0.3, 0.3])) == 0.5
    # Bad .5 and good .5 tie, good .1 is below: (1/2 + 1) / 2.
    assert auc(np.array([True, False, False]), np.array([0.5, 0.5, 0.1])) == 0.75


def test_ks_of_five_points() -> None:
    # Up to .6: no bad, 2 of 3 good.
    assert ks(IS_BAD, SCORE) == pytest.approx(2 / 3)


def test_ks_does_not_look_inside_a_tie() -> None:
    assert ks(np.array([True, False, True, False]), np.full(4, 0.2)) == 0.0


def test_brier_of_five_points() -> None:
    # (.1^2 + .8^2 + .3^2 + .6^2 + .5^2) / 5 = (.01 + .64 + .09 + .36 + .25) / 5
    assert brier(IS_BAD, SCORE) == pytest.approx(0.27)


def test_line_through_two_groups() -> None:
    # At log-odds -1 one of four is bad, at +1 three of four: the observed log-odds are -+ ln 3.
    odds = np.array([-1.0] * 4 + [1.0] * 4)
    is_bad = np.array([True, False, False, False, True, True, True, False])
    intercept, slope = fit_line(odds, is_bad)
    assert intercept == pytest.approx(0.0, abs=1e-6)
    assert slope == pytest.approx(math.log(3), rel=1e-6)


@pytest.mark.parametrize(
    ("bad", "rows", "low", "high"),
    [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (0, 0, 0.0, 1.0)],
)
def test_wilson_interval(bad: int, rows: int, low: float, high: float) -> None:
    assert wilson_interval(bad, rows) == pytest.approx((low, high), abs=1e-4)


def test_calibration_table_keeps_an_empty_group() -> None:
    first, second, empty = calibration_table(
        IS_BAD, SCORE, np.array([0, 0, 1, 1, 1]), ["one", "two", "three"]
    )
    assert (first.group, first.rows, first.bad, first.actual) == ("one", 2, 1, 0.5)
    assert first.predicted == pytest.approx(0.85)
    assert (second.rows, second.bad) == (3, 1)
    assert (empty.rows, empty.bad, empty.actual_low, empty.actual_high) == (0, 0, 0.0, 1.0)


def test_one_class_only_is_refused() -> None:
    with pytest.raises(OutcomeRefused):
        auc(np.array([True, True]), np.array([0.1, 0.2]))
    with pytest.raises(OutcomeRefused):
        judge(np.array([False, False]), np.array([0.1, 0.2]))


@given(outcomes)
def test_auc_is_the_share_of_pairs_in_order(rows: list[tuple[bool, int]]) -> None:
    is_bad = np.array([bad for bad, _ in rows])
    score = np.array([value / 100 for _, value in rows])
    pairs = [
        (b > g) + (b == g) / 2 for b in score[is_bad].tolist() for g in score[~is_bad].tolist()
    ]
    assert auc(is_bad, score) == pytest.approx(sum(pairs) / len(pairs))


@given(outcomes)
def test_separation_only_looks_at_order(rows: list[tuple[bool, int]]) -> None:
    is_bad = np.array([bad for bad, _ in rows])
    score = np.array([value / 100 for _, value in rows])
    stretched = np.log(score / (1 - score)) * 3 + 7
    assert auc(is_bad, score) == pytest.approx(auc(is_bad, stretched))
    assert ks(is_bad, score) == pytest.approx(ks(is_bad, stretched))
    assert auc(is_bad, -score) == pytest.approx(1 - auc(is_bad, score))


@given(outcomes)
def test_figures_are_finite_and_survive_storage(rows: list[tuple[bool, int]]) -> None:
    from dataclasses import asdict

    figures = judge(
        np.array([bad for bad, _ in rows]), np.array([value / 100 for _, value in rows])
    )
    assert figures.gini == pytest.approx(2 * figures.auc - 1)
    assert sum(row.rows for row in figures.by_decile) == len(rows)
    assert math.isfinite(figures.calibration_slope)
    assert figures_from_json(asdict(figures)) == figures


def test_delong_variance_of_five_points() -> None:
    # Bad at .9 and .7, good at .8, .6 and .5. Shares of good below each bad: 3/3 and 2/3, mean 5/6,
    # variance 2 * (1/6)^2 = 1/18. Shares of bad above each good: 1/2, 1, 1, mean 5/6, variance
    # (1/9 + 1/36 + 1/36) / 2 = 1/12. Together 1/18/2 + 1/12/3 = 1/18.
    found = auc_interval(IS_BAD, SCORE)
    half = 1.959964 * math.sqrt(1 / 18) / (5 / 6 * 1 / 6)
    assert found.value == pytest.approx(5 / 6)
    # The logit of 5/6 is ln 5.
    assert found.low == pytest.approx(1 / (1 + math.exp(half - math.log(5))), rel=1e-6)
    assert found.high == pytest.approx(1 / (1 + math.exp(-half - math.log(5))), rel=1e-6)


def test_an_auc_without_variance_has_the_interval_of_independent_pairs() -> None:
    # Two bad above two good: as 2 of 2, of which Wilson says 2/(2 + 3.8415) to 1.
    found = auc_interval(np.array([True, True, False, False]), np.array([4.0, 3.0, 2.0, 1.0]))
    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(2 / (2 + 1.959964**2), rel=1e-6)
    # All tied: half, and nothing more is known.
    tied = auc_interval(np.array([True, True, False, False]), np.zeros(4))
    assert tied.value == 0.5
    assert tied.low < 0.2
    assert tied.high > 0.8


@given(outcomes)
def test_auc_interval_holds_the_auc_and_only_looks_at_order(rows: list[tuple[bool, int]]) -> None:
    is_bad = np.array([bad for bad, _ in rows])
    score = np.array([value / 100 for _, value in rows])
    found = auc_interval(is_bad, score)
    assert found.value == pytest.approx(auc(is_bad, score))
    assert 0 <= found.low <= found.value + 1e-12
    assert found.value - 1e-12 <= found.high <= 1
    stretched = auc_interval(is_bad, np.log(score / (1 - score)) * 3 + 7)
    assert (stretched.low, stretched.high) == pytest.approx((found.low, found.high))
    turned = auc_interval(is_bad, -score)
    assert (1 - turned.high, 1 - turned.low) == pytest.approx((found.low, found.high), abs=1e-9)


def test_auc_interval_covers_the_truth_as_often_as_it_says() -> None:
    generator = np.random.default_rng(21)
    # Normal scores one standard deviation apart: the AUC is Phi(1 / sqrt 2) = .7602.
    is_bad = np.arange(300) < 60
    covered = sum(
        auc_interval(is_bad, generator.normal(size=300) + is_bad).holds(0.76025) for _ in range(400)
    )
    # 380 of 400 are promised; three standard deviations are 13.
    assert 364 <= covered <= 396


def test_calibration_line_of_two_groups() -> None:
    # As above: the slope is ln 3. Each of 8 rows weighs 1/4 * 3/4 = 3/16 at log-odds -1 or 1, so
    # that intercept and slope have variance 1 / (8 * 3/16) = 2/3 each.
    chance = 1 / (1 + np.exp(-np.array([-1.0] * 4 + [1.0] * 4)))
    is_bad = np.array([True, False, False, False, True, True, True, False])
    line = calibration_line(is_bad, chance)
    half = 1.959964 * math.sqrt(2 / 3)
    assert line.slope.value == pytest.approx(math.log(3), rel=1e-5)
    assert line.slope.high - line.slope.value == pytest.approx(half, rel=1e-4)
    assert line.intercept.value - line.intercept.low == pytest.approx(half, rel=1e-4)
    assert line.intercept.holds(0.0)


def test_calibration_line_of_equal_or_certain_chances_is_finite() -> None:
    is_bad = np.array([True, False, True, False])
    for chance in (np.full(4, 0.5), np.array([0.0, 0.0, 1.0, 1.0])):
        line = calibration_line(is_bad, chance)
        ends = [line.slope.low, line.slope.high, line.intercept.low, line.intercept.high]
        assert all(math.isfinite(end) for end in ends)
        assert math.isfinite(judge(is_bad, chance).calibration_slope)


def test_hosmer_lemeshow_of_two_groups() -> None:
    rows = (
        CalibrationRow("one", 100, 15, 0.1, 0.15, 0, 1),
        CalibrationRow("two", 100, 50, 0.5, 0.5, 0, 1),
        CalibrationRow("none", 0, 0, 0.0, 0.0, 0, 1),
    )
    # (15 - 10)^2 / (100 * .1 * .9) = 25/9, and nothing from the others.
    found = hosmer_lemeshow(rows)
    assert found.statistic == pytest.approx(25 / 9)
    assert found.freedom == 2
    # Chi-square with two degrees of freedom is exponential.
    assert found.chance == pytest.approx(math.exp(-25 / 18))


def test_a_large_sample_of_a_true_model_is_found_true() -> None:
    generator = np.random.default_rng(22)
    chance = generator.beta(1, 15, size=150_000)
    is_bad = generator.random(150_000) < chance
    figures, area, line = (
        judge(is_bad, chance),
        auc_interval(is_bad, chance),
        calibration_line(is_bad, chance),
    )
    assert area.holds(figures.auc)
    assert line.slope.holds(1.0)
