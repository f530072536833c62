"""The cycle: whose money a loan takes, what waits and why, and what the ledger says of it."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from accounts.core.chart import Kind
from accounts.models import Entry
from accounts.selectors.ledger import check_book, member_balances, totals_by_kind
from accounts.services.posting import IdempotencyConflict
from marketplace.core.clearing import Outcome
from marketplace.core.states import ApplicationState, LoanState
from marketplace.models import Application, Cycle, Listing, Loan, Offer, Part
from marketplace.selectors.audit import audit
from marketplace.selectors.order_book import load_held
from marketplace.services.ageing import age_loans
from marketplace.services.falling_due import fall_due
from marketplace.services.matching import run_cycle
from marketplace.services.paying_out import pay_out
from marketplace.services.payments import distribute_cleared
from risk.models import ModelVersion
from risk.selectors.rate_tables import current_rate_table
from risk.services.approving import approve_rate_table
from risk.services.rate_tables import build_rate_table
from tests.marketplace.house import (
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
from tests.world import (
    ACTOR,
    CLEARED,
    DAY,
    FIRST_DUE,
    HOUSE_TEXT,
    SEVEN_OFFERS,
    enrol_lenders,
    place,
)


def test_the_design_fixture_is_funded_at_seven_per_cent(house: House) -> None:
    lenders = enrol_lenders([100_000] * 7)
    place(lenders, SEVEN_OFFERS, key=key())
    listed = listing(house, borrowers(1)[0], 100_000)
    view = cycle()
    # £480 at 6.9 % and the earlier £520 at 7.1 %; the later £60 at 7.1 % stays.
    assert parts_of(listed) == [
        (lenders[1].pk, 69_000, 48_000),
        (lenders[2].pk, 71_000, 52_000),
    ]
    loan = Loan.objects.get(listing=listed)
    # Monthly .48 x .5575790 % + .52 x .5732434 % = .5657245 %; a year of that is 7.0040 %.
    assert (loan.rate, loan.instalment) == (70_040, 3_078)
    assert (view.loans, view.parts, view.lent, view.waiting) == (1, 2, 100_000, {})
    assert Cycle.objects.get(pk=view.cycle_id).outcome == {
        "loans": 1,
        "parts": 2,
        "lent": 100_000,
        "waiting": {},
    }


def test_matched_money_leaves_the_offer_in_book_and_ledger(house: House) -> None:
    [lender] = enrol_lenders([150_000])
    placed = offer(house, lender, 130_000, {"A/36": 70_000})
    listed = listing(house, borrowers(1)[0], 100_000)
    cycle()
    balances = member_balances(lender.pk)
    assert (balances.cash, balances.on_offer, balances.matched) == (20_000, 30_000, 100_000)
    assert Offer.objects.get(pk=placed).available == 30_000
    loan = Loan.objects.get(listing=listed)
    assert loan.state == LoanState.FUNDED
    assert Entry.objects.get(key=f"match/{loan.pk}").kind == "matched"
    assert Application.objects.get(listing=listed).state == ApplicationState.FUNDED
    assert check_book().holds
    assert all(finding.holds for finding in audit())


def test_price_comes_before_time_and_time_before_size(house: House) -> None:
    early, late, cheap = enrol_lenders([100_000] * 3)
    offer(house, early, 60_000, {"A/36": 75_000})
    offer(house, late, 100_000, {"A/36": 75_000})
    offer(house, cheap, 30_000, {"A/36": 74_000})
    listed = listing(house, borrowers(1)[0], 100_000)
    cycle()
    # £300 at 7.4 %, then 7.5 % by time: £600, and £100 of the later £1,000.
    assert parts_of(listed) == [
        (cheap.pk, 74_000, 30_000),
        (early.pk, 75_000, 60_000),
        (late.pk, 75_000, 10_000),
    ]


def test_listings_are_served_in_order_of_arrival(house: House) -> None:
    [lender] = enrol_lenders([150_000])
    offer(house, lender, 150_000, {"A/36": 70_000})
    first, second, third = borrowers(3)
    one = listing(house, first, 100_000)
    two = listing(house, second, 100_000)
    view = cycle()
    assert len(parts_of(one)) == 1
    assert parts_of(two) == []
    assert view.waiting == {Outcome.NOT_ENOUGH_OFFERS.value: 1}
    waiting = Listing.objects.get(pk=two)
    assert (waiting.state, waiting.waits_because) == ("open", Outcome.NOT_ENOUGH_OFFERS.value)
    # £500 are left: a loan of £1,000 goes on waiting, and takes nothing meanwhile.
    three = listing(house, third, 100_000)
    assert cycle().loans == 0
    assert parts_of(three) == []
    assert member_balances(lender.pk).on_offer == 50_000


def test_the_exposure_limit_counts_over_two_offers_of_one_lender(house: House) -> None:
    lender, other = enrol_lenders([200_000, 200_000])
    offer(house, lender, 100_000, {"A/36": 70_000}, limit=30_000)
    offer(house, lender, 100_000, {"A/36": 71_000}, limit=50_000)
    offer(house, other, 200_000, {"A/36": 72_000})
    listed = listing(house, borrowers(1)[0], 100_000)
    cycle()
    # £300 by the first limit; the second offer's limit of £500 leaves room for £200 more.
    assert parts_of(listed) == [
        (lender.pk, 70_000, 30_000),
        (lender.pk, 71_000, 20_000),
        (other.pk, 72_000, 50_000),
    ]


def test_the_exposure_limit_counts_what_is_still_held_of_the_borrower(house: House) -> None:
    lender, other = enrol_lenders([200_000, 300_000])
    offer(house, lender, 200_000, {"A/36": 70_000}, limit=60_000)
    offer(house, other, 300_000, {"A/36": 72_000})
    [borrower] = borrowers(1)
    first = listing(house, borrower, 100_000)
    cycle()
    assert parts_of(first)[0] == (lender.pk, 70_000, 60_000)
    loan = Loan.objects.get(listing=first)
    accept(loan.pk)
    pay_out(loan_ids=[loan.pk], on=DAY, actor=ACTOR, key=key())
    second = listing(house, borrower, 100_000)
    cycle()
    # The limit is full: everything comes from the other lender.
    assert [part[0] for part in parts_of(second)] == [other.pk]
    # An instalment gives the lender back £15.07 or so of principal: room for one step of £10.
    fall_due(on=FIRST_DUE, actor=ACTOR)
    pay(loan.pk, loan.instalment, FIRST_DUE)
    distribute_cleared(on=CLEARED, actor=ACTOR)
    number = Part.objects.get(loan=loan, lender=lender.pk).number
    got, _, _ = shares_of(loan.pk, 1)[number - 1]
    assert 1_000 <= got < 2_000
    third = listing(house, borrower, 100_000, on=CLEARED)
    cycle(CLEARED)
    assert parts_of(third)[0] == (lender.pk, 70_000, 1_000)


def test_nobody_lends_to_themselves(house: House) -> None:
    both, other = enrol_lenders([100_000, 100_000])
    both.is_borrower = True
    both.save()
    offer(house, both, 100_000, {"A/36": 60_000})
    listed = listing(house, both, 100_000)
    assert cycle().waiting == {Outcome.NOT_ENOUGH_OFFERS.value: 1}
    offer(house, other, 100_000, {"A/36": 70_000})
    cycle()
    assert parts_of(listed) == [(other.pk, 70_000, 100_000)]


def test_a_listing_above_its_highest_rate_waits_and_takes_nothing(house: House) -> None:
    one, other = enrol_lenders([50_000, 50_000])
    offer(house, one, 50_000, {"A/36": 70_000})
    offer(house, other, 50_000, {"A/36": 90_000})
    # Half at 7 % and half at 9 % is 7.996 % (monthly rates are blended), above 7.75 %.
    listed = listing(house, borrowers(1)[0], 100_000, highest=77_500)
    view = cycle()
    assert view.waiting == {Outcome.RATE_ABOVE_HIGHEST.value: 1}
    assert Listing.objects.get(pk=listed).waits_because == Outcome.RATE_ABOVE_HIGHEST.value
    assert [member_balances(who.pk).on_offer for who in (one, other)] == [50_000, 50_000]
    assert not Part.objects.exists()
    # The same offers fund a borrower who would pay 8 %.
    willing = listing(house, borrowers(1)[0], 100_000, highest=80_000)
    assert cycle().loans == 1
    assert len(parts_of(willing)) == 2


def test_what_lenders_hold_in_borrowers_is_what_was_not_repaid(house: House) -> None:
    """£480 and £520 of the design's loan less 1,206p and 1,306p; a loan not paid out is whole."""
    made = paid_out(house)
    waiting = funded(house, [(70_000, 40_000), (70_000, 60_000)])
    fall_due(on=FIRST_DUE, actor=ACTOR)
    pay(made.loan_id, 3_078, FIRST_DUE)
    distribute_cleared(on=CLEARED, actor=ACTOR)
    people = [made.borrower.pk, waiting.borrower.pk]
    held = load_held(np.array([*people, 0], dtype=np.int64))
    lenders = [who.pk for who in (*made.lenders, *waiting.lenders)]
    assert held.borrower_id.tolist() == [people[0]] * 2 + [people[1]] * 2
    assert held.lender_id.tolist() == lenders
    assert held.pence.tolist() == [48_000 - 1_206, 52_000 - 1_306, 40_000, 60_000]
    assert not len(load_held(np.array([0], dtype=np.int64)).pence)


