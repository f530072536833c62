"""``manage.py approve_model``: a second person signs a validated model version."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from api.management.commands._risk import (
    add_person_and_date,
    business_date,
    ensure_tables,
    refusals,
)
from risk.core.states import ModelState
from risk.selectors.model_versions import named_version
from risk.services.approving import USES, approve_model


class Command(BaseCommand):
    help = "Approves a validated model version, and puts it to use if asked; never its author."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("model", metavar="MODEL", help="name, or name:number")
        add_person_and_date(parser, "who approves: not the author")
        parser.add_argument(
            "--as",
            dest="use",
            choices=[use.value for use in USES],
            help="put it to use at once; a new champion retires the one before it",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        with refusals():
            ensure_tables()
            version = approve_model(
                model_version=named_version(model=options["model"]),
                approver=options["by"],
                on=business_date(options),
                as_=ModelState(options["use"]) if options["use"] else None,
            )
        self.stdout.write(f"{version}: {version.state}, approved by {version.approver}.")
