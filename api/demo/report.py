"""The demo's report: tables for a person, from the selectors that everyone else asks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from rich.console import Console
from rich.table import Table

from api.demo.run import Demo
from marketplace.core.arrays import IntArray
from marketplace.models import CycleMarket
from marketplace.selectors.findings import Finding
from marketplace.selectors.returns import Returns
from marketplace.selectors.spread import Idle, Spread
from risk.selectors.model_versions import TrainingReport
from risk.selectors.rate_tables import RateTableView


def pounds(pence: int) -> str:
    """Pence as pounds for reading."""
    return f"£{pence / 100:,.2f}"


def percent(ppm: float) -> str:
    """Parts per million as per cent for reading."""
    return f"{ppm / 10_000:.2f} %"


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", header_style="bold")
    for place, column in enumerate(columns):
        table.add_column(column, justify="left" if place == 0 else "right")
    return table


def show_model(console: Console, report: TrainingReport) -> None:
    """How the scorecard did on applications that it has not seen."""
    figures = report.figures
    table = _table("The scorecard, judged on the 30 % it has not seen", "figure", "value")
    for name, value in (
        ("trained on", f"{report.training_rows:,} loans, {report.training_bad:,} bad"),
        ("judged on", f"{figures.rows:,} loans, {figures.bad:,} bad"),
        ("AUC", f"{figures.auc:.4f}"),
        ("Gini", f"{figures.gini:.4f}"),
        ("KS", f"{figures.ks:.4f}"),
        ("Brier", f"{figures.brier:.5f}"),
        ("calibration slope", f"{figures.calibration_slope:.3f}"),
        ("predicted, all", f"{figures.mean_predicted:.4f}"),
        ("actual, all", f"{figures.mean_actual:.4f}"),
    ):
        table.add_row(name, value)
    console.print(table)
    bands = _table(
        f"Predicted against actual over {report.model.outcome_months} months, by band",
        "band",
        "loans",
        "bad",
        "predicted",
        "actual",
        "95 % interval",
    )
    for row in report.by_band or ():
        bands.add_row(
            row.group,
            f"{row.rows:,}",
            f"{row.bad:,}",
            f"{row.predicted:.4f}",
            f"{row.actual:.4f}",
            f"{row.actual_low:.4f} to {row.actual_high:.4f}",
        )
    console.print(bands)


def show_rates(console: Console, table: RateTableView) -> None:
    """The approved rate table."""
    shown = _table(
        f"Rate table {table.number}, solved from expected losses",
        "market",
        "12-month PD above",
        "up to",
        "guide rate",
        "offers from",
        "to",
        "target return",
        "expected loss",
        "arrangement fee",
    )
    for row in table.rows:
        shown.add_row(
            f"{row.band}/{row.term_months}",
            percent(row.pd_from_ppm),
            percent(row.pd_to_ppm),
            percent(row.guide_rate),
            percent(row.lowest_rate),
            percent(row.highest_rate),
            percent(row.target_return_ppm),
            percent(row.expected_loss_ppm),
            percent(row.arrangement_fee_ppm),
        )
    console.print(shown)


def show_market(console: Console, demo: Demo, spread: Spread, idle: Idle) -> None:
    """What the cycle did, how the money is spread, and where it is on the last day."""
    table = _table("The market", "figure", "value")
    cycle = demo.cycle
    if cycle is None:
        raise RuntimeError("no cycle was run")
    assessed = ", ".join(f"{count} {state}" for state, count in sorted(demo.assessed.items()))
    waiting = ", ".join(f"{n} {why.lower()}" for why, n in sorted(cycle.waiting.items())) or "none"
    for name, value in (
        ("lenders", f"{len(demo.lenders):,}, who paid in {pounds(demo.paid_in)}"),
        ("applications", assessed),
        ("loans funded", f"{cycle.loans} for {pounds(cycle.lent)} in {cycle.parts:,} parts"),
        ("listings that wait", waiting.replace("_", " ")),
        ("shares of payments", f"{demo.shares:,}"),
        ("repayments on offer again", pounds(demo.topped_up)),
        ("lenders' cash, idle", pounds(idle.cash)),
        ("on offer, idle", pounds(idle.on_offer)),
        ("lent and outstanding", pounds(idle.lent)),
        ("share idle", f"{idle.share:.1%}"),
    ):
        table.add_row(name, value)
    console.print(table)
    shown = _table("Spread", "", "least", "10 %", "median", "90 %", "most")
    for name, values, write in (
        ("parts per loan", spread.parts_per_loan, "{:,.0f}".format),
        ("lenders per loan", spread.lenders_per_loan, "{:,.0f}".format),
        ("borrowers per lender", spread.borrowers_per_lender, "{:,.0f}".format),
        ("largest borrower's share of a lender", spread.largest, percent),
    ):
        shown.add_row(name, *_quantiles(values, write))
    console.print(shown)


def show_cycle(console: Console, markets: Sequence[CycleMarket]) -> None:
    """What the cycle did in each market; a loan's blend lies so many basis points off the mean."""
    table = _table(
        "The cycle, market by market",
        "market",
        "listings",
        "loans",
        "lent",
        "parts",
        "on offer",
        "traded rate",
        "lowest asked",
        "last taken",
        "blend",
        "blends apart, bp",
    )
    for row in markets:
        table.add_row(
            str(row.market),
            f"{row.listings:,}",
            f"{row.loans:,}",
            pounds(row.lent),
            f"{row.parts:,}",
            pounds(row.on_offer),
            percent(row.traded_rate),
            *("" if ppm is None else percent(ppm) for ppm in (row.best_rate, row.marginal_rate)),
            "" if row.blend_rate is None else percent(row.blend_rate),
            "" if row.blend_rate is None else f"{row.deviation / 100_000:.2f}",
        )
    console.print(table)


