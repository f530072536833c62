"""Statements: a page must cost the same at an account with a million transfers and with few."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from datetime import date, timedelta

import numpy as np
from django.db import transaction

from accounts.core.chart import Book
from accounts.core.posting import EntryDraft, EntryKind, IntArray, Leg, posting
from accounts.core.statements import Position
from accounts.selectors.known import Known
from accounts.selectors.statements import StatementPage, statement
from accounts.services.posting import post
from accounts.services.sealing import seal_all
from benchmarks.ledger import open_funded
from benchmarks.measuring import Result, own_database, seconds, working

MEMBERS, MANY, FEW, DAYS, LINES = 1_000, 1_000_000, 1_000, 500, 50
SINCE = date(2016, 1, 1)
END = SINCE + timedelta(days=DAYS)
# Days a posting; the account of few has its transfers on the same days.
BLOCK = 50
TIMES, AT_MOST = 400, 1.25


def ledger_statement() -> Result:
    """The slowest of three pages of a statement at a million transfers, beside a thousand.

    The first page of all, one from the middle by its cursor, and one of an old month as it was
    known when half was sealed.
    """
    with own_database():
        cash = open_funded(MEMBERS)
        with working("ledger-statement: filling", DAYS // BLOCK) as step:
            for block in range(DAYS // BLOCK):
                _fill(cash, block)
                list(seal_all())
                step()
        pages = [page for account in cash[:2].tolist() for page in _pages(account)]
        spent = _milliseconds(pages)
    many, few = spent[: len(spent) // 2], spent[len(spent) // 2 :]
    slowest = max(range(len(many)), key=lambda place: many[place] / few[place])
    ratio = few[slowest] / many[slowest]
    return Result(
        "ledger-statement",
        "ledger",
        many[slowest],
        "ms",
        "an account with 1,000 transfers",
        few[slowest],
        ratio,
        f"<= {AT_MOST:g} x peer",
        holds=many[slowest] <= AT_MOST * few[slowest],
    )


def _fill(cash: IntArray, block: int) -> None:
    """Some days of transfers: of the first account, of the second one, and their counterparts."""
    for mine, rows in ((int(cash[0]), MANY // DAYS), (int(cash[1]), FEW // DAYS)):
        days = np.repeat(np.arange(BLOCK), rows)
        others = np.resize(cash[2:], len(days))
        is_in = np.arange(len(days)) % 2 == 0
        entries = [
            EntryDraft(
                EntryKind.DEPOSIT,
                f"statement/{mine}/{block}/{day}",
                SINCE + timedelta(days=block * BLOCK + day),
                "bench",
                "bench",
            )
            for day in range(BLOCK)
        ]
        leg = Leg(days, np.where(is_in, others, mine), np.where(is_in, mine, others), 1, Book.CASH)
        with transaction.atomic():
            post(posting(entries, [leg]))


def _pages(account: int) -> list[Callable[[], StatementPage]]:
    """Questions for three pages of an account's statement."""
    whole = statement(account_id=account, first=SINCE, until=END, limit=1, from_end=True)
    half = _middle(account, whole)
    number = whole.known_number // 2
    month = SINCE + timedelta(days=31)
    return [
        lambda: statement(account_id=account, first=SINCE, until=END, limit=LINES),
        lambda: statement(account_id=account, first=SINCE, until=END, limit=LINES, after=half),
        lambda: statement(
            account_id=account,
            first=month,
            until=month + timedelta(days=31),
            limit=LINES,
            known=Known(number=number),
        ),
    ]


def _middle(account: int, whole: StatementPage) -> Position:
    """The first line of the middle day."""
    middle = SINCE + timedelta(days=DAYS // 2)
    found = statement(
        account_id=account,
        first=middle,
        until=END,
        limit=1,
        known=Known(number=whole.known_number),
    )
    return found.lines[0].position


def _milliseconds(questions: Sequence[Callable[[], object]]) -> list[float]:
    """Median milliseconds of each, asked in turn after a tenth of the times as a warm-up."""
    spent: list[list[float]] = [[] for _ in questions]
    for _ in range(TIMES + TIMES // 10):
        for place, question in enumerate(questions):
            spent[place].append(seconds(question))
    return [1_000 * statistics.median(values[TIMES // 10 :]) for values in spent]
