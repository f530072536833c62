"""Ridge logistic regression: against hand-solved tables, a general optimiser, and its laws."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize
from scipy.special import expit

from risk.core import logistic, logistic_problem
from risk.core.errors import OutcomeRefused
from risk.core.logistic import FitRefused, fit_ridge_logistic
from risk.core.table import FloatArray


def drawn(rows: int, columns: int, seed: int) -> tuple[FloatArray, FloatArray]:
    """Correlated features, and outcomes of which about a third are bad."""
    generator = np.random.default_rng(seed)
    mixed = generator.normal(size=(columns, columns)) * 0.4 + np.eye(columns)
    features = generator.normal(size=(rows, columns)) @ mixed
    odds = features @ generator.normal(size=columns) * 0.5 - 0.8
    outcomes = (generator.random(rows) < expit(odds)).astype(np.float64)
    outcomes[:2] = 0.0, 1.0
    return features, outcomes


def objective(
    point: FloatArray,
    features: FloatArray,
    outcomes: FloatArray,
    penalty: float,
    weights: FloatArray | None = None,
) -> tuple[float, FloatArray]:
    """The plain definition, with the gradient: the oracle's own."""
    odds = features @ point[1:] + point[0]
    weighed = np.ones(len(odds)) if weights is None else weights
    loss = weighed @ (np.logaddexp(0, odds) - outcomes * odds) + penalty / 2 * point[1:] @ point[1:]
    miss = weighed * (expit(odds) - outcomes)
    return loss, np.concatenate([[miss.sum()], features.T @ miss + penalty * point[1:]])


def oracle(
    features: FloatArray,
    outcomes: FloatArray,
    penalty: float,
    weights: FloatArray | None = None,
) -> FloatArray:
    """Scipy's general optimiser, polished by root finding on the gradient."""
    first = optimize.minimize(
        objective,
        np.zeros(features.shape[1] + 1),
        args=(features, outcomes, penalty, weights),
        jac=True,
        method="BFGS",
    )

    def slope(point: FloatArray) -> FloatArray:
        return objective(point, features, outcomes, penalty, weights)[1]

    found = optimize.root(slope, first.x, tol=1e-13)
    return np.asarray(found.x, dtype=np.float64)


def point_of(fit: logistic.RidgeFit) -> FloatArray:
    return np.concatenate([[fit.intercept], fit.coefficients])


def test_a_two_by_two_table_is_solved_by_hand() -> None:
    # Of 10 without the sign 2 are bad: log(2 / 8). Of 10 with it 6 are: log(6 / 4).
    # Without a penalty the intercept is the first, the coefficient the difference.
    sign = np.repeat([0.0, 1.0], 10)
    outcomes = np.array([1] * 2 + [0] * 8 + [1] * 6 + [0] * 4)
    fit = fit_ridge_logistic(sign[:, None], outcomes, penalty=0.0)
    assert fit.intercept == pytest.approx(math.log(0.25), abs=1e-9)
    assert fit.coefficients[0] == pytest.approx(math.log(1.5) - math.log(0.25), abs=1e-9)
    weighed = fit_ridge_logistic(
        [[0.0], [0.0], [1.0], [1.0]], [1, 0, 1, 0], penalty=0.0, weights=[2, 8, 6, 4]
    )
    assert point_of(weighed) == pytest.approx(point_of(fit), abs=1e-9)


def test_a_penalised_table_is_solved_by_hand() -> None:
    # Signs of -1 and 1, 10 rows each, 2 and 8 bad: by symmetry the intercept is 0. At a
    # coefficient of log 2 the chances are 1/3 and 2/3, and the slope of the loss is
    # 10 (2/3) - 8 - 10 (1/3) + 2 = -8/3, so that a penalty of 8 / (3 log 2) holds it there.
    signs = np.repeat([-1.0, 1.0], 10)
    outcomes = np.array([1] * 2 + [0] * 8 + [1] * 8 + [0] * 2)
    fit = fit_ridge_logistic(signs[:, None], outcomes, penalty=8 / (3 * math.log(2)))
    assert point_of(fit) == pytest.approx([0.0, math.log(2)], abs=1e-10)


@pytest.mark.parametrize("penalty", [0.0, 0.3, 20.0, 1e4])
def test_a_general_optimiser_finds_the_same(penalty: float) -> None:
    features, outcomes = drawn(700, 6, seed=1)
    fit = fit_ridge_logistic(features, outcomes, penalty=penalty)
    assert point_of(fit) == pytest.approx(oracle(features, outcomes, penalty), abs=1e-8)
    assert fit.gradient < 1e-6


