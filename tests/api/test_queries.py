"""Reading through GraphQL: what each member sees of the tiny world, to the penny."""

from __future__ import annotations

from typing import Any

import pytest

from marketplace.models import Loan
from risk.models import Assessment
from tests.api.conftest import ask
from tests.world import World

VIEWER = """{ viewer { name email role isLender isBorrower
  balances { cash { amount currency } onOffer { amount } matched { amount } onItsWay { amount } }
  applications { edges { node { amount { amount } termMonths state band reasons appliedOn } } }
  offers { edges { node { amount { amount } available { amount } exposureLimit { amount } state
    rates { band termMonths namedIn rate { ppm percent } } } } }
  listings { edges { node { state waitsBecause highestRate { ppm } market { band termMonths } } } }
} }"""


def nodes(connection: dict[str, Any]) -> list[Any]:
    return [edge["node"] for edge in connection["edges"]]


def pounds(amount: str) -> dict[str, str]:
    return {"amount": amount}


class TestViewer:
    def test_a_lender_sees_their_money_and_offer(self, world: World) -> None:
        asked = ask(world.lenders[1], VIEWER)
        assert asked.status == 200
        assert asked.errors == []
        viewer = asked.data["viewer"]
        assert viewer["email"] == world.lenders[1].email
        assert (viewer["role"], viewer["isLender"], viewer["isBorrower"]) == ("MEMBER", True, False)
        # £1,000 in, £480 of it lent; of the first £30.78 this part gets £12.06 and £2.68
        # less the fee of a twelfth of 1 % of £480, which is 40p: £520 + £14.34.
        assert viewer["balances"] == {
            "cash": {"amount": "534.34", "currency": "GBP"},
            "onOffer": pounds("0.00"),
            "matched": pounds("0.00"),
            "onItsWay": pounds("0.00"),
        }
        [offer] = nodes(viewer["offers"])
        assert offer["amount"] == pounds("480.00")
        assert offer["available"] == pounds("0.00")
        assert offer["state"] == "OPEN"
        rate = {"ppm": 69_000, "percent": "6.90"}
        assert offer["rates"] == [
            {"band": band, "termMonths": 36, "namedIn": "A", "rate": rate} for band in ("A*", "A")
        ]
        assert nodes(viewer["applications"]) == nodes(viewer["listings"]) == []

    def test_a_borrower_sees_their_application_and_listing(self, world: World) -> None:
        viewer = ask(world.ben, VIEWER).data["viewer"]
        [application] = nodes(viewer["applications"])
        assert application == {
            "amount": pounds("2000.00"),
            "termMonths": 36,
            "state": "LISTED",
            "band": "A",
            "reasons": application["reasons"],
            "appliedOn": "2016-04-01",
        }
        [listing] = nodes(viewer["listings"])
        assert listing["state"] == "OPEN"
        assert listing["waitsBecause"] == "NOT_ENOUGH_OFFERS"
        assert listing["market"] == {"band": "A", "termMonths": 36}

    def test_staff_hold_no_money(self, world: World) -> None:
        viewer = ask(world.auditor, VIEWER).data["viewer"]
        assert viewer["role"] == "AUDITOR"
        assert viewer["balances"] is None

    @pytest.mark.usefixtures("world")
    def test_nobody_is_refused(self) -> None:
        asked = ask(None, VIEWER)
        assert asked.data == {"viewer": None}
        assert asked.codes == ["UNAUTHENTICATED"]
        assert asked.errors[0]["message"] == "Sign in first."


PORTFOLIO = """query ($first: Int, $after: String) { portfolio(first: $first, after: $after) {
  totals { parts borrowers lent { amount } outstanding { amount } defaulted { amount }
    principalReceived { amount } interestReceived { amount } feePaid { amount } }
  pageInfo { hasNextPage hasPreviousPage endCursor }
  edges { cursor node { id number size { amount } rate { percent } expectedReturn { ppm }
    principalReceived { amount } interestReceived { amount } feePaid { amount }
    outstanding { amount }
    loan { id publicId market { band termMonths } amount { amount } termMonths rate { ppm percent }
      state paidOutOn outstanding { amount } instalment { amount }
      instalments { number dueOn principalDue { amount } interestPlanned { amount }
        interestDue { amount } totalDue { amount } principalPaid { amount } interestPaid { amount }
        isPaid } } } } } }"""


