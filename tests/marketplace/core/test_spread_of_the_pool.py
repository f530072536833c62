"""How many borrowers the pool's lenders reach, against the most that there could be."""

from __future__ import annotations

import numpy as np
import pytest

from marketplace.core.arrays import IntArray
from marketplace.core.cycle import CycleInput, OpenListings, run_markets
from marketplace.core.order_book import nothing_held
from marketplace.core.standing import Markets, NamedRates, Orders, Pricing

from .reference import ints

UNIT = 1_000


def _pool(seed: int, lenders: int, listings: int, share: int) -> CycleInput:
    """A market with pool money alone, more of it than the listings need."""
    rng = np.random.default_rng(seed)
    units = np.maximum(rng.lognormal(3.0, 1.0, lenders), 100 * 10_000 // share).astype(np.int64)
    demands = np.clip(rng.lognormal(6, 0.6, listings), 100, 2_500)
    demands = np.maximum(demands * units.sum() * 0.7 / demands.sum(), 100).astype(np.int64)
    number, none = np.arange(1, lenders + 1), np.zeros(lenders, dtype=np.int64)
    orders = Orders(number, number, units * UNIT, units * UNIT, none, none, np.full(lenders, share))
    one = np.ones(lenders, dtype=np.int64)
    whole = np.full(lenders, 1_000_000)
    named = NamedRates(number, one, one * Pricing.POOL, none, none, none, whole, none, number)
    markets = Markets(
        ints(1), ints(36), ints(1), ints(20_000), ints(90_000), ints(60_000), ints(60_000)
    )
    row = np.arange(listings)
    wants = OpenListings(
        np.ones_like(row), row + 1, row + 10**6, demands * UNIT, np.full_like(row, 90_000)
    )
    return CycleInput(orders, named, markets, wants, nothing_held())


def _most_pairs(units: IntArray, demands: IntArray) -> int:
    """The most pairs of lender and loan there could be (Gale and Ryser), limits aside.

    Each pair takes a £10 step of its lender and of its loan: with the loans in order of size, at
    most min(units, k) pairs of a lender are with the k largest, and the others have their demands.
    """
    smallest = np.sort(demands)
    return min(
        int(np.minimum(units, k).sum() + smallest[: len(demands) - k].sum())
        for k in range(len(demands) + 1)
    )


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("share", "least"), [(20_000, 0.98), (50_000, 0.99), (200_000, 0.99)])
def test_each_lender_of_the_pool_reaches_as_many_borrowers_as_there_can_be(
    seed: int, share: int, least: float
) -> None:
    """Where a few lenders have more steps than there are loans, a per cent may be missing."""
    seen = _pool(seed, lenders=800, listings=150, share=share)
    result = run_markets(seen)
    assert len(np.unique(result.parts.listing_id)) >= 149
    units, borrowers = result.taken // UNIT, np.bincount(result.parts.lender_id, minlength=801)[1:]
    assert (borrowers <= np.minimum(units, 150)).all()
    assert borrowers.sum() >= least * _most_pairs(units, seen.listings.amount // UNIT)
    small = units <= 150
    if least > 0.98:
        assert (borrowers[small] == units[small]).all()
