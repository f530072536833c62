"""Which listings are funded: worked examples and refusals."""

from typing import Any

import numpy as np
import pytest

from marketplace.core.acceptance import NOT_LEFT, Accepted, accept
from marketplace.core.errors import RateRefused, ShapeRefused

OWN = 1_000


def accepted(
    entries: list[tuple[int, int, int, int]],
    listings: list[tuple[int, int]],
    held: list[tuple[int, int, int]] | None = None,
) -> Accepted:
    """Entries of lender, rate, budget and limit; listings of demand and highest rate."""
    lenders, rates, budgets, limits = np.array(entries, dtype=np.int64).reshape(-1, 4).T
    demands, maxima = np.array(listings, dtype=np.int64).reshape(-1, 2).T
    return accept(
        lenders=lenders,
        rates=rates,
        budgets=budgets,
        limits=limits,
        demands=demands,
        maxima=maxima,
        held=held,
    )


def test_a_later_small_listing_fits_where_a_large_one_did_not() -> None:
    # Ten units in all. 6 fit; 5 more don't (4 are left); 4 do; then nothing is left for 1.
    entries = [(1, 50_000, 6, 9), (2, 60_000, 4, 9)]
    found = accepted(entries, [(6, 90_000), (5, 90_000), (4, 90_000), (1, 90_000)])
    assert found.accepted.tolist() == [True, False, True, False]
    assert found.fundable.tolist() == [6, 0, 4, 0]
    assert found.left_at_ppm.tolist() == [NOT_LEFT] * 4
    # All ten units: 6 at 5 % and 4 at 6 %. Monthly .4074124 % and .4867551 %, blend .4391494 %,
    # a year of that: 5.3990 %.
    assert found.least_cost.amount == 10
    assert found.least_cost.annual_ppm == 53_990
    assert (found.rounds, found.allocations) == (1, 0)


def test_money_of_few_lenders_does_not_reach_a_large_listing() -> None:
    # Three lenders with 100 units, but one unit each into a listing: 4 need a fourth lender.
    entries = [(lender, 50_000, 100, 1) for lender in range(3)]
    found = accepted(entries, [(4, 90_000), (3, 90_000), (3, 90_000)])
    assert found.accepted.tolist() == [False, True, True]
    assert found.fundable.tolist() == [3, 3, 3]


def test_the_largest_listings_decide_together() -> None:
    # G(1) = 3 and G(2) = 2 + 1 + 1 = 4: 3 and 1 fit. 2 and 2 do too, but then G(3) = 4.
    entries = [(1, 50_000, 2, 1), (2, 50_000, 1, 1), (3, 50_000, 1, 1)]
    assert accepted(entries, [(3, 90_000), (1, 90_000)]).accepted.all()
    assert accepted(entries, [(2, 90_000), (2, 90_000)]).accepted.all()
    found = accepted(entries, [(3, 90_000), (2, 90_000)])
    assert found.accepted.tolist() == [True, False]
    assert found.fundable.tolist() == [3, 1]


def test_the_limit_counts_all_entries_of_a_lender() -> None:
    # One lender, limits 2 and 3: into one listing 3 together, and 2 from the first entry.
    entries = [(7, 50_000, 9, 2), (7, 60_000, 9, 3)]
    assert accepted(entries, [(3, 90_000)]).accepted.all()
    found = accepted(entries, [(4, 90_000)])
    assert not found.accepted.any()
    assert found.fundable.tolist() == [3]
    # The second entry alone makes up what the first may not give: 2 at 5 % and 1 at 6 %, so
    # (2 x .4074124 % + .4867551 %) / 3 = .4338599 % a month, 5.3324 % a year.
    assert accepted(entries, [(3, 90_000)]).least_cost.annual_ppm == 53_324


def test_another_listing_can_lower_the_rate() -> None:
    # A cheap lender with 9 units gives one to a listing. The first listing, of two, is half at
    # 4 % and half at 10 %: monthly (.3273740 + .7974140) / 2 = .5623940 %, 6.9614 % a year. Three
    # more, of one unit, bring it to (4 x .3273740 + .7974140) / 5 = .4213820 %, 5.1754 % a year.
    entries = [(1, 40_000, 9, 1), (2, 100_000, 9, 1)]
    alone = accepted(entries, [(2, 60_000)])
    assert not alone.accepted.any()
    assert alone.left_at_ppm.tolist() == [69_614]
    together = accepted(entries, [(2, 60_000), (1, 60_000), (1, 60_000), (1, 60_000)])
    assert together.accepted.all()
    assert together.least_cost.annual_ppm == 51_754
    assert together.rounds == 1


def test_the_lowest_highest_rates_leave_first() -> None:
    # Four units at 4 %, four at 8 %, four at 12 %. Three listings of four units cost about 8 %, so
    # the one at 5 % leaves; the other two cost 4 % and 8 %, about 6 %, and stay.
    entries = [(1, 40_000, 4, 4), (2, 80_000, 4, 4), (3, 120_000, 4, 4)]
    found = accepted(entries, [(4, 50_000), (4, 70_000), (4, 90_000)])
    assert found.accepted.tolist() == [False, True, True]
    # Monthly .3273740, .6434030 and .9488793 %: mean .6398854 % is 7.9547 %; of two
    # .4853885 %, 5.9827 %.
    assert found.left_at_ppm.tolist() == [79_547, NOT_LEFT, NOT_LEFT]
    assert found.least_cost.annual_ppm == 59_827
    assert found.rounds == 2


