"""Arrears: days past due, their buckets, and when a loan is in default.

The house's default is four calendar months after the oldest unpaid due date; the industry's
measures (arrears above 45 days, default from 120 days) are reported beside it. Source: the house
design, "A loan's life"; P2P Finance Association, disclosure of bad debt.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from enum import StrEnum

from marketplace.core.schedule import add_months

DEFAULT_MONTHS = 4
INDUSTRY_ARREARS_DAYS = 45
INDUSTRY_DEFAULT_DAYS = 120


class ArrearsBucket(StrEnum):
    """Days past due, as they are reported."""

    NONE = "0"
    DAYS_1_30 = "1-30"
    DAYS_31_60 = "31-60"
    DAYS_61_90 = "61-90"
    DAYS_91_120 = "91-120"
    OVER_120 = "over 120"


_UP_TO = (
    (0, ArrearsBucket.NONE),
    (30, ArrearsBucket.DAYS_1_30),
    (60, ArrearsBucket.DAYS_31_60),
    (90, ArrearsBucket.DAYS_61_90),
    (120, ArrearsBucket.DAYS_91_120),
)


def days_past_due(oldest_unpaid_due: date | None, on: date) -> int:
    """Return the days since the oldest unpaid due date; nothing on that day, or when all is paid.

    Args:
        oldest_unpaid_due: due date of the oldest instalment not fully paid, if there is one.
        on: the business date.
    """
    if oldest_unpaid_due is None:
        return 0
    return max((on - oldest_unpaid_due).days, 0)


def arrears_bucket(days: int) -> ArrearsBucket:
    """Return the bucket of a number of days past due (as :func:`days_past_due` counts them)."""
    return next((bucket for last, bucket in _UP_TO if days <= last), ArrearsBucket.OVER_120)


def default_date(
    oldest_unpaid_due: date,
    *,
    months: int = DEFAULT_MONTHS,
    standstill: Iterable[tuple[date, date]] = (),
) -> date:
    """Return the first day on which the loan is in default: that day, four calendar months on.

    The day is clipped to a shorter month's end: unpaid since 31 October is default on 28 February.

    Args:
        oldest_unpaid_due: due date of the oldest instalment not fully paid.
        months: calendar months that it lies back at default.
        standstill: spells of an arrangement or of hardship in order, each from the day on which it
            began to the day after its last; their days after that due date don't count.
    """
    day = add_months(oldest_unpaid_due, months)
    late = oldest_unpaid_due + timedelta(days=1)
    for first, end in standstill:
        if first < day:
            day += timedelta(days=max((end - max(first, late)).days, 0))
    return day
