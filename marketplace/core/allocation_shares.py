"""The shares that a fair mix aims at: maximum entropy under sums of rows, columns and rates.

A piece's share of a listing is ``limit x sigmoid(row + column + tilt x rate)``: the form of the
most even shares whose sums are the piece's units, the listing's demand, and nothing for the rates'
distances from the market's mean. It is fitted on classes of pieces of similar sizes and rates.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from marketplace.core.allocation_parts import KeyArray
from marketplace.core.arrays import BoolArray, IntArray

FloatArray = npt.NDArray[np.float64]
ShareArray = npt.NDArray[np.float32]

_CLASSES_PER_E = 2  # classes of large pieces while their size grows by the factor e
_ROUNDS = 2
_BISECTIONS = 20
_WALKED = 12.0  # odds of being in the largest listing beyond which a piece is walked
_WALKED_DENSE = 100.0  # the same where shares of all pieces are computed
_EVEN_SHARE = 0.75  # odds up to which windows of any size go together
_NARROW = 1.0  # below it, size classes are narrower and fewer units stand twice
_CACHED = 65_536  # shares computed together, as many as stay in a processor's cache
_GOLDEN = 0.6180339887498949
_SPREAD = 0.9  # of a unit, over which the listings' first places are spread
_TURNING = 0.1  # part of the units before and after the middle in which places are turned round
_FEW = 10  # units below which a listing's places are spread less, so that totals never fall
_MOST_SHIFT = 0.2  # of a unit, so that no listing gains or loses one
_MOST_TILT = 0.8  # below 1, so that shares stay positive
_SHORT = 30_000  # units of a listing up to which 16 bits do
_TIME_BITS = 10
_TEAM = 0.6  # of a unit of the largest listing, which a team has at most
_NODES = 8  # points of interpolation for listings that are tilted little
_MOST_NODES = 16  # beyond it the terms cancel so far that 32 bits won't do
_STEEPEST = 30.0  # beyond it a sigmoid is 0 or 1

# glibc gives freed memory back to the system at once until it has seen a large block come and go;
# then each market's arrays are paged in anew, which is a quarter of the time of 5,000 lenders. A
# block below 32 MiB that is never touched costs nothing and teaches it to keep what it has.
_untouched = np.empty(31 << 20, dtype=np.uint8)
del _untouched


@dataclass(frozen=True, slots=True)
class Classes:
    """Pieces of one limit and similar sizes, cheap or dear: ``C`` classes in order of rate.

    Attributes:
        of: the class of each piece, ``int64 [P]``.
        is_large: ``[C]``, whether its pieces are walked one by one.
        count, limit, units, rate: ``[C]``, number of pieces and their means; the rate is a
            distance from the market's mean, scaled to at most 1.
        distance: ``[P]``, each piece's own.
        mean, scale: ppm, of the distances.
    """

    of: IntArray
    is_large: BoolArray
    count: FloatArray
    limit: FloatArray
    units: FloatArray
    rate: FloatArray
    distance: FloatArray
    mean: float = 0.0
    scale: float = 1.0


def classes_of(
    units: IntArray, limits: IntArray, rates: IntArray, demands: IntArray, *, is_dense: bool
) -> Classes:
    """Return the classes of the pieces: by size, and in each a cheap and a dear half."""
    mean = float((units * rates).sum()) / float(units.sum())
    apart: FloatArray = rates.astype(np.float64) - mean
    scale = max(float(np.abs(apart).max()), 1.0)
    distance: FloatArray = apart / scale
    size, is_large = _sizes(units, limits, demands, is_dense=is_dense)
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
        mean=mean,
        scale=scale,
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


def _sizes(
    units: IntArray, limits: IntArray, demands: IntArray, *, is_dense: bool
) -> tuple[IntArray, BoolArray]:
    """Return each piece's size class, from the largest down, and which classes are walked.

    A window of ``u`` units meets the largest listing ``p u / mean`` times, where ``p`` is the
    class's share; classes narrow as ``p`` nears 1 so that this stays below 1.
    """
    # The last factor: a piece with a unit in nearly every listing is nearly sure of each.
    free = np.maximum(limits * demands.shape[0] - units, 0.5) / (limits * demands.shape[0])
    chance = units * _crowd(units, limits, demands) / free
    walked = (limits > 1) | (chance > (_WALKED_DENSE if is_dense else _WALKED))
    walked &= units > 1
    scale = (np.log(np.maximum(units, 1)) * _CLASSES_PER_E).astype(np.int64)
    if is_dense:
        size = scale
    else:
        edges = [_WALKED]
        while edges[-1] > _EVEN_SHARE:
            edges.append(edges[-1] / max(_NARROW * (1 + 1 / edges[-1]) ** 2, 1.05))
        size = np.searchsorted(-np.array(edges), -chance, side="left")
    key = np.where(walked, (scale << 32) | limits, -size - 1)
    found, of = np.unique(key, return_inverse=True)
    return of, found >= 0


def fit(
    classes: Classes, wanted: FloatArray, owed: FloatArray | float = 0.0, rounds: int = _ROUNDS
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Fit rows ``[C]``, columns ``[n]`` and tilts ``[n]`` of the shares, by turns of Newton steps.

    Each listing's units should sum to ``wanted``, and their distances in rate to ``owed``.

    Columns are kept from an overflow by steps of at most 1; the tilt is held back a little, so that
    it stays finite where equal blends can't be had.
    """
    rows = _log_odds(classes.units, classes.limit * wanted.shape[0])
    columns, tilt = np.log(wanted / wanted.mean()), np.zeros_like(wanted)
    weights = classes.count * classes.limit
    moments = np.stack([weights, weights * classes.rate, weights * classes.rate**2])
    for _ in range(rounds):
        chance = sigmoid(rows[:, None] + columns + classes.rate[:, None] * tilt)
        slope = chance * (1 - chance)
        miss = classes.units - classes.limit * chance.sum(axis=1)
        step = np.clip(miss / (classes.limit * slope.sum(axis=1) + 1e-9), -1, 1)
        rows += step
        chance += slope * step[:, None]
        off, off_rate = moments[:2] @ chance
        off, off_rate = wanted - off, owed - off_rate
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
    """Return the shares of ``large`` pieces ``[large, n]``, each row near its own ``units``."""
    shares = narrow_shares(classes, units, large, (rows, columns, tilt)).astype(np.float64)
    # Where a row is nearly at its limit, stretching can't bring it to its units: a Newton step.
    limit = classes.limit[classes.of[large]][:, None]
    slope = shares * (1 - shares / limit)
    miss = (units - shares.sum(axis=1)) / (slope.sum(axis=1) + 1e-9)
    nearer: FloatArray = shares + slope * np.clip(miss, -1, 1)[:, None]
    return nearer


