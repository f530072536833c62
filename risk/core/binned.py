"""The classical scorecard: bins one column at a time, then ridge logistic regression on them.

Each column is cut into bins of monotone risk and coded by weight of evidence
(:mod:`risk.core.binning`); logistic regression with a ridge penalty weighs the columns. As more
evidence must never count for less risk, a column of negative weight is left out and the rest is
fitted again. Cross-validation, in which the bins too are learnt within each fold, picks the
penalty, and its out-of-fold log-odds recalibrate the result (Platt, 1999).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from risk.core.binning import (
    Binning,
    BinningSettings,
    NumberBinning,
    evidence,
    learn_binning,
)
from risk.core.encoding import Coding, NumberCoding, TextCoding
from risk.core.errors import OutcomeRefused, ScorecardRefused
from risk.core.fitting import log_loss
from risk.core.logistic import RidgeFit, fit_ridge_logistic
from risk.core.scorecard import Effect, Scorecard, ScorecardSettings
from risk.core.scorecard_calibration import calibration_knots, platt_line
from risk.core.spec import DataSpec
from risk.core.split import stratified_folds
from risk.core.table import BoolArray, FloatArray, Table

Progress = Callable[[int, int], None]

# Coefficients are kept to so many decimals of log-odds.
_DECIMALS = 9


@dataclass(frozen=True, slots=True, eq=False)
class _Weights:
    """What is made of evidence: an intercept, and a weight of 0 or more for each column."""

    intercept: float
    columns: FloatArray

    def log_odds(self, coded: FloatArray) -> FloatArray:
        return coded @ self.columns + self.intercept


def fit_binned(
    table: Table,
    spec: DataSpec,
    settings: ScorecardSettings,
    seed: int,
    *,
    progress: Progress | None = None,
) -> Scorecard:
    """Fit a classical scorecard to past applications with outcomes.

    Of the settings it uses ``inputs``, ``folds``, ``rare_share``, ``rare_rows`` and, as penalties
    on half the sum of squared weights, ``ridge`` times each of ``strengths``. Constant and
    all-missing columns have no effect. The same table, settings and seed give the same scorecard.

    Args:
        progress: told (steps done, steps in all).

    Raises:
        OutcomeRefused: when outcomes are missing, of one class only, or too few for the folds.
        ColumnRefused: when the settings ask for a price, protected, outcome or unknown column.
        ScorecardRefused: for settings that can't be fitted.
    """
    if settings.folds < 2 or not settings.strengths:
        raise ScorecardRefused("A scorecard needs two folds and a strength at least.")
    if not min(settings.ridge, *settings.strengths) > 0:
        raise ScorecardRefused("Penalties must be positive.")
    if table.is_bad is None:
        raise OutcomeRefused("A scorecard is fitted to outcomes; this table has none.")
    columns = spec.input_columns(table.columns, settings.inputs)
    strength, (intercept, slope), odds = _cross_validate(
        table, columns, spec, settings, seed, progress
    )
    binnings = _learn(table, columns, spec, settings)
    coded = _coded(binnings, table)
    (fitted,) = _fit(coded, table.is_bad, [settings.ridge * strength])
    effects = tuple(
        _effect(binning, slope * float(weight))
        for binning, weight in zip(binnings, fitted.columns, strict=True)
    )
    if progress is not None:
        progress(settings.folds + 1, settings.folds + 1)
    return Scorecard(
        outcome_months=spec.outcome_months,
        intercept=round(intercept + slope * fitted.intercept, _DECIMALS),
        effects=effects,
        settings=settings,
        seed=seed,
        strength=strength,
        calibration_slope=round(slope, _DECIMALS),
        training_rows=len(table),
        training_bad=int(table.is_bad.sum()),
        knots=calibration_knots(intercept + slope * odds, table.is_bad, settings.calibration),
    )


def _cross_validate(
    table: Table,
    columns: Sequence[str],
    spec: DataSpec,
    settings: ScorecardSettings,
    seed: int,
    progress: Progress | None,
) -> tuple[float, tuple[float, float], FloatArray]:
    """The best strength, the line that recalibrates its out-of-fold log-odds, and those."""
    is_bad = _outcomes(table)
    fold = stratified_folds(is_bad, folds=settings.folds, seed=seed)
    strengths = sorted(settings.strengths, reverse=True)
    odds = np.zeros((len(strengths), len(table)))
    for number in range(settings.folds):
        outside = np.flatnonzero(fold == number)
        inside = table.take(np.flatnonzero(fold != number))
        binnings = _learn(inside, columns, spec, settings)
        unseen = _coded(binnings, table.take(outside))
        penalties = [settings.ridge * strength for strength in strengths]
        found = _fit(_coded(binnings, inside), _outcomes(inside), penalties)
        for place, weights in enumerate(found):
            odds[place, outside] = weights.log_odds(unseen)
        if progress is not None:
            progress(number + 1, settings.folds + 1)
    best = min(range(len(strengths)), key=lambda place: log_loss(odds[place], is_bad))
    return strengths[best], platt_line(odds[best], is_bad), odds[best]


def _outcomes(table: Table) -> BoolArray:
    if table.is_bad is None:
        raise OutcomeRefused("A scorecard is fitted to outcomes; this table has none.")
    return table.is_bad


def _learn(
    table: Table, columns: Sequence[str], spec: DataSpec, settings: ScorecardSettings
) -> list[Binning]:
    cutting = BinningSettings(rare_share=settings.rare_share, rare_rows=settings.rare_rows)
    return [
        learn_binning(
            name,
            table.columns[name],
            _outcomes(table),
            settings=cutting,
            direction=spec.column(name).direction,
        )
        for name in columns
    ]


def _coded(binnings: Sequence[Binning], table: Table) -> FloatArray:
    """The weights of evidence, shape (rows, columns)."""
    coded = np.empty((len(table), len(binnings)))
    for place, binning in enumerate(binnings):
        coded[:, place] = evidence(binning, table.columns[binning.column])
    return coded


def _fit(coded: FloatArray, is_bad: BoolArray, penalties: Sequence[float]) -> list[_Weights]:
    """Weights under each penalty; the column of the most negative one goes, until none is."""
    found = []
    fitted: RidgeFit | None = None
    kept = np.flatnonzero(np.ptp(coded, axis=0) > 0)
    for penalty in penalties:
        inside = kept
        while True:
            start = fitted if fitted and len(fitted.coefficients) == len(inside) else None
            fitted = fit_ridge_logistic(coded[:, inside], is_bad, penalty=penalty, start=start)
            if not len(inside) or fitted.coefficients.min() >= 0:
                break
            inside = np.delete(inside, np.argmin(fitted.coefficients))
        weights = np.zeros(coded.shape[1])
        weights[inside] = fitted.coefficients
        found.append(_Weights(fitted.intercept, weights))
    return found


def _effect(binning: Binning, weight: float) -> Effect:
    """A column's part of the log-odds: its evidence times its weight, one value a bin."""
    woe = [bin_.woe for bin_ in binning.bins]
    coding: Coding
    if isinstance(binning, NumberBinning):
        coding, direction = NumberCoding(binning.column, binning.edges), binning.direction
    else:
        place_of = {level: place for place, group in enumerate(binning.groups) for level in group}
        coding, direction = TextCoding(binning.column, tuple(sorted(place_of))), None
        woe = [*(woe[place_of[level]] for level in coding.levels), *woe[-2:]]
    average = weight * sum(bin_.share * bin_.woe for bin_ in binning.bins)
    values = tuple(round(weight * value, _DECIMALS) + 0.0 for value in woe)
    return Effect(coding, values, round(average, _DECIMALS), direction)
