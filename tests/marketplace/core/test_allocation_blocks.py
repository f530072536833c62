"""Tight markets in blocks, and small ones through a full matrix: by hand, and as laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from marketplace.core import allocation_blocks
from marketplace.core.allocation_blocks import Path, spread
from marketplace.core.arrays import IntArray

from .reference import ints


def _matrix(units: IntArray, limits: IntArray, rates: IntArray, demands: IntArray) -> IntArray:
    """The parts as a matrix, which must be whole and within limits."""
    parts, path = spread(units, limits, rates, demands)
    assert path is Path.FAIR
    keys = parts.row * demands.shape[0] + parts.listing
    assert (np.diff(keys) > 0).all()
    found = np.zeros((units.shape[0], demands.shape[0]), dtype=np.int64)
    found[parts.row, parts.listing] = parts.units
    assert (parts.units > 0).all()
    assert (found <= limits[:, None]).all()
    assert (found.sum(axis=1) == units).all()
    assert (found.sum(axis=0) == demands).all()
    return found


def test_a_tight_market_leaves_no_choice() -> None:
    # Listings of 4, 3 and 1 units; lenders with 3, 3, 1 and 1, one unit a listing. The three of a
    # lender reach every listing, so with two such lenders the smallest would get two: it has one.
    # At k = 2: max(0, 3 - 2) + 0 + 0 + 0 = 1 = the smallest demand, so it is lender 0's.
    found = _matrix(ints(3, 2, 2, 1), ints(1, 1, 1, 1), ints(4, 5, 6, 7), ints(4, 3, 1))
    assert found[0].tolist() == [1, 1, 1]
    assert found[1:, 2].tolist() == [0, 0, 0]
    # At k = 1: 2 + 1 + 1 + 0 = 4 = 3 + 1, so every lender has one unit in the largest listing.
    assert found[:, 0].tolist() == [1, 1, 1, 1]


def test_two_lenders_and_two_listings_have_one_allocation() -> None:
    # The house's wall: 4 % with 2 units and 10 % with 1, demands 1 and 2, one unit a listing.
    found = _matrix(ints(2, 1), ints(1, 1), ints(40_000, 100_000), ints(1, 2))
    assert found.tolist() == [[1, 1], [0, 1]]


@pytest.mark.parametrize("few", [64, -1], ids=["as it is", "always through a matrix"])
@settings(max_examples=300, deadline=None)
@given(st.data())
def test_whatever_can_be_routed_is_spread(few: int, data: st.DataObject) -> None:
    """Any matrix of whole numbers gives sums and limits that can be met: it meets them itself."""
    rows, columns = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 7))
    known = data.draw(arrays(np.int64, (rows, columns), elements=st.integers(0, 4)))
    known = known[known.sum(axis=1) > 0][:, known.sum(axis=0) > 0]
    if not known.size:
        return
    slack = data.draw(arrays(np.int64, known.shape[0], elements=st.integers(0, 2)))
    rates = np.sort(data.draw(arrays(np.int64, known.shape[0], elements=st.integers(1, 9))))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(allocation_blocks, "_FEW", few)
        _matrix(known.sum(axis=1), known.max(axis=1) + slack, rates * 10_000, known.sum(axis=0))


def test_a_market_of_few_listings_and_many_limits() -> None:
    """Lenders with more money than 20 listings take: tight, and spread within a moment."""
    rng = np.random.default_rng(3)
    limits = rng.choice([1, 2, 3, 4, 5, 10], 600)
    demands = np.sort(rng.integers(100, 2_500, 20))
    known = np.minimum(rng.integers(0, 11, (600, 20)), limits[:, None])
    # Fuller in the larger listings, as it is where everyone wants to give to all of them.
    known[:, :5] = np.minimum(known[:, :5], 1)
    known = known[known.sum(axis=1) > 0]
    limits = known.max(axis=1)
    demands = known.sum(axis=0)
    rates = np.sort(rng.integers(40, 120, known.shape[0])) * 1_000
    found = _matrix(known.sum(axis=1), limits, rates, demands)
    mean = (found * rates[:, None]).sum() / found.sum()
    blends = (found * rates[:, None]).sum(axis=0) / demands
    assert np.sqrt((demands * (blends - mean) ** 2).sum() / demands.sum()) < 2_000
