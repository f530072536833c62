"""The report's tables: a caption, headings and cells as text; the page escapes them all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from api.risk_report import wording
from api.risk_report.column_plots import MOST_BINS
from risk.core.model_report import ModelReport, Sample
from risk.core.report_columns import ColumnReport
from risk.core.report_groups import GroupTable
from risk.core.stability import Stability
from risk.core.validation import CalibrationRow, Interval

_CALIBRATION = ("Rows", "Bad", "Predicted", "Actual", "95 % interval")


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table: the first cell of each row names it; ``levels`` colour the last cell of a row."""

    caption: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    levels: tuple[str, ...] = field(default=())

    def lines(self) -> list[tuple[str, tuple[str, ...], str, str]]:
        """Each row as its name, plain cells, and the coloured cell with its colour, if any."""
        if not self.levels:
            return [(row[0], row[1:], "", "") for row in self.rows]
        return [
            (row[0], row[1:-1], row[-1], level)
            for row, level in zip(self.rows, self.levels, strict=True)
        ]


def samples(report: ModelReport) -> Sheet:
    """All figures on the rows learnt from and on those held out."""
    both = (report.training, report.holdout)
    rows = [
        ("Rows", *(wording.count(each.figures.rows) for each in both)),
        ("Bad", *(wording.count(each.figures.bad) for each in both)),
        ("AUC", *(_with_ends(each.auc, 3) for each in both)),
        ("Gini", *(wording.decimal(each.figures.gini, 3) for each in both)),
        ("KS", *(wording.decimal(each.figures.ks, 3) for each in both)),
        ("Brier", *(wording.decimal(each.figures.brier, 5) for each in both)),
        ("Brier skill", *(wording.percent(each.skill) for each in both)),
        ("Calibration slope", *(_with_ends(each.line.slope, 2) for each in both)),
        ("Calibration intercept", *(_with_ends(each.line.intercept, 2) for each in both)),
        ("Predicted", *(_mean(each, predicted=True) for each in both)),
        ("Actual", *(_mean(each, predicted=False) for each in both)),
    ]
    return Sheet("Figures with 95 % intervals", ("Figure", "Learnt from", "Held out"), tuple(rows))


def deciles(report: ModelReport) -> Sheet:
    """Calibration by tenth of the risk, safest first."""
    return Sheet(
        "Tenths of the rows held out, safest first",
        ("Tenth", *_CALIBRATION),
        tuple((row.group, *_calibration(row)) for row in report.holdout.figures.by_decile),
    )


def bands(report: ModelReport) -> Sheet:
    """Calibration by band."""
    made = []
    for row in report.by_band:
        to = f"to {wording.percent(row.pd_to, 2)}" if row.pd_to is not None else "and more"
        named = (row.calibration.group, f"{wording.percent(row.pd_from, 2)} {to}")
        made.append((*named, wording.percent(row.share), *_calibration(row.calibration)))
    return Sheet(
        f"Bands by 12-month PD; outcomes over {report.outcome_months} months",
        ("Band", "12-month PD", "Share", *_CALIBRATION),
        tuple(made),
    )


def stabilities(named: Sequence[tuple[str, Stability]]) -> Sheet:
    """The stability index of the score and of each input."""
    return Sheet(
        "Stability between the rows learnt from and those held out",
        ("What", "Index", "Bins", "Chance gives", "Amber from", "Red from", "Verdict"),
        tuple((name, *_stability(each, full=True)) for name, each in named),
        tuple(each.verdict.value for _, each in named),
    )


