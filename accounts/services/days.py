"""Closing business dates and accounts: what is closed takes no more postings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from django.db import connection, transaction
from django.db.utils import DatabaseError

from accounts.core.errors import AccountsRefusal
from accounts.models import Account
from accounts.services.posting import DateRefused


class AccountNotEmpty(AccountsRefusal):
    """An account that can't be closed: something is in it, or it is closed already."""

    code = "ACCOUNT_NOT_EMPTY"


@dataclass(frozen=True)
class ClosedDate:
    """A business date and whether it was this call that closed it."""

    day: date
    newly: bool


def close_date(*, day: date, actor: str) -> ClosedDate:
    """Close a business date and all before it: nothing can be booked on them any more.

    Waits for the postings that are under way. Closing a date again, or an earlier one, changes
    nothing. There is no way back: a correction is a reversal on an open date.

    Raises:
        DateRefused: a date that has not come yet.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(7401, 1)")
        cursor.execute("SELECT max(day) FROM accounts_closedday")
        (latest,) = cursor.fetchone()
        if latest is not None and day <= latest:
            return ClosedDate(day, newly=False)
        try:
            cursor.execute(
                "INSERT INTO accounts_closedday (day, actor) VALUES (%s, %s)", [day, actor]
            )
        except DatabaseError as error:
            if getattr(error.__cause__, "sqlstate", None) != "TN006":
                raise
            raise DateRefused(f"{day} is not over yet.", field="day") from error
    return ClosedDate(day, newly=True)


def close_accounts(*, owner_id: int, kinds: Sequence[str], on: date) -> None:
    """Close the accounts of a member who leaves, or of a loan that is over; all or none.

    Args:
        owner_id: the member's or the loan's id, not 0.
        kinds: which of the owner's accounts.
        on: the business date.

    Raises:
        AccountNotEmpty: one of them holds something, is closed already or doesn't exist.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        ids = list(
            Account.objects.filter(owner_id=owner_id, kind__in=kinds).values_list("pk", flat=True)
        )
        try:
            cursor.execute("SELECT accounts_close_accounts(%s::integer[], %s)", [ids, on])
        except DatabaseError as error:
            if getattr(error.__cause__, "sqlstate", None) != "TN007":
                raise
            raise AccountNotEmpty(
                "Only open accounts with nothing in them can be closed."
            ) from error
        if len(ids) != len(set(kinds)):
            raise AccountNotEmpty("One of these accounts was never opened.")
