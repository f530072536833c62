"""Payments: received, cleared, and spread to the penny, on the house design's own loan.

£480 at 6.9 % and £520 at 7.1 % over 36 months, £30.78 a month. Every figure is worked out in the
comments; servicing fees are 1 % a year, a twelfth of it a month: £480 -> 40p, £520 -> 43.33p.
"""

from __future__ import annotations

from datetime import date

import pytest

from accounts.core.chart import Kind
from accounts.models import Account, Entry, Transfer
from accounts.selectors.ledger import check_book, member_balances, totals_by_kind
from accounts.services.cash import CashMovement, send_withdrawals
from accounts.services.days import close_date
from accounts.services.posting import IdempotencyConflict, NotEnoughMoney
from marketplace.core.life_refusals import PaymentRefused
from marketplace.core.loan_events import Excess, PaymentKind
from marketplace.core.states import PAYABLE, LoanState
from marketplace.models import Instalment, Loan, Payment
from marketplace.selectors.audit import audit
from marketplace.services.ageing import age_loans
from marketplace.services.falling_due import fall_due
from marketplace.services.payments import (
    PaymentBackDated,
    PaymentDraft,
    distribute_cleared,
    receive_payments,
)
from tests.marketplace.house import Funded, House, funded, key, paid_out, pay, shares_of
from tests.world import ACTOR, CLEARED, DAY, FIRST_DUE

SECOND_DUE = date(2016, 6, 1)
SECOND_CLEARED = date(2016, 6, 6)


def _balance(kind: Kind, owner: int) -> int:
    return Account.objects.get(kind=kind.value, owner_id=owner).balance


def _first_instalment(house: House) -> Funded:
    made = paid_out(house)
    fall_due(on=FIRST_DUE, actor=ACTOR)
    pay(made.loan_id, 3_078, FIRST_DUE)
    return made


def test_an_instalment_is_spread_to_the_penny(house: House) -> None:
    made = _first_instalment(house)
    assert distribute_cleared(on=CLEARED, actor=ACTOR) == 2
    # Interest 268p and 298p (566p in all), so 3,078 - 566 = 2,512p repay principal. By size that is
    # 1,205.76 and 1,306.24: 1,205 and 1,306, and a penny left. The first part's 1,206th penny is
    # due when 1,206 / .48 = 2,512.5 have come, the second's 1,307th when 1,307 / .52 = 2,513.5:
    # the first part gets it. Fees 40p and 43p.
    assert shares_of(made.loan_id, 1) == [(1_206, 268, 40), (1_306, 298, 43)]
    # 1,206 + 268 - 40 = 1,434; 1,306 + 298 - 43 = 1,561.
    assert [member_balances(lender.pk).cash for lender in made.lenders] == [1_434, 1_561]
    # The arrangement fee of £15.00 and 83p.
    assert totals_by_kind()[Kind.FEES] == 1_500 + 83
    assert _balance(Kind.PRINCIPAL_OWED, made.loan_id) == 100_000 - 2_512
    assert _balance(Kind.INTEREST_DUE, made.loan_id) == 0
    assert _balance(Kind.CLEARING, made.loan_id) == 0
    assert member_balances(made.borrower.pk).cash == 98_500
    assert check_book().holds


def test_the_payment_is_one_entry_with_a_net_transfer_a_part(house: House) -> None:
    made = _first_instalment(house)
    distribute_cleared(on=CLEARED, actor=ACTOR)
    entry = Entry.objects.get(key=f"distribution/{made.loan_id}/1/1")
    assert entry.effective_on == CLEARED
    amounts = Transfer.objects.filter(entry=entry).order_by("id").values_list("book", "amount")
    assert list(amounts) == [(1, 1_434), (1, 1_561), (1, 83)]


