"""Changing, pausing and cancelling: what keeps the place in the queue, and what it does to money.

The place is shown by whom a later cycle takes: a rival asks the same rate, placed after the offer
and before the change, and there is one loan that either of the two could fund alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import pytest

from accounts.models import Entry, Member
from accounts.selectors.ledger import check_book, member_balances
from accounts.services.posting import IdempotencyConflict, NotEnoughMoney
from marketplace.core.errors import MarketplaceRefusal
from marketplace.core.offers import OfferRefused, Peg
from marketplace.core.states import OfferState
from marketplace.models import Offer, OfferRate
from marketplace.selectors.audit import audit
from marketplace.services.changing_offers import (
    ChangedOffer,
    OfferChange,
    OfferUnknown,
    cancel_offer,
    change_offer,
    pause_offer,
    resume_offer,
)
from marketplace.services.offering import Draft, OfferDraft, PoolDraft, place_offers
from tests.marketplace.house import House, borrowers, cycle, key, listing, offer, parts_of
from tests.world import ACTOR, DAY, enrol_lenders

WHOLE = 1_000_000
LATER = date(2016, 4, 5)


@dataclass(frozen=True)
class Stand:
    """An offer of £1,500, and a rival's of £1,000 behind it; each lender has £5,000 in all."""

    house: House
    lender: Member
    rival: Member
    offer_id: int

    def change(self, change: OfferChange, **wanted: Any) -> ChangedOffer:
        arguments = {"on": LATER, "actor": ACTOR, "key": key(), **wanted}
        return change_offer(
            offer_id=self.offer_id, lender_id=self.lender.pk, change=change, **arguments
        )

    @property
    def who(self) -> dict[str, Any]:
        return {"offer_id": self.offer_id, "lender_id": self.lender.pk, "actor": ACTOR}

    def goes_first(self) -> bool:
        """Whether the offer, and not its rival, funds a loan of £1,000."""
        listed = listing(self.house, borrowers(1)[0], 100_000)
        cycle()
        [(lender, _, size)] = parts_of(listed)
        assert size == 100_000
        return lender == self.lender.pk

    def market(self, name: str) -> int:
        return self.house.markets[name].market_id


def stand(house: House, draft: Callable[[int, int], Draft]) -> Stand:
    """Both offers by ``draft``, which is given a lender and pence."""
    lender, rival = enrol_lenders([500_000, 500_000])
    first, _ = place_offers(
        drafts=[draft(lender.pk, 150_000), draft(rival.pk, 100_000)], on=DAY, actor=ACTOR, key=key()
    )
    return Stand(house, lender, rival, first)


def own(house: House) -> Stand:
    """Own rates in two markets, limited to £1,100 a borrower."""
    rates = house.named({"A/36": 70_000, "B/36": 80_000})
    return stand(house, lambda who, pence: OfferDraft(who, pence, min(pence, 110_000), rates))


def pegged(house: House) -> Stand:
    """Pegs half a per cent above the traded rate, which is the guide rate of 6.8 % or so."""
    market = house.markets["A/36"]
    peg = {market.market_id: Peg(5_000, market.lowest_rate)}
    return stand(house, lambda who, pence: OfferDraft(who, pence, pence, peg))


def pooled(house: House) -> Stand:
    """The pool, both with all of their money idle."""
    mix = house.named({"A/36": WHOLE, "B/36": WHOLE})
    return stand(
        house, lambda who, pence: PoolDraft(who, pence, 900_000 if pence > 100_000 else WHOLE, mix)
    )


@pytest.mark.parametrize("make", [own, pegged, pooled])
def test_a_rival_stands_behind(house: House, make: Callable[[House], Stand]) -> None:
    assert make(house).goes_first()


@pytest.mark.parametrize(
    "change",
    [
        OfferChange(available=100_000),
        OfferChange(exposure_limit=100_000),
        OfferChange(tops_up=True),
        OfferChange(available=100_000, exposure_limit=100_000, tops_up=True),
        OfferChange(available=150_000, exposure_limit=110_000),  # the same as before
    ],
)
def test_asking_less_keeps_the_place(house: House, change: OfferChange) -> None:
    placed = own(house)
    assert placed.change(change).keeps_place
    assert placed.goes_first()


