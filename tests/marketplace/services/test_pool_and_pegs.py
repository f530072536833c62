"""Pegs and pool money through the services: what they follow, when they go, what they may lend."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from accounts.models import Member
from accounts.selectors.ledger import check_book, member_balances
from accounts.services.posting import IdempotencyConflict
from marketplace.core.cycle import CycleInput, run_markets
from marketplace.core.offers import OfferRefused, Peg
from marketplace.core.standing import Pricing
from marketplace.models import Cycle, CycleSight, Loan, Offer, Part
from marketplace.selectors.audit import audit
from marketplace.selectors.markets import list_markets
from marketplace.selectors.offers import offer_by_key
from marketplace.selectors.order_book import load_named, load_order_book, load_orders
from marketplace.selectors.traded import traded_rates
from marketplace.services.falling_due import fall_due
from marketplace.services.offering import OfferDraft, PoolDraft, place_offers
from marketplace.services.paying_out import pay_out
from marketplace.services.payments import distribute_cleared
from marketplace.services.topping_up import top_up_offers
from tests.marketplace.house import (
    DESIGN_PARTS,
    House,
    accept,
    borrowers,
    cycle,
    funded,
    key,
    listing,
    offer,
    paid_out,
    parts_of,
    pay,
    shares_of,
)
from tests.marketplace.statements import statements
from tests.world import ACTOR, CLEARED, DAY, FIRST_DUE, enrol_lenders

WHOLE = 1_000_000
A36 = "A/36"


def peg(
    house: House, lender: Member, amount: int, margin: int, floor: int, *, market: str = A36
) -> int:
    """One pegged offer without a tighter limit."""
    asked = {house.markets[market].market_id: Peg(margin, floor)}
    draft = OfferDraft(lender.pk, amount, amount, asked)
    [placed] = place_offers(drafts=[draft], on=DAY, actor=ACTOR, key=key())
    return placed


def pool(
    house: House,
    lender: Member,
    amount: int,
    mix: Mapping[str, int] | None = None,
    *,
    share: int = WHOLE,
    tops_up: bool = False,
) -> int:
    """One pool offer; all of it may lie in A/36 and with one borrower unless told otherwise."""
    draft = PoolDraft(lender.pk, amount, share, house.named(mix or {A36: WHOLE}), tops_up)
    [placed] = place_offers(drafts=[draft], on=DAY, actor=ACTOR, key=key())
    return placed


def rate_today(house: House, offer_id: int, on: date, market: str = A36) -> int:
    """At which rate an offer stands."""
    view = house.markets[market]
    [rate] = [
        one.rate
        for one in offer_by_key(offer_id, on).rates
        if (one.band, one.term_months) == (view.band, view.term_months)
    ]
    return rate


def test_without_trade_pegs_follow_the_guide_rate(house: House) -> None:
    [lender] = enrol_lenders([100_000])
    guide = house.markets[A36].guide_rate
    placed = peg(house, lender, 100_000, 5_000, 50_000)
    assert traded_rates(DAY) == {}
    assert rate_today(house, placed, DAY) == guide + 5_000
    listed = listing(house, borrowers(1)[0], 100_000)
    cycle()
    assert parts_of(listed) == [(lender.pk, guide + 5_000, 100_000)]
    assert Part.objects.get(loan__listing=listed).pricing == Pricing.PEG


def test_pegs_follow_the_traded_rate_of_own_rates(house: House) -> None:
    funded(house)
    # £480 at 6.9 % and £520 at 7.1 %: .48 x 69,000 + .52 x 71,000 = 33,120 + 36,920 = 70,040.
    a36 = house.markets[A36].market_id
    assert traded_rates(DAY) == {a36: 70_040}
    lender, other = enrol_lenders([100_000, 100_000])
    placed = peg(house, lender, 100_000, -1_040, 50_000)
    floored = peg(house, other, 100_000, -1_040, 69_500)
    assert rate_today(house, placed, DAY) == 69_000
    assert rate_today(house, floored, DAY) == 69_500
    # The safer band gets the rate of the one that was named, whatever is traded there.
    assert rate_today(house, placed, DAY, "A*/36") == 69_000
    listed = listing(house, borrowers(1)[0], 150_000)
    cycle()
    assert parts_of(listed) == [(lender.pk, 69_000, 100_000), (other.pk, 69_500, 50_000)]


def test_the_traded_rate_is_weighted_over_cycles_of_28_days(house: House) -> None:
    a36 = house.markets[A36].market_id
    days = [DAY, DAY + timedelta(days=10), DAY + timedelta(days=27)]
    for day, rate, amount in zip(days, (60_000, 70_000, 80_000), (100, 200, 100), strict=True):
        [lender] = enrol_lenders([amount * 1_000])
        offer(house, lender, amount * 1_000, {A36: rate})
        listing(house, borrowers(1)[0], amount * 1_000, on=day)
        assert cycle(day).loans == 1
    last = days[-1]
    for on, expected in (
        (DAY - timedelta(days=1), None),  # what comes later is not known
        (DAY, 60_000),
        (days[1], 66_667),  # (60 + 2 x 70) / 3 = 66.6667
        (last - timedelta(days=1), 66_667),
        (last, 70_000),  # (60 + 2 x 70 + 80) / 4: the first day is the 28th, and counts
        (last + timedelta(days=1), 73_333),  # (2 x 70 + 80) / 3: the first day is gone
        (last + timedelta(days=27), 80_000),
        (last + timedelta(days=28), None),
    ):
        assert traded_rates(on).get(a36) == expected


def test_pegs_and_pool_money_are_not_in_the_traded_rate(house: House) -> None:
    market = house.markets[A36]
    own, pegging, pooling = enrol_lenders([30_000, 30_000, 40_000])
    offer(house, own, 30_000, {A36: 64_000})
    peg(house, pegging, 30_000, -4_000, 50_000)
    pool(house, pooling, 40_000)
    listed = listing(house, borrowers(1)[0], 100_000)
    cycle()
    assert parts_of(listed) == [
        (own.pk, 64_000, 30_000),
        (pegging.pk, market.guide_rate - 4_000, 30_000),
        (pooling.pk, market.guide_rate, 40_000),
    ]
    assert traded_rates(DAY) == {market.market_id: 64_000}
    assert all(finding.holds for finding in audit())


def test_pegs_that_trade_alone_go_on_following_the_guide_rate(house: House) -> None:
    # Each asks 1 % more than what was traded. Were pegs in it, the rate would climb by itself.
    guide = house.markets[A36].guide_rate
    for _ in range(3):
        [lender] = enrol_lenders([100_000])
        peg(house, lender, 100_000, 10_000, 50_000)
        listed = listing(house, borrowers(1)[0], 100_000)
        cycle()
        assert parts_of(listed) == [(lender.pk, guide + 10_000, 100_000)]
    assert traded_rates(DAY) == {}


def test_a_cycle_fixes_its_pegs_at_the_cut_off(house: House) -> None:
    # Own rates trade at 6 % in A/36 in this very cycle; the peg there still counts the guide rate.
    guide = house.markets[A36].guide_rate
    own, pegging = enrol_lenders([60_000, 140_000])
    offer(house, own, 60_000, {A36: 60_000})
    peg(house, pegging, 140_000, 0, 50_000)
    first = listing(house, borrowers(1)[0], 100_000)
    cycle()
    assert parts_of(first) == [(own.pk, 60_000, 60_000), (pegging.pk, guide, 40_000)]
    second = listing(house, borrowers(1)[0], 100_000)
    cycle()
    assert parts_of(second) == [(pegging.pk, 60_000, 100_000)]


def test_the_pool_stands_behind_own_rates_and_pegs_of_its_rate(house: House) -> None:
    guide = house.markets[A36].guide_rate
    pooling, own, pegging, dearer = enrol_lenders([100_000] * 4)
    pool(house, pooling, 50_000)
    offer(house, dearer, 100_000, {A36: guide + 1})
    offer(house, own, 20_000, {A36: guide})
    peg(house, pegging, 20_000, 0, 50_000)
    listed = listing(house, borrowers(1)[0], 100_000)
    cycle()
    assert parts_of(listed) == [
        (own.pk, guide, 20_000),
        (pegging.pk, guide, 20_000),
        (pooling.pk, guide, 50_000),
        (dearer.pk, guide + 1, 10_000),
    ]


def test_a_share_limits_what_one_borrower_gets_of_the_pool(house: House) -> None:
    lenders = enrol_lenders([100_000, 40_000, 100_000])
    # 25 % of £1,000; 25 % of £400; 70.9 % of £1,000 in whole steps is £700.
    for lender, amount, share in zip(
        lenders, (100_000, 40_000, 100_000), (250_000, 250_000, 709_000), strict=True
    ):
        pool(house, lender, amount, share=share)
    beyond = listing(house, borrowers(1)[0], 106_000)
    within = listing(house, borrowers(1)[0], 105_000)
    cycle()
    # £250, £100 and £700 make £1,050, and no more for anybody. All are idle: time decides.
    assert parts_of(beyond) == []
    guide = house.markets[A36].guide_rate
    assert parts_of(within) == [
        (lender.pk, guide, most)
        for lender, most in zip(lenders, (25_000, 10_000, 70_000), strict=True)
    ]
    limits = Part.objects.order_by("number").values_list("limit", flat=True)
    assert list(limits) == [25_000, 10_000, 70_000]


def test_the_largest_idle_share_goes_first_then_time(house: House) -> None:
    half, whole, later = enrol_lenders([200_000, 300_000, 100_000])
    pool(house, half, 200_000)
    first = listing(house, borrowers(1)[0], 100_000)
    cycle()
    assert parts_of(first)[0][0] == half.pk
    pool(house, whole, 120_000)
    pool(house, later, 100_000)
    second = listing(house, borrowers(1)[0], 150_000)
    cycle()
    # Idle: £1,000 of £2,000, and all of the other two: £1,200, then £300 of the later £1,000.
    guide = house.markets[A36].guide_rate
    assert parts_of(second) == [(whole.pk, guide, 120_000), (later.pk, guide, 30_000)]
    third = listing(house, borrowers(1)[0], 100_000)
    cycle()
    # Now .5 and .7 are idle.
    assert parts_of(third) == [(later.pk, guide, 70_000), (half.pk, guide, 30_000)]


def test_repaid_pool_money_goes_before_new(house: House) -> None:
    first, second = enrol_lenders([120_000, 200_000])
    placed = pool(house, first, 100_000, tops_up=True)
    listed = listing(house, borrowers(1)[0], 100_000)
    cycle()
    loan = Loan.objects.get(listing=listed)
    accept(loan.pk)
    pay_out(loan_ids=[loan.pk], on=DAY, actor=ACTOR, key=key())
    fall_due(on=FIRST_DUE, actor=ACTOR)
    pay(loan.pk, loan.instalment, FIRST_DUE)
    distribute_cleared(on=CLEARED, actor=ACTOR)
    # One instalment of £30.6 or so, less a fee of 83p: two steps, and the rest waits.
    assert top_up_offers(on=CLEARED, actor=ACTOR).pence == 2_000
    stored = Offer.objects.get(pk=placed)
    assert (stored.available, stored.repaid) == (2_000, 2_000)
    pool(house, second, 200_000)
    # All of the second's money is idle and £20 of £1,000 of the first's: but those came back.
    listed = listing(house, borrowers(1)[0], 100_000, on=CLEARED)
    cycle(CLEARED)
    assert [(who, size) for who, _, size in parts_of(listed)] == [
        (first.pk, 2_000),
        (second.pk, 98_000),
    ]
    stored = Offer.objects.get(pk=placed)
    assert (stored.amount, stored.available, stored.repaid) == (100_000, 0, 0)
    assert check_book().holds
    assert all(finding.holds for finding in audit())


def test_a_mix_caps_what_lies_in_a_market_over_cycles(house: House) -> None:
    [lender] = enrol_lenders([200_000])
    mix = {A36: 600_000, "A/60": 600_000}
    placed = pool(house, lender, 200_000, mix)
    a36 = house.markets[A36].market_id
    lent = []
    for term in (36, 36, 60):
        listing(house, borrowers(1)[0], 100_000, term=term)
        lent.append(cycle().loans)
        named = load_named(load_orders())
        lies = dict(zip(named.market_id.tolist(), named.lent.tolist(), strict=True))
        assert lies.get(a36, 100_000) == 100_000
    # £1,200 of £2,000 may lie in A/36: £1,000 do, and £200 more don't fund a loan of £1,000.
    assert lent == [1, 0, 1]
    assert Offer.objects.get(pk=placed).available == 0


def test_principal_repaid_makes_room_in_the_mix(house: House) -> None:
    [lender] = enrol_lenders([300_000])
    pool(house, lender, 300_000, {A36: 500_000, "B/36": 500_000})
    listed = listing(house, borrowers(1)[0], 100_000)
    cycle()
    loan = Loan.objects.get(listing=listed)
    accept(loan.pk)
    pay_out(loan_ids=[loan.pk], on=DAY, actor=ACTOR, key=key())
    fall_due(on=FIRST_DUE, actor=ACTOR)
    pay(loan.pk, loan.instalment, FIRST_DUE)
    distribute_cleared(on=CLEARED, actor=ACTOR)
    [(got, _, _)] = shares_of(loan.pk, 1)
    assert got > 2_000
    book = load_order_book(CLEARED)
    # Half of £3,000 may lie there, and £1,000 less what came back does.
    rows = book.rows(house.markets[A36].market_id)
    assert book.standing.most[rows].tolist() == [150_000 - (100_000 - got)]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"amount": 1_500}, "amount"),
        ({"amount": 0}, "amount"),
        ({"exposure_share": 0}, "exposure_share"),
        ({"exposure_share": WHOLE + 1}, "exposure_share"),
        ({"exposure_share": 9_999}, "exposure_share"),  # of £1,000 that is £9.99
        ({"mix": {}}, "mix"),
        ({"mix": {1: 500_000, 2: 499_999}}, "mix"),
        ({"mix": {1: WHOLE, 2: WHOLE + 1}}, "mix"),
    ],
)
def test_pool_money_that_could_not_be_lent_is_refused(
    house: House, change: dict[str, Any], field: str
) -> None:
    [lender] = enrol_lenders([100_000])
    draft = PoolDraft(lender.pk, 100_000, 10_000, house.named({A36: WHOLE}))
    place_offers(
        drafts=[replace(draft, amount=50_000, exposure_share=20_000)],
        on=DAY,
        actor=ACTOR,
        key=key(),
    )
    with pytest.raises(OfferRefused) as refusal:
        place_offers(drafts=[replace(draft, **change)], on=DAY, actor=ACTOR, key=key())
    assert (refusal.value.code, refusal.value.field) == ("OFFER_REFUSED", field)
    assert member_balances(lender.pk).on_offer == 50_000


def test_pegs_that_could_not_stand_are_refused(house: House) -> None:
    [lender] = enrol_lenders([100_000])
    market = house.markets[A36]
    for margin, floor in (
        (0, market.highest_rate + 1),
        (0, 0),
        (market.highest_rate - market.lowest_rate + 1, market.lowest_rate),
    ):
        with pytest.raises(OfferRefused) as refusal:
            peg(house, lender, 10_000, margin, floor)
        assert refusal.value.field == "rates"
    assert not Offer.objects.exists()


def test_the_same_key_for_another_sort_of_offer_conflicts(house: House) -> None:
    [lender] = enrol_lenders([100_000])
    once = key()
    drafts = [PoolDraft(lender.pk, 10_000, WHOLE, house.named({A36: WHOLE}))]
    first = place_offers(drafts=drafts, on=DAY, actor=ACTOR, key=once)
    assert place_offers(drafts=drafts, on=DAY, actor=ACTOR, key=once) == first
    for other in (
        OfferDraft(lender.pk, 10_000, 10_000, house.named({A36: 70_000})),
        replace(drafts[0], tops_up=True),
        replace(drafts[0], mix=house.named({"A/60": WHOLE})),
    ):
        with pytest.raises(IdempotencyConflict):
            place_offers(drafts=[other], on=DAY, actor=ACTOR, key=once)
    assert member_balances(lender.pk).on_offer == 10_000


def test_a_stored_cycle_replays_to_its_parts(house: House) -> None:
    paid_out(house, [(69_000, 20_000), *DESIGN_PARTS])
    own, pegging, pooling = enrol_lenders([100_000] * 3)
    offer(house, own, 50_000, {"B/36": 80_000, "A/60": 71_000})
    peg(house, pegging, 60_000, 500, 50_000)
    pool(house, pooling, 90_000, {A36: WHOLE, "A/60": WHOLE})
    for term in (36, 60):
        listing(house, borrowers(1)[0], 100_000, term=term)
    view = cycle()
    assert view.loans == 1
    stored = Cycle.objects.get(pk=view.cycle_id)
    seen = CycleInput.unpacked(bytes(CycleSight.objects.get(cycle=stored).packed))
    assert seen.digest() == bytes(stored.input_digest)
    parts = run_markets(seen).parts
    rows = Part.objects.filter(loan__cycle=stored).order_by("loan__listing", "number")
    names = ("loan__listing", "offer_id", "lender_id", "rate", "size", "pricing", "limit")
    columns = (
        *(parts.listing_id, parts.offer_id, parts.lender_id),
        *(parts.rate, parts.amount, parts.pricing, parts.limit),
    )
    assert list(rows.values_list(*names)) == list(
        zip(*(column.tolist() for column in columns), strict=True)
    )


def test_the_order_book_takes_a_fixed_number_of_statements(house: House) -> None:
    lenders = enrol_lenders([100_000] * 12)
    views = list_markets()
    counts = []
    for group in (lenders[:2], lenders[2:]):
        for lender in group:
            offer(house, lender, 10_000, {"B/36": 80_000})
            peg(house, lender, 10_000, 0, 50_000)
            pool(house, lender, 10_000, {A36: 600_000, "A/60": 600_000})
        counts.append(statements(lambda: load_order_book(DAY, views)))
    # Orders, what they name, where pool money lies, and what was traded.
    assert counts == [5, 5]
