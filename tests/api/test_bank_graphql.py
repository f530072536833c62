"""Money out through GraphQL: one's own bank details and withdrawals, and nobody else's."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from accounts.core.references import payment_reference
from accounts.models import BankDetails, Member
from accounts.selectors.ledger import check_book, member_balances
from accounts.services.bank_details import register_bank_details, verify_bank_details
from tests.api.conftest import ask
from tests.api.test_mutations import codes, gbp, run
from tests.world import CLEARED as TODAY
from tests.world import World

REGISTER = """mutation ($input: RegisterBankDetailsInput!) { registerBankDetails(input: $input) {
  errors { code field message } bankDetails { holder masked state usableFrom } } }"""

REQUEST = """mutation ($input: RequestWithdrawalInput!) { requestWithdrawal(input: $input) {
  errors { code field message }
  withdrawal { id amount { amount } state masked requestedOn } } }"""

CANCEL = """mutation ($input: CancelWithdrawalInput!) { cancelWithdrawal(input: $input) {
  errors { code field message } withdrawal { state } } }"""

VIEWER = """query ($first: Int, $after: String) { viewer { paymentReference
  bankDetails { holder masked state usableFrom }
  withdrawals(first: $first, after: $after) {
    pageInfo { hasNextPage hasPreviousPage endCursor }
    edges { node { id publicId amount { amount } state } } } } }"""


def account(**changes: Any) -> dict[str, Any]:
    return {
        "idempotencyKey": "details-1",
        "holder": "Lena Lender",
        "sortCode": "20-00-00",
        "accountNumber": "12345678",
        **changes,
    }


@pytest.fixture
def lender(world: World) -> Member:
    """A lender who registered an account today."""
    member = world.lenders[3]
    assert run(member, REGISTER, account())["errors"] == []
    return member


def verified(member: Member, days_ago: int = 3) -> None:
    details = BankDetails.objects.get(member=member)
    day = TODAY - timedelta(days=days_ago)
    verify_bank_details(details_id=details.pk, key="v", on=day, actor="member:900")


def withdrawal(amount: str = "40.00", key: str = "w1") -> dict[str, Any]:
    return {"idempotencyKey": key, "amount": gbp(amount)}


class TestBankDetails:
    def test_registered_and_masked(self, lender: Member) -> None:
        asked = ask(lender, VIEWER)
        assert asked.data["viewer"]["paymentReference"] == payment_reference(lender.pk)
        assert asked.data["viewer"]["bankDetails"] == {
            "holder": "Lena Lender",
            "masked": "••••5678",
            "state": "PENDING",
            "usableFrom": None,
        }

    def test_others_see_nothing_of_it(self, world: World, lender: Member) -> None:
        other = world.lenders[0]
        run(lender, REQUEST, withdrawal())
        viewer = ask(other, VIEWER).data["viewer"]
        assert viewer["bankDetails"] is None
        assert viewer["withdrawals"]["edges"] == []
        assert viewer["paymentReference"] != payment_reference(lender.pk)

    def test_refusals(self, world: World) -> None:
        member = world.lenders[3]
        answer = run(member, REGISTER, account(sortCode="20-00"))
        assert codes(answer) == [("BANK_DETAILS_REFUSED", "sortCode")]
        answer = run(member, REGISTER, account(accountNumber="1"))
        assert codes(answer) == [("BANK_DETAILS_REFUSED", "accountNumber")]
        answer = run(member, REGISTER, account(iban="GB54TNNR20000055779911"))
        assert codes(answer) == [("BANK_DETAILS_REFUSED", "iban")]
        answer = run(member, REGISTER, account(holder="漢字"))
        assert codes(answer) == [("BANK_TEXT_REFUSED", "holder")]

    def test_not_for_staff_and_not_for_nobody(self, world: World) -> None:
        assert codes(run(world.auditor, REGISTER, account())) == [("FORBIDDEN", None)]
        assert codes(run(world.auditor, REQUEST, withdrawal())) == [("FORBIDDEN", None)]
        assert codes(run(None, REQUEST, withdrawal())) == [("UNAUTHENTICATED", None)]
        assert ask(world.auditor, VIEWER).data["viewer"]["paymentReference"] is None


class TestWithdrawals:
    @pytest.fixture
    def lender(self, world: World) -> Member:
        """A lender who registered an account long enough ago."""
        member = world.lenders[3]
        register_bank_details(
            member_id=member.pk,
            holder="Lena Lender",
            sort_code="20-00-00",
            account_number="12345678",
            key="details-1",
            on=TODAY - timedelta(days=3),
            actor=member.reference,
        )
        return member

    def test_asked_for_and_cancelled(self, lender: Member) -> None:
        verified(lender)
        before = member_balances(lender.pk).cash
        answer = run(lender, REQUEST, withdrawal())
        assert answer["errors"] == []
        made = answer["withdrawal"]
        number = made.pop("id")
        assert made == {
            "amount": {"amount": "40.00"},
            "state": "REQUESTED",
            "masked": "••••5678",
            "requestedOn": "2016-05-06",
        }
        assert run(lender, REQUEST, withdrawal())["withdrawal"]["id"] == number
        assert member_balances(lender.pk).cash == before - 4_000
        node = ask(lender, f'{{ node(id: "{number}") {{ ... on Withdrawal {{ state }} }} }}')
        assert node.data["node"] == {"state": "REQUESTED"}
        cancel = {"idempotencyKey": "c1", "withdrawalId": number}
        assert run(lender, CANCEL, cancel)["withdrawal"] == {"state": "CANCELLED"}
        assert member_balances(lender.pk).cash == before
        again = {"idempotencyKey": "c2", "withdrawalId": number}
        assert codes(run(lender, CANCEL, again)) == [("BANK_MOVE_REFUSED", None)]
        assert check_book().holds

    def test_refusals(self, lender: Member) -> None:
        assert codes(run(lender, REQUEST, withdrawal())) == [("NO_VERIFIED_ACCOUNT", None)]
        verified(lender, days_ago=2)
        assert codes(run(lender, REQUEST, withdrawal())) == [("BANK_DETAILS_COOLING_OFF", None)]

    def test_amounts(self, lender: Member) -> None:
        verified(lender)
        too_much = withdrawal("999999.00")
        assert codes(run(lender, REQUEST, too_much)) == [("NOT_ENOUGH_MONEY", None)]
        for amount in ("0", "-1.00", "1.001"):
            refused = run(lender, REQUEST, withdrawal(amount))
            assert codes(refused) == [("AMOUNT_REFUSED", "amount")]

    def test_not_somebody_elses(self, world: World, lender: Member) -> None:
        verified(lender)
        number = run(lender, REQUEST, withdrawal())["withdrawal"]["id"]
        other = world.lenders[0]
        cancel = {"idempotencyKey": "c1", "withdrawalId": number}
        assert codes(run(other, CANCEL, cancel)) == [("NOT_FOUND", "withdrawalId")]
        node = ask(other, f'{{ node(id: "{number}") {{ id }} }}')
        assert node.codes == ["NOT_FOUND"]

    def test_pages(self, lender: Member) -> None:
        verified(lender)
        for place in range(3):
            run(lender, REQUEST, withdrawal("1.00", f"w{place}"))
        first = ask(lender, VIEWER, {"first": 2}).data["viewer"]["withdrawals"]
        assert len(first["edges"]) == 2
        assert first["pageInfo"]["hasNextPage"]
        cursor = first["pageInfo"]["endCursor"]
        rest = ask(lender, VIEWER, {"first": 2, "after": cursor}).data["viewer"]["withdrawals"]
        assert len(rest["edges"]) == 1
        assert not rest["pageInfo"]["hasNextPage"]
        assert ask(lender, VIEWER, {"first": 0}).codes == ["PAGE_REFUSED"]


SET_UP = """mutation ($input: DirectDebitInput!) { setUpDirectDebit(input: $input) {
  errors { code field message } directDebit { reference masked signedOn cancelledOn } } }"""

CANCEL_DEBIT = """mutation ($input: DirectDebitInput!) { cancelDirectDebit(input: $input) {
  errors { code field message } directDebit { reference cancelledOn } } }"""

DIRECT_DEBIT = "query { viewer { directDebit { reference masked signedOn cancelledOn } } }"


class TestDirectDebit:
    def test_set_up_and_cancelled(self, world: World) -> None:
        ada = world.ada
        run(ada, REGISTER, account(holder="Ada Borrower"))
        asked = {"idempotencyKey": "dd-1"}
        assert codes(run(ada, SET_UP, asked)) == [("NO_VERIFIED_ACCOUNT", None)]
        verified(ada, days_ago=0)
        made = run(ada, SET_UP, asked)
        assert made["errors"] == []
        shown = made["directDebit"]
        assert shown["reference"].startswith("TNM")
        assert (shown["masked"], shown["signedOn"]) == ("••••5678", TODAY.isoformat())
        assert run(ada, SET_UP, asked)["directDebit"] == shown
        assert ask(ada, DIRECT_DEBIT).data["viewer"]["directDebit"] == shown
        assert ask(world.lenders[0], DIRECT_DEBIT).data["viewer"]["directDebit"] is None

        ended = run(ada, CANCEL_DEBIT, {"idempotencyKey": "dd-2"})
        assert ended["directDebit"] == {
            "reference": shown["reference"],
            "cancelledOn": TODAY.isoformat(),
        }
        assert ask(ada, DIRECT_DEBIT).data["viewer"]["directDebit"] is None
        again = run(ada, CANCEL_DEBIT, {"idempotencyKey": "dd-3"})
        assert codes(again) == [("NO_MANDATE", None)]

    def test_for_borrowers_only(self, world: World) -> None:
        asked = {"idempotencyKey": "dd-1"}
        assert codes(run(world.auditor, SET_UP, asked)) == [("FORBIDDEN", None)]
        assert codes(run(None, SET_UP, asked)) == [("UNAUTHENTICATED", None)]
        assert codes(run(None, CANCEL_DEBIT, asked)) == [("UNAUTHENTICATED", None)]
