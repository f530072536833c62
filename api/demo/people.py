"""Who takes part in the demo: lenders, borrowers and staff, made by factory-boy, seeded."""

from __future__ import annotations

from datetime import date

import factory
from factory.random import reseed_random
from faker import Faker

from accounts.models import Member, Role


class PersonFactory(factory.Factory):
    """A member with a British name and postcode, who can't sign in."""

    class Meta:
        abstract = True

    name = factory.Faker("name", locale="en_GB")
    postcode = factory.Faker("postcode", locale="en_GB")
    password = "!"  # noqa: S105 - Django's mark of a password that can't be used


class LenderFactory(PersonFactory):
    """Somebody who lends."""

    class Meta:
        model = Member

    email = factory.Sequence(lambda n: f"lender{n + 1}@example.org")
    is_lender = True


class BorrowerFactory(PersonFactory):
    """Somebody who borrows."""

    class Meta:
        model = Member

    email = factory.Sequence(lambda n: f"borrower{n + 1}@example.org")
    is_borrower = True


class StaffFactory(PersonFactory):
    """Somebody who works for the platform."""

    class Meta:
        model = Member

    email = factory.LazyAttribute(lambda o: f"{o.role.replace('_', '-')}@example.org")
    role = Role.AUDITOR


def seed_people(seed: int) -> None:
    """Make the factories give the same people on every run."""
    Faker.seed(seed)
    reseed_random(seed)
    for made in (LenderFactory, BorrowerFactory):
        made.reset_sequence(0)


def make_lenders(count: int, joined_on: date) -> list[Member]:
    """Lenders, not stored yet."""
    people: list[Member] = LenderFactory.build_batch(count, joined_on=joined_on)
    return people


def make_borrowers(count: int, joined_on: date) -> list[Member]:
    """Borrowers, not stored yet."""
    people: list[Member] = BorrowerFactory.build_batch(count, joined_on=joined_on)
    return people


def make_staff(joined_on: date) -> list[Member]:
    """One of each role of staff, not stored yet."""
    return [
        StaffFactory.build(role=role.value, joined_on=joined_on)
        for role in (Role.RISK_OFFICER, Role.AUDITOR, Role.OPERATIONS)
    ]
