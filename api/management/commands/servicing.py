"""``manage.py servicing``: a loan with all that happened to it, quotes, and what staff change."""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.core.errors import AccountsRefusal
from accounts.core.money import pence_from_text
from accounts.selectors.banking import operator_by_email
from api.business_date import today
from api.errors import FaceRefusal, NotFound
from api.management.commands._common import (
    BAD_INPUT,
    business_date,
    parsed_date,
    parsed_number,
)
from api.management.commands._servicing import (
    show_change,
    show_prepayment,
    show_rescission,
    show_settlement,
    show_sheet,
)
from api.wording import pounds, printable
from marketplace.core.errors import MarketplaceRefusal
from marketplace.core.loan_events import DefaultCause, Excess, PaymentKind
from marketplace.selectors.loan_quotes import (
    due_day_quote,
    holiday_quote,
    prepayment_quote,
    rescission_quote,
    settlement_quote,
)
from marketplace.selectors.loan_sheet import loan_sheet, payment_key
from marketplace.services.bouncing import bounce_payments
from marketplace.services.changing_loans import (
    agree_arrangement,
    change_due_day,
    end_arrangement,
    end_hardship,
    grant_hardship,
    take_holiday,
    void_event,
)
from marketplace.services.defaulting import declare_default, recover, settle_for_less, write_off
from marketplace.services.settling_loans import prepay, rescind, settle_early
from marketplace.services.single_payments import take_payment

_QUOTES = ("settlement", "prepayment", "holiday", "due-day", "rescission")
_KINDS = [PaymentKind.CASH.value, PaymentKind.COLLECTION.value]


@dataclass(frozen=True)
class _Action:
    """One thing that staff do to a loan: its help, its arguments, and its service.

    ``takes`` are names of arguments that the service takes under the same names.
    """

    help: str
    service: Callable[..., Any]
    takes: tuple[str, ...] = ()
    is_told_why: bool = False


_ACTIONS = {
    "pay": _Action(
        "take a payment, of today or of a past day",
        take_payment,
        ("amount", "received_on", "kind", "excess", "reference"),
    ),
    "prepay": _Action(
        "repay principal before its time", prepay, ("amount", "choice", "kind", "reference")
    ),
    "settle": _Action("settle early at the figure of the day", settle_early, ("kind", "reference")),
    "rescind": _Action("step back within 14 days", rescind, ("kind", "reference")),
    "due-day": _Action("another day of the month", change_due_day, ("day",)),
    "holiday": _Action("skip the next instalments", take_holiday, ("months",)),
    "arrangement": _Action(
        "agree a monthly amount for some months",
        agree_arrangement,
        ("amount", "months"),
        is_told_why=True,
    ),
    "end-arrangement": _Action("end it before its time", end_arrangement, is_told_why=True),
    "hardship": _Action("freeze interest", grant_hardship, ("until",), is_told_why=True),
    "end-hardship": _Action("let interest run again", end_hardship, is_told_why=True),
    "default": _Action("death or insolvency", declare_default, ("cause",), is_told_why=True),
    "write-off": _Action("nothing more is expected", write_off, is_told_why=True),
    "settle-short": _Action(
        "take less, and write the rest off",
        settle_for_less,
        ("amount", "cost", "reference"),
        is_told_why=True,
    ),
    "recover": _Action(
        "a payment after default, and what it cost",
        recover,
        ("amount", "cost", "received_on", "reference"),
    ),
    "void": _Action(
        "take back an event entered by mistake", void_event, ("number",), is_told_why=True
    ),
}


def _amount(text: str) -> int:
    return pence_from_text(text, field="amount")


# How each argument is given: positionally where a service can't do without it.
_ARGUMENTS: dict[str, tuple[str, dict[str, Any]]] = {
    "amount": ("amount", {"metavar": "POUNDS", "help": "such as 30.78"}),
    "received_on": (
        "--received-on",
        {"type": parsed_date, "metavar": "DATE", "help": "the day it came; the business date's"},
    ),
    "kind": ("--kind", {"choices": _KINDS, "default": _KINDS[0], "help": "how it comes"}),
    "excess": (
        "--excess",
        {
            "choices": [each.value for each in Excess],
            "default": Excess.KEEP.value,
            "help": "what becomes of what exceeds what is due",
        },
    ),
    "choice": (
        "choice",
        {
            "choices": [Excess.SHORTER.value, Excess.SMALLER.value],
            "help": "an earlier end, or a smaller instalment",
        },
    ),
    "reference": ("--reference", {"default": "", "help": "the payer's or the bank's"}),
    "day": ("day", {"type": parsed_number, "help": "1 to 28"}),
    "months": ("months", {"type": parsed_number, "help": "how many"}),
    "until": ("until", {"type": parsed_date, "metavar": "DATE", "help": "the last day of it"}),
    "cause": (
        "cause",
        {"choices": [DefaultCause.DEATH.value, DefaultCause.INSOLVENCY.value]},
    ),
    "cost": ("--cost", {"default": "0.00", "metavar": "POUNDS", "help": "of its recovery"}),
    "number": ("number", {"type": parsed_number, "help": "of the event"}),
}
# Where the service has another word for it.
_NAMED = {"choice": "excess"}
_READ: dict[str, Callable[[Any], Any]] = {
    "amount": _amount,
    "cost": _amount,
    "kind": PaymentKind,
    "excess": Excess,
    "choice": Excess,
    "cause": DefaultCause,
}


