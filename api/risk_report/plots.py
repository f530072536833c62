"""The pictures of a model's overall behaviour: separation, calibration, stability, time, groups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt

from api.risk_report.drawing import (
    GOLD,
    LEAF,
    PALE,
    RED,
    SOFT,
    WIDTH,
    Picture,
    Row,
    data,
    picture,
)
from risk.core.model_report import ModelReport
from risk.core.report_groups import FOUR_FIFTHS, GroupTable, PeriodRow
from risk.core.stability import Stability
from risk.core.validation import CalibrationRow

_HEIGHT = 220
_BAND = 22
_LABELS = 118
_LONG_LABELS = 190


def roc(report: ModelReport) -> Picture:
    """Bad applications caught against good ones lost, at every cut-off."""
    curves = report.curves
    rows: list[Row] = [{"good": 0.0, "bad": 0.0}]
    rows += [
        {"good": 100 * good, "bad": 100 * bad}
        for good, bad in zip(curves.good_below, curves.bad_below, strict=True)
    ]
    base = alt.Chart(data(rows)).encode(
        x=alt.X("good:Q", title="good applications lost, %", **_shares()),
        y=alt.Y("bad:Q", title="bad applications caught, %", **_shares()),
    )
    area = base.mark_area(color=LEAF, opacity=0.14)
    line = base.mark_line(color=LEAF, strokeWidth=2.5)
    chance = _line([(0, 0), (100, 100)], "good", "bad")
    area_under = report.holdout.auc.value
    return picture(
        "roc",
        "Who is caught at which price",
        f"ROC curve on the rows held out: the area under it is the AUC, {area_under:.3f}. "
        "The dashed line is chance.",
        _sized(area + chance + line),
    )


def ks(report: ModelReport) -> Picture:
    """Shares of good and bad up to a score, and where they are furthest apart."""
    curves = report.curves
    rows: list[Row] = [
        {"points": points, "share": 100 * share, "who": who}
        for who, shares in (("bad", curves.bad_below), ("good", curves.good_below))
        for points, share in zip(curves.points, shares, strict=True)
    ]
    lines = (
        alt.Chart(data(rows))
        .mark_line(interpolate="step-after", strokeWidth=2.5)
        .encode(
            x=_points_axis(report),
            y=alt.Y("share:Q", title="so many points or fewer, %", **_shares()),
            color=_good_and_bad(),
        )
    )
    place = curves.points.index(curves.ks_points)
    apart: list[Row] = [
        {
            "points": curves.ks_points,
            "low": 100 * min(curves.bad_below[place], curves.good_below[place]),
            "high": 100 * max(curves.bad_below[place], curves.good_below[place]),
        }
    ]
    gap = (
        alt.Chart(data(apart))
        .mark_rule(color=GOLD, strokeWidth=4)
        .encode(x="points:Q", y="low:Q", y2="high:Q")
    )
    return picture(
        "ks",
        "How far good and bad are apart",
        f"Kolmogorov-Smirnov: at {curves.ks_points:.0f} points the two curves are "
        f"{100 * report.holdout.figures.ks:.1f} points of per cent apart (gold).",
        _sized(lines + gap),
    )


def scores(report: ModelReport) -> Picture:
    """Where the scores of good and bad lie."""
    curves = report.curves
    rows: list[Row] = [
        {
            "from": curves.bar_edges[bar],
            "to": curves.bar_edges[bar + 1],
            "share": 100 * share,
            "who": who,
        }
        for who, shares in (("good", curves.good_shares), ("bad", curves.bad_shares))
        for bar, share in enumerate(shares)
    ]
    bars = (
        alt.Chart(data(rows))
        .mark_bar(opacity=0.5, binSpacing=0)
        .encode(
            x=alt.X("from:Q", title="score points", scale=alt.Scale(zero=False, nice=False)),
            x2="to:Q",
            y=alt.Y("share:Q", title="share of each, %", stack=None),
            y2=alt.Y2Datum(0),
            color=_good_and_bad(),
        )
    )
    return picture(
        "scores",
        "Where the scores lie",
        "Score points of good and bad applications held out, each adding up to 100 %.",
        _sized(bars),
    )


def deciles(report: ModelReport) -> Picture:
    """Predicted against actual by tenth of the risk."""
    rows = report.holdout.figures.by_decile
    top = 100 * max(max(row.actual_high, row.predicted) for row in rows if row.rows)
    base = alt.Chart(data(_calibration(row) for row in rows if row.rows)).encode(
        x=alt.X("predicted:Q", title="predicted to go bad, %", scale=alt.Scale(domainMin=0))
    )
    span = base.mark_rule(color=LEAF, strokeWidth=2, opacity=0.7).encode(
        y=alt.Y("low:Q", title="went bad, %", scale=alt.Scale(domainMin=0)), y2="high:Q"
    )
    dot = base.mark_point(color=LEAF, filled=True, size=75, opacity=1).encode(y="actual:Q")
    furthest = 100 * max(row.predicted for row in rows if row.rows)
    end = min(top, furthest)
    return picture(
        "deciles",
        "Predicted and actual, by tenths of the risk",
        "Each dot is a tenth of the rows held out, with its 95 % interval. On the dashed line "
        "predictions are right.",
        _sized(_line([(0, 0), (end, end)], "predicted", "actual") + span + dot),
    )


def bands(report: ModelReport) -> Picture:
    """Predicted against actual by band."""
    return picture(
        "bands",
        "Predicted and actual, by band",
        "Dots with 95 % intervals: what happened. Red ticks: what was predicted.",
        _sized(_upright([row.calibration for row in report.by_band], "band")),
    )


def stabilities(named: Sequence[tuple[str, Stability]]) -> Picture:
    """The stability index of the score and of each input, with its thresholds."""
    rows: list[Row] = [
        {
            "name": f"{place}|{name}",
            "index": each.index,
            "noise": each.expected_noise,
            "amber": each.amber,
            "red": each.red,
            "verdict": each.verdict.value,
        }
        for place, (name, each) in enumerate(named)
    ]
    base = alt.Chart(data(rows)).encode(y=_named_rows(_LONG_LABELS))
    colour = alt.Color(
        "verdict:N",
        legend=None,
        scale=alt.Scale(domain=["stable", "amber", "red"], range=[LEAF, GOLD, RED]),
    )
    bar = base.mark_bar(height=12, cornerRadiusEnd=2).encode(
        x=alt.X("index:Q", title="population stability index"), color=colour
    )
    layers = [
        base.mark_tick(color=color, thickness=2.5, size=18).encode(x=f"{limit}:Q")
        for limit, color in (("noise", SOFT), ("amber", GOLD), ("red", RED))
    ]
    return picture(
        "stability",
        "Are the rows held out like those learnt from?",
        "Bars: stability index. Grey ticks: what chance alone gives on average; gold and red "
        "ticks: where it becomes amber and red.",
        alt.layer(bar, *layers).properties(width=WIDTH - 130, height=alt.Step(_BAND)),
    )


def over_time(rows: Sequence[PeriodRow]) -> list[Picture]:
    """Outcomes against predictions, and separation, by period."""
    calibration = picture(
        "time-outcomes",
        "Predicted and actual, by period",
        "Dots with 95 % intervals: what happened. Red ticks: what was predicted.",
        _sized(_upright([row.calibration for row in rows], "")),
    )
    points: list[Row] = [
        {
            "place": f"{place}|{row.calibration.group}",
            "low": row.auc.low if row.auc else None,
            "value": row.auc.value if row.auc else None,
            "high": row.auc.high if row.auc else None,
        }
        for place, row in enumerate(rows)
    ]
    base = alt.Chart(data(points)).encode(x=_named_columns(""))
    scale = alt.Scale(zero=False)
    span = base.mark_rule(color=LEAF, strokeWidth=2, opacity=0.6).encode(
        y=alt.Y("low:Q", title="AUC", scale=scale), y2="high:Q"
    )
    dot = base.mark_point(color=LEAF, filled=True, size=70, opacity=1).encode(
        y=alt.Y("value:Q", scale=scale)
    )
    chance = alt.Chart(data([{"half": 0.5}])).mark_rule(color=PALE, strokeDash=[4, 4])
    separation = picture(
        "time-auc",
        "Separation, by period",
        "AUC with its 95 % interval; the dashed line is chance.",
        _sized(span + dot + chance.encode(y=alt.Y("half:Q", scale=scale))),
    )
    return [calibration, separation]


def groups(key: str, table: GroupTable) -> list[Picture]:
    """Approval and calibration of the groups of one attribute."""
    made = []
    shares: list[Row] = [
        {
            "name": f"{place}|{row.calibration.group}",
            "low": 100 * row.approved.low,
            "value": 100 * row.approved.value,
            "high": 100 * row.approved.high,
        }
        for place, row in enumerate(table.rows)
        if row.approved is not None
    ]
    if shares:
        best = [r.approved.value for r in table.rows if r.approved and _is_best(table, r)]
        layers = [*_across(shares, "approved, %", LEAF)]
        if best:
            limit: list[Row] = [{"limit": 100 * FOUR_FIFTHS * best[0]}]
            rule = alt.Chart(data(limit)).mark_rule(color=RED, strokeDash=[5, 4])
            layers.append(rule.encode(x="limit:Q"))
        made.append(
            picture(
                f"{key}-approval",
                f"Approved, by {table.words}",
                "Share within the cut-off, with its 95 % interval. The dashed line is four fifths "
                "of the best-off group's.",
                alt.layer(*layers).properties(width=WIDTH - 90, height=alt.Step(26)),
            )
        )
    outcomes: list[Row] = [
        {
            **_calibration(row.calibration),
            "name": f"{place}|{row.calibration.group}",
            "value": 100 * row.calibration.actual,
        }
        for place, row in enumerate(table.rows)
    ]
    predicted = (
        alt.Chart(data(outcomes))
        .mark_tick(color=RED, thickness=3, size=18)
        .encode(x="predicted:Q", y=_named_rows())
    )
    made.append(
        picture(
            f"{key}-outcomes",
            f"Predicted and actual, by {table.words}",
            "Dots with 95 % intervals: what happened. Red ticks: what was predicted.",
            alt.layer(*_across(outcomes, "went bad, %", LEAF), predicted).properties(
                width=WIDTH - 90, height=alt.Step(26)
            ),
        )
    )
    return made


def _is_best(table: GroupTable, row: Any) -> bool:
    return bool(row.calibration.group == table.compared_with)


def _across(rows: Sequence[Row], title: str, color: str) -> tuple[alt.Chart, alt.Chart]:
    """Intervals lying down, a named row each."""
    base = alt.Chart(data(rows)).encode(y=_named_rows())
    span = base.mark_rule(color=color, strokeWidth=2, opacity=0.6).encode(
        x=alt.X("low:Q", title=title, scale=alt.Scale(zero=False)), x2="high:Q"
    )
    return span, base.mark_point(color=color, filled=True, size=70, opacity=1).encode(x="value:Q")


def _upright(rows: Sequence[CalibrationRow], title: str) -> Any:
    """Actual with intervals and predicted, a named column each; empty ones are left out."""
    shown = [row for row in rows if row.rows]
    points: list[Row] = [
        {**_calibration(row), "place": f"{place}|{row.group}"} for place, row in enumerate(shown)
    ]
    base = alt.Chart(data(points)).encode(x=_named_columns(title))
    size = max(6, min(30, WIDTH // (2 * len(shown))))
    return alt.layer(
        base.mark_rule(color=LEAF, strokeWidth=2, opacity=0.6).encode(
            y=alt.Y("low:Q", title="went bad, %"), y2="high:Q"
        ),
        base.mark_tick(color=RED, thickness=3, size=size).encode(y="predicted:Q"),
        base.mark_point(color=LEAF, filled=True, size=70, opacity=1).encode(y="actual:Q"),
    )


def _calibration(row: CalibrationRow) -> dict[str, str | int | float | None]:
    return {
        "predicted": 100 * row.predicted,
        "actual": 100 * row.actual,
        "low": 100 * row.actual_low,
        "high": 100 * row.actual_high,
    }


def _named_rows(longest: int = _LABELS) -> alt.Y:
    """A row for each "place|name", in the order given; so that equal names stay apart."""
    axis = alt.Axis(**_label_after_bar(longest), ticks=False)
    return alt.Y("name:N", sort=None, title=None, axis=axis)


def _named_columns(title: str) -> alt.X:
    axis = alt.Axis(**_label_after_bar(), labelAngle=0 if title else -45)
    return alt.X("place:N", sort=None, title=title or None, axis=axis)


def _label_after_bar(longest: int = _LABELS) -> dict[str, Any]:
    return {
        "labelExpr": "slice(datum.value, indexof(datum.value, '|') + 1)",
        "labelLimit": longest,
    }


def _points_axis(report: ModelReport) -> alt.X:
    edges = report.curves.bar_edges
    return alt.X(
        "points:Q",
        title="score points",
        scale=alt.Scale(domain=[edges[0], edges[-1]], clamp=True, nice=False),
    )


def _good_and_bad() -> alt.Color:
    return alt.Color("who:N", scale=alt.Scale(domain=["good", "bad"], range=[LEAF, RED]))


def _shares() -> dict[str, Any]:
    return {"scale": alt.Scale(domain=[0, 100]), "axis": alt.Axis(tickCount=5)}


def _line(points: Sequence[tuple[float, float]], x: str, y: str) -> Any:
    rows: list[Row] = [{x: across, y: up} for across, up in points]
    return (
        alt.Chart(data(rows))
        .mark_line(color=SOFT, strokeDash=[5, 4], strokeWidth=1.5)
        .encode(x=f"{x}:Q", y=f"{y}:Q")
    )


def _sized(chart: Any) -> Any:
    return chart.properties(width=WIDTH, height=_HEIGHT)
