"""Write the snapshots of both schemas, or check that they are current."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiYamlRenderer
from graphql import print_schema

from api.graphql.schema import schema

GRAPHQL = Path("api/graphql/schema.graphql")
OPENAPI = Path("api/rest/openapi.yaml")


def current() -> dict[Path, str]:
    """What the snapshots must say, by their place in the project."""
    openapi = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    rendered: bytes = OpenApiYamlRenderer().render(  # type: ignore[no-untyped-call]
        openapi, renderer_context={}
    )
    return {
        GRAPHQL: print_schema(schema.graphql_schema).rstrip() + "\n",
        OPENAPI: rendered.decode(),
    }


class Command(BaseCommand):
    help = "Writes api/graphql/schema.graphql and api/rest/openapi.yaml."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--check", action="store_true", help="change nothing; fail when one is stale"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        root = Path(settings.BASE_DIR)
        stale = [
            place
            for place, text in current().items()
            if not (root / place).exists() or (root / place).read_text(encoding="utf-8") != text
        ]
        if options["check"]:
            if stale:
                names = ", ".join(str(place) for place in stale)
                raise CommandError(f"stale: {names}; run `python manage.py schemas`.")
            return
        for place in stale:
            (root / place).write_text(current()[place], encoding="utf-8")
            self.stdout.write(f"wrote {place}")
