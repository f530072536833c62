"""Allocating one market's money: worked examples, walls, large instances and refusals."""

import numpy as np
import numpy.typing as npt
import pytest

from marketplace.core import allocation_blocks, allocation_spread
from marketplace.core.allocation import (
    Allocation,
    DemandsUnmet,
    Path,
    allocate,
    allocate_entries,
)
from marketplace.core.arrays import IntArray
from marketplace.core.errors import ShapeRefused

Pairs = list[tuple[int, int, int]]


def _allocate(
    rates: list[int],
    budgets: list[int],
    limits: list[int],
    demands: list[int],
    exceptions: Pairs | None = None,
) -> Pairs:
    parts = allocate(
        rates=rates, budgets=budgets, limits=limits, demands=demands, exceptions=exceptions
    )
    return list(zip(*(column.tolist() for column in parts), strict=True))


def test_the_only_allocation_there_is() -> None:
    # Demands 1 and 2; 4 % has two units, 10 % has one, one unit a listing each. The second listing
    # needs both lenders, so the first lender's other unit goes to the first: 4 % and 7 %.
    parts = _allocate([40_000, 100_000], [2, 1], [1, 1], [1, 2])
    assert parts == [(0, 0, 1), (0, 1, 1), (1, 1, 1)]


def test_a_cheap_lender_is_held_back_where_limits_bind() -> None:
    # Demands 3, 1, 1; everybody may put one unit into a listing. The first lender could reach all
    # three listings. Two more are needed in the first listing, and nobody else can give two there:
    # lenders 2 and 3 give one each, so lender 1 gives 3, and all 5 units are met.
    assert _allocate([1, 2, 3], [9, 1, 1], [1, 1, 1], [3, 1, 1]) == [
        (0, 0, 1),
        (0, 1, 1),
        (0, 2, 1),
        (1, 0, 1),
        (2, 0, 1),
    ]
    # With k = 1 in Gale and Ryser's condition: lenders 1 and 2 want 3 + 3 units of demands 3, 1, 1.
    # What exceeds one unit, 2 + 2, would have to fit into the two smallest demands, 1 + 1. So
    # lender 1 gives 3, lender 2 only 1, and lender 3 gives the fifth unit, dearer as it is.
    given = allocate(rates=[1, 2, 3], budgets=[3, 3, 3], limits=[1, 1, 1], demands=[3, 1, 1])
    assert np.bincount(given[0], given[2]).tolist() == [3, 1, 1]


def test_equal_rates_go_by_the_queue() -> None:
    assert _allocate([5, 5, 5], [2, 2, 2], [1, 1, 1], [1, 1]) == [(0, 0, 1), (0, 1, 1)]


def test_a_lender_keeps_out_of_the_own_listing() -> None:
    # Lender 0 would give a unit to both listings. The second is the lender's own: lender 1, next in
    # the queue, gives it, and lender 2 isn't needed.
    assert _allocate([1, 2, 3], [2, 1, 1], [1, 1, 1], [1, 1], [(0, 1, 0)]) == [
        (0, 0, 1),
        (1, 1, 1),
    ]


def test_a_displaced_unit_pushes_out_a_dearer_one() -> None:
    # All have a unit. Lender 2 (the dearest needed) may only lend to listing 1, lender 0 not to it:
    # both listings ask for one unit, so lenders 0 and 1 can fund them: 0 -> 0, 1 -> 1.
    parts = _allocate([1, 2, 3], [1, 1, 1], [1, 1, 1], [1, 1], [(0, 1, 0), (2, 0, 0)])
    assert parts == [(0, 0, 1), (1, 1, 1)]


def test_the_lowest_exception_counts_and_a_high_one_changes_nothing() -> None:
    pairs = [(0, 0, 2), (0, 0, 1), (0, 1, 99)]
    # Lender 0 may put 1 unit into listing 0 and 3 into listing 1; lender 1 fills up.
    assert _allocate([1, 2], [9, 9], [3, 3], [3, 3], pairs) == [(0, 0, 1), (0, 1, 3), (1, 0, 2)]


