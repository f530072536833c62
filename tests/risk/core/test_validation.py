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
    auc,
    brier,
    calibration_table,
    figures_from_json,
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
