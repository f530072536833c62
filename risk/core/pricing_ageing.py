"""Pricing where the hazard moves with a loan's age: no closed form, but one sum to set to zero.

A loan that still runs at the start of month t (chance a(t)) and owes B(t) per unit lent brings
1 + i - f per unit if it pays, and the share c = (1 - LGD) v**lag if it goes bad. Summed over its
life and discounted at the growth g = 1 + y, with prepayment at par, cash flows are worth the
amount lent when

    sum over t of  v**t a(t) B(t) e(t) = 0,   e(t) = (1 - h(t)) (1 + i - f) + h(t) c - g

(what each month earns too much or too little, on the balance then outstanding: the balance
carried from a month to the next cancels, because v g = 1). Newton's method, for i or for g,
starts at the closed form of a constant hazard and needs three or four steps.
"""

from __future__ import annotations

import math
import sys

import numpy as np

from risk.core.errors import PricingRefused
from risk.core.pricing_grid import evaluate
from risk.core.pricing_rates import YEAR
from risk.core.pricing_series import constant_growth
from risk.core.pricing_terms import HazardShape, PricingTerms
from risk.core.table import FloatArray

_ROUNDS = 60
_CLOSE = 1e-11  # of a monthly rate: a last step so small leaves an error of its square
_TOLERANCE = 2e-13  # of a monthly rate, or of a share of the amount
_LEAST = 1e-6  # below such a rate the balances' slope is that of this rate, as near as matters


class AgeingLoans:
    """Loans of one term under a hazard that moves with age.

    Rates are monthly, arrays have shape ``(n,)``. ``at_once`` is how many are best priced in one
    call: all, as each makes a grid.
    """

    at_once = sys.maxsize

    def __init__(self, terms: PricingTerms, shape: HazardShape, months: int) -> None:
        weights = shape.over(months)
        month = np.arange(1, months + 1)
        self._months = months
        self._weights = weights
        self._before = np.concatenate([[0.0], np.cumsum(weights)[:-1]])
        self._log_stay = math.log1p(-terms.monthly_prepayment) * (month - 1.0)
        self._month = month.astype(np.float64)
        self._left = months + 1 - self._month
        self._fee = terms.monthly_fee
        self._back = 1 - terms.losses.loss_given_default
        self._lag = terms.losses.recovery_lag_months

    def risk(self, pd12: FloatArray) -> FloatArray:
        """The intensity k of checked 12-month PDs: what the other methods take."""
        k: FloatArray = -np.log1p(-pd12) / YEAR
        return k

    def margin(self, k: FloatArray, growth: FloatArray) -> FloatArray:
        """The rate over the servicing fee at which the loans earn ``growth``."""
        return evaluate(self._solve_margin, k, growth, _TOLERANCE)

    def growth(self, k: FloatArray, gross: FloatArray) -> FloatArray:
        """What ``gross`` rates earn, the balance included."""
        below = gross < self._fee
        if not below.any():
            return evaluate(self._solve_growth, k, gross, _TOLERANCE)
        # The fee stops at the interest: a kink, on either side of which the function is smooth.
        found = np.empty_like(k)
        for side in (below, ~below):
            found[side] = evaluate(self._solve_growth, k[side], gross[side], _TOLERANCE)
        return found

    def defaulted(self, k: FloatArray, gross: FloatArray) -> FloatArray:
        """The share of the amount lent that is outstanding on going bad, expected."""
        return evaluate(self._defaulted, k, gross, _TOLERANCE)

    def _log_running(self, k: FloatArray) -> FloatArray:
        """Logarithm of the chance to run at the start of each month, shape ``(n, months)``."""
        logs: FloatArray = self._log_stay - k[:, None] * self._before
        return logs

    def _hazard(self, k: FloatArray) -> FloatArray:
        """The chance to go bad in each month, shape ``(n, months)``."""
        hazard: FloatArray = -np.expm1(-k[:, None] * self._weights)
        return hazard

    def _discounted(self, log_running: FloatArray, growth: FloatArray) -> FloatArray:
        """Chances to run, discounted; up to a factor a loan, so that no power overflows."""
        logs = log_running - self._month * np.log(growth)[:, None]
        chances: FloatArray = np.exp(logs - logs.max(axis=1, keepdims=True))
        return chances

    def _balances(self, gross: FloatArray) -> FloatArray:
        """Opening balances by the annuity, shape ``(n, months)``."""
        log_u = -np.log1p(np.maximum(gross, 1e-200))[:, None]  # the limit at no interest
        shares: FloatArray = np.expm1(self._left * log_u) / np.expm1(self._months * log_u)
        return shares

    def _balance_slopes(self, gross: FloatArray, balances: FloatArray) -> FloatArray:
        """What a higher rate adds to the opening balances."""
        log_u = -np.log1p(np.maximum(gross, _LEAST))[:, None]
        whole = self._months / np.expm1(-self._months * log_u)
        slopes: FloatArray = (
            balances * np.exp(log_u) * (self._left / np.expm1(-self._left * log_u) - whole)
        )
        return slopes

    def _defaulted(self, k: FloatArray, gross: FloatArray) -> FloatArray:
        running = np.exp(self._log_running(k))
        total: FloatArray = (running * self._hazard(k) * self._balances(gross)).sum(axis=1)
        return total

    def _solve_margin(self, k: FloatArray, growth: FloatArray) -> FloatArray:
        hazard, weight = self._hazard(k), self._discounted(self._log_running(k), growth)
        back = (self._back * growth**-self._lag)[:, None]
        first = -np.expm1(-k)
        margin: FloatArray = (growth - first * back[:, 0]) / (1 - first) - 1
        for _ in range(_ROUNDS):
            gross = np.maximum(margin + self._fee, 0.0)
            balances = self._balances(gross)
            excess = (1 - hazard) * (1 + margin[:, None]) + hazard * back - growth[:, None]
            value = (weight * balances * excess).sum(axis=1)
            slopes = balances * (1 - hazard) + self._balance_slopes(gross, balances) * excess
            step = value / (weight * slopes).sum(axis=1)
            margin = margin - step
            if float(np.abs(step).max(initial=0.0)) < _CLOSE:
                return margin
        raise PricingRefused("No rate earns such a target at such a risk.")

    def _solve_growth(self, k: FloatArray, gross: FloatArray) -> FloatArray:
        hazard, running = self._hazard(k), self._log_running(k)
        balances = self._balances(gross)
        paid = 1 + np.maximum(gross - self._fee, 0.0)
        first = -np.expm1(-k)
        growth: FloatArray = constant_growth((1 - first) * paid, first * self._back, self._lag)
        for _ in range(_ROUNDS):
            weight = balances * self._discounted(running, growth)
            late = self._back * growth**-self._lag
            excess = (1 - hazard) * paid[:, None] + hazard * late[:, None] - growth[:, None]
            value = (weight * excess).sum(axis=1)
            later = 1 + hazard * (late * self._lag / growth)[:, None]
            slope = (weight * (later + excess * self._month / growth[:, None])).sum(axis=1)
            step = np.maximum(value / slope, -growth / 2)
            growth = growth + step
            if float(np.abs(step).max(initial=0.0)) < _CLOSE:
                return growth
        raise PricingRefused("No return explains such a rate at such a risk.")