def test_a_lender_with_two_limits() -> None:
    # Entries with limits 1 (cheap, 3 units) and 5 (4 units) of one lender; listings of 5 and 3; the
    # other lender is dear. Limit 1: one unit in each listing, 2 in all. Both entries together: at
    # most 5 in a listing, so 4 more fit. 8 - 2 - 4 = 2 units are left to the dear one.
    found = allocate_entries(
        lenders=[7, 7, 3], rates=[1, 2, 9], budgets=[3, 4, 9], limits=[1, 5, 9], demands=[5, 3]
    )
    assert np.bincount(found.entry, found.units).tolist() == [2, 4, 2]
    cheap = found.entry == 0
    assert found.listing[cheap].tolist() == [0, 1]
    assert found.units[cheap].tolist() == [1, 1]


def test_what_is_held_comes_off_every_limit() -> None:
    # The lender holds 1 in listing 0: the entry with limit 1 can't go there, the one with 3 may
    # put 2. Listing 1 is free: 1 from the first entry, 1 more from the second.
    found = allocate_entries(
        lenders=[4, 4],
        rates=[1, 2],
        budgets=[9, 9],
        limits=[1, 3],
        demands=[2, 2],
        held=[(4, 0, 1), (4, 0, 1), (8, 1, 5)],
    )
    assert found.entry.tolist() == [0, 1, 1]
    assert found.listing.tolist() == [1, 0, 1]
    assert found.units.tolist() == [1, 2, 1]


def test_one_whale_and_one_listing() -> None:
    assert _allocate([1, 2], [10**9, 10**9], [10**9, 10**9], [50]) == [(0, 0, 50)]
    assert _allocate([1], [2**62], [2**62], [3, 0, 4]) == [(0, 0, 3), (0, 2, 4)]


@pytest.mark.parametrize(
    ("budgets", "limits", "demands"),
    [([], [], []), ([5], [5], []), ([5], [5], [0, 0]), ([0, 0], [1, 1], [0])],
)
def test_nothing_wanted_is_nothing_given(
    budgets: list[int], limits: list[int], demands: list[int]
) -> None:
    assert _allocate([1] * len(budgets), budgets, limits, demands) == []


@pytest.mark.parametrize(
    ("budgets", "limits", "demands", "exceptions"),
    [
        ([], [], [1], []),
        ([3], [0], [1], []),
        ([1, 1], [1, 1], [3], []),
        ([9, 9], [1, 1], [3, 1], []),  # two lenders, one unit each: 2 of 3
        ([9, 9], [1, 1], [2, 2], [(1, 0, 0)]),
        ([1, 1], [1, 1], [1, 1], [(0, 0, 0), (1, 0, 0)]),
    ],
)
def test_demands_that_cannot_be_met_are_refused(
    budgets: list[int], limits: list[int], demands: list[int], exceptions: Pairs
) -> None:
    with pytest.raises(DemandsUnmet) as refusal:
        _allocate([1] * len(budgets), budgets, limits, demands, exceptions)
    assert refusal.value.code == "DEMANDS_UNMET"


@pytest.mark.parametrize(
    "changed",
    [
        {"rates": [2, 1]},
        {"rates": [1.0, 2.0]},
        {"budgets": [1, -1]},
        {"budgets": [1]},
        {"limits": [True, True]},
        {"limits": [-1, 1]},
        {"demands": [-1]},
        {"demands": [[1]]},
        {"limits": [[1], [1, 1]]},
        {"demands": [2**62, 2**62]},
        {"rates": [1, 2**40]},
        {"exceptions": [(0, 0)]},
        {"exceptions": [(2, 0, 0)]},
        {"exceptions": [(0, 1, 0)]},
        {"exceptions": [(0, 0, -1)]},
        {"exceptions": [(0.0, 0.0, 0.0)]},
        {"exceptions": [(0, 0, 0), (1, 0)]},
    ],
)
def test_bad_input_is_refused(changed: dict[str, npt.ArrayLike]) -> None:
    good: dict[str, npt.ArrayLike] = {
        "rates": [1, 2],
        "budgets": [1, 1],
        "limits": [1, 1],
        "demands": [1],
    }
    assert allocate(**good)[2].tolist() == [1]
    with pytest.raises(ShapeRefused):
        allocate(**{**good, **changed})


