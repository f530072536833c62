"""Charts as SVG for a page: the house's look, no clash of ids, one description instead of many."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as ET

import altair as alt
import vl_convert
from django.utils.safestring import SafeString, mark_safe

INK, SOFT, LINE = "#1c2421", "#5c6862", "#dedbd0"
LEAF, GOLD, RED, PALE = "#1c7a5c", "#d9a441", "#a33527", "#b9b6a9"
WIDTH = 290

Row = Mapping[str, str | int | float | None]

_THEME: dict[str, Any] = {
    "background": "transparent",
    "font": "sans-serif",
    # Room for a page's font that is wider than the one that labels were measured in.
    "padding": {"left": 18, "right": 8, "top": 4, "bottom": 4},
    "view": {"stroke": None},
    "axis": {
        "labelColor": INK,
        "titleColor": SOFT,
        "gridColor": "#ebe8dc",
        "domainColor": PALE,
        "tickColor": PALE,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "titlePadding": 8,
    },
    "legend": {
        "orient": "top",
        "title": None,
        "labelColor": INK,
        "labelFontSize": 12,
        "labelLimit": 260,
        "symbolSize": 90,
    },
    "text": {"color": INK, "fontSize": 12},
}
# What a drawing may consist of; anything else is left out.
_PARTS = frozenset(
    {"svg", "g", "path", "rect", "line", "circle", "text", "tspan", "defs", "clipPath"}
)
_GEOMETRY = frozenset({"d", "transform", "x", "y", "x1", "y1", "x2", "y2", "width", "height"})
_LONG_NUMBER = re.compile(r"(\d\.\d\d)\d+")
_REFERENCE = re.compile(r"url\(#([^)]*)\)")
# Largest a drawing is shown, against the size that it was drawn at.
_LARGEST = 1.3


@dataclass(frozen=True, slots=True)
class Picture:
    """A drawing for the page, with a title and what it shows."""

    title: str
    words: str
    svg: SafeString


def data(rows: Iterable[Row]) -> alt.Data:
    """Rows as a chart's own data."""
    return alt.Data(values=[dict(row) for row in rows])  # type: ignore[no-untyped-call]


def picture(key: str, title: str, words: str, chart: Any) -> Picture:
    """Draw a chart.

    Args:
        key: unlike any other picture's on the page, of letters and dashes.
        title: shown above it.
        words: shown below it, and read out for it.
        chart: of altair.
    """
    # Altair checked each part as it was made; checking the whole again takes as long as drawing.
    spec = {**chart.to_dict(validate=False), "config": _THEME}
    drawn = vl_convert.vegalite_to_svg(json.dumps(spec))
    return Picture(title, words, _for_page(key, f"{title}. {words}", drawn))


def _for_page(key: str, words: str, drawn: str) -> SafeString:
    """An SVG inside a page: scalable, with ids of its own, and one description for all marks."""
    # It comes from the renderer, which writes no entities.
    root = ET.fromstring(drawn)  # noqa: S314
    # The renderer counts ids over its whole life; here they are counted from 1.
    named = [each.attrib["id"] for each in root.iter() if "id" in each.attrib]
    _clean(root, {old: f"{key}-{place}" for place, old in enumerate(named, 1)})
    width = float(root.attrib["viewBox"].split()[2])
    root.attrib = {
        "role": "img",
        "aria-label": words,
        "viewBox": root.attrib["viewBox"],
        "style": f"max-width:{_LARGEST * width:.0f}px",
    }
    # Rebuilt by the XML library, which escapes every text and attribute.
    return mark_safe(ET.tostring(root, encoding="unicode"))  # noqa: S308


def _clean(element: ET.Element, ids: Mapping[str, str]) -> None:
    element.tag = element.tag.rpartition("}")[2]
    kept = {}
    for name, value in element.attrib.items():
        if name in _GEOMETRY:
            kept[name] = _LONG_NUMBER.sub(r"\1", value)
        elif name == "id":
            kept[name] = ids[value]
        elif not name.startswith(("aria-", "role", "on", "font-family", "class", "{")):
            kept[name] = _REFERENCE.sub(lambda found: f"url(#{ids[found[1]]})", value)
    element.attrib = kept
    for child in list(element):
        if child.tag.rpartition("}")[2] in _PARTS:
            _clean(child, ids)
        else:
            element.remove(child)