def test_a_borrower_who_falls_behind_meanwhile_is_not_lent_to(house: House) -> None:
    made = paid_out(house)
    listed = listing(house, made.borrower, 100_000, on=date(2016, 4, 25))
    [lender] = enrol_lenders([100_000])
    offer(house, lender, 100_000, {"A/36": 70_000})
    fall_due(on=FIRST_DUE, actor=ACTOR)
    age_loans(on=date(2016, 5, 4))
    assert cycle(date(2016, 5, 4)).loans == 0
    assert member_balances(lender.pk).on_offer == 100_000
    pay(made.loan_id, 3_078, date(2016, 5, 4))
    distribute_cleared(on=date(2016, 5, 9), actor=ACTOR)
    assert cycle(date(2016, 5, 9)).loans == 1
    assert len(parts_of(listed)) == 1


def test_an_expired_listing_leaves_with_nothing_taken(house: House) -> None:
    [lender] = enrol_lenders([100_000])
    listed = listing(house, borrowers(1)[0], 100_000)
    cycle(date(2016, 4, 15))
    assert Listing.objects.get(pk=listed).state == "open"
    offer(house, lender, 100_000, {"A/36": 70_000})
    assert cycle(date(2016, 4, 16)).loans == 0
    expired = Listing.objects.get(pk=listed)
    assert expired.state == "expired"
    assert Application.objects.get(listing=listed).state == ApplicationState.EXPIRED
    assert member_balances(lender.pk).on_offer == 100_000


