"""Files and machine access: the loan book, health, the schema, and refusals."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.http import Http404
from django.test import Client
from rest_framework.exceptions import NotAuthenticated, Throttled

from accounts.models import Member
from api.errors import Forbidden, InputRefused
from api.rest.errors import refusal_response
from marketplace.core.loan_book import COLUMNS, encrypted
from tests.world import World

BOOK = "/api/loan-book"


def get(member: Member | None, path: str) -> Any:
    client = Client()
    if member is not None:
        client.force_login(member)
    return client.get(path)


def rows(response: Any) -> list[dict[str, str]]:
    text = b"".join(response.streaming_content).decode()
    return list(csv.DictReader(io.StringIO(text, newline="")))


class TestLoanBook:
    def test_as_of_today(self, world: World) -> None:
        response = get(world.auditor, BOOK)
        assert response.status_code == 200
        assert response["Content-Type"] == "text/csv; charset=utf-8"
        assert response["Content-Disposition"] == (
            'attachment; filename="data_for_loanbook_extract_2016-05-06.csv"'
        )
        [loan] = rows(response)
        assert tuple(loan) == COLUMNS
        assert loan == {
            "Snapshot Date": "2016-05-06",
            "Encrypted Loan ID": encrypted(f"loan:{world.loan_id}", settings.LOAN_BOOK_SECRET),
            "Encrypted Member ID": encrypted(f"member:{world.ada.pk}", settings.LOAN_BOOK_SECRET),
            "Disbursal date": "2016-04-01",
            "Original Loan Amount": "1000.00",
            "Principal Collected": "25.12",
            "Interest Collected": "5.66",
            "Total number of payments": "1",
            "Last payment date": "2016-05-03",
            "Term": "36",
            "Lending rate": "0.070040",
            "Latest Status": "Active",
            "Date of Default": "",
            "PostCode": "LS1",
        }

    def test_as_of_a_day_before(self, world: World) -> None:
        [loan] = rows(get(world.operations, f"{BOOK}?on=2016-05-02"))
        assert (loan["Snapshot Date"], loan["Principal Collected"]) == ("2016-05-02", "0.00")
        assert rows(get(world.auditor, f"{BOOK}?on=2016-03-31")) == []

    @pytest.mark.parametrize("accept", ["text/csv", "application/json", "text/html", "x/y"])
    def test_whatever_is_accepted(self, world: World, accept: str) -> None:
        client = Client()
        client.force_login(world.auditor)
        response = client.get(BOOK, headers={"Accept": accept})
        assert response.status_code == 200

    @pytest.mark.parametrize("day", ["yesterday", "2016-02-30", "", "01/05/2016", "2016-5-1"])
    def test_no_date(self, world: World, day: str) -> None:
        response = get(world.auditor, f"{BOOK}?on={day}")
        assert response.status_code == 400
        assert response.json() == {
            "code": "INPUT_REFUSED",
            "field": "on",
            "message": f"'{day}' is not a date such as 2018-04-30.",
        }

    def test_the_future(self, world: World) -> None:
        response = get(world.auditor, f"{BOOK}?on=2016-05-07")
        assert response.status_code == 400
        assert response.json()["message"] == "2016-05-07 is in the future; today is 2016-05-06."

    def test_is_for_auditors_and_operations(self, world: World) -> None:
        for member in (world.ada, world.lenders[0], world.risk_officer):
            response = get(member, BOOK)
            assert response.status_code == 403
            assert response.json() == {
                "code": "FORBIDDEN",
                "field": None,
                "message": "The loan book is for auditors and operations.",
            }
        nobody = get(None, BOOK)
        assert nobody.status_code == 403
        assert nobody.json()["code"] == "UNAUTHENTICATED"

    def test_read_only(self, world: World) -> None:
        client = Client()
        client.force_login(world.auditor)
        response = client.post(BOOK)
        assert response.status_code == 405
        assert response.json()["code"] == "METHOD_NOT_ALLOWED"


class TestHealth:
    @pytest.mark.usefixtures("world")
    def test_well(self) -> None:
        response = get(None, "/health/")
        assert response.status_code == 200
        assert response.json() == {"status": "ok", "database": "reachable"}

    @pytest.mark.usefixtures("committed_db")
    def test_database_out_of_reach(self) -> None:
        name = connection.settings_dict["NAME"]
        connection.close()
        connection.settings_dict["NAME"] = "there_is_no_such_database"
        try:
            response = get(None, "/health/")
        finally:
            connection.close()
            connection.settings_dict["NAME"] = name
        assert response.status_code == 503
        assert response.json() == {"status": "failing", "database": "unreachable"}


def test_the_schema_is_served() -> None:
    response = Client().get("/api/schema/")
    assert response.status_code == 200
    assert b"/api/loan-book" in response.content


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (Forbidden("No."), 403, "FORBIDDEN"),
        (InputRefused("No."), 400, "INPUT_REFUSED"),
        (NotAuthenticated(), 403, "UNAUTHENTICATED"),
        (Throttled(), 429, "THROTTLED"),
        (Http404(), 404, "NOT_FOUND"),
        (RuntimeError("a secret"), 500, "INTERNAL"),
    ],
)
def test_refusals_in_one_shape(error: Exception, status: int, code: str) -> None:
    response = refusal_response(error, {})
    assert response.data is not None
    assert set(response.data) == {"code", "field", "message"}
    assert "secret" not in response.data["message"]
    assert response.data["code"] == code
    # Session sign-in has no challenge to answer 401 with: whoever asks is told 403.
    assert response.status_code in {status, 401}
