"""What the provision fund pays of claims: all, or one proportion of each, never more than it has.

A claim is what a covered loan in default has not paid its lenders: principal and overdue interest.
Nobody has a right to be paid. Whoever decides names a proportion, or lets the fund go as far as it
can; what is left of a claim may be paid later.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from accounts.core.money import split
from marketplace.core.arrays import IntArray, same_length, whole
from marketplace.core.errors import MarketplaceRefusal, ShapeRefused

PPM = 1_000_000


class FundRefused(MarketplaceRefusal):
    """A decision on claims that the fund can't carry out."""

    code = "FUND_REFUSED"


class FundTooSmall(MarketplaceRefusal):
    """More is asked of the fund than it has; ``most_ppm`` is the largest proportion it can pay."""

    code = "FUND_TOO_SMALL"

    def __init__(self, message: str, *, most_ppm: int, field: str | None = None) -> None:
        super().__init__(message, field=field)
        self.most_ppm = most_ppm


class ClaimState(StrEnum):
    """Where a claim on the fund stands; what is unpaid may still be decided in every state."""

    PROPOSED = "proposed"
    PAID_IN_PART = "paid_in_part"
    PAID = "paid"
    DECLINED = "declined"


@dataclass(frozen=True, slots=True, eq=False)
class FundPay:
    """What the fund pays of ``n`` claims, in whole pence.

    Attributes:
        principal, interest: ``int64 [n]``, each at most what is claimed and within a penny of its
            exact proportion.
        proportion_ppm: the one proportion, of every claim.
    """

    principal: IntArray
    interest: IntArray
    proportion_ppm: int

    @property
    def total(self) -> int:
        """All that is paid, pence."""
        return int(self.principal.sum() + self.interest.sum())


def pay_claims(
    principal: npt.ArrayLike,
    interest: npt.ArrayLike,
    *,
    balance: int,
    proportion_ppm: int | None = None,
) -> FundPay:
    """Return what the fund pays of each claim.

    The total is the proportion of all claims together, rounded down, and is split over them to the
    penny. Without a proportion it is the largest one, in whole parts per million, that the fund's
    balance allows, and at most all.

    Args:
        principal, interest: what is unpaid of each claim, pence, ``[n]``.
        balance: what the fund has, pence.
        proportion_ppm: 0 to 1,000,000 of each claim, or as far as the fund goes.

    Raises:
        FundRefused: a proportion outside 0 to 1,000,000, amounts below nothing, nothing claimed,
            or as far as the fund goes while that is nothing.
        FundTooSmall: the proportion comes to more than the balance.
        ShapeRefused: for floats, or claims without either figure.
    """
    owed, overdue = same_length(principal=principal, interest=interest)
    weights = np.concatenate([owed, overdue])
    if (weights < 0).any() or balance < 0:
        raise FundRefused("Claims and the fund's balance can't be below nothing.", field="claims")
    if proportion_ppm is not None and not (whole(proportion_ppm) and 0 <= proportion_ppm <= PPM):
        raise FundRefused(
            f"A proportion lies from 0 to {PPM:,} parts per million, not {proportion_ppm}.",
            field="proportion",
        )
    total = sum(weights.tolist())
    if total == 0:
        raise FundRefused("Nothing is unpaid of these claims.", field="claims")
    most = min(PPM, balance * PPM // total)
    chosen = most if proportion_ppm is None else proportion_ppm
    pot = total * chosen // PPM
    if proportion_ppm is None and pot == 0:
        raise FundRefused(
            "The fund has nothing to pay these claims with: let them wait, or decide 0.",
            field="proportion",
        )
    if pot > balance:
        raise FundTooSmall(
            f"The fund has {balance} pence, and this would take {pot}: at most {most} parts per"
            " million of these claims can be paid.",
            most_ppm=most,
            field="proportion",
        )
    paid = split(pot, weights)
    return FundPay(paid[: len(owed)], paid[len(owed) :], chosen)


def state_after(unpaid: int, paid_in_all: int) -> ClaimState:
    """Return a claim's state after a decision.

    Args:
        unpaid: pence of it that its lenders still lack.
        paid_in_all: pence that the fund has paid of it, by all decisions.
    """
    if unpaid == 0:
        return ClaimState.PAID
    return ClaimState.PAID_IN_PART if paid_in_all else ClaimState.DECLINED


def recoveries_to_come(
    paid: npt.ArrayLike,
    owned: npt.ArrayLike,
    loss_given_default: npt.ArrayLike,
    months_in_default: npt.ArrayLike,
    recovery_lag: npt.ArrayLike,
) -> IntArray:
    """Return the pence that claims owned by the fund are expected to bring yet, ``[n]``.

    The frozen forecast has ``1 - LGD`` of a claim come back by the end of its lag. What has come is
    taken off, and what has not come by then is no longer expected.

    Args:
        paid: pence that the fund has paid of each claim, or would pay of one that waits.
        owned: pence of it that are not recovered yet, at most ``paid``.
        loss_given_default: shares, 0 to 1.
        months_in_default: whole months since the default.
        recovery_lag: months.

    Raises:
        ShapeRefused: for floats, lengths that differ, or more owned than was paid.
    """
    given, left = same_length(paid=paid, owned=owned)
    if (left < 0).any() or (left > given).any():
        raise ShapeRefused("A fund owns at most what it paid, and nothing below 0.", field="owned")
    back = np.floor(np.round((1 - np.asarray(loss_given_default, dtype=np.float64)) * given, 6))
    still = np.maximum(back.astype(np.int64) - (given - left), 0)
    in_time = np.asarray(months_in_default) <= np.asarray(recovery_lag)
    expected: IntArray = np.where(in_time, np.minimum(still, left), 0)
    return expected
