"""A model's results by time, and by group of a protected attribute (for monitoring only)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from risk.core.stability import Stability, bin_counts, stability
from risk.core.table import BoolArray, FloatArray, IntArray
from risk.core.validation import (
    Z95,
    CalibrationRow,
    Interval,
    auc_interval,
    calibration_table,
    wilson_interval,
)

# A group's approval share under this much of the best-off group's is an adverse impact: the
# four-fifths rule of the Uniform Guidelines on Employee Selection Procedures, 29 CFR 1607.4(D).
FOUR_FIFTHS = 0.8
# A smaller group can't be the one that others are compared with (likewise).
_LEAST_SHARE = 0.02


@dataclass(frozen=True, slots=True)
class PeriodRow:
    """One period: outcomes against predictions, separation, and scores against training's.

    ``auc`` is none where all outcomes of the period are the same.
    """

    calibration: CalibrationRow
    auc: Interval | None
    stability: Stability


@dataclass(frozen=True, slots=True)
class GroupRow:
    """One group: outcomes against predictions, approval, and how it compares.

    ``approved`` is the share approved at the cut-off, with its interval; ``impact`` that share
    over the best-off group's (none for that group, without a cut-off, and where nobody is
    approved), with Katz's interval (1978). ``below_four_fifths`` says that the ratio is under
    .8, ``certain`` that it differs from 1 by more than chance explains.
    """

    calibration: CalibrationRow
    approved: Interval | None
    impact: Interval | None
    below_four_fifths: bool
    certain: bool
    auc: Interval | None


@dataclass(frozen=True, slots=True)
class GroupTable:
    """The groups of one attribute; ``compared_with`` is the one with the most approvals."""

    column: str
    words: str
    compared_with: str | None
    rows: tuple[GroupRow, ...]


def results_by_period(
    is_bad: BoolArray,
    chance: FloatArray,
    period: IntArray,
    names: Sequence[str],
    *,
    edges: FloatArray,
    reference: IntArray,
) -> tuple[PeriodRow, ...]:
    """Results of each period that has rows, in the order of ``names``.

    Args:
        is_bad, chance: outcomes and probabilities of bad, shape ``(n,)``.
        period: a place in ``names`` for each row, shape ``(n,)``.
        edges: bins of the probabilities, as ``score_bins`` gives.
        reference: training rows in each bin, as ``bin_counts`` gives.
    """
    present = np.flatnonzero(np.bincount(period, minlength=len(names)))
    calibration = calibration_table(is_bad, chance, period, names)
    made = []
    for place in present.tolist():
        inside = period == place
        counts = bin_counts(edges, chance[inside])
        made.append(
            PeriodRow(
                calibration[place],
                _separation(is_bad[inside], chance[inside]),
                stability(reference, counts, comparisons=len(present)),
            )
        )
    return tuple(made)


def results_by_group(
    is_bad: BoolArray,
    chance: FloatArray,
    group: IntArray,
    names: Sequence[str],
    *,
    approved: BoolArray | None,
) -> tuple[tuple[GroupRow, ...], str | None]:
    """Results of each group that has rows, and the name of the group compared with.

    The comparison is with the largest approval share among groups of 2 % of the rows or more (among
    all where none is so large).

    Args:
        is_bad, chance: outcomes and probabilities of bad, shape ``(n,)``.
        group: a place in ``names`` for each row, shape ``(n,)``.
        approved: whether each row is within the cut-off, or none without one.
    """
    rows = np.bincount(group, minlength=len(names))
    present = np.flatnonzero(rows)
    passed = None if approved is None else np.bincount(group[approved], minlength=len(names))
    best: int | None = None
    if passed is not None and len(present) > 1 and passed.any():
        large = present[rows[present] >= _LEAST_SHARE * len(group)]
        if not len(large):
            large = present
        best = int(large[np.argmax(passed[large] / rows[large])])
    calibration = calibration_table(is_bad, chance, group, names)
    made = []
    for place in present.tolist():
        inside = group == place
        impact = None
        if passed is not None and best is not None and place != best:
            impact = impact_ratio(
                int(passed[place]), int(rows[place]), int(passed[best]), int(rows[best])
            )
        made.append(
            GroupRow(
                calibration[place],
                None if passed is None else _approval(int(passed[place]), int(rows[place])),
                impact,
                below_four_fifths=impact is not None and impact.value < FOUR_FIFTHS,
                certain=impact is not None and not impact.holds(1.0),
                auc=_separation(is_bad[inside], chance[inside]),
            )
        )
    return tuple(made), None if best is None else names[best]


def impact_ratio(passed: int, rows: int, best_passed: int, best_rows: int) -> Interval | None:
    """A group's approval share over the best-off group's, with Katz's interval (log scale).

    None where the best-off group has no approval; a group without one has a ratio of 0, and its
    interval is that of half an approval.
    """
    if not best_passed:
        return None
    ratio = (passed / rows) / (best_passed / best_rows)
    counted = max(float(passed), 0.5)
    middle = np.log((counted / rows) / (best_passed / best_rows))
    spread = 1 / counted - 1 / rows + 1 / best_passed - 1 / best_rows
    half = Z95 * np.sqrt(max(spread, 0.0))
    low = float(np.exp(middle - half)) if passed else 0.0
    return Interval(ratio, low, float(np.exp(middle + half)))


def _approval(passed: int, rows: int) -> Interval:
    return Interval(passed / rows, *wilson_interval(passed, rows))


def _separation(is_bad: BoolArray, chance: FloatArray) -> Interval | None:
    return auc_interval(is_bad, chance) if 0 < int(is_bad.sum()) < len(is_bad) else None
