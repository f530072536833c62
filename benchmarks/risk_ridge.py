"""Ridge logistic regression of a million rows by 40 columns, beside scikit-learn's solvers."""

from __future__ import annotations

import numpy as np

from benchmarks.measuring import LeftOut, Outcome, Result, medians_in_turn, one_core
from benchmarks.peers.ridge import PEER, ridge
from benchmarks.workers import Workers

ROWS, COLUMNS, SEED, RUNS = 1_000_000, 40, 5, 3
NEAR = 1e-6
MOST_SHARE = 0.8
# Each solver's tolerances from tight to tightest; it is timed at the first that reaches the
# optimum, so that none does more than it needs to.
SOLVERS = {"lbfgs": (1e-6, 1e-7, 1e-8, 1e-9), "newton-cholesky": (1e-4, 1e-6, 1e-8)}


def risk_ridge() -> Outcome:
    """Seconds to the same optimum, one core, one process; ``ratio`` is the peer's over ours."""
    with one_core(), ridge() as workers:
        if isinstance(workers, str):
            return LeftOut("risk-ridge", workers)
        return _measured(workers)


def _measured(workers: Workers) -> Result:
    workers.ask("make", rows=ROWS, columns=COLUMNS, seed=SEED)
    (_, ours), *_ = workers.ask("ours")
    # The tightest solver's optimum is the one that all are held against, ours too.
    (_, optimum), *_ = workers.ask("peers", solver="newton-cholesky", tolerance=1e-10)
    tolerances = {
        solver: reached
        for solver, tried in SOLVERS.items()
        if (reached := _tolerance(workers, solver, tried, optimum)) is not None
    }

    def spent(do: str, **how: object) -> float:
        ((seconds, _),) = workers.ask(do, **how)
        return float(seconds)

    mine, *theirs = medians_in_turn(
        "risk-ridge",
        [
            lambda: spent("ours"),
            *(
                lambda solver=solver, tolerance=tolerance: spent(
                    "peers", solver=solver, tolerance=tolerance
                )
                for solver, tolerance in tolerances.items()
            ),
        ],
        RUNS,
    )
    fastest = min(zip(theirs, tolerances, strict=True))
    return Result(
        "risk-ridge",
        "risk",
        mine,
        "s",
        f"{PEER} {fastest[1]}, tol {tolerances[fastest[1]]:g}",
        fastest[0],
        fastest[0] / mine,
        f"time <= {MOST_SHARE:g} of the peer's, coefficients within {NEAR:g}",
        holds=mine <= MOST_SHARE * fastest[0] and _apart(ours, optimum) <= NEAR,
    )


def _tolerance(
    workers: Workers, solver: str, tried: tuple[float, ...], optimum: list[float]
) -> float | None:
    """The loosest tolerance at which a solver's coefficients are near enough, if any."""
    for tolerance in tried:
        ((_, found),) = workers.ask("peers", solver=solver, tolerance=tolerance)
        if _apart(found, optimum) <= NEAR:
            return tolerance
    return None


def _apart(found: list[float], optimum: list[float]) -> float:
    return float(np.abs(np.subtract(found, optimum)).max())
