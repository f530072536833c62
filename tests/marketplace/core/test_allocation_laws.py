"""Allocating one market's money: equality with linear programming on small random markets."""

from dataclasses import dataclass

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from marketplace.core.allocation import DemandsUnmet, allocate, allocate_entries


@dataclass(frozen=True)
class Market:
    lenders: list[int]
    rates: list[int]
    budgets: list[int]
    limits: list[int]
    demands: list[int]
    held: list[tuple[int, int, int]]

    def most(self, lender: int, listing: int, limit: int) -> int:
        """What entries up to ``limit`` may have in the listing together."""
        held = [h for one, place, h in self.held if (one, place) == (lender, listing)]
        return max(0, limit - max(held, default=0))


@st.composite
def markets(draw: st.DrawFn, *, alone: bool) -> Market:
    size, listings = draw(st.integers(1, 6)), draw(st.integers(1, 5))
    numbers = st.integers(0, 2)
    lenders = [e if alone else draw(numbers) for e in range(size)]
    return Market(
        lenders=lenders,
        rates=sorted(draw(st.lists(st.integers(1, 5), min_size=size, max_size=size))),
        budgets=draw(st.lists(st.integers(0, 9), min_size=size, max_size=size)),
        limits=draw(st.lists(st.integers(0, 4), min_size=size, max_size=size)),
        demands=draw(st.lists(st.integers(0, 5), min_size=listings, max_size=listings)),
        held=draw(
            st.lists(
                st.tuples(
                    st.integers(0, size), st.integers(0, listings - 1), st.sampled_from([1, 2, 99])
                ),
                max_size=5,
            )
        ),
    )


def _levels(market: Market) -> list[tuple[int, int, list[int], int]]:
    """Lender, limit, entries up to that limit, listing: each caps a sum of units."""
    return [
        (lender, limit, rows, listing)
        for lender, limit in sorted(set(zip(market.lenders, market.limits, strict=True)))
        for rows in [
            [
                e
                for e, one in enumerate(market.lenders)
                if one == lender and market.limits[e] <= limit
            ]
        ]
        for listing in range(len(market.demands))
    ]


def _optimum(market: Market) -> list[int] | None:
    """Units by entry at least cost, ties to the earlier entry; ``None`` if demands can't be met.

    A linear program on a network, so its corners are whole numbers. The small extra cost by place
    in the queue decides between optima only: at most 25 units x 6 places x .001 < 1.
    """
    size, listings = len(market.rates), len(market.demands)
    cost = np.repeat(np.array(market.rates) + 0.001 * np.arange(size), listings)
    bounds, caps = [], []
    for entry in range(size):
        row = np.zeros((size, listings))
        row[entry] = 1
        bounds.append(row.ravel())
        caps.append(market.budgets[entry])
    for lender, limit, rows, listing in _levels(market):
        row = np.zeros((size, listings))
        row[rows, listing] = 1
        bounds.append(row.ravel())
        caps.append(market.most(lender, listing, limit))
    equal = np.tile(np.eye(listings), size)
    solved = linprog(cost, np.array(bounds), caps, equal, market.demands)
    if solved.status != 0:
        assert solved.status == 2
        return None
    assert solved.x is not None
    units: list[int] = np.rint(solved.x.reshape(size, listings).sum(axis=1)).astype(int).tolist()
    return units


def _agrees(market: Market) -> None:
    expected = _optimum(market)
    try:
        found = allocate_entries(
            lenders=market.lenders,
            rates=market.rates,
            budgets=market.budgets,
            limits=market.limits,
            demands=market.demands,
            held=market.held,
        )
    except DemandsUnmet:
        assert expected is None
        return
    size, listings = len(market.rates), len(market.demands)
    units = np.zeros((size, listings), dtype=np.int64)
    np.add.at(units, (found.entry, found.listing), found.units)
    assert (found.units > 0).all()
    assert np.count_nonzero(units) == found.units.shape[0]
    assert units.sum(axis=0).tolist() == market.demands
    for lender, limit, rows, listing in _levels(market):
        assert units[rows, listing].sum() <= market.most(lender, listing, limit)
    assert units.sum(axis=1).tolist() == expected


@settings(deadline=None, max_examples=150)
@given(markets(alone=True))
def test_one_entry_a_lender_costs_the_least(market: Market) -> None:
    _agrees(market)


@settings(deadline=None, max_examples=200)
@given(markets(alone=False))
def test_several_entries_a_lender_cost_the_least(market: Market) -> None:
    _agrees(market)


@settings(deadline=None, max_examples=80)
@given(markets(alone=False), st.sampled_from([7, 100_000]))
def test_a_market_of_larger_amounts_is_the_same_market(market: Market, times: int) -> None:
    expected = _optimum(market)
    try:
        found = allocate_entries(
            lenders=market.lenders,
            rates=market.rates,
            budgets=np.array(market.budgets) * times,
            limits=np.array(market.limits) * times,
            demands=np.array(market.demands) * times,
            held=[(lender, listing, units * times) for lender, listing, units in market.held],
        )
    except DemandsUnmet:
        assert expected is None
        return
    given = np.bincount(found.entry, found.units, len(market.rates)).astype(np.int64)
    assert expected is not None
    assert given.tolist() == [units * times for units in expected]


@settings(deadline=None, max_examples=100)
@given(markets(alone=True))
def test_exceptions_are_lower_limits(market: Market) -> None:
    # allocate with x as the most in a pair is allocate_entries with limit - x held there
    pairs = [(e, j, x % 5) for e, j, x in market.held if e < len(market.rates)]
    held = [(e, j, max(0, market.limits[e] - x)) for e, j, x in pairs]
    columns = {
        "rates": market.rates,
        "budgets": market.budgets,
        "limits": market.limits,
        "demands": market.demands,
    }
    try:
        found = allocate_entries(lenders=market.lenders, held=held, **columns)
    except DemandsUnmet:
        try:
            allocate(exceptions=pairs, **columns)
        except DemandsUnmet:
            return
        raise AssertionError from None
    parts = allocate(exceptions=pairs, **columns)
    for one, other in zip(parts, (found.entry, found.listing, found.units), strict=True):
        assert one.tolist() == other.tolist()
    for entry, listing, most in pairs:
        here = (parts[0] == entry) & (parts[1] == listing)
        assert (parts[2][here] <= most).all()
