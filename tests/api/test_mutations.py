"""Changing things through GraphQL: one's own only, once a key, and refusals that say why."""

from __future__ import annotations

from typing import Any

import pytest
from graphql_relay import to_global_id

from accounts.models import Member
from accounts.selectors.ledger import check_book, member_balances
from marketplace.models import Application, Listing, Loan, Offer
from tests.api.conftest import ask
from tests.world import World

PLACE = """mutation ($input: PlaceOfferInput!) { placeOffer(input: $input) {
  errors { code field message }
  offer { id amount { amount } available { amount } exposureLimit { amount } placedOn state
    rates { band termMonths namedIn rate { percent } } } } }"""

CANCEL = """mutation ($input: CancelOfferInput!) { cancelOffer(input: $input) {
  errors { code field message } returned { amount } offer { state available { amount } } } }"""

LIST = """mutation ($input: ListLoanInput!) { listLoan(input: $input) {
  errors { code field message }
  listing { id state amount { amount } highestRate { ppm } listedOn expiresOn
    application { state } market { band termMonths } } } }"""

APPLY = """mutation ($input: ApplyForLoanInput!) { applyForLoan(input: $input) {
  errors { code field message }
  application { id state amount { amount } termMonths band guideRate { ppm } } } }"""


def gbp(amount: str) -> dict[str, str]:
    return {"amount": amount, "currency": "GBP"}


def offer_input(**changes: Any) -> dict[str, Any]:
    """£200 at 7 % in A/36, £50 a borrower."""
    return {
        "idempotencyKey": "mine-1",
        "amount": gbp("200.00"),
        "exposureLimit": gbp("50"),
        "rates": [{"band": "A", "termMonths": 36, "rate": {"ppm": 70_000}}],
        **changes,
    }


def run(member: Member | None, mutation: str, values: dict[str, Any]) -> Any:
    """The one mutation's answer."""
    asked = ask(member, mutation, {"input": values})
    assert asked.errors == [], asked.errors
    [answer] = asked.data.values()
    return answer


def codes(answer: Any) -> list[tuple[str, str | None]]:
    return [(error["code"], error["field"]) for error in answer["errors"]]


class TestPlaceOffer:
    def test_cash_becomes_money_on_offer(self, world: World) -> None:
        lender = world.lenders[3]  # £1,000 less £170 on offer
        answer = run(lender, PLACE, offer_input())
        assert answer["errors"] == []
        offer = answer["offer"]
        assert offer.pop("id")
        rate = {"percent": "7.00"}
        assert offer == {
            "amount": {"amount": "200.00"},
            "available": {"amount": "200.00"},
            "exposureLimit": {"amount": "50.00"},
            "placedOn": "2016-05-06",
            "state": "OPEN",
            "rates": [
                {"band": "A*", "termMonths": 36, "namedIn": "A", "rate": rate},
                {"band": "A", "termMonths": 36, "namedIn": "A", "rate": rate},
            ],
        }
        balances = member_balances(lender.pk)
        assert (balances.cash, balances.on_offer) == (63_000, 37_000)
        assert check_book().holds

    def test_the_same_key_again_gives_the_first_answer_again(self, world: World) -> None:
        lender = world.lenders[3]
        first = run(lender, PLACE, offer_input())
        again = run(lender, PLACE, offer_input())
        assert again == first
        assert Offer.objects.filter(lender=lender).count() == 2
        other = run(lender, PLACE, offer_input(amount=gbp("210.00")))
        assert codes(other) == [("IDEMPOTENCY_CONFLICT", None)]
        assert other["offer"] is None

    def test_two_members_may_choose_the_same_key(self, world: World) -> None:
        one = run(world.lenders[3], PLACE, offer_input())["offer"]["id"]
        other = run(world.lenders[4], PLACE, offer_input())["offer"]["id"]
        assert one != other

    @pytest.mark.parametrize(
        ("changes", "code", "field"),
        [
            ({"amount": gbp("205.00")}, "OFFER_REFUSED", "amount"),
            ({"amount": gbp("-10")}, "OFFER_REFUSED", "amount"),
            ({"amount": gbp("ten")}, "AMOUNT_REFUSED", "amount"),
            ({"amount": gbp("99999999999")}, "AMOUNT_REFUSED", "amount"),
            ({"amount": gbp("5000")}, "NOT_ENOUGH_MONEY", None),
            ({"exposureLimit": gbp("0")}, "OFFER_REFUSED", "exposureLimit"),
            ({"exposureLimit": gbp("210")}, "OFFER_REFUSED", "exposureLimit"),
            ({"rates": []}, "OFFER_REFUSED", "rates"),
            ({"idempotencyKey": ""}, "IDEMPOTENCY_KEY_REFUSED", "idempotencyKey"),
            ({"idempotencyKey": "k" * 121}, "IDEMPOTENCY_KEY_REFUSED", "idempotencyKey"),
            ({"idempotencyKey": "a\0b"}, "IDEMPOTENCY_KEY_REFUSED", "idempotencyKey"),
            ({"idempotencyKey": "\ud800"}, "IDEMPOTENCY_KEY_REFUSED", "idempotencyKey"),
        ],
    )
    def test_refusals(
        self, world: World, changes: dict[str, Any], code: str, field: str | None
    ) -> None:
        answer = run(world.lenders[3], PLACE, offer_input(**changes))
        assert codes(answer) == [(code, field)]
        assert answer["offer"] is None
        assert member_balances(world.lenders[3].pk).on_offer == 17_000

    @pytest.mark.parametrize(
        ("names", "ppm", "code"),
        [
            ([("F", 36)], 70_000, "MARKET_UNKNOWN"),
            ([("A", 48)], 70_000, "MARKET_UNKNOWN"),
            ([("A", 36)], 20_000, "OFFER_REFUSED"),
            ([("A", 36), ("A", 36)], 70_000, "INPUT_REFUSED"),
        ],
    )
    def test_refusals_of_rates(
        self, world: World, names: list[tuple[str, int]], ppm: int, code: str
    ) -> None:
        rates = [{"band": b, "termMonths": t, "rate": {"ppm": ppm}} for b, t in names]
        answer = run(world.lenders[3], PLACE, offer_input(rates=rates))
        assert codes(answer) == [(code, "rates")]

    def test_is_for_lenders(self, world: World) -> None:
        assert codes(run(world.ada, PLACE, offer_input())) == [("FORBIDDEN", None)]
        assert codes(run(world.operations, PLACE, offer_input())) == [("FORBIDDEN", None)]
        assert codes(run(None, PLACE, offer_input())) == [("UNAUTHENTICATED", None)]


