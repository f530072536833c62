"""Random sequences of all the ledger's operations against a plain-Python book, equal every time.

The model knows nothing of the database: it adds and subtracts, and says who is refused and why.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import date, timedelta

import numpy as np
import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.core.chart import Book, Kind
from accounts.core.posting import EntryDraft, EntryKind, Leg, posting
from accounts.models import Member
from accounts.selectors.ledger import account_ids, check_book, member_balances, totals_by_kind
from accounts.services.cash import (
    CashMovement,
    confirm_withdrawals,
    deposit,
    send_withdrawals,
)
from accounts.services.days import AccountNotEmpty, close_accounts, close_date
from accounts.services.members import enrol_members
from accounts.services.posting import (
    AccountUnknown,
    AlreadyReversed,
    DateRefused,
    IdempotencyConflict,
    NotEnoughMoney,
    post,
)
from accounts.services.reversal import reverse_entry
from tests.factories import MemberFactory

DAY = date(2016, 4, 1)
WHO = st.integers(0, 2)
PENCE = st.integers(1, 300)
ON = st.integers(0, 3)
STEPS = st.lists(
    st.one_of(
        # Keys from a small range, so that some come again, with the same content or another.
        st.tuples(st.just("pay in"), WHO, PENCE, ON, st.integers(0, 5)),
        st.tuples(st.just("send"), WHO, PENCE, ON, st.just(0)),
        st.tuples(st.just("confirm"), WHO, PENCE, ON, st.just(0)),
        st.tuples(st.just("pass on"), WHO, PENCE, ON, st.integers(1, 2)),
        st.tuples(st.just("reverse"), st.integers(0, 4), st.just(0), ON, st.just(0)),
        st.tuples(st.just("close date"), st.just(0), st.just(0), ON, st.just(0)),
        st.tuples(st.just("close cash"), WHO, st.just(0), ON, st.just(0)),
    ),
    max_size=20,
)
Step = tuple[str, int, int, int, int]
# What a step may be refused with; two things may be wrong at once. Nothing: it is carried out.
Refusals = set[type[Exception]]


@dataclass
class Model:
    """The book as a person would keep it on paper."""

    cash: list[int] = field(default_factory=lambda: [0, 0, 0])
    on_its_way: list[int] = field(default_factory=lambda: [0, 0, 0])
    bank: int = 0
    closed: set[int] = field(default_factory=set)
    closed_through: int = -1
    keys: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    deposits: list[tuple[int, int]] = field(default_factory=list)
    reversed_: set[int] = field(default_factory=set)

    def does(self, step: Step) -> Refusals:
        """Carry a step out, or say how it is refused."""
        what, who, pence, on, more = step
        if what == "close date":
            self.closed_through = max(self.closed_through, on)
            return set()
        if what == "close cash":
            if self.cash[who] or who in self.closed:
                return {AccountNotEmpty}
            self.closed.add(who)
            return set()
        if what == "pay in" and more in self.keys:
            return set() if self.keys[more] == (who, pence, on) else {IdempotencyConflict}
        if what == "reverse":
            if who in self.reversed_:
                return {AlreadyReversed}
            place, (who, pence) = who, self.deposits[who]
        refusals = self._refuses(what, who, pence, on, more)
        if not refusals:
            self._moves(what, who, pence, more)
            if what == "pay in":
                self.keys[more] = (who, pence, on)
                self.deposits.append((who, pence))
            elif what == "reverse":
                self.reversed_.add(place)
        return refusals

    def _refuses(self, what: str, who: int, pence: int, on: int, more: int) -> Refusals:
        if on <= self.closed_through:
            return {DateRefused}
        touched = {who, (who + more) % 3} if what == "pass on" else {who}
        source = {"pay in": pence, "confirm": self.on_its_way[who]}.get(what, self.cash[who])
        refusals: Refusals = {NotEnoughMoney} if source < pence else set()
        if what != "confirm" and touched & self.closed:
            refusals.add(AccountUnknown)
        return refusals

    def _moves(self, what: str, who: int, pence: int, more: int) -> None:
        if what == "pay in":
            self.cash[who] += pence
            self.bank += pence
        elif what == "reverse":
            self.cash[who] -= pence
            self.bank -= pence
        elif what == "send":
            self.cash[who] -= pence
            self.on_its_way[who] += pence
        elif what == "confirm":
            self.on_its_way[who] -= pence
            self.bank -= pence
        else:
            self.cash[who] -= pence
            self.cash[(who + more) % 3] += pence


@dataclass
class Ledger:
    """The same steps through the services."""

    members: list[Member]
    deposits: list[int] = field(default_factory=list)
    steps: int = 0

    def does(self, step: Step) -> None:
        what, who, pence, on, more = step
        self.steps += 1
        day, key = DAY + timedelta(days=on), f"step-{self.steps}"
        if what == "close date":
            close_date(day=day, actor="t")
        elif what == "close cash":
            close_accounts(owner_id=self.members[who].pk, kinds=[Kind.CASH], on=day)
        elif what == "pay in":
            self._pay_in(who, pence, day, f"in-{more}")
        elif what == "reverse":
            entry = self.deposits[who]
            reverse_entry(entry_id=entry, key=key, on=day, actor="ops:1", reason="a mistake")
        elif what == "pass on":
            self._pass_on(who, (who + more) % 3, pence, day, key)
        else:
            move = send_withdrawals if what == "send" else confirm_withdrawals
            move(movements=[CashMovement(self.members[who].pk, pence, key)], on=day, actor="t")

    def _pay_in(self, who: int, pence: int, day: date, key: str) -> None:
        movement = CashMovement(self.members[who].pk, pence, key)
        posted = deposit(movements=[movement], on=day, actor="t")
        if not posted.replayed:
            self.deposits.append(int(posted.entry_ids[0]))

    def _pass_on(self, giver: int, taker: int, pence: int, day: date, key: str) -> None:
        """In two transfers, which is the general way through the database's rules."""
        one, other = (
            int(account_ids(Kind.CASH, np.array([self.members[who].pk]))[0])
            for who in (giver, taker)
        )
        entry = EntryDraft(EntryKind.DEPOSIT, key, day, "t", "t")
        amounts = [amount for amount in (pence // 2, pence - pence // 2) if amount]
        with transaction.atomic():
            post(posting([entry], [Leg(0, one, other, a, Book.CASH) for a in amounts]))

    def agrees(self, model: Model) -> bool:
        """Whether every balance is the model's, and the book holds."""
        balances = [member_balances(member.pk) for member in self.members]
        return (
            [b.cash for b in balances] == model.cash
            and [b.on_its_way for b in balances] == model.on_its_way
            and totals_by_kind()[Kind.CLIENT_BANK] == model.bank
            and check_book().holds
        )


def _carry_out(ledger: Ledger, step: Step) -> None:
    with transaction.atomic():
        ledger.does(step)


@pytest.mark.usefixtures("db")
@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=STEPS)
def test_the_ledger_is_the_model_after_every_step(steps: list[Step]) -> None:
    with transaction.atomic():
        model, ledger = Model(), Ledger(enrol_members(members=MemberFactory.build_batch(3)))
        for step in steps:
            if step[0] == "reverse" and step[1] >= len(model.deposits):
                continue
            refusals = model.does(step)
            with pytest.raises(tuple(refusals)) if refusals else nullcontext():
                _carry_out(ledger, step)
            assert ledger.agrees(model), step
        transaction.set_rollback(True)
