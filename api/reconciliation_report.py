"""The report of a reconciliation as a file: a page that needs nothing else, or CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from django.conf import settings
from django.template.loader import render_to_string

from accounts.core.money import text_from_pence
from accounts.core.reconciliation import BreakState
from accounts.selectors.reconciliations import BreakView, ReconciliationView

FORMATS = (".html", ".csv")
_COLUMNS = (
    "what",
    "id",
    "kind",
    "rule",
    "about",
    "expected",
    "found",
    "difference",
    "checked",
    "state",
    "first_seen_on",
    "last_seen_on",
    "age_days",
    "closed_on",
    "closed_by",
    "note",
)
# What a spreadsheet would take for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True)
class Report:
    """What a report shows.

    Attributes:
        on: the business date, by which breaks have their age.
        runs: the reconciliations.
        breaks: open ones, and those closed on the date.
    """

    on: date
    runs: Sequence[ReconciliationView]
    breaks: Sequence[BreakView]

    @property
    def open_breaks(self) -> list[BreakView]:
        """Those that nobody has closed."""
        return [each for each in self.breaks if each.state is BreakState.OPEN]


def report_text(report: Report, suffix: str) -> str:
    """The report's text.

    Args:
        report: what it shows.
        suffix: one of :data:`FORMATS`.
    """
    return _csv(report) if suffix == ".csv" else _page(report)


def _page(report: Report) -> str:
    """One page of HTML with its style inside, so that it can be filed and sent."""
    assets = Path(settings.BASE_DIR) / "api" / "assets"
    return render_to_string(
        "reconciliation.html",
        {
            "report": report,
            "breaks": [(each, each.age(report.on)) for each in report.breaks],
            "style": (assets / "tenner.css").read_text(encoding="utf-8"),
            "logo": (assets / "tenner.svg").read_text(encoding="utf-8"),
        },
    )


def _csv(report: Report) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows(_rows(report))
    return out.getvalue()


def _rows(report: Report) -> Iterator[list[str]]:
    for run in report.runs:
        for check in run.checks:
            figures = map(text_from_pence, (check.expected, check.found, check.difference))
            state = "holds" if check.holds else f"{check.wrong} wrong"
            row = ["check", str(run.id), run.kind.value, check.rule, check.title, *figures]
            yield [*row, str(check.checked), state, *[""] * 6]
    for each in report.breaks:
        yield [
            *("break", str(each.id), "", each.rule, _plain(each.reference), "", ""),
            *(text_from_pence(each.amount), "", each.state.value),
            *(each.first_seen_on.isoformat(), each.last_seen_on.isoformat()),
            str(each.age(report.on)),
            each.resolved_on.isoformat() if each.resolved_on else "",
            *(_plain(each.resolved_by), _plain(each.note)),
        ]


def _plain(text: str) -> str:
    """Text that a spreadsheet shows as it is."""
    return f"'{text}" if text.startswith(_FORMULA) else text
