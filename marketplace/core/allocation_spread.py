"""The fair mix: spreading given units over the listings so that all loans cost nearly the same.

The units of each piece are fixed (see :mod:`marketplace.core.allocation_units`), so the total cost
is too. What is left is who lends to whom, and it is a choice of fairness, not of exactness:

1. Each piece is given a smaller limit, just enough to reach as many listings as possible, as far as
   all can still be routed (Gale and Ryser again).
2. Shares are fitted to classes of pieces of similar sizes and rates, so that each listing gets its
   demand at the market's mean rate (:mod:`marketplace.core.allocation_shares`).
3. *Large* pieces, those nearly sure to be in the largest listings, are walked one by one in rate
   order, each to the listings furthest behind their targets, in units and in rate.
4. Where pieces times listings are few, the shares of the others are computed too, and rounded
   exactly by piece and by listing (:func:`~marketplace.core.allocation_shares.rounded`).
5. Where they are many, each class of the others is a *tier*: its shares are rounded as in 3, and in
   rate order its pieces take consecutive windows of a sequence in which each listing's units are
   evenly spaced. So each listing meets every rate of the tier equally often.

Rounding leaves a few units twice in one listing, or one too many. They are exchanged with pieces
nearby in rate (:func:`~marketplace.core.allocation_parts.exchange`); what is left is moved by
chains, which always exist as the amounts can be routed. Equal blends can't be had in every market,
and the fit is a heuristic: no bound on the differences is claimed.

The walk is bounded by ``_MOST_SHARES`` and ``_MOST_UNITS``, the mending by a number of units in the
caller. Beyond them :func:`level` is used: each piece goes where the need is largest. It lowers the
largest needs most, so what remains is majorised by whatever another choice would leave, and can be
met if that can.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from marketplace.core.allocation_parts import KeyArray, Parts, exchange, key_kind, parts_of
from marketplace.core.allocation_shares import (
    Classes,
    FloatArray,
    classes_of,
    fit,
    narrow_shares,
    rounded,
    shares_of,
    sigmoid,
    teams_of,
)
from marketplace.core.allocation_units import Pieces, can_be_routed
from marketplace.core.arrays import IntArray

_MOST_SHARES = 40_000_000  # large pieces x listings
_MOST_UNITS = 50_000_000  # beyond it keys of single units take too much memory
_SHORT_BITS = 14
_STEER = 4.0  # weight of a listing's distance in rate against its distance in units
_MOST_DENSE = 4_000_000  # pieces x listings up to which all shares are computed


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


def fair(
    units: IntArray,
    limits: IntArray,
    rates: IntArray,
    demands: IntArray,
    costs: FloatArray | None = None,
) -> Parts | None:
    """Spread pieces, given in rate order, so that the listings' blends are nearly equal.

    Args:
        units: ``int64 [P]``, positive, summing to the demands' total.
        limits: ``[P]``, for which the units can be routed.
        rates: ``[P]``, ppm, rising.
        demands: ``[n]``, positive.
        costs: ``[n]``, units times ppm, what each listing's units should cost together; the mean
            rate times its demand if it isn't given. Where a listing has got dear units elsewhere
            already, less evens that out as far as may be.

    Returns:
        Parts that may still exceed limits and demands by a little; ``None`` where that would take
        too many steps or too much memory.
    """
    listings = demands.shape[0]
    is_dense = units.shape[0] * listings <= _MOST_DENSE
    classes = classes_of(units, limits, rates, demands, is_dense=is_dense)
    is_large = classes.is_large[classes.of]
    large = np.flatnonzero(is_large)
    if large.shape[0] * listings > _MOST_SHARES or int(units.sum()) > _MOST_UNITS:
        return None
    wanted = demands.astype(np.float64)
    owed = np.zeros(listings) if costs is None else (costs - classes.mean * wanted) / classes.scale
    fitted = fit(classes, wanted, owed)
    served = np.zeros((0, listings), dtype=np.int64)
    behind = np.zeros((2, listings))
    if large.size:
        targets = shares_of(classes, units[large], large, *fitted)
        served = _walk(
            targets, units[large], limits[large], classes.distance[large], behind, demands
        )
    if is_dense:
        small = np.flatnonzero(~is_large)
        left = _left_whole(served, limits[large], classes.distance[large], demands)
        owed = owed - classes.distance[large] @ served
        kind = key_kind(units.shape[0], listings)
        found = _walked_keys(large, served, kind)
        if small.size:
            teams = teams_of(classes, units, small, left)
            shares = narrow_shares(teams.classes, teams.units, np.arange(teams.units.size), fitted)
            dealt = rounded(shares, teams, left, owed, units, kind)
            found = np.concatenate([found, dealt])
        return _settled(found, listings, limits)
    left = demands - served.sum(axis=0)
    allotted = _tiers(classes, units, fitted, behind, left)
    return _as_parts(units, limits, classes, large, served, allotted)


def _tiers(
    classes: Classes,
    units: IntArray,
    fitted: tuple[FloatArray, FloatArray, FloatArray],
    behind: FloatArray,
    left: IntArray,
) -> IntArray:
    """Return the units that each class of small pieces gives each listing, ``[tiers, n]``."""
    rows, columns, tilt = fitted
    tiers = np.flatnonzero(~classes.is_large)
    if not tiers.size:
        return np.zeros((0, left.shape[0]), dtype=np.int64)
    targets = classes.count[tiers, None] * sigmoid(
        rows[tiers, None] + columns + classes.rate[tiers, None] * tilt
    )
    totals = np.bincount(classes.of, units, classes.count.shape[0]).astype(np.int64)[tiers[:-1]]
    rates = classes.rate[tiers[:-1]]
    allotted = _walk(targets[:-1], totals, totals, rates, behind, left)
    rest = left - allotted.sum(axis=0)
    return np.concatenate([allotted, np.maximum(rest, 0)[None]])


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
    kind = key_kind(units.shape[0], listings)
    numbers = np.arange(units.shape[0], dtype=kind) << kind(bits)
    small = np.flatnonzero(~classes.is_large[classes.of])
    small = small[np.argsort(classes.of[small].astype(np.int16), kind="stable")]
    found = [_windows(np.repeat(numbers[small], units[small]), allotted)]
    return _settled(np.concatenate([*found, _walked_keys(large, served, kind)]), listings, limits)


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


def _walked_keys(large: IntArray, served: IntArray, kind: Any) -> KeyArray:
    """Return the keys of the units of pieces that were walked."""
    flat = np.flatnonzero(served != 0)
    row, listing = np.divmod(flat, served.shape[1])
    keys = ((large[row] << served.shape[1].bit_length()) | listing).astype(kind)
    counts = served.ravel()[flat]
    return np.repeat(keys, counts) if int(counts.max(initial=1)) > 1 else keys


def _settled(keys: KeyArray, listings: int, limits: IntArray) -> Parts:
    """Return the parts of units' keys, those above limits exchanged where that is found."""
    bits = listings.bit_length()
    keys.sort()
    exchange(keys, bits, limits, keys[:0])
    return parts_of(keys, bits)


