"""Offers changed while a cycle, a top-up or another change is at work: no money is used twice."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from django.db import connection, transaction

from accounts.core.chart import Kind
from accounts.models import Member
from accounts.selectors.ledger import account_ids, member_balances
from accounts.services.holding import hold_accounts
from accounts.services.posting import NotEnoughMoney
from marketplace.core.offers import OfferRefused
from marketplace.models import Distribution, Loan, Offer, OfferRate
from marketplace.services.changing_offers import (
    ChangedOffer,
    OfferChange,
    OfferUnknown,
    cancel_offer,
    change_offer,
    pause_offer,
    resume_offer,
)
from marketplace.services.falling_due import fall_due
from marketplace.services.matching import CycleView, run_cycle
from marketplace.services.offering import OfferDraft, place_offers
from marketplace.services.paying_out import pay_out
from marketplace.services.payments import distribute_cleared
from marketplace.services.topping_up import ToppedUp, top_up_offers
from tests.faults.test_ledger_races import _at_once as at_once
from tests.faults.test_market_races import _holds as holds
from tests.faults.test_market_races import _thread as thread
from tests.faults.test_market_races import _wait_for as wait_for
from tests.marketplace import house as fixtures
from tests.marketplace.house import House, accept, borrowers, key, listing, offer, parts_of, pay
from tests.world import ACTOR, CLEARED, DAY, FIRST_DUE, enrol_lenders

house_template = fixtures.house_template
committed_house = fixtures.committed_house

AT_THE_DOOR = "wait_event = 'advisory'"
AT_A_ROW = "wait_event_type = 'Lock' AND wait_event <> 'advisory'"


def _change(lender: Member, offer_id: int, change: OfferChange, name: str = "") -> ChangedOffer:
    return change_offer(
        offer_id=offer_id,
        lender_id=lender.pk,
        change=change,
        on=DAY,
        actor=ACTOR,
        key=name or key(),
    )


def test_a_change_during_a_cycle_waits_and_counts_what_is_left(committed_house: House) -> None:
    """The cycle has read the book and is held at its first write; then somebody changes it."""
    [lender] = enrol_lenders([300_000])
    placed = offer(committed_house, lender, 150_000, {"A/36": 70_000})
    listed = listing(committed_house, borrowers(1)[0], 100_000)
    views: list[CycleView] = []
    answers: list[ChangedOffer] = []
    dearer = OfferChange(available=60_000, rates=committed_house.named({"A/36": 90_000}))
    with transaction.atomic():
        Offer.objects.select_for_update().get(pk=placed)
        running = thread(lambda: views.append(run_cycle(on=DAY, actor=ACTOR, key="cycle")))
        wait_for(AT_A_ROW, 1)
        changing = thread(lambda: answers.append(_change(lender, placed, dearer)))
        wait_for(AT_THE_DOOR, 1)
        assert (views, answers) == ([], [])
    running.join()
    changing.join()
    # The cycle took £1,000 at the old rate. £500 were left, and £100 came from cash.
    assert views[0].lent == 100_000
    assert parts_of(listed) == [(lender.pk, 70_000, 100_000)]
    assert answers == [ChangedOffer(10_000, keeps_place=False)]
    balances = member_balances(lender.pk)
    assert (balances.cash, balances.on_offer, balances.matched) == (140_000, 60_000, 100_000)
    assert OfferRate.objects.get(offer=placed).rate == 90_000
    assert holds()


def test_a_cycle_during_a_change_waits_and_sees_it(committed_house: House) -> None:
    """The change has been made and is held at its posting; then a cycle begins."""
    lender, other = enrol_lenders([300_000, 100_000])
    placed = offer(committed_house, lender, 150_000, {"A/36": 70_000})
    offer(committed_house, other, 100_000, {"A/36": 80_000})
    listed = listing(committed_house, borrowers(1)[0], 100_000)
    views: list[CycleView] = []
    answers: list[ChangedOffer] = []
    cash = account_ids(Kind.CASH, np.array([lender.pk]))
    with transaction.atomic():
        hold_accounts(ids=cash.tolist())
        less = OfferChange(available=40_000)
        changing = thread(lambda: answers.append(_change(lender, placed, less)))
        wait_for(AT_A_ROW, 1)
        running = thread(lambda: views.append(run_cycle(on=DAY, actor=ACTOR, key="cycle")))
        wait_for(AT_THE_DOOR, 1)
        assert (views, answers) == ([], [])
    changing.join()
    running.join()
    assert answers == [ChangedOffer(-110_000, keeps_place=True)]
    assert parts_of(listed) == [(lender.pk, 70_000, 40_000), (other.pk, 80_000, 60_000)]
    balances = member_balances(lender.pk)
    assert (balances.cash, balances.on_offer, balances.matched) == (260_000, 0, 40_000)
    assert holds()


def test_one_change_asked_for_at_once_is_carried_out_once(committed_house: House) -> None:
    [lender] = enrol_lenders([100_000])
    placed = offer(committed_house, lender, 20_000, {"A/36": 70_000})
    answers: list[ChangedOffer] = []
    more = OfferChange(available=50_000)
    at_once(lambda _: answers.append(_change(lender, placed, more, "the one")), 4)
    assert answers == [ChangedOffer(30_000, keeps_place=False)] * 4
    balances = member_balances(lender.pk)
    assert (balances.cash, balances.on_offer) == (50_000, 50_000)


def test_changes_at_once_never_spend_cash_twice(committed_house: House) -> None:
    """£100 of cash, and four offers that want £40 more each: two get it."""
    [lender] = enrol_lenders([14_000])
    offers = [offer(committed_house, lender, 1_000, {"A/36": 70_000 + n}) for n in range(4)]
    refused: list[int] = []

    def more(number: int) -> None:
        try:
            _change(lender, offers[number], OfferChange(available=5_000))
        except NotEnoughMoney:
            refused.append(number)

    at_once(more, 4)
    assert len(refused) == 2
    assert sorted(Offer.objects.values_list("available", flat=True)) == [1_000, 1_000, 5_000, 5_000]
    balances = member_balances(lender.pk)
    assert (balances.cash, balances.on_offer) == (2_000, 12_000)
    assert holds()


def test_topping_up_at_once_is_topping_up_once(committed_house: House) -> None:
    lenders = enrol_lenders([50_000, 50_000])
    rates = committed_house.named({"A/36": 70_000})
    place_offers(
        drafts=[OfferDraft(who.pk, 50_000, 50_000, rates, tops_up=True) for who in lenders],
        on=DAY,
        actor=ACTOR,
        key=key(),
    )
    listed = listing(committed_house, borrowers(1)[0], 100_000)
    run_cycle(on=DAY, actor=ACTOR, key=key())
    loan = Loan.objects.get(listing=listed)
    accept(loan.pk)
    pay_out(loan_ids=[loan.pk], on=DAY, actor=ACTOR, key=key())
    fall_due(on=FIRST_DUE, actor=ACTOR)
    pay(loan.pk, loan.instalment, FIRST_DUE)
    distribute_cleared(on=CLEARED, actor=ACTOR)
    answers: list[ToppedUp] = []
    at_once(lambda _: answers.append(top_up_offers(on=CLEARED, actor=ACTOR)), 4)
    assert sorted(answer.pence for answer in answers) == [0, 0, 0, 2_000]
    assert Distribution.objects.filter(topped_up_on=CLEARED).count() == 1
    assert list(Offer.objects.values_list("available", "repaid")) == [(1_000, 1_000)] * 2
    assert holds()


@pytest.mark.parametrize("seed", [1, 2])
def test_everybody_at_once(committed_house: House, seed: int) -> None:
    """Changes, pauses, cancellations, new offers and cycles: whoever wins, the books agree."""
    lenders = enrol_lenders([200_000] * 6)
    offers = [offer(committed_house, who, 100_000, {"A/36": 70_000}) for who in lenders]
    for borrower in borrowers(4):
        listing(committed_house, borrower, 100_000)

    def act(number: int) -> None:
        lender, placed = lenders[number % 6], offers[number % 6]
        mine: dict[str, Any] = {"offer_id": placed, "lender_id": lender.pk, "actor": ACTOR}
        try:
            match (number + seed) % 4:
                case 0:
                    run_cycle(on=DAY, actor=ACTOR, key=f"cycle-{number}")
                case 1:
                    _change(lender, placed, OfferChange(available=(number + 1) * 10_000))
                case 2:
                    cancel_offer(**mine, on=DAY, key=key())
                case _:
                    pause_offer(**mine, key=key())
                    offer(committed_house, lender, 50_000, {"A/36": 71_000})
                    resume_offer(**mine, key=key())
        except (OfferUnknown, OfferRefused, NotEnoughMoney):
            pass

    at_once(act, 16)
    connection.close()
    for who in lenders:
        balances = member_balances(who.pk)
        assert balances.cash + balances.on_offer + balances.matched == 200_000
    assert holds()