def _quantiles(values: IntArray, write: Callable[[float], str]) -> list[str]:
    return [write(float(q)) for q in np.quantile(values, [0, 0.1, 0.5, 0.9, 1])]


def show_returns(
    console: Console, returns: Returns, names: Mapping[int, str], states: Mapping[str, int]
) -> None:
    """Returns by band, losses taken off, and how the loans stand."""
    table = _table(
        "Returns by band, losses taken off",
        "band",
        "lent",
        "interest",
        "fees",
        "lost",
        "outstanding",
        "asked",
        "told",
        "earned",
    )
    for place, group in enumerate(returns.group.tolist()):
        table.add_row(
            names[group],
            pounds(int(returns.lent[place])),
            pounds(int(returns.interest[place])),
            pounds(int(returns.fees[place])),
            pounds(int(returns.lost[place])),
            pounds(int(returns.outstanding[place])),
            f"{returns.gross[place]:.2%}",
            f"{returns.told[place]:.2%}",
            f"{returns.earned[place]:.2%}",
        )
    console.print(table)
    console.print(
        "Loans: " + ", ".join(f"{count} {state}" for state, count in states.items()),
        highlight=False,
    )


def show_audit(console: Console, findings: Sequence[Finding]) -> None:
    """Each rule of the audit, and whether it holds."""
    table = _table("The audit", "rule", "looked at", "wrong", "")
    for finding in findings:
        table.add_row(
            finding.rule,
            f"{finding.checked:,}",
            f"{finding.wrong:,}",
            "[green]holds[/]" if finding.holds else f"[bold red]FAILS[/] {finding.example}",
        )
    console.print(table)


def show_times(console: Console, times: Mapping[str, float]) -> None:
    """What each step took."""
    table = _table("What each step took", "step", "seconds")
    for step, seconds in times.items():
        table.add_row(step, f"{seconds:.1f}")
    table.add_section()
    table.add_row("all", f"{sum(times.values()):.1f}")
    console.print(table)
