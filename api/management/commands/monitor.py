"""``manage.py monitor``: look at the loan book as of a day, keep what was found, raise alarms."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentTypeError
from datetime import date
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.utils import ProgrammingError
from rich.console import Console

from api.business_date import today
from api.management.commands._common import parsed_date, step_bar
from api.management.commands._watching_tables import (
    show_alarms,
    show_cohorts,
    show_losses,
    show_rolls,
    show_stability,
)
from api.risk_report.monitoring import render_monitoring
from api.wording import printable
from marketplace.selectors.loan_history import loan_history
from risk.core.alarms import plain
from risk.core.errors import RiskRefusal
from risk.services.watching import Watched, watch

BAD_INPUT, OPEN_ALARMS = 2, 3
WIDTH = 170


class Command(BaseCommand):
    help = "Watches the loan book: predictions, roll rates, stability, expected credit loss."
    epilog = "Exit status: 0 without an open alarm, 3 with one, 2 for bad input."

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        return super().create_parser(prog_name, subcommand, epilog=self.epilog, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--on", type=parsed_date, metavar="DATE", help="business date; today's without"
        )
        parser.add_argument(
            "--report",
            type=_page,
            metavar="PATH",
            help="the report (.html); var/monitoring-DATE.html without",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        on: date = options["on"] or today()
        default = Path(settings.BASE_DIR) / "var" / f"monitoring-{on}.html"
        path: Path = options["report"] or default
        try:
            with step_bar("watching") as tell:
                tell("reading the loan book", 0, 1)
                watched = watch(book=loan_history(on), progress=tell)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(render_monitoring(watched), encoding="utf-8")
        except RiskRefusal as refusal:
            message = f"{refusal.code}: {printable(refusal.message)}"
            raise CommandError(message, returncode=BAD_INPUT) from refusal
        except ProgrammingError as error:
            message = "The database has no tables yet: run `manage.py migrate` first."
            raise CommandError(message, returncode=BAD_INPUT) from error
        except OSError as error:
            message = f"{error.filename}: {error.strerror}."
            raise CommandError(message, returncode=BAD_INPUT) from error
        _show(Console(width=None if sys.stdout.isatty() else WIDTH), watched, path)
        self.stdout.write(json.dumps(_line(watched, path)))
        if watched.open:
            count = len(watched.open)
            raise CommandError(
                f"{count:,} open {'alarm' if count == 1 else 'alarms'}.", returncode=OPEN_ALARMS
            )


def _show(console: Console, watched: Watched, path: Path) -> None:
    findings = watched.findings
    previous = None if watched.previous is None else watched.previous.on
    show_cohorts(console, findings.cohorts)
    show_rolls(console, findings.rolls)
    show_stability(console, watched.model, watched.stability)
    show_losses(console, findings.losses, watched.opening, previous)
    show_alarms(console, "Open alarms", watched.open)
    kept = "kept as" if watched.new else "the same as"
    console.print(f"Looked at {watched.loans:,} loans; {kept} run {watched.run_id}.")
    console.print(f"Report: {path}", markup=False, highlight=False, soft_wrap=True)


def _line(watched: Watched, path: Path) -> dict[str, Any]:
    """The figures for programs: amounts in pence."""
    losses = watched.findings.losses
    everyone = watched.findings.cohorts[:1]
    return {
        "on": watched.on.isoformat(),
        "run": watched.run_id,
        "new": watched.new,
        "digest": watched.digest,
        "model": watched.model,
        "loans": watched.loans,
        "expected_defaults": plain(sum(one.expected for one in everyone)),
        "actual_defaults": sum(one.actual for one in everyone),
        "expected_credit_loss": losses.loss,
        "by_stage": {
            row.stage.name.lower(): {"loans": row.loans, "balance": row.balance, "loss": row.loss}
            for row in losses.totals
        },
        "alarms_raised": len(watched.raised),
        "alarms_open": len(watched.open),
        "report": str(path),
    }


def _page(text: str) -> Path:
    path = Path(text)
    if path.suffix != ".html":
        raise ArgumentTypeError(f"'{text}' doesn't end in .html")
    return path
