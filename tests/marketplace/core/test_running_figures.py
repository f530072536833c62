"""The file's own running figures against exact ones."""

from fractions import Fraction

from marketplace.core.order_book_file import COLUMNS, parse_order_book
from marketplace.core.running_figures import MarketCheck, check_running_figures

HEADER = ",".join(COLUMNS)


def check(*rows: str) -> tuple[MarketCheck, ...]:
    text = "\n".join((HEADER, *rows))
    return check_running_figures(
        parse_order_book(text.encode(), "book.csv", bands=("A*", "B"), terms=(36, 60))
    )


def test_a_file_that_is_right() -> None:
    # 10 at 4.4 %; 10 + 20 at (44 + 2 x 60) / 30 = 5.4667 %.
    (found,) = check(
        "x,A*,36,n,19/08/2011 18:38:30,A*,0.044,10,10,10,0.0440",
        "y,A*,36,n,16/08/2011 08:22:43,A*,0.060,20,1390,30,0.0547",
    )
    assert (found.market, found.term, found.rows) == ("A*", 36, 2)
    assert found.sizes_differing == found.rates_differing == 0
    assert found.largest_size.loan_size_difference == 0
    # Rounded to four decimals, the second is .0547 - .054667 = .0000333 off.
    assert found.largest_rate.row == 3
    assert found.largest_rate.simple_rate_difference == Fraction(1, 30_000)


def test_a_hidden_row_shows_as_a_gap() -> None:
    # The real report jumps from 10 to 30 where £10 more were expected: a row is hidden.
    (found,) = check(
        "******,A*,36,******,19/08/2011 18:38:30,A*,0.044,10,10,10,0.0440",
        "******,A*,36,******,16/08/2011 08:22:43,A*,0.060,10,1390,30,0.0510",
        "******,A*,36,******,16/08/2011 08:22:44,A*,0.060,10,360,40,0.0533",
    )
    # Exact: 20 at 5.2 %, 30 at 5.4667 %.
    assert found.sizes_differing == 2
    assert found.largest_size.row == 3
    assert found.largest_size.loan_size_difference == 1_000
    assert found.rates_differing == 2
    assert found.largest_rate.row == 4
    assert found.largest_rate.simple_rate_difference == Fraction(533, 10_000) - Fraction(82, 1_500)


def test_rows_in_any_order_and_equal_offers_in_the_files_own() -> None:
    rows = (
        "a,A*,36,n,19/08/2011 18:38:30,A*,0.050,10,10,10,0.0500",
        "b,A*,36,n,19/08/2011 18:38:30,A*,0.050,30,30,40,0.0500",
        "c,A*,36,n,18/08/2011 18:38:30,A*,0.070,40,40,80,0.0600",
    )
    for mixed in (rows, rows[::-1], (rows[1], rows[2], rows[0])):
        (found,) = check(*mixed)
        assert found.sizes_differing == found.rates_differing == 0


def test_one_wrong_size_among_equal_dates_is_one_difference() -> None:
    # Sizes 10, 20, 30; the first row says 25, which by itself would put it behind the second.
    (found,) = check(
        "a,A*,36,n,19/08/2011 18:38:30,A*,0.050,10,10,25,0.05",
        "b,A*,36,n,19/08/2011 18:38:30,A*,0.050,10,10,20,0.05",
        "c,A*,36,n,19/08/2011 18:38:30,A*,0.050,10,10,30,0.05",
    )
    assert found.sizes_differing == 1
    assert found.largest_size.row == 2
    assert found.largest_size.loan_size_difference == 1_500


def test_an_empty_size_among_equal_dates_is_no_difference() -> None:
    (found,) = check(
        "a,A*,36,n,19/08/2011 18:38:30,A*,0.050,10,10,10,0.05",
        "b,A*,36,n,19/08/2011 18:38:30,A*,0.050,30,30,,0.05",
        "c,A*,36,n,19/08/2011 18:38:30,A*,0.050,40,40,80,0.05",
        "d,A*,36,n,19/08/2011 18:38:31,A*,0.050,20,20,100,0.05",
    )
    assert found.sizes_differing == found.rates_differing == 0


def test_markets_are_checked_apart_and_silence_is_no_difference() -> None:
    checks = check(
        "a,B,60,n,19/08/2011 18:38:30,B,0.050,10,10,,",
        "a,A*,36,n,19/08/2011 18:38:30,A*,0.050,10,10,10,0.05",
        "a,A*,60,n,19/08/2011 18:38:30,A*,0.050,10,10,20,0.06",
    )
    assert [(found.market, found.term) for found in checks] == [("A*", 36), ("A*", 60), ("B", 60)]
    assert [found.sizes_differing for found in checks] == [0, 1, 0]
    assert [found.rates_differing for found in checks] == [0, 1, 0]
