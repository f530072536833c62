"""``manage.py reconcile``: the book against itself and the bank, and the breaks that come of it."""

from __future__ import annotations

import sys
from argparse import ArgumentTypeError
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from accounts.core.errors import AccountsRefusal
from accounts.core.posting import LONGEST_REFERENCE
from accounts.core.reconciliation import BreakState
from accounts.selectors.reconciliations import (
    BreakView,
    ReconciliationView,
    breaks_of_day,
    list_breaks,
    reconciliations,
)
from accounts.services.reconciliation import resolve_break
from api.business_date import today
from api.management.commands._common import parsed_date, step_bar
from api.reconciliation_report import FORMATS, Report, report_text
from api.wording import pounds
from marketplace.services.reconciliation import reconcile

BAD_INPUT, OPEN_BREAKS = 2, 1
# Who did it, unless a person is named: several share the desk.
ACTOR = "operations"
# Of breaks after a run; when something is very wrong, there is one an account.
MOST_SHOWN = 100


class Command(BaseCommand):
    help = "Reconciles the book with itself and with the bank; exit status 1 while a break is open."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--on", type=parsed_date, metavar="DATE", help="business date; today's without"
        )
        parser.add_argument(
            "--by", type=_who, default=ACTOR, metavar="WHO", help="such as member:7"
        )
        parser.add_argument("--key", help="idempotency key; without one it is a run of its own")
        parser.add_argument("--full", action="store_true", help="derive the whole journal again")
        parser.add_argument(
            "--output", type=_report, metavar="FILE", help="the report, as .html or .csv"
        )
        instead = parser.add_mutually_exclusive_group()
        instead.add_argument("--breaks", action="store_true", help="only list breaks")
        instead.add_argument("--resolve", type=int, metavar="ID", help="close a break")
        parser.add_argument("--all", action="store_true", help="list closed breaks, too")
        parser.add_argument("--note", default="", help="why a break is resolved")

    def handle(self, *args: Any, **options: Any) -> None:
        console = Console(width=None if sys.stdout.isatty() else 160)
        on = options["on"] or today()
        try:
            if options["resolve"] is not None:
                resolve_break(
                    break_id=options["resolve"], note=options["note"], actor=options["by"], on=on
                )
                console.print(f"Break {options['resolve']} is resolved.", highlight=False)
            elif options["breaks"]:
                states = tuple(BreakState) if options["all"] else (BreakState.OPEN,)
                _show_breaks(console, list_breaks(states), on)
            else:
                self._reconcile(console, on, options)
        except AccountsRefusal as refusal:
            raise CommandError(refusal.message, returncode=BAD_INPUT) from refusal
        except OSError as error:
            message = f"{error.filename}: {error.strerror}."
            raise CommandError(message, returncode=BAD_INPUT) from error

    def _reconcile(self, console: Console, on: date, options: dict[str, Any]) -> None:
        key = options["key"] or f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}"
        with step_bar("reconciling") as tell:
            made = reconcile(
                on=on, actor=options["by"], key=key, full=options["full"], progress=tell
            )
        runs = reconciliations([made.internal, made.external])
        report = Report(on, runs, breaks_of_day(on))
        for run in runs:
            _show_checks(console, run)
        _show_breaks(console, report.breaks[:MOST_SHOWN], on)
        if len(report.breaks) > MOST_SHOWN:
            more = len(report.breaks) - MOST_SHOWN
            console.print(f"... and {more:,} more, which --breaks lists.", highlight=False)
        output: Path | None = options["output"]
        if output is not None:
            output.write_text(report_text(report, output.suffix), encoding="utf-8")
            console.print(f"Report: {output}", markup=False, highlight=False)
        if report.open_breaks:
            count = len(report.open_breaks)
            raise CommandError(
                f"{count} open {'break' if count == 1 else 'breaks'}.", returncode=OPEN_BREAKS
            )


def _show_checks(console: Console, run: ReconciliationView) -> None:
    table = _table(
        f"{run.kind.value.capitalize()} reconciliation {run.id} of {run.on}",
        *("rule", "looked at", "expected", "found", "difference", ""),
    )
    for check in run.checks:
        table.add_row(
            check.title,
            f"{check.checked:,}",
            *map(pounds, (check.expected, check.found, check.difference)),
            "[green]holds[/]" if check.holds else f"[bold red]{check.wrong:,} wrong[/]",
        )
    console.print(table)


def _show_breaks(console: Console, breaks: Sequence[BreakView], on: date) -> None:
    if not breaks:
        console.print("No breaks.")
        return
    table = _table(
        "Breaks",
        *("rule", "about", "no.", "amount", "first seen", "days", "state", "closed", "details"),
    )
    for each in breaks:
        again = f", again after {each.follows}" if each.follows else ""
        closed = f"{each.resolved_on} by {each.resolved_by}" if each.resolved_on else ""
        table.add_row(
            each.rule,
            escape(each.reference),
            str(each.id),
            pounds(each.amount),
            each.first_seen_on.isoformat(),
            f"{each.age(on):,}",
            f"{each.state.value}{again}",
            escape(closed),
            escape(". ".join(filter(None, (each.detail, each.note)))),
        )
    console.print(table)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", header_style="bold")
    numbers = {"looked at", "expected", "found", "difference", "no.", "amount", "days"}
    for column in columns:
        table.add_column(
            column,
            justify="right" if column in numbers else "left",
            no_wrap=column in numbers or column in ("rule", "about", "first seen"),
        )
    return table


def _who(text: str) -> str:
    if not 0 < len(text) <= LONGEST_REFERENCE or not text.isprintable():
        raise ArgumentTypeError(f"who it is has 1 to {LONGEST_REFERENCE} printable characters")
    return text


def _report(text: str) -> Path:
    path = Path(text)
    if path.suffix not in FORMATS:
        raise ArgumentTypeError(f"'{text}' doesn't end in {' or '.join(FORMATS)}")
    return path
