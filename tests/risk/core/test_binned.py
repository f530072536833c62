"""The classical scorecard: what is learnt, what never may be, and that it is the same again."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from risk.core.binned import fit_binned
from risk.core.encoding import NumberCoding, TextCoding
from risk.core.errors import ColumnRefused, OutcomeRefused, ScorecardRefused
from risk.core.scorecard import (
    Scorecard,
    ScorecardSettings,
    predict_bad,
    scorecard_from_json,
)
from risk.core.scorecard_calibration import Calibration
from risk.core.spec import DataSpec, Direction, spec_from_toml
from risk.core.table import (
    Column,
    Facts,
    FloatArray,
    Table,
    make_table,
    number_column,
    table_from_facts,
    text_column,
)
from risk.core.validation import auc
from tests.risk.examples import SPEC

SETTINGS = ScorecardSettings(strengths=(0.5, 2.0))


def invented(rows: int, seed: int) -> tuple[Table, FloatArray]:
    """Rows, and the log-odds that their outcomes are drawn by.

    Risk rises with searches, falls with income, and is higher for who rents; noise says nothing.

    Some incomes are missing.
    """
    generator = np.random.default_rng(seed)
    searches = generator.poisson(1.5, rows).astype(np.float64)
    income = generator.lognormal(10, 0.5, rows)
    home = generator.integers(0, 3, rows)
    odds = -2.2 + 0.5 * searches - (np.log(income) - 10) + 0.7 * (home == 1)
    is_bad = generator.random(rows) < 1 / (1 + np.exp(-odds))
    income[generator.random(rows) < 0.05] = np.nan
    columns: dict[str, Column] = {
        "searches": number_column(searches),
        "income": number_column(income),
        "home": text_column([["owns", "rents", "family"][place] for place in home]),
        "noise": number_column(generator.normal(size=rows)),
    }
    return make_table(columns, is_bad=is_bad), odds


@pytest.fixture(scope="module")
def meaning() -> DataSpec:
    return spec_from_toml(SPEC)


@pytest.fixture(scope="module")
def training() -> Table:
    return invented(3_000, seed=1)[0]


@pytest.fixture(scope="module")
def scorecard(training: Table, meaning: DataSpec) -> Scorecard:
    return fit_binned(training, meaning, SETTINGS, seed=1)


def test_it_tells_bad_from_good_on_other_rows(scorecard: Scorecard, training: Table) -> None:
    unseen, odds = invented(3_000, seed=2)
    assert unseen.is_bad is not None
    chance = predict_bad(scorecard, unseen)
    assert auc(unseen.is_bad, chance) > auc(unseen.is_bad, odds) - 0.02
    # Calibrated: of those that it learnt from it expects about as many bad as there were.
    expected = predict_bad(scorecard, training).sum()
    assert expected == pytest.approx(scorecard.training_bad, rel=0.01)


def test_effects_are_monotone_in_the_direction(scorecard: Scorecard) -> None:
    seen = {effect.coding.column: effect for effect in scorecard.effects}
    assert seen["searches"].direction is Direction.RISING
    assert seen["income"].direction is Direction.FALLING
    assert (np.diff(seen["searches"].values[:-1]) > 0).all()
    assert (np.diff(seen["income"].values[:-1]) < 0).all()
    home = seen["home"]
    assert isinstance(home.coding, TextCoding)
    rents = home.coding.levels.index("rents")
    assert home.values[rents] == max(home.values)


def test_the_average_is_that_of_training(scorecard: Scorecard, training: Table) -> None:
    from risk.core.encoding import bin_places

    for effect in scorecard.effects:
        places = bin_places(effect.coding, training.columns[effect.coding.column])
        assert effect.average == pytest.approx(np.array(effect.values)[places].mean(), abs=1e-8)


def test_the_same_again(scorecard: Scorecard, training: Table, meaning: DataSpec) -> None:
    told: list[tuple[int, int]] = []
    again = fit_binned(
        training, meaning, SETTINGS, seed=1, progress=lambda *done: told.append(done)
    )
    assert again == scorecard
    assert told == [(step, 6) for step in range(1, 7)]
    assert scorecard_from_json(scorecard.to_json()) == scorecard


def test_an_imposed_direction_that_is_wrong_leaves_the_column_out(
    training: Table, meaning: DataSpec
) -> None:
    searches = replace(meaning.column("searches"), direction=Direction.FALLING)
    imposed = replace(meaning, columns={**meaning.columns, "searches": searches})
    found = fit_binned(training, imposed, SETTINGS, seed=1)
    (effect,) = [e for e in found.effects if e.coding.column == "searches"]
    assert (np.diff(effect.values[:-1]) <= 0).all()
    assert np.ptp(effect.values) < 0.05


def test_a_column_of_the_wrong_sign_is_left_out(meaning: DataSpec) -> None:
    # Alone, "shadow" rises with the risk, as it goes with the signal: 2 x .8 - 1 > 0. Beside the
    # signal its weight is below 0, and it must go.
    generator = np.random.default_rng(4)
    signal, other = generator.normal(size=(2, 3_000))
    shadow = 0.8 * signal + 0.6 * other
    is_bad = generator.random(3_000) < 1 / (1 + np.exp(1 - 2 * signal + shadow))
    columns = {"signal": number_column(signal), "shadow": number_column(shadow)}
    found = fit_binned(make_table(columns, is_bad=is_bad), meaning, SETTINGS, seed=1)
    told, left_out = found.effects
    assert left_out.direction is Direction.RISING
    assert set(left_out.values) == {0.0}
    assert (np.diff(told.values[:-1]) > 0).all()


def test_empty_and_unseen_values_get_finite_scores(training: Table, meaning: DataSpec) -> None:
    size = len(training)
    table = make_table(
        {
            "searches": training.columns["searches"],
            "home": training.columns["home"],
            "constant": number_column([7.0] * size),
            "nothing": number_column([math.nan] * size),
            "infinite": number_column([math.inf] * size),
            "silent": text_column([None] * size),
        },
        is_bad=training.is_bad,
    )
    found = fit_binned(table, meaning, SETTINGS, seed=1)
    seen = {effect.coding.column: effect for effect in found.effects}
    for name in ("constant", "nothing", "infinite", "silent"):
        assert set(seen[name].values) == {0.0}
    assert isinstance(seen["infinite"].coding, NumberCoding)
    facts: list[Facts] = [{"searches": math.inf, "home": "castle", "constant": 99.0}, {}]
    unseen = table_from_facts(facts, found.kinds())
    chance = predict_bad(found, unseen)
    assert ((chance > 0) & (chance < 1)).all()


def test_nothing_learnt_gives_everyone_the_average(meaning: DataSpec) -> None:
    generator = np.random.default_rng(3)
    noise = {f"noise{k}": number_column(generator.normal(size=300)) for k in range(4)}
    is_bad = generator.random(300) < 0.3
    chance = predict_bad(
        found := fit_binned(make_table(noise, is_bad=is_bad), meaning, SETTINGS, seed=1),
        make_table(noise),
    )
    assert found.training_bad == is_bad.sum()
    assert chance == pytest.approx(is_bad.mean(), abs=0.1)


def test_what_cant_be_fitted_is_refused(training: Table, meaning: DataSpec) -> None:
    silent = make_table(training.columns)
    with pytest.raises(OutcomeRefused, match="none"):
        fit_binned(silent, meaning, SETTINGS, seed=1)
    one = make_table(training.columns, is_bad=np.ones(len(training), dtype=np.bool_))
    with pytest.raises(OutcomeRefused):
        fit_binned(one, meaning, SETTINGS, seed=1)
    for asked in ("price", "sex", "outcome", "unheard"):
        with pytest.raises(ColumnRefused):
            fit_binned(training, meaning, replace(SETTINGS, inputs=(asked,)), seed=1)
    for wrong in (
        replace(SETTINGS, folds=1),
        replace(SETTINGS, strengths=()),
        replace(SETTINGS, ridge=0.0),
        replace(SETTINGS, strengths=(-1.0,)),
    ):
        with pytest.raises(ScorecardRefused):
            fit_binned(training, meaning, wrong, seed=1)


def test_its_calibration_can_be_isotonic(meaning: DataSpec) -> None:
    table, _ = invented(2_000, 5)
    straight = fit_binned(table, meaning, SETTINGS, 1)
    bent = fit_binned(table, meaning, replace(SETTINGS, calibration=Calibration.ISOTONIC), 1)
    assert straight.knots == ()
    assert len(bent.knots) > 1
    assert bent.effects == straight.effects
    # A rising map: nobody is overtaken.
    order = np.argsort(predict_bad(straight, table), kind="stable")
    assert (np.diff(predict_bad(bent, table)[order]) >= -1e-12).all()
