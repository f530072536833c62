"""``manage.py contacts``: what was said with a loan's borrower, and what they promised to pay."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.table import Table
from rich.text import Text

from accounts.core.errors import AccountsRefusal
from accounts.core.money import pence_from_text
from accounts.selectors.banking import operator_by_email
from api.management.commands._common import (
    BAD_INPUT,
    business_date,
    parsed_date,
    parsed_number,
)
from api.wording import pounds, printable
from marketplace.core.errors import MarketplaceRefusal
from marketplace.core.promises import Channel, Direction
from marketplace.selectors.contacts import contacts_of, promises_of
from marketplace.services.contacts import log_contact, record_promise


class Command(BaseCommand):
    help = "Logs contacts with a loan's borrower, records promises to pay, and shows both."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        log = actions.add_parser("log", help="keep a contact on record")
        log.add_argument("--channel", choices=[each.value for each in Channel], required=True)
        log.add_argument("--direction", choices=[each.value for each in Direction], required=True)
        log.add_argument("--note", required=True, help="what was said")
        promise = actions.add_parser("promise", help="record a promise to pay")
        promise.add_argument("--amount", required=True, metavar="POUNDS", help="such as 30.78")
        promise.add_argument("--by-day", type=parsed_date, required=True, metavar="DATE")
        show = actions.add_parser("show", help="contacts and promises of a loan")
        for action in (log, promise, show):
            action.add_argument("loan", type=parsed_number, help="its number")
            action.add_argument(
                "--by", required=True, help="e-mail address of whoever of operations asks"
            )
        for action in (log, promise):
            action.add_argument("--key", required=True, help="idempotency key: chosen by you")
            action.add_argument(
                "--on", type=parsed_date, metavar="DATE", help="business date; today's without"
            )

    def handle(self, *args: Any, **options: Any) -> None:
        loan, on = options["loan"], business_date(options.get("on"))
        try:
            staff = operator_by_email(options["by"])
            match options["action"]:
                case "log":
                    log_contact(
                        loan_id=loan,
                        on=on,
                        channel=Channel(options["channel"]),
                        direction=Direction(options["direction"]),
                        note=options["note"],
                        staff=staff,
                        key=options["key"],
                    )
                    self.stdout.write(f"The contact about loan {loan} is on record.")
                case "promise":
                    amount = pence_from_text(options["amount"], field="amount")
                    record_promise(
                        loan_id=loan,
                        amount=amount,
                        due_on=options["by_day"],
                        on=on,
                        actor=staff,
                        key=options["key"],
                    )
                    self.stdout.write(
                        f"{pounds(amount)} are promised for loan {loan} by {options['by_day']}."
                    )
                case _:
                    _show(loan)
        except (AccountsRefusal, MarketplaceRefusal) as refusal:
            message = f"{refusal.code}: {printable(refusal.message)}"
            raise CommandError(message, returncode=BAD_INPUT) from refusal


def _show(loan: int) -> None:
    console = Console(width=140)
    contacts = Table("on", "channel", "began", "with", "note", title=f"Contacts about loan {loan}")
    for one in contacts_of(loan):
        contacts.add_row(
            one.on.isoformat(), one.channel, one.direction, one.staff, Text(printable(one.note))
        )
    promises = Table("made on", "by", "amount", "became", title="Promises to pay")
    for each in promises_of(loan):
        promises.add_row(
            each.made_on.isoformat(), each.due_on.isoformat(), pounds(each.amount), each.state
        )
    console.print(contacts)
    console.print(promises)
