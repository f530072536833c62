"""``manage.py order_book``: markets' order books as files that ``manage.py quote`` reads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.core.errors import AccountsRefusal
from accounts.selectors.banking import operator_by_email
from api.business_date import today
from api.wording import pounds, printable
from marketplace.core.errors import MarketplaceRefusal
from marketplace.core.order_book_export import order_book_csv
from marketplace.selectors.markets import list_markets
from marketplace.selectors.order_book_rows import order_book_rows
from marketplace.services.importing_offers import ImportedBook, import_order_book
from risk.core.errors import RiskRefusal

BAD_INPUT = 2
# Who did it, where nobody says --by.
ACTOR = "operations"


class Command(BaseCommand):
    help = "Writes the order book of markets to a file, or places the offers of such a file."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        export = actions.add_parser("export", help="write what stands in the queues")
        export.add_argument("file", help="the file to be written (CSV)")
        export.add_argument("--market", metavar="BAND", help="such as A*; every band without")
        export.add_argument("--term", type=int, metavar="MONTHS", help="every term without")
        export.add_argument(
            "--members", action="store_true", help="name members and offers by their public ids"
        )
        export.add_argument("--on", type=date.fromisoformat, help="business date; today's without")
        read = actions.add_parser("import", help="place the offers of a file, all or none")
        read.add_argument("file", help="the file of offers (CSV); members by public id or e-mail")
        read.add_argument("--on", type=date.fromisoformat, required=True, help="business date")
        read.add_argument(
            "--key", required=True, help="idempotency key: used again, it does nothing"
        )
        read.add_argument("--by", help="e-mail address of whoever of operations does it")
        read.add_argument("--dry-run", action="store_true", help="check all and place nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            if options["action"] == "export":
                self._export(options)
            else:
                self._import(options)
        except (MarketplaceRefusal, AccountsRefusal, RiskRefusal) as refusal:
            message = f"{refusal.code}: {printable(refusal.message)}"
            raise CommandError(message, returncode=BAD_INPUT) from refusal
        except OSError as error:
            reason = error.strerror or "it can't be read or written"
            raise CommandError(f"{options['file']}: {reason}.", returncode=BAD_INPUT) from error

    def _export(self, options: dict[str, Any]) -> None:
        on = options["on"] or today()
        markets = _chosen(options["market"], options["term"])
        rows = order_book_rows(on, markets, named=options["members"])
        _write(Path(options["file"]), order_book_csv(rows))
        self.stdout.write(f"{options['file']}: {len(rows):,} rows of {len(markets)} markets.")

    def _import(self, options: dict[str, Any]) -> None:
        path = Path(options["file"])
        did = import_order_book(
            data=path.read_bytes(),
            file=path.name,
            on=options["on"],
            actor=operator_by_email(options["by"]) if options["by"] else ACTOR,
            key=options["key"],
            dry_run=options["dry_run"],
        )
        self.stdout.write(_summary(path.name, did, checked_only=options["dry_run"]))


def _chosen(band: str | None, term: int | None) -> Sequence[tuple[str, int]]:
    """The markets asked for by band, term, both or neither; those named that don't exist too."""
    known = [(view.band, view.term_months) for view in list_markets()]
    chosen = [(b, t) for b, t in known if band in (None, b) and term in (None, t)]
    if chosen:
        return chosen
    names = ", ".join(f"{b}/{t}" for b, t in known)
    raise CommandError(f"There is no such market; there are {names}.", returncode=BAD_INPUT)


def _write(path: Path, lines: Iterable[str]) -> None:
    """Write a file whole or leave what was there."""
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("w", encoding="utf-8", newline="") as file:
            file.writelines(lines)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _summary(name: str, did: ImportedBook, *, checked_only: bool) -> str:
    orphans = f", {did.orphans:,} of them by none that is here" if did.orphans else ""
    return (
        f"{name}: {did.offers:,} offers of {did.lenders:,} lenders, {pounds(did.pence)},"
        f" {'would be placed' if checked_only else 'are placed'}."
        f" {did.implied:,} rows are implied by others{orphans}."
    )
