"""Every small life: loans of two months, all plans of payments, one event on every telling day."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from itertools import product

import pytest

from marketplace.core.life import DayStage, Life, live
from marketplace.core.loan_events import (
    DefaultCause,
    Excess,
    LoanEvent,
    LoanEventKind,
    PaymentEvent,
)
from marketplace.core.settlement import settlement_quote
from marketplace.core.states import SCHEDULED, LoanState

from .life_histories import HOLIDAYS, START, History, contract_of
from .test_life_laws import (
    assert_as_the_oracle_tells,
    every_move_is_in_the_table,
    every_penny_is_somewhere,
    lenders_keep_every_law,
    what_is_due_makes_up_the_loan,
)

K = LoanEventKind
# Pay-out on 30 November; due on 30 December and, as 30 January is a Saturday, on 1 February.
DUES = (date(2015, 12, 30), date(2016, 2, 1))
PAID = (date(2015, 12, 17), DUES[1])
HAPPENED = (START, date(2015, 12, 17), DUES[0], date(2016, 1, 12), date(2016, 2, 10))
END = date(2016, 7, 20)
LOANS = (
    contract_of([1], [240_000], 2, fee_ppm=100_000),
    contract_of([1, 1], [0, 300_000], 2),
)
# A payment is nothing, a penny, about an instalment, or more than all: pence for each £10.
AMOUNTS = (0, 1, 520, 1_100)
EVENTS = (
    LoanEvent(50, K.DUE_DAY, START, day=10),
    LoanEvent(50, K.HOLIDAY, START, months=1),
    LoanEvent(50, K.HARDSHIP, START, until=date(2016, 2, 15)),
    LoanEvent(50, K.ARRANGEMENT, START, amount=100, months=2),
    LoanEvent(50, K.DEFAULT, START, cause=DefaultCause.DEATH),
    LoanEvent(50, K.SETTLED_SHORT, START),
    LoanEvent(50, K.SETTLEMENT, START),
    LoanEvent(50, K.RESCISSION, START),
)


def plans(units: int) -> Iterator[list[PaymentEvent]]:
    """Every plan of payments; what is too much is kept, or repays principal."""
    for amounts in product(AMOUNTS, repeat=len(PAID)):
        for excess in (Excess.KEEP, Excess.SMALLER):
            if excess is Excess.KEEP or amounts[0] > 0:
                yield [
                    PaymentEvent(place + 1, on, on + timedelta(days=3), amount * units, excess)
                    for place, (on, amount) in enumerate(zip(PAID, amounts, strict=True))
                    if amount
                ]


def histories(loan: int) -> Iterator[History]:
    """Every life of a loan: each plan alone, and with each event on each day."""
    for paid in plans(LOANS[loan].units.size):
        yield History(LOANS[loan], paid, [], END)
        for event, on in product(EVENTS, HAPPENED):
            at = 0 if on == START else 50
            happened = replace(event, number=at, on=on)
            yield History(LOANS[loan], paid, [happened], END)


def told(history: History, on: date = END, through: DayStage = DayStage.AGED) -> Life:
    """The life as the services would have it replayed."""
    return live(
        history.contract,
        [payment for payment in history.payments if payment.received_on <= on],
        [event for event in history.events if event.on <= on],
        on,
        holidays=HOLIDAYS,
        through=through,
        lenient=True,
    )


@pytest.mark.parametrize("loan", range(len(LOANS)))
def test_every_life_keeps_the_laws(loan: int) -> None:
    states = set()
    for place, history in enumerate(histories(loan)):
        life = told(history)
        states.add(life.state)
        what_is_due_makes_up_the_loan(history, life)
        every_penny_is_somewhere(history, life)
        all_that_came_went_somewhere(history, life)
        every_move_is_in_the_table(life)
        # The slow one, of every seventh: all days and events come up by then.
        if place % 11 == loan:
            lenders_keep_every_law(history.contract, life)
    assert states >= {LoanState.REPAID, LoanState.DEFAULT, LoanState.SETTLED, LoanState.RESCINDED}


def all_that_came_went_somewhere(history: History, life: Life) -> None:
    """What came in is the lenders', the fund's, a cost, given back, or on its way."""
    done = [paid for paid in life.payments if paid.distributed_on is not None]
    lenders = int(life.principal.sum() + life.interest.sum())
    elsewhere = sum(
        paid.to_fund_principal
        + paid.to_fund_interest
        + paid.cost_principal
        + paid.cost_interest
        + paid.returned
        for paid in done
    )
    came = sum(payment.amount for payment in history.payments)
    assert came == lenders + elsewhere + life.clearing
    assert (life.fee >= 0).all()


@pytest.mark.parametrize("loan", range(len(LOANS)))
def test_every_life_is_what_the_oracle_tells(loan: int) -> None:
    for place, history in enumerate(histories(loan)):
        # The oracle takes no event that the table of moves lacks.
        if place % 13 == loan and not told(history).moot:
            assert_as_the_oracle_tells(history)


@pytest.mark.parametrize("loan", range(len(LOANS)))
def test_settling_costs_no_more_than_waiting_and_leaves_nothing(loan: int) -> None:
    seen = 0
    for place, history in enumerate(histories(loan)):
        if place % 11 != loan:
            continue
        waiting_costs: int | None = None
        for on in reversed((date(2015, 12, 17), DUES[0], date(2016, 1, 12), DUES[1])):
            life = told(history, on, DayStage.TAKEN)
            settled = life.principal_owed + life.interest_owed == 0
            # Nothing else happens any more, and nothing waits to change what is owed.
            quiet = life.waiting == 0 and not any(on <= day <= END for day in _days(history))
            if life.state not in SCHEDULED or settled:
                waiting_costs = None
                continue
            quote = settlement_quote(life, on)
            if quiet and waiting_costs is not None:
                assert quote.total <= waiting_costs
                seen += 1
            waiting_costs = quote.total if quiet else None
            after = told(_executed(history, on, quote.to_pay), on, DayStage.TAKEN)
            assert after.principal_owed + after.interest_owed + after.waiting == 0
            assert sum(row.interest_planned for row in after.rows if row.interest_due is None) == 0
    assert seen


def _days(history: History) -> list[date]:
    return [payment.received_on for payment in history.payments] + [
        event.on for event in history.events
    ]


def _executed(history: History, on: date, amount: int) -> History:
    """The same with a settlement on a day at the figure quoted for it."""
    paid = [PaymentEvent(91, on, on, amount)] if amount else []
    return replace(
        history,
        payments=[*history.payments, *paid],
        events=[*history.events, LoanEvent(90, K.SETTLEMENT, on)],
    )
