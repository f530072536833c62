"""A loan's life: a pure function of its contract, its payments and its events.

Replayed day by day, visiting only days on which something can happen. On each day, in this order:

1. instalments due that day fall due, which fixes their interest; payments that waited because
   nothing was due are allocated;
2. the day's payments and events, by number;
3. payments that are allocated and have cleared are spread over the parts, by number; the loan is
   repaid, recovered, or cured of arrears;
4. the loan is aged: arrears, default, the end of an arrangement or of hardship.

So undoing an earlier payment is telling the life again without it. What the set-based services do
forwards for many loans at once must come to the same, to the penny.
Source: the house design, "A loan's life"; ``docs/servicing.md``.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from itertools import groupby

from marketplace.core.house import HOUSE, House
from marketplace.core.life_records import (
    Contract,
    DayStage,
    FundOutcome,
    Life,
    LifeDistribution,
    LifeMove,
    LifeRefused,
    LifeRow,
    PaymentOutcome,
)
from marketplace.core.life_state import LoanOnADay, Row
from marketplace.core.life_steps import next_day, run_day
from marketplace.core.loan_events import LoanEvent, LoanEventKind, PaymentEvent

__all__ = [
    "Contract",
    "DayStage",
    "FundOutcome",
    "Life",
    "LifeDistribution",
    "LifeMove",
    "LifeRefused",
    "LifeRow",
    "PaymentOutcome",
    "live",
]

_LONGEST_SPELL = 120
_LAST_DUE_DAY = 28
_DAY = timedelta(days=1)


def live(
    contract: Contract,
    payments: Sequence[PaymentEvent],
    events: Sequence[LoanEvent],
    on: date,
    *,
    holidays: frozenset[date] = frozenset(),
    house: House = HOUSE,
    through: DayStage = DayStage.AGED,
    lenient: bool = False,
) -> Life:
    """Tell a loan's life from pay-out to the end of a day.

    The order in which payments, events and parts are given makes no difference but to the order of
    the parts' totals.

    Args:
        contract: what was agreed at pay-out.
        payments: those that did not bounce, received by ``on``.
        events: those that were not taken back, from days by ``on``.
        on: the business date.
        holidays: the days on which banks are closed, as far as the loan runs.
        house: the house's settings.
        through: how far ``on`` itself has gone; every day before has gone to its end.
        lenient: take an event whose move the table lacks as moot. What was allowed when it happened
            may have no place once an earlier payment is undone, or comes to light.

    Raises:
        LifeRefused: numbers used twice, days outside the loan's life, amounts, months or days of
            the month that make no sense.
        MoveRefused: an event whose move the table lacks, unless told leniently.
        ScheduleRefused, InterestOutOfBounds, SpreadRefused, ShapeRefused: as of the cores it uses.
    """
    given: list[LoanEvent | PaymentEvent] = [*payments, *events]
    items = sorted(given, key=lambda item: (_day(item), item.number))
    _check(contract, items, on)
    loan = LoanOnADay(contract, house, holidays, lenient)
    days = {day: list(group) for day, group in groupby(items, key=_day)}
    coming = [*days]
    day = contract.paid_out_on
    while day <= on:
        run_day(loan, day, days.get(day, []), DayStage.AGED if day < on else through)
        coming = [other for other in coming if other > day]
        soonest = [*coming[:1], next_day(loan, day) or on + _DAY]
        day = min(soonest)
    return _told(loan, on)


def _day(item: LoanEvent | PaymentEvent) -> date:
    return item.received_on if isinstance(item, PaymentEvent) else item.on


def _check(contract: Contract, items: Sequence[LoanEvent | PaymentEvent], on: date) -> None:
    if on < contract.paid_out_on:
        raise LifeRefused(f"The loan was paid out on {contract.paid_out_on}.", field="on")
    if len({item.number for item in items}) != len(items):
        raise LifeRefused("Two payments or events have the same number.", field="number")
    for item in items:
        if not contract.paid_out_on <= _day(item) <= on:
            raise LifeRefused(
                f"Number {item.number} is of {_day(item)}; a loan's payments and events lie between"
                f" its pay-out, {contract.paid_out_on}, and {on}.",
                field="on",
            )
        if not (_payment_fits(item) if isinstance(item, PaymentEvent) else _event_fits(item)):
            raise LifeRefused(
                f"Number {item.number} has amounts, months or days that make no sense: {item}."
            )


def _payment_fits(payment: PaymentEvent) -> bool:
    return 0 <= payment.cost <= payment.amount and payment.amount > 0


def _event_fits(event: LoanEvent) -> bool:
    """Whether the event has what its kind needs."""
    months = 1 <= event.months <= _LONGEST_SPELL
    needs = {
        LoanEventKind.DUE_DAY: 1 <= event.day <= _LAST_DUE_DAY,
        LoanEventKind.HOLIDAY: months,
        LoanEventKind.ARRANGEMENT: months and event.amount > 0,
        LoanEventKind.HARDSHIP: event.until is not None and event.until >= event.on,
    }
    return needs.get(event.kind, True) and event.amount >= 0 and event.interest >= 0


def _told(loan: LoanOnADay, on: date) -> Life:
    stub = loan.stub(on)
    unpaid_interest = loan.accrued - loan.interest_paid
    lost = loan.written_off
    return Life(
        state=loan.state,
        since=loan.since,
        level=loan.level,
        pence_months=loan.pence_months,
        rows=tuple(_row(number, row) for number, row in enumerate(loan.rows, start=1)),
        payments=tuple(outcome for _, outcome in sorted(loan.outcomes.items())),
        fund_payments=tuple(loan.fund_payments),
        distributions=tuple(loan.distributions),
        principal=loan.totals[0],
        interest=loan.totals[1],
        fee=loan.totals[2],
        moves=tuple(loan.moves),
        found=tuple(loan.found),
        moot=tuple(loan.moot),
        defaulted_on=loan.defaulted_on,
        closed_on=loan.closed_on,
        written_off_on=loan.written_off_on,
        principal_paid=loan.principal_paid,
        interest_paid=loan.interest_paid,
        principal_owed=0 if lost else loan.outstanding,
        interest_owed=0 if lost else unpaid_interest,
        written_off_principal=loan.outstanding if lost else 0,
        written_off_interest=unpaid_interest if lost else 0,
        clearing=loan.received - loan.spread,
        waiting=sum(payment.amount for payment in loan.waiting),
        fund_principal=loan.fund_principal,
        fund_interest=loan.fund_interest,
        stub_months=stub.months,
        stub_days=stub.days,
        stub_month_days=stub.month_days,
        stub_interest=loan.stub_interest(stub),
    )


def _row(number: int, row: Row) -> LifeRow:
    return LifeRow(
        number=number,
        kind=row.kind,
        nominal_on=row.nominal_on,
        due_on=row.due_on,
        principal_due=row.principal_due,
        interest_planned=row.interest_planned,
        interest_due=row.interest_due,
        pence_months=row.pence_months,
        principal_paid=row.principal_paid,
        interest_paid=row.interest_paid,
        period_days=row.days,
        month_days=row.month_days,
        pence_days=row.period.pence_days,
    )
