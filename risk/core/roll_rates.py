"""Roll rates: how loans move between arrears buckets from one month-end to the next.

Days past due at past month-ends are rebuilt from what fell due and what was received: payments
fill instalments oldest first, so the oldest unpaid one is the first whose running sum of what is
due lies above the running sum of what was paid.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import IntEnum

import numpy as np
import numpy.typing as npt
from scipy.stats import fisher_exact

from risk.core.monitoring import MonitoringRefused
from risk.core.table import FloatArray, IntArray
from risk.core.validation import wilson_interval

DayArray = npt.NDArray[np.datetime64]

WINDOW_MONTHS = 12
OFF_BOOK = -1
_LAST_DAYS = (0, 30, 60, 90, 120)


class Bucket(IntEnum):
    """Where a loan stands at a month-end, from best to worst, then what has left the book whole."""

    CURRENT = 0
    DAYS_1_30 = 1
    DAYS_31_60 = 2
    DAYS_61_90 = 3
    DAYS_91_120 = 4
    DEFAULT = 5
    REPAID = 6

    @property
    def label(self) -> str:
        """For people."""
        return _LABELS[self]


_LABELS = {
    Bucket.CURRENT: "current",
    Bucket.DAYS_1_30: "1-30",
    Bucket.DAYS_31_60: "31-60",
    Bucket.DAYS_61_90: "61-90",
    Bucket.DAYS_91_120: "91-120",
    Bucket.DEFAULT: "over 120 or default",
    Bucket.REPAID: "repaid",
}
# Buckets from which a loan can still get worse.
ROLLING = tuple(bucket for bucket in Bucket if bucket < Bucket.DEFAULT)


@dataclass(frozen=True, slots=True, eq=False)
class Dues:
    """What fell due and what was received of ``n`` loans, rows in any order.

    ``due_loan`` and ``paid_loan`` are places of loans (0 to n - 1); days are ``datetime64[D]``;
    amounts are pence, at least 0.
    """

    loans: int
    due_loan: IntArray
    due_on: DayArray
    due: IntArray
    paid_loan: IntArray
    paid_on: DayArray
    paid: IntArray


@dataclass(frozen=True, slots=True)
class Roll:
    """The moves from one bucket to another within a window.

    ``count`` of the ``of`` loan-months that began in ``before`` ended in ``after``; ``low`` and
    ``high`` are the 95 % Wilson interval of the share. ``share_before`` is the share in the window
    before, none when nothing began there.
    """

    before: Bucket
    after: Bucket
    count: int
    of: int
    share: float
    low: float
    high: float
    share_before: float | None


@dataclass(frozen=True, slots=True)
class Worsening:
    """Loan-months that began in a bucket and ended in a worse one, beside the window before.

    ``chance`` is Fisher's exact two-sided chance of so large a difference, 1 without a comparison.
    """

    bucket: Bucket
    worse: int
    of: int
    worse_before: int
    of_before: int
    chance: float


def month_ends(on: date, months: int) -> DayArray:
    """The last days of the ``months`` calendar months that have ended by ``on``, and one before.

    Returns:
        Ascending days, shape ``(months + 1,)``.

    Raises:
        MonitoringRefused: for fewer than one month.
    """
    if months < 1:
        raise MonitoringRefused("A window has one month at least.", field="months")
    day = np.datetime64(on, "D")
    # A month has ended on its last day: the day after lies in the next month.
    running = (day + 1).astype("datetime64[M]")
    firsts = running - np.arange(months, -1, -1)
    ends: DayArray = firsts.astype("datetime64[D]") - 1
    return ends


def days_past_due(dues: Dues, days: DayArray) -> IntArray:
    """Days since each loan's oldest unpaid due date at the end of each day; 0 when none is unpaid.

    An instalment due on the day itself is not past due. Time and memory grow with loans x days.

    Args:
        days: ascending, shape ``(T,)``.

    Returns:
        Shape ``(loans, T)``.

    Raises:
        MonitoringRefused: for a place, an amount or a day that doesn't fit.
    """
    _check(dues)
    order = np.lexsort((dues.due_on, dues.due_loan))
    loan, due_on, due = dues.due_loan[order], dues.due_on[order], dues.due[order]
    owed = _running(loan, due, dues.loans)
    paid = _paid_by(dues, days)
    # One sorted axis for all loans: each loan's running sums above those of the loans before it.
    width = int(max(owed.max(initial=0), paid.max(initial=0))) + 2
    keys = loan * width + owed
    wanted = np.arange(dues.loans)[:, None] * width + paid
    first = np.searchsorted(keys, wanted, side="right")
    ends = np.searchsorted(loan, np.arange(dues.loans), side="right")[:, None]
    unpaid = np.append(due_on, np.datetime64("NaT", "D"))[first]
    late = (days[None, :] - unpaid).astype(np.int64)
    return np.where(first < ends, np.maximum(late, 0), 0)


def bucket_of_days(late: IntArray) -> IntArray:
    """The bucket of each number of days past due, of any shape."""
    return np.searchsorted(np.array(_LAST_DAYS), late, side="left").astype(np.int64)


def buckets(
    late: IntArray, days: DayArray, paid_out_on: DayArray, lost_on: DayArray, closed_on: DayArray
) -> IntArray:
    """Each loan's bucket at each day, :data:`OFF_BOOK` before its pay-out, shape ``(loans, T)``.

    Args:
        late: days past due, shape ``(loans, T)``.
        days: shape ``(T,)``.
        paid_out_on, lost_on, closed_on: of each loan, shape ``(loans,)``; NaT for never. Closed is
            repaid in full, recovered after default, or rescinded.
    """
    at = days[None, :]
    found = np.where(lost_on[:, None] <= at, int(Bucket.DEFAULT), bucket_of_days(late))
    found = np.where(closed_on[:, None] <= at, int(Bucket.REPAID), found)
    return np.where(paid_out_on[:, None] <= at, found, OFF_BOOK).astype(np.int64)


def transitions(places: IntArray) -> IntArray:
    """How many loan-months went from each bucket (row) to each (column), shape ``(7, 7)``.

    Args:
        places: buckets of each loan at successive month-ends, shape ``(loans, T)``. A loan that
            was repaid stays so, and isn't counted again.
    """
    size = len(Bucket)
    before, after = places[:, :-1].ravel(), places[:, 1:].ravel()
    seen = (before >= 0) & (after >= 0) & (before != Bucket.REPAID)
    counts = np.bincount(before[seen] * size + after[seen], minlength=size * size)
    return counts.reshape(size, size).astype(np.int64)


def roll_rates(now: IntArray, before: IntArray) -> tuple[Roll, ...]:
    """Every move that happened in either window, with its share, interval and former share.

    Args:
        now, before: counts of two windows, shape ``(7, 7)``.
    """
    totals, former = now.sum(axis=1), before.sum(axis=1)
    made = []
    for start in Bucket:
        for end in Bucket:
            count, of, was = int(now[start, end]), int(totals[start]), int(former[start])
            if not count and not before[start, end]:
                continue
            low, high = wilson_interval(count, of)
            share_before = float(before[start, end]) / was if was else None
            share = count / of if of else 0.0
            made.append(Roll(start, end, count, of, share, low, high, share_before))
    return tuple(made)


def worsenings(now: IntArray, before: IntArray) -> tuple[Worsening, ...]:
    """For each bucket, how many loan-months got worse, and whether more or fewer than before.

    Args:
        now, before: counts of two windows, shape ``(7, 7)``.
    """
    made = []
    for bucket in ROLLING:
        worse = slice(bucket + 1, Bucket.DEFAULT + 1)
        new, new_of = int(now[bucket, worse].sum()), int(now[bucket].sum())
        old, old_of = int(before[bucket, worse].sum()), int(before[bucket].sum())
        chance = 1.0
        if new_of and old_of:
            table = np.array([[new, new_of - new], [old, old_of - old]])
            chance = min(1.0, float(fisher_exact(table).pvalue))
        made.append(Worsening(bucket, new, new_of, old, old_of, chance))
    return tuple(made)


def default_chances(counts: IntArray, months: int) -> FloatArray:
    """Chance to be in default within ``months`` from each bucket, if moves go on as counted.

    A Markov chain of the buckets, in which default and repayment are ends; a bucket that no
    loan-month began in stays where it is. Shape ``(7,)``.

    Raises:
        MonitoringRefused: for fewer than no months.
    """
    if months < 0:
        raise MonitoringRefused("Months can't be below 0.", field="months")
    matrix = np.eye(len(Bucket))
    totals = counts.sum(axis=1)
    for bucket in ROLLING:
        if totals[bucket]:
            matrix[bucket] = counts[bucket] / totals[bucket]
    reached: FloatArray = np.linalg.matrix_power(matrix, months)[:, Bucket.DEFAULT]
    return np.clip(reached, 0.0, 1.0)


def _check(dues: Dues) -> None:
    for loan, day, amount in (
        (dues.due_loan, dues.due_on, dues.due),
        (dues.paid_loan, dues.paid_on, dues.paid),
    ):
        if not len(loan) == len(day) == len(amount):
            raise MonitoringRefused("Each amount needs its loan and its day.", field="loan")
        if len(loan) and not 0 <= int(loan.min()) <= int(loan.max()) < dues.loans:
            raise MonitoringRefused("An amount names a loan that is not there.", field="loan")
        if (amount < 0).any() or np.isnat(day).any():
            raise MonitoringRefused("An amount is below 0, or its day is missing.", field="amount")


def _running(loan: IntArray, amount: IntArray, loans: int) -> IntArray:
    """Running sums inside each loan; rows by loan."""
    sums = np.cumsum(amount)
    starts = np.searchsorted(loan, np.arange(loans), side="left")
    ahead = np.concatenate([np.zeros(1, dtype=np.int64), sums])[starts]
    running: IntArray = sums - ahead[loan]
    return running


def _paid_by(dues: Dues, days: DayArray) -> IntArray:
    """Pence received of each loan by the end of each day, shape ``(loans, T)``."""
    places = np.searchsorted(days, dues.paid_on, side="left")
    counted = places < len(days)
    cells = dues.paid_loan[counted] * len(days) + places[counted]
    # Whole pence below 2**53 are exact in the float weights of a bincount.
    sums = np.bincount(cells, weights=dues.paid[counted], minlength=dues.loans * len(days))
    received: IntArray = np.cumsum(
        sums.reshape(dues.loans, len(days)).astype(np.int64), axis=1, dtype=np.int64
    )
    return received
