"""What each column of a scorecard does: points by bin beside what the data say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from risk.core.encoding import NumberCoding, bin_places
from risk.core.errors import FactsRefused
from risk.core.report_labels import bin_names
from risk.core.scorecard import Effect, Scorecard
from risk.core.spec import DataSpec, Kind
from risk.core.stability import Stability, stability
from risk.core.table import BoolArray, Column, FloatArray, Table
from risk.core.validation import wilson_interval

# Rows of each class added to a bin before its weight of evidence is taken.
_ADDED = 0.5


@dataclass(frozen=True, slots=True)
class ColumnBin:
    """One bin: the points that it earns against the average, and what the rows in it did.

    ``rows`` and ``bad`` are of training, ``bad_rate`` with its 95 % Wilson interval; ``woe`` is
    the logarithm of its share of the good over its share of the bad (above 0: safer than most),
    ``value`` its part of the information value. ``holdout_rows`` and ``holdout_bad`` are of the
    rows held out.
    """

    name: str
    points: float
    rows: int
    bad: int
    bad_rate: float
    bad_rate_low: float
    bad_rate_high: float
    woe: float
    value: float
    holdout_rows: int
    holdout_bad: int


@dataclass(frozen=True, slots=True)
class ColumnReport:
    """One column: its bins, its information value and whether its make-up is the same held out.

    ``spread`` is the standard deviation of its points over the rows of training: how much it
    moves the score of real applications.
    """

    column: str
    words: str
    kind: Kind
    direction: str | None
    information_value: float
    spread: float
    stability: Stability
    bins: tuple[ColumnBin, ...]


def column_reports(
    scorecard: Scorecard,
    spec: DataSpec,
    training: Table,
    holdout: Table,
    training_bad: BoolArray,
    holdout_bad: BoolArray,
) -> tuple[ColumnReport, ...]:
    """Each column of the scorecard, the one that moves scores most first.

    Raises:
        FactsRefused: when a table lacks a column of the scorecard.
    """
    made = [
        _column(
            effect,
            spec,
            scorecard.settings.points_a_log_odds,
            _counts(effect, training, training_bad),
            _counts(effect, holdout, holdout_bad),
            len(scorecard.effects),
        )
        for effect in scorecard.effects
    ]
    return tuple(sorted(made, key=lambda report: (-report.spread, report.column)))


def weight_of_evidence(rows: FloatArray, bad: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Weight of evidence and part of the information value of each bin, shape ``(bins,)``.

    Half a row of each class is added to every bin that has rows, so that a bin of one class stays
    finite; a bin without rows says nothing. All parts of the information value are 0 or more.
    """
    used = rows > 0
    shares_good = np.where(used, rows - bad + _ADDED, 0.0)
    shares_bad = np.where(used, bad + _ADDED, 0.0)
    shares_good /= max(shares_good.sum(), _ADDED)
    shares_bad /= max(shares_bad.sum(), _ADDED)
    woe = np.zeros(len(rows))
    woe[used] = np.log(shares_good[used] / shares_bad[used])
    return woe, (shares_good - shares_bad) * woe


def _counts(effect: Effect, table: Table, is_bad: BoolArray) -> tuple[FloatArray, FloatArray]:
    """Rows and bad rows in each bin."""
    name = effect.coding.column
    column: Column | None = table.columns.get(name)
    if column is None:
        raise FactsRefused(f"The scorecard needs the column {name}.", field=name)
    places, bins = bin_places(effect.coding, column), effect.coding.bins
    rows = np.bincount(places, minlength=bins).astype(np.float64)
    return rows, np.bincount(places[is_bad], minlength=bins).astype(np.float64)


def _column(
    effect: Effect,
    spec: DataSpec,
    points_a_log_odds: float,
    training: tuple[FloatArray, FloatArray],
    holdout: tuple[FloatArray, FloatArray],
    columns: int,
) -> ColumnReport:
    (rows, bad), (later, later_bad) = training, holdout
    described = spec.column(effect.coding.column)
    # Adding 0 turns -0 into 0.
    earned = (effect.average - np.array(effect.values)) * points_a_log_odds + 0.0
    woe, value = weight_of_evidence(rows, bad)
    middle = rows @ earned / rows.sum()
    names = bin_names(effect.coding, described)
    bins = [
        ColumnBin(
            names[place],
            round(float(earned[place]), 2),
            int(rows[place]),
            int(bad[place]),
            float(bad[place] / max(rows[place], 1.0)),
            *wilson_interval(int(bad[place]), int(rows[place])),
            round(float(woe[place]), 6),
            round(float(value[place]), 6),
            int(later[place]),
            int(later_bad[place]),
        )
        for place in range(effect.coding.bins)
    ]
    return ColumnReport(
        column=effect.coding.column,
        words=described.words,
        kind=Kind.NUMBER if isinstance(effect.coding, NumberCoding) else Kind.TEXT,
        direction=effect.direction.value if effect.direction else None,
        information_value=round(float(value.sum()), 6),
        spread=round(float(np.sqrt(rows @ (earned - middle) ** 2 / rows.sum())), 3),
        stability=stability(rows, later, comparisons=columns),
        bins=tuple(bins),
    )
