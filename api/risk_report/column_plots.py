"""The picture of one column: points by bin, beside how often applications in the bin went bad."""

from __future__ import annotations

import altair as alt

from api.risk_report.drawing import GOLD, LEAF, RED, SOFT, Picture, Row, data, picture
from risk.core.report_columns import ColumnBin, ColumnReport

MOST_BINS = 24
_PANEL = 120
_STEP = 20


def shown_bins(report: ColumnReport) -> tuple[ColumnBin, ...]:
    """The bins that have rows; of very many only the largest, in their order."""
    used = [place for place, each in enumerate(report.bins) if each.rows or each.holdout_rows]
    largest = sorted(used, key=lambda place: -report.bins[place].rows)[:MOST_BINS]
    return tuple(report.bins[place] for place in sorted(largest))


def column_picture(key: str, report: ColumnReport) -> Picture:
    """Points on the left, bad rates on the right, a row a bin."""
    bins = shown_bins(report)
    rows: list[Row] = [
        {
            "name": f"{place}|{each.name}",
            "points": each.points,
            "rate": 100 * each.bad_rate if each.rows else None,
            "low": 100 * each.bad_rate_low if each.rows else None,
            "high": 100 * each.bad_rate_high if each.rows else None,
            "held": 100 * each.holdout_bad / each.holdout_rows if each.holdout_rows else None,
        }
        for place, each in enumerate(bins)
    ]
    base = alt.Chart(data(rows))
    names = alt.Y(
        "name:N",
        sort=None,
        title=None,
        axis=alt.Axis(
            labelExpr="slice(datum.value, indexof(datum.value, '|') + 1)",
            labelLimit=112,
            ticks=False,
            domain=False,
        ),
    )
    points = (
        base.mark_bar(height=13, cornerRadius=2)
        .encode(
            y=names,
            x=alt.X("points:Q", title="points", axis=alt.Axis(tickCount=4)),
            color=alt.condition("datum.points < 0", alt.value(RED), alt.value(LEAF)),
        )
        .properties(width=_PANEL, height=alt.Step(_STEP))
    )
    unnamed = alt.Y("name:N", sort=None, axis=None)
    rate_axis = alt.X("low:Q", title="went bad, %", axis=alt.Axis(tickCount=4))
    rates = alt.layer(
        base.mark_rule(color=SOFT, strokeWidth=2, opacity=0.7).encode(
            y=unnamed, x=rate_axis, x2="high:Q"
        ),
        base.mark_point(color=SOFT, filled=True, size=55, opacity=1).encode(y=unnamed, x="rate:Q"),
        base.mark_point(color=GOLD, shape="diamond", filled=True, size=55, opacity=1).encode(
            y=unnamed, x="held:Q"
        ),
    ).properties(width=_PANEL, height=alt.Step(_STEP))
    return picture(
        key,
        report.words,
        "Left: points against the average applicant. Right: share that went bad in training (dots, "
        "95 % intervals) and held out (gold).",
        alt.hconcat(points, rates, spacing=14),
    )
