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
from accounts.services.posting import IdempotencyConflict
from marketplace.core.states import LoanState
from marketplace.models import Distribution, Instalment, Payment
from marketplace.selectors.audit import audit
from marketplace.services.ageing import age_loans
from marketplace.services.falling_due import fall_due
from marketplace.services.payments import (
    PaymentDraft,
    PaymentRefused,
    distribute_cleared,
    receive_payments,
)
from tests.marketplace.house import Funded, House, funded, key, paid_out, pay
from tests.world import ACTOR, CLEARED, DAY, FIRST_DUE

SECOND_DUE = date(2016, 6, 1)
SECOND_CLEARED = date(2016, 6, 6)


def _balance(kind: Kind, owner: int) -> int:
    return Account.objects.get(kind=kind.value, owner_id=owner).balance


def _shares(loan_id: int, payment: int) -> list[tuple[int, int, int]]:
    """Principal, interest and fee of each part of one payment."""
    rows = Distribution.objects.filter(payment__loan=loan_id, payment__number=payment)
    return list(rows.order_by("part__number").values_list("principal", "interest", "fee"))


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
    assert _shares(made.loan_id, 1) == [(1_206, 268, 40), (1_306, 298, 43)]
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
    entry = Entry.objects.get(key=f"distribution/{made.loan_id}/1")
    assert entry.effective_on == CLEARED
    amounts = Transfer.objects.filter(entry=entry).order_by("id").values_list("book", "amount")
    assert list(amounts) == [(1, 1_434), (1, 1_561), (1, 83), (2, 2_512), (2, 566)]


def test_nothing_is_spread_before_three_business_days(house: House) -> None:
    made = _first_instalment(house)
    # Tuesday 3 May, so Wednesday, Thursday, Friday.
    [payment] = Payment.objects.filter(loan=made.loan_id)
    assert payment.clears_on == date(2016, 5, 6)
    for day in (FIRST_DUE, date(2016, 5, 4), date(2016, 5, 5)):
        assert distribute_cleared(on=day, actor=ACTOR) == 0
    assert [member_balances(lender.pk).cash for lender in made.lenders] == [0, 0]
    assert _balance(Kind.CLEARING, made.loan_id) == 3_078
    assert made.loan.principal_paid == 0
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
    assert _shares(made.loan_id, 2) == [(0, 142, 21), (0, 158, 23)]
    # Then 2,778p: 252p interest, 261 - 142 = 119 and 291 - 158 = 133; 2,526p principal, 5,038p in
    # all: 2,418.24 and 2,619.76. The 2,419th is due at 5,039.6, the 2,620th at 5,038.5: the second
    # part gets the penny. 2,418 - 1,206 = 1,212; 2,620 - 1,306 = 1,314. Fees: 39 - 21, 43 - 23.
    pay(made.loan_id, 2_778, date(2016, 6, 7))
    distribute_cleared(on=date(2016, 6, 10), actor=ACTOR)
    assert _shares(made.loan_id, 3) == [(1_212, 119, 18), (1_314, 133, 20)]
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
    assert _shares(made.loan_id, 1) == [(1_206, 268, 40), (1_306, 298, 43)]
    assert Payment.objects.get(loan=made.loan_id).distributed_on == FIRST_DUE


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
    pay(made.loan_id, 3_078, FIRST_DUE)
    assert fall_due(on=date(2016, 6, 7), actor=ACTOR) == 2
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


def test_what_clears_after_everything_is_paid_comes_back(house: House) -> None:
    made = _in_default(house)
    owed = 100_000 + _balance(Kind.INTEREST_DUE, made.loan_id)
    pay(made.loan_id, owed + 300, date(2016, 9, 5))
    pay(made.loan_id, 1_000, date(2016, 9, 6))
    distribute_cleared(on=date(2016, 9, 9), actor=ACTOR)
    assert made.loan.state == LoanState.RECOVERED
    assert member_balances(made.borrower.pk).cash == 98_500 + 300 + 1_000
    assert _balance(Kind.CLEARING, made.loan_id) == 0
    assert check_book().holds
