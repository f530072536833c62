"""The matching engine's two stages, beside general solvers of the same flow problem."""

from __future__ import annotations

import itertools
import multiprocessing
import resource
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import numpy as np
from scipy import optimize, sparse

from benchmarks.matching_instances import (
    UK_LOANS,
    UK_PARTS,
    MarketInstance,
    any_rate,
    highest_rates,
    instance_b,
    instance_m,
    tiny_instances,
    uk_cycles,
)
from benchmarks.measuring import (
    LeftOut,
    Outcome,
    Result,
    at_least,
    at_most,
    median_of,
    medians_in_turn,
    one_core,
    seconds,
    timed,
    working,
)
from benchmarks.peers.ortools import PEER as ORTOOLS
from benchmarks.peers.ortools import ortools
from benchmarks.workers import Workers
from marketplace.core.arrays import IntArray
from marketplace.core.matching import DemandsUnmet, accept, allocate, clear_market
from marketplace.core.order_book import nothing_held

AREA = "matching"
SEEDS = (1, 2, 3)
RUNS = 9
LEAST_SPEED = {1: 60, 2: None, 5: None}
TINY, TINY_BATCH = 6_000, 500
HIGHS_SIZE = (2_000, 100)
SHOWN = "shown, no limit"
PPM_PER_BASIS_POINT = 100
GIGABYTE = 1_000_000_000

Parts = tuple[IntArray, IntArray, IntArray]


class WrongAllocation(Exception):
    """An allocation that breaks a rule, or that costs something else than a solver's."""


def matching_m() -> list[Outcome]:
    """M at limits 1, 2 and 5 against OR-Tools on the same core, with how fair and how wide it is.

    Time is the median over three instances in turn, each solved again and again; every pair of
    answers is compared, and a difference in cost ends the benchmark.
    """
    results: list[Outcome] = []
    with one_core(), ortools() as peer:
        for limit, least in LEAST_SPEED.items():
            markets = [instance_m(seed, limit=limit) for seed in SEEDS]
            found = [_allocated(market) for market in markets]
            name = f"matching-m-{limit}"
            results.append(
                LeftOut(name, peer)
                if isinstance(peer, str)
                else _beside_ortools(name, markets, peer, least)
            )
            if limit == 1:
                results.append(_fairness("matching-fair-m", markets, found))
            else:
                results.append(_breadth(f"matching-spread-m-{limit}", markets, found))
    return results


def matching_b() -> list[Outcome]:
    """B: too large for OR-Tools, whose 300 million arcs need more memory than a machine has."""
    markets = [instance_b(seed) for seed in SEEDS]
    with one_core():
        turns = itertools.cycle(markets)
        (spent,) = medians_in_turn(
            "matching-b", [lambda: seconds(lambda: _allocate(next(turns)))], RUNS
        )
    found = [_allocated(market) for market in markets]
    return [
        at_most("matching-b", AREA, spent, "s", 0.5),
        _fairness("matching-fair-b", markets, found),
    ]


