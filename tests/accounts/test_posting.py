"""The posting gate and the book behind it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import numpy as np
import psycopg
import pytest
from django.db import connection, transaction
from django.db.utils import DatabaseError
from django.test.utils import CaptureQueriesContext

from accounts.core.chart import CHART, LINES, Book, Kind
from accounts.core.errors import AmountRefused
from accounts.core.posting import EntryDraft, EntryKind, Leg, PostingMalformed, posting
from accounts.models import Account, Entry, Member, Transfer
from accounts.selectors.ledger import (
    AccountMissing,
    account_ids,
    check_book,
    member_balances,
    platform_accounts,
    totals_by_kind,
)
from accounts.services.cash import (
    CashMovement,
    confirm_withdrawals,
    deposit,
    send_withdrawals,
)
from accounts.services.posting import AccountUnknown, IdempotencyConflict, NotEnoughMoney, post

DAY = date(2016, 4, 1)

Move = Callable[..., Any]


def _entry(key: str) -> EntryDraft:
    return EntryDraft(EntryKind.DEPOSIT, key, DAY, "test", "test")


def test_a_deposit_moves_bank_and_cash_alike(members: list[Member]) -> None:
    # Three deposits of £100.00: the bank holds £300.00, each member £100.00 in cash.
    assert [member_balances(m.pk).cash for m in members] == [10_000] * 3
    assert totals_by_kind()[Kind.CLIENT_BANK] == 30_000
    assert totals_by_kind()[Kind.CASH] == 30_000
    assert check_book().holds


def test_a_withdrawal_is_on_its_way_until_the_bank_confirms(members: list[Member]) -> None:
    movements = [CashMovement(members[0].pk, 2_500, "w1")]
    send_withdrawals(movements=movements, on=DAY, actor="test")
    assert member_balances(members[0].pk).cash == 7_500
    assert member_balances(members[0].pk).on_its_way == 2_500
    assert totals_by_kind()[Kind.CLIENT_BANK] == 30_000
    confirm_withdrawals(movements=movements, on=DAY, actor="test")
    assert member_balances(members[0].pk).on_its_way == 0
    assert totals_by_kind()[Kind.CLIENT_BANK] == 27_500
    assert check_book().holds


def test_an_overdraft_is_refused_and_leaves_nothing(members: list[Member], move: Move) -> None:
    before = Transfer.objects.count(), Entry.objects.count()
    with pytest.raises(NotEnoughMoney), transaction.atomic():
        move(members[0], members[1], 10_001, "too-much")
    assert (Transfer.objects.count(), Entry.objects.count()) == before
    assert member_balances(members[0].pk).cash == 10_000
    move(members[0], members[1], 10_000, "all-of-it")
    assert member_balances(members[0].pk).cash == 0


def test_a_chain_that_nets_out_may_pass_through_an_empty_account(members: list[Member]) -> None:
    a, b, c = (int(i) for i in account_ids(Kind.CASH, np.array([m.pk for m in members])))
    with transaction.atomic():
        # b has 10,000; 15,000 passes through it in one posting.
        post(
            posting(
                [_entry("chain")],
                [Leg(0, a, b, 10_000, Book.CASH), Leg(0, b, c, 15_000, Book.CASH)],
            )
        )
    assert [member_balances(m.pk).cash for m in members] == [0, 5_000, 25_000]


def test_the_same_key_and_content_is_answered_again(members: list[Member], move: Move) -> None:
    first = move(members[0], members[1], 700, "once")
    again = move(members[0], members[1], 700, "once")
    assert not first.replayed
    assert again.replayed
    assert again.entry_ids.tolist() == first.entry_ids.tolist()
    assert member_balances(members[1].pk).cash == 10_700


@pytest.mark.parametrize("change", ["amount", "date", "taker"])
def test_the_same_key_with_other_content_conflicts(
    members: list[Member], move: Move, change: str
) -> None:
    move(members[0], members[1], 700, "once")
    taker = members[2] if change == "taker" else members[1]
    amount = 701 if change == "amount" else 700
    on = date(2016, 4, 2) if change == "date" else DAY
    with pytest.raises(IdempotencyConflict):
        move(members[0], taker, amount, "once", on)
    assert member_balances(members[0].pk).cash == 9_300


def test_a_posting_of_old_and_new_keys_conflicts_whole(members: list[Member], move: Move) -> None:
    move(members[0], members[1], 700, "old")
    a, b = (int(i) for i in account_ids(Kind.CASH, np.array([m.pk for m in members[:2]])))
    both = posting([_entry("old"), _entry("new")], [Leg(np.arange(2), a, b, 700, Book.CASH)])
    with pytest.raises(IdempotencyConflict), transaction.atomic():
        post(both)
    assert not Entry.objects.filter(key="new").exists()


@pytest.mark.parametrize("amount", [-1, 10**12])
def test_amounts_out_of_bounds_are_refused(amount: int) -> None:
    with pytest.raises(AmountRefused):
        posting([_entry("k")], [Leg(0, 1, 2, amount, Book.CASH)])


def test_an_entry_that_moves_nothing_is_refused() -> None:
    with pytest.raises(PostingMalformed):
        posting([_entry("k")], [Leg(0, 1, 2, 0, Book.CASH)])
    with pytest.raises(PostingMalformed):
        posting([_entry("k")], [Leg(0, 1, 1, 5, Book.CASH)])
    with pytest.raises(PostingMalformed):
        posting([_entry("k"), _entry("k")], [Leg(np.arange(2), 1, 2, 5, Book.CASH)])


def test_a_posting_needs_an_open_transaction(committed_db: str) -> None:
    with pytest.raises(RuntimeError, match="transaction"):
        post(posting([_entry("k")], [Leg(0, 1, 2, 5, Book.CASH)]))


def test_an_unknown_account_is_refused(members: list[Member]) -> None:
    cash = int(account_ids(Kind.CASH, np.array([members[0].pk]))[0])
    with pytest.raises(AccountUnknown), transaction.atomic():
        post(posting([_entry("k")], [Leg(0, cash, 999_999_999, 5, Book.CASH)]))
    with pytest.raises(AccountMissing):
        account_ids(Kind.CASH, np.array([999_999_999]))


def test_no_transfer_crosses_from_one_book_to_the_other(members: list[Member]) -> None:
    cash = int(account_ids(Kind.CASH, np.array([members[0].pk]))[0])
    claims = int(platform_accounts(Kind.CLAIMS_HELD, ["k"])[0])
    for book in Book:
        with pytest.raises(AccountUnknown), transaction.atomic():
            post(posting([_entry(f"k{book}")], [Leg(0, cash, claims, 5, book)]))


def test_statements_do_not_grow_with_the_posting(members: list[Member]) -> None:
    counts = []
    for size in (2, 300, 60_000):
        movements = [CashMovement(members[0].pk, 1, f"{size}-{n}") for n in range(size)]
        with CaptureQueriesContext(connection) as queries:
            deposit(movements=movements, on=DAY, actor="test")
        counts.append(len(queries))
    assert counts == counts[:1] * 3


@pytest.mark.django_db
def test_the_chart_in_the_database_is_the_chart_in_the_code() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT kind, book, side, owner, floored, stripes FROM accounts_chartline")
        stored = set(cursor.fetchall())
    assert stored == {
        (str(c.kind), c.book.value, c.side.value, str(c.owner), c.floored, c.stripes) for c in CHART
    }
    assert Account.objects.filter(owner_id=0).count() == sum(
        line.stripes for line in LINES.values() if line.owner == "platform"
    )


ATTACKS = [
    "UPDATE accounts_transfer SET amount = amount + 1",
    "DELETE FROM accounts_transfer",
    "TRUNCATE accounts_transfer",
    "UPDATE accounts_transfer_2016 SET amount = amount + 1",
    "DELETE FROM accounts_transfer_2016",
    "TRUNCATE accounts_transfer_2016",
    "INSERT INTO accounts_transfer_2016 SELECT * FROM accounts_transfer_2016",
    "INSERT INTO accounts_transfer_other (id, entry_id, book, debit_id, credit_id, amount,"
    " effective_on) VALUES (1, 1, 1, 1, 2, 5, '1999-01-01')",
    "INSERT INTO accounts_transfer (id, entry_id, book, debit_id, credit_id, amount, effective_on)"
    " OVERRIDING SYSTEM VALUE SELECT * FROM accounts_transfer",
    "UPDATE accounts_entry SET effective_on = '2000-01-01'",
    "DELETE FROM accounts_entry",
    "TRUNCATE accounts_entry CASCADE",
    "UPDATE accounts_account SET balance = balance + 1",
    "UPDATE accounts_account SET floor = NULL",
    "DELETE FROM accounts_account",
    "INSERT INTO accounts_account (kind, owner_id, stripe, balance) VALUES ('cash', 77, 0, 500)",
    "INSERT INTO accounts_chartline VALUES ('mine', 1, 1, 'member', false, 1, '')",
    "ALTER TABLE accounts_transfer DISABLE TRIGGER ALL",
    "DROP TRIGGER transfer_moves_balances ON accounts_transfer",
    "SET session_replication_role = replica",
    "ALTER TABLE accounts_transfer DETACH PARTITION accounts_transfer_2016",
    "UPDATE accounts_account SET closed_on = NULL",
    "UPDATE accounts_closedday SET day = '2000-01-01'",
    "DELETE FROM accounts_closedday",
    "DELETE FROM accounts_seal",
    "UPDATE accounts_sealedentry SET hash = ''",
    "TRUNCATE accounts_daybalance",
    "SELECT accounts_add_partition('mine', 'DEFAULT')",
]


@pytest.mark.parametrize("statement", ATTACKS)
def test_the_application_cannot_rewrite_the_book(members: list[Member], statement: str) -> None:
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
    assert check_book().holds


@pytest.mark.parametrize(
    ("statement", "state"),
    [
        ("INSERT INTO accounts_account (kind, owner_id, stripe) VALUES ('cash', 0, 0)", "TN002"),
        ("INSERT INTO accounts_account (kind, owner_id, stripe) VALUES ('fees', 0, 64)", "TN002"),
        (
            "INSERT INTO accounts_transfer"
            " (entry_id, book, debit_id, credit_id, amount, effective_on)"
            " SELECT 999999999, 1, min(id), max(id), 5, '2016-04-01'"
            " FROM accounts_account WHERE kind = 'cash'",
            "TN003",
        ),
        (
            "INSERT INTO accounts_transfer"
            " (entry_id, book, debit_id, credit_id, amount, effective_on)"
            " SELECT (SELECT max(id) FROM accounts_entry), 1, min(id), 999999999, 5, '2016-04-01'"
            " FROM accounts_account WHERE kind = 'cash'",
            "TN004",
        ),
        (
            "INSERT INTO accounts_transfer"
            " (entry_id, book, debit_id, credit_id, amount, effective_on)"
            " SELECT (SELECT max(id) FROM accounts_entry), 1, min(id), max(id), 10001, '2016-04-01'"
            " FROM accounts_account WHERE kind = 'cash' AND balance > 0",
            "23514",
        ),
        (
            "INSERT INTO accounts_transfer"
            " (entry_id, book, debit_id, credit_id, amount, effective_on)"
            " SELECT (SELECT max(id) FROM accounts_entry), 1, min(id), max(id), -5, '2016-04-01'"
            " FROM accounts_account WHERE kind = 'cash' AND balance > 0",
            "23514",
        ),
    ],
)
def test_raw_inserts_keep_the_rules_too(members: list[Member], statement: str, state: str) -> None:
    with pytest.raises(DatabaseError) as refusal, transaction.atomic():
        connection.cursor().execute(statement)
    cause = refusal.value.__cause__
    assert isinstance(cause, psycopg.Error)
    assert cause.sqlstate == state
    assert check_book().holds


def test_a_row_altered_behind_the_books_back_is_found(committed_db: str) -> None:
    """The owner switches the triggers off and takes a penny: the re-derivation sees it."""
    from django.db import connections

    from accounts.services.members import enrol_members
    from tests.factories import MemberFactory

    member = enrol_members(members=[MemberFactory.build()])[0]
    deposit(movements=[CashMovement(member.pk, 500, "in")], on=DAY, actor="test")
    assert check_book().holds
    owner = connections["owner"]
    home = owner.settings_dict["NAME"]
    owner.close()
    owner.settings_dict["NAME"] = committed_db
    try:
        with owner.cursor() as cursor:
            cursor.execute("ALTER TABLE accounts_transfer DISABLE TRIGGER USER")
            cursor.execute("UPDATE accounts_transfer SET amount = 499")
            cursor.execute("ALTER TABLE accounts_transfer ENABLE TRIGGER USER")
    finally:
        owner.close()
        owner.settings_dict["NAME"] = home
    check = check_book()
    assert not check.holds
    assert len(check.wrong_accounts) == 2


def test_an_entry_is_closed_when_its_transaction_ends(committed_db: str) -> None:
    """What happened on an earlier day can't be added to, even through the application's role."""
    from accounts.services.members import enrol_members
    from tests.factories import MemberFactory

    first, second = enrol_members(members=MemberFactory.build_batch(2))
    deposit(movements=[CashMovement(first.pk, 500, "in")], on=DAY, actor="test")
    with pytest.raises(DatabaseError) as refusal, connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO accounts_transfer"
            " (entry_id, book, debit_id, credit_id, amount, effective_on)"
            " SELECT e.id, 1, a.id, b.id, 5, e.effective_on FROM accounts_entry AS e,"
            " accounts_account AS a, accounts_account AS b"
            " WHERE a.kind = 'cash' AND b.kind = 'cash' AND a.owner_id = %s AND b.owner_id = %s",
            [first.pk, second.pk],
        )
    cause = refusal.value.__cause__
    assert isinstance(cause, psycopg.Error)
    assert cause.sqlstate == "TN003"
    assert member_balances(second.pk).cash == 0
