"""Which listings are funded: the plain definition, by flows, on random markets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketplace.core.acceptance import NOT_LEFT, Accepted, accept
from marketplace.core.acceptance_pairs import can_be_routed
from marketplace.core.acceptance_supply import Supply, cheapest_units, largest_sums
from marketplace.core.rates import Blend, monthly_rate_e12

from .flow_oracle import most_and_least
from .reference import ints

OWN = 99


@dataclass(frozen=True)
class Market:
    """A tiny market: entries in queue order, listings in order of arrival."""

    entries: list[tuple[int, int, int, int]]  # rate, lender, budget, limit
    listings: list[tuple[int, int]]  # demand, highest rate
    held: list[tuple[int, int, int]] = field(default_factory=list)

    def accept(self) -> Accepted:
        rates, lenders, budgets, limits = np.array(self.entries).reshape(-1, 4).T
        demands, maxima = np.array(self.listings).reshape(-1, 2).T
        return accept(
            lenders=lenders,
            rates=rates,
            budgets=budgets,
            limits=limits,
            demands=demands,
            maxima=maxima,
            held=self.held,
        )

    def flow(self, listings: list[int]) -> tuple[int, int]:
        """Units that can be given to these listings, and what they cost in monthly rates."""
        held: dict[tuple[int, int], int] = {}
        for lender, listing, units in self.held:
            held[lender, listing] = held.get((lender, listing), 0) + units
        return most_and_least(
            lenders=[lender for _, lender, _, _ in self.entries],
            budgets=[budget for _, _, budget, _ in self.entries],
            limits=[limit for _, _, _, limit in self.entries],
            costs=[monthly_rate_e12(rate) for rate, *_ in self.entries],
            demands={listing: self.listings[listing][0] for listing in listings},
            held=held,
        )

    def plainly(self) -> tuple[list[int], dict[int, int], Blend]:
        """Accept one by one; while somebody accepted takes less, the lowest highest rate goes."""
        left: dict[int, int] = {}
        while True:
            taken: list[int] = []
            paid = 0
            for listing in range(len(self.listings)):
                if listing not in left:
                    met, cost = self.flow([*taken, listing])
                    if met == sum(self.listings[one][0] for one in [*taken, listing]):
                        taken.append(listing)
                        paid = cost
            least = Blend(sum(self.listings[one][0] for one in taken), paid)
            if not taken or min(self.listings[one][1] for one in taken) >= least.annual_ppm:
                return taken, left, least
            playing = [one for one in range(len(self.listings)) if one not in left]
            lowest = min(self.listings[one][1] for one in playing)
            left |= {one: least.annual_ppm for one in playing if self.listings[one][1] == lowest}


def random_markets(seed: int, count: int, *, pairs: bool) -> Iterator[Market]:
    draw = np.random.default_rng(seed)
    for _ in range(count):
        entries = int(draw.integers(1, 8))
        lenders = draw.integers(0, draw.integers(1, 6), entries)
        rates = np.sort(draw.integers(4, 12, entries)) * 10_000
        budgets, limits = draw.integers(0, 8, entries), draw.integers(0, 5, entries)
        listings = int(draw.integers(1, 6))
        demands = draw.integers(1, 9, listings)
        maxima = draw.integers(8, 25, listings) * 5_000
        rows = int(draw.integers(1, 6)) if pairs else 0
        whose, where = draw.integers(0, 6, rows), draw.integers(0, listings, rows)
        has = np.where(draw.random(rows) < 0.4, OWN, draw.integers(0, 4, rows))
        yield Market(
            list(zip(*(c.tolist() for c in (rates, lenders, budgets, limits)), strict=True)),
            list(zip(demands.tolist(), maxima.tolist(), strict=True)),
            list(zip(whose.tolist(), where.tolist(), has.tolist(), strict=True)),
        )


@pytest.mark.parametrize(("seed", "pairs"), [(1, False), (2, True)])
def test_acceptance_is_the_plain_definition(seed: int, *, pairs: bool) -> None:
    seen = {"funded": 0, "short": 0, "left": 0}
    for market in random_markets(seed, 400, pairs=pairs):
        taken, left, least = market.plainly()
        found = market.accept()
        assert np.flatnonzero(found.accepted).tolist() == taken
        assert set(np.flatnonzero(found.left_at_ppm != NOT_LEFT).tolist()) == set(left)
        assert found.least_cost.amount == least.amount
        assert found.least_cost.weighted <= least.weighted
        if not pairs:
            assert found.least_cost == least
            assert {one: int(found.left_at_ppm[one]) for one in left} == left
            assert found.allocations == 0
        seen["funded"] += len(taken)
        seen["left"] += len(left)
        seen["short"] += len(market.listings) - len(taken) - len(left)
    assert min(seen.values()) > 100


@pytest.mark.parametrize(("seed", "pairs"), [(3, False), (4, True)])
def test_what_can_still_be_given_is_the_rest_of_the_largest_flow(seed: int, *, pairs: bool) -> None:
    for market in random_markets(seed, 250, pairs=pairs):
        found = market.accept()
        taken = np.flatnonzero(found.accepted).tolist()
        given = sum(market.listings[one][0] for one in taken)
        for listing in np.flatnonzero(~found.accepted).tolist():
            demand, fundable = market.listings[listing][0], int(found.fundable[listing])
            rest = market.flow([*taken, listing])[0] - given
            if pairs:
                assert rest <= fundable <= demand
            else:
                assert fundable == rest
            assert (fundable < demand) or found.left_at_ppm[listing] != NOT_LEFT


entries_of_one = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 9), st.integers(0, 5)), max_size=8
)


@settings(deadline=None)
@given(entries_of_one, st.integers(0, 7))
def test_pieces_add_up_to_the_cut(rows: list[tuple[int, int, int]], most: int) -> None:
    lenders, budgets, limits = np.array(rows, dtype=np.int64).reshape(-1, 3).T
    supply = Supply.of(lenders, budgets, limits)
    for end in range(len(rows) + 1):
        expected = [
            sum(
                min(
                    sum(b for who, b, limit in rows[:end] if who == lender and limit > step)
                    + k * step
                    for step in range(6)
                )
                for lender in range(3)
            )
            for k in range(most + 1)
        ]
        assert supply.between(0, end, 0, most).tolist() == expected
        added = [supply.at(0, end, k).sum() for k in range(most + 1)]
        assert added == expected


@settings(deadline=None, max_examples=60)
@given(entries_of_one, st.lists(st.integers(1, 8), max_size=4))
def test_each_entry_gives_what_it_adds_to_the_largest_flow(
    rows: list[tuple[int, int, int]], demands: list[int]
) -> None:
    columns = np.array(rows, dtype=np.int64).reshape(-1, 3).T
    units = cheapest_units(Supply.of(*columns), ints(*demands))
    met = [
        most_and_least(
            lenders=[lender for lender, _, _ in rows[:end]],
            budgets=[budget for _, budget, _ in rows[:end]],
            limits=[limit for _, _, limit in rows[:end]],
            costs=[0] * end,
            demands=dict(enumerate(demands)),
            held={},
        )[0]
        for end in range(len(rows) + 1)
    ]
    assert units.tolist() == np.diff(met).tolist()


def test_whoever_stays_takes_more_than_whoever_left() -> None:
    draw = np.random.default_rng(5)
    lenders, listings = 3_000, 300
    demands = np.clip(draw.lognormal(4, 0.7, listings), 20, 400).astype(np.int64)
    maxima = draw.integers(16, 40, listings) * 2_500
    found = accept(
        lenders=np.arange(lenders),
        rates=np.sort(draw.integers(40_000, 150_000, lenders)),
        budgets=np.maximum(1, draw.lognormal(2, 1.2, lenders)).astype(np.int64),
        limits=np.ones(lenders, dtype=np.int64),
        demands=demands,
        maxima=maxima,
        held=np.stack([draw.permutation(lenders)[:listings], np.arange(listings), demands], axis=1),
    )
    left = found.left_at_ppm != NOT_LEFT
    rate = found.least_cost.annual_ppm
    assert found.accepted.any()
    assert left.any()
    assert maxima[~left].min() > maxima[left].max()
    assert maxima[found.accepted].min() >= rate
    assert (found.left_at_ppm[left] > maxima[left]).all()
    assert found.rounds > 2
    assert found.least_cost.amount == demands[found.accepted].sum()


def test_counting_pairs_never_errs_and_is_seldom_unsure() -> None:
    answers = {True: 0, False: 0, None: 0}
    for market in random_markets(6, 1_000, pairs=True):
        _, lenders, budgets, limits = np.array(market.entries).T
        demands = np.array([demand for demand, _ in market.listings])
        largest = int(demands.max())
        offered = Supply.of(lenders, budgets, np.minimum(limits, largest)).up_to(demands.size)
        if (largest_sums(demands) > offered).any():
            continue
        held: dict[tuple[int, int], int] = {}
        for lender, listing, units in market.held:
            held[lender, listing] = held.get((lender, listing), 0) + units
        answer = can_be_routed(
            lenders=lenders,
            budgets=budgets,
            limits=limits,
            largest=largest,
            offered=offered,
            demands=demands,
            held=np.array([(*pair, units) for pair, units in held.items()]),
        )
        answers[answer] += 1
        if answer is not None:
            met, _ = market.flow(list(range(demands.size)))
            assert answer == (met == demands.sum())
    assert min(answers[True], answers[False]) > 40
    assert answers[None] < 0.1 * sum(answers.values())
