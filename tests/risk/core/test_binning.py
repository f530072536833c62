"""Monotone bins: pooling against a brute-force oracle, evidence by hand, and their laws."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from risk.core.binning import (
    BinningRefused,
    BinningSettings,
    NumberBinning,
    TextBinning,
    binning_places,
    column_strength,
    evidence,
    learn_binning,
    strength,
)
from risk.core.errors import ColumnRefused, OutcomeRefused
from risk.core.spec import Direction
from risk.core.table import BoolArray, FloatArray, make_table, number_column, text_column
from risk.core.validation import auc

# Nothing is merged, nothing pooled: what is left is isotonic regression alone.
BARE = BinningSettings(
    least_share=0.0, least_of_class=0, least_gain=0.0, rare_share=0.0, rare_rows=1, level_rows=0.0
)


def numbers(
    values: FloatArray | list[float],
    is_bad: BoolArray | list[int],
    direction: Direction | None = None,
    cut: BinningSettings = BARE,
) -> NumberBinning:
    found = learn_binning(
        "x",
        number_column(values),
        np.array(is_bad, dtype=np.bool_),
        settings=cut,
        direction=direction,
    )
    assert isinstance(found, NumberBinning)
    return found


def drawn(rows: int, seed: int) -> tuple[FloatArray, BoolArray]:
    """Values whose risk rises, with a few missing ones."""
    generator = np.random.default_rng(seed)
    values = generator.normal(size=rows)
    is_bad = generator.random(rows) < 1 / (1 + np.exp(1.5 - values))
    is_bad[:2] = True, False
    values[generator.random(rows) < 0.05] = np.nan
    return values, is_bad


def isotonic_by_brute_force(bad: list[int]) -> list[float]:
    """The rising fit of one outcome a value, by its min-max formula.

    At i it is the largest mean, over starts j <= i, of the smallest mean over ends k >= i.
    """
    size = len(bad)
    return [
        max(min(sum(bad[j : k + 1]) / (k + 1 - j) for k in range(i, size)) for j in range(i + 1))
        for i in range(size)
    ]


@given(
    st.lists(st.integers(0, 1), min_size=2, max_size=14).filter(
        lambda seen: 0 < sum(seen) < len(seen)
    )
)
def test_bins_are_the_steps_of_the_isotonic_fit(bad: list[int]) -> None:
    found = numbers(list(range(len(bad))), bad, Direction.RISING)
    places = binning_places(found, number_column(list(range(len(bad)))))
    rates = [found.bins[place].bad_rate for place in places]
    assert rates == pytest.approx(isotonic_by_brute_force(bad), abs=1e-12)
    falling = numbers([-value for value in range(len(bad))], bad, Direction.FALLING)
    assert [b.rows for b in falling.bins[:-1]] == [b.rows for b in found.bins[:-1]][::-1]


def test_evidence_and_information_value_by_hand() -> None:
    # 10 low values with 1 bad, 10 high ones with 4 bad: 5 bad, 15 good, odds 1/3. Two more rows
    # of average make-up hold .5 bad and 1.5 good.
    # Low: 1.5 / 10.5 = 1/7, over 1/3: log(3/7). High: 4.5 / 7.5 = 3/5, over 1/3: log(9/5).
    # IV: (1/5 - 9/15) log(3/7) + (4/5 - 6/15) log(9/5) = .4 (log(7/3) + log(9/5)) = .4 log 4.2.
    values = [1.0] * 10 + [2.0] * 10
    is_bad = [1] + [0] * 9 + [1] * 4 + [0] * 6
    found = numbers(values, is_bad, cut=BinningSettings(smoothing=2.0, least_of_class=1))
    assert found.edges == (1.0,)
    assert [(b.rows, b.bad, b.share) for b in found.bins] == [(10, 1, 0.5), (10, 4, 0.5), (0, 0, 0)]
    woe = [b.woe for b in found.bins]
    assert woe == pytest.approx([math.log(3 / 7), math.log(9 / 5), 0.0], abs=1e-12)
    assert found.iv == pytest.approx(0.4 * math.log(4.2), abs=1e-12)
    # Pairs of a bad and a good row: 75. Right: 4 x 9. Tied: 1 x 9 and 4 x 6.
    assert strength(found).auc == pytest.approx((36 + 33 / 2) / 75, abs=1e-12)
    assert strength(found).gini == pytest.approx(2 * (36 + 33 / 2) / 75 - 1, abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(list(Direction)), st.floats(0.01, 0.4))
def test_bins_are_monotone_and_large_enough(
    seed: int, direction: Direction, least_share: float
) -> None:
    values, is_bad = drawn(300, seed)
    cut = BinningSettings(least_share=least_share, least_of_class=3)
    found = numbers(values, is_bad, direction, cut)
    ranges = found.bins[:-1]
    for before, after in pairwise(ranges):
        safer, riskier = (before, after) if direction is Direction.RISING else (after, before)
        assert safer.bad_rate <= riskier.bad_rate
        assert safer.woe <= riskier.woe
    if len(ranges) > 1:
        assert min(b.rows for b in ranges) >= least_share * 300
        assert min(min(b.bad, b.rows - b.bad) for b in ranges) >= 3
    assert sum(b.rows for b in found.bins) == 300
    assert found.iv >= 0
    assert found.direction is direction


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_neither_row_order_nor_a_rising_change_of_units_matters(seed: int) -> None:
    values, is_bad = drawn(200, seed)
    found = numbers(values, is_bad, cut=BinningSettings())
    order = np.random.default_rng(seed).permutation(200)
    assert numbers(values[order], is_bad[order], cut=BinningSettings()) == found
    assert numbers(values * 8 + 1, is_bad, cut=BinningSettings()).bins == found.bins


def test_the_direction_is_found() -> None:
    values, is_bad = drawn(2_000, seed=1)
    assert numbers(values, is_bad, cut=BinningSettings()).direction is Direction.RISING
    assert numbers(-values, is_bad, cut=BinningSettings()).direction is Direction.FALLING


def test_missing_special_and_infinite_values() -> None:
    values = np.array([math.nan] * 20 + [-1.0] * 20 + [math.inf, -math.inf] + list(range(40)))
    is_bad = np.array([True] * 15 + [False] * 5 + [False] * 18 + [True] * 2 + [True, False]
                      + [False] * 15 + [True] * 5 + [True] * 15 + [False] * 5)  # fmt: skip
    cut = BinningSettings(specials=(-1.0,), least_of_class=1)
    found = numbers(values, is_bad, cut=cut)
    places = binning_places(found, number_column(values))
    assert found.specials == (-1.0,)
    assert (places[:20] == len(found.bins) - 1).all()
    assert (places[20:40] == len(found.bins) - 2).all()
    assert places[40:42].tolist() == [len(found.edges), 0]
    assert found.bins[-1].bad == 15
    assert found.bins[-2].bad == 2
    assert all(math.isfinite(edge) for edge in found.edges)
    assert np.isfinite(evidence(found, number_column([math.inf, -math.inf, math.nan, 1e300]))).all()


@pytest.mark.parametrize("value", [7.0, math.inf, -math.inf, math.nan])
def test_a_constant_column_says_nothing(value: float) -> None:
    found = numbers([value] * 30, [1] * 10 + [0] * 20, cut=BinningSettings())
    assert found.edges == ()
    assert found.iv == 0.0
    assert [b.woe for b in found.bins] == [0.0, 0.0]
    assert strength(found).auc == 0.5


def test_text_levels_go_by_risk_with_rare_unseen_and_missing_ones_apart() -> None:
    levels = ["safe"] * 100 + ["calm"] * 100 + ["wild"] * 100 + ["odd"] * 4
    bad = [1] * 10 + [0] * 90 + [1] * 10 + [0] * 90 + [1] * 50 + [0] * 50 + [1] * 4
    column = text_column([*levels, *[None] * 20])
    is_bad = np.array([*bad, *[0] * 20], dtype=np.bool_)
    found = learn_binning("home", column, is_bad, settings=BinningSettings(rare_rows=10))
    assert isinstance(found, TextBinning)
    assert found.groups == (("calm", "safe"), ("wild",))  # of one risk, so of one bin
    assert [(b.rows, b.bad) for b in found.bins] == [(200, 20), (100, 50), (4, 4), (20, 0)]
    unseen = text_column(["never", "odd", None, "wild"])
    assert binning_places(found, unseen).tolist() == [2, 2, 3, 1]
    assert np.isfinite(evidence(found, unseen)).all()
    number = number_column([1.0])
    assert binning_places(found, number).tolist() == [3]  # of the wrong kind: missing


def test_text_without_any_common_level() -> None:
    column = text_column([f"name {row}" for row in range(40)])
    found = learn_binning("name", column, np.arange(40) < 10)
    assert isinstance(found, TextBinning)
    assert found.groups == ()
    assert found.iv == 0.0


def test_a_columns_strength_is_the_auc_of_its_evidence() -> None:
    values, is_bad = drawn(1_000, seed=2)
    table = make_table({"x": number_column(values)})
    found = column_strength(table, is_bad, "x")
    scored = evidence(learn_binning("x", table.columns["x"], is_bad), table.columns["x"])
    assert found.auc == pytest.approx(auc(is_bad, scored), abs=1e-12)
    assert found.iv > 0.1
    with pytest.raises(ColumnRefused):
        column_strength(table, is_bad, "y")


def test_what_cant_be_cut_is_refused() -> None:
    for outcomes in ([0, 0, 0], [1, 1, 1], [1, 0]):
        with pytest.raises(OutcomeRefused):
            numbers([1.0, 2.0, 3.0], outcomes)
    for cut in (
        BinningSettings(least_share=1.5),
        BinningSettings(smoothing=0.0),
        BinningSettings(least_of_class=-1),
        BinningSettings(specials=(1.0, 1.0)),
        BinningSettings(specials=(math.nan,)),
    ):
        with pytest.raises(BinningRefused):
            numbers([1.0, 2.0, 3.0], [1, 0, 0], cut=cut)
