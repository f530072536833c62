"""How the report's figures are written."""

from __future__ import annotations

from risk.core.report_findings import Level
from risk.core.stability import Verdict
from risk.core.validation import Interval

NOTHING = "–"  # noqa: RUF001

# What a level is called beside a finding.
LEVELS: dict[Level, str] = {
    Level.GOOD: "holds",
    Level.LOOK: "look at it",
    Level.BAD: "does not hold",
}
VERDICTS: dict[Verdict, str] = {
    Verdict.STABLE: "stable",
    Verdict.AMBER: "amber",
    Verdict.RED: "red",
}


def percent(share: float, decimals: int = 1) -> str:
    """A share in per cent (.0523 is ``5.2 %``)."""
    return f"{100 * share:.{decimals}f}\u00a0%"


def percents(interval: Interval, decimals: int = 1) -> str:
    """The ends of an interval of a share."""
    return f"{100 * interval.low:.{decimals}f} to {100 * interval.high:.{decimals}f}\u00a0%"


def decimal(value: float, decimals: int) -> str:
    """A plain figure; one that rounds to zero has no sign."""
    return f"{round(value, decimals) + 0.0:.{decimals}f}"


def ends(interval: Interval, decimals: int) -> str:
    """The ends of an interval."""
    return f"{decimal(interval.low, decimals)} to {decimal(interval.high, decimals)}"


def count(value: int) -> str:
    """A number of rows."""
    return f"{value:,}"


def signed(value: float) -> str:
    """Points with their sign (``+12``, ``-3``, ``0``)."""
    whole = round(value)
    return f"{whole:+d}" if whole else "0"
