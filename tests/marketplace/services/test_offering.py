"""Offers: what may stand in the order book, what it does to the lender's money, and once only."""

from __future__ import annotations

from datetime import date

import pytest

from accounts.models import Entry
from accounts.selectors.ledger import check_book, member_balances
from accounts.services.idempotency import KeyRefused
from accounts.services.posting import IdempotencyConflict, NotEnoughMoney
from marketplace.core.offers import OfferRefused
from marketplace.core.states import OfferState
from marketplace.models import Offer, OfferRate
from marketplace.selectors.offers import offer_by_key
from marketplace.services.changing_offers import OfferUnknown, cancel_offer
from marketplace.services.offering import OfferDraft, place_offers
from tests.marketplace.house import House, borrowers, cycle, key, listing, offer
from tests.marketplace.statements import statements
from tests.world import ACTOR, DAY, HOUSE_TEXT, enrol_lenders


def _standing(offer_id: int) -> dict[str, tuple[int, str]]:
    """Rate and original market of each market that an offer stands in."""
    return {
        f"{row.band}/{row.term_months}": (row.rate, f"{row.named_in}/{row.term_months}")
        for row in offer_by_key(offer_id, DAY).rates
    }


def test_cash_becomes_money_on_offer(house: House) -> None:
    [lender] = enrol_lenders([100_000])
    placed = offer(house, lender, 64_000, {"A/36": 75_000}, limit=5_000)
    balances = member_balances(lender.pk)
    assert (balances.cash, balances.on_offer) == (36_000, 64_000)
    stored = Offer.objects.get(pk=placed)
    assert (stored.amount, stored.available, stored.exposure_limit) == (64_000, 64_000, 5_000)
    assert stored.state == OfferState.OPEN
    assert check_book().holds


@pytest.mark.parametrize(
    ("amount", "limit", "field", "words"),
    [
        (999, 999, "amount", "multiple of £10"),
        (0, 1_000, "amount", "from £10 up"),
        (-1_000, 1_000, "amount", "from £10 up"),
        (1_500, 1_000, "amount", "multiple of £10"),
        (2_000, 1_500, "exposure_limit", "multiple of £10"),
        (2_000, 0, "exposure_limit", "from £10 up"),
        (2_000, 3_000, "exposure_limit", "can't be more than the offer"),
    ],
)
def test_amounts_and_limits_are_steps_of_ten_pounds(
    house: House, amount: int, limit: int, field: str, words: str
) -> None:
    [lender] = enrol_lenders([100_000])
    draft = OfferDraft(lender.pk, amount, limit, house.named({"A/36": 70_000}))
    with pytest.raises(OfferRefused) as refusal:
        place_offers(drafts=[draft], on=DAY, actor=ACTOR, key=key())
    assert refusal.value.code == "OFFER_REFUSED"
    assert refusal.value.field == field
    assert words in refusal.value.message
    assert member_balances(lender.pk).cash == 100_000


@pytest.mark.parametrize("beyond", [-1, 1])
def test_a_rate_out_of_bounds_is_refused_naming_the_bounds(house: House, beyond: int) -> None:
    [lender] = enrol_lenders([100_000])
    market = house.markets["A/36"]
    bound = market.lowest_rate if beyond < 0 else market.highest_rate
    offer(house, lender, 1_000, {"A/36": bound})
    with pytest.raises(OfferRefused) as refusal:
        offer(house, lender, 1_000, {"A/36": bound + beyond})
    low, high = (f"{rate / 10_000:.2f} %" for rate in (market.lowest_rate, market.highest_rate))
    assert refusal.value.message == f"A rate in A/36 lies between {low} and {high}."
    assert refusal.value.field == "rates"


def test_an_unknown_market_and_no_market_at_all_are_refused(house: House) -> None:
    [lender] = enrol_lenders([100_000])
    for rates in ({999_999: 70_000}, {}):
        draft = OfferDraft(lender.pk, 1_000, 1_000, rates)
        with pytest.raises(OfferRefused):
            place_offers(drafts=[draft], on=DAY, actor=ACTOR, key=key())


