"""``manage.py ledger``: what is in the book, corrections, and closing dates and accounts."""

from __future__ import annotations

from datetime import date
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.table import Table

from accounts.core.chart import CHART
from accounts.core.errors import AccountsRefusal
from accounts.selectors.banking import operator_by_email
from accounts.selectors.ledger import totals_by_kind
from accounts.selectors.statements import account_by_name
from accounts.services.reversal import reverse_entry
from api.business_date import today
from api.wording import pounds, printable
from marketplace.core.errors import MarketplaceRefusal
from marketplace.services.closing_accounts import close_account
from marketplace.services.closing_day import close_books

BAD_INPUT = 2
# Who did it, where nobody says --by.
ACTOR = "operations"


class Command(BaseCommand):
    help = "Shows what is in the book, takes entries back, closes business dates and accounts."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        actions.add_parser("balances", help="what the accounts of each kind hold")
        reverse = actions.add_parser("reverse", help="take an entry back by one that mirrors it")
        reverse.add_argument("entry", type=int, help="its id, as statements name it")
        reverse.add_argument("--reason", required=True, help="without personal data")
        reverse.add_argument("--key", help="idempotency key; one is made from the entry without")
        day = actions.add_parser("close-day", help="book nothing more on a date or before it")
        day.add_argument("day", type=date.fromisoformat)
        account = actions.add_parser("close-account", help="book nothing more on an account")
        account.add_argument("account", help="as statements name it, such as cash/7")
        for action in (reverse, day, account):
            action.add_argument("--by", help="e-mail address of whoever of operations does it")
        for action in (reverse, account):
            action.add_argument(
                "--on", type=date.fromisoformat, help="business date; today's without"
            )

    def handle(self, *args: Any, **options: Any) -> None:
        actor = operator_by_email(options["by"]) if options.get("by") else ACTOR
        on = options.get("on") or today()
        try:
            match options["action"]:
                case "balances":
                    _show_balances()
                case "reverse":
                    made = reverse_entry(
                        entry_id=options["entry"],
                        key=options["key"] or f"reverse-{options['entry']}",
                        on=on,
                        actor=actor,
                        reason=options["reason"],
                    )
                    self.stdout.write(f"Entry {options['entry']} is taken back by entry {made}.")
                case "close-day":
                    closed = close_books(day=options["day"], actor=actor)
                    self.stdout.write(
                        f"{closed.day} is closed{'' if closed.newly else ', and was before'}."
                    )
                case _:
                    account = account_by_name(options["account"])
                    close_account(owner_id=account.owner_id, kind=account.kind, on=on)
                    self.stdout.write(f"{account.name} is closed.")
        except (AccountsRefusal, MarketplaceRefusal) as refusal:
            message = f"{refusal.code}: {printable(refusal.message)}"
            raise CommandError(message, returncode=BAD_INPUT) from refusal


def _show_balances() -> None:
    totals = totals_by_kind()
    table = Table("book", "kind", "holds", "what it is", title="The book", title_justify="left")
    for line in CHART:
        table.add_row(
            line.book.name.lower(), line.kind, pounds(totals.get(line.kind, 0)), line.meaning
        )
    Console(width=140).print(table)
