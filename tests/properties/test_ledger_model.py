"""Random sequences of movements against a plain-Python book: equal after every step."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import date

import numpy as np
import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.core.chart import Book, Kind
from accounts.core.posting import EntryDraft, EntryKind, Leg, posting
from accounts.selectors.ledger import account_ids, check_book, platform_accounts
from accounts.services.members import enrol_members
from accounts.services.posting import IdempotencyConflict, NotEnoughMoney, post
from tests.factories import MemberFactory

DAY = date(2016, 4, 1)
BANK = 3

# One posting: a key from a small range, so that some come twice, and up to four transfers among
# three members and the bank (number 3), which alone may go below nothing.
_TRANSFER = st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(1, 500)).filter(
    lambda t: t[0] != t[1]
)
_POSTING = st.tuples(st.integers(0, 5), st.lists(_TRANSFER, min_size=1, max_size=4))


@pytest.fixture
def accounts(db: None) -> list[int]:
    members = enrol_members(members=MemberFactory.build_batch(3))
    cash = account_ids(Kind.CASH, np.array([m.pk for m in members])).tolist()
    return [*cash, int(platform_accounts(Kind.CLIENT_BANK, ["bank"])[0])]


@given(st.lists(_POSTING, max_size=12))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_the_book_is_the_model(
    accounts: list[int], steps: list[tuple[int, list[tuple[int, int, int]]]]
) -> None:
    model = [0, 0, 0, 0]
    seen: dict[int, list[tuple[int, int, int]]] = {}
    outer = transaction.atomic()
    with outer:
        for key, transfers in steps:
            after = list(model)
            for debit, credit, amount in transfers:
                after[debit] -= amount
                after[credit] += amount
            expected: type[Exception] | None = None
            if key in seen:
                same = sorted(seen[key]) == sorted(transfers)
                expected = None if same else IdempotencyConflict
            elif min(after[:BANK]) < 0:
                expected = NotEnoughMoney
            else:
                model, seen[key] = after, transfers
            _post(accounts, key, transfers, expected)
            assert _balances(accounts) == model
            assert check_book().holds
        transaction.set_rollback(True)


def _post(
    accounts: list[int],
    key: int,
    transfers: list[tuple[int, int, int]],
    expected: type[Exception] | None,
) -> None:
    draft = posting(
        [EntryDraft(EntryKind.DEPOSIT, f"model-{key}", DAY, "t", "t")],
        [Leg(0, accounts[d], accounts[c], amount, Book.CASH) for d, c, amount in transfers],
    )
    with pytest.raises(expected) if expected else nullcontext(), transaction.atomic():
        post(draft)


def _balances(accounts: list[int]) -> list[int]:
    from accounts.models import Account

    rows = {a.pk: a.side * a.balance for a in Account.objects.filter(pk__in=accounts)}
    return [rows[key] for key in accounts]
