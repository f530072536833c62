"""How good a model is on rows that it has not seen: separation, accuracy, calibration.

Intervals are two-sided 95 %.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import chdtrc, expit, logit
from scipy.stats import rankdata

from risk.core.errors import OutcomeRefused
from risk.core.fitting import fit_line
from risk.core.table import BoolArray, FloatArray

# Two-sided 95 % of the normal distribution.
Z95 = 1.959963984540054
# Chances are kept so far from 0 and 1 where log-odds are taken.
_LEAST_CHANCE = 1e-12
# Keeps the interval of a slope finite, if wide, when all predictions are equal.
_LEAST_INFORMATION = 1e-6


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with the ends of its 95 % interval."""

    value: float
    low: float
    high: float

    def holds(self, value: float) -> bool:
        """Whether a value lies within."""
        return self.low <= value <= self.high


@dataclass(frozen=True, slots=True)
class CalibrationLine:
    """The line of outcomes on predicted log-odds: 0 and 1 where predictions are calibrated."""

    intercept: Interval
    slope: Interval


@dataclass(frozen=True, slots=True)
class Fit:
    """A test of fit: chi-square statistic, and the chance of one so large if the model is right."""

    statistic: float
    freedom: int
    chance: float


@dataclass(frozen=True, slots=True)
class CalibrationRow:
    """A group of rows: predicted mean PD, actual share of bad, and its 95 % Wilson interval."""

    group: str
    rows: int
    bad: int
    predicted: float
    actual: float
    actual_low: float
    actual_high: float


@dataclass(frozen=True, slots=True)
class Figures:
    """What is told of a model on unseen rows."""

    rows: int
    bad: int
    auc: float
    gini: float
    ks: float
    brier: float
    calibration_slope: float
    calibration_intercept: float
    mean_predicted: float
    mean_actual: float
    by_decile: tuple[CalibrationRow, ...]


def calibration_from_json(rows: Sequence[Mapping[str, Any]]) -> tuple[CalibrationRow, ...]:
    """Read back a calibration table that was stored field by field."""
    return tuple(CalibrationRow(**row) for row in rows)


def figures_from_json(values: Mapping[str, Any]) -> Figures:
    """Read back figures that were stored field by field."""
    return Figures(**{**values, "by_decile": calibration_from_json(values["by_decile"])})


def auc(is_bad: BoolArray, score: FloatArray) -> float:
    """Chance that a bad row scores above a good one, ties counted half (Mann-Whitney).

    Args:
        is_bad: outcomes, shape ``(n,)``.
        score: higher means riskier, shape ``(n,)``.

    Raises:
        OutcomeRefused: when there is one class only.
    """
    bad, good = _counts(is_bad)
    ranks = rankdata(score)
    return float((ranks[is_bad].sum() - bad * (bad + 1) / 2) / (bad * good))


def auc_interval(is_bad: BoolArray, score: FloatArray) -> Interval:
    """The AUC with its interval (DeLong, DeLong and Clarke-Pearson, 1988), in O(n log n).

    The variance comes from midranks (Sun and Xu, 2014). The interval is taken on the logit scale,
    so that it stays within 0 and 1. Where the variance can't be told (complete separation, or a
    single row of a class), it is Wilson's for as many independent pairs as the smaller class has
    rows.

    Args:
        is_bad: outcomes, shape ``(n,)``.
        score: higher means riskier, shape ``(n,)``.

    Raises:
        OutcomeRefused: when there is one class only.
    """
    bad, good = _counts(is_bad)
    within_all = rankdata(score)
    # For each row, the share of the other class that it is on the right side of.
    bad_right = (within_all[is_bad] - rankdata(score[is_bad])) / good
    good_right = 1 - (within_all[~is_bad] - rankdata(score[~is_bad])) / bad
    area = float(bad_right.mean())
    if min(bad, good) > 1:
        variance = float(bad_right.var(ddof=1) / bad + good_right.var(ddof=1) / good)
        if 0 < area < 1 and variance > 0:
            half = Z95 * np.sqrt(variance) / (area * (1 - area))
            middle = logit(area)
            return Interval(area, float(expit(middle - half)), float(expit(middle + half)))
    return Interval(area, *_wilson(area, min(bad, good)))


def ks(is_bad: BoolArray, score: FloatArray) -> float:
    """Largest distance between the two classes' distribution functions (Kolmogorov-Smirnov).

    Raises:
        OutcomeRefused: when there is one class only.
    """
    bad, good = _counts(is_bad)
    order = np.argsort(score, kind="stable")
    ranked, outcome = score[order], is_bad[order]
    gap = np.cumsum(outcome) / bad - np.cumsum(~outcome) / good
    ends = np.append(ranked[1:] != ranked[:-1], True)
    return float(np.abs(gap[ends]).max())


