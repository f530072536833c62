"""Statements: any account over any period, as known at any time, a page at a time.

What is known is what was sealed by then, so an answer never changes afterwards. A page costs the
same at a thousand and at a million lines: balances come from ``accounts_daybalance``, lines from
the indexes by account and date.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django.db import connection, transaction

from accounts.core.chart import Kind
from accounts.core.errors import AccountsRefusal
from accounts.core.journal import JournalMalformed, account_line, account_name
from accounts.core.statements import (
    Line,
    Position,
    Provisional,
    running_backwards,
    running_forwards,
)
from accounts.selectors.known import LATEST, Known, KnownSeal, known_seal
from accounts.selectors.ledger import AccountMissing

DEFAULT_LINES = 50
MOST_LINES = 1_000
MOST_PROVISIONAL = 100

# Every line of a page is found by an index in the page's order: a plan that collects and sorts
# would read an account's whole history when the planner takes it for a small one.
_BY_INDEX = ("enable_bitmapscan", "enable_seqscan", "enable_hashjoin", "enable_mergejoin")


class PeriodRefused(AccountsRefusal):
    """A period that ends before it begins."""

    code = "PERIOD_REFUSED"


class LinesRefused(AccountsRefusal):
    """A page of no lines or of too many, or one that would begin at two places."""

    code = "LINES_REFUSED"


@dataclass(frozen=True)
class AccountView:
    """An account that statements are made of; ``side`` is 1 if it grows by credits, else -1."""

    id: int
    kind: Kind
    owner_id: int
    stripe: int
    side: int

    @property
    def name(self) -> str:
        """As the journal names it."""
        return account_name(self.kind, self.owner_id, self.stripe)


def account_named(kind: Kind, owner_id: int, stripe: int = 0) -> AccountView:
    """An account by what it is for and whose it is; one statement.

    Raises:
        AccountMissing: it was never opened.
    """
    return _account("kind = %s AND owner_id = %s AND stripe = %s", [str(kind), owner_id, stripe])


def account_of_member(email: str, kind: Kind) -> AccountView:
    """A member's account by the address they sign in with; one statement.

    Raises:
        AccountMissing: nobody signs in with it, or they have no such account.
    """
    return _account(
        "kind = %s AND owner_id = (SELECT id FROM accounts_member WHERE email = lower(%s))",
        [str(kind), email],
    )


def account_by_name(name: str) -> AccountView:
    """An account as the journal names it, such as ``cash/7`` or ``fees/0/3``; one statement.

    Raises:
        AccountMissing: there is none of that name.
    """
    try:
        line = account_line(name)
    except JournalMalformed as refusal:
        raise AccountMissing(refusal.message, field="account") from refusal
    _, owner, stripe = f"{name}/0".split("/")[:3]
    return account_named(line.kind, int(owner), int(stripe))


@dataclass(frozen=True)
class StatementPage:
    """A page of a statement; pence in the account's own sign.

    Attributes:
        account: whose lines they are.
        first, until: the period, ``until`` not being part of it.
        opening: balance at the end of the day before the period.
        closing: balance at the end of the period.
        lines: sealed lines with running balances, in the order asked for.
        has_next, has_previous: whether lines of the period come after or before them in that order.
        known_number: the last entry of the journal that is known, 0 if none.
        known_at: when that was sealed.
        provisional: what is stored and not sealed, if all that is sealed was asked for.
    """

    account: AccountView
    first: date
    until: date
    opening: int
    closing: int
    lines: tuple[Line, ...]
    has_next: bool
    has_previous: bool
    known_number: int
    known_at: datetime | None
    provisional: Provisional | None


@dataclass(frozen=True)
class _Ends:
    opening: int
    closing: int
    latest_on: date | None


def statement(
    *,
    account_id: int,
    first: date,
    until: date,
    known: Known = LATEST,
    after: Position | None = None,
    before: Position | None = None,
    limit: int = DEFAULT_LINES,
    newest_first: bool = False,
    from_end: bool = False,
) -> StatementPage:
    """A page of an account's statement: at most ten statements, however long its history.

    Args:
        account_id: one account; a platform's account is one of its stripes.
        first, until: business dates, ``until`` not being part of the period.
        known: ask the further pages of a statement with the first one's ``known_number``.
        after: the page begins behind this line, in the order asked for.
        before: the page ends in front of this line, in the order asked for.
        limit: the most lines, 1 to 1,000.
        newest_first: the order; lines are ordered by business date and transfer.
        from_end: the page ends with the last line, as if ``before`` named what follows it.

    Raises:
        AccountMissing, KnownAtRefused, PeriodRefused, LinesRefused.
    """
    if first > until:
        raise PeriodRefused("A period can't end before it begins.", field="until")
    if not 1 <= limit <= MOST_LINES:
        raise LinesRefused(f"A page has 1 to {MOST_LINES:,} lines.", field="limit")
    if (after is not None) + (before is not None) + from_end > 1:
        raise LinesRefused("A page begins after a line or ends before one, not both.")
    account = _account("id = %s", [account_id])
    seal = known_seal(known)
    is_backward = before is not None or from_end
    is_falling = newest_first != is_backward
    with _by_index():
        ends = _ends(account.id, first, until, seal.number)
        found = _lines(
            account, (first, _end(until, ends)), seal, after or before, is_falling, limit
        )
    done = _with_balances(found[:limit], ends, after or before, is_falling)
    lines = tuple(reversed(done)) if is_backward else tuple(done)
    beyond, is_within = len(found) > limit, after is not None or before is not None
    return StatementPage(
        account=account,
        first=first,
        until=until,
        opening=ends.opening,
        closing=ends.closing,
        lines=lines,
        has_next=is_within if is_backward else beyond,
        has_previous=beyond if is_backward else is_within,
        known_number=seal.number,
        known_at=seal.at,
        provisional=_provisional(account, first, until, seal) if known == LATEST else None,
    )


def _account(condition: str, parameters: list[Any]) -> AccountView:
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT id, kind, owner_id, stripe, side FROM accounts_account WHERE {condition}",
            parameters,
        )
        row = cursor.fetchone()
    if row is None:
        raise AccountMissing("There is no such account.", field="account")
    return AccountView(row[0], Kind(row[1]), *row[2:])


@contextmanager
def _by_index() -> Iterator[None]:
    """Let the planner read by index only, in here; two statements beside the transaction's."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("; ".join(f"SET LOCAL {name} = off" for name in _BY_INDEX))
        yield
        cursor.execute("; ".join(f"SET LOCAL {name} TO DEFAULT" for name in _BY_INDEX))


