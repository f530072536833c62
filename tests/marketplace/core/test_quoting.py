"""Quotes from an order book."""

from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketplace.core.errors import LoanAmountRefused, NotEnoughOffers, ScheduleRefused
from marketplace.core.order_book import Held, Queue
from marketplace.core.order_book_file import COLUMNS, parse_order_book, queue_of
from marketplace.core.quoting import LoanQuote, QuotePart, quote_from_queue

from .reference import ints

# Rate, pounds and the minute of the offer: the seven lenders of a widely published exercise.
OFFERS = (
    ("0.075", 640, 0),
    ("0.069", 480, 1),
    ("0.071", 520, 2),
    ("0.104", 170, 3),
    ("0.081", 320, 4),
    ("0.074", 140, 5),
    ("0.071", 60, 6),
)


def quote(rows: tuple[tuple[str, int, int], ...], amount: int, *, fee: int = 0) -> LoanQuote:
    lines = [
        f"******,A*,36,******,19/08/2011 18:{minute:02d}:00,A*,{rate},{pounds},{pounds},,"
        for rate, pounds, minute in rows
    ]
    text = "\n".join((",".join(COLUMNS), *lines))
    book = parse_order_book(text.encode(), "book.csv", bands=("A*",), terms=(36,))
    return quote_from_queue(queue_of(book, band="A*", term=36), amount, 36, arrangement_fee=fee)


def test_the_house_fixture() -> None:
    found = quote(OFFERS, 100_000)
    assert found.offers == 2
    assert found.parts == (QuotePart(69_000, 48_000), QuotePart(71_000, 52_000))
    assert f"{found.rate:.1%}" == "7.0%"
    assert found.rate == 0.07004
    assert found.marginal_rate_ppm == 71_000
    assert found.instalment == 3_078
    assert found.total_repayable == 110_810
    # Without fees the APR is the blend, but for the penny rounding of instalments.
    assert found.apr == pytest.approx(0.07004, abs=2e-5)


def test_the_earlier_of_equal_offers_goes_first_whatever_the_row_order() -> None:
    # £1,020: £480, then £520 offered first at 7.1 %, then £20 of the £60 offered later.
    expected = quote(OFFERS, 102_000)
    assert expected.parts[1:] == (QuotePart(71_000, 52_000), QuotePart(71_000, 2_000))
    for three in permutations((OFFERS[1], OFFERS[2], OFFERS[6])):
        rest = tuple(offer for offer in OFFERS if offer not in three)
        assert quote(three + rest, 102_000) == expected
        assert quote(rest + three, 102_000) == expected


@settings(deadline=None, max_examples=30)
@given(st.permutations(OFFERS))
def test_any_row_order_gives_the_same_quote(rows: list[tuple[str, int, int]]) -> None:
    assert quote(tuple(rows), 150_000) == quote(OFFERS, 150_000)


def test_an_arrangement_fee_raises_the_apr_only() -> None:
    plain, dear = quote(OFFERS, 100_000), quote(OFFERS, 100_000, fee=2_000)
    assert dear.instalment == plain.instalment
    assert dear.rate_ppm == plain.rate_ppm
    assert dear.arrangement_fee == 2_000
    # £20 of £1,000 over 36 months: about 2 % / 1.5 years more.
    assert 0.012 < dear.apr - plain.apr < 0.016


def test_not_enough_offers_says_how_much_there_is() -> None:
    with pytest.raises(NotEnoughOffers, match="£2,330 of £2,500") as refused:
        quote(OFFERS, 250_000)
    assert refused.value.fundable == 233_000


def test_amounts_fees_and_terms_that_make_no_sense() -> None:
    for amount in (0, -100_000, 100_500):
        with pytest.raises(LoanAmountRefused):
            quote(OFFERS, amount)
    for fee in (-1, 100_000):
        with pytest.raises(LoanAmountRefused):
            quote(OFFERS, 100_000, fee=fee)
    queue = Queue(ints(1), ints(1), ints(70_000), ints(0), ints(1_000), ints(1_000))
    with pytest.raises(ScheduleRefused):
        quote_from_queue(queue, 1_000, 0)


def test_what_lenders_hold_in_the_borrower_counts() -> None:
    queue = Queue(ints(1, 2), ints(5, 6), ints(70_000, 80_000), ints(0, 0), ints(3_000, 3_000),
                  ints(9_000, 9_000))  # fmt: skip
    has = Held(ints(44), ints(5), ints(2_000))
    found = quote_from_queue(queue, 4_000, 36, held=has, borrower_id=44)
    assert found.parts == (QuotePart(70_000, 1_000), QuotePart(80_000, 3_000))
