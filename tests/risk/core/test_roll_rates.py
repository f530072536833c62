"""Roll rates: days past due rebuilt from payments, and the matrix of moves, by hand."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from risk.core.monitoring import MonitoringRefused
from risk.core.roll_rates import (
    OFF_BOOK,
    Bucket,
    Dues,
    bucket_of_days,
    buckets,
    days_past_due,
    default_chances,
    month_ends,
    roll_rates,
    transitions,
    worsenings,
)

DayArray = npt.NDArray[np.datetime64]
C, A, B = Bucket.CURRENT, Bucket.DAYS_1_30, Bucket.DAYS_31_60
NEVER = "NaT"


def _days(*texts: str) -> DayArray:
    return np.array(texts, dtype="datetime64[D]")


def _dues(loans: int, due: list[tuple[int, str, int]], paid: list[tuple[int, str, int]]) -> Dues:
    return Dues(
        loans,
        np.array([row[0] for row in due], dtype=np.int64),
        _days(*(row[1] for row in due)),
        np.array([row[2] for row in due], dtype=np.int64),
        np.array([row[0] for row in paid], dtype=np.int64),
        _days(*(row[1] for row in paid)),
        np.array([row[2] for row in paid], dtype=np.int64),
    )


def test_three_loans_over_three_months_by_hand() -> None:
    due = [
        (loan, day, 100) for loan in (0, 1, 2) for day in ("2016-05-03", "2016-06-01", "2016-07-01")
    ]
    paid = [
        # The first pays on time.
        *((0, day, 100) for day in ("2016-05-03", "2016-06-01", "2016-07-01")),
        # The second pays half of the first instalment, and in June the rest of it and half of the
        # next: at the end of May 28 days late, at the end of June 29 (since 1 June).
        (1, "2016-05-03", 50),
        (1, "2016-06-10", 100),
        # The third pays all at once in June and is repaid.
        (2, "2016-06-20", 300),
    ]
    ends = month_ends(date(2016, 7, 31), 3)
    assert ends.tolist() == [date(2016, 4, 30), date(2016, 5, 31), date(2016, 6, 30), ends[-1]]
    late = days_past_due(_dues(3, due, paid), ends)
    # The third is 28 days late at the end of May; the second 60 at the end of July, since 1 June.
    assert late.tolist() == [[0, 0, 0, 0], [0, 28, 29, 60], [0, 28, 0, 0]]
    start = _days("2016-04-01", "2016-04-01", "2016-04-01")
    places = buckets(
        late, ends, start, _days(NEVER, NEVER, NEVER), _days(NEVER, NEVER, "2016-06-20")
    )
    assert places.tolist() == [[C, C, C, C], [C, A, A, B], [C, A, Bucket.REPAID, Bucket.REPAID]]
    counts = transitions(places)
    # April to May: one current stays, two become 1-30. May to June: one current stays, one 1-30
    # stays, one is repaid. June to July: one current stays, one 1-30 becomes 31-60.
    expected = {(C, C): 3, (C, A): 2, (A, A): 1, (A, Bucket.REPAID): 1, (A, B): 1}
    found = {
        (Bucket(row), Bucket(column)): int(counts[row, column])
        for row, column in np.argwhere(counts)
    }
    assert found == expected
    rolls = {(roll.before, roll.after): roll for roll in roll_rates(counts, counts * 0)}
    assert rolls[C, A].share == pytest.approx(2 / 5)
    assert rolls[C, A].low < 2 / 5 < rolls[C, A].high
    assert rolls[C, A].share_before is None


def test_month_ends_by_hand() -> None:
    # On its last day a month has ended; the day before it hasn't.
    assert month_ends(date(2016, 2, 29), 1).tolist() == [date(2016, 1, 31), date(2016, 2, 29)]
    assert month_ends(date(2016, 2, 28), 1).tolist() == [date(2015, 12, 31), date(2016, 1, 31)]


def test_the_edges_of_the_buckets() -> None:
    days = np.array([0, 1, 30, 31, 60, 61, 90, 91, 120, 121])
    assert bucket_of_days(days).tolist() == [0, 1, 1, 2, 2, 3, 3, 4, 4, 5]


def test_states_come_before_days() -> None:
    ends = _days("2016-04-30", "2016-05-31", "2016-06-30")
    late = np.array([[0, 10, 200]] * 3)
    places = buckets(
        late,
        ends,
        _days("2016-04-01", "2016-04-01", "2016-05-10"),
        _days("2016-05-31", NEVER, NEVER),
        _days("2016-06-15", NEVER, NEVER),
    )
    # Defaulted on the last day of May, and recovered in June; over 120 days without a default;
    # not on the book in April.
    assert places[0].tolist() == [C, Bucket.DEFAULT, Bucket.REPAID]
    assert places[1].tolist() == [C, A, Bucket.DEFAULT]
    assert places[2].tolist() == [OFF_BOOK, A, Bucket.DEFAULT]
    # The third's first month has no beginning, so that it isn't counted.
    assert transitions(places[2:]).sum() == 1


@settings(deadline=None)
@given(st.data())
def test_days_are_those_of_a_plain_ledger(data: st.DataObject) -> None:
    loans = data.draw(st.integers(1, 4))
    day = st.integers(0, 200)
    row = st.tuples(st.integers(0, loans - 1), day, st.integers(0, 50))
    due, paid = data.draw(st.lists(row, max_size=12)), data.draw(st.lists(row, max_size=12))
    ends = sorted(data.draw(st.lists(day, min_size=1, max_size=4)))
    first = date(2016, 1, 1)

    def at(number: int) -> str:
        return (first + timedelta(days=number)).isoformat()

    got = days_past_due(
        _dues(loans, [(a, at(b), c) for a, b, c in due], [(a, at(b), c) for a, b, c in paid]),
        _days(*(at(end) for end in ends)),
    )
    for loan in range(loans):
        for place, end in enumerate(ends):
            left = sum(amount for of, on, amount in paid if of == loan and on <= end)
            oldest = None
            for _, on, amount in sorted((r for r in due if r[0] == loan), key=lambda r: r[1]):
                left -= amount
                if left < 0:
                    oldest = on
                    break
            assert got[loan, place] == (0 if oldest is None else max(end - oldest, 0))


def test_chances_to_default_by_hand() -> None:
    counts = np.zeros((7, 7), dtype=np.int64)
    # Of those current 90 % stay and 10 % fall behind; of those behind half default, half cure.
    counts[C, C], counts[C, A] = 90, 10
    counts[A, C], counts[A, Bucket.DEFAULT] = 5, 5
    # In one month: .5 from behind. In two: .1 x .5 = .05 from current; .5 + .5 x 0 from behind.
    assert default_chances(counts, 1)[[C, A]].tolist() == pytest.approx([0.0, 0.5])
    assert default_chances(counts, 2)[[C, A]].tolist() == pytest.approx([0.05, 0.5])
    # In three: .9 x .05 + .1 x .5 = .095 and .5 + .5 x .05 = .525. Default stays default.
    assert default_chances(counts, 3)[[C, A, 5, 6]].tolist() == pytest.approx([0.095, 0.525, 1, 0])


def test_getting_worse_by_hand() -> None:
    now, before = np.zeros((7, 7), dtype=np.int64), np.zeros((7, 7), dtype=np.int64)
    now[C, C], now[C, A], now[C, Bucket.REPAID] = 6, 3, 1
    before[C, C], before[C, B] = 8, 2
    [current, behind, *_] = worsenings(now, before)
    assert (current.worse, current.of) == (3, 10)
    assert (current.worse_before, current.of_before) == (2, 10)
    # Fisher: of 20 with 5 worse, chance of 3 or more, or as unlikely, among 10: 3 and 2 are the
    # two likeliest tables, so nothing is less unlikely than what was seen.
    assert current.chance == pytest.approx(1.0)
    assert (behind.of, behind.chance) == (0, 1.0)


def test_what_is_refused() -> None:
    ends = _days("2016-05-31")
    for wrong in ((2, "2016-05-01", 1), (0, NEVER, 1), (0, "2016-05-01", -1)):
        with pytest.raises(MonitoringRefused):
            days_past_due(_dues(1, [wrong], []), ends)
    with pytest.raises(MonitoringRefused):
        month_ends(date(2016, 5, 31), 0)
    with pytest.raises(MonitoringRefused):
        default_chances(np.zeros((7, 7), dtype=np.int64), -1)
