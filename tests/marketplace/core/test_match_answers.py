"""Why an offer was not matched: each reason in a cycle that a person can follow, and the laws."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketplace.core.cycle import CycleInput, OpenListings, run_markets
from marketplace.core.errors import ShapeRefused
from marketplace.core.match_answers import Given, MarketDid, MatchAnswer, PastCycle, last_answers
from marketplace.core.order_book import Held
from marketplace.core.standing import Markets, NamedRates, Orders, Pricing

A = MatchAnswer
SAFE, RISKY = 1, 2  # two markets of one term, cleared in this order
GUIDE = {SAFE: 60_000, RISKY: 80_000}
WIDTH = 30_000  # bounds on both sides of the guide rate
LOAN = 100_000


def _columns(kind: type[Any], rows: list[dict[str, int]]) -> Any:
    """A block of columns from rows that name what isn't nothing."""
    names = [field.name for field in fields(kind)]
    return kind(*(np.array([row.get(name, 0) for row in rows], dtype=np.int64) for name in names))


@dataclass
class Book:
    """What a cycle is to see; offers, listings and borrowers are numbered from 1, 1 and 101."""

    orders: list[dict[str, int]]
    named: list[dict[str, int]]
    listings: list[dict[str, int]]
    held: list[dict[str, int]]

    def offer(
        self, rate: int | None, amount: int = LOAN, *, market: int = SAFE, **figures: int
    ) -> int:
        """An offer at its own rate, or in the pool; of a lender of its own unless told."""
        number = len(self.orders) + 1
        order = {"offer_id": number, "lender_id": number, "amount": amount, "available": amount}
        limit = {"share": 1_000_000} if rate is None else {"limit": amount}
        self.orders.append({**order, **limit, **figures})
        self.name(number, rate, market)
        return number

    def name(self, offer: int, rate: int | None, market: int, **figures: int) -> None:
        """A rate, or all of the pool's mix unless told otherwise."""
        how = (
            {"pricing": int(Pricing.POOL), "share": 1_000_000}
            if rate is None
            else {"pricing": int(Pricing.OWN), "rate": rate}
        )
        row = {"offer_id": offer, "market_id": market, "place": len(self.named)}
        self.named.append({**row, **how, **figures})

    def listing(
        self, amount: int = LOAN, *, market: int = SAFE, highest: int = 200_000, who: int = 0
    ) -> int:
        """A listing; returns its borrower."""
        number = len(self.listings) + 1
        borrower = who or 100 + number
        self.listings.append(
            {
                "market_id": market,
                "listing_id": number,
                "borrower_id": borrower,
                "amount": amount,
                "highest_rate": highest,
            }
        )
        return borrower

    def seen(self) -> CycleInput:
        """As the cycle sees it."""
        markets = [
            {
                "market_id": market,
                "term_months": 36,
                "position": position,
                "lowest": guide - WIDTH,
                "highest": guide + WIDTH,
                "guide": guide,
                "traded": guide,
            }
            for position, (market, guide) in enumerate(GUIDE.items())
        ]
        return CycleInput(
            orders=_columns(Orders, self.orders),
            named=_columns(NamedRates, self.named),
            markets=_columns(Markets, markets),
            listings=_columns(OpenListings, self.listings),
            held=_columns(Held, self.held),
        )


def _ran(seen: CycleInput) -> PastCycle:
    """The cycle run, and remembered with all its parts."""
    result = run_markets(seen)
    borrower = dict(
        zip(seen.listings.listing_id.tolist(), seen.listings.borrower_id.tolist(), strict=True)
    )
    did, funded, given = {}, {}, []
    for one in result.markets:
        loans = np.unique(one.parts.listing_id).tolist()
        marginal = int(one.parts.rate.max()) if loans else None
        wanted = int((seen.listings.market_id == one.market_id).sum())
        did[one.market_id] = MarketDid(wanted, len(loans), marginal)
        funded[one.market_id] = [borrower[listing] for listing in loans]
        parts = (one.parts.offer_id, one.parts.lender_id, one.parts.listing_id, one.parts.amount)
        for offer, lender, listing, amount in zip(*(c.tolist() for c in parts), strict=True):
            given.append((offer, lender, one.market_id, borrower[listing], amount))
    return PastCycle(seen, did, funded, Given(*np.array(given, dtype=np.int64).reshape(-1, 5).T))


