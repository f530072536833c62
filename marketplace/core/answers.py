"""What the market tells people: places, dates, and how well money is spread.

**Place.** An entry's place in its queue, and the money of the entries before it. An offer that
stands in several markets is counted in each of them, so less may be ahead than it seems.

**When.** What was lent in a market on each of the last ``D`` days (days without lending count as
nothing) says when ``x`` more pence will have been lent there. Two views, and the wider of both:

* *replay*: begin at each of the ``D`` days and lend as it went on from there, round and round; the
  ``D`` waits that come out have a tenth, a middle and a last tenth. It knows the rhythm of the
  days, but no other days than these;
* *sums*: days that are drawn from the same ``D`` add up, after ``n`` of them, to ``n m`` with
  standard deviation ``s sqrt(n)``. That ``x`` is reached with probability ``p`` by day ``n``
  where ``n m - z s sqrt(n) = x``, ``z`` the normal quantile of ``p``; so
  ``sqrt(n) = (z s + sqrt(z**2 s**2 + 4 m x)) / (2 m)``. It knows that long waits scatter more.

The likely day is the replay's. Assumed: borrowers go on coming as they did, and nobody comes who
asks less. Money that arrives later with a lower rate goes first, so a date is the better case.

Why an offer was not matched: :mod:`marketplace.core.match_answers`. Source: the house design, "The
market".
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from marketplace.core.arrays import PENCE_PER_UNIT, IntArray, int_array
from marketplace.core.errors import ShapeRefused
from marketplace.core.order_book import Fill
from marketplace.core.rates import PPM, blend, monthly_rate_e12
from marketplace.core.standing import Standing

EARLY, LATE = 0.1, 0.9
_Z_LATE = 1.2815515655446004  # nine tenths of a normal distribution lie below so many deviations
LONGEST_WAIT = 3_650  # days; nobody is told a date further away than ten years
LARGEST_AMOUNT = 10**15  # pence; sums of a few thousand such stay in 64 bits
RUNGS = 8


@dataclass(frozen=True, slots=True)
class Places:
    """The front entries of some orders, one row an order and market, by market and queue.

    Attributes:
        order: ``int64 [Q]``, row in the orders.
        market: ``[Q]``, row in the markets.
        rate: ``[Q]``, ppm.
        place: ``[Q]``, 1 is the front of the queue.
        ahead: ``[Q]``, pence that the entries before it may give in this market.
    """

    order: IntArray
    market: IntArray
    rate: IntArray
    place: IntArray
    ahead: IntArray


def places_of(stands: Standing, orders: npt.ArrayLike) -> Places:
    """Say where orders (rows, ``[N]``) stand in each market's queue.

    Pool money is two entries, what was repaid and what is new: the one in front counts. An entry
    without £10 for its market is not counted.

    Raises:
        ShapeRefused: rows that are no flat array of integers.
    """
    asked = int_array(orders, "orders")
    rows = np.flatnonzero(stands.most >= PENCE_PER_UNIT)
    market, order, most = (column[rows] for column in (stands.market, stands.order, stands.most))
    first = np.flatnonzero(np.diff(market, prepend=-1))
    start = np.repeat(first, np.diff(np.append(first, rows.size)))
    before = np.cumsum(most) - most
    mine = np.flatnonzero(np.isin(order, asked))
    pairs = np.stack([market[mine], order[mine]])
    front = np.sort(mine[np.unique(pairs, axis=1, return_index=True)[1]])
    return Places(
        order=order[front],
        market=market[front],
        rate=stands.rate[rows[front]],
        place=front - start[front] + 1,
        ahead=before[front] - before[start[front]],
    )


@dataclass(frozen=True, slots=True)
class Wait:
    """In how many days, 1 or more: with one chance in ten, most likely, with nine in ten."""

    early: int
    likely: int
    late: int


@dataclass(frozen=True, slots=True)
class Lending:
    """What one market lent in the cycles of the last days, ``K`` rows in any order.

    Attributes:
        days: how many days that is.
        day: ``int64 [K]``, 0 is the oldest.
        lent: ``[K]``, pence.
        marginal: ``[K]``, the highest rate lent at, ppm.
        blend: ``[K]``, what all its loans cost together, ppm.
    """

    days: int
    day: IntArray
    lent: IntArray
    marginal: IntArray
    blend: IntArray

    def daily(self, highest: int | None = None) -> IntArray:
        """Pence lent on each day, ``[days]``; with ``highest`` only by cycles at most that dear."""
        counts = self.lent if highest is None else np.where(self.blend <= highest, self.lent, 0)
        daily = np.zeros(self.days, dtype=np.int64)
        np.add.at(daily, self.day, counts)
        return daily


def nothing_lent(days: int) -> Lending:
    """A market that lent nothing on these days."""
    none = np.zeros(0, dtype=np.int64)
    return Lending(days=days, day=none, lent=none, marginal=none, blend=none)


def first_match(ahead: int, rate: int, lending: Lending) -> Wait | None:
    """When money with so many pence ahead of it, at ``rate`` ppm, will lend its first £10.

    Returns:
        ``None`` where nothing at that rate or above was lent, or where it would take too long.

    Raises:
        ShapeRefused: less than nothing ahead, or more than is handled.
    """
    if int(lending.marginal.max(initial=0)) < rate:
        return None
    return days_until(_amount(ahead, "ahead") + PENCE_PER_UNIT, lending.daily())


def days_until(pence: int, daily: npt.ArrayLike) -> Wait | None:
    """In how many days so much more will have been lent, after days (``[D]``) that lent ``daily``.

    Args:
        pence: positive.
        daily: pence, the oldest day first.

    Returns:
        ``None`` where nothing was lent, or where it would take longer than ten years.

    Raises:
        ShapeRefused: no days, nothing to wait for, negative figures, or more than is handled.
    """
    days = _amounts(daily, "daily")
    if not days.size:
        raise ShapeRefused("There must be at least one day.", field="daily")
    wanted = _amount(pence, "pence")
    if not wanted:
        raise ShapeRefused("There must be an amount to wait for.", field="pence")
    if not days.any():
        return None
    waits = _replayed(wanted, days)
    early, likely, late = (waits[_rank(share, len(waits))] for share in (EARLY, 0.5, LATE))
    found = Wait(
        early=min(early, _by_sums(wanted, days, -_Z_LATE)),
        likely=likely,
        late=max(late, _by_sums(wanted, days, _Z_LATE)),
    )
    return found if found.late <= LONGEST_WAIT else None


def _replayed(pence: int, days: IntArray) -> list[int]:
    """The waits, one for each day to begin at, the shortest first."""
    running = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(np.tile(days, 2))])
    rounds, rest = divmod(pence - 1, int(days.sum()))
    start = np.arange(days.size)
    end = np.searchsorted(running, running[start] + rest + 1)
    return [rounds * days.size + wait for wait in np.sort(end - start).tolist()]


def _rank(share: float, count: int) -> int:
    return math.ceil(share * count) - 1


def _by_sums(pence: int, days: IntArray, z: float) -> int:
    mean, deviation = float(days.mean()), float(days.std())
    root = (z * deviation + math.hypot(z * deviation, 2 * math.sqrt(mean * pence))) / (2 * mean)
    return max(math.ceil(root * root), 1)


@dataclass(frozen=True, slots=True)
class Rung:
    """A loan's amount (pence), its blend, and the rate of the last £10 of it (ppm)."""

    amount: int
    rate: int
    marginal_rate: int


