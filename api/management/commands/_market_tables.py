"""What the commands of the market print: tables for the people of operations."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from api.wording import percent, pounds, printable
from marketplace.core.differences import Difference
from marketplace.selectors.market_board import BoardRow
from marketplace.selectors.replay import MarketFigures

_TEXT = frozenset({"market", "path", "last cycle", "what", "stored", "recomputed"})
_PPM_IN_BP = 100


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", header_style="bold")
    for column in columns:
        table.add_column(column, justify="left" if column in _TEXT else "right")
    return table


def _rate(ppm: int | None) -> str:
    return "" if ppm is None else f"{percent(ppm)} %"


def show_figures(console: Console, title: str, markets: Sequence[MarketFigures]) -> None:
    """What each market did in a cycle."""
    table = _table(
        title,
        *("market", "listings", "loans", "parts", "lent", "marginal", "blend"),
        *("spread of blends, bp", "runs", "path"),
    )
    for row in markets:
        table.add_row(
            row.market,
            f"{row.listings:,}",
            f"{row.loans:,}",
            f"{row.parts:,}",
            pounds(row.lent),
            _rate(row.marginal_rate),
            _rate(row.blend_rate),
            "" if row.spread is None else f"{row.spread / _PPM_IN_BP:.2f}",
            str(row.runs),
            row.path,
        )
    console.print(table)


def show_differences(console: Console, differences: Sequence[Difference], differing: int) -> None:
    """What is stored beside what a replay gives."""
    table = _table("What differs", "what", "stored", "recomputed")
    for each in differences:
        table.add_row(*(Text(printable(t)) for t in (each.what, each.stored, each.recomputed)))
    console.print(table)
    if differing > len(differences):
        console.print(f"... {differing:,} in all.")


def show_board(console: Console, title: str, rows: Sequence[BoardRow]) -> None:
    """Every market as it stands."""
    table = _table(
        title,
        *("market", "guide", "traded", "best", "marginal", "on offer", "offers"),
        *("open listings", "asked", "last cycle"),
    )
    for row in rows:
        table.add_row(
            row.market,
            _rate(row.guide_rate),
            _rate(row.traded_rate),
            _rate(row.best_rate),
            _rate(row.marginal_rate),
            pounds(row.on_offer),
            f"{row.offers:,}",
            f"{row.open_listings:,}",
            pounds(row.asked),
            _last(row),
        )
    console.print(table)


def _last(row: BoardRow) -> str:
    if row.last_cycle_on is None:
        return "none yet"
    return f"{row.last_cycle_on}: {row.last_loans:,} loans, {pounds(row.last_lent)}"
