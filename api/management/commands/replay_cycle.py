"""``manage.py replay_cycle``: whether what a cycle saw still gives what it wrote."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console

from api.management.commands._market_tables import show_differences, show_figures
from api.wording import printable
from marketplace.core.cycle import ENGINE
from marketplace.core.errors import MarketplaceRefusal
from marketplace.selectors.replay import Replay, cycle_ids, replay_cycle

DIFFERS = 1
BAD_INPUT = 2


class Command(BaseCommand):
    help = "Recomputes a matching cycle from what it saw; exit status 1 when anything differs."

    def add_arguments(self, parser: CommandParser) -> None:
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument("cycle", nargs="?", type=int, help="its number")
        which.add_argument("--last", action="store_true", help="the newest cycle")
        which.add_argument("--all", action="store_true", help="every cycle, the oldest first")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            if options["all"]:
                wanted = cycle_ids()
            else:
                wanted = cycle_ids()[-1:] if options["last"] else [options["cycle"]]
        except MarketplaceRefusal as refusal:
            raise CommandError(_told(refusal), returncode=BAD_INPUT) from refusal
        console = Console(width=160)
        different: list[int] = []
        refused: list[MarketplaceRefusal] = []
        for cycle_id in wanted:
            try:
                found = replay_cycle(cycle_id, engine=ENGINE)
            except MarketplaceRefusal as refusal:
                refused.append(refusal)
                continue
            _show(console, found)
            if not found.same:
                different.append(cycle_id)
        _end(different, refused)


def _show(console: Console, found: Replay) -> None:
    title = f"Cycle {found.cycle_id} of {found.run_on}, replayed"
    if found.markets:
        show_figures(console, title, found.markets)
    if found.same:
        console.print(f"Cycle {found.cycle_id}: the same.")
    else:
        show_differences(console, found.differences, found.differing)


def _end(different: list[int], refused: list[MarketplaceRefusal]) -> None:
    """The exit status: what differs comes before what could not be replayed."""
    if different:
        numbers = ", ".join(map(str, different))
        raise CommandError(f"Not what was seen gives: cycle {numbers}.", returncode=DIFFERS)
    if refused:
        told = " ".join(_told(refusal) for refusal in refused)
        raise CommandError(told, returncode=BAD_INPUT) from refused[0]


def _told(refusal: MarketplaceRefusal) -> str:
    return f"{refusal.code}: {printable(refusal.message)}"