def rate_ladder(filled: Fill, smallest: int) -> tuple[Rung, ...]:
    """How the rate grows with the amount, from ``smallest`` pence up to all that was filled.

    A loan takes from the front of the queue, so a smaller one takes the first part of what a
    larger one would. At most :data:`RUNGS` amounts, evenly apart, in £10 steps; none where not
    even the smallest is filled.
    """
    running = np.cumsum(filled.amount)
    largest = int(running[-1]) if running.size else 0
    if not 0 < smallest <= largest:
        return ()
    gaps = RUNGS - 1
    wanted = {smallest + (largest - smallest) * rung // gaps for rung in range(RUNGS)}
    monthly = monthly_rate_e12(filled.rate_ppm)
    rungs = []
    for amount in sorted({pence // PENCE_PER_UNIT * PENCE_PER_UNIT for pence in wanted}):
        count = int(np.searchsorted(running, amount)) + 1
        taken = filled.amount[:count].copy()
        taken[-1] -= running[count - 1] - amount
        rate = blend(taken, monthly[:count]).annual_ppm
        rungs.append(Rung(amount, rate, int(filled.rate_ppm[count - 1])))
    return tuple(rungs)


@dataclass(frozen=True, slots=True)
class LenderSpread:
    """How well one lender's money is spread.

    Attributes:
        borrowers: how many owe the lender something.
        lent: pence that they owe.
        largest: the most that one of them owes, pence.
        largest_share: that as ppm of ``lent``, rounded down; 0 where nothing is lent.
        effective: effective number of borrowers, one over the sum of squared shares: as many equal
            ones would be spread as well. 0 where nothing is lent.
        idle_share: money not lent as ppm of all, rounded down; 0 where there is none at all.
    """

    borrowers: int
    lent: int
    largest: int
    largest_share: int
    effective: float
    idle_share: int


def lender_spread(owed: npt.ArrayLike, idle: int) -> LenderSpread:
    """Measure one lender's spread.

    Args:
        owed: what each borrower owes the lender, pence, ``[B]``.
        idle: pence in cash and on offer.

    Raises:
        ShapeRefused: negative figures, floats, or more than is handled.
    """
    amounts = _amounts(owed, "owed")
    not_lent = _amount(idle, "idle")
    # Python's integers: squares of pence are beyond 64 bits.
    each = amounts[amounts > 0].tolist()
    lent, largest = sum(each), max(each, default=0)
    return LenderSpread(
        borrowers=len(each),
        lent=lent,
        largest=largest,
        largest_share=largest * PPM // lent if lent else 0,
        effective=lent * lent / sum(one * one for one in each) if lent else 0.0,
        idle_share=not_lent * PPM // (not_lent + lent) if not_lent else 0,
    )


def _amounts(values: npt.ArrayLike, name: str) -> IntArray:
    amounts = int_array(values, name)
    if amounts.size and not 0 <= int(amounts.min()) <= int(amounts.max()) <= LARGEST_AMOUNT:
        raise ShapeRefused(f"{name} lie between nothing and £10 trillion.", field=name)
    return amounts


def _amount(value: int, name: str) -> int:
    [amount] = _amounts([value], name).tolist()
    return int(amount)
