"""Spreading payments over parts: worked examples, every small case, and refusals."""

from itertools import product

import numpy as np
import pytest

from marketplace.core.arrays import IntArray
from marketplace.core.distribution import PartBook, Receipts, distribute, spread
from marketplace.core.errors import ShapeRefused, SpreadRefused

from .reference import ints

PERCENT_A_MONTH = 10_000_000_000


def test_six_pennies_over_parts_of_one_two_and_three() -> None:
    # P = 6 and weights 1, 2, 3, a penny at a time. Whole pennies fall due at R = 6 for part 1;
    # 3, 6 for part 2; 2, 4, 6 for part 3. A penny goes to the part whose next one is due soonest:
    # 3 (due 2), 2 (due 3), 3 (due 4), then all are due at 6, by part id: 1, 2, 3.
    totals, history = np.zeros(3, dtype=np.int64), []
    for _ in range(6):
        shares = spread([1], [1, 2, 3], totals, [1, 2, 3], [0, 3])
        history.append(int(np.flatnonzero(shares)[0]) + 1)
        totals = totals + shares
    assert history == [3, 2, 3, 1, 2, 3]
    assert totals.tolist() == [1, 2, 3]


def test_one_payment_of_a_level_instalment() -> None:
    # £27.84 of principal over parts of £10, £20 and £70: 278.4p, 556.8p and 1,948.8p. The floors
    # leave 2p. Next whole pennies at R = 279 x 10 = 2790, 557 x 5 = 2785, 1949 / .7 -> 2785.
    shares = spread([2_784], [1_000, 2_000, 7_000], [0, 0, 0], [7, 8, 9], [0, 3])
    assert shares.tolist() == [278, 557, 1_949]


def test_the_case_that_other_rules_fail() -> None:
    # Weights 1, 1, 1, 6, 6 in pennies up to 10: nobody may ever be a penny or more away.
    weights, totals = ints(1, 1, 1, 6, 6), np.zeros(5, dtype=np.int64)
    for received in range(1, 16):
        totals = totals + spread([1], weights, totals, [1, 2, 3, 4, 5], [0, 5])
        assert (np.abs(totals * 15 - received * weights) < 15).all()
    assert totals.tolist() == weights.tolist()


def _compositions(total: int) -> list[list[int]]:
    """All ways to write ``total`` as an ordered sum of positive integers."""
    found = []
    for cuts in product((False, True), repeat=total - 1):
        parts = [1]
        for cut in cuts:
            if cut:
                parts.append(1)
            else:
                parts[-1] += 1
        found.append(parts)
    return found


@pytest.mark.parametrize("total", range(1, 10))
def test_the_laws_hold_for_every_loan_and_every_payment_plan_of_few_pennies(total: int) -> None:
    plans = [
        (weights, payments) for weights in _compositions(total) for payments in _compositions(total)
    ]
    offsets = np.cumsum([0, *(len(weights) for weights, _ in plans)])
    weights = np.concatenate([np.array(weights) for weights, _ in plans])
    ids = np.arange(weights.size)
    totals, sofar = np.zeros_like(weights), np.zeros(len(plans), dtype=np.int64)
    for number in range(total):
        amounts = np.array([plan[number] if number < len(plan) else 0 for _, plan in plans])
        shares = spread(amounts, weights, totals, ids, offsets)
        sofar, totals = sofar + amounts, totals + shares
        assert (np.add.reduceat(shares, offsets[:-1]) == amounts).all()
        assert (shares >= 0).all()
        exact = np.repeat(sofar, np.diff(offsets)) * weights
        assert (np.abs(totals * total - exact) < total).all()
    assert (totals == weights).all()


def test_loans_side_by_side_do_not_touch_each_other() -> None:
    shares = spread([1, 0, 3], [5, 5, 9, 0, 1, 1, 1], [0] * 7, [2, 1, 3, 9, 8, 7, 6], [0, 2, 4, 7])
    assert shares.tolist() == [0, 1, 0, 0, 1, 1, 1]


def test_nothing_over_nothing_is_nothing() -> None:
    assert spread([0], [0, 0], [0, 0], [1, 2], [0, 2]).tolist() == [0, 0]
    assert spread([], [], [], [], [0]).size == 0


@pytest.mark.parametrize(
    ("amount", "weights", "received"),
    [
        (11, [5, 5], [0, 0]),  # beyond what is due
        (6, [5, 5], [2, 3]),  # beyond what is left
        (1, [0, 0], [0, 0]),
        (-1, [5, 5], [2, 2]),
        (1, [-5, 15], [0, 0]),
        (1, [5, 5], [-1, 1]),
        (1, [5, 5], [4, 0]),  # no payments can have led there
        (1, [2**62, 2**62], [0, 0]),
    ],
)
def test_impossible_spreads_are_refused(
    amount: int, weights: list[int], received: list[int]
) -> None:
    with pytest.raises(SpreadRefused):
        spread([amount], weights, received, [1, 2], [0, 2])


