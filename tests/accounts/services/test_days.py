"""Closed business dates, closed accounts, floors of striped accounts, and corrections."""

from __future__ import annotations

import threading
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from django.db import connection, transaction
from django.db.utils import DatabaseError

from accounts.core.chart import Book, Kind
from accounts.core.errors import AccountsRefusal, AmountRefused
from accounts.core.posting import EntryDraft, EntryKind, Leg, posting
from accounts.models import Account, Member, Transfer
from accounts.selectors.ledger import (
    account_ids,
    check_book,
    member_balances,
    platform_accounts,
    totals_by_kind,
)
from accounts.services.cash import CashMovement, deposit
from accounts.services.days import AccountNotEmpty, close_accounts, close_date
from accounts.services.members import enrol_members
from accounts.services.posting import (
    AccountUnknown,
    AlreadyReversed,
    DateRefused,
    IdempotencyConflict,
    NotEnoughMoney,
    Posted,
    post,
)
from accounts.services.reversal import EntryNotReversible, reverse_entry
from tests.accounts.conftest import DAY, Move
from tests.factories import MemberFactory

NEXT = DAY + timedelta(days=1)


def _pay_in(member: Member, amount: int, key: str, on: date = DAY) -> Posted:
    return deposit(movements=[CashMovement(member.pk, amount, key)], on=on, actor="test")


def test_a_closed_date_takes_nothing_more_and_the_next_one_does(members: list[Member]) -> None:
    assert close_date(day=DAY, actor="test").newly
    for day in (DAY, DAY - timedelta(days=400)):
        with pytest.raises(DateRefused), transaction.atomic():
            _pay_in(members[0], 500, f"late-{day}", day)
    _pay_in(members[0], 500, "in time", NEXT)
    assert member_balances(members[0].pk).cash == 10_500
    assert check_book().holds


def test_what_was_booked_before_its_date_was_closed_is_answered_again(
    members: list[Member],
) -> None:
    first = _pay_in(members[0], 500, "k")
    close_date(day=DAY, actor="test")
    again = _pay_in(members[0], 500, "k")
    assert again.replayed
    assert again.entry_ids.tolist() == first.entry_ids.tolist()


def test_dates_close_in_order_and_stay_closed(members: list[Member]) -> None:
    close_date(day=NEXT, actor="test")
    assert not close_date(day=DAY, actor="test").newly
    assert not close_date(day=NEXT, actor="test").newly
    with pytest.raises(DatabaseError), transaction.atomic():
        connection.cursor().execute(
            "INSERT INTO accounts_closedday (day, actor) VALUES (%s, 'mine')", [DAY]
        )


def test_a_date_that_has_not_come_yet_is_neither_booked_nor_closed(members: list[Member]) -> None:
    later = datetime.now(UTC).date() + timedelta(days=2)
    with pytest.raises(DateRefused), transaction.atomic():
        _pay_in(members[0], 500, "early", later)
    with pytest.raises(DateRefused), transaction.atomic():
        close_date(day=later, actor="test")
    assert member_balances(members[0].pk).cash == 10_000


def test_closing_a_date_waits_for_what_is_under_way(committed_db: str) -> None:
    """A posting that began before the close is on the date; one that comes after it is refused."""
    [member] = enrol_members(members=[MemberFactory.build()])
    closed = threading.Event()

    def close() -> None:
        try:
            close_date(day=DAY, actor="test")
            closed.set()
        finally:
            connection.close()

    with transaction.atomic():
        _pay_in(member, 500, "before")
        closer = threading.Thread(target=close)
        closer.start()
        assert not closed.wait(0.3)
    closer.join()
    assert closed.is_set()
    with pytest.raises(DateRefused):
        _pay_in(member, 500, "after")
    assert member_balances(member.pk).cash == 500


def test_a_closed_account_takes_no_money(members: list[Member]) -> None:
    leaver = members[0]
    with pytest.raises(AccountNotEmpty), transaction.atomic():
        close_accounts(owner_id=leaver.pk, kinds=[Kind.CASH], on=DAY)
    close_accounts(owner_id=leaver.pk, kinds=[Kind.ON_OFFER, Kind.MATCHED], on=DAY)
    with pytest.raises(AccountNotEmpty), transaction.atomic():
        close_accounts(owner_id=leaver.pk, kinds=[Kind.ON_OFFER], on=DAY)
    with pytest.raises(AccountNotEmpty), transaction.atomic():
        close_accounts(owner_id=0, kinds=[Kind.FEES], on=DAY)
    [cash] = account_ids(Kind.CASH, np.array([leaver.pk]))
    [offer] = account_ids(Kind.ON_OFFER, np.array([leaver.pk]))
    entry = EntryDraft(EntryKind.OFFER_PLACED, "k", DAY, "test", "test")
    with pytest.raises(AccountUnknown), transaction.atomic():
        post(posting([entry], [Leg(0, int(cash), int(offer), 5, Book.CASH)]))
    assert member_balances(leaver.pk).cash == 10_000


def _suspense(amount: int, key: str, *, spend: bool, stripes: tuple[int, int] = (0, 1)) -> None:
    """Money into the first of two stripes of suspense, or out of the second."""
    [bank] = platform_accounts(Kind.CLIENT_BANK, ["bank"])
    stripe = Account.objects.get(kind="suspense", stripe=stripes[1 if spend else 0]).pk
    debit, credit = (stripe, int(bank)) if spend else (int(bank), stripe)
    entry = EntryDraft(EntryKind.DEPOSIT_UNKNOWN, key, DAY, "test", "test")
    with transaction.atomic():
        post(posting([entry], [Leg(0, debit, credit, amount, Book.CASH)]))


