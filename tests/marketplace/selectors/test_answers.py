"""What a lender is told of their offers: place, date and reason, and how well money is spread."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from accounts.models import Member
from marketplace.core.match_answers import MatchAnswer
from marketplace.models import Offer
from marketplace.selectors.answers import Expected, QueueView, spread_of_lender
from marketplace.selectors.offers import offer_by_key, offers_page
from marketplace.selectors.paging import PageWanted
from marketplace.services.changing_offers import cancel_offer, pause_offer
from marketplace.services.offering import OfferDraft, PoolDraft, place_offers
from tests.marketplace.house import (
    House,
    borrowers,
    cycle,
    funded,
    key,
    listing,
    offer,
    paid_out,
    pay_monthly,
)
from tests.marketplace.statements import statements
from tests.world import ACTOR, DAY, enrol_lenders

A = MatchAnswer


def _queue(offer_id: int, on: date = DAY) -> dict[str, QueueView]:
    """An offer's queues by market name."""
    return {f"{row.band}/{row.term_months}": row for row in offer_by_key(offer_id, on).queue}


def _answer(offer_id: int, market: str = "A/36") -> MatchAnswer | None:
    last = _queue(offer_id)[market].last
    return None if last is None else last.answer


def _after(days: int) -> date:
    return DAY + timedelta(days=days)


@pytest.fixture
def three(house: House) -> list[int]:
    """Offers of £1,000 and £500 at 7 %, and £2,000 at 7.5 %, after a loan of £1,000."""
    lenders = enrol_lenders([200_000] * 3)
    placed = [
        offer(house, lender, amount, {"A/36": rate})
        for lender, (amount, rate) in zip(
            lenders, [(100_000, 70_000), (50_000, 70_000), (200_000, 75_000)], strict=True
        )
    ]
    listing(house, borrowers(1)[0], 100_000)
    assert cycle().loans == 1
    return placed


