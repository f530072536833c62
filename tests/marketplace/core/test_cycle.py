"""One cycle over several markets: worked examples, and an input that can be kept."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from marketplace.core.clearing import Outcome
from marketplace.core.cycle import CycleInput, CycleResult, run_markets
from marketplace.core.errors import LoanAmountRefused

from .test_cycle_laws import Cycle, Listing, World
from .test_standing import LADDER, OWN, PEG, POOL, WHOLE, Ask, Market, Order, pool

SHORT, LONG = Market(1, 36, 0), Market(11, 60, 0)
BOTH = [SHORT, LONG]
DEAR = 150_000  # a highest rate above everything here

Row = tuple[int, int, int, int]


def cycle(
    orders: list[Order],
    asks: list[Ask],
    listings: list[Listing],
    *,
    markets: list[Market] = BOTH,
    held: list[tuple[int, int, int]] | None = None,
) -> CycleInput:
    """An input as arrays."""
    return Cycle(World(orders, asks, markets), listings, held or []).seen()


def parts(result: CycleResult) -> list[Row]:
    """Listing, offer, rate and pence of each part."""
    found = result.parts
    columns = (found.listing_id, found.offer_id, found.rate, found.amount)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def outcomes(result: CycleResult) -> dict[int, Outcome]:
    return {one.listing_id: one.outcome for one in result.outcomes}


TWICE = [Ask(5, 1, rate=70_000, place=1), Ask(5, 11, rate=75_000, place=2)]
TWO_LOANS = [Listing(1, 101, 90, 6_000, DEAR), Listing(11, 102, 91, 6_000, DEAR)]


def test_what_one_market_took_is_gone_for_the_next() -> None:
    # £100 stand in both markets. The first takes £60 of them; £40 don't fund the other's £60.
    result = run_markets(cycle([Order(5)], TWICE, TWO_LOANS))
    assert parts(result) == [(101, 5, 70_000, 6_000)]
    assert outcomes(result) == {101: Outcome.FUNDED, 102: Outcome.NOT_ENOUGH_OFFERS}
    assert result.taken.tolist() == [6_000]
    assert [(one.market_id, one.entries, one.on_offer) for one in result.markets] == [
        (1, 1, 10_000),
        (11, 1, 4_000),
    ]
    # The markets in the other order: the other loan is funded.
    turned = run_markets(cycle([Order(5)], TWICE, TWO_LOANS, markets=[LONG, SHORT]))
    assert parts(turned) == [(102, 5, 75_000, 6_000)]
    assert outcomes(turned) == {101: Outcome.NOT_ENOUGH_OFFERS, 102: Outcome.FUNDED}


def test_markets_share_an_offer_as_far_as_it_goes() -> None:
    listings = [TWO_LOANS[0], TWO_LOANS[1]._replace(amount=4_000)]
    result = run_markets(cycle([Order(5)], TWICE, listings))
    assert parts(result) == [(101, 5, 70_000, 6_000), (102, 5, 75_000, 4_000)]
    assert result.taken.tolist() == [10_000]


def test_the_limit_per_borrower_counts_over_markets_and_offers() -> None:
    # Borrower 90 looks for £40 over three years and £40 over five. Offer 5 has a limit of £50, and
    # its lender holds £10.01 of the borrower, which counts as two steps: £30 are left. Offer 6, of
    # the same lender, has a limit of £70: £20 more. The rest comes from lender 8 at 9 %.
    orders = [Order(5, limit=5_000), Order(6, limit=7_000), Order(7, lender_id=8)]
    asks = [
        Ask(offer, market, rate=rate, place=2 * offer + (market == 11))
        for offer, rate in ((5, 70_000), (6, 80_000), (7, 90_000))
        for market in (1, 11)
    ]
    listings = [Listing(1, 101, 90, 4_000, DEAR), Listing(11, 102, 90, 4_000, DEAR)]
    result = run_markets(cycle(orders, asks, listings, held=[(90, 7, 1_001), (91, 7, 9_000)]))
    assert parts(result) == [
        (101, 5, 70_000, 3_000),
        (101, 6, 80_000, 1_000),
        (102, 6, 80_000, 1_000),
        (102, 7, 90_000, 3_000),
    ]
    assert result.parts.limit.tolist() == [5_000, 7_000, 7_000, 10_000]


def test_nobody_lends_to_themselves_in_any_market() -> None:
    listings = [one._replace(borrower_id=7) for one in TWO_LOANS]
    result = run_markets(cycle([Order(5, lender_id=7)], TWICE, listings))
    assert parts(result) == []
    assert set(outcomes(result).values()) == {Outcome.NOT_ENOUGH_OFFERS}


MIXED = [Ask(5, 1, POOL, share=WHOLE, place=1), Ask(5, 11, POOL, share=WHOLE, place=2)]


def test_repaid_money_is_used_first_and_once() -> None:
    # £100, of which £30 came back. The first market takes £20, all repaid; the second takes £50:
    # £10 that came back and £40 of new money, which are one part.
    listings = [TWO_LOANS[0]._replace(amount=2_000), TWO_LOANS[1]._replace(amount=5_000)]
    result = run_markets(cycle([pool(5, repaid=3_000)], MIXED, listings))
    assert parts(result) == [(101, 5, 80_000, 2_000), (102, 5, 80_000, 5_000)]
    assert result.parts.pricing.tolist() == [POOL, POOL]
    assert (result.taken.tolist(), result.repaid_taken.tolist()) == ([7_000], [3_000])


def test_repaid_money_of_one_goes_before_new_money_of_another() -> None:
    # A loan of £40: £30 that came back to offer 6, set later, then £10 of new money. Offer 5 has
    # .5 of its money idle, offer 6 has 1.0: the new money is offer 6's as well.
    orders = [pool(5, amount=20_000), pool(6, repaid=3_000)]
    asks = [Ask(offer, 1, POOL, share=WHOLE, place=offer) for offer in (5, 6)]
    result = run_markets(cycle(orders, asks, [TWO_LOANS[0]._replace(amount=4_000)]))
    assert parts(result) == [(101, 6, 80_000, 4_000)]
    assert result.repaid_taken.tolist() == [0, 3_000]
    # With .9 of its money idle against 1.0 of offer 5, only what came back is offer 6's.
    orders = [pool(5), pool(6, available=9_000, repaid=3_000)]
    result = run_markets(cycle(orders, asks, [TWO_LOANS[0]._replace(amount=4_000)]))
    assert parts(result) == [(101, 6, 80_000, 3_000), (101, 5, 80_000, 1_000)]


@pytest.mark.parametrize(("second", "funded"), [(6_000, True), (7_000, False)])
def test_new_money_fills_a_mix_whose_repaid_money_went_elsewhere(second: int, funded: bool) -> None:  # noqa: FBT001
    # £100, of which £30 came back; at most £60 in each market. The first takes the £30. In the
    # second, £60 of the £70 that are left may lie, all of them new money; £70 may not.
    asks = [ask._replace(share=600_000) for ask in MIXED]
    listings = [TWO_LOANS[0]._replace(amount=3_000), TWO_LOANS[1]._replace(amount=second)]
    result = run_markets(cycle([pool(5, repaid=3_000)], asks, listings))
    assert (outcomes(result)[102] is Outcome.FUNDED) == funded
    assert result.taken.tolist() == [3_000 + second * funded]
    assert result.repaid_taken.tolist() == [3_000]


def test_a_mix_all_of_repaid_money_at_first_takes_new_money_later() -> None:
    # At most £30 in each market, and £30 of the £100 came back: no new money has room in either,
    # until the first market has taken what came back.
    asks = [ask._replace(share=300_000) for ask in MIXED]
    listings = [one._replace(amount=3_000) for one in TWO_LOANS]
    result = run_markets(cycle([pool(5, repaid=3_000)], asks, listings))
    assert (result.taken.tolist(), result.repaid_taken.tolist()) == ([6_000], [3_000])


def test_implied_rates_and_pegs_lend_at_what_they_stand_at() -> None:
    # Offer 5 asks 9 % of band 3, which implies band 1; offer 6 is pegged to band 2's 7 % and 1 %.
    ladder = [LADDER[0], LADDER[1]._replace(traded=70_000), LADDER[2]]
    asks = [Ask(5, 3, rate=90_000, place=1), Ask(6, 2, PEG, margin=10_000, floor=50_000, place=2)]
    listing = Listing(1, 101, 90, 15_000, DEAR)
    result = run_markets(cycle([Order(5), Order(6, 8)], asks, [listing], markets=ladder))
    assert parts(result) == [(101, 6, 80_000, 10_000), (101, 5, 90_000, 5_000)]
    assert result.parts.pricing.tolist() == [PEG, OWN]
    assert result.parts.lender_id.tolist() == [8, 7]
    assert [one.best_rate for one in result.markets] == [80_000, 80_000, 90_000]


def test_loans_come_by_market_and_in_order_of_arrival() -> None:
    listings = [
        Listing(11, 101, 90, 1_000, DEAR),
        Listing(1, 104, 91, 1_000, DEAR),
        Listing(1, 102, 92, 1_000, DEAR),
    ]
    result = run_markets(cycle([Order(5)], TWICE, listings))
    assert [part[0] for part in parts(result)] == [102, 104, 101]
    assert [one.listing_id for one in result.outcomes] == [102, 104, 101]


def test_without_offers_listings_or_markets_nothing_happens() -> None:
    nobody = run_markets(cycle([], TWICE, TWO_LOANS))
    assert set(outcomes(nobody).values()) == {Outcome.NOT_ENOUGH_OFFERS}
    assert [one.best_rate for one in nobody.markets] == [None, None]
    no_listing = run_markets(cycle([Order(5)], TWICE, []))
    assert (parts(no_listing), no_listing.outcomes) == ([], [])
    assert no_listing.taken.tolist() == [0]
    no_market = run_markets(cycle([Order(5)], TWICE, TWO_LOANS, markets=[]))
    assert (parts(no_market), no_market.markets) == ([], ())


def test_a_listing_off_the_step_is_refused() -> None:
    with pytest.raises(LoanAmountRefused):
        run_markets(cycle([Order(5)], TWICE, [TWO_LOANS[0]._replace(amount=1_500)]))


def full() -> CycleInput:
    """An input with two rows of everything, no figure like another in its column."""
    orders = [Order(5, 7, 20_000, 10_000, 3_000, 10_000, 0), Order(6, 8, 9_000, 8_000, 1_000, 0, 9)]
    asks = [Ask(5, 1, 0, 70_000, 1, 2, 3, 4, 5), Ask(6, 11, 2, 80_000, 6, 7, 8, 9, 10)]
    markets = [Market(1, 36, 0, 1, 2, 3, 4), Market(11, 60, 1, 5, 6, 7, 8)]
    listings = [Listing(1, 101, 90, 6_000, 9), Listing(11, 102, 91, 5_000, 8)]
    return cycle(orders, asks, listings, markets=markets, held=[(90, 7, 100), (91, 8, 200)])


def test_the_digest_changes_with_every_figure_and_its_place() -> None:
    seen = full()
    digests = {seen.digest()}
    changes = 0
    for block in fields(seen):
        arrays = getattr(seen, block.name)
        for field in fields(arrays):
            column = getattr(arrays, field.name)
            for other in (column + np.array([1, 0]), column + np.array([0, 1]), column[::-1]):
                changed = replace(arrays, **{field.name: other})
                digests.add(replace(seen, **{block.name: changed}).digest())
                changes += 1
    assert changes == 3 * (7 + 9 + 7 + 5 + 3)
    assert len(digests) == 1 + changes


def test_the_digest_tells_columns_and_lengths_apart() -> None:
    # The same figures in the same order, but for the column that one of them ends.
    seen = full()
    empty = np.zeros(0, dtype=np.int64)
    held = seen.held
    one = replace(held, borrower_id=np.array([1, 2]), lender_id=empty, pence=empty)
    two = replace(held, borrower_id=np.array([1]), lender_id=np.array([2]), pence=empty)
    three = replace(held, borrower_id=empty, lender_id=np.array([1, 2]), pence=empty)
    assert len({replace(seen, held=each).digest() for each in (one, two, three)}) == 3


def test_the_order_of_markets_is_part_of_the_digest() -> None:
    # Another order of clearing may give another result, so it is another input.
    one = cycle([Order(5)], TWICE, TWO_LOANS)
    two = cycle([Order(5)], TWICE, TWO_LOANS, markets=[LONG, SHORT])
    assert one.digest() != two.digest()


def test_what_is_kept_is_what_was_seen() -> None:
    seen = full()
    kept = CycleInput.unpacked(seen.packed())
    for block in fields(seen):
        for field in fields(getattr(seen, block.name)):
            before, after = (
                getattr(getattr(each, block.name), field.name) for each in (seen, kept)
            )
            assert after.dtype == np.int64
            assert np.array_equal(before, after)
    assert kept.digest() == seen.digest()
    assert kept.packed() == seen.packed()


def test_the_digest_is_the_same_for_ever() -> None:
    # SHA-256 of each column's name, length and figures as eight bytes, the highest first. Columns
    # are in the order of the definitions: 31 of them, here all empty.
    import hashlib

    nothing = cycle([], [], [], markets=[])
    named = {
        "orders": "offer_id lender_id amount available repaid limit share",
        "named": "offer_id market_id pricing rate margin floor share lent place",
        "markets": "market_id term_months position lowest highest guide traded",
        "listings": "market_id listing_id borrower_id amount highest_rate",
        "held": "borrower_id lender_id pence",
    }
    text = "".join(f"{block}.{name}:0|" for block, all_ in named.items() for name in all_.split())
    assert nothing.digest() == hashlib.sha256(text.encode()).digest()
    held = cycle([], [], [], markets=[], held=[(1, 2, 258)])
    one, two, pence = (bytes(7) + b"\1", bytes(7) + b"\2", bytes(6) + b"\1\2")
    start = text[: text.index("held.")].encode()
    tail = b"held.borrower_id:1|%sheld.lender_id:1|%sheld.pence:1|%s" % (one, two, pence)
    assert held.digest() == hashlib.sha256(start + tail).digest()
