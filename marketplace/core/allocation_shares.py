"""The shares that a fair mix aims at: maximum entropy under sums of rows, columns and rates.

A piece's share of a listing is ``limit x sigmoid(row + column + tilt x rate)``: the form of the
most even shares whose sums are the piece's units, the listing's demand, and nothing for the rates'
distances from the market's mean. It is fitted on classes of pieces of similar sizes and rates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from marketplace.core.arrays import BoolArray, IntArray

FloatArray = npt.NDArray[np.float64]

_CLASSES_PER_E = 4  # classes of large pieces while their size grows by the factor e
_ROUNDS = 7
_BISECTIONS = 20
_WALKED = 12.0  # odds of being in the largest listing beyond which a piece is walked
_EVEN_SHARE = 0.75  # odds up to which windows of any size go together
_NARROW = 1.0  # below it, size classes are narrower and fewer units stand twice
_STEEPEST = 30.0  # beyond it a sigmoid is 0 or 1


@dataclass(frozen=True, slots=True)
class Classes:
    """Pieces of one limit and similar sizes, cheap or dear: ``C`` classes in order of rate.

    Attributes:
        of: the class of each piece, ``int64 [P]``.
        is_large: ``[C]``, whether its pieces are walked one by one.
        count, limit, units, rate: ``[C]``, number of pieces and their means; the rate is a
            distance from the market's mean, scaled to at most 1.
        distance: ``[P]``, each piece's own.
    """

    of: IntArray
    is_large: BoolArray
    count: FloatArray
    limit: FloatArray
    units: FloatArray
    rate: FloatArray
    distance: FloatArray


def classes_of(units: IntArray, limits: IntArray, rates: IntArray, demands: IntArray) -> Classes:
    """Return the classes of the pieces: by size, and in each a cheap and a dear half."""
    mean = float((units * rates).sum()) / float(units.sum())
    apart: FloatArray = rates.astype(np.float64) - mean
    distance: FloatArray = apart / max(float(np.abs(apart).max()), 1.0)
    size, is_large = _sizes(units, limits, demands)
    middle = np.bincount(size, distance * units) / np.bincount(size, units)
    halves = 2 * size + (distance > middle[size])
    present = np.flatnonzero(np.bincount(halves))
    total = np.bincount(halves, units)[present]
    rate = np.bincount(halves, distance * units)[present] / total
    # In order of rate, but the class with the most units of the dear ones goes last.
    small = ~is_large[present // 2]
    last = np.lexsort((total, rate > 0, small))[-1]
    place = np.lexsort((rate, np.arange(present.shape[0]) == last))
    number = np.empty(int(present[-1]) + 1, dtype=np.int64)
    number[present[place]] = np.arange(place.shape[0])
    of = number[halves]
    count = np.bincount(of).astype(np.float64)
    return Classes(
        of=of,
        is_large=is_large[present // 2][place],
        count=count,
        limit=np.bincount(of, limits) / count,
        units=total[place] / count,
        rate=rate[place],
        distance=distance,
    )


def _crowd(units: IntArray, limits: IntArray, demands: IntArray) -> float:
    """Return ``odds`` with ``sum of limit x s / (1 + s) = the largest demand``, s = units x odds.

    Roughly the odds, for each unit that a piece gives, that it is in the largest listing.
    """
    most = float(demands.max())
    low, high = 0.0, 1.0
    for _ in range(_BISECTIONS):
        odds = (low + high) / 2
        scaled = units * (odds / (1 - odds))
        low, high = (odds, high) if (limits * scaled / (1 + scaled)).sum() < most else (low, odds)
    return low / (1 - low)


def _sizes(units: IntArray, limits: IntArray, demands: IntArray) -> tuple[IntArray, BoolArray]:
    """Return each piece's size class, from the largest down, and which classes are walked.

    A window of ``u`` units meets the largest listing ``p u / mean`` times, where ``p`` is the
    class's share; classes narrow as ``p`` nears 1 so that this stays below 1.
    """
    # The last factor: a piece with a unit in nearly every listing is nearly sure of each.
    free = np.maximum(limits * demands.shape[0] - units, 0.5) / (limits * demands.shape[0])
    chance = units * _crowd(units, limits, demands) / free
    walked = (limits > 1) | (chance > _WALKED)
    walked &= units > 1
    edges = [_WALKED]
    while edges[-1] > _EVEN_SHARE:
        edges.append(edges[-1] / max(_NARROW * (1 + 1 / edges[-1]) ** 2, 1.05))
    size = np.searchsorted(-np.array(edges), -chance, side="left")
    top = np.log(np.maximum(units, 1)) * _CLASSES_PER_E
    key = np.where(walked, (top.astype(np.int64) << 32) | limits, -size - 1)
    found, of = np.unique(key, return_inverse=True)
    return of, found >= 0


def fit(classes: Classes, wanted: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Fit rows ``[C]``, columns ``[n]`` and tilts ``[n]`` of the shares, by turns of Newton steps.

    Columns are kept from an overflow by steps of at most 1; the tilt is held back a little, so that
    it stays finite where equal blends can't be had.
    """
    rows = _log_odds(classes.units, classes.limit * wanted.shape[0])
    columns, tilt = np.log(wanted / wanted.mean()), np.zeros_like(wanted)
    weights = classes.count * classes.limit
    moments = np.stack([weights, weights * classes.rate, weights * classes.rate**2])
    for _ in range(_ROUNDS):
        chance = sigmoid(rows[:, None] + columns + classes.rate[:, None] * tilt)
        slope = chance * (1 - chance)
        miss = classes.units - classes.limit * chance.sum(axis=1)
        step = np.clip(miss / (classes.limit * slope.sum(axis=1) + 1e-9), -1, 1)
        rows += step
        chance += slope * step[:, None]
        off, off_rate = moments[:2] @ chance
        off, off_rate = wanted - off, -off_rate
        a, b, c = moments @ slope
        a, c = a + 1e-9, c + 1e-6 * wanted
        det = a * c - b * b + 1e-12
        columns += np.clip((c * off - b * off_rate) / det, -1, 1)
        tilt = np.clip(tilt + np.clip((a * off_rate - b * off) / det, -1, 1), -10, 10)
    return rows, columns, tilt


def shares_of(
    classes: Classes,
    units: IntArray,
    large: IntArray,
    rows: FloatArray,
    columns: FloatArray,
    tilt: FloatArray,
) -> FloatArray:
    """Return the large pieces' shares ``[large, n]``, each row near its own units."""
    of = classes.of[large]
    limit = classes.limit[of]
    base = rows - _log_odds(classes.units, classes.limit * columns.shape[0])
    own = base[of] + _log_odds(units, limit * columns.shape[0])
    chance = sigmoid(own[:, None] + columns + classes.distance[large][:, None] * tilt)
    miss = units - limit * chance.sum(axis=1)
    slope = chance * (1 - chance)
    chance += slope * np.clip(miss / (limit * slope.sum(axis=1) + 1e-9), -1, 1)[:, None]
    shares: FloatArray = limit[:, None] * chance
    return shares


def _log_odds(units: IntArray | FloatArray, most: FloatArray) -> FloatArray:
    found: FloatArray = np.log(units / np.maximum(most - units, 0.5))
    return found


def sigmoid(values: FloatArray) -> FloatArray:
    """Return ``1 / (1 + exp(-values))``."""
    return 1 / (1 + np.exp(-np.clip(values, -_STEEPEST, _STEEPEST)))
