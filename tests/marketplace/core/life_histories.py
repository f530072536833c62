"""Random histories of a loan for Hypothesis: whatever can happen to one, in any order."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from hypothesis import strategies as st

from marketplace.core.life import Contract, DayStage, Life, live
from marketplace.core.loan_events import (
    DefaultCause,
    Excess,
    LoanEvent,
    LoanEventKind,
    PaymentEvent,
)
from marketplace.core.rates import monthly_rate_e12
from marketplace.core.states import MoveRefused

START = date(2015, 11, 30)
HOLIDAYS = frozenset({date(2015, 12, 25), date(2015, 12, 28), date(2016, 1, 1)})
K = LoanEventKind
_KINDS = [kind for kind in K if kind not in (K.ARRANGEMENT_ENDED, K.HARDSHIP_ENDED)]


@dataclass(frozen=True)
class History:
    """A loan, what happened to it, and until when it is told."""

    contract: Contract
    payments: list[PaymentEvent]
    events: list[LoanEvent]
    on: date

    def life(self) -> Life:
        """The whole of it."""
        return live(self.contract, self.payments, self.events, self.on, holidays=HOLIDAYS)


@st.composite
def contracts(draw: st.DrawFn) -> Contract:
    """A loan of a few parts."""
    parts = draw(
        st.lists(st.tuples(st.integers(1, 30), st.integers(0, 400_000)), min_size=1, max_size=6)
    )
    units = np.array([size for size, _ in parts], dtype=np.int64)
    return Contract(
        amount=int(units.sum()) * 1_000,
        paid_out_on=START,
        months=draw(st.integers(1, 14)),
        units=units,
        monthly_e12=monthly_rate_e12(np.array([rate for _, rate in parts], dtype=np.int64)),
        part_id=np.array(draw(st.permutations(range(10, 10 + len(parts)))), dtype=np.int64),
        fee_ppm=draw(st.sampled_from([0, 10_000, 100_000])),
    )


def contract_of(
    units: list[int], annual_ppm: list[int], months: int, *, fee_ppm: int = 10_000
) -> Contract:
    """A loan with parts of these sizes and rates, paid out on :data:`START`."""
    return Contract(
        amount=sum(units) * 1_000,
        paid_out_on=START,
        months=months,
        units=np.array(units, dtype=np.int64),
        monthly_e12=monthly_rate_e12(np.array(annual_ppm, dtype=np.int64)),
        part_id=np.arange(1, len(units) + 1),
        fee_ppm=fee_ppm,
    )


@st.composite
def events(draw: st.DrawFn, number: int, on: date) -> LoanEvent:
    """Some event with figures that make sense."""
    kind = draw(st.sampled_from(_KINDS))
    return LoanEvent(
        number=number,
        kind=kind,
        on=on,
        amount=draw(st.integers(1, 30_000)),
        interest=draw(st.integers(0, 2_000)),
        months=draw(st.integers(1, 3)),
        day=draw(st.integers(1, 28)),
        until=on + timedelta(days=draw(st.integers(0, 90))),
        cause=draw(st.sampled_from(DefaultCause)) if kind is K.DEFAULT else None,
    )


@st.composite
def payments(draw: st.DrawFn, number: int, on: date, level: int) -> PaymentEvent:
    """Some payment: often about an instalment."""
    amount = draw(
        st.one_of(
            st.sampled_from([level, level, level, level + 1, 2 * level, max(level // 2, 1)]),
            st.integers(1, 6 * level),
        )
    )
    recovery = draw(st.booleans()) and draw(st.booleans())
    return PaymentEvent(
        number=number,
        received_on=on,
        clears_on=on + timedelta(days=draw(st.sampled_from([0, 3, 3, 5]))),
        amount=amount,
        excess=draw(st.sampled_from([Excess.KEEP, Excess.KEEP, Excess.SHORTER, Excess.SMALLER])),
        cost=draw(st.integers(0, amount)) if recovery else 0,
    )


@st.composite
def histories(draw: st.DrawFn, *, with_events: bool = True, most: int = 14) -> History:
    """A loan and what happened to it; events that its state didn't allow are left out."""
    contract = draw(contracts())
    level = live(contract, [], [], START).level
    gaps = draw(st.lists(st.integers(0, 40), min_size=1, max_size=most))
    paid: list[PaymentEvent] = []
    happened: list[LoanEvent] = []
    on = START
    number = 0
    for gap in gaps:
        on += timedelta(days=gap)
        number += 1
        if with_events and draw(st.integers(0, 3)) == 0:
            event = draw(events(number, on))
            try:
                live(contract, paid, [*happened, event], on, holidays=HOLIDAYS)
            except MoveRefused:
                continue
            happened.append(event)
            if event.kind in (K.SETTLEMENT, K.RESCISSION, K.SETTLED_SHORT):
                number += 1
                paid.append(_settling(contract, paid, happened, number, on))
        else:
            paid.append(draw(payments(number, on, level)))
    end = on + timedelta(days=draw(st.integers(0, 200)))
    return History(contract, paid, happened, end)


def _settling(
    contract: Contract,
    paid: list[PaymentEvent],
    happened: list[LoanEvent],
    number: int,
    on: date,
) -> PaymentEvent:
    """What an event asks for, paid right after it."""
    life = live(contract, paid, happened, on, holidays=HOLIDAYS, through=DayStage.TAKEN)
    event = happened[-1]
    amount = event.amount
    if event.kind is not K.SETTLED_SHORT:
        amount = life.principal_owed + life.interest_owed
    return PaymentEvent(number, on, on + timedelta(days=3), max(amount, 1))