@pytest.mark.parametrize(
    "change",
    [
        OfferChange(available=151_000),
        OfferChange(exposure_limit=111_000),
        OfferChange(available=120_000, exposure_limit=111_000),
        OfferChange(available=151_000, exposure_limit=100_000),
    ],
)
def test_asking_more_goes_to_the_back(house: House, change: OfferChange) -> None:
    placed = own(house)
    assert not placed.change(change).keeps_place
    assert not placed.goes_first()


@pytest.mark.parametrize(
    ("rates", "keeps", "first"),
    [
        ({"A/36": 70_000, "B/36": 80_000}, True, True),  # the same as before
        ({"A/36": 70_000}, True, True),  # a market fewer
        ({"A/36": 70_000, "B/36": 81_000}, False, True),  # the place in B/36 alone is lost
        ({"A/36": 70_000, "C/36": 90_000}, False, True),
        ({"A/36": 70_001, "B/36": 80_000}, False, False),
        ({"A/36": 69_999, "B/36": 80_000}, False, True),  # cheaper than the rival
        ({"B/36": 70_000}, False, False),  # implied in A/36 at the same rate, from a later place
    ],
)
def test_a_place_goes_with_its_rate(
    house: House, rates: dict[str, int], *, keeps: bool, first: bool
) -> None:
    placed = own(house)
    assert placed.change(OfferChange(rates=house.named(rates))).keeps_place == keeps
    assert placed.goes_first() == first


def test_there_and_back_loses_the_place(house: House) -> None:
    placed = own(house)
    for rate in (71_000, 70_000):
        rates = house.named({"A/36": rate, "B/36": 80_000})
        assert not placed.change(OfferChange(rates=rates)).keeps_place
    assert not placed.goes_first()


@pytest.mark.parametrize(
    ("margin", "floor", "keeps"), [(5_000, 0, True), (5_000, 1, False), (5_001, 0, False)]
)
def test_a_pegs_place_goes_with_margin_and_floor(
    house: House, margin: int, floor: int, *, keeps: bool
) -> None:
    placed = pegged(house)
    market = house.markets["A/36"]
    rates = {market.market_id: Peg(margin, market.lowest_rate + floor)}
    assert placed.change(OfferChange(rates=rates)).keeps_place == keeps
    assert placed.goes_first() == keeps


def test_an_own_rate_where_the_peg_stood_is_another_rate(house: House) -> None:
    placed = pegged(house)
    market = house.markets["A/36"]
    same = {market.market_id: market.guide_rate + 5_000}
    assert not placed.change(OfferChange(rates=same)).keeps_place
    assert not placed.goes_first()


@pytest.mark.parametrize(
    ("change", "keeps"),
    [
        (OfferChange(available=120_000), True),
        (OfferChange(exposure_share=850_000), True),
        (OfferChange(available=151_000), False),
        (OfferChange(exposure_share=900_001), False),
    ],
)
def test_pool_money_keeps_its_place_by_the_same_rule(
    house: House, change: OfferChange, *, keeps: bool
) -> None:
    placed = pooled(house)
    assert placed.change(change).keeps_place == keeps
    assert placed.goes_first() == keeps


@pytest.mark.parametrize(
    ("mix", "keeps", "first"),
    [
        ({"A/36": WHOLE}, True, True),
        ({"A/36": WHOLE, "B/36": 500_000}, False, True),
        ({"A/36": 900_000, "B/36": WHOLE}, False, False),
    ],
)
def test_a_mix_keeps_the_place_of_shares_that_stay(
    house: House, mix: dict[str, int], *, keeps: bool, first: bool
) -> None:
    placed = pooled(house)
    assert placed.change(OfferChange(mix=house.named(mix))).keeps_place == keeps
    assert placed.goes_first() == first


def test_pausing_lends_nothing_and_keeps_the_place(house: House) -> None:
    placed = own(house)
    who = placed.who
    pause_offer(**who, key=key())
    assert not placed.goes_first()
    assert Offer.objects.get(pk=placed.offer_id).available == 150_000
    assert member_balances(placed.lender.pk).on_offer == 150_000
    assert placed.change(OfferChange(exposure_limit=100_000)).keeps_place
    # Somebody new asks the same, and stands behind the one who was away.
    offer(house, placed.rival, 100_000, {"A/36": 70_000})
    resume_offer(**who, key=key())
    assert placed.goes_first()


