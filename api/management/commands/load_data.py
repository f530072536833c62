"""``manage.py load_data``: past applications with outcomes from a CSV file, all or nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.utils import ProgrammingError
from rich.console import Console
from rich.progress import Progress

from api.business_date import today
from risk.core.errors import RiskRefusal
from risk.services.loading import load_data_set

BAD_INPUT = 2
LONGEST_NAME = 200


class Command(BaseCommand):
    help = "Loads a table of past applications with outcomes, described by a TOML specification."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("data", help="the table (CSV)")
        parser.add_argument("--spec", required=True, help="what its columns mean (TOML)")
        parser.add_argument("--name", help="name of the data set; the file's by default")

    def handle(self, *args: Any, **options: Any) -> None:
        path, spec = Path(options["data"]), Path(options["spec"])
        name = options["name"] or path.stem
        if len(name) > LONGEST_NAME:
            message = f"A data set's name has up to {LONGEST_NAME} characters."
            raise CommandError(message, returncode=BAD_INPUT)
        try:
            with Progress(console=Console(stderr=True), transient=True) as progress:
                task = progress.add_task(f"Load {path.name}", total=None)
                stored = load_data_set(
                    content=path.read_bytes(),
                    file_name=path.name,
                    spec_text=spec.read_text(encoding="utf-8"),
                    name=name,
                    on=today(),
                    progress=lambda done, total: progress.update(task, completed=done, total=total),
                )
        except RiskRefusal as refusal:
            raise CommandError(refusal.message, returncode=BAD_INPUT) from refusal
        except UnicodeDecodeError as error:
            raise CommandError(f"{spec.name} is not text.", returncode=BAD_INPUT) from error
        except ProgrammingError as error:
            message = "The database has no tables yet: run `manage.py migrate` first."
            raise CommandError(message, returncode=BAD_INPUT) from error
        except OSError as error:
            message = f"{error.filename}: {error.strerror}."
            raise CommandError(message, returncode=BAD_INPUT) from error
        self.stdout.write(f"{stored.name}: {stored.row_count:,} past applications.")
