"""Recording reconciliations, and closing breaks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from typing import Any

from django.db import connection, transaction
from django.db.models import Max

from accounts.core.errors import AccountsRefusal
from accounts.core.reconciliation import (
    BreakState,
    Changes,
    Check,
    Finding,
    ReconciliationKind,
    SealMark,
    changes,
)
from accounts.models import Break, Reconciliation, ReconciliationCheck
from accounts.selectors.reconciliations import operation_name
from accounts.services.idempotency import once
from accounts.services.transactions import require_transaction

LONGEST_NOTE = 500


class ReconciliationDateRefused(AccountsRefusal):
    """A business date before the last one that was reconciled: breaks age one way only."""

    code = "RECONCILIATION_DATE_REFUSED"


class BreakUnknown(AccountsRefusal):
    """A break that doesn't exist."""

    code = "BREAK_UNKNOWN"


class BreakNotOpen(AccountsRefusal):
    """A break that was resolved or cleared before."""

    code = "BREAK_NOT_OPEN"


class NoteRefused(AccountsRefusal):
    """A break can't be resolved without saying why, or by too long a story."""

    code = "BREAK_NOTE_REFUSED"


@contextmanager
def one_snapshot() -> Iterator[None]:
    """A transaction that sees the database as of one instant, and in which breaks stand still.

    So everything that is compared inside is as of the same instant, whatever is posted meanwhile:
    half of what a posting changed can't be seen. Locking a table takes no snapshot, so what is seen
    is what was there once every reconciliation before this one had ended.

    Inside another transaction it can't begin a snapshot of its own: what is seen is then up to that
    transaction.
    """
    inside = connection.in_atomic_block
    with transaction.atomic(), connection.cursor() as cursor:
        if not inside:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        cursor.execute("LOCK TABLE accounts_break IN SHARE ROW EXCLUSIVE MODE")
        yield


def record(
    *,
    on: date,
    kind: ReconciliationKind,
    checks: Sequence[Check],
    actor: str,
    key: str,
    sealed: SealMark | None = None,
) -> int:
    """Keep what a reconciliation found, and what becomes of breaks; a fixed number of statements.

    A finding with an open break of its rule and reference makes that one older; one without is a
    new break, which names the one before it if there was one. Open breaks of the rules that were
    checked and that are found no more are cleared. Call it inside :func:`one_snapshot`.

    Args:
        on: business date, not before the last one reconciled.
        kind: internal or external.
        checks: each rule once.
        actor: who reconciles.
        key: idempotency key, unique for the actor and the kind.
        sealed: up to where the journal was found to fit.

    Returns:
        id of the reconciliation; the first one again for a key used before.

    Raises:
        ReconciliationDateRefused: a later date was reconciled before.
        KeyRefused, IdempotencyConflict.
    """
    require_transaction()

    def keep() -> dict[str, Any]:
        _check_date(on, kind)
        made = _write(on, kind, checks, actor, sealed)
        open_breaks = {
            (rule, reference): number
            for number, rule, reference in Break.objects.filter(
                state=BreakState.OPEN, rule__in=[check.rule for check in checks]
            ).values_list("pk", "rule", "reference")
        }
        _move_breaks(changes(open_breaks, checks), on, made)
        return {"reconciliation": made.pk}

    answer = once(scope=actor, name=operation_name(kind), key=key, content={"on": on}, action=keep)
    reconciliation: int = answer["reconciliation"]
    return reconciliation


