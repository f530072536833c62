"""The fair mix: spreading given units over the listings so that all loans cost nearly the same.

The units of each piece are fixed (see :mod:`marketplace.core.allocation_units`), so the total cost
is too. What is left is who lends to whom, and it is a choice of fairness, not of exactness:

1. Each piece is given a smaller limit, just enough to reach as many listings as possible, as far as
   all can still be routed (Gale and Ryser again).
2. Pieces too large for an even share of the largest listings (*large* ones) get shares
   ``limit x sigmoid(row + column + tilt x rate)``: the maximum-entropy shares under given sums of
   rows, columns, and rates by column. They are fitted on classes of size and rate by Newton steps,
   then large pieces are walked in rate order, each to the listings furthest behind their targets.
3. The others (*small* ones) take consecutive windows, in rate order, of one sequence in which each
   listing's remaining units are evenly spaced. So each listing meets every rate equally often.

Rounding leaves a few units twice in one listing, or one too many; they are moved by chains, which
always exist as the amounts can be routed. Equal blends can't be had in every market, and the fit
is a heuristic: no bound on the differences is claimed.

The walk is bounded by ``_MOST_SHARES``, the mending by ``_MOST_MENDED``. Beyond them
:func:`level` is used: each piece goes where the need is largest. It lowers the largest needs most,
so what remains is majorised by whatever another choice would leave, and can be met if that can.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from marketplace.core.allocation_parts import Parts
from marketplace.core.allocation_shares import (
    Classes,
    FloatArray,
    classes_of,
    fit,
    shares_of,
    sigmoid,
)
from marketplace.core.allocation_units import Pieces, can_be_routed
from marketplace.core.arrays import BoolArray, IntArray

KeyArray = npt.NDArray[Any]  # of 32 or 64 bits without sign, as far as the numbers need

_MOST_SHARES = 40_000_000  # large pieces x listings
_SHORT_BITS = 14
_STEER = 4.0  # weight of a listing's distance in rate against its distance in units
_PARTNERS = 10  # rows on either side that an exchange is tried with
_EXCHANGES = 3


def widest(pieces: Pieces, demands: IntArray) -> IntArray:
    """Return the limits with which the pieces reach the most listings, ``[P]``.

    A piece that reaches ``reach`` listings needs the limit ``ceil(units / reach)``; the largest
    ``reach`` common to all is sought by bisection, each piece's own limit being the most.
    """
    low, high = 1, demands.shape[0]
    reach = high
    while True:
        limits = np.minimum(pieces.limit, -(-pieces.units // reach))
        if can_be_routed(Pieces(pieces.lender, limits, pieces.units), demands):
            low = reach
        else:
            high = reach - 1
        if low >= high:
            break
        reach = (low + high + 1) // 2
    return np.minimum(pieces.limit, -(-pieces.units // low))


def fair(units: IntArray, limits: IntArray, rates: IntArray, demands: IntArray) -> Parts | None:
    """Spread pieces, given in rate order, so that the listings' blends are nearly equal.

    Args:
        units: ``int64 [P]``, positive, summing to the demands' total.
        limits: ``[P]``, for which the units can be routed.
        rates: ``[P]``, ppm, rising.
        demands: ``[n]``, positive.

    Returns:
        Parts that may still exceed limits and demands by a little; ``None`` where the walk would
        take too many steps.
    """
    listings = demands.shape[0]
    classes = classes_of(units, limits, rates, demands)
    large = np.flatnonzero(classes.is_large[classes.of])
    if large.shape[0] * listings > _MOST_SHARES:
        return None
    rows, columns, tilt = fit(classes, demands.astype(np.float64))
    served = np.zeros((0, listings), dtype=np.int64)
    behind = np.zeros((2, listings))
    if large.size:
        targets = shares_of(classes, units[large], large, rows, columns, tilt)
        served = _walk(
            targets, units[large], limits[large], classes.distance[large], behind, demands
        )
    tiers = np.flatnonzero(~classes.is_large)
    allotted = np.zeros((0, listings), dtype=np.int64)
    if tiers.size:
        targets = classes.count[tiers, None] * sigmoid(
            rows[tiers, None] + columns + classes.rate[tiers, None] * tilt
        )
        left = demands - served.sum(axis=0)
        totals = np.bincount(classes.of, units, classes.count.shape[0]).astype(np.int64)[tiers]
        allotted = _walk(
            targets[:-1], totals[:-1], totals[:-1], classes.rate[tiers[:-1]], behind, left
        )
        rest = left - allotted.sum(axis=0)
        allotted = np.concatenate([allotted, np.maximum(rest, 0)[None]])
    return _as_parts(units, limits, classes, large, served, allotted)


def _as_parts(
    units: IntArray,
    limits: IntArray,
    classes: Classes,
    large: IntArray,
    served: IntArray,
    allotted: IntArray,
) -> Parts:
    """Return the parts of large pieces as walked, and of the others by windows."""
    listings = served.shape[1]
    bits = listings.bit_length()
    kind: Any = np.uint32 if bits + units.shape[0].bit_length() <= 32 else np.uint64
    numbers = np.arange(units.shape[0], dtype=kind) << kind(bits)
    small = np.flatnonzero(~classes.is_large[classes.of])
    small = small[np.argsort(classes.of[small].astype(np.int16), kind="stable")]
    found = [_windows(np.repeat(numbers[small], units[small]), allotted)]
    rows, columns = np.nonzero(served)
    walked = numbers[large][rows] | columns.astype(kind)
    found.append(np.repeat(walked, served[rows, columns]))
    keys = np.concatenate(found)
    keys.sort()
    _part_twins(keys, bits, limits)
    first = np.flatnonzero(np.concatenate([np.ones(1, dtype=np.bool_), keys[1:] != keys[:-1]]))
    counts = np.diff(first, append=keys.shape[0])
    if first.shape[0] < keys.shape[0]:
        keys = keys[first]
    row, listing = keys >> kind(bits), keys & kind((1 << bits) - 1)
    return Parts(row.astype(np.int64), listing.astype(np.int64), counts)


def level(units: IntArray, limits: IntArray, demands: IntArray) -> Parts:
    """Spread pieces one by one, each where the remaining need is largest; always exact."""
    need = demands.copy()
    found: list[tuple[IntArray, IntArray]] = []
    for piece_units, limit in zip(units.tolist(), limits.tolist(), strict=True):
        low, high = -limit, int(need.max(initial=0))
        while high - low > 1:  # give down to ``high`` and, some of them, one further
            middle = (low + high) // 2
            if int(np.clip(need - middle, 0, limit).sum()) >= piece_units:
                low = middle
            else:
                high = middle
        given = np.clip(need - high, 0, limit)
        more = np.flatnonzero(np.clip(need - low, 0, limit) > given)
        given[more[: piece_units - int(given.sum())]] += 1
        need -= given
        listing = np.flatnonzero(given)
        found.append((listing, given[listing]))
    counts = np.array([listing.shape[0] for listing, _ in found], dtype=np.int64)
    empty = np.zeros(0, dtype=np.int64)
    return Parts(
        np.repeat(np.arange(units.shape[0], dtype=np.int64), counts),
        np.concatenate([empty, *(listing for listing, _ in found)]),
        np.concatenate([empty, *(given for _, given in found)]),
    )


def _part_twins(keys: KeyArray, bits: int, limits: IntArray) -> None:
    """Exchange units that stand twice in a listing with rows nearby in rate, in place.

    Only exchanges that are valid whichever others are made: no partner twice, none with twins.
    """
    kind: Any = keys.dtype.type
    mask = (1 << bits) - 1
    offsets = np.array([o for d in range(1, _PARTNERS + 1) for o in (-d, d)])
    for _ in range(_EXCHANGES):
        twin = np.flatnonzero(keys[1:] == keys[:-1]) + 1
        row = (keys[twin] >> kind(bits)).astype(np.int64)
        twin, row = twin[limits[row] == 1], row[limits[row] == 1]
        if not twin.size:
            return
        listing = (keys[twin] & kind(mask)).astype(np.int64)
        other = row[:, None] + offsets
        has_twins = np.zeros(limits.shape[0], dtype=np.bool_)
        has_twins[row] = True
        inside = (other >= 0) & (other < limits.shape[0])
        other = np.where(inside, other, 0)
        start = np.searchsorted(keys, (other << bits).astype(kind))
        count = np.searchsorted(keys, ((other + 1) << bits).astype(kind)) - start
        position = start + (twin[:, None] * 7919 + offsets * 104729) % np.maximum(count, 1)
        position = np.minimum(position, keys.shape[0] - 1)
        mine = (row[:, None] << bits) | (keys[position].astype(np.int64) & mask)
        theirs = (other << bits) | listing[:, None]
        valid = inside & (count > 0) & ~has_twins[other]
        valid &= ~_among(keys, mine) & ~_among(keys, theirs)
        rows = np.flatnonzero(valid.any(axis=1))
        chosen = rows, valid[rows].argmax(axis=1)
        single = np.unique(other[chosen], return_index=True)[1]
        single = single[np.unique(mine[chosen][single], return_index=True)[1]]
        rows, column = rows[single], chosen[1][single]
        keys[twin[rows]] = mine[rows, column].astype(kind)
        keys[position[rows, column]] = theirs[rows, column].astype(kind)
        keys.sort()


def _among(keys: KeyArray, wanted: IntArray) -> BoolArray:
    """Which of ``wanted`` are among the sorted ``keys``."""
    narrow = wanted.astype(keys.dtype)
    place = np.minimum(np.searchsorted(keys, narrow), keys.shape[0] - 1)
    found: BoolArray = keys[place] == narrow
    return found


def _walk(
    shares: FloatArray,
    units: IntArray,
    limits: IntArray,
    rates: FloatArray,
    behind: FloatArray,
    demands: IntArray,
) -> IntArray:
    """Round the shares, row by row, so that each listing's running total stays near its target.

    ``behind`` says how far each listing is behind its target, and is brought up to date.
    """
    listings = shares.shape[1]
    served = np.zeros(shares.shape, dtype=np.int64)
    left = demands.copy()
    steps = zip(units.tolist(), limits.tolist(), rates.tolist(), strict=True)
    for row, (count, limit, rate) in enumerate(steps):
        given, extra, share = served[row], count, shares[row]
        if limit > 1:
            given += share.astype(np.int64)
            extra -= int(given.sum())
            if extra < 0:  # the fit is only near: the last units of the largest shares go
                over = np.argsort(-given, kind="stable")[:-extra]
                given[over] -= given[over] > 0
        share -= given
        if extra >= listings:
            given += 1
            share -= 1
        elif extra > 0:
            score = share + behind[0] + (_STEER * rate) * behind[1]
            score[left <= given] = -np.inf
            chosen = np.argpartition(score, listings - extra)[listings - extra :]
            given[chosen] += 1
            share[chosen] -= 1
        behind[0] += share
        behind[1] += rate * share
        left -= given
    return served


def _windows(rows: KeyArray, allotted: IntArray) -> KeyArray:
    """Return the units of the small pieces as keys: row | listing.

    In each tier the i-th of a listing's ``R`` units stands at ``(i + 1/2) / R``. Among equal
    places listings follow each other by number, in the second half in reverse, so that none is
    always first. Places of 32 bits with the listing are fine enough, and sorted in half the time.

    Args:
        rows: of each unit, tier by tier, in rate order.
        allotted: units of each tier and listing, ``int64 [tiers, n]``.
    """
    tiers, listings = allotted.shape
    bits = listings.bit_length()
    kind: Any = np.uint32 if bits <= _SHORT_BITS else np.uint64
    width = 32 if bits <= _SHORT_BITS else 53
    mask, half = kind((1 << bits) - 1), kind(1 << (width - 1))
    found: list[KeyArray] = []
    for tier in range(tiers):
        counts = allotted[tier]
        step = 2.0 ** (width - bits) / np.maximum(counts, 1)
        shift = (np.cumsum(counts) - counts - 0.5) * step
        place = np.arange(int(counts.sum()), dtype=np.float64)
        place *= np.repeat(step, counts)
        place -= np.repeat(shift, counts)
        keys = place.astype(kind)
        keys <<= kind(bits)
        keys |= np.repeat(np.arange(listings, dtype=kind), counts)
        keys[keys >= half] ^= mask
        keys.sort()
        middle = int(np.searchsorted(keys, half))
        keys &= mask
        keys[middle:] ^= mask
        found.append(keys)
    listing = np.concatenate([np.zeros(0, dtype=kind), *found]).astype(rows.dtype)
    count = min(rows.shape[0], listing.shape[0])
    keys_found: KeyArray = rows[:count] | listing[:count]
    return keys_found
