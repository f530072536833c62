"""``manage.py bank``: money in and out, for the people of operations."""

from __future__ import annotations

from argparse import SUPPRESS
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.utils import ProgrammingError
from rich.console import Console
from rich.markup import escape

from accounts.core.bank_states import FileFormat, PaymentState
from accounts.core.errors import AccountsRefusal
from accounts.selectors.banking import (
    bank_file_content,
    member_by_email,
    operator_by_email,
    payments_under_way,
    pending_bank_details,
    refused_files,
    suspense_list,
    unexplained_list,
)
from accounts.services.bank_details import refuse_bank_details, verify_bank_details
from accounts.services.bank_import import import_bank_file
from accounts.services.debts import settle_debts
from accounts.services.payment_files import make_payment_file, sweep_fees
from accounts.services.payments import cancel_payment, reject_payment
from accounts.services.suspense import assign_suspense, return_suspense
from api.business_date import today
from api.management.commands._bank_tables import (
    show_details,
    show_files,
    show_imported,
    show_payments,
    show_suspense,
)
from api.wording import pounds, printable

BAD_INPUT, FAULT = 2, 1
WIDTH = 140
# Who did it, where nobody says --by.
ACTOR = "operations"

# Words after `bank`, each with what it takes: an id, or nothing.
_VERBS: dict[str, dict[str, bool]] = {
    "suspense": {"list": False, "assign": True, "return": True},
    "details": {"list": False, "verify": True, "refuse": True},
    "payments": {"list": False, "file": False, "sweep": False, "cancel": True, "reject": True},
    "files": {"list": False, "show": True},
}


class Command(BaseCommand):
    help = "Bank statements in, payment files out, and what people decide about money between."

    def add_arguments(self, parser: CommandParser) -> None:
        rooms = parser.add_subparsers(dest="room", required=True)
        files = rooms.add_parser("import", help="book bank statements from files")
        files.add_argument("files", nargs="+", help="the bank's files, the oldest first")
        files.add_argument("--format", choices=[each.value for each in FileFormat])
        files.add_argument("--account", default="", help="whose CSV it is: client, own, fund")
        for room, verbs in _VERBS.items():
            parser_of_room = rooms.add_parser(room)
            _common(parser_of_room)
            below = parser_of_room.add_subparsers(dest="verb")
            for verb, takes_id in verbs.items():
                leaf = below.add_parser(verb)
                if takes_id:
                    leaf.add_argument("id", type=int)
                if (room, verb) == ("suspense", "assign"):
                    leaf.add_argument("--member", required=True, help="e-mail address")
                if verb in ("file", "show"):
                    leaf.add_argument("--output", required=True, help="where to write it")
                _common(leaf)
        _common(files)
        _common(rooms.add_parser("debts", help="take what members owe from what they have"))

    def handle(self, *args: Any, **options: Any) -> None:
        console = Console(width=WIDTH)
        try:
            _Desk(console, options).do()
        except AccountsRefusal as refusal:
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
    # Without a default: one of an inner parser would hide what was given to the outer one.
    for name, kind, text in (
        ("--on", date.fromisoformat, "business date; today's without"),
        ("--key", str, "idempotency key; one is made from the rest without"),
        ("--by", str, "e-mail address of whoever of operations does it"),
    ):
        parser.add_argument(name, type=kind, help=text, default=SUPPRESS)


def _now() -> str:
    """For keys of what may be done again later, and is refused while it is under way."""
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}"


