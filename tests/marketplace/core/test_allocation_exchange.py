"""Exchanging units out of place, and rounding shares: worked examples and laws."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketplace.core.allocation import allocate_entries
from marketplace.core.allocation_parts import exchange, parts_of
from marketplace.core.allocation_shares import Classes, Teams, rounded
from marketplace.core.allocation_spread import fair
from marketplace.core.arrays import IntArray
from marketplace.core.rates import E12, Blend, annual_fraction

Pairs = list[tuple[int, int]]
_BITS = 3  # of a listing's number in a key: listings 0 to 7


def _exchange(units: Pairs, limits: list[int], held: Pairs) -> tuple[Pairs, int]:
    """Exchange units given as (row, listing); return them as they are then, and how many fail."""
    keys = np.array(sorted(row << _BITS | listing for row, listing in units), dtype=np.uint32)
    besides = np.array(sorted(row << _BITS | listing for row, listing in held), dtype=np.uint32)
    left = exchange(keys, _BITS, np.array(limits), besides)
    return [(key >> _BITS, key & 7) for key in keys.tolist()], left


def _above(units: Pairs, limits: list[int], held: Pairs) -> int:
    """How many units are above limits, plainly."""
    besides = Counter(held)
    return sum(
        max(0, min(count, count + besides[pair] - limits[pair[0]]))
        for pair, count in Counter(units).items()
    )


def test_a_unit_that_stands_twice_is_exchanged() -> None:
    # Row 0 has listing 0 twice. Row 1 takes one of them and gives its unit of listing 1.
    assert _exchange([(0, 0), (0, 0), (1, 1)], [1, 1], []) == ([(0, 0), (0, 1), (1, 0)], 0)


def test_a_unit_where_something_is_held_is_exchanged() -> None:
    # Row 0 holds 1 in listing 0 with a limit of 1: it goes to listing 1, row 1 to listing 0.
    assert _exchange([(0, 0), (1, 1)], [1, 1], [(0, 0)]) == ([(0, 1), (1, 0)], 0)
    # With a limit of 2 it may stay.
    assert _exchange([(0, 0), (1, 1)], [2, 1], [(0, 0)]) == ([(0, 0), (1, 1)], 0)


def test_what_cannot_be_exchanged_stays() -> None:
    assert _exchange([(0, 0), (0, 0)], [1], []) == ([(0, 0), (0, 0)], 1)
    # Row 1 already has listing 0, the only one that row 0 could give.
    units = [(0, 0), (0, 0), (1, 0), (1, 1)]
    assert _exchange(units, [1, 1], []) == (units, 1)


@settings(deadline=None)
@given(st.data())
def test_exchanges_keep_rows_and_listings(data: st.DataObject) -> None:
    rows = data.draw(st.integers(1, 6))
    pairs = st.tuples(st.integers(0, rows - 1), st.integers(0, 5))
    units = data.draw(st.lists(pairs, min_size=1, max_size=20))
    held = data.draw(st.lists(pairs, max_size=4))
    limits = data.draw(st.lists(st.integers(0, 3), min_size=rows, max_size=rows))
    found, left = _exchange(units, limits, held)
    assert Counter(row for row, _ in found) == Counter(row for row, _ in units)
    assert Counter(listing for _, listing in found) == Counter(listing for _, listing in units)
    assert found == sorted(found)
    assert left == _above(found, limits, held) <= _above(units, limits, held)


def _rounded(
    shares: np.typing.NDArray[np.float64], units: IntArray, demands: IntArray
) -> tuple[IntArray, IntArray]:
    """Round shares of rows with evenly rising rates; return row and listing of each unit."""
    rows, listings = shares.shape
    distance = np.linspace(-1, 1, rows) if rows > 1 else np.zeros(1)
    every, ones = np.arange(rows), np.ones(rows)
    classes = Classes(every, ones < 1, ones, ones, units.astype(float), distance, distance)
    teams = Teams(classes, units, every)
    owed = np.zeros(listings)
    keys = rounded(shares.astype(np.float32), teams, demands, owed, units, np.uint32)
    bits = listings.bit_length()
    return (keys >> bits).astype(np.int64), (keys & ((1 << bits) - 1)).astype(np.int64)


@settings(deadline=None)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=12), st.integers(1, 9), st.data())
def test_rounding_keeps_both_sums(units: list[int], listings: int, data: st.DataObject) -> None:
    total = sum(units)
    cuts = data.draw(st.lists(st.integers(0, total), min_size=listings - 1, max_size=listings - 1))
    demands = np.diff([0, *sorted(cuts), total])
    shares = np.outer(units, demands) / total
    row, listing = _rounded(shares, np.array(units), demands)
    assert np.bincount(row, minlength=len(units)).tolist() == units
    assert np.bincount(listing, minlength=listings).tolist() == demands.tolist()


@pytest.mark.parametrize("listings", [2, 7, 40])
def test_rounding_mixes_rates_evenly(listings: int) -> None:
    # 400 rows of one rate each and 3 units: a listing's units are spaced evenly over the rates from
    # -1 to 1, so their sum is 0 but for less than half a gap at either end, and what dealing moves.
    units = np.full(400, 3)
    demands = np.full(listings, 1_200 // listings)
    demands[: 1_200 % listings] += 1
    row, listing = _rounded(np.outer(units, demands) / 1_200, units, demands)
    sums = np.bincount(listing, np.linspace(-1, 1, 400)[row], listings)
    assert (np.abs(sums) < 0.5).all()
    # Were units dealt listing by listing, the first one's would be cheap: -1 + 1 / listings each.
    assert demands[0] * (1 - 1 / listings) > 20 * 0.5


def test_a_listing_may_be_owed_a_cheaper_mix() -> None:
    # 200 pieces of 2 units at 1 to 200 ppm, 4 listings of 100 units: 100.5 each on average. The
    # first should cost 10 ppm a unit less, the last 10 more.
    units, rates, demands = np.full(200, 2), np.arange(1, 201), np.full(4, 100)
    aims = np.array([90.5, 100.5, 100.5, 110.5])
    parts = fair(units, np.ones_like(units), rates, demands, aims * 100)
    assert parts is not None
    blends = np.bincount(parts.listing, parts.units * rates[parts.row]) / 100
    # A unit's distance from its neighbour in a listing is 2 ppm; half of that is fair.
    assert (np.abs(blends - aims) < 1).all()


def test_lenders_numbers_do_not_matter() -> None:
    rng = np.random.default_rng(3)
    market = {
        "rates": np.sort(rng.integers(40_000, 150_000, 300)),
        "budgets": rng.integers(1, 30, 300),
        "limits": rng.integers(1, 3, 300),
        "demands": rng.integers(5, 60, 30),
    }
    one = allocate_entries(lenders=np.arange(300), **market)
    other = allocate_entries(lenders=rng.permutation(300) * 7, **market)
    assert one.entry.tolist() == other.entry.tolist()
    assert one.listing.tolist() == other.listing.tolist()
    assert one.units.tolist() == other.units.tolist()


def test_parts_of_keys() -> None:
    # Row 2 has two units in listing 1 and one in listing 3; row 5 one in listing 0.
    keys = np.array([2 << 3 | 1, 2 << 3 | 1, 2 << 3 | 3, 5 << 3], dtype=np.uint32)
    parts = parts_of(keys, _BITS)
    assert parts.row.tolist() == [2, 2, 5]
    assert parts.listing.tolist() == [1, 3, 0]
    assert parts.units.tolist() == [2, 1, 1]


@given(st.integers(1, 10**13), st.integers(0, 10**11 - 1), st.integers(0, 10**11))
def test_a_blends_rate_is_that_of_the_exact_mean(amount: int, rest: int, rate: int) -> None:
    blend = Blend(amount, amount * rate // 2 + rest % amount)
    assert blend.annual_fraction == annual_fraction(blend.monthly_e12)
    assert blend.monthly_e12 * amount == blend.weighted
    assert blend.weighted < amount * E12
