"""Which listings of one market are funded in a cycle: stage one of clearing.

**By arrival.** A listing is accepted when it can be funded whole together with those accepted
before it, by whoever's money. With ``G(k)`` what the offers can give to ``k`` listings and ``S(k)``
the sum of the ``k`` largest accepted demands, a set can be funded exactly when ``S(k) <= G(k)``
for every ``k`` (:mod:`marketplace.core.acceptance_supply`). A listing of ``v`` units that would
stand at place ``p`` by size turns ``S(k + 1)`` into ``S(k) + v`` for ``k >= p`` and leaves the
rest, so it fits exactly when ``G(k + 1) - S(k) >= v`` for every ``k >= p``.

**Single pairs.** Where a lender already has something in a borrower (or is the borrower), the test
by size is still necessary, so what it refuses is refused rightly. What it accepts is checked: first
by counting (:mod:`marketplace.core.acceptance_pairs`), and where that decides nothing, by
allocating. Sets that can be funded stay so when a listing leaves, so halving finds the first
listing in order of arrival that the ones before it leave no way for.

**Highest rates: drop the lowest.** Everyone pays about the *least-cost rate*, the blend of the
cheapest units that fund all accepted listings. While it is above the highest rate of an accepted
listing, the lowest highest rates leave: all listings, accepted or waiting, whose highest rate is
not above the lowest among the accepted. Then the rest is accepted again from the start. Each round
takes a listing away for good, so it ends; and whoever stays would have taken more than whoever
left, so nobody is left out for the rate while somebody with a lower highest rate is funded.
(Waiting ones leave with them, since none could stay if it were let in. Accepting only where
everyone stays satisfied would let one early low maximum block a market.)

**What isn't best.** Arrival decides, not the number or the sum of loans: a large early listing can
keep out several small ones. Dropping ends at the first rate that all who are left take; another
set, let in by another rule, might hold more listings.
Source: the house design, "The market"; ``docs/matching.md``.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from marketplace.core.acceptance_pairs import can_be_routed
from marketplace.core.acceptance_supply import Supply, cheapest_units, largest_sums
from marketplace.core.allocation import Allocation, DemandsUnmet, allocate_entries
from marketplace.core.arrays import BoolArray, IntArray, int_array, plain_array, same_length
from marketplace.core.errors import ShapeRefused
from marketplace.core.rates import Blend, blend, monthly_rate_e12

MOST_UNITS = 1_000_000_000  # of all demands together: £10 billion, so that products stay in 64 bits
NOT_LEFT = -1  # in ``Accepted.left_at_ppm``, of a listing that did not leave for the rate
_LARGEST_LIMIT = 2**40


@dataclass(frozen=True, slots=True)
class Accepted:
    """Which of ``L`` listings can be funded together at a rate that each of them takes.

    Attributes:
        accepted: ``bool [L]``.
        left_at_ppm: ``int64 [L]``, the least-cost rate at which a listing left because its highest
            rate is lower, annual effective ppm; ``NOT_LEFT`` for all others.
        fundable: ``[L]``, units: the demand of an accepted listing; of any other, what the offers
            can still give it beside the accepted ones, limits on single pairs aside. Less than the
            demand, unless the listing left for the rate.
        least_cost: the blend of the cheapest units that fund all accepted listings, in units;
            single pairs left aside where they can't bring it above anybody's highest rate.
        rounds: how often listings were accepted from the start.
        allocations: how often single pairs made it necessary to allocate to be sure.
    """

    accepted: BoolArray
    left_at_ppm: IntArray
    fundable: IntArray
    least_cost: Blend
    rounds: int
    allocations: int


def accept(
    *,
    lenders: npt.ArrayLike,
    budgets: npt.ArrayLike,
    limits: npt.ArrayLike,
    demands: npt.ArrayLike,
    maxima: npt.ArrayLike,
    rates: npt.ArrayLike,
    held: npt.ArrayLike | None = None,
) -> Accepted:
    """Decide which listings are funded: by arrival, dropping the lowest highest rates.

    Args:
        lenders: whose each entry is, ``int64 [N]``, entries in queue order.
        budgets: what each entry has, units of £10, ``[N]``.
        limits: each entry's exposure limit per borrower, units, ``[N]``; it counts all that its
            lender's entries with the same limit or a lower one give to the listing.
        demands: what each listing needs, units, ``[L]``, listings in order of arrival.
        maxima: the highest rate each listing takes, annual effective ppm, ``[L]``.
        rates: the rate each entry asks, ppm, ``[N]``; never falls.
        held: rows of lender, listing (its place in ``demands``) and the units that the lender has
            in the listing's borrower already, ``[H, 3]``; pairs may repeat and add up. For a
            lender's own listing any figure from the lender's highest limit on.

    Raises:
        ShapeRefused: for floats, unequal lengths, negative figures, a demand of nothing, rates that
            fall, demands of more than 10⁹ units in all, or ``held`` that names no listing.
        RateRefused: for rates below nothing or above 100 % a year.
    """
    market = _checked(lenders, budgets, limits, demands, maxima, rates, held)
    left_at = np.full(market.demands.size, NOT_LEFT, dtype=np.int64)
    rounds, allocations = 0, 0
    while True:
        rounds += 1
        rows, checks = _accept_by_arrival(market, np.flatnonzero(left_at == NOT_LEFT))
        allocations += checks
        lowest = int(market.maxima[rows].min()) if rows.size else 0
        cheapest, checks = _least_cost(market, rows, lowest)
        allocations += checks
        if rows.size == 0 or cheapest.annual_ppm <= lowest:
            break
        left_at[(left_at == NOT_LEFT) & (market.maxima <= lowest)] = cheapest.annual_ppm
    accepted = np.zeros(market.demands.size, dtype=np.bool_)
    accepted[rows] = True
    return Accepted(
        accepted=accepted,
        left_at_ppm=left_at,
        fundable=_fundable(market, accepted, left_at != NOT_LEFT),
        least_cost=cheapest,
        rounds=rounds,
        allocations=allocations,
    )


@dataclass(frozen=True, slots=True)
class _Market:
    """One market, checked. Budgets and limits that demands can't use up are cut to what they can.

    ``given_limits`` are not cut; ``offered`` is ``G(k)``, ``[L + 1]``; ``held`` are distinct pairs
    of lender, listing and units, of lenders who have entries.
    """

    lenders: IntArray
    budgets: IntArray
    limits: IntArray
    given_limits: IntArray
    rates: IntArray
    demands: IntArray
    maxima: IntArray
    held: IntArray
    supply: Supply
    offered: IntArray


def _checked(
    lenders: npt.ArrayLike,
    budgets: npt.ArrayLike,
    limits: npt.ArrayLike,
    demands: npt.ArrayLike,
    maxima: npt.ArrayLike,
    rates: npt.ArrayLike,
    held: npt.ArrayLike | None,
) -> _Market:
    whose, money, most, asked = same_length(
        lenders=lenders, budgets=budgets, limits=limits, rates=rates
    )
    wanted, highest = same_length(demands=demands, maxima=maxima)
    for name, column, least in (
        ("lenders", whose, 0),
        ("budgets", money, 0),
        ("limits", most, 0),
        ("demands", wanted, 1),
        ("maxima", highest, 0),
    ):
        if column.size and column.min() < least:
            raise ShapeRefused(f"{name} can't be below {least}.", field=name)
    if (np.diff(asked) < 0).any():
        raise ShapeRefused("Entries must come in queue order: rates never fall.", field="rates")
    monthly_rate_e12(asked[[0, -1]] if asked.size else asked)  # refuses what is not a rate
    total = sum(wanted.tolist())
    if total > MOST_UNITS:
        raise ShapeRefused(f"At most {MOST_UNITS} units can be asked for in all.", field="demands")
    usable = np.minimum(money, total)
    limit = np.minimum(most, wanted.max(initial=0))
    supply = Supply.of(whose, usable, limit)
    return _Market(
        lenders=whose,
        budgets=usable,
        limits=limit,
        given_limits=np.minimum(most, _LARGEST_LIMIT),
        rates=asked,
        demands=wanted,
        maxima=highest,
        held=_pairs(held, whose, wanted.size),
        supply=supply,
        offered=supply.up_to(wanted.size),
    )


def _pairs(held: npt.ArrayLike | None, lenders: IntArray, listings: int) -> IntArray:
    """Return distinct pairs ``[H, 3]`` of lenders who have entries, what they hold added up."""
    given = plain_array([] if held is None else held, "held")
    if given.size == 0:
        return np.zeros((0, 3), dtype=np.int64)
    if given.ndim != 2 or given.shape[1] != 3:
        raise ShapeRefused("held must be rows of lender, listing and units.", field="held")
    whose, listing, units = (int_array(column, "held") for column in given.T)
    if min(whose.min(), listing.min(), units.min()) < 0 or listing.max() >= listings:
        raise ShapeRefused(
            "held names a listing that isn't there, or less than nothing.", field="held"
        )
    some = np.isin(whose, lenders) & (units > 0)
    pairs, places = np.unique(np.stack([whose, listing])[:, some], axis=1, return_inverse=True)
    sums = np.zeros(pairs.shape[1], dtype=np.int64)
    # Beyond any limit it makes no difference how much is held, and sums must stay in 64 bits.
    np.add.at(sums, places.reshape(-1), np.minimum(units[some], _LARGEST_LIMIT))
    return np.stack([*pairs, sums], axis=1)


class _Room:
    """The accepted demands, by size, and what the offers leave room for beside them."""

    def __init__(self, offered: IntArray, demands: IntArray) -> None:
        self._offered = offered
        self._sizes: list[int] = (-np.sort(demands)[::-1]).tolist()  # negative, so that they rise
        self._sums = np.zeros(offered.size, dtype=np.int64)
        self._sums[: demands.size + 1] = largest_sums(demands)

    def add(self, demand: int) -> bool:
        """Accept one more demand if all of them together can still be funded; return whether."""
        place, count = bisect_right(self._sizes, -demand), len(self._sizes)
        sums = self._sums[place : count + 1] + demand
        if (sums > self._offered[place + 1 : count + 2]).any():
            return False
        self._sums[place + 1 : count + 2] = sums
        insort(self._sizes, -demand)
        return True


def _accept_by_arrival(market: _Market, rows: IntArray) -> tuple[IntArray, int]:
    """Return which of ``rows`` (rising) are accepted by arrival, and allocations needed."""
    taken = np.zeros(0, dtype=np.int64)
    checks = 0
    while True:
        found = _accept_by_size(market, taken, rows)
        fits, allocations = _can_be_funded(market, found)
        checks += allocations
        if fits:
            return found, checks
        low, high = taken.size, found.size  # the first ``low`` can be funded, ``high`` can't
        while high - low > 1:
            middle = (low + high) // 2
            fits, allocations = _can_be_funded(market, found[:middle])
            checks += allocations
            low, high = (middle, high) if fits else (low, middle)
        taken, rows = found[:low], rows[rows > found[low]]


def _accept_by_size(market: _Market, taken: IntArray, rows: IntArray) -> IntArray:
    """Return ``taken`` and those of ``rows`` that the test by size accepts, in order of arrival."""

    def can_be_funded(count: int) -> bool:
        sums = largest_sums(market.demands[np.append(taken, rows[:count])])
        return bool((sums <= market.offered[: sums.size]).all())

    low, high = 0, rows.size + 1
    while high - low > 1:  # the first rows that all fit need no walk
        middle = rows.size if low == 0 and high > rows.size else (low + high) // 2
        low, high = (middle, high) if can_be_funded(middle) else (low, middle)
    first = np.append(taken, rows[:low])
    room = _Room(market.offered, market.demands[first])
    walked = rows[low:]
    fits = [room.add(demand) for demand in market.demands[walked].tolist()]
    return np.append(first, walked[np.array(fits, dtype=np.bool_)])


def _can_be_funded(market: _Market, rows: IntArray) -> tuple[bool, int]:
    """Return whether listings that pass the test by size can be funded, and allocations needed."""
    held = _held_of(market, rows)
    if held.size == 0:
        return True, 0
    routed = can_be_routed(
        lenders=market.lenders,
        budgets=market.budgets,
        limits=market.given_limits,
        largest=int(market.demands.max()),
        offered=market.offered[: rows.size + 1],
        demands=market.demands[rows],
        held=held,
    )
    if routed is None:
        return _allocated(market, rows) is not None, 1
    return routed, 0


def _held_of(market: _Market, rows: IntArray) -> IntArray:
    """Return the pairs that concern ``rows``, with places in ``rows`` instead of listings."""
    places = np.full(market.demands.size, -1, dtype=np.int64)
    places[rows] = np.arange(rows.size)
    found = market.held.copy()
    found[:, 1] = places[found[:, 1]]
    return found[found[:, 1] >= 0]


def _allocated(market: _Market, rows: IntArray) -> Allocation | None:
    """Return a least-cost allocation, ``None`` where the demands can't be met."""
    try:
        return allocate_entries(
            lenders=market.lenders,
            rates=market.rates,
            budgets=market.budgets,
            limits=market.given_limits,
            demands=market.demands[rows],
            held=_held_of(market, rows),
        )
    except DemandsUnmet:
        return None


