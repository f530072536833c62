"""The order book of one market: laws on random books."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from marketplace.core.arrays import IntArray
from marketplace.core.order_book import (
    Held,
    Queue,
    fill,
    takes,
)

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


def _columns(rows: list[tuple[int, ...]], width: int) -> list[IntArray]:
    return list(np.array(rows, dtype=np.int64).reshape(-1, width).T)


def _queue(rows: list[tuple[int, int, int, int, int]]) -> Queue:
    return Queue(np.arange(len(rows)) + 500, *_columns(list(rows), 5))


def _held(rows: list[tuple[int, int, int]]) -> Held:
    return Held(*_columns(list(rows), 3))


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
