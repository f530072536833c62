"""A funded loan until its pay-out: accepted, cancelled, lapsed, paid out."""

from __future__ import annotations

import hashlib
import re
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import partial

import pytest
from django.db import IntegrityError, ProgrammingError, connection, transaction
from django.db.utils import InternalError

from accounts.core.chart import Kind
from accounts.models import Member
from accounts.selectors.ledger import check_book, member_balances, totals_by_kind
from accounts.services.posting import IdempotencyConflict
from marketplace.core.states import ApplicationState, ListingState, LoanState
from marketplace.models import Agreement, Application, Instalment, Listing, Loan, LoanMove, Offer
from marketplace.selectors.agreements import find_agreement
from marketplace.selectors.audit import audit
from marketplace.services.agreements import (
    AgreementChanged,
    AgreementLapsed,
    AgreementRefused,
    accept_agreements,
    cancel_funded,
    expire_listings,
    lapse_unaccepted,
    pay_out_accepted,
)
from marketplace.services.changing_offers import cancel_offer
from marketplace.services.offering import PoolDraft, place_offers
from marketplace.services.paying_out import LoanUnknown
from tests.marketplace.house import (
    Funded,
    House,
    borrowers,
    cycle,
    funded,
    key,
    listing,
    offer,
    parts_of,
)
from tests.marketplace.statements import statements
from tests.world import ACTOR, DAY, enrol_lenders

LAST_DAY = DAY + timedelta(days=5)


def accept(made: Funded, *, on: date = DAY, digest: str | None = None) -> int:
    return accept_agreements(
        loan_ids=[made.loan_id],
        on=on,
        actor=ACTOR,
        key=key(),
        borrower_id=made.borrower.pk,
        digest=digest,
    )


def offered(made: Funded, on: date = DAY) -> tuple[str, str]:
    """Text and digest that the borrower sees."""
    view = find_agreement(made.borrower.pk, made.loan.public_id, on)
    assert view is not None
    return view.text, view.digest


def contract_of_the_design() -> list[tuple[int, int]]:
    """Principal and interest of each instalment of £480 at 6.9 % and £520 at 7.1 %, by plain loops.

    The level instalment is £30.78 by the house design; each part's interest is its monthly rate on
    the sum of balances so far, rounded half up, less what was fixed before.
    """
    # The twelfth root of a year's growth, less one, in 10⁻¹².
    parts = [
        (
            units,
            round((Decimal(1_000_000 + ppm) / 1_000_000) ** (Decimal(1) / 12) * 10**12) - 10**12,
        )
        for units, ppm in ((48, 69_000), (52, 71_000))
    ]
    balance, months, rows = 100_000, 0, []
    fixed = [0, 0]
    for number in range(1, 37):
        months += balance
        now = [
            int(Fraction(units * rate * months, 100 * 10**12) + Fraction(1, 2))
            for units, rate in parts
        ]
        interest = sum(now) - sum(fixed)
        fixed = now
        principal = balance if number == 36 else 3_078 - interest
        balance -= principal
        rows.append((principal, interest))
    return rows


def test_the_offered_text_has_the_exact_contract(house: House) -> None:
    made = funded(house)
    text, digest = offered(made)
    rows = contract_of_the_design()
    total = sum(principal + interest for principal, interest in rows)
    assert f"Total amount repayable          £{total / 100:,.2f}\n" in text
    # The arrangement fee of A/36 is 1.5 %.
    assert "Arrangement fee, kept back      £15.00\n" in text
    assert "Paid out to you                 £985.00\n" in text
    # .48 x 6.9 % + .52 x 7.1 % = 7.004 %.
    assert "Rate of interest                7.004 % a year, fixed\n" in text
    assert "Lenders   2 people, through Tenner\n" in text
    table = re.findall(r"^ +(\d+)  (.{18}) +£(\S+) +£(\S+) +£(\S+) +£\S+$", text, re.MULTILINE)
    assert [(line[3], line[4]) for line in table] == [
        (f"{principal / 100:.2f}", f"{interest / 100:.2f}") for principal, interest in rows
    ]
    # 1 May 2016 is a Sunday and 2 May a bank holiday.
    assert table[0][1].strip() == "3 May 2016"
    assert table[1][1].strip() == "1 June 2016"
    assert digest == hashlib.sha256(text.encode()).hexdigest()
    assert made.borrower.name not in text
    assert offered(made) == (text, digest)