def column(report: ColumnReport) -> Sheet:
    """What a column's bins are worth, and what happened in them."""
    bins = report.bins
    if len(bins) > 2 * MOST_BINS:
        kept = sorted(range(len(bins)), key=lambda place: -bins[place].rows)[: 2 * MOST_BINS]
        bins = tuple(bins[place] for place in sorted(kept))
    left_out = len(report.bins) - len(bins)
    more = f"; the {left_out} smallest bins are left out" if left_out else ""
    return Sheet(
        f"Information value {wording.decimal(report.information_value, 3)}{more}",
        ("Bin", "Points", "Rows", "Bad", "Bad rate", "WoE", "IV", "Held out"),
        tuple(
            (
                each.name,
                wording.signed(each.points),
                wording.count(each.rows),
                wording.count(each.bad),
                wording.percent(each.bad_rate) if each.rows else wording.NOTHING,
                wording.decimal(each.woe, 2) if each.rows else wording.NOTHING,
                wording.decimal(each.value, 3) if each.rows else wording.NOTHING,
                wording.percent(each.holdout_bad / each.holdout_rows)
                if each.holdout_rows
                else wording.NOTHING,
            )
            for each in bins
        ),
    )


def periods(report: ModelReport) -> Sheet:
    """Results by period."""
    return Sheet(
        f"Rows held out, by {report.time_column}; stability against the rows learnt from",
        ("Period", *_CALIBRATION, "AUC", "Its interval", "PSI", "Amber from", "Verdict"),
        tuple(
            (
                row.calibration.group,
                *_calibration(row.calibration),
                *_separation(row.auc),
                *_stability(row.stability, full=False),
            )
            for row in report.by_time
        ),
        tuple(row.stability.verdict.value for row in report.by_time),
    )


def groups(table: GroupTable) -> Sheet:
    """Approval and calibration by group."""
    made: list[tuple[str, ...]] = []
    levels = []
    for row in table.rows:
        approved = row.approved
        shown = (
            (wording.NOTHING, wording.NOTHING)
            if approved is None
            else (wording.percent(approved.value), wording.percents(approved))
        )
        word = "best off"
        level = "stable"
        if row.impact is not None:
            level = "amber" if row.below_four_fifths else "stable"
            word = "below" if row.below_four_fifths else "holds"
        elif row.calibration.group != table.compared_with or approved is None:
            word, level = wording.NOTHING, ""
        made.append(
            (
                row.calibration.group,
                *_calibration(row.calibration),
                *_separation(row.auc),
                *shown,
                "1.00" if word == "best off" else _ratio(row.impact),
                word,
            )
        )
        levels.append(level)
    return Sheet(
        f"Rows held out, by {table.words}",
        (
            *("Group", *_CALIBRATION, "AUC", "Its interval"),
            *("Approved", "Its interval", "Impact ratio", "Four fifths"),
        ),
        tuple(made),
        tuple(levels),
    )


def _calibration(row: CalibrationRow) -> Iterable[str]:
    yield wording.count(row.rows)
    yield wording.count(row.bad)
    if not row.rows:
        yield from (wording.NOTHING,) * 3
        return
    yield wording.percent(row.predicted)
    yield wording.percent(row.actual)
    yield wording.percents(Interval(row.actual, row.actual_low, row.actual_high))


def _stability(each: Stability, *, full: bool) -> Iterable[str]:
    yield wording.decimal(each.index, 3)
    if full:
        yield wording.count(each.bins)
        yield wording.decimal(each.expected_noise, 3)
    yield wording.decimal(each.amber, 3)
    if full:
        yield wording.decimal(each.red, 3)
    yield wording.VERDICTS[each.verdict]


def _separation(auc: Interval | None) -> tuple[str, str]:
    if auc is None:
        return wording.NOTHING, wording.NOTHING
    return wording.decimal(auc.value, 3), wording.ends(auc, 2)


def _ratio(impact: Interval | None) -> str:
    if impact is None:
        return wording.NOTHING
    return f"{wording.decimal(impact.value, 2)} ({wording.ends(impact, 2)})"


def _with_ends(interval: Interval, decimals: int) -> str:
    return f"{wording.decimal(interval.value, decimals)} ({wording.ends(interval, decimals)})"


def _mean(sample: Sample, *, predicted: bool) -> str:
    figures = sample.figures
    return wording.percent(figures.mean_predicted if predicted else figures.mean_actual, 2)