def test_money_that_stands_in_two_markets_is_spent_once(house: House) -> None:
    [lender] = enrol_lenders([150_000])
    placed = offer(house, lender, 150_000, {"A/36": 70_000, "A/60": 75_000})
    short = listing(house, borrowers(1)[0], 100_000)
    long = listing(house, borrowers(1)[0], 100_000, term=60)
    view = cycle()
    assert (view.loans, view.lent) == (1, 100_000)
    assert len(parts_of(short)) + len(parts_of(long)) == 1
    assert Offer.objects.get(pk=placed).available == 50_000
    assert member_balances(lender.pk).on_offer == 50_000
    assert all(finding.holds for finding in audit())


def test_the_markets_take_turns_in_going_first(house: House) -> None:
    views = [Cycle.objects.get(pk=cycle().cycle_id).market_order for _ in range(3)]
    first = views[0]
    assert len(first) == 12
    assert views[1] == first[1:] + first[:1]
    assert views[2] == first[2:] + first[:2]


def test_a_cycle_over_nothing_does_nothing(house: House) -> None:
    view = cycle()
    assert (view.loans, view.parts, view.lent, view.waiting) == (0, 0, 0, {})
    listing(house, borrowers(1)[0], 100_000)
    assert cycle().waiting == {Outcome.NOT_ENOUGH_OFFERS.value: 1}


