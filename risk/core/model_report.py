"""The validation report of a model: every table and curve of it, as plain typed values.

Figures are of the rows held out, which the model has not seen, unless they say otherwise. The same
inputs give the same report. A protected attribute is looked at for monitoring only: the scorecard
can't hold one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import date
from enum import Enum
from typing import Any, ClassVar

import numpy as np

from risk.core.errors import FactsRefused, OutcomeRefused, RiskRefusal
from risk.core.house import HouseSettings
from risk.core.pricing import PPM, pd_in_year, to_ppm
from risk.core.rate_table import BEYOND
from risk.core.report_columns import ColumnReport, column_reports
from risk.core.report_curves import Curves, curves
from risk.core.report_findings import Finding, findings
from risk.core.report_groups import (
    GroupTable,
    PeriodRow,
    results_by_group,
    results_by_period,
)
from risk.core.report_labels import groups_of, periods_of
from risk.core.scorecard import Scorecard, points, predict_bad
from risk.core.spec import DataSpec
from risk.core.stability import Stability, bin_counts, score_bins, stability
from risk.core.table import BoolArray, FloatArray, IntArray, Table
from risk.core.validation import (
    CalibrationLine,
    CalibrationRow,
    Figures,
    Fit,
    Interval,
    auc_interval,
    calibration_line,
    calibration_table,
    hosmer_lemeshow,
    judge,
)

# What lies beyond the last band.


class ReportRefused(RiskRefusal):
    """Bands or a cut-off that a report can't be made with."""

    code: ClassVar[str] = "RISK_REPORT_REFUSED"


@dataclass(frozen=True, slots=True)
class BandEdge:
    """A band, and the upper edge of its 12-month PD (a share, in the band)."""

    name: str
    pd_to: float


@dataclass(frozen=True, slots=True)
class BandRow:
    """A band's outcomes against predictions; ``pd_to`` is none beyond the last band."""

    calibration: CalibrationRow
    share: float
    pd_from: float
    pd_to: float | None


@dataclass(frozen=True, slots=True)
class Sample:
    """Figures on one sample, with intervals.

    ``skill`` is the share of the Brier score of a constant forecast that the model saves.
    """

    figures: Figures
    auc: Interval
    line: CalibrationLine
    skill: float


@dataclass(frozen=True, slots=True)
class ModelReport:
    """All that is told of a model before it is approved; see the module.

    ``cut_off_pd`` is the 12-month PD up to which applications are approved, none if not given.
    ``outcome_months`` is what every other PD is over.
    """

    name: str
    data_name: str | None
    made_on: date
    outcome_months: int
    notes: tuple[str, ...]
    findings: tuple[Finding, ...]
    training: Sample
    holdout: Sample
    by_decile_fit: Fit
    by_band: tuple[BandRow, ...]
    score_stability: Stability
    columns: tuple[ColumnReport, ...]
    curves: Curves
    time_column: str | None
    by_time: tuple[PeriodRow, ...]
    cut_off_pd: float | None
    groups: tuple[GroupTable, ...]

    def to_json(self) -> dict[str, Any]:
        """As plain values that JSON can hold, field by field."""
        return {field.name: _plain(getattr(self, field.name)) for field in fields(self)}


@dataclass(frozen=True, slots=True, eq=False)
class _Scored:
    """A sample with its outcomes and scores, each of shape ``(n,)``."""

    table: Table
    is_bad: BoolArray
    chance: FloatArray
    points: FloatArray


def bands_of(settings: HouseSettings) -> tuple[BandEdge, ...]:
    """The bands of the house's settings, safest first."""
    return tuple(BandEdge(band.name, band.pd_to_ppm / PPM) for band in settings.bands)


