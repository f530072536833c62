"""Notices: each told once, to whom it concerns, and delivered until it arrives."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from django.core import mail
from django.core.mail.backends.locmem import EmailBackend
from django.db import ProgrammingError, connection, transaction

from accounts.models import Member
from accounts.selectors.ledger import member_balances
from marketplace.core.loan_events import (
    DefaultCause,
    DistributionKind,
    Excess,
    LoanEventKind,
    PaymentKind,
)
from marketplace.core.states import LoanState
from marketplace.core.wording import pounds
from marketplace.models import (
    Distribution,
    FundAward,
    FundClaim,
    FundDecision,
    Instalment,
    Loan,
    LoanEvent,
    LoanMove,
    Notice,
    Payment,
)
from marketplace.services.agreements import (
    accept_agreements,
    cancel_funded,
    expire_listings,
    lapse_unaccepted,
    pay_out_accepted,
)
from marketplace.services.changing_loans import take_holiday, void_event
from marketplace.services.defaulting import declare_default
from marketplace.services.moves import LoanMoved, move_loans
from marketplace.services.notices import deliver_notices, write_notices
from marketplace.services.provision_fund import decide_claims
from marketplace.services.settling_loans import prepay
from tests.marketplace.fund_house import DIED, covered, dies, feed
from tests.marketplace.house import (
    Funded,
    House,
    borrowers,
    cycle,
    funded,
    key,
    listing,
    offer,
)
from tests.marketplace.lives import bounce
from tests.marketplace.statements import statements
from tests.world import ACTOR, DAY, FIRST_DUE, enrol_lenders


def told(member: Member) -> list[tuple[str, str]]:
    """Template and subject of what a member was told, in order."""
    rows = Notice.objects.filter(member=member.pk).order_by("pk")
    return list(rows.values_list("template", "subject"))


def names(member: Member) -> list[str]:
    return [name for name, _ in told(member)]


def started(house: House) -> Funded:
    """A loan accepted and paid out on the first day; what that says is told already."""
    made = funded(house)
    accept_agreements(loan_ids=[made.loan_id], on=DAY, actor=ACTOR, key=key())
    pay_out_accepted(on=DAY, actor=ACTOR, key=key())
    write_notices(on=DAY)
    Notice.objects.update(delivered_at="2016-04-01T20:00:00Z")
    return made


def move(made: Funded, after: LoanState, on: date) -> None:
    before = LoanState(made.loan.state)
    with transaction.atomic():
        move_loans(moves=[LoanMoved(made.loan_id, before, after, "for the test")], on=on)


def event(made: Funded, number: int, kind: LoanEventKind, on: date, **fields: object) -> LoanEvent:
    return LoanEvent.objects.create(
        loan_id=made.loan_id,
        number=number,
        kind=kind,
        effective_on=on,
        recorded_on=on,
        actor=ACTOR,
        **fields,
    )


def first_instalment_fell_due(made: Funded) -> int:
    """The first instalment is due and unpaid; returns what it comes to."""
    row = Instalment.objects.get(loan=made.loan_id, number=1)
    row.interest_due = row.interest_planned
    row.balance_months = made.loan.amount
    row.save()
    return row.principal_due + row.interest_due


def test_a_funded_loan_waits_for_its_borrower(house: House) -> None:
    made = funded(house)
    assert write_notices(on=DAY).notices == 1
    [notice] = Notice.objects.all()
    assert (notice.member_id, notice.loan_id) == (made.borrower.pk, made.loan_id)
    assert notice.subject == "Your loan is funded: accept it by 6 April 2016"
    assert "£1,000.00 over 36 months at 7.004 % a year" in notice.body
    assert (notice.template, notice.version, notice.written_on) == ("agreement_ready", 1, DAY)


def test_pay_out_is_told_to_the_borrower_and_once_a_day_to_lenders(house: House) -> None:
    lenders, people = enrol_lenders([96_000, 104_000]), borrowers(2)
    # Half of each one's money goes to each borrower: that is the most they lend to one.
    for lender, rate in zip(lenders, (69_000, 71_000), strict=True):
        pence = member_balances(lender.pk).cash
        offer(house, lender, pence, {"A/36": rate}, limit=pence // 2)
    for borrower in people:
        listing(house, borrower, 100_000)
    cycle()
    loans = list(Loan.objects.values_list("pk", flat=True))
    accept_agreements(loan_ids=loans, on=DAY, actor=ACTOR, key=key())
    pay_out_accepted(on=DAY, actor=ACTOR, key=key())
    write_notices(on=DAY)
    assert told(people[0]) == told(people[1]) == [("paid_out", "Your loan is paid out")]
    body = Notice.objects.get(member=people[0].pk).body
    assert "The first instalment, £30.78, is due on 3 May 2016." in body
    assert (
        "£985.00 is in your account: your loan of £1,000.00 less the arrangement fee of £15.00"
        in body
    )
    assert "withdraw from the agreement until 15 April 2016" in body
    # £480 and £520 of each loan: one summary.
    assert told(lenders[0]) == [("lent", "£960.00 of your money was lent on 1 April 2016")]
    assert "2 part(s) of 2 loan(s)" in Notice.objects.get(member=lenders[0].pk).body
    assert told(lenders[1]) == [("lent", "£1,040.00 of your money was lent on 1 April 2016")]


def test_another_run_writes_nothing_twice(house: House) -> None:
    funded(house)
    made = funded(house)
    accept_agreements(loan_ids=[made.loan_id], on=DAY, actor=ACTOR, key=key())
    pay_out_accepted(on=DAY, actor=ACTOR, key=key())
    # One to accept; one paid out; two lenders.
    assert write_notices(on=DAY).notices == 4
    for later in range(4):
        assert write_notices(on=DAY + timedelta(days=later)).notices == 0
    assert Notice.objects.count() == 4


def test_what_was_recorded_after_the_close_is_told_at_the_next(house: House) -> None:
    made = funded(house)
    write_notices(on=DAY)
    cancel_funded(loan_id=made.loan_id, on=DAY, actor=ACTOR, key=key())
    assert write_notices(on=DAY + timedelta(days=1)).notices == 3
    assert names(made.borrower) == ["agreement_ready", "cancelled"]
    assert told(made.lenders[0])[0][1] == (
        "£480.00 of your money is back from loans that were cancelled"
    )


def test_a_lapsed_loan_and_a_listing_that_ended(house: House) -> None:
    made = funded(house)
    [waiting] = borrowers(1)
    listing(house, waiting, 2_500_000)
    after = DAY + timedelta(days=6)
    lapse_unaccepted(on=after, actor=ACTOR, key=key())
    write_notices(on=after)
    assert told(made.borrower) == [("lapsed", "Your loan has lapsed")]
    assert "not accepted by 6 April 2016" in Notice.objects.get(member=made.borrower.pk).body
    assert names(made.lenders[0]) == ["match_cancelled"]
    expire_listings(on=DAY + timedelta(days=15))
    write_notices(on=DAY + timedelta(days=15))
    assert told(waiting) == [("listing_expired", "Your listing has ended")]


def test_arrears_are_told_on_the_first_day_and_at_each_stage(house: House) -> None:
    made = started(house)
    owed = first_instalment_fell_due(made)
    assert owed == 3_078
    # On the due date itself nothing is late.
    assert write_notices(on=FIRST_DUE).notices == 0
    move(made, LoanState.ARREARS, FIRST_DUE + timedelta(days=1))
    subjects: list[str] = []
    for days in (1, 2, 30, 31, 32, 60, 61, 62, 90, 91, 92, 120):
        write_notices(on=FIRST_DUE + timedelta(days=days))
        newest = told(made.borrower)[-1][1]
        if not subjects or subjects[-1] != newest:
            subjects.append(newest)
    assert subjects == [f"Your loan is {days} day(s) behind" for days in (1, 31, 61, 91)]
    body = Notice.objects.filter(member=made.borrower.pk).latest("pk").body
    assert "£30.78 was due on your loan by 2 August 2016" in body


def test_a_missed_run_tells_the_highest_stage_alone(house: House) -> None:
    made = started(house)
    first_instalment_fell_due(made)
    move(made, LoanState.ARREARS, FIRST_DUE + timedelta(days=1))
    write_notices(on=FIRST_DUE + timedelta(days=65))
    assert told(made.borrower)[-1:] == [("arrears", "Your loan is 65 day(s) behind")]
    assert names(made.borrower).count("arrears") == 1


def test_default_is_told_to_the_borrower_and_to_each_lender(house: House) -> None:
    made = started(house)
    first_instalment_fell_due(made)
    Loan.objects.filter(pk=made.loan_id).update(covered=True)
    move(made, LoanState.DEFAULT, FIRST_DUE)
    write_notices(on=FIRST_DUE)
    [borrowers_own] = Notice.objects.filter(member=made.borrower.pk, template="default")
    interest = Instalment.objects.get(loan=made.loan_id, number=1).interest_planned
    assert f"All of it is due: £{(100_000 + interest) / 100:,.2f}." in borrowers_own.body
    for lender, open_pence in zip(made.lenders, ("£480.00", "£520.00"), strict=True):
        [one] = Notice.objects.filter(member=lender.pk, template="default_lender")
        assert f"{open_pence} of your principal is open" in one.body
        assert "it is no guarantee" in one.body
        assert one.loan_id == made.loan_id


def test_a_default_that_the_fund_does_not_cover_says_so(house: House) -> None:
    made = started(house)
    Loan.objects.filter(pk=made.loan_id).update(covered=False)
    move(made, LoanState.DEFAULT, FIRST_DUE)
    write_notices(on=FIRST_DUE)
    [one] = Notice.objects.filter(member=made.lenders[0].pk, template="default_lender")
    assert "The provision fund does not cover this loan." in one.body


def test_changes_of_the_direct_debit_are_told_and_so_is_taking_them_back(house: House) -> None:
    made = started(house)
    on = DAY + timedelta(days=3)
    change = event(made, 1, LoanEventKind.DUE_DAY, on, day=15)
    event(made, 2, LoanEventKind.HOLIDAY, on, months=2)
    write_notices(on=on)
    assert names(made.borrower) == ["paid_out", "debit_changed", "debit_changed"]
    body = Notice.objects.filter(member=made.borrower.pk).latest("pk").body
    assert (
        "The next collection is £30.78 on 3 May 2016; the last one is due on 1 April 2019." in body
    )
    change.voided_on, change.voided_by = on + timedelta(days=1), ACTOR
    change.save(update_fields=["voided_on", "voided_by"])
    assert write_notices(on=on + timedelta(days=1)).notices == 1
    assert write_notices(on=on + timedelta(days=2)).notices == 0


def test_a_prepayment_that_bounces_changes_the_direct_debit_back(house: House) -> None:
    made = started(house)
    asked: dict[str, Any] = {
        "loan_id": made.loan_id,
        "actor": ACTOR,
        "kind": PaymentKind.COLLECTION,
    }
    on, bounced = DAY + timedelta(days=3), DAY + timedelta(days=5)
    paid = prepay(**asked, amount=10_000, excess=Excess.SMALLER, on=on, key=key())
    write_notices(on=on)
    bounce(made, paid.number, bounced)
    write_notices(on=bounced)
    assert names(made.borrower) == ["paid_out", "debit_changed", "bounced", "debit_changed"]
    bodies = Notice.objects.filter(template="debit_changed").order_by("pk").values_list("body")
    before, after = (body for [body] in bodies)
    assert "The next collection is £27.70 on 3 May 2016" in before
    assert "The next collection is £30.78 on 3 May 2016" in after
    assert write_notices(on=bounced).notices == 0


def test_a_bounced_prepayment_that_nobody_was_told_of_changes_nothing(house: House) -> None:
    made = started(house)
    asked: dict[str, Any] = {
        "loan_id": made.loan_id,
        "actor": ACTOR,
        "kind": PaymentKind.COLLECTION,
    }
    paid = prepay(**asked, amount=10_000, excess=Excess.SMALLER, on=DAY, key=key())
    bounce(made, paid.number, DAY)
    write_notices(on=DAY)
    assert names(made.borrower) == ["paid_out", "bounced"]


def test_nothing_is_collected_from_the_dead(house: House) -> None:
    made = started(house)
    asked: dict[str, Any] = {"loan_id": made.loan_id, "on": DAY, "actor": ACTOR}
    take_holiday(**asked, months=1, key=key())
    declare_default(**asked, cause=DefaultCause.DEATH, key=key(), reason="a certificate")
    write_notices(on=DAY)
    assert names(made.borrower) == ["paid_out", "default"]


def test_a_default_taken_back_before_anybody_was_told_is_not_told(house: House) -> None:
    made = started(house)
    asked: dict[str, Any] = {"loan_id": made.loan_id, "on": DAY, "actor": ACTOR}
    declare_default(**asked, cause=DefaultCause.DEATH, key=key(), reason="a certificate")
    [number] = LoanEvent.objects.filter(loan=made.loan_id).values_list("number", flat=True)
    void_event(**asked, number=number, key=key(), reason="of a namesake")
    assert write_notices(on=DAY).notices == 0


def test_a_payment_of_the_fund_taken_back_at_once_is_not_told(house: House) -> None:
    feed(house, 150_000)
    made = covered(house)
    claim = dies(made)
    write_notices(on=DIED)
    before = Notice.objects.count()
    decide_claims(claim_ids=[claim], on=DIED, actor=ACTOR, key=key(), reason="for the test")
    number = LoanEvent.objects.get(loan=made.loan_id, kind="fund_payment").number
    asked: dict[str, Any] = {"loan_id": made.loan_id, "on": DIED, "actor": ACTOR}
    void_event(**asked, number=number, key=key(), reason="the wrong claim")
    write_notices(on=DIED)
    assert Notice.objects.count() == before


def test_what_was_told_and_taken_back_is_told_to_the_same_people(house: House) -> None:
    feed(house, 150_000)
    made = covered(house)
    claim = dies(made)
    decide_claims(claim_ids=[claim], on=DIED, actor=ACTOR, key=key(), reason="for the test")
    write_notices(on=DIED)
    on = DIED + timedelta(days=2)
    asked: dict[str, Any] = {"loan_id": made.loan_id, "on": on, "actor": ACTOR}
    for kind in ("fund_payment", "default"):
        event = LoanEvent.objects.get(loan=made.loan_id, kind=kind)
        void_event(**asked, number=event.number, key=key(), reason="of a namesake")
    write_notices(on=on)
    written = Notice.objects.filter(written_on=on)
    back = written.filter(template="fund_taken_back").values_list("member_id", flat=True)
    assert sorted(back) == sorted(lender.pk for lender in made.lenders)
    lifted = written.filter(template="default_lifted")
    people = [made.borrower.pk, *(lender.pk for lender in made.lenders)]
    assert sorted(lifted.values_list("member_id", flat=True)) == sorted(people)
    assert all("On 4 May 2016 we told you" in notice.body for notice in lifted)
    assert write_notices(on=on + timedelta(days=1)).notices == 0


def test_each_decision_of_the_fund_is_told_with_what_it_brought(house: House) -> None:
    """A quarter of £1,005.66, and then half of the rest: the fees on interest are taken off."""
    feed(house, 150_000)
    made = covered(house)
    claim = dies(made)
    write_notices(on=DIED)
    cash = [member_balances(lender.pk).cash for lender in made.lenders]
    for days, proportion in ((1, 250_000), (2, 500_000)):
        on = DIED + timedelta(days=days)
        decide_claims(
            claim_ids=[claim],
            proportion_ppm=proportion,
            on=on,
            actor=ACTOR,
            key=key(),
            reason="for the test",
        )
        write_notices(on=on)
        for place, lender in enumerate(made.lenders):
            now = member_balances(lender.pk).cash
            subject = f"The provision fund paid {pounds(now - cash[place])} to you"
            assert told(lender)[-1] == ("fund_paid", subject)
            cash[place] = now


def test_a_bounced_payment_is_told(house: House) -> None:
    made = started(house)
    Payment.objects.create(
        loan_id=made.loan_id,
        number=1,
        kind=PaymentKind.COLLECTION,
        amount=3_078,
        actor=ACTOR,
        received_on=FIRST_DUE,
        recorded_on=FIRST_DUE,
        clears_on=FIRST_DUE + timedelta(days=3),
        bounced_on=FIRST_DUE + timedelta(days=2),
    )
    assert write_notices(on=FIRST_DUE + timedelta(days=1)).notices == 0
    assert write_notices(on=FIRST_DUE + timedelta(days=2)).notices == 1
    assert told(made.borrower)[-1] == ("bounced", "Your payment of £30.78 did not go through")


def test_hardship_and_arrangements_agreed_and_ended(house: House) -> None:
    made = started(house)
    on = DAY + timedelta(days=10)
    event(made, 1, LoanEventKind.HARDSHIP, on, until=on + timedelta(days=60))
    move(made, LoanState.HARDSHIP, on)
    write_notices(on=on)
    assert told(made.borrower)[-1][1] == "Interest on your loan is frozen until 10 June 2016"
    move(made, LoanState.ARREARS, on + timedelta(days=60))
    write_notices(on=on + timedelta(days=60))
    assert "hardship_ended" in names(made.borrower)
    later = on + timedelta(days=70)
    event(made, 2, LoanEventKind.ARRANGEMENT, later, amount=1_500, months=6)
    move(made, LoanState.ARRANGEMENT, later)
    write_notices(on=later)
    assert ("arrangement", "What we agreed: £15.00 a month") in told(made.borrower)
    move(made, LoanState.ARREARS, later + timedelta(days=40))
    write_notices(on=later + timedelta(days=40))
    assert names(made.borrower).count("arrangement_ended") == 1


@pytest.mark.parametrize(
    ("way", "name"),
    [
        ([LoanState.REPAID], "repaid"),
        ([LoanState.RESCINDED], "rescinded"),
        ([LoanState.ARREARS, LoanState.SETTLED], "settled"),
        ([LoanState.DEFAULT, LoanState.RECOVERED], "recovered"),
    ],
)
def test_the_end_of_a_loan_is_told(house: House, way: list[LoanState], name: str) -> None:
    made = started(house)
    for state in way:
        move(made, state, FIRST_DUE)
    write_notices(on=FIRST_DUE)
    assert names(made.borrower).count(name) == 1
    assert write_notices(on=FIRST_DUE + timedelta(days=1)).notices == 0


def test_what_the_fund_decided_is_told_to_each_lender(house: House) -> None:
    """The fund pays £500 of £1,000: £240 and £260; then it declines another loan."""
    paid, declined = started(house), started(house)
    for made in (paid, declined):
        event(made, 1, LoanEventKind.DEFAULT, DAY, cause=DefaultCause.DEATH)
        move(made, LoanState.DEFAULT, DAY)
    write_notices(on=DAY)
    decided = DAY + timedelta(days=1)
    decision = FundDecision.objects.create(
        decided_on=decided,
        proportion=500_000,
        claims=2,
        claimed=200_000,
        paid=50_000,
        balance_before=60_000,
        decided_by=ACTOR,
        reason="for the test",
    )
    event(paid, 2, LoanEventKind.FUND_PAYMENT, decided, amount=50_000)
    awards = []
    for made, number, pence in ((paid, 2, 50_000), (declined, None, 0)):
        claim = FundClaim.objects.create(
            loan_id=made.loan_id, claimed_on=DAY, actor=ACTOR, principal=100_000, interest=0
        )
        awards.append(
            FundAward(decision=decision, claim=claim, number=number, principal=pence, interest=0)
        )
    FundAward.objects.bulk_create(awards)
    Distribution.objects.create(
        loan_id=paid.loan_id,
        number=1,
        kind=DistributionKind.FUND,
        spread_on=decided,
        principal_total=50_000,
        interest_total=0,
        fee_total=0,
        principal=[24_000, 26_000],
        interest=[0, 0],
        fee=[0, 0],
    )
    assert write_notices(on=decided).notices == 4
    assert told(paid.lenders[0])[-1] == ("fund_paid", "The provision fund paid £240.00 to you")
    assert told(paid.lenders[1])[-1] == ("fund_paid", "The provision fund paid £260.00 to you")
    body = Notice.objects.filter(member=paid.lenders[0].pk).latest("pk").body
    assert "On 2 April 2016 the provision fund paid £500.00 for a loan in default" in body
    assert names(declined.lenders[0])[-1] == "fund_declined"


def test_the_number_of_statements_does_not_grow(house: House) -> None:
    counts = []
    for count in (1, 4):
        for _ in range(count):
            made = funded(house)
            accept_agreements(loan_ids=[made.loan_id], on=DAY, actor=ACTOR, key=key())
        pay_out_accepted(on=DAY, actor=ACTOR, key=key())
        counts.append(statements(lambda: write_notices(on=DAY)))
    assert counts[0] == counts[1]
    assert Notice.objects.filter(template="lent").count() == 10


class Failing(EmailBackend):
    """A mail server that knows no address but one."""

    known = ""

    def send_messages(self, messages: list[mail.EmailMessage]) -> int:  # type: ignore[override]
        for message in messages:
            if message.to != [self.known]:
                raise ConnectionRefusedError(f"nobody called {message.to}")
        return super().send_messages(messages)


def test_notices_are_sent_once(house: House) -> None:
    made = funded(house)
    write_notices(on=DAY)
    done = deliver_notices(limit=10)
    assert (done.sent, done.failed) == (1, 0)
    [sent] = mail.outbox
    assert sent.to == [made.borrower.email]
    assert sent.subject == "Your loan is funded: accept it by 6 April 2016"
    notice = Notice.objects.get()
    assert notice.delivered_at is not None
    assert (notice.attempts, notice.failure) == (1, "")
    assert deliver_notices(limit=10).sent == 0
    assert len(mail.outbox) == 1


def test_what_fails_is_kept_and_tried_again_after_the_others(
    house: House, settings: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = funded(house), funded(house)
    write_notices(on=DAY)
    settings.EMAIL_BACKEND = f"{__name__}.Failing"  # type: ignore[attr-defined]
    monkeypatch.setattr(Failing, "known", two.borrower.email)
    done = deliver_notices(limit=10)
    assert (done.sent, done.failed) == (1, 1)
    kept = Notice.objects.get(delivered_at__isnull=True)
    # The error's name alone: its text has the address in it.
    assert (kept.member_id, kept.attempts, kept.failure) == (
        one.borrower.pk,
        1,
        "ConnectionRefusedError",
    )
    assert (deliver_notices(limit=10).failed, deliver_notices(limit=10).failed) == (1, 1)
    # A new one goes first; then the mail server knows everybody.
    third = funded(house)
    write_notices(on=DAY)
    monkeypatch.setattr(Failing, "known", third.borrower.email)
    assert deliver_notices(limit=1).sent == 1
    monkeypatch.setattr(Failing, "known", one.borrower.email)
    assert deliver_notices(limit=1).sent == 1
    kept.refresh_from_db()
    assert (kept.attempts, kept.failure) == (4, "")
    assert kept.delivered_at is not None


def test_what_was_told_is_not_changed(house: House) -> None:
    funded(house)
    write_notices(on=DAY)
    for refused in (
        "UPDATE marketplace_notice SET body = ''",
        "UPDATE marketplace_notice SET member_id = 1",
        "DELETE FROM marketplace_notice",
    ):
        with (
            pytest.raises(ProgrammingError, match="permission denied"),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute(refused)


def test_moves_of_long_ago_are_not_told_any_more(house: House) -> None:
    made = started(house)
    move(made, LoanState.REPAID, DAY)
    assert write_notices(on=DAY + timedelta(days=14)).notices == 0
    assert write_notices(on=DAY + timedelta(days=13)).notices == 1
    assert LoanMove.objects.filter(loan=made.loan_id).count() == 2
