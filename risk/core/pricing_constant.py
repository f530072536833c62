"""Pricing under the same hazard every month, in closed form (`risk.core.pricing` derives it)."""

from __future__ import annotations

import numpy as np

from risk.core.pricing_rates import BLOCK, YEAR, whole_power
from risk.core.pricing_series import balance_months, constant_growth
from risk.core.pricing_terms import PricingTerms
from risk.core.table import FloatArray


class ConstantLoans:
    """Loans of one term under constant hazards; rates are monthly, arrays have shape ``(n,)``.

    ``at_once`` is how many are best priced in one call.
    """

    at_once = BLOCK

    def __init__(self, terms: PricingTerms, months: int) -> None:
        self._months = months
        self._fee = terms.monthly_fee
        self._back = 1 - terms.losses.loss_given_default
        self._lag = terms.losses.recovery_lag_months
        self._not_prepaid = 1 - terms.monthly_prepayment

    def risk(self, pd12: FloatArray) -> FloatArray:
        """The monthly hazard of checked 12-month PDs: what the other methods take."""
        hazard: FloatArray = -np.expm1(np.log1p(-pd12) / YEAR)
        return hazard

    def margin(self, hazard: FloatArray, growth: FloatArray) -> FloatArray:
        """The rate over the servicing fee at which the loans earn ``growth``."""
        late = hazard * self._back / whole_power(growth, self._lag)
        return (growth - late) / (1 - hazard) - 1

    def growth(self, hazard: FloatArray, gross: FloatArray) -> FloatArray:
        """What ``gross`` rates earn, the balance included."""
        paid = (1 - hazard) * (1 + np.maximum(gross - self._fee, 0.0))
        return constant_growth(paid, hazard * self._back, self._lag)

    def defaulted(self, hazard: FloatArray, gross: FloatArray) -> FloatArray:
        """The share of the amount lent that is outstanding on going bad, expected."""
        stays = (1 - hazard) * self._not_prepaid
        return hazard * balance_months(1 / (1 + gross), stays, self._months)
