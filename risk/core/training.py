"""Fitting a scorecard: additive steps fitted jointly under sign bounds.

Every column's effect is fitted at once. The direction of a numeric column is that of its effect
in an unbounded fit (unless the specification imposes one); the final fit bounds the sign of its
steps, so that its effect is monotone. Under those bounds a lasso on the steps, which is the
column's whole rise, is linear. A column bends only where that does clearly better on rows not
learnt from. The strength of the penalties is chosen by cross-validation, and the out-of-fold
log-odds recalibrate the result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from risk.core.binned import fit_binned
from risk.core.encoding import (
    MOST_LEVELS,
    TAIL_CUTS,
    Block,
    Design,
    learn_codings,
    make_design,
)
from risk.core.errors import OutcomeRefused, ScorecardRefused
from risk.core.scorecard import Effect, Method, Scorecard, ScorecardSettings
from risk.core.scorecard_calibration import calibration_knots, platt_line
from risk.core.scorecard_search import Search
from risk.core.scorecard_shapes import Shapes, direction_of
from risk.core.spec import DataSpec
from risk.core.split import stratified_folds
from risk.core.table import BoolArray, FloatArray, IntArray, NumberColumn, Table

Progress = Callable[[int, int], None]

# The settings' number of steps is for so many outcomes of the rarer class a numeric column. It
# grows with the cube root of that, as the best width of a histogram's bins shrinks, up to a bound.
_OUTCOMES_A_COLUMN = 30
_MOST_GROWTH = 2.5
# So many steps in all, and so many levels: a Newton step takes the cube of them. A wide table's
# columns are cut more coarsely.
_MOST_PARAMETERS = 700
_FEWEST_LEVELS = 5
_LEAST_WITH_TAILS = 8
# Coefficients are kept to so many decimals of log-odds.
_DECIMALS = 7


def fit_scorecard(
    table: Table,
    spec: DataSpec,
    settings: ScorecardSettings,
    seed: int,
    *,
    progress: Progress | None = None,
) -> Scorecard:
    """Fit a scorecard to past applications with outcomes, by the settings' method.

    Constant and all-missing columns are allowed: they have no effect. The same table, settings
    and seed give the same scorecard, whatever the order of the columns. With fewer outcomes of a
    class than folds there are as many folds as outcomes.

    Args:
        progress: told (steps done, steps in all).

    Raises:
        OutcomeRefused: when outcomes are missing, of one class only, or fewer than two of one.
        ColumnRefused: when the settings ask for a price, protected, outcome or unknown column.
        ScorecardRefused: for settings that can't be fitted.
    """
    _check_settings(settings)
    if table.is_bad is None:
        raise OutcomeRefused("A scorecard is fitted to outcomes; this table has none.")
    if settings.method is Method.BINNED:
        return fit_binned(table, spec, settings, seed, progress=progress)
    columns = sorted(set(spec.input_columns(table.columns, settings.inputs)))
    fold = _folds(table.is_bad, settings, seed)
    order = np.argsort(fold, kind="stable")
    most_steps, tail_cuts = _cuts(table, columns, settings)
    codings = learn_codings(
        table,
        columns,
        most_steps=most_steps,
        tail_cuts=tail_cuts,
        rare_below=max(settings.rare_rows, int(settings.rare_share * len(table))),
        most_levels=_most_levels(table, columns),
        whole=frozenset(name for name in columns if spec.column(name).direction is not None),
    )
    design = make_design(table, codings, order)
    is_bad = table.is_bad[order]
    search = Search(design, is_bad.astype(np.float64), fold[order], spec, settings)
    total = len(settings.strengths) + 1
    tell = progress or _silent
    chosen = search.best(lambda done: tell(done, total))
    fitted = search.final(chosen)
    intercept, slope = platt_line(chosen.odds, is_bad)
    tell(total, total)
    return Scorecard(
        outcome_months=spec.outcome_months,
        intercept=round(float(intercept + slope * fitted[0]), _DECIMALS),
        effects=_effects(design, slope * fitted, chosen.shapes),
        settings=settings,
        seed=seed,
        strength=chosen.strength,
        calibration_slope=round(slope, _DECIMALS),
        training_rows=len(table),
        training_bad=int(is_bad.sum()),
        knots=calibration_knots(intercept + slope * chosen.odds, is_bad, settings.calibration),
    )


def _cuts(table: Table, columns: Sequence[str], settings: ScorecardSettings) -> tuple[int, int]:
    """How many steps a numeric column may have, by the outcomes that there are to place them.

    And how many more at either end: none in a wide table.
    """
    if table.is_bad is None:
        return settings.most_steps, TAIL_CUTS
    bad = int(table.is_bad.sum())
    numeric = sum(isinstance(table.columns[name], NumberColumn) for name in columns)
    outcomes = min(bad, len(table) - bad) / max(numeric, 1)
    growth = float(np.cbrt(outcomes / _OUTCOMES_A_COLUMN))
    steps = round(settings.most_steps * min(max(growth, 1.0), _MOST_GROWTH))
    room = _MOST_PARAMETERS // max(numeric, 1)
    if room - 2 * TAIL_CUTS >= min(steps, _LEAST_WITH_TAILS):
        return min(steps, room - 2 * TAIL_CUTS), TAIL_CUTS
    return min(steps, max(room, 2)), 0


def _most_levels(table: Table, columns: Sequence[str]) -> int:
    """How many levels a text column may have."""
    texts = sum(not isinstance(table.columns[name], NumberColumn) for name in columns)
    return min(MOST_LEVELS, max(_MOST_PARAMETERS // max(texts, 1), _FEWEST_LEVELS))


def _silent(done: int, total: int) -> None:
    """Tell nobody."""
    del done, total


def _check_settings(settings: ScorecardSettings) -> None:
    penalties = np.array([settings.ridge, settings.text_ridge, *settings.strengths])
    if settings.most_steps < 1 or settings.folds < 2 or not settings.strengths:
        raise ScorecardRefused("A scorecard needs a step, two folds and a strength at least.")
    if not (np.isfinite(penalties) & (penalties > 0)).all():
        raise ScorecardRefused("Penalties must be positive.")
    if not 0 <= settings.lasso < np.inf:
        raise ScorecardRefused("The lasso must be zero or more.")
    if not 0 <= settings.asset_correlation < 1:
        raise ScorecardRefused("The asset correlation must be from 0 to under 1.")


def _folds(is_bad: BoolArray, settings: ScorecardSettings, seed: int) -> IntArray:
    fewest = min(int(is_bad.sum()), int((~is_bad).sum()))
    if fewest == 1:
        raise OutcomeRefused("A scorecard needs at least two outcomes of each class.")
    return stratified_folds(is_bad, folds=min(settings.folds, max(fewest, 2)), seed=seed)


def _effects(design: Design, parameters: FloatArray, shapes: Shapes) -> tuple[Effect, ...]:
    values = np.round((design.effects @ parameters)[1:], _DECIMALS) + 0.0
    return tuple(
        _effect(block, values[block.bins], design.counts[block.bins], shape)
        for block, shape in zip(design.blocks, shapes, strict=True)
    )


def _effect(
    block: Block, values: FloatArray, counts: FloatArray, shape: FloatArray | None
) -> Effect:
    average = float((counts * values).sum() / max(counts.sum(), 1.0))
    return Effect(
        block.coding, tuple(values.tolist()), round(average, _DECIMALS), direction_of(shape)
    )
