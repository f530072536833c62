"""The database of the tests: migrated once by its owner, cloned for whoever needs to commit."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from django.core.management import call_command
from django.db import connections
from psycopg import sql

_CLONES = itertools.count(1)

# A file is run by one process as a whole: these take so long that they must not come last.
_LONG = ("test_servicing_story.py", "test_jobs.py", "test_closing_death.py", "test_demo.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the longest files first, so that no process is left with one when the others are done."""
    items.sort(key=lambda item: item.path.name not in _LONG)


def _admin(statement: str, *names: str) -> None:
    """Run a statement about databases as the owner, outside any transaction."""
    owner = connections["owner"]
    owner.ensure_connection()
    with owner.connection.cursor() as cursor:
        cursor.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


def _drop(name: str) -> None:
    """Drop a database, and whoever is still connected to it if need be.

    FORCE comes second: it fails while autovacuum, a superuser's process, is at work in there,
    which a plain DROP sends away by itself.
    """
    try:
        _admin("DROP DATABASE IF EXISTS {}", name)
    except psycopg.errors.ObjectInUse:
        _admin("DROP DATABASE IF EXISTS {} WITH (FORCE)", name)


def _point_to(name: str, *aliases: str) -> None:
    for alias in aliases:
        connections[alias].close()
        connections[alias].settings_dict["NAME"] = name


@pytest.fixture(scope="session")
def template_database(django_db_blocker: Any) -> Iterator[str]:
    """Name of a database with all migrations applied and nobody connected."""
    template = f"tenner_template_{os.getpid()}"
    with django_db_blocker.unblock():
        home = connections["owner"].settings_dict["NAME"]
        _admin("CREATE DATABASE {}", template)
        _point_to(template, "owner")
        call_command("migrate", verbosity=0)
        _point_to(home, "owner")
    yield template
    with django_db_blocker.unblock():
        _drop(template)
        connections["owner"].close()


@pytest.fixture(scope="session")
def django_db_setup(template_database: str, django_db_blocker: Any) -> Iterator[None]:
    """The database of tests that roll back: one clone for the whole session."""
    name = f"tenner_test_{os.getpid()}"
    with django_db_blocker.unblock():
        home = connections["default"].settings_dict["NAME"]
        _admin("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY", name, template_database)
        _point_to(name, "default")
    yield
    with django_db_blocker.unblock():
        _point_to(home, "default")
        _drop(name)


@contextmanager
def _cloned(template: str) -> Iterator[str]:
    name = f"tenner_clone_{os.getpid()}_{next(_CLONES)}"
    before = connections["default"].settings_dict["NAME"]
    _admin("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY", name, template)
    try:
        _point_to(name, "default")
        yield name
    finally:
        _point_to(before, "default")
        _drop(name)


@pytest.fixture
def committed_db(
    django_db_setup: None, template_database: str, django_db_blocker: Any
) -> Iterator[str]:
    """A database of the test's own, in which it may commit; yields its name."""
    with django_db_blocker.unblock(), _cloned(template_database) as name:
        yield name


@pytest.fixture(scope="module")
def module_db(
    django_db_setup: None, template_database: str, django_db_blocker: Any
) -> Iterator[str]:
    """Like ``committed_db``, shared by the tests of one module that only read what it holds."""
    with django_db_blocker.unblock(), _cloned(template_database) as name:
        yield name
