"""Two at once with connections of their own: one does it, the other finds it done."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

from django.db import connection

from accounts.core.bank_overlap import BankStatementConflict
from accounts.core.bank_states import BankMoveRefused
from accounts.core.chart import Kind
from accounts.models import BankFile, BankLine, OutgoingPayment
from accounts.selectors.ledger import member_balances, totals_by_kind
from accounts.services.bank_import import ImportedFile
from accounts.services.payment_files import NothingToPay
from accounts.services.posting import NotEnoughMoney
from accounts.services.withdrawals import DebtOwed, cancel_withdrawal, request_withdrawal
from tests.accounts.services.bank_desk import (
    DAY,
    Bank,
    csv_file,
    fits,
    give,
    give_csv,
    payable,
    pays_in,
    people,
    send_file,
)
from tests.bank_files import camt053, statement, withdrawal_paid


def at_once(*works: Callable[[], object]) -> list[object]:
    """What each gave or refused with, started together in threads of their own."""
    barrier = threading.Barrier(len(works))
    answers: list[object] = [None] * len(works)

    def run(place: int) -> None:
        try:
            connection.ensure_connection()
            barrier.wait()
            answers[place] = works[place]()
        except Exception as error:  # noqa: BLE001 - looked at by the test
            answers[place] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(place,)) for place in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def test_the_same_file_twice_at_once(committed_db: str) -> None:
    [ada] = people(1)
    content = Bank().writes(*(pays_in(f"A{n}", ada, 100) for n in range(200)))
    answers = at_once(*[lambda: give(content)] * 4)
    unchanged = [answer.unchanged for answer in answers if isinstance(answer, ImportedFile)]
    assert sorted(unchanged) == [False, True, True, True], answers
    assert member_balances(ada.pk).cash == 20_000
    assert BankFile.objects.count() == 1
    fits()


def test_one_csv_file_for_two_accounts_at_once(committed_db: str) -> None:
    """It doesn't say whose it is: it is booked for one, and refused for the other."""
    content = csv_file(*(f"R{n},,1.00,{n + 1}.00" for n in range(200)))
    answers = at_once(lambda: give_csv(content, "own"), lambda: give_csv(content, "fund"))
    assert sum(isinstance(answer, BankStatementConflict) for answer in answers) == 1, answers
    assert BankLine.objects.count() == 200


def test_the_same_statement_in_two_files_at_once(committed_db: str) -> None:
    [ada] = people(1)
    made = statement(*(pays_in(f"A{n}", ada, 100) for n in range(200)))
    answers = at_once(
        lambda: give(camt053(made, version="02")), lambda: give(camt053(made, version="08"))
    )
    unchanged = [answer.unchanged for answer in answers if isinstance(answer, ImportedFile)]
    assert sorted(unchanged) == [False, True], answers
    assert BankLine.objects.count() == 200
    fits()


def test_all_of_the_cash_is_withdrawn_once(committed_db: str) -> None:
    [ada] = people(1)
    give(Bank().writes(pays_in("A1", ada, 10_000)))
    payable(ada)

    def withdraw(key: str) -> Callable[[], object]:
        return lambda: request_withdrawal(member_id=ada.pk, amount=10_000, key=key, on=DAY)

    answers = at_once(*(withdraw(f"w{n}") for n in range(4)))
    assert sum(isinstance(answer, NotEnoughMoney) for answer in answers) == 3, answers
    assert OutgoingPayment.objects.count() == 1
    assert member_balances(ada.pk).on_its_way == 10_000
    fits()


def test_a_payment_is_in_one_file(committed_db: str) -> None:
    [ada] = people(1)
    give(Bank().writes(pays_in("A1", ada, 10_000)))
    payable(ada)
    request_withdrawal(member_id=ada.pk, amount=10_000, key="w", on=DAY)
    answers = at_once(lambda: send_file("one"), lambda: send_file("two"))
    assert sum(isinstance(answer, NothingToPay) for answer in answers) == 1, answers


def test_cancelled_or_sent_but_not_both(committed_db: str) -> None:
    [ada] = people(1)
    give(Bank().writes(pays_in("A1", ada, 10_000)))
    payable(ada)
    number = request_withdrawal(member_id=ada.pk, amount=10_000, key="w", on=DAY)
    answers = at_once(
        lambda: send_file("one"),
        lambda: cancel_withdrawal(payment_id=number, member_id=ada.pk, key="c", on=DAY),
    )
    refused = [answer for answer in answers if isinstance(answer, NothingToPay | BankMoveRefused)]
    assert len(refused) == 1, answers
    state = OutgoingPayment.objects.get().state
    assert (state, member_balances(ada.pk).cash) in [("sent", 0), ("cancelled", 10_000)]
    fits()


def test_a_deposit_is_taken_back_while_its_cash_is_withdrawn(committed_db: str) -> None:
    """Whoever comes first, £100 is owed or there: nothing is lost, and nobody waits in a circle."""
    members = people(4)
    bank = Bank()
    lines = [
        replace(pays_in(f"A{n}", member, 10_000), counterparty_account=f"2000001111111{n}")
        for n, member in enumerate(members)
    ]
    give(bank.writes(*lines))
    for member in members:
        payable(member)
    back = bank.writes(
        *(
            replace(line, reference=f"R{n}", amount=-line.amount, reversal=True)
            for n, line in enumerate(lines)
        )
    )

    def withdraw(member: int) -> Callable[[], object]:
        return lambda: request_withdrawal(member_id=member, amount=6_000, key="w", on=DAY)

    answers = at_once(lambda: give(back), *(withdraw(member.pk) for member in members))
    assert isinstance(answers[0], ImportedFile), answers
    assert all(isinstance(answer, int | NotEnoughMoney | DebtOwed) for answer in answers[1:]), (
        answers
    )
    paid = sum(isinstance(answer, int) for answer in answers[1:])
    totals = totals_by_kind()
    assert (totals[Kind.DEBT], totals[Kind.ON_ITS_WAY]) == (6_000 * paid, 6_000 * paid)
    assert totals[Kind.CASH] == 0
    fits()


def test_a_confirmation_while_it_is_given_twice(committed_db: str) -> None:
    [ada] = people(1)
    bank = Bank()
    give(bank.writes(pays_in("A1", ada, 10_000)))
    payable(ada)
    number = request_withdrawal(member_id=ada.pk, amount=10_000, key="w", on=DAY)
    send_file()
    payment = OutgoingPayment.objects.get(pk=number)
    content = bank.writes(withdrawal_paid("B1", 10_000, payment.end_to_end_id))
    at_once(*[lambda: give(content)] * 2)
    assert OutgoingPayment.objects.get().state == "confirmed"
    fits()
