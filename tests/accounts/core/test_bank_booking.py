"""Which line a reversal undoes, where several could be meant: nobody's is taken by a guess."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from accounts.core.bank_booking import BookedLine, Desk, NewLine
from accounts.core.bank_statement import BankLine
from accounts.core.bank_states import LineOutcome, OurAccount

DAY = date(2016, 4, 1)
ADA, BEN = 1, 2
THEIRS = {ADA: "20000011111111", BEN: "20000022222222"}


def paid(member: int, reference: str, **changes: Any) -> NewLine:
    """£100.00 from a member, from an account of their own; its number is the member's."""
    line = BankLine(reference, DAY, 10_000, counterparty_account=THEIRS[member])
    return NewLine(member, OurAccount.CLIENT, replace(line, **changes), DAY, named=member)


def booked(*lines: NewLine, back: BankLine) -> BookedLine:
    """What a reversal is after these lines, in the next statement."""
    desk = Desk({}, THEIRS, THEIRS, [])
    desk.book(lines)
    undoing = replace(back, amount=-back.amount, reversal=True)
    return desk.book([NewLine(9, OurAccount.CLIENT, undoing, DAY)])[0]


@pytest.mark.parametrize(
    ("changes", "back", "member"),
    [
        # One payer for two members, and a reference of the reversal's own.
        ({"counterparty_account": "3"}, {"reference": "R1"}, 0),
        ({"counterparty_account": "3"}, {"reference": "A1"}, ADA),
        # The text that a bank puts where there is no end-to-end id: the account decides.
        ({"end_to_end_id": "NONREF"}, {"reference": "R1"}, ADA),
        ({"end_to_end_id": "NONREF"}, {"reference": "R1", "counterparty_account": ""}, 0),
        ({}, {"reference": "R1", "counterparty_account": ""}, 0),
    ],
)
def test_of_two_deposits_alike(changes: dict[str, Any], back: dict[str, Any], member: int) -> None:
    one, two = paid(ADA, "A1", **changes), paid(BEN, "A2", **changes)
    undone = booked(one, two, back=replace(one.line, **back))
    outcome = LineOutcome.DEPOSIT_REVERSED if member else LineOutcome.UNEXPLAINED
    assert (undone.outcome, undone.member_id, undone.reverses) == (outcome, member, member)


@pytest.mark.parametrize("account", [THEIRS[ADA], ""])
def test_a_number_that_the_bank_put_behind(account: str) -> None:
    one = paid(ADA, "FP#1001", counterparty_account=account)
    two = paid(BEN, "FP#1002", counterparty_account=account and THEIRS[BEN])
    assert booked(one, two, back=one.line).member_id == ADA


def test_a_number_that_we_put_behind_tells_less_than_the_account() -> None:
    """Both deposits share the bank's reference, and the reversals come the other way round."""
    one, two = paid(ADA, "A#1"), paid(BEN, "A#2")
    assert booked(one, two, back=replace(two.line, reference="A#1")).member_id == BEN


def test_money_that_waits_is_not_guessed_either() -> None:
    one, two = (
        replace(paid(member, f"S{member}", end_to_end_id="NONREF"), named=0) for member in THEIRS
    )
    undone = booked(one, two, back=replace(one.line, reference="R", counterparty_account=""))
    assert (undone.outcome, undone.item_id) == (LineOutcome.UNEXPLAINED, 0)
    assert booked(one, two, back=replace(one.line, reference="R")).item_id == ADA


def test_many_reversals_are_quick() -> None:
    """4,000 lines of one amount, and as many that name none of them: not 16 million pairs."""
    many = 4_000
    lines = [
        NewLine(
            number,
            OurAccount.CLIENT,
            BankLine(f"L{number}", DAY, 100 if number <= many else -100, reversal=number > many),
            DAY,
        )
        for number in range(1, 2 * many + 1)
    ]
    started = time.process_time()
    Desk({}, [], [], []).book(lines)
    assert time.process_time() - started < 1