class _Desk:
    """One call of the command: each method makes one service or selector call."""

    def __init__(self, console: Console, options: dict[str, Any]) -> None:
        self.console = console
        self.options = options
        self.on: date = options.get("on") or today()
        by = options.get("by")
        self.actor = operator_by_email(by) if by else ACTOR

    def do(self) -> None:
        room, verb = self.options["room"], self.options.get("verb") or "list"
        what: dict[str, Callable[[], None]] = {
            "import": self.import_files,
            "debts": self.debts,
            "suspense list": self.suspense,
            "suspense assign": self.assign,
            "suspense return": self.send_back,
            "details list": self.details,
            "details verify": self.verify,
            "details refuse": self.refuse,
            "payments list": self.payments,
            "payments file": self.payment_file,
            "payments sweep": self.sweep,
            "payments cancel": self.cancel,
            "payments reject": self.reject,
            "files list": self.files,
            "files show": self.show_file,
        }
        what[room if room in what else f"{room} {verb}"]()

    def key(self, *parts: object) -> str:
        """The key that was given, or one made of what is asked for; printed, to be used again."""
        made = self.options.get("key") or "/".join(str(part) for part in parts)
        self.console.print(f"Key: {escape(made)}", highlight=False)
        return made

    def say(self, text: str) -> None:
        self.console.print(text, highlight=False, markup=False)

    def import_files(self) -> None:
        for name in self.options["files"]:
            path = Path(name)
            given = self.options["format"] or ("csv" if path.suffix == ".csv" else "camt053")
            imported = import_bank_file(
                content=path.read_bytes(),
                name=path.name,
                format=FileFormat(given),
                account=self.options["account"],
                on=self.on,
                actor=self.actor,
            )
            show_imported(self.console, path.name, imported)

    def debts(self) -> None:
        repaid = settle_debts(on=self.on, actor=self.actor, key=self.key("debts", self.on, _now()))
        self.say(f"Debts repaid: {pounds(repaid)}.")

    def suspense(self) -> None:
        show_suspense(self.console, suspense_list(self.on), unexplained_list(self.on))

    def assign(self) -> None:
        item, member = self.options["id"], member_by_email(self.options["member"])
        key = self.key("assign", item, member)
        assign_suspense(item_id=item, member_id=member, key=key, on=self.on, actor=self.actor)
        self.say(f"Item {item} is member {member}'s cash.")

    def send_back(self) -> None:
        item = self.options["id"]
        key = self.key("return", item, _now())
        payment = return_suspense(item_id=item, key=key, on=self.on, actor=self.actor)
        self.say(f"Item {item} goes back with the next file, as payment {payment}.")

    def details(self) -> None:
        show_details(self.console, pending_bank_details())

    def verify(self) -> None:
        details = self.options["id"]
        key = self.key("verify", details)
        usable = verify_bank_details(details_id=details, key=key, on=self.on, actor=self.actor)
        self.say(f"Bank details {details} are verified; withdrawals from {usable} on.")

    def refuse(self) -> None:
        details = self.options["id"]
        refuse_bank_details(details_id=details, key=self.key("refuse", details), actor=self.actor)
        self.say(f"Bank details {details} are refused.")

    def payments(self) -> None:
        show_payments(self.console, payments_under_way())

    def payment_file(self) -> None:
        file = make_payment_file(
            on=self.on,
            key=self.key("file", self.on),
            actor=self.actor,
            created_at=datetime.now(UTC),
        )
        Path(self.options["output"]).write_bytes(bytes(file.content))
        self.say(
            f"{self.options['output']}: {file.message_id}, {file.count} payments, "
            f"{pounds(file.total)}."
        )
        waiting = sum(one.state is PaymentState.REQUESTED for one in payments_under_way())
        if waiting:
            self.say(f"{waiting} payments were asked for since: give another --key for them.")

    def sweep(self) -> None:
        payment = sweep_fees(on=self.on, key=self.key("sweep", _now()), actor=self.actor)
        self.say(f"Fees are swept with the next file, as payment {payment}.")

    def cancel(self) -> None:
        payment = self.options["id"]
        key = self.key("cancel", payment)
        cancel_payment(payment_id=payment, key=key, on=self.on, actor=self.actor)
        self.say(f"Payment {payment} is cancelled.")

    def reject(self) -> None:
        payment = self.options["id"]
        key = self.key("reject", payment)
        reject_payment(payment_id=payment, key=key, on=self.on, actor=self.actor)
        self.say(f"Payment {payment} is rejected; what was set aside for it is given back.")

    def files(self) -> None:
        show_files(self.console, refused_files())

    def show_file(self) -> None:
        content = bank_file_content(self.options["id"])
        if content is None:
            message = f"There is no bank file {self.options['id']}."
            raise CommandError(message, returncode=BAD_INPUT)
        Path(self.options["output"]).write_bytes(content)
        self.say(f"{self.options['output']}: {len(content):,} bytes.")
