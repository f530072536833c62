"""The order book of one market: worked examples."""

import pytest

from marketplace.core.errors import LoanAmountRefused, NotEnoughOffers, ShapeRefused
from marketplace.core.order_book import (
    Held,
    Queue,
    fill,
    nothing_held,
    queue_order,
    takes,
)

from .reference import ints


def queue(*rows: tuple[int, int, int, int, int, int]) -> Queue:
    """Rows of offer, lender, rate in ppm, when it was set, limit and available in pounds."""
    columns = [ints(*column) for column in zip(*rows, strict=True)]
    return Queue(*[*columns[:4], columns[4] * 100, columns[5] * 100])


def held(*rows: tuple[int, int, int]) -> Held:
    """Rows of borrower, lender and pounds."""
    columns = [ints(*column) for column in zip(*rows, strict=True)]
    return Held(columns[0], columns[1], columns[2] * 100)


BOOK = queue(
    (1, 11, 75_000, 0, 640, 640),
    (2, 12, 69_000, 1, 480, 480),
    (3, 13, 71_000, 2, 520, 520),
    (4, 14, 104_000, 3, 170, 170),
    (5, 15, 81_000, 4, 320, 320),
    (6, 16, 74_000, 5, 140, 140),
    (7, 17, 71_000, 6, 60, 60),
)


def test_the_queue_goes_by_rate_then_by_who_set_it_first() -> None:
    assert BOOK.offer_id[queue_order(BOOK)].tolist() == [2, 3, 7, 6, 1, 5, 4]


def test_equal_rates_set_at_the_same_time_go_by_offer() -> None:
    same = queue((9, 1, 70_000, 5, 10, 10), (8, 2, 70_000, 5, 10, 10), (7, 3, 70_000, 6, 10, 10))
    assert same.offer_id[queue_order(same)].tolist() == [8, 9, 7]


def test_the_house_fixture() -> None:
    # £480 at 6.9 % and £520 at 7.1 %, whose owner offered before the £60 at 7.1 %.
    filled = fill(BOOK, 100_000)
    assert filled.is_whole
    assert filled.offer_id.tolist() == [2, 3]
    assert filled.row.tolist() == [1, 2]
    assert filled.lender_id.tolist() == [12, 13]
    assert filled.amount.tolist() == [48_000, 52_000]
    assert filled.blend.annual_ppm == 70_040
    assert filled.marginal_rate_ppm == 71_000
    assert filled.fundable == 233_000


def test_the_last_offer_gives_only_what_is_needed() -> None:
    filled = fill(BOOK, 101_000)
    assert list(zip(filled.offer_id.tolist(), filled.amount.tolist(), strict=True)) == [
        (2, 48_000),
        (3, 52_000),
        (7, 1_000),
    ]


def test_a_short_book_says_how_much_it_could_fund() -> None:
    filled = fill(BOOK, 250_000)
    assert not filled.is_whole
    assert filled.fundable == 233_000
    empty = fill(queue((1, 1, 70_000, 0, 10, 0)), 1_000)
    assert not empty.is_whole
    with pytest.raises(NotEnoughOffers):
        _ = empty.marginal_rate_ppm


def test_an_offer_gives_no_more_than_its_limit_less_what_its_lender_holds() -> None:
    # Limit £50 and £30 held: £20. Limit £50 and £50 held: nothing. £15 on offer: one £10 step.
    book = queue(
        (1, 11, 60_000, 0, 50, 500), (2, 12, 61_000, 0, 50, 500), (3, 13, 62_000, 0, 50, 15)
    )
    has = held((99, 11, 10), (99, 11, 20), (99, 12, 50), (98, 13, 50), (99, 77, 50))
    assert takes(book, has, borrower_id=99).tolist() == [2_000, 0, 1_000]


def test_the_limit_counts_all_offers_of_a_lender() -> None:
    # Three offers of one lender: £30 of £30, then £50 less £30, then £40 less £50: nothing.
    book = queue((1, 5, 60_000, 0, 30, 100), (2, 5, 61_000, 0, 50, 100), (3, 5, 62_000, 0, 40, 100))
    assert takes(book, nothing_held()).tolist() == [3_000, 2_000, 0]
    # £20 held: £10, then £50 less £30: £20, then nothing.
    assert takes(book, held((9, 5, 20)), borrower_id=9).tolist() == [1_000, 2_000, 0]


def test_nobody_lends_to_themselves() -> None:
    assert takes(BOOK, nothing_held(), borrower_id=12).tolist()[1] == 0
    assert fill(BOOK, 100_000, borrower_id=12).offer_id.tolist() == [3, 7, 6, 1]


@pytest.mark.parametrize("amount", [0, -1_000, 999, 1_500, 100_001])
def test_a_loan_off_the_step_is_refused(amount: int) -> None:
    with pytest.raises(LoanAmountRefused):
        fill(BOOK, amount)


def test_books_that_make_no_sense_are_refused() -> None:
    for wrong in (
        queue((1, 5, 60_000, 0, 30, 100), (1, 6, 60_000, 0, 30, 100)),
        queue((1, 5, 60_000, 0, -30, 100)),
        queue((1, 5, 60_000, 0, 30, -100)),
        queue((1, -1, 60_000, 0, 30, 100)),
    ):
        with pytest.raises(ShapeRefused):
            fill(wrong, 1_000)
