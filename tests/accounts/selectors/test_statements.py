"""Statements: the same answer for ever, from whichever side it is paged, at a fixed price."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.core.chart import Kind
from accounts.core.statements import Line, Position
from accounts.models import Transfer
from accounts.selectors.known import Known, KnownAtRefused
from accounts.selectors.ledger import AccountMissing, account_ids
from accounts.selectors.seal_check import check_seals
from accounts.selectors.statements import (
    LinesRefused,
    PeriodRefused,
    StatementPage,
    account_by_name,
    statement,
)
from accounts.services.opening import open_accounts
from accounts.services.sealing import seal
from tests.accounts.books import DAY, book, elsewhere, open_book
from tests.marketplace.statements import statements

DAYS = [DAY + timedelta(days=n) for n in range(10)]
WHOLE: dict[str, Any] = {"first": date(2016, 1, 1), "until": date(2017, 1, 1)}


def figures(page: StatementPage) -> list[tuple[int, int, int | None]]:
    """Day in April, change and balance of each line."""
    return [(line.effective_on.day, line.change, line.balance) for line in page.lines]


def test_worked_example(committed_db: str) -> None:
    ada, ben, _, bank = open_book()
    book([(bank, ada, 10_000)], DAYS[0])
    book([(ada, ben, 2_500)], DAYS[4])
    book([(bank, ada, 300), (ada, bank, 50)], DAYS[2])
    seal()
    page = statement(account_id=ada, **WHOLE)
    # 100.00 in; on the third 3.00 in and 0.50 out; on the fifth 25.00 out.
    assert figures(page) == [
        (1, 10_000, 10_000),
        (3, 300, 10_300),
        (3, -50, 10_250),
        (5, -2_500, 7_750),
    ]
    assert (page.opening, page.closing, page.known_number) == (0, 7_750, 3)
    assert [line.number for line in page.lines] == [1, 3, 3, 2]
    assert [line.counterparty for line in page.lines][1:] == ["client_bank/0/58"] * 2 + ["cash/2"]
    middle = statement(account_id=ada, first=DAYS[1], until=DAYS[4])
    assert (middle.opening, middle.closing) == (10_000, 10_250)
    assert figures(middle) == [(3, 300, 10_300), (3, -50, 10_250)]
    # The bank's account grows by debits: the same money the other way round.
    assert figures(statement(account_id=bank, **WHOLE)) == [
        (1, 10_000, 10_000),
        (3, 300, 10_300),
        (3, -50, 10_250),
    ]
    nothing = statement(account_id=ada, first=DAYS[3], until=DAYS[3])
    assert (nothing.opening, nothing.closing, nothing.lines) == (10_250, 10_250, ())
    assert account_by_name("cash/1").id == ada


def test_pages_both_ways(committed_db: str) -> None:
    ada, _, _, bank = open_book()
    for turn in range(7):
        book([(bank, ada, turn + 1)], DAYS[turn // 2])
    seal()
    for newest_first in (False, True):
        whole = statement(account_id=ada, **WHOLE, newest_first=newest_first).lines
        for limit in (1, 2, 3, 7, 8):
            assert _forwards(ada, limit, newest_first=newest_first) == whole
            assert _backwards(ada, limit, newest_first=newest_first) == whole


def _forwards(account: int, limit: int, *, newest_first: bool, **asked: Any) -> tuple[Line, ...]:
    lines: tuple[Line, ...] = ()
    after: Position | None = None
    while True:
        page = statement(
            account_id=account,
            **(asked or WHOLE),
            limit=limit,
            newest_first=newest_first,
            after=after,
        )
        assert page.has_previous is (after is not None)
        lines += page.lines
        if not page.has_next:
            return lines
        after = page.lines[-1].position


def _backwards(account: int, limit: int, *, newest_first: bool, **asked: Any) -> tuple[Line, ...]:
    lines: tuple[Line, ...] = ()
    before: Position | None = None
    while True:
        page = statement(
            account_id=account,
            **(asked or WHOLE),
            limit=limit,
            newest_first=newest_first,
            before=before,
            from_end=before is None,
        )
        assert page.has_next is (before is not None)
        lines = page.lines + lines
        if not page.has_previous:
            return lines
        before = page.lines[0].position


def test_a_late_commit_changes_nothing_that_was_known(committed_db: str) -> None:
    ada, ben, _, bank = open_book()
    book([(bank, ben, 5_000)], DAYS[0])
    with elsewhere() as other:
        late = other.begin(lambda: book([(ben, ada, 40)], DAYS[1]))
        sealed = seal()
        assert sealed.sealed_at is not None
        known = Known(at=sealed.sealed_at)
        before = [statement(account_id=a, **WHOLE, known=known) for a in (ada, ben)]
        other.commit()
    assert seal().last_number == 2
    after = [statement(account_id=a, **WHOLE, known=known) for a in (ada, ben)]
    assert repr(after) == repr(before)
    assert [page.closing for page in after] == [0, 5_000]
    now = statement(account_id=ada, **WHOLE)
    assert [(line.entry_id, line.number, line.balance) for line in now.lines] == [(late, 2, 40)]


def test_what_is_not_sealed_is_provisional(committed_db: str) -> None:
    ada, ben, _, bank = open_book()
    book([(bank, ada, 100)], DAYS[0])
    seal()
    book([(bank, ada, 7), (ada, ben, 3)], DAYS[2])
    book([(bank, ada, 1)], DAYS[1])
    page = statement(account_id=ada, **WHOLE)
    assert (page.closing, len(page.lines)) == (100, 1)
    assert page.provisional is not None
    assert [(n.effective_on, n.change, n.balance, n.number) for n in page.provisional.lines] == [
        (DAYS[1], 1, None, None),
        (DAYS[2], 7, None, None),
        (DAYS[2], -3, None, None),
    ]
    assert (page.provisional.net, page.provisional.has_more) == (5, False)
    earlier = statement(account_id=ada, first=DAYS[0], until=DAYS[2]).provisional
    assert earlier is not None
    assert earlier.net == 1
    assert statement(account_id=ada, **WHOLE, known=Known(number=1)).provisional is None
    for turn in range(101):
        book([(bank, ada, 1)], DAYS[3], f"many-{turn}")
    many = statement(account_id=ada, **WHOLE).provisional
    assert many is not None
    assert (len(many.lines), many.count, many.net, many.has_more) == (100, 104, 106, True)
    with pytest.raises(ValueError, match="isn't sealed"):
        _ = many.lines[0].position


def test_refusals(committed_db: str) -> None:
    ada, *_, bank = open_book()
    book([(bank, ada, 100)], DAYS[0])
    sealed = seal()
    place = Position(DAYS[0], 1, 0, 0)
    for refusal, asked in (
        (PeriodRefused, {"first": DAYS[1], "until": DAYS[0]}),
        (LinesRefused, {"limit": 0}),
        (LinesRefused, {"limit": 1_001}),
        (LinesRefused, {"after": place, "before": place}),
        (LinesRefused, {"after": place, "from_end": True}),
        (AccountMissing, {"account_id": 2**31 - 1}),
        (KnownAtRefused, {"known": Known(number=2)}),
        (KnownAtRefused, {"known": Known(number=-1)}),
        (KnownAtRefused, {"known": Known(at=datetime.now(UTC) + timedelta(hours=1))}),
        (KnownAtRefused, {"known": Known(at=datetime(2016, 4, 1))}),  # noqa: DTZ001 - no zone
    ):
        with pytest.raises(refusal):
            statement(**{"account_id": ada, **WHOLE, **asked})
    for name in ("cash/0", "cash/99", "fees/0/64", "nothing/1", "cash"):
        with pytest.raises(AccountMissing):
            account_by_name(name)
    assert sealed.sealed_at is not None
    long_ago = Known(at=sealed.sealed_at - timedelta(microseconds=1))
    assert statement(account_id=ada, **WHOLE, known=long_ago).known_number == 0
    assert statement(account_id=ada, **WHOLE, known=Known(number=0)).lines == ()


def test_a_recent_instant_waits_for_the_sealer(committed_db: str) -> None:
    ada, *_, bank = open_book()
    book([(bank, ada, 100)], DAYS[0])

    def hold() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(7401, 2)")

    with elsewhere() as sealer, elsewhere() as reader:
        sealer.begin(hold)
        now = datetime.now(UTC)
        asked = reader._pool.submit(
            lambda: statement(account_id=ada, **WHOLE, known=Known(at=now)).known_number
        )
        with pytest.raises(TimeoutError):
            asked.result(0.3)
        assert statement(account_id=ada, **WHOLE).known_number == 0
        sealer.commit()
        assert asked.result(20) == 0


def test_a_number_within_a_batch_counts_up_to_the_seal_before(committed_db: str) -> None:
    ada, *_, bank = open_book()
    for size in (1, 3):
        for _ in range(size):
            book([(bank, ada, 10)])
        seal()
    page = statement(account_id=ada, **WHOLE, known=Known(number=3))
    assert (page.known_number, page.closing, len(page.lines)) == (1, 10, 1)


def test_every_question_takes_as_many_statements(committed_db: str) -> None:
    ada, ben, _, bank = open_book()
    counts = []
    for size in (1, 60):
        for turn in range(size):
            book([(bank, ada, 10), (ada, ben, 1)], DAYS[turn % 10])
        sealed = seal()
        book([(bank, ada, 10)])
        assert sealed.sealed_at is not None
        position = statement(account_id=ada, **WHOLE, limit=1).lines[0].position
        asked: list[dict[str, Any]] = [
            {},
            {"after": position, "known": Known(number=sealed.last_number)},
            {"from_end": True, "known": Known(at=sealed.sealed_at - timedelta(microseconds=1))},
            {"newest_first": True, "known": Known(at=sealed.sealed_at)},
        ]
        counts.append(
            [statements(lambda one=one: statement(account_id=ada, **WHOLE, **one)) for one in asked]  # type: ignore[misc]
        )
    assert counts[0] == counts[1]
    assert max(counts[0]) <= 14


# One step of a story: post an entry of some transfers on some date, or seal what there is.
_MOVE = st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(1, 50)).filter(
    lambda move: move[0] != move[1]
)
_POST = st.tuples(st.sampled_from(DAYS), st.lists(_MOVE, min_size=1, max_size=3))
_STEPS = st.lists(st.one_of(_POST, _POST, st.none()), min_size=1, max_size=14)
_OWNERS = itertools.count(1, 3)


@dataclass
class Model:
    """A book in plain Python: each account's lines (date, transfer, change), by seal.

    ``seals`` holds the last number of each seal, from 0, and how many transfers were known then.
    """

    transfers: list[tuple[date, int, int, int, int]]
    seals: list[tuple[int, int]]

    def lines(self, account: int, known: int) -> list[tuple[date, int, int]]:
        """As known by a seal, in order."""
        return sorted(
            (day, key, pence if account == credit else -pence)
            for day, key, debit, credit, pence in self.transfers[:known]
            if account in {debit, credit}
        )

    def balance(self, account: int, known: int, until: date) -> int:
        """At the end of the day before."""
        return sum(change for day, _, change in self.lines(account, known) if day < until)


def _told(steps: list[tuple[date, list[tuple[int, int, int]]] | None]) -> tuple[list[int], Model]:
    """Carry out a story in the book and in the model; three accounts of its own."""
    owners = np.arange(3) + next(_OWNERS)
    with transaction.atomic():
        open_accounts(kinds=[Kind.CASH], owner_ids=owners)
    accounts = account_ids(Kind.CASH, owners).tolist()
    bank = account_by_name("client_bank/0").id
    model = Model([], [(seal().last_number, 0)])
    funding = (DAYS[0], [(bank, account, 5_000) for account in accounts])
    posts = [
        step and (step[0], [(accounts[d], accounts[c], p) for d, c, p in step[1]]) for step in steps
    ]
    for step in (funding, *posts, None):
        if step is None:
            model.seals.append((seal().last_number, len(model.transfers)))
            continue
        entry = book(step[1], step[0])
        rows = Transfer.objects.filter(entry_id=entry)
        model.transfers += rows.values_list("effective_on", "id", "debit_id", "credit_id", "amount")
    return accounts, model


@given(
    steps=_STEPS,
    whose=st.integers(0, 2),
    ends=st.tuples(st.sampled_from(DAYS), st.sampled_from(DAYS)).map(sorted),
    limit=st.integers(1, 5),
    newest_first=st.booleans(),
)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_statements_are_the_model(
    module_db: str,
    steps: list[tuple[date, list[tuple[int, int, int]]] | None],
    whose: int,
    ends: list[date],
    limit: int,
    newest_first: bool,  # noqa: FBT001 - drawn
) -> None:
    accounts, model = _told(steps)
    account, (first, until) = accounts[whose], ends
    for number, known in model.seals:
        for day in DAYS:
            page = statement(
                account_id=account, first=DAY, until=day, limit=1, known=Known(number=number)
            )
            assert page.closing == model.balance(account, known, day)
        balance = model.balance(account, known, first)
        expected = []
        for day, key, change in model.lines(account, known):
            if first <= day < until:
                balance += change
                expected.append((day, key, change, balance))
        if newest_first:
            expected.reverse()
        asked = {"first": first, "until": until, "known": Known(number=number)}
        for walk in (_forwards, _backwards):
            lines = walk(account, limit, newest_first=newest_first, **asked)
            assert [
                (line.effective_on, line.transfer_id, line.change, line.balance) for line in lines
            ] == expected


def test_the_models_books_hold(module_db: str) -> None:
    assert check_seals().holds
