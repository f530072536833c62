"""Ridge logistic regression, scikit-learn's and ours: one JSON command a line in, answers out.

Run by the interpreter of the peer's virtual environment, with our repository on the path: both
meet the same arrays, the same BLAS and the same core.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression  # type: ignore[import-not-found]

from risk.core.logistic import fit_ridge_logistic

PENALTY = 1.0
MOST_ROUNDS = 10_000


class Bench:
    """The data, and one run of each solver on it."""

    def __init__(self) -> None:
        self.features = np.zeros((0, 0))
        self.outcomes = np.zeros(0)

    def make(self, *, worker: int, rows: int, columns: int, seed: int) -> int:
        """Correlated features, and outcomes of which about a quarter are bad; how many are."""
        del worker
        generator = np.random.default_rng(seed)
        mixed = np.eye(columns) + 0.3 * generator.normal(size=(columns, columns))
        self.features = generator.normal(size=(rows, columns)) @ mixed / np.sqrt(columns)
        odds = self.features @ generator.normal(size=columns) - 1.3
        self.outcomes = (generator.random(rows) < 1 / (1 + np.exp(-odds))).astype(np.float64)
        return int(self.outcomes.sum())

    def ours(self, *, worker: int) -> tuple[float, list[float]]:
        """Seconds and the point, intercept first."""
        del worker
        began = time.perf_counter()
        fit = fit_ridge_logistic(self.features, self.outcomes, penalty=PENALTY)
        return time.perf_counter() - began, [fit.intercept, *fit.coefficients.tolist()]

    def peers(self, *, worker: int, solver: str, tolerance: float) -> tuple[float, list[float]]:
        """Seconds and the point, intercept first, of one of scikit-learn's solvers."""
        del worker
        model = LogisticRegression(
            C=1 / PENALTY, solver=solver, tol=tolerance, max_iter=MOST_ROUNDS
        )
        began = time.perf_counter()
        model.fit(self.features, self.outcomes)
        spent = time.perf_counter() - began
        return spent, [float(model.intercept_[0]), *model.coef_[0].tolist()]


def main() -> None:
    """Answer commands until the input ends."""
    bench = Bench()
    known: dict[str, Callable[..., Any]] = {
        "make": bench.make,
        "ours": bench.ours,
        "peers": bench.peers,
    }
    for line in sys.stdin:
        command = json.loads(line)
        answer = known[command.pop("do")](**command)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
