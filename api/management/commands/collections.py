"""``manage.py collections``: direct debits, for the people of operations."""

from __future__ import annotations

from argparse import SUPPRESS
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.utils import ProgrammingError
from rich.console import Console
from rich.markup import escape

from accounts.core.errors import AccountsRefusal
from accounts.selectors.banking import member_by_email, operator_by_email
from accounts.selectors.collecting import (
    collection_file_content,
    collection_files,
    collections_under_way,
    current_mandates,
    to_take_back,
)
from accounts.services.collecting import Unpaid, collections_unpaid, give_up_collection
from accounts.services.collection_files import make_collection_file
from accounts.services.mandates import cancel_mandate, set_up_mandate
from api.jobs import collector
from api.management.commands._collection_tables import (
    show_collections,
    show_files,
    show_mandates,
)
from api.management.commands._common import business_date, parsed_date, parsed_number
from api.management.commands.bank import ACTOR, BAD_INPUT, FAULT, WIDTH
from api.wording import pounds, printable
from marketplace.core.errors import MarketplaceRefusal
from marketplace.services.collecting import collect_again

_FILES_SHOWN = 20


class Command(BaseCommand):
    help = "Direct debits: who allowed them, what is under way, the bank's file, and what failed."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        leaves = {
            "list": "direct debits under way, and those whose payments are to be taken back",
            "mandates": "mandates that stand, or one set up or cancelled for a member",
            "again": "ask again for all that is overdue on loans",
            "file": "write all that is asked for into one file for the bank",
            "files": "the last files for the bank, those that close of day made too",
            "show": "write a file as it is given to the bank",
            "unpaid": "say that the bank couldn't collect one",
            "cancel": "say that one is for nothing any more",
        }
        made = {verb: verbs.add_parser(verb, help=text) for verb, text in leaves.items()}
        made["mandates"].add_argument("change", nargs="?", choices=["set-up", "cancel"])
        made["mandates"].add_argument("--member", help="e-mail address")
        for verb in ("file", "show"):
            made[verb].add_argument("--output", required=True, help="where to write it")
        made["again"].add_argument("loan", type=parsed_number, nargs="+", help="its number")
        made["show"].add_argument("id", help="the file's message id")
        for verb in ("unpaid", "cancel"):
            made[verb].add_argument("id", help="its end-to-end id, such as TNC000000000749")
        made["unpaid"].add_argument("--reason", default="", help="the bank's code, such as AM04")
        for leaf in made.values():
            _common(leaf)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            _Desk(Console(width=WIDTH), options).do()
        except (AccountsRefusal, MarketplaceRefusal) as refusal:
            message = f"{refusal.code}: {printable(refusal.message)}"
            raise CommandError(message, returncode=BAD_INPUT) from refusal
        except ProgrammingError as error:
            message = "The database has no tables yet: run `manage.py migrate` first."
            raise CommandError(message, returncode=BAD_INPUT) from error
        except OSError as error:
            message = f"{error.filename}: {error.strerror}."
            raise CommandError(message, returncode=BAD_INPUT) from error
        except CommandError:
            raise
        except Exception as error:
            if options.get("traceback"):
                raise
            message = f"Something went wrong ({type(error).__name__}): --traceback shows where."
            raise CommandError(message, returncode=FAULT) from error


def _common(parser: CommandParser) -> None:
    for name, kind, text in (
        ("--on", parsed_date, "business date; today's without"),
        ("--key", str, "idempotency key; one is made from the rest without"),
        ("--by", str, "e-mail address of whoever of operations does it"),
    ):
        parser.add_argument(name, type=kind, help=text, default=SUPPRESS)


class _Desk:
    """One call of the command: each method makes one service or selector call."""

    def __init__(self, console: Console, options: dict[str, Any]) -> None:
        self.console = console
        self.options = options
        self.on = business_date(options.get("on"))
        by = options.get("by")
        self.actor = operator_by_email(by) if by else ACTOR

    def do(self) -> None:
        what: dict[str, Callable[[], None]] = {
            "list": self.list,
            "mandates": self.mandates,
            "again": self.again,
            "file": self.file,
            "files": self.files,
            "show": self.show,
            "unpaid": self.unpaid,
            "cancel": self.cancel,
        }
        what[self.options["verb"]]()

    def key(self, *parts: object) -> str:
        """The key that was given, or one made of what is asked for; printed, to be used again."""
        made = self.options.get("key") or "/".join(str(part) for part in parts)
        self.console.print(f"Key: {escape(made)}", highlight=False)
        return made

    def say(self, text: str) -> None:
        self.console.print(text, highlight=False, markup=False)

    def list(self) -> None:
        show_collections(self.console, "Direct debits under way", collections_under_way())
        show_collections(self.console, "To be taken back", to_take_back(self.on))

    def mandates(self) -> None:
        change, email = self.options["change"], self.options["member"]
        if change is None:
            show_mandates(self.console, current_mandates())
            return
        if not email:
            raise CommandError("Say whose: --member e-mail.", returncode=BAD_INPUT)
        member = member_by_email(email)
        key = self.key(change, member, datetime.now(UTC).isoformat())
        service = set_up_mandate if change == "set-up" else cancel_mandate
        number = service(member_id=member, on=self.on, key=key, actor=self.actor)
        self.say(f"Mandate {number} is {'set up' if change == 'set-up' else 'cancelled'}.")

    def again(self) -> None:
        loans = sorted(set(self.options["loan"]))
        did = collect_again(
            loan_ids=loans,
            on=self.on,
            collector=collector(),
            actor=self.actor,
            key=self.key("again", self.on, *loans),
        )
        self.say(
            f"Asked for {did.asked:,} of {len(loans):,}: {did.taken:,} taken in,"
            f" {pounds(did.pence)}; {did.failed:,} failed."
        )
        if did.asked < len(loans):
            self.say(
                "Left out is what owes nothing overdue, is borne with or in default, has a direct"
                " debit under way or no mandate."
            )

    def files(self) -> None:
        show_files(self.console, collection_files(_FILES_SHOWN))

    def file(self) -> None:
        made = make_collection_file(
            on=self.on,
            key=self.key("file", self.on),
            actor=self.actor,
            created_at=datetime.now(UTC),
        )
        Path(self.options["output"]).write_bytes(bytes(made.content))
        self.say(
            f"{self.options['output']}: {made.message_id}, {made.count} direct debits, "
            f"{pounds(made.total)}."
        )

    def show(self) -> None:
        content = collection_file_content(self.options["id"])
        if content is None:
            raise CommandError("There is no file of that id.", returncode=BAD_INPUT)
        Path(self.options["output"]).write_bytes(content)
        self.say(f"{self.options['output']}: {len(content):,} bytes.")

    def unpaid(self) -> None:
        name = self.options["id"]
        key = self.key("unpaid", name)
        unpaid = [Unpaid(name, self.options["reason"])]
        collections_unpaid(unpaid=unpaid, on=self.on, actor=self.actor, key=key)
        self.say(f"{name} is unpaid; a payment that it was is taken back at close of day.")

    def cancel(self) -> None:
        name = self.options["id"]
        give_up_collection(end_to_end_id=name, actor=self.actor, key=self.key("cancel", name))
        self.say(f"{name} is cancelled; if the bank collects it, the money waits in suspense.")
