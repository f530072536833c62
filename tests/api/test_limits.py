"""What one request may ask for, and what the endpoint says to requests that are none."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from graphql import GraphQLEnumType, GraphQLList, GraphQLObjectType, GraphQLScalarType, parse
from graphql.type import get_named_type, get_nullable_type

from api.graphql.limits import DEAREST, DEEPEST, LISTS, MOST_ALIASES, PAGES, WORK, measure
from api.graphql.schema import schema
from tests.api.conftest import ask
from tests.world import World

# graphiql 3.8.3 sends this when it opens; its depth is no measure of ours.
INTROSPECTION = """query Introspection { __schema { queryType { name } types { ...FullType } } }
fragment FullType on __Type { kind name fields(includeDeprecated: true) { name args { ...Value }
  type { ...TypeRef } } }
fragment Value on __InputValue { name type { ...TypeRef } }
fragment TypeRef on __Type { kind name ofType { kind name ofType { kind name ofType { kind name
  ofType { kind name ofType { kind name ofType { kind name ofType { kind name } } } } } } } }"""


def cost(query: str, **variables: Any) -> int:
    return measure(parse(query), variables).cost


class TestCost:
    def test_worked_example(self) -> None:
        # portfolio 1 + 200, and 50 times (edges 1 + node 1 + size 1 + amount 1).
        query = "{ portfolio(first: 50) { edges { node { size { amount } } } } }"
        assert cost(query) == 201 + 50 * 4

    def test_lists_inside_pages_multiply(self) -> None:
        query = "{ portfolio(first: 10) { edges { node { loan { instalments { number } } } } } }"
        # edges, node, loan, instalments: 4; sixty numbers.
        assert cost(query) == 201 + 10 * (4 + 60)

    @pytest.mark.parametrize(
        ("arguments", "variables", "rows"),
        [
            ("", {}, 20),
            ("(first: 7)", {}, 7),
            ("(first: -1)", {}, 1),
            ("(first: 1000000)", {}, 100),
            ("(first: $n)", {"n": 7}, 7),
            ("(first: $n)", {}, 3),
            ("(first: $n)", {"n": None}, 100),
            ("(first: $n)", {"n": "7"}, 100),
        ],
    )
    def test_page_sizes(self, arguments: str, variables: dict[str, Any], rows: int) -> None:
        query = f"query ($n: Int = 3) {{ myLoans{arguments} {{ edges {{ cursor }} }} }}"
        assert cost(query, **variables) == 201 + 2 * rows

    def test_fragments_are_measured_once_and_counted_each_time(self) -> None:
        doubling = "".join(
            f"fragment F{n} on Query {{ ...F{n + 1} ...F{n + 1} }} " for n in range(60)
        )
        query = f"{{ ...F0 }} {doubling} fragment F60 on Query {{ viewer {{ name }} }}"
        assert cost(query) == 2**60 * 2

    def test_every_mutation_is_work(self) -> None:
        mutations = schema.graphql_schema.mutation_type
        assert mutations is not None
        assert [name for name in mutations.fields if WORK.get(name) != 5_000] == []

    def test_every_list_of_the_schema_has_a_length(self) -> None:
        for kind in schema.graphql_schema.type_map.values():
            if not isinstance(kind, GraphQLObjectType) or kind.name.startswith("__"):
                continue
            for name, field in kind.fields.items():
                inner = get_named_type(field.type)
                if isinstance(get_nullable_type(field.type), GraphQLList):
                    assert name in LISTS, f"{kind.name}.{name}"
                elif inner.name.endswith("Connection"):
                    assert name in PAGES, f"{kind.name}.{name}"
                elif not isinstance(inner, GraphQLScalarType | GraphQLEnumType):
                    assert name not in LISTS, f"{kind.name}.{name}"


class TestLimits:
    def refused(self, query: str, world: World) -> str:
        with CaptureQueriesContext(connection) as captured:
            asked = ask(world.lenders[1], query)
        assert asked.status == 400
        assert asked.data is None
        assert not [q for q in captured if "marketplace" in q["sql"]]
        assert set(asked.codes) == {"QUERY_TOO_LARGE"}
        message: str = asked.errors[0]["message"]
        return message

    def test_too_deep(self, world: World) -> None:
        inside = "name"
        for _ in range(DEEPEST + 1):
            inside = f"node {{ {inside} }}"
        asked = ask(world.lenders[1], f"{{ {inside} }}")
        assert "QUERY_TOO_LARGE" in asked.codes
        assert f"The query goes {DEEPEST + 2} levels deep; at most {DEEPEST} are allowed." in [
            error["message"] for error in asked.errors
        ]

    def test_too_dear(self, world: World) -> None:
        query = """{ portfolio(first: 100) { edges { node { loan { instalments {
          principalDue { amount currency } interestPlanned { amount currency }
          interestDue { amount currency } totalDue { amount currency }
          principalPaid { amount currency } interestPaid { amount currency }
          number dueOn isPaid a: number b: dueOn c: isPaid
          d: totalDue { amount currency } } } } } } }"""
        # 201, and 100 times (4 + 60 x (7 x 3 + 6)).
        assert str(201 + 100 * (4 + 60 * 27)) in self.refused(query, world)

    def test_too_many_aliases(self, world: World) -> None:
        names = " ".join(f"a{n}: __typename" for n in range(MOST_ALIASES + 1))
        assert "21 aliases; at most 20" in self.refused(f"{{ {names} }}", world)

    def test_the_same_costly_thing_many_times(self, world: World) -> None:
        fields = " ".join(
            f'm{n}: cancelOffer(input: {{idempotencyKey: "k{n}", offerId: "x"}})'
            " { errors { code } }"
            for n in range(20)
        )
        assert ask(world.lenders[0], f"mutation {{ {fields} }}").status == 200
        quotes = " ".join(
            f'q{n}: quote(band: "A", termMonths: 36, amount: {{amount: "1000", currency: GBP}})'
            " { errors { code } }"
            for n in range(21)
        )
        self.refused(f"{{ {quotes} }}", world)

    def test_a_fragment_inside_itself(self, world: World) -> None:
        query = "{ ...A } fragment A on Query { viewer { name } ...A }"
        asked = ask(world.lenders[0], query)
        assert asked.status == 400
        assert asked.codes == ["QUERY_REFUSED"]

    def test_a_fragment_that_is_not_there(self, world: World) -> None:
        assert ask(world.lenders[0], "{ ...A }").codes == ["QUERY_REFUSED"]

    @pytest.mark.usefixtures("world")
    def test_introspection_is_allowed_for_anyone(self) -> None:
        asked = ask(None, INTROSPECTION)
        assert asked.errors == []
        assert asked.data["__schema"]["queryType"] == {"name": "Query"}

    @pytest.mark.usefixtures("world")
    def test_introspection_can_not_go_round_in_circles(self) -> None:
        inside = "name"
        for _ in range(6):
            inside = f"fields {{ type {{ {inside} }} }}"
        asked = ask(None, f"{{ __schema {{ types {{ {inside} }} }} }}")
        assert asked.status == 400


class TestRequests:
    def post(self, body: Any, content_type: str = "application/json") -> tuple[int, Any]:
        response = Client().post("/graphql/", body, content_type=content_type)
        assert response["Content-Type"] == "application/json"
        return response.status_code, response.json()

    @pytest.mark.parametrize(
        ("body", "message"),
        [
            ("", "Send a 'query'."),
            ("{", "POST body sent invalid JSON."),
            ("[]", "The received data is not a valid JSON query."),
            ("{}", "Send a 'query'."),
            ('{"query": 5}', "Send a 'query'."),
            ('{"query": ["{ viewer { name } }"]}', "Send a 'query'."),
            ('{"query": "{ viewer { name } }", "variables": [1]}', "'variables' is an object."),
            ('{"query": "{ viewer { name } }", "operationName": 5}', "'operationName' is a text."),
            (json.dumps({"query": "#" * 20_001}), "A query has at most 20000 characters."),
        ],
    )
    def test_what_is_no_request(self, body: str, message: str) -> None:
        status, answer = self.post(body)
        assert status == 400
        assert answer == {
            "errors": [{"message": message, "extensions": {"code": "REQUEST_REFUSED"}}]
        }

    @pytest.mark.parametrize(
        ("query", "variables"),
        [
            ("{", {}),
            ("{ nothing }", {}),
            ("query ($n: Int!) { portfolio(first: $n) { edges { cursor } } }", {"n": "x"}),
            ("query ($n: Int!) { portfolio(first: $n) { edges { cursor } } }", {}),
            ("query A { viewer { name } } query B { viewer { name } }", {}),
            ("subscription { viewer { name } }", {}),
        ],
    )
    def test_what_is_no_query_of_ours(self, query: str, variables: dict[str, Any]) -> None:
        status, answer = self.post(json.dumps({"query": query, "variables": variables}))
        assert status == 400
        assert {error["extensions"]["code"] for error in answer["errors"]} == {"QUERY_REFUSED"}

    def test_nested_beyond_reading(self) -> None:
        status, answer = self.post(json.dumps({"query": "{a" * 9_000}))
        assert status == 400
        assert answer["errors"][0]["extensions"]["code"] in {"QUERY_REFUSED", "QUERY_TOO_LARGE"}

    def test_nothing_changes_by_get(self) -> None:
        response = Client().get(
            "/graphql/", {"query": "mutation { placeOffer(input: {}) { offer { id } } }"}
        )
        assert response.status_code == 405

    def test_reading_by_get(self, world: World) -> None:
        client = Client()
        client.force_login(world.ada)
        response = client.get("/graphql/", {"query": "{ viewer { name } }"})
        assert response.json() == {"data": {"viewer": {"name": "Ada"}}}
        assert "no-store" in response["Cache-Control"]

    def test_a_session_without_the_form_token_changes_nothing(self, world: World) -> None:
        client = Client(enforce_csrf_checks=True)
        client.force_login(world.ada)
        body = {"query": "{ viewer { name } }"}
        refused = client.post("/graphql/", body, content_type="application/json")
        assert refused.status_code == 403
        assert refused.json()["errors"][0]["extensions"] == {"code": "CSRF_REFUSED"}
        token = client.get("/graphiql/").cookies["csrftoken"].value
        answered = client.post(
            "/graphql/", body, content_type="application/json", headers={"X-CSRFToken": token}
        )
        assert answered.json() == {"data": {"viewer": {"name": "Ada"}}}


def test_the_dearest_query_is_what_a_full_page_needs() -> None:
    full = """{ portfolio(first: 100) { totals { lent { amount } } edges { cursor node { id number
      size { amount } rate { percent } outstanding { amount } principalReceived { amount }
      interestReceived { amount } feePaid { amount } expectedReturn { ppm }
      loan { id state rate { percent } instalments { number dueOn isPaid totalDue { amount }
      principalDue { amount } interestPlanned { amount } interestDue { amount }
      principalPaid { amount } interestPaid { amount } } } } } } }"""
    assert cost(full) <= DEAREST
