"""How good a model is on rows that it has not seen: separation, accuracy, calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import logit
from scipy.stats import rankdata

from risk.core.errors import OutcomeRefused
from risk.core.fitting import fit_line
from risk.core.table import BoolArray, FloatArray

# Two-sided 95 % of the normal distribution.
_Z = 1.959963984540054


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
    share = bad / rows
    scale = 1 + _Z**2 / rows
    middle = (share + _Z**2 / (2 * rows)) / scale
    half = _Z * np.sqrt(share * (1 - share) / rows + _Z**2 / (4 * rows**2)) / scale
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))


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
    intercept, slope = fit_line(np.asarray(logit(chance), dtype=np.float64), is_bad)
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


def _counts(is_bad: BoolArray) -> tuple[int, int]:
    bad = int(is_bad.sum())
    good = len(is_bad) - bad
    if not bad or not good:
        raise OutcomeRefused("Separation needs outcomes of both classes.")
    return bad, good
