"""Seeded, stratified divisions of rows: a held-out share, and folds of equal make-up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from risk.core.errors import OutcomeRefused
from risk.core.table import BoolArray, IntArray

TRAINING_SHARE = 0.7


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Places of the rows learnt from and of those held out, each ascending."""

    training: IntArray
    holdout: IntArray


def stratified_split(
    is_bad: BoolArray, *, seed: int, training_share: float = TRAINING_SHARE
) -> Split:
    """Divide rows so that both sides hold the same share of bad ones (to one row).

    Args:
        is_bad: outcomes, shape ``(n,)``.
        seed: the same seed gives the same division.
        training_share: of each class, rounded to whole rows.

    Raises:
        OutcomeRefused: when there is one class only, or a side would lack one.
    """
    generator = np.random.default_rng(seed)
    chosen = np.zeros(len(is_bad), dtype=np.bool_)
    for places in _classes(is_bad):
        count = round(training_share * len(places))
        if not 0 < count < len(places):
            raise OutcomeRefused("There are too few outcomes of one class to hold any out.")
        chosen[generator.permutation(places)[:count]] = True
    return Split(np.flatnonzero(chosen), np.flatnonzero(~chosen))


def stratified_folds(is_bad: BoolArray, *, folds: int, seed: int) -> IntArray:
    """A fold from 0 to ``folds - 1`` for each row, shape ``(n,)``, each class spread evenly.

    Raises:
        OutcomeRefused: when a class has fewer rows than there are folds.
    """
    generator = np.random.default_rng(seed)
    fold = np.zeros(len(is_bad), dtype=np.int64)
    for places in _classes(is_bad):
        if len(places) < folds:
            raise OutcomeRefused(f"{folds} folds need at least {folds} outcomes of each class.")
        fold[generator.permutation(places)] = np.arange(len(places)) % folds
    return fold


def _classes(is_bad: BoolArray) -> tuple[IntArray, IntArray]:
    bad, good = np.flatnonzero(is_bad), np.flatnonzero(~is_bad)
    if not len(bad) or not len(good):
        raise OutcomeRefused("All outcomes are the same: there is nothing to learn from them.")
    return bad, good