def _answers(book: Book) -> dict[tuple[int, int], MatchAnswer]:
    return last_answers(_ran(book.seen()), list(range(1, len(book.orders) + 1)))


@pytest.fixture
def book() -> Book:
    """Nobody offers, and nobody asks."""
    return Book([], [], [], [])


def test_no_listing(book: Book) -> None:
    offer = book.offer(60_000)
    assert _answers(book) == {(offer, SAFE): A.NO_LISTING}


def test_listings_waited(book: Book) -> None:
    offer = book.offer(60_000, LOAN - 1_000)
    book.listing()
    assert _answers(book) == {(offer, SAFE): A.LISTINGS_WAITED}


def test_matched_behind_others_and_too_dear(book: Book) -> None:
    first, second, dear = book.offer(60_000), book.offer(60_000), book.offer(61_000)
    book.listing()
    assert _answers(book) == {
        (first, SAFE): A.MATCHED,
        (second, SAFE): A.BEHIND_OTHERS,
        (dear, SAFE): A.RATE_TOO_HIGH,
    }


def test_pool_money_stands_behind_own_rates_at_the_guide_rate(book: Book) -> None:
    pool, own = book.offer(None), book.offer(GUIDE[SAFE])
    book.listing()
    assert _answers(book) == {(pool, SAFE): A.BEHIND_OTHERS, (own, SAFE): A.MATCHED}


def test_exposure_reached_by_what_is_held(book: Book) -> None:
    cheap, dear = book.offer(60_000, limit=20_000), book.offer(62_000)
    borrower = book.listing()
    book.held.append({"borrower_id": borrower, "lender_id": cheap, "pence": 19_500})
    # £5 of room is less than a step.
    assert _answers(book) == {(cheap, SAFE): A.EXPOSURE_REACHED, (dear, SAFE): A.MATCHED}


def test_exposure_reached_by_the_lenders_other_offer(book: Book) -> None:
    one = book.offer(60_000, limit=50_000)
    other = book.offer(62_000, limit=50_000, lender_id=one)
    third = book.offer(62_000, 50_000)
    book.listing()
    # £500 of the first is all that this lender gives one borrower; another's is needed besides.
    assert _answers(book) == {
        (one, SAFE): A.MATCHED,
        (other, SAFE): A.EXPOSURE_REACHED,
        (third, SAFE): A.MATCHED,
    }


def test_nobody_lends_to_themselves(book: Book) -> None:
    own, other = book.offer(60_000), book.offer(62_000)
    book.listing(who=own)
    assert _answers(book) == {(own, SAFE): A.EXPOSURE_REACHED, (other, SAFE): A.MATCHED}


def test_lent_in_an_earlier_market(book: Book) -> None:
    offer = book.offer(80_000, market=RISKY)  # implied in the safe market, which goes first
    other = book.offer(81_000, market=RISKY)
    book.listing()
    book.listing(market=RISKY)
    assert _answers(book) == {
        (offer, SAFE): A.MATCHED,
        (offer, RISKY): A.LENT_ELSEWHERE,
        (other, SAFE): A.RATE_TOO_HIGH,
        (other, RISKY): A.MATCHED,
    }


def test_the_pools_mix_is_reached(book: Book) -> None:
    pool = book.offer(None, available=60_000)
    # 40 % of £1,000 may lie in the risky market, and £395 lie there.
    book.name(pool, None, RISKY, share=400_000, lent=39_500)
    book.listing(market=RISKY)
    assert _answers(book) == {(pool, SAFE): A.NO_LISTING, (pool, RISKY): A.MIX_REACHED}


def test_repaid_and_new_pool_money_count_together(book: Book) -> None:
    pool = book.offer(None, available=70_000, repaid=10_000)
    # Of £400 for the risky market £300 lie there: what was repaid fills the rest of the mix, and
    # new money has no room beside it.
    book.name(pool, None, RISKY, share=400_000, lent=30_000)
    own = book.offer(GUIDE[RISKY], market=RISKY)
    book.listing(market=RISKY)
    answers = _answers(book)
    assert (answers[pool, RISKY], answers[own, RISKY]) == (A.BEHIND_OTHERS, A.MATCHED)


