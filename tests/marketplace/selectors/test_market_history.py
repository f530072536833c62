"""What markets did lately, cycle by cycle, and what was lent day by day."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from marketplace.selectors.depth import market_with_depth, markets_with_depth
from marketplace.selectors.market_history import (
    LONGEST_HISTORY,
    HistoryRefused,
    MarketCycleView,
    last_marginal_rates,
    market_history,
    recent_lending,
)
from tests.marketplace.house import House, borrowers, cycle, listing, offer
from tests.marketplace.statements import statements
from tests.world import DAY, enrol_lenders


def _on(days: int) -> date:
    return DAY + timedelta(days=days)


@pytest.fixture
def three_cycles(house: House) -> int:
    """£1,000 at 7 % and at 8 % on the first day, nothing on the next, £1,000 at 9 % on the third.

    Returns:
        The market's id.
    """
    [lender] = enrol_lenders([300_000])
    for rate in (70_000, 80_000, 90_000):
        offer(house, lender, 100_000, {"A/36": rate})
    one, two, three = borrowers(3)
    listing(house, one, 100_000)
    listing(house, two, 100_000)
    assert cycle().loans == 2
    assert cycle(_on(1)).loans == 0
    listing(house, three, 100_000, on=_on(2))
    assert cycle(_on(2)).loans == 1
    return house.markets["A/36"].market_id


class TestHistory:
    def test_cycles_the_newest_first(self, three_cycles: int) -> None:
        third, second, first = market_history(_on(2), 28)[three_cycles]
        assert [row.run_on for row in (first, second, third)] == [DAY, _on(1), _on(2)]
        assert first.best_rate == 70_000
        assert (first.listings, first.asked, first.loans, first.lent) == (2, 200_000, 2, 200_000)
        assert first.marginal_rate == 80_000
        # Both loans get half at 7 % and half at 8 %: 7.499 % by the month, and nothing apart.
        assert first.lowest_blend == first.highest_blend == first.blend_rate == 74_989
        assert first.deviation == 0
        assert second == MarketCycleView(
            _on(1), 100_000, 90_000, 0, 0, 0, 0, None, None, None, None, 0
        )
        assert (third.best_rate, third.marginal_rate, third.blend_rate) == (90_000, 90_000, 90_000)

    def test_only_the_days_asked_for(self, three_cycles: int) -> None:
        def days(on: date, count: int) -> list[date]:
            return [row.run_on for row in market_history(on, count).get(three_cycles, ())]

        assert days(_on(2), 1) == [_on(2)]
        assert days(_on(2), 2) == [_on(2), _on(1)]
        assert days(_on(1), 28) == [_on(1), DAY]
        assert days(_on(30), 28) == []

    @pytest.mark.parametrize("days", [0, -1, LONGEST_HISTORY + 1])
    def test_refusals(self, days: int) -> None:
        with pytest.raises(HistoryRefused) as refusal:
            market_history(DAY, days)
        assert (refusal.value.code, refusal.value.field) == ("HISTORY_REFUSED", "days")

    def test_the_last_marginal_rate_stays_and_the_traded_one_goes(self, three_cycles: int) -> None:
        assert last_marginal_rates(_on(1)) == {three_cycles: 80_000}
        market = market_with_depth("A", 36, _on(2))
        # £1,000 each at 7, 8 and 9 %.
        assert (market.traded_rate, market.last_marginal_rate) == (80_000, 90_000)
        later = market_with_depth("A", 36, _on(40))
        assert (later.traded_rate, later.last_marginal_rate) == (
            later.market.guide_rate,
            90_000,
        )
        never = market_with_depth("B", 36, _on(2))
        assert (never.last_marginal_rate, never.market.guide_rate) == (None, never.traded_rate)

    @pytest.mark.usefixtures("three_cycles")
    def test_all_markets_take_three_statements(self) -> None:
        markets = markets_with_depth(_on(2))

        def asked() -> int:
            told = [(m.traded_rate, m.last_marginal_rate, m.history(28)) for m in markets]
            return sum(len(history) for _, _, history in told)

        assert statements(asked) == 3
        assert asked() == 3 * len(markets)


class TestLending:
    def test_pence_a_day_the_oldest_first(self, three_cycles: int) -> None:
        found = recent_lending(_on(2))
        assert list(found) == [three_cycles]
        lending = found[three_cycles]
        assert lending.daily().tolist() == [0] * 25 + [200_000, 0, 100_000]
        assert lending.daily(80_000).tolist() == [0] * 25 + [200_000, 0, 0]
        assert sorted(lending.marginal.tolist()) == [80_000, 90_000]

    def test_the_window_is_28_days_with_the_day_itself(self, three_cycles: int) -> None:
        last = recent_lending(_on(27))[three_cycles].daily().tolist()
        assert last == [200_000, 0, 100_000] + [0] * 25
        assert recent_lending(_on(28))[three_cycles].daily().sum() == 100_000
        assert recent_lending(_on(30)) == {}
