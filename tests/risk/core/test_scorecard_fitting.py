"""The fit itself: optima checked by their conditions, calibration, settings and dispatch."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize
from scipy.special import expit

from risk.core.encoding import learn_codings, make_design
from risk.core.errors import OutcomeRefused, ScorecardRefused
from risk.core.fitting import Terms, fit_bounded, solve_box
from risk.core.scorecard import (
    Method,
    ScorecardSettings,
    log_odds,
    points,
    predict_bad,
    scorecard_from_json,
)
from risk.core.scorecard_calibration import Calibration, isotonic_knots, through_knots
from risk.core.spec import DataSpec
from risk.core.table import make_table, number_column, text_column
from risk.core.training import fit_scorecard
from tests.risk.conftest import Fitted

ONE = ScorecardSettings(strengths=(1.0,))


@settings(max_examples=60)
@given(st.integers(0, 10_000), st.integers(1, 12))
def test_a_quadratic_is_least_within_its_bounds(seed: int, size: int) -> None:
    generator = np.random.default_rng(seed)
    root = generator.normal(size=(size + 2, size))
    curvature = root.T @ root + 0.01 * np.eye(size)
    gradient = generator.normal(size=size) * 3
    lower = np.where(generator.random(size) < 0.5, 0.0, -np.inf)
    upper = np.where((lower < 0) & (generator.random(size) < 0.5), 0.0, np.inf)
    nothing = np.zeros(size)
    point = np.clip(generator.normal(size=size), lower, upper)
    found = solve_box(curvature, gradient, point, Terms(nothing, nothing, lower, upper))
    assert ((found >= lower) & (found <= upper)).all()
    # At the least point the slope is zero, or pushes against the bound that holds.
    slope = gradient + curvature @ (found - point)
    inside = (found > lower) & (found < upper)
    assert slope[inside] == pytest.approx(0.0, abs=1e-6)
    assert (slope[found == lower] >= -1e-6).all()
    assert (slope[found == upper] <= 1e-6).all()


def test_the_fit_is_that_of_a_plain_solver(spec: DataSpec) -> None:
    generator = np.random.default_rng(6)
    x = generator.normal(size=400)
    word = generator.choice(["a", "b", "c"], 400)
    is_bad = generator.random(400) < expit(-1 + x + (word == "a"))
    table = make_table({"x": number_column(x), "w": text_column(word.tolist())}, is_bad=is_bad)
    codings = learn_codings(table, ["x", "w"], most_steps=4, rare_below=1)
    design = make_design(table, codings, np.arange(400))
    size = design.parameters
    edges = np.array(codings[0].edges)  # type: ignore[union-attr]
    steps = len(edges)
    lower = np.full(size, -np.inf)
    lower[1 : steps + 1] = 0.0
    ridge = np.full(size, 2.0)
    ridge[0] = 0.0
    lasso = np.where(lower == 0.0, 1.5, 0.0)
    terms = Terms(ridge, lasso, lower, np.full(size, np.inf))
    outcome = is_bad.astype(np.float64)
    found = fit_bounded(
        design,
        outcome,
        terms,
        start=np.zeros(size),
        inside=np.ones(400),
        tolerance=1e-10,
        exact=True,
    )
    # The same design written out: a one for each edge that x is above, and for each word's level.
    dense = np.zeros((400, size))
    dense[:, 0] = 1.0
    dense[:, 1 : steps + 1] = x[:, None] > edges
    # One parameter between them is the missing number's, which no row has.
    for place, level in enumerate("abc", start=steps + 2):
        dense[:, place] = word == level

    def loss(point: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
        odds = dense @ point
        return float(
            (np.logaddexp(0, odds) - outcome * odds).sum()
            + (ridge * point**2).sum() / 2
            + lasso @ point
        )

    bounds = optimize.Bounds(lower, np.full(size, np.inf))
    plain = optimize.minimize(
        loss, np.zeros(size), method="L-BFGS-B", bounds=bounds, options={"maxfun": 100_000}
    )
    assert loss(found) <= plain.fun + 1e-9
    assert found == pytest.approx(plain.x, abs=2e-3)


def test_pools_of_an_isotonic_calibration_by_hand() -> None:
    # Two rows each at -1, 0 and 1, with 0, 1 and 1 bad: a third of all.
    odds = np.array([-1.0, -1.0, 0.0, 0.0, 1.0, 1.0])
    is_bad = np.array([False, False, True, False, True, False])
    (first, low), (second, high) = isotonic_knots(odds, is_bad)
    # 0 of 2 at -1; then 2 of 4, around .5; each pool counts a third of a bad row more.
    assert (first, second) == (-1.0, 0.5)
    assert expit(low) == pytest.approx((0 + 1 / 3) / 3)
    assert expit(high) == pytest.approx((2 + 1 / 3) / 5)


@given(st.integers(0, 10_000))
@settings(max_examples=40)
def test_an_isotonic_calibration_never_falls_and_stays_finite(seed: int) -> None:
    generator = np.random.default_rng(seed)
    odds = np.round(generator.normal(size=60) * 3, 1)
    is_bad = generator.random(60) < expit(odds)
    is_bad[:2] = True, False
    knots = isotonic_knots(odds, is_bad)
    found = through_knots(np.linspace(-30, 30, 500), knots)
    assert np.isfinite(found).all()
    assert (np.diff(found) >= -1e-12).all()


def test_isotonic_changes_chances_and_leaves_points(invented: Fitted) -> None:
    isotonic = replace(ONE, calibration=Calibration.ISOTONIC)
    plain = fit_scorecard(invented.training, invented.spec, ONE, 1)
    mapped = fit_scorecard(invented.training, invented.spec, isotonic, 1)
    assert mapped.knots
    assert np.array_equal(points(plain, invented.holdout), points(mapped, invented.holdout))
    chance = predict_bad(mapped, invented.holdout)
    assert ((chance > 0) & (chance < 1)).all()
    order = np.argsort(log_odds(plain, invented.holdout), kind="stable")
    assert (np.diff(chance[order]) >= -1e-12).all()
    assert scorecard_from_json(json.loads(json.dumps(mapped.to_json()))) == mapped


def test_the_binned_method_is_reached_by_the_same_face(invented: Fitted) -> None:
    binned = replace(ONE, method=Method.BINNED)
    scorecard = fit_scorecard(invented.training, invented.spec, binned, 1)
    assert scorecard.settings.method is Method.BINNED
    chance = predict_bad(scorecard, invented.holdout)
    assert ((chance > 0) & (chance < 1)).all()


def test_json_of_older_versions_is_read(invented: Fitted) -> None:
    stored = invented.scorecard.to_json()
    del stored["knots"]
    for name in ("method", "calibration", "asset_correlation"):
        del stored["settings"][name]
    for effect in stored["effects"]:
        effect.pop("apart", None)
    assert scorecard_from_json(stored) == invented.scorecard
    stored["settings"]["calibration"] = "magic"
    with pytest.raises(ScorecardRefused):
        scorecard_from_json(stored)


@pytest.mark.parametrize("correlation", [-0.01, 1.0, float("nan")])
def test_an_impossible_correlation_is_refused(invented: Fitted, correlation: float) -> None:
    wrong = replace(ONE, asset_correlation=correlation)
    with pytest.raises(ScorecardRefused, match="correlation"):
        fit_scorecard(invented.training, invented.spec, wrong, 1)


def test_order_of_columns_does_not_matter(invented: Fitted) -> None:
    turned = replace(
        invented.training, columns=dict(reversed(list(invented.training.columns.items())))
    )
    assert fit_scorecard(turned, invented.spec, ONE, 1) == fit_scorecard(
        invented.training, invented.spec, ONE, 1
    )


def test_few_outcomes_are_fitted_in_fewer_folds_and_one_is_refused(spec: DataSpec) -> None:
    generator = np.random.default_rng(7)
    columns = {"x": number_column(generator.normal(size=120))}
    is_bad = np.zeros(120, dtype=np.bool_)
    is_bad[:3] = True
    scorecard = fit_scorecard(make_table(columns, is_bad=is_bad), spec, ONE, 1)
    chance = predict_bad(scorecard, make_table(columns))
    assert ((chance > 0) & (chance < 0.5)).all()
    is_bad[1:] = False
    with pytest.raises(OutcomeRefused):
        fit_scorecard(make_table(columns, is_bad=is_bad), spec, ONE, 1)


def test_outcomes_told_apart_completely_still_give_finite_chances(spec: DataSpec) -> None:
    x = np.arange(200, dtype=np.float64)
    table = make_table({"x": number_column(x)}, is_bad=x >= 150)
    scorecard = fit_scorecard(table, spec, ScorecardSettings(), 1)
    chance = predict_bad(scorecard, table)
    assert ((chance > 0) & (chance < 1)).all()
    assert chance[:140].max() < chance[160:].min()


def test_a_wide_table_is_cut_more_coarsely(spec: DataSpec) -> None:
    generator = np.random.default_rng(8)
    values = generator.normal(size=(600, 150))
    is_bad = generator.random(600) < expit(-1 + values[:, 0])
    columns = {f"c{place}": number_column(values[:, place]) for place in range(150)}
    fitted = fit_scorecard(make_table(columns, is_bad=is_bad), spec, ONE, 1)
    steps = [effect.coding.bins - 2 for effect in fitted.effects]
    # 700 steps in all: four to each of 150 columns.
    assert set(steps) == {4}
    assert max(fitted.effects, key=lambda one: max(one.values)).coding.column == "c0"
