"""Importing an order book: all or none, once a key, in as many statements for many as for few."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from accounts.models import Member
from accounts.selectors.ledger import check_book, member_balances
from accounts.services.members import enrol_members
from accounts.services.posting import IdempotencyConflict
from marketplace.core.errors import OrderBookRefused
from marketplace.core.order_book_export import order_book_csv
from marketplace.models import Offer, OfferRate
from marketplace.selectors.audit import audit
from marketplace.selectors.order_book_rows import order_book_rows
from marketplace.services.importing_offers import ImportedBook, import_order_book
from tests.factories import MemberFactory
from tests.marketplace.core.test_order_book_export import row
from tests.marketplace.house import House, key
from tests.marketplace.statements import statements
from tests.world import ACTOR, DAY, enrol_lenders

pytestmark = pytest.mark.usefixtures("house")


def file_of(lenders: Sequence[Member], *, pence: int = 10_000) -> bytes:
    """One offer a lender, at 7 % in A/36 and 7.5 % in A/60."""
    rows = [
        row(member=str(lender.public_id), offer_name="x", term=term, rate_ppm=rate,
            max_exposure=1_000, available=pence)
        for term, rate in ((36, 70_000), (60, 75_000))
        for lender in lenders
    ]  # fmt: skip
    return "".join(order_book_csv(rows)).encode()


def take(
    data: bytes, idempotency: str, *, actor: str = ACTOR, dry_run: bool = False
) -> ImportedBook:
    return import_order_book(
        data=data, file="b.csv", on=DAY, actor=actor, key=idempotency, dry_run=dry_run
    )


def test_a_key_places_one_file_once_whoever_uses_it() -> None:
    lenders = enrol_lenders([50_000] * 2)
    data, used = file_of(lenders), key()
    did = take(data, used)
    assert did == ImportedBook(offers=2, lenders=2, pence=20_000, implied=0, orphans=0)
    assert take(data, used, actor="somebody else") == did
    with pytest.raises(IdempotencyConflict):
        take(file_of(lenders[:1]), used)
    assert (Offer.objects.count(), OfferRate.objects.count()) == (2, 4)
    assert check_book().holds
    assert all(finding.holds for finding in audit())


def test_its_statements_do_not_grow_with_the_file() -> None:
    few, many = enrol_lenders([50_000]), enrol_lenders([50_000] * 30)
    first = statements(lambda: take(file_of(few), key()))
    # A posting of many entries goes by COPY: two more at most than a posting of one.
    assert statements(lambda: take(file_of(many), key())) <= first + 2
    one = statements(lambda: order_book_rows(DAY, [("A", 36)]))
    assert statements(lambda: order_book_rows(DAY)) == one <= 8


def test_lenders_who_may_not_lend_are_refused() -> None:
    [lender] = enrol_lenders([50_000])
    [closed] = enrol_members(members=[MemberFactory.build(is_active=False)])
    with pytest.raises(OrderBookRefused, match="row 3, column Member ID: no lender"):
        take(file_of([lender, closed]), key())
    assert not Offer.objects.exists()


def test_a_lenders_cash_is_for_all_of_their_rows_together() -> None:
    [lender] = enrol_lenders([15_000])
    rows = [
        row(member=name, offer_name=str(place), available=8_000)
        for place, name in enumerate((str(lender.public_id), lender.email))
    ]
    data = "".join(order_book_csv(rows)).encode()
    for dry_run in (True, False):
        with pytest.raises(OrderBookRefused, match=r"row 3, column Available: .* £70.00 is left"):
            take(data, key(), dry_run=dry_run)
    assert member_balances(lender.pk).cash == 15_000


def test_a_dry_run_uses_no_key(house: House) -> None:
    data, used = file_of(enrol_lenders([50_000])), key()
    told = take(data, used, dry_run=True)
    assert not Offer.objects.exists()
    assert take(data, used) == told
    assert set(OfferRate.objects.values_list("market", "rate")) == set(
        house.named({"A/36": 70_000, "A/60": 75_000}).items()
    )