def test_the_text_is_what_pay_out_makes_true(house: House) -> None:
    made = funded(house)
    text, digest = offered(made)
    assert accept(made, digest=digest) == 1
    done = pay_out_accepted(on=DAY, actor=ACTOR, key=key())
    assert (done.loans, done.pence) == (1, 98_500)
    table = re.findall(r"^ +(\d+)  (.{18}) +£(\S+) +£(\S+) +£(\S+) +£\S+$", text, re.MULTILINE)
    stored = Instalment.objects.filter(loan=made.loan_id).order_by("number")
    assert [
        (str(row.number), f"{row.due_on:%-d %B %Y}", row.principal_due, row.interest_planned)
        for row in stored
    ] == [
        (number, day.strip(), round(float(principal) * 100), round(float(interest) * 100))
        for number, day, _, principal, interest in table
    ]


def test_acceptance_stores_the_text_by_its_hash(house: House) -> None:
    made = funded(house)
    text, digest = offered(made)
    assert accept(made, digest=digest.upper()) == 1
    stored = Agreement.objects.get(loan=made.loan_id)
    assert (stored.text, stored.digest, stored.actor) == (text, digest, ACTOR)
    assert (stored.offered_on, stored.accept_by, stored.accepted_on) == (DAY, LAST_DAY, DAY)
    assert made.loan.accepted_on == DAY
    assert made.loan.state == LoanState.FUNDED
    # What was accepted is shown from then on, whatever the day.
    view = find_agreement(made.borrower.pk, made.loan.public_id, DAY + timedelta(days=400))
    assert view is not None
    assert (view.text, view.accepted_on) == (text, DAY)


def test_another_text_than_the_one_seen_is_not_accepted(house: House) -> None:
    made = funded(house)
    _, digest = offered(made)
    # Seen on the first day, accepted on the second: the due dates are others.
    with pytest.raises(AgreementChanged) as refusal:
        accept(made, on=DAY + timedelta(days=1), digest=digest)
    assert refusal.value.code == "AGREEMENT_CHANGED"
    assert made.loan.accepted_on is None
    assert not Agreement.objects.exists()
    _, anew = offered(made, DAY + timedelta(days=1))
    assert accept(made, on=DAY + timedelta(days=1), digest=anew) == 1


def test_the_last_day_of_acceptance_and_the_one_after(house: House) -> None:
    in_time, late = funded(house), funded(house)
    assert accept(in_time, on=LAST_DAY) == 1
    with pytest.raises(AgreementLapsed, match="until 6 April 2016") as refusal:
        accept(late, on=LAST_DAY + timedelta(days=1))
    assert refusal.value.code == "AGREEMENT_LAPSED"
    assert find_agreement(late.borrower.pk, late.loan.public_id, LAST_DAY + timedelta(1)) is None
    with pytest.raises(AgreementRefused, match="from 1 April 2016"):
        accept(late, on=DAY - timedelta(days=1))


def test_refusals_name_the_state_and_what_is_allowed(house: House) -> None:
    made = funded(house)
    [stranger] = borrowers(1)
    with pytest.raises(LoanUnknown):
        accept_agreements(
            loan_ids=[made.loan_id], on=DAY, actor=ACTOR, key=key(), borrower_id=stranger.pk
        )
    with pytest.raises(LoanUnknown):
        accept_agreements(loan_ids=[], on=DAY, actor=ACTOR, key=key())
    with pytest.raises(AgreementRefused, match="one loan"):
        accept_agreements(
            loan_ids=[made.loan_id, 999_999_999], on=DAY, actor=ACTOR, key=key(), digest="00"
        )
    accept(made)
    with pytest.raises(AgreementRefused, match="accepted this loan on 1 April 2016"):
        accept(made)
    pay_out_accepted(on=DAY, actor=ACTOR, key=key())
    with pytest.raises(AgreementRefused, match="is active; only a funded one can be accepted"):
        accept(made)
    with pytest.raises(AgreementRefused, match="is active; only a funded one can be cancelled"):
        cancel_funded(loan_id=made.loan_id, on=DAY, actor=ACTOR, key=key())


