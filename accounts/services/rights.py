"""Telling the database what the application's role may do; for migrations, run by the owner."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from psycopg import sql

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper


def limit_application(owner: BaseDatabaseWrapper, *statements: str) -> None:
    """Run statements with ``{}`` for the application's role, unless it is the owner itself.

    Args:
        owner: the owner's connection.
        statements: GRANT, REVOKE or ALTER DEFAULT PRIVILEGES.
    """
    application = settings.DATABASES["default"]["USER"]
    if application == settings.DATABASES["owner"]["USER"]:
        return
    owner.ensure_connection()
    with owner.connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(sql.SQL(statement).format(sql.Identifier(application)))
