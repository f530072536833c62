"""``manage.py arrears``: the book by days past due, and the industry's figures of bad debt."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console

from api.management.commands._common import BAD_INPUT, business_date, parsed_date
from api.management.commands._fund_tables import show_arrears
from marketplace.core.errors import MarketplaceRefusal
from marketplace.selectors.arrears_report import arrears_report
from risk.core.errors import RiskRefusal


class Command(BaseCommand):
    help = "Shows the book by days past due, as of the end of a day."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--on", type=parsed_date, metavar="DATE", help="today's without")

    def handle(self, *args: Any, **options: Any) -> None:
        on = business_date(options["on"])
        try:
            show_arrears(Console(width=200), arrears_report(on))
        except (MarketplaceRefusal, RiskRefusal) as refusal:
            raise CommandError(
                f"{refusal.code}: {refusal.message}", returncode=BAD_INPUT
            ) from refusal
