"""What monitoring looks at: the loans as they stand, and what was said of them when they were made.

Whoever keeps the loans fills these in; risk doesn't know how loans are serviced.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from risk.core.roll_rates import DayArray, Dues
from risk.core.table import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, slots=True, eq=False)
class WatchedBook:
    """Every loan paid out by ``on``, as of the end of that day; arrays of shape ``(n,)``, by id.

    ``lost_on`` is the day of default, or of a settlement or write-off; ``closed_on`` the day it was
    repaid, rescinded, or recovered in full after default (NaT for never). ``written_off`` loans,
    settled ones too, are no longer on the balance sheet; ``forborne`` ones are in an arrangement
    or in hardship. ``amount``, ``outstanding`` (principal) and ``recovered`` (principal since the
    day it was lost) are pence; ``rate_ppm`` is annual effective. ``dues`` are its instalments,
    those to come too, and its payments.
    """

    on: date
    loan: IntArray
    assessment: IntArray
    paid_out_on: DayArray
    lost_on: DayArray
    closed_on: DayArray
    written_off: BoolArray
    forborne: BoolArray
    amount: IntArray
    outstanding: IntArray
    rate_ppm: IntArray
    term_months: IntArray
    recovered: IntArray
    dues: Dues


@dataclass(frozen=True, slots=True, eq=False)
class Forecasts:
    """What was said of each loan, frozen at its assessment; arrays of shape ``(n,)``.

    ``pd_outcome`` is the PD over ``outcome_months``, ``pd12`` over twelve, ``pd12_now`` the newest
    one of the present champion (NaN where it has scored nothing anew). ``band`` is a place in
    ``bands``, safest first. ``loss_given_default`` and ``recovery_lag`` are the rate table's.
    """

    bands: tuple[str, ...]
    band: IntArray
    pd_outcome: FloatArray
    outcome_months: IntArray
    pd12: FloatArray
    pd12_now: FloatArray
    loss_given_default: FloatArray
    recovery_lag: IntArray