def test_more_than_the_cash_is_refused_and_nothing_stays_behind(house: House) -> None:
    rich, poor = enrol_lenders([100_000, 5_000])
    rates = house.named({"A/36": 70_000})
    drafts = [OfferDraft(rich.pk, 50_000, 50_000, rates), OfferDraft(poor.pk, 6_000, 6_000, rates)]
    with pytest.raises(NotEnoughMoney) as refusal:
        place_offers(drafts=drafts, on=DAY, actor=ACTOR, key=key())
    assert refusal.value.code == "NOT_ENOUGH_MONEY"
    assert not Offer.objects.exists()
    assert not OfferRate.objects.exists()
    assert not Entry.objects.filter(kind="offer_placed").exists()
    assert [member_balances(who.pk).cash for who in (rich, poor)] == [100_000, 5_000]


def test_a_riskier_band_implies_the_safer_ones_of_its_term(house: House) -> None:
    [lender] = enrol_lenders([100_000])
    placed = offer(house, lender, 10_000, {"B/36": 80_000})
    assert _standing(placed) == {
        "A*/36": (80_000, "B/36"),
        "A/36": (80_000, "B/36"),
        "B/36": (80_000, "B/36"),
    }


def test_a_named_rate_wins_and_an_implied_one_out_of_bounds_does_not_stand(house: House) -> None:
    [lender] = enrol_lenders([100_000])
    # D at 12 % is above the bounds of B and safer; C has its own 9 %, which goes on down to B, A;
    # A* has its own 6 %. The other term is a cascade of its own.
    bounds = {name: house.markets[name].highest_rate for name in ("A*/36", "A/36", "B/36")}
    assert max(bounds.values()) < 120_000
    assert bounds["A/36"] > 90_000
    placed = offer(
        house, lender, 10_000, {"D/36": 120_000, "C/36": 90_000, "A*/36": 60_000, "A/60": 75_000}
    )
    assert _standing(placed) == {
        "A*/36": (60_000, "A*/36"),
        "A/36": (90_000, "C/36"),
        "B/36": (90_000, "C/36"),
        "C/36": (90_000, "C/36"),
        "D/36": (120_000, "D/36"),
        "A*/60": (75_000, "A/60"),
        "A/60": (75_000, "A/60"),
    }


def test_the_same_key_answers_again_and_other_content_conflicts(house: House) -> None:
    [lender] = enrol_lenders([100_000])
    rates = house.named({"A/36": 70_000, "B/36": 80_000})
    draft = OfferDraft(lender.pk, 10_000, 5_000, rates)
    once = key()
    first = place_offers(drafts=[draft], on=DAY, actor=ACTOR, key=once)
    assert place_offers(drafts=[draft], on=DAY, actor=ACTOR, key=once) == first
    for other in (
        OfferDraft(lender.pk, 11_000, 5_000, rates),
        OfferDraft(lender.pk, 10_000, 6_000, rates),
        OfferDraft(lender.pk, 10_000, 5_000, house.named({"A/36": 70_000})),
    ):
        with pytest.raises(IdempotencyConflict) as refusal:
            place_offers(drafts=[other], on=DAY, actor=ACTOR, key=once)
        assert refusal.value.code == "IDEMPOTENCY_CONFLICT"
    # Asked again after midnight it is still the same offer.
    assert place_offers(drafts=[draft], on=date(2016, 4, 2), actor=ACTOR, key=once) == first
    assert Offer.objects.count() == 1
    assert member_balances(lender.pk).on_offer == 10_000
    # Somebody else's key of the same name is another key.
    assert place_offers(drafts=[draft], on=DAY, actor="another", key=once) != first


