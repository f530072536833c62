"""Sealing: numbers without gaps, in an order that nothing can slip into, and never twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, timedelta
from hashlib import sha256
from typing import Any

import numpy as np
import pytest
from django.db import DatabaseError, connection, transaction

from accounts.core.journal import START
from accounts.models import DayBalance, Entry, Seal, SealedEntry
from accounts.selectors.journal import sealed_blocks
from accounts.selectors.seal_check import check_seals
from accounts.selectors.sealing import waiting_entries
from accounts.services.sealing import SealHorizonAhead, seal, seal_all
from tests.accounts.books import (
    DAY,
    altered,
    at_once,
    book,
    book_nothing,
    elsewhere,
    open_book,
    seal_now,
)
from tests.marketplace.statements import statements

DAYS = [DAY + timedelta(days=n) for n in range(8)]


def numbers() -> list[tuple[int, int]]:
    return list(SealedEntry.objects.order_by("number").values_list("number", "entry_id"))


def balances(account: int) -> list[tuple[date, int, int, date]]:
    """Date, number, pence, latest date; in order of number and date."""
    rows = DayBalance.objects.filter(account_id=account).order_by("number", "effective_on")
    return list(rows.values_list("effective_on", "number", "balance", "latest_on"))


def test_worked_example(committed_db: str) -> None:
    ada, ben, _, bank = open_book()
    first = book([(bank, ada, 500), (bank, ben, 200)], DAYS[0], "first")
    second = book([(ada, ben, 30)], DAYS[1], "second")
    sealed = seal()
    assert (sealed.entries, sealed.transfers, sealed.last_number, sealed.more) == (2, 3, 2, False)
    assert numbers() == [(1, first), (2, second)]
    # The hash of an entry is SHA-256 of the one before it and the entry's canonical text.
    end = START
    for entry in Entry.objects.order_by("pk"):
        moves = {
            "first": [
                ["cash", "client_bank/0/58", "cash/1", 500],
                ["cash", "client_bank/0/58", "cash/2", 200],
            ],
            "second": [["cash", "cash/1", "cash/2", 30]],
        }[entry.key]
        content = {
            "actor": "test",
            "effective_on": entry.effective_on.isoformat(),
            "id": entry.pk,
            "key": entry.key,
            "kind": "deposit",
            "number": entry.pk - first + 1,
            "recorded_at": entry.recorded_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "reference": "test",
            "reverses": None,
            "transfers": moves,
        }
        text = json.dumps(content, sort_keys=True, separators=(",", ":"))
        end = sha256(end + text.encode()).digest()
    assert sealed.hash == end == bytes(Seal.objects.get().hash)
    assert balances(ada) == [(DAYS[0], 2, 500, DAYS[1]), (DAYS[1], 2, 470, DAYS[1])]
    # The bank's account grows by debits.
    assert balances(bank) == [(DAYS[0], 2, 700, DAYS[0])]
    assert check_seals().holds


def test_nothing_to_seal(committed_db: str) -> None:
    nothing = seal()
    assert (nothing.entries, nothing.last_number, nothing.hash) == (0, 0, START)
    assert (nothing.sealed_at, nothing.more) == (None, False)
    ada, *_, bank = open_book()
    book([(bank, ada, 5)])
    first = seal()
    again = seal()
    assert (again.entries, again.last_number, again.hash) == (0, 1, first.hash)
    assert again.sealed_at == first.sealed_at
    assert Seal.objects.count() == 1


def test_backdated_entries_repair_later_dates_and_leave_what_was_known(committed_db: str) -> None:
    ada, ben, _, bank = open_book()
    book([(bank, ada, 100)], DAYS[2])
    book([(bank, ada, 10)], DAYS[5])
    seal()
    before = balances(ada)
    assert before == [(DAYS[2], 2, 100, DAYS[5]), (DAYS[5], 2, 110, DAYS[5])]
    book([(bank, ada, 7)], DAYS[3])
    book([(bank, ada, 1), (bank, ben, 1)], DAYS[6])
    seal()
    assert balances(ada) == [
        *before,
        (DAYS[3], 4, 107, DAYS[6]),
        (DAYS[5], 4, 117, DAYS[6]),
        (DAYS[6], 4, 118, DAYS[6]),
    ]
    book([(ada, ben, 50)], DAYS[2])
    seal()
    assert balances(ada)[5:] == [
        (DAYS[2], 5, 50, DAYS[6]),
        (DAYS[3], 5, 57, DAYS[6]),
        (DAYS[5], 5, 67, DAYS[6]),
        (DAYS[6], 5, 68, DAYS[6]),
    ]
    book([(bank, ada, 9)], DAYS[0])
    seal()
    assert [row[2] for row in balances(ada)[9:]] == [9, 59, 66, 76, 77]
    assert check_seals().holds


def test_who_commits_late_gets_a_later_number(committed_db: str) -> None:
    ada, ben, cleo, bank = open_book()
    opening = book([(bank, ben, 100)])
    with elsewhere() as other:
        late = other.begin(lambda: book([(ben, cleo, 40)], key="late"))
        prompt = book([(bank, ada, 500)], key="prompt")
        # The other transaction began first and is still open: what came after it waits with it.
        assert (seal().entries, seal().entries) == (1, 0)
        other.commit()
    second = book([(bank, ada, 1)])
    seal_now()
    assert numbers() == [(1, opening), (2, late), (3, prompt), (4, second)]
    assert late < prompt


def test_entries_before_an_open_transaction_are_sealed_and_its_own_later(committed_db: str) -> None:
    ada, ben, cleo, bank = open_book()
    prompt = book([(bank, ben, 500)])
    with elsewhere() as other:
        late = other.begin(lambda: book([(ben, cleo, 40)]))
        after = book([(bank, ada, 1)])
        first = seal()
        assert (first.entries, waiting_entries()) == (1, 1)
        other.commit()
    assert waiting_entries() == 2
    second = seal()
    assert numbers() == [(1, prompt), (2, late), (3, after)]
    assert first.sealed_at is not None
    assert second.sealed_at is not None
    assert first.sealed_at < second.sealed_at


def test_a_transaction_of_another_database_holds_nothing_up(committed_db: str) -> None:
    ada, *_, bank = open_book()
    with elsewhere() as other:

        def move_away() -> None:
            connection.settings_dict = {**connection.settings_dict, "NAME": "postgres"}

        other.run(move_away)
        other.begin(lambda: _run("SELECT pg_current_xact_id()"))
        book([(bank, ada, 500)])
        assert seal().entries == 1


def test_what_was_rolled_back_is_passed_over(committed_db: str) -> None:
    ada, *_, bank = open_book()
    with transaction.atomic():
        book([(bank, ada, 500)])
        transaction.set_rollback(True)
    kept = book([(bank, ada, 5)])
    seal()
    assert numbers() == [(1, kept)]


def test_batches_end_between_transactions(committed_db: str) -> None:
    ada, ben, _, bank = open_book()
    sizes = [3, 1, 4, 2, 5]
    for size in sizes:
        with transaction.atomic():
            book([(bank, ada, 10)] * (size - 1) + [(bank, ben, 1)])
            book_nothing(f"bare-{size}")
    batches = list(seal_all(most_transfers=4))
    assert [(b.entries, b.transfers, b.more) for b in batches] == [
        (4, 4, True),
        (2, 4, True),
        (4, 7, False),
    ]
    assert [number for number, _ in numbers()] == list(range(1, 11))
    assert check_seals().holds


def test_a_look_that_ends_within_a_transaction(
    committed_db: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("accounts.selectors.sealing._FIRST_LOOK", 3)
    ada, *_, bank = open_book()
    for size in (2, 7, 1, 4):
        with transaction.atomic():
            for _ in range(size):
                book([(bank, ada, 10)])
    batches = list(seal_all(most_transfers=5))
    assert [batch.entries for batch in batches] == [9, 5]
    assert [entry for _, entry in numbers()] == list(
        Entry.objects.order_by("pk").values_list("pk", flat=True)
    )
    assert check_seals().holds


def test_an_entry_without_transfers_is_sealed_too(committed_db: str) -> None:
    book_nothing("bare")
    assert (seal().entries, DayBalance.objects.count()) == (1, 0)
    [block] = sealed_blocks(1, 1)
    assert block.entries[0][0].transfers == []
    assert check_seals().holds


def test_two_sealers_at_once_seal_everything_once(committed_db: str) -> None:
    ada, *_, bank = open_book()

    def work(worker: int) -> None:
        for turn in range(15):
            if worker % 2:
                book([(bank, ada, 10)], DAYS[turn % 8], f"{worker}-{turn}")
            else:
                list(seal_all(most_transfers=3))

    at_once(work, 6)
    seal_now()
    assert [number for number, _ in numbers()] == list(range(1, 46))
    assert balances(ada)[-1][2] == 450
    assert check_seals().holds


def test_a_kill_between_batches_and_within_one(committed_db: str) -> None:
    ada, *_, bank = open_book()
    for _ in range(6):
        book([(bank, ada, 10)])
    batches = seal_all(most_transfers=2)
    next(batches)
    del batches
    # Within a batch: all is written but the last statement, then the connection breaks.
    with pytest.raises(DatabaseError), connection.execute_wrapper(_break_at_the_seal):
        seal()
    assert Seal.objects.count() == 1
    assert [number for number, _ in numbers()] == [1, 2]
    seal_now()
    assert [number for number, _ in numbers()] == list(range(1, 7))
    assert check_seals().holds


def _break_at_the_seal(
    execute: Callable[..., Any],
    sql: str,
    params: Any,
    many: bool,  # noqa: FBT001 - Django's signature
    context: Any,
) -> Any:
    if sql.startswith("INSERT INTO accounts_seal"):
        with elsewhere() as other:
            pid = connection.connection.info.backend_pid
            other.run(lambda: _run("SELECT pg_terminate_backend(%s, 5000)", pid))
    return execute(sql, params, many, context)


def _run(sql: str, *parameters: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)


def test_a_book_restored_from_another_server_is_refused(committed_db: str) -> None:
    ada, *_, bank = open_book()
    book([(bank, ada, 10)])
    seal()
    with altered() as cursor:
        cursor.execute("UPDATE accounts_seal SET horizon = horizon + 4294967296")
    with pytest.raises(SealHorizonAhead, match="pg_resetwal --epoch=1 --next-transaction-id="):
        seal()


def test_entries_of_transactions_to_come_are_refused(committed_db: str) -> None:
    ada, *_, bank = open_book()
    book([(bank, ada, 10)])
    with altered() as cursor:
        cursor.execute("UPDATE accounts_entry SET made_in = '9000000000'")
    with pytest.raises(SealHorizonAhead, match="another server's dump"):
        seal()


@pytest.mark.django_db
def test_sealing_has_a_transaction_of_its_own() -> None:
    with transaction.atomic(), pytest.raises(RuntimeError), transaction.atomic():
        seal()


def test_statements_do_not_grow_with_the_batch(committed_db: str) -> None:
    ada, ben, _, bank = open_book()
    counts = []
    for size in (1, 40):
        for turn in range(size):
            book([(bank, ada, 10), (ada, ben, 1)] * size, DAYS[turn % 8])
        counts.append(statements(seal))
    # Backdated dates among them: one statement more.
    assert counts[0] + 1 >= counts[1]
    assert counts[0] == 12


@pytest.mark.parametrize("table", ["seal", "sealedentry", "daybalance"])
@pytest.mark.parametrize("change", ["UPDATE {} SET {} = {}", "DELETE FROM {}", "TRUNCATE {}"])
def test_seals_are_not_changed(committed_db: str, table: str, change: str) -> None:
    ada, *_, bank = open_book()
    book([(bank, ada, 10)])
    seal()
    column = "entries" if table == "seal" else "number"
    sql = change.format(f"accounts_{table}", column, column)
    with pytest.raises(DatabaseError, match="permission denied"):
        _run(sql)


class TestAlteredBooks:
    @pytest.fixture
    def sealed(self, committed_db: str) -> list[int]:  # noqa: ARG002 - its database
        accounts = open_book()
        ada, ben, _, bank = accounts
        for turn in range(9):
            book([(bank, ada, 10), (bank, ben, 2 + turn)], DAYS[turn % 8])
        for _ in seal_all(most_transfers=6):
            pass
        assert check_seals().holds
        return accounts

    @pytest.mark.parametrize(
        ("sql", "first_bad"),
        [
            ("UPDATE accounts_transfer SET amount = 3 WHERE amount = 4", 3),
            ("UPDATE accounts_transfer SET credit_id = 999 WHERE amount = 6", 5),
            ("UPDATE accounts_transfer SET book = 9 WHERE amount = 6", 5),
            ("UPDATE accounts_transfer SET effective_on = '2016-04-02' WHERE amount = 6", 5),
            ("UPDATE accounts_transfer SET effective_on = '2019-04-02' WHERE amount = 6", 5),
            ("DELETE FROM accounts_transfer WHERE amount = 7", 6),
            ("UPDATE accounts_entry SET reference = 'another' WHERE id = 2", 2),
            ("UPDATE accounts_entry SET effective_on = '2016-04-05' WHERE id = 2", 2),
            ("UPDATE accounts_sealedentry SET hash = sha256('x') WHERE number = 1", 1),
            ("DELETE FROM accounts_sealedentry WHERE number = 4", 4),
            ("DELETE FROM accounts_sealedentry WHERE number = 9", 9),
        ],
    )
    @pytest.mark.usefixtures("sealed")
    def test_the_first_bad_entry_is_named(self, sql: str, first_bad: int) -> None:
        with altered() as cursor:
            cursor.execute(sql)
        check = check_seals()
        assert check.first_bad == first_bad
        assert not check.holds

    def test_balances_seals_and_entries_passed_over(self, sealed: list[int]) -> None:
        with altered() as cursor:
            cursor.execute(
                "UPDATE accounts_daybalance SET balance = balance + 1 WHERE account_id = %s"
                " AND effective_on = '2016-04-03'",
                [sealed[1]],
            )
            cursor.execute("UPDATE accounts_seal SET entries = 7 WHERE last_number = 6")
            book_nothing("forged", made_in=3)
        check = check_seals()
        assert check.first_bad is None
        assert check.wrong_accounts == (sealed[1],)
        assert check.bad_seals == (6,)
        assert check.unsealed == (Entry.objects.get(key="forged").pk,)

    @pytest.mark.usefixtures("sealed")
    def test_a_seal_counts_the_transfers_of_its_entries(self) -> None:
        with altered() as cursor:
            cursor.execute(
                "UPDATE accounts_seal SET transfers = transfers + 1 WHERE last_number = 6"
            )
        check = check_seals()
        assert (check.first_bad, check.bad_seals) == (None, (6,))

    @pytest.mark.usefixtures("sealed")
    def test_a_day_without_its_balance(self) -> None:
        with altered() as cursor:
            cursor.execute("DELETE FROM accounts_daybalance WHERE effective_on = '2016-04-03'")
        assert len(check_seals().wrong_accounts) == 3


def test_many_gaps_between_ids(committed_db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("accounts.selectors.journal._GAP", 2)
    monkeypatch.setattr("accounts.selectors.journal._MOST_GAPS", 3)
    ada, *_, bank = open_book()
    skip = np.random.default_rng(5).integers(0, 9, 30)
    for amount, gap in enumerate(skip.tolist(), start=1):
        _run("SELECT nextval('accounts_entry_id_seq') FROM generate_series(1, %s)", gap)
        book([(bank, ada, amount)])
    assert seal().transfers == 30
    assert balances(ada)[-1][2] == 30 * 31 // 2
    assert check_seals().holds