def _left_whole(
    served: IntArray, limits: IntArray, distance: FloatArray, demands: IntArray
) -> IntArray:
    """Return what is left of the demands; units too many in a listing move to the neediest."""
    left: IntArray = demands - served.sum(axis=0)
    for over in np.repeat(np.flatnonzero(left < 0), -left[left < 0]).tolist():
        rows = np.flatnonzero(served[:, over] > 0)
        needs = np.where(served[rows] < limits[rows, None], left, 0)
        most = needs.max(axis=1)
        good = np.flatnonzero(most >= most.max() / 2)
        if most.max(initial=0) > 0:  # a row near the mean changes both blends the least
            best = good[np.abs(distance[rows[good]]).argmin()]
            under, row = int(needs[best].argmax()), int(rows[best])
            served[row, over] -= 1
            served[row, under] += 1
            left[over] += 1
            left[under] -= 1
    return left


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
    score = np.empty(listings)
    steps = zip(units.tolist(), limits.tolist(), rates.tolist(), strict=True)
    for row, (count, limit, rate) in enumerate(steps):
        given, extra, share = served[row], count, shares[row]
        if limit > 1:
            given += np.minimum(share.astype(np.int64), limit - 1)
            extra -= int(given.sum())
            if extra < 0:  # the fit is only near: the last units of the largest shares go
                over = np.argsort(-given, kind="stable")[:-extra]
                given[over] -= given[over] > 0
                extra = 0
            share -= given
            left -= given
        behind[0] += share
        if extra >= listings:
            given += 1
            share -= 1
            behind[0] -= 1
            left -= 1
        elif extra > 0:
            np.multiply(behind[1], _STEER * rate, out=score)
            score += behind[0]
            if left.min() <= 0:
                score[left <= 0] -= listings
            chosen = score.argpartition(listings - extra)[listings - extra :]
            given[chosen] += 1
            share[chosen] -= 1
            behind[0, chosen] -= 1
            left[chosen] -= 1
        share *= rate
        behind[1] += share
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
