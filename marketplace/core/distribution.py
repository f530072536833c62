"""Spreading a payment over the parts of a loan: *earliest whole penny first*.

Part ``i`` of weight ``w_i`` (sum ``P``) has, once ``R`` pennies came in all, the exact share
``R * w_i / P``. The rule keeps four laws whatever the payments are:

1. the sum is exact;
2. nobody's running total falls;
3. everyone's running total is within one penny: ``|received * P - R * w| < P``;
4. the order of rows doesn't matter.

It gives each part ``lower = max(received, floor(R * w / P))``, and the pennies still left, one
each, to the parts at ``floor(R * w / P)`` of a share that isn't whole whose next whole penny comes
soonest: smallest ``ceil((lower + 1) * P / w)``, ties by part id. (The k-th penny of a part is a
unit job released just after ``(k - 1) * P / w`` and due by ``ceil(k * P / w)``; by Hall's theorem
all jobs fit from any state reached by the rule, and earliest deadlines keep the future feasible.)

Weights must not change between payments (with changing weights no rule stays within a penny for
life), so principal is spread over the parts' sizes, and each period's interest is fixed in whole
pence a part beforehand (:mod:`marketplace.core.interest`) and spread inside that *bucket*, oldest
first. Everything is integers, on many loans at once, in blocks of rows that fit the cache.
Source: the house design, "A loan's life"; ``docs/servicing.md`` has the worked example.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from marketplace.core.arrays import (
    LARGEST_INT,
    BoolArray,
    IntArray,
    int_array,
    offsets_array,
    same_length,
    segment_sums,
)
from marketplace.core.errors import ShapeRefused, SpreadRefused
from marketplace.core.interest import check_interest_bounds, fee_rate_e12, fixed_interest

_BLOCK_ROWS = 65_536
_SHORT_BITS, _LONG_BITS = 31, 63  # without the sign


@dataclass(frozen=True, slots=True)
class PartBook:
    """The parts of ``L`` loans, ``N`` rows in all; a loan's rows lie together, in any order.

    Attributes:
        part_id: ``int64 [N]``, distinct inside a loan; breaks ties.
        units: ``[N]``, size in units of £10.
        size: ``[N]``, size in pence, the weight that principal is spread by.
        monthly_e12: ``[N]``, the part's own monthly rate in 10⁻¹².
        principal_received, interest_received, fee_received: ``[N]``, running totals before this
            payment, pence (interest is gross; the fee was kept from it).
        offsets: ``[L + 1]``, where each loan's rows start.
    """

    part_id: IntArray
    units: IntArray
    size: IntArray
    monthly_e12: IntArray
    principal_received: IntArray
    interest_received: IntArray
    fee_received: IntArray
    offsets: IntArray


@dataclass(frozen=True, slots=True)
class Receipts:
    """One payment for each of the ``L`` loans, as the waterfall allocated it.

    Attributes:
        principal: ``int64 [L]``, pence of this payment that repay principal.
        full_pence_months: ``[L]``, ``S`` of the last interest period that is completely paid after
            this payment (0 when none is).
        next_pence_months: ``[L]``, ``S`` of the interest period that is being filled; the same as
            ``full_pence_months`` when none is partly filled.
        partial_interest: ``[L]``, pence received in all so far inside the period being filled,
            earlier payments included; 0 when none is partly filled.
        interest: ``[L]``, pence of this payment that are interest: what must come out in sum.
    """

    principal: IntArray
    full_pence_months: IntArray
    next_pence_months: IntArray
    partial_interest: IntArray
    interest: IntArray


@dataclass(frozen=True, slots=True)
class Distribution:
    """What each part gets of the payment, rows as in the part book, pence, all ``int64 [N]``.

    ``principal``, ``interest`` (gross) and ``fee`` (kept from that interest) are this payment's;
    the ``*_received`` arrays are the new running totals.
    """

    principal: IntArray
    interest: IntArray
    fee: IntArray
    principal_received: IntArray
    interest_received: IntArray
    fee_received: IntArray


def spread(
    amounts: npt.ArrayLike,
    weights: npt.ArrayLike,
    received: npt.ArrayLike,
    part_ids: npt.ArrayLike,
    offsets: npt.ArrayLike,
) -> IntArray:
    """Spread one amount for each of ``L`` loans over its parts, by the four laws above.

    Args:
        amounts: pence to spread now, ``[L]``, at most what is left of each loan's weights.
        weights: pence due to each part in all, ``[N]``; nothing is allowed.
        received: running totals so far, pence, ``[N]``, as earlier calls left them.
        part_ids: ``[N]``, distinct inside a loan; they break ties.
        offsets: where each loan's rows start, ``[L + 1]``.

    Returns:
        Each part's share of the amount, ``int64`` pence, ``[N]``, rows as given.

    Raises:
        SpreadRefused: for an amount beyond what is left, or running totals that the rule can't
            have left.
        ShapeRefused: for floats, shapes that don't fit, or a part named twice.
    """
    ids = int_array(part_ids, "part_ids")
    due = int_array(weights, "weights", ids.shape[0])
    before = int_array(received, "received", ids.shape[0])
    starts = offsets_array(offsets, ids.shape[0])
    pence = int_array(amounts, "amounts", starts.shape[0] - 1)
    order = _by_part_id(ids, starts)
    if order is not None:
        due, before = due[order], before[order]
    shares = np.empty_like(before)
    for loans, rows in _blocks(starts):
        local = starts[loans.start : loans.stop] - rows.start
        shares[rows] = _spread_block(pence[loans], due[rows], before[rows], local) - before[rows]
    return _put_back(shares, order)


def distribute(book: PartBook, receipts: Receipts, *, fee_ppm: npt.ArrayLike) -> Distribution:
    """Spread one payment for each of ``L`` loans over their parts: principal, interest and fee.

    Interest: periods are filled oldest first, so a part's running total becomes its interest fixed
    by the last full period, plus what it already had inside the period being filled, plus its share
    of the new pennies there, spread over the period's buckets.

    Fee: a pure function of the part's interest received. With ``F`` the cumulative fee, capped at
    the cumulative interest, it is ``F(full) + floor((F(next) - F(full)) * inside / bucket)``; it
    never falls and never exceeds the interest received.

    Args:
        book: the parts and their running totals.
        receipts: what came for each loan.
        fee_ppm: servicing fee a year on outstanding principal, simple, ppm: one, or ``[L]`` (fixed
            for a loan's life, or the fee could fall).

    Raises:
        SpreadRefused: where sums don't come out, an amount is beyond what is left, or the running
            totals can't have been reached by the rule.
        InterestOutOfBounds: outside the bounds of :mod:`marketplace.core.interest`.
        ShapeRefused: for floats, shapes that don't fit, or a part named twice.
    """
    starts = offsets_array(book.offsets, int_array(book.part_id, "part_id").shape[0])
    columns = _book_columns(book)
    order = _by_part_id(columns[0], starts)
    if order is not None:
        columns = tuple(column[order] for column in columns)
    payment = _receipt_columns(receipts, starts.shape[0] - 1)
    fees = np.broadcast_to(fee_rate_e12(fee_ppm), payment[0].shape)
    totals = segment_sums(columns[1], starts)
    months = np.concatenate(payment[1:3])
    check_interest_bounds(columns[1], columns[3], months, np.tile(totals, 2))
    shares, after = ([np.empty_like(columns[0]) for _ in range(3)] for _ in range(2))
    for loans, rows in _blocks(starts):
        block = _Block(
            starts=starts[loans.start : loans.stop] - rows.start,
            totals=totals[loans],
            fees=fees[loans],
            columns=tuple(column[rows] for column in columns),
            payment=tuple(column[loans] for column in payment),
        )
        new, old = _distribute_block(block), block.columns[4:]
        # Differences are taken while both sides are in the cache.
        for share, whole, later, before in zip(shares, after, new, old, strict=True):
            whole[rows] = later
            np.subtract(later, before, out=share[rows])
    return Distribution(*(_put_back(column, order) for column in (*shares, *after)))


@dataclass(frozen=True, slots=True)
class _Block:
    """Some loans whose rows fit the cache, rows by part id; columns as in the two inputs."""

    starts: IntArray
    totals: IntArray
    fees: IntArray
    columns: tuple[IntArray, ...]
    payment: tuple[IntArray, ...]


def _distribute_block(block: _Block) -> tuple[IntArray, IntArray, IntArray]:
    """Return the new running totals of principal, interest and fee of one block's rows."""
    _, units, size, rates, principal, interest, fee = block.columns
    paid, full, following, partial, expected = block.payment
    new_principal = _spread_block(paid, size, principal, block.starts)
    counts = _counts(block.starts, units.shape[0])
    fixed, fixed_fee = _fixed(block, units, rates, full, slice(None), counts)
    new_interest, new_fee = fixed, fixed_fee
    filling = following != full
    if (partial[~filling] != 0).any() or (following < full).any():
        raise SpreadRefused("Interest was received inside a period that isn't named.")
    if filling.any():
        rows = slice(None) if filling.all() else np.flatnonzero(np.repeat(filling, counts))
        inside_counts = counts[filling]
        starts = np.cumsum(inside_counts) - inside_counts
        upper, upper_fee = _fixed(
            block, units[rows], rates[rows], following[filling], filling, inside_counts
        )
        buckets = upper - fixed[rows]
        before = np.maximum(interest[rows] - fixed[rows], 0)
        fresh = partial[filling] - np.add.reduceat(before, starts)
        inside = _spread_block(fresh, buckets, before, starts)
        step = (upper_fee - fixed_fee[rows]) * inside // np.maximum(buckets, 1)
        new_interest[rows] += inside
        new_fee[rows] += step
    _check_totals(new_interest - interest, new_fee - fee, expected, block.starts)
    return new_principal, new_interest, new_fee


def _fixed(
    block: _Block,
    units: IntArray,
    rates: IntArray,
    pence_months: IntArray,
    loans: slice | BoolArray,
    counts: IntArray,
) -> tuple[IntArray, IntArray]:
    """Return cumulative interest and capped cumulative fee of rows at their loan's ``S``."""
    totals = block.totals[loans]
    whole, rest = np.divmod(pence_months, totals)
    per_row = [np.repeat(column, counts) for column in (whole, rest, totals, block.fees[loans])]
    interest = fixed_interest(units * rates, *per_row[:3])
    return interest, np.minimum(fixed_interest(units * per_row[3], *per_row[:3]), interest)


def _check_totals(interest: IntArray, fee: IntArray, expected: IntArray, starts: IntArray) -> None:
    if (interest < 0).any() or (fee < 0).any():
        raise SpreadRefused(
            "A part has already received more than its periods say: replay the loan's payments."
        )
    if (np.add.reduceat(interest, starts) != expected).any():
        raise SpreadRefused("The interest spread over the parts isn't the interest received.")


def _spread_block(
    amounts: IntArray, weights: IntArray, received: IntArray, starts: IntArray
) -> IntArray:
    """Return new running totals; rows of a loan by part id, loans from ``starts`` on."""
    counts = _counts(starts, weights.shape[0])
    due = np.add.reduceat(weights, starts)
    target = np.add.reduceat(received, starts) + amounts
    smallest, largest = int(weights.min()), int(weights.max())
    if (amounts < 0).any() or (target > due).any() or min(smallest, int(received.min())) < 0:
        raise SpreadRefused("An amount can't be below nothing or beyond what is left.")
    if max(int(target.max()), weights.shape[0]) * largest > LARGEST_INT:
        raise SpreadRefused("The amounts to be spread are beyond what is handled exactly.")
    row_due = np.repeat(np.maximum(due, 1), counts)
    rest = np.repeat(target, counts)
    rest *= weights
    floor = rest // row_due
    # One buffer for what is in between: fresh memory costs more than computing.
    totals: IntArray = floor * row_due
    rest -= totals
    partly = rest > 0
    np.add(floor, partly, out=totals)
    if (received > totals).any():
        raise SpreadRefused("A running total is above its share: replay the loan's payments.")
    ready = received <= floor
    ready &= partly
    np.maximum(received, floor, out=totals)
    left = target - np.add.reduceat(totals, starts)
    if not left.any():
        return totals
    if (left < 0).any() or (left > np.add.reduceat(ready, starts, dtype=np.int64)).any():
        raise SpreadRefused("The running totals can't be completed: replay the loan's payments.")
    # ceil((floor + 1) * P / w) - R, without the large product
    wait = row_due
    wait -= rest
    wait -= 1
    wait //= weights if smallest else np.maximum(weights, 1)
    totals += _earliest(wait, ready, left, starts)
    return totals


def _earliest(wait: IntArray, ready: BoolArray, left: IntArray, starts: IntArray) -> BoolArray:
    """Say which rows get a penny: the first ``left`` ready ones of every loan, by wait, then row.

    Args:
        wait: how many pennies more the loan must receive before the row's next whole one, one less;
            ``[N]``, and of no meaning where the row isn't ready.
        ready: which rows may get a penny, ``[N]``.
        left: how many pennies each loan has left, at most as many as it has ready rows, ``[L]``.
        starts: where each loan's rows start, ``[L]``.
    """
    counts = _counts(starts, wait.shape[0])
    longest, even = int(counts.max()), int(counts.min()) == int(counts.max())
    row_bits = longest.bit_length()
    # One more than any wait, for rows that aren't ready.
    never = int((wait * ready).max()) + 1
    bits = row_bits + (never + 1).bit_length() + (0 if even else starts.shape[0].bit_length())
    if bits > _LONG_BITS:
        return _earliest_by_columns(wait, ready, left, starts)
    wide: type[np.signedinteger[Any]] = np.int64 if bits > _SHORT_BITS else np.int32
    # Loan, wait and row in one integer: sorting them sorts by loan, then by wait, then by row.
    key: npt.NDArray[np.signedinteger[Any]] = np.full(wait.shape[0], never, dtype=wide)
    np.copyto(key, wait, where=ready, casting="same_kind")
    if not even:
        loans = np.arange(starts.shape[0], dtype=wide) << (never + 1).bit_length()
        key += np.repeat(loans, counts)
    key <<= row_bits
    if even:
        table = key.reshape(-1, longest)
        table += np.arange(longest, dtype=wide)
        ranked = np.sort(table, axis=1).ravel()
    else:
        key += (np.arange(wait.shape[0]) - np.repeat(starts, counts)).astype(wide)
        ranked = np.sort(key)
    last = np.where(left > 0, ranked[starts + np.maximum(left, 1) - 1], -1)
    chosen: BoolArray = key <= np.repeat(last.astype(wide), counts)
    return chosen


def _earliest_by_columns(
    wait: IntArray, ready: BoolArray, left: IntArray, starts: IntArray
) -> BoolArray:
    """The same for waits so long that loan, wait and row don't fit one integer."""
    counts = _counts(starts, wait.shape[0])
    loans = np.repeat(np.arange(starts.shape[0]), counts)
    order = np.lexsort((wait, ~ready, loans))
    chosen = np.empty(wait.shape[0], dtype=np.bool_)
    chosen[order] = np.arange(wait.shape[0]) < np.repeat(starts + left, counts)
    return chosen


def _counts(starts: IntArray, rows: int) -> IntArray:
    return np.diff(starts, append=rows)


def _blocks(offsets: IntArray) -> Iterator[tuple[slice, slice]]:
    """Cut the loans into runs of about ``_BLOCK_ROWS`` rows: slices of loans and of rows."""
    loan, last = 0, offsets.shape[0] - 1
    while loan < last:
        reach = int(np.searchsorted(offsets, offsets[loan] + _BLOCK_ROWS, side="right")) - 1
        end = max(reach, loan + 1)
        yield slice(loan, end), slice(int(offsets[loan]), int(offsets[end]))
        loan = end


def _by_part_id(part_ids: IntArray, offsets: IntArray) -> IntArray | None:
    """Return the order that sorts each loan's rows by part id, or ``None`` if they are sorted."""
    rises = part_ids[1:] > part_ids[:-1]
    rises[offsets[1:-1] - 1] = True
    if rises.all():
        return None
    loans = np.repeat(np.arange(offsets.shape[0] - 1), np.diff(offsets))
    order = np.lexsort((part_ids, loans))
    sorted_ids = part_ids[order]
    if ((np.diff(sorted_ids) == 0) & (np.diff(loans) == 0)).any():
        raise ShapeRefused("A part is named twice in the same loan.", field="part_ids")
    return order


def _put_back(values: IntArray, order: IntArray | None) -> IntArray:
    if order is None:
        return values
    original = np.empty_like(values)
    original[order] = values
    return original


def _book_columns(book: PartBook) -> tuple[IntArray, ...]:
    columns = {
        "part_id": book.part_id,
        "units": book.units,
        "size": book.size,
        "monthly_e12": book.monthly_e12,
        "principal_received": book.principal_received,
        "interest_received": book.interest_received,
        "fee_received": book.fee_received,
    }
    return same_length(**columns)


def _receipt_columns(receipts: Receipts, loans: int) -> tuple[IntArray, ...]:
    columns = {
        "principal": receipts.principal,
        "full_pence_months": receipts.full_pence_months,
        "next_pence_months": receipts.next_pence_months,
        "partial_interest": receipts.partial_interest,
        "interest": receipts.interest,
    }
    return tuple(int_array(column, name, loans) for name, column in columns.items())
