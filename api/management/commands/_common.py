"""What commands share: dates and numbers of arguments, and a progress bar that counts."""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date

from django.core.management.base import CommandError
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from api.business_date import today

BAD_INPUT = 2
# Whatever is counted back from a date that a person gives is a date, too.
EARLIEST = date(1900, 1, 1)
# Every number of so many digits fits the database's.
MOST_DIGITS = 18


def parsed_date(text: str) -> date:
    """The date of an argument; raises ArgumentTypeError for what is none, or long gone."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"'{text}' is not a date such as 2018-04-30") from None
    if day < EARLIEST:
        raise ArgumentTypeError(f"{day} is before {EARLIEST}")
    return day


def parsed_number(text: str) -> int:
    """The whole number of an argument, 0 or more; raises ArgumentTypeError for what is none."""
    if not (text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS):
        raise ArgumentTypeError(f"'{text}' is not a number")
    return int(text)


def business_date(given: date | None) -> date:
    """The business date of what a command does: today's, unless an earlier one is given.

    Raises:
        CommandError: one that has not come yet.
    """
    now = today()
    if given is not None and given > now:
        message = f"INPUT_REFUSED: {given} has not come yet; today is {now}."
        raise CommandError(message, returncode=BAD_INPUT)
    return given or now


@contextmanager
def counting_bar(label: str, total: int | None = None) -> Iterator[tuple[Progress, TaskID]]:
    """Progress with one task that counts, on a terminal alone."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(
        *columns,
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as progress:
        yield progress, progress.add_task(label, total=total)


@contextmanager
def step_bar(label: str) -> Iterator[Callable[[str, int, int], None]]:
    """The same for work in steps; gives what to tell: the step, how much is done, of how much."""
    with counting_bar(label) as (progress, task):
        yield lambda what, done, of: progress.update(
            task, description=what, completed=done, total=of or None
        )
