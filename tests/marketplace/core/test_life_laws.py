"""A loan's life: what the oracle tells, and its laws, over random histories."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from fractions import Fraction
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marketplace.core.arrays import IntArray
from marketplace.core.interest import cumulative_fee, cumulative_interest
from marketplace.core.life import Contract, Life, LifeRow, PaymentOutcome, live
from marketplace.core.loan_events import PaymentEvent
from marketplace.core.states import LOAN_MOVES, LoanState

from . import reference
from .life_histories import HOLIDAYS, START, History, histories
from .life_oracle import Oracle

SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large)


def told_by_the_oracle(history: History) -> Oracle:
    """The same life, by the oracle."""
    deal = history.contract
    return Oracle(
        deal.units.tolist(),
        deal.monthly_e12.tolist(),
        deal.part_id.tolist(),
        START,
        deal.months,
        deal.fee_ppm,
        HOLIDAYS,
    ).run(history.payments, history.events, history.on)


def assert_as_the_oracle_tells(history: History) -> None:
    """Every figure of both lives."""
    life, oracle = history.life(), told_by_the_oracle(history)
    assert [(move.on, move.after.value) for move in life.moves] == oracle.moves
    assert life.pence_months == oracle.s
    assert [
        (r.kind, r.nominal_on, r.due_on, r.principal_due, r.interest_due, r.pence_months)
        for r in life.rows
    ] == [(r.kind, r.nominal, r.on, r.principal, r.interest, r.months) for r in oracle.rows]
    assert [(r.principal_paid, r.interest_paid) for r in life.rows] == [
        (r.got_principal, r.got_interest) for r in oracle.rows
    ]
    assert [
        (
            (p.number, p.allocated_on, p.distributed_on, p.principal, p.interest, p.returned),
            (p.to_fund_principal, p.to_fund_interest),
            (p.cost_principal, p.cost_interest),
        )
        for p in life.payments
    ] == [
        (
            (number, c.allocated, c.spread, c.principal, c.interest, c.returned),
            c.fund,
            c.cost,
        )
        for number, c in sorted(oracle.came.items())
    ]
    assert [
        (d.number, d.principal.tolist(), d.interest.tolist(), d.fee.tolist())
        for d in life.distributions
    ] == oracle.history
    assert [life.fund_principal, life.fund_interest] == oracle.fund
    assert life.stub_months == oracle.stub(history.on)


@settings(deadline=None, max_examples=18, suppress_health_check=SLOW)
@given(histories())
def test_it_is_what_the_oracle_tells(history: History) -> None:
    assert_as_the_oracle_tells(history)


@settings(deadline=None, max_examples=6, suppress_health_check=SLOW)
@given(histories(with_events=False), st.data())
def test_undoing_an_earlier_payment_is_the_life_of_the_rest(
    history: History, data: st.DataObject
) -> None:
    undone = data.draw(st.sampled_from(history.payments))
    kept = [payment for payment in history.payments if payment is not undone]
    assert_as_the_oracle_tells(replace(history, payments=kept))


@settings(deadline=None, max_examples=7, suppress_health_check=SLOW)
@given(histories(), st.integers(1, 100_000))
def test_undoing_the_last_payment_restores_every_total(history: History, amount: int) -> None:
    day = history.on + timedelta(days=1)
    last = PaymentEvent(1_000, day, day, amount)
    before = live(history.contract, history.payments, history.events, day, holidays=HOLIDAYS)
    after = live(
        history.contract, [*history.payments, last], history.events, day, holidays=HOLIDAYS
    )
    earlier = [step for step in after.distributions if step.number != last.number]
    assert [step.number for step in earlier] == [step.number for step in before.distributions]
    for one, other in zip(earlier, before.distributions, strict=True):
        assert one.principal.tolist() == other.principal.tolist()
        assert one.interest.tolist() == other.interest.tolist()
        assert one.fee.tolist() == other.fee.tolist()


@settings(deadline=None, max_examples=7, suppress_health_check=SLOW)
@given(histories(), st.randoms(use_true_random=False))
def test_the_order_of_what_is_given_makes_no_difference(history: History, random: Any) -> None:
    deal, life = history.contract, history.life()
    order = list(range(deal.units.size))
    random.shuffle(order)
    mixed = replace(
        deal,
        units=deal.units[order],
        monthly_e12=deal.monthly_e12[order],
        part_id=deal.part_id[order],
    )
    payments, events = list(history.payments), list(history.events)
    random.shuffle(payments)
    random.shuffle(events)
    other = live(mixed, payments, events, history.on, holidays=HOLIDAYS)
    assert other.moves == life.moves
    assert other.rows == life.rows
    assert other.payments == life.payments
    assert other.principal.tolist() == life.principal[order].tolist()
    assert other.interest.tolist() == life.interest[order].tolist()
    assert other.fee.tolist() == life.fee[order].tolist()


@settings(deadline=None, max_examples=14, suppress_health_check=SLOW)
@given(histories())
def test_the_laws(history: History) -> None:
    life = history.life()
    what_is_due_makes_up_the_loan(history, life)
    every_penny_is_somewhere(history, life)
    every_move_is_in_the_table(life)
    lenders_keep_every_law(history.contract, life)


def what_is_due_makes_up_the_loan(history: History, life: Life) -> None:
    """Principal of the rows, interest as of ``S``, and nothing paid beyond what is due."""
    deal = history.contract
    assert sum(row.principal_due for row in life.rows) == deal.amount
    last, total = [life.pence_months], [int(deal.units.sum())]
    fixed = cumulative_interest(deal.units, deal.monthly_e12, last, total)
    assert sum(row.interest_due or 0 for row in life.rows) == fixed.sum()
    for row in life.rows:
        assert 0 <= row.principal_paid <= row.principal_due
        assert 0 <= row.interest_paid <= (row.interest_due or 0)
    assert life.principal_paid == sum(row.principal_paid for row in life.rows)
    assert life.interest_paid == sum(row.interest_paid for row in life.rows)


def every_penny_is_somewhere(history: History, life: Life) -> None:
    """Of payments: allocated or returned, or waiting; of the claim: owed or written off."""
    amounts = {payment.number: payment.amount for payment in history.payments}
    for paid in life.payments:
        came = paid.principal + paid.interest + paid.returned
        assert came == (0 if paid.allocated_on is None else amounts[paid.number])
        assert paid.to_fund_principal + paid.cost_principal <= paid.principal
        assert paid.to_fund_interest + paid.cost_interest <= paid.interest
    left = [p.number for p in life.payments if p.distributed_on is None]
    assert life.clearing == sum(amounts[number] for number in left)
    assert sum(p.principal for p in life.payments) == life.principal_paid
    owed = life.principal_owed + life.written_off_principal
    assert owed == history.contract.amount - life.principal_paid
    assert 0 <= life.fund_principal <= owed


def every_move_is_in_the_table(life: Life) -> None:
    """From active to where it is."""
    state = LoanState.ACTIVE
    for move in life.moves:
        assert move.before is state
        assert move.after in LOAN_MOVES[state]
        state = move.after
    assert state is life.state


def lenders_keep_every_law(deal: Contract, life: Life) -> None:
    """Sums exact, no total falls, everyone within a penny; at the end exactly their due."""
    spread = {p.number: p for p in life.payments} | {f.number: f for f in life.fund_payments}
    fallen = [row for row in life.rows if row.interest_due is not None]
    total = int(deal.units.sum())
    before = [np.zeros_like(deal.units)] * 3
    for step in life.distributions:
        after = [step.principal, step.interest, step.fee]
        assert all((new >= old).all() for new, old in zip(after, before, strict=True))
        assert (step.fee <= step.interest).all()
        what = spread[step.number]
        net = [what.principal, what.interest]
        if isinstance(what, PaymentOutcome):
            net[0] -= what.to_fund_principal + what.cost_principal
            net[1] -= what.to_fund_interest + what.cost_interest
        assert [int((after[k] - before[k]).sum()) for k in (0, 1)] == net
        received = int(step.principal.sum())
        assert (np.abs(step.principal * total - received * deal.units) < total).all()
        within_a_penny_inside_the_period(deal, fallen, step.interest)
        before = after
    costs = sum(p.cost_principal + p.cost_interest for p in life.payments)
    if life.state in (LoanState.REPAID, LoanState.RESCINDED) and costs == 0:
        last, whole = [life.pence_months], [total]
        due = cumulative_interest(deal.units, deal.monthly_e12, last, whole)
        fee = cumulative_fee(deal.units, due, last, whole, deal.fee_ppm)
        assert life.principal.tolist() == (deal.units * 1_000).tolist()
        assert life.interest.tolist() == due.tolist()
        assert life.fee.tolist() == fee.tolist()


def within_a_penny_inside_the_period(
    deal: Contract, fallen: list[LifeRow], interest: IntArray
) -> None:
    """Everyone has the full periods, and within a penny of their share of the one being filled."""
    had, full, total = int(interest.sum()), 0, int(deal.units.sum())
    parts = list(zip(deal.units.tolist(), deal.monthly_e12.tolist(), strict=True))

    def fixed(s: int) -> list[int]:
        return [reference.interest(u, r, s, total) for u, r in parts]

    for row in fallen:
        assert row.pence_months is not None
        upper = fixed(row.pence_months)
        if sum(upper) > had:
            base = fixed(full)
            inside, whole = had - sum(base), sum(upper) - sum(base)
            for k, got in enumerate(interest.tolist()):
                share = Fraction(inside * (upper[k] - base[k]), whole)
                assert abs(got - base[k] - share) < 1
            return
        full = row.pence_months
    assert interest.tolist() == fixed(full)
