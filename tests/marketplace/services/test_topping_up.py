"""Topping up: what borrowers repaid goes on offer again, on the house design's own loan.

£480 at 6.9 % and £520 at 7.1 % over 36 months, £30.78 a month. The first instalment brings
1,206 + 268 - 40 = 1,434p and 1,306 + 298 - 43 = 1,561p, fees taken (worked out in
``test_payments.py``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.models import Entry, Member
from accounts.selectors.ledger import check_book, member_balances
from accounts.services.cash import CashMovement, deposit, send_withdrawals
from marketplace.models import Distribution, Instalment, Loan, Offer, Payment
from marketplace.selectors.audit import audit
from marketplace.services.changing_offers import (
    OfferChange,
    cancel_offer,
    change_offer,
    pause_offer,
    resume_offer,
)
from marketplace.services.falling_due import fall_due
from marketplace.services.offering import OfferDraft, place_offers
from marketplace.services.paying_out import pay_out
from marketplace.services.payments import distribute_cleared
from marketplace.services.topping_up import ToppedUp, split_top_up, top_up_offers
from tests.marketplace.house import (
    DESIGN_PARTS,
    House,
    accept,
    borrowers,
    cycle,
    key,
    listing,
    offer,
    parts_of,
    pay,
)
from tests.marketplace.statements import statements
from tests.world import ACTOR, CLEARED, DAY, enrol_lenders

NOTHING = ToppedUp(0, 0, 0)


@dataclass(frozen=True)
class Lent:
    """A loan that is paid out, and the offers that funded it, one a part."""

    loan_id: int
    offers: list[int]
    lenders: list[Member]

    def repay(self, number: int) -> date:
        """An instalment falls due, is paid in full and spread; returns the day of that."""
        due = Instalment.objects.get(loan=self.loan_id, number=number).due_on
        fall_due(on=due, actor=ACTOR)
        pay(self.loan_id, Loan.objects.get(pk=self.loan_id).instalment, due)
        cleared = Payment.objects.filter(loan=self.loan_id).latest("number").clears_on
        distribute_cleared(on=cleared, actor=ACTOR)
        return cleared

    def received(self, place: int) -> int:
        """What one of the offers got back so far, after fees."""
        latest = Distribution.objects.filter(loan=self.loan_id).order_by("number").last()
        if latest is None:
            return 0
        return int(latest.principal[place] + latest.interest[place] - latest.fee[place])

    def stored(self, place: int) -> tuple[int, int, int]:
        """Pence available, repaid and waiting of one of the offers."""
        found = Offer.objects.get(pk=self.offers[place])
        return found.available, found.repaid, found.uninvested


def lend(
    house: House,
    parts: Sequence[tuple[int, int]] = DESIGN_PARTS,
    *,
    lenders: Sequence[Member] | None = None,
    tops_up: Sequence[bool] | None = None,
) -> Lent:
    """A loan of parts (ppm, pence); all their offers top up unless told otherwise."""
    people = list(lenders or enrol_lenders([pence for _, pence in parts]))
    whole = sum(pence for _, pence in parts)
    drafts = [
        OfferDraft(who.pk, pence, pence, house.named({"A/36": rate}), wants)
        for who, (rate, pence), wants in zip(
            people, parts, tops_up or [True] * len(parts), strict=True
        )
    ]
    offers = place_offers(drafts=drafts, on=DAY, actor=ACTOR, key=key())
    listed = listing(house, borrowers(1)[0], whole)
    cycle()
    loan = Loan.objects.get(listing=listed)
    accept(loan.pk)
    pay_out(loan_ids=[loan.pk], on=DAY, actor=ACTOR, key=key())
    return Lent(loan.pk, offers, people)


def holds() -> bool:
    return check_book().holds and all(finding.holds for finding in audit())


def test_whole_steps_go_on_offer_and_pennies_wait(house: House) -> None:
    made = lend(house)
    assert made.repay(1) == CLEARED
    assert [member_balances(who.pk).cash for who in made.lenders] == [1_434, 1_561]
    assert top_up_offers(on=CLEARED, actor=ACTOR) == ToppedUp(1, 2, 2_000)
    assert [made.stored(place) for place in (0, 1)] == [(1_000, 1_000, 434), (1_000, 1_000, 561)]
    for who, cash in zip(made.lenders, (434, 561), strict=True):
        balances = member_balances(who.pk)
        assert (balances.cash, balances.on_offer) == (cash, 1_000)
    # What was placed stays what it was: money that came back is not counted again.
    assert [Offer.objects.get(pk=each).amount for each in made.offers] == [48_000, 52_000]
    assert Entry.objects.filter(kind="offer_placed", effective_on=CLEARED).count() == 2
    assert holds()


def test_twice_changes_nothing(house: House) -> None:
    made = lend(house)
    assert top_up_offers(on=DAY, actor=ACTOR) == NOTHING
    made.repay(1)
    top_up_offers(on=CLEARED, actor=ACTOR)
    before = list(Offer.objects.order_by("pk").values())
    for on in (CLEARED, date(2016, 5, 9)):
        assert top_up_offers(on=on, actor="somebody else") == NOTHING
    assert list(Offer.objects.order_by("pk").values()) == before
    assert Distribution.objects.get(loan=made.loan_id).topped_up_on == CLEARED


def _correct(loan_id: int, less: int) -> None:
    """A correction that takes so many pence of principal from each part."""
    last = Distribution.objects.filter(loan=loan_id).latest("number")
    principal = [pence - less for pence in last.principal]
    Distribution.objects.create(
        loan_id=loan_id,
        number=last.number + 1,
        kind="correction",
        spread_on=CLEARED,
        principal_total=sum(principal),
        interest_total=last.interest_total,
        fee_total=last.fee_total,
        principal=principal,
        interest=last.interest,
        fee=last.fee,
    )


def test_what_a_correction_takes_back_is_set_off_and_never_below_nothing(house: House) -> None:
    made = lend(house)
    made.repay(1)
    # Before anything was put on offer: 1,434 - 500 = 934 and 1,561 - 500 = 1,061.
    _correct(made.loan_id, 500)
    assert top_up_offers(on=CLEARED, actor=ACTOR) == ToppedUp(2, 1, 1_000)
    assert [made.stored(place) for place in (0, 1)] == [(0, 0, 934), (1_000, 1_000, 61)]
    # 934 - 100 = 834; of 61 no more than 61 can be taken.
    _correct(made.loan_id, 100)
    assert top_up_offers(on=CLEARED, actor=ACTOR) == ToppedUp(1, 0, 0)
    assert [made.stored(place) for place in (0, 1)] == [(0, 0, 834), (1_000, 1_000, 0)]


@pytest.mark.parametrize("often", [True, False])
def test_pennies_add_up_over_months(house: House, *, often: bool) -> None:
    made = lend(house)
    for number in range(1, 5):
        cleared = made.repay(number)
        if often or number == 4:
            top_up_offers(on=cleared, actor=ACTOR)
    for place, who in enumerate(made.lenders):
        whole, pennies = divmod(made.received(place), 1_000)
        # Some £14 and £15 a month, with pennies enough for a step more than 4 x £10.
        assert whole > 4
        assert made.stored(place) == (whole * 1_000, whole * 1_000, pennies)
        assert member_balances(who.pk).cash == pennies
    assert holds()


@pytest.mark.parametrize(
    ("spent", "stored"),
    [
        (0, (1_000, 1_000, 434)),
        (434, (1_000, 1_000, 0)),
        (435, (0, 0, 999)),  # £9.99 are left: no step
        (1_434, (0, 0, 0)),
    ],
)
def test_what_the_lender_spent_is_not_topped_up(
    house: House, spent: int, stored: tuple[int, int, int]
) -> None:
    made = lend(house)
    made.repay(1)
    who = made.lenders[0].pk
    if spent:
        send_withdrawals(movements=[CashMovement(who, spent, key())], on=CLEARED, actor=ACTOR)
    top_up_offers(on=CLEARED, actor=ACTOR)
    assert made.stored(0) == stored
    assert member_balances(who).cash == 1_434 - spent - stored[0]
    # What was spent is gone for good: other cash doesn't take its place.
    deposit(movements=[CashMovement(who, 5_000, key())], on=CLEARED, actor=ACTOR)
    cleared = made.repay(2)
    second = made.received(0) - 1_434
    top_up_offers(on=cleared, actor=ACTOR)
    whole, pennies = divmod(stored[2] + second, 1_000)
    assert made.stored(0) == (stored[0] + whole * 1_000, stored[1] + whole * 1_000, pennies)
    assert holds()


def test_other_cash_stays_cash(house: House) -> None:
    made = lend(house)
    deposit(movements=[CashMovement(made.lenders[0].pk, 100_000, key())], on=CLEARED, actor=ACTOR)
    made.repay(1)
    top_up_offers(on=CLEARED, actor=ACTOR)
    assert member_balances(made.lenders[0].pk).cash == 100_434


@pytest.mark.parametrize(
    ("spent", "first", "second"),
    [
        (0, (1_000, 434), (1_000, 561)),
        (561, (1_000, 434), (1_000, 0)),
        (562, (1_000, 434), (0, 999)),  # 1,434 are the first's, 999 of 2,433 the second's
        (1_995, (1_000, 0), (0, 0)),
        (1_996, (0, 999), (0, 0)),
    ],
)
def test_offers_of_one_lender_share_the_cash_in_their_order(
    house: House, spent: int, first: tuple[int, int], second: tuple[int, int]
) -> None:
    [lender] = enrol_lenders([148_000])
    # One limit for both: £480 from the first, and £520 more up to £1,000 in all.
    rates = house.named({"A/36": 69_000}), house.named({"A/36": 71_000})
    offers = place_offers(
        drafts=[
            OfferDraft(lender.pk, 48_000, 48_000, rates[0], tops_up=True),
            OfferDraft(lender.pk, 100_000, 100_000, rates[1], tops_up=True),
        ],
        on=DAY,
        actor=ACTOR,
        key=key(),
    )
    listed = listing(house, borrowers(1)[0], 100_000)
    cycle()
    loan = Loan.objects.get(listing=listed)
    accept(loan.pk)
    pay_out(loan_ids=[loan.pk], on=DAY, actor=ACTOR, key=key())
    made = Lent(loan.pk, offers, [lender])
    made.repay(1)
    assert member_balances(lender.pk).cash == 1_434 + 1_561
    if spent:
        send_withdrawals(movements=[CashMovement(lender.pk, spent, key())], on=CLEARED, actor=ACTOR)
    top_up_offers(on=CLEARED, actor=ACTOR)
    for place, (repaid, waits), idle in ((0, first, 0), (1, second, 48_000)):
        assert made.stored(place) == (idle + repaid, repaid, waits)
    assert holds()


def test_only_open_offers_that_want_it_are_topped_up(house: House) -> None:
    parts = [(70_000, 25_000)] * 4
    made = lend(house, parts, tops_up=[True, False, True, True])
    paused, cancelled = made.offers[2:]
    theirs: dict[str, Any] = {"lender_id": made.lenders[2].pk, "actor": ACTOR}
    pause_offer(offer_id=paused, **theirs, key=key())
    cancel_offer(offer_id=cancelled, lender_id=made.lenders[3].pk, on=DAY, actor=ACTOR, key=key())
    made.repay(1)
    assert top_up_offers(on=CLEARED, actor=ACTOR).offers == 0
    # A quarter of £30.78 is £7.69 or so: it waits in the one, and is plain cash in all others.
    assert made.stored(0) == (0, 0, made.received(0))
    assert [made.stored(place) for place in (1, 2, 3)] == [(0, 0, 0)] * 3
    resume_offer(offer_id=paused, **theirs, key=key())
    change_offer(
        offer_id=made.offers[1],
        lender_id=made.lenders[1].pk,
        change=OfferChange(tops_up=True),
        on=CLEARED,
        actor=ACTOR,
        key=key(),
    )
    cleared = made.repay(2)
    assert top_up_offers(on=cleared, actor=ACTOR) == ToppedUp(1, 1, 1_000)
    assert made.stored(0)[:2] == (1_000, 1_000)
    # From now on the others save up too, but nothing for the month in which they didn't ask.
    for place in (1, 2):
        available, _, waits = made.stored(place)
        assert (available, 700 < waits < 800) == (0, True)
    assert made.stored(3) == (0, 0, 0)
    assert holds()


def test_what_waits_goes_with_a_cancelled_offer(house: House) -> None:
    made = lend(house)
    made.repay(1)
    top_up_offers(on=CLEARED, actor=ACTOR)
    returned = cancel_offer(
        offer_id=made.offers[0], lender_id=made.lenders[0].pk, on=CLEARED, actor=ACTOR, key=key()
    )
    # The £10 go back to the 434p, which were cash all the time.
    assert returned == 1_000
    assert made.stored(0) == (0, 0, 0)
    assert member_balances(made.lenders[0].pk).cash == 1_434
    assert holds()


def test_topped_up_money_keeps_the_place(house: House) -> None:
    made = lend(house)
    [rival] = enrol_lenders([200_000])
    offer(house, rival, 200_000, {"A/36": 71_000})
    made.repay(1)
    top_up_offers(on=CLEARED, actor=ACTOR)
    listed = listing(house, borrowers(1)[0], 100_000, on=CLEARED)
    cycle(CLEARED)
    # The first offer's £10 at 6.9 %, the second's at 7.1 % before the rival, who came before them.
    assert parts_of(listed) == [
        (made.lenders[0].pk, 69_000, 1_000),
        (made.lenders[1].pk, 71_000, 1_000),
        (rival.pk, 71_000, 98_000),
    ]
    assert [made.stored(place) for place in (0, 1)] == [(0, 0, 434), (0, 0, 561)]
    assert holds()


def test_statements_do_not_grow_with_the_offers(house: House) -> None:
    counts = []
    # Each loan is cheaper than what was topped up before, which it leaves alone.
    for parts in ([(70_000, 50_000)] * 2, [(69_000, 50_000)] * 2, [(68_000, 10_000)] * 10):
        made = lend(house, parts)
        # Six instalments at once, so that each small part brings more than a step too.
        for number in range(1, 7):
            made.repay(number)
        counts.append(statements(lambda: top_up_offers(on=CLEARED, actor=ACTOR)))
        assert not Offer.objects.filter(pk__in=made.offers, repaid=0).exists()
    assert counts[1] == counts[2]
    assert counts[1] <= 20


@given(
    st.lists(
        st.tuples(st.integers(0, 9_999), st.lists(st.integers(1, 4_999), min_size=1, max_size=4)),
        max_size=5,
    )
)
def test_cash_is_split_as_one_would_by_hand(lenders: list[tuple[int, list[int]]]) -> None:
    rows = [
        (place, waiting, cash) for place, (cash, offers) in enumerate(lenders) for waiting in offers
    ]
    expected = []
    for cash, offers in lenders:
        purse = cash
        for waiting in offers:
            there = min(waiting, purse)
            purse -= there
            expected.append((there - there % 1_000, there % 1_000))
    who, waits, purses = np.array(rows, dtype=np.int64).reshape(-1, 3).T
    moves, left = split_top_up(who, waits, purses, 1_000)
    assert list(zip(moves.tolist(), left.tolist(), strict=True)) == expected
