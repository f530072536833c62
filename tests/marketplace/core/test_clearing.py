"""Clearing one market: worked examples and refusals."""

import pytest

from marketplace.core.allocation import Path
from marketplace.core.clearing import BlendSpread, Clearing, Outcome, clear_market
from marketplace.core.errors import LoanAmountRefused, MarketplaceRefusal, RateRefused, ShapeRefused
from marketplace.core.order_book import Held, Listings, Queue, nothing_held

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
    """Rows of borrower, lender and pence."""
    return Held(*[ints(*column) for column in zip(*rows, strict=True)])


def parts(cleared: Clearing) -> list[tuple[int, int, int]]:
    """Listing, offer and pounds of each part."""
    columns = (cleared.listing_id, cleared.offer_id, cleared.amount // 100)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def outcomes(cleared: Clearing) -> list[tuple[int, Outcome, int, int | None]]:
    """Listing, outcome, fundable pounds and rate."""
    return [(o.listing_id, o.outcome, o.fundable // 100, o.rate_ppm) for o in cleared.outcomes]


BOOK = queue(
    (1, 11, 75_000, 0, 640, 640),
    (2, 12, 69_000, 1, 480, 480),
    (3, 13, 71_000, 2, 520, 520),
    (4, 14, 104_000, 3, 170, 170),
    (5, 15, 81_000, 4, 320, 320),
    (6, 16, 74_000, 5, 140, 140),
    (7, 17, 71_000, 6, 60, 60),
)


def test_the_house_fixture() -> None:
    # £480 at 6.9 % and £520 at 7.1 %, whose owner set the rate before the £60 at 7.1 %.
    cleared = clear_market(BOOK, listings((5, 101, 0, 1_000, 90_000)), nothing_held())
    assert parts(cleared) == [(5, 2, 480), (5, 3, 520)]
    assert cleared.lender_id.tolist() == [12, 13]
    assert cleared.rate_ppm.tolist() == [69_000, 71_000]
    assert outcomes(cleared) == [(5, Outcome.FUNDED, 1_000, 70_040)]
    assert cleared.available.tolist() == [64_000, 0, 0, 17_000, 32_000, 14_000, 6_000]
    assert cleared.blends == BlendSpread(70_040, 70_040, 70_040, 0.0)
    assert (cleared.path, cleared.runs, cleared.rounds) == (Path.FAIR, 1, 1)


def test_two_loans_get_the_same_mix() -> None:
    # Three loans of £400 take £480 at 6.9 %, £580 at 7.1 % and £140 of £140 at 7.4 %: each of them
    # a third, £160, £193.33 and £46.67, to the nearest £10 steps.
    wanted = listings((1, 101, 8, 400, 90_000), (2, 102, 7, 400, 90_000), (3, 103, 9, 400, 90_000))
    cleared = clear_market(BOOK, wanted, nothing_held())
    assert [o.listing_id for o in cleared.outcomes] == [2, 1, 3]
    for listing in (1, 2, 3):
        by_rate = {69_000: 0, 71_000: 0, 74_000: 0}
        for one, rate, pence in zip(
            cleared.listing_id.tolist(),
            cleared.rate_ppm.tolist(),
            cleared.amount.tolist(),
            strict=True,
        ):
            by_rate[rate] += (one == listing) * pence // 100
        assert sum(by_rate.values()) == 400
        assert abs(by_rate[69_000] - 160) <= 20
        assert abs(by_rate[71_000] - 193) <= 20
        assert abs(by_rate[74_000] - 47) <= 20


def test_a_loan_that_cannot_be_whole_waits_and_takes_nothing() -> None:
    # £2,330 is on offer; once £480 are taken, £1,850 are left for the first.
    wanted = listings((1, 101, 0, 2_340, 900_000), (2, 102, 1, 480, 900_000))
    cleared = clear_market(BOOK, wanted, nothing_held())
    assert outcomes(cleared) == [
        (1, Outcome.NOT_ENOUGH_OFFERS, 1_850, None),
        (2, Outcome.FUNDED, 480, 69_000),
    ]
    assert parts(cleared) == [(2, 2, 480)]


def test_a_loan_above_its_highest_rate_waits_and_takes_nothing() -> None:
    # Both together cost more than one alone, 7.0040 %; the lower highest rate leaves.
    wanted = listings((1, 101, 0, 1_000, 70_039), (2, 102, 1, 1_000, 70_040))
    cleared = clear_market(BOOK, wanted, nothing_held())
    waiting, funded = cleared.outcomes
    assert waiting.outcome is Outcome.RATE_ABOVE_HIGHEST
    assert waiting.rate_ppm is not None
    assert waiting.rate_ppm > 70_040
    assert (funded.outcome, funded.rate_ppm) == (Outcome.FUNDED, 70_040)
    assert cleared.rounds == 2


def test_a_loan_that_its_own_mix_makes_too_dear_is_left_out() -> None:
    # £20 at 4 % of one lender, £10 at 10 % of another, at most £10 into a loan: the loan of £20
    # must take £10 of each (monthly (.3273740 + .7974140) / 2 = .5623940 %: 6.9614 %), the one of
    # £10 the rest, at 4 %. All together cost (2 x .3273740 + .7974140) / 3 = .4840540 %: 5.9658 %.
    book = queue((1, 11, 40_000, 0, 10, 20), (2, 12, 100_000, 1, 10, 10))
    both = listings((1, 101, 0, 10, 90_000), (2, 102, 1, 20, 90_000))
    cleared = clear_market(book, both, nothing_held())
    assert parts(cleared) == [(1, 1, 10), (2, 1, 10), (2, 2, 10)]
    # Weights 1 and 2: a third and two thirds of the way, so the deviation is
    # sqrt(2) / 3 x (69,614 - 40,000) = 13,960 ppm.
    spread = cleared.blends
    assert (spread.least_cost_ppm, spread.lowest_ppm, spread.highest_ppm) == (
        59_658,
        40_000,
        69_614,
    )
    assert abs(spread.deviation_ppm - 13_960) < 1
    # 6.5 % is above what all cost, but below what the second would pay by itself.
    some = listings((1, 101, 0, 10, 90_000), (2, 102, 1, 20, 65_000))
    cleared = clear_market(book, some, nothing_held())
    assert outcomes(cleared) == [
        (1, Outcome.FUNDED, 10, 40_000),
        (2, Outcome.RATE_ABOVE_HIGHEST, 20, 69_614),
    ]
    assert cleared.runs == 2
    assert cleared.available.tolist() == [1_000, 1_000]


def test_what_a_lender_has_in_the_borrower_counts_rounded_up() -> None:
    # Limit £50 and £30.01 held: £10 more, so the loan of £20 needs the dearer lender too.
    book = queue((1, 11, 60_000, 0, 50, 500), (2, 12, 70_000, 0, 50, 500))
    has = held((101, 11, 2_000), (101, 11, 1_001), (77, 11, 5_000), (101, 78, 5_000))
    cleared = clear_market(book, listings((1, 101, 0, 20, 90_000)), has)
    assert parts(cleared) == [(1, 1, 10), (1, 2, 10)]


def test_nobody_lends_to_themselves() -> None:
    cleared = clear_market(BOOK, listings((1, 12, 0, 520, 90_000)), nothing_held())
    assert parts(cleared) == [(1, 3, 520)]
    alone = queue((1, 12, 60_000, 0, 5_000, 5_000))
    cleared = clear_market(alone, listings((1, 12, 0, 520, 90_000)), held((12, 12, 10)))
    assert outcomes(cleared)[0][1] is Outcome.NOT_ENOUGH_OFFERS


def test_of_a_borrower_with_two_listings_the_earlier_plays() -> None:
    wanted = listings((1, 101, 5, 480, 90_000), (2, 101, 4, 520, 90_000), (3, 102, 6, 60, 90_000))
    cleared = clear_market(BOOK, wanted, nothing_held())
    assert [one[:3] for one in outcomes(cleared)] == [
        (2, Outcome.FUNDED, 520),
        (1, Outcome.EARLIER_LISTING_FIRST, 0),
        (3, Outcome.FUNDED, 60),
    ]
    assert cleared.outcomes[1].rate_ppm is None


def test_money_off_the_step_stays() -> None:
    book = Queue(ints(1), ints(5), ints(60_000), ints(0), ints(10_999), ints(2_999))
    cleared = clear_market(book, listings((1, 9, 0, 20, 90_000)), nothing_held())
    assert cleared.available.tolist() == [999]


def test_a_market_without_offers_or_listings() -> None:
    none = ints()
    empty = Queue(none, none, none, none, none, none)
    waiting = clear_market(empty, listings((1, 9, 0, 40, 90_000)), nothing_held())
    assert outcomes(waiting) == [(1, Outcome.NOT_ENOUGH_OFFERS, 0, None)]
    assert waiting.blends == BlendSpread(None, None, None, 0.0)
    idle = clear_market(BOOK, Listings(none, none, none, none, none), held((9, 12, 1_000)))
    assert idle.outcomes == ()
    assert idle.available.tolist() == BOOK.available.tolist()


LOAN = listings((1, 9, 0, 40, 90_000))


@pytest.mark.parametrize(
    ("book", "wanted", "has", "refusal"),
    [
        (BOOK, Listings(ints(1), ints(9), ints(0), ints(1_500), ints(90_000)), nothing_held(), 0),
        (BOOK, listings((1, 9, 0, 0, 90_000)), nothing_held(), 0),
        (BOOK, listings((1, 9, 0, 40, 90_000), (1, 8, 0, 40, 90_000)), nothing_held(), 1),
        (BOOK, listings((1, 9, 0, 40, -1)), nothing_held(), 1),
        (BOOK, LOAN, held((9, 12, -1)), 1),
        (queue((1, 5, 6, 0, 30, 100), (1, 6, 6, 0, 30, 100)), LOAN, nothing_held(), 1),
        (queue((1, 5, 60_000, 0, -30, 100)), LOAN, nothing_held(), 1),
        (queue((1, 5, 60_000, 0, 30, -100)), LOAN, nothing_held(), 1),
        (queue((1, -5, 60_000, 0, 30, 100)), LOAN, nothing_held(), 1),
        (queue((1, 5, 1_000_001, 0, 30, 100)), LOAN, nothing_held(), 2),
    ],
)
def test_books_that_make_no_sense_are_refused(
    book: Queue, wanted: Listings, has: Held, refusal: int
) -> None:
    kinds: tuple[type[MarketplaceRefusal], ...] = (LoanAmountRefused, ShapeRefused, RateRefused)
    with pytest.raises(kinds[refusal]):
        clear_market(book, wanted, has)
