"""Writing order-book files: a reader gets what was written, and the running figures are exact."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketplace.core.errors import OrderBookRefused
from marketplace.core.order_book_export import MASK, order_book_csv
from marketplace.core.order_book_file import COLUMNS, BookRow, OrderBookFile, parse_order_book
from marketplace.core.running_figures import check_running_figures

BANDS, TERMS = ("A*", "A", "B"), (36, 60)
NOON = datetime(2016, 4, 1, 12, tzinfo=UTC)
FORMULA = "=+-@"


def row(**figures: Any) -> BookRow:
    """A row of £10 at 7 % in A/36 of a masked member, but for what is given."""
    given: dict[str, Any] = {
        "row": 2,
        "member": None,
        "market": "A",
        "term": 36,
        "offer_name": MASK,
        "offered_at": NOON,
        "original_market": "A",
        "rate_ppm": 70_000,
        "max_exposure": 1_000,
        "available": 1_000,
        "loan_size": None,
        "simple_rate": None,
    }
    return BookRow(**given | figures)


def written(rows: Sequence[BookRow]) -> str:
    return "".join(order_book_csv(rows))


def read(text: str) -> OrderBookFile:
    return parse_order_book(text.encode(), "book.csv", bands=BANDS, terms=TERMS)


def test_a_file_as_a_person_would_write_it() -> None:
    text = written(
        [
            row(market="A*", rate_ppm=44_000, available=139_000, original_market="B"),
            row(market="A*", rate_ppm=60_000, max_exposure=2_000, available=5_000, member="m1"),
            row(market="A*", rate_ppm=71_250, max_exposure=3_000, available=3_000, term=60),
            row(market="A*", rate_ppm=71_250, max_exposure=3_000, available=2_000, offer_name="x"),
        ]
    )
    # A*/36: 10, 10 + 20, 30 + 20. Means: .044; (10 x .044 + 20 x .06) / 30 = .0546667;
    # (1.64 + 20 x .07125) / 50 = .0613. A*/60 runs by itself.
    assert text.splitlines() == [
        ",".join(COLUMNS),
        "******,A*,36,******,01/04/2016 12:00:00,B,0.044000,10.00,1390.00,10.00,0.044000",
        "m1,A*,36,******,01/04/2016 12:00:00,A,0.060000,20.00,50.00,30.00,0.054667",
        "******,A*,60,******,01/04/2016 12:00:00,A,0.071250,30.00,30.00,30.00,0.071250",
        "******,A*,36,x,01/04/2016 12:00:00,A,0.071250,30.00,20.00,50.00,0.061300",
    ]
    assert text.count("\r\n") == 5


@pytest.mark.parametrize(
    ("ppm", "cell"),
    [(1, "0.000001"), (71_253, "0.071253"), (999_999, "0.999999"), (1_000_000, "100%")],
)
def test_rates_keep_four_decimals_of_a_percent(ppm: int, cell: str) -> None:
    text = written([row(rate_ppm=ppm)])
    assert text.splitlines()[1].split(",")[6] == cell
    assert read(text).rows[0].rate_ppm == ppm


@pytest.mark.parametrize("name", ["=1+1", "+44 20", "-2", "@x", "'=1", "''+1", '=1,"2"'])
def test_what_a_spreadsheet_would_run_is_guarded_and_comes_back(name: str) -> None:
    text = written([row(member=name, offer_name=name)])
    cells = next(csv.reader([text.splitlines()[1]]))
    assert cells[0] == cells[3] == f"'{name}"
    back = read(text).rows[0]
    assert (back.member, back.offer_name) == (name, name)


@pytest.mark.parametrize("name", ["'tis", "o'=1", "a@b.org", "1-2", "'"])
def test_other_names_stay_as_they_are(name: str) -> None:
    assert written([row(member=name)]).splitlines()[1].startswith(f"{name},")
    assert read(written([row(member=name)])).rows[0].member == name


def test_a_running_size_beyond_what_files_say_is_left_empty() -> None:
    most = 10_000_000_000  # £100m
    large = row(max_exposure=most, available=most)
    text = written([large, replace(large, offered_at=NOON + timedelta(seconds=1))])
    assert [line.split(",")[9] for line in text.splitlines()[1:]] == ["100000000.00", ""]
    [check] = check_running_figures(read(text))
    assert (check.sizes_differing, check.rates_differing) == (0, 0)


@pytest.mark.parametrize(
    ("figures", "column"),
    [
        ({"available": 0}, "Available"),
        ({"available": -1_000}, "Available"),
        ({"available": 1_500}, "Available"),
        ({"max_exposure": 10_000_001_000}, "Max Exposure"),
        ({"rate_ppm": 0}, "Offer Rate"),
        ({"rate_ppm": 1_000_001}, "Offer Rate"),
        ({"rate_ppm": 69_999}, "Offer Rate"),
        ({"offered_at": NOON - timedelta(seconds=1)}, "Offer Rate"),
        ({"offered_at": NOON.replace(tzinfo=None)}, "Offer Date"),
        ({"offered_at": NOON.replace(microsecond=1)}, "Offer Date"),
        ({"offered_at": NOON.astimezone(timezone(timedelta(hours=1)))}, "Offer Date"),
        ({"member": "**"}, "Member ID"),
        ({"member": ""}, "Member ID"),
        ({"member": "two\nlines"}, "Member ID"),
        ({"member": "x" * 911}, "Member ID"),
        ({"offer_name": " padded"}, "Offer Name"),
        ({"offer_name": "\x00"}, "Offer Name"),
        ({"offer_name": "\ud800"}, "Offer Name"),
        ({"market": ""}, "Market"),
        ({"market": "=A"}, "Market"),
        ({"original_market": "x" * 41}, "Original Market"),
        ({"term": 0}, "Term"),
    ],
)
def test_what_no_reader_would_take_is_refused(figures: dict[str, Any], column: str) -> None:
    """Each differs in one thing from a row that may follow the first one."""
    written([row(), row()])
    with pytest.raises(OrderBookRefused) as refused:
        written([row(), row(**figures)])
    assert (refused.value.row, refused.value.column) == (3, column)


def test_an_empty_book_is_its_header() -> None:
    assert written([]) == ",".join(COLUMNS) + "\r\n"


printable = st.text(
    st.characters(codec="utf-8", exclude_categories=("C", "Z")) | st.sampled_from("=+-@'\",* "),
    max_size=30,
).map(str.strip)
pence = (st.integers(1, 10_000_000) | st.integers(1, 5)).map(lambda units: units * 1_000)
# From 1970 to 2999.
moments = st.integers(0, 32_500_000_000).map(lambda second: datetime.fromtimestamp(second, UTC))


@st.composite
def books(draw: st.DrawFn) -> list[BookRow]:
    """Rows of several markets, each market's in queue order; no two alike."""
    count = draw(st.integers(1, 12))
    rows = [
        row(
            member=draw(st.none() | printable.filter(lambda name: name.strip("*") != "")),
            market=draw(st.sampled_from(BANDS)),
            term=draw(st.sampled_from(TERMS)),
            offer_name=draw(st.just(MASK) | printable),
            offered_at=draw(moments) + timedelta(seconds=place),
            original_market=draw(st.sampled_from(BANDS)),
            rate_ppm=draw(st.integers(1, 1_000_000) | st.sampled_from([70_000, 1_000_000])),
            max_exposure=draw(pence),
            available=draw(pence),
        )
        for place in range(count)
    ]
    rows.sort(key=lambda each: (each.rate_ppm, each.offered_at))
    return rows


@settings(deadline=None, max_examples=100)
@given(books())
def test_whoever_reads_it_gets_what_was_written(rows: list[BookRow]) -> None:
    text = written(rows)
    back = read(text)
    plain = [replace(each, loan_size=None, simple_rate=None) for each in back.rows]
    assert plain == [replace(each, row=place) for place, each in enumerate(rows, start=2)]
    for cells in csv.reader(text.splitlines()):
        assert not any(cell.startswith(tuple(FORMULA)) for cell in cells)
    # Running figures by their definition, market by market.
    for market in {(each.market, each.term) for each in rows}:
        size, weighted = 0, Fraction()
        for each in (one for one in back.rows if (one.market, one.term) == market):
            size += min(each.max_exposure, each.available)
            weighted += min(each.max_exposure, each.available) * Fraction(each.rate_ppm, 10**6)
            assert each.loan_size == (size if size <= 10_000_000_000 else None)
            assert isinstance(each.simple_rate, Decimal)
            assert abs(Fraction(each.simple_rate) - weighted / size) <= Fraction(1, 2 * 10**6)
    for check in check_running_figures(back):
        assert (check.sizes_differing, check.rates_differing) == (0, 0)
    # And it is written the same again.
    assert written(plain) == text