class TestCancelOffer:
    def values(self, world: World, place: int, key: str = "c-1") -> dict[str, str]:
        offer = Offer.objects.get(lender=world.lenders[place])
        return {"offerId": to_global_id("Offer", str(offer.public_id)), "idempotencyKey": key}

    def test_what_is_not_matched_is_cash_again(self, world: World) -> None:
        answer = run(world.lenders[0], CANCEL, self.values(world, 0))
        assert answer == {
            "errors": [],
            "returned": {"amount": "640.00"},
            "offer": {"state": "CANCELLED", "available": {"amount": "0.00"}},
        }
        assert member_balances(world.lenders[0].pk).cash == 100_000
        assert check_book().holds

    def test_the_same_key_again_gives_the_first_answer_again(self, world: World) -> None:
        first = run(world.lenders[0], CANCEL, self.values(world, 0))
        assert run(world.lenders[0], CANCEL, self.values(world, 0)) == first
        other = run(world.lenders[0], CANCEL, self.values(world, 0, key="c-2"))
        assert codes(other) == [("OFFER_UNKNOWN", "offerId")]

    def test_another_members_offer_is_not_there(self, world: World) -> None:
        for stranger in (world.lenders[1], world.lenders[2]):
            answer = run(stranger, CANCEL, self.values(world, 0))
            assert codes(answer) == [("NOT_FOUND", "offerId")]
        assert codes(run(world.ada, CANCEL, self.values(world, 0))) == [("FORBIDDEN", None)]
        assert codes(run(None, CANCEL, self.values(world, 0))) == [("UNAUTHENTICATED", None)]
        assert Offer.objects.get(lender=world.lenders[0]).state == "open"

    def test_an_id_of_another_kind_is_not_there(self, world: World) -> None:
        loan = Loan.objects.get(pk=world.loan_id)
        values = {
            "offerId": to_global_id("Loan", str(loan.public_id)),
            "idempotencyKey": "c-3",
        }
        assert codes(run(world.lenders[1], CANCEL, values)) == [("NOT_FOUND", "offerId")]


