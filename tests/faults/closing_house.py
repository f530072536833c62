"""A process that builds a town on a server of its own, closes days in copies, and forks victims.

It is told what to do line by line, and answers each line with one line of JSON. A victim is a
process like any other, with a connection of its own; forking it saves the seconds of starting one.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import django

LAST = date(2016, 5, 6)  # a Friday: what was collected on Tuesday is spread
SAID = "said.txt"  # in the server's folder: what the command says


def main() -> None:
    """Answer what is asked until the input ends."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "api.settings"
    django.setup()
    for line in sys.stdin:
        word, _, database = line.strip().partition(" ")
        sys.stdout.write(json.dumps(_ASKED[word](database)) + "\n")
        sys.stdout.flush()


def _enter(database: str) -> None:
    from django.db import connection

    connection.close()
    connection.settings_dict["NAME"] = database


def _build(_database: str) -> None:
    """The town, in the server's own database; whoever copies it finds nobody connected."""
    from django.core.management import call_command
    from django.db import connections

    from marketplace.selectors.markets import list_markets
    from tests.marketplace.closing_town import build_town
    from tests.marketplace.house import House
    from tests.world import facts_of_band, open_house

    call_command("migrate", verbosity=0)
    facts = facts_of_band(open_house(), amount=1_000_000)
    build_town(House("", dict(facts), {market.name: market for market in list_markets()}))
    connections.close_all()


def _close(database: str) -> Any:
    """Close the days, and tell all that came of it."""
    from marketplace.selectors.closing import day_report
    from tests.marketplace.closing_town import close, counted, days, picture

    _enter(database)
    close(LAST)
    reports = [day_report(day) for day in days(last=LAST)]
    seen = {name: sorted(rows.elements()) for name, rows in picture().items()}
    _enter("")
    return {"seen": seen, "reports": [counted(report) for report in reports if report]}


def _victim(database: str) -> int:
    """Fork a process that closes the days; its id."""
    from tests.marketplace.closing_town import close

    return _forked(database, lambda: close(LAST))


def _command(database: str) -> int:
    """Fork a process that closes the days as ``manage.py`` does; its id."""
    from django.core.management import execute_from_command_line

    def run() -> None:
        said = os.open(Path(os.environ["TENNER_DATA"]) / SAID, os.O_WRONLY | os.O_CREAT, 0o600)
        os.dup2(said, sys.stdout.fileno())
        os.dup2(said, sys.stderr.fileno())
        execute_from_command_line(["manage.py", "close_day", LAST.isoformat(), "--sandbox", "7"])

    return _forked(database, run)


def _forked(database: str, work: Callable[[], object]) -> int:
    _enter(database)
    pid = os.fork()
    if pid:
        _enter("")
        return pid
    try:
        work()
        os._exit(0)
    except SystemExit as end:
        sys.stderr.flush()
        os._exit(int(end.code or 0))
    except BaseException:  # noqa: BLE001 - it dies as it would
        if os.environ.get("TENNER_TRACE"):
            traceback.print_exc()
        os._exit(1)


def _wait(pid: str) -> int:
    """Wait for a victim; how it ended, as the kernel says."""
    return os.waitpid(int(pid), 0)[1]


def _ensure(_database: str) -> None:
    """Have the server started again."""
    from api.database import embedded

    embedded.ensure_running()


_ASKED = {
    "build": _build,
    "close": _close,
    "victim": _victim,
    "command": _command,
    "wait": _wait,
    "ensure": _ensure,
}

if __name__ == "__main__":
    main()
