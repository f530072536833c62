"""An open house for the market's tests, and short steps through it.

The house has an approved model, a rate table and open markets, and nobody in it yet. It is built
once a session by the real services. Tests that roll back share a clone; others get their own.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import pytest
from django.db import connection, connections, transaction

from accounts.models import Member
from accounts.services.members import enrol_members
from marketplace.models import Distribution, Instalment, Loan, Part, Payment
from marketplace.selectors.collecting import collectable
from marketplace.selectors.markets import MarketView, list_markets
from marketplace.services.agreements import accept_agreements
from marketplace.services.borrowing import (
    ApplicationDraft,
    ListingDraft,
    apply_for_loans,
    list_loans,
)
from marketplace.services.falling_due import fall_due
from marketplace.services.matching import CycleView, run_cycle
from marketplace.services.offering import OfferDraft, place_offers
from marketplace.services.paying_out import pay_out
from marketplace.services.payments import PaymentDraft, distribute_cleared, receive_payments
from risk.core.table import Fact
from tests.conftest import _admin, _cloned, _drop, _point_to
from tests.factories import MemberFactory
from tests.world import ACTOR, DAY, enrol_lenders, facts_of_band, open_house

_BUILT: dict[str, House] = {}
_KEYS = itertools.count(1)

# The house design's fixture: £480 at 6.9 % and £520 at 7.1 % make £1,000 at 7.0 %, £30.78 a month.
DESIGN_PARTS = ((69_000, 48_000), (71_000, 52_000))


@dataclass(frozen=True)
class House:
    """The template's name, the facts of an applicant whom the model puts into band A, the markets.

    Market ids are the same in every clone.
    """

    database: str
    facts: Mapping[str, Fact] = field(repr=False)
    markets: Mapping[str, MarketView] = field(repr=False)

    def named(self, rates: Mapping[str, int]) -> dict[int, int]:
        """Rates by market id, given by market name such as ``A/36``."""
        return {self.markets[name].market_id: rate for name, rate in rates.items()}


@pytest.fixture(scope="session")
def house_template(
    django_db_setup: None, template_database: str, django_db_blocker: Any
) -> Iterator[House]:
    """The open house in a database of its own, with nobody connected."""
    if template_database in _BUILT:
        yield _BUILT[template_database]
        return
    name = f"tenner_house_{os.getpid()}"
    with django_db_blocker.unblock():
        before = connection.settings_dict["NAME"]
        _admin("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY", name, template_database)
        _point_to(name, "default")
        facts = facts_of_band(open_house(), amount=1_000_000)
        house = House(name, dict(facts), {market.name: market for market in list_markets()})
        _point_to(before, "default")
        shared = f"{name}_shared"
        _admin("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY", shared, name)
    _BUILT[template_database] = house
    yield house
    with django_db_blocker.unblock():
        _drop(shared)
        _drop(name)


@pytest.fixture(scope="module")
def shared_house(house_template: House, django_db_blocker: Any) -> Iterator[House]:
    """One clone for all tests that roll back."""
    with django_db_blocker.unblock():
        before = connection.settings_dict["NAME"]
        _point_to(f"{house_template.database}_shared", "default")
        yield house_template
        _point_to(before, "default")


@pytest.fixture
def house(shared_house: House) -> Iterator[House]:
    """The open house; what the test changes is undone."""
    with transaction.atomic():
        yield shared_house
        transaction.set_rollback(True)


@pytest.fixture
def committed_house(house_template: House, django_db_blocker: Any) -> Iterator[House]:
    """A clone of the test's own, in which it may commit."""
    with django_db_blocker.unblock(), _cloned(house_template.database) as name:
        yield House(name, house_template.facts, house_template.markets)


def key() -> str:
    """An idempotency key that nothing else has."""
    return f"key-{next(_KEYS)}"


def borrowers(count: int) -> list[Member]:
    """People who only borrow."""
    return enrol_members(members=MemberFactory.build_batch(count, is_lender=False))


def offer(
    house: House,
    lender: Member,
    amount: int,
    rates: Mapping[str, int],
    *,
    limit: int | None = None,
) -> int:
    """Place one offer, rates by market name; without a tighter exposure limit unless given."""
    draft = OfferDraft(lender.pk, amount, limit or amount, house.named(rates))
    [placed] = place_offers(drafts=[draft], on=DAY, actor=ACTOR, key=key())
    return placed


def application(house: House, borrower: Member, amount: int, *, term: int = 36) -> int:
    """An application of band A, quoted."""
    [applied] = apply_for_loans(
        drafts=[ApplicationDraft(borrower.pk, amount, term, house.facts)],
        on=DAY,
        actor=ACTOR,
        key=key(),
    )
    return applied


