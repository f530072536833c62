"""What ``manage.py bank`` prints: tables for the people of operations."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from accounts.selectors.banking import (
    DetailsView,
    FileView,
    PaymentView,
    SuspenseView,
    UnexplainedView,
)
from accounts.services.bank_import import ImportedFile
from api.wording import pounds, printable


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", header_style="bold")
    for column in columns:
        table.add_column(column, justify="right" if column in ("amount", "days") else "left")
    return table


def _foreign(text: str) -> Text:
    """What people or banks wrote, with neither markup nor commands to the terminal."""
    return Text(printable(text))


def show_imported(console: Console, name: str, imported: ImportedFile) -> None:
    """What became of a file."""
    if imported.unchanged:
        console.print(f"{name}: nothing new (file {imported.file_id}).", markup=False)
        return
    lines = sum(imported.outcomes.values())
    console.print(
        f"{name}: {imported.statements} statements, {lines:,} lines (file {imported.file_id}).",
        markup=False,
        highlight=False,
    )
    for outcome, count in sorted(imported.outcomes.items()):
        console.print(f"  {count:>7,}  {outcome.replace('_', ' ')}", highlight=False)
    if imported.debt_repaid:
        console.print(f"  debts repaid: {pounds(imported.debt_repaid)}", highlight=False)


def show_suspense(
    console: Console, items: Sequence[SuspenseView], lines: Sequence[UnexplainedView]
) -> None:
    """Money that is nobody's yet, and lines that nobody can explain."""
    table = _table("In suspense", "item", "arrived", "days", "amount", "state", "from", "text")
    for item in items:
        table.add_row(
            str(item.key),
            str(item.arrived_on),
            str(item.days),
            pounds(item.amount),
            item.state,
            _foreign(item.counterparty),
            _foreign(item.remittance),
        )
    console.print(table)
    unexplained = _table("Unexplained", "line", "account", "booked", "days", "amount", "end to end")
    for line in lines:
        unexplained.add_row(
            str(line.key),
            line.account,
            str(line.booked_on),
            str(line.days),
            pounds(line.amount),
            _foreign(line.end_to_end_id or ""),
        )
    console.print(unexplained)


def show_details(console: Console, details: Sequence[DetailsView]) -> None:
    """Bank details that wait to be verified."""
    table = _table("Bank details to verify", "id", "member", "holder", "account", "registered")
    for one in details:
        table.add_row(
            str(one.key),
            _foreign(one.email),
            _foreign(one.holder),
            one.masked,
            str(one.registered_on),
        )
    console.print(table)


def show_payments(console: Console, payments: Sequence[PaymentView]) -> None:
    """Payments asked for or with the bank."""
    table = _table(
        "Payments under way", "id", "kind", "state", "amount", "to", "asked for", "end to end"
    )
    for payment in payments:
        table.add_row(
            str(payment.key),
            payment.kind,
            payment.state,
            pounds(payment.amount),
            payment.masked,
            str(payment.requested_on),
            payment.end_to_end_id,
        )
    console.print(table)


def show_files(console: Console, files: Sequence[FileView]) -> None:
    """Bank files that were refused."""
    table = _table("Refused files", "id", "name", "format", "received", "code", "why")
    for file in files:
        table.add_row(
            str(file.key),
            _foreign(file.name),
            file.format,
            str(file.received_on),
            file.refusal_code,
            _foreign(file.refusal_message),
        )
    console.print(table)
