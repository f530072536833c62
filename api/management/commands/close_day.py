"""``manage.py close_day``: close a business day, and the days that were missed before it."""

from __future__ import annotations

import re
import sys
from argparse import ArgumentTypeError
from datetime import date, timedelta
from typing import Any

import psycopg
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import InterfaceError, OperationalError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from accounts.core.errors import AccountsRefusal
from accounts.selectors.banking import operator_by_email
from api.business_date import today
from api.jobs import collector, staged_by
from api.management.commands._common import parsed_date, step_bar
from api.wording import pounds, printable
from marketplace.core.errors import MarketplaceRefusal
from marketplace.selectors.closing import DayReport, StepReport, day_reports, days_closed
from marketplace.services.closing_day import close_day
from risk.core.errors import RiskRefusal

BAD_INPUT, OPEN_BREAKS, NO_DATABASE = 2, 1, 3
STOPPED = 130
# Who did it, where nobody says --by.
ACTOR = "close of day"
# Of the days that are closed, --status shows the last ones.
DAYS_SHOWN = 10
# Counts that are pence, and what they are pence of.
MONEY = {
    "pence": "",
    "principal": " of principal",
    "interest": " of interest",
    "rests": " left over",
    "given": " to cash",
    "taken_back": " taken back",
}
# Wide enough for the longest note, and narrow enough for a mail.
WIDTH = 120
_GOES_ON = "What is done is done, and the next run goes on from there."


class Command(BaseCommand):
    help = (
        "Closes a business day: collects, distributes, ages, pays out, matches, reconciles, seals."
        " Missed days are caught up first. Exit status 1 while a break is open, 2 for what can't"
        " be done, 3 if the database fails."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "day", type=parsed_date, nargs="?", metavar="DATE", help="today without it"
        )
        parser.add_argument(
            "--sandbox", type=_seed, metavar="SEED", help="a sandbox with this seed plays the bank"
        )
        parser.add_argument(
            "--workers",
            type=_count,
            default=0,
            metavar="N",
            help="split the distribution among N processes, started for it",
        )
        parser.add_argument(
            "--since",
            type=parsed_date,
            metavar="DATE",
            help="the first day to be closed, if none was: the book was serviced otherwise before",
        )
        parser.add_argument("--by", help="e-mail address of whoever of operations does it")
        parser.add_argument(
            "--status", action="store_true", help="only show which days are closed, and which not"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        console = Console(width=None if sys.stdout.isatty() else WIDTH)
        on = options["day"] or today()
        try:
            if options["status"]:
                _show_status(console, on)
                return
            report = _close(on, options)
        except (MarketplaceRefusal, AccountsRefusal, RiskRefusal) as refusal:
            message = f"{refusal.code}: {printable(refusal.message)}"
            raise CommandError(message, returncode=BAD_INPUT) from refusal
        except KeyboardInterrupt:
            raise CommandError(f"Stopped. {_GOES_ON}", returncode=STOPPED) from None
        except (OperationalError, InterfaceError, psycopg.OperationalError) as failure:
            said = printable(str(failure).strip().partition("\n")[0]) or "no answer"
            message = f"The database failed: {said}. {_GOES_ON}"
            raise CommandError(message, returncode=NO_DATABASE) from failure
        _show_report(console, report)
        if report.breaks:
            told = _counted(report.breaks, "open breaks")
            raise CommandError(f"{told}: see manage.py reconcile --breaks.", returncode=OPEN_BREAKS)


def _close(on: date, options: dict[str, Any]) -> DayReport:
    actor = operator_by_email(options["by"]) if options["by"] else ACTOR
    with step_bar("closing") as tell:
        return close_day(
            on=on,
            actor=actor,
            today=today(),
            since=options["since"],
            collector=collector(options["sandbox"]),
            stage=staged_by(options["workers"], own=True),
            progress=tell,
        )


def _show_report(console: Console, report: DayReport) -> None:
    seconds = sum(step.seconds for step in report.steps)
    table = Table(
        title=f"Close of {report.day}, by {escape(report.actor)}: {seconds:.1f} s",
        title_justify="left",
        title_style="bold",
        header_style="bold",
    )
    table.add_column("step", no_wrap=True)
    table.add_column("what it did")
    table.add_column("seconds", justify="right", no_wrap=True)
    for step in report.steps:
        table.add_row(step.step.replace("_", " "), escape(_told(step)), f"{step.seconds:.2f}")
    console.print(table)


def _told(step: StepReport) -> str:
    """A step's counts as words, money as pounds and last; nothing of what was nothing."""
    counts = sorted(step.counts.items(), key=lambda each: each[0] in MONEY)
    told = [
        f"{pounds(count)}{MONEY[name]}" if name in MONEY else _counted(count, name)
        for name, count in counts
        if count
    ]
    return ", ".join(told) or step.note or "nothing to do"


def _counted(count: int, what: str) -> str:
    """A count in words; what is counted is named in the plural, if it has one."""
    if count == 1:
        what = re.sub("s$", "", re.sub("ies$", "y", what))
    return f"{count:,} {what.replace('_', ' ')}"


def _show_status(console: Console, on: date) -> None:
    stands = days_closed()
    missing = stands.missing(on)
    if stands.last is not None:
        since = stands.last - timedelta(days=DAYS_SHOWN - 1)
        for report in day_reports(since=since, until=on):
            ended = report.finished_at
            console.print(
                f"{report.day}  "
                + (f"closed at {ended:%Y-%m-%d %H:%M} UTC" if ended else "begun, not finished")
                + (f"  {_counted(report.breaks, 'open breaks')}" if report.breaks else ""),
                markup=False,
                highlight=False,
            )
    if not missing:
        text = f"No day up to {on} is missing."
    else:
        text = f"Missing: {len(missing):,} from {missing[0]} to {missing[-1]}."
    console.print(text, markup=False, highlight=False)


def _seed(text: str) -> str:
    if not text.isdecimal() or len(text) > 18:
        raise ArgumentTypeError(f"'{text}' is no seed: a whole number of at most 18 digits")
    return text


def _count(text: str) -> int:
    if not text.isdecimal() or not 0 <= int(text) <= 64:
        raise ArgumentTypeError(f"'{text}' is not a number of workers, 0 to 64")
    return int(text)
