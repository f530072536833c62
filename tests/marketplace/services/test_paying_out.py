"""Pay-out: matched money becomes the borrower's cash and a fee, and the contract is fixed."""

from __future__ import annotations

from datetime import date

import pytest
from django.db import IntegrityError, transaction

from accounts.core.chart import Kind
from accounts.models import Account, Entry, Transfer
from accounts.selectors.ledger import check_book, member_balances, totals_by_kind
from accounts.services.posting import IdempotencyConflict
from marketplace.core.states import LoanState
from marketplace.models import Instalment, Loan, LoanMove
from marketplace.services.paying_out import LoanUnknown, NotAccepted, pay_out
from tests.marketplace.house import Funded, House, accept, funded, key, paid_out
from tests.world import ACTOR, DAY


def accepted(house: House) -> Funded:
    """A funded loan whose borrower has accepted it."""
    made = funded(house)
    accept(made.loan_id)
    return made


def test_only_accepted_loans_are_paid_out(house: House) -> None:
    made, other = accepted(house), funded(house)
    with pytest.raises(NotAccepted, match=str(other.loan_id)) as refusal:
        pay_out(loan_ids=[made.loan_id, other.loan_id], on=DAY, actor=ACTOR, key=key())
    assert refusal.value.code == "NOT_ACCEPTED"
    assert made.loan.state == LoanState.FUNDED


def test_matched_money_reaches_the_borrower_less_the_fee(house: House) -> None:
    made = accepted(house)
    assert [member_balances(lender.pk).matched for lender in made.lenders] == [48_000, 52_000]
    # The arrangement fee of A/36 is 1.5 %: £15.00 of £1,000.00; £985.00 reach the borrower.
    assert pay_out(loan_ids=[made.loan_id], on=DAY, actor=ACTOR, key=key()) == 98_500
    assert [member_balances(lender.pk).matched for lender in made.lenders] == [0, 0]
    assert member_balances(made.borrower.pk).cash == 98_500
    totals = totals_by_kind()
    assert totals[Kind.FEES] == 1_500
    assert totals[Kind.CLEARING] == 0
    assert totals[Kind.PRINCIPAL_OWED] == totals[Kind.CLAIMS_HELD] == 100_000
    assert check_book().holds


def test_the_fund_gets_its_part_of_the_fee(house: House) -> None:
    made = accepted(house)
    # £9.00 of the £15.00 are the provision fund's, £6.00 Tenner's.
    Loan.objects.filter(pk=made.loan_id).update(contribution=900)
    assert pay_out(loan_ids=[made.loan_id], on=DAY, actor=ACTOR, key=key()) == 98_500
    totals = totals_by_kind()
    assert (totals[Kind.PROVISION_FUND], totals[Kind.FEES]) == (900, 600)
    assert check_book().holds


def test_a_contribution_is_part_of_the_fee(house: House) -> None:
    made = funded(house)
    with pytest.raises(IntegrityError, match="contribution_within_fee"), transaction.atomic():
        Loan.objects.filter(pk=made.loan_id).update(contribution=1_501)


def test_the_entry_has_exactly_these_transfers(house: House) -> None:
    made = paid_out(house)
    entry = Entry.objects.get(key=f"pay-out/{made.loan_id}")
    moved = [
        (_account(t.debit_id), _account(t.credit_id), t.amount)
        for t in Transfer.objects.filter(entry=entry).order_by("id")
    ]
    one, two = (lender.pk for lender in made.lenders)
    loan, borrower = made.loan_id, made.borrower.pk
    assert moved == [
        (("matched", one), ("clearing", loan), 48_000),
        (("matched", two), ("clearing", loan), 52_000),
        (("clearing", loan), ("cash", borrower), 98_500),
        (("clearing", loan), ("fees", 0), 1_500),
        (("principal_owed", loan), ("claims_held", 0), 100_000),
    ]


def _account(key_of_account: int) -> tuple[str, int]:
    account = Account.objects.get(pk=key_of_account)
    return account.kind_id, account.owner_id


def test_the_contract_repays_the_loan_and_falls_on_working_days(house: House) -> None:
    made = paid_out(house)
    rows = list(Instalment.objects.filter(loan=made.loan_id).order_by("number"))
    assert [row.number for row in rows] == list(range(1, 37))
    assert sum(row.principal_due for row in rows) == 100_000
    # Level instalment £30.78; the last one absorbs what rounding left, a few pence.
    assert {row.principal_due + row.interest_planned for row in rows[:-1]} == {3_078}
    assert abs(rows[-1].principal_due + rows[-1].interest_planned - 3_078) <= 36
    # Paid out on 1 April 2016, due on the 1st. Moved: 1 May 2016 is a Sunday and 2 May a bank
    # holiday; 1 October 2016 is a Saturday; 1 January 2017 is a Sunday, 2 January its substitute.
    assert [row.due_on for row in rows[:10]] == [
        date(2016, 5, 3),
        date(2016, 6, 1),
        date(2016, 7, 1),
        date(2016, 8, 1),
        date(2016, 9, 1),
        date(2016, 10, 3),
        date(2016, 11, 1),
        date(2016, 12, 1),
        date(2017, 1, 3),
        date(2017, 2, 1),
    ]
    assert rows[-1].due_on == date(2019, 4, 1)
    assert [row.nominal_on for row in rows[:2]] == [date(2016, 5, 1), date(2016, 6, 1)]
    # Each period is a month, of as many days as lie between the nominal dates.
    assert [row.period_days for row in rows[:4]] == [30, 31, 30, 31]
    assert all(row.period_days == row.month_days and row.pence_days == 0 for row in rows)


def test_a_loan_is_paid_out_once(house: House) -> None:
    made = accepted(house)
    once = key()
    assert pay_out(loan_ids=[made.loan_id], on=DAY, actor=ACTOR, key=once) == 98_500
    assert pay_out(loan_ids=[made.loan_id], on=DAY, actor=ACTOR, key=once) == 98_500
    with pytest.raises(LoanUnknown) as refusal:
        pay_out(loan_ids=[made.loan_id], on=DAY, actor=ACTOR, key=key())
    assert refusal.value.code == "LOAN_UNKNOWN"
    with pytest.raises(IdempotencyConflict):
        pay_out(loan_ids=[made.loan_id + 1], on=DAY, actor=ACTOR, key=once)
    assert member_balances(made.borrower.pk).cash == 98_500
    assert Instalment.objects.filter(loan=made.loan_id).count() == 36


def test_one_loan_that_cannot_be_paid_out_keeps_the_others_back(house: House) -> None:
    made = accepted(house)
    with pytest.raises(LoanUnknown):
        pay_out(loan_ids=[made.loan_id, 999_999_999], on=DAY, actor=ACTOR, key=key())
    assert made.loan.state == LoanState.FUNDED
    assert member_balances(made.borrower.pk).cash == 0
    with pytest.raises(LoanUnknown):
        pay_out(loan_ids=[], on=DAY, actor=ACTOR, key=key())


def test_the_move_is_on_record(house: House) -> None:
    made = paid_out(house)
    [move] = LoanMove.objects.filter(loan=made.loan_id)
    assert (move.state_before, move.state_after, move.moved_on) == ("funded", "active", DAY)
    assert made.loan.paid_out_on == DAY
