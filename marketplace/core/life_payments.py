"""Payments in a loan's life: allocated when they arrive, spread over the parts once cleared."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np

from marketplace.core.arrays import PENCE_PER_UNIT, IntArray
from marketplace.core.distribution import PartBook, distribute
from marketplace.core.life_records import FundOutcome, LifeDistribution, PaymentOutcome
from marketplace.core.life_state import LoanOnADay, Row
from marketplace.core.loan_events import DistributionKind, Excess, LoanEvent, PaymentEvent
from marketplace.core.receipts import receipts_of_totals
from marketplace.core.states import PAYABLE, LoanState

_PAID_UP = {
    LoanState.DEFAULT: (LoanState.RECOVERED, "All that was owed has been recovered."),
    LoanState.WRITTEN_OFF: (LoanState.RECOVERED, "All that was owed has been recovered."),
}


def take_payment(loan: LoanOnADay, payment: PaymentEvent, on: date) -> None:
    """Take a payment in: allocate it, or let it wait where nothing is due yet."""
    loan.received += payment.amount
    if loan.spell is not None:
        loan.spell.received += payment.amount
    if _waits(loan, payment):
        loan.waiting.append(payment)
        loan.outcomes[payment.number] = PaymentOutcome(payment.number)
    else:
        _allocate(loan, payment, on)
    allocate_waiting(loan, on)


def allocate_waiting(loan: LoanOnADay, on: date) -> None:
    """Allocate payments that waited, by number, while something is due or nothing can be."""
    while loan.waiting and not _waits(loan, loan.waiting[0]):
        _allocate(loan, loan.waiting.pop(0), on)


def spread_cleared(loan: LoanOnADay, on: date) -> None:
    """Spread the payments that are allocated and have cleared, by number; then close or cure."""
    ready = [payment for day, payment in loan.clearing if day <= on]
    if not ready:
        return
    loan.clearing = [(day, payment) for day, payment in loan.clearing if day > on]
    for payment in sorted(ready, key=lambda payment: payment.number):
        outcome = loan.outcomes[payment.number]
        principal = outcome.principal - outcome.to_fund_principal - outcome.cost_principal
        interest = outcome.interest - outcome.to_fund_interest - outcome.cost_interest
        _spread(loan, DistributionKind.PAYMENT, payment.number, on, principal, interest)
        loan.spread += payment.amount
        loan.principal_spread += outcome.principal
        loan.interest_spread += outcome.interest
        loan.outcomes[payment.number] = replace(outcome, distributed_on=on)
    _close_or_cure(loan, on)


def pay_from_fund(loan: LoanOnADay, event: LoanEvent, on: date) -> None:
    """Spread what the provision fund pays, at most what lenders still lack; it owns that claim."""
    principal = min(event.amount, loan.outstanding - loan.fund_principal)
    interest = min(event.interest, loan.accrued - loan.interest_paid - loan.fund_interest)
    loan.fund_principal += principal
    loan.fund_interest += interest
    loan.fund_payments.append(FundOutcome(event.number, principal, interest))
    _spread(loan, DistributionKind.FUND, event.number, on, principal, interest)


def _waits(loan: LoanOnADay, payment: PaymentEvent) -> bool:
    return payment.excess is Excess.KEEP and loan.open == 0 and loan.can_fall_due


def _allocate(loan: LoanOnADay, payment: PaymentEvent, on: date) -> None:
    owed = (loan.outstanding, loan.accrued - loan.interest_paid)
    principal, interest = 0, 0
    if loan.state in PAYABLE:
        principal, interest = _fill(loan, payment.amount)
    rest = payment.amount - principal - interest
    if rest and payment.excess is not Excess.KEEP and loan.can_fall_due:
        more, stub = _prepay(loan, payment, rest, on)
        principal, interest, rest = principal + more, interest + stub, rest - more - stub
    shares = _shares(loan, payment.cost, (principal, interest), owed)
    loan.outcomes[payment.number] = PaymentOutcome(
        number=payment.number,
        allocated_on=on,
        principal=principal,
        interest=interest,
        returned=rest,
        to_fund_principal=shares[0][0],
        to_fund_interest=shares[1][0],
        cost_principal=shares[0][1],
        cost_interest=shares[1][1],
    )
    loan.clearing.append((max(payment.clears_on, on), payment))


def _prepay(loan: LoanOnADay, payment: PaymentEvent, rest: int, on: date) -> tuple[int, int]:
    """Repay principal before its time; what would cover all of it settles the loan instead."""
    if rest >= loan.not_due:
        loan.settle(on)
    else:
        loan.prepay(on, rest, level=loan.level if payment.excess is Excess.SHORTER else None)
    return _fill(loan, rest)


def _fill(loan: LoanOnADay, amount: int) -> tuple[int, int]:
    """Fill the open rows, oldest first and interest before principal; return both sums.

    One loan's few open rows are quicker in a plain loop than in
    :func:`marketplace.core.waterfall.waterfall`, whose rule it is.
    """
    principal, interest = 0, 0
    for row in loan.rows[loan.settled_rows : loan.fallen]:
        to_interest = min(
            amount - principal - interest, (row.interest_due or 0) - row.interest_paid
        )
        row.interest_paid += to_interest
        interest += to_interest
        to_principal = min(amount - principal - interest, row.principal_due - row.principal_paid)
        row.principal_paid += to_principal
        principal += to_principal
        if row.unpaid:
            break
        loan.settled_rows += 1
    loan.principal_paid += principal
    loan.interest_paid += interest
    return principal, interest


def _shares(
    loan: LoanOnADay, cost: int, got: tuple[int, int], owed: tuple[int, int]
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the fund's net share and the cost, of principal and of interest; its claim falls.

    Args:
        loan: the loan.
        cost: of the recovery, pence.
        got: principal and interest that the payment brought, gross.
        owed: what was owed of each before it.
    """
    principal, interest = got
    borne = min(cost, principal + interest)
    of_interest = borne * interest // max(principal + interest, 1)
    of_principal = borne - of_interest
    to_principal = principal * loan.fund_principal // max(owed[0], 1)
    to_interest = interest * loan.fund_interest // max(owed[1], 1)
    loan.fund_principal -= to_principal
    loan.fund_interest -= to_interest
    net_principal = to_principal - of_principal * to_principal // max(principal, 1)
    net_interest = to_interest - of_interest * to_interest // max(interest, 1)
    return (net_principal, of_principal), (net_interest, of_interest)


