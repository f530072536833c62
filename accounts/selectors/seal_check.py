"""Whether the seals still fit the book: the chain and the balances by date, derived again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from django.db import connection

from accounts.core.journal import START, JournalMalformed, canonical, chain
from accounts.selectors.journal import JournalGap, sealed_blocks

# How many of each kind of fault are named.
_NAMED = 20

# An account's balance at a date, as known last, against what the sealed transfers add up to.
_WRONG_BALANCES = """
WITH legs AS (
    SELECT credit_id AS id, effective_on, amount, entry_id FROM accounts_transfer
    UNION ALL SELECT debit_id, effective_on, -amount, entry_id FROM accounts_transfer
), days AS (
    SELECT l.id, l.effective_on, sum(l.amount) AS net FROM legs AS l
    JOIN accounts_sealedentry AS s ON s.entry_id = l.entry_id AND s.number <= %s
    GROUP BY l.id, l.effective_on
), derived AS (
    SELECT d.id, d.effective_on, sum(d.net) OVER (PARTITION BY d.id ORDER BY d.effective_on) AS net
    FROM days AS d
), stored AS (
    SELECT DISTINCT ON (account_id, effective_on) account_id, effective_on, balance
    FROM accounts_daybalance WHERE number <= %s
    ORDER BY account_id DESC, effective_on DESC, number DESC
)
SELECT DISTINCT coalesce(d.id, s.account_id) FROM derived AS d
FULL JOIN stored AS s ON s.account_id = d.id AND s.effective_on = d.effective_on
LEFT JOIN accounts_account AS a ON a.id = coalesce(d.id, s.account_id)
WHERE a.side * d.net IS DISTINCT FROM s.balance ORDER BY 1 LIMIT %s
"""


@dataclass(frozen=True)
class SealCheck:
    """The outcome of deriving the chain again.

    Attributes:
        last_number: up to which entry, as the seals say.
        first_bad: the first number whose entry is missing or isn't what was sealed.
        bad_seals: last numbers of some seals that don't say what the entries up to them say.
        unsealed: ids of some entries that a seal passed over.
        wrong_accounts: ids of some accounts whose balances by date aren't those of the entries.
    """

    last_number: int
    first_bad: int | None
    bad_seals: tuple[int, ...]
    unsealed: tuple[int, ...]
    wrong_accounts: tuple[int, ...]

    @property
    def holds(self) -> bool:
        """Whether nothing was found wrong."""
        return self.first_bad is None and not (
            self.bad_seals or self.unsealed or self.wrong_accounts
        )


def check_seals(progress: Callable[[int, int], None] = lambda _done, _all: None) -> SealCheck:
    """Derive the chain and the balances by date from the book, and compare them with the stored.

    Memory is that of a block of entries. What is sealed meanwhile isn't looked at.

    Args:
        progress: told after each block how many entries are derived, of how many.
    """
    seals = _transfers_by_seal()
    last = max(seals, default=0)
    first_bad, miscounted = _derive(last, seals, progress)
    return SealCheck(
        last_number=last,
        first_bad=first_bad,
        bad_seals=tuple(sorted({*_bad_seals(last), *miscounted})[:_NAMED]),
        unsealed=tuple(_passed_over(last)),
        wrong_accounts=tuple(_column(_WRONG_BALANCES, last, last, _NAMED)),
    )


def _derive(
    last: int, seals: Mapping[int, int], progress: Callable[[int, int], None]
) -> tuple[int | None, list[int]]:
    """The first number up to ``last`` that is missing, or whose entry isn't what was sealed.

    And the seals up to there that count other transfers than their entries have.
    """
    number, end, transfers = 0, START, 0
    miscounted: list[int] = []
    try:
        for block in sealed_blocks(1, last):
            for entry, sealed in block.entries:
                number = entry.number
                end = chain(end, canonical(entry))
                if end != sealed:
                    return number, miscounted
                transfers += len(entry.transfers)
                if number in seals:
                    if seals[number] != transfers:
                        miscounted.append(number)
                    transfers = 0
            progress(number, last)
    except JournalGap as gap:
        return gap.number, miscounted
    except JournalMalformed:
        return number, miscounted
    return None, miscounted


def _transfers_by_seal() -> dict[int, int]:
    """How many transfers each seal says that its entries have, by its last number."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT last_number, transfers FROM accounts_seal")
        return dict(cursor.fetchall())


def _bad_seals(last: int) -> list[int]:
    """Seals that follow another horizon or instant wrongly, or whose count or hash isn't right."""
    return _column(
        "SELECT n.last_number FROM (SELECT *, lag(last_number, 1, 0::bigint) OVER w AS before,"
        "  lag(horizon, 1, 0::bigint) OVER w AS from_horizon, lag(sealed_at) OVER w AS from_instant"
        "  FROM accounts_seal WHERE last_number <= %s WINDOW w AS (ORDER BY last_number)) AS n"
        " LEFT JOIN accounts_sealedentry AS s ON s.number = n.last_number"
        " WHERE n.hash IS DISTINCT FROM s.hash OR n.entries <> n.last_number - n.before"
        " OR n.horizon <= n.from_horizon OR n.sealed_at <= n.from_instant"
        " ORDER BY n.last_number LIMIT %s",
        last,
        _NAMED,
    )


def _passed_over(last: int) -> list[int]:
    """Entries that the last seal should hold, and that no seal does."""
    return _column(
        "SELECT e.id FROM accounts_entry AS e WHERE e.made_in <"
        " (SELECT horizon FROM accounts_seal WHERE last_number = %s)::text::xid8 AND NOT EXISTS"
        " (SELECT 1 FROM accounts_sealedentry AS s WHERE s.entry_id = e.id) ORDER BY e.id LIMIT %s",
        last,
        _NAMED,
    )


def _column(query: str, *parameters: int) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        return [int(row[0]) for row in cursor.fetchall()]
