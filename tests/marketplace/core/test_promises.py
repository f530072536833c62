"""Promises to pay: each penny counts for one of them, and by its day."""

from __future__ import annotations

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from marketplace.core.promises import Came, Promised, PromiseState, judge

OPEN, KEPT, BROKEN = PromiseState.OPEN, PromiseState.KEPT, PromiseState.BROKEN


def day(number: int) -> date:
    return date(2016, 7, 1) + timedelta(days=number - 1)


def test_the_example() -> None:
    # £50 by the 5th and £50 by the 12th. £60 on the 4th: the first is full, £10 go to the second,
    # which has £10 of £50 by its day; £30 on the 13th are too late.
    promises = [Promised(5_000, day(1), day(5)), Promised(5_000, day(1), day(12))]
    payments = [Came(6_000, day(4)), Came(3_000, day(13))]
    assert judge(promises, payments, day(3)) == (OPEN, OPEN)
    assert judge(promises, payments, day(4)) == (KEPT, OPEN)
    assert judge(promises, payments, day(12)) == (KEPT, OPEN)
    assert judge(promises, payments, day(13)) == (KEPT, BROKEN)


def test_the_day_itself_is_in_time_and_the_next_is_not() -> None:
    promise = Promised(5_000, day(1), day(5))
    assert judge([promise], [Came(5_000, day(5))], day(6)) == (KEPT,)
    assert judge([promise], [Came(4_999, day(5)), Came(1, day(6))], day(6)) == (BROKEN,)
    assert judge([promise], [], day(5)) == (OPEN,)


def test_what_came_before_the_promise_does_not_count() -> None:
    promise = Promised(5_000, day(2), day(5))
    assert judge([promise], [Came(5_000, day(1))], day(6)) == (BROKEN,)


_DAYS = st.integers(1, 8)
_PROMISES = st.lists(
    st.tuples(st.integers(1, 6), _DAYS, st.integers(0, 5)).map(
        lambda p: Promised(p[0], day(p[1]), day(p[1] + p[2]))
    ),
    max_size=4,
)
_PAYMENTS = st.lists(st.tuples(st.integers(1, 6), _DAYS).map(lambda p: Came(p[0], day(p[1]))))


@given(_PROMISES, _PAYMENTS, _DAYS)
def test_laws(promises: list[Promised], payments: list[Came], on: int) -> None:
    judged = judge(promises, payments, day(on))
    # Pennies are not counted twice: kept promises are covered by what came between the first day
    # of one and the last day of another.
    kept = [p for p, state in zip(promises, judged, strict=True) if state is KEPT]
    assert sum(p.amount for p in kept) <= sum(
        p.amount for p in payments if p.received_on <= day(on)
    )
    for promise, state in zip(promises, judged, strict=True):
        came = sum(
            p.amount
            for p in payments
            if promise.made_on <= p.received_on <= min(promise.due_on, day(on))
        )
        if state is KEPT:
            assert came >= promise.amount
        else:
            assert state is (BROKEN if promise.due_on < day(on) else OPEN)
        if len(promises) == 1:
            assert (state is KEPT) == (came >= promise.amount)
    # Order of payments doesn't matter, and one that is kept stays kept.
    assert judge(promises, payments[::-1], day(on)) == judged
    for state, later in zip(judged, judge(promises, payments, day(on + 1)), strict=True):
        assert state is OPEN or later is state