def test_the_claims_fall_when_the_payment_is_received(house: House) -> None:
    made = _first_instalment(house)
    entry = Entry.objects.get(key=f"payment/{made.loan_id}/1")
    assert entry.effective_on == FIRST_DUE
    amounts = Transfer.objects.filter(entry=entry).order_by("id").values_list("book", "amount")
    # Collected, into the loan's clearing; principal and interest.
    assert list(amounts) == [(1, 3_078), (1, 3_078), (2, 2_512), (2, 566)]
    assert _balance(Kind.PRINCIPAL_OWED, made.loan_id) == 100_000 - 2_512
    assert _balance(Kind.INTEREST_DUE, made.loan_id) == 0
    assert (made.loan.principal_paid, made.loan.interest_paid) == (2_512, 566)
    assert totals_by_kind()[Kind.COLLECTING] == 3_078


def test_nothing_is_spread_before_three_business_days(house: House) -> None:
    made = _first_instalment(house)
    # Tuesday 3 May, so Wednesday, Thursday, Friday.
    [payment] = Payment.objects.filter(loan=made.loan_id)
    assert payment.clears_on == date(2016, 5, 6)
    for day in (FIRST_DUE, date(2016, 5, 4), date(2016, 5, 5)):
        assert distribute_cleared(on=day, actor=ACTOR) == 0
    assert [member_balances(lender.pk).cash for lender in made.lenders] == [0, 0]
    assert _balance(Kind.CLEARING, made.loan_id) == 3_078
    assert made.loan.distributions == 0
    assert distribute_cleared(on=date(2016, 5, 6), actor=ACTOR) == 2
    assert distribute_cleared(on=date(2016, 5, 6), actor=ACTOR) == 0


def test_clearing_days_skip_weekends_and_bank_holidays(house: House) -> None:
    made = paid_out(house)
    # Friday 26 August; Monday 29 August 2016 is a bank holiday: 30 and 31 August, 1 September.
    pay(made.loan_id, 1_000, date(2016, 8, 26))
    assert Payment.objects.get(loan=made.loan_id).clears_on == date(2016, 9, 1)


def test_a_part_payment_and_then_the_rest(house: House) -> None:
    made = _first_instalment(house)
    distribute_cleared(on=CLEARED, actor=ACTOR)
    fall_due(on=SECOND_DUE, actor=ACTOR)
    # Second interest: 529 - 268 = 261p and 589 - 298 = 291p, 552p in all. Of 300p that come first,
    # all are interest: 300 x 261 / 552 = 141.85 and 158.15, so 141 and 158 and a penny left. The
    # 142nd is due at 142 x 552 / 261 = 300.3, the 159th at 159 x 552 / 291 = 301.6: the first part.
    # Fees in all by then 79p and 86p, so 39p and 43p for the month: 39 x 142 / 261 = 21.2 -> 21p,
    # 43 x 158 / 291 = 23.3 -> 23p.
    pay(made.loan_id, 300, SECOND_DUE)
    distribute_cleared(on=SECOND_CLEARED, actor=ACTOR)
    assert shares_of(made.loan_id, 2) == [(0, 142, 21), (0, 158, 23)]
    # Then 2,778p: 252p interest, 261 - 142 = 119 and 291 - 158 = 133; 2,526p principal, 5,038p in
    # all: 2,418.24 and 2,619.76. The 2,419th is due at 5,039.6, the 2,620th at 5,038.5: the second
    # part gets the penny. 2,418 - 1,206 = 1,212; 2,620 - 1,306 = 1,314. Fees: 39 - 21, 43 - 23.
    pay(made.loan_id, 2_778, date(2016, 6, 7))
    distribute_cleared(on=date(2016, 6, 10), actor=ACTOR)
    assert shares_of(made.loan_id, 3) == [(1_212, 119, 18), (1_314, 133, 20)]
    paid = Instalment.objects.filter(loan=made.loan_id, number=2)
    assert list(paid.values_list("interest_paid", "principal_paid")) == [(552, 2_526)]
    assert made.loan.principal_paid == 5_038
    assert made.loan.interest_paid == 566 + 552


