"""Many connections at once: nobody overdraws, nobody waits in a circle, no penny is lost."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import date

import numpy as np
import pytest
from django.db import connection, transaction

from accounts.core.chart import Book, Kind
from accounts.core.posting import EntryDraft, EntryKind, Leg, posting
from accounts.models import Account, Entry
from accounts.selectors.ledger import account_ids, check_book, member_balances
from accounts.services.cash import CashMovement, deposit
from accounts.services.idempotency import once
from accounts.services.members import enrol_members
from accounts.services.posting import NotEnoughMoney, post
from tests.factories import MemberFactory

DAY = date(2016, 4, 1)


def _at_once(work: Callable[[int], None], workers: int) -> None:
    """Run ``work`` in threads with connections of their own, started together."""
    barrier = threading.Barrier(workers)
    failures: list[BaseException] = []

    def run(number: int) -> None:
        try:
            connection.ensure_connection()
            barrier.wait()
            work(number)
        except BaseException as error:  # noqa: BLE001 - shown by the test below
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(n,)) for n in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def _funded(count: int, pence: int) -> list[int]:
    stored = enrol_members(members=MemberFactory.build_batch(count))
    deposit(movements=[CashMovement(m.pk, pence, f"in-{m.pk}") for m in stored], on=DAY, actor="t")
    return [m.pk for m in stored]


def _pay(giver: int, taker: int, amount: int, key: str, transfers: int = 1) -> None:
    with transaction.atomic():
        one, other = account_ids(Kind.CASH, np.array([giver, taker])).tolist()
        entry = EntryDraft(EntryKind.DEPOSIT, key, DAY, "t", "t")
        post(posting([entry], [Leg(0, one, other, amount, Book.CASH)] * transfers))


def test_sixty_four_spend_the_same_money_and_forty_succeed(committed_db: str) -> None:
    giver, taker = _funded(2, 4_000)
    refused: list[int] = []

    def spend(number: int) -> None:
        try:
            _pay(giver, taker, 100, f"spend-{number}")
        except NotEnoughMoney:
            refused.append(number)

    _at_once(spend, 64)
    assert len(refused) == 24
    assert member_balances(giver).cash == 0
    assert member_balances(taker).cash == 8_000
    assert check_book().holds


@pytest.mark.parametrize("transfers", [1, 3])
def test_a_ring_of_sixty_four_never_deadlocks(committed_db: str, transfers: int) -> None:
    """One transfer and several take two ways through the trigger; both lock in one order."""
    ring = _funded(64, 10_000)

    def pass_on(number: int) -> None:
        giver, taker = ring[number], ring[(number + 1) % 64]
        for turn in range(4):
            _pay(giver, taker, 50, f"ring-{number}-{turn}", transfers)

    _at_once(pass_on, 64)
    assert [member_balances(member).cash for member in ring] == [10_000] * 64
    assert Entry.objects.filter(key__startswith="ring-").count() == 256
    assert check_book().holds


def test_bulk_postings_over_the_same_accounts_never_deadlock(committed_db: str) -> None:
    """Two thousand transfers each, in opposite orders, of accounts that all of them share."""
    everyone = account_ids(Kind.CASH, np.array(_funded(200, 1_000_000)))

    def shuffle(number: int) -> None:
        giver = np.tile(everyone, 10) if number % 2 else np.tile(everyone[::-1], 10)
        entry = EntryDraft(EntryKind.DEPOSIT, f"bulk-{number}", DAY, "t", "t")
        with transaction.atomic():
            post(posting([entry], [Leg(0, giver, np.roll(giver, 1), 5, Book.CASH)]))

    _at_once(shuffle, 8)
    assert set(Account.objects.filter(kind="cash").values_list("balance", flat=True)) == {1_000_000}
    assert check_book().holds


def test_the_same_operation_asked_twice_at_once_happens_once(committed_db: str) -> None:
    giver, taker = _funded(2, 1_000)
    answers: list[dict[str, int]] = []

    def ask(number: int) -> None:
        def act() -> dict[str, int]:
            _pay(giver, taker, 100, "the-one")
            return {"by": number}

        with transaction.atomic():
            answers.append(once(scope="m", name="pay", key="k", content={"a": 1}, action=act))

    _at_once(ask, 8)
    assert len({answer["by"] for answer in answers}) == 1
    assert member_balances(taker).cash == 1_100


def test_the_same_deposit_from_eight_connections_arrives_once(committed_db: str) -> None:
    member = _funded(1, 1_000)[0]
    replayed: list[bool] = []

    def arrive(_: int) -> None:
        movement = CashMovement(member, 500, "statement-7-line-3")
        replayed.append(deposit(movements=[movement], on=DAY, actor="t").replayed)

    _at_once(arrive, 8)
    assert sorted(replayed) == [False] + [True] * 7
    assert member_balances(member).cash == 1_500
    assert check_book().holds
