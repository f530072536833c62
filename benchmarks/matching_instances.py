"""Markets to measure matching on, all drawn from seeds.

M and B are the house's two yardsticks: many lenders, each with a budget and a rate of their own,
and listings of very different sizes. The UK book is sized like what was lent there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from marketplace.core.arrays import PENCE_PER_UNIT, IntArray
from marketplace.core.order_book import Listings, Queue

# Of Zopa, RateSetter and Funding Circle together, October 2010 to May 2013 (Open Data Institute).
UK_LENDERS, UK_LOANS, UK_PARTS = 48_891, 59_851, 13_924_547
UK_CYCLES = 35
_LOWEST, _HIGHEST = 40_000, 150_000  # rates, ppm
_ANY_RATE = 1_000_000


@dataclass(frozen=True, slots=True)
class MarketInstance:
    """One market, as :func:`marketplace.core.matching.allocate` takes it.

    Attributes:
        rates, budgets, limits: ``int64 [E]``; ppm in queue order, units, units.
        demands: ``int64 [n]``, units.
        exceptions: ``int64 [X, 3]``: lender, listing, most units of that pair.
    """

    rates: IntArray
    budgets: IntArray
    limits: IntArray
    demands: IntArray
    exceptions: IntArray

    def arguments(self) -> dict[str, IntArray]:
        """The columns by name, in the order that ``allocate`` names them."""
        return {
            "rates": self.rates,
            "budgets": self.budgets,
            "limits": self.limits,
            "demands": self.demands,
            "exceptions": self.exceptions,
        }

    def as_lists(self) -> dict[str, list[int]]:
        """The same as lists, for a peer in another process."""
        return {name: column.tolist() for name, column in self.arguments().items()}


def instance_m(
    seed: int, *, limit: int, lenders: int = 5_000, listings: int = 500
) -> MarketInstance:
    """M: 5,000 lenders, 500 listings of a third of B's size; or a smaller one like it."""
    return _drawn(seed, lenders, listings, limit, is_third=True)


def instance_b(seed: int) -> MarketInstance:
    """B: 60,000 lenders and 5,000 listings, which ask for 2.5 million units; limit 1."""
    return _drawn(seed, 60_000, 5_000, 1, is_third=False)


def _drawn(seed: int, lenders: int, listings: int, limit: int, *, is_third: bool) -> MarketInstance:
    rng = np.random.default_rng(seed)
    budgets = np.maximum(1, rng.lognormal(3.5, 1.2, lenders)).astype(np.int64)
    rates = np.sort(rng.uniform(_LOWEST, _HIGHEST, lenders).astype(np.int64))
    demands = np.clip(rng.lognormal(6, 0.7, listings), 50, 2_500).astype(np.int64)
    return MarketInstance(
        rates=rates,
        budgets=budgets,
        limits=np.full(lenders, limit, dtype=np.int64),
        demands=demands // 3 + 1 if is_third else demands,
        exceptions=np.zeros((0, 3), dtype=np.int64),
    )


def highest_rates(seed: int, listings: int) -> IntArray:
    """What borrowers pay at most: anything from 4 to 15 % in steps of .25 %, ppm."""
    step = 2_500
    rng = np.random.default_rng([seed, 1])
    return rng.integers(_LOWEST // step, _HIGHEST // step + 1, listings) * step


def any_rate(listings: int) -> IntArray:
    """Borrowers who pay whatever it costs, ppm."""
    return np.full(listings, _ANY_RATE, dtype=np.int64)


def tiny_instances(seed: int, count: int) -> Iterator[MarketInstance]:
    """Markets of a few lenders and listings; many are tight, and a part can't be funded.

    Limits are 1 to 4. Demands add up to about what the lenders could give, so that the last unit
    often decides; half of the markets have exceptions, some of which shut a lender out.
    """
    rng = np.random.default_rng(seed)
    for _ in range(count):
        lenders, listings = (int(size) for size in rng.integers(1, 8, 2))
        limits = rng.integers(1, 5, lenders)
        budgets = rng.integers(0, 12, lenders)
        gives = int(np.minimum(budgets, limits * listings).sum())
        asked = max(0, gives - int(rng.integers(-1, 4)))
        weights = rng.dirichlet(np.full(listings, float(rng.choice([0.7, 3.0]))))
        pairs = int(rng.integers(0, 5)) if rng.random() < 0.5 else 0
        exceptions = np.stack(
            [
                rng.integers(0, lenders, pairs),
                rng.integers(0, listings, pairs),
                rng.integers(0, 3, pairs),
            ],
            axis=1,
        )
        yield MarketInstance(
            rates=np.sort(rng.integers(1, 20, lenders) * 1_000),
            budgets=budgets,
            limits=limits,
            demands=rng.multinomial(asked, weights),
            exceptions=exceptions,
        )


def uk_cycles(seed: int) -> Iterator[tuple[Queue, Listings]]:
    """The UK's parts and loans in 35 successive cycles of one market.

    A part is £10 here and was £27 there, so loans are smaller: what costs time is the number of
    parts. Each cycle has all lenders in it, with a third more money than the loans ask for and
    exposure limits of £10 to £50, and loans of whom each borrower takes one.
    """
    rng = np.random.default_rng(seed)
    first = 0
    for cycle in range(UK_CYCLES):
        last = UK_LOANS * (cycle + 1) // UK_CYCLES
        loans = np.arange(first, last)
        weights = rng.lognormal(0, 0.6, last - first)
        # A lender with several units in one loan makes fewer parts: 3 % more units allow for it.
        units = np.ceil(weights / weights.sum() * 1.03 * UK_PARTS / UK_CYCLES)
        budgets = rng.lognormal(0, 1, UK_LENDERS)
        budgets = np.ceil(budgets / budgets.sum() * units.sum() * 4 / 3)
        lenders = np.arange(UK_LENDERS)
        queue = Queue(
            offer_id=lenders,
            lender_id=lenders,
            rate_ppm=rng.integers(_LOWEST // 1_000, _HIGHEST // 1_000 + 1, UK_LENDERS) * 1_000,
            rate_set=rng.permutation(UK_LENDERS),
            limit=rng.integers(1, 6, UK_LENDERS) * PENCE_PER_UNIT,
            available=budgets.astype(np.int64) * PENCE_PER_UNIT,
        )
        yield (
            queue,
            Listings(
                listing_id=loans,
                borrower_id=UK_LENDERS + loans,
                arrived=loans,
                amount=units.astype(np.int64) * PENCE_PER_UNIT,
                highest_rate_ppm=any_rate(last - first),
            ),
        )
        first = last