def test_what_nothing_is_due_for_becomes_the_borrowers_cash(house: House) -> None:
    made = paid_out(house)
    fall_due(on=FIRST_DUE, actor=ACTOR)
    pay(made.loan_id, 5_000, FIRST_DUE)
    assert member_balances(made.borrower.pk).cash == 98_500
    distribute_cleared(on=CLEARED, actor=ACTOR)
    # 5,000 - 3,078 = 1,922p too much.
    assert member_balances(made.borrower.pk).cash == 98_500 + 1_922
    assert made.loan.principal_paid + made.loan.interest_paid == 3_078
    assert check_book().holds


def test_a_payment_before_anything_is_due_waits_until_something_is(house: House) -> None:
    made = paid_out(house)
    pay(made.loan_id, 3_078, DAY)
    assert distribute_cleared(on=date(2016, 4, 6), actor=ACTOR) == 0
    assert _balance(Kind.CLEARING, made.loan_id) == 3_078
    assert member_balances(made.borrower.pk).cash == 98_500
    fall_due(on=FIRST_DUE, actor=ACTOR)
    assert distribute_cleared(on=FIRST_DUE, actor=ACTOR) == 2
    assert shares_of(made.loan_id, 1) == [(1_206, 268, 40), (1_306, 298, 43)]
    payment = Payment.objects.get(loan=made.loan_id)
    assert (payment.allocated_on, payment.distributed_on) == (FIRST_DUE, FIRST_DUE)
    assert _balance(Kind.PRINCIPAL_OWED, made.loan_id) == 100_000 - 2_512
    assert _balance(Kind.INTEREST_DUE, made.loan_id) == 0


def test_uncleared_money_cannot_be_taken_away_from_the_lenders(house: House) -> None:
    """A borrower who empties their cash holds up neither their own loan nor anybody else's."""
    made, other = _first_instalment(house), paid_out(house)
    fall_due(on=FIRST_DUE, actor=ACTOR)
    pay(other.loan_id, 3_078, FIRST_DUE)
    everything = member_balances(made.borrower.pk).cash
    assert everything == 98_500
    send_withdrawals(
        movements=[CashMovement(made.borrower.pk, everything, key())], on=FIRST_DUE, actor=ACTOR
    )
    assert distribute_cleared(on=CLEARED, actor=ACTOR) == 4
    assert made.loan.interest_paid == other.loan.interest_paid == 566


def test_several_payments_of_one_loan_are_spread_in_order(house: House) -> None:
    made = paid_out(house)
    fall_due(on=FIRST_DUE, actor=ACTOR)
    for amount in (200, 366, 2_512):
        pay(made.loan_id, amount, FIRST_DUE)
    # 200p and 366p are the interest of 566p, 2,512p the principal: two shares each.
    assert distribute_cleared(on=CLEARED, actor=ACTOR) == 6
    spread = Payment.objects.filter(loan=made.loan_id).order_by("number")
    assert list(spread.values_list("interest", "principal")) == [(200, 0), (366, 0), (0, 2_512)]
    assert [member_balances(lender.pk).cash for lender in made.lenders] == [1_434, 1_561]


def test_a_late_run_charges_what_a_punctual_one_would_have(house: House) -> None:
    """Nothing ran for a month: interest of the second due date is on the principal left by then."""
    made = paid_out(house)
    assert fall_due(on=date(2016, 5, 2), actor=ACTOR) == 0
    # The payment itself lets the first instalment fall due.
    pay(made.loan_id, 3_078, FIRST_DUE)
    assert fall_due(on=date(2016, 6, 7), actor=ACTOR) == 1
    interest = Instalment.objects.filter(loan=made.loan_id, number__lte=2).order_by("number")
    # 566p and 552p, as in the worked examples above, and not 565p on the whole £1,000.
    assert list(interest.values_list("interest_due", flat=True)) == [566, 552]


@pytest.mark.parametrize("amount", [0, -1, 10**12])
def test_an_amount_that_is_none_is_refused(house: House, amount: int) -> None:
    made = paid_out(house)
    with pytest.raises(PaymentRefused) as refusal:
        pay(made.loan_id, amount, FIRST_DUE)
    assert refusal.value.field == "amount"


