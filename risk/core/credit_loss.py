"""Expected credit loss by stage (IFRS 9, section 5.5).

Stage 1: no significant increase in risk since the pay-out; losses from defaults of the next twelve
months (5.5.5). Stage 2: a significant increase; losses from defaults at any time until maturity
(5.5.3). More than 30 days past due is one (5.5.11, not rebutted here), so is forbearance, and so is
a PD that has risen far enough where the champion has scored the loan anew. Stage 3: impaired. The
house's default comes four calendar months after the oldest unpaid due date; the presumption that
default is no later than 90 days past due (B5.5.37) is not rebutted, so stage 3 begins there.

    loss = L x sum over months k of (1 - h)**(k-1) h B(k-1) v**k,    L = 1 - (1 - LGD) v**lag

with h the monthly hazard, v the monthly discount at the effective (contract) rate, B the principal
outstanding under level instalments of what is owed now. A default in month k loses the balance
before its instalment; ``1 - LGD`` of it comes back ``lag`` months later, so that at the day of
default the loss is L of it: what arrives late is worth less (B5.5.28).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from risk.core.monitoring import MonitoringRefused
from risk.core.pricing import YEAR
from risk.core.table import BoolArray, FloatArray, IntArray


class Stage(IntEnum):
    """IFRS 9's stages; 0 is for a loan that is no longer on the balance sheet."""

    NONE = 0
    PERFORMING = 1
    INCREASED = 2
    IMPAIRED = 3


ON_BALANCE = (Stage.PERFORMING, Stage.INCREASED, Stage.IMPAIRED)


@dataclass(frozen=True, slots=True)
class StageRules:
    """When a loan changes its stage.

    Stage 2 above ``arrears_days`` past due, stage 3 from ``impaired_days`` on. A PD has risen
    significantly when it is at least ``pd_ratio`` times the frozen one and ``pd_rise`` above it.
    """

    arrears_days: int = 30
    impaired_days: int = 90
    pd_ratio: float = 2.0
    pd_rise: float = 0.005


@dataclass(frozen=True, slots=True, eq=False)
class Exposures:
    """What is owed and what is assumed of it, arrays of shape ``(n,)``.

    ``balance`` is principal outstanding in pence, ``months_left`` how many instalments are still to
    fall due (1 is assumed for a loan past its last), ``monthly_rate`` the effective rate a month,
    ``hazard`` the chance to default in a month. ``loss_given_default`` is a share of the balance at
    default; the rest comes back ``recovery_lag`` months later. Of impaired loans, ``recovered``
    pence have come back in the ``months_in_default`` so far.
    """

    stage: IntArray
    balance: IntArray
    months_left: IntArray
    monthly_rate: FloatArray
    hazard: FloatArray
    loss_given_default: FloatArray
    recovery_lag: IntArray
    recovered: IntArray
    months_in_default: FloatArray


@dataclass(frozen=True, slots=True)
class StageRow:
    """Loans of a stage and band: how many, pence outstanding, pence expected to be lost."""

    stage: Stage
    band: str
    loans: int
    balance: int
    loss: int

    @property
    def coverage(self) -> float:
        """Loss as a share of the balance, 0 where nothing is owed."""
        return self.loss / self.balance if self.balance else 0.0


def stages(
    *,
    days_past_due: IntArray,
    defaulted: BoolArray,
    forborne: BoolArray,
    pd_frozen: FloatArray,
    pd_now: FloatArray,
    rules: StageRules,
) -> IntArray:
    """The stage of each loan, shape ``(n,)``; all loans are taken to be on the balance sheet.

    Args:
        days_past_due, defaulted, forborne: as of the day; forborne is in an arrangement or in
            hardship.
        pd_frozen: 12-month PDs at origination; ``pd_now``: newest ones, NaN where there is none.
    """
    with np.errstate(invalid="ignore"):
        risen = (pd_now >= rules.pd_ratio * pd_frozen) & (pd_now - pd_frozen >= rules.pd_rise)
    increased = (days_past_due > rules.arrears_days) | forborne | risen
    impaired = (days_past_due >= rules.impaired_days) | defaulted
    found = np.where(increased, int(Stage.INCREASED), int(Stage.PERFORMING))
    return np.where(impaired, int(Stage.IMPAIRED), found).astype(np.int64)


