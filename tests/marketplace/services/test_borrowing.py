"""Applying and listing: limits, whose application it is, one open listing, nobody in arrears."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from accounts.services.posting import IdempotencyConflict
from marketplace.core.states import ApplicationState, ListingState, LoanState
from marketplace.models import Application, Listing
from marketplace.services.ageing import age_loans
from marketplace.services.borrowing import (
    ApplicationDraft,
    ApplicationRefused,
    ListingDraft,
    ListingRefused,
    apply_for_loans,
    list_loans,
)
from marketplace.services.falling_due import fall_due
from risk.core.errors import RiskRefusal
from tests.marketplace.house import (
    House,
    application,
    borrowers,
    key,
    listing,
    offer,
    paid_out,
)
from tests.world import ACTOR, DAY, FIRST_DUE, enrol_lenders


def _list(
    applied: int, highest: int | None = None, *, borrower: int | None = None, once: str = ""
) -> int:
    [listed] = list_loans(
        drafts=[ListingDraft(applied, highest)],
        on=DAY,
        actor=ACTOR,
        key=once or key(),
        borrower_id=borrower,
    )
    return listed


def test_an_application_is_assessed_and_priced(house: House) -> None:
    [borrower] = borrowers(1)
    stored = Application.objects.get(pk=application(house, borrower, 200_000))
    assert stored.state == ApplicationState.QUOTED
    assert stored.market_id == house.markets["A/36"].market_id
    assert stored.assessment is not None
    assert stored.assessment.application_reference == str(stored.public_id)
    assert stored.assessment.band == "A"


@pytest.mark.parametrize(
    ("amount", "term", "field"),
    [
        (99_000, 36, "amount"),
        (2_501_000, 36, "amount"),
        (100_500, 36, "amount"),
        (-100_000, 36, "amount"),
        (100_000, 48, "term_months"),
        (100_000, 0, "term_months"),
    ],
)
def test_amounts_and_terms_outside_the_limits_are_refused(
    house: House, amount: int, term: int, field: str
) -> None:
    [borrower] = borrowers(1)
    with pytest.raises(ApplicationRefused) as refusal:
        application(house, borrower, amount, term=term)
    assert refusal.value.code == "APPLICATION_REFUSED"
    assert refusal.value.field == field
    accepted = {
        "amount": "A loan is £1,000 to £25,000, in steps of £10.",
        "term_months": "A loan runs over 36 or 60 months.",
    }
    assert refusal.value.message == accepted[field]
    assert not Application.objects.exists()


def test_facts_that_the_model_cannot_read_leave_nothing(house: House) -> None:
    [borrower] = borrowers(1)
    facts = {**house.facts, "annual_inc": "plenty"}
    with pytest.raises(RiskRefusal):
        apply_for_loans(
            drafts=[ApplicationDraft(borrower.pk, 100_000, 36, facts)],
            on=DAY,
            actor=ACTOR,
            key=key(),
        )
    assert not Application.objects.exists()


def test_applications_are_taken_once_a_key(house: House) -> None:
    [borrower] = borrowers(1)
    once = key()
    drafts = [
        ApplicationDraft(borrower.pk, amount, 36, house.facts) for amount in (100_000, 200_000)
    ]
    first = apply_for_loans(drafts=drafts, on=DAY, actor=ACTOR, key=once)
    assert apply_for_loans(drafts=drafts, on=DAY, actor=ACTOR, key=once) == first
    with pytest.raises(IdempotencyConflict):
        apply_for_loans(drafts=drafts[:1], on=DAY, actor=ACTOR, key=once)
    amounts = Application.objects.order_by("pk").values_list("pk", "amount")
    assert list(amounts) == list(zip(first, (100_000, 200_000), strict=True))


def test_the_default_highest_rate_is_the_quote_and_half_a_per_cent_up_to_the_next_step(
    house: House,
) -> None:
    one, other = enrol_lenders([48_000, 52_000])
    offer(house, one, 48_000, {"A/36": 69_000})
    offer(house, other, 52_000, {"A/36": 71_000})
    first, second = borrowers(2)
    # The quote is 7.0040 %: 7.504 % with the margin, 7.75 % in steps of .25 %.
    listed = Listing.objects.get(pk=_list(application(house, first, 100_000)))
    assert listed.highest_rate == 77_500
    # £1,010 can't be quoted: the guide rate takes the quote's place.
    guide = house.markets["A/36"].guide_rate
    listed = Listing.objects.get(pk=_list(application(house, second, 101_000)))
    assert 5_000 <= listed.highest_rate - guide < 5_000 + 2_500
    assert listed.highest_rate % 2_500 == 0


def test_the_default_is_never_above_the_markets_bound(house: House) -> None:
    [lender] = enrol_lenders([100_000])
    highest = house.markets["A/36"].highest_rate
    offer(house, lender, 100_000, {"A/36": highest})
    [borrower] = borrowers(1)
    listed = Listing.objects.get(pk=_list(application(house, borrower, 100_000)))
    assert listed.highest_rate == highest // 2_500 * 2_500


def test_a_highest_rate_off_its_step_or_out_of_bounds_is_refused(house: House) -> None:
    [borrower] = borrowers(1)
    applied = application(house, borrower, 100_000)
    market = house.markets["A/36"]
    below = market.lowest_rate // 2_500 * 2_500
    above = market.highest_rate // 2_500 * 2_500 + 2_500
    for rate in (70_001, 71_000, below, above, 0, -2_500):
        with pytest.raises(ListingRefused) as refusal:
            _list(applied, rate)
        assert refusal.value.code == "LISTING_REFUSED"
        assert "multiple of 0.25 %" in refusal.value.message
        assert refusal.value.field == "highest_rate"
    assert Listing.objects.get(pk=_list(applied, 72_500)).highest_rate == 72_500


def test_a_borrower_has_one_listing_open(house: House) -> None:
    [borrower] = borrowers(1)
    one, other = (application(house, borrower, 100_000) for _ in range(2))
    _list(one)
    with pytest.raises(ListingRefused) as refusal:
        _list(other)
    assert refusal.value.message == "A borrower has one listing open at a time."
    third = application(house, borrowers(1)[0], 100_000)
    with pytest.raises(ListingRefused):
        list_loans(drafts=[ListingDraft(other), ListingDraft(third)], on=DAY, actor="t", key=key())
    assert Listing.objects.count() == 1


def test_somebody_elses_application_and_an_unknown_one_are_refused_alike(house: House) -> None:
    owner, other = borrowers(2)
    applied = application(house, owner, 100_000)
    messages = set()
    for wanted in (applied, 999_999_999):
        with pytest.raises(ListingRefused) as refusal:
            _list(wanted, borrower=other.pk)
        messages.add(refusal.value.message)
    assert messages == {"You have no such application."}
    assert _list(applied, borrower=owner.pk)


def test_only_a_quoted_application_is_listed_and_once(house: House) -> None:
    [borrower] = borrowers(1)
    applied = application(house, borrower, 100_000)
    once = key()
    first = _list(applied, once=once)
    assert _list(applied, once=once) == first
    with pytest.raises(ListingRefused, match="only a quoted one"):
        _list(applied)
    # £25,000 over three years is £694 a month before interest, of an income of £1,667: too much.
    facts = {**house.facts, "annual_inc": 20_000}
    [refused] = apply_for_loans(
        drafts=[ApplicationDraft(borrower.pk, 2_500_000, 36, facts)],
        on=DAY,
        actor=ACTOR,
        key=key(),
    )
    assert Application.objects.get(pk=refused).state == ApplicationState.DECLINED
    with pytest.raises(ListingRefused, match="declined"):
        _list(refused)


def test_a_borrower_in_arrears_cannot_list(house: House) -> None:
    made = paid_out(house)
    fall_due(on=FIRST_DUE, actor=ACTOR)
    age_loans(on=FIRST_DUE + timedelta(days=1))
    assert made.loan.state == LoanState.ARREARS
    applied = application(house, made.borrower, 100_000)
    with pytest.raises(ListingRefused, match="arrears"):
        _list(applied)


def test_a_borrower_who_pays_may_borrow_again(house: House) -> None:
    made = paid_out(house)
    assert listing(house, made.borrower, 100_000)


def test_a_listing_looks_for_money_for_a_fortnight(house: House) -> None:
    [borrower] = borrowers(1)
    listed = Listing.objects.get(pk=listing(house, borrower, 100_000))
    assert (listed.state, listed.expires_on) == (ListingState.OPEN, date(2016, 4, 15))
    assert Application.objects.get(pk=listed.application_id).state == ApplicationState.LISTED