def test_only_loans_that_are_paid_out_and_open_take_payments(house: House) -> None:
    made = funded(house)
    for loan in (made.loan_id, 999_999_999):
        with pytest.raises(PaymentRefused) as refusal:
            pay(loan, 1_000, FIRST_DUE)
        assert refusal.value.code == "PAYMENT_REFUSED"
        assert refusal.value.state == (LoanState.FUNDED if loan == made.loan_id else None)
        assert refusal.value.allowed == PAYABLE
    running = paid_out(house).loan_id
    with pytest.raises(PaymentRefused):
        receive_payments(
            payments=[PaymentDraft(running, 1), PaymentDraft(running, 2)],
            on=FIRST_DUE,
            actor=ACTOR,
            key=key(),
        )
    assert not Payment.objects.exists()


def test_a_payment_is_taken_once_a_key(house: House) -> None:
    loan, once = paid_out(house).loan_id, key()
    drafts = [PaymentDraft(loan, 3_078)]
    for _ in range(2):
        assert receive_payments(payments=drafts, on=FIRST_DUE, actor=ACTOR, key=once) == 1
    assert Payment.objects.filter(loan=loan).count() == 1
    with pytest.raises(IdempotencyConflict):
        receive_payments(payments=[PaymentDraft(loan, 3_079)], on=FIRST_DUE, actor=ACTOR, key=once)
    assert totals_by_kind()[Kind.CLEARING] == 3_078


def _in_default(house: House) -> Funded:
    """Nothing was paid for four months: five instalments fell due, and all principal is."""
    made = paid_out(house)
    fall_due(on=date(2016, 9, 1), actor=ACTOR)
    age_loans(on=date(2016, 9, 3))
    return made


def test_the_last_penny_makes_a_loan_in_default_recovered(house: House) -> None:
    made = _in_default(house)
    owed = 100_000 + _balance(Kind.INTEREST_DUE, made.loan_id)
    pay(made.loan_id, owed - 1, date(2016, 9, 5))
    distribute_cleared(on=date(2016, 9, 8), actor=ACTOR)
    assert (made.loan.state, made.loan.outstanding) == (LoanState.DEFAULT, 1)
    pay(made.loan_id, 1, date(2016, 9, 9))
    distribute_cleared(on=date(2016, 9, 14), actor=ACTOR)
    loan = made.loan
    assert (loan.state, loan.outstanding) == (LoanState.RECOVERED, 0)
    assert loan.closed_on == date(2016, 9, 14)
    assert all(finding.holds for finding in audit())
    with pytest.raises(PaymentRefused):
        pay(made.loan_id, 1, date(2016, 9, 15))


def test_no_more_can_come_than_the_loan_can_still_owe(house: House) -> None:
    made = paid_out(house)
    # All that the loan can come to: its schedule, £1,000.00 and the interest planned.
    planned = sum(
        Instalment.objects.filter(loan=made.loan_id).values_list("interest_planned", flat=True)
    )
    whole = 100_000 + planned
    with pytest.raises(PaymentRefused, match=str(whole)) as refusal:
        pay(made.loan_id, whole + 1, DAY)
    assert refusal.value.field == "amount"
    pay(made.loan_id, 3_000, DAY)
    # What waits is taken off.
    with pytest.raises(PaymentRefused, match=str(whole - 3_000)):
        pay(made.loan_id, whole - 2_999, DAY)
    gone = _in_default(house)
    owed = 100_000 + _balance(Kind.INTEREST_DUE, gone.loan_id)
    with pytest.raises(PaymentRefused, match=str(owed)):
        pay(gone.loan_id, owed + 1, date(2016, 9, 5))


def _take(draft: PaymentDraft, on: date) -> None:
    receive_payments(payments=[draft], on=on, actor=ACTOR, key=key())


def test_a_payment_from_cash_clears_at_once(house: House) -> None:
    made = paid_out(house)
    _take(PaymentDraft(made.loan_id, 3_078, kind=PaymentKind.CASH), FIRST_DUE)
    assert member_balances(made.borrower.pk).cash == 98_500 - 3_078
    assert totals_by_kind()[Kind.COLLECTING] == 0
    assert distribute_cleared(on=FIRST_DUE, actor=ACTOR) == 2
    with pytest.raises(NotEnoughMoney):
        _take(PaymentDraft(made.loan_id, 97_000, kind=PaymentKind.CASH), FIRST_DUE)


