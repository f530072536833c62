"""``migrate`` under the owner's role, giving the application's role its rights first."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser
from django.core.management.commands import migrate
from django.db import connections
from psycopg import sql


def grant_to_application() -> None:
    """Let the application's role read and write what the owner makes from here on.

    Migrations take back what the ledger must not allow (``accounts/migrations``).
    """
    _on_owner(
        "GRANT USAGE ON SCHEMA public TO {}",
        "ALTER DEFAULT PRIVILEGES IN SCHEMA public"
        " GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {}",
        "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO {}",
    )


def _on_owner(*statements: str) -> None:
    """Run statements about the application's role, unless it is the owner itself."""
    application = settings.DATABASES["default"]["USER"]
    if application == settings.DATABASES["owner"]["USER"]:
        return
    owner = connections["owner"]
    owner.ensure_connection()
    with owner.connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(sql.SQL(statement).format(sql.Identifier(application)))


class Command(migrate.Command):
    """Django's own command, on the owner's connection unless another is named."""

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.set_defaults(database="owner")

    def handle(self, *args: Any, **options: Any) -> str | None:
        if options["database"] != "owner":
            return super().handle(*args, **options)
        grant_to_application()
        answer = super().handle(*args, **options)
        if "django_migrations" in connections["owner"].introspection.table_names():
            _on_owner("REVOKE INSERT, UPDATE, DELETE ON django_migrations FROM {}")
        return answer
