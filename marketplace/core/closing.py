"""Close of day: its steps, their order, and which days are to be closed."""

from __future__ import annotations

from datetime import date, timedelta
from enum import StrEnum

from marketplace.core.errors import MarketplaceRefusal


class Step(StrEnum):
    """A step of closing a day, in the order in which they are done."""

    BOUNCES = "bounces"
    FALL_DUE = "fall_due"
    COLLECT = "collect"
    RESTS = "rests"
    DISTRIBUTE = "distribute"
    AGE = "age"
    FUND = "fund"
    LAPSE = "lapse"
    PAY_OUT = "pay_out"
    SETTLE_DEBTS = "settle_debts"
    TOP_UP = "top_up"
    CYCLE = "cycle"
    SWEEP = "sweep"
    NOTICES = "notices"
    RECONCILE = "reconcile"
    SEAL = "seal"


STEPS = tuple(Step)


class DayNotCome(MarketplaceRefusal):
    """A day that has not come yet: it can't be closed."""

    code = "DAY_NOT_COME"


class DayOutOfOrder(MarketplaceRefusal):
    """A day before the first one that was closed: days are closed in their order."""

    code = "DAY_OUT_OF_ORDER"


def first_to_close(since: date, *, first: date | None) -> date:
    """The first day to be closed, where somebody says which.

    Args:
        since: what they say.
        first: the first day that was closed, if one was.

    Raises:
        DayOutOfOrder: another day was closed first.
    """
    if first is not None and since != first:
        raise DayOutOfOrder(
            f"Days are closed since {first}: that can't begin with {since} any more.", field="since"
        )
    return since


def days_to_close(on: date, *, today: date, began: date | None, last: date | None) -> list[date]:
    """The days still to be closed up to ``on``, in order; none if it is closed already.

    Args:
        on: the day that is asked for.
        today: the business date that it is.
        began: the first day that was closed, else the day of the first pay-out, if any.
        last: the last day that was closed, all before it included.

    Raises:
        DayNotCome: a day later than today.
        DayOutOfOrder: a day before the first one.
    """
    if on > today:
        raise DayNotCome(
            f"{on} has not come yet: today is {today}, the last day that can be closed.",
            field="on",
        )
    first = on if began is None else began
    if on < first:
        raise DayOutOfOrder(
            f"Days are closed in their order, and {first} was the first: {on} lies before it.",
            field="on",
        )
    start = first if last is None else last + timedelta(days=1)
    return [start + timedelta(days=n) for n in range((on - start).days + 1)]
