"""``manage.py demo``: the main job on real borrowers, end to end, from an empty database."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from accounts.core.errors import AccountsRefusal
from accounts.models import Member
from accounts.services.members import set_passwords
from api.database import embedded
from api.demo import plots, report, run
from api.management.commands._fund_tables import show_coverage, show_decisions
from api.management.commands.audit import require_all
from marketplace.core.errors import MarketplaceRefusal
from marketplace.selectors.cycles import last_cycle
from marketplace.selectors.findings import Finding
from marketplace.selectors.fund_coverage import fund_report
from marketplace.selectors.loan_book import loan_book_csv
from marketplace.selectors.markets import list_markets
from marketplace.selectors.order_book import load_order_book
from marketplace.selectors.returns import band_names, returns_by_band, returns_by_lender
from marketplace.selectors.spread import idle, loans_by_state, spread
from risk.core.errors import RiskRefusal
from risk.selectors.model_versions import training_report
from risk.selectors.rate_tables import current_rate_table

STEPS: tuple[tuple[str, Callable[[run.Demo, run.Progress], None]], ...] = (
    ("Load the real loans", run.load_past),
    ("Fit and judge the scorecard", run.train),
    ("Lenders pay in and place offers", run.enrol),
    ("Real applicants are assessed and listed", run.borrow),
    ("Match listings with offers", run.match),
    ("Pay out", run.pay_borrowers),
    ("Collect and spread 23 months", run.service),
    ("Seal the journal", run.seal_book),
    ("Close each day of the last week", run.close_days),
)


class Command(BaseCommand):
    help = "Runs the main job on real input, reports, audits, and serves what it made."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--no-serve", action="store_true", help="end after the audit")
        parser.add_argument(
            "--wipe", action="store_true", help="empty the database of DATABASE_URL first"
        )
        parser.add_argument("--data", default=str(run.DATA), help="the past loans (CSV)")
        parser.add_argument("--output", default="var/demo", help="folder of plots and loan book")
        parser.add_argument("--address", default="127.0.0.1:8000", help="where to serve")

    def handle(self, *args: Any, **options: Any) -> None:
        console = Console(width=None if sys.stdout.isatty() else 140)
        output = Path(options["output"])
        demo = run.Demo(data=Path(options["data"]))
        # Before anything is thrown away: can the input be read, and the output be written?
        _carry_out(run.check_input, demo, lambda _done, _total: None)
        try:
            output.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CommandError(f"{output}: {error.strerror}.", returncode=2) from error
        console.print("[bold]Tenner's main job.[/] It starts again from an empty database.")
        times: dict[str, float] = {}
        self._bar(
            console, times, "Empty the database", lambda _: _start_empty(wipe=options["wipe"])
        )
        pictures: list[Path] = []
        for title, step in STEPS:
            if step is run.match:
                self._bar(
                    console,
                    times,
                    "Draw the order book",
                    lambda _: pictures.append(_depth(demo, output)),
                )
            self._bar(console, times, title, partial(_carry_out, step, demo))
        self._bar(
            console, times, "Report", lambda _: pictures.extend(_report(console, demo, output))
        )
        journal = output / "journal-last-month.jsonl"
        self._bar(
            console,
            times,
            "Export the last month's journal",
            lambda tell: run.export_last_month(demo, tell, journal),
        )
        _prove(console, journal)
        findings: list[Finding] = []
        self._bar(console, times, "Audit", lambda _: findings.extend(run.audit_all(demo)))
        report.show_audit(console, findings)
        report.show_times(console, times)
        for path in pictures:
            console.print(f"Picture: {path}", highlight=False)
        require_all(findings)
        if not options["no_serve"]:
            _serve(console, demo, options["address"])

    def _bar(
        self,
        console: Console,
        times: dict[str, float],
        title: str,
        work: Callable[[run.Progress], Any],
    ) -> None:
        """Run one step under a progress bar, and keep what it took."""
        began = time.perf_counter()
        with Progress(
            TextColumn("{task.description:<42}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
        ) as progress:
            task = progress.add_task(title, total=None)

            def tell(done: int, total: int) -> None:
                progress.update(task, completed=done, total=total)

            work(tell)
            known = progress.tasks[0].total or 1
            progress.update(task, completed=known, total=known)
        times[title] = time.perf_counter() - began


def _carry_out(
    step: Callable[[run.Demo, run.Progress], None], demo: run.Demo, tell: run.Progress
) -> None:
    """One step; a refusal ends the demo with its own words instead of a stack trace."""
    try:
        step(demo, tell)
    except (RiskRefusal, MarketplaceRefusal, AccountsRefusal) as refusal:
        raise CommandError(refusal.message, returncode=2) from refusal
    except OSError as error:
        raise CommandError(f"{error.filename}: {error.strerror}.", returncode=2) from error


def _start_empty(*, wipe: bool) -> None:
    """A new, migrated database. One that is not ours alone is only emptied when told to."""
    connections.close_all()
    if os.environ.get("DATABASE_URL"):
        _empty_external(wipe=wipe)
    else:
        embedded.reset_database(os.environ)
    call_command("migrate", verbosity=0)
    connections["owner"].close()


def _empty_external(*, wipe: bool) -> None:
    with connections["owner"].cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
        if cursor.fetchone()[0] and not wipe:
            raise CommandError(
                "The database of DATABASE_URL is not empty. The demo would empty it: "
                "say --wipe if that is what you want.",
                returncode=2,
            )
        cursor.execute("DROP SCHEMA public CASCADE")
        cursor.execute("CREATE SCHEMA public")


def _depth(demo: run.Demo, output: Path) -> Path:
    book = load_order_book(demo.world.starts_on)
    return plots.order_book_depth(book, list_markets(), output / "order-book-depth.png")


def _report(console: Console, demo: run.Demo, output: Path) -> list[Path]:
    """Print the tables, save the pictures and the loan book."""
    if demo.model is None or demo.last_day is None:
        raise RuntimeError("the demo did not run to its end")
    training = training_report(model_version=demo.model)
    report.show_model(console, training)
    report.show_rates(console, current_rate_table())
    report.show_market(console, demo, spread(), idle())
    report.show_cycle(console, last_cycle())
    by_band, names = returns_by_band(demo.last_day), band_names()
    report.show_returns(console, by_band, names, loans_by_state())
    fund = fund_report(demo.last_day)
    show_coverage(console, f"The provision fund on {demo.last_day}", fund.coverage)
    show_decisions(console, fund.decisions)
    book = output / f"loan-book-{demo.last_day}.csv"
    with book.open("w", encoding="utf-8", newline="") as file:
        file.writelines(loan_book_csv(demo.last_day, secret=settings.LOAN_BOOK_SECRET))
    console.print(f"Loan book: {book}", highlight=False)
    return [
        plots.earned_and_told(returns_by_lender(demo.last_day), output / "earned-and-told.png"),
        plots.bands_earned(by_band, names, output / "returns-by-band.png"),
        plots.calibration(training.by_band or (), output / "calibration.png"),
    ]


def _prove(console: Console, journal: Path) -> None:
    """Check the exported journal as an auditor would: without a database, by a bare Python."""
    command = ["-S", "-m", "accounts.verify", str(journal.resolve())]
    checked = subprocess.run(  # noqa: S603 - ourselves
        [sys.executable, *command],
        cwd=settings.BASE_DIR,
        check=False,
        capture_output=True,
        text=True,
    )
    if checked.returncode:
        raise CommandError(checked.stderr.strip(), returncode=1)
    console.print(f"Checked offline with python -m accounts.verify {journal}:", highlight=False)
    console.print(checked.stdout.strip().partition(": ")[2], highlight=False)


def _serve(console: Console, demo: run.Demo, address: str) -> None:
    """Serve what the demo made, in this process's place, on the demo's last day."""
    people = {
        "lender": demo.lenders[0],
        "borrower": _first_with_a_loan(demo.borrowers),
        **{member.role.replace("_", " "): member for member in demo.staff},
    }
    passwords = {who: secrets.token_urlsafe(9) for who in people}
    set_passwords(passwords={people[who].pk: password for who, password in passwords.items()})
    console.print(f"\n[bold]Serving on http://{address}/[/]  (Ctrl-C ends it)", highlight=False)
    for path, what in (
        ("/", "start page"),
        ("/graphiql/", "GraphiQL, on our own files"),
        ("/graphql/", "GraphQL"),
        ("/api/loan-book", "the loan book, for the auditor"),
    ):
        console.print(f"  http://{address}{path}  {what}", highlight=False)
    for who, member in people.items():
        console.print(
            f"  sign in as {who}: {member.email} / {passwords[who]}", highlight=False, markup=False
        )
    connections.close_all()
    environment = {**os.environ, "TENNER_BUSINESS_DATE": str(demo.last_day)}
    sys.stdout.flush()
    options = ["--bind", address, "--workers", "2", "--no-control-socket"]
    os.execve(  # noqa: S606 - our own interpreter, no words from outside
        sys.executable, [sys.executable, "-m", "gunicorn", "api.wsgi", *options], environment
    )


def _first_with_a_loan(borrowers: list[Member]) -> Member:
    return next(member for member in borrowers if member.loans.exists())