class TestListLoan:
    def values(self, borrower: Member, **more: Any) -> dict[str, Any]:
        application = Application.objects.get(borrower=borrower)
        return {
            "applicationId": to_global_id("Application", str(application.public_id)),
            "idempotencyKey": "l-1",
            **more,
        }

    def test_a_quoted_application_is_listed(self, world: World) -> None:
        answer = run(world.cleo, LIST, self.values(world.cleo))
        assert answer["errors"] == []
        listing = answer["listing"]
        assert listing.pop("id") == to_global_id(
            "Listing", str(Application.objects.get(borrower=world.cleo).public_id)
        )
        assert listing == {
            "state": "OPEN",
            "amount": {"amount": "1200.00"},
            # Quoted at 7.6 % and a bit; plus .5 %, up to the next quarter: 8.25 %.
            "highestRate": {"ppm": 82_500},
            "listedOn": "2016-05-06",
            "expiresOn": "2016-05-20",
            "application": {"state": "LISTED"},
            "market": {"band": "A", "termMonths": 36},
        }

    def test_with_a_highest_rate_of_ones_own(self, world: World) -> None:
        values = self.values(world.cleo, highestRate={"ppm": 80_000})
        assert run(world.cleo, LIST, values)["listing"]["highestRate"] == {"ppm": 80_000}

    @pytest.mark.parametrize("ppm", [80_001, 10_000, 400_000])
    def test_a_highest_rate_out_of_bounds_or_step(self, world: World, ppm: int) -> None:
        values = self.values(world.cleo, highestRate={"ppm": ppm})
        assert codes(run(world.cleo, LIST, values)) == [("LISTING_REFUSED", "highestRate")]
        assert not Listing.objects.filter(borrower=world.cleo).exists()

    def test_what_is_listed_or_funded_is_not_listed_again(self, world: World) -> None:
        for borrower in (world.ada, world.ben):
            answer = run(borrower, LIST, self.values(borrower))
            assert codes(answer) == [("LISTING_REFUSED", "applicationId")]

    def test_another_members_application_is_not_there(self, world: World) -> None:
        values = self.values(world.cleo)
        assert codes(run(world.ben, LIST, values)) == [("NOT_FOUND", "applicationId")]
        assert codes(run(world.lenders[0], LIST, values)) == [("FORBIDDEN", None)]
        assert codes(run(None, LIST, values)) == [("UNAUTHENTICATED", None)]


class TestApplyForLoan:
    def values(self, world: World, **more: Any) -> dict[str, Any]:
        """As Cleo told it the first time."""
        told = Application.objects.get(borrower=world.cleo).facts
        facts = [
            {"name": name, "text" if isinstance(value, str) else "number": value}
            for name, value in told.items()
        ]
        return {
            "idempotencyKey": "a-1",
            "amount": gbp("1500"),
            "termMonths": 36,
            "facts": facts,
            **more,
        }

    def test_assessed_at_once(self, world: World) -> None:
        values = self.values(world)
        answer = run(world.cleo, APPLY, values)
        assert answer["errors"] == []
        application = answer["application"]
        assert application["state"] == "QUOTED"
        assert application["band"] == "A"
        assert application["amount"] == {"amount": "1500.00"}
        again = run(world.cleo, APPLY, values)
        assert again["application"]["id"] == application["id"]

    @pytest.mark.parametrize(
        ("more", "code", "field"),
        [
            ({"amount": gbp("995")}, "APPLICATION_REFUSED", "amount"),
            ({"termMonths": 48}, "APPLICATION_REFUSED", "termMonths"),
            ({"facts": [{"name": "int_rate", "number": 7.0}]}, "RISK_COLUMN_REFUSED", "int_rate"),
            ({"facts": [{"name": "shoe_size", "number": 7.0}]}, "RISK_FACTS_REFUSED", "shoe_size"),
            ({"facts": [{"name": "annual_inc"}]}, "INPUT_REFUSED", "facts"),
            ({"facts": [{"name": "emp_length", "text": "emp_1"}] * 2}, "INPUT_REFUSED", "facts"),
            ({"facts": [{"name": "emp_length", "text": "\0"}]}, "INPUT_REFUSED", None),
            ({"facts": [{"name": "emp_length", "text": "\ud800"}]}, "INPUT_REFUSED", None),
        ],
    )
    def test_refusals(self, world: World, more: dict[str, Any], code: str, field: str) -> None:
        assert codes(run(world.cleo, APPLY, self.values(world, **more))) == [(code, field)]

    def test_is_for_borrowers(self, world: World) -> None:
        values = self.values(world)
        assert codes(run(world.lenders[0], APPLY, values)) == [("FORBIDDEN", None)]
        assert codes(run(None, APPLY, values)) == [("UNAUTHENTICATED", None)]


def test_a_fault_of_ours_shows_a_reference_and_nothing_else(
    world: World, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TENNER_BUSINESS_DATE", "the first of May")
    [error] = run(world.lenders[3], PLACE, offer_input())["errors"]
    assert error["code"] == "INTERNAL"
    assert "first of May" not in error["message"]
    [record] = [record for record in caplog.records if record.name == "api.errors"]
    assert record.getMessage().removeprefix("fault ") in error["message"]
    assert record.exc_info is not None
