"""Two connections at once at a funded loan: accepted, cancelled, paid out or lapsed, never two."""

from __future__ import annotations

from datetime import timedelta

from django.core import mail
from django.db import connection, transaction

from accounts.selectors.ledger import check_book, member_balances
from marketplace.core.errors import MarketplaceRefusal
from marketplace.core.states import LoanState
from marketplace.models import Agreement, Loan, LoanMove, Notice, Offer
from marketplace.selectors.audit import audit
from marketplace.services.agreements import (
    accept_agreements,
    cancel_funded,
    lapse_unaccepted,
    pay_out_accepted,
)
from marketplace.services.matching import run_cycle
from marketplace.services.notices import deliver_notices, write_notices
from tests.faults.test_ledger_races import _at_once as at_once
from tests.faults.test_market_races import _thread as thread
from tests.faults.test_market_races import _wait_for as wait_for
from tests.marketplace import house as fixtures
from tests.marketplace.house import House, borrowers, funded, key, listing
from tests.world import ACTOR, DAY

house_template = fixtures.house_template
committed_house = fixtures.committed_house

AT_THE_DOOR = "wait_event = 'advisory'"
AT_A_ROW = "wait_event_type = 'Lock' AND wait_event <> 'advisory'"


def _holds() -> bool:
    return check_book().holds and all(finding.holds for finding in audit())


def test_accepting_and_cancelling_at_once_leaves_one_story(committed_house: House) -> None:
    """Whoever comes first: a cancelled loan is never paid out, an accepted one can be cancelled."""
    made = [funded(committed_house) for _ in range(4)]
    refused: list[str] = []

    def act(number: int) -> None:
        one = made[number // 2]
        try:
            if number % 2:
                cancel_funded(loan_id=one.loan_id, on=DAY, actor=ACTOR, key=f"c{number}")
            else:
                accept_agreements(loan_ids=[one.loan_id], on=DAY, actor=ACTOR, key=f"a{number}")
        except MarketplaceRefusal as refusal:
            refused.append(refusal.code)

    at_once(act, 8)
    # Accepting after cancelling is refused; cancelling after accepting is not.
    assert set(refused) <= {"AGREEMENT_REFUSED"}
    assert len(refused) + Agreement.objects.count() == 4
    assert set(Loan.objects.values_list("state", flat=True)) == {LoanState.CANCELLED}
    assert pay_out_accepted(on=DAY, actor=ACTOR, key=key()).loans == 0
    assert sum(Offer.objects.values_list("available", flat=True)) == 400_000
    assert _holds()


def test_cancelled_while_pay_out_waits_is_not_paid_out(committed_house: House) -> None:
    made = funded(committed_house)
    accept_agreements(loan_ids=[made.loan_id], on=DAY, actor=ACTOR, key=key())
    done: list[int] = []
    with transaction.atomic():
        cancel_funded(loan_id=made.loan_id, on=DAY, actor=ACTOR, key=key())
        paying = thread(lambda: done.append(pay_out_accepted(on=DAY, actor=ACTOR, key="pay").loans))
        wait_for(AT_A_ROW, 1)
        assert done == []
    paying.join()
    assert done == [0]
    assert made.loan.state == LoanState.CANCELLED
    assert member_balances(made.borrower.pk).cash == 0
    assert _holds()


def test_accepted_while_lapsing_waits_does_not_lapse(committed_house: House) -> None:
    made = funded(committed_house)
    done: list[int] = []
    with transaction.atomic():
        accept_agreements(
            loan_ids=[made.loan_id], on=DAY + timedelta(days=5), actor=ACTOR, key=key()
        )
        lapsing = thread(
            lambda: done.append(
                lapse_unaccepted(on=DAY + timedelta(days=6), actor=ACTOR, key="lapse").loans
            )
        )
        wait_for(AT_A_ROW, 1)
    lapsing.join()
    assert done == [0]
    assert made.loan.state == LoanState.FUNDED
    assert _holds()


def test_cancelling_twice_at_once_gives_the_money_back_once(committed_house: House) -> None:
    made = funded(committed_house)
    returned: list[int] = []
    refused: list[str] = []

    def cancel(number: int) -> None:
        try:
            returned.append(
                cancel_funded(loan_id=made.loan_id, on=DAY, actor=ACTOR, key=f"c{number}")
            )
        except MarketplaceRefusal as refusal:
            refused.append(refusal.code)

    at_once(cancel, 3)
    assert (returned, refused) == ([100_000], ["AGREEMENT_REFUSED"] * 2)
    assert LoanMove.objects.filter(loan=made.loan_id).count() == 1
    assert [member_balances(lender.pk).on_offer for lender in made.lenders] == [48_000, 52_000]
    assert _holds()


def test_a_cycle_waits_for_a_cancelled_match_and_counts_its_money(committed_house: House) -> None:
    made = funded(committed_house)
    listing(committed_house, borrowers(1)[0], 100_000)
    lent: list[int] = []
    with transaction.atomic():
        cancel_funded(loan_id=made.loan_id, on=DAY, actor=ACTOR, key=key())
        running = thread(lambda: lent.append(run_cycle(on=DAY, actor=ACTOR, key="next").lent))
        wait_for(AT_THE_DOOR, 1)
    running.join()
    assert lent == [100_000]
    assert _holds()


def test_notices_are_written_once_by_several(committed_house: House) -> None:
    for _ in range(4):
        funded(committed_house)
    written: list[int] = []
    at_once(lambda _: written.append(write_notices(on=DAY).notices), 3)
    assert sum(written) == Notice.objects.count() == 4


def test_notices_are_sent_once_by_several(committed_house: House) -> None:
    made = [funded(committed_house) for _ in range(6)]
    write_notices(on=DAY)
    sent: list[int] = []
    at_once(lambda _: sent.append(deliver_notices(limit=100).sent), 3)
    assert sum(sent) == 6
    assert sorted(message.to[0] for message in mail.outbox) == sorted(
        one.borrower.email for one in made
    )
    assert not Notice.objects.filter(delivered_at__isnull=True).exists()
    assert set(Notice.objects.values_list("attempts", flat=True)) == {1}


def test_a_notice_on_its_way_is_left_to_who_sends_it(committed_house: House) -> None:
    made = funded(committed_house)
    other = funded(committed_house)
    write_notices(on=DAY)
    sent: list[int] = []
    with transaction.atomic():
        Notice.objects.select_for_update().get(member=made.borrower.pk)
        sending = thread(lambda: sent.append(deliver_notices(limit=10).sent))
        sending.join()
        assert sent == [1]
        [message] = mail.outbox
        assert message.to == [other.borrower.email]
    connection.close()
