"""Predicted against actual defaults by cohort, with the chance of so many or so few.

A loan whose frozen PD over ``M`` months is ``p`` has defaulted after ``t`` months on the book with
chance ``1 - (1 - p)**(t / M)``: the constant hazard that it was priced at. ``t`` stops at repayment
and at the end of the term; a default doesn't stop it, since its chance is the one of having
defaulted by now. The number of defaults of a cohort is then a sum of unequal yes-or-no draws
(Poisson-binomial), whose distribution is computed exactly, by multiplying the loans' generating
functions pairwise (Hong, 2013, "On computing the distribution function for the Poisson binomial
distribution"). The amount in default has a distribution of the same kind, on a grid.

What is found in many cohorts at once needs a stricter limit than what is found in one: Holm's
procedure (1979) holds the chance of even one false alarm among them, however they depend on each
other. Cohorts overlap (a vintage holds its bands), so nothing that assumes independence would do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from scipy.signal import fftconvolve
from scipy.special import ndtr

from risk.core.errors import RiskRefusal
from risk.core.table import BoolArray, FloatArray, IntArray

FALSE_ALARM_RATE = 0.05
DAYS_A_MONTH = 365.25 / 12
# The amount in default is spread over about so many steps; beyond so many loans it is normal.
_AMOUNT_STEPS = 1_000
_MOST_EXACT_AMOUNTS = 2_000
# Below this the products' rounding speaks, not the loans.
_ROUNDING = 1e-14


class MonitoringRefused(RiskRefusal):
    """Loans, chances or months that can't be watched."""

    code: ClassVar[str] = "RISK_MONITORING_REFUSED"


class Finding(Enum):
    """What a cohort's outcome says of its prediction."""

    AS_EXPECTED = "as expected"
    TOO_MANY = "too many"
    TOO_FEW = "too few"


@dataclass(frozen=True, slots=True)
class Tail:
    """Chances of at most, and of at least, what was seen; and of something as far out."""

    lower: float
    upper: float

    @property
    def two_sided(self) -> float:
        """Twice the smaller tail, at most 1."""
        return min(1.0, 2 * min(self.lower, self.upper))


@dataclass(frozen=True, slots=True)
class Cohort:
    """Predicted against actual of the loans of a vintage and band; an empty name means all.

    ``expected`` are defaults by now, ``actual`` those seen; 95 of 100 such cohorts would have
    ``low`` to ``high``, were the prediction true. Amounts are pence lent. ``chance`` and
    ``amount_chance`` are two-sided. ``mature`` when every loan was paid out at least as long ago as
    its forecast reaches: before that too few defaults are no news, since they are counted late.
    """

    vintage: str
    band: str
    loans: int
    expected: float
    low: int
    high: int
    actual: int
    chance: float
    amount: int
    expected_amount: float
    actual_amount: int
    amount_chance: float
    mature: bool
    finding: Finding

    @property
    def key(self) -> str:
        """For programs: vintage and band, a star for all."""
        return f"{self.vintage or '*'}/{self.band or '*'}"

    @property
    def name(self) -> str:
        """For people."""
        if not self.vintage and not self.band:
            return "all loans"
        band = f"band {self.band}" if self.band else "all bands"
        return f"{band}, paid out {self.vintage}" if self.vintage else f"{band}, all vintages"


@dataclass(frozen=True, slots=True, eq=False)
class Outcomes:
    """Loans with what was said of them and what came, arrays of shape ``(n,)``.

    ``vintage`` and ``band`` are places in ``vintages`` and ``bands``; ``chance`` that of default by
    now; ``amount`` pence; ``mature`` whether the loan is as old as its forecast reaches.
    """

    vintages: tuple[str, ...]
    bands: tuple[str, ...]
    vintage: IntArray
    band: IntArray
    chance: FloatArray
    defaulted: BoolArray
    amount: IntArray
    mature: BoolArray


def months_on_book(paid_out_on: npt.ArrayLike, until: npt.ArrayLike) -> FloatArray:
    """Months between days (twelve to 365.25 days), one day at least; any shapes that broadcast.

    Raises:
        MonitoringRefused: for a day that is missing.
    """
    first = np.asarray(paid_out_on, dtype="datetime64[D]")
    last = np.asarray(until, dtype="datetime64[D]")
    if np.isnat(first).any() or np.isnat(last).any():
        raise MonitoringRefused("A day of pay-out, or the day counted to, is missing.", field="day")
    days = (last - first).astype(np.int64)
    months: FloatArray = np.maximum(days, 1) / DAYS_A_MONTH
    return months