def test_acceptance_is_done_once_a_key(house: House) -> None:
    made, other = funded(house), funded(house)
    once = key()
    for _ in range(2):
        assert accept_agreements(loan_ids=[made.loan_id], on=DAY, actor=ACTOR, key=once) == 1
    assert Agreement.objects.count() == 1
    with pytest.raises(IdempotencyConflict):
        accept_agreements(loan_ids=[other.loan_id], on=DAY, actor=ACTOR, key=once)


def test_many_are_accepted_all_or_none(house: House) -> None:
    loans = [funded(house).loan_id for _ in range(3)]
    with pytest.raises(LoanUnknown):
        accept_agreements(loan_ids=[*loans, 999_999_999], on=DAY, actor=ACTOR, key=key())
    assert not Agreement.objects.exists()
    assert accept_agreements(loan_ids=loans, on=DAY, actor=ACTOR, key=key()) == 3
    done = pay_out_accepted(on=DAY, actor=ACTOR, key=key())
    assert (done.loans, done.pence) == (3, 3 * 98_500)


def test_only_accepted_loans_are_paid_out(house: House) -> None:
    accepted, waiting = funded(house), funded(house)
    accept(accepted, on=DAY + timedelta(days=1))
    # Accepted on the second day: at the close of the first there is nothing to pay out.
    assert pay_out_accepted(on=DAY, actor=ACTOR, key=key()).loans == 0
    once = key()
    assert pay_out_accepted(on=DAY + timedelta(days=1), actor=ACTOR, key=once).loans == 1
    assert pay_out_accepted(on=DAY + timedelta(days=1), actor=ACTOR, key=once).loans == 1
    assert accepted.loan.state == LoanState.ACTIVE
    assert waiting.loan.state == LoanState.FUNDED
    assert member_balances(accepted.borrower.pk).cash == 98_500


def test_a_cancelled_loan_gives_everything_back(house: House) -> None:
    made = funded(house)
    before = totals_by_kind()
    accept(made)
    assert cancel_funded(loan_id=made.loan_id, on=DAY, actor=ACTOR, key=key()) == 100_000
    assert [member_balances(lender.pk).matched for lender in made.lenders] == [0, 0]
    assert [member_balances(lender.pk).on_offer for lender in made.lenders] == [48_000, 52_000]
    assert list(Offer.objects.order_by("pk").values_list("available", flat=True)) == [
        48_000,
        52_000,
    ]
    assert (made.loan.state, made.loan.closed_on) == (LoanState.CANCELLED, DAY)
    assert Application.objects.get().state == ApplicationState.CANCELLED
    assert Listing.objects.get().state == ListingState.CANCELLED
    move = LoanMove.objects.get(loan=made.loan_id)
    assert (move.state_before, move.state_after) == ("funded", "cancelled")
    after = totals_by_kind()
    assert before[Kind.MATCHED] == 100_000
    assert (after[Kind.MATCHED], after[Kind.ON_OFFER]) == (0, 100_000)
    assert {kind: total for kind, total in after.items() if total} == {
        Kind.CLIENT_BANK: 100_000,
        Kind.ON_OFFER: 100_000,
    }
    assert check_book().holds
    assert [f.rule for f in audit() if not f.holds] == []
    with pytest.raises(AgreementRefused, match="is cancelled; only a funded one"):
        cancel_funded(loan_id=made.loan_id, on=DAY, actor=ACTOR, key=key())


def test_only_the_borrower_cancels_and_once_a_key(house: House) -> None:
    made = funded(house)
    [stranger] = borrowers(1)
    with pytest.raises(LoanUnknown):
        cancel_funded(loan_id=made.loan_id, on=DAY, actor=ACTOR, key=key(), borrower_id=stranger.pk)
    once = key()
    for _ in range(2):
        assert cancel_funded(loan_id=made.loan_id, on=DAY, actor=ACTOR, key=once) == 100_000
    assert [member_balances(lender.pk).on_offer for lender in made.lenders] == [48_000, 52_000]


