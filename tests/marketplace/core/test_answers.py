"""Places, expected dates, the ladder of rates, and the spread of one lender."""

from __future__ import annotations

import itertools
import math
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.core.answers import (
    LONGEST_WAIT,
    Lending,
    Wait,
    days_until,
    first_match,
    lender_spread,
    nothing_lent,
    places_of,
    rate_ladder,
)
from marketplace.core.errors import ShapeRefused
from marketplace.core.order_book import Queue, fill
from marketplace.core.standing import Standing

_DAILY = st.lists(st.sampled_from([0, 0, 1_000, 7_000, 50_000, 1_234_560]), min_size=1, max_size=28)
# Just what some days lend, and a penny more, are where it turns.
_PENCE = st.integers(1, 5_000_000) | st.sampled_from([1_000, 1_001, 8_001, 50_000, 50_001])


def _standing(rows: list[tuple[int, int, int, int]]) -> Standing:
    """Entries (market, order, rate, most) in queue order; the rest doesn't matter for places."""
    market, order, rate, most = np.array(rows, dtype=np.int64).reshape(-1, 4).T
    columns = {field.name: np.zeros_like(market) for field in fields(Standing)}
    columns.update(market=market, order=order, rate=rate, most=most)
    return Standing(**columns)


class TestPlaces:
    def test_worked_example(self) -> None:
        queues = _standing(
            [
                (0, 0, 60_000, 5_000),
                (0, 1, 61_000, 20_000),
                (0, 3, 61_000, 0),  # without money for this market: not counted
                (0, 2, 61_000, 1_000),
                (2, 1, 70_000, 20_000),
                (2, 2, 75_000, 3_000),  # pool money that was repaid
                (2, 2, 75_000, 4_000),  # and what is new of it
                (2, 0, 80_000, 5_000),
            ]
        )
        found = places_of(queues, [2, 0])
        rows = zip(*(getattr(found, name).tolist() for name in found.__slots__), strict=True)
        assert list(rows) == [
            (0, 0, 60_000, 1, 0),
            (2, 0, 61_000, 3, 25_000),  # behind £50 and £200
            (2, 2, 75_000, 2, 20_000),
            (0, 2, 80_000, 4, 27_000),  # behind £200 and both £30 and £40
        ]

    def test_nobody_stands_anywhere(self) -> None:
        assert places_of(_standing([]), [0]).place.size == 0
        assert places_of(_standing([(0, 0, 60_000, 1_000)]), []).place.size == 0

    def test_rows_are_integers(self) -> None:
        with pytest.raises(ShapeRefused):
            places_of(_standing([(0, 0, 60_000, 1_000)]), [0.5])

    @given(
        st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5), st.integers(1, 9)), max_size=30),
        st.sets(st.integers(0, 5)),
    )
    def test_like_walking_down_each_queue(
        self, entries: list[tuple[int, int, int]], orders: set[int]
    ) -> None:
        entries.sort(key=lambda entry: entry[0])
        found = places_of(_standing([(m, o, 50_000, a * 1_000) for m, o, a in entries]), [*orders])
        expected = []
        for market, queue in itertools.groupby(entries, key=lambda entry: entry[0]):
            seen: set[int] = set()
            ahead = 0
            for place, (_, order, units) in enumerate(queue, start=1):
                if order in orders and order not in seen:
                    expected.append((order, market, place, ahead))
                seen.add(order)
                ahead += units * 1_000
        columns = (found.order, found.market, found.place, found.ahead)
        assert list(zip(*(column.tolist() for column in columns), strict=True)) == expected


def _replayed(pence: int, daily: list[int]) -> list[int]:
    """The waits, walked day by day from each day on."""
    waits = []
    for start in range(len(daily)):
        lent, days = 0, 0
        while lent < pence:
            lent += daily[(start + days) % len(daily)]
            days += 1
        waits.append(days)
    return sorted(waits)