# Of a date, the newest balance up to a number; of a date that was first touched later there is
# none, and the date before it is tried. ``latest_on``, as known then, spares all later dates.
_ENDS = """
WITH RECURSIVE latest AS MATERIALIZED (
    SELECT latest_on FROM accounts_daybalance WHERE account_id = %(account)s
    AND number <= %(number)s ORDER BY number DESC LIMIT 1
), tried (until, day) AS (
    SELECT u.until, (SELECT max(effective_on) FROM accounts_daybalance
        WHERE account_id = %(account)s AND effective_on < least(u.until, latest_on + 1))
    FROM latest CROSS JOIN (VALUES (%(first)s::date), (%(until)s::date)) AS u (until)
    UNION
    SELECT t.until, (SELECT max(effective_on) FROM accounts_daybalance
        WHERE account_id = %(account)s AND effective_on < t.day)
    FROM tried AS t WHERE t.day IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM accounts_daybalance WHERE account_id = %(account)s
        AND effective_on = t.day AND number <= %(number)s)
), found (until, balance) AS (
    SELECT DISTINCT ON (t.until) t.until, (SELECT balance FROM accounts_daybalance
        WHERE account_id = %(account)s AND effective_on = t.day AND number <= %(number)s
        ORDER BY number DESC LIMIT 1)
    FROM tried AS t ORDER BY t.until, t.day NULLS FIRST
)
SELECT coalesce((SELECT balance FROM found WHERE until = %(first)s), 0),
    coalesce((SELECT balance FROM found WHERE until = %(until)s), 0), (SELECT latest_on FROM latest)
"""


def _ends(account_id: int, first: date, until: date, number: int) -> _Ends:
    """Balances at the two ends of a period, as known by a number; one statement."""
    with connection.cursor() as cursor:
        cursor.execute(
            _ENDS, {"account": account_id, "first": first, "until": until, "number": number}
        )
        return _Ends(*cursor.fetchone())


def _end(until: date, ends: _Ends) -> date:
    """Where lines end: nothing known is later, so that what came since isn't read."""
    if ends.latest_on is None:
        return date.min
    return min(until, date.fromordinal(ends.latest_on.toordinal() + 1))


_LEG = """
(SELECT t.id, t.entry_id, t.effective_on, {sign} * t.amount AS change, t.{other}_id AS other,
    s.number
 FROM accounts_transfer AS t JOIN accounts_sealedentry AS s
    ON s.entry_id = t.entry_id AND s.number <= %(number)s
 WHERE t.{mine}_id = %(account)s AND t.effective_on >= %(first)s AND t.effective_on < %(until)s
    AND {beyond}
 ORDER BY t.effective_on {order}, t.id {order} LIMIT %(limit)s)
"""
_LINE = (
    "l.number, l.id, e.id, e.kind, e.key, e.reference, l.effective_on, e.recorded_at, l.change,"
    " o.kind, o.owner_id, o.stripe"
)
_JOINED = (
    " JOIN accounts_entry AS e ON e.id = l.entry_id JOIN accounts_account AS o ON o.id = l.other"
)


