"""Things by their global ids, and pages of long lists: only ever one's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from graphql_relay import from_global_id, to_global_id

from accounts.models import Member
from accounts.services.members import enrol_members
from marketplace.models import Application, Loan, Offer
from tests.api.conftest import ask, ask_with
from tests.factories import MemberFactory
from tests.world import World, apply, enrol_lenders, facts_of_band, fund, open_house, place

NODE = "query ($id: ID!) { node(id: $id) { __typename id } }"


class TestNode:
    def test_each_kind_is_found_by_its_owner(self, world: World) -> None:
        lender, borrower = world.lenders[1], world.ada
        ids = {
            lender: [
                "viewer { id offers { edges { node { id } } } }",
                "portfolio { edges { node { id loan { id } } } }",
            ],
            borrower: [
                "viewer { applications { edges { node { id } } } }",
                "viewer { listings { edges { node { id } } } }",
                "myLoans { edges { node { id } } }",
            ],
        }
        kinds = set()
        for member, queries in ids.items():
            for query in queries:
                for found in _ids(ask(member, f"{{ {query} }}").data):
                    node = ask(member, NODE, {"id": found}).data["node"]
                    assert node["id"] == found
                    kinds.add(node["__typename"])
        assert kinds == {"Viewer", "Offer", "Part", "Loan", "Application", "Listing", "MyLoan"}

    def test_another_members_things_are_not_there(self, world: World) -> None:
        loan = Loan.objects.get(pk=world.loan_id)
        offer = Offer.objects.get(lender=world.lenders[1])
        application = Application.objects.get(borrower=world.ada)
        for stranger, kind, text in (
            (world.lenders[0], "Loan", loan.public_id),
            (world.lenders[0], "MyLoan", loan.public_id),
            (world.lenders[0], "Part", f"{loan.public_id}/1"),
            (world.lenders[2], "Part", f"{loan.public_id}/1"),
            (world.lenders[0], "Offer", offer.public_id),
            (world.ada, "Loan", loan.public_id),
            (world.ben, "MyLoan", loan.public_id),
            (world.ben, "Application", application.public_id),
            (world.ben, "Listing", application.public_id),
            (world.auditor, "MyLoan", loan.public_id),
            (world.auditor, "Viewer", world.ada.public_id),
        ):
            asked = ask(stranger, NODE, {"id": to_global_id(kind, str(text))})
            assert asked.data == {"node": None}, kind
            assert asked.codes == ["NOT_FOUND"], kind

    @pytest.mark.parametrize(
        "text",
        ["", "x", "====", to_global_id("Loan", "1"), to_global_id("Member", "1"), "TG9hbg==", "é"],
    )
    def test_nonsense_is_not_found(self, world: World, text: str) -> None:
        assert ask(world.ada, NODE, {"id": text}).codes == ["NOT_FOUND"]

    @pytest.mark.usefixtures("world")
    def test_is_for_anyone_signed_in(self) -> None:
        loan = to_global_id("Loan", "00000000-0000-0000-0000-000000000000")
        assert ask(None, NODE, {"id": loan}).codes == ["UNAUTHENTICATED"]

    def test_no_database_id_leaves_the_house(self, world: World) -> None:
        data = ask(
            world.lenders[1], "{ portfolio { edges { cursor node { id loan { id } } } } }"
        ).data
        for found in _ids(data):
            kind, text = from_global_id(found)
            assert len(text.partition("/")[0]) == 36, kind


def _ids(data: Any) -> Iterator[str]:
    if isinstance(data, list):
        for one in data:
            yield from _ids(one)
    elif isinstance(data, dict):
        for name, one in data.items():
            if name == "id":
                yield one
            else:
                yield from _ids(one)


LOANS = 55

PAGE = """query ($first: Int, $after: String) { portfolio(first: $first, after: $after) {
  totals { parts lent { amount } }
  pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  edges { cursor node { id size { amount } rate { ppm }
    loan { id state market { band } instalments { number dueOn totalDue { amount } } } } } } }"""


@pytest.fixture(scope="module")
def wide(module_db: str) -> Member:
    """A lender with a part in each of 55 loans of £1,000."""
    model = open_house()
    [lender] = enrol_lenders([LOANS * 100_000])
    place([lender], [(70_000, LOANS * 100_000)], exposure_limit=100_000)
    borrowers = enrol_members(members=MemberFactory.build_batch(LOANS, is_lender=False))
    loans = fund(apply(borrowers, [100_000] * LOANS, facts_of_band(model)))
    assert len(loans) == LOANS
    return lender


def _page(client: Client, **variables: Any) -> Any:
    asked = ask_with(client, PAGE, variables)
    assert asked.errors == []
    return asked.data["portfolio"]


class TestPages:
    def test_all_pages_together_are_the_whole(self, wide: Member) -> None:
        client = Client()
        client.force_login(wide)
        seen: list[str] = []
        sizes = []
        after = None
        while True:
            page = _page(client, first=20, after=after)
            seen += [edge["node"]["id"] for edge in page["edges"]]
            sizes.append(len(page["edges"]))
            assert page["pageInfo"]["hasPreviousPage"] is (after is not None)
            assert page["pageInfo"]["startCursor"] == page["edges"][0]["cursor"]
            if not page["pageInfo"]["hasNextPage"]:
                break
            after = page["pageInfo"]["endCursor"]
        assert sizes == [20, 20, 15]
        assert len(set(seen)) == LOANS

    def test_without_a_size_a_page_has_twenty(self, wide: Member) -> None:
        asked = ask(wide, "{ portfolio { edges { node { number } } } }")
        assert len(asked.data["portfolio"]["edges"]) == 20

    @pytest.mark.parametrize("size", [0, -1, 101])
    def test_a_page_has_1_to_100_rows(self, wide: Member, size: int) -> None:
        asked = ask(wide, f"{{ portfolio(first: {size}) {{ edges {{ cursor }} }} }}")
        assert asked.codes == ["PAGE_REFUSED"]
        assert asked.errors[0]["extensions"]["field"] == "first"

    @pytest.mark.parametrize(
        ("cursor", "code"),
        [
            ("nonsense", "INPUT_REFUSED"),
            ("", "INPUT_REFUSED"),
            ("YWZ0ZXI6eA==", "CURSOR_REFUSED"),  # after:x
        ],
    )
    def test_a_cursor_that_names_nothing(self, wide: Member, cursor: str, code: str) -> None:
        asked = ask(wide, f'{{ portfolio(after: "{cursor}") {{ edges {{ cursor }} }} }}')
        assert asked.codes == [code]

    def test_statements_do_not_grow_with_the_page(self, wide: Member) -> None:
        client = Client()
        client.force_login(wide)
        counts = []
        for size in (1, 50):
            with CaptureQueriesContext(
                connection,
            ) as captured:
                page = _page(client, first=size)
            assert len(page["edges"]) == size
            assert all(len(e["node"]["loan"]["instalments"]) == 36 for e in page["edges"])
            counts.append(len(captured))
        # session, member, parts with loans, totals, instalments
        assert counts == [5, 5]
        with CaptureQueriesContext(connection) as captured:
            _page(client, first=2, after=page["edges"][0]["cursor"])
        # and the row that the cursor names
        assert len(captured) == 6

    def test_markets_with_depth_are_five_statements(self, wide: Member) -> None:
        client = Client()
        client.force_login(wide)
        with CaptureQueriesContext(connection) as captured:
            asked = ask_with(client, "{ markets { name depth { offers levels { offers } } } }")
        assert len(asked.data["markets"]) == 12
        # session, member, rate table, markets, all order books
        assert len(captured) == 5
