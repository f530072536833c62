"""``manage.py notices``: what waits in the outbox, writing what is due, and sending."""

from __future__ import annotations

from argparse import ArgumentTypeError
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.table import Table

from api.management.commands._common import business_date, parsed_date
from marketplace.selectors.notices import outbox
from marketplace.services.notices import deliver_notices, write_notices

_SHOWN = 50
_AT_ONCE = 500
_MOST = 100_000


class Command(BaseCommand):
    help = "Lists notices that wait to be sent, writes those that are due, and sends them."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        listed = actions.add_parser("list", help="what waits to be sent, without what it says")
        listed.add_argument("--limit", type=_count, default=_SHOWN, help="rows shown")
        write = actions.add_parser("write", help="write what is due; close of day does it, too")
        write.add_argument(
            "--on", type=parsed_date, metavar="DATE", help="business date; today's without"
        )
        send = actions.add_parser("send", help="send by e-mail; what fails is kept")
        send.add_argument("--limit", type=_count, default=_AT_ONCE, help="notices tried")

    def handle(self, *args: Any, **options: Any) -> None:
        match options["action"]:
            case "list":
                self._list(options["limit"])
            case "write":
                written = write_notices(on=business_date(options["on"]))
                self.stdout.write(f"Notices written: {written.notices:,}.")
            case _:
                done = deliver_notices(limit=options["limit"])
                self.stdout.write(f"Notices sent: {done.sent:,}; not sent: {done.failed:,}.")
                if done.failed:
                    raise CommandError("Some could not be sent. They are kept; send again later.")

    def _list(self, limit: int) -> None:
        rows, count = outbox(limit)
        table = Table("notice", "member", "loan", "about", "written", "tried", "last error")
        for row in rows:
            table.add_row(
                str(row.key),
                str(row.member_id),
                str(row.loan_id or ""),
                row.name,
                row.written_on.isoformat(),
                str(row.attempts),
                row.failure,
            )
        Console(width=120).print(table)
        self.stdout.write(f"{count:,} wait to be sent.")


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= _MOST):
        raise ArgumentTypeError(f"'{text}' is not a number from 1 to {_MOST:,}")
    return int(text)
