"""Fitting a scorecard: additive steps fitted jointly under sign bounds.

Every column's effect is fitted at once. The direction of a numeric column is that of its effect
in an unbounded fit (unless the specification imposes one); the final fit bounds the sign of its
steps, so that its effect is monotone. Under those bounds a lasso on the steps, which is the
column's whole rise, is linear. The strength of the penalties is chosen by cross-validation, and
the out-of-fold log-odds recalibrate the result.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from risk.core.encoding import Block, Design, NumberCoding, learn_codings, make_design
from risk.core.errors import OutcomeRefused, ScorecardRefused
from risk.core.fitting import Terms, fit_bounded, fit_line, log_loss
from risk.core.scorecard import Effect, Scorecard, ScorecardSettings
from risk.core.spec import DataSpec, Direction
from risk.core.split import stratified_folds
from risk.core.table import BoolArray, FloatArray, Table

Progress = Callable[[int, int], None]

# Ridge of the steps in the fit that only finds directions.
_DIRECTION_RIDGE = 30.0
_FINAL_TOLERANCE = 1e-7
# Coefficients are kept to so many decimals of log-odds.
_DECIMALS = 9


def fit_scorecard(
    table: Table,
    spec: DataSpec,
    settings: ScorecardSettings,
    seed: int,
    *,
    progress: Progress | None = None,
) -> Scorecard:
    """Fit a scorecard to past applications with outcomes.

    Constant and all-missing columns are allowed: they have no effect. The same table, settings
    and seed give the same scorecard.

    Args:
        progress: told (steps done, steps in all).

    Raises:
        OutcomeRefused: when outcomes are missing, of one class only, or too few for the folds.
        ColumnRefused: when the settings ask for a price, protected, outcome or unknown column.
        ScorecardRefused: for settings that can't be fitted.
    """
    _check_settings(settings)
    if table.is_bad is None:
        raise OutcomeRefused("A scorecard is fitted to outcomes; this table has none.")
    columns = spec.input_columns(table.columns, settings.inputs)
    rare_below = max(settings.rare_rows, int(settings.rare_share * len(table)))
    codings = learn_codings(table, columns, most_steps=settings.most_steps, rare_below=rare_below)
    design = make_design(table, codings)
    strength, line = _cross_validate(design, table.is_bad, spec, settings, seed, progress)
    directions = _directions(design, table.is_bad, spec, settings)
    terms = _terms(design, directions, settings, strength)
    fitted = fit_bounded(design, table.is_bad, terms, tolerance=_FINAL_TOLERANCE)
    if progress is not None:
        progress(settings.folds + 1, settings.folds + 1)
    intercept, slope = line
    return Scorecard(
        outcome_months=spec.outcome_months,
        intercept=round(float(intercept + slope * fitted[0]), _DECIMALS),
        effects=_effects(design, slope * fitted[1:], directions),
        settings=settings,
        seed=seed,
        strength=strength,
        calibration_slope=round(slope, _DECIMALS),
        training_rows=len(table),
        training_bad=int(table.is_bad.sum()),
    )


def _check_settings(settings: ScorecardSettings) -> None:
    penalties = (settings.ridge, settings.text_ridge, *settings.strengths)
    if settings.most_steps < 1 or settings.folds < 2 or not settings.strengths:
        raise ScorecardRefused("A scorecard needs a step, two folds and a strength at least.")
    if min(penalties) <= 0 or settings.lasso < 0:
        raise ScorecardRefused("Penalties must be positive.")


def _cross_validate(
    design: Design,
    is_bad: BoolArray,
    spec: DataSpec,
    settings: ScorecardSettings,
    seed: int,
    progress: Progress | None,
) -> tuple[float, tuple[float, float]]:
    """The best strength, and the line that recalibrates its out-of-fold log-odds."""
    fold = stratified_folds(is_bad, folds=settings.folds, seed=seed)
    odds = {strength: np.zeros(len(is_bad)) for strength in settings.strengths}
    for number in range(settings.folds):
        inside, outside = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        learnt, unseen = design.rows(inside), design.rows(outside)
        directions = _directions(learnt, is_bad[inside], spec, settings)
        fitted: FloatArray | None = None
        for strength in sorted(settings.strengths, reverse=True):
            terms = _terms(design, directions, settings, strength)
            fitted = fit_bounded(learnt, is_bad[inside], terms, start=fitted)
            odds[strength][outside] = fitted[0] + unseen.one_hot @ (unseen.effects @ fitted[1:])
        if progress is not None:
            progress(number + 1, settings.folds + 1)
    best = min(settings.strengths, key=lambda strength: log_loss(odds[strength], is_bad))
    intercept, slope = fit_line(odds[best], is_bad)
    if slope <= 0:
        # Nothing was learnt that holds out of fold: everyone gets the average.
        share = float(is_bad.mean())
        return best, (float(np.log(share / (1 - share))), 0.0)
    return best, (intercept, slope)


def _directions(
    design: Design, is_bad: BoolArray, spec: DataSpec, settings: ScorecardSettings
) -> dict[str, Direction]:
    """The direction of each numeric column: imposed, or that of an unbounded ridge fit."""
    size = len(design.is_step)
    free = np.full(size, np.inf)
    ridge = np.where(design.is_level > 0, settings.text_ridge, _DIRECTION_RIDGE)
    fitted = fit_bounded(design, is_bad, Terms(ridge, np.zeros(size), -free, free))
    effect = design.effects @ fitted[1:]
    counts = np.asarray(design.one_hot.sum(axis=0), dtype=np.float64).ravel()
    found: dict[str, Direction] = {}
    for block in design.blocks:
        name = block.coding.column
        if isinstance(block.coding, NumberCoding):
            imposed = spec.column(name).direction
            found[name] = imposed or _trend(effect[block.bins][:-1], counts[block.bins][:-1])
    return found


def _trend(effect: FloatArray, counts: FloatArray) -> Direction:
    """Whether the effect rises over its bins, by covariance with the bin's place."""
    place = np.arange(len(effect), dtype=np.float64)
    if counts.sum() > 0:
        place -= counts @ place / counts.sum()
    return Direction.RISING if (counts * place) @ effect >= 0 else Direction.FALLING


