"""What commands share: the date of an argument, and a progress bar that counts."""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)


def parsed_date(text: str) -> date:
    """The date of an argument; raises ArgumentTypeError for what is none."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"'{text}' is not a date such as 2018-04-30") from None


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
