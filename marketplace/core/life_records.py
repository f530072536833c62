"""What a loan's life is told from, and what it comes to: see :mod:`marketplace.core.life`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import IntEnum

from marketplace.core.arrays import IntArray
from marketplace.core.errors import MarketplaceRefusal
from marketplace.core.loan_events import DistributionKind, InstalmentKind, LoanEvent
from marketplace.core.states import LoanState


class LifeRefused(MarketplaceRefusal):
    """A contract, payments or events that no loan can have had."""

    code = "LIFE_REFUSED"


class DayStage(IntEnum):
    """How far a day has gone: events and payments taken, cleared ones spread, the loan aged."""

    TAKEN = 2
    SPREAD = 3
    AGED = 4


@dataclass(frozen=True, slots=True, eq=False)
class Contract:
    """What was agreed when a loan was paid out; its parts by number, ``int64 [N]``.

    Attributes:
        amount: principal, pence: the sum of the parts.
        paid_out_on: the business date of pay-out.
        months: number of monthly instalments.
        units: sizes of the parts in units of £10.
        monthly_e12: monthly rates of the parts in 10⁻¹².
        part_id: distinct; they break ties.
        fee_ppm: servicing fee a year on outstanding principal, simple, ppm.
    """

    amount: int
    paid_out_on: date
    months: int
    units: IntArray
    monthly_e12: IntArray
    part_id: IntArray
    fee_ppm: int


@dataclass(frozen=True, slots=True)
class LifeRow:
    """One row of what is due, pence.

    ``interest_due`` and ``pence_months`` (``S``) are ``None`` until it has fallen due;
    ``interest_planned`` is as of when the schedule was last worked out. ``period_days``,
    ``month_days`` and ``pence_days`` say how ``S`` grows on that day
    (:mod:`marketplace.core.rescheduling`). ``nominal_on`` is the due date before it is moved to a
    business day.
    """

    number: int
    kind: InstalmentKind
    nominal_on: date
    due_on: date
    principal_due: int
    interest_planned: int
    interest_due: int | None
    pence_months: int | None
    principal_paid: int
    interest_paid: int
    period_days: int
    month_days: int
    pence_days: int


@dataclass(frozen=True, slots=True)
class PaymentOutcome:
    """What became of a payment, pence; ``number`` is its own.

    ``principal`` and ``interest`` are what it was allocated to, of which the fund's share is net of
    its recovery's cost, and what neither the fund nor costs took is the lenders'. ``returned`` goes
    back to the borrower's cash. Before ``allocated_on`` it waits whole.
    """

    number: int
    allocated_on: date | None = None
    distributed_on: date | None = None
    principal: int = 0
    interest: int = 0
    returned: int = 0
    to_fund_principal: int = 0
    to_fund_interest: int = 0
    cost_principal: int = 0
    cost_interest: int = 0


@dataclass(frozen=True, slots=True)
class FundOutcome:
    """What the event of that number spread of the fund's money: at most what lenders lacked."""

    number: int
    principal: int
    interest: int


@dataclass(frozen=True, slots=True, eq=False)
class LifeDistribution:
    """The parts' running totals after something was spread, pence, ``int64 [N]``.

    ``number`` is the payment's, or the event's when the provision fund paid.
    """

    kind: DistributionKind
    number: int
    spread_on: date
    principal: IntArray
    interest: IntArray
    fee: IntArray


@dataclass(frozen=True, slots=True)
class LifeMove:
    """A change of state on a day, and why."""

    on: date
    before: LoanState
    after: LoanState
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Life:
    """A loan at the end of a day (or a stage of it), and how it got there.

    Attributes:
        state, since: its state, and the day from which it is in it.
        level: the level instalment, pence.
        pence_months: ``S`` as of the last row that has fallen due.
        rows: all rows of what is due, fallen due or not; their principal sums to the amount.
        payments: by number.
        fund_payments: by number.
        distributions: in order.
        principal, interest, fee: the parts' running totals, pence, ``int64 [N]``.
        moves: in order, from ``active`` on.
        found: automatic events that the given ones didn't hold, to be stored; number 0.
        moot: numbers of events that found nothing to act on any more.
        defaulted_on, closed_on, written_off_on: the days of that, if they came.
        principal_paid, interest_paid: what payments were allocated to, gross, pence.
        principal_owed, interest_owed: the claims on the borrower that stand in the book: all
            principal, interest that has fallen due; pence.
        written_off_principal, written_off_interest: what of the claims stands written off now.
        clearing: pence received and not spread yet.
        waiting: pence of it that are allocated to nothing yet.
        fund_principal, fund_interest: the claim that the provision fund still owns, pence.
        stub_months, stub_days, stub_month_days: by how many pence-months ``S`` would grow if it
            were settled today, and for how many days of how many.
        stub_interest: pence of interest that come to.
    """

    state: LoanState
    since: date
    level: int
    pence_months: int
    rows: tuple[LifeRow, ...]
    payments: tuple[PaymentOutcome, ...]
    fund_payments: tuple[FundOutcome, ...]
    distributions: tuple[LifeDistribution, ...]
    principal: IntArray
    interest: IntArray
    fee: IntArray
    moves: tuple[LifeMove, ...]
    found: tuple[LoanEvent, ...]
    moot: tuple[int, ...]
    defaulted_on: date | None
    closed_on: date | None
    written_off_on: date | None
    principal_paid: int
    interest_paid: int
    principal_owed: int
    interest_owed: int
    written_off_principal: int
    written_off_interest: int
    clearing: int
    waiting: int
    fund_principal: int
    fund_interest: int
    stub_months: int
    stub_days: int
    stub_month_days: int
    stub_interest: int