def test_a_paused_offer_can_be_cancelled(house: House) -> None:
    placed = own(house)
    who = placed.who
    pause_offer(**who, key=key())
    assert cancel_offer(**who, on=LATER, key=key()) == 150_000
    assert member_balances(placed.lender.pk).cash == 500_000
    for act in (pause_offer, resume_offer):
        with pytest.raises(OfferUnknown):
            act(**who, key=key())


@pytest.mark.parametrize(("act", "first"), [(pause_offer, True), (resume_offer, False)])
def test_pausing_twice_or_resuming_what_is_open_is_refused(
    house: House, act: Callable[..., None], *, first: bool
) -> None:
    placed = own(house)
    who = placed.who
    once = key()
    if first:
        act(**who, key=once)
        act(**who, key=once)  # asked again, it is the same answer
    with pytest.raises(OfferRefused) as refusal:
        act(**who, key=key())
    assert refusal.value.field == "offer"
    assert "already" in refusal.value.message


def test_money_moves_between_cash_and_offer_to_the_penny(house: House) -> None:
    placed = own(house)
    cash = 350_000
    for available, moved in (
        (151_000, 1_000),
        (0, -151_000),
        (500_000, 500_000),
        (499_000, -1_000),
    ):
        assert placed.change(OfferChange(available=available)).moved == moved
        cash -= moved
        balances = member_balances(placed.lender.pk)
        assert (balances.cash, balances.on_offer) == (cash, available)
        stored = Offer.objects.get(pk=placed.offer_id)
        assert (stored.amount, stored.available) == (available, available)
    kinds = Entry.objects.filter(effective_on=LATER).order_by("pk").values_list("kind", flat=True)
    assert list(kinds) == ["offer_placed", "offer_cancelled", "offer_placed", "offer_cancelled"]
    assert check_book().holds
    assert all(finding.holds for finding in audit())


def test_matched_money_is_not_part_of_a_change(house: House) -> None:
    placed = own(house)
    assert placed.goes_first()
    # £1,000 of £1,500 are lent. £300 of the £500 that are left go back: £1,300 stay placed.
    assert placed.change(OfferChange(available=20_000)).moved == -30_000
    balances = member_balances(placed.lender.pk)
    assert (balances.cash, balances.on_offer, balances.matched) == (380_000, 20_000, 100_000)
    assert Offer.objects.get(pk=placed.offer_id).amount == 120_000
    assert all(finding.holds for finding in audit())


def test_a_change_beyond_the_cash_leaves_everything_as_it_was(house: House) -> None:
    placed = own(house)
    once = key()
    before = (
        Offer.objects.values().get(pk=placed.offer_id),
        list(OfferRate.objects.order_by("pk").values()),
    )
    beyond = OfferChange(
        available=501_000, exposure_limit=120_000, rates=house.named({"A/36": 71_000}), tops_up=True
    )
    with pytest.raises(NotEnoughMoney):
        placed.change(beyond, key=once)
    assert before == (
        Offer.objects.values().get(pk=placed.offer_id),
        list(OfferRate.objects.order_by("pk").values()),
    )
    assert member_balances(placed.lender.pk).cash == 350_000
    # The key is as good as new.
    assert placed.change(replace(beyond, available=500_000), key=once).moved == 350_000


OWN_REFUSED = [
    (OfferChange(), "offer"),
    (OfferChange(available=150_500), "available"),
    (OfferChange(available=-1_000), "available"),
    (OfferChange(exposure_limit=0), "exposure_limit"),
    (OfferChange(exposure_limit=1_500), "exposure_limit"),
    (OfferChange(exposure_limit=151_000), "exposure_limit"),
    (OfferChange(available=100_000, exposure_limit=101_000), "exposure_limit"),
    (OfferChange(rates={}), "rates"),
    (OfferChange(rates={999_999: 70_000}), "rates"),
    (OfferChange(rates={2: 1}), "rates"),
    (OfferChange(rates={2: Peg(0, 0)}), "rates"),
    (OfferChange(mix={2: WHOLE}), "mix"),
    (OfferChange(exposure_share=WHOLE), "exposure_share"),
]
POOL_REFUSED = [
    (OfferChange(), "offer"),
    (OfferChange(available=150_001), "available"),
    (OfferChange(rates={2: 70_000}), "rates"),
    (OfferChange(exposure_limit=1_000), "exposure_limit"),
    (OfferChange(exposure_share=0), "exposure_share"),
    (OfferChange(exposure_share=WHOLE + 1), "exposure_share"),
    (OfferChange(exposure_share=6_666), "exposure_share"),  # of £1,500 that is £9.99
    (OfferChange(mix={}), "mix"),
    (OfferChange(mix={2: 999_999}), "mix"),
    (OfferChange(mix={2: WHOLE, 3: 0}), "mix"),
]