def test_what_can_be_seen_to_be_wrong_is_refused(house: House) -> None:
    loan = paid_out(house).loan_id
    for draft, field in (
        (PaymentDraft(loan, 1_000, cost=1), "cost"),
        (PaymentDraft(loan, 1_000, kind=PaymentKind.RECOVERY, cost=1_001), "cost"),
        (PaymentDraft(loan, 1_000, reference="x" * 61), "reference"),
        (PaymentDraft(loan, 1_000, excess=Excess.SHORTER), "excess"),
        (PaymentDraft(loan, 1_000, received_on=date(2016, 5, 4)), "received_on"),
    ):
        with pytest.raises(PaymentRefused) as refusal:
            _take(draft, FIRST_DUE)
        assert refusal.value.field == field


def test_a_payment_of_yesterday_is_taken_if_nothing_happened_since(house: House) -> None:
    made = paid_out(house)
    _take(PaymentDraft(made.loan_id, 3_078, received_on=FIRST_DUE), date(2016, 5, 4))
    [payment] = Payment.objects.filter(loan=made.loan_id)
    assert (payment.received_on, payment.recorded_on) == (FIRST_DUE, date(2016, 5, 4))
    assert payment.clears_on == CLEARED
    entry = Entry.objects.get(key=f"payment/{made.loan_id}/1")
    assert entry.effective_on == FIRST_DUE
    # Something fell due on 3 May: a payment of 2 May would have waited for it.
    for day in (date(2016, 5, 2), date(2016, 4, 1)):
        with pytest.raises(PaymentBackDated, match="take_payment"):
            _take(PaymentDraft(made.loan_id, 1, received_on=day), date(2016, 5, 4))


def test_a_payment_of_a_closed_day_is_booked_on_the_open_one(house: House) -> None:
    made = paid_out(house)
    fall_due(on=FIRST_DUE, actor=ACTOR)
    close_date(day=FIRST_DUE, actor=ACTOR)
    _take(PaymentDraft(made.loan_id, 3_078, received_on=FIRST_DUE), date(2016, 5, 4))
    entry = Entry.objects.get(key=f"payment/{made.loan_id}/1")
    assert entry.effective_on == date(2016, 5, 4)


def test_a_recovery_is_shared_with_the_fund_and_pays_its_cost(house: House) -> None:
    """The fund owns a quarter of the principal and none of the interest."""
    made = _in_default(house)
    Loan.objects.filter(pk=made.loan_id).update(fund_principal=25_000)
    fees = totals_by_kind()[Kind.FEES]
    draft = PaymentDraft(made.loan_id, 10_000, kind=PaymentKind.RECOVERY, cost=800)
    _take(draft, date(2016, 9, 9))
    # Instalments one to three take 566p, 565p, 566p of interest and 2,512p, ... of principal.
    payment = Payment.objects.get(loan=made.loan_id)
    assert payment.principal + payment.interest == 10_000
    assert payment.cost_interest == 800 * payment.interest // 10_000
    assert payment.cost_principal == 800 - payment.cost_interest
    gross = payment.principal * 25_000 // 100_000
    cost = payment.cost_principal * gross // payment.principal
    assert (payment.to_fund_principal, payment.to_fund_interest) == (gross - cost, 0)
    assert made.loan.fund_principal == 25_000 - gross
    distribute_cleared(on=date(2016, 9, 14), actor=ACTOR)
    totals = totals_by_kind()
    assert totals[Kind.PROVISION_FUND] == gross - cost
    cash = sum(member_balances(lender.pk).cash for lender in made.lenders)
    kept = totals[Kind.FEES] - fees - 800
    assert cash + kept == 10_000 - 800 - (gross - cost)
    assert kept == sum(fee for _, _, fee in shares_of(made.loan_id, 1))
    assert _balance(Kind.PRINCIPAL_OWED, made.loan_id) == 100_000 - payment.principal
    assert check_book().holds