class TestPortfolio:
    def test_parts_with_loan_and_instalments(self, world: World) -> None:
        asked = ask(world.lenders[1], PORTFOLIO)
        assert asked.errors == []
        [part] = nodes(asked.data["portfolio"])
        assert part["number"] == 1
        assert part["size"] == pounds("480.00")
        assert part["rate"] == {"percent": "6.90"}
        # 48 % of the £25.12 repaid is £12.0576; 1.069 ** (1/12) - 1 = .55759 % of £480 is
        # £2.6764; a twelfth of 1 % of £480 is 40p.
        assert part["principalReceived"] == pounds("12.06")
        assert part["interestReceived"] == pounds("2.68")
        assert part["feePaid"] == pounds("0.40")
        assert part["outstanding"] == pounds("467.94")
        loan = part["loan"]
        assert loan["market"] == {"band": "A", "termMonths": 36}
        assert loan["amount"] == pounds("1000.00")
        assert loan["rate"] == {"ppm": 70_040, "percent": "7.004"}
        assert loan["instalment"] == pounds("30.78")
        assert (loan["state"], loan["paidOutOn"]) == ("ACTIVE", "2016-04-01")
        assert len(loan["instalments"]) == 36
        first, second = loan["instalments"][:2]
        assert first == {
            "number": 1,
            "dueOn": "2016-05-03",
            "principalDue": pounds("25.12"),
            "interestPlanned": pounds("5.66"),
            "interestDue": pounds("5.66"),
            "totalDue": pounds("30.78"),
            "principalPaid": pounds("25.12"),
            "interestPaid": pounds("5.66"),
            "isPaid": True,
        }
        assert second["interestDue"] is None
        assert second["isPaid"] is False

    def test_totals_add_up(self, world: World) -> None:
        totals = ask(world.lenders[1], PORTFOLIO).data["portfolio"]["totals"]
        assert totals["parts"] == totals["borrowers"] == 1
        # 467.94 + 12.06 = 480
        assert totals["lent"] == pounds("480.00")
        assert totals["outstanding"] == pounds("467.94")
        assert totals["defaulted"] == pounds("0.00")
        assert totals["principalReceived"] == pounds("12.06")
        assert totals["interestReceived"] == pounds("2.68")
        assert totals["feePaid"] == pounds("0.40")

    def test_a_lender_without_parts(self, world: World) -> None:
        portfolio = ask(world.lenders[0], PORTFOLIO).data["portfolio"]
        assert portfolio["edges"] == []
        assert portfolio["totals"]["lent"] == pounds("0.00")

    def test_never_says_who_borrows(self, world: World) -> None:
        asked = ask(world.lenders[1], PORTFOLIO)
        text = str(asked.data)
        for secret in (world.ada.name, world.ada.email, world.ada.postcode):
            assert secret not in text
        for field in ("borrower", "name", "email", "postcode"):
            refused = ask(
                world.lenders[1], f"{{ portfolio {{ edges {{ node {{ loan {{ {field} }} }} }} }} }}"
            )
            assert refused.codes == ["QUERY_REFUSED"]

    def test_is_for_lenders(self, world: World) -> None:
        assert ask(world.ada, PORTFOLIO).codes == ["FORBIDDEN"]
        assert ask(world.auditor, PORTFOLIO).codes == ["FORBIDDEN"]
        assert ask(None, PORTFOLIO).codes == ["UNAUTHENTICATED"]


EXPECTATION = """{ expectation { parts borrowers outstanding { amount } covered { amount }
  withoutFund { expectedProfit { amount } expectedReturn { ppm } chanceOfLoss { ppm }
    returnLow { ppm } returnHigh { ppm } worstLoss { amount } }
  narrowing { borrowers outcomes { chanceOfLoss { ppm } } } } }"""


