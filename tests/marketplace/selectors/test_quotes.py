"""What a loan would cost, how its rate grows, and by when it would likely be funded."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from marketplace.core.errors import LoanAmountRefused, NotEnoughOffers
from marketplace.selectors.answers import Expected
from marketplace.selectors.quotes import LoanAsked, ask_about_loan
from tests.marketplace.house import House, borrowers, cycle, listing, offer
from tests.marketplace.statements import statements
from tests.world import DAY, SEVEN_OFFERS, enrol_lenders


def _ask(amount: int, on: date = DAY) -> LoanAsked:
    return ask_about_loan(band="A", term_months=36, amount=amount, on=on)


def _after(*days: int) -> Expected:
    return Expected(*(DAY + timedelta(days=each) for each in days))


@pytest.fixture
def seven(house: House) -> House:
    """The seven offers of the design's fixture: £2,330 together."""
    for lender, (rate, amount) in zip(enrol_lenders([100_000] * 7), SEVEN_OFFERS, strict=True):
        offer(house, lender, amount, {"A/36": rate})
    return house


class TestLadder:
    @pytest.mark.usefixtures("seven")
    def test_up_to_the_end_of_the_book(self) -> None:
        found = _ask(100_000).quote()
        assert found.quote.rate_ppm == 70_040
        ladder = found.ladder
        # £1,000 to £2,330 in sevenths of £190.
        assert [rung.amount for rung in ladder] == list(range(100_000, 233_001, 19_000))
        assert (ladder[0].rate, ladder[0].marginal_rate) == (70_040, 71_000)
        assert ladder[-1].marginal_rate == 104_000
        for rung in ladder:
            quote = _ask(rung.amount).quote().quote
            assert (rung.rate, rung.marginal_rate) == (quote.rate_ppm, quote.marginal_rate_ppm)
        assert [rung.rate for rung in ladder] == sorted(rung.rate for rung in ladder)

    def test_up_to_the_largest_loan(self, house: House) -> None:
        [lender] = enrol_lenders([5_000_000])
        offer(house, lender, 5_000_000, {"A/36": 70_000})
        ladder = _ask(100_000).quote().ladder
        assert (ladder[0].amount, ladder[-1].amount) == (100_000, 2_500_000)


class TestFundedBy:
    @pytest.mark.usefixtures("seven")
    def test_the_next_day_where_the_book_is_deep_enough(self) -> None:
        assert _ask(233_000).funded_by() == _after(1, 1, 1)
        assert _ask(100_000).funded_by(70_040) == _after(1, 1, 1)

    def test_as_money_was_lent_lately_where_it_is_not(self, seven: House) -> None:
        asked = _ask(250_000)
        with pytest.raises(NotEnoughOffers):
            asked.quote()
        # Nothing was lent yet, so nothing can be said.
        assert asked.funded_by() is None
        listing(seven, borrowers(1)[0], 100_000)
        assert cycle().loans == 1
        # £1,330 are left, so a loan of £2,330 misses £1,000: the day of the one loan, from each
        # of 28 days on, comes in 1 to 28 days. By sums, as £1,000 = 28 m, late is
        # sqrt(n) = (237.83 + sqrt(237.83**2 + 4 x 35.71 x 1000)) / 71.43 = 9.585, n = 91.9,
        # and early sqrt(n) = (446.9 - 237.83) / 71.43 = 2.93, n = 8.6.
        # By replay early is 3.
        assert _ask(233_000).funded_by() == _after(3, 14, 92)

    def test_only_what_was_lent_at_the_highest_rate_counts(self, seven: House) -> None:
        listing(seven, borrowers(1)[0], 100_000)
        assert cycle().loans == 1  # at a blend of 7.004 %
        asked = _ask(100_000)
        # The book's blend is above 7.1 % now: it waits for £1,000 as it was lent at 7.004 %.
        assert asked.quote().quote.rate_ppm > 71_000
        assert asked.funded_by(71_000) == _after(3, 14, 92)
        assert asked.funded_by(70_039) is None


@pytest.mark.usefixtures("house")
def test_outside_the_markets_limits() -> None:
    for amount in (99_000, 2_501_000):
        with pytest.raises(LoanAmountRefused, match=r"£1,000 to £25,000"):
            _ask(amount)


@pytest.mark.usefixtures("seven")
def test_statements() -> None:
    asked = _ask(100_000)
    assert statements(lambda: _ask(100_000)) == 6
    assert statements(lambda: (asked.quote(), asked.funded_by())) == 0