def expected_credit_loss(of: Exposures) -> IntArray:
    """Expected credit loss of each loan in whole pence, halves to even, shape ``(n,)``.

    An impaired loan has defaulted: its loss is what is owed less the recoveries still to come,
    ``1 - LGD`` of the balance at default less what came already, discounted over what is left of
    the lag. What has not come by its end is no longer expected.

    Raises:
        MonitoringRefused: for unequal lengths, a share or hazard outside 0 to 1, a balance,
            recovery or lag below 0, or a rate that is no rate.
    """
    _check(of)
    discount = 1 / (1 + of.monthly_rate)
    ahead = _before_default(of, discount)
    left = of.recovery_lag - of.months_in_default
    back = np.maximum((1 - of.loss_given_default) * (of.balance + of.recovered) - of.recovered, 0.0)
    still = np.where(left >= 0, back * discount ** np.maximum(left, 0), 0.0)
    impaired = of.balance - np.minimum(still, of.balance)
    loss = np.where(of.stage == Stage.IMPAIRED, impaired, ahead)
    return np.rint(np.where(of.stage == Stage.NONE, 0.0, loss)).astype(np.int64)


def by_stage_and_band(
    stage: IntArray, band: IntArray, bands: Sequence[str], balance: IntArray, loss: IntArray
) -> tuple[StageRow, ...]:
    """Loans added up by stage and band; cells without loans are left out.

    Args:
        stage, band, balance, loss: of each loan, shape ``(n,)``; ``band`` a place in ``bands``.
    """
    made = []
    for each in ON_BALANCE:
        for place, name in enumerate(bands):
            inside = (stage == each) & (band == place)
            if inside.any():
                sums = int(balance[inside].sum()), int(loss[inside].sum())
                made.append(StageRow(each, name, int(inside.sum()), *sums))
    return tuple(made)


def _before_default(of: Exposures, discount: FloatArray) -> FloatArray:
    """Loss from defaults within twelve months (stage 1) or until maturity (stage 2)."""
    months = np.maximum(of.months_left, 1)
    counted = np.where(of.stage == Stage.PERFORMING, np.minimum(months, YEAR), months)
    severity = 1 - (1 - of.loss_given_default) * discount**of.recovery_lag
    grown = 1 + of.monthly_rate
    level = np.where(of.monthly_rate == 0, 1.0, of.monthly_rate) / np.where(
        of.monthly_rate == 0, months, -np.expm1(-months * np.log1p(of.monthly_rate))
    )
    balance = of.balance.astype(np.float64)
    instalment = level * balance
    alive, worth = np.ones(len(balance)), discount.copy()
    lost = np.zeros(len(balance))
    for month in range(int(counted.max(initial=0))):
        lost += np.where(month < counted, alive * of.hazard * balance * worth, 0.0)
        balance = np.maximum(balance * grown - instalment, 0.0)
        alive = alive * (1 - of.hazard)
        worth = worth * discount
    return lost * severity


def _check(of: Exposures) -> None:
    arrays: list[npt.NDArray[np.generic]] = [getattr(of, name) for name in of.__slots__]
    if len({each.shape for each in arrays}) > 1:
        raise MonitoringRefused("Every loan needs all of its figures.")
    for name, share in (("hazard", of.hazard), ("loss_given_default", of.loss_given_default)):
        if not ((share >= 0) & (share <= 1)).all():
            raise MonitoringRefused("A hazard or loss must be a share from 0 to 1.", field=name)
    for name in ("balance", "recovered", "recovery_lag", "months_in_default"):
        if not (getattr(of, name) >= 0).all():
            raise MonitoringRefused("Amounts and months can't be below 0.", field=name)
    if not (np.isfinite(of.monthly_rate) & (of.monthly_rate > -1)).all():
        raise MonitoringRefused("A rate must be a finite number above -100 %.", field="rate")
