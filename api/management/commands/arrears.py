"""``manage.py arrears``: the book by days past due, and the industry's figures of bad debt."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console

from api.business_date import today
from api.management.commands._common import parsed_date
from api.management.commands._fund_tables import show_arrears
from marketplace.core.errors import MarketplaceRefusal
from marketplace.selectors.arrears_report import arrears_report
from risk.core.errors import RiskRefusal

BAD_INPUT = 2


class Command(BaseCommand):
    help = "Shows the book by days past due, as of the end of a day."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--on", type=parsed_date, metavar="DATE", help="today's without")

    def handle(self, *args: Any, **options: Any) -> None:
        on = options["on"] or today()
        if on > today():
            raise CommandError(f"{on} has not come yet; today is {today()}.", returncode=BAD_INPUT)
        try:
            show_arrears(Console(width=200), arrears_report(on))
        except (MarketplaceRefusal, RiskRefusal) as refusal:
            raise CommandError(
                f"{refusal.code}: {refusal.message}", returncode=BAD_INPUT
            ) from refusal
