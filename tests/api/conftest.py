"""The tiny world, built once and cloned for each module, and ways to ask it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client

from accounts.models import Member
from tests.conftest import _admin, _cloned, _point_to
from tests.world import CLEARED, World, tiny_world

PASSWORD = "ten pounds at a time"


def pytest_configure(config: pytest.Config) -> None:
    """WhiteNoise looks for collected files, which tests have no use for."""
    config.addinivalue_line("filterwarnings", "ignore:No directory at:UserWarning")


@pytest.fixture(autouse=True)
def business_date(monkeypatch: pytest.MonkeyPatch) -> None:
    """The world stands still on the day its first payment has cleared."""
    monkeypatch.setenv("TENNER_BUSINESS_DATE", CLEARED.isoformat())


@pytest.fixture(scope="session")
def world_template(
    django_db_setup: None, template_database: str, django_db_blocker: Any
) -> Iterator[tuple[str, World]]:
    """Name of a database that holds the tiny world, with nobody connected, and who is in it."""
    name = f"tenner_world_{os.getpid()}"
    with django_db_blocker.unblock():
        before = connection.settings_dict["NAME"]
        _admin("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY", name, template_database)
        _point_to(name, "default")
        world = tiny_world()
        for member in (world.lenders[1], world.ada, world.auditor):
            member.set_password(PASSWORD)
            member.save(update_fields=["password"])
        _point_to(before, "default")
    yield name, world
    with django_db_blocker.unblock():
        _admin("DROP DATABASE {} WITH (FORCE)", name)


@pytest.fixture(scope="module")
def shared_world(world_template: tuple[str, World], django_db_blocker: Any) -> Iterator[World]:
    """The tiny world in a database of the module's own."""
    name, world = world_template
    with django_db_blocker.unblock(), _cloned(name):
        yield world


@pytest.fixture
def world(shared_world: World) -> Iterator[World]:
    """The tiny world; what the test changes is undone."""
    with transaction.atomic():
        yield shared_world
        transaction.set_rollback(True)


@dataclass
class Asked:
    """GraphQL's answer: what came back, and with which HTTP status."""

    status: int
    data: Any = None
    errors: list[dict[str, Any]] = field(default_factory=list)

    @property
    def codes(self) -> list[str]:
        """The codes of the errors beside the data."""
        return [error["extensions"]["code"] for error in self.errors]


def ask(member: Member | None, query: str, variables: dict[str, Any] | None = None) -> Asked:
    """Send a query as a member, or as nobody."""
    client = Client()
    if member is not None:
        client.force_login(member)
    return ask_with(client, query, variables)


def ask_with(client: Client, query: str, variables: dict[str, Any] | None = None) -> Asked:
    """Send a query with a client that may be signed in."""
    response = client.post(
        "/graphql/",
        {"query": query, "variables": variables or {}},
        content_type="application/json",
    )
    body = response.json()
    return Asked(response.status_code, body.get("data"), body.get("errors", []))
