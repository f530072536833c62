"""``manage.py journal``: seal entries, export what is sealed, verify the seals."""

from __future__ import annotations

import gzip
import os
import sys
import time
from argparse import ArgumentTypeError
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.core.errors import AccountsRefusal
from accounts.selectors.journal_export import Numbers, export_journal, numbers_of_period
from accounts.selectors.seal_check import SealCheck, check_seals
from accounts.selectors.sealing import waiting_entries
from accounts.services.sealing import seal_all
from api.management.commands._common import counting_bar, parsed_date

BAD_INPUT, WRONG = 2, 1


class Command(BaseCommand):
    help = "Seals entries into the journal, exports it, and verifies it."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        seal = actions.add_parser("seal", help="number and chain what was booked")
        seal.add_argument(
            "--every", type=_seconds, metavar="SECONDS", help="again and again, until stopped"
        )
        export = actions.add_parser("export", help="write sealed entries as a file")
        export.add_argument("--from", type=parsed_date, dest="since", metavar="DATE")
        export.add_argument(
            "--until", type=parsed_date, metavar="DATE", help="the day after the last"
        )
        export.add_argument("--first", type=int, metavar="N", help="instead: by number")
        export.add_argument("--last", type=int, metavar="N")
        export.add_argument("--output", type=Path, metavar="FILE", help="compressed if it ends .gz")
        actions.add_parser("verify", help="derive the chain again; exit status 1 if it doesn't fit")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            match options["action"]:
                case "seal":
                    self._seal(options["every"])
                case "export":
                    self._export(options)
                case _:
                    self._verify()
        except AccountsRefusal as refusal:
            raise CommandError(refusal.message, returncode=BAD_INPUT) from refusal
        except KeyboardInterrupt:
            raise CommandError("Stopped; what was sealed is sealed.", returncode=130) from None

    def _seal(self, every: float | None) -> None:
        while True:
            with _bar("sealing", waiting_entries()) as show:
                done = 0
                for sealed in seal_all():
                    done += sealed.entries
                    show(done)
                    self.stdout.write(
                        f"sealed {sealed.entries:,} entries with {sealed.transfers:,} transfers,"
                        f" up to {sealed.last_number:,}: {sealed.hash.hex()}"
                    )
            if every is None:
                if not done:
                    self.stdout.write("Nothing waits to be sealed.")
                return
            time.sleep(every)

    def _export(self, options: dict[str, Any]) -> None:
        numbers = _numbers(options)
        total = max(numbers.last - numbers.first + 1, 0)
        with _bar("exporting", total) as show, _output(options["output"]) as file:
            for line in export_journal(numbers, show):
                file.write(line)
        if options["output"] is not None:
            self.stdout.write(
                f"wrote {total:,} entries to {options['output']}; check it with"
                f" python -m accounts.verify {options['output']}"
            )

    def _verify(self) -> None:
        with _bar("verifying", None) as show:
            check = check_seals(lambda done, _all: show(done))
        if not check.holds:
            raise CommandError(" ".join(_faults(check)), returncode=WRONG)
        self.stdout.write(f"The journal holds: {check.last_number:,} entries fit their seals.")


def _faults(check: SealCheck) -> Iterator[str]:
    if check.first_bad is not None:
        yield f"Entry {check.first_bad} isn't what was sealed, or is missing."
    for what, ids in (
        ("Seals that don't fit, by their last numbers", check.bad_seals),
        ("Entries that no seal holds, by id", check.unsealed),
        ("Accounts whose balances by date are wrong, by id", check.wrong_accounts),
    ):
        if ids:
            yield f"{what}: {', '.join(map(str, ids))}."


def _numbers(options: dict[str, Any]) -> Numbers:
    by_date = (options["since"], options["until"])
    by_number = (options["first"], options["last"])
    if None not in by_date and by_number == (None, None):
        return numbers_of_period(*by_date)
    if None not in by_number and by_date == (None, None):
        return Numbers(*by_number)
    raise CommandError(
        "Say which entries: --from and --until, or --first and --last.", returncode=BAD_INPUT
    )


@contextmanager
def _output(path: Path | None) -> Iterator[IO[bytes] | gzip.GzipFile]:
    """Where to write: a file that appears whole or not at all, or the standard output."""
    if path is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    part = path.with_name(f"{path.name}.part")
    try:
        # Without a name and a time in it, the same entries give the same file.
        with part.open("wb") as raw:
            if path.suffix == ".gz":
                with gzip.GzipFile("", "wb", 6, raw, mtime=0) as packed:
                    yield packed
            else:
                yield raw
            raw.flush()
            os.fsync(raw.fileno())
        part.replace(path)
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}.", returncode=BAD_INPUT) from error
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def _bar(label: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Progress on a terminal; gives what to tell how much is done."""
    with counting_bar(label, total) as (progress, task):
        yield lambda done: progress.update(task, completed=done)


def _seconds(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = 0
    if not 0 < found <= 86_400:
        raise ArgumentTypeError("a number of seconds above nothing, up to a day")
    return found