@pytest.mark.parametrize("bad", ["", "k" * 121])
def test_a_key_has_one_to_120_characters(house: House, bad: str) -> None:
    with pytest.raises(KeyRefused):
        place_offers(drafts=[], on=DAY, actor=ACTOR, key=bad)


def test_cancelling_gives_back_what_is_not_matched(house: House) -> None:
    [lender] = enrol_lenders([150_000])
    [borrower] = borrowers(1)
    placed = offer(house, lender, 130_000, {"A/36": 70_000})
    listing(house, borrower, 100_000)
    cycle()
    assert Offer.objects.get(pk=placed).available == 30_000
    once = key()
    for _ in range(2):
        returned = cancel_offer(offer_id=placed, lender_id=lender.pk, on=DAY, actor=ACTOR, key=once)
        assert returned == 30_000
    balances = member_balances(lender.pk)
    assert (balances.cash, balances.on_offer, balances.matched) == (50_000, 0, 100_000)
    cancelled = Offer.objects.get(pk=placed)
    assert (cancelled.state, cancelled.available) == (OfferState.CANCELLED, 0)
    with pytest.raises(OfferUnknown):
        cancel_offer(offer_id=placed, lender_id=lender.pk, on=DAY, actor=ACTOR, key=key())


def test_nobody_cancels_somebody_elses_offer(house: House) -> None:
    one, other = enrol_lenders([10_000, 10_000])
    placed = offer(house, one, 10_000, {"A/36": 70_000})
    with pytest.raises(OfferUnknown) as refusal:
        cancel_offer(offer_id=placed, lender_id=other.pk, on=DAY, actor=ACTOR, key=key())
    assert refusal.value.code == "OFFER_UNKNOWN"
    assert member_balances(one.pk).on_offer == 10_000


def test_a_cancelled_offer_lends_nothing(house: House) -> None:
    [lender] = enrol_lenders([100_000])
    [borrower] = borrowers(1)
    placed = offer(house, lender, 100_000, {"A/36": 70_000})
    listing(house, borrower, 100_000)
    cancel_offer(offer_id=placed, lender_id=lender.pk, on=DAY, actor=ACTOR, key=key())
    assert cycle().loans == 0
    assert member_balances(lender.pk).cash == 100_000


def test_a_key_used_before_is_answered_even_when_the_bounds_have_moved(house: House) -> None:
    from risk.models import ModelVersion
    from risk.services.approving import approve_rate_table
    from risk.services.rate_tables import build_rate_table

    [lender] = enrol_lenders([100_000])
    lowest = house.markets["A/36"].lowest_rate
    draft = OfferDraft(lender.pk, 10_000, 10_000, house.named({"A/36": lowest}))
    once = key()
    first = place_offers(drafts=[draft], on=DAY, actor=ACTOR, key=once)
    narrower = HOUSE_TEXT.replace("below_guide_ppm = 20_000", "below_guide_ppm = 10_000")
    table = build_rate_table(
        model_version=ModelVersion.objects.get(), settings_text=narrower, author="ann", on=DAY
    )
    approve_rate_table(rate_table=table, approver="bob", on=DAY)
    with pytest.raises(OfferRefused):
        place_offers(drafts=[draft], on=DAY, actor=ACTOR, key=key())
    assert place_offers(drafts=[draft], on=DAY, actor=ACTOR, key=once) == first


def test_statements_do_not_grow_with_the_offers(house: House) -> None:
    lenders = enrol_lenders([10_000] * 50)
    rates = house.named({"B/36": 80_000, "C/60": 100_000})
    counts = []
    for group in (lenders[:2], lenders):
        drafts = [OfferDraft(lender.pk, 1_000, 1_000, rates) for lender in group]
        once = key()
        counts.append(
            statements(
                lambda drafts=drafts, once=once: place_offers(  # type: ignore[misc]
                    drafts=drafts, on=DAY, actor=ACTOR, key=once
                )
            )
        )
    assert counts[0] == counts[1]