def test_those_who_wait_leave_with_lower_highest_rates_than_the_lowest_accepted() -> None:
    # The second waits for money and takes less than the first: it could not stay either.
    entries = [(1, 80_000, 4, 4)]
    found = accepted(entries, [(4, 70_000), (4, 50_000)])
    assert found.left_at_ppm.tolist() == [80_000, 80_000]
    assert found.fundable.tolist() == [4, 4]
    assert found.least_cost.amount == 0
    assert found.rounds == 2
    # One that waits and would pay more gets the money of the one that left.
    found = accepted(entries, [(4, 70_000), (4, 80_000)])
    assert found.accepted.tolist() == [False, True]


def test_a_highest_rate_equal_to_the_rate_is_kept() -> None:
    assert accepted([(1, 80_000, 4, 4)], [(4, 80_000)]).accepted.all()
    assert not accepted([(1, 80_000, 4, 4)], [(4, 79_999)]).accepted.any()


def test_nobody_lends_to_themselves() -> None:
    # The money is there by size, but the first listing is lender 1's own.
    entries = [(1, 50_000, 4, 2), (2, 50_000, 4, 2)]
    found = accepted(entries, [(3, 90_000), (4, 90_000)], [(1, 0, OWN)])
    assert found.accepted.tolist() == [False, True]
    assert found.fundable.tolist()[0] <= 2
    assert accepted(entries, [(2, 90_000), (4, 90_000)], [(1, 0, OWN)]).accepted.all()


def test_what_a_lender_already_has_counts() -> None:
    # Limit 3. Two rows of one unit leave one more: 1 + 3 fit, 1 + 4 don't.
    entries = [(1, 50_000, 9, 3), (2, 50_000, 9, 3)]
    has = [(1, 0, 1), (1, 0, 1), (9, 0, 3)]
    assert accepted(entries, [(4, 90_000)], has).accepted.all()
    assert not accepted(entries, [(5, 90_000)], has).accepted.any()


def test_single_pairs_can_raise_the_rate() -> None:
    # Lender 1 would fund both at 4 %, but the first is their own: 2 at 8 %, 2 at 4 %, 5.9827 %.
    entries = [(1, 40_000, 4, 2), (2, 80_000, 4, 2)]
    found = accepted(entries, [(2, 59_826), (2, 70_000)], [(1, 0, OWN)])
    assert found.left_at_ppm.tolist() == [59_827, NOT_LEFT]
    assert found.allocations == 1
    # Two units held cost at most 2 x (8 % - 4 %) of 4, so 5.9827 % is the worst that can come.
    found = accepted(entries, [(2, 59_827), (2, 70_000)], [(1, 0, OWN)])
    assert found.accepted.all()
    assert found.allocations == 0


def test_markets_without_offers_or_listings() -> None:
    assert accepted([], [(1, 90_000)]).fundable.tolist() == [0]
    nothing = accepted([(1, 50_000, 4, 2)], [])
    assert nothing.accepted.size == 0
    assert nothing.least_cost.amount == 0
    empty = [(1, 50_000, 0, 2), (2, 50_000, 4, 0)]
    assert accepted(empty, [(1, 90_000)]).accepted.tolist() == [False]


def test_limits_and_budgets_beyond_anything_are_handled() -> None:
    found = accepted([(1, 50_000, 2**62, 2**62), (2, 50_000, 2**62, 1)], [(5, 90_000)] * 3)
    assert found.accepted.all()


GOOD: dict[str, Any] = {
    "lenders": [1, 2],
    "rates": [50_000, 60_000],
    "budgets": [5, 5],
    "limits": [2, 2],
    "demands": [3],
    "maxima": [90_000],
}


@pytest.mark.parametrize(
    "wrong",
    [
        {"lenders": [1, -1]},
        {"lenders": [1]},
        {"rates": [60_000, 50_000]},
        {"budgets": [5, -5]},
        {"budgets": [5.0, 5.0]},
        {"limits": [True, True]},
        {"limits": [2, -1]},
        {"demands": [0]},
        {"demands": [[3]]},
        {"demands": [10**9 + 1]},
        {"maxima": [-1]},
        {"maxima": []},
        {"held": [1, 0, 1]},
        {"held": [[1, 1, 1]]},
        {"held": [[1, -1, 1]]},
        {"held": [[1, 0, -1]]},
        {"held": [[1.0, 0.0, 1.0]]},
        {"held": [[1, 0, 1], [1, 0]]},
        {"limits": [[2], [2, 2]]},
    ],
)
def test_arrays_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    assert accept(**GOOD).accepted.all()
    with pytest.raises(ShapeRefused):
        accept(**{**GOOD, **wrong})


def test_rates_that_make_no_sense_are_refused() -> None:
    with pytest.raises(RateRefused):
        accept(**{**GOOD, "rates": [50_000, 1_000_001]})
