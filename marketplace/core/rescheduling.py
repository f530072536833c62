"""Working a loan's remaining schedule out anew: after a prepayment, a holiday, another due day.

The loan keeps one integer ``S`` (pence-months, :mod:`marketplace.core.interest`). When an
instalment falls due, ``S`` grows by the principal outstanding over its *period*:

    growth = floor((balance * period_days + pence_days) / month_days + 1/2)

A period of one month has as many ``period_days`` as ``month_days``, so that every month counts the
same; one that is longer because the due day moved has more of them. ``pence_days`` is what the
balance of the due date doesn't know: principal prepaid inside the period, times the days for which
it was still owed, and the pence-months of skipped months that this instalment releases.

With ``m`` the blended monthly rate, ``B`` the balance, ``f`` the first period in months, ``w`` its
extra pence-months and ``D`` those of skipped months, ``n`` instalments are level at

    L = (B * (1 + m * f) + m * w) / (1 + a) + m * D / n,    a = (1 - (1 + m) ** -(n - 1)) / m,

worked out in exact fractions and rounded once. Source: the annuity due one period late; the house
design, "A loan's life"; ``docs/servicing.md``.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import numpy as np

from marketplace.core.arrays import IntArray, same_length
from marketplace.core.errors import InterestOutOfBounds, ScheduleRefused
from marketplace.core.interest import (
    LARGEST_PENCE_MONTHS_PER_UNIT,
    check_interest_bounds,
    fixed_interest,
)
from marketplace.core.rates import E12, blend
from marketplace.core.schedule import LARGEST_MONTHS


@dataclass(frozen=True, slots=True)
class Period:
    """The days that an instalment's interest counts.

    Attributes:
        days: from the nominal due date before to this one.
        month_days: those of the month that counts as one.
        pence_days: principal times days that the balance of the due date doesn't know of.
    """

    days: int
    month_days: int
    pence_days: int = 0


@dataclass(frozen=True, slots=True)
class Remaining:
    """The instalments still to come; row ``k`` is the ``k + 1``-th of them, ``int64 [n]`` pence.

    ``released`` are the pence-months of skipped months that each releases.
    """

    level: int
    principal: IntArray
    interest: IntArray
    released: IntArray


class PartRates:
    """The parts of one loan as far as interest is concerned, checked once.

    Args:
        units: sizes in units of £10, ``[N]``.
        monthly_e12: monthly rates in 10⁻¹², ``[N]``.

    Raises:
        InterestOutOfBounds: outside the bounds of :mod:`marketplace.core.interest`.
        ShapeRefused: for floats, unequal lengths, or no parts.
    """

    def __init__(self, units: IntArray, monthly_e12: IntArray) -> None:
        parts, rates = same_length(units=units, monthly_e12=monthly_e12)
        self.total = int(parts.sum())
        self._whole = np.array([self.total], dtype=np.int64)
        check_interest_bounds(parts, rates, np.zeros(1, dtype=np.int64), self._whole)
        self._weighted = parts * rates
        self.monthly = blend(parts, rates).monthly_e12 / E12

    def interest(self, pence_months: int) -> int:
        """Return the interest of all parts together fixed at this ``S``, pence.

        Raises:
            InterestOutOfBounds: for an ``S`` outside the bounds.
        """
        if not 0 <= pence_months <= LARGEST_PENCE_MONTHS_PER_UNIT * self.total:
            raise InterestOutOfBounds(
                f"{pence_months} pence-months are beyond what interest is exact for.",
                field="pence_months",
            )
        whole, rest = divmod(pence_months, self.total)
        months = np.array([[whole], [rest]], dtype=np.int64)
        return int(fixed_interest(self._weighted, months[0], months[1], self._whole).sum())


def growth(balance: int, period: Period, days: int | None = None) -> int:
    """Return by how many pence-months ``S`` grows over a period, or its first ``days``.

    Args:
        balance: principal outstanding at its end, pence.
        period: the period.
        days: of a stub, counted from the period's beginning; never more than the whole period.

    Raises:
        ScheduleRefused: for a negative balance or number of days, or a month without days.
    """
    counted = period.days if days is None else min(days, period.days)
    if balance < 0 or counted < 0 or period.month_days < 1:
        raise ScheduleRefused("A period needs a balance and days of nothing or more, in a month.")
    twice = 2 * (balance * counted + period.pence_days)
    return (twice + period.month_days) // (2 * period.month_days)


def level_over(
    balance: int, count: int, monthly: Fraction, first: Period, deferred: int = 0
) -> int:
    """Return the level of ``count`` instalments (the module's formula), halves to even.

    Args:
        balance: principal to be repaid, pence.
        count: number of instalments, from 1.
        monthly: the blended monthly rate, a fraction (not 10⁻¹²).
        first: the first of their periods; the others are a month each.
        deferred: pence-months of skipped months, released in equal steps.

    Raises:
        ScheduleRefused: for a balance or count outside that.
    """
    if balance <= 0 or not 1 <= count <= LARGEST_MONTHS or deferred < 0:
        raise ScheduleRefused(
            f"A schedule needs a principal above nothing and 1 to {LARGEST_MONTHS} instalments."
        )
    months = Fraction(balance * first.days + first.pence_days, first.month_days)
    worth = balance + monthly * months
    return round(worth / (1 + _annuity(monthly, count - 1)) + monthly * deferred / count)


def remaining_schedule(
    rates: PartRates,
    *,
    balance: int,
    pence_months: int,
    first: Period,
    count: int,
    level: int | None = None,
    deferred: int = 0,
) -> Remaining:
    """Return the instalments that repay a balance.

    With a level given (a loan that gets shorter) there are as many as it takes, at most ``count``;
    without, there are ``count`` (no more than there are pence) of a level worked out anew. The last
    absorbs what rounding left, and no instalment takes the penny of principal that each later one
    has at least. One whose interest is above the level, because its period is longer, because much
    was prepaid inside it, or because many parts' pennies come together, is that interest and no
    principal; where it is the first, the level is that of the others.

    Args:
        rates: the loan's parts.
        balance: principal to be repaid, pence, taken to be paid when due.
        pence_months: ``S`` so far.
        first: the first period; the others are a month each.
        count: number of instalments, at most.
        level: the level instalment to keep, pence.
        deferred: pence-months of skipped months, released in equal steps.

    Raises:
        ScheduleRefused: where the level to be kept is no more than a month's interest.
        InterestOutOfBounds: outside the bounds of :mod:`marketplace.core.interest`.
    """
    number = min(count, max(balance, 1))
    solved = level_over(balance, number, rates.monthly, first, deferred)
    if level is None:
        steps = released_steps(deferred, number)
        principal, _ = _amortise(rates, balance, pence_months, first, steps, solved)
        if principal[0] == 0 and number > 1:
            month = Period(first.month_days, first.month_days)
            solved = level_over(balance, number - 1, rates.monthly, month, sum(steps[1:]))
    elif level <= balance * rates.monthly:
        raise ScheduleRefused(
            f"Instalments of {level} pence never repay this: {solved} pence would.", field="level"
        )
    else:
        number = _how_many(rates, balance, pence_months, first, number, level, deferred)
    kept = solved if level is None else level
    steps = released_steps(deferred, number)
    principal, interest = _amortise(rates, balance, pence_months, first, steps, kept)
    columns = (np.array(column, dtype=np.int64) for column in (principal, interest, steps))
    return Remaining(kept, *columns)


def released_steps(deferred: int, count: int) -> list[int]:
    """Return how deferred pence-months are released in equal steps, by cumulative rounding."""
    edges = [(2 * deferred * k + count) // (2 * count) for k in range(count + 1)]
    return [after - before for before, after in pairwise(edges)]


def _annuity(monthly: Fraction, count: int) -> Fraction:
    """Return what ``count`` payments of 1, the first a month from now, are worth."""
    if monthly == 0:
        return Fraction(count)
    return (1 - (1 + monthly) ** -count) / monthly


def _how_many(
    rates: PartRates,
    balance: int,
    pence_months: int,
    first: Period,
    most: int,
    level: int,
    deferred: int,
) -> int:
    """Return the smallest number of instalments of which the last is no more than the level."""
    number = 1
    while number < most:
        steps = released_steps(deferred, number)
        principal, interest = _amortise(rates, balance, pence_months, first, steps, level)
        if principal[-1] + interest[-1] <= level:
            break
        short = principal[-1] + interest[-1] - level
        # What is short takes so many instalments more at least, unless the first then takes
        # interest above the level, or skipped months are released over more of them.
        more = 1 if deferred or number == 1 else max(short // level, 1)
        number = min(number + more, most)
    return number


def _amortise(
    rates: PartRates,
    balance: int,
    pence_months: int,
    first: Period,
    released: list[int],
    level: int,
) -> tuple[list[int], list[int]]:
    """Return principal and interest of the instalments, one for each of the ``released``."""
    principal: list[int] = []
    interest: list[int] = []
    months, accrued = pence_months, rates.interest(pence_months)
    last = len(released) - 1
    for place, extra in enumerate(released):
        months += (growth(balance, first) if place == 0 else balance) + extra
        fixed = rates.interest(months)
        interest.append(fixed - accrued)
        accrued = fixed
        # Nothing falls due on a loan that is repaid: a penny waits for each later interest.
        spare = balance - (last - place)
        repaid = balance if place == last else min(max(level - interest[-1], 0), spare)
        principal.append(repaid)
        balance -= repaid
    return principal, interest