def _market(seed: int, limit: int) -> dict[str, IntArray]:
    """1,000 lenders, most of them small, and 100 listings of very different sizes."""
    rng = np.random.default_rng(seed)
    budgets = np.maximum(1, rng.lognormal(2.5, 1.2, 1_000)).astype(np.int64)
    return {
        "rates": np.sort(rng.integers(40_000, 150_000, 1_000)),
        "budgets": budgets,
        "limits": np.full(1_000, limit),
        "demands": np.clip(rng.lognormal(4.2, 0.7, 100), 20, 400).astype(np.int64),
    }


def _deviation(market: dict[str, IntArray], found: Allocation) -> float:
    """The amount-weighted standard deviation of the loans' blended rates, ppm."""
    rates, demands = market["rates"], market["demands"]
    blends = np.bincount(found.listing, found.units * rates[found.entry]) / demands
    mean = np.average(blends, weights=demands)
    return float(np.sqrt(np.average((blends - mean) ** 2, weights=demands)))


def _check(market: dict[str, IntArray], found: Allocation) -> IntArray:
    """Check the constraints; return the units that each entry gives."""
    given = np.bincount(found.entry, found.units, market["rates"].shape[0]).astype(np.int64)
    assert (np.bincount(found.listing, found.units) == market["demands"]).all()
    assert (given <= market["budgets"]).all()
    assert (found.units <= market["limits"][found.entry]).all()
    assert (found.units > 0).all()
    keys = found.entry * market["demands"].shape[0] + found.listing
    assert (np.diff(keys) > 0).all()
    return given


def test_what_is_moved_does_not_take_longer_for_larger_loans() -> None:
    # The cheapest lender may not lend to the only borrower: all of it moves to the next.
    whole = 1_000_000_000
    assert _allocate([1, 2], [whole, whole], [whole, whole], [whole], [(0, 0, 0)]) == [
        (1, 0, whole)
    ]
    # The first has a third of the first loan at most and all of the second; the next has the rest.
    third = 200_000_000
    assert _allocate(
        [1, 2, 3], [3 * third] * 3, [3 * third] * 3, [3 * third, third], [(0, 0, third), (1, 1, 7)]
    ) == [(0, 0, third), (0, 1, third), (1, 0, 2 * third)]
    # One unit less than is needed.
    with pytest.raises(DemandsUnmet):
        _allocate([1, 2], [whole, whole], [whole, whole], [whole], [(0, 0, 0), (1, 0, whole - 1)])


@pytest.mark.parametrize("limit", [1, 2, 5])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_loan_gets_nearly_the_same_mix(seed: int, limit: int) -> None:
    market = _market(seed, limit)
    found = allocate_entries(lenders=np.arange(1_000), **market)
    given = _check(market, found)
    assert found.path is Path.FAIR
    # 1,000 lenders are coarse: a listing of 20 units can't be hit closer than a few basis points
    assert _deviation(market, found) < 500
    reached = np.bincount(found.entry, minlength=1_000)
    assert reached.sum() >= 0.95 * np.minimum(given, 100).sum()


def test_the_fallback_costs_the_same_and_is_less_fair(monkeypatch: pytest.MonkeyPatch) -> None:
    market = _market(5, 2)
    fair = allocate_entries(lenders=np.arange(1_000), **market)
    monkeypatch.setattr(allocation_spread, "_MOST_SHARES", -1)
    monkeypatch.setattr(allocation_blocks, "_DENSE_CELLS", 0)
    level = allocate_entries(lenders=np.arange(1_000), **market)
    assert (fair.path, level.path) == (Path.FAIR, Path.LEVEL)
    assert (_check(market, fair) == _check(market, level)).all()
    assert _deviation(market, fair) < _deviation(market, level) / 3


