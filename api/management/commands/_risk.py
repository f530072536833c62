"""What the commands of risk share: refusals in one line, tables where there are none yet."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any

from django.core.management import call_command
from django.core.management.base import CommandError, CommandParser
from django.db import connection
from django.db.utils import DataError
from rich.console import Console
from rich.progress import Progress

from api.business_date import today
from api.errors import told
from api.management.commands._common import parsed_date
from api.wording import printable
from risk.core.errors import RiskRefusal
from risk.models import ModelVersion

BAD_INPUT = 2
UNREADABLE = "INPUT_REFUSED"


@contextmanager
def refusals() -> Iterator[None]:
    """Turn what is refused into status 2 and one line: the code, and a sentence.

    Raises:
        CommandError: for a refusal of risk, a value that the database refuses, a file that can't
            be read or written.
    """
    try:
        yield
    except (RiskRefusal, DataError) as refusal:
        said = told(refusal)
        message = f"{said.code}: {printable(said.message)}"
        raise CommandError(message, returncode=BAD_INPUT) from refusal
    except UnicodeDecodeError as error:
        message = f"{UNREADABLE}: the specification is not text in UTF-8."
        raise CommandError(message, returncode=BAD_INPUT) from error
    except OSError as error:
        message = f"{UNREADABLE}: {printable(str(error.filename))}: {error.strerror}."
        raise CommandError(message, returncode=BAD_INPUT) from error


def progress_bar() -> Progress:
    """A progress bar on a person's terminal; where nobody watches, stderr is for refusals."""
    console = Console(stderr=True)
    return Progress(console=console, transient=True, disable=not console.is_terminal)


def ensure_tables() -> None:
    """Migrate a database that has no tables yet, so that a command works from a bare clone."""
    if ModelVersion._meta.db_table not in connection.introspection.table_names():  # noqa: SLF001 - Django documents it as public
        call_command("migrate", verbosity=0)


def add_person_and_date(parser: CommandParser, person: str) -> None:
    """Add ``--by`` and ``--on``."""
    parser.add_argument("--by", required=True, metavar="HANDLE", help=person)
    add_date(parser)


def add_date(parser: CommandParser) -> None:
    """Add ``--on``."""
    parser.add_argument(
        "--on", type=parsed_date, metavar="DATE", help="business date; today's without"
    )


def business_date(options: dict[str, Any]) -> date:
    """The date of ``--on``, or today's."""
    given: date | None = options["on"]
    return given or today()
