"""Checked ``int64`` arrays and segments: many loans side by side in flat arrays.

Rows of many loans lie in one flat array; ``offsets`` (shape ``[L + 1]``) says where each loan's
rows start, so that loan ``l`` owns rows ``offsets[l]:offsets[l + 1]``.
"""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
import numpy.typing as npt

from marketplace.core.errors import ShapeRefused

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
LARGEST_INT = int(np.iinfo(np.int64).max)
PENCE_PER_UNIT = 1_000  # a unit is the £10 step in which loans are divided


def whole(value: object) -> bool:
    """Say whether a value is a whole number: neither a float that happens to be one nor a boolean.

    >>> whole(5), whole(5.0), whole(True), whole("5")
    (True, False, False, False)
    """
    return isinstance(value, Integral) and not isinstance(value, bool)


def int_array(values: npt.ArrayLike, name: str, length: int | None = None) -> IntArray:
    """Return ``values`` as a one-dimensional ``int64`` array, refusing anything inexact.

    Args:
        values: integers, any array-like; an empty list is taken as no integers.
        name: what the array is called in the message.
        length: the length that it must have, when it is known.

    Raises:
        ShapeRefused: for floats, booleans, more than one dimension, or another length.
    """
    given = plain_array(values, name)
    if given.size == 0:
        given = given.astype(np.int64)
    if given.dtype.kind not in "iu" or given.ndim != 1:
        raise ShapeRefused(f"{name} must be a flat array of integers.", field=name)
    if length is not None and given.shape[0] != length:
        raise ShapeRefused(f"{name} has {given.shape[0]} rows, not {length}.", field=name)
    if given.dtype == np.uint64 and given.size and int(given.max()) > LARGEST_INT:
        raise ShapeRefused(f"{name} holds integers beyond 64 bits.", field=name)
    return given.astype(np.int64, copy=False)


def plain_array(values: npt.ArrayLike, name: str) -> npt.NDArray[Any]:
    """Return ``values`` as an array of whatever type and shape they have.

    Raises:
        ShapeRefused: for rows of different lengths, which are no array.
    """
    try:
        return np.asarray(values)
    except ValueError:
        raise ShapeRefused(f"{name} has rows of different lengths.", field=name) from None


def offsets_array(values: npt.ArrayLike, rows: int) -> IntArray:
    """Return ``values`` as offsets of shape ``[L + 1]`` over ``rows`` rows.

    Raises:
        ShapeRefused: unless they rise from 0 to ``rows`` with at least one row a segment.
    """
    offsets = int_array(values, "offsets")
    if offsets.size == 0 or offsets[0] != 0 or offsets[-1] != rows or (np.diff(offsets) < 1).any():
        raise ShapeRefused(
            f"offsets must rise from 0 to {rows}, with at least one row for each loan.",
            field="offsets",
        )
    return offsets


def same_length(**columns: npt.ArrayLike) -> tuple[IntArray, ...]:
    """Return the named columns as ``int64`` arrays of one length, in the order given.

    Raises:
        ShapeRefused: where their lengths differ, or one is not a flat array of integers.
    """
    arrays: list[IntArray] = []
    for name, values in columns.items():
        length = arrays[0].shape[0] if arrays else None
        arrays.append(int_array(values, name, length))
    return tuple(arrays)


def offsets_of(counts: Sequence[int] | IntArray) -> IntArray:
    """Return the offsets ``[L + 1]`` of segments with the given numbers of rows ``[L]``."""
    whole = int_array(counts, "counts")
    return np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(whole, dtype=np.int64)])


def segment_sums(values: IntArray, offsets: IntArray) -> IntArray:
    """Return the sum of each segment, ``[L]``; a segment without rows sums to nothing."""
    running = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(values, dtype=np.int64)])
    sums: IntArray = running[offsets[1:]] - running[offsets[:-1]]
    return sums