def _terms(
    design: Design,
    directions: dict[str, Direction],
    settings: ScorecardSettings,
    strength: float,
) -> Terms:
    size = len(design.is_step)
    lower, upper = np.full(size, -np.inf), np.full(size, np.inf)
    lasso = np.zeros(size)
    for block in design.blocks:
        direction = directions.get(block.coding.column)
        if direction is None:
            continue
        steps = slice(block.parameters.start, block.parameters.stop - 1)
        if direction is Direction.RISING:
            lower[steps], lasso[steps] = 0.0, settings.lasso * strength
        else:
            upper[steps], lasso[steps] = 0.0, -settings.lasso * strength
    ridge = np.where(design.is_level > 0, settings.text_ridge, settings.ridge) * strength
    return Terms(ridge, lasso, lower, upper)


def _effects(
    design: Design, parameters: FloatArray, directions: dict[str, Direction]
) -> tuple[Effect, ...]:
    values = np.round(design.effects @ parameters, _DECIMALS) + 0.0
    counts = np.asarray(design.one_hot.sum(axis=0), dtype=np.float64).ravel()
    return tuple(_effect(block, values, counts, directions) for block in design.blocks)


def _effect(
    block: Block, values: FloatArray, counts: FloatArray, directions: dict[str, Direction]
) -> Effect:
    seen = counts[block.bins]
    average = float(seen @ values[block.bins] / max(seen.sum(), 1.0))
    return Effect(
        block.coding,
        tuple(float(value) for value in values[block.bins]),
        round(average, _DECIMALS),
        directions.get(block.coding.column),
    )