class TestQueue:
    def test_place_and_reason_after_a_cycle(self, three: list[int]) -> None:
        first, second, dear = (_queue(placed)["A/36"] for placed in three)
        # The first has lent all that it had, so it stands nowhere.
        assert (first.rate, first.place, first.ahead) == (70_000, None, None)
        assert (second.rate, second.place, second.ahead) == (70_000, 1, 0)
        assert (dear.rate, dear.place, dear.ahead) == (75_000, 2, 50_000)
        answers = [row.last.answer for row in (first, second, dear) if row.last]
        assert answers == [A.MATCHED, A.BEHIND_OTHERS, A.RATE_TOO_HIGH]
        assert second.last is not None
        assert (second.last.run_on, second.last.marginal_rate) == (DAY, 70_000)

    def test_an_implied_market_is_a_queue_too(self, three: list[int]) -> None:
        implied = _queue(three[1])["A*/36"]
        assert (implied.place, implied.ahead) == (1, 0)
        assert implied.last is not None
        assert (implied.last.answer, implied.last.marginal_rate) == (A.NO_LISTING, None)

    def test_the_expected_first_match(self, three: list[int]) -> None:
        # £1,000 on one of 28 days: from each day on the next comes in 1 to 28 days, so the
        # fourteenth of these is 14. By sums m = £35.71, s = £185.58, z s = £237.83:
        # sqrt(n) = (237.83 + sqrt(237.83**2 + 4 x 35.71 x 10)) / 71.43 = 6.70, n = 44.9.
        assert _queue(three[1])["A/36"].expected == Expected(_after(1), _after(14), _after(45))
        # Nothing was lent at 7.5 % or above.
        assert _queue(three[2])["A/36"].expected is None
        # Nor in A* at all; and after 28 days nothing was lent lately.
        assert _queue(three[1])["A*/36"].expected is None
        assert _queue(three[1], _after(28))["A/36"].expected is None

    def test_before_the_first_cycle_there_is_no_answer(self, house: House) -> None:
        [lender] = enrol_lenders([10_000])
        placed = offer(house, lender, 10_000, {"A/36": 70_000})
        assert _answer(placed) is None
        assert _queue(placed)["A/36"].place == 1

    def test_who_was_not_in_the_book(self, house: House, three: list[int]) -> None:
        lender_id = Offer.objects.get(pk=three[1]).lender_id
        pause_offer(offer_id=three[1], lender_id=lender_id, actor=ACTOR, key=key())
        # It stood at the cut-off, whatever it does now.
        assert _answer(three[1]) is A.BEHIND_OTHERS
        assert _queue(three[1])["A/36"].place is None
        cycle()
        late = offer(house, enrol_lenders([10_000])[0], 10_000, {"A/36": 70_000})
        answers = [_answer(placed) for placed in (*three, late)]
        assert answers == [A.NO_CASH, A.PAUSED, A.NO_LISTING, A.AFTER_CUT_OFF]
        cancel_offer(offer_id=three[1], lender_id=lender_id, on=DAY, actor=ACTOR, key=key())
        assert _queue(three[1]) == {}

    def test_exposure_reached_with_the_only_borrower(self, house: House) -> None:
        cautious, other = enrol_lenders([200_000] * 2)
        first = offer(house, cautious, 100_000, {"A/36": 70_000}, limit=10_000)
        second = offer(house, cautious, 100_000, {"A/36": 70_000}, limit=10_000)
        offer(house, other, 200_000, {"A/36": 72_000})
        listing(house, borrowers(1)[0], 100_000)
        cycle()
        assert [_answer(first), _answer(second)] == [A.MATCHED, A.EXPOSURE_REACHED]

    def test_pool_money_stands_at_the_guide_rate(self, house: House) -> None:
        own, pooled = enrol_lenders([20_000] * 2)
        market = house.markets["A/36"]
        draft = PoolDraft(pooled.pk, 20_000, 500_000, {market.market_id: 1_000_000})
        [pool] = place_offers(drafts=[draft], on=DAY, actor=ACTOR, key=key())
        offer(house, own, 10_000, {"A/36": market.guide_rate})
        row = _queue(pool)["A/36"]
        assert (row.rate, row.place, row.ahead) == (market.guide_rate, 2, 10_000)

    def test_a_page_costs_the_same_whatever_its_size(self, house: House) -> None:
        [lender] = enrol_lenders([100_000])
        rates = house.named({"B/36": 80_000, "C/60": 100_000})
        drafts = [OfferDraft(lender.pk, 2_000, 1_000, rates)] * 50
        place_offers(drafts=drafts, on=DAY, actor=ACTOR, key=key())
        cycle()

        def asked(size: int) -> int:
            page = offers_page(lender.pk, PageWanted(size), DAY)
            assert len(page.rows) == size
            return sum(len(row.queue) for row in page.rows)

        few, many = statements(lambda: asked(1)), statements(lambda: asked(50))
        assert asked(50) == 50 * asked(1) >= 50 * 5
        # The offers, what they ask, two for markets, traded rates, three for the order book (it
        # has no pool), what was lent lately, and four for the last cycle.
        assert few == many == 14


def _shares(lender: Member) -> tuple[int, int, int, int, float, int]:
    found = spread_of_lender(lender.pk)
    return (
        found.borrowers,
        found.lent,
        found.largest,
        found.largest_share,
        found.effective,
        found.idle_share,
    )


class TestSpread:
    def test_matched_and_paid_out_loans_count_and_cash_lies_idle(self, house: House) -> None:
        [lender] = enrol_lenders([400_000])
        offer(house, lender, 400_000, {"A/36": 70_000})
        for amount, borrower in zip((100_000, 200_000), borrowers(2), strict=True):
            listing(house, borrower, amount)
        cycle()
        # £1,000 and £2,000: 3**2 / (1 + 4) = 1.8 borrowers; £1,000 of £4,000 lies idle.
        assert _shares(lender) == (2, 300_000, 200_000, 666_666, 1.8, 250_000)

    def test_what_was_repaid_is_not_lent_any_more(self, house: House) -> None:
        made = paid_out(house, [(70_000, 100_000)])
        pay_monthly(made, 1)
        borrowed, lent, *_ = _shares(made.lenders[0])
        assert borrowed == 1
        assert lent == made.loan.outstanding < 100_000

    def test_a_lender_who_lends_nothing(self, house: House) -> None:
        [lender] = enrol_lenders([10_000])
        assert _shares(lender) == (0, 0, 0, 0, 0.0, 1_000_000)
        assert _shares(funded(house).lenders[0]) == (1, 48_000, 48_000, 1_000_000, 1.0, 0)
