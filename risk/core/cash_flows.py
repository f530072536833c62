"""What one loan is expected to bring, month by month: pricing spelt out, for people and checks.

In each month a loan that still runs goes bad with that month's hazard, and then pays nothing;
else it pays its instalment, and at the end of the month a share of those is repaid whole, at
par. Of the balance of a loan that went bad the share 1 - LGD comes back ``lag`` months later.
The servicing fee is kept from interest received: a twelfth of the year's share of the opening
balance, or all the interest if that is less. In a covered market the provision fund pays the
lender, in the month of default, what was due: the balance and the month's interest less the fee;
what comes back later is the fund's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from risk.core.pricing_rates import (
    chances,
    gross_rates,
    monthly_hazard,
    monthly_rate,
    terms_in_months,
)
from risk.core.pricing_terms import PricingTerms
from risk.core.table import FloatArray, IntArray


@dataclass(frozen=True, slots=True, eq=False)
class CashFlowTable:
    """Expected flows of a loan of 1, a row a month, shape ``(term + recovery lag,)``.

    Attributes:
        month: 1, 2, ...
        running: chance that the loan runs at the start of the month.
        hazard: chance to go bad in the month, if it runs.
        balance: what is owed at the start of the month, if it runs.
        interest: expected, as all that follow: interest received.
        principal: by instalments.
        prepaid: principal repaid early at the end of the month.
        fee: kept from the interest.
        defaulted: balance of loans that go bad in the month.
        recovered: what comes back of earlier ones.
        from_fund: what the provision fund pays the lender.
        to_lender: interest less fee, principal, prepaid, and either recovered or from the fund.
    """

    month: IntArray
    running: FloatArray
    hazard: FloatArray
    balance: FloatArray
    interest: FloatArray
    principal: FloatArray
    prepaid: FloatArray
    fee: FloatArray
    defaulted: FloatArray
    recovered: FloatArray
    from_fund: FloatArray
    to_lender: FloatArray

    def worth(self, annual: float) -> float:
        """What the lender's flows are worth when lent, discounted at an annual effective rate.

        Raises:
            PricingRefused: for what is no rate.
        """
        return float((self.to_lender * (1 + monthly_rate(annual)) ** -self.month).sum())


def cash_flow_table(
    gross_rate: float, pd12: float, term_months: int, terms: PricingTerms, *, covered: bool = False
) -> CashFlowTable:
    """The expected cash flows of a loan of 1 at a gross annual effective rate.

    Raises:
        PricingRefused: for a rate under 0, a PD outside 0 to 1 (1 excluded), or a term outside 1
            to 600 months.
    """
    rate, months = float(gross_rates(gross_rate)), int(terms_in_months(term_months))
    rows = months + terms.losses.recovery_lag_months
    hazard = _hazards(float(chances(pd12)), months, terms)
    balance, scheduled = _schedule(rate, months)
    stays = (1 - hazard) * (1 - terms.monthly_prepayment)
    running = np.concatenate([[1.0], np.cumprod(stays)[:-1]])
    paying, bad = running * (1 - hazard), running * hazard
    interest, defaulted = paying * balance * rate, bad * balance
    fee_rate = min(terms.monthly_fee, rate)
    principal = paying * scheduled
    prepaid = paying * terms.monthly_prepayment * np.append(balance[1:], 0.0)
    recovered = np.zeros(rows)
    recovered[rows - months :] = defaulted * (1 - terms.losses.loss_given_default)
    from_fund = defaulted * (1 + rate - fee_rate) if covered else np.zeros(months)
    fee = paying * balance * fee_rate
    paid = interest - fee + principal + prepaid + from_fund
    return CashFlowTable(
        month=np.arange(1, rows + 1),
        running=_longer(running, rows),
        hazard=_longer(hazard, rows),
        balance=_longer(balance, rows),
        interest=_longer(interest, rows),
        principal=_longer(principal, rows),
        prepaid=_longer(prepaid, rows),
        fee=_longer(fee, rows),
        defaulted=_longer(defaulted, rows),
        recovered=recovered,
        from_fund=_longer(from_fund, rows),
        to_lender=_longer(paid, rows) + (0.0 if covered else recovered),
    )


def _hazards(pd12: float, months: int, terms: PricingTerms) -> FloatArray:
    if terms.shape is None:
        return np.full(months, float(monthly_hazard(pd12)))
    hazards: FloatArray = -np.expm1(np.log1p(-pd12) / 12 * terms.shape.over(months))
    return hazards


def _schedule(rate: float, months: int) -> tuple[FloatArray, FloatArray]:
    """Opening balances, and principal due, of level instalments at a monthly rate."""
    growth = (1 + rate) ** np.arange(months)
    principal = growth / growth.sum()
    repaid = np.concatenate([[0.0], np.cumsum(principal)[:-1]])
    return 1 - repaid, principal


def _longer(values: FloatArray, rows: int) -> FloatArray:
    """Nothing in the months after the term, when only recoveries come in."""
    return np.concatenate([values, np.zeros(rows - len(values))])
