"""The journal against its seals, from where it was last found to fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from django.db import connection

from accounts.core.journal import JournalMalformed, canonical, chain
from accounts.core.reconciliation import Check, Finding, SealMark
from accounts.selectors.journal import JournalGap, sealed_blocks
from accounts.selectors.seal_check import check_seals

_TITLE = "The journal has no gaps, and every entry is the one that was sealed"

Progress = Callable[[int, int], None]


def check_journal(since: SealMark, progress: Progress) -> tuple[Check, SealMark | None]:
    """Derive the journal's chain again and compare it with the seals.

    Without a mark all of it, with the balances by date (:func:`check_seals`). From a mark on, what
    was sealed since: five statements and three a block. That the journal up to the mark is still
    the one that was found to fit then shows in the hash at the mark; that its entries are, in the
    stored balances, or in the next run over all of it.

    Returns:
        The check, and where the journal ends if all of it fits.
    """
    last, end = _end_of_seals()
    findings = tuple(_since(since, last, progress) if since.number else _whole(progress))
    mark = None if findings else SealMark(last, end)
    return Check("journal", _TITLE, checked=last - since.number, findings=findings), mark


def _whole(progress: Progress) -> Iterator[Finding]:
    check = check_seals(progress)
    if check.first_bad is not None:
        yield Finding("chain", detail=_bad_entry(check.first_bad))
    for reference, what, ids in (
        ("seals", "seals that don't fit, by last number", check.bad_seals),
        ("unsealed", "entries passed over, by id", check.unsealed),
        ("day_balances", "accounts with wrong balances by date, by id", check.wrong_accounts),
    ):
        if ids:
            yield _several(reference, what, ids)


def _since(since: SealMark, last: int, progress: Progress) -> Iterator[Finding]:
    bad = _first_bad(since, last, progress)
    if bad is not None:
        yield Finding("chain", detail=_bad_entry(bad))
    seals = _column(_BAD_SEALS, since.number, since.number)
    if seals:
        yield _several("seals", "seals that don't fit, by last number", seals)
    unsealed = _column(_PASSED_OVER, since.number)
    if unsealed:
        yield _several("unsealed", "entries passed over, by id", unsealed)


def _bad_entry(number: int) -> str:
    return f"entry {number} isn't what was sealed, or is missing"


def _several(reference: str, what: str, ids: tuple[int, ...]) -> Finding:
    named = ", ".join(map(str, ids[:5]))
    return Finding(reference, detail=f"{what}: {named}{' and more' if len(ids) > 5 else ''}")


def _end_of_seals() -> tuple[int, bytes]:
    """The last sealed number and its hash; one statement."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT last_number, hash FROM accounts_seal ORDER BY last_number DESC LIMIT 1"
        )
        row = cursor.fetchone()
    return (row[0], bytes(row[1])) if row else (SealMark().number, SealMark().hash)


def _first_bad(since: SealMark, last: int, progress: Progress) -> int | None:
    """The first number from a mark on that is missing, or whose entry isn't what was sealed."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT hash FROM accounts_sealedentry WHERE number = %s", [since.number])
        row = cursor.fetchone()
    if row is None or bytes(row[0]) != since.hash:
        return since.number
    number, end = since.number, since.hash
    try:
        for block in sealed_blocks(since.number + 1, last):
            for entry, sealed in block.entries:
                number = entry.number
                end = chain(end, canonical(entry))
                if end != sealed:
                    return number
            progress(number - since.number, last - since.number)
    except JournalGap as gap:
        return gap.number
    except JournalMalformed:
        return number
    return None


_BAD_SEALS = """
SELECT n.last_number FROM (
    SELECT *, lag(last_number) OVER w AS before, lag(horizon) OVER w AS from_horizon,
        lag(sealed_at) OVER w AS from_instant
    FROM accounts_seal WHERE last_number >= %s WINDOW w AS (ORDER BY last_number)
) AS n LEFT JOIN accounts_sealedentry AS s ON s.number = n.last_number
WHERE n.hash IS DISTINCT FROM s.hash OR n.last_number > %s AND (
    n.entries IS DISTINCT FROM n.last_number - n.before
    OR n.horizon <= n.from_horizon OR n.sealed_at <= n.from_instant)
ORDER BY n.last_number LIMIT 20
"""
# Entries of the seals since the mark's, which the last of them should hold.
_PASSED_OVER = """
SELECT e.id FROM accounts_entry AS e
WHERE e.made_in >= (SELECT horizon FROM accounts_seal WHERE last_number = %s)::text::xid8
    AND e.made_in < (SELECT max(horizon) FROM accounts_seal)::text::xid8
    AND NOT EXISTS (SELECT FROM accounts_sealedentry AS s WHERE s.entry_id = e.id)
ORDER BY e.id LIMIT 20
"""


def _column(query: str, *parameters: int) -> tuple[int, ...]:
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        return tuple(row[0] for row in cursor.fetchall())
