"""``manage.py alarms``: what stopped being true, and closing it with a word."""

from __future__ import annotations

import sys
from argparse import ArgumentTypeError
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console

from api.business_date import today
from api.management.commands._common import parsed_date
from api.management.commands._watching_tables import show_alarms
from api.wording import printable
from risk.core.errors import RiskRefusal
from risk.core.states import AlarmState
from risk.selectors.watching import alarms
from risk.services.watching import close_alarm

BAD_INPUT = 2
WIDTH = 170
_MOST_DIGITS = 18


class Command(BaseCommand):
    help = "Lists alarms of monitoring runs, and closes one with a word."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        listed = actions.add_parser("list", help="open alarms, oldest first")
        listed.add_argument("--all", action="store_true", help="closed ones, too")
        close = actions.add_parser("close", help="close an alarm")
        close.add_argument("id", type=_id, help="its number")
        close.add_argument("--by", required=True, metavar="HANDLE", help="who closes it")
        close.add_argument("--word", required=True, help="why")
        close.add_argument(
            "--on", type=parsed_date, metavar="DATE", help="business date; today's without"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            if options["action"] == "list":
                states = tuple(AlarmState) if options["all"] else (AlarmState.OPEN,)
                console = Console(width=None if sys.stdout.isatty() else WIDTH)
                title = "Alarms" if options["all"] else "Open alarms"
                show_alarms(console, title, alarms(states=states))
                return
            closed = close_alarm(
                alarm_id=options["id"],
                officer=options["by"],
                word=options["word"],
                on=options["on"] or today(),
            )
        except RiskRefusal as refusal:
            message = f"{refusal.code}: {printable(refusal.message)}"
            raise CommandError(message, returncode=BAD_INPUT) from refusal
        by = printable(closed.closed_by or "")
        self.stdout.write(f"Alarm {closed.id} is closed by {by} on {closed.closed_on}.")


def _id(text: str) -> int:
    # A number of more digits than a key can have is no alarm's.
    if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS):
        raise ArgumentTypeError(f"'{text}' is not the number of an alarm")
    return int(text)