def _lines(
    account: AccountView,
    period: tuple[date, date],
    seal: KnownSeal,
    start: Position | None,
    is_falling: bool,  # noqa: FBT001 - a direction, beside the place where it starts
    limit: int,
) -> list[Line]:
    """Up to one line more than ``limit`` from a position on, without balances; one statement."""
    first, until = period
    order, sign = ("DESC", "<") if is_falling else ("ASC", ">")
    beyond = f"(t.effective_on, t.id) {sign} (%(day)s, %(transfer)s)" if start else "true"
    if start is not None and is_falling:
        until = min(until, date.fromordinal(start.effective_on.toordinal() + 1))
    elif start is not None:
        first = max(first, start.effective_on)
    legs = " UNION ALL ".join(
        _LEG.format(mine=mine, other=other, sign=side, beyond=beyond, order=order)
        for mine, other, side in (
            ("debit", "credit", -account.side),
            ("credit", "debit", account.side),
        )
    )
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {_LINE} FROM ({legs} ORDER BY effective_on {order}, id {order}"
            f" LIMIT %(limit)s) AS l{_JOINED} ORDER BY l.effective_on {order}, l.id {order}",
            {
                "account": account.id,
                "number": seal.number,
                "first": first,
                "until": until,
                "day": start.effective_on if start else None,
                "transfer": start.transfer_id if start else None,
                "limit": limit + 1,
            },
        )
        return [_line(row) for row in cursor.fetchall()]


def _line(row: tuple[Any, ...]) -> Line:
    number, transfer, entry, kind, key, reference, day, recorded_at, change, *other = row[:12]
    return Line(
        number=number,
        transfer_id=transfer,
        entry_id=entry,
        kind=kind,
        key=key,
        reference=reference,
        effective_on=day,
        recorded_at=recorded_at,
        change=change,
        balance=None,
        counterparty=account_name(*other),
    )


def _with_balances(
    lines: list[Line],
    ends: _Ends,
    start: Position | None,
    is_falling: bool,  # noqa: FBT001
) -> list[Line]:
    """The lines as read, with balances from where reading started."""
    if is_falling:
        return running_backwards(lines, start.balance - start.change if start else ends.closing)
    return running_forwards(lines, start.balance if start else ends.opening)


# The index on entry ids finds the transfers of what isn't sealed, whatever the account's history.
_UNSEALED = f"""
SELECT {_LINE}, l.net, l.rows FROM (
    SELECT *, sum(change) OVER ()::bigint AS net, count(*) OVER () AS rows FROM (
        SELECT NULL::bigint AS number, t.id, t.entry_id, t.effective_on,
            t.amount * CASE WHEN t.credit_id = %(account)s THEN %(side)s ELSE -%(side)s END
                AS change,
            CASE WHEN t.credit_id = %(account)s THEN t.debit_id ELSE t.credit_id END AS other
        FROM accounts_transfer AS t JOIN accounts_entry AS n ON n.id = t.entry_id
        WHERE t.entry_id BETWEEN %(low)s AND %(high)s
            AND t.effective_on BETWEEN %(earliest)s AND %(latest)s
            AND (t.debit_id = %(account)s OR t.credit_id = %(account)s)
            AND n.made_in >= %(horizon)s::text::xid8
    ) AS theirs
    ORDER BY effective_on, id LIMIT {MOST_PROVISIONAL}
) AS l {_JOINED} ORDER BY l.effective_on, l.id
"""


def _provisional(account: AccountView, first: date, until: date, seal: KnownSeal) -> Provisional:
    """What isn't sealed yet, in the period; two statements, as long as the unsealed are many."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT min(id), max(id), min(effective_on), max(effective_on) FROM accounts_entry"
            " WHERE made_in >= %s::text::xid8 AND effective_on >= %s AND effective_on < %s",
            [seal.horizon, first, until],
        )
        bounds = dict(zip(("low", "high", "earliest", "latest"), cursor.fetchone(), strict=True))
        if bounds["low"] is None:
            return Provisional()
        mine = {"account": account.id, "side": account.side, "horizon": seal.horizon}
        cursor.execute(_UNSEALED, {**mine, **bounds})
        rows = cursor.fetchall()
    net, count = rows[0][12:] if rows else (0, 0)
    return Provisional(tuple(_line(row) for row in rows), net, count)
