"""``python -m benchmarks [--only NAME]``: prints a table, writes ``benchmarks/results.json``.

The exit status is 1 when a limit doesn't hold, 3 when all hold but a peer can't be had here.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import django
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from benchmarks.measuring import Outcome, Result

RESULTS = Path(__file__).with_name("results.json")
LIMIT_BROKEN, PEER_MISSING = 1, 3


def main() -> int:
    """Run the benchmarks, or the run that the named one belongs to; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="name of one benchmark; those of its run come with it")
    only = parser.parse_args().only
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "api.settings")
    django.setup()
    from benchmarks.measuring import LeftOut, Result  # noqa: PLC0415 - needs Django set up

    known = _known()
    if only and only not in known:
        parser.error(f"there is no benchmark {only}; there are {', '.join(known)}")
    chosen = [known[only]] if only else list(dict.fromkeys(known.values()))
    outcomes = [outcome for run in chosen for outcome in _as_list(run())]
    results = [outcome for outcome in outcomes if isinstance(outcome, Result)]
    left_out = [outcome for outcome in outcomes if isinstance(outcome, LeftOut)]
    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(_table(results))
    for missing in left_out:
        console.print(f"{missing.name} is left out: {missing.reason}")
    _write(results, list(known) if only else [])
    if not all(result.holds for result in results):
        return LIMIT_BROKEN
    return PEER_MISSING if left_out else 0


def _known() -> dict[str, Callable[[], Outcome | Sequence[Outcome]]]:
    """Each benchmark's name with the run that measures it; one run may measure several."""
    # Models can be imported once Django is set up.
    from benchmarks.ledger_balance import ledger_balance  # noqa: PLC0415
    from benchmarks.ledger_bulk import ledger_bulk  # noqa: PLC0415
    from benchmarks.ledger_single import ledger_single  # noqa: PLC0415
    from benchmarks.ledger_statement import ledger_statement  # noqa: PLC0415
    from benchmarks.matching import (  # noqa: PLC0415
        acceptance_b,
        matching_b,
        matching_highs,
        matching_m,
        matching_scale,
        matching_tiny,
    )
    from benchmarks.matching_cycle import matching_cycle  # noqa: PLC0415
    from benchmarks.risk_expectation import (  # noqa: PLC0415
        risk_expectation,
        risk_expectation_many,
    )
    from benchmarks.risk_pricing import risk_pricing  # noqa: PLC0415
    from benchmarks.risk_ridge import risk_ridge  # noqa: PLC0415
    from benchmarks.risk_scorecards import risk_accuracy, risk_speed  # noqa: PLC0415
    from benchmarks.servicing import servicing_month, servicing_spread  # noqa: PLC0415
    from benchmarks.servicing_day import servicing_day  # noqa: PLC0415
    from benchmarks.servicing_distribute import servicing_distribute  # noqa: PLC0415

    return {
        "ledger-bulk": ledger_bulk,
        "ledger-bulk-4m": ledger_bulk,
        "ledger-bulk-4m-one-date": ledger_bulk,
        "ledger-bulk-hordak": ledger_bulk,
        "ledger-single": ledger_single,
        "ledger-single-hordak": ledger_single,
        "ledger-hot": ledger_single,
        "ledger-balance": ledger_balance,
        "ledger-balance-hordak": ledger_balance,
        "ledger-statement": ledger_statement,
        **dict.fromkeys(("matching-m-1", "matching-fair-m"), matching_m),
        **dict.fromkeys(("matching-m-2", "matching-spread-m-2"), matching_m),
        **dict.fromkeys(("matching-m-5", "matching-spread-m-5"), matching_m),
        **dict.fromkeys(("matching-b", "matching-fair-b"), matching_b),
        "matching-tiny": matching_tiny,
        "matching-highs": matching_highs,
        **dict.fromkeys(("acceptance-b", "acceptance-b-maxima"), acceptance_b),
        **dict.fromkeys(("matching-scale", "matching-scale-memory"), matching_scale),
        "matching-cycle": matching_cycle,
        "servicing-month": servicing_month,
        "servicing-day": servicing_day,
        "servicing-spread": servicing_spread,
        "servicing-distribute": servicing_distribute,
        **dict.fromkeys(("risk-lendingclub-auc", "risk-lendingclub-brier"), risk_accuracy),
        **dict.fromkeys(("risk-german-auc", "risk-german-peers", "risk-slope"), risk_accuracy),
        **dict.fromkeys(("risk-fit-105k", "risk-score-1m"), risk_speed),
        "risk-ridge": risk_ridge,
        "risk-pricing": risk_pricing,
        "risk-pricing-error": risk_pricing,
        "risk-pricing-ageing": risk_pricing,
        "risk-pricing-ageing-error": risk_pricing,
        "risk-expectation": risk_expectation,
        "risk-expectation-quantile": risk_expectation,
        "risk-expectation-many": risk_expectation_many,
    }


def _as_list(found: Outcome | Sequence[Outcome]) -> list[Outcome]:
    return list(found) if isinstance(found, Sequence) else [found]


def _table(results: Sequence[Result]) -> Table:
    table = Table("name", "value", "peer", "peer's value", "ratio", "limit", "holds")
    for result in results:
        table.add_row(
            result.name,
            f"{_figure(result.value)} {result.unit}",
            result.peer,
            f"{_figure(result.peer_value)} {result.unit}",
            f"{result.ratio:.2f}",
            result.limit,
            "yes" if result.holds else "NO",
        )
    return table


def _figure(value: float) -> str:
    """Three digits, or whole thousands in full."""
    return f"{value:,.0f}" if value >= 1_000 else f"{value:.3g}"


def _write(results: Sequence[Result], keep: Sequence[str]) -> None:
    """Write the results; the figures that the file has of others in ``keep`` stay."""
    figures: dict[str, dict[str, Any]] = {}
    if keep and RESULTS.exists():
        before = json.loads(RESULTS.read_text(encoding="utf-8"))
        figures = {figure["name"]: figure for figure in before if figure["name"] in keep}
    figures |= {result.name: asdict(result) for result in results}
    ordered = [figures[name] for name in keep or figures if name in figures]
    RESULTS.write_text(json.dumps(ordered, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
