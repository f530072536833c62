"""The table of a loan's moves, days past due and default."""

from datetime import date

import pytest

from marketplace.core.arrears import (
    ArrearsBucket,
    arrears_bucket,
    days_past_due,
    default_date,
)
from marketplace.core.states import LOAN_MOVES, LoanState, MoveRefused, require_move


def test_every_state_is_in_the_table_and_can_be_reached() -> None:
    assert set(LOAN_MOVES) == set(LoanState)
    reached, front = {LoanState.FUNDED}, {LoanState.FUNDED}
    while front:
        front = set().union(*(LOAN_MOVES[state] for state in front)) - reached
        reached |= front
    assert reached == set(LoanState)


@pytest.mark.parametrize("before", LoanState)
@pytest.mark.parametrize("after", LoanState)
def test_a_move_is_allowed_or_refused_by_name(before: LoanState, after: LoanState) -> None:
    if after in LOAN_MOVES[before]:
        require_move(before, after)
        return
    with pytest.raises(MoveRefused) as refused:
        require_move(before, after)
    assert before in refused.value.message
    assert all(allowed in refused.value.message for allowed in LOAN_MOVES[before])


def test_a_repaid_loan_stays_repaid() -> None:
    assert LOAN_MOVES[LoanState.REPAID] == frozenset()


@pytest.mark.parametrize(
    ("days", "bucket"),
    [
        (0, ArrearsBucket.NONE),
        (1, ArrearsBucket.DAYS_1_30),
        (30, ArrearsBucket.DAYS_1_30),
        (31, ArrearsBucket.DAYS_31_60),
        (60, ArrearsBucket.DAYS_31_60),
        (61, ArrearsBucket.DAYS_61_90),
        (90, ArrearsBucket.DAYS_61_90),
        (91, ArrearsBucket.DAYS_91_120),
        (120, ArrearsBucket.DAYS_91_120),
        (121, ArrearsBucket.OVER_120),
        (4_000, ArrearsBucket.OVER_120),
    ],
)
def test_buckets(days: int, bucket: ArrearsBucket) -> None:
    assert arrears_bucket(days) is bucket


def test_days_past_due() -> None:
    due = date(2016, 2, 28)
    assert days_past_due(due, date(2016, 2, 27)) == 0
    assert days_past_due(due, due) == 0
    assert days_past_due(due, date(2016, 3, 1)) == 2  # a leap year
    assert days_past_due(None, date(2016, 3, 1)) == 0


@pytest.mark.parametrize(
    ("due", "first_day"),
    [
        (date(2016, 1, 15), date(2016, 5, 15)),
        (date(2016, 10, 31), date(2017, 2, 28)),
        (date(2015, 10, 31), date(2016, 2, 29)),
        (date(2016, 9, 1), date(2017, 1, 1)),
    ],
)
def test_default_is_four_calendar_months(due: date, first_day: date) -> None:
    assert default_date(due) == first_day


@pytest.mark.parametrize(
    ("standstill", "first_day"),
    [
        ([], date(2016, 9, 3)),
        # 1 to 30 June, both included: 30 days.
        ([(date(2016, 6, 1), date(2016, 7, 1))], date(2016, 10, 3)),
        # From before the due date to 19 May: 4 to 19 May are overdue days, 16 of them.
        ([(date(2016, 4, 24), date(2016, 5, 20))], date(2016, 9, 19)),
        # Over before anything was overdue.
        ([(date(2016, 4, 1), date(2016, 5, 4))], date(2016, 9, 3)),
        # One follows the other: no day counts twice. 10 + 20 days.
        (
            [(date(2016, 6, 1), date(2016, 6, 11)), (date(2016, 6, 11), date(2016, 7, 1))],
            date(2016, 10, 3),
        ),
        # It begins only after default would have come.
        ([(date(2016, 9, 3), date(2016, 10, 3))], date(2016, 9, 3)),
    ],
)
def test_days_of_an_arrangement_or_hardship_do_not_count(
    standstill: list[tuple[date, date]], first_day: date
) -> None:
    assert default_date(date(2016, 5, 3), standstill=standstill) == first_day
