"""The scorecard: laws that hold for any row, and what it refuses."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from risk.core.encoding import NumberCoding, TextCoding, bin_places
from risk.core.errors import (
    ColumnRefused,
    FactsRefused,
    OutcomeRefused,
    ScorecardRefused,
)
from risk.core.scorecard import (
    Effect,
    Scorecard,
    ScorecardSettings,
    log_odds,
    points,
    predict_bad,
    reasons,
    scorecard_from_json,
)
from risk.core.spec import DataSpec, Direction, Kind, spec_from_toml
from risk.core.table import Fact, Table, make_table, number_column, table_from_facts, text_column
from risk.core.training import fit_scorecard
from risk.core.validation import auc
from tests.risk.conftest import Fitted
from tests.risk.examples import SPEC

KINDS: dict[str, Kind | None] = {
    "amount": Kind.NUMBER,
    "term": Kind.TEXT,
    "income": Kind.NUMBER,
    "searches": Kind.NUMBER,
    "home": Kind.TEXT,
}
numbers = st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True))
texts = st.one_of(st.none(), st.text(max_size=5), st.sampled_from(["owns", "rents", "short"]))
rows = st.fixed_dictionaries(
    {name: numbers if kind is Kind.NUMBER else texts for name, kind in KINDS.items()}
)


def test_bins_of_numbers_hold_their_upper_edge() -> None:
    coding = NumberCoding("x", (10.0, 20.0))
    values = number_column([-math.inf, 10.0, 10.5, 20.0, 21.0, math.inf, math.nan])
    assert bin_places(coding, values).tolist() == [0, 0, 1, 1, 2, 2, 3]


def test_bins_of_text_pool_what_is_rare_or_unseen() -> None:
    coding = TextCoding("x", ("a", "b"))
    assert bin_places(coding, text_column(["b", "zebra", None, "a"])).tolist() == [1, 2, 3, 0]


def test_a_scorecard_small_enough_to_add_up() -> None:
    scorecard = Scorecard(
        outcome_months=24,
        intercept=-3.0,
        effects=(
            Effect(NumberCoding("searches", (1.0,)), (0.0, 1.0, 0.5), 0.2, Direction.RISING),
            Effect(TextCoding("home", ("owns",)), (-0.5, 0.25, 0.0), 0.0),
        ),
        settings=ScorecardSettings(),
        seed=1,
        strength=1.0,
        calibration_slope=1.0,
        training_rows=10,
        training_bad=1,
    )
    table = make_table(
        {"searches": number_column([5.0, 0.0]), "home": text_column(["owns", "boat"])}
    )
    # -3 + 1 - .5 and -3 + 0 + .25
    assert log_odds(scorecard, table).tolist() == [-2.5, -2.75]
    assert predict_bad(scorecard, table) == pytest.approx(
        [1 / (1 + math.exp(2.5)), 1 / (1 + math.exp(2.75))]
    )
    # 600 points at odds of 20 to 1, and 40 more for twice the odds.
    first = 600 + 40 * (2.5 - math.log(20)) / math.log(2)
    assert points(scorecard, table)[0] == pytest.approx(first)
    # The first lost (1 - .2) log-odds on searches; the second .25 on its home.
    assert reasons(scorecard, table, spec_from_toml(SPEC)) == [
        ("The number of credit searches is high.",),
        ("The home is an unusual one.",),
    ]


def test_it_learns_what_the_data_hold(invented: Fitted) -> None:
    directions = {effect.coding.column: effect.direction for effect in invented.scorecard.effects}
    assert directions["searches"] is Direction.RISING
    assert directions["income"] is Direction.FALLING
    assert directions["home"] is None
    assert invented.holdout.is_bad is not None
    area = auc(invented.holdout.is_bad, predict_bad(invented.scorecard, invented.holdout))
    assert area > 0.62


def test_it_never_reads_prices_protected_or_set_aside_columns(invented: Fitted) -> None:
    assert set(invented.scorecard.kinds()) == set(KINDS)


def test_mean_prediction_is_the_share_of_bad_in_training(invented: Fitted) -> None:
    chance = predict_bad(invented.scorecard, invented.training)
    share = invented.scorecard.training_bad / invented.scorecard.training_rows
    assert chance.mean() == pytest.approx(share, rel=0.05)


def test_every_numeric_effect_is_monotone_in_its_direction(invented: Fitted) -> None:
    for effect in invented.scorecard.effects:
        if isinstance(effect.coding, NumberCoding):
            steps = np.diff(effect.values[:-1])
            rising = effect.direction is Direction.RISING
            assert ((steps if rising else -steps) >= 0).all()


@given(rows)
def test_the_score_of_any_row_is_finite(invented: Fitted, row: dict[str, Fact]) -> None:
    table = table_from_facts([row], KINDS)
    (chance,) = predict_bad(invented.scorecard, table)
    assert 0 < chance < 1
    assert math.isfinite(points(invented.scorecard, table)[0])
    (said,) = reasons(invented.scorecard, table, invented.spec)
    assert len(said) <= 4
    assert len(set(said)) == len(said)


@given(rows, st.floats(0, 20), st.floats(0, 20))
def test_more_searches_never_lower_the_risk(
    invented: Fitted, row: dict[str, Fact], one: float, other: float
) -> None:
    fewer, more = sorted([one, other])
    table = table_from_facts([{**row, "searches": fewer}, {**row, "searches": more}], KINDS)
    low, high = predict_bad(invented.scorecard, table)
    assert low <= high


def test_order_of_rows_does_not_matter(invented: Fitted) -> None:
    order = np.arange(len(invented.holdout))[::-1].copy()
    forwards = predict_bad(invented.scorecard, invented.holdout)
    backwards = predict_bad(invented.scorecard, invented.holdout.take(order))
    assert np.array_equal(forwards, backwards[order])


def test_survives_storage_as_json(invented: Fitted) -> None:
    stored = json.dumps(invented.scorecard.to_json())
    assert scorecard_from_json(json.loads(stored)) == invented.scorecard


def test_a_damaged_scorecard_is_refused(invented: Fitted) -> None:
    stored = invented.scorecard.to_json()
    del stored["effects"][0]["values"][0]
    with pytest.raises(ScorecardRefused):
        scorecard_from_json(stored)
    with pytest.raises(ScorecardRefused):
        scorecard_from_json({})


def test_the_same_seed_gives_the_same_scorecard(invented: Fitted) -> None:
    again = fit_scorecard(invented.training, invented.spec, ScorecardSettings(), 1)
    assert again == invented.scorecard


def test_progress_is_told_to_the_end(invented: Fitted) -> None:
    told: list[tuple[int, int]] = []
    fit_scorecard(
        invented.training,
        invented.spec,
        ScorecardSettings(strengths=(1.0,)),
        1,
        progress=lambda done, total: told.append((done, total)),
    )
    # One strength, and the final fit.
    assert told == [(1, 2), (2, 2)]


@pytest.mark.parametrize("column", ["price", "sex", "outcome"])
def test_a_refused_column_asked_for_is_refused(invented: Fitted, column: str) -> None:
    asked = ScorecardSettings(inputs=("income", column))
    with pytest.raises(ColumnRefused):
        fit_scorecard(invented.training, invented.spec, asked, 1)


def test_one_class_or_no_outcome_is_refused(invented: Fitted) -> None:
    training = invented.training
    all_good = Table(training.columns, training.rows, np.zeros(len(training), dtype=np.bool_))
    for table in (all_good, Table(training.columns, training.rows, None)):
        with pytest.raises(OutcomeRefused):
            fit_scorecard(table, invented.spec, ScorecardSettings(), 1)


@pytest.mark.parametrize(
    "changed", [{"most_steps": 0}, {"folds": 1}, {"strengths": ()}, {"ridge": 0.0}]
)
def test_settings_that_can_not_be_fitted_are_refused(
    invented: Fitted, changed: dict[str, float]
) -> None:
    with pytest.raises(ScorecardRefused):
        fit_scorecard(
            invented.training,
            invented.spec,
            replace(ScorecardSettings(), **changed),  # type: ignore[arg-type]
            1,
        )


def test_constant_and_all_missing_columns_have_no_effect(invented: Fitted) -> None:
    size = len(invented.training)
    columns = {
        "searches": invented.training.columns["searches"],
        "constant": number_column([7.0] * size),
        "nothing": number_column([math.nan] * size),
        "infinite": number_column([math.inf] * size),
        "silent": text_column([None] * size),
        "same": text_column(["owns"] * size),
    }
    table = make_table(columns, is_bad=invented.training.is_bad)
    scorecard = fit_scorecard(table, invented.spec, ScorecardSettings(strengths=(1.0,)), 1)
    seen = {effect.coding.column: effect for effect in scorecard.effects}
    assert any(seen["searches"].values)
    for name in ("constant", "nothing", "infinite", "silent", "same"):
        # Exactly nothing, for values seen and unseen.
        assert set(seen[name].values) == {0.0}
        assert seen[name].average == 0.0
    unseen = table_from_facts(
        [
            {"searches": 1, "constant": 99.0, "silent": "word", "same": "rents"},
            {"searches": 1, "constant": 7.0, "same": "owns"},
        ],
        scorecard.kinds(),
    )
    first, second = predict_bad(scorecard, unseen)
    assert 0 < first < 1
    assert first == second


def test_a_direction_may_be_imposed(invented: Fitted) -> None:
    imposed = spec_from_toml(
        SPEC.replace('words = "number of credit searches"', 'words = "x"\ndirection = "falling"')
    )
    scorecard = fit_scorecard(invented.training, imposed, ScorecardSettings(strengths=(1.0,)), 1)
    (effect,) = [e for e in scorecard.effects if e.coding.column == "searches"]
    assert effect.direction is Direction.FALLING
    assert (np.diff(effect.values[:-1]) <= 0).all()


def test_nothing_learnt_gives_everyone_the_average(spec: DataSpec) -> None:
    generator = np.random.default_rng(3)
    noise = {f"noise{k}": number_column(generator.normal(size=200)) for k in range(4)}
    table = make_table(noise, is_bad=generator.random(200) < 0.3)
    scorecard = fit_scorecard(table, spec, ScorecardSettings(), 1)
    chance = predict_bad(scorecard, table)
    assert table.is_bad is not None
    assert chance.mean() == pytest.approx(table.is_bad.mean(), abs=0.05)


def test_a_missing_column_is_refused(invented: Fitted) -> None:
    with pytest.raises(FactsRefused, match="amount"):
        predict_bad(invented.scorecard, make_table({"income": number_column([1.0])}))


@settings(max_examples=25)
@given(st.integers(0, 10_000))
def test_unequal_lengths_are_refused(extra: int) -> None:
    with pytest.raises(FactsRefused):
        make_table({"a": number_column([1.0]), "b": number_column([1.0] * (extra % 5 + 2))})
