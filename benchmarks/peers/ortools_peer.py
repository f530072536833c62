"""Markets as min-cost flows of OR-Tools: one JSON command a line in, one JSON answer a line out.

Run by the interpreter of the peer's virtual environment, which has nothing of ours. A market has
``rates``, ``budgets`` and ``limits``, one figure a lender, ``demands``, one a listing, and perhaps
``exceptions``: lender, listing, most units of that pair.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from ortools.graph.python import min_cost_flow  # type: ignore[import-not-found]

Market = Mapping[str, Any]


def main() -> None:
    """Answer commands until the input ends."""
    known: dict[str, Callable[..., Any]] = {"solve": solve, "solve_many": solve_many}
    for line in sys.stdin:
        command = json.loads(line)
        answer = known[command.pop("do")](**command)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def solve(*, worker: int, market: Market) -> tuple[int | None, float]:
    """The least cost of one market, and the seconds of building and solving it."""
    del worker
    figures = {name: np.array(values, dtype=np.int64) for name, values in market.items()}
    began = time.perf_counter()
    cost = _least_cost(**figures)
    return cost, time.perf_counter() - began


def solve_many(*, worker: int, markets: Sequence[Market]) -> list[int | None]:
    """The least cost of each market."""
    return [solve(worker=worker, market=market)[0] for market in markets]


def _least_cost(
    *,
    rates: np.ndarray[Any, Any],
    budgets: np.ndarray[Any, Any],
    limits: np.ndarray[Any, Any],
    demands: np.ndarray[Any, Any],
    exceptions: np.ndarray[Any, Any] | None = None,
) -> int | None:
    """The least sum of rates times units that meets the demands; ``None`` where nothing does.

    Lenders supply their budgets, and what they keep goes to a node of its own at the negative of
    their rate. Of four ways to say the same (costs on the pairs or on the lenders' own arcs, money
    from a source or from the lenders) this one is solved fastest.
    """
    lenders, listings = len(rates), len(demands)
    lender, listing = np.arange(lenders), lenders + np.arange(listings)
    kept = lenders + listings
    most = np.repeat(limits, listings)
    if exceptions is not None and exceptions.size:
        np.minimum.at(most, exceptions[:, 0] * listings + exceptions[:, 1], exceptions[:, 2])
    flow = min_cost_flow.SimpleMinCostFlow()
    flow.add_arcs_with_capacity_and_unit_cost(
        np.repeat(lender, listings),
        np.tile(listing, lenders),
        most,
        np.zeros(lenders * listings, dtype=np.int64),
    )
    flow.add_arcs_with_capacity_and_unit_cost(lender, np.full(lenders, kept), budgets, -rates)
    flow.set_nodes_supplies(
        np.concatenate([lender, listing, [kept]]),
        np.concatenate([budgets, -demands, [demands.sum() - budgets.sum()]]),
    )
    if flow.solve() != flow.OPTIMAL:
        return None
    return int(flow.optimal_cost()) + int((budgets * rates).sum())


if __name__ == "__main__":
    main()
