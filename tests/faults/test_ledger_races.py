"""Many connections at once: nobody overdraws, nobody waits in a circle, no penny is lost."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import date

import numpy as np
from django.db import connection, transaction

from accounts.core.chart import Book, Kind
from accounts.core.posting import EntryDraft, EntryKind, Leg, posting
from accounts.models import Entry
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


def _pay(giver: int, taker: int, amount: int, key: str) -> None:
    with transaction.atomic():
        one, other = account_ids(Kind.CASH, np.array([giver, taker]))
        entry = EntryDraft(EntryKind.DEPOSIT, key, DAY, "t", "t")
        post(posting([entry], [Leg(0, int(one), int(other), amount, Book.CASH)]))


def test_sixteen_spend_the_same_money_and_ten_succeed(committed_db: str) -> None:
    giver, taker = _funded(2, 1_000)
    refused: list[int] = []

    def spend(number: int) -> None:
        try:
            _pay(giver, taker, 100, f"spend-{number}")
        except NotEnoughMoney:
            refused.append(number)

    _at_once(spend, 16)
    assert len(refused) == 6
    assert member_balances(giver).cash == 0
    assert member_balances(taker).cash == 2_000
    assert check_book().holds


def test_a_ring_of_transfers_never_deadlocks(committed_db: str) -> None:
    ring = _funded(8, 10_000)

    def pass_on(number: int) -> None:
        for turn in range(20):
            _pay(ring[number], ring[(number + 1) % 8], 50, f"ring-{number}-{turn}")

    _at_once(pass_on, 8)
    assert [member_balances(member).cash for member in ring] == [10_000] * 8
    assert Entry.objects.filter(key__startswith="ring-").count() == 160
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