class Command(BaseCommand):
    help = "Shows a loan and quotes of changes, and carries out what staff change in it."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        show = actions.add_parser("show", help="everything about a loan")
        quote = actions.add_parser("quote", help="what a change would come to; changes nothing")
        bounce = actions.add_parser("bounce", help="take back a payment that bounced")
        for shown in (show, quote, bounce):
            shown.add_argument("loan", type=parsed_number, help="its number")
        quote.add_argument("what", choices=_QUOTES)
        quote.add_argument("value", nargs="?", help="pounds, months or day, where it needs one")
        bounce.add_argument("number", type=parsed_number, help="of the payment")
        parsers = {name: actions.add_parser(name, help=one.help) for name, one in _ACTIONS.items()}
        for name, action in _ACTIONS.items():
            parsers[name].add_argument("loan", type=parsed_number, help="its number")
            for argument in action.takes:
                flag, given = _ARGUMENTS[argument]
                parsers[name].add_argument(flag, **given)
        for name, made in [*parsers.items(), ("bounce", bounce)]:
            made.add_argument("--by", required=True, help="e-mail address of whoever does it")
            made.add_argument("--key", required=True, help="idempotency key: chosen by you")
            if name == "bounce" or _ACTIONS[name].is_told_why:
                made.add_argument("--reason", required=True, help="without personal data")
        for made in (show, quote, bounce, *parsers.values()):
            made.add_argument(
                "--on", type=parsed_date, metavar="DATE", help="business date; today's without"
            )

    def handle(self, *args: Any, **options: Any) -> None:
        given = options["on"]
        try:
            match options["action"]:
                case "show":
                    sheet = loan_sheet(options["loan"])
                    if sheet is None:
                        raise NotFound("There is no such loan.", field="loan")
                    show_sheet(sheet, given or today())
                case "quote":
                    _quote(options["loan"], options["what"], options["value"], given or today())
                case "bounce":
                    self._bounce(options, business_date(given))
                case name:
                    self._carry_out(_ACTIONS[name], options, business_date(given))
        except (AccountsRefusal, MarketplaceRefusal, FaceRefusal) as refusal:
            message = f"{refusal.code}: {printable(refusal.message)}"
            raise CommandError(message, returncode=BAD_INPUT) from refusal

    def _carry_out(self, action: _Action, options: dict[str, Any], on: date) -> None:
        given = {
            _NAMED.get(name, name): _READ.get(name, _as_given)(options[name])
            for name in action.takes
        }
        if action.is_told_why:
            given["reason"] = options["reason"]
        action.service(
            loan_id=options["loan"],
            on=on,
            actor=operator_by_email(options["by"]),
            key=options["key"],
            **given,
        )
        self._told(options["loan"])

    def _bounce(self, options: dict[str, Any], on: date) -> None:
        bounce_payments(
            payments=[payment_key(options["loan"], options["number"])],
            on=on,
            actor=operator_by_email(options["by"]),
            key=options["key"],
            reason=options["reason"],
        )
        self._told(options["loan"])

    def _told(self, loan: int) -> None:
        sheet = loan_sheet(loan)
        if sheet is not None:
            owed = pounds(sheet.loan.owed.total)
            self.stdout.write(
                f"Loan {loan} is {sheet.loan.state.value}; {owed} are owed now,"
                f" {pounds(sheet.loan.outstanding)} of principal are outstanding."
            )


def _as_given(value: Any) -> Any:
    return value


def _quote(loan: int, what: str, value: str | None, on: date) -> None:
    match what:
        case "settlement":
            show_settlement(settlement_quote(loan, on))
        case "rescission":
            show_rescission(rescission_quote(loan, on))
        case "prepayment":
            show_prepayment(prepayment_quote(loan, _amount(value or ""), on))
        case "holiday":
            show_change(holiday_quote(loan, _whole(value), on))
        case _:
            show_change(due_day_quote(loan, _whole(value), on))


def _whole(value: str | None) -> int:
    try:
        return parsed_number(value or "")
    except ArgumentTypeError as error:
        raise CommandError(f"INPUT_REFUSED: {error}.", returncode=BAD_INPUT) from error
