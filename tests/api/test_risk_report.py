"""The validation report as a page: complete, the same every time, and deaf to what files say."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from datetime import date
from html.parser import HTMLParser
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from api.risk_report import render_model_report
from risk.core.model_report import BandEdge, ModelReport, build_model_report
from risk.core.reading import read_table
from risk.core.scorecard import ScorecardSettings
from risk.core.spec import spec_from_toml
from risk.core.split import stratified_split
from risk.core.table import Table, make_table, text_column
from risk.core.training import fit_scorecard
from tests.risk.examples import SPEC, invented_csv

HOSTILE = '<script>alert(1)</script>"\' onload="x" & url(#a) {{ report }}'
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


class _Page(HTMLParser):
    """Every tag, attribute and id of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs


def parsed(text: str) -> _Page:
    page = _Page()
    page.feed(text)
    return page


def hostile(table: Table) -> Table:
    """The same rows, with text that would like to be markup."""
    size = len(table)
    words = [HOSTILE, "</svg><img src=x onerror=alert(1)>", "plain", None]
    columns = {
        **table.columns,
        "home": text_column([words[place % 4] for place in range(size)]),
        "sex": text_column([words[place % 3] for place in range(size)]),
        "when": text_column([f"{HOSTILE}{place % 3}" for place in range(size)]),
    }
    return make_table(columns, rows=table.rows, is_bad=table.is_bad)


@pytest.fixture(scope="module")
def report() -> ModelReport:
    spec = spec_from_toml(SPEC.replace('words = "home"', "words = '<b>home</b>'"))
    table = hostile(read_table(invented_csv(), "invented.csv", spec))
    assert table.is_bad is not None
    split = stratified_split(table.is_bad, seed=1)
    training, holdout = table.take(split.training), table.take(split.holdout)
    scored = make_table(
        {name: column for name, column in training.columns.items() if name != "when"},
        is_bad=training.is_bad,
    )
    scorecard = fit_scorecard(scored, spec, ScorecardSettings(strengths=(1.0,)), 1)
    return build_model_report(
        name=f"house {HOSTILE}",
        scorecard=scorecard,
        spec=spec,
        training=training,
        holdout=holdout,
        made_on=date(2016, 4, 1),
        bands=(BandEdge("A", 0.04), BandEdge("B", 0.15)),
        time_column="when",
        notes=(HOSTILE,),
    )


@pytest.fixture(scope="module")
def page(report: ModelReport) -> str:
    return render_model_report(report)


def test_it_is_the_same_every_time(report: ModelReport, page: str) -> None:
    assert render_model_report(report) == page


def test_it_asks_nothing_of_any_other_host(page: str) -> None:
    assert not re.search(r"https?:|//[a-z]|@import|src=\"", page.replace(HOSTILE, ""))
    found = parsed(page)
    assert not {"script", "link", "iframe", "object", "img", "image", "use"} & set(found.tags)
    links = [value or "" for name, value in found.attributes if name in {"href", "xlink:href"}]
    assert links
    assert all(link.startswith("#") for link in links)


def test_text_of_a_file_is_never_markup(page: str) -> None:
    found = parsed(page)
    assert "<script" not in page
    assert "<b>home" not in page
    assert not [name for name, _ in found.attributes if name.startswith("on")]
    assert "&lt;script&gt;alert(1)" in page


def test_ids_are_unique_and_each_reference_is_met(page: str) -> None:
    found = parsed(page)
    ids = [value for name, value in found.attributes if name == "id"]
    assert len(set(ids)) == len(ids)
    labelled = {value for name, value in found.attributes if name == "aria-labelledby"}
    targets = {(v or "")[1:] for name, v in found.attributes if name == "href"}
    clips = {
        value[5:-1]
        for _, value in found.attributes
        if value is not None and re.fullmatch(r"url\(#[^)]*\)", value)
    }
    assert labelled | targets | clips <= set(ids)


def test_every_picture_is_described_and_every_table_has_a_caption(page: str) -> None:
    pictures = re.findall(r"<svg role=\"img\" aria-label=\"([^\"]{20,})\"", page)
    # ROC, KS, scores, deciles, bands, two by time, two by group, stability and five inputs.
    assert len(pictures) == 15
    assert page.count("<figcaption>") == 15
    assert page.count("<table") == page.count("<caption>") == 11


def test_the_figures_are_the_report_s(report: ModelReport, page: str) -> None:
    assert f"<dd>{report.holdout.figures.auc:.3f}</dd>" in page
    assert page.count('<span class="said">') == len(report.findings)
    assert "1 April 2016" in page
    for band in report.by_band:
        assert f'<th scope="row">{band.calibration.group}</th>' in page


def test_it_is_small_enough_to_send(page: str) -> None:
    assert len(page.encode()) < 1_000_000


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_it_fits_a_phone_and_a_desk(page: str, tmp_path: Path) -> None:
    place = tmp_path / "report.html"
    place.write_text(page, encoding="utf-8")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        widths = {}
        for width in (1280, 390):
            shown = browser.new_page(viewport={"width": width, "height": 800})
            shown.set_default_timeout(120_000)
            shown.goto(place.as_uri())
            widths[width] = shown.evaluate("document.documentElement.scrollWidth")
        browser.close()
    assert widths == {1280: 1280, 390: 390}


def test_a_report_without_bands_time_or_groups(report: ModelReport) -> None:
    page = render_model_report(
        replace(report, by_band=(), by_time=(), time_column=None, groups=(), columns=())
    )
    assert 'id="time"' not in page
    assert 'id="groups"' not in page
    assert page.count("<figure>") == 5
