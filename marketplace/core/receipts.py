"""What a distribution fills, told from what lenders had of a loan before it.

Interest periods are filled oldest first, so how much interest lenders have had in all says which
periods are full and which one is being filled. That holds whoever paid (the borrower, or the
provision fund) and whatever a recovery cost. Source: the house design, "A loan's life".
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from marketplace.core.arrays import IntArray, int_array, segment_sums
from marketplace.core.distribution import Receipts
from marketplace.core.errors import ShapeRefused, SpreadRefused


def receipts_of_totals(
    *,
    principal: npt.ArrayLike,
    interest: npt.ArrayLike,
    interest_before: npt.ArrayLike,
    interest_due: npt.ArrayLike,
    pence_months: npt.ArrayLike,
    offsets: npt.ArrayLike,
) -> Receipts:
    """Return what :func:`marketplace.core.distribution.distribute` spreads, for ``L`` loans.

    A period without interest counts as full once all before it are.

    Args:
        principal: pence of this distribution that repay the lenders' principal, ``[L]``.
        interest: pence of it that are the lenders' interest, gross of the servicing fee, ``[L]``.
        interest_before: pence of interest that lenders have had in all before it, ``[L]``.
        interest_due: the interest of every instalment row that has fallen due, paid or not, in the
            order of their numbers, pence, ``[M]``.
        pence_months: ``S`` as of each of those rows, ``[M]``.
        offsets: where each loan's rows start, ``[L + 1]``; a loan may have none.

    Raises:
        SpreadRefused: for amounts below nothing, more interest than has fallen due, or an ``S``
            that falls.
        ShapeRefused: for floats or shapes that don't fit.
    """
    due = int_array(interest_due, "interest_due")
    months = int_array(pence_months, "pence_months", due.shape[0])
    starts = _offsets(offsets, due.shape[0])
    loans = starts.shape[0] - 1
    paid = int_array(principal, "principal", loans)
    fresh = int_array(interest, "interest", loans)
    before = int_array(interest_before, "interest_before", loans)
    _check_amounts(due, months, starts, (paid, fresh, before))
    running = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(due)])
    at_loan = running[starts[:-1]]
    reached = at_loan + before + fresh
    if (reached > running[starts[1:]]).any():
        raise SpreadRefused("More interest would be spread than has fallen due.", field="interest")
    counts = np.diff(starts)
    full = running[1:] <= np.repeat(reached, counts)
    filled = starts[:-1] + segment_sums(full.astype(np.int64), starts)
    partial = reached - running[filled]
    padded = np.append(months, 0)
    last_full = np.where(filled > starts[:-1], padded[filled - 1], 0)
    return Receipts(
        principal=paid,
        full_pence_months=last_full,
        next_pence_months=np.where(partial > 0, padded[filled], last_full),
        partial_interest=partial,
        interest=fresh,
    )


def _offsets(values: npt.ArrayLike, rows: int) -> IntArray:
    offsets = int_array(values, "offsets")
    fits = offsets.size > 0 and offsets[0] == 0 and offsets[-1] == rows
    if not fits or (np.diff(offsets) < 0).any():
        raise ShapeRefused(
            f"offsets must rise from 0 to the number of instalments, {rows}.", field="offsets"
        )
    return offsets


def _check_amounts(
    due: IntArray, months: IntArray, offsets: IntArray, amounts: tuple[IntArray, ...]
) -> None:
    if any((column < 0).any() for column in (due, months, *amounts)):
        raise SpreadRefused("Interest, principal and pence-months can't be below nothing.")
    falls = np.diff(months) < 0
    inner = offsets[(offsets > 0) & (offsets < months.shape[0])]
    falls[inner - 1] = False
    if falls.any():
        raise SpreadRefused("A loan's pence-months can't fall.", field="pence_months")
