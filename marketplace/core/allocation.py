"""Allocating one market's money: who lends how much to which of the listings that will be funded.

All listings are funded whole, at the least total interest, with every loan's blend as equal as the
£10 steps allow. In order:

1. :mod:`~marketplace.core.allocation_units`: how much each entry gives, which alone fixes the cost.
2. :mod:`~marketplace.core.allocation_blocks`: tight markets fall apart into smaller ones;
   :mod:`~marketplace.core.allocation_spread`: to whom, as a fair mix.
3. :mod:`~marketplace.core.allocation_mending`: what a lender already has in a borrower voids the
   closed form of step 1, so units standing where they may not are moved by augmenting chains.

Cost and who gives how much are exact; they depend on nothing but the arguments, and not on the
order of the listings. The fairness of the mix is a heuristic, measured in ``docs/matching.md``.
Source: the house design, "The market".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from marketplace.core.allocation_blocks import Path, spread
from marketplace.core.allocation_mending import DemandsUnmet, mend
from marketplace.core.allocation_parts import Parts, Rules
from marketplace.core.allocation_units import (
    Entries,
    Pieces,
    entries_of,
    hull_pieces,
    units_given,
)
from marketplace.core.arrays import IntArray, int_array, plain_array, same_length
from marketplace.core.errors import ShapeRefused

__all__ = ["Allocation", "DemandsUnmet", "Path", "allocate", "allocate_entries"]

LARGEST_TOTAL = 2**31 - 1  # units that one market may ask for: products of two stay below 2**62


@dataclass(frozen=True, slots=True)
class Allocation:
    """Parts by entry in queue order, then by listing; ``K`` rows, each pair once.

    Attributes:
        entry, listing: ``int64 [K]``, rows of the arguments.
        units: ``[K]``, positive.
        path: which way of spreading was used; the cost is the same with both.
    """

    entry: IntArray
    listing: IntArray
    units: IntArray
    path: Path


def allocate(
    *,
    rates: npt.ArrayLike,
    budgets: npt.ArrayLike,
    limits: npt.ArrayLike,
    demands: npt.ArrayLike,
    exceptions: npt.ArrayLike | None = None,
) -> tuple[IntArray, IntArray, IntArray]:
    """Allocate the money of lenders with one entry each.

    Args:
        rates: ``int64 [E]``, ppm, in queue order: not falling.
        budgets: ``[E]``, units (£10).
        limits: ``[E]``, most units in one listing.
        demands: ``[n]``, units; all are met.
        exceptions: ``[X, 3]``: lender's row, listing's row, most units in that pair. The lowest
            counts where a pair is named twice; above the lender's limit there is no effect.

    Returns:
        Lender's row, listing's row and units (positive) of each part, by lender, then listing.

    Raises:
        DemandsUnmet: when the demands can't all be met.
        ShapeRefused: for anything but whole numbers from 0 in arrays that belong together.
    """
    columns = same_length(rates=rates, budgets=budgets, limits=limits)
    lenders = np.arange(columns[0].shape[0], dtype=np.int64)
    wants = int_array(demands, "demands")
    held = None
    if exceptions is not None:
        pairs = _triples(exceptions, "exceptions", columns[0].shape[0], wants.shape[0])
        own = columns[2][pairs[:, 0]]
        held = pairs.copy()
        held[:, 2] = np.maximum(own - pairs[:, 2], 0)
    found = allocate_entries(
        lenders=lenders,
        rates=columns[0],
        budgets=columns[1],
        limits=columns[2],
        demands=wants,
        held=held,
    )
    return found.entry, found.listing, found.units


def allocate_entries(
    *,
    lenders: npt.ArrayLike,
    rates: npt.ArrayLike,
    budgets: npt.ArrayLike,
    limits: npt.ArrayLike,
    demands: npt.ArrayLike,
    held: npt.ArrayLike | None = None,
) -> Allocation:
    """Allocate the money of lenders who may have several entries in the market.

    For each listing ``j`` and each limit ``L`` among a lender's entries, its entries with limits up
    to ``L`` have at most ``max(0, L - h)`` units in ``j`` together, ``h`` being what is held.

    Args:
        lenders: ``int64 [E]``, any numbers from 0.
        rates: ``[E]``, ppm, in queue order: not falling.
        budgets: ``[E]``, units (£10).
        limits: ``[E]``, units.
        demands: ``[n]``, units; all are met.
        held: ``[H, 3]``: lender, listing's row, units the lender already has in that borrower. The
            highest counts where a pair is named twice; a lender's own listing has a huge figure.

    Raises:
        DemandsUnmet: when the demands can't all be met.
        ShapeRefused: for anything but whole numbers from 0 in arrays that belong together.
    """
    columns, wants = _checked(lenders, rates, budgets, limits, demands)
    held_rows = _held(held, columns[0], wants.shape[0])
    wanted = np.flatnonzero(wants)
    asked = wants[wanted]
    total = int(asked.sum())
    entries = entries_of(
        columns[0],
        columns[1],
        np.minimum(columns[2], total),
        np.minimum(columns[3], int(asked.max(initial=0))),
    )
    given = units_given(entries, asked)
    if int(given.sum()) < total:
        raise DemandsUnmet(
            "The entries can't fund all of the listings whole: ask for fewer listings, or for "
            "more offers.",
            field="demands",
        )
    if not asked.size:
        none = np.zeros(0, dtype=np.int64)
        return Allocation(none, none, none, Path.FAIR)
    parts, path = _spread(entries, given, asked)
    if held_rows.size:
        rules = Rules(
            lender=entries.lender,
            budgets=entries.budgets,
            limits=columns[3],  # not cut to the demands: what is held comes off the whole limit
            demands=asked,
            held=_held_pairs(held_rows, columns[0], entries.lender, wanted),
        )
        parts = mend(parts, rules, is_fixed=False)
    return Allocation(parts.row, wanted[parts.listing], parts.units, path)


def _checked(
    lenders: npt.ArrayLike,
    rates: npt.ArrayLike,
    budgets: npt.ArrayLike,
    limits: npt.ArrayLike,
    demands: npt.ArrayLike,
) -> tuple[tuple[IntArray, ...], IntArray]:
    """Return lenders, rates, budgets and limits as columns, and the demands."""
    names = ("lenders", "rates", "budgets", "limits")
    columns = same_length(
        **dict(zip(names, (lenders, rates, budgets, limits), strict=True)),
    )
    wants = int_array(demands, "demands")
    for name, column in zip((*names, "demands"), (*columns, wants), strict=True):
        _refuse_negative(column, name)
    if (np.diff(columns[1]) < 0).any():
        raise ShapeRefused("Entries must stand in queue order: rates don't fall.", field="rates")
    # Added as floats: whole numbers of 64 bits could pass their end and look small again.
    total = float(wants.sum(dtype=np.float64))
    if total > LARGEST_TOTAL or int(columns[1].max(initial=0)) > LARGEST_TOTAL:
        raise ShapeRefused(
            f"One market handles at most {LARGEST_TOTAL} units and ppm.", field="demands"
        )
    return tuple(columns), wants


def _held_pairs(
    held: IntArray, lenders: IntArray, dense: IntArray, wanted: IntArray
) -> dict[tuple[int, int], int]:
    """Return what is held by dense lender and asked listing; what concerns nobody is left out."""
    names, first = np.unique(lenders, return_index=True)
    pairs: dict[tuple[int, int], int] = {}
    place = np.minimum(np.searchsorted(names, held[:, 0]), max(names.shape[0] - 1, 0))
    column = np.minimum(np.searchsorted(wanted, held[:, 1]), max(wanted.shape[0] - 1, 0))
    known = (names[place] == held[:, 0]) & (wanted[column] == held[:, 1]) & (held[:, 2] > 0)
    rows = dense[first[place]]
    for lender, listing, units in zip(
        rows[known].tolist(), column[known].tolist(), held[known, 2].tolist(), strict=True
    ):
        pairs[lender, listing] = max(pairs.get((lender, listing), 0), units)
    return pairs


def _spread(entries: Entries, given: IntArray, demands: IntArray) -> tuple[Parts, Path]:
    """Spread the units of the entries, nothing being held."""
    slot_units = np.bincount(entries.slot, given, entries.slot_limit.shape[0]).astype(np.int64)
    pieces = hull_pieces(entries.slot_lender, entries.slot_step, slot_units)
    cost = np.bincount(entries.lender, given * entries.rates, entries.slot_start.shape[0] - 1)
    whole = np.bincount(entries.lender, given, entries.slot_start.shape[0] - 1)
    mean = (cost / np.maximum(whole, 1)).astype(np.int64)[pieces.lender]
    order = np.flatnonzero(pieces.units)
    if not entries.is_plain:
        order = order[np.argsort(mean[order], kind="stable")]
    chosen = Pieces(pieces.lender[order], pieces.limit[order], pieces.units[order])
    parts, path = spread(chosen.units, chosen.limit, mean[order], demands)
    if entries.is_plain:
        return Parts(order[parts.row], parts.listing, parts.units), path
    return _to_entries(entries, given, chosen.lender, parts, demands.shape[0]), path


def _to_entries(
    entries: Entries, given: IntArray, lender: IntArray, parts: Parts, listings: int
) -> Parts:
    """Share out what each lender has in each listing among the lender's entries.

    Most lenders give from one entry, or from two of one limit (repaid money and new): those are
    done all at once, the others one by one.
    """
    keys = lender[parts.row] * listings + parts.listing
    order = np.argsort(keys, kind="stable")
    first = np.flatnonzero(np.diff(keys[order], prepend=-1))
    units = np.add.reduceat(parts.units[order], first)
    owner, listing = np.divmod(keys[order][first], listings)
    lenders = entries.slot_start.shape[0] - 1
    givers = np.flatnonzero(given)
    givers = givers[np.lexsort((givers, entries.slot[givers]))]  # by lender, limit, then queue
    count = np.bincount(entries.lender[givers], minlength=lenders)
    start = np.cumsum(count) - count
    one, two = np.append(givers, -1)[start], np.append(givers, [-1, -1])[start + 1]
    single = (count == 1)[owner]
    double = ((count == 2) & (entries.slot[one] == entries.slot[two]))[owner]
    found = [(one[owner[single]], listing[single], units[single])]
    found += _halved(given, one[owner[double]], two[owner[double]], listing[double], units[double])
    for each in np.unique(owner[~single & ~double]).tolist():
        rows = slice(*np.searchsorted(owner, [each, each + 1]).tolist())
        members = givers[start[each] : start[each] + count[each]]
        found += _by_limits(given, members, listing[rows], units[rows])
    row, listing, units = (np.concatenate(column) for column in zip(*found, strict=True))
    order = np.argsort(row * listings + listing, kind="stable")
    return Parts(row[order], listing[order], units[order])


def _halved(
    given: IntArray, one: IntArray, two: IntArray, listing: IntArray, units: IntArray
) -> list[tuple[IntArray, IntArray, IntArray]]:
    """Split the parts of lenders with two entries of one limit: evenly along the listings."""
    first = np.diff(one, prepend=-1) != 0
    before = np.cumsum(units) - units
    before -= np.repeat(before[first], np.diff(np.append(np.flatnonzero(first), one.shape[0])))
    share, whole = given[one], given[one] + given[two]
    mine = (before + units) * share // whole - before * share // whole
    kept, left = mine > 0, mine < units
    return [
        (one[kept], listing[kept], mine[kept]),
        (two[left], listing[left], (units - mine)[left]),
    ]


def _by_limits(
    given: IntArray, members: IntArray, listing: IntArray, units: IntArray
) -> list[tuple[IntArray, IntArray, IntArray]]:
    """Split the parts of one lender among entries of several limits, lowest limit first.

    From the highest limit down, the entries up to a limit ``t`` keep their units by evening out:
    of each listing at most ``t`` and as level as possible, which leaves room for the next lower
    limit: ``sum of min(units, t)`` is at least what entries up to ``t`` give, as on every edge of
    the hull they lie below its chord.
    """
    found, has = [], units
    for entry in members[:0:-1].tolist():
        kept = _evened(has, int(has.sum()) - int(given[entry]))
        gone = has - kept
        places = np.flatnonzero(gone)
        found.append((np.full_like(places, entry), listing[places], gone[places]))
        has = kept
    places = np.flatnonzero(has)
    found.append((np.full_like(places, members[0]), listing[places], has[places]))
    return found


def _evened(units: IntArray, total: int) -> IntArray:
    """Return ``min(units, some level)``, some of them one more, summing to ``total``."""
    low, high = 0, int(units.max(initial=0)) + 1
    while high - low > 1:
        middle = (low + high) // 2
        if int(np.minimum(units, middle).sum()) <= total:
            low = middle
        else:
            high = middle
    kept = np.minimum(units, low)
    more = np.flatnonzero(units > low)
    short = total - int(kept.sum())
    if short:
        kept[more[np.arange(short) * more.shape[0] // short]] += 1
    return kept


def _triples(values: npt.ArrayLike, name: str, rows: int | None, listings: int) -> IntArray:
    """Return ``values`` as ``int64 [X, 3]`` of rows, listings' rows and units from 0."""
    given = plain_array(values, name)
    if given.size == 0:
        return np.zeros((0, 3), dtype=np.int64)
    if given.ndim != 2 or given.shape[1] != 3:
        raise ShapeRefused(f"{name} must have three columns.", field=name)
    flat = int_array(given.ravel(), name).reshape(-1, 3)
    _refuse_negative(flat, name)
    if (flat[:, 1] >= listings).any() or (rows is not None and (flat[:, 0] >= rows).any()):
        raise ShapeRefused(f"{name} names a row that isn't there.", field=name)
    return flat


def _held(held: npt.ArrayLike | None, lenders: IntArray, listings: int) -> IntArray:
    if held is None or not lenders.size:
        return np.zeros((0, 3), dtype=np.int64)
    return _triples(held, "held", None, listings)


def _refuse_negative(values: IntArray, name: str) -> None:
    if values.size and int(values.min()) < 0:
        raise ShapeRefused(f"{name} can't be negative.", field=name)