class TestDaysUntil:
    def test_the_same_every_day(self) -> None:
        # £250 at £100 a day: 2.5 days, so on the third, and nothing scatters.
        assert days_until(25_000, [10_000] * 28) == Wait(3, 3, 3)
        assert days_until(30_000, [10_000] * 28) == Wait(3, 3, 3)
        assert days_until(30_001, [10_000] * 28) == Wait(4, 4, 4)

    def test_once_a_week(self) -> None:
        # £700 each seventh day. From each day on, £10 takes 1 to 7 days, four times each: the
        # third of the 28 waits is 1, the fourteenth 4, the twenty-sixth 7.
        # By sums: m = £100, s = sqrt(700**2 / 7 - 100**2) = £244.95, and with z = 1.28155
        # sqrt(n) = (313.91 + sqrt(313.91**2 + 4 x 100 x 10)) / 200 = (313.91 + 320.22) / 200
        # = 3.1706, so n = 10.05: the eleventh day. With -z it is less than a day.
        weekly = [0, 0, 0, 70_000, 0, 0, 0] * 4
        assert days_until(1_000, weekly) == Wait(1, 4, 11)

    def test_nothing_lent_or_too_far_away(self) -> None:
        assert days_until(1_000, [0] * 28) is None
        # £10 in 28 days: the first £1,300 take 3,640 days, and £10 more are beyond ten years.
        slow = [1_000] + [0] * 27
        assert days_until(1_000, slow) is not None
        assert days_until(1_000 * (LONGEST_WAIT // 28 + 1), slow) is None

    @pytest.mark.parametrize(
        ("pence", "daily"),
        [
            (0, [1]),
            (-1, [1]),
            (10**15 + 1, [1]),
            (10**30, [1]),
            (2.5, [1]),
            (True, [1]),
            (1, []),
            (1, [-1]),
            (1, [1.0]),
            (1, [[1]]),
            (1, [10**15 + 1]),
            (1, [True]),
        ],
    )
    def test_refusals(self, pence: int, daily: list[int]) -> None:
        with pytest.raises(ShapeRefused):
            days_until(pence, daily)

    @given(_PENCE, _DAILY.filter(any))
    def test_both_views(self, pence: int, daily: list[int]) -> None:
        found = days_until(pence, daily)
        if sum(daily) * LONGEST_WAIT < pence * len(daily) * 40:
            return  # too far away to be walked day by day
        assert found is not None
        waits = _replayed(pence, daily)
        # Half of the waits are at most the likely one.
        assert sum(wait <= found.likely for wait in waits) * 2 >= len(waits)
        assert sum(wait < found.likely for wait in waits) * 2 < len(waits)
        # Neither view has an early day before, or a late one after.
        tenth = [wait for wait in waits if sum(w <= wait for w in waits) * 10 >= len(waits)]
        last = [wait for wait in waits if sum(w <= wait for w in waits) * 10 >= 9 * len(waits)]
        mean = sum(daily) / len(daily)
        scatter = math.sqrt(sum((one - mean) ** 2 for one in daily) / len(daily))

        def reached(days: int, deviations: float) -> bool:
            slack = 1e-6 * pence
            return days * mean - deviations * scatter * math.sqrt(days) >= pence - slack

        assert found.early <= tenth[0]
        assert found.early == tenth[0] or reached(found.early, -1.28155)
        assert found.late >= last[0]
        assert found.late == last[0] or not reached(found.late - 1, 1.28156)

    @given(_PENCE, _PENCE, _DAILY)
    def test_more_money_never_comes_sooner(self, one: int, other: int, daily: list[int]) -> None:
        less, more = days_until(min(one, other), daily), days_until(max(one, other), daily)
        if more is not None:
            assert less is not None
            assert less.early <= more.early
            assert less.likely <= more.likely
            assert less.late <= more.late
        if less is not None:
            assert 1 <= less.early <= less.likely <= less.late

    @given(_PENCE, _DAILY, st.integers(0, 27))
    def test_which_day_was_first_makes_no_difference(
        self, pence: int, daily: list[int], turn: int
    ) -> None:
        turn %= len(daily)
        assert days_until(pence, daily) == days_until(pence, daily[turn:] + daily[:turn])

    def test_a_round_more_is_a_round_later(self) -> None:
        daily = [0, 5_000, 0, 30_000]
        for pence in (1_000, 17_000, 35_000):
            here, later = days_until(pence, daily), days_until(pence + 35_000, daily)
            assert here is not None
            assert later is not None
            assert later.likely == here.likely + 4

    def test_days_drawn_at_random_keep_to_it(self) -> None:
        draws = np.random.default_rng(4)
        daily = draws.choice([0, 0, 200_000, 350_000, 900_000], size=28).astype(np.int64)
        pence = 3 * int(daily.sum())
        found = days_until(pence, daily)
        assert found is not None
        walks = np.cumsum(draws.choice(daily, size=(4_000, 250)), axis=1)
        waits = (walks < pence).sum(axis=1) + 1
        # By the early day about one walk in ten is there, by the late one nine.
        assert 0.03 < (waits <= found.early).mean() < 0.15
        assert 0.85 < (waits <= found.late).mean() < 0.97


class TestFirstMatch:
    lending = Lending(
        days=2,
        day=np.array([0, 1, 1]),
        lent=np.array([10_000, 4_000, 6_000]),
        marginal=np.array([70_000, 72_000, 65_000]),
        blend=np.array([69_000, 71_000, 64_000]),
    )

    def test_cycles_of_one_day_add_up(self) -> None:
        assert self.lending.daily().tolist() == [10_000, 10_000]
        assert self.lending.daily(69_000).tolist() == [10_000, 6_000]

    def test_the_first_ten_pounds_behind_what_is_ahead(self) -> None:
        # £190 ahead and £10 are lent on the second day, £191 and £10 on the third.
        assert first_match(19_000, 72_000, self.lending) == Wait(2, 2, 2)
        assert first_match(19_100, 72_000, self.lending) == Wait(3, 3, 3)

    def test_less_than_nothing_ahead(self) -> None:
        with pytest.raises(ShapeRefused):
            first_match(-500, 70_000, self.lending)

    def test_nothing_was_lent_at_that_rate_or_above(self) -> None:
        assert first_match(0, 72_001, self.lending) is None
        assert first_match(0, 1, nothing_lent(28)) is None


_QUEUE = Queue(
    offer_id=np.arange(4),
    lender_id=np.arange(4),
    rate_ppm=np.array([69_000, 71_000, 75_000, 81_000]),
    rate_set=np.arange(4),
    limit=np.full(4, 10**9),
    available=np.array([48_000, 52_000, 64_000, 76_000]),
)


class TestLadder:
    def test_like_a_quote_of_each_amount(self) -> None:
        ladder = rate_ladder(fill(_QUEUE, 500_000), 100_000)
        # £1,000 up to all £2,400 in sevenths: £200 each.
        assert [rung.amount for rung in ladder] == list(range(100_000, 240_001, 20_000))
        # 48 % at 6.9 % and 52 % at 7.1 % is 7.004 %.
        assert (ladder[0].rate, ladder[0].marginal_rate) == (70_040, 71_000)
        for rung in ladder:
            alone = fill(_QUEUE, rung.amount)
            assert (rung.rate, rung.marginal_rate) == (
                alone.blend.annual_ppm,
                alone.marginal_rate_ppm,
            )

    def test_few_steps_and_none(self) -> None:
        assert [rung.amount for rung in rate_ladder(fill(_QUEUE, 102_000), 100_000)] == [
            100_000,
            101_000,
            102_000,
        ]
        assert rate_ladder(fill(_QUEUE, 90_000), 100_000) == ()
        assert [rung.amount for rung in rate_ladder(fill(_QUEUE, 100_000), 100_000)] == [100_000]


class TestSpread:
    def test_worked_example(self) -> None:
        # £30, £10 and £10: 60 % with one; 50**2 / (30**2 + 10**2 + 10**2) = 2.27 borrowers.
        found = lender_spread([3_000, 0, 1_000, 1_000], 5_000)
        assert (found.borrowers, found.lent, found.largest) == (3, 5_000, 3_000)
        assert (found.largest_share, found.idle_share) == (600_000, 500_000)
        assert found.effective == pytest.approx(2_500 / 1_100)

    def test_nothing_lent_and_nothing_at_all(self) -> None:
        found = lender_spread([], 5_000)
        assert (found.borrowers, found.largest_share, found.effective) == (0, 0, 0.0)
        assert found.idle_share == 1_000_000
        assert lender_spread([], 0).idle_share == 0

    @given(st.lists(st.integers(1, 10**12), min_size=1, max_size=40), st.integers(0, 10**12))
    def test_as_many_as_there_are_at_most(self, owed: list[int], idle: int) -> None:
        found = lender_spread(owed, idle)
        assert 1 - 1e-9 <= found.effective <= len(owed) + 1e-9
        assert found.largest_share >= 1_000_000 // len(owed)
        assert 0 <= found.idle_share <= 1_000_000

    @given(st.integers(1, 10**12), st.integers(1, 60))
    def test_equal_ones_count_in_full(self, each: int, count: int) -> None:
        assert lender_spread([each] * count, 0).effective == pytest.approx(count)

    @pytest.mark.parametrize(
        ("owed", "idle"), [([-1], 0), ([1.5], 0), ([1], -1), ([1], 0.5), ([10**16], 0)]
    )
    def test_refusals(self, owed: list[int], idle: int) -> None:
        with pytest.raises(ShapeRefused):
            lender_spread(owed, idle)
