"""Order-book files: what is read, and everything that is refused."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketplace.core.errors import OrderBookRefused
from marketplace.core.order_book import fill
from marketplace.core.order_book_file import COLUMNS, OrderBookFile, parse_order_book, queue_of

BANDS, TERMS = ("A*", "A", "B", "C", "D", "E", "Y"), (36, 60)
HEADER = ",".join(COLUMNS)
# The first rows of a public report of August 2011.
ROWS = (
    "******,A*,36,******,19/08/2011 18:38:30,A*,0.044,10,10,10,0.0440",
    "******,A*,36,******,16/08/2011 08:22:43,A*,0.060,10,1390,30,0.0510",
    "******,A*,36,******,16/08/2011 08:22:44,A*,0.060,10,360,40,0.0533",
)


def parse(*rows: str, header: str = HEADER) -> OrderBookFile:
    text = "\n".join((header, *rows)) + "\n"
    return parse_order_book(text.encode(), "book.csv", bands=BANDS, terms=TERMS)


def row(**cells: str) -> str:
    """A good row, with some cells replaced (names with underscores for blanks)."""
    good = dict(zip(COLUMNS, ROWS[0].split(","), strict=True))
    for name, value in cells.items():
        good[name.replace("_", " ")] = f'"{value}"'
    return ",".join(good.values())


def test_a_row_of_the_real_report() -> None:
    first = parse(*ROWS).rows[1]
    assert first.row == 3
    assert first.member is None
    assert (first.market, first.term, first.original_market) == ("A*", 36, "A*")
    assert first.offered_at == datetime(2011, 8, 16, 8, 22, 43, tzinfo=UTC)
    assert first.rate_ppm == 60_000
    assert (first.max_exposure, first.available) == (1_000, 139_000)
    assert first.loan_size == 3_000
    assert first.simple_rate == Decimal("0.0510")


@pytest.mark.parametrize(
    ("written", "pence"),
    [("10", 1_000), ("10.00", 1_000), ("£1,390", 139_000), ("1,390.0", 139_000), ("£ 20", 2_000)],
)
def test_ways_to_write_an_amount(written: str, pence: int) -> None:
    assert parse(row(Available=written)).rows[0].available == pence


@pytest.mark.parametrize(
    ("written", "ppm"),
    [("0.044", 44_000), (".044", 44_000), ("0.071250", 71_250), ("7.1%", 71_000), ("7 %", 70_000),
     ("100%", 1_000_000), ("0.0440000", 44_000)],
)  # fmt: skip
def test_ways_to_write_a_rate(written: str, ppm: int) -> None:
    assert parse(row(Offer_Rate=written)).rows[0].rate_ppm == ppm


@pytest.mark.parametrize(
    "written",
    ["19/08/2011 18:38:00", "19/08/2011 18:38", "2011-08-19 18:38", "2011-08-19T18:38:00Z",
     "2011-08-19T19:38:00+01:00"],
)  # fmt: skip
def test_ways_to_write_a_date(written: str) -> None:
    offered_at = parse(row(Offer_Date=written)).rows[0].offered_at
    assert offered_at == datetime(2011, 8, 19, 18, 38, tzinfo=UTC)


def test_columns_go_by_name_and_further_ones_are_ignored() -> None:
    names = ["Note", *reversed(COLUMNS)]
    cells = ["hello", *reversed(ROWS[0].split(","))]
    book = parse(",".join(cells), header=",".join(names))
    assert book.rows == parse(ROWS[0]).rows


def test_byte_order_mark_windows_line_ends_and_blank_lines() -> None:
    text = "\ufeff" + "\r\n".join((HEADER, "", ROWS[0], "  ", ROWS[1])) + "\r\n\r\n"
    book = parse_order_book(text.encode(), "book.csv", bands=BANDS, terms=TERMS)
    assert [line.row for line in book.rows] == [3, 5]


def test_empty_running_figures_and_original_market_are_allowed() -> None:
    read = parse(row(Loan_Size="", Simple_Rate="", Original_Market="")).rows[0]
    assert read.loan_size is None
    assert read.simple_rate is None
    assert read.original_market == "A*"


def test_masked_rows_are_their_own_lenders_and_named_rows_share_one() -> None:
    book = parse(
        row(Member_ID="", Available="20"),
        row(Member_ID="***", Available="30"),
        row(Member_ID="jane", Available="40", Max_Exposure="20"),
        row(Member_ID="jane", Available="50", Max_Exposure="20"),
    )
    queue = queue_of(book, band="A*", term=36)
    lenders = dict(zip(queue.offer_id.tolist(), queue.lender_id.tolist(), strict=True))
    assert len(set(lenders.values())) == 3
    assert lenders[4] == lenders[5]
    # Each masked row gives £10; Jane's two rows together give her limit of £20.
    assert fill(queue, 10_000).fundable == 4_000


def test_a_market_of_the_file_is_a_band_and_a_term() -> None:
    book = parse(row(), row(Term="60"), row(Market="B"))
    assert queue_of(book, band="A*", term=60).offer_id.tolist() == [3]
    assert queue_of(book, band="C", term=60).offer_id.tolist() == []


@settings(deadline=None, max_examples=50)
@given(st.permutations(range(6)))
def test_row_order_does_not_matter_even_between_equal_dates(order: Sequence[int]) -> None:
    rows = [
        row(Available=str(available), Max_Exposure="500", Offer_Name=name, Offer_Rate=rate)
        for available, name, rate in (
            (520, "a", "0.071"), (60, "b", "0.071"), (60, "c", "0.071"),
            (480, "d", "0.069"), (60, "e", "0.0690"), (70, "f", "7.1%"),
        )
    ]  # fmt: skip
    plain = fill(queue_of(parse(*rows), band="A*", term=36), 110_000)
    mixed_rows = [rows[i] for i in order]
    mixed = fill(queue_of(parse(*mixed_rows), band="A*", term=36), 110_000)
    assert mixed.amount.tolist() == plain.amount.tolist()
    assert mixed.rate_ppm.tolist() == plain.rate_ppm.tolist()
    names = [rows[place - 2] for place in plain.offer_id]
    assert [mixed_rows[place - 2] for place in mixed.offer_id] == names


BAD_CELLS = [
    ("Offer Rate", "seven", "not a rate"),
    ("Offer Rate", "", "not a rate"),
    ("Offer Rate", "7.1", "write 7.1 % as 0.071"),
    ("Offer Rate", "1", "write 7.1 % as 0.071"),
    ("Offer Rate", "-0.071", "negative"),
    ("Offer Rate", "0", "absurd"),
    ("Offer Rate", "0.000", "absurd"),
    ("Offer Rate", "150%", "absurd"),
    ("Offer Rate", "nan", "not a rate"),
    ("Offer Rate", "inf", "not a rate"),
    ("Offer Rate", "1e-2", "not a rate"),
    ("Offer Rate", "0.0712345", "six decimals"),
    ("Offer Rate", ".", "not a rate"),
    ("Available", "ten", "not an amount"),
    ("Available", "", "not an amount"),
    ("Available", "-10", "negative"),
    ("Available", "£-10", "negative"),
    ("Available", "0", "nothing"),
    ("Available", "15", "multiple of £10"),
    ("Available", "10.01", "multiple of £10"),
    ("Available", "10.005", "not an amount"),
    ("Available", "1e400", "not an amount"),
    ("Available", "NaN", "not an amount"),
    ("Available", "Infinity", "not an amount"),
    ("Available", "100000010", "absurd"),
    ("Available", "9999999999", "absurd"),
    ("Available", "99999999999999999999", "not an amount"),
    ("Available", "1,39", "not an amount"),
    ("Max Exposure", "0", "nothing"),
    ("Max Exposure", "11", "multiple of £10"),
    ("Market", "F", "not a known market"),
    ("Market", "", "not a known market"),
    ("Original Market", "Z", "not a known market"),
    ("Term", "48", "not a known term"),
    ("Term", "three years", "not a known term"),
    ("Offer Date", "yesterday", "not a date"),
    ("Offer Date", "31/02/2011 10:00:00", "not a date"),
    ("Offer Date", "", "not a date"),
    ("Loan Size", "small", "not an amount"),
    ("Loan Size", "-10", "negative"),
    ("Simple Rate", "low", "not a rate"),
    ("Simple Rate", "-0.05", "negative"),
]


@pytest.mark.parametrize(("column", "value", "reason"), BAD_CELLS)
def test_a_bad_cell_is_refused_by_file_row_and_column(column: str, value: str, reason: str) -> None:
    with pytest.raises(OrderBookRefused) as refused:
        parse(ROWS[0], row(**{column.replace(" ", "_"): value}))
    assert (refused.value.file, refused.value.row, refused.value.column) == ("book.csv", 3, column)
    assert refused.value.message.startswith(f"book.csv, row 3, column {column}: ")
    assert reason in refused.value.message


def refusal(data: bytes) -> OrderBookRefused:
    with pytest.raises(OrderBookRefused) as refused:
        parse_order_book(data, "book.csv", bands=BANDS, terms=TERMS)
    return refused.value


@pytest.mark.parametrize("column", COLUMNS)
def test_a_missing_column_is_named(column: str) -> None:
    header = ",".join("Other" if name == column else name for name in COLUMNS)
    refused = refusal(f"{header}\n{ROWS[0]}\n".encode())
    assert (refused.row, refused.column) == (1, column)
    assert "missing" in refused.message


def test_a_column_given_twice() -> None:
    refused = refusal(f"{HEADER},Term\n{ROWS[0]},36\n".encode())
    assert (refused.row, refused.column) == (1, "Term")


def test_a_duplicate_row_names_both() -> None:
    refused = refusal("\n".join((HEADER, *ROWS, ROWS[1])).encode())
    assert refused.row == 5
    assert "row 3" in refused.message


def test_rows_of_another_length() -> None:
    short = refusal(f"{HEADER}\n******,A*,36\n".encode())
    assert (short.row, short.column) == (2, "Offer Name")
    long = refusal(f"{HEADER}\n{ROWS[0]},5\n".encode())
    assert "12 values for 11 columns" in long.message


@pytest.mark.parametrize(
    ("data", "row_number", "reason"),
    [
        (b"", None, "empty"),
        (b"\n \n\r\n", None, "empty"),
        (b"\xef\xbb\xbf", None, "empty"),
        (HEADER.encode() + b"\n\n", 1, "no offers"),
        (HEADER.encode() + b"\n\xff\xfe\x00", 2, "not text"),
        (b"PK\x03\x04\x00\x00", 1, "zero bytes"),
        (b"\x89PNG\r\n\x1a\n", 1, "not text"),
        (HEADER.encode() + b"\n" + b"x" * 5_000, 2, "longer than"),
        (HEADER.encode() + b'\n"open,A*,36\n', 2, "quotation mark"),
    ],
)
def test_files_that_are_no_order_book(data: bytes, row_number: int | None, reason: str) -> None:
    refused = refusal(data)
    assert refused.row == row_number
    assert refused.message.startswith("book.csv")
    assert reason in refused.message


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_rubbish_is_refused_and_never_crashes(data: bytes) -> None:
    refusal(data)
    refusal(HEADER.encode() + b"\n" + data.replace(b"\n", b" ") + b"\n,")


@settings(deadline=None)
@given(st.sampled_from(COLUMNS), st.text(max_size=30))
def test_any_cell_is_read_or_refused(column: str, value: str) -> None:
    cells = dict(zip(COLUMNS, ROWS[0].split(","), strict=True))
    cells[column] = '"' + value.replace('"', '""') + '"'
    with suppress(OrderBookRefused):
        assert len(parse(",".join(cells.values())).rows) == 1