def brier(is_bad: BoolArray, chance: FloatArray) -> float:
    """Mean square of the difference between chance and outcome (Brier, 1950)."""
    return float(np.mean((chance - is_bad) ** 2))


def wilson_interval(bad: int, rows: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson, 1927); 0 to 1 when there are no rows."""
    if rows == 0:
        return 0.0, 1.0
    return _wilson(bad / rows, rows)


def _wilson(share: float, rows: int) -> tuple[float, float]:
    scale = 1 + Z95**2 / rows
    middle = (share + Z95**2 / (2 * rows)) / scale
    half = Z95 * np.sqrt(share * (1 - share) / rows + Z95**2 / (4 * rows**2)) / scale
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))


def calibration_line(is_bad: BoolArray, chance: FloatArray) -> CalibrationLine:
    """Intercept and slope of outcomes on predicted log-odds, with Wald intervals.

    Args:
        is_bad, chance: outcomes and probabilities of bad, shape ``(n,)``.
    """
    odds = _log_odds(chance)
    intercept, slope = fit_line(odds, is_bad)
    fitted = np.asarray(expit(intercept + slope * odds), dtype=np.float64)
    weight = fitted * (1 - fitted)
    total, first, second = weight.sum(), weight @ odds, weight @ odds**2
    information = np.array([[total, first], [first, second]]) + _LEAST_INFORMATION * np.eye(2)
    widths = Z95 * np.sqrt(np.diag(np.linalg.inv(information)))
    return CalibrationLine(
        Interval(intercept, float(intercept - widths[0]), float(intercept + widths[0])),
        Interval(slope, float(slope - widths[1]), float(slope + widths[1])),
    )


def hosmer_lemeshow(rows: Sequence[CalibrationRow]) -> Fit:
    """Whether actual outcomes of all groups together are what was predicted.

    Hosmer and Lemeshow (1980); on rows that were not learnt from, each group that has rows is a
    degree of freedom.
    """
    statistic, freedom = 0.0, 0
    for row in rows:
        spread = row.rows * row.predicted * (1 - row.predicted)
        if spread > 0:
            statistic += (row.bad - row.rows * row.predicted) ** 2 / spread
            freedom += 1
    return Fit(statistic, freedom, float(chdtrc(freedom, statistic)) if freedom else 1.0)


def calibration_table(
    is_bad: BoolArray,
    chance: FloatArray,
    group: npt.NDArray[np.int64],
    names: Sequence[str],
) -> tuple[CalibrationRow, ...]:
    """Predicted against actual by group, one row for each of ``names``, empty ones too.

    Args:
        is_bad, chance: outcomes and probabilities, shape ``(n,)``.
        group: a place in ``names`` for each row, shape ``(n,)``.
    """
    made = []
    for place, name in enumerate(names):
        inside = group == place
        rows, bad = int(inside.sum()), int(is_bad[inside].sum())
        low, high = wilson_interval(bad, rows)
        predicted = float(chance[inside].mean()) if rows else 0.0
        actual = bad / rows if rows else 0.0
        made.append(CalibrationRow(name, rows, bad, predicted, actual, low, high))
    return tuple(made)


def judge(is_bad: BoolArray, chance: FloatArray) -> Figures:
    """All figures of probabilities on unseen rows.

    Args:
        is_bad, chance: outcomes and probabilities of bad, shape ``(n,)``.

    Raises:
        OutcomeRefused: when there is one class only.
    """
    area = auc(is_bad, chance)
    intercept, slope = fit_line(_log_odds(chance), is_bad)
    rank = np.argsort(np.argsort(chance, kind="stable"), kind="stable")
    decile = rank * 10 // len(chance)
    return Figures(
        rows=len(is_bad),
        bad=int(is_bad.sum()),
        auc=area,
        gini=2 * area - 1,
        ks=ks(is_bad, chance),
        brier=brier(is_bad, chance),
        calibration_slope=slope,
        calibration_intercept=intercept,
        mean_predicted=float(chance.mean()),
        mean_actual=float(is_bad.mean()),
        by_decile=calibration_table(is_bad, chance, decile, [str(n) for n in range(1, 11)]),
    )


def _log_odds(chance: FloatArray) -> FloatArray:
    return np.asarray(logit(np.clip(chance, _LEAST_CHANCE, 1 - _LEAST_CHANCE)), dtype=np.float64)


def _counts(is_bad: BoolArray) -> tuple[int, int]:
    bad = int(is_bad.sum())
    good = len(is_bad) - bad
    if not bad or not good:
        raise OutcomeRefused("Separation needs outcomes of both classes.")
    return bad, good