@pytest.mark.parametrize(
    ("make", "change", "field"),
    [*((own, *each) for each in OWN_REFUSED), *((pooled, *each) for each in POOL_REFUSED)],
)
def test_what_no_new_offer_could_ask_is_refused(
    house: House, make: Callable[[House], Stand], change: OfferChange, field: str
) -> None:
    assert house.markets["A/36"].market_id == 2
    placed = make(house)
    with pytest.raises(OfferRefused) as refusal:
        placed.change(change)
    assert (refusal.value.code, refusal.value.field) == ("OFFER_REFUSED", field)
    assert member_balances(placed.lender.pk).on_offer == 150_000
    assert placed.goes_first()


def test_nobody_changes_somebody_elses_offer_or_one_that_is_gone(house: House) -> None:
    placed = own(house)
    everything: list[Callable[[int], object]] = [
        lambda who: change_offer(
            offer_id=placed.offer_id,
            lender_id=who,
            change=OfferChange(available=0),
            on=LATER,
            actor=f"member:{who}",
            key=key(),
        ),
        lambda who: pause_offer(
            offer_id=placed.offer_id, lender_id=who, actor=f"member:{who}", key=key()
        ),
        lambda who: resume_offer(
            offer_id=placed.offer_id, lender_id=who, actor=f"member:{who}", key=key()
        ),
    ]

    def refused(who: int) -> None:
        for act in everything:
            with pytest.raises(MarketplaceRefusal) as refusal:
                act(who)
            assert (refusal.value.code, refusal.value.field) == ("OFFER_UNKNOWN", "offer")

    refused(placed.rival.pk)
    assert placed.change(OfferChange(tops_up=True)).keeps_place
    cancel_offer(
        offer_id=placed.offer_id, lender_id=placed.lender.pk, on=LATER, actor=ACTOR, key=key()
    )
    refused(placed.lender.pk)
    assert Offer.objects.get(pk=placed.offer_id).state == OfferState.CANCELLED


def test_a_change_is_carried_out_once(house: House) -> None:
    placed = own(house)
    once = key()
    change = OfferChange(available=200_000, rates=house.named({"A/36": 71_000}))
    answer = placed.change(change, key=once)
    assert answer == ChangedOffer(50_000, keeps_place=False)
    placed.change(OfferChange(available=180_000))
    # Asked again, even on another day, it is answered and nothing happens.
    assert placed.change(change, key=once, on=date(2016, 4, 6)) == answer
    assert member_balances(placed.lender.pk).on_offer == 180_000
    for other in (
        replace(change, available=201_000),
        replace(change, rates=house.named({"A/36": 72_000})),
        replace(change, rates={placed.market("A/36"): Peg(0, 71_000)}),
        replace(change, tops_up=False),
    ):
        with pytest.raises(IdempotencyConflict):
            placed.change(other, key=once)
    assert member_balances(placed.lender.pk).on_offer == 180_000


def test_an_own_rate_offer_and_a_pool_offer_of_one_lender_change_apart(house: House) -> None:
    [lender] = enrol_lenders([100_000])
    drafts: list[Draft] = [
        OfferDraft(lender.pk, 20_000, 1_000, house.named({"A/36": 70_000})),
        PoolDraft(lender.pk, 30_000, 100_000, house.named({"A/36": WHOLE})),
    ]
    one, two = place_offers(drafts=drafts, on=DAY, actor=ACTOR, key=key())
    change_offer(
        offer_id=two,
        lender_id=lender.pk,
        change=OfferChange(available=50_000),
        on=LATER,
        actor=ACTOR,
        key=key(),
    )
    assert [Offer.objects.get(pk=each).available for each in (one, two)] == [20_000, 50_000]
    assert member_balances(lender.pk).cash == 30_000
