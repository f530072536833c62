"""Bins, codes that stand apart, bends, and the words that are said of them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from risk.core.encoding import NumberCoding, TextCoding, bin_places, learn_codings
from risk.core.scorecard import (
    Effect,
    Scorecard,
    ScorecardSettings,
    log_odds,
    predict_bad,
    reasons,
)
from risk.core.spec import DataSpec, Direction, spec_from_toml
from risk.core.table import Column, FloatArray, Table, make_table, number_column, text_column
from risk.core.training import fit_scorecard
from risk.core.validation import auc
from tests.risk.examples import SPEC

ONE = ScorecardSettings(strengths=(1.0,))


def coding_of(values: list[float], *, most_steps: int = 3, whole: bool = False) -> NumberCoding:
    table = make_table({"x": number_column(values)})
    names = frozenset({"x"}) if whole else frozenset()
    (coding,) = learn_codings(table, ["x"], most_steps=most_steps, rare_below=1, whole=names)
    assert isinstance(coding, NumberCoding)
    return coding


def card(effect: Effect) -> Scorecard:
    return Scorecard(
        outcome_months=12,
        intercept=-2.0,
        effects=(effect,),
        settings=ScorecardSettings(),
        seed=1,
        strength=1.0,
        calibration_slope=1.0,
        training_rows=10,
        training_bad=1,
    )


def test_a_value_that_fills_a_bin_has_it_for_itself() -> None:
    # Of 100 rows 60 are zero: more than a bin of 25, so the other 40 share the three bins left,
    # 13 or 14 each: 1 to 13, 14 to 26 or 27, and the rest.
    values = [0.0] * 60 + [float(value) for value in range(1, 41)]
    edges = coding_of(values).edges
    assert edges[0] == 0.0
    sizes = np.diff([0, *np.searchsorted(np.sort(values), edges, side="right"), 100])
    assert sizes[0] == 60
    assert sizes[1:].tolist() in ([13, 14, 13], [14, 13, 13], [13, 13, 14])


def test_a_code_far_above_stands_apart() -> None:
    values = [float(value % 50) for value in range(500)] + [999.0] * 20
    coding = coding_of(values)
    assert coding.apart == (999.0,)
    assert max(coding.edges) < 50
    # Below the code, at it, and above it: only the very value is a code.
    places = bin_places(coding, number_column([998.0, 999.0, 1000.0, math.nan]))
    steps = len(coding.edges)
    assert places.tolist() == [steps, steps + 1, steps, steps + 2]


def test_negative_codes_stand_apart_where_all_else_is_not_negative() -> None:
    values = [float(value % 50) for value in range(500)]
    assert coding_of([*values, *[-9.0] * 20, *[-7.0] * 20]).apart == (-9.0, -7.0)
    # One negative amount among many is an amount.
    assert coding_of([*values, *[float(-value) for value in range(1, 60)]]).apart == ()


def test_of_a_group_apart_only_frequent_values_have_an_effect() -> None:
    # As in a file of late payments: 98 fills twenty rows, 96 three, and no count is above 4. They
    # are far from the rest together, though not from each other.
    values = [float(value % 5) for value in range(500)] + [98.0] * 20 + [96.0] * 3
    coding = coding_of(values)
    assert coding.apart == (98.0,)
    assert max(coding.edges) < 4
    top, code, rare = bin_places(coding, number_column([4.0, 98.0, 96.0])).tolist()
    assert rare == top != code
    # And below: -7 has too few rows, and counts as the least value.
    below = coding_of([float(value % 50) for value in range(500)] + [-9.0] * 20 + [-7.0] * 3)
    assert below.apart == (-9.0,)
    assert bin_places(below, number_column([-7.0, 0.0])).tolist() == [0, 0]


def test_the_outermost_bins_are_halved_towards_the_ends() -> None:
    # 1 to 640 in four bins of 160; at either end halves of 80, 40 and twice 20.
    edges = coding_of([float(value) for value in range(1, 641)]).edges
    assert edges == (20, 40, 80, 160, 320, 480, 560, 600, 620)
    # Of 1 to 96 the bins are of 24, the halves of 12, and their halves too few rows (under 10).
    # They join what lies next to them above; the last six have nothing above them.
    few = coding_of([float(value) for value in range(1, 97)]).edges
    sizes = np.diff([0, *few, 96])
    assert sizes.min() >= 10
    assert {24, 48, 72} <= set(few)


def test_steep_ends_are_found(spec: DataSpec) -> None:
    # One in fifty is above 98, and only there the risk is high: all others are alike.
    generator = np.random.default_rng(12)
    x = generator.uniform(0, 100, 6_000)
    is_bad = generator.random(6_000) < np.where(x > 98, 0.6, 0.03)
    scorecard = fit_scorecard(make_table({"x": number_column(x)}, is_bad=is_bad), spec, ONE, 1)
    low, near, top = predict_bad(scorecard, make_table({"x": number_column([50.0, 95.0, 99.5])}))
    assert low < 0.06
    assert near < 0.1
    assert top > 0.4


@pytest.mark.parametrize(
    ("bad", "numeric", "bound"),
    # 30 outcomes a numeric column leave 4 steps, 240 (8 times as many) double them, 810 (27 times)
    # would treble them, but 2.5 times is the most: 10. Six more lie in the tails.
    [(30, 1, 4), (60, 2, 4), (240, 1, 8), (480, 2, 8), (810, 1, 10)],
)
def test_more_outcomes_a_column_give_more_steps(
    spec: DataSpec, bad: int, numeric: int, bound: int
) -> None:
    rows = 4_000
    generator = np.random.default_rng(3)
    is_bad = np.arange(rows) < bad
    columns = {f"x{k}": number_column(generator.permutation(rows) * 1.0) for k in range(numeric)}
    four = replace(ONE, most_steps=4)
    scorecard = fit_scorecard(make_table(columns, is_bad=is_bad), spec, four, 1)
    for effect in scorecard.effects:
        assert isinstance(effect.coding, NumberCoding)
        assert len(effect.coding.edges) == bound + 6


def test_rare_or_near_values_and_imposed_directions_have_no_codes() -> None:
    values = [float(value % 50) for value in range(500)]
    assert coding_of([*values, *[999.0] * 3]).apart == ()
    assert coding_of([*values, *[60.0] * 20]).apart == ()
    assert coding_of([*values, *[999.0] * 20], whole=True).apart == ()


def valley(rows: int = 3_000, seed: int = 4) -> Table:
    """Risk is least in the middle of ``x``, at 50."""
    generator = np.random.default_rng(seed)
    x = generator.uniform(0, 100, rows)
    chance = 1 / (1 + np.exp(2.5 - 0.0016 * (x - 50) ** 2))
    return make_table({"x": number_column(x)}, is_bad=generator.random(rows) < chance)


def test_a_column_bends_where_the_risk_does(spec: DataSpec) -> None:
    scorecard = fit_scorecard(valley(), spec, ONE, 1)
    (effect,) = scorecard.effects
    assert effect.direction is None
    table = make_table({"x": number_column([1.0, 50.0, 99.0])})
    low, middle, high = predict_bad(scorecard, table)
    assert middle < low
    assert middle < high
    assert reasons(scorecard, table, spec) == [("The x is low.",), (), ("The x is high.",)]
    unseen = valley(seed=5)
    assert unseen.is_bad is not None
    assert auc(unseen.is_bad, predict_bad(scorecard, unseen)) > 0.7


@pytest.mark.parametrize("direction", list(Direction))
def test_an_imposed_direction_never_bends(direction: Direction) -> None:
    imposed = spec_from_toml(SPEC + f'\n[columns.x]\ndirection = "{direction.value}"\n')
    scorecard = fit_scorecard(valley(), imposed, ONE, 1)
    chance = predict_bad(scorecard, make_table({"x": number_column(np.linspace(-5, 1e6, 999))}))
    steps = np.diff(chance)
    assert ((steps if direction is Direction.RISING else -steps) >= 0).all()


def test_noise_does_not_bend(spec: DataSpec) -> None:
    generator = np.random.default_rng(8)
    x = generator.normal(size=(2_000, 3))
    is_bad = generator.random(2_000) < 1 / (1 + np.exp(2 - x[:, 0]))
    table = make_table({f"x{k}": number_column(x[:, k]) for k in range(3)}, is_bad=is_bad)
    scorecard = fit_scorecard(table, spec, ONE, 1)
    assert scorecard.effects[0].direction is Direction.RISING


@pytest.mark.parametrize(
    ("values", "said"),
    [
        # Average 0: what lies above it costs points, and the side of the better bins tells why.
        ((-1.0, 0.0, 1.0), (None, None, "high")),
        ((1.0, 0.0, -1.0), ("low", None, None)),
        ((1.0, -1.0, 1.0), ("low", None, "high")),
        ((-1.0, 1.0, -1.0), (None, "unusual", None)),
        # All known values cost something, as unknown ones cost less: the last is the worst.
        ((0.5, 1.0, 1.5), ("unusual", "high", "high")),
    ],
)
def test_which_side_costs_points(
    spec: DataSpec, values: tuple[float, ...], said: tuple[str | None, ...]
) -> None:
    effect = Effect(NumberCoding("income", (10.0, 20.0)), (*values, -2.0), 0.0)
    table = make_table({"income": number_column([5.0, 15.0, 25.0])})
    expected = [(f"The yearly income is {side}.",) if side else () for side in said]
    assert reasons(card(effect), table, spec) == expected


def test_codes_unknown_values_and_other_kinds_have_words(spec: DataSpec) -> None:
    effect = Effect(NumberCoding("income", (10.0,), (-9.0,)), (0.0, -0.5, 1.0, 0.7), 0.0)
    table = make_table({"income": number_column([-9.0, math.nan, 5.0])})
    assert log_odds(card(effect), table).tolist() == [-1.0, -1.3, -2.0]
    assert reasons(card(effect), table, spec) == [
        ("The yearly income is unusual.",),
        ("The yearly income is not known.",),
        (),
    ]
    # Words where numbers belong count as missing.
    worded = make_table({"income": text_column(["a"])})
    assert log_odds(card(effect), worded).tolist() == [-1.3]
    text_effect = Effect(TextCoding("home", ("owns",)), (-0.5, 0.25, 0.125), 0.0)
    assert log_odds(card(text_effect), make_table({"home": number_column([1.0])})) == [-1.875]


def test_refused_columns_are_never_named(spec: DataSpec) -> None:
    effects = (
        Effect(NumberCoding("price", (1.0,)), (0.0, 2.0, 0.0), 0.0),
        Effect(TextCoding("sex", ("f",)), (1.5, 0.0, 0.0), 0.0),
        Effect(NumberCoding("income", (1.0,)), (0.0, 1.0, 0.0), 0.0),
    )
    columns: dict[str, Column] = {
        "price": number_column([5.0]),
        "sex": text_column(["f"]),
        "income": number_column([5.0]),
    }
    scorecard = replace(card(effects[0]), effects=effects)
    assert reasons(scorecard, make_table(columns), spec) == [("The yearly income is high.",)]


def test_many_rows_are_scored_like_each_alone(spec: DataSpec) -> None:
    generator = np.random.default_rng(2)
    size = 40_000
    x: FloatArray = generator.choice([-9.0, 0.0, 1.0, 5.0, np.nan, np.inf, -np.inf], size)
    home = generator.choice(["owns", "boat", ""], size)
    number = Effect(NumberCoding("income", (0.5, 3.0), (-9.0,)), (0.1, 0.2, 0.4, 0.8, 1.6), 0.3)
    text = Effect(TextCoding("home", ("owns",)), (3.2, 6.4, 12.8), 5.0)
    scorecard = replace(card(number), effects=(number, text))
    table = make_table({"income": number_column(x), "home": text_column(home.tolist())})
    worth = {-9.0: 0.8, 0.0: 0.1, 1.0: 0.2, 5.0: 0.4, math.inf: 0.4, -math.inf: 0.1}
    lives = {"owns": 3.2, "boat": 6.4, "": 12.8}
    by_hand = [
        -2.0 + worth.get(value, 1.6) + lives[word]
        for value, word in zip(x.tolist(), home.tolist(), strict=True)
    ]
    assert log_odds(scorecard, table) == pytest.approx(by_hand, abs=1e-12)
    said = reasons(scorecard, table, spec)
    places = [0, 16_383, 16_384, size - 1]
    alone = [reasons(scorecard, table.take(np.array([place])), spec)[0] for place in places]
    assert [said[place] for place in places] == alone
