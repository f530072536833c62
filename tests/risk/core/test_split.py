"""Seeded, stratified divisions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk.core.errors import OutcomeRefused
from risk.core.split import stratified_folds, stratified_split


def test_both_sides_hold_the_same_share_of_bad() -> None:
    is_bad = np.array([True] * 100 + [False] * 900)
    split = stratified_split(is_bad, seed=3)
    assert (len(split.training), len(split.holdout)) == (700, 300)
    assert (is_bad[split.training].sum(), is_bad[split.holdout].sum()) == (70, 30)


@given(st.integers(0, 2**32), st.integers(10, 50), st.integers(10, 200))
def test_a_split_takes_every_row_once_and_is_repeatable(seed: int, bad: int, good: int) -> None:
    is_bad = np.array([True] * bad + [False] * good)
    split = stratified_split(is_bad, seed=seed)
    together = np.concatenate([split.training, split.holdout])
    assert sorted(together.tolist()) == list(range(bad + good))
    assert np.array_equal(stratified_split(is_bad, seed=seed).training, split.training)


def test_folds_are_even_in_each_class() -> None:
    is_bad = np.array([True] * 10 + [False] * 25)
    fold = stratified_folds(is_bad, folds=5, seed=1)
    assert np.bincount(fold[is_bad]).tolist() == [2] * 5
    assert np.bincount(fold[~is_bad]).tolist() == [5] * 5


def test_too_few_of_a_class_are_refused() -> None:
    with pytest.raises(OutcomeRefused):
        stratified_split(np.zeros(10, dtype=np.bool_), seed=1)
    with pytest.raises(OutcomeRefused):
        stratified_split(np.array([True, False, False]), seed=1)
    with pytest.raises(OutcomeRefused):
        stratified_folds(np.array([True] * 2 + [False] * 9), folds=5, seed=1)
