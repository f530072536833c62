"""What a cycle costs in statements: the same for a few offers and listings as for many."""

from __future__ import annotations

from marketplace.models import Loan, Part
from marketplace.services.matching import run_cycle
from marketplace.services.offering import OfferDraft, place_offers
from tests.marketplace.house import House, borrowers, key, listing
from tests.marketplace.statements import statements
from tests.world import ACTOR, DAY, enrol_lenders


def _market(house: House, lenders: int, loans: int) -> None:
    """Lenders who offer £200 each, £20 a borrower, and listings of £1,000."""
    people = enrol_lenders([20_000] * lenders)
    rates = house.named({"A/36": 70_000, "A/60": 75_000})
    place_offers(
        drafts=[OfferDraft(person.pk, 20_000, 2_000, rates) for person in people],
        on=DAY,
        actor=ACTOR,
        key=key(),
    )
    for number, borrower in enumerate(borrowers(loans)):
        listing(house, borrower, 100_000, term=36 if number % 2 else 60)


def _cycle() -> int:
    once = key()
    return statements(lambda: run_cycle(on=DAY, actor=ACTOR, key=once))


def test_statements_do_not_grow_with_offers_and_listings(house: House) -> None:
    _market(house, lenders=50, loans=2)
    few = _cycle()
    assert Loan.objects.count() == 2
    assert Part.objects.count() == 100
    _market(house, lenders=150, loans=10)
    many = _cycle()
    assert Loan.objects.count() == 12
    assert Part.objects.count() >= 100 + 10 * 50
    assert many == few
    # And nothing is asked market by market: there are twelve.
    assert few <= 36
