"""The demo's pictures, drawn without a network: Vega-Lite charts rendered to PNG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from marketplace.core.rates import PPM
from marketplace.selectors.markets import MarketView
from marketplace.selectors.order_book import OrderBook
from marketplace.selectors.returns import Returns
from risk.core.validation import CalibrationRow

_INK, _ACCENT, _SECOND = "#22303c", "#0b7a75", "#d1495b"


def _finished(chart: Any, title: str, subtitle: str) -> Any:
    return (
        chart.properties(
            title=alt.TitleParams(title, subtitle=subtitle, anchor="start", fontSize=17)
        )
        .configure_view(stroke=None)
        .configure_axis(
            labelColor=_INK, titleColor=_INK, gridColor="#e6eaed", domainColor="#9aa5b1"
        )
        .configure_title(color=_INK, subtitleColor="#52606d", offset=14)
        .configure_legend(labelColor=_INK, titleColor=_INK)
        .configure(background="white", padding=16, font="sans-serif")
    )


def _save(chart: Any, path: Path) -> Path:
    chart.save(str(path), format="png", scale_factor=2)
    return path


def order_book_depth(book: OrderBook, markets: Sequence[MarketView], path: Path) -> Path:
    """What each market's queue could lend, cumulative by rate asked, one panel a market.

    The dotted line is the guide rate.
    """
    frames = []
    for market in markets:
        queue = book.queue(market.market_id)
        gives = np.minimum(queue.limit, queue.available)
        rates, places = np.unique(queue.rate_ppm, return_inverse=True)
        depth = np.cumsum(np.bincount(places, weights=gives, minlength=len(rates)))
        frames.append(
            pd.DataFrame(
                {
                    "rate": rates * 100 / PPM,
                    "depth": depth / 100,
                    "guide": market.guide_rate * 100 / PPM,
                    "band": market.band,
                    "term": f"{market.term_months} months",
                }
            )
        )
    data = pd.concat(frames)
    bands = list(dict.fromkeys(market.band for market in markets))
    base = alt.Chart(data)
    area = base.mark_area(
        interpolate="step-after", color=_ACCENT, opacity=0.25, line={"color": _ACCENT}
    ).encode(
        x=alt.X("rate:Q", title="rate asked, % a year", scale=alt.Scale(zero=False)),
        y=alt.Y("depth:Q", title="one loan could take, £"),
    )
    guide = base.mark_rule(strokeDash=[3, 3], color=_SECOND).encode(x="mean(guide):Q")
    chart = (
        alt.layer(area, guide)
        .properties(width=170, height=120)
        .facet(
            column=alt.Column("band:N", sort=bands, title=None),
            row=alt.Row("term:N", title=None),
        )
        .resolve_scale(x="independent")
    )
    return _save(
        _finished(
            chart,
            "Depth of the order book at the cut-off",
            "What one borrower could raise at up to a rate, by market; dotted: the guide rate",
        ),
        path,
    )


def earned_and_told(returns: Returns, path: Path) -> Path:
    """What each lender earned so far against what they were told to expect."""
    data = pd.DataFrame(
        {
            "told": returns.told * 100,
            "earned": returns.earned * 100,
            "borrowers": returns.borrowers,
        }
    ).dropna()
    low, high = data["told"].min() - 0.5, data["told"].max() + 0.5
    points = (
        alt.Chart(data)
        .mark_circle(size=22, opacity=0.45)
        .encode(
            x=alt.X("told:Q", title="told to expect, % a year", scale=alt.Scale(zero=False)),
            y=alt.Y("earned:Q", title="earned so far, losses taken off, % a year"),
            color=alt.Color(
                "borrowers:Q", title="borrowers", scale=alt.Scale(scheme="viridis", reverse=True)
            ),
        )
        .properties(width=640, height=380)
    )
    line = (
        alt.Chart(pd.DataFrame({"told": [low, high], "earned": [low, high]}))
        .mark_line(color=_SECOND, strokeDash=[4, 3], clip=True)
        .encode(x="told:Q", y="earned:Q")
    )
    return _save(
        _finished(
            points + line,
            "What lenders earned against what they were told",
            "One dot a lender, after fees and losses; on the dashed line both are the same",
        ),
        path,
    )


def bands_earned(returns: Returns, names: Mapping[int, str], path: Path) -> Path:
    """Gross rate, expectation and outcome of each band."""
    rows = [
        {"band": names[int(group)], "what": what, "rate": float(values[place]) * 100}
        for what, values in (
            ("asked", returns.gross),
            ("told to expect", returns.told),
            ("earned so far", returns.earned),
        )
        for place, group in enumerate(returns.group)
    ]
    order = ["asked", "told to expect", "earned so far"]
    chart = (
        alt.Chart(pd.DataFrame(rows))
        .mark_bar()
        .encode(
            x=alt.X("band:N", sort=list(names.values()), title="band", axis=alt.Axis(labelAngle=0)),
            xOffset=alt.XOffset("what:N", sort=order),
            y=alt.Y("rate:Q", title="% a year"),
            color=alt.Color(
                "what:N",
                sort=order,
                title=None,
                scale=alt.Scale(domain=order, range=["#9aa5b1", _ACCENT, _SECOND]),
            ),
        )
        .properties(width=640, height=320)
    )
    return _save(
        _finished(
            chart,
            "Returns by band, losses taken off",
            "Mean gross rate asked, net return expected when matched, and money-weighted outcome",
        ),
        path,
    )


def calibration(rows: Sequence[CalibrationRow], path: Path) -> Path:
    """Predicted against actual outcomes by band, on applications that the model has not seen."""
    data = pd.DataFrame(
        {
            "band": [row.group for row in rows],
            "predicted": [row.predicted * 100 for row in rows],
            "actual": [row.actual * 100 for row in rows],
            "low": [row.actual_low * 100 for row in rows],
            "high": [row.actual_high * 100 for row in rows],
        }
    )
    order = [row.group for row in rows]
    base = alt.Chart(data).encode(
        x=alt.X("band:N", sort=order, title="band", axis=alt.Axis(labelAngle=0))
    )
    span = base.mark_rule(color=_ACCENT, strokeWidth=2).encode(
        y=alt.Y("low:Q", title="gone bad, %"), y2="high:Q"
    )
    actual = base.mark_point(color=_ACCENT, filled=True, size=80).encode(y="actual:Q")
    predicted = base.mark_tick(color=_SECOND, thickness=3, size=34).encode(y="predicted:Q")
    return _save(
        _finished(
            (span + actual + predicted).properties(width=640, height=320),
            "Predicted and actual outcomes on unseen applications",
            "Red: predicted; green: actual, with its 95 % interval",
        ),
        path,
    )