def test_the_fallback_takes_over_when_too_much_is_out_of_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    market = _market(5, 1)
    monkeypatch.setattr(allocation_blocks, "_MOST_MENDED", -1)
    monkeypatch.setattr(allocation_blocks, "_DENSE_CELLS", 0)
    found = allocate_entries(lenders=np.arange(1_000), **market)
    assert found.path is Path.LEVEL
    _check(market, found)


def test_listings_may_be_renumbered() -> None:
    market = _market(6, 2)
    exceptions = np.stack([np.arange(300), np.arange(300) % 100, np.arange(300) % 2], axis=1)
    entry, _, units = allocate(exceptions=exceptions, **market)
    mixed = np.random.default_rng(1).permutation(100)
    place = np.argsort(mixed)
    exceptions[:, 1] = place[exceptions[:, 1]]
    market["demands"] = market["demands"][mixed]
    other, _, other_units = allocate(exceptions=exceptions, **market)
    assert (np.bincount(entry, units) == np.bincount(other, other_units)).all()


def test_many_exceptions_are_kept() -> None:
    market = _market(7, 2)
    rng = np.random.default_rng(7)
    size = 2_000
    exceptions = np.stack(
        [rng.integers(0, 400, size), rng.integers(0, 100, size), rng.integers(0, 2, size)], axis=1
    )
    parts = allocate(exceptions=exceptions, **market)
    _check(market, Allocation(*parts, path=Path.FAIR))
    most = np.full((1_000, 100), 2)
    np.minimum.at(most, (exceptions[:, 0], exceptions[:, 1]), exceptions[:, 2])
    assert (parts[2] <= most[parts[0], parts[1]]).all()


def test_small_lenders_only() -> None:
    # 3,000 lenders with a unit each: the first 1,800 units of the queue go, to 60 listings of 30.
    entry, listing, units = allocate(
        rates=np.arange(3_000), budgets=[1] * 3_000, limits=[1] * 3_000, demands=[30] * 60
    )
    assert entry.tolist() == list(range(1_800))
    assert (np.bincount(listing, units) == 30).all()
    # The mean rate is 899.5; 30 rates evenly spaced by 60 from a start between 0 and 59 are within
    # 30 of it.
    blends = np.bincount(listing, units * entry) / 30
    assert (np.abs(blends - 899.5) <= 30).all()


def test_a_cheap_whale_and_small_dear_lenders() -> None:
    # The whale may put 3 into each of 20 listings of 10: 60. 140 of 150 small lenders give a unit.
    entry, listing, units = allocate(
        rates=[1, *[500] * 150], budgets=[10**9, *[1] * 150], limits=[3] * 151, demands=[10] * 20
    )
    whale = entry == 0
    assert units[whale].tolist() == [3] * 20
    assert np.bincount(listing, units).tolist() == [10] * 20
    assert entry[~whale].tolist() == list(range(1, 141))


@pytest.mark.parametrize("limit", [2, 5, 10**9])
def test_rich_lenders_keep_within_their_budgets(limit: int) -> None:
    market = _market(8, limit)
    market["budgets"] = market["budgets"] * 20
    found = allocate_entries(lenders=np.arange(1_000), **market)
    given = _check(market, found)
    # Plainly: one after the other, each gives what Gale and Ryser's condition still allows. A limit
    # beyond the largest demand is as good as that demand.
    demands, numbers = np.sort(market["demands"]), np.arange(101)
    step = min(limit, int(demands[-1]))
    slack = np.array([demands[: 100 - k].sum() for k in numbers])
    for entry in range(1_000):
        most = min(int(market["budgets"][entry]), int((slack + step * numbers).min()))
        assert given[entry] == most
        slack = slack - np.maximum(most - step * numbers, 0)
    assert slack[0] == 0
