"""One entry between two accounts: what a person does about money, as against a file of lines."""

from __future__ import annotations

from datetime import date

from accounts.core.chart import Book, Kind
from accounts.core.posting import EntryDraft, EntryKind, Leg, posting
from accounts.selectors.bank_accounts import load_accounts
from accounts.services.posting import post


def move_money(
    *,
    kind: EntryKind,
    key: str,
    debit: Kind,
    credit: Kind,
    member_id: int,
    amount: int,
    on: date,
    actor: str,
) -> None:
    """Post one entry with one transfer, last in the caller's transaction.

    Args:
        kind: what happened.
        key: the entry's.
        debit, credit: kinds of account: the platform's, or the member's.
        member_id: whose.
        amount: pence, above zero.
        on: business date.
        actor: who caused it.

    Raises:
        NotEnoughMoney, AccountMissing, AccountUnknown, DateRefused, IdempotencyConflict.
    """
    accounts = load_accounts([member_id], kinds=(debit, credit))
    entry = EntryDraft(kind, key, on, actor, f"member:{member_id}")
    leg = Leg(
        0,
        accounts.id(debit, member_id, key),
        accounts.id(credit, member_id, key),
        amount,
        Book.CASH,
    )
    post(posting([entry], [leg]))
