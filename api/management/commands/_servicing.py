"""What ``manage.py servicing`` shows: a loan with all that happened to it, and quotes."""

from __future__ import annotations

from datetime import date

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from api.wording import percent, pounds, printable
from marketplace.core.settlement import SettlementQuote
from marketplace.selectors.loan_quotes import (
    ChangeQuote,
    PrepaymentQuote,
    RescissionQuote,
    Terms,
)
from marketplace.selectors.loan_sheet import LoanSheet

_WIDTH = 140


def show_sheet(sheet: LoanSheet, on: date) -> None:
    """Everything about a loan."""
    loan, owed = sheet.loan, sheet.loan.owed
    head = (
        f"Loan {loan.key} of {sheet.borrower}, {loan.band}/{loan.term_months}: {loan.state.value}\n"
        f"{pounds(loan.amount)} at {percent(loan.rate)} %, paid out {loan.paid_out_on or '-'}"
        f"; outstanding {pounds(loan.outstanding)}\n"
        f"owed now {pounds(owed.total)} (interest {pounds(owed.interest)},"
        f" principal {pounds(owed.principal)}), {loan.days_past_due(on)} days past due"
    )
    Console(width=_WIDTH).print(
        Group(Text(head), _instalments(sheet), _payments(sheet), _events(sheet), _moves(sheet))
    )


def _instalments(sheet: LoanSheet) -> Table:
    table = Table("no.", "due on", "kind", "principal", "interest", "paid", title="Instalments")
    for row in sheet.loan.instalments:
        interest = row.interest_planned if row.interest_due is None else row.interest_due
        table.add_row(
            str(row.number),
            row.due_on.isoformat(),
            row.kind.value,
            pounds(row.principal_due),
            pounds(interest) + (" planned" if row.interest_due is None else ""),
            pounds(row.principal_paid + row.interest_paid),
        )
    return table


def _payments(sheet: LoanSheet) -> Table:
    table = Table(
        *("no.", "received", "clears", "kind", "amount", "interest", "principal", "became"),
        *("returned", "reference"),
        title="Payments",
    )
    for row in sheet.payments:
        table.add_row(
            str(row.number),
            row.received_on.isoformat(),
            row.clears_on.isoformat(),
            row.kind.value,
            pounds(row.amount),
            pounds(row.interest),
            pounds(row.principal),
            row.outcome.value,
            pounds(row.returned),
            Text(printable(row.reference)),
        )
    return table


def _events(sheet: LoanSheet) -> Table:
    table = Table("no.", "kind", "counts from", "recorded", "of", "taken back", title="Events")
    for row in sheet.events:
        told = [
            pounds(row.amount) if row.amount else "",
            f"{pounds(row.interest)} interest" if row.interest else "",
            f"{row.months} months" if row.months else "",
            f"day {row.day}" if row.day else "",
            f"until {row.until}" if row.until else "",
        ]
        table.add_row(
            str(row.number),
            row.kind.value,
            row.effective_on.isoformat(),
            row.recorded_on.isoformat(),
            ", ".join(filter(None, told)),
            str(row.voided_on or ""),
        )
    return table


def _moves(sheet: LoanSheet) -> Table:
    table = Table("counts from", "recorded", "from", "to", "because", title="States")
    for row in sheet.moves:
        table.add_row(
            row.moved_on.isoformat(),
            row.recorded_on.isoformat(),
            row.before,
            row.after,
            Text(printable(row.reason)),
        )
    return table


def show_settlement(quote: SettlementQuote) -> None:
    """The figure that settles a loan, and what it is made of."""
    _show_figure(f"To settle on {quote.on}", quote)


def show_rescission(quote: RescissionQuote) -> None:
    """What stepping back costs, and what is given back beside it."""
    _show_figure(
        f"To step back on {quote.figure.on}",
        quote.figure,
        ("arrangement fee given back", quote.refunded),
        ("net of the fee", quote.net),
    )


def _show_figure(title: str, quote: SettlementQuote, *beside: tuple[str, int]) -> None:
    table = Table("what", "pounds", title=title, title_justify="left")
    for what, pence in (
        ("interest overdue", quote.interest_overdue),
        ("principal overdue", quote.principal_overdue),
        ("principal not yet due", quote.principal_not_due),
        (f"interest for {quote.days} days", quote.interest_stub),
        ("in all", quote.total),
        ("paid already, waiting", quote.waiting),
        ("to pay", quote.to_pay),
        *beside,
    ):
        table.add_row(what, pounds(pence))
    Console(width=_WIDTH).print(table)


def show_prepayment(quote: PrepaymentQuote) -> None:
    """Both choices of a prepayment beside the loan as it is."""
    title = f"{pounds(quote.prepaid)} repay principal, {pounds(quote.due)} go to what is due"
    _show_terms(
        title,
        ("as it is", quote.before, 0),
        ("shorter", quote.shorter, -quote.saved_shorter),
        ("smaller", quote.smaller, -quote.saved_smaller),
    )


def show_change(quote: ChangeQuote) -> None:
    """A loan before and after a change."""
    _show_terms(
        "The change", ("as it is", quote.before, 0), ("changed", quote.after, quote.interest_more)
    )


def _show_terms(title: str, *columns: tuple[str, Terms, int]) -> None:
    table = Table(
        *("", "instalment", "to come", "next", "last", "interest to come", "interest more"),
        title=title,
        title_justify="left",
    )
    for name, terms, more in columns:
        table.add_row(
            name,
            pounds(terms.instalment),
            str(terms.instalments),
            str(terms.next_due_on or ""),
            str(terms.last_due_on or ""),
            pounds(terms.interest_to_come),
            pounds(more),
        )
    Console(width=_WIDTH).print(table)
