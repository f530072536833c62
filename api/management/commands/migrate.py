"""``migrate`` under the owner's role, giving the application's role its rights first."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser
from django.core.management.commands import migrate
from django.db import connections

from accounts.services.rights import limit_application


def grant_to_application() -> None:
    """Let the application's role read and write what the owner makes from here on.

    Migrations take back what the ledger must not allow (``accounts/migrations``).
    """
    limit_application(
        connections["owner"],
        "GRANT USAGE ON SCHEMA public TO {}",
        "ALTER DEFAULT PRIVILEGES IN SCHEMA public"
        " GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {}",
        "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO {}",
        # Or a trigger's function, with its owner's rights, could be put on a table of one's own.
        "ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC",
    )


def grant_jobs() -> None:
    """Let the application's role call the functions of the queue of jobs (procrastinate).

    After every migration, since a new version of it brings new ones.
    """
    with connections["owner"].cursor() as cursor:
        cursor.execute(
            "SELECT p.oid::regprocedure::text FROM pg_proc AS p"
            " WHERE p.pronamespace = 'public'::regnamespace AND p.proname LIKE 'procrastinate\\_%'"
            " AND p.prorettype <> 'trigger'::regtype"
        )
        functions = ", ".join(row[0] for row in cursor.fetchall())
    if functions:
        limit_application(connections["owner"], f"GRANT EXECUTE ON FUNCTION {functions} TO {{}}")


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
        grant_jobs()
        if "django_migrations" in connections["owner"].introspection.table_names():
            limit_application(
                connections["owner"], "REVOKE INSERT, UPDATE, DELETE ON django_migrations FROM {}"
            )
        return answer
