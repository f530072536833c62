"""What the application's role tries when it goes around the gate, and what the database says."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

import numpy as np
import psycopg
import pytest
from django.db import connection, transaction
from django.db.utils import DatabaseError

from accounts.core.chart import Book
from accounts.core.posting import (
    EntryDraft,
    EntryKind,
    Leg,
    PostingMalformed,
    SingleTransfer,
    posting,
)
from accounts.models import Account, Entry
from accounts.selectors.ledger import check_book
from accounts.selectors.seal_check import check_seals
from accounts.services.days import close_date
from accounts.services.posting import (
    DateRefused,
    IdempotencyConflict,
    IsolationRefused,
    NotEnoughMoney,
    Posted,
    post,
    post_alone,
)
from tests.accounts.books import book, elsewhere, open_book, seal_now

DAY = date(2016, 4, 1)
# The functions that the application calls; each with its own rights or with checks of its own.
CALLED = {"accounts_close_accounts", "accounts_hold_accounts", "accounts_post_entry"}
ENTRY = (
    "INSERT INTO accounts_entry (kind, key, digest, effective_on, actor, reference)"
    " VALUES ('deposit', 'mine', '', '2016-04-01', 'me', 'me') RETURNING id"
)


def sql(statement: str, *values: Any) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values or None)
        return cursor.fetchall() if cursor.description else []


def refused(statement: str, *values: Any) -> str:
    """The SQLSTATE with which a statement is refused."""
    with pytest.raises(DatabaseError) as error, transaction.atomic():
        sql(statement, *values)
    cause = error.value.__cause__
    assert isinstance(cause, psycopg.Error)
    return str(cause.sqlstate)


def book_with_an_old_snapshot(
    level: str, meanwhile: Callable[[], Any], move: tuple[int, int, int]
) -> None:
    """Look, let another connection do something, and then book what was seen to be possible."""
    with elsewhere() as other, transaction.atomic():
        sql(f"SET TRANSACTION ISOLATION LEVEL {level}")
        sql("SELECT 1 FROM accounts_account LIMIT 1")
        other.run(meanwhile)
        book([move])


@pytest.fixture
def accounts(committed_db: str) -> Iterator[list[int]]:
    """Two members' cash, with £1.00 in the first, and the bank's account."""
    one, other, bank = open_book(2)
    book([(bank, one, 100)])
    yield [one, other, bank]
    assert check_book().holds


def test_no_function_with_the_owners_rights_can_be_put_to_other_uses(committed_db: str) -> None:
    callable_ = sql(
        "SELECT proname, prosecdef FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
        " AND has_function_privilege(current_user, oid, 'EXECUTE')"
    )
    queue = {name for name, _ in callable_ if name.startswith("procrastinate_")}
    assert {name for name, _ in callable_} - queue == CALLED
    # Those of the queue of jobs are the library's: none of them has any other's rights.
    assert [name for name, is_owners in callable_ if name in queue and is_owners] == []


@pytest.mark.parametrize(
    ("function", "table"),
    [
        ("accounts_move_balances", "posted"),
        ("marketplace_check_parts", "written"),
        ("marketplace_check_distributions", "written"),
        ("marketplace_check_awards", "written"),
        ("accounts_seal_holds_its_own", "added"),
    ],
)
def test_a_trigger_is_not_put_on_a_table_of_ones_own(
    accounts: list[int], function: str, table: str
) -> None:
    sql("CREATE TEMP TABLE mine (LIKE accounts_transfer)")
    assert (
        refused(
            f"CREATE TRIGGER x AFTER INSERT ON mine REFERENCING NEW TABLE AS {table}"
            f" FOR EACH STATEMENT EXECUTE FUNCTION public.{function}()"
        )
        == "42501"
    )


def test_a_date_closed_meanwhile_is_not_booked_on_by_an_old_snapshot(accounts: list[int]) -> None:
    one, _, bank = accounts
    with pytest.raises(IsolationRefused):
        book_with_an_old_snapshot(
            "REPEATABLE READ", lambda: close_date(day=DAY, actor="test"), (bank, one, 5)
        )
    with pytest.raises(DateRefused):
        book([(bank, one, 5)])


def test_a_pool_is_not_spent_twice_by_an_old_snapshot(accounts: list[int]) -> None:
    one, other_member, bank = accounts
    stripes = list(
        Account.objects.filter(kind="suspense").order_by("pk").values_list("pk", flat=True)
    )
    book([(bank, stripes[0], 100)])
    with pytest.raises(IsolationRefused):
        book_with_an_old_snapshot(
            "SERIALIZABLE",
            lambda: book([(stripes[1], one, 100)]),
            (stripes[2], other_member, 100),
        )
    with pytest.raises(NotEnoughMoney):
        book([(stripes[2], other_member, 1)])


@pytest.mark.parametrize(
    "values",
    [
        "'deposit', 'k', '', 'infinity', 'me', 'me', NULL",
        "'deposit', 'k', '', '4000-01-01 BC', 'me', 'me', NULL",
        "'', 'k', '', '2016-04-01', 'me', 'me', NULL",
        "'deposit', '', '', '2016-04-01', 'me', 'me', NULL",
        "'deposit', 'k', '', '2016-04-01', 'me', 'me', currval('accounts_entry_id_seq')",
    ],
)
def test_what_the_journal_has_no_room_for_is_not_stored(accounts: list[int], values: str) -> None:
    """One such entry would stop the sealing of all others."""
    columns = "(kind, key, digest, effective_on, actor, reference, reverses_id)"
    assert refused(f"INSERT INTO accounts_entry {columns} VALUES ({values})") in {"23514", "55000"}
    assert (
        refused("INSERT INTO accounts_account (kind, owner_id, stripe) VALUES ('cash', -5, 0)")
        == "TN002"
    )
    seal_now()
    assert check_seals().holds


def test_an_amount_beyond_all_money_is_not_stored(accounts: list[int]) -> None:
    one, _, bank = accounts
    state = refused(
        f"WITH made AS ({ENTRY}) INSERT INTO accounts_transfer"
        " (entry_id, book, debit_id, credit_id, amount, effective_on)"
        " SELECT id, 1, %s, %s, 4611686018427387904, '2016-04-01' FROM made",
        bank,
        one,
    )
    assert state == "23514"


@pytest.mark.parametrize("transfers", [1, 60])
def test_an_account_beyond_32_bits_is_nobody_elses(accounts: list[int], transfers: int) -> None:
    one, _, bank = accounts
    entry = EntryDraft(EntryKind.DEPOSIT, "wrap", DAY, "t", "t")
    place = np.zeros(transfers, dtype=np.int64)
    with pytest.raises(PostingMalformed):
        posting([entry], [Leg(place, bank, 2**32 + one, 100, Book.CASH)])


@pytest.mark.parametrize("text", ["a\0b", "", "k" * 201])
def test_a_key_that_is_not_stored_as_it_is_is_refused(text: str) -> None:
    """A NUL would end it early, so that two keys were one."""
    with pytest.raises(PostingMalformed):
        posting([EntryDraft(EntryKind.DEPOSIT, text, DAY, "t", "t")], [Leg(0, 1, 2, 3, Book.CASH)])


def test_the_way_past_the_cursor_stores_and_refuses_alike(accounts: list[int]) -> None:
    """Outside a transaction, libpq is asked directly."""
    one, other, bank = accounts

    def move(key: str, debit: int, pence: int) -> Posted:
        entry = EntryDraft(EntryKind.DEPOSIT, key, DAY, "tést'\\ \"{}", "%s $1")
        return post_alone(SingleTransfer(entry, debit, other, pence, Book.CASH))

    made = move("ключ-£", bank, 40)
    stored = Entry.objects.get(pk=int(made.entry_ids[0]))
    assert (stored.key, stored.actor, stored.reference) == ("ключ-£", "tést'\\ \"{}", "%s $1")
    assert (bytes(stored.digest), stored.effective_on) == (
        posting(
            [EntryDraft(EntryKind.DEPOSIT, "x", DAY, "t", "%s $1")],
            [Leg(0, bank, other, 40, Book.CASH)],
        ).digests()[0],
        DAY,
    )
    with transaction.atomic():
        assert move("ключ-£", bank, 40).replayed
    assert move("ключ-£", bank, 40).replayed
    with pytest.raises(IdempotencyConflict):
        move("ключ-£", bank, 41)
    with pytest.raises(NotEnoughMoney):
        move("too much", one, 101)
    assert Account.objects.get(pk=other).balance == 40


def test_an_entry_has_no_more_transfers_than_a_line_of_the_journal() -> None:
    entry = EntryDraft(EntryKind.DEPOSIT, "long", DAY, "t", "t")
    with pytest.raises(PostingMalformed):
        posting([entry], [Leg(np.zeros(500_001, dtype=np.int64), 1, 2, 1, Book.CASH)])


def test_what_was_sealed_is_not_added_to(accounts: list[int]) -> None:
    one, _, bank = accounts
    sealed = seal_now()
    book([(bank, one, 5)])
    assert sealed is not None
    number = sealed.last_number
    columns = "(account_id, effective_on, number, balance, latest_on)"
    assert (
        refused(
            f"INSERT INTO accounts_daybalance {columns}"
            " VALUES (%s, '2016-04-02', %s, 99999, '2016-04-02')",
            one,
            number,
        )
        == "TN010"
    )
    seal = (
        "INSERT INTO accounts_seal (last_number, entries, transfers, horizon, hash, sealed_at)"
        " VALUES (%s, 1, 1, %s, '', %s)"
    )
    for last, horizon, at in (
        (number + 1, 9 * 10**18, "2999-01-01"),
        (number, 10**6, "2016-04-01"),
        (number + 7, 10**6, "now"),
    ):
        assert refused(seal, last, horizon, at) == "TN010"
    assert seal_now() is not None
    assert check_seals().holds


def test_batches_with_the_same_keys_in_other_orders_do_not_deadlock(accounts: list[int]) -> None:
    one, _, bank = accounts
    keys = [f"key-{number:05}" for number in range(5_000)]
    barrier = threading.Barrier(2)
    answers: list[Posted] = []
    failures: list[DatabaseError] = []

    def go(keys: list[str]) -> None:
        drafts = [EntryDraft(EntryKind.DEPOSIT, key, DAY, "t", "t") for key in keys]
        both = posting(drafts, [Leg(np.arange(len(keys)), bank, one, 1, Book.CASH)])
        try:
            connection.ensure_connection()
            barrier.wait()
            with transaction.atomic():
                answers.append(post(both))
        except DatabaseError as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=go, args=(order,)) for order in (keys, keys[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    first, second = sorted(answers, key=lambda posted: posted.replayed)
    assert (first.replayed, second.replayed) == (False, True)
    assert sorted(first.entry_ids) == sorted(second.entry_ids)
    assert Account.objects.get(pk=one).balance == 5_100
