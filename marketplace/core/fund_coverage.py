"""How far the provision fund goes against the losses still to come, said so that nobody is misled.

A covered loan that still runs was given a frozen forecast: the share of its amount that it would
lose over its life. With a constant hazard a loan of which ``n`` instalments are left is a loan of
``n`` months on what is outstanding, so of the forecast there is left

    outstanding x frozen loss x e(n) / e(term)

with e(n) the lifetime loss of the pricing model per unit lent over n months. Under stress the
chance to default is that of a year as bad as one in a hundred, by the one-factor model (Vasicek,
1987) and the model version's correlation; half of the recoveries come; a default brings overdue
interest with it; and loans that are late, or that bear with their borrower, count as lost.

A ratio never stands alone: the fund's money and the losses that it is measured against are shown
with it. Future income (contributions of loans about to be paid out, and recoveries) is counted only
together with the losses that it is for.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

from marketplace.core.arrays import BoolArray, IntArray
from marketplace.core.arrears import DEFAULT_MONTHS
from marketplace.core.provision_fund import PPM
from marketplace.core.wording import pounds
from risk.core.pricing import PricingTerms, expected_loss, from_ppm, monthly_rate

FloatArray = npt.NDArray[np.float64]

NO_GUARANTEE = (
    "The provision fund is discretionary: it gives nobody a right to a payment. It may not be"
    " enough, and may pay a part of what is lost or nothing at all. It is no guarantee, no"
    " insurance and no compensation scheme."
)

_LEAST_PD = 1e-6  # what a chance of nothing is taken for, so that its timing is defined
_LEAST_SHARE = 1e-6  # the same for a share of nothing lost at default: there is nothing to divide
_PENNIES = 100


@dataclass(frozen=True, slots=True)
class Stress:
    """How much worse than expected: the chance of a year so bad, and the share of recoveries."""

    chance: float = 0.01
    recovered: float = 0.5


STRESS = Stress()


@dataclass(frozen=True, slots=True, eq=False)
class CoveredLoans:
    """Covered loans of one rate table that run, or wait for their pay-out; shape ``(n,)``.

    Attributes:
        outstanding: principal not repaid, pence.
        overdue_interest: fallen due and not paid, pence.
        frozen_loss: lifetime loss frozen with the loan, ppm of its amount.
        rate: annual effective ppm.
        term, months_left: months; of those left, at least one is assumed.
        pd12: frozen 12-month PDs, shares.
        correlation: of the model versions, shares below 1.
        in_trouble: late by the industry's measure, in an arrangement or in hardship.
    """

    outstanding: IntArray
    overdue_interest: IntArray
    frozen_loss: IntArray
    rate: IntArray
    term: IntArray
    months_left: IntArray
    pd12: FloatArray
    correlation: FloatArray
    in_trouble: BoolArray


@dataclass(frozen=True, slots=True, eq=False)
class LossesToCome:
    """What loans are expected to lose yet, net of recoveries, pence, ``int64 [n]``."""

    expected: IntArray
    stressed: IntArray


def losses_to_come(
    loans: CoveredLoans, terms: PricingTerms, stress: Stress = STRESS
) -> LossesToCome:
    """Return the losses still to come of each loan; stressed ones are never below expected ones.

    Args:
        loans: the loans of one rate table.
        terms: what that table assumes of losses and prepayment.
        stress: how bad it gets.

    Raises:
        PricingRefused: for a PD outside 0 to 1 (1 excluded), a rate under 0, or a term outside 1
            to 600 months.
    """
    pd12 = np.maximum(loans.pd12, _LEAST_PD)
    gross = from_ppm(loans.rate)
    left = np.clip(loans.months_left, 1, loans.term)
    lifetime = expected_loss(gross, pd12, loans.term, terms)
    ahead = expected_loss(gross, pd12, left, terms)
    share = np.divide(ahead, lifetime, out=np.ones_like(ahead), where=lifetime > 0)
    outstanding = loans.outstanding.astype(np.float64)
    expected = np.minimum(outstanding * from_ppm(loans.frozen_loss) * share, outstanding)
    stressed = np.maximum(_stressed(loans, terms, stress, expected, pd12, left), expected)
    return LossesToCome(
        np.rint(expected).astype(np.int64), np.ceil(np.round(stressed, 6)).astype(np.int64)
    )


def _stressed(
    loans: CoveredLoans,
    terms: PricingTerms,
    stress: Stress,
    expected: FloatArray,
    pd12: FloatArray,
    left: IntArray,
) -> FloatArray:
    """What is lost in the stress, pence before rounding."""
    severity = terms.losses.loss_given_default
    outstanding = loans.outstanding.astype(np.float64)
    defaulting = expected / max(severity, _LEAST_SHARE)
    chance = -np.expm1(np.log1p(-pd12) / 12 * left)
    factor = np.maximum(_chance_in_stress(chance, loans.correlation, stress) / chance, 1.0)
    lost = 1 - (1 - severity) * stress.recovered
    interest = 1 + DEFAULT_MONTHS * monthly_rate(from_ppm(loans.rate))
    unlucky = np.minimum(defaulting * factor, outstanding) * interest * lost
    whole = (outstanding + loans.overdue_interest) * lost
    found: FloatArray = np.where(loans.in_trouble, np.maximum(whole, unlucky), unlucky)
    return found


def _chance_in_stress(chance: FloatArray, correlation: FloatArray, stress: Stress) -> FloatArray:
    shift = np.sqrt(correlation) * ndtri(stress.chance)
    found: FloatArray = ndtr((ndtri(chance) - shift) / np.sqrt(1 - correlation))
    return found


@dataclass(frozen=True, slots=True)
class FundFigures:
    """Everything that coverage is made of, whole pence.

    Attributes:
        balance: the fund's money.
        waiting: claims, or the rest of claims, that may still be paid.
        loans, outstanding: covered loans that run, and the principal outstanding on them.
        in_trouble: of that principal, on loans that are late or borne with.
        losses, stressed_losses: what those loans are expected to lose yet, net of recoveries.
        coming_loans, contributions: covered loans funded and not yet paid out, and what they will
            contribute.
        coming_losses, coming_stressed_losses: what those are expected to lose over their lives.
        owned: claims that the fund has paid and owns.
        recoveries, stressed_recoveries: what those, and the claims that wait, should bring yet.
    """

    balance: int = 0
    waiting: int = 0
    loans: int = 0
    outstanding: int = 0
    in_trouble: int = 0
    losses: int = 0
    stressed_losses: int = 0
    coming_loans: int = 0
    contributions: int = 0
    coming_losses: int = 0
    coming_stressed_losses: int = 0
    owned: int = 0
    recoveries: int = 0
    stressed_recoveries: int = 0


@dataclass(frozen=True, slots=True)
class CoverageRatio:
    """The fund's money against losses still to come: always both, and the ratio of them.

    Attributes:
        stressed: whether losses are those under stress.
        with_income: whether future income is counted, and the losses that come with it.
        money, losses: pence, the ratio's numerator and denominator.
    """

    stressed: bool
    with_income: bool
    money: int
    losses: int

    @property
    def ppm(self) -> int | None:
        """Money for each million of losses, rounded down; none where no losses are expected."""
        return self.money * PPM // self.losses if self.losses else None

    @property
    def missing(self) -> int:
        """Pence by which the money falls short of the losses; 0 where it doesn't."""
        return max(self.losses - self.money, 0)

    @property
    def times(self) -> str:
        """The ratio with two decimals, rounded down, so that no 0.999 is shown as 1.00."""
        if not self.losses:
            return "no ratio"
        whole, pennies = divmod(self.money * _PENNIES // self.losses, _PENNIES)
        return f"{whole}.{pennies:02d}"

    @property
    def title(self) -> str:
        """Which of the four it is."""
        losses = "Stressed" if self.stressed else "Expected"
        return f"{losses} losses, {'with' if self.with_income else 'without'} future income"

    @property
    def sentence(self) -> str:
        """The figure for a person: money, losses, ratio, and what it means."""
        if not self.losses:
            return f"{self.title}: {pounds(self.money)}, and no losses to set it against."
        said = (
            f"{self.title}: {pounds(self.money)} for {pounds(self.losses)} of losses, which is"
            f" {self.times} for each £1.00 of them."
        )
        if self.missing:
            return f"{said} The fund would not cover these losses: {pounds(self.missing)} missing."
        return f"{said} It would be enough if losses turn out no worse than that."


@dataclass(frozen=True, slots=True)
class Coverage:
    """The four ratios, the worst first, with everything that makes them up."""

    figures: FundFigures
    ratios: tuple[CoverageRatio, ...]

    @property
    def warning(self) -> str:
        """What has to be said wherever coverage is shown."""
        return NO_GUARANTEE

    @property
    def covers_expected(self) -> bool:
        """Whether the money there is covers the losses expected."""
        return not self.ratio(stressed=False, with_income=False).missing

    @property
    def headline(self) -> str:
        """One sentence for who reads no further."""
        if self.covers_expected:
            return (
                "The fund's money is as much as the losses expected of it today; losses may be"
                " worse than expected."
            )
        return "The fund would not cover the losses that are expected of it today."

    def ratio(self, *, stressed: bool, with_income: bool) -> CoverageRatio:
        """One of the four."""
        [found] = [
            each
            for each in self.ratios
            if (each.stressed, each.with_income) == (stressed, with_income)
        ]
        return found


def coverage(figures: FundFigures) -> Coverage:
    """Return the four ratios of ``figures``, the worst first.

    Without income the fund has its balance, for claims that wait and losses of loans that run. With
    income there are contributions and recoveries besides, and losses of the loans that bring them.
    """
    ratios = [
        _ratio(figures, stressed=stressed, with_income=with_income)
        for with_income in (False, True)
        for stressed in (True, False)
    ]
    # Losses of nothing come last: there a ratio has no meaning. Ties stay in the order above.
    ratios.sort(key=lambda each: (not each.losses, _fraction(each)))
    return Coverage(figures, tuple(ratios))


def _ratio(of: FundFigures, *, stressed: bool, with_income: bool) -> CoverageRatio:
    money, losses = of.balance, of.waiting + (of.stressed_losses if stressed else of.losses)
    if with_income:
        money += of.contributions + (of.stressed_recoveries if stressed else of.recoveries)
        losses += of.coming_stressed_losses if stressed else of.coming_losses
    return CoverageRatio(stressed, with_income, money, losses)


def _fraction(ratio: CoverageRatio) -> Fraction:
    return Fraction(ratio.money, ratio.losses) if ratio.losses else Fraction(0)
