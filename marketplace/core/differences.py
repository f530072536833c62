"""Comparing what is stored with what is computed afresh, figure by figure and row by row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from marketplace.core.arrays import IntArray

SHOWN = 20  # differences of one kind that are kept; all are counted


@dataclass(frozen=True, slots=True)
class Difference:
    """One figure that differs: what it is of, and both values."""

    what: str
    stored: str
    recomputed: str


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows by a key, ``int64 [N]`` and distinct, and their columns, ``[N]`` each."""

    key: IntArray
    columns: Sequence[IntArray]


class Findings:
    """Differences as they are found: all are counted, the first of each kind are kept."""

    def __init__(self) -> None:
        """Begin with none."""
        self.count = 0
        self.shown: list[Difference] = []

    def compare(self, what: str, stored: object, recomputed: object) -> None:
        """Note a figure, if it differs."""
        if stored != recomputed:
            self.count += 1
            self.shown.append(Difference(what, str(stored), str(recomputed)))

    def compare_rows(
        self, stored: Rows, recomputed: Rows, names: Sequence[str], title: Callable[[int], str]
    ) -> None:
        """Note rows that only one side has, and columns of the others that differ.

        Args:
            stored: the rows that are there, in any order.
            recomputed: the rows that should be.
            names: what the columns are called.
            title: how a key is called.
        """
        self._alone(stored, recomputed, title, ("there", "missing"))
        self._alone(recomputed, stored, title, ("missing", "there"))
        key, here, there = np.intersect1d(
            stored.key, recomputed.key, assume_unique=True, return_indices=True
        )
        for name, left, right in zip(names, stored.columns, recomputed.columns, strict=True):
            mine, theirs = left[here], right[there]
            differ = np.flatnonzero(mine != theirs)
            self.count += len(differ)
            self.shown.extend(
                Difference(f"{title(int(key[row]))}: {name}", str(mine[row]), str(theirs[row]))
                for row in differ[:SHOWN].tolist()
            )

    def _alone(
        self, rows: Rows, others: Rows, title: Callable[[int], str], words: tuple[str, str]
    ) -> None:
        alone = np.setdiff1d(rows.key, others.key, assume_unique=True)
        self.count += len(alone)
        self.shown.extend(Difference(title(key), *words) for key in alone[:SHOWN].tolist())
