"""What the commands of the provision fund and of arrears print."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from api.wording import pounds, printable, short_percent
from marketplace.core.bad_debt import ArrearsReport, Count, Group, LendingYear
from marketplace.core.fund_coverage import Coverage
from marketplace.selectors.provision_fund import ClaimView, DecisionView, FundDay

_TEXT = frozenset({"", "on", "of", "what", "state", "loan is", "by", "second", "reason", "losses"})


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", header_style="bold")
    for column in columns:
        table.add_column(column, justify="left" if column in _TEXT else "right")
    return table


def show_coverage(console: Console, title: str, found: Coverage) -> None:
    """The warning first, then the ratios with both of their sides, then what makes them up."""
    console.print(found.warning, style="bold")
    console.print(found.headline, style="green" if found.covers_expected else "bold red")
    table = _table(title, "losses", "fund's money", "losses to come", "missing", "for each £1.00")
    for each in found.ratios:
        table.add_row(
            each.title,
            *map(pounds, (each.money, each.losses, each.missing)),
            each.times,
            style="red" if each.missing else None,
        )
    console.print(table)
    figures = found.figures
    table = _table("What makes it up", "what", "pounds")
    for what, pence in (
        ("the fund's money", figures.balance),
        ("claims that wait", figures.waiting),
        (f"outstanding on {figures.loans:,} covered loans that run", figures.outstanding),
        ("of it late or borne with: stressed losses count it as lost", figures.in_trouble),
        ("expected losses of those loans still to come", figures.losses),
        ("the same under stress", figures.stressed_losses),
        (f"contributions of {figures.coming_loans:,} loans to be paid out", figures.contributions),
        ("expected losses of those", figures.coming_losses),
        ("the same under stress", figures.coming_stressed_losses),
        ("claims that the fund owns", figures.owned),
        ("recoveries expected of them and of claims that wait", figures.recoveries),
        ("the same under stress", figures.stressed_recoveries),
    ):
        table.add_row(what, pounds(pence))
    console.print(table)


def show_claims(console: Console, title: str, claims: Sequence[ClaimView]) -> None:
    """Claims with what is unpaid of each, and their sum."""
    table = _table(
        title,
        *("claim", "loan", "on", "state", "loan is", "claimed", "paid", "unpaid principal"),
        *("unpaid interest", "owned by the fund"),
    )
    for each in claims:
        table.add_row(
            str(each.claim_id),
            str(each.loan_id),
            each.claimed_on.isoformat(),
            each.state.value.replace("_", " "),
            each.loan_state.value.replace("_", " "),
            pounds(each.claimed_principal + each.claimed_interest),
            *map(pounds, (each.paid, each.principal, each.interest, each.owned)),
        )
    console.print(table)
    console.print(f"{len(claims):,} claims, {pounds(sum(c.unpaid for c in claims))} unpaid.")


def show_history(console: Console, days: Sequence[FundDay]) -> None:
    """The fund's money day by day."""
    table = _table("The fund's money", "on", "fed", "paid", "recovered", "other", "balance")
    for day in days:
        amounts = (day.fed, day.paid, day.recovered, day.other, day.balance)
        table.add_row(day.on.isoformat(), *map(pounds, amounts))
    console.print(table)


def show_decisions(console: Console, decisions: Sequence[DecisionView]) -> None:
    """What was decided of claims, by whom and why."""
    table = _table(
        "Decisions",
        *("no.", "on", "proportion", "claims", "claimed", "paid", "fund had", "by", "second"),
        "reason",
    )
    for each in decisions:
        table.add_row(
            str(each.decision_id),
            each.decided_on.isoformat(),
            f"{short_percent(each.proportion_ppm)} %",
            f"{each.claims:,}",
            *map(pounds, (each.claimed, each.paid, each.balance_before)),
            *(Text(printable(text)) for text in (each.decided_by, each.second, each.reason)),
        )
    console.print(table)


def show_arrears(console: Console, report: ArrearsReport) -> None:
    """The book by days past due, the two measures, and the years of lending."""
    groups = [report.all, *report.bands, *report.markets]
    buckets = [bucket.value for bucket, _ in report.all.buckets]
    table = _table(
        f"Loans that run on {report.on}, by days past due: loans and principal",
        *("of", *buckets, "in all"),
    )
    for group in groups:
        table.add_row(
            group.name, *(_said(count) for _, count in group.buckets), _said(group.running)
        )
    console.print(table)
    table = _table(
        "Bad debt by the house's rule and by the industry's",
        *("of", "borne with", "arrears (over 45 days)", "default (120 days)", "house's default"),
    )
    for group in groups:
        table.add_row(group.name, *_measures(group))
    console.print(table)
    table = _table(
        "By year of lending",
        *("of", "loans", "lent", "outstanding", "arrears", "% of it", "defaults expected", "%"),
        *("defaults", "%"),
    )
    for year in report.years:
        table.add_row(str(year.year), *_year(year))
    console.print(table)


def _said(count: Count) -> str:
    return f"{count.loans:,}  {pounds(count.principal)}" if count.loans else ""


def _measures(group: Group) -> tuple[str, ...]:
    counts = (group.forborne, group.industry_arrears, group.industry_default, group.house_default)
    return tuple(_said(count) for count in counts)


def _year(year: LendingYear) -> tuple[str, ...]:
    return (
        f"{year.loans:,}",
        pounds(year.lent),
        pounds(year.outstanding),
        pounds(year.arrears),
        _share(year.arrears_ppm),
        pounds(year.expected_defaults),
        _share(year.expected_ppm),
        pounds(year.defaults),
        _share(year.defaults_ppm),
    )


def _share(ppm: int | None) -> str:
    return "" if ppm is None else short_percent(ppm)