def chance_by_now(
    pd_outcome: npt.ArrayLike, outcome_months: npt.ArrayLike, months: npt.ArrayLike
) -> FloatArray:
    """Chance of default within ``months`` of a PD over ``outcome_months``, at a constant hazard.

    Raises:
        MonitoringRefused: for a PD outside 0 to 1 (1 excluded), outcome months below 1, or months
            below 0.
    """
    chance = np.asarray(pd_outcome, dtype=np.float64)
    reach = np.asarray(outcome_months, dtype=np.float64)
    time = np.asarray(months, dtype=np.float64)
    if not ((chance >= 0) & (chance < 1)).all():
        raise MonitoringRefused("A frozen PD must be at least 0 and below 1.", field="pd")
    if not (np.isfinite(reach) & (reach >= 1)).all() or not (np.isfinite(time) & (time >= 0)).all():
        raise MonitoringRefused("Months must be finite, and not below 0.", field="months")
    by_now: FloatArray = -np.expm1(np.log1p(-chance) * (time / reach))
    return by_now


def default_distribution(chances: npt.ArrayLike) -> FloatArray:
    """Chances of 0 to n defaults among n loans, shape ``(n + 1,)``; exact to about 1e-15.

    Raises:
        MonitoringRefused: for a chance outside 0 to 1.
    """
    known = np.sort(_chances(chances))
    size = 1 << max(len(known) - 1, 0).bit_length()
    padded = np.concatenate([known, np.zeros(size - len(known))])
    each = np.stack([1 - padded, padded], axis=1)
    while len(each) > 1:
        each = fftconvolve(each[0::2], each[1::2], axes=1)
    distribution = np.clip(each[0, : len(known) + 1], 0.0, None)
    normed: FloatArray = distribution / distribution.sum()
    return normed


def count_tail(chances: npt.ArrayLike, actual: int) -> Tail:
    """Tail chances of a number of defaults among loans of these chances.

    Raises:
        MonitoringRefused: for a chance outside 0 to 1, or more defaults than loans.
    """
    return _count_tail(default_distribution(chances), actual)


def _count_tail(distribution: FloatArray, actual: int) -> Tail:
    if not 0 <= actual < len(distribution):
        raise MonitoringRefused("There can't be more defaults than loans.", field="actual")
    return _tail(distribution, actual)


def central_range(distribution: FloatArray, share: float = 0.95) -> tuple[int, int]:
    """Least and most of the central ``share`` of a distribution over 0, 1, 2 and so on."""
    below = np.cumsum(distribution)
    side = (1 - share) / 2
    low, high = np.searchsorted(below, [side + _ROUNDING, 1 - side - _ROUNDING], side="left")
    return int(low), int(min(high, len(distribution) - 1))


