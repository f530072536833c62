"""What watching prints: tables for the risk officer."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from api.wording import pounds, printable
from risk.core.credit_loss import Stage
from risk.core.monitoring import Cohort, Finding
from risk.core.monthly_stability import MonthStability
from risk.core.roll_rates import Bucket
from risk.core.stability import Verdict
from risk.core.states import AlarmState
from risk.core.watching import Losses, Rolls
from risk.selectors.watching import AlarmView

STAGES = {
    Stage.PERFORMING: "1, twelve months",
    Stage.INCREASED: "2, lifetime",
    Stage.IMPAIRED: "3, impaired",
}
_LEFT = frozenset(
    {"cohort", "finding", "began in", "stage", "month", "what", "verdict", "kind", "about", "words"}
    | {"closed", "bands"}
)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", header_style="bold")
    for column in columns:
        table.add_column(column, justify="left" if column in _LEFT else "right")
    return table


def share(value: float) -> str:
    """A share in per cent, one decimal."""
    return f"{value * 100:.1f} %"


def chance(value: float) -> str:
    """A chance, small ones with their order of magnitude."""
    return f"{value:.3f}" if value >= 0.001 else f"{value:.1e}"


def show_cohorts(console: Console, cohorts: Sequence[Cohort]) -> None:
    """Predicted against actual."""
    table = _table(
        "Predicted against actual defaults by now, by quarter of pay-out and band",
        *("cohort", "loans", "expected", "95 % range", "actual", "chance"),
        *("expected £", "actual £", "chance £", "finding"),
    )
    for one in cohorts:
        young = "" if one.mature else " (young)"
        alarming = one.finding is not Finding.AS_EXPECTED
        finding = f"[bold red]{one.finding.value}[/]" if alarming else one.finding.value
        table.add_row(
            one.name,
            f"{one.loans:,}",
            f"{one.expected:,.1f}",
            f"{one.low:,}-{one.high:,}",
            f"{one.actual:,}",
            chance(one.chance),
            f"{one.expected_amount / 100:,.0f}",
            f"{one.actual_amount / 100:,.0f}",
            chance(one.amount_chance),
            finding + young,
        )
    console.print(table)


def show_rolls(console: Console, rolls: Rolls) -> None:
    """The matrix of moves, and what got worse."""
    names = [bucket.label for bucket in Bucket]
    matrix = _table(
        f"Roll rates a month, {rolls.from_} to {rolls.until}: share of loan-months, before in ()",
        *("began in", "loan-months", *names),
    )
    for start in Bucket:
        row = {roll.after: roll for roll in rolls.rolls if roll.before is start}
        if not row:
            continue
        of = next(iter(row.values())).of
        cells = []
        for end in Bucket:
            roll = row.get(end)
            before = roll.share_before if roll else None
            shown = "" if roll is None else share(roll.share)
            cells.append(shown + ("" if before is None else f" ({share(before)})"))
        matrix.add_row(start.label, f"{of:,}", *cells)
    console.print(matrix)


def show_stability(console: Console, model: str | None, found: Sequence[MonthStability]) -> None:
    """Stability of the score by month, and of inputs that have shifted."""
    if not found:
        console.print(
            "Stability: nothing to compare, the champion has assessed nobody in the window."
        )
        return
    table = _table(
        f"Stability of {printable(model or '')} by month: the score, and inputs that have shifted",
        *("month", "what", "rows", "index", "noise alone", "amber above", "red above", "verdict"),
    )
    colours = {Verdict.STABLE: "green", Verdict.AMBER: "yellow", Verdict.RED: "bold red"}
    hidden = 0
    for one in found:
        result = one.stability
        if one.what != "score" and result.verdict is Verdict.STABLE:
            hidden += 1
            continue
        table.add_row(
            one.month,
            escape(one.what),
            f"{result.recent_rows:,}",
            f"{result.index:.3f}",
            f"{result.expected_noise:.3f}",
            f"{result.amber:.3f}",
            f"{result.red:.3f}",
            f"[{colours[result.verdict]}]{result.verdict.value}[/]",
        )
    console.print(table)
    if hidden:
        console.print(f"{hidden:,} more comparisons of inputs are stable.", highlight=False)


def show_losses(
    console: Console, losses: Losses, opening: Losses | None, since: date | None
) -> None:
    """Expected credit loss by stage, and its movement."""
    moved = "" if since is None else f", and its movement since {since}"
    table = _table(
        f"Expected credit loss by IFRS 9 stage{moved}",
        *("stage", "loans", "outstanding", "expected loss", "coverage", "opening", "movement"),
        "bands",
    )
    before = {} if opening is None else {row.stage: row.loss for row in opening.totals}
    for row in losses.totals:
        bands = ", ".join(
            f"{each.band} {pounds(each.loss)}" for each in losses.rows if each.stage is row.stage
        )
        was = before.get(row.stage)
        table.add_row(
            STAGES[row.stage],
            f"{row.loans:,}",
            pounds(row.balance),
            pounds(row.loss),
            share(row.coverage),
            "" if was is None else pounds(was),
            "" if was is None else pounds(row.loss - was),
            bands,
        )
    table.add_section()
    table.add_row(
        "all",
        f"{losses.loans:,}",
        pounds(losses.balance),
        pounds(losses.loss),
        share(losses.loss / losses.balance if losses.balance else 0.0),
        "" if opening is None else pounds(opening.loss),
        "" if opening is None else pounds(losses.loss - opening.loss),
        "",
    )
    console.print(table)


def show_alarms(console: Console, title: str, found: Sequence[AlarmView]) -> None:
    """Alarms with their words."""
    if not found:
        console.print("No alarms.")
        return
    columns = ["no.", "raised", "kind", "about", "words"]
    closed = any(each.state is AlarmState.CLOSED for each in found)
    table = _table(title, *columns, *(["closed"] if closed else []))
    for each in found:
        row = [
            str(each.id),
            each.raised_on.isoformat(),
            each.kind.replace("_", " "),
            escape(each.subject),
            escape(each.words),
        ]
        if closed:
            said = printable(each.closing_word or "")
            by = f"{each.closed_on} by {each.closed_by}: {said}"
            row.append(escape(by) if each.state is AlarmState.CLOSED else "open")
        table.add_row(*row)
    console.print(table)
