"""The page: headline figures, findings, and each subject's pictures beside its tables."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.template.loader import render_to_string

from api.risk_report import plots, tables, wording
from api.risk_report.column_plots import column_picture
from api.risk_report.drawing import Picture
from api.risk_report.tables import Sheet
from risk.core.model_report import ModelReport
from risk.core.report_findings import Level


@dataclass(frozen=True, slots=True)
class Card:
    """A headline figure with a note under it."""

    name: str
    value: str
    note: str


@dataclass(frozen=True, slots=True)
class Section:
    """A subject of the report: pictures, and the tables with the same figures."""

    key: str
    title: str
    words: str
    pictures: tuple[Picture, ...]
    sheets: tuple[Sheet, ...]


@dataclass(frozen=True, slots=True)
class ColumnPart:
    """One column's picture and table; ``moves`` is how much it moves scores."""

    key: str
    title: str
    column: str
    moves: str
    picture: Picture
    sheet: Sheet


def render_model_report(report: ModelReport) -> str:
    """A report as one page of HTML with its style and pictures inside.

    It asks nothing of any other host, runs no script, and is the same for the same report.
    """
    assets = Path(settings.BASE_DIR) / "api" / "assets"
    return render_to_string("model_report.html", _context(report, assets))


def _context(report: ModelReport, assets: Path) -> dict[str, Any]:
    worst = {finding.level for finding in report.findings}
    notable = sum(finding.level is not Level.GOOD for finding in report.findings)
    return {
        "report": report,
        "cards": _cards(report),
        "findings": [
            (finding, finding.level.value, wording.LEVELS[finding.level])
            for finding in report.findings
        ],
        "verdict": _verdict(notable, bad=Level.BAD in worst),
        "sections": _sections(report),
        "columns": _columns(report),
        "style": (assets / "tenner.css").read_text(encoding="utf-8"),
        "logo": (assets / "tenner.svg").read_text(encoding="utf-8").replace(_NAMESPACE, ""),
    }


# An SVG inside HTML needs none, and the page names no other host.
_NAMESPACE = ' xmlns="http://www.w3.org/2000/svg"'


def _verdict(notable: int, *, bad: bool) -> str:
    if not notable:
        return "Nothing stands out: every check below holds."
    things = "One thing" if notable == 1 else f"{notable} things"
    stands = "stands out" if notable == 1 else "stand out"
    return f"{things} below {stands}" + (", some of them badly." if bad else ".")


def _cards(report: ModelReport) -> list[Card]:
    held, score = report.holdout, report.score_stability
    figures, slope = held.figures, held.line.slope
    return [
        Card("AUC", wording.decimal(figures.auc, 3), f"{wording.ends(held.auc, 3)}; chance is .5"),
        Card("Gini", wording.decimal(figures.gini, 3), "twice the AUC, less one"),
        Card("KS", wording.decimal(figures.ks, 3), "good and bad, furthest apart"),
        Card(
            "Brier",
            wording.decimal(figures.brier, 4),
            f"{wording.percent(held.skill)} less than a constant's",
        ),
        Card(
            "Calibration slope",
            wording.decimal(slope.value, 2),
            f"{wording.ends(slope, 2)}; right is 1",
        ),
        Card(
            "Predicted, actual",
            f"{wording.percent(figures.mean_predicted, 2)}",
            f"{wording.percent(figures.mean_actual, 2)} went bad",
        ),
        Card(
            "Stability of the score",
            wording.decimal(score.index, 3),
            f"{wording.VERDICTS[score.verdict]}; chance gives {score.expected_noise:.3f}",
        ),
        Card(
            "Held out",
            wording.count(figures.rows),
            f"rows, {wording.count(figures.bad)} of them bad",
        ),
    ]


def _sections(report: ModelReport) -> list[Section]:
    named = [("the score", report.score_stability)]
    named += [(column.words, column.stability) for column in report.columns]
    made = [
        Section(
            "separation",
            "Telling good from bad",
            "Whether bad applications score lower than good ones. Only the order counts here.",
            (plots.roc(report), plots.ks(report), plots.scores(report)),
            (tables.samples(report),),
        ),
        Section(
            "calibration",
            "Saying how many will go bad",
            f"Whether as many went bad, over {report.outcome_months} months, as were predicted.",
            (plots.deciles(report), *([plots.bands(report)] if report.by_band else [])),
            (tables.deciles(report), *([tables.bands(report)] if report.by_band else [])),
        ),
    ]
    if report.by_time:
        made.append(
            Section(
                "time",
                "Holding over time",
                f"Rows held out, by {report.time_column}.",
                tuple(plots.over_time(report.by_time)),
                (tables.periods(report),),
            )
        )
    if report.groups:
        made.append(_groups(report))
    made.append(
        Section(
            "stability",
            "Meeting the same people",
            "An alarm needs more than chance explains and more than is too small to matter "
            "(.1 and .25).",
            (plots.stabilities(named),),
            (tables.stabilities(named),),
        )
    )
    return made


def _groups(report: ModelReport) -> Section:
    cut_off = (
        "There is no cut-off, so approvals can't be compared."
        if report.cut_off_pd is None
        else f"Approved: a 12-month PD up to {wording.percent(report.cut_off_pd, 2)}."
    )
    return Section(
        "groups",
        "Treating groups alike",
        f"For monitoring only: the model can't see these attributes. {cut_off}",
        tuple(
            picture
            for place, table in enumerate(report.groups)
            for picture in plots.groups(f"group-{place}", table)
        ),
        tuple(tables.groups(table) for table in report.groups),
    )


def _columns(report: ModelReport) -> list[ColumnPart]:
    return [
        ColumnPart(
            f"column-{place}",
            column.words[:1].upper() + column.words[1:],
            column.column,
            f"{column.spread:.1f}",
            column_picture(f"column-{place}", column),
            tables.column(column),
        )
        for place, column in enumerate(report.columns)
    ]
