"""What pricing assumes: losses and fees, prepayment, the fund's buffer, how hazards age."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from risk.core.errors import PricingRefused
from risk.core.pricing_rates import LONGEST_MONTHS, YEAR
from risk.core.table import FloatArray

LONGEST_LAG = 120


@dataclass(frozen=True, slots=True)
class LossTerms:
    """What is assumed of losses and fees, as shares.

    ``loss_given_default`` of the balance is lost when a loan goes bad; the rest comes back
    ``recovery_lag_months`` later. ``servicing_fee`` is a year's, of the outstanding balance; a
    twelfth is kept from each month's interest, never more than that interest.

    Raises:
        PricingRefused: for a share outside 0 to 1, or a lag outside 0 to 120 months.
    """

    loss_given_default: float
    recovery_lag_months: int
    servicing_fee: float

    def __post_init__(self) -> None:
        _share(self.loss_given_default, "loss_given_default")
        _share(self.servicing_fee, "servicing_fee")
        if not 0 <= self.recovery_lag_months <= LONGEST_LAG:
            raise PricingRefused(
                f"The recovery lag must be from 0 to {LONGEST_LAG} months.",
                field="recovery_lag_months",
            )


@dataclass(frozen=True, slots=True)
class HazardShape:
    """How the hazard moves with a loan's age: ``weights`` of months 1, 2, ...; the last goes on.

    The chance to go bad in month t is h(t) = 1 - exp(-k s(t)), with s the weights scaled so that
    they add up to ``kept_months`` over the first ``kept_months`` months. With
    k = -log(1 - PD12) / 12 the PD over ``kept_months`` (those that the data's outcome covers) is
    what a constant hazard gives; equal weights are the constant hazard.

    Raises:
        PricingRefused: for no weights, a negative one, one that is not finite, or none above zero
            within the months kept.
    """

    weights: tuple[float, ...]
    kept_months: int

    def __post_init__(self) -> None:
        if not 1 <= self.kept_months <= LONGEST_MONTHS:
            raise PricingRefused(
                f"The months over which a PD is kept must be from 1 to {LONGEST_MONTHS}.",
                field="kept_months",
            )
        if not self.weights or not all(math.isfinite(w) and w >= 0 for w in self.weights):
            raise PricingRefused(
                "A hazard's weights must be one or more finite numbers of 0 or more.",
                field="weights",
            )
        if not sum(self.weights[: self.kept_months]) > 0:
            raise PricingRefused(
                "A hazard's weights must not all be zero in the months over which the PD is kept.",
                field="weights",
            )

    def over(self, months: int) -> FloatArray:
        """The scaled weights s(1) to s(months), shape ``(months,)``."""
        longest = max(months, self.kept_months)
        given = np.asarray(self.weights[:longest], dtype=np.float64)
        weights = np.concatenate([given, np.full(longest - len(given), given[-1])])
        scaled: FloatArray = weights * (self.kept_months / weights[: self.kept_months].sum())
        return scaled[:months]


@dataclass(frozen=True, slots=True)
class PricingTerms:
    """All that pricing assumes.

    ``prepayment`` is the share of loans repaid early in a year, at par, at the end of a month.
    ``buffer`` is what a provision contribution adds to the expected loss, as a share of it.
    Without a ``shape`` the hazard is the same in every month.

    Raises:
        PricingRefused: for prepayment outside 0 to 1 (1 excluded), or a negative buffer.
    """

    losses: LossTerms
    prepayment: float = 0.0
    buffer: float = 0.0
    shape: HazardShape | None = None

    def __post_init__(self) -> None:
        _share(self.prepayment, "prepayment")
        if self.prepayment == 1:
            raise PricingRefused("Not all loans can be repaid early at once.", field="prepayment")
        if not (math.isfinite(self.buffer) and self.buffer >= 0):
            raise PricingRefused("A buffer must be a finite number of 0 or more.", field="buffer")

    @property
    def monthly_prepayment(self) -> float:
        """The share of paying loans that is repaid early at the end of a month."""
        return -math.expm1(math.log1p(-self.prepayment) / YEAR)

    @property
    def monthly_fee(self) -> float:
        """The servicing fee of a month, as a share of the opening balance."""
        return self.losses.servicing_fee / YEAR


def _share(value: float, field: str) -> None:
    if not 0 <= value <= 1:
        raise PricingRefused(f"{field} must be a share from 0 to 1.", field=field)
