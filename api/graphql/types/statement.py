"""Statements: what moved in a member's accounts, page by page, as known at any instant."""

# ruff: noqa: ARG004 - graphene hands root and info to every resolver.

from __future__ import annotations

from datetime import date, datetime
from enum import Enum
from typing import Any

import graphene
from django.core import signing
from graphene import relay
from graphene.relay.connection import PageInfo

from accounts.core.chart import MEMBER_KINDS, Kind
from accounts.core.statements import Line, Position
from accounts.selectors.known import LATEST, Known, known_seal
from accounts.selectors.statements import StatementPage, account_named, statement
from api.errors import InputRefused
from api.graphql.wire import Money
from api.wording import happened, other_side
from marketplace.selectors.paging import DEFAULT_PAGE, LARGEST_PAGE

StatementAccount = graphene.Enum(
    "StatementAccount", [(kind.name, kind.value) for kind in MEMBER_KINDS]
)


class StatementLine(graphene.ObjectType):
    """One amount in or out of the account."""

    effective_on = graphene.Date(required=True, description="The business date.")
    recorded_at = graphene.DateTime(required=True)
    kind = graphene.String(required=True, description='For programs, such as "deposit".')
    what = graphene.String(required=True, description="For people: what happened.")
    counterparty = graphene.String(required=True, description="For people: from or to where.")
    change = graphene.Field(Money, required=True, description="Below nothing if it went out.")
    balance = graphene.Field(
        Money, description="After this line; none while it is provisional: others may come first."
    )
    is_provisional = graphene.Boolean(
        required=True, description="Stored, but not yet part of what can't change any more."
    )

    @staticmethod
    def resolve_what(root: Line, info: graphene.ResolveInfo) -> str:
        """In plain words."""
        return happened(root.kind)

    @staticmethod
    def resolve_counterparty(root: Line, info: graphene.ResolveInfo) -> str:
        """Nobody else is named."""
        return other_side(root.counterparty)

    @staticmethod
    def resolve_is_provisional(root: Line, info: graphene.ResolveInfo) -> bool:
        """Whether it has no place in the journal yet."""
        return root.number is None


class ProvisionalLines(graphene.ObjectType):
    """What was stored since, and will be part of the statement soon."""

    lines = graphene.List(
        graphene.NonNull(StatementLine), required=True, description="The first hundred."
    )
    net = graphene.Field(Money, required=True, description="The sum of all.")
    has_more = graphene.Boolean(required=True)


class StatementConnection(relay.Connection):
    """Lines in order of business date, and the balances around them."""

    class Meta:
        node = StatementLine
        name = "StatementConnection"
        strict_types = True

    opening = graphene.Field(Money, required=True, description="Before the period.")
    closing = graphene.Field(Money, required=True, description="At the end of the period.")
    known_at = graphene.DateTime(
        description="Ask with this instant and the answer is the same for ever."
    )
    provisional = graphene.Field(
        ProvisionalLines, description="Only if no instant was asked for, and no cursor."
    )


class StatementField(graphene.Field):
    """A field with the arguments of :func:`ask`."""

    def __init__(self, connection: type[relay.Connection], **options: Any) -> None:
        super().__init__(
            connection,
            account=StatementAccount(description="Which of the member's; CASH without."),
            since=graphene.Date(required=True, name="from", description="The first day."),
            until=graphene.Date(required=True, description="The day after the last."),
            known_at=graphene.DateTime(description="As it was known then; all that is, without."),
            newest_first=graphene.Boolean(default_value=False),
            first=graphene.Int(description=f"1 to {LARGEST_PAGE} lines; {DEFAULT_PAGE} without."),
            after=graphene.String(description="A cursor: the line to go on from."),
            last=graphene.Int(description="Instead of first: the last lines."),
            before=graphene.String(description="A cursor: the line to end in front of."),
            **options,
        )


def ask(
    member_id: int,
    *,
    since: date,
    until: date,
    newest_first: bool,
    account: Enum | None = None,
    known_at: datetime | None = None,
    first: int | None = None,
    after: str | None = None,
    last: int | None = None,
    before: str | None = None,
) -> Any:
    """A page of a member's statement; its further pages know what its first page knew.

    Raises:
        InputRefused: a cursor of another statement, or a page asked for in two ways.
        AccountsRefusal: see :func:`accounts.selectors.statements.statement`.
    """
    is_backward = last is not None or before is not None
    if is_backward and (first is not None or after is not None):
        raise InputRefused("Ask for the first lines or for the last, not both.", field="last")
    size = last if is_backward else first
    limit = DEFAULT_PAGE if size is None else size
    if not 1 <= limit <= LARGEST_PAGE:
        raise InputRefused(f"A page has 1 to {LARGEST_PAGE} lines.", field="first")
    view = account_named(Kind(account.value) if account else Kind.CASH, member_id)
    cursors = _Cursors(f"{view.id}/{since}/{until}/{newest_first}")
    given = before if is_backward else after
    known = LATEST if known_at is None else Known(at=known_at)
    position = None
    if given is not None:
        number, position = cursors.read(given, "before" if is_backward else "after")
        if known_at is not None and known_seal(known).number != number:
            raise InputRefused(
                "The cursor is of a statement known at another time.", field="knownAt"
            )
        known = Known(number=number)
    page = statement(
        account_id=view.id,
        first=since,
        until=until,
        known=known,
        after=None if is_backward else position,
        before=position if is_backward else None,
        limit=limit,
        newest_first=newest_first,
        from_end=is_backward and position is None,
    )
    return _connection(page, cursors, known_at)


class _Cursors:
    """Cursors of one statement: signed, since they carry a balance, and of no use for another."""

    def __init__(self, statement_of: str) -> None:
        self._signer = signing.Signer(salt=f"statement/{statement_of}")

    def write(self, number: int, at: Position) -> str:
        """A line's cursor, and what its page knew."""
        fields = [number, at.effective_on.isoformat(), *at[1:]]
        return self._signer.sign_object(fields)

    def read(self, cursor: str, field: str) -> tuple[int, Position]:
        """What was known, and the line.

        Raises:
            InputRefused: a cursor that this statement never gave.
        """
        try:
            number, day, *rest = self._signer.unsign_object(cursor)
        except (signing.BadSignature, UnicodeError):
            raise InputRefused("This is not a cursor of this statement.", field=field) from None
        return number, Position(date.fromisoformat(day), *rest)


def _connection(page: StatementPage, cursors: _Cursors, known_at: datetime | None) -> Any:
    edges = [
        StatementConnection.Edge(node=line, cursor=cursors.write(page.known_number, line.position))
        for line in page.lines
    ]
    return StatementConnection(
        edges=edges,
        page_info=PageInfo(
            has_next_page=page.has_next,
            has_previous_page=page.has_previous,
            start_cursor=edges[0].cursor if edges else None,
            end_cursor=edges[-1].cursor if edges else None,
        ),
        opening=page.opening,
        closing=page.closing,
        known_at=known_at or page.known_at,
        provisional=page.provisional,
    )
