"""Accounts that somebody closes: only when no loan can bring or owe anything any more."""

from __future__ import annotations

import pytest

from accounts.core.chart import Kind
from accounts.models import Account
from accounts.services.days import AccountNotEmpty
from marketplace.services.agreements import cancel_funded
from marketplace.services.closing_accounts import AccountInUse, close_account
from tests.marketplace.house import House, funded, key, paid_out
from tests.world import ACTOR, DAY


def test_an_account_stays_open_while_a_loan_may_book_on_it(house: House) -> None:
    """Empty, all of them, until the next instalment."""
    made = paid_out(house)
    for owner, kind in (
        (made.lenders[0].pk, Kind.MATCHED),
        (made.borrower.pk, Kind.DEBT),
        (made.loan_id, Kind.CLEARING),
    ):
        with pytest.raises(AccountInUse, match=f"Loan {made.loan_id} is active"):
            close_account(owner_id=owner, kind=kind, on=DAY)


def test_an_account_is_closed_once_its_loans_are_over(house: House) -> None:
    made = funded(house)
    [lender, _] = made.lenders
    cancel_funded(loan_id=made.loan_id, on=DAY, actor=ACTOR, key=key())
    close_account(owner_id=lender.pk, kind=Kind.MATCHED, on=DAY)
    account = Account.objects.get(kind=Kind.MATCHED, owner_id=lender.pk)
    assert account.closed_on == DAY
    with pytest.raises(AccountNotEmpty):
        close_account(owner_id=lender.pk, kind=Kind.ON_OFFER, on=DAY)


def test_the_house_keeps_its_own(house: House) -> None:
    with pytest.raises(AccountNotEmpty):
        close_account(owner_id=0, kind=Kind.SUSPENSE, on=DAY)