def build_model_report(
    *,
    name: str,
    scorecard: Scorecard,
    spec: DataSpec,
    training: Table,
    holdout: Table,
    made_on: date,
    bands: Sequence[BandEdge] | None = None,
    cut_off_pd: float | None = None,
    time_column: str | None = None,
    notes: Sequence[str] = (),
) -> ModelReport:
    """Judge a scorecard on rows held out.

    Args:
        name: of the model, for the title.
        training, holdout: with outcomes, and with every column of the data (protected ones and
            the time as well, which are looked at and not scored).
        made_on: the business date.
        bands: safest first; without them there is no table of bands.
        cut_off_pd: the 12-month PD up to which applications are approved; the last band's edge
            unless given, and without either there are no approval figures.
        time_column: the column of dates or periods, if there is one.
        notes: sentences that a reader must see, such as reasons for overriding a refusal.

    Raises:
        OutcomeRefused: when a sample has no outcomes, or of one class only.
        FactsRefused: when a column of the scorecard, or the time column, is not there.
        ReportRefused: for bands that don't rise or share a name, or PDs not between 0 and 1.
    """
    cut_off = _checked(bands, cut_off_pd)
    learnt, unseen = _scored(scorecard, training), _scored(scorecard, holdout)
    if time_column is not None and time_column not in holdout.columns:
        raise FactsRefused(f"There is no column {time_column}.", field=time_column)
    pd12 = to_ppm(pd_in_year(unseen.chance, scorecard.outcome_months))
    on_training, on_holdout = _sample(learnt), _sample(unseen)
    edges = score_bins(learnt.points)
    score = stability(bin_counts(edges, learnt.points), bin_counts(edges, unseen.points))
    columns = column_reports(scorecard, spec, training, holdout, learnt.is_bad, unseen.is_bad)
    by_decile_fit = hosmer_lemeshow(on_holdout.figures.by_decile)
    by_time = () if time_column is None else _by_time(learnt, unseen, time_column)
    groups = _groups(unseen, spec, None if cut_off is None else pd12 <= to_ppm(cut_off))
    return ModelReport(
        name=name,
        data_name=spec.name,
        made_on=made_on,
        outcome_months=scorecard.outcome_months,
        notes=tuple(notes),
        findings=findings(
            training=on_training.figures,
            holdout=on_holdout.figures,
            area=on_holdout.auc,
            line=on_holdout.line,
            by_decile=by_decile_fit,
            score=score,
            columns=columns,
            by_time=by_time,
            groups=groups,
        ),
        training=on_training,
        holdout=on_holdout,
        by_decile_fit=by_decile_fit,
        by_band=() if bands is None else _by_band(unseen, pd12, bands),
        score_stability=score,
        columns=columns,
        curves=curves(unseen.is_bad, unseen.points),
        time_column=time_column,
        by_time=by_time,
        cut_off_pd=cut_off,
        groups=groups,
    )


def _checked(bands: Sequence[BandEdge] | None, cut_off_pd: float | None) -> float | None:
    """The cut-off that applies, after checking what was given."""
    if bands is not None:
        names = [band.name for band in bands]
        edges = [band.pd_to for band in bands]
        if not bands or len(set(names)) < len(names) or sorted(set(edges)) != edges:
            raise ReportRefused("Bands need names of their own and rising edges.", field="bands")
        if not (edges[0] > 0 and edges[-1] < 1):
            raise ReportRefused("A band's edge must lie between 0 and 1.", field="bands")
    if cut_off_pd is None:
        return None if bands is None else bands[-1].pd_to
    if not 0 < cut_off_pd < 1:
        raise ReportRefused("The cut-off must lie between 0 and 1.", field="cut_off_pd")
    return cut_off_pd


def _scored(scorecard: Scorecard, table: Table) -> _Scored:
    if table.is_bad is None:
        raise OutcomeRefused("A report needs outcomes; this table has none.")
    return _Scored(table, table.is_bad, predict_bad(scorecard, table), points(scorecard, table))


def _sample(scored: _Scored) -> Sample:
    figures = judge(scored.is_bad, scored.chance)
    constant = figures.mean_actual * (1 - figures.mean_actual)
    return Sample(
        figures=figures,
        auc=auc_interval(scored.is_bad, scored.chance),
        line=calibration_line(scored.is_bad, scored.chance),
        skill=1 - figures.brier / constant,
    )


def _by_band(unseen: _Scored, pd12_ppm: IntArray, bands: Sequence[BandEdge]) -> tuple[BandRow, ...]:
    place = np.searchsorted(to_ppm([band.pd_to for band in bands]), pd12_ppm, side="left")
    names = [*(band.name for band in bands), BEYOND]
    rows = calibration_table(unseen.is_bad, unseen.chance, place.astype(np.int64), names)
    floors = [0.0, *(band.pd_to for band in bands)]
    ceilings = [*(band.pd_to for band in bands), None]
    return tuple(
        BandRow(row, row.rows / len(unseen.is_bad), floor, ceiling)
        for row, floor, ceiling in zip(rows, floors, ceilings, strict=True)
    )


def _by_time(learnt: _Scored, unseen: _Scored, column: str) -> tuple[PeriodRow, ...]:
    names, period = periods_of(unseen.table.columns[column])
    edges = score_bins(learnt.chance)
    return results_by_period(
        unseen.is_bad,
        unseen.chance,
        period,
        names,
        edges=edges,
        reference=bin_counts(edges, learnt.chance),
    )


def _groups(unseen: _Scored, spec: DataSpec, approved: BoolArray | None) -> tuple[GroupTable, ...]:
    made = []
    for column in spec.protected_columns:
        if column in unseen.table.columns:
            described = spec.column(column)
            names, group = groups_of(unseen.table.columns[column], described)
            rows, compared_with = results_by_group(
                unseen.is_bad, unseen.chance, group, names, approved=approved
            )
            made.append(GroupTable(column, described.words, compared_with, rows))
    return tuple(made)


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, date):
        return value.isoformat()
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return value
