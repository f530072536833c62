"""Schedules of level instalments, and the calendar that they fall on.

The level instalment is the annuity at the blended monthly rate, rounded once to the penny from
exact integers. Each period's interest is the sum over the loan's parts of their whole-penny
buckets (:mod:`marketplace.core.interest`), the rest of the instalment is principal, and the last
instalment absorbs what rounding left, so that principal falls to exactly zero.
Source: the house design, "Money, rates, time" and "A loan's life"; ``docs/servicing.md``.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from marketplace.core.arrays import PENCE_PER_UNIT, IntArray, int_array, offsets_array, segment_sums
from marketplace.core.errors import ScheduleRefused
from marketplace.core.interest import check_interest_bounds, fixed_interest
from marketplace.core.rates import E12, blend

LARGEST_MONTHS = 600


@dataclass(frozen=True, slots=True)
class Schedule:
    """What one loan is to pay, instalment by instalment; row ``k`` is instalment ``k + 1``.

    Attributes:
        level: the level instalment, pence.
        principal: ``int64 [months]``, pence of each instalment that repay principal.
        interest: ``int64 [months]``, pence of each instalment that are interest.
        balance: ``int64 [months]``, principal outstanding after each instalment, pence.
        pence_months: ``int64 [months]``, ``S``: the sum of the principal outstanding on this and
            all earlier due dates (before the instalment), for :mod:`marketplace.core.interest`.
    """

    level: int
    principal: IntArray
    interest: IntArray
    balance: IntArray
    pence_months: IntArray

    @property
    def instalments(self) -> IntArray:
        """Principal and interest of each instalment together, pence, ``[months]``."""
        return self.principal + self.interest

    @property
    def total_repayable(self) -> int:
        """All instalments together, pence."""
        return int(self.principal.sum()) + int(self.interest.sum())


def level_instalment(principal: int, monthly_e12: int | Fraction, months: int) -> int:
    """Return the annuity ``P m / (1 - (1 + m) ** -n)`` in whole pence, halves to even.

    Computed in exact integers and rounded once. With a rate of nothing it is ``P / n``.

    Args:
        principal: pence, positive.
        monthly_e12: the (blended) monthly rate in 10⁻¹², a fraction where the blend is one.
        months: number of instalments, 1 to 600.

    Raises:
        ScheduleRefused: for a principal, rate or number of months outside that.
    """
    if principal <= 0 or not 1 <= months <= LARGEST_MONTHS or monthly_e12 < 0:
        raise ScheduleRefused(
            "A schedule needs a principal above nothing, a rate of nothing or more, and 1 to "
            f"{LARGEST_MONTHS} months."
        )
    rate = Fraction(monthly_e12) / E12
    if rate == 0:
        return round(Fraction(principal, months))
    grown = (rate.numerator + rate.denominator) ** months
    still = rate.denominator**months
    return round(Fraction(principal * rate.numerator * grown, rate.denominator * (grown - still)))


def contract_schedule(units: npt.ArrayLike, monthly_e12: npt.ArrayLike, months: int) -> Schedule:
    """Return the schedule that a loan of these parts is contracted to pay.

    Args:
        units: size of each part in units of £10, ``[N]``.
        monthly_e12: monthly rate of each part in 10⁻¹², ``[N]``.
        months: number of monthly instalments.

    Raises:
        ScheduleRefused: where a level instalment would not cover the interest.
        InterestOutOfBounds: outside the bounds of :mod:`marketplace.core.interest`.
        ShapeRefused: for floats or unequal lengths.
    """
    parts = int_array(units, "units")
    return contract_schedules(parts, monthly_e12, [0, parts.shape[0]], [months])[0]


def contract_schedules(
    units: npt.ArrayLike,
    monthly_e12: npt.ArrayLike,
    offsets: npt.ArrayLike,
    months: Sequence[int] | IntArray,
) -> list[Schedule]:
    """Return the contract schedules of many loans at once: one pass a month over all parts.

    Args:
        units: size of each part in units of £10, ``[N]``.
        monthly_e12: monthly rate of each part in 10⁻¹², ``[N]``.
        offsets: where each loan's parts start, ``[L + 1]``.
        months: number of monthly instalments of each loan, ``[L]``.

    Raises:
        ScheduleRefused: where a level instalment would not cover the interest.
        InterestOutOfBounds: outside the bounds of :mod:`marketplace.core.interest`.
        ShapeRefused: for floats, or shapes that don't fit.
    """
    parts = int_array(units, "units")
    rates = int_array(monthly_e12, "monthly_e12", parts.shape[0])
    starts = offsets_array(offsets, parts.shape[0])
    terms = int_array(months, "months", starts.shape[0] - 1)
    if terms.size == 0:
        return []
    totals = segment_sums(parts, starts)
    # No more than the whole loan can be outstanding on every due date.
    check_interest_bounds(parts, rates, totals * PENCE_PER_UNIT * int(terms.max()), totals)
    levels = [
        level_instalment(
            int(totals[loan]) * PENCE_PER_UNIT,
            blend(parts[first:last], rates[first:last]).monthly_e12,
            int(terms[loan]),
        )
        for loan, (first, last) in enumerate(pairwise(starts))
    ]
    level = np.array(levels, dtype=np.int64)
    columns = _amortise(parts, rates, starts, terms, level)
    return [
        Schedule(levels[loan], *(column[loan, : terms[loan]].copy() for column in columns))
        for loan in range(terms.shape[0])
    ]


def _amortise(
    units: IntArray, rates: IntArray, starts: IntArray, terms: IntArray, level: IntArray
) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    """Return principal, interest, balance and ``S``, each ``[L, longest term]``."""
    counts = np.diff(starts)
    totals = segment_sums(units, starts)
    weighted, row_totals = units * rates, np.repeat(totals, counts)
    principal, interest, balances, pence_months = (
        np.zeros((terms.shape[0], int(terms.max())), dtype=np.int64) for _ in range(4)
    )
    balance = totals * PENCE_PER_UNIT
    accrued, months = np.zeros_like(balance), np.zeros_like(balance)
    for number in range(1, int(terms.max()) + 1):
        months = months + balance
        whole, rest = np.divmod(months, totals)
        fixed = np.add.reduceat(
            fixed_interest(weighted, np.repeat(whole, counts), np.repeat(rest, counts), row_totals),
            starts[:-1],
        )
        due, accrued = fixed - accrued, fixed
        if (level <= due)[(balance > 0) & (number < terms)].any():
            raise ScheduleRefused(
                f"A level instalment would not cover the interest of instalment {number}.",
                field="monthly_e12",
            )
        # Each later instalment has a penny of principal at least, though the level was rounded up.
        spare = balance - (terms - number)
        repaid = np.where(number >= terms, balance, np.minimum(level - due, spare))
        balance = balance - repaid
        at = number - 1
        principal[:, at], interest[:, at] = repaid, due
        balances[:, at], pence_months[:, at] = balance, months
    return principal, interest, balances, pence_months


def add_months(day: date, months: int) -> date:
    """Return the same day ``months`` later, clipped to the end of a shorter month."""
    count = day.year * 12 + day.month - 1 + months
    year, month = divmod(count, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def next_such_day(day: date, due_day: int) -> date:
    """Return the first date from ``day`` on that is the ``due_day`` (1 to 28) of its month."""
    same_month = day.replace(day=due_day)
    return same_month if same_month >= day else add_months(same_month, 1)


def due_date(paid_out_on: date, number: int) -> date:
    """Return the due date of instalment ``number`` (from 1) of a loan paid out on that date.

    It is the same day of the month ``number`` months on, clipped to the month's end; every date
    is counted from the pay-out, so that the original day returns after a short month. This is the
    nominal date: an instalment falls due on the :func:`following_business_day`.

    Raises:
        ScheduleRefused: for a number below 1.
    """
    if number < 1:
        raise ScheduleRefused("Instalments are numbered from 1.", field="number")
    return add_months(paid_out_on, number)


def following_business_day(day: date, holidays: frozenset[date]) -> date:
    """Return ``day``, or the next day that is neither a weekend nor in ``holidays``."""
    while day.weekday() >= 5 or day in holidays:
        day += timedelta(days=1)
    return day


def add_business_days(day: date, count: int, holidays: frozenset[date]) -> date:
    """Return the ``count``-th business day after ``day``.

    With a count of nothing it is ``day`` itself, or the following business day.

    Raises:
        ScheduleRefused: for a negative count.
    """
    if count < 0:
        raise ScheduleRefused("Business days can only be counted forwards.", field="count")
    if count == 0:
        return following_business_day(day, holidays)
    for _ in range(count):
        day = following_business_day(day + timedelta(days=1), holidays)
    return day
