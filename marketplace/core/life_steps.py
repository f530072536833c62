"""The steps of a day in a loan's life, in their order: fall due, take, spread, age."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, timedelta

from marketplace.core.arrears import default_date
from marketplace.core.life_payments import (
    allocate_waiting,
    overdue,
    pay_from_fund,
    spread_cleared,
    take_payment,
)
from marketplace.core.life_records import DayStage
from marketplace.core.life_state import LoanOnADay, Spell
from marketplace.core.loan_events import (
    DefaultCause,
    LoanEvent,
    LoanEventKind,
    PaymentEvent,
)
from marketplace.core.schedule import add_months
from marketplace.core.states import SCHEDULED, LoanState, MoveRefused, require_move

_DAY = timedelta(days=1)
_ENDS = {
    LoanEventKind.ARRANGEMENT_ENDED: LoanState.ARRANGEMENT,
    LoanEventKind.HARDSHIP_ENDED: LoanState.HARDSHIP,
}


def acts_at_end_of_day(item: LoanEvent | PaymentEvent) -> bool:
    """Whether an event belongs to the ageing at the end of its day, whatever its number."""
    if isinstance(item, PaymentEvent):
        return False
    by_clock = item.kind is LoanEventKind.DEFAULT and item.cause in (None, DefaultCause.OVERDUE)
    return by_clock or item.kind in _ENDS


def run_day(
    loan: LoanOnADay,
    on: date,
    items: Sequence[LoanEvent | PaymentEvent],
    through: DayStage,
) -> None:
    """Run one day: ``items`` are the payments and events of it, by number.

    Raises:
        MoveRefused: an event that the loan's state doesn't allow.
    """
    fall_due(loan, on)
    taken = [item for item in items if not acts_at_end_of_day(item)]
    for item in taken:
        if loan.short is not None and item.number != loan.short:
            _finish_short(loan, on)
        if isinstance(item, PaymentEvent):
            take_payment(loan, item, on)
            if item.number == loan.short:
                _finish_short(loan, on)
        else:
            _happen(loan, item, on)
    if loan.short is not None:
        _finish_short(loan, on)
    if through >= DayStage.SPREAD:
        spread_cleared(loan, on)
    if through >= DayStage.AGED:
        late = (item for item in items if acts_at_end_of_day(item))
        _age(loan, on, [item for item in late if isinstance(item, LoanEvent)])


def fall_due(loan: LoanOnADay, on: date) -> None:
    """Let fall due what is due by a day, then allocate what waited for it."""
    while loan.can_fall_due and loan.rows[loan.fallen].due_on <= on:
        loan.fall_due(loan.rows[loan.fallen])
    allocate_waiting(loan, on)


def next_day(loan: LoanOnADay, after: date) -> date | None:
    """Return the next day on which something can happen of itself, payments and events apart."""
    days = [day for day, _ in loan.clearing]
    if loan.can_fall_due:
        days.append(loan.rows[loan.fallen].due_on)
    days.extend(_ageing_days(loan, after))
    return max(min(days), after + _DAY) if days else None


def _ageing_days(loan: LoanOnADay, after: date) -> list[date]:
    if loan.spell is not None:
        return [day for day in _checkpoints(loan, loan.spell.event) if day > after][:1]
    oldest = overdue(loan, date.max)
    if oldest is None or loan.state not in (LoanState.ACTIVE, LoanState.ARREARS):
        return []
    if loan.state is LoanState.ACTIVE:
        return [oldest.due_on + _DAY]
    return [_default_date(loan, oldest.due_on)]


def _default_date(loan: LoanOnADay, oldest: date) -> date:
    return default_date(oldest, months=loan.house.default_months, standstill=loan.standstill)


def _checkpoints(loan: LoanOnADay, event: LoanEvent) -> list[date]:
    """The days at whose end an arrangement or hardship may end, in order."""
    if event.kind is LoanEventKind.HARDSHIP:
        return [event.until or event.on]
    grace = timedelta(days=loan.house.arrangement_grace_days)
    last = add_months(event.on, event.months)
    months = [add_months(event.on, month) + grace for month in range(1, event.months)]
    return sorted([*(day for day in months if day < last), last])


def _happen(loan: LoanOnADay, event: LoanEvent, on: date) -> None:
    """Let an event act; one that finds nothing to act on is noted as moot.

    Raises:
        MoveRefused: the table lacks its move, and the life isn't told leniently.
    """
    try:
        acted = _EVENTS[event.kind](loan, event, on)
    except MoveRefused:
        if not loan.lenient:
            raise
        acted = False
    if acted:
        allocate_waiting(loan, on)
    else:
        loan.moot.append(event.number)


def _settlement(loan: LoanOnADay, event: LoanEvent, on: date) -> bool:
    if loan.state not in SCHEDULED:
        return False
    loan.settle(on)
    loan.rescinded = loan.rescinded or event.kind is LoanEventKind.RESCISSION
    return True


def _holiday(loan: LoanOnADay, event: LoanEvent, _on: date) -> bool:
    if not loan.can_fall_due:
        return False
    loan.take_holiday(event.months)
    return True


def _due_day(loan: LoanOnADay, event: LoanEvent, _on: date) -> bool:
    return loan.can_fall_due and loan.move_due_day(event.day)


def _arrangement(loan: LoanOnADay, event: LoanEvent, on: date) -> bool:
    _begin(loan, event, on, LoanState.ARRANGEMENT, "An arrangement to pay was agreed.")
    return True


def _hardship(loan: LoanOnADay, event: LoanEvent, on: date) -> bool:
    _begin(loan, event, on, LoanState.HARDSHIP, f"Interest is frozen until {event.until}.")
    return True


def _default(loan: LoanOnADay, event: LoanEvent, on: date) -> bool:
    if loan.state in (LoanState.DEFAULT, LoanState.WRITTEN_OFF):
        return False
    _into_default(loan, on, f"Default by {event.cause or DefaultCause.OVERDUE}.")
    return True


def _fund_payment(loan: LoanOnADay, event: LoanEvent, on: date) -> bool:
    if loan.state not in (LoanState.DEFAULT, LoanState.WRITTEN_OFF):
        return False
    pay_from_fund(loan, event, on)
    return True


def _settled_short(loan: LoanOnADay, event: LoanEvent, _on: date) -> bool:
    require_move(loan.state, LoanState.SETTLED)
    loan.make_all_due()
    # Its payment comes next; what that leaves is written off then.
    loan.short = event.number + 1
    return True


def _written_off(loan: LoanOnADay, _event: LoanEvent, on: date) -> bool:
    loan.move(on, LoanState.WRITTEN_OFF, "What is still owed was written off.")
    loan.written_off, loan.written_off_on = True, on
    return True


_EVENTS: dict[LoanEventKind, Callable[[LoanOnADay, LoanEvent, date], bool]] = {
    LoanEventKind.SETTLEMENT: _settlement,
    LoanEventKind.RESCISSION: _settlement,
    LoanEventKind.HOLIDAY: _holiday,
    LoanEventKind.DUE_DAY: _due_day,
    LoanEventKind.ARRANGEMENT: _arrangement,
    LoanEventKind.HARDSHIP: _hardship,
    LoanEventKind.DEFAULT: _default,
    LoanEventKind.FUND_PAYMENT: _fund_payment,
    LoanEventKind.SETTLED_SHORT: _settled_short,
    LoanEventKind.WRITTEN_OFF: _written_off,
}


def _finish_short(loan: LoanOnADay, on: date) -> None:
    """Write off what a settlement for less left of the claim."""
    loan.move(on, LoanState.SETTLED, "Settled for less than was owed; the rest was written off.")
    loan.written_off, loan.written_off_on = True, loan.written_off_on or on
    loan.closed_on, loan.short = on, None
    allocate_waiting(loan, on)


def _begin(loan: LoanOnADay, event: LoanEvent, on: date, state: LoanState, reason: str) -> None:
    """Begin an arrangement or hardship, or go on with one on new terms."""
    if loan.state is not state:
        loan.move(on, state, reason)
    if loan.spell is not None:
        loan.standstill.append((loan.spell.event.on, on))
    loan.spell = Spell(event)


def _end_spell(loan: LoanOnADay, on: date, reason: str) -> None:
    """End an arrangement or hardship; its last day counts, and the loan is aged from the next."""
    if loan.spell is not None:
        loan.standstill.append((loan.spell.event.on, on + _DAY))
    late = overdue(loan, on) is not None
    loan.move(on, LoanState.ARREARS if late else LoanState.ACTIVE, reason)


def _into_default(loan: LoanOnADay, on: date, reason: str) -> None:
    loan.move(on, LoanState.DEFAULT, reason)
    loan.defaulted_on = on
    loan.make_all_due()
    allocate_waiting(loan, on)


def _age(loan: LoanOnADay, on: date, events: Sequence[LoanEvent]) -> None:
    """Step 4: recorded ends and defaults of the day, then what the clock says."""
    ended = False
    for event in events:
        if event.kind is LoanEventKind.DEFAULT:
            _happen(loan, event, on)
        elif loan.state is _ENDS[event.kind]:
            _end_spell(loan, on, "It was ended.")
            ended = True
        else:
            loan.moot.append(event.number)
    if loan.spell is not None:
        _watch_spell(loan, loan.spell, on)
    elif not ended:
        _watch_clock(loan, on)


def _watch_spell(loan: LoanOnADay, spell: Spell, on: date) -> None:
    event = spell.event
    if event.kind is LoanEventKind.HARDSHIP:
        if on >= (event.until or event.on):
            _end_spell(loan, on, "Hardship has ended.")
            loan.found.append(LoanEvent(0, LoanEventKind.HARDSHIP_ENDED, on))
        return
    over = on >= add_months(event.on, event.months)
    if over or spell.received < _agreed_by(event, on, loan.house.arrangement_grace_days):
        reason = "The arrangement is over." if over else "The arrangement was broken."
        _end_spell(loan, on, reason)
        loan.found.append(LoanEvent(0, LoanEventKind.ARRANGEMENT_ENDED, on))


def _agreed_by(event: LoanEvent, on: date, grace_days: int) -> int:
    """What an arrangement must have brought by the end of a day, pence."""
    months = 0
    while add_months(event.on, months + 1) + timedelta(days=grace_days) <= on:
        months += 1
    return event.amount * months


def _watch_clock(loan: LoanOnADay, on: date) -> None:
    if loan.state not in (LoanState.ACTIVE, LoanState.ARREARS):
        return
    late = overdue(loan, on)
    if late is None:
        return
    if on >= _default_date(loan, late.due_on):
        months = loan.house.default_months
        _into_default(loan, on, f"The instalment of {late.due_on} is {months} months overdue.")
        cause = DefaultCause.OVERDUE
        loan.found.append(LoanEvent(0, LoanEventKind.DEFAULT, on, cause=cause))
    elif loan.state is LoanState.ACTIVE:
        loan.move(on, LoanState.ARREARS, f"The instalment of {late.due_on} is overdue.")
