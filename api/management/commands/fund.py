"""``manage.py fund``: the provision fund's coverage, claims on it, decisions, and its money."""

from __future__ import annotations

from argparse import ArgumentTypeError
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console

from accounts.core.errors import AccountsRefusal
from accounts.selectors.banking import operator_by_email
from api.management.commands._common import (
    BAD_INPUT,
    business_date,
    parsed_date,
    parsed_number,
)
from api.management.commands._fund_tables import (
    show_claims,
    show_coverage,
    show_decisions,
    show_history,
)
from api.wording import pounds, printable, short_percent
from marketplace.core.errors import MarketplaceRefusal
from marketplace.core.provision_fund import PPM
from marketplace.selectors.fund_coverage import fund_coverage, fund_report
from marketplace.selectors.provision_fund import fund_claims
from marketplace.services.provision_fund import decide_claims
from risk.core.errors import RiskRefusal

_PER_CENT = 10_000


class Command(BaseCommand):
    help = "Shows the provision fund and decides what it pays; it is discretionary."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        show = actions.add_parser("show", help="how far the fund goes, and what makes that up")
        claims = actions.add_parser("claims", help="claims that wait")
        claims.add_argument("--all", action="store_true", help="paid and declined ones, too")
        history = actions.add_parser("history", help="the fund's money day by day, and decisions")
        decide = actions.add_parser("decide", help="pay claims: all, one proportion, or nothing")
        which = decide.add_mutually_exclusive_group(required=True)
        which.add_argument(
            "--claim", type=parsed_number, nargs="+", metavar="ID", help="which claims"
        )
        which.add_argument("--waiting", action="store_true", help="every claim that waits")
        decide.add_argument(
            "--percent",
            type=_proportion,
            metavar="SHARE",
            help="of what is unpaid of each, 0 to 100; as far as the fund goes without",
        )
        decide.add_argument("--reason", required=True, help="why, for the record")
        decide.add_argument("--by", required=True, help="e-mail address of who decides")
        decide.add_argument("--second", help="e-mail address of who agreed")
        decide.add_argument(
            "--key", required=True, help="idempotency key: used again, none is paid"
        )
        for action in (show, history, decide):
            action.add_argument("--on", type=parsed_date, metavar="DATE", help="today's without")

    def handle(self, *args: Any, **options: Any) -> None:
        console = Console(width=180)
        try:
            match options["action"]:
                case "show":
                    on = business_date(options["on"])
                    show_coverage(console, f"Provision fund on {on}", fund_coverage(on))
                case "claims":
                    title = "Claims on the fund" if options["all"] else "Claims that wait"
                    show_claims(console, title, fund_claims(waiting_only=not options["all"]))
                case "history":
                    report = fund_report(business_date(options["on"]))
                    show_history(console, report.history)
                    show_decisions(console, report.decisions)
                case _:
                    self._decide(options)
        except (MarketplaceRefusal, AccountsRefusal, RiskRefusal) as refusal:
            message = f"{refusal.code}: {printable(refusal.message)}"
            raise CommandError(message, returncode=BAD_INPUT) from refusal

    def _decide(self, options: dict[str, Any]) -> None:
        claims = options["claim"] or [claim.claim_id for claim in fund_claims()]
        did = decide_claims(
            claim_ids=claims,
            proportion_ppm=options["percent"],
            on=business_date(options["on"]),
            actor=operator_by_email(options["by"]),
            key=options["key"],
            reason=options["reason"],
            second=operator_by_email(options["second"]) if options["second"] else "",
        )
        self.stdout.write(
            f"Decision {did.decision_id}: {short_percent(did.proportion_ppm)} % of"
            f" {did.claims:,} claims, {pounds(did.principal)} of principal and"
            f" {pounds(did.interest)} of interest; {pounds(did.left)} are left unpaid."
        )


def _proportion(text: str) -> int:
    """Per cent with up to four decimals, as ppm."""
    whole, _, rest = text.partition(".")
    digits = whole + rest
    if not (digits.isascii() and digits.isdigit() and len(rest) <= len("0000")):
        raise ArgumentTypeError(f"'{text}' is not a share such as 62.5")
    ppm = int(whole or "0") * _PER_CENT + int(rest.ljust(4, "0") or "0")
    if ppm > PPM:
        raise ArgumentTypeError("a share is 100 per cent at most")
    return ppm