def amount_tail(chances: npt.ArrayLike, amounts: npt.ArrayLike, defaulted: npt.ArrayLike) -> Tail:
    """Tail chances of the amount in default.

    Amounts are rounded to steps of about a thousandth of their sum, so that equal amounts give
    exactly the chances of the number of defaults; above 2,000 loans the normal distribution of the
    same mean and variance stands in.

    Args:
        chances, amounts, defaulted: of each loan, shape ``(n,)``; amounts in pence.

    Raises:
        MonitoringRefused: for a chance outside 0 to 1, an amount below 0, or unequal lengths.
    """
    known = _chances(chances)
    pence = np.asarray(amounts, dtype=np.int64)
    bad = np.asarray(defaulted, dtype=np.bool_)
    if not len(known) == len(pence) == len(bad) or (pence < 0).any():
        raise MonitoringRefused("Each loan needs a chance and an amount.", field="amount")
    if len(known) > _MOST_EXACT_AMOUNTS:
        mean = float(known @ pence)
        spread = float(np.sqrt((known * (1 - known)) @ np.square(pence, dtype=np.float64)))
        away = (float(pence[bad].sum()) - mean) / max(spread, 1e-300)
        return Tail(float(ndtr(away)), float(ndtr(-away)))
    step = max(1, -(-int(pence.sum()) // _AMOUNT_STEPS))
    steps = np.rint(pence / step).astype(np.int64)
    distribution = np.zeros(int(steps.sum()) + 1)
    distribution[0] = 1.0
    order = np.lexsort((steps, known))
    for chance, wide in zip(known[order].tolist(), steps[order].tolist(), strict=True):
        moved = distribution[: len(distribution) - wide] * chance
        distribution *= 1 - chance
        distribution[wide:] += moved
    return _tail(distribution, int(steps[bad].sum()))


def holm(chances: npt.ArrayLike, rate: float = FALSE_ALARM_RATE) -> BoolArray:
    """Which of several tests speak, the chance of even one false alarm held at ``rate``.

    In order of their chances the k-th smallest of n must be at most ``rate / (n - k + 1)``, and all
    before it, too (Holm, 1979).

    Args:
        chances: of each test, shape ``(n,)``.

    Raises:
        MonitoringRefused: for a chance outside 0 to 1, or a rate that is not between them.
    """
    known = _chances(chances)
    if not 0 < rate < 1:
        raise MonitoringRefused("A false-alarm rate lies between 0 and 1.", field="rate")
    order = np.argsort(known, kind="stable")
    limits = rate / np.arange(len(known), 0, -1)
    passed = np.logical_and.accumulate(known[order] <= limits)
    speaks = np.zeros(len(known), dtype=np.bool_)
    speaks[order[passed]] = True
    return speaks


def predicted_against_actual(
    loans: Outcomes, *, rate: float = FALSE_ALARM_RATE
) -> tuple[Cohort, ...]:
    """All loans, each vintage, each band, and each band of each vintage, beside their prediction.

    Cohorts without loans are left out. Each cohort is tested twice, on the number and on the amount
    in default, and all tests are one family under Holm's procedure. Too many defaults speak at any
    age; too few only in a mature cohort.

    Raises:
        MonitoringRefused: for unequal lengths, a chance outside 0 to 1, or an amount below 0.
    """
    lengths = {len(each) for each in (loans.vintage, loans.band, loans.chance, loans.defaulted)}
    if lengths != {len(loans.amount)} or len(loans.mature) != len(loans.amount):
        raise MonitoringRefused("Every loan needs a vintage, a band, a chance and an outcome.")
    made = [_measured(loans, *where) for where in _cohorts(loans)]
    speaks = holm([chance for one in made for chance in one.tested], rate).reshape(-1, 2)
    return tuple(one.cohort(spoken.tolist()) for one, spoken in zip(made, speaks, strict=True))


@dataclass(frozen=True, slots=True)
class _Measured:
    """A cohort before it is judged."""

    vintage: str
    band: str
    loans: int
    expected: float
    range: tuple[int, int]
    actual: int
    count: Tail
    amount: int
    expected_amount: float
    actual_amount: int
    money: Tail
    mature: bool

    @property
    def tested(self) -> tuple[float, float]:
        """What the number and the amount say; one tail only while the cohort is young."""
        tails = (self.count, self.money)
        return (
            (tails[0].two_sided, tails[1].two_sided)
            if self.mature
            else (min(1.0, 2 * tails[0].upper), min(1.0, 2 * tails[1].upper))
        )

    def cohort(self, speaks: Sequence[bool]) -> Cohort:
        """The cohort with its finding: the number speaks first."""
        finding = Finding.AS_EXPECTED
        for spoken, tail in zip(speaks, (self.count, self.money), strict=True):
            if spoken and finding is Finding.AS_EXPECTED:
                above = tail.upper < tail.lower
                finding = Finding.TOO_MANY if above else Finding.TOO_FEW
        return Cohort(
            self.vintage,
            self.band,
            self.loans,
            self.expected,
            *self.range,
            self.actual,
            self.count.two_sided,
            self.amount,
            self.expected_amount,
            self.actual_amount,
            self.money.two_sided,
            self.mature,
            finding,
        )


def _cohorts(loans: Outcomes) -> list[tuple[str, str, BoolArray]]:
    every = np.ones(len(loans.amount), dtype=np.bool_)
    in_vintage = [(name, loans.vintage == at) for at, name in enumerate(loans.vintages)]
    in_band = [(name, loans.band == at) for at, name in enumerate(loans.bands)]
    cohorts = [("", "", every)]
    cohorts += [(name, "", inside) for name, inside in in_vintage]
    cohorts += [("", name, inside) for name, inside in in_band]
    cohorts += [(v, b, inside & also) for v, inside in in_vintage for b, also in in_band]
    return [cohort for cohort in cohorts if cohort[2].any()]


def _measured(loans: Outcomes, vintage: str, band: str, inside: BoolArray) -> _Measured:
    chance, amount, bad = loans.chance[inside], loans.amount[inside], loans.defaulted[inside]
    actual, distribution = int(bad.sum()), default_distribution(chance)
    return _Measured(
        vintage,
        band,
        len(chance),
        float(chance.sum()),
        central_range(distribution),
        actual,
        _count_tail(distribution, actual),
        int(amount.sum()),
        float(chance @ amount),
        int(amount[bad].sum()),
        amount_tail(chance, amount, bad),
        bool(loans.mature[inside].all()),
    )


def _tail(distribution: FloatArray, place: int) -> Tail:
    """Each tail added up from its own end; what is under the products' rounding is nothing."""
    lower, upper = float(distribution[: place + 1].sum()), float(distribution[place:].sum())
    return Tail(*(0.0 if tail < _ROUNDING else min(1.0, tail) for tail in (lower, upper)))


def _chances(values: npt.ArrayLike) -> FloatArray:
    chances = np.asarray(values, dtype=np.float64)
    if chances.ndim != 1 or not ((chances >= 0) & (chances <= 1)).all():
        raise MonitoringRefused("A chance must be at least 0 and at most 1.", field="chance")
    return chances
