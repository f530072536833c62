"""From a lender's parts to what the lender should expect, in pounds and per cent a year.

A part has ``months`` instalments to come. Its principal follows its loan's level instalments; its
lender is paid the part's own rate, less the servicing fee. With the frozen monthly hazard h the
loan defaults in month M with chance h (1 - h)**(M - 1), and before its maturity with PD. Then

- of the principal, the loss given default times the balance to be expected in default is lost;
- of the interest after fee, what falls due from the expected month of default on.

The second is a little less than the interest to be expected to be lost, as balances fall: by up to
a quarter of it on long loans. The recovered share comes back a lag later; it is not discounted.

Profit is interest after fee, less losses, to maturity. **Return a year**: money is at work for so
many pence-months (balances while they run, recoveries until they come, in expectation). A profit
over these is a monthly rate, shown as an annual effective one. For loans that can't default it is
the rate less the fee, and with losses :func:`risk.core.pricing.net_return`, but for discounting.

**Fund.** For covered parts the fund makes good a share of the lost principal, not of the interest.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from risk.core.errors import PricingRefused
from risk.core.expectation import (
    LARGEST_LOSS,
    ExpectationRefused,
    LossDistribution,
    loss_distribution,
)
from risk.core.pricing import YEAR, annual_rate, monthly_hazard, monthly_rate
from risk.core.table import BoolArray, FloatArray, IntArray

LOW, HIGH, WORST = 0.05, 0.95, 0.999
LONGEST = 600  # months
_SPREADS = (0.25, 0.5, 1.0, 2.0, 4.0)


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """Parts that run, one an entry, shape ``(n,)``.

    Attributes:
        borrower: who owes it: parts of one borrower default together.
        outstanding: principal to come, pence.
        months: instalments to come.
        rate: paid to the lender, annual effective, a share.
        loan_rate: by which its loan's principal is repaid, annual effective, a share.
        pd12: frozen 12-month PD, 0 to below 1.
        loss_given_default: share of the balance.
        recovery_lag_months: until the rest comes back.
        servicing_fee: a year's, of the balance, a share.
        covered: by the provision fund.
    """

    borrower: IntArray
    outstanding: IntArray
    months: IntArray
    rate: FloatArray
    loan_rate: FloatArray
    pd12: FloatArray
    loss_given_default: FloatArray
    recovery_lag_months: IntArray
    servicing_fee: FloatArray
    covered: BoolArray


@dataclass(frozen=True, slots=True, eq=False)
class Forecasts:
    """What is to come of each part, shape ``(n,)``; pence, not rounded.

    Attributes:
        pd: chance to default before maturity.
        earned: interest after fee, if it doesn't.
        principal_lost, interest_lost: if it does.
        pence_months: at work, to be expected.
    """

    pd: FloatArray
    earned: FloatArray
    principal_lost: FloatArray
    interest_lost: FloatArray
    pence_months: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Exposures:
    """What borrowers owe one lender or several, one entry a borrower and lender.

    ``loss`` and ``loss_with_fund`` are whole pence, shape ``(m,)``; lender ``i`` has those from
    ``offsets[i]`` to ``offsets[i + 1]``. ``earned`` (whole pence) and ``pence_months`` are each
    lender's, shape ``(lenders,)``.
    """

    offsets: IntArray
    pd: FloatArray
    loss: IntArray
    loss_with_fund: IntArray
    earned: IntArray
    pence_months: FloatArray


@dataclass(frozen=True, slots=True)
class Outcomes:
    """The outcome to maturity; amounts in pence, returns a year as shares.

    ``low`` and ``high`` are the 5th and 95th percentile; ``chance_of_loss`` is of a profit below
    nothing; ``worst_loss`` is the 99.9 % quantile of what defaults cost, before interest earned.
    """

    expected_profit: float
    expected_return: float
    chance_of_loss: float
    profit_low: int
    profit_high: int
    return_low: float
    return_high: float
    worst_loss: int


@dataclass(frozen=True, slots=True)
class Narrowing:
    """The same mix of risks, spread evenly over so many borrowers."""

    borrowers: int
    outcomes: Outcomes


@dataclass(frozen=True, slots=True)
class Expectation:
    """What one lender should expect of the parts held.

    ``average_months`` is how long a pound outstanding is at work, in expectation.
    ``with_fund`` supposes that the fund pays its share of all that it covers.
    """

    parts: int
    borrowers: int
    outstanding: int
    covered: int
    average_months: float
    without_fund: Outcomes
    with_fund: Outcomes
    narrowing: tuple[Narrowing, ...]


def forecasts(parts: Parts) -> Forecasts:
    """Cash flows to be expected of each part; see the module for the definitions.

    Raises:
        ExpectationRefused: for entries of unequal number, outside their range, or none.
    """
    _check(parts)
    try:
        hazard, loan_rate = monthly_hazard(parts.pd12), monthly_rate(parts.loan_rate)
        income = np.maximum(monthly_rate(parts.rate) - parts.servicing_fee / YEAR, 0.0)
    except PricingRefused as refused:
        raise ExpectationRefused(refused.message, field=refused.field) from refused
    size, months = parts.outstanding.astype(np.float64), parts.months
    safe = np.where(loan_rate == 0, 1.0, loan_rate)
    payment = np.where(loan_rate == 0, 1 / months, safe / -np.expm1(-months * np.log1p(safe)))
    pd = -np.expm1(months * np.log1p(-hazard))
    month_of_default = _month_of_default(hazard, months, pd)
    balance, alive = np.ones(len(size)), np.ones(len(size))
    whole, until, at_work, in_default = (np.zeros(len(size)) for _ in range(4))
    for month in range(int(months.max())):
        running = np.where(month < months, balance, 0.0)
        whole += running
        until += running * np.clip(month_of_default - 1 - month, 0, 1)
        at_work += alive * running
        in_default += alive * hazard * running
        balance = balance * (1 + loan_rate) - payment
        alive = alive * (1 - hazard)
    defaulted = in_default / np.where(pd > 0, pd, 1.0)
    back = in_default * (1 - parts.loss_given_default)
    return Forecasts(
        pd=pd,
        earned=size * income * whole,
        principal_lost=size * parts.loss_given_default * defaulted,
        interest_lost=size * income * np.where(pd > 0, whole - until, 0.0),
        pence_months=size * (at_work + back * parts.recovery_lag_months),
    )


def exposures(parts: Parts, lender: IntArray | None = None, *, fund_pays: float = 1.0) -> Exposures:
    """Put together what each borrower owes each lender.

    Loans of one borrower default together: with the mean of their PDs, weighted by what is lost,
    so that the mean loss stays.

    Args:
        lender: of each part, ascending from 0 without gaps, shape ``(n,)``; one lender if none.
        fund_pays: share of a covered part's lost principal that the fund makes good, 0 to 1.

    Raises:
        ExpectationRefused: as :func:`forecasts`, or for a share outside 0 to 1.
    """
    if not 0 <= fund_pays <= 1:
        raise ExpectationRefused("The fund's share must lie from 0 to 1.", field="fund_pays")
    told = forecasts(parts)
    owner = np.zeros(len(told.pd), dtype=np.int64) if lender is None else lender
    order = np.lexsort((parts.borrower, owner))
    who, owes = owner[order], parts.borrower[order]
    new = np.ones(len(order), dtype=np.bool_)
    new[1:] = (np.diff(who) != 0) | (np.diff(owes) != 0)
    starts = np.flatnonzero(new)
    lost = told.principal_lost + told.interest_lost
    spared = fund_pays * np.where(parts.covered, told.principal_lost, 0.0)
    summed, expected = (np.add.reduceat(x[order], starts) for x in (lost, lost * told.pd))
    largest = np.maximum.reduceat(told.pd[order], starts)
    smallest = np.minimum.reduceat(told.pd[order], starts)
    pd = np.where(summed > 0, expected / np.where(summed > 0, summed, 1.0), largest)
    lenders = int(owner.max()) + 1
    return Exposures(
        offsets=np.searchsorted(who[starts], np.arange(lenders + 1)).astype(np.int64),
        pd=np.clip(pd, smallest, largest),
        loss=np.rint(summed).astype(np.int64),
        loss_with_fund=np.rint(np.add.reduceat((lost - spared)[order], starts)).astype(np.int64),
        earned=np.rint(np.bincount(owner, told.earned, lenders)).astype(np.int64),
        pence_months=np.bincount(owner, told.pence_months, lenders).astype(np.float64),
    )


def expect(
    parts: Parts, *, correlation: float, fund_pays: float = 1.0, narrowing: bool = True
) -> Expectation:
    """What a lender should expect of these parts to their maturity.

    Args:
        correlation: of any two borrowers' assets, from 0 to below 1.
        fund_pays: share of a covered part's lost principal that the fund makes good, 0 to 1.
        narrowing: whether to work out the same mix with fewer and more borrowers.

    Raises:
        ExpectationRefused: as :func:`exposures`, or for a correlation outside its range.
    """
    owed = exposures(parts, fund_pays=fund_pays)
    earned, at_work = int(owed.earned[0]), float(owed.pence_months[0])
    outstanding = int(parts.outstanding.sum())
    without = _outcomes(owed.pd, owed.loss, earned, at_work, correlation)
    covered = (owed.loss_with_fund != owed.loss).any()
    return Expectation(
        parts=len(parts.borrower),
        borrowers=len(owed.pd),
        outstanding=outstanding,
        covered=int(parts.outstanding[parts.covered].sum()),
        average_months=at_work / outstanding,
        without_fund=without,
        with_fund=_outcomes(owed.pd, owed.loss_with_fund, earned, at_work, correlation)
        if covered
        else without,
        narrowing=tuple(
            Narrowing(many, _outcomes(*spread_over(owed, many), earned, at_work, correlation))
            for many in sorted({max(round(len(owed.pd) * by), 1) for by in _SPREADS})
        )
        if narrowing
        else (),
    )


def spread_over(owed: Exposures, borrowers: int) -> tuple[FloatArray, IntArray]:
    """One lender's mix of risks over ``borrowers`` of equal loss: their PDs and losses.

    The PDs, each as often as it weighs in the loss, are cut into equal pieces and averaged in each:
    the total and (but for pence) the mean of the loss stay.
    """
    order = np.argsort(owed.pd, kind="stable")
    pd, loss = owed.pd[order], owed.loss[order].astype(np.float64)
    reached = np.concatenate([[0.0], np.cumsum(loss)])
    expected = np.concatenate([[0.0], np.cumsum(loss * pd)])
    total = float(reached[-1])
    edges = np.linspace(0.0, total, borrowers + 1)
    chances = np.diff(np.interp(edges, reached, expected)) / max(total / borrowers, 1e-9)
    losses = np.diff(np.rint(edges)).astype(np.int64)
    return np.clip(chances, 0.0, 1.0), losses


def return_in_year(profit: npt.ArrayLike, pence_months: npt.ArrayLike) -> FloatArray:
    """Annual effective return of a profit on money at work for so many pence-months.

    From -100 % up: more than all can't be lost. Nothing at work returns nothing.
    """
    at_work = np.asarray(pence_months, dtype=np.float64)
    monthly = np.asarray(profit, dtype=np.float64) / np.where(at_work > 0, at_work, 1.0)
    return annual_rate(np.maximum(np.where(at_work > 0, monthly, 0.0), -1 + 1e-12))


def _outcomes(
    pd: FloatArray, loss: IntArray, earned: int, at_work: float, correlation: float
) -> Outcomes:
    losses: LossDistribution = loss_distribution(pd=pd, loss=loss, correlation=correlation)
    expected = earned - losses.mean
    low, high = earned - losses.quantile(1 - LOW), earned - losses.quantile(1 - HIGH)
    returns = return_in_year([expected, low, high], at_work).tolist()
    return Outcomes(
        expected_profit=expected,
        expected_return=returns[0],
        chance_of_loss=losses.chance_above(earned),
        profit_low=low,
        profit_high=high,
        return_low=returns[1],
        return_high=returns[2],
        worst_loss=losses.quantile(WORST),
    )


def _month_of_default(hazard: FloatArray, months: IntArray, pd: FloatArray) -> FloatArray:
    """Mean month of default among those that default: the sum of months, over their chance."""
    weighted, alive = np.zeros(len(hazard)), np.ones(len(hazard))
    for month in range(1, int(months.max()) + 1):
        weighted += np.where(month <= months, month * hazard * alive, 0.0)
        alive = alive * (1 - hazard)
    return weighted / np.where(pd > 0, pd, 1.0)


def _check(parts: Parts) -> None:
    columns = {field.name: getattr(parts, field.name) for field in fields(parts)}
    length = len(parts.borrower)
    for name, column in columns.items():
        if column.shape != (length,):
            raise ExpectationRefused("Each part needs one entry of everything.", field=name)
    if not length:
        raise ExpectationRefused("There is no part that runs.", field="parts")
    wanted = {
        "rate": "Rates must be finite and not below 0.",
        "loan_rate": "Rates must be finite and not below 0.",
        "loss_given_default": "A loss given default is a share, 0 to 1.",
        "servicing_fee": "A servicing fee is a share, 0 to 1.",
        "outstanding": "Principal to come can't be below nothing.",
        "months": f"A part has 1 to {LONGEST} months to come.",
        "recovery_lag_months": f"A recovery comes 0 to {LONGEST} months later.",
    }
    most = {"rate": 1e6, "loan_rate": 1e6, "outstanding": LARGEST_LOSS, "months": LONGEST}
    most["recovery_lag_months"] = LONGEST
    for name, words in wanted.items():
        least = 1 if name == "months" else 0
        if not ((columns[name] >= least) & (columns[name] <= most.get(name, 1))).all():
            raise ExpectationRefused(words, field=name)
    if not parts.outstanding.any():
        raise ExpectationRefused("There is no principal to come.", field="outstanding")