def test_the_place_in_the_queue_is_kept(house: House) -> None:
    """After a cancelled match the next cycle serves the lender who stood first, not last."""
    first, second, third = enrol_lenders([100_000, 100_000, 100_000])
    for lender in (first, second):
        offer(house, lender, 100_000, {"A/36": 70_000})
    one, two = borrowers(2)
    listed = listing(house, one, 100_000)
    cycle()
    assert parts_of(listed) == [(first.pk, 70_000, 100_000)]
    loan = Loan.objects.get(listing=listed)
    # Somebody else offers at the same rate while the match stands; then it is cancelled.
    offer(house, third, 100_000, {"A/36": 70_000})
    cancel_funded(loan_id=loan.pk, on=DAY, actor=ACTOR, key=key())
    again = listing(house, two, 200_000)
    cycle()
    assert parts_of(again) == [(first.pk, 70_000, 100_000), (second.pk, 70_000, 100_000)]
    assert member_balances(third.pk).on_offer == 100_000


def test_repaid_pool_money_stands_at_the_front_again(house: House) -> None:
    """Among new money the other one is first, by time; what came back from borrowers goes first."""
    other, one = enrol_lenders([200_000, 200_000])
    first, mine = _pool(house, other), _pool(house, one)
    Offer.objects.filter(pk=mine).update(repaid=100_000)
    guide = house.markets["A/36"].guide_rate
    listed = listing(house, borrowers(1)[0], 100_000)
    cycle()
    assert parts_of(listed) == [(one.pk, guide, 100_000)]
    assert _of(mine) == (100_000, 0)
    loan = Loan.objects.get(listing=listed)
    cancel_funded(loan_id=loan.pk, on=DAY, actor=ACTOR, key=key())
    assert _of(mine) == (200_000, 100_000)
    assert _of(first) == (200_000, 0)
    again = listing(house, borrowers(1)[0], 100_000)
    cycle()
    assert parts_of(again) == [(one.pk, guide, 100_000)]
    assert [f.rule for f in audit() if not f.holds] == []


def test_of_two_matches_no_more_comes_to_the_front_than_was_there(house: House) -> None:
    """£500 of repaid money and £1,500 of new money fund two loans; both are cancelled."""
    [lender] = enrol_lenders([200_000])
    mine = _pool(house, lender)
    Offer.objects.filter(pk=mine).update(repaid=50_000)
    for borrower in borrowers(2):
        listing(house, borrower, 100_000)
    cycle()
    assert _of(mine) == (0, 0)
    loans = list(Loan.objects.order_by("pk").values_list("pk", flat=True))
    fronts = []
    for loan in loans:
        cancel_funded(loan_id=loan, on=DAY, actor=ACTOR, key=key())
        fronts.append(_of(mine))
    assert fronts == [(100_000, 50_000), (200_000, 50_000)]


def _pool(house: House, lender: Member) -> int:
    """£2,000 for the pool, all of it in A/36."""
    draft = PoolDraft(lender.pk, 200_000, 1_000_000, house.named({"A/36": 1_000_000}))
    [placed] = place_offers(drafts=[draft], on=DAY, actor=ACTOR, key=key())
    return placed


def _of(offer_id: int) -> tuple[int, int]:
    """Pence available, and how many of them came back from borrowers."""
    stored = Offer.objects.get(pk=offer_id)
    return stored.available, stored.repaid


def test_money_of_an_offer_cancelled_meanwhile_goes_to_cash(house: House) -> None:
    made = funded(house)
    one, two = made.lenders
    placed = Offer.objects.get(lender=one.pk)
    cancel_offer(offer_id=placed.pk, lender_id=one.pk, on=DAY, actor=ACTOR, key=key())
    cancel_funded(loan_id=made.loan_id, on=DAY, actor=ACTOR, key=key())
    assert (member_balances(one.pk).cash, member_balances(one.pk).on_offer) == (48_000, 0)
    assert (member_balances(two.pk).cash, member_balances(two.pk).on_offer) == (0, 52_000)
    placed.refresh_from_db()
    assert placed.available == 0
    assert [f.rule for f in audit() if not f.holds] == []


