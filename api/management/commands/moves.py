"""``manage.py moves``: draws the table of a loan's allowed moves into the documentation."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from marketplace.core.drawing_moves import with_moves

DOCUMENT = "docs/servicing.md"


class Command(BaseCommand):
    help = "Writes the table of a loan's allowed moves into docs/servicing.md."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--check", action="store_true", help="only say whether it is current")

    def handle(self, *args: Any, **options: Any) -> None:
        path = settings.BASE_DIR / DOCUMENT
        before = path.read_text(encoding="utf-8")
        try:
            after = with_moves(before)
        except ValueError as error:
            raise CommandError(f"{DOCUMENT}: {error}") from error
        if options["check"]:
            if before != after:
                raise CommandError(f"{DOCUMENT} is out of date: run python manage.py moves.")
            self.stdout.write(f"{DOCUMENT} is current.")
            return
        path.write_text(after, encoding="utf-8")
        self.stdout.write(f"wrote {DOCUMENT}")
