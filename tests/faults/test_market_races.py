"""Two and more connections at once in the market: nothing is lent, paid or spread twice."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from django.db import connection, transaction

from accounts.selectors.ledger import member_balances
from accounts.services.posting import NotEnoughMoney
from marketplace.models import Cycle, Distribution, Instalment, Listing, Loan, Offer, Payment
from marketplace.selectors.audit import audit
from marketplace.services.borrowing import ListingDraft, ListingRefused, list_loans
from marketplace.services.changing_offers import OfferUnknown, cancel_offer
from marketplace.services.falling_due import fall_due
from marketplace.services.matching import CycleView, run_cycle
from marketplace.services.paying_out import LoanUnknown, pay_out
from marketplace.services.payments import distribute_cleared
from tests.faults.test_ledger_races import _at_once as at_once
from tests.marketplace import house as fixtures
from tests.marketplace.house import (
    House,
    accept,
    application,
    borrowers,
    funded,
    key,
    listing,
    offer,
    paid_out,
    pay,
)
from tests.world import ACTOR, CLEARED, DAY, FIRST_DUE, enrol_lenders

house_template = fixtures.house_template
committed_house = fixtures.committed_house


def _holds() -> bool:
    return all(finding.holds for finding in audit())


def _thread(work: Callable[[], object]) -> threading.Thread:
    """``work`` on its way, on a connection of its own."""

    def run() -> None:
        try:
            work()
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def _wait_for(query: str, count: int) -> None:
    """Until so many other connections of this database wait as the condition says."""
    for _ in range(500):
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_stat_clear_snapshot()")
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                f" AND pid <> pg_backend_pid() AND {query}"
            )
            if cursor.fetchone()[0] >= count:
                return
        time.sleep(0.01)
    raise AssertionError(f"nobody waits: {query}")


def test_two_cycles_never_overlap_and_the_second_sees_the_first(committed_house: House) -> None:
    """One is held in the middle by a lock on an offer; the other waits for it at the door."""
    [lender] = enrol_lenders([100_000])
    placed = offer(committed_house, lender, 100_000, {"A/36": 70_000})
    for borrower in borrowers(2):
        listing(committed_house, borrower, 100_000)
    views: list[CycleView] = []

    def cycle(name: str) -> None:
        views.append(run_cycle(on=DAY, actor=ACTOR, key=name))

    with transaction.atomic():
        Offer.objects.select_for_update().get(pk=placed)
        first = _thread(lambda: cycle("one"))
        _wait_for("wait_event_type = 'Lock' AND wait_event <> 'advisory'", 1)
        second = _thread(lambda: cycle("two"))
        _wait_for("wait_event = 'advisory'", 1)
        assert views == []
    first.join()
    second.join()
    assert [(view.loans, dict(view.waiting)) for view in views] == [
        (1, {"NOT_ENOUGH_OFFERS": 1}),
        (0, {"NOT_ENOUGH_OFFERS": 1}),
    ]
    digests = set(Cycle.objects.values_list("input_digest", flat=True))
    assert len({bytes(digest) for digest in digests}) == 2
    assert member_balances(lender.pk).matched == 100_000
    assert _holds()


def test_the_same_cycle_asked_for_at_once_runs_once(committed_house: House) -> None:
    [lender] = enrol_lenders([300_000])
    offer(committed_house, lender, 300_000, {"A/36": 70_000})
    for borrower in borrowers(3):
        listing(committed_house, borrower, 100_000)
    views: list[CycleView] = []
    at_once(lambda _: views.append(run_cycle(on=DAY, actor=ACTOR, key="the one")), 4)
    assert len(views) == 4
    assert all(view == views[0] for view in views)
    assert (Cycle.objects.count(), Loan.objects.count()) == (1, 3)
    assert _holds()


def test_cash_offered_at_once_is_offered_once(committed_house: House) -> None:
    [lender] = enrol_lenders([10_000])
    refused: list[int] = []

    def place(number: int) -> None:
        try:
            offer(committed_house, lender, 3_000, {"A/36": 70_000 + number})
        except NotEnoughMoney:
            refused.append(number)

    at_once(place, 8)
    # Three times £30 of £100.
    assert len(refused) == 5
    assert Offer.objects.count() == 3
    balances = member_balances(lender.pk)
    assert (balances.cash, balances.on_offer) == (1_000, 9_000)
    assert _holds()


def test_an_offer_cancelled_during_a_cycle_is_lent_or_given_back(committed_house: House) -> None:
    lenders = enrol_lenders([100_000] * 6)
    returned: list[int] = []
    for lender in lenders:
        placed = offer(committed_house, lender, 100_000, {"A/36": 70_000})
        listing(committed_house, borrowers(1)[0], 100_000)

        def act(number: int, placed: int = placed, lender_id: int = lender.pk) -> None:
            if number:
                run_cycle(on=DAY, actor=ACTOR, key=f"cycle-{placed}")
            else:
                returned.append(
                    cancel_offer(
                        offer_id=placed, lender_id=lender_id, on=DAY, actor=ACTOR, key=key()
                    )
                )

        at_once(act, 2)
    assert set(returned) <= {0, 100_000}
    for lender, back in zip(lenders, returned, strict=True):
        balances = member_balances(lender.pk)
        assert (balances.cash, balances.matched) == (back, 100_000 - back)
        assert balances.on_offer == 0
    assert _holds()


def test_one_cancels_an_offer_once(committed_house: House) -> None:
    [lender] = enrol_lenders([50_000])
    placed = offer(committed_house, lender, 50_000, {"A/36": 70_000})
    refused: list[int] = []

    def cancel(number: int) -> None:
        try:
            cancel_offer(offer_id=placed, lender_id=lender.pk, on=DAY, actor=ACTOR, key=key())
        except OfferUnknown:
            refused.append(number)

    at_once(cancel, 4)
    assert len(refused) == 3
    assert member_balances(lender.pk).cash == 50_000


def test_two_listings_of_one_borrower_at_once_are_one(committed_house: House) -> None:
    [borrower] = borrowers(1)
    applications = [application(committed_house, borrower, 100_000) for _ in range(4)]
    refused: list[str] = []

    def open_listing(number: int) -> None:
        drafts = [ListingDraft(applications[number], 80_000)]
        try:
            list_loans(drafts=drafts, on=DAY, actor=ACTOR, key=key())
        except ListingRefused as refusal:
            refused.append(refusal.message)

    at_once(open_listing, 4)
    assert refused == ["A borrower has one listing open at a time."] * 3
    assert Listing.objects.count() == 1


def test_a_loan_is_paid_out_once(committed_house: House) -> None:
    made = funded(committed_house)
    accept(made.loan_id)
    refused: list[int] = []

    def out(number: int) -> None:
        try:
            pay_out(loan_ids=[made.loan_id], on=DAY, actor=ACTOR, key=key())
        except LoanUnknown:
            refused.append(number)

    at_once(out, 4)
    assert len(refused) == 3
    assert member_balances(made.borrower.pk).cash == 98_500
    assert Instalment.objects.filter(loan=made.loan_id).count() == 36
    assert _holds()


def test_servicing_at_once_is_servicing_once(committed_house: House) -> None:
    made = paid_out(committed_house)
    fallen: list[int] = []
    at_once(lambda _: fallen.append(fall_due(on=FIRST_DUE, actor=ACTOR)), 4)
    assert sorted(fallen) == [0, 0, 0, 1]
    assert Instalment.objects.filter(loan=made.loan_id, interest_due=566).count() == 1
    at_once(lambda number: pay(made.loan_id, 1_000 + number, FIRST_DUE), 4)
    rows = Payment.objects.filter(loan=made.loan_id).order_by("number")
    spread: list[int] = []
    assert [row.number for row in rows] == [1, 2, 3, 4]
    assert sorted(row.amount for row in rows) == [1_000, 1_001, 1_002, 1_003]
    at_once(lambda _: spread.append(distribute_cleared(on=CLEARED, actor=ACTOR)), 4)
    # Each of the four brings both lenders something, the last one what was left of the £30.78.
    assert sorted(spread) == [0, 0, 0, 8]
    assert Distribution.objects.count() == 4
    # 4,006p came, 3,078p were due: 566p interest and 2,512p principal, once.
    loan = made.loan
    assert (loan.interest_paid, loan.principal_paid) == (566, 2_512)
    last = Distribution.objects.get(loan=made.loan_id, number=loan.distributions)
    assert (last.principal, last.interest, last.fee) == ([1_206, 1_306], [268, 298], [40, 43])
    assert member_balances(made.borrower.pk).cash == 98_500 + 4_006 - 3_078
    assert _holds()