class TestExpectation:
    def test_one_part_of_one_loan(self, world: World) -> None:
        told = ask(world.lenders[1], EXPECTATION).data["expectation"]
        # £480 less the £12.06 that came back.
        assert (told["parts"], told["borrowers"]) == (1, 1)
        assert told["outstanding"] == pounds("467.94")
        assert told["covered"] == pounds("0.00")
        # One borrower: money is lost if, and only if, the loan defaults in the 35 months left.
        loan = Loan.objects.get(pk=world.loan_id)
        pd12 = Assessment.objects.get(pk=loan.assessment_id).pd12_ppm / 1_000_000
        chance = 1 - (1 - pd12) ** (35 / 12)
        outcome = told["withoutFund"]
        assert outcome["chanceOfLoss"]["ppm"] == pytest.approx(chance * 1_000_000, abs=2)
        assert outcome["returnLow"] == outcome["returnHigh"]
        # 6.9 % less 1 % fee, if it goes well; less than that on average.
        assert 58_000 < outcome["returnHigh"]["ppm"] < 60_000
        assert outcome["expectedReturn"]["ppm"] < outcome["returnHigh"]["ppm"]
        # In the worst of a thousand outcomes it defaults: most of 80 % of what is outstanding.
        assert 150 < float(outcome["worstLoss"]["amount"]) < 0.8 * 467.94 + 60
        assert [row["borrowers"] for row in told["narrowing"]] == [1, 2, 4]

    def test_nothing_without_parts_and_for_lenders_only(self, world: World) -> None:
        assert ask(world.lenders[0], EXPECTATION).data == {"expectation": None}
        assert ask(world.ada, EXPECTATION).codes == ["FORBIDDEN"]
        assert ask(None, EXPECTATION).codes == ["UNAUTHENTICATED"]


MY_LOANS = """{ myLoans { edges { node { publicId amount { amount } rate { ppm } state
  instalment { amount } arrangementFee { amount } paidOut { amount } totalRepayable { amount }
  apr { ppm } instalments { number totalDue { amount } } } } } }"""


class TestMyLoans:
    def test_what_a_loan_costs(self, world: World) -> None:
        [loan] = nodes(ask(world.ada, MY_LOANS).data["myLoans"])
        assert loan["amount"] == pounds("1000.00")
        # A/36 keeps back 1.5 %.
        assert loan["arrangementFee"] == pounds("15.00")
        assert loan["paidOut"] == pounds("985.00")
        # 35 x £30.78 and a last one of £30.80.
        assert loan["totalRepayable"] == pounds("1108.10")
        assert loan["instalments"][-1] == {"number": 36, "totalDue": pounds("30.80")}
        # £985 now against £1,108.10 in 36 months: above the rate of 7.004 % by the fee's part.
        assert loan["apr"] == {"ppm": 80_968}

    def test_is_for_borrowers(self, world: World) -> None:
        assert ask(world.lenders[0], MY_LOANS).codes == ["FORBIDDEN"]
        assert ask(None, MY_LOANS).codes == ["UNAUTHENTICATED"]


LEVELS = "levels { rate { ppm } amount { amount } cumulative { amount } offers }"


def level(ppm: int, amount: str, cumulative: str) -> dict[str, Any]:
    return {
        "rate": {"ppm": ppm},
        "amount": pounds(amount),
        "cumulative": pounds(cumulative),
        "offers": 1,
    }


class TestMarket:
    def test_depth_by_rate_after_the_first_loan(self, world: World) -> None:
        asked = ask(
            world.ada,
            f"""{{ market(band: "A", termMonths: 36) {{ name minimumAmount {{ amount }}
            depth {{ onOffer {{ amount }} offers bestRate {{ percent }} marginalRate {{ percent }}
            {LEVELS} }} }} }}""",
        )
        # Ada's £1,000 took the £480 at 6.9 % and the £520 at 7.1 %.
        assert asked.data["market"] == {
            "name": "A/36",
            "minimumAmount": pounds("1000.00"),
            "depth": {
                "onOffer": pounds("1330.00"),
                "offers": 5,
                "bestRate": {"percent": "7.10"},
                "marginalRate": {"percent": "10.40"},
                "levels": [
                    level(71_000, "60.00", "60.00"),
                    level(74_000, "140.00", "200.00"),
                    level(75_000, "640.00", "840.00"),
                    level(81_000, "320.00", "1160.00"),
                    level(104_000, "170.00", "1330.00"),
                ],
            },
        }

    def test_every_market_with_its_bounds(self, world: World) -> None:
        asked = ask(
            world.auditor,
            "{ markets { name guideRate { ppm } lowestRate { ppm } highestRate { ppm }"
            " depth { offers } } }",
        )
        markets = {market["name"]: market for market in asked.data["markets"]}
        assert list(markets) == [f"{b}/{t}" for t in (36, 60) for b in ("A*", *"ABCDE")]
        # 10.4 % in A implies nothing in A*: its bound is lower. Nothing stands in riskier bands.
        assert markets["A*/36"]["depth"]["offers"] == 4
        assert markets["B/36"]["depth"]["offers"] == 0
        for market in markets.values():
            guide = market["guideRate"]["ppm"]
            assert market["lowestRate"]["ppm"] == guide - 20_000
            assert market["highestRate"]["ppm"] == guide + 40_000

    def test_an_unknown_market(self, world: World) -> None:
        asked = ask(world.ada, '{ market(band: "F", termMonths: 36) { name } }')
        assert asked.data == {"market": None}
        assert asked.codes == ["MARKET_UNKNOWN"]

    @pytest.mark.usefixtures("world")
    def test_is_for_anyone_signed_in(self) -> None:
        for query in ("{ markets { name } }", '{ market(band: "A", termMonths: 36) { name } }'):
            assert ask(None, query).codes == ["UNAUTHENTICATED"]


