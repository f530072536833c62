"""Members with accounts, and short ways to say what the ledger's tests say often."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import numpy as np
import pytest
from django.db import transaction

from accounts.core.chart import Book, Kind
from accounts.core.posting import EntryDraft, EntryKind, Leg, posting
from accounts.models import Member
from accounts.selectors.ledger import account_ids
from accounts.services.cash import CashMovement, deposit
from accounts.services.members import enrol_members
from accounts.services.posting import Posted, post
from tests.factories import MemberFactory

DAY = date(2016, 4, 1)

Move = Callable[..., Posted]


@pytest.fixture
def members(db: None) -> list[Member]:
    """Three members, each with £100.00 in cash."""
    stored = enrol_members(members=MemberFactory.build_batch(3))
    deposit(
        movements=[CashMovement(m.pk, 10_000, f"opening-{m.pk}") for m in stored],
        on=DAY,
        actor="test",
    )
    return stored


@pytest.fixture
def move() -> Move:
    """Moves cash between two members in an entry of its own."""

    def _move(giver: Member, taker: Member, amount: int, key: str, on: date = DAY) -> Posted:
        giver_cash, taker_cash = account_ids(Kind.CASH, np.array([giver.pk, taker.pk]))
        entry = EntryDraft(EntryKind.DEPOSIT, key, on, "test", "test")
        with transaction.atomic():
            leg = Leg(0, int(giver_cash), int(taker_cash), amount, Book.CASH)
            return post(posting([entry], [leg]))

    return _move
