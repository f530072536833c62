"""Reconciliations and breaks over REST: what they say, to whom, and what can't be asked."""

from __future__ import annotations

from typing import Any

import pytest

from accounts.selectors.reconciliations import list_breaks
from accounts.services.reconciliation import resolve_break
from marketplace.models import Offer
from marketplace.services.reconciliation import Reconciled, reconcile
from tests.api.test_rest import get
from tests.world import CLEARED, World

RUNS, BREAKS = "/api/reconciliations/", "/api/breaks/"


@pytest.fixture
def made(world: World) -> Reconciled:
    """The tiny world reconciled, with £5.00 on offer that the ledger has not."""
    offer = Offer.objects.filter(lender=world.lenders[1].pk).get()
    Offer.objects.filter(pk=offer.pk).update(available=offer.available + 500)
    return reconcile(on=CLEARED, actor="operations", key="daily")


def _pounds(text: str) -> dict[str, str]:
    return {"amount": text, "currency": "GBP"}


def test_reconciliations(world: World, made: Reconciled) -> None:
    external, internal = get(world.auditor, RUNS).json()
    assert (external["id"], internal["id"]) == (made.external, made.internal)
    assert (internal["on"], internal["kind"], internal["holds"]) == (
        CLEARED.isoformat(),
        "internal",
        False,
    )
    [check] = [check for check in internal["checks"] if check["rule"] == "client_money"]
    assert check["expected"] == check["found"]
    assert check["wrong"] == 0
    rest = get(world.auditor, f"{RUNS}?before={made.external}").json()
    assert [each["id"] for each in rest] == [made.internal]


def test_breaks(world: World, made: Reconciled) -> None:
    [on_offer] = [each for each in list_breaks() if each.rule == "on_offer"]
    resolve_break(break_id=on_offer.id, note="Put right.", actor="member:7", on=CLEARED)
    [left] = get(world.operations, BREAKS).json()
    assert (left["rule"], left["reference"], left["age"]) == ("bank_statement", "client", 0)
    [closed] = get(world.operations, f"{BREAKS}?state=resolved").json()
    assert closed["amount"] == _pounds("-5.00")
    assert (closed["resolved_by"], closed["note"]) == ("member:7", "Put right.")
    assert closed["resolved_on"] == CLEARED.isoformat()
    assert len(get(world.auditor, f"{BREAKS}?state=all").json()) == 2


@pytest.mark.parametrize(
    ("path", "field"),
    [
        (f"{RUNS}?before=x", "before"),
        (f"{RUNS}?before=-1", "before"),
        (f"{RUNS}?before={10**19}", "before"),
        (f"{BREAKS}?state=none", "state"),
    ],
)
def test_what_cannot_be_read(world: World, path: str, field: str) -> None:
    response = get(world.auditor, path)
    assert response.status_code == 400
    assert (response.json()["code"], response.json()["field"]) == ("INPUT_REFUSED", field)


@pytest.mark.parametrize("path", [RUNS, BREAKS])
def test_for_auditors_and_operations_alone(world: World, path: str) -> None:
    def refused(person: Any) -> str:
        response = get(person, path)
        assert response.status_code == 403
        code: str = response.json()["code"]
        return code

    assert refused(None) == "UNAUTHENTICATED"
    assert refused(world.ada) == refused(world.risk_officer) == "FORBIDDEN"