def _least_cost(market: _Market, rows: IntArray, lowest: int) -> tuple[Blend, int]:
    """Return the blend of the cheapest units that fund ``rows``, and allocations needed.

    Without single pairs the cheapest units cost as much or less. If that alone is above ``lowest``,
    who leaves is decided. It is too if pairs can't bring the rate above ``lowest``: each unit held
    lowers the largest flow from the first entries, however many, by one at most; so, summed by
    parts, it costs at most the dearest rate less the cheapest. In between, the cheapest units may
    be routed in spite of the pairs; only if that isn't sure does it take an allocation.
    """
    units = cheapest_units(market.supply, market.demands[rows])
    entry = np.flatnonzero(units)
    found = blend(units[entry], monthly_rate_e12(market.rates[entry]))
    held = _held_of(market, rows)
    if held.size == 0 or found.annual_ppm > lowest:
        return found, 0
    lost = int(np.minimum(held[:, 2], market.limits.max()).sum())
    range_e12 = int(np.diff(monthly_rate_e12(market.rates[[0, -1]]))[0])
    if Blend(found.amount, found.weighted + lost * range_e12).annual_ppm <= lowest:
        return found, 0
    routed = can_be_routed(
        lenders=market.lenders,
        budgets=units,
        limits=market.given_limits,
        largest=int(market.demands.max()),
        offered=Supply.of(market.lenders, units, market.limits).up_to(rows.size),
        demands=market.demands[rows],
        held=held,
    )
    if routed:
        return found, 0
    exact = _allocated(market, rows)
    if exact is None:
        raise DemandsUnmet("Listings that were accepted can't be funded.")
    given = np.bincount(exact.entry, exact.units).astype(np.int64)
    entry = np.flatnonzero(given)
    return blend(given[entry], monthly_rate_e12(market.rates[entry])), 1


def _fundable(market: _Market, accepted: BoolArray, left: BoolArray) -> IntArray:
    """Return what each listing gets, or could still get beside the accepted ones, units ``[L]``."""
    sizes = np.sort(market.demands[accepted])
    spare = market.offered[1 : sizes.size + 2] - largest_sums(sizes)[: market.offered.size - 1]
    least = np.minimum.accumulate(spare[::-1])[::-1]  # over all k from the listing's place on
    place = sizes.size - np.searchsorted(sizes, market.demands)
    # A listing that waits although its size fits waits for a single pair: it isn't whole.
    cap = np.where(left, market.demands, market.demands - 1)
    found = np.minimum(least[np.minimum(place, least.size - 1)], cap) if least.size else cap
    return np.where(accepted, market.demands, np.maximum(found, 0))
