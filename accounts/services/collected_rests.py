"""What a loan couldn't take of a direct debit: the member's cash, as long as the bank leaves it.

A file of direct debits is given to the bank days before they are collected. Meanwhile a loan may
have been settled, or owe less.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from django.db import connection, transaction

from accounts.core.chart import Book, Kind
from accounts.core.collecting import CollectionState
from accounts.core.posting import EntryDraft, EntryKind, Leg, Posting, posting
from accounts.models import Collection
from accounts.selectors.bank_accounts import load_accounts
from accounts.services.holding import hold_accounts
from accounts.services.posting import post


@dataclass(frozen=True)
class MovedRests:
    """How much became members' cash, and how much was taken back; pence."""

    given: int
    taken_back: int


@dataclass(frozen=True, slots=True)
class _Rest:
    id: int
    member_id: int
    amount: int
    back: bool


def move_rests(*, on: date, actor: str) -> MovedRests:
    """Make what loans couldn't take the members' cash, and take back what came back unpaid.

    Taken back as far as the member's cash goes; the rest is their debt, as of a deposit that the
    bank takes back. Each once, whoever calls how often. A fixed number of statements; it posts.

    Args:
        on: business date.
        actor: who does it.

    Raises:
        DateRefused: the business date is closed or to come.
    """
    with transaction.atomic():
        rests = _lock_rests()
        given = [rest for rest in rests if not rest.back]
        back = [rest for rest in rests if rest.back]
        Collection.objects.filter(pk__in=[rest.id for rest in given]).update(rest_on=on)
        Collection.objects.filter(pk__in=[rest.id for rest in back]).update(rest_back_on=on)
        if rests:
            post(_posting([*given, *back], on, actor))
    return MovedRests(sum(r.amount for r in given), sum(r.amount for r in back))


def _lock_rests() -> list[_Rest]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, member_id, rest, rest_on IS NOT NULL FROM accounts_collection"
            " WHERE rest > 0 AND (rest_on IS NULL AND state = %s"
            "  OR rest_on IS NOT NULL AND rest_back_on IS NULL AND state = ANY (%s))"
            " ORDER BY id FOR UPDATE",
            [
                CollectionState.COLLECTED.value,
                [CollectionState.UNPAID.value, CollectionState.BOUNCED.value],
            ],
        )
        return [_Rest(*row) for row in cursor.fetchall()]


def _posting(rests: Sequence[_Rest], on: date, actor: str) -> Posting:
    accounts = load_accounts({rest.member_id for rest in rests})
    held = hold_accounts(ids=accounts.all_ids) if any(rest.back for rest in rests) else {}
    left = Counter(
        {
            owner: held[ids[0]]
            for (kind, owner), ids in accounts.ids.items()
            if kind is Kind.CASH and ids[0] in held
        }
    )
    entries, rows = [], []
    for place, rest in enumerate(rests):
        kind = EntryKind.DEPOSIT_REVERSED if rest.back else EntryKind.DEPOSIT
        key = f"collection-rest/{rest.id}/{'back' if rest.back else 'given'}"
        entries.append(EntryDraft(kind, key, on, actor, f"member:{rest.member_id}"))
        cash, debt, collecting = (
            accounts.id(each, rest.member_id, key)
            for each in (Kind.CASH, Kind.DEBT, Kind.COLLECTING)
        )
        if rest.back:
            taken = min(left[rest.member_id], rest.amount)
            left[rest.member_id] -= taken
            rows.append((place, cash, collecting, taken))
            rows.append((place, debt, collecting, rest.amount - taken))
        else:
            left[rest.member_id] += rest.amount
            rows.append((place, collecting, cash, rest.amount))
    place, debit, credit, amount = np.array(rows, dtype=np.int64).T
    return posting(entries, [Leg(place, debit, credit, amount, Book.CASH)])