def resolve_break(*, break_id: int, note: str, actor: str, on: date) -> None:
    """Say why a break is none, or what was done about it; it is closed for good.

    If the next reconciliation still finds it, that is a new break, which follows this one. A line
    of the bank's that nobody could explain is explained by this.

    Args:
        break_id: which.
        note: 1 to 500 characters, without personal data.
        actor: who resolves it.
        on: business date.

    Raises:
        NoteRefused: no note, or too long a one.
        BreakUnknown: no such break.
        BreakNotOpen: it was closed before.
    """
    text = note.strip()
    if not 0 < len(text) <= LONGEST_NOTE or not text.isprintable():
        raise NoteRefused(
            f"Say in 1 to {LONGEST_NOTE} printable characters why this is resolved.", field="note"
        )
    with transaction.atomic():
        found = Break.objects.select_for_update().filter(pk=break_id).first()
        if found is None:
            raise BreakUnknown("There is no such break.", field="break")
        if found.state != BreakState.OPEN:
            raise BreakNotOpen(f"This break is {found.state} already.", field="break")
        Break.objects.filter(pk=break_id).update(
            state=BreakState.RESOLVED, resolved_on=on, resolved_by=actor, note=text
        )


def _check_date(on: date, kind: ReconciliationKind) -> None:
    latest = Reconciliation.objects.filter(kind=kind).aggregate(latest=Max("on"))["latest"]
    if latest is not None and on < latest:
        raise ReconciliationDateRefused(
            f"{latest.isoformat()} has been reconciled: reconcile that date or a later one.",
            field="on",
        )


def _write(
    on: date,
    kind: ReconciliationKind,
    checks: Sequence[Check],
    actor: str,
    sealed: SealMark | None,
) -> Reconciliation:
    """The reconciliation and its checks; two statements."""
    with connection.cursor() as cursor:
        cursor.execute(
            'INSERT INTO accounts_reconciliation ("on", kind, holds, sealed_number, sealed_hash,'
            " actor) VALUES (%s, %s, %s, %s, %s, %s) RETURNING id",
            [
                on,
                kind.value,
                all(check.holds for check in checks),
                sealed.number if sealed else None,
                sealed.hash if sealed else None,
                actor,
            ],
        )
        (number,) = cursor.fetchone()
    made = Reconciliation(pk=number)
    ReconciliationCheck.objects.bulk_create(
        ReconciliationCheck(
            reconciliation=made,
            rule=check.rule,
            title=check.title,
            expected=check.expected,
            found=check.found,
            checked=check.checked,
            wrong=len(check.findings),
        )
        for check in checks
    )
    return made


def _move_breaks(moves: Changes, on: date, made: Reconciliation) -> None:
    """Make breaks, make them older, clear them; four statements."""
    before = _breaks_before(moves.new)
    Break.objects.bulk_create(
        Break(
            rule=rule,
            reference=finding.reference,
            amount=finding.amount,
            detail=finding.detail,
            first_seen_on=min(finding.since or on, on),
            last_seen_on=on,
            state=BreakState.OPEN,
            follows_id=before.get((rule, finding.reference)),
        )
        for rule, finding in moves.new
    )
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE accounts_break AS b SET last_seen_on = greatest(last_seen_on, %s),"
            " amount = n.amount, detail = n.detail"
            " FROM unnest(%s::bigint[], %s::bigint[], %s::text[]) AS n (id, amount, detail)"
            " WHERE b.id = n.id",
            [
                on,
                list(moves.seen),
                [finding.amount for finding in moves.seen.values()],
                [finding.detail for finding in moves.seen.values()],
            ],
        )
    Break.objects.filter(pk__in=moves.cleared).update(
        state=BreakState.CLEARED, resolved_on=on, resolved_by=made.reference
    )


def _breaks_before(new: Sequence[tuple[str, Finding]]) -> dict[tuple[str, str], int]:
    """The last closed break of the same rule and reference, by both; one statement."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT b.rule, b.reference, max(b.id) FROM accounts_break AS b"
            " JOIN unnest(%s::text[], %s::text[]) AS n (rule, reference)"
            " ON n.rule = b.rule AND n.reference = b.reference GROUP BY b.rule, b.reference",
            [[rule for rule, _ in new], [finding.reference for _, finding in new]],
        )
        return {(rule, reference): number for rule, reference, number in cursor.fetchall()}