def listing(
    house: House,
    borrower: Member,
    amount: int,
    *,
    highest: int | None = 100_000,
    term: int = 36,
    on: date = DAY,
) -> int:
    """A listing in band A; its borrower pays at most 10 % unless told otherwise."""
    applied = application(house, borrower, amount, term=term)
    [listed] = list_loans(drafts=[ListingDraft(applied, highest)], on=on, actor=ACTOR, key=key())
    return listed


def cycle(on: date = DAY) -> CycleView:
    """One matching cycle."""
    return run_cycle(on=on, actor=ACTOR, key=key())


def parts_of(listing_id: int) -> list[tuple[int, int, int]]:
    """Lender, rate and size of each part of a listing's loan, in order; none while it waits."""
    rows = Part.objects.filter(loan__listing=listing_id).order_by("number")
    return list(rows.values_list("lender_id", "rate", "size"))


@dataclass(frozen=True)
class Funded:
    """A loan with its people; lenders are in the order of the parts."""

    loan_id: int
    borrower: Member
    lenders: list[Member]

    @property
    def loan(self) -> Loan:
        """The loan as it stands."""
        return Loan.objects.get(pk=self.loan_id)


def funded(
    house: House, parts: Sequence[tuple[int, int]] = DESIGN_PARTS, *, term: int = 36
) -> Funded:
    """A loan matched and not yet paid out, of parts (ppm, pence), one lender each."""
    lenders = enrol_lenders([pence for _, pence in parts])
    drafts = [
        OfferDraft(lender.pk, pence, pence, house.named({f"A/{term}": rate}))
        for lender, (rate, pence) in zip(lenders, parts, strict=True)
    ]
    place_offers(drafts=drafts, on=DAY, actor=ACTOR, key=key())
    [borrower] = borrowers(1)
    amount = sum(pence for _, pence in parts)
    listed = listing(house, borrower, amount, term=term)
    cycle()
    return Funded(Loan.objects.get(listing=listed).pk, borrower, lenders)


def accept(*loan_ids: int, on: date = DAY) -> None:
    """The borrowers accept their loans' terms."""
    accept_agreements(loan_ids=loan_ids, on=on, actor=ACTOR, key=key())


def paid_out(
    house: House, parts: Sequence[tuple[int, int]] = DESIGN_PARTS, *, term: int = 36
) -> Funded:
    """A loan of parts (ppm, pence), paid out on the first day."""
    made = funded(house, parts, term=term)
    accept(made.loan_id)
    pay_out(loan_ids=[made.loan_id], on=DAY, actor=ACTOR, key=key())
    return made


def pay(loan_id: int, amount: int, on: date) -> None:
    """A payment arrives."""
    receive_payments(payments=[PaymentDraft(loan_id, amount)], on=on, actor=ACTOR, key=key())


def shares_of(loan_id: int, number: int) -> list[tuple[int, int, int]]:
    """Principal, interest and fee that each part got of one distribution, in order of number."""
    rows = {row.number: row for row in Distribution.objects.filter(loan=loan_id)}
    after = rows[number]
    nothing = [0] * len(after.principal)
    before = rows.get(number - 1)
    columns = [
        [now - then for now, then in zip(getattr(after, name), old, strict=True)]
        for name, old in (
            ("principal", before.principal if before else nothing),
            ("interest", before.interest if before else nothing),
            ("fee", before.fee if before else nothing),
        )
    ]
    return list(zip(*columns, strict=True))


def pay_monthly(made: Funded, count: int) -> date:
    """The first ``count`` instalments fall due, are paid in full, clear and are spread.

    Returns:
        The day on which the last of them was spread.
    """
    cleared = DAY
    for instalment in Instalment.objects.filter(loan=made.loan_id).order_by("number")[:count]:
        fall_due(on=instalment.due_on, actor=ACTOR)
        [owed] = collectable(instalment.due_on).amount.tolist()
        pay(made.loan_id, owed, instalment.due_on)
        cleared = Payment.objects.filter(loan=made.loan_id).latest("number").clears_on
        distribute_cleared(on=cleared, actor=ACTOR)
    return cleared


@contextmanager
def acting_as_owner() -> Iterator[None]:
    """The default connection is the database owner's, who may switch triggers off."""
    default, owner = connections["default"], connections["owner"].settings_dict
    before = {name: default.settings_dict[name] for name in ("USER", "PASSWORD")}
    default.close()
    default.settings_dict.update({name: owner[name] for name in before})
    try:
        yield
    finally:
        default.close()
        default.settings_dict.update(before)