def test_the_same_key_twice_is_one_cycle(house: House) -> None:
    [lender] = enrol_lenders([300_000])
    offer(house, lender, 300_000, {"A/36": 70_000})
    listing(house, borrowers(1)[0], 100_000)
    once = key()
    first = run_cycle(on=DAY, actor=ACTOR, key=once)
    listing(house, borrowers(1)[0], 100_000)
    assert run_cycle(on=DAY, actor=ACTOR, key=once) == first
    assert Cycle.objects.count() == 1
    assert Loan.objects.count() == 1
    with pytest.raises(IdempotencyConflict):
        run_cycle(on=date(2016, 4, 2), actor=ACTOR, key=once)


def test_a_covered_loan_keeps_the_funds_part_of_its_fee(house: House) -> None:
    # As the house of the tests, but the fund covers A* and A.
    safe = HOUSE_TEXT
    for own_fee in ("arrangement_fee_ppm = 10_000\n", "arrangement_fee_ppm = 15_000\n"):
        safe = safe.replace(own_fee, own_fee + "covered = true\n", 1)
    table = build_rate_table(
        model_version=ModelVersion.objects.get(), settings_text=safe, author="ann", on=DAY
    )
    approve_rate_table(rate_table=table, approver="bob", on=DAY)
    row = current_rate_table().row("A", 36)
    assert row.covered
    [lender] = enrol_lenders([100_000])
    offer(house, lender, 100_000, {"A/36": row.guide_rate})
    listed = listing(house, borrowers(1)[0], 100_000, highest=90_000)
    cycle()
    loan = Loan.objects.get(listing=listed)
    # Parts per million of £1,000 are tenths of a penny.
    assert loan.contribution == row.contribution_ppm // 10 > 0
    # 1.5 % are Tenner's own.
    assert loan.arrangement_fee == (15_000 + row.contribution_ppm) // 10


def test_a_loan_opens_its_accounts_and_keeps_the_terms_of_the_rate_table(house: House) -> None:
    [lender] = enrol_lenders([100_000])
    offer(house, lender, 100_000, {"A/36": 70_000})
    listed = listing(house, borrowers(1)[0], 100_000)
    cycle()
    loan = Loan.objects.get(listing=listed)
    # 1.5 % of £1,000 in A/36; servicing 1 % a year.
    assert (loan.arrangement_fee, loan.servicing_fee) == (1_500, 10_000)
    assert loan.term_months == 36
    totals = totals_by_kind()
    assert totals[Kind.CLEARING] == totals[Kind.PRINCIPAL_OWED] == totals[Kind.INTEREST_DUE] == 0
    [part] = loan.parts.all()
    # 7 % gross less 1 % fee and losses: less than 6 %, and still a return.
    assert 0 < part.expected_return < 60_000


def test_a_borrower_who_fell_behind_meanwhile_is_lent_nothing_more(house: House) -> None:
    """A listing stands open for two weeks; the older loan of its borrower goes into arrears."""
    made = paid_out(house)
    [lender] = enrol_lenders([100_000])
    offer(house, lender, 100_000, {"A/36": 70_000})
    listed = listing(house, made.borrower, 100_000)
    Loan.objects.filter(pk=made.loan_id).update(state=LoanState.ARREARS)
    view = cycle()
    assert (view.loans, view.waiting) == (0, {"BORROWER_IN_ARREARS": 1})
    assert Listing.objects.get(pk=listed).waits_because == "BORROWER_IN_ARREARS"
    assert member_balances(lender.pk).on_offer == 100_000
    Loan.objects.filter(pk=made.loan_id).update(state=LoanState.ACTIVE)
    assert cycle().loans == 1