def _spread(
    loan: LoanOnADay,
    kind: DistributionKind,
    number: int,
    on: date,
    principal: int,
    interest: int,
) -> None:
    """Spread what lenders get over the parts; nothing is written where they get nothing."""
    if principal + interest == 0:
        return
    rows = loan.rows[: loan.fallen]
    receipts = receipts_of_totals(
        principal=[principal],
        interest=[interest],
        interest_before=[loan.lenders_interest],
        interest_due=[row.interest_due or 0 for row in rows],
        pence_months=[row.pence_months or 0 for row in rows],
        offsets=[0, len(rows)],
    )
    result = distribute(_book(loan), receipts, fee_ppm=loan.contract.fee_ppm)
    totals = (result.principal_received, result.interest_received, result.fee_received)
    loan.totals = totals
    loan.lenders_interest += interest
    loan.distributions.append(LifeDistribution(kind, number, on, *totals))


def _book(loan: LoanOnADay) -> PartBook:
    deal = loan.contract
    every: IntArray = np.array([0, len(deal.units)], dtype=np.int64)
    return PartBook(
        deal.part_id,
        deal.units,
        deal.units * PENCE_PER_UNIT,
        deal.monthly_e12,
        *loan.totals,
        every,
    )


def _close_or_cure(loan: LoanOnADay, on: date) -> None:
    """Repaid or recovered when all is spread; cured when all that was due before today is."""
    all_spread = (
        loan.principal_spread == loan.contract.amount and loan.interest_spread == loan.accrued
    )
    if all_spread and loan.state in PAYABLE:
        repaid = (LoanState.REPAID, "All instalments are paid.")
        if loan.rescinded:
            repaid = (LoanState.RESCINDED, "All that was lent and its interest is paid back.")
        loan.move(on, *_PAID_UP.get(loan.state, repaid))
        loan.closed_on = on
    elif loan.state is LoanState.ARREARS and _caught_up(loan, on):
        loan.move(on, LoanState.ACTIVE, "Everything overdue has been paid.")


def _caught_up(loan: LoanOnADay, on: date) -> bool:
    due = sum(
        row.principal_due + (row.interest_due or 0)
        for row in loan.rows[: loan.fallen]
        if row.due_on < on
    )
    return loan.principal_spread + loan.interest_spread >= due


def overdue(loan: LoanOnADay, on: date) -> Row | None:
    """Return the oldest row due before a day that no payment covers."""
    for row in loan.rows[loan.settled_rows : loan.fallen]:
        if row.due_on < on and row.unpaid:
            return row
    return None
