"""``manage.py market``: all markets at a glance, a matching cycle, and topping up offers."""

from __future__ import annotations

import sys
from datetime import date
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console

from accounts.core.errors import AccountsRefusal
from accounts.selectors.banking import operator_by_email
from api.business_date import today
from api.management.commands._market_tables import show_board, show_figures
from api.wording import pounds, printable
from marketplace.core.errors import MarketplaceRefusal
from marketplace.selectors.market_board import market_board
from marketplace.selectors.replay import cycle_figures
from marketplace.services.matching import CycleView, run_cycle
from marketplace.services.topping_up import top_up_offers
from risk.core.errors import RiskRefusal

BAD_INPUT = 2
# Who did it, where nobody says --by.
ACTOR = "operations"


class Command(BaseCommand):
    help = "Shows the markets, runs a matching cycle, puts repaid money on offer again."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        show = actions.add_parser("show", help="guide, traded and asked rates, money, listings")
        show.add_argument("--on", type=date.fromisoformat, help="business date; today's without")
        cycle = actions.add_parser("cycle", help="match listings with offers in every market")
        cycle.add_argument("--key", required=True, help="idempotency key: used again, it runs none")
        top_up = actions.add_parser("top-up", help="put on offer again what borrowers repaid")
        for action in (cycle, top_up):
            action.add_argument(
                "--on", type=date.fromisoformat, required=True, help="business date"
            )
            action.add_argument("--by", help="e-mail address of whoever of operations does it")

    def handle(self, *args: Any, **options: Any) -> None:
        console = Console(width=160)
        try:
            actor = operator_by_email(options["by"]) if options.get("by") else ACTOR
            match options["action"]:
                case "show":
                    on = options["on"] or today()
                    show_board(console, f"Markets on {on}", market_board(on))
                case "cycle":
                    self._cycle(console, options["on"], actor, options["key"])
                case _:
                    did = top_up_offers(on=options["on"], actor=actor)
                    self.stdout.write(
                        f"{did.distributions:,} distributions looked at;"
                        f" {pounds(did.pence)} on offer again in {did.offers:,} offers."
                    )
        except (MarketplaceRefusal, AccountsRefusal, RiskRefusal) as refusal:
            message = f"{refusal.code}: {printable(refusal.message)}"
            raise CommandError(message, returncode=BAD_INPUT) from refusal

    def _cycle(self, console: Console, on: date, actor: str, key: str) -> None:
        progress = Console(stderr=True, quiet=not sys.stderr.isatty())
        with progress.status("Matching: reading, clearing market by market, writing ..."):
            did = run_cycle(on=on, actor=actor, key=key)
        show_figures(console, f"Cycle {did.cycle_id} of {on}", cycle_figures(did.cycle_id))
        self.stdout.write(_summary(did))


def _summary(did: CycleView) -> str:
    waiting = ", ".join(
        f"{count:,} {reason.lower().replace('_', ' ')}"
        for reason, count in sorted(did.waiting.items())
    )
    return (
        f"Cycle {did.cycle_id}: {did.loans:,} loans of {did.parts:,} parts, {pounds(did.lent)}."
        f" Waiting: {waiting or 'nothing'}."
    )