def narrow_shares(
    classes: Classes,
    units: IntArray,
    large: IntArray,
    fitted: tuple[FloatArray, FloatArray, FloatArray],
) -> ShareArray:
    """Return the same in 32 bits: aims needn't be exact, and this takes half the time."""
    rows, columns, tilt = fitted
    of = classes.of[large]
    limit = classes.limit[of]
    base = rows - _log_odds(classes.units, classes.limit * columns.shape[0])
    own = base[of] + _log_odds(units, limit * columns.shape[0])
    found = np.empty((large.shape[0], columns.shape[0]), dtype=np.float32)
    distance = classes.distance[large]
    nodes, weights = _nodes(distance, tilt)
    by_row = weights * np.exp(-np.clip(own, -_STEEPEST, _STEEPEST))[:, None]
    odds = np.exp(-np.clip(columns + nodes[:, None] * tilt, -_STEEPEST, _STEEPEST))
    if nodes.shape[0] <= _MOST_NODES:
        by_row, odds = by_row.astype(np.float32), odds.astype(np.float32)
    most, wanted = (c.astype(np.float32)[:, None] for c in (limit, units / limit))
    step = max(1, _CACHED // columns.shape[0])
    for first in range(0, large.shape[0], step):
        here = slice(first, first + step)
        np.matmul(by_row[here], odds, out=found[here])
        _stretch(found[here], most[here], wanted[here])
    return found


def _nodes(distance: FloatArray, tilt: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return distances ``[K]`` and weights ``[T, K]`` that stand for each of ``distance``.

    ``exp(-tilt x distance)`` is interpolated between its values at Chebyshev's points, as many as
    keep it within a hundredth for the steepest tilt: a product of small matrices takes a fifth of
    the time of as many exponentials. Source: Berrut and Trefethen, "Barycentric Lagrange
    interpolation" (2004), section 5.
    """
    count = _NODES + 4 * int(np.abs(tilt).max(initial=0.0))
    angle = (np.arange(count) + 0.5) * np.pi / count
    nodes = np.cos(angle)
    apart = distance[:, None] - nodes
    apart[apart == 0] = 1e-300  # on a node: its weight outgrows the others'
    weights = np.sin(angle) * (-1.0) ** np.arange(count) / apart
    weights /= weights.sum(axis=1, keepdims=True)
    return nodes, weights


def _stretch(shares: ShareArray, limit: ShareArray, wanted: ShareArray) -> None:
    """Turn odds against into shares, stretched to each row's units."""
    shares += 1
    np.reciprocal(shares, out=shares)
    shares *= wanted / shares.sum(axis=1, keepdims=True)
    np.minimum(shares, 1, out=shares)
    shares *= limit


def _moments(shares: ShareArray, distance: ShareArray) -> ShareArray:
    """Return the sums of shares, times distance, and times its square, by listing, ``[3, n]``."""
    moments: ShareArray = np.stack([np.ones_like(distance), distance, distance**2]) @ shares
    return moments


def rounded(
    shares: ShareArray,
    teams: Teams,
    demands: IntArray,
    owed: FloatArray,
    given: IntArray,
    kind: Any,
) -> KeyArray:
    """Round shares to units, exactly by row and by listing; return the units' keys: row | listing.

    Down the rows, in order of rate, each listing's running total reaches its ``k``-th unit at some
    time in some row. All units in order of these times are then dealt out to the rows, each as many
    as it gives. Where the totals stand before the first row, between 0 and 1, is spread over the
    listings, so that not all reach units at the same time. That alone would shift each listing's
    rates by up to a unit's distance, so in the middle the places are turned round, and what still
    would make the listing dearer or cheaper than it should be is levelled by a shift of them all.

    Args:
        shares: ``float32 [T, n]``, of the teams; overwritten.
        teams: the rows, in order of rate.
        demands: ``int64 [n]``, units: the sum of the teams' units.
        owed: ``[n]``, what the distances of each listing's units should sum to.
        given: ``[P]``, units of all pieces.
        kind: the type of keys.
    """
    rows, listings = shares.shape
    units, distance = teams.units, teams.classes.distance
    near = distance.astype(np.float32)
    sums, first, second = (column.astype(np.float64) for column in _moments(shares, near))
    wanted = np.maximum(demands, 0)
    ratio = wanted / np.maximum(sums, 1e-9)
    # With 1 + tilt x distance for a factor, units and rates come out as they should.
    off = (owed - first * ratio) / np.maximum(second * ratio, 1e-9)
    tilt = np.clip(off, -_MOST_TILT, _MOST_TILT)
    ratio = wanted / np.maximum(sums + tilt * first, 1e-9)
    factor = np.stack([ratio, ratio * tilt]).astype(np.float32)
    step = max(1, _CACHED // listings)
    lever = np.stack([np.ones_like(near), near], axis=1)
    for row in range(0, rows, step):
        here = slice(row, row + step)
        shares[here] *= lever[here] @ factor
    place = np.empty(listings)
    place[np.argsort(-demands, kind="stable")] = np.arange(listings) * _GOLDEN % 1 - 0.5
    place *= _SPREAD * np.minimum(demands / _FEW, 1)
    done = np.cumsum(units, dtype=np.float64)
    turn = np.clip((0.5 - (done - units / 2) / done[-1]) / _TURNING, -1, 1)
    reach = max(float(distance[-1] - distance[0]), 1e-9)
    shift = (near @ shares - owed) / reach
    shift -= place * float(turn[:-1] @ np.diff(distance)) / reach
    before = np.clip(place + np.clip(shift, -_MOST_SHIFT, _MOST_SHIFT) + 0.5, 0.01, 0.99)
    shares[0] += before
    turning = np.flatnonzero(np.diff(turn)) + 1
    if turning.size:
        span = slice(int(turning[0]), int(turning[-1]) + 1)
        shares[span] += np.diff(turn)[span.start - 1 : span.stop - 1, None] * place
    for above, own in pairwise(shares):
        np.add(above, own, out=own)
    return _dealt(shares, demands, before, teams.member, given[teams.member], kind)


def _dealt(
    running: ShareArray,
    demands: IntArray,
    before: FloatArray,
    member: IntArray,
    given: IntArray,
    kind: Any,
) -> KeyArray:
    """Deal the units that running totals reach to the members; return the units' keys."""
    rows, listings = running.shape
    bits = listings.bit_length()
    short = int(demands.max(initial=0)) < _SHORT
    whole = np.zeros((rows + 1, listings), dtype=np.int16 if short else np.int32)
    np.copyto(whole[1:], running, casting="unsafe")
    whole[-1] = demands
    flat = np.flatnonzero(whole[1:] != whole[:-1])
    counts = whole[1:].ravel()[flat] - whole[:-1].ravel()[flat]
    if (counts < 0).any():
        falls = np.unique(flat[counts < 0] % listings)
        rising = np.maximum.accumulate(whole[:, falls], axis=0)
        whole[:, falls] = np.clip(rising, 0, demands[falls])
        flat = np.flatnonzero(whole[1:] != whole[:-1])
        counts = whole[1:].ravel()[flat] - whole[:-1].ravel()[flat]
    now = running.ravel()[flat]
    earlier = running.ravel()[flat - listings]
    ends = np.searchsorted(flat, np.arange(1, rows + 1) * listings)
    row = np.repeat(np.arange(rows, dtype=np.uint32), np.diff(ends, prepend=0))
    listing = flat.astype(np.uint32) - row * np.uint32(listings)
    is_first = slice(0, int(ends[0]))
    earlier[is_first] = before[listing[is_first]]
    step = np.float32(1) / np.maximum(now - earlier, np.float32(1e-6))
    time = 1 - (now - np.floor(now)) * step
    more = np.flatnonzero(counts > 1)
    if more.size:
        again = np.repeat(more, counts[more] - 1)
        time = np.concatenate([time, time[again] - step[again]])
        row, listing = (np.concatenate([c, c[again]]) for c in (row, listing))
    np.clip(time, 0, 0.999, out=time)
    time *= np.float32(1 << _TIME_BITS)
    is_narrow = rows.bit_length() + bits + _TIME_BITS <= 32
    order = row if is_narrow else row.astype(np.uint64)
    order <<= order.dtype.type(_TIME_BITS)
    order |= time.astype(order.dtype)
    order <<= order.dtype.type(bits)
    order |= listing
    order.sort()
    dealt: KeyArray = (order & order.dtype.type((1 << bits) - 1)).astype(kind)
    count = min(dealt.shape[0], int(given.sum()))
    dealt[:count] |= np.repeat(member.astype(kind) << kind(bits), given)[:count]
    return dealt[:count]


@dataclass(frozen=True, slots=True)
class Teams:
    """Small pieces nearby in rate, taken together: ``T`` teams in order of rate.

    Attributes:
        classes: the classes, with the teams in place of the pieces.
        units: ``int64 [T]``, of each team.
        member: the pieces, team by team.
    """

    classes: Classes
    units: IntArray
    member: IntArray


def teams_of(classes: Classes, units: IntArray, small: IntArray, demands: IntArray) -> Teams:
    """Put pieces (rows ``small``, in order of rate) that give few units together.

    A team has so few units that it is in the largest listing once at most, or nearly so: whichever
    of its units a member gets, they are in different listings. It takes half the rows for the same
    result.
    """
    given, distance = units[small], classes.distance[small]
    most = _TEAM * float(given.sum()) / max(float(demands.max()), 1.0)
    joins = given <= most / 2
    team = np.empty(small.shape[0], dtype=np.int64)
    running = np.cumsum(given[joins]) - given[joins]
    team[joins] = (running / max(most, 1.0)).astype(np.int64)
    alone = np.flatnonzero(~joins)
    team[alone] = int(team[joins].max(initial=-1)) + 1 + np.arange(alone.shape[0])
    whole = np.bincount(team, given)
    middle = np.bincount(team, given * distance) / np.maximum(whole, 1)
    order = np.argsort(middle, kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(order.shape[0])
    by_team = np.argsort(place[team], kind="stable")
    first = np.flatnonzero(np.diff(place[team][by_team], prepend=-1))
    return Teams(
        classes=replace(classes, of=classes.of[small[by_team[first]]], distance=middle[order]),
        units=whole[order].astype(np.int64),
        member=small[by_team],
    )


def _log_odds(units: IntArray | FloatArray, most: FloatArray) -> FloatArray:
    found: FloatArray = np.log(units / np.maximum(most - units, 0.5))
    return found


def sigmoid(values: FloatArray) -> FloatArray:
    """Return ``1 / (1 + exp(-values))``."""
    return 1 / (1 + np.exp(-np.clip(values, -_STEEPEST, _STEEPEST)))