@pytest.mark.parametrize(
    ("ids", "offsets"),
    [([1, 1], [0, 2]), ([1, 2, 3], [0, 2]), ([1, 2], [0, 1]), ([1, 2], [0, 0, 2]), ([1, 2], [])],
)
def test_shapes_that_do_not_fit_are_refused(ids: list[int], offsets: list[int]) -> None:
    with pytest.raises(ShapeRefused):
        spread([1] * max(len(offsets) - 1, 0), [5, 5], [0, 0], ids, offsets)


def _book(
    units: IntArray, rates: IntArray, received: tuple[IntArray, IntArray, IntArray]
) -> PartBook:
    return PartBook(
        part_id=np.arange(units.size),
        units=units,
        size=units * 1_000,
        monthly_e12=rates,
        principal_received=received[0],
        interest_received=received[1],
        fee_received=received[2],
        offsets=ints(0, units.size),
    )


def _receipts(principal: int, full: int, following: int, partial: int, interest: int) -> Receipts:
    return Receipts(
        principal=ints(principal),
        full_pence_months=ints(full),
        next_pence_months=ints(following),
        partial_interest=ints(partial),
        interest=ints(interest),
    )


def test_a_payment_in_two_goes_by_hand() -> None:
    # £1,000: £400 at .5 % and £600 at 1 % a month. First interest: 200p + 600p = 800p.
    units, rates = ints(40, 60), ints(PERCENT_A_MONTH // 2, PERCENT_A_MONTH)
    none = (ints(0, 0), ints(0, 0), ints(0, 0))
    # First 401p come, all interest. 401 x 200/800 = 100.25 and 300.75: floors leave 1p, next whole
    # pennies at R = 101 x 4 = 404 and ceil(301 / .75) = 402: it goes to the second part.
    # Fees fixed for the month: 40,000p x 1 %/12 = 33.3p -> 33p, and 50p. Of 100p of 200p received
    # 33 x 100/200 = 16.5 -> 16p are kept; of 301p of 600p: 50 x 301/600 = 25.08 -> 25p.
    first = distribute(
        _book(units, rates, none), _receipts(0, 0, 100_000, 401, 401), fee_ppm=10_000
    )
    assert first.interest.tolist() == [100, 301]
    assert first.fee.tolist() == [16, 25]
    assert first.principal.tolist() == [0, 0]
    # Then the other 399p, and 1,001p of principal: 400.4p and 600.6p; the penny goes to the first
    # to reach a whole one: 401 x 2.5 = 1002.5 -> 1003, or 601 / .6 = 1001.67 -> 1002.
    book = _book(
        units, rates, (first.principal_received, first.interest_received, first.fee_received)
    )
    second = distribute(book, _receipts(1_001, 100_000, 100_000, 0, 399), fee_ppm=10_000)
    assert second.interest_received.tolist() == [200, 600]
    assert second.interest.tolist() == [100, 299]
    assert second.fee_received.tolist() == [33, 50]
    assert second.principal.tolist() == [400, 601]


def test_interest_that_does_not_add_up_is_refused() -> None:
    none = (ints(0, 0), ints(0, 0), ints(0, 0))
    book = _book(ints(40, 60), ints(PERCENT_A_MONTH // 2, PERCENT_A_MONTH), none)
    for receipts in (
        _receipts(0, 100_000, 100_000, 0, 799),  # 800p were fixed
        _receipts(0, 0, 100_000, 801, 801),  # more than the period holds
        _receipts(0, 0, 0, 5, 5),  # no period is named
        _receipts(0, 100_000, 50_000, 5, 805),  # periods run backwards
    ):
        with pytest.raises(SpreadRefused):
            distribute(book, receipts, fee_ppm=10_000)


def test_totals_above_what_the_periods_say_are_refused() -> None:
    book = _book(ints(40, 60), ints(PERCENT_A_MONTH, 0), (ints(0, 0), ints(401, 0), ints(0, 0)))
    with pytest.raises(SpreadRefused, match="replay"):
        distribute(book, _receipts(0, 100_000, 100_000, 0, -1), fee_ppm=10_000)


def test_no_loans_have_nothing_distributed() -> None:
    none = ints()
    book = PartBook(*[*[none] * 7, ints(0)])
    result = distribute(book, Receipts(*[none] * 5), fee_ppm=10_000)
    assert result.principal.size == result.fee_received.size == 0


def test_loans_beside_one_of_very_long_waits_are_spread_as_alone() -> None:
    """Loan, wait and row of so many loans don't fit 63 bits: the longest wait takes 47 of them."""
    loans = [[1, 2**47], *([1, 1, 1] if number % 2 else [2, 1] for number in range(20_000))]
    offsets = np.cumsum([0, *map(len, loans)])
    weights = np.concatenate(loans)
    shares = spread(
        np.ones(len(loans), dtype=np.int64),
        weights,
        np.zeros_like(weights),
        np.arange(len(weights)),
        offsets,
    )
    # One penny each: to the largest weight, among equals to the first.
    expected = np.zeros_like(weights)
    expected[offsets[:-1]] = 1
    expected[:2] = (0, 1)
    assert (shares == expected).all()
