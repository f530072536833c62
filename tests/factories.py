"""People for the tests."""

from __future__ import annotations

from datetime import date

import factory

from accounts.models import Member

JOINED = date(2016, 1, 4)


class MemberFactory(factory.Factory):
    """A member who both lends and borrows; not stored."""

    class Meta:
        model = Member

    email = factory.Sequence(lambda n: f"member{n}@example.org")
    name = factory.Faker("name", locale="en_GB")
    postcode = "LS1 4AP"
    is_borrower = True
    is_lender = True
    joined_on = JOINED
