"""The pages for people: start, sign-in and sign-out."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client, RequestFactory

from api.views import forged
from tests.api.conftest import PASSWORD
from tests.world import World


def page(client: Client, path: str = "/") -> str:
    response = client.get(path)
    assert response.status_code == 200
    policy = response["Content-Security-Policy"]
    assert policy.startswith("default-src 'self'; ")
    assert "http" not in policy
    return response.content.decode()


def signed_in(member: Any) -> Client:
    client = Client()
    client.force_login(member)
    return client


class TestStart:
    @pytest.mark.usefixtures("world")
    def test_nobody_finds_the_way_in(self) -> None:
        shown = page(Client())
        assert 'href="/sign-in/"' in shown
        assert "/api/loan-book" not in shown
        assert "Your money" not in shown

    def test_a_lender_sees_money_and_parts(self, world: World) -> None:
        shown = page(signed_in(world.lenders[1]))
        for figure in ("£534.34", "£480.00", "£467.94", "£12.06", "£2.68", "6.90 %"):
            assert figure in shown, figure
        assert "1 part, 1 borrower" in shown
        assert world.ada.name not in shown
        assert "/api/loan-book" not in shown

    def test_a_lender_sees_place_and_answer(self, world: World) -> None:
        shown = page(signed_in(world.lenders[0]))
        assert "Your offers in the queues" in shown
        # Behind £60 at 7.1 % and £140 at 7.4 %.
        assert '<td data-label="Place" class="n">3</td>' in shown
        assert '<td data-label="Ahead of you" class="n">£200.00</td>' in shown
        assert "Only money that asks less was needed." in shown
        assert "can’t be said" in shown
        assert "Your offers in the queues" not in page(signed_in(world.ada))

    def test_a_borrower_sees_what_is_owed(self, world: World) -> None:
        shown = page(signed_in(world.ada))
        for figure in ("£1,000.00", "7.00 %", "8.10 %", "£30.78", "£974.88"):
            assert figure in shown, figure
        assert "Lent out" not in shown

    def test_an_auditor_finds_the_loan_book(self, world: World) -> None:
        shown = page(signed_in(world.auditor))
        assert 'action="/api/loan-book"' in shown
        assert 'value="2016-05-06" max="2016-05-06"' in shown
        assert "Your money" not in shown

    def test_names_are_text_and_never_markup(self, world: World) -> None:
        world.ada.name = "<script>alert(1)</script>"
        world.ada.save(update_fields=["name"])
        assert "<script>alert" not in page(signed_in(world.ada))


class TestSigningIn:
    def test_in_and_out(self, world: World) -> None:
        client = Client()
        assert "E-mail address" in page(client, "/sign-in/")
        response = client.post(
            "/sign-in/", {"username": world.ada.email.upper(), "password": PASSWORD}
        )
        assert (response.status_code, response["Location"]) == (302, "/")
        assert "Hello, Ada" in page(client)
        assert client.get("/sign-out/").status_code == 405
        response = client.post("/sign-out/")
        assert (response.status_code, response["Location"]) == (302, "/")
        assert "Hello" not in page(client)

    def test_a_wrong_password(self, world: World) -> None:
        client = Client()
        response = client.post("/sign-in/", {"username": world.ada.email, "password": "guess"})
        assert response.status_code == 200
        assert "go together" in response.content.decode()
        assert "Hello" not in page(client)

    def test_on_to_the_page_that_was_asked_for_and_never_to_another_host(
        self, world: World
    ) -> None:
        for asked, led in (("/graphiql/", "/graphiql/"), ("https://example.org/", "/")):
            response = Client().post(
                "/sign-in/",
                {"username": world.ada.email, "password": PASSWORD, "next": asked},
            )
            assert response["Location"] == led

    def test_without_the_form_token(self, world: World) -> None:
        client = Client(enforce_csrf_checks=True)
        answers = {"username": world.ada.email, "password": PASSWORD}
        assert client.post("/sign-in/", answers).status_code == 403


class TestForged:
    def test_graphql_is_told_in_json(self) -> None:
        response = forged(RequestFactory().post("/graphql/"), reason="CSRF token missing.")
        assert response.status_code == 403
        assert b'"code": "CSRF_REFUSED"' in response.content

    @pytest.mark.usefixtures("world")
    def test_people_are_told_on_a_page(self, rf: RequestFactory) -> None:
        response = forged(rf.post("/sign-out/"))
        assert response.status_code == 403
        assert b"Back to the start" in response.content


@pytest.mark.usefixtures("world")
def test_graphiql_forbids_other_hosts() -> None:
    response = Client().get("/graphiql/")
    policy = response["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "http" not in policy
    assert not re.findall(r"(?:src|href)=\"(?:https?:)?//", response.content.decode())
