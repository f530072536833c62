"""``manage.py statement``: an account's statement over a period, as known at an instant."""

from __future__ import annotations

import sys
from argparse import ArgumentTypeError
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.table import Table

from accounts.core.chart import Kind
from accounts.core.errors import AccountsRefusal
from accounts.core.statements import Line
from accounts.selectors.known import Known
from accounts.selectors.statements import (
    MOST_LINES,
    AccountView,
    StatementPage,
    account_by_name,
    account_of_member,
    statement,
)
from api.management.commands._common import parsed_date
from api.wording import happened, pounds

BAD_INPUT = 2


class Command(BaseCommand):
    help = "Prints a statement of a member's cash, or of any account."

    def add_arguments(self, parser: CommandParser) -> None:
        whose = parser.add_mutually_exclusive_group(required=True)
        whose.add_argument("--member", metavar="EMAIL", help="this member's cash")
        whose.add_argument("--account", metavar="NAME", help="such as cash/7 or client_bank/0/3")
        parser.add_argument("--from", type=parsed_date, dest="since", metavar="DATE", required=True)
        parser.add_argument(
            "--until",
            type=parsed_date,
            metavar="DATE",
            required=True,
            help="the day after the last",
        )
        parser.add_argument(
            "--known-at", type=_instant, metavar="INSTANT", help="such as 2018-04-30T12:00:00Z"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            account = (
                account_by_name(options["account"])
                if options["account"]
                else account_of_member(options["member"], Kind.CASH)
            )
            self._print(account, options)
        except AccountsRefusal as refusal:
            raise CommandError(refusal.message, returncode=BAD_INPUT) from refusal

    def _print(self, account: AccountView, options: dict[str, Any]) -> None:
        """Page by page, so that a long statement begins at once and needs no memory."""
        console = Console(width=None if sys.stdout.isatty() else 140)
        period = {"account_id": account.id, "first": options["since"], "until": options["until"]}
        page = statement(**period, known=Known(at=options["known_at"]), limit=MOST_LINES)
        known, provisional = Known(number=page.known_number), page.provisional
        console.print(_title(page))
        console.print(f"Opening balance {pounds(page.opening)}")
        while True:
            if page.lines:
                console.print(_table(page.lines))
            if not page.has_next:
                break
            after = page.lines[-1].position
            page = statement(**period, known=known, after=after, limit=MOST_LINES)
        console.print(f"Closing balance {pounds(page.closing)}")
        if provisional is not None and provisional.count:
            console.print(_table(provisional.lines, "Not sealed yet, so not final"))
            if provisional.has_more:
                console.print(f"... {provisional.count:,} in all, {pounds(provisional.net)}.")


def _title(page: StatementPage) -> str:
    known = f"{page.known_at:%Y-%m-%d %H:%M:%S} UTC" if page.known_at else "nothing sealed"
    return (
        f"[bold]{page.account.name}[/] from {page.first} until {page.until}, as known up to entry"
        f" {page.known_number:,} ({known})"
    )


def _table(lines: tuple[Line, ...], title: str | None = None) -> Table:
    table = Table(title=title, title_justify="left", header_style="bold")
    for name in ("date", "entry", "what", "about", "other account"):
        table.add_column(name)
    for name in ("change", "balance"):
        table.add_column(name, justify="right")
    for line in lines:
        table.add_row(
            line.effective_on.isoformat(),
            "" if line.number is None else f"{line.number:,}",
            happened(line.kind),
            line.reference,
            line.counterparty,
            pounds(line.change),
            "" if line.balance is None else pounds(line.balance),
        )
    return table


def _instant(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise ArgumentTypeError(f"'{text}' is not an instant such as 2018-04-30T12:00:00Z")
    return found