@pytest.mark.django_db
def test_a_striped_account_is_floored_as_the_sum_of_its_stripes() -> None:
    # £10.00 arrive on one stripe; £6.00 leave by another, then £4.01 are a penny too much.
    _suspense(1_000, "in", spend=False)
    _suspense(600, "out", spend=True)
    assert Account.objects.get(kind="suspense", stripe=1).balance == -600
    with pytest.raises(NotEnoughMoney):
        _suspense(401, "a penny too much", spend=True)
    _suspense(400, "the rest", spend=True)
    assert totals_by_kind()[Kind.SUSPENSE] == 0
    assert check_book().holds


def test_two_who_spend_the_same_suspense_by_different_stripes(committed_db: str) -> None:
    _suspense(1_000, "in", spend=False)
    refused: list[int] = []
    barrier = threading.Barrier(8)

    def spend(number: int) -> None:
        try:
            connection.ensure_connection()
            barrier.wait()
            _suspense(300, f"out-{number}", spend=True, stripes=(0, number))
        except NotEnoughMoney:
            refused.append(number)
        finally:
            connection.close()

    threads = [threading.Thread(target=spend, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Three times £3.00 out of £10.00, whoever comes first.
    assert len(refused) == 5
    assert totals_by_kind()[Kind.SUSPENSE] == 100


def test_a_reversal_mirrors_its_entry_and_happens_once(members: list[Member]) -> None:
    wrong = int(_pay_in(members[0], 2_500, "wrong").entry_ids[0])
    close_date(day=DAY, actor="test")
    made = reverse_entry(entry_id=wrong, key="r1", on=NEXT, actor="ops:1", reason="typed twice")
    assert made == reverse_entry(
        entry_id=wrong, key="r1", on=NEXT + timedelta(days=1), actor="ops:1", reason="typed twice"
    )
    assert member_balances(members[0].pk).cash == 10_000
    [was] = Transfer.objects.filter(entry_id=wrong)
    [undone] = Transfer.objects.filter(entry_id=made)
    assert (undone.debit_id, undone.credit_id) == (was.credit_id, was.debit_id)
    assert (undone.amount, undone.effective_on) == (2_500, NEXT)
    with pytest.raises(IdempotencyConflict), transaction.atomic():
        reverse_entry(entry_id=wrong, key="r1", on=NEXT, actor="ops:1", reason="another")
    with pytest.raises(AlreadyReversed), transaction.atomic():
        reverse_entry(entry_id=wrong, key="r2", on=NEXT, actor="ops:2", reason="typed twice")
    assert check_book().holds


def test_what_was_spent_cannot_be_taken_back(members: list[Member], move: Move) -> None:
    wrong = int(_pay_in(members[0], 2_500, "wrong").entry_ids[0])
    move(members[0], members[1], 12_000, "spent")
    with pytest.raises(NotEnoughMoney), transaction.atomic():
        reverse_entry(entry_id=wrong, key="r", on=DAY, actor="ops:1", reason="typed twice")
    assert member_balances(members[0].pk).cash == 500


def test_only_entries_about_money_alone_are_reversed_here(members: list[Member]) -> None:
    entry = EntryDraft(EntryKind.OFFER_PLACED, "offer", DAY, "test", "test")
    cash, offer = (
        int(account_ids(kind, np.array([members[0].pk]))[0]) for kind in (Kind.CASH, Kind.ON_OFFER)
    )
    with transaction.atomic():
        placed = post(posting([entry], [Leg(0, cash, offer, 1_000, Book.CASH)]))
    for wrong, reason in ((int(placed.entry_ids[0]), "why"), (10**9, "why"), (10**9, "")):
        with pytest.raises(EntryNotReversible), transaction.atomic():
            reverse_entry(entry_id=wrong, key="r", on=DAY, actor="ops:1", reason=reason)
    made = int(_pay_in(members[0], 2_500, "wrong").entry_ids[0])
    undone = reverse_entry(entry_id=made, key="r3", on=DAY, actor="ops:1", reason="why")
    with pytest.raises(EntryNotReversible), transaction.atomic():
        reverse_entry(entry_id=undone, key="r4", on=DAY, actor="ops:1", reason="why")


@pytest.mark.parametrize("amount", [0, -1, 10.5, 10**12, True, "10"])
def test_what_is_no_amount_moves_nothing(members: list[Member], amount: object) -> None:
    with pytest.raises(AmountRefused), transaction.atomic():
        _pay_in(members[0], amount, "odd")  # type: ignore[arg-type]
    assert member_balances(members[0].pk).cash == 10_000


def test_fractions_are_not_cut_off_in_silence() -> None:
    entry = EntryDraft(EntryKind.DEPOSIT, "k", DAY, "test", "test")
    with pytest.raises(AccountsRefusal):
        posting([entry], [Leg(0, 1, 2, np.array([10.5]), Book.CASH)])
    with pytest.raises(AccountsRefusal):
        posting([entry], [Leg(0, 1, 2, 10.5, Book.CASH)])  # type: ignore[arg-type]
