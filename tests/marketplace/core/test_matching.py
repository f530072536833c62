"""The order book of one market and its clearing: worked examples."""

import pytest

from marketplace.core.errors import LoanAmountRefused, NotEnoughOffers, ShapeRefused
from marketplace.core.matching import (
    Held,
    Listings,
    Outcome,
    Queue,
    clear_market,
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


def listings(*rows: tuple[int, int, int, int, int]) -> Listings:
    """Rows of listing, borrower, arrival, amount in pounds and highest rate in ppm."""
    columns = [ints(*column) for column in zip(*rows, strict=True)]
    return Listings(*[*columns[:3], columns[3] * 100, columns[4]])


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


def test_listings_are_served_in_order_of_arrival_from_what_is_left() -> None:
    # Loan 2 came first: £480 at 6.9 % and £20 at 7.1 %. Loan 1 gets the £500 left at 7.1 %, then
    # £60 at 7.1 % and £40 at 7.4 %.
    cleared = clear_market(
        BOOK, listings((1, 101, 8, 600, 90_000), (2, 102, 7, 500, 90_000)), nothing_held()
    )
    assert cleared.listing_id.tolist() == [2, 2, 1, 1, 1]
    assert cleared.offer_id.tolist() == [2, 3, 3, 7, 6]
    assert cleared.lender_id.tolist() == [12, 13, 13, 17, 16]
    assert cleared.rate_ppm.tolist() == [69_000, 71_000, 71_000, 71_000, 74_000]
    assert cleared.amount.tolist() == [48_000, 2_000, 50_000, 6_000, 4_000]
    assert [outcome.outcome for outcome in cleared.outcomes] == [Outcome.FUNDED] * 2
    assert [outcome.listing_id for outcome in cleared.outcomes] == [2, 1]
    assert cleared.available.tolist() == [64_000, 0, 0, 17_000, 32_000, 10_000, 0]


def test_a_loan_that_cannot_be_whole_waits_and_takes_nothing() -> None:
    cleared = clear_market(
        BOOK, listings((1, 101, 0, 2_340, 900_000), (2, 102, 1, 480, 900_000)), nothing_held()
    )
    waiting, funded = cleared.outcomes
    assert waiting.outcome is Outcome.NOT_ENOUGH_OFFERS
    assert waiting.fundable == 233_000
    assert waiting.rate_ppm is None
    assert funded.outcome is Outcome.FUNDED
    assert cleared.offer_id.tolist() == [2]


def test_a_loan_above_its_highest_rate_waits_and_takes_nothing() -> None:
    cleared = clear_market(
        BOOK, listings((1, 101, 0, 1_000, 70_039), (2, 102, 1, 1_000, 70_040)), nothing_held()
    )
    waiting, funded = cleared.outcomes
    assert waiting.outcome is Outcome.RATE_ABOVE_HIGHEST
    assert waiting.rate_ppm == 70_040
    assert funded.outcome is Outcome.FUNDED
    assert funded.rate_ppm == 70_040


def test_a_second_loan_of_the_same_borrower_counts_the_first() -> None:
    book = queue((1, 5, 60_000, 0, 30, 100), (2, 6, 70_000, 0, 50, 100))
    cleared = clear_market(
        book, listings((1, 9, 0, 40, 90_000), (2, 9, 1, 40, 90_000)), nothing_held()
    )
    # First £30 and £10; then lender 5 has reached the limit, lender 6 has £40 more.
    assert cleared.offer_id.tolist() == [1, 2, 2]
    assert cleared.amount.tolist() == [3_000, 1_000, 4_000]


def test_a_market_without_offers_or_listings() -> None:
    none = ints()
    empty = Queue(none, none, none, none, none, none)
    waiting = clear_market(empty, listings((1, 9, 0, 40, 90_000)), nothing_held())
    assert waiting.outcomes[0].outcome is Outcome.NOT_ENOUGH_OFFERS
    assert waiting.outcomes[0].fundable == 0
    idle = clear_market(BOOK, Listings(none, none, none, none, none), nothing_held())
    assert idle.outcomes == ()
    assert idle.available.tolist() == BOOK.available.tolist()


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
    twice = listings((1, 9, 0, 40, 90_000), (1, 8, 0, 40, 90_000))
    with pytest.raises(ShapeRefused):
        clear_market(BOOK, twice, nothing_held())
