"""``manage.py rate_table``: build a rate table on a model version, and have it approved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from rich.console import Console
from rich.table import Table

from api.management.commands._risk import (
    add_person_and_date,
    business_date,
    ensure_tables,
    refusals,
)
from api.wording import short_percent
from risk.selectors.model_versions import named_version
from risk.selectors.rate_tables import RateTableView, numbered_rate_table, rate_table
from risk.services.approving import approve_rate_table
from risk.services.rate_tables import build_rate_table
from risk.specs import spec_text


class Command(BaseCommand):
    help = "Builds a rate table on a model version, shows one, or approves it: never its author."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        build = actions.add_parser("build", help="solve the guide rates of every market")
        build.add_argument("model", metavar="MODEL", help="name, or name:number")
        build.add_argument(
            "--settings-file",
            type=Path,
            metavar="FILE.toml",
            help="the house's settings; those that come with it without",
        )
        add_person_and_date(build, "who builds it; can't approve it")
        approve = actions.add_parser("approve", help="price by it from now on")
        add_person_and_date(approve, "who approves: not the author")
        show = actions.add_parser("show", help="its rows")
        for action in (approve, show):
            action.add_argument("number", type=int, metavar="NUMBER")

    def handle(self, *args: Any, **options: Any) -> None:
        with refusals():
            ensure_tables()
            match options["action"]:
                case "build":
                    file: Path | None = options["settings_file"]
                    built = build_rate_table(
                        model_version=named_version(model=options["model"]),
                        settings_text=spec_text("house")
                        if file is None
                        else file.read_text(encoding="utf-8"),
                        author=options["by"],
                        on=business_date(options),
                    )
                    _show(rate_table(rate_table=built))
                case "approve":
                    approved = approve_rate_table(
                        rate_table=numbered_rate_table(number=options["number"]),
                        approver=options["by"],
                        on=business_date(options),
                    )
                    self.stdout.write(f"{approved}: approved by {approved.approver}.")
                case _:
                    found = numbered_rate_table(number=options["number"])
                    _show(rate_table(rate_table=found))


def _show(view: RateTableView) -> None:
    columns = ("Market", "PD to", "Guide", "Lowest", "Highest", "Fee", "APR", "Lender expects")
    table = Table(*columns, title=f"Rate table {view.number}: {view.state.value} (%)")
    for row in view.rows:
        expected = row.expected_return_ppm
        table.add_row(
            f"{row.band}/{row.term_months}",
            *map(
                short_percent,
                (
                    row.pd_to_ppm,
                    row.guide_rate,
                    row.lowest_rate,
                    row.highest_rate,
                    row.arrangement_fee_ppm,
                    row.apr_ppm,
                    expected,
                ),
            ),
        )
    Console(width=120).print(table)
