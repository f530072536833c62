"""Closing accounts of members and loans, once nothing can be booked on them any more."""

from __future__ import annotations

from datetime import date

from django.db import transaction
from django.db.models import Q

from accounts.core.chart import LOAN_KINDS, Kind
from accounts.services.days import close_accounts
from marketplace.core.errors import MarketplaceRefusal
from marketplace.core.states import LOAN_MOVES
from marketplace.models import Loan
from marketplace.services.locks import lock_matching, lock_servicing

_OVER = [state.value for state, moves in LOAN_MOVES.items() if not moves]


class AccountInUse(MarketplaceRefusal):
    """An account of a loan that isn't over, or of somebody who lends or borrows by one."""

    code = "ACCOUNT_IN_USE"


def close_account(*, owner_id: int, kind: Kind, on: date) -> None:
    """Close an account of a member or a loan, empty as it is, for good.

    The next payment of a loan that isn't over would have to book on it, and couldn't.

    Args:
        owner_id: the member's or the loan's id, not 0.
        kind: which of the owner's accounts.
        on: business date.

    Raises:
        AccountInUse: names the loan.
        AccountNotEmpty: it holds something, is closed already, or is the house's own.
    """
    theirs = Q(borrower_id=owner_id) | Q(parts__lender_id=owner_id)
    mine = Q(pk=owner_id) if kind in LOAN_KINDS else theirs
    with transaction.atomic():
        lock_servicing()
        lock_matching()
        loan = Loan.objects.filter(mine).exclude(state__in=_OVER).order_by("pk").first()
        if loan is not None:
            raise AccountInUse(
                f"Loan {loan.pk} is {loan.state}: what it brings, or owes, is still to be booked."
                " Close the account once all of its owner's loans are over.",
                field="account",
            )
        close_accounts(owner_id=owner_id, kinds=[kind], on=on)