QUOTE = (
    """query ($amount: String!, $band: String = "A") {
  quote(band: $band, termMonths: 36, amount: {amount: $amount, currency: GBP}) {
    errors { code field message fundable { amount currency } }
    quote { market { band termMonths } amount { amount } rate { ppm } marginalRate { ppm }
      instalment { amount } totalRepayable { amount } arrangementFee { amount } apr { ppm } offers
      """
    + LEVELS
    + "} } }"
)


class TestQuote:
    def test_from_the_offers_that_stand(self, world: World) -> None:
        answer = ask(world.cleo, QUOTE, {"amount": "1000"}).data["quote"]
        assert answer["errors"] == []
        assert answer["quote"] == {
            "market": {"band": "A", "termMonths": 36},
            "amount": pounds("1000.00"),
            # .06 x 7.1 + .14 x 7.4 + .64 x 7.5 + .16 x 8.1 = 7.558 %, blended by the month.
            "rate": {"ppm": 75_577},
            "marginalRate": {"ppm": 81_000},
            "instalment": pounds("31.02"),
            "totalRepayable": pounds("1116.65"),
            "arrangementFee": pounds("15.00"),
            "apr": {"ppm": 86_597},
            "offers": 4,
            "levels": [
                level(71_000, "60.00", "60.00"),
                level(74_000, "140.00", "200.00"),
                level(75_000, "640.00", "840.00"),
                level(81_000, "160.00", "1000.00"),
            ],
        }

    def test_a_borrower_is_not_quoted_what_lenders_may_not_lend_again(self, world: World) -> None:
        # Whoever lent to Ada has reached the limit with her: £60 at 7.1 % is another lender's.
        mine = ask(world.ada, QUOTE, {"amount": "1000"}).data["quote"]["quote"]
        assert mine["levels"][0] == level(71_000, "60.00", "60.00")

    def test_not_enough_offers_says_how_much(self, world: World) -> None:
        answer = ask(world.cleo, QUOTE, {"amount": "2000.00"}).data["quote"]
        assert answer["quote"] is None
        assert answer["errors"] == [
            {
                "code": "NOT_ENOUGH_OFFERS",
                "field": "amount",
                "message": ("There are not sufficient offers: £1,330 of £2,000 could be funded."),
                "fundable": {"amount": "1330.00", "currency": "GBP"},
            }
        ]

    def test_refusals_of_input(self, world: World) -> None:
        for amount, code in (
            ("1e3", "AMOUNT_REFUSED"),
            ("1000.001", "AMOUNT_REFUSED"),
            ("-1000", "LOAN_AMOUNT_REFUSED"),
            ("1005", "LOAN_AMOUNT_REFUSED"),
            ("990", "LOAN_AMOUNT_REFUSED"),
            ("25010", "LOAN_AMOUNT_REFUSED"),
        ):
            [error] = ask(world.cleo, QUOTE, {"amount": amount}).data["quote"]["errors"]
            assert (error["code"], error["field"]) == (code, "amount"), amount
        answer = ask(world.cleo, QUOTE, {"amount": "1000", "band": "Z"}).data["quote"]
        assert [error["code"] for error in answer["errors"]] == ["MARKET_UNKNOWN"]

    @pytest.mark.usefixtures("world")
    def test_is_for_anyone_signed_in(self) -> None:
        [error] = ask(None, QUOTE, {"amount": "1000"}).data["quote"]["errors"]
        assert error["code"] == "UNAUTHENTICATED"
