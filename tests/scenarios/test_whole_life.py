"""Whole lives of loans: thirty-six months paid to the last penny, and three borrowers side by side.

The first is checked against a plain loop in fractions that shares no code with the house.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal, localcontext
from fractions import Fraction
from math import floor

from accounts.core.chart import Kind
from accounts.models import Account
from accounts.selectors.ledger import member_balances, totals_by_kind
from marketplace.core.schedule import add_business_days
from marketplace.core.states import LoanState
from marketplace.models import Distribution, Instalment, LoanMove, Part
from marketplace.selectors.audit import audit
from marketplace.selectors.collecting import collectable
from marketplace.services.ageing import age_loans
from marketplace.services.calendar import bank_holidays
from marketplace.services.falling_due import fall_due
from marketplace.services.payments import PaymentDraft, distribute_cleared, receive_payments
from tests.marketplace.house import House, key, paid_out, pay
from tests.world import ACTOR, DAY

HOLIDAYS = bank_holidays(2016, 2019)
FEE_A_MONTH = Fraction(1, 1_200)  # 1 % a year of what is outstanding

PARTS = (
    (62_000, 1_000),
    (64_500, 34_000),
    (66_000, 1_000),
    (69_000, 48_000),
    (71_000, 17_000),
    (75_000, 29_000),
    (75_000, 1_000),
)
AMOUNT = 131_000


@dataclass(frozen=True)
class Expected:
    """What the plain loop says: pence due a month, and interest and fee of each part in all."""

    due: list[int]
    interest: list[int]
    fee: list[int]


def _monthly(ppm: int) -> Fraction:
    """The monthly rate in whole 10^-12, from forty digits."""
    with localcontext() as context:
        context.prec = 40
        rate = (1 + Decimal(ppm) / 10**6) ** (Decimal(1) / 12) - 1
        return Fraction(round(rate * 10**12), 10**12)


def _half_up(value: Fraction) -> int:
    return floor(value + Fraction(1, 2))


def _plain_loop() -> Expected:
    rates = [_monthly(ppm) for ppm, _ in PARTS]
    shares = [Fraction(pence, AMOUNT) for _, pence in PARTS]
    blend = sum((s * r for s, r in zip(shares, rates, strict=True)), Fraction(0))
    level = round(AMOUNT * blend / (1 - (1 + blend) ** -36))
    balance, months, before, due = AMOUNT, 0, 0, []
    interest = [0] * len(PARTS)
    for number in range(1, 37):
        months += balance
        interest = [_half_up(s * r * months) for s, r in zip(shares, rates, strict=True)]
        charged, before = sum(interest) - before, sum(interest)
        principal = balance if number == 36 else level - charged
        balance -= principal
        due.append(principal + charged)
    fees = [
        min(_half_up(s * FEE_A_MONTH * months), i) for s, i in zip(shares, interest, strict=True)
    ]
    return Expected(due, interest, fees)


def test_thirty_six_months_to_the_last_penny(house: House) -> None:
    made, expected = paid_out(house, PARTS), _plain_loop()
    days = Instalment.objects.filter(loan=made.loan_id).values_list("due_on", flat=True)
    collected = []
    for day in list(days):
        fall_due(on=day, actor=ACTOR)
        [due] = collectable(day).amount.tolist()
        collected.append(due)
        cleared = add_business_days(day, 3, HOLIDAYS)
        pay(made.loan_id, due - 1, day)
        pay(made.loan_id, 1, day)
        distribute_cleared(on=cleared, actor=ACTOR)
        assert age_loans(on=cleared).arrears == 0
    assert collected == expected.due
    loan = made.loan
    assert (loan.state, loan.outstanding) == (LoanState.REPAID, 0)
    parts = Part.objects.filter(loan=made.loan_id).order_by("number")
    received = Distribution.objects.get(loan=made.loan_id, number=loan.distributions)
    assert received.principal == [pence for _, pence in PARTS]
    assert received.interest == expected.interest
    assert received.fee == expected.fee
    # Each lender has what the part gave, less the fee; nothing is left on the way.
    for part, interest, fee in zip(parts, expected.interest, expected.fee, strict=True):
        assert member_balances(part.lender_id).cash == part.size + interest - fee
    totals = totals_by_kind()
    for kind in (Kind.CLEARING, Kind.PRINCIPAL_OWED, Kind.INTEREST_DUE, Kind.CLAIMS_HELD):
        assert totals[kind] == 0
    # The arrangement fee of 1.5 % is £19.65.
    assert totals[Kind.FEES] == 1_965 + sum(expected.fee)
    assert all(finding.holds for finding in audit())


def test_three_borrowers_side_by_side(house: House) -> None:
    """One pays, one is a month late and catches up, one stops after two instalments."""
    good, late, bad = (paid_out(house) for _ in range(3))
    for number in range(1, 9):
        day = Instalment.objects.get(loan=good.loan_id, number=number).due_on
        fall_due(on=day, actor=ACTOR)
        owed = collectable(day)
        due = dict(zip(owed.loan.tolist(), owed.amount.tolist(), strict=True))
        drafts = [PaymentDraft(good.loan_id, due[good.loan_id])]
        if number != 3:
            drafts.append(PaymentDraft(late.loan_id, due[late.loan_id]))
        if number <= 2:
            drafts.append(PaymentDraft(bad.loan_id, due[bad.loan_id]))
        receive_payments(payments=drafts, on=day, actor=ACTOR, key=key())
        cleared = add_business_days(day, 3, HOLIDAYS)
        distribute_cleared(on=cleared, actor=ACTOR)
        age_loans(on=cleared)
        assert all(finding.holds for finding in audit())
    assert _states(good.loan_id) == ["active"]
    # Instalment 3 was due on 1 July and came with the fourth, on 1 August.
    assert _states(late.loan_id) == ["active", "arrears", "active"]
    # The bad one's is unpaid since 1 July: default four months on.
    assert _states(bad.loan_id) == ["active", "arrears", "default"]
    assert bad.loan.defaulted_on == date(2016, 11, 1)
    # Interest on overdue principal, none on overdue interest: the late one pays more than the good.
    assert late.loan.interest_paid > good.loan.interest_paid
    assert late.loan.principal_paid == good.loan.principal_paid
    claim = Account.objects.get(kind=Kind.PRINCIPAL_OWED.value, owner_id=bad.loan_id).balance
    assert claim == bad.loan.outstanding == 100_000 - 2_512 - 2_526
    assert good.loan.paid_out_on == DAY


def _states(loan_id: int) -> list[str]:
    moves = LoanMove.objects.filter(loan=loan_id).order_by("id")
    return list(moves.values_list("state_after", flat=True))