def matching_tiny() -> Outcome:
    """Thousands of tiny markets: funded whenever OR-Tools can, and at its cost."""
    name = "matching-tiny"
    with ortools() as peer:
        if isinstance(peer, str):
            return LeftOut(name, peer)
        markets = list(tiny_instances(1, TINY))
        theirs: list[int | None] = []
        with working(name, TINY // TINY_BATCH) as step:
            for first in range(0, TINY, TINY_BATCH):
                batch = markets[first : first + TINY_BATCH]
                (costs,) = peer.ask("solve_many", markets=[one.as_lists() for one in batch])
                theirs += costs
                step()
    ours = [_cost_or_none(market) for market in markets]
    agreed = sum(mine == their for mine, their in zip(ours, theirs, strict=True))
    funded = sum(their is not None for their in theirs)
    return Result(
        name,
        AREA,
        agreed,
        "agree",
        f"{ORTOOLS}, of which it funds {funded:,}",
        TINY,
        agreed / TINY,
        "all",
        holds=agreed == TINY,
    )


def matching_highs() -> Result:
    """A smaller market against HiGHS's linear programming, as scipy calls it."""
    lenders, listings = HIGHS_SIZE
    market = instance_m(1, limit=1, lenders=lenders, listings=listings)
    costs: set[int] = set()

    def theirs() -> float:
        spent, cost = timed(lambda: _by_highs(market))
        costs.add(cost)
        return spent

    with one_core():
        ours, peer = median_of(lambda: seconds(lambda: _allocate(market)), theirs, 3)
    mine = _cost(market, _allocated(market))
    if costs != {mine}:
        raise WrongAllocation(f"HiGHS finds costs {sorted(costs)}, we {mine}")
    return Result(
        "matching-highs",
        AREA,
        ours,
        "s",
        f"HiGHS dual simplex through scipy, {lenders:,} x {listings:,}",
        peer,
        peer / ours,
        "same cost",
        holds=True,
    )


def acceptance_b() -> list[Outcome]:
    """Stage one for B: with borrowers who pay anything, and with highest rates."""
    market = instance_b(SEEDS[0])
    listings = len(market.demands)
    highest = highest_rates(SEEDS[0], listings)
    with one_core():
        without, limited = medians_in_turn(
            "acceptance-b",
            [
                lambda: seconds(lambda: _accept(market, any_rate(listings))),
                lambda: seconds(lambda: _accept(market, highest)),
            ],
            RUNS,
        )
    return [
        at_most("acceptance-b", AREA, without, "s", 0.1),
        at_most("acceptance-b-maxima", AREA, limited, "s", 1),
    ]


def matching_scale() -> list[Outcome]:
    """All parts of the UK's loans of 2010 to 2013 in successive cycles, in a process of its own."""
    fresh = multiprocessing.get_context("spawn")
    with one_core(), ProcessPoolExecutor(1, mp_context=fresh) as process:
        spent, peak = process.submit(clear_uk_book).result()
    return [
        at_most("matching-scale", AREA, spent, "s", 5),
        at_most("matching-scale-memory", AREA, peak, "GB", 2),
    ]


def clear_uk_book() -> tuple[float, float]:
    """Clear the UK's book: seconds in all, and the process's largest memory in GB.

    Raises:
        WrongAllocation: a loan that isn't funded, or fewer parts than there were.
    """
    spent, loans, parts = 0.0, 0, 0
    for queue, listings in uk_cycles(SEEDS[0]):
        took, cleared = timed(partial(clear_market, queue, listings, nothing_held()))
        spent += took
        loans += len(np.unique(cleared.listing_id))
        parts += len(cleared.amount)
    if loans != UK_LOANS or parts < UK_PARTS:
        raise WrongAllocation(f"{loans:,} loans and {parts:,} parts")
    return spent, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1_024 / GIGABYTE


def _beside_ortools(
    name: str, markets: list[MarketInstance], peer: Workers, least: int | None
) -> Result:
    """Our time and OR-Tools' on the same markets, whose costs must be the same."""
    our_turn, their_turn = (itertools.cycle(enumerate(markets)) for _ in range(2))
    costs: list[set[int | None]] = [set() for _ in markets]

    def ours() -> float:
        place, market = next(our_turn)
        spent, parts = timed(lambda: _allocate(market))
        costs[place].add(_cost(market, parts))
        return spent

    def theirs() -> float:
        place, market = next(their_turn)
        ((cost, spent),) = peer.ask("solve", market=market.as_lists())
        costs[place].add(cost)
        return float(spent)

    mine, others = medians_in_turn(name, [ours, theirs], RUNS)
    if any(len(found) != 1 for found in costs):
        raise WrongAllocation(f"{name}: costs differ: {costs}")
    ratio = others / mine
    limit = SHOWN if least is None else f">= {least}"
    holds = least is None or ratio >= least
    return Result(name, AREA, mine, "s", ORTOOLS, others, ratio, limit, holds=holds)


def _fairness(name: str, markets: list[MarketInstance], found: list[Parts]) -> Result:
    """The largest deviation of the loans' blends among the markets."""
    worst = max(_deviation(market, parts) for market, parts in zip(markets, found, strict=True))
    return at_most(name, AREA, worst, "bp", 1)


def _deviation(market: MarketInstance, parts: Parts) -> float:
    """Standard deviation of the loans' blended rates, weighted by amount, basis points."""
    lender, listing, units = parts
    paid = np.bincount(listing, market.rates[lender] * units, len(market.demands))
    blends = paid / market.demands
    mean = paid.sum() / market.demands.sum()
    variance = np.average((blends - mean) ** 2, weights=market.demands)
    return float(np.sqrt(variance)) / PPM_PER_BASIS_POINT


def _breadth(name: str, markets: list[MarketInstance], found: list[Parts]) -> Result:
    """The smallest share, among the markets, of the borrowers that the lenders could reach."""
    shares = []
    for market, (lender, _, units) in zip(markets, found, strict=True):
        given = np.bincount(lender, units, len(market.rates))
        most = np.minimum(given, len(market.demands)).sum()
        shares.append(len(units) / float(most))
    return at_least(name, AREA, min(shares), "of most", 0.95)


def _allocate(market: MarketInstance) -> Parts:
    return allocate(**market.arguments())


def _allocated(market: MarketInstance) -> Parts:
    """An allocation that keeps all rules, checked pair by pair."""
    lender, listing, units = _allocate(market)
    most = market.limits[lender]
    if market.exceptions.size:
        pairs = np.repeat(market.limits[:, None], len(market.demands), axis=1)
        row, column, highest = market.exceptions.T
        np.minimum.at(pairs, (row, column), highest)
        most = pairs[lender, listing]
    given = np.bincount(lender, units, len(market.rates))
    met = np.bincount(listing, units, len(market.demands))
    twice = len(np.unique(lender * len(market.demands) + listing)) < len(lender)
    if (
        twice
        or (units <= 0).any()
        or (units > most).any()
        or (given > market.budgets).any()
        or (met != market.demands).any()
    ):
        raise WrongAllocation("a limit, a budget or a demand isn't kept")
    return lender, listing, units


def _cost(market: MarketInstance, parts: Parts) -> int:
    lender, _, units = parts
    return int((market.rates[lender] * units).sum())


def _cost_or_none(market: MarketInstance) -> int | None:
    try:
        return _cost(market, _allocated(market))
    except DemandsUnmet:
        return None


def _by_highs(market: MarketInstance) -> int:
    """The least cost by linear programming: a variable a pair, a row a lender and a listing."""
    lenders, listings = len(market.rates), len(market.demands)
    pairs = np.arange(lenders * listings)
    ones = np.ones(len(pairs))
    by_lender = sparse.csr_array((ones, (pairs // listings, pairs)), (lenders, len(pairs)))
    by_listing = sparse.csr_array((ones, (pairs % listings, pairs)), (listings, len(pairs)))
    # The stubs know no sparse matrices here.
    found = optimize.linprog(  # type: ignore[call-overload]
        np.repeat(market.rates, listings),
        A_ub=by_lender,
        b_ub=market.budgets,
        A_eq=by_listing,
        b_eq=market.demands,
        bounds=(0, int(market.limits[0])),
        method="highs-ds",
    )
    if found.status != 0:
        raise WrongAllocation(f"HiGHS says: {found.message}")
    cost: int = round(found.fun)
    return cost


def _accept(market: MarketInstance, maxima: IntArray) -> object:
    return accept(
        lenders=np.arange(len(market.rates)),
        budgets=market.budgets,
        limits=market.limits,
        demands=market.demands,
        maxima=maxima,
        rates=market.rates,
    )
