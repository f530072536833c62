"""The order book of one market and its clearing: laws on random books."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from marketplace.core.arrays import IntArray
from marketplace.core.matching import (
    Clearing,
    Held,
    Listings,
    Outcome,
    Queue,
    clear_market,
    fill,
    takes,
)
from marketplace.core.rates import blend, monthly_rate_e12

from . import reference

offers = st.lists(
    st.tuples(
        st.integers(0, 8),  # lender
        st.integers(4, 9).map(lambda percent: percent * 10_000),
        st.integers(0, 3),  # when the rate was set
        st.integers(0, 9).map(lambda tens: tens * 1_000),  # limit
        st.integers(0, 12_500),  # available, off the step too
    ),
    max_size=14,
)
holdings = st.lists(
    st.tuples(st.integers(0, 9), st.integers(0, 8), st.integers(1, 4_000)), max_size=8
)
loans = st.lists(
    st.tuples(
        st.integers(0, 9),  # borrower: lenders may borrow, one may come twice
        st.integers(0, 2),  # arrival
        st.integers(1, 20).map(lambda tens: tens * 1_000),
        st.integers(5, 9).map(lambda percent: percent * 10_000),
    ),
    max_size=6,
)


def _columns(rows: list[tuple[int, ...]], width: int) -> list[IntArray]:
    return list(np.array(rows, dtype=np.int64).reshape(-1, width).T)


def _queue(rows: list[tuple[int, int, int, int, int]]) -> Queue:
    return Queue(np.arange(len(rows)) + 500, *_columns(list(rows), 5))


def _held(rows: list[tuple[int, int, int]]) -> Held:
    return Held(*_columns(list(rows), 3))


def _listings(rows: list[tuple[int, int, int, int]]) -> Listings:
    return Listings(np.arange(len(rows)) + 70, *_columns(list(rows), 4))


@settings(deadline=None)
@given(offers, holdings, st.integers(-1, 9))
def test_takes_are_what_walking_down_the_queue_gives(
    rows: list[tuple[int, int, int, int, int]], has: list[tuple[int, int, int]], borrower: int
) -> None:
    of_borrower: dict[int, int] = {}
    for owes, lender, pence in has:
        if owes == borrower:
            of_borrower[lender] = of_borrower.get(lender, 0) + pence
    expected = reference.takes(_queue(rows), of_borrower, borrower)
    assert takes(_queue(rows), _held(has), borrower_id=borrower).tolist() == expected


@settings(deadline=None)
@given(offers, holdings, st.integers(0, 9), st.integers(1, 30))
def test_a_fill_is_the_front_of_the_queue(
    rows: list[tuple[int, int, int, int, int]],
    has: list[tuple[int, int, int]],
    borrower: int,
    tens: int,
) -> None:
    queue, held = _queue(rows), _held(has)
    filled = fill(queue, tens * 1_000, held=held, borrower_id=borrower)
    gives = takes(queue, held, borrower_id=borrower)
    assert filled.fundable == gives.sum()
    assert filled.amount.sum() == min(tens * 1_000, filled.fundable)
    assert (filled.amount % 1_000 == 0).all()
    assert (filled.amount > 0).all()
    # All but the last give all that they can; nobody that stands before the last is left out.
    assert (filled.amount[:-1] == gives[filled.row[:-1]]).all()
    keys = [
        (int(queue.rate_ppm[i]), int(queue.rate_set[i]), int(queue.offer_id[i]))
        for i in range(len(rows))
    ]
    used = [keys[i] for i in filled.row]
    assert used == sorted(used)
    if used:
        before_last = {i for i in range(len(rows)) if keys[i] < used[-1] and gives[i] > 0}
        assert before_last == set(filled.row[:-1].tolist())


def _parts(cleared: Clearing, listing_id: int) -> list[tuple[int, int, int, int]]:
    mine = cleared.listing_id == listing_id
    columns = (cleared.offer_id, cleared.lender_id, cleared.rate_ppm, cleared.amount)
    return list(zip(*(column[mine].tolist() for column in columns), strict=True))


@settings(deadline=None, max_examples=200)
@given(offers, holdings, loans)
def test_clearing_keeps_every_limit_and_loses_no_penny(
    rows: list[tuple[int, int, int, int, int]],
    has: list[tuple[int, int, int]],
    wanted: list[tuple[int, int, int, int]],
) -> None:
    queue, held, listings = _queue(rows), _held(has), _listings(wanted)
    cleared = clear_market(queue, listings, held)
    # Money: what offers lost is what loans got, never below nothing.
    taken = np.zeros(len(rows), dtype=np.int64)
    np.add.at(taken, cleared.offer_id - 500, cleared.amount)
    assert (queue.available - taken == cleared.available).all()
    assert (cleared.available >= 0).all()
    assert (cleared.amount % 1_000 == 0).all()
    # Limits, over all loans of a borrower and all offers of a lender.
    total: dict[tuple[int, int], int] = {}
    for borrower, lender, pence in has:
        total[borrower, lender] = total.get((borrower, lender), 0) + pence
    for outcome in cleared.outcomes:
        borrower, _, amount, highest = wanted[outcome.listing_id - 70]
        parts = _parts(cleared, outcome.listing_id)
        assert bool(parts) == (outcome.outcome is Outcome.FUNDED)
        for offer, lender, rate, pence in parts:
            assert lender != borrower
            assert rate == queue.rate_ppm[offer - 500]
            total[borrower, lender] = total.get((borrower, lender), 0) + pence
            assert total[borrower, lender] <= queue.limit[offer - 500]
        if parts:
            rates = monthly_rate_e12(np.array([rate for _, _, rate, _ in parts]))
            mixed = blend([pence for *_, pence in parts], rates)
            assert sum(pence for *_, pence in parts) == amount
            assert mixed.annual_ppm == outcome.rate_ppm
            assert mixed.annual_ppm <= highest


@settings(deadline=None, max_examples=100)
@given(offers, holdings, loans, st.randoms(use_true_random=False))
def test_row_order_does_not_matter(
    rows: list[tuple[int, int, int, int, int]],
    has: list[tuple[int, int, int]],
    wanted: list[tuple[int, int, int, int]],
    random: object,
) -> None:
    def shuffled(columns: list[IntArray]) -> tuple[list[IntArray], IntArray]:
        order = list(range(len(columns[0])))
        random.shuffle(order)  # type: ignore[attr-defined]
        return [column[order] for column in columns], np.array(order, dtype=np.int64)

    queue, held, listings = _queue(rows), _held(has), _listings(wanted)
    names = ("offer_id", "lender_id", "rate_ppm", "rate_set", "limit", "available")
    mixed, order = shuffled([getattr(queue, name) for name in names])
    fields = ("listing_id", "borrower_id", "arrived", "amount", "highest_rate_ppm")
    turned, _ = shuffled([getattr(listings, name) for name in fields])
    one = clear_market(queue, listings, held)
    two = clear_market(
        Queue(*mixed), Listings(*turned), Held(*(c[::-1] for c in _columns(list(has), 3)))
    )
    assert one.outcomes == two.outcomes
    assert one.listing_id.tolist() == two.listing_id.tolist()
    assert one.offer_id.tolist() == two.offer_id.tolist()
    assert one.amount.tolist() == two.amount.tolist()
    assert one.available[order].tolist() == two.available.tolist()
    assert held.pence.sum() == sum(pence for *_, pence in has)