def test_out_of_bounds_where_it_was_named_and_silent_where_it_was_implied(book: Book) -> None:
    named = book.offer(GUIDE[SAFE] + WIDTH + 1)
    implied = book.offer(GUIDE[RISKY] + WIDTH, market=RISKY)
    book.listing()
    assert _answers(book) == {(named, SAFE): A.OUT_OF_BOUNDS, (implied, RISKY): A.NO_LISTING}


def test_who_was_not_there_or_was_not_asked_about_is_not_in_it(book: Book) -> None:
    book.offer(60_000)
    past = _ran(book.seen())
    assert last_answers(past, [2]) == {}
    assert last_answers(past, []) == {}
    with pytest.raises(ShapeRefused):
        last_answers(past, [1.0])


_UNITS = st.integers(1, 12).map(lambda units: units * 10_000)
_OFFER = st.tuples(
    st.sampled_from([None, 58_000, 60_000, 61_000, 80_000, 95_000]),
    st.sampled_from([SAFE, RISKY]),
    _UNITS,
    st.integers(1, 4),
    st.integers(1, 3),
)
_LISTING = st.tuples(st.sampled_from([SAFE, RISKY]), _UNITS, st.sampled_from([61_000, 200_000]))
_HELD_ROW = st.tuples(st.integers(1, 4), st.integers(1, 6), st.integers(1, 30_000))


@given(
    st.lists(_OFFER, max_size=7), st.lists(_LISTING, max_size=5), st.lists(_HELD_ROW, max_size=6)
)
@settings(max_examples=150, deadline=None)
def test_every_answer_is_true(
    offers: list[tuple[int | None, int, int, int, int]],
    listings: list[tuple[int, int, int]],
    held: list[tuple[int, int, int]],
) -> None:
    book = Book([], [], [], [])
    for rate, market, amount, lender, divisor in offers:
        limit = {} if rate is None else {"limit": max(amount // divisor // 1_000, 1) * 1_000}
        book.offer(rate, amount, market=market, lender_id=lender, **limit)
    for number, (market, amount, highest) in enumerate(listings):
        # The first borrower is the first lender.
        book.listing(amount, market=market, highest=highest, who=0 if number else 1)
    for lender, listing, pence in held:
        borrower = 1 if listing == 1 else 100 + listing
        book.held.append({"borrower_id": borrower, "lender_id": lender, "pence": pence})
    past = _ran(book.seen())
    answers = last_answers(past, list(range(1, len(offers) + 1)))
    lent = set(zip(past.given.offer_id.tolist(), past.given.market_id.tolist(), strict=True))
    assert {key for key, answer in answers.items() if answer is A.MATCHED} == lent
    for (offer, market), answer in answers.items():
        _check(book, past, offer, market, answer)


def _check(book: Book, past: PastCycle, offer: int, market: int, answer: MatchAnswer) -> None:
    """What an answer says, looked up by hand."""
    order, [asked] = book.orders[offer - 1], [r for r in book.named if r["offer_id"] == offer]
    did = past.did[market]
    rate = asked.get("rate", GUIDE[market])
    limit = order.get("limit", order["amount"]) // 1_000 * 1_000
    given = list(zip(*(getattr(past.given, f.name).tolist() for f in fields(Given)), strict=True))
    rooms = []
    for borrower in past.funded[market]:
        owes = sum(
            row["pence"]
            for row in book.held
            if (row["lender_id"], row["borrower_id"]) == (order["lender_id"], borrower)
        ) + sum(row[4] for row in given if (row[1], row[3]) == (order["lender_id"], borrower))
        rooms.append(0 if borrower == order["lender_id"] else limit - owes)
    spent = sum(row[4] for row in given if row[0] == offer)
    match answer:
        case A.NO_LISTING:
            assert did.listings == 0
        case A.LISTINGS_WAITED:
            assert did.listings > 0 == did.loans
        case A.LENT_ELSEWHERE:
            assert spent > order["available"] - 1_000
        case A.RATE_TOO_HIGH:
            assert did.marginal_rate is not None
            assert rate > did.marginal_rate
        case A.EXPOSURE_REACHED:
            assert min(rooms) < 1_000
        case A.BEHIND_OTHERS:
            assert rate == did.marginal_rate
            assert max(rooms) >= 1_000
        case A.OUT_OF_BOUNDS:
            assert abs(rate - GUIDE[market]) > WIDTH
        case _:
            assert answer is A.MATCHED
