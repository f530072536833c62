"""Offers through GraphQL: pegs, the pool, changes and pauses, and what lenders are told of them."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from graphql_relay import to_global_id

from accounts.models import Member
from accounts.selectors.ledger import check_book, member_balances
from marketplace.models import Offer
from marketplace.services.matching import run_cycle
from risk.selectors.rate_tables import current_rate_table
from tests.api.conftest import ask, ask_with
from tests.api.test_mutations import codes, gbp, offer_input, run
from tests.marketplace.statements import statements
from tests.world import ACTOR, CLEARED, World, place

OFFER = """offer { amount { amount } available { amount } repaid { amount } isPool topsUp state
  exposureLimit { amount } exposureShare { ppm percent }
  asked { band termMonths pricing rate { ppm } margin { ppm } floor { ppm } share { ppm } }
  rates { band pricing rate { ppm } } }"""


def _mutation(name: str, fields: str = OFFER) -> str:
    kind = f"{name[0].upper()}{name[1:]}Input"
    return f"""mutation ($input: {kind}!) {{ {name}(input: $input) {{
      errors {{ code field message }} {fields} }} }}"""


PLACE, POOL = _mutation("placeOffer"), _mutation("placePoolOffer")
CHANGE = _mutation("changeOffer", f"moved {{ amount }} keepsPlace {OFFER}")
PAUSE, RESUME = _mutation("pauseOffer"), _mutation("resumeOffer")
CANCEL = _mutation("cancelOffer")


def _peg(margin: int, floor: int) -> list[dict[str, Any]]:
    peg = {"margin": {"ppm": margin}, "floor": {"ppm": floor}}
    return [{"band": "A", "termMonths": 36, "peg": peg}]


def _mix(*shares: tuple[str, int, int]) -> list[dict[str, Any]]:
    return [{"band": b, "termMonths": t, "share": {"ppm": ppm}} for b, t, ppm in shares]


def pool_input(**changes: Any) -> dict[str, Any]:
    """£200 for the pool, at most £50 a borrower, up to half of it in A/60."""
    return {
        "idempotencyKey": "pool-1",
        "amount": gbp("200"),
        "exposureShare": {"ppm": 250_000},
        "mix": _mix(("A", 36, 1_000_000), ("A", 60, 500_000)),
        "topsUp": True,
        **changes,
    }


def _id(member: Member) -> str:
    return to_global_id("Offer", str(Offer.objects.get(lender=member).public_id))


class TestPegs:
    def test_a_peg_follows_the_market(self, world: World) -> None:
        values = offer_input(rates=_peg(-1_500, 60_000), topsUp=True)
        answer = run(world.lenders[3], PLACE, values)
        assert answer["errors"] == []
        offer = answer["offer"]
        assert (offer["topsUp"], offer["isPool"]) == (True, False)
        assert (offer["exposureLimit"], offer["exposureShare"]) == ({"amount": "50.00"}, None)
        assert offer["asked"] == [
            {
                "band": "A",
                "termMonths": 36,
                "pricing": "PEG",
                "rate": None,
                "margin": {"ppm": -1_500},
                "floor": {"ppm": 60_000},
                "share": None,
            }
        ]
        # Nothing was lent in the last 28 days: the guide rate less .15 %.
        rate = {"ppm": current_rate_table().row("A", 36).guide_rate - 1_500}
        assert offer["rates"] == [
            {"band": band, "pricing": "PEG", "rate": rate} for band in ("A*", "A")
        ]

    @pytest.mark.parametrize(
        ("rates", "code"),
        [
            (_peg(0, 0), "OFFER_REFUSED"),
            (_peg(0, 200_000), "OFFER_REFUSED"),
            (_peg(500_000, 60_000), "OFFER_REFUSED"),
            ([{"band": "A", "termMonths": 36}], "INPUT_REFUSED"),
            ([{**_peg(0, 60_000)[0], "rate": {"ppm": 70_000}}], "INPUT_REFUSED"),
        ],
    )
    def test_refusals(self, world: World, rates: list[Any], code: str) -> None:
        answer = run(world.lenders[3], PLACE, offer_input(rates=rates))
        assert codes(answer) == [(code, "rates")]


class TestPool:
    def test_money_that_lends_at_the_guide_rate(self, world: World) -> None:
        lender = world.lenders[3]
        answer = run(lender, POOL, pool_input())
        assert answer["errors"] == []
        offer = answer["offer"]
        assert (offer["isPool"], offer["topsUp"], offer["exposureLimit"]) == (True, True, None)
        assert offer["exposureShare"] == {"ppm": 250_000, "percent": "25.00"}
        shares = [(row["pricing"], row["termMonths"], row["share"]) for row in offer["asked"]]
        assert shares == [("POOL", 36, {"ppm": 1_000_000}), ("POOL", 60, {"ppm": 500_000})]
        assert [row["pricing"] for row in offer["rates"]] == ["POOL", "POOL"]
        assert run(lender, POOL, pool_input()) == answer
        assert member_balances(lender.pk).on_offer == 37_000

    @pytest.mark.parametrize(
        ("changes", "code", "field"),
        [
            ({"amount": gbp("205")}, "OFFER_REFUSED", "amount"),
            ({"exposureShare": {"ppm": 10_000}}, "OFFER_REFUSED", "exposureShare"),
            ({"mix": _mix(("A", 36, 500_000))}, "OFFER_REFUSED", "mix"),
            ({"mix": _mix(("A", 36, 900_000), ("A", 36, 900_000))}, "INPUT_REFUSED", "mix"),
            ({"mix": _mix(("Z", 36, 1_000_000))}, "MARKET_UNKNOWN", "mix"),
            ({"amount": gbp("5000")}, "NOT_ENOUGH_MONEY", None),
        ],
    )
    def test_refusals(
        self, world: World, changes: dict[str, Any], code: str, field: str | None
    ) -> None:
        answer = run(world.lenders[3], POOL, pool_input(**changes))
        assert codes(answer) == [(code, field)]

    def test_is_for_lenders(self, world: World) -> None:
        assert codes(run(world.ada, POOL, pool_input())) == [("FORBIDDEN", None)]
        assert codes(run(None, POOL, pool_input())) == [("UNAUTHENTICATED", None)]


class TestChange:
    def values(self, member: Member, **changes: Any) -> dict[str, Any]:
        return {"idempotencyKey": "change-1", "offerId": _id(member), **changes}

    def test_less_money_keeps_the_place_and_goes_back_to_cash(self, world: World) -> None:
        lender = world.lenders[0]
        values = self.values(lender, available=gbp("600"), topsUp=True)
        answer = run(lender, CHANGE, values)
        assert answer["errors"] == []
        assert (answer["moved"], answer["keepsPlace"]) == ({"amount": "-40.00"}, True)
        assert answer["offer"]["available"] == {"amount": "600.00"}
        assert answer["offer"]["topsUp"] is True
        assert run(lender, CHANGE, values) == answer
        assert member_balances(lender.pk).on_offer == 60_000
        assert check_book().holds

    def test_another_rate_goes_to_the_back(self, world: World) -> None:
        lender = world.lenders[0]
        rates = [{"band": "A", "termMonths": 36, "rate": {"ppm": 74_000}}]
        answer = run(lender, CHANGE, self.values(lender, rates=rates))
        assert (answer["moved"], answer["keepsPlace"]) == ({"amount": "0.00"}, False)
        assert answer["offer"]["asked"][0]["rate"] == {"ppm": 74_000}

    @pytest.mark.parametrize(
        ("changes", "code", "field"),
        [
            ({}, "OFFER_REFUSED", "offerId"),
            ({"available": gbp("605")}, "OFFER_REFUSED", "available"),
            ({"available": gbp("x")}, "AMOUNT_REFUSED", "available"),
            ({"exposureLimit": gbp("5")}, "OFFER_REFUSED", "exposureLimit"),
            ({"exposureShare": {"ppm": 500_000}}, "OFFER_REFUSED", "exposureShare"),
            ({"mix": _mix(("A", 36, 1_000_000))}, "OFFER_REFUSED", "mix"),
            ({"rates": []}, "OFFER_REFUSED", "rates"),
        ],
    )
    def test_refusals(self, world: World, changes: dict[str, Any], code: str, field: str) -> None:
        lender = world.lenders[0]
        assert codes(run(lender, CHANGE, self.values(lender, **changes))) == [(code, field)]

    def test_a_pool_offers_share_and_mix(self, world: World) -> None:
        lender = world.lenders[3]
        run(lender, POOL, pool_input())
        pool = Offer.objects.get(lender=lender, exposure_share__isnull=False)
        values = {
            "idempotencyKey": "change-2",
            "offerId": to_global_id("Offer", str(pool.public_id)),
            "exposureShare": {"ppm": 100_000},
            "mix": _mix(("A", 36, 1_000_000)),
        }
        answer = run(lender, CHANGE, values)
        assert answer["errors"] == []
        assert answer["offer"]["exposureShare"]["ppm"] == 100_000
        assert len(answer["offer"]["asked"]) == 1


class TestPause:
    def test_out_of_the_queue_and_back_to_the_same_place(self, world: World) -> None:
        lender = world.lenders[5]
        before = _places(lender)
        values = {"idempotencyKey": "p-1", "offerId": _id(lender)}
        assert run(lender, PAUSE, values)["offer"]["state"] == "PAUSED"
        assert _places(lender) == [("A*", None), ("A", None)]
        assert codes(run(lender, PAUSE, {**values, "idempotencyKey": "p-2"})) == [
            ("OFFER_REFUSED", "offerId")
        ]
        assert run(lender, RESUME, values)["offer"]["state"] == "OPEN"
        assert _places(lender) == before == [("A*", 2), ("A", 2)]

    @pytest.mark.parametrize("mutation", [PAUSE, RESUME, CHANGE, CANCEL])
    def test_another_members_offer_is_not_there(self, world: World, mutation: str) -> None:
        values = {"idempotencyKey": "p-1", "offerId": _id(world.lenders[0])}
        assert codes(run(world.lenders[1], mutation, values)) == [("NOT_FOUND", "offerId")]
        assert codes(run(world.ada, mutation, values)) == [("FORBIDDEN", None)]
        assert codes(run(None, mutation, values)) == [("UNAUTHENTICATED", None)]


QUEUE = """query ($first: Int) { viewer { offers(first: $first) { edges { node {
  queue { band termMonths rate { ppm } place ahead { amount }
    expected { early likely late }
    last { runOn code words marginalRate { ppm } } } } } } } }"""


def _queues(member: Member) -> list[Any]:
    asked = ask(member, QUEUE)
    assert asked.errors == []
    return [edge["node"]["queue"] for edge in asked.data["viewer"]["offers"]["edges"]]


def _places(member: Member) -> list[tuple[str, int | None]]:
    [queue] = _queues(member)
    return [(row["band"], row["place"]) for row in queue]


class TestQueue:
    def test_place_and_reason(self, world: World) -> None:
        # Ada's loan took all cheaper money, and of 7.1 % what stood there earlier.
        [[safer, named]] = _queues(world.lenders[6])
        assert named == {
            "band": "A",
            "termMonths": 36,
            "rate": {"ppm": 71_000},
            "place": 1,
            "ahead": {"amount": "0.00"},
            # The cycle was more than 28 days ago.
            "expected": None,
            "last": {
                "runOn": "2016-04-01",
                "code": "BEHIND_OTHERS",
                "words": "Others at the same rate stood before it and were enough.",
                "marginalRate": {"ppm": 71_000},
            },
        }
        assert (safer["band"], safer["last"]["code"]) == ("A*", "NO_LISTING")
        [[_, dear]] = _queues(world.lenders[0])
        # £60 at 7.1 % and £140 at 7.4 % stand before its 7.5 %.
        assert (dear["place"], dear["ahead"]) == (3, {"amount": "200.00"})
        assert dear["last"]["code"] == "RATE_TOO_HIGH"

    def test_an_expected_date_once_money_was_lent_lately(self, world: World) -> None:
        place([world.lenders[3]], [(70_000, 40_000)], key="more")
        Offer.objects.filter(lender=world.lenders[2]).update(state="paused")
        answer = ask(
            world.cleo,
            """mutation ($input: ListLoanInput!) { listLoan(input: $input) { errors { code } } }""",
            {"input": {"idempotencyKey": "l", "applicationId": _application(world.cleo)}},
        )
        assert answer.data["listLoan"]["errors"] == []
        assert run_cycle(on=CLEARED, actor=ACTOR, key="another").loans == 1
        # £1,200 took £400 at 7 %, £60, £140, and £600 of the £640 at 7.5 %.
        [[_, row]] = _queues(world.lenders[0])
        assert (row["place"], row["last"]["code"]) == (1, "MATCHED")
        # One day of 28: the fourteenth of the waits of 1 to 28 days is the likely one.
        assert row["expected"]["likely"] == "2016-05-20"
        assert row["expected"]["early"] < "2016-05-20" < row["expected"]["late"]

    def test_statements_do_not_grow_with_the_page(self, world: World) -> None:
        lender = world.lenders[3]
        place([lender] * 55, [(80_000, 1_000)] * 55, key="many")
        client = Client()
        client.force_login(lender)
        counts = []
        for size in (1, 50):
            asked = ask_with(client, QUEUE, {"first": size})
            edges = asked.data["viewer"]["offers"]["edges"]
            assert len(edges) == size
            assert all(edge["node"]["queue"] for edge in edges)
            counts.append(statements(lambda size=size: ask_with(client, QUEUE, {"first": size})))  # type: ignore[misc]
        # Session and member; offers, what they ask, two for markets, traded rates; three for the
        # order book, what was lent lately, and four for the last cycle.
        assert counts == [16, 16]


def _application(member: Member) -> str:
    [edge] = ask(member, "{ viewer { applications { edges { node { id } } } } }").data["viewer"][
        "applications"
    ]["edges"]
    found: str = edge["node"]["id"]
    return found


SPREAD = """{ viewer { spread { borrowers lent { amount } largest { amount }
  largestShare { percent } effectiveBorrowers idleShare { ppm } } } }"""


class TestSpread:
    def test_one_borrower_and_idle_cash(self, world: World) -> None:
        spread = ask(world.lenders[1], SPREAD).data["viewer"]["spread"]
        # £467.94 are owed, and £534.34 lie in cash: 534.34 / 1,002.28 = 53.3124 %.
        assert spread == {
            "borrowers": 1,
            "lent": {"amount": "467.94"},
            "largest": {"amount": "467.94"},
            "largestShare": {"percent": "100.00"},
            "effectiveBorrowers": 1.0,
            "idleShare": {"ppm": 533_124},
        }

    def test_is_a_lenders(self, world: World) -> None:
        for member in (world.ada, world.auditor):
            assert ask(member, SPREAD).data == {"viewer": {"spread": None}}


HISTORY = """query ($days: Int = 28) { market(band: "A", termMonths: 36) { guideRate { ppm }
  tradedRate { ppm } lastMarginalRate { ppm } history(days: $days) { runOn onOffer { amount }
    bestRate { ppm } listings requested { amount } loans lent { amount } marginalRate { ppm }
    blendRate { ppm } lowestBlend { ppm } highestBlend { ppm } deviation } } }"""


class TestHistory:
    def test_what_the_first_cycle_did(self, world: World) -> None:
        market = ask(world.ada, HISTORY, {"days": 40}).data["market"]
        # Nothing was lent in the last 28 days, so pegs follow the guide rate.
        assert market["tradedRate"] == market["guideRate"]
        assert market["lastMarginalRate"] == {"ppm": 71_000}
        assert market["history"] == [
            {
                "runOn": "2016-04-01",
                "onOffer": {"amount": "2330.00"},
                "bestRate": {"ppm": 69_000},
                "listings": 2,
                "requested": {"amount": "3000.00"},
                "loans": 1,
                "lent": {"amount": "1000.00"},
                "marginalRate": {"ppm": 71_000},
                "blendRate": {"ppm": 70_040},
                "lowestBlend": {"ppm": 70_040},
                "highestBlend": {"ppm": 70_040},
                "deviation": 0.0,
            }
        ]

    def test_the_last_28_days_unless_told_otherwise(self, world: World) -> None:
        assert ask(world.ada, HISTORY).data["market"]["history"] == []
        for days in (0, 367):
            asked = ask(world.ada, HISTORY, {"days": days})
            assert asked.codes == ["HISTORY_REFUSED"]
            assert asked.errors[0]["extensions"]["field"] == "days"

    def test_all_markets_take_three_statements_more(self, world: World) -> None:
        client = Client()
        client.force_login(world.ada)
        counts = []
        for fields in (
            "name",
            "tradedRate { ppm } lastMarginalRate { ppm } history { lent { amount } }",
        ):
            with CaptureQueriesContext(connection) as captured:
                ask_with(client, f"{{ markets {{ {fields} }} }}")
            counts.append(len(captured))
        assert counts[1] == counts[0] + 3


QUOTE = """query ($amount: String!, $highest: RateInput) { quote(band: "A", termMonths: 36,
  amount: {amount: $amount, currency: GBP}, highestRate: $highest) {
  errors { code } fundedBy { early likely late }
  quote { ladder { amount { amount } rate { ppm } marginalRate { ppm } } } } }"""


class TestQuote:
    def test_how_the_rate_grows_and_when_it_would_be_funded(self, world: World) -> None:
        answer = ask(world.cleo, QUOTE, {"amount": "1000"}).data["quote"]
        ladder = answer["quote"]["ladder"]
        # £1,000 to the £1,330 on offer.
        assert ladder[0] == {
            "amount": {"amount": "1000.00"},
            "rate": {"ppm": 75_577},
            "marginalRate": {"ppm": 81_000},
        }
        assert ladder[-1]["amount"] == {"amount": "1330.00"}
        assert ladder[-1]["marginalRate"] == {"ppm": 104_000}
        assert len(ladder) == 8
        assert answer["fundedBy"] == dict.fromkeys(("early", "likely", "late"), "2016-05-07")

    @pytest.mark.parametrize("values", [{"amount": "2000"}, {"amount": "1000", "highest": 70_000}])
    def test_nothing_was_lent_lately_at_such_rates(
        self, world: World, values: dict[str, Any]
    ) -> None:
        highest = values.get("highest")
        variables = {**values, "highest": highest and {"ppm": highest}}
        answer = ask(world.cleo, QUOTE, variables).data["quote"]
        assert answer["fundedBy"] is None
        assert (answer["quote"] is None) == (answer["errors"] == [{"code": "NOT_ENOUGH_OFFERS"}])
