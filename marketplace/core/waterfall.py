"""The waterfall: what a payment settles, oldest instalment first, interest before principal.

A payment fills the loan's open instalments in order of number; inside an instalment its interest
comes before its principal. What is left over when all are settled stays unallocated (kept for the
borrower). Vectorised over loans: each instalment is two slots in a row, interest and principal, and
a running sum says how much of the payment reaches each slot.
Source: the house design, "A loan's life"; ``docs/servicing.md``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from marketplace.core.arrays import IntArray, int_array
from marketplace.core.errors import ShapeRefused, SpreadRefused


@dataclass(frozen=True, slots=True)
class OpenInstalments:
    """The instalments of ``L`` loans that are due and not settled, ``M`` rows, by loan and number.

    Attributes:
        number: ``int64 [M]``, the instalment's number, rising inside a loan.
        interest_due, principal_due: ``[M]``, pence.
        interest_paid, principal_paid: ``[M]``, pence paid by earlier payments.
        offsets: ``[L + 1]``, where each loan's rows start; a loan may have none.
    """

    number: IntArray
    interest_due: IntArray
    principal_due: IntArray
    interest_paid: IntArray
    principal_paid: IntArray
    offsets: IntArray


@dataclass(frozen=True, slots=True)
class Allocation:
    """What one payment for each loan settles.

    Attributes:
        interest, principal: ``int64 [M]``, pence of this payment for each open instalment.
        unallocated: ``[L]``, pence of each payment that nothing was due for.
    """

    interest: IntArray
    principal: IntArray
    unallocated: IntArray


def waterfall(instalments: OpenInstalments, amounts: npt.ArrayLike) -> Allocation:
    """Allocate one payment for each of ``L`` loans to its open instalments.

    Args:
        instalments: what is open.
        amounts: pence received, ``[L]``.

    Raises:
        SpreadRefused: for an amount below nothing, or an instalment paid beyond what it was.
        ShapeRefused: for floats, shapes that don't fit, or numbers that don't rise.
    """
    offsets = _checked_offsets(instalments)
    pence = int_array(amounts, "amounts", offsets.shape[0] - 1)
    slots = _open_slots(instalments)
    if (pence < 0).any() or (slots < 0).any():
        raise SpreadRefused("A payment can't be below nothing, nor an instalment overpaid.")
    running = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(slots.ravel())])
    at_loan = running[2 * offsets[:-1]]
    counts = np.diff(offsets)
    ahead = running[:-1] - np.repeat(at_loan, 2 * counts)
    reaches = np.repeat(pence, 2 * counts) - ahead
    settled = np.clip(reaches, 0, slots.ravel()).reshape(-1, 2)
    opened = running[2 * offsets[1:]] - at_loan
    return Allocation(
        interest=settled[:, 0].copy(),
        principal=settled[:, 1].copy(),
        unallocated=np.maximum(pence - opened, 0),
    )


def _open_slots(instalments: OpenInstalments) -> IntArray:
    """Return what is left of each instalment, ``[M, 2]``: interest, then principal."""
    rows = instalments.number.shape[0]
    due_interest = int_array(instalments.interest_due, "interest_due", rows)
    due_principal = int_array(instalments.principal_due, "principal_due", rows)
    paid_interest = int_array(instalments.interest_paid, "interest_paid", rows)
    paid_principal = int_array(instalments.principal_paid, "principal_paid", rows)
    return np.stack([due_interest - paid_interest, due_principal - paid_principal], axis=1)


def _checked_offsets(instalments: OpenInstalments) -> IntArray:
    numbers = int_array(instalments.number, "number")
    offsets = int_array(instalments.offsets, "offsets")
    fits = offsets.size > 0 and offsets[0] == 0 and offsets[-1] == numbers.shape[0]
    if not fits or (np.diff(offsets) < 0).any():
        raise ShapeRefused("offsets must rise from 0 to the number of instalments.")
    rises = np.diff(numbers) > 0
    inner = offsets[(offsets > 0) & (offsets < numbers.shape[0])]
    rises[inner - 1] = True
    if not rises.all():
        raise ShapeRefused("Instalments must come by loan and rising number.", field="number")
    return offsets
