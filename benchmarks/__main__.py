"""``python -m benchmarks [--only NAME]``: prints a table, writes ``benchmarks/results.json``."""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

import django
from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).with_name("results.json")


def main() -> None:
    """Run the benchmarks, or the one that is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="name of one benchmark")
    only = parser.parse_args().only
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "api.settings")
    django.setup()
    # Models can be imported once Django is set up.
    from benchmarks.ledger import ledger_bulk  # noqa: PLC0415
    from benchmarks.market import market_clear  # noqa: PLC0415
    from benchmarks.servicing import servicing_month, servicing_spread  # noqa: PLC0415

    known = {
        f.__name__.replace("_", "-"): f
        for f in (ledger_bulk, servicing_month, servicing_spread, market_clear)
    }
    if only and only not in known:
        parser.error(f"there is no benchmark {only}; there are {', '.join(known)}")
    results = [run() for name, run in known.items() if only in (None, name)]
    table = Table("name", "value", "peer", "peer's value", "ratio", "limit", "holds")
    for result in results:
        table.add_row(
            result.name,
            f"{result.value:,.3g} {result.unit}",
            result.peer,
            f"{result.peer_value:,.3g} {result.unit}",
            f"{result.ratio:.2f}",
            result.limit,
            "yes" if result.holds else "NO",
        )
    Console(width=None if sys.stdout.isatty() else 140).print(table)
    RESULTS.write_text(
        json.dumps([asdict(result) for result in results], indent=2) + "\n", encoding="utf-8"
    )


if __name__ == "__main__":
    main()
