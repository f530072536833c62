"""Pricing a million loans, and how far the cash flows of a sample are from earning the target."""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import median

import numpy as np

from benchmarks.measuring import Result, at_most, one_core, seconds, working
from risk.core.house import house_from_toml
from risk.core.pricing import HazardShape, PricingTerms
from risk.core.pricing_loans import Pricing, price_loans
from risk.core.table import BoolArray, FloatArray, IntArray
from risk.specs import spec_text

LOANS, SAMPLE, RUNS = 1_000_000, 2_000, 7
LIMIT_SECONDS, LIMIT_ERROR = 0.5, 1e-10
# An invented curve: few go bad in the first months, most in the second year.
HUMP = HazardShape(
    (0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1.1, 1.2, 1.3, 1.4, 1.4, 1.4, 1.4, 1.3, 1.3, 1.2, 1.2, 1.1, 1.0),
    kept_months=24,
)


@dataclass(frozen=True)
class Book:
    """A million loans: PDs, terms, targets, whether covered, the house's own fees (ppm)."""

    pd12: FloatArray
    months: IntArray
    target: FloatArray
    covered: BoolArray
    own_fee: IntArray

    def priced(self, terms: PricingTerms) -> Pricing:
        """The whole answer: rates, returns with and without the fund, fees, APRs, instalments."""
        return price_loans(
            self.pd12,
            self.months,
            self.target,
            terms,
            covered=self.covered,
            own_fee_ppm=self.own_fee,
        )


def risk_pricing() -> list[Result]:
    """Seconds and errors of a book under the house's terms, with a constant and an ageing hazard.

    An error is that of the cash flows of 2,000 loans, summed month by month by other code than the
    pricing's, turned into the annual return that they earn.
    """
    book = _book()
    constant = house_from_toml(spec_text("house")).pricing
    results = []
    for suffix, terms in (("", constant), ("-ageing", replace(constant, shape=HUMP))):
        with one_core():
            spent = _median_seconds(book, terms)
        error = _largest_error(book, terms, book.priced(terms))
        results += [
            at_most(f"risk-pricing{suffix}", "risk", spent, "s", LIMIT_SECONDS),
            at_most(f"risk-pricing{suffix}-error", "risk", error, "a year", LIMIT_ERROR),
        ]
    return results


def _book() -> Book:
    rng = np.random.default_rng(20160401)
    return Book(
        pd12=np.minimum(rng.lognormal(np.log(0.025), 0.7, LOANS), 0.3),
        months=rng.choice([36, 60], LOANS),
        target=rng.uniform(0.03, 0.09, LOANS),
        covered=rng.random(LOANS) < 0.6,
        own_fee=rng.integers(5_000, 45_000, LOANS),
    )


def _median_seconds(book: Book, terms: PricingTerms) -> float:
    with working("risk-pricing", RUNS + 1) as step:
        found = []
        for _ in range(RUNS + 1):
            found.append(seconds(lambda: book.priced(terms)))
            step()
    return median(found[1:])


def _largest_error(book: Book, terms: PricingTerms, priced: Pricing) -> float:
    """The largest of a sample: how far the return that the flows earn is from the target."""
    places = np.random.default_rng(7).choice(LOANS, SAMPLE, replace=False)
    return max(
        abs(
            _earned(
                float(priced.gross_rate[place]),
                float(book.pd12[place]),
                int(book.months[place]),
                terms,
                covered=bool(book.covered[place]),
                near=float(book.target[place]),
            )
            - float(book.target[place])
        )
        for place in places.tolist()
    )


def _earned(
    gross: float, pd12: float, months: int, terms: PricingTerms, *, covered: bool, near: float
) -> float:
    """Annual return of a loan's expected flows: two Newton steps on their discounted sum."""
    flows = np.array(_flows(gross, pd12, months, terms, covered=covered))
    years = np.arange(len(flows)) / 12
    rate = near
    for _ in range(2):
        worth = flows * (1 + rate) ** -years
        rate += (worth.sum() - 1) / ((worth * years).sum() / (1 + rate))
    return rate


def _flows(
    gross: float, pd12: float, months: int, terms: PricingTerms, *, covered: bool
) -> list[float]:
    """What the lender of 1 expects at the end of months 0, 1, ..., one month after the other."""
    losses, rate = terms.losses, (1 + gross) ** (1 / 12) - 1
    instalment = rate / (1 - (1 + rate) ** -months)
    prepays = 1 - (1 - terms.prepayment) ** (1 / 12)
    flows = [0.0] * (months + losses.recovery_lag_months + 1)
    balance, running = 1.0, 1.0
    for month, hazard in enumerate(_hazards(pd12, months, terms.shape), start=1):
        interest = balance * rate
        fee = min(balance * losses.servicing_fee / 12, interest)
        bad = running * hazard
        if covered:
            flows[month] += bad * (balance + interest - fee)
        else:
            back = balance * (1 - losses.loss_given_default)
            flows[month + losses.recovery_lag_months] += bad * back
        balance -= instalment - interest
        flows[month] += (running - bad) * (instalment - fee + prepays * balance)
        running = (running - bad) * (1 - prepays)
    return flows


def _hazards(pd12: float, months: int, shape: HazardShape | None) -> list[float]:
    if shape is None:
        return [1 - (1 - pd12) ** (1 / 12)] * months
    weights = [shape.weights[min(month, len(shape.weights) - 1)] for month in range(months)]
    first = weights[: shape.kept_months]
    if len(first) < shape.kept_months:
        first = first + [weights[-1]] * (shape.kept_months - len(first))
    scale = shape.kept_months / sum(first) / 12
    return [1 - (1 - pd12) ** (weight * scale) for weight in weights]