def test_a_penalised_intercept() -> None:
    features, outcomes = drawn(300, 3, seed=2)
    fit = fit_ridge_logistic(features, outcomes, penalty=5.0, intercept_penalised=True)

    def slope(point: FloatArray) -> FloatArray:
        plain = objective(point, features, outcomes, 5.0)[1]
        plain[0] += 5.0 * point[0]
        return plain

    assert point_of(fit) == pytest.approx(optimize.root(slope, np.zeros(4)).x, abs=1e-8)


@pytest.fixture
def sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Samples are taken of hundreds of rows, as they are of hundreds of thousands."""
    monkeypatch.setattr(logistic_problem, "LEAST_ROWS", 64)
    monkeypatch.setattr(logistic_problem, "_LEAST_ROWS_A_COLUMN", 4)
    monkeypatch.setattr(logistic_problem, "_BLOCK", 500)


@pytest.mark.usefixtures("sampled")
@pytest.mark.parametrize("order", ["C", "F"])
def test_a_sample_on_the_way_leads_to_the_same_optimum(order: str) -> None:
    features, outcomes = drawn(6_000, 5, seed=3)
    generator = np.random.default_rng(4)
    weights = generator.random(6_000) * 3
    features[:, 4] = generator.random(6_000) < 0.002  # hardly any of it in a sample
    shaped = np.array(features, order="C" if order == "C" else "F")
    fit = fit_ridge_logistic(shaped, outcomes, penalty=1.0, weights=weights)
    assert point_of(fit) == pytest.approx(oracle(features, outcomes, 1.0, weights), abs=1e-8)
    ranked = np.argsort(features[:, 0])  # sorted rows make no sample that misleads
    again = fit_ridge_logistic(
        features[ranked], outcomes[ranked], penalty=1.0, weights=weights[ranked]
    )
    assert point_of(again) == pytest.approx(point_of(fit), abs=1e-8)


def test_many_rows_take_few_passes_and_are_the_same_on_every_run() -> None:
    features, outcomes = drawn(200_000, 8, seed=5)
    fit = fit_ridge_logistic(features, outcomes, penalty=1.0)
    assert fit.rounds <= 8
    _, slope = objective(point_of(fit), features, outcomes, 1.0)
    assert np.abs(slope).max() / len(outcomes) < 1e-9
    again = fit_ridge_logistic(features, outcomes, penalty=1.0)
    assert point_of(again).tobytes() == point_of(fit).tobytes()


def test_a_start_saves_passes() -> None:
    features, outcomes = drawn(2_000, 5, seed=6)
    neighbour = fit_ridge_logistic(features, outcomes, penalty=1.1)
    cold = fit_ridge_logistic(features, outcomes, penalty=1.0)
    warm = fit_ridge_logistic(features, outcomes, penalty=1.0, start=neighbour)
    assert warm.rounds < cold.rounds
    assert point_of(warm) == pytest.approx(point_of(cold), abs=1e-8)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.01, 100))
def test_neither_row_order_nor_duplication_matters(seed: int, penalty: float) -> None:
    features, outcomes = drawn(60, 3, seed)
    fit = point_of(fit_ridge_logistic(features, outcomes, penalty=penalty))
    generator = np.random.default_rng(seed)
    order = generator.permutation(60)
    shuffled = fit_ridge_logistic(features[order], outcomes[order], penalty=penalty)
    assert point_of(shuffled) == pytest.approx(fit, abs=1e-8)
    times = generator.integers(0, 4, 60)
    times[:2] = 1  # both classes stay
    repeated = fit_ridge_logistic(
        np.repeat(features, times, axis=0), np.repeat(outcomes, times), penalty=penalty
    )
    weighed = fit_ridge_logistic(features, outcomes, penalty=penalty, weights=times)
    assert point_of(weighed) == pytest.approx(point_of(repeated), abs=1e-8)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.lists(st.integers(-12, 12), min_size=3, max_size=3))
def test_units_of_columns_only_change_units_of_coefficients(seed: int, powers: list[int]) -> None:
    features, outcomes = drawn(200, 3, seed)
    outcomes[2:6] = 0.0, 1.0, 0.0, 1.0
    features[2:6] = features[0]  # overlapping, so that an optimum exists without a penalty
    unit = 10.0 ** np.array(powers)
    plain = fit_ridge_logistic(features, outcomes, penalty=0.0)
    scaled = fit_ridge_logistic(features * unit, outcomes, penalty=0.0)
    assert scaled.coefficients * unit == pytest.approx(plain.coefficients, rel=1e-6, abs=1e-7)
    assert scaled.intercept == pytest.approx(plain.intercept, rel=1e-6, abs=1e-7)


def test_columns_far_from_zero_are_as_good_as_near_ones() -> None:
    features, outcomes = drawn(500, 3, seed=7)
    near = fit_ridge_logistic(features, outcomes, penalty=1.0)
    offset = np.array([1e7, -3e5, 0.0])
    far = fit_ridge_logistic(features + offset, outcomes, penalty=1.0)
    assert far.coefficients == pytest.approx(near.coefficients, abs=1e-6)
    assert far.log_odds(features + offset) == pytest.approx(near.log_odds(features), abs=1e-6)


def test_a_constant_column_gets_nothing() -> None:
    features, outcomes = drawn(200, 2, seed=8)
    plain = fit_ridge_logistic(features, outcomes, penalty=1.0)
    for constant in (0.0, 1.0, 1e9):
        wider = np.column_stack([features, np.full(200, constant)])
        fit = fit_ridge_logistic(wider, outcomes, penalty=1.0)
        assert fit.coefficients == pytest.approx([*plain.coefficients, 0.0], abs=1e-7)


def test_no_columns_leave_the_average() -> None:
    fit = fit_ridge_logistic(np.zeros((4, 0)), [1, 0, 0, 0], penalty=1.0)
    assert fit.intercept == pytest.approx(math.log(1 / 3), abs=1e-12)


def test_more_columns_than_rows() -> None:
    features, outcomes = drawn(20, 50, seed=9)
    fit = fit_ridge_logistic(features, outcomes, penalty=0.5)
    _, slope = objective(point_of(fit), features, outcomes, 0.5)
    assert np.abs(slope).max() < 1e-7


def test_the_same_column_twice_shares_its_weight() -> None:
    features, outcomes = drawn(300, 1, seed=10)
    single = fit_ridge_logistic(features, outcomes, penalty=1.0)
    # Two halves of the weight are half as dear: the penalty doubles for the same optimum.
    double = fit_ridge_logistic(np.repeat(features, 2, axis=1), outcomes, penalty=2.0)
    assert double.coefficients == pytest.approx([single.coefficients[0] / 2] * 2, abs=1e-8)


@pytest.mark.parametrize("penalty", [1e-6, 1e-3, 1.0])
def test_separated_outcomes_with_a_penalty_have_an_optimum(penalty: float) -> None:
    values = np.linspace(-1, 1, 40)
    fit = fit_ridge_logistic(values[:, None], values > 0, penalty=penalty)
    _, slope = objective(point_of(fit), values[:, None], (values > 0).astype(float), penalty)
    assert np.abs(slope).max() < 1e-7
    assert fit.coefficients[0] > 1


def test_separated_outcomes_without_a_penalty_are_refused() -> None:
    values = np.linspace(-1, 1, 40)
    with pytest.raises(FitRefused, match="larger penalty"):
        fit_ridge_logistic(values[:, None], values > 0, penalty=0.0)


FEATURES = [[1.0], [2.0], [3.0]]


@pytest.mark.parametrize(
    ("features", "outcomes", "changed"),
    [
        ([[1.0], [math.nan], [3.0]], [0, 1, 0], {}),
        ([[1.0], [math.inf], [3.0]], [0, 1, 0], {}),
        ([[1.0], [1e200], [3.0]], [0, 1, 0], {}),
        ([1.0, 2.0, 3.0], [0, 1, 0], {}),
        ([["a"], ["b"], ["c"]], [0, 1, 0], {}),
        (FEATURES, [0, 1], {}),
        (FEATURES, [0, 1, 0], {"penalty": -1.0}),
        (FEATURES, [0, 1, 0], {"penalty": math.nan}),
        (FEATURES, [0, 1, 0], {"weights": [1, 1]}),
        (FEATURES, [0, 1, 0], {"weights": [1, -1, 1]}),
        (FEATURES, [0, 1, 0], {"weights": [1, math.inf, 1]}),
        (FEATURES, [0, 1, 0], {"tolerance": 0.0}),
    ],
)
def test_what_cant_be_fitted_is_refused(
    features: npt.ArrayLike, outcomes: npt.ArrayLike, changed: dict[str, npt.ArrayLike]
) -> None:
    with pytest.raises(FitRefused):
        fit_ridge_logistic(features, outcomes, **{"penalty": 1.0, **changed})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "outcomes", [[0, 0, 0], [1, 1, 1], [0, 1, 2], [0, 0.5, 1], ["a", "b", "a"]]
)
def test_outcomes_that_say_nothing_are_refused(outcomes: npt.ArrayLike) -> None:
    with pytest.raises(OutcomeRefused):
        fit_ridge_logistic(FEATURES, outcomes, penalty=1.0)
    with pytest.raises(OutcomeRefused):
        fit_ridge_logistic(FEATURES, [0, 1, 0], penalty=1.0, weights=[1, 0, 1])