def test_one_offer_with_parts_of_several_loans_gets_all_of_it_back(house: House) -> None:
    [lender] = enrol_lenders([300_000])
    placed = offer(house, lender, 300_000, {"A/36": 70_000})
    for borrower in borrowers(3):
        listing(house, borrower, 100_000)
    cycle()
    assert Offer.objects.get(pk=placed).available == 0
    done = lapse_unaccepted(on=LAST_DAY + timedelta(days=1), actor=ACTOR, key=key())
    assert (done.loans, done.parts, done.pence) == (3, 3, 300_000)
    assert Offer.objects.get(pk=placed).available == 300_000
    assert member_balances(lender.pk).on_offer == 300_000


def test_only_loans_not_accepted_in_time_lapse(house: House) -> None:
    accepted, waiting = funded(house), funded(house)
    accept(accepted, on=LAST_DAY)
    assert lapse_unaccepted(on=LAST_DAY, actor=ACTOR, key=key()).loans == 0
    once, after = key(), LAST_DAY + timedelta(days=1)
    for _ in range(2):
        done = lapse_unaccepted(on=after, actor=ACTOR, key=once)
        assert (done.loans, done.parts, done.pence) == (1, 2, 100_000)
    assert lapse_unaccepted(on=after, actor=ACTOR, key=key()).loans == 0
    assert accepted.loan.state == LoanState.FUNDED
    assert waiting.loan.state == LoanState.CANCELLED
    listed = Listing.objects.get(loan=waiting.loan_id)
    assert listed.state == ListingState.EXPIRED
    assert listed.application.state == ApplicationState.EXPIRED
    assert [f.rule for f in audit() if not f.holds] == []


def test_the_borrower_of_a_lapsed_loan_can_borrow_again(house: House) -> None:
    made = funded(house)
    lapse_unaccepted(on=LAST_DAY + timedelta(days=1), actor=ACTOR, key=key())
    again = listing(house, made.borrower, 100_000)
    cycle()
    # The lenders' exposure limits are free again, too.
    assert sum(size for _, _, size in parts_of(again)) == 100_000


def test_listings_past_their_day_leave(house: House) -> None:
    one, two = borrowers(2)
    old = listing(house, one, 100_000, on=DAY)
    new = listing(house, two, 100_000, on=DAY + timedelta(days=1))
    # Fourteen days: the last of them is still one.
    assert expire_listings(on=DAY + timedelta(days=14)) == 0
    assert expire_listings(on=DAY + timedelta(days=15)) == 1
    assert expire_listings(on=DAY + timedelta(days=15)) == 0
    assert Listing.objects.get(pk=old).state == ListingState.EXPIRED
    assert Application.objects.get(listing=old).state == ApplicationState.EXPIRED
    assert Listing.objects.get(pk=new).state == ListingState.OPEN


def test_an_agreement_is_kept_for_good(house: House) -> None:
    made = funded(house)
    accept(made)
    for refused in (
        "UPDATE marketplace_agreement SET text = ''",
        "DELETE FROM marketplace_agreement",
    ):
        with (
            pytest.raises((ProgrammingError, InternalError)),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute(refused)
    with pytest.raises(IntegrityError, match="accepted_in_time"), transaction.atomic():
        Agreement.objects.create(
            loan=funded(house).loan,
            version=1,
            text="x",
            digest="0" * 64,
            offered_on=DAY,
            accept_by=LAST_DAY,
            accepted_on=LAST_DAY + timedelta(days=1),
            actor=ACTOR,
        )


def test_the_number_of_statements_does_not_grow_with_loans(house: House) -> None:
    few = [funded(house).loan_id for _ in range(2)]
    many = [funded(house).loan_id for _ in range(6)]
    counts = []
    for loans in (few, many):
        once = key()
        accepting = partial(accept_agreements, loan_ids=loans, on=DAY, actor=ACTOR, key=once)
        counts.append(statements(accepting))
    assert counts[0] == counts[1]
