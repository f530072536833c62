"""What ``manage.py collections`` prints: tables for the people of operations."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from accounts.selectors.collecting import CollectionFileView, CollectionView, MandateView
from api.management.commands._bank_tables import _foreign, _table
from api.wording import pounds


def show_collections(console: Console, title: str, collections: Sequence[CollectionView]) -> None:
    """Direct debits, and how many they are for how much."""
    table = _table(title, "id", "for", "due", "try", "collect", "state", "amount", "why", "file")
    for one in collections:
        table.add_row(
            one.end_to_end_id,
            one.subject,
            str(one.due_on),
            str(one.attempt),
            str(one.collect_on),
            one.state,
            pounds(one.amount),
            _foreign(one.reason),
            one.file,
        )
    console.print(table)
    total = sum(one.amount for one in collections)
    console.print(f"{len(collections):,} direct debits, {pounds(total)}.", highlight=False)


def show_mandates(console: Console, mandates: Sequence[MandateView]) -> None:
    """Who has let us collect."""
    table = _table("Mandates", "id", "member", "reference", "account", "signed")
    for one in mandates:
        table.add_row(
            str(one.key), _foreign(one.email), one.reference, one.masked, str(one.signed_on)
        )
    console.print(table)


def show_files(console: Console, files: Sequence[CollectionFileView]) -> None:
    """Files for the bank."""
    table = _table("Files", "id", "made on", "direct debits", "amount")
    for one in files:
        table.add_row(one.message_id, str(one.made_on), f"{one.count:,}", pounds(one.total))
    console.print(table)
