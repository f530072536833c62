"""A loan as it stands while its life is replayed: rows of what is due, sums, and its schedule."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from fractions import Fraction
from itertools import pairwise
from math import floor

import numpy as np

from marketplace.core.arrays import PENCE_PER_UNIT, IntArray, same_length
from marketplace.core.house import House
from marketplace.core.life_records import (
    Contract,
    FundOutcome,
    LifeDistribution,
    LifeMove,
    LifeRefused,
    PaymentOutcome,
)
from marketplace.core.loan_events import InstalmentKind, LoanEvent, PaymentEvent
from marketplace.core.rescheduling import PartRates, Period, growth, remaining_schedule
from marketplace.core.schedule import (
    add_months,
    contract_schedule,
    following_business_day,
    next_such_day,
)
from marketplace.core.states import SCHEDULED, LoanState, require_move


@dataclass(slots=True)
class Row:
    """A row of what is due; ``step`` is its place in the months counted from the anchor.

    ``weight`` is principal prepaid inside its period times the days it was still owed (pence-days),
    ``released`` the pence-months of skipped months that come with it.
    """

    kind: InstalmentKind
    nominal_on: date
    due_on: date
    step: int = 0
    days: int = 1
    month_days: int = 1
    principal_due: int = 0
    interest_planned: int = 0
    weight: int = 0
    released: int = 0
    interest_due: int | None = None
    pence_months: int | None = None
    principal_paid: int = 0
    interest_paid: int = 0

    @property
    def period(self) -> Period:
        """The days that its interest counts, released months included."""
        return replace(self.own_period, pence_days=self.weight + self.released * self.month_days)

    @property
    def own_period(self) -> Period:
        """The same without released months."""
        return Period(self.days, self.month_days, self.weight)

    @property
    def begins(self) -> date:
        """The nominal date on which its period begins."""
        return self.nominal_on - timedelta(days=self.days)

    @property
    def unpaid(self) -> int:
        """Pence of it that are due and not covered."""
        due = self.principal_due + (self.interest_due or 0)
        return due - self.principal_paid - self.interest_paid


@dataclass(frozen=True, slots=True)
class Skipped:
    """A month without an instalment: when it begins, its days, and those that count as a month."""

    begins: date
    days: int
    month_days: int


@dataclass(frozen=True, slots=True)
class Stub:
    """What ``S`` grows by if the loan is settled today, for how many days of how many."""

    months: int
    days: int
    month_days: int


@dataclass(slots=True)
class Spell:
    """An arrangement or hardship that lasts: its event, and what has been paid since."""

    event: LoanEvent
    received: int = 0


@dataclass
class LoanOnADay:
    """One loan on one day of its life; steps in :mod:`marketplace.core.life_steps` move it on.

    Rows that have fallen due come first: ``fallen`` says how many. Sums are in pence.
    """

    contract: Contract
    house: House
    holidays: frozenset[date]
    lenient: bool = False
    rates: PartRates = field(init=False)
    totals: tuple[IntArray, IntArray, IntArray] = field(init=False)
    anchor: date = field(init=False)
    since: date = field(init=False)
    state: LoanState = LoanState.ACTIVE
    level: int = 0
    pence_months: int = 0
    accrued: int = 0
    rows: list[Row] = field(default_factory=list)
    fallen: int = 0
    settled_rows: int = 0
    principal_fallen: int = 0
    principal_paid: int = 0
    interest_paid: int = 0
    principal_spread: int = 0
    interest_spread: int = 0
    lenders_interest: int = 0
    fund_principal: int = 0
    fund_interest: int = 0
    received: int = 0
    spread: int = 0
    rescinded: bool = False
    short: int | None = None
    written_off: bool = False
    defaulted_on: date | None = None
    closed_on: date | None = None
    written_off_on: date | None = None
    spell: Spell | None = None
    skipped: list[Skipped] = field(default_factory=list)
    standstill: list[tuple[date, date]] = field(default_factory=list)
    waiting: list[PaymentEvent] = field(default_factory=list)
    clearing: list[tuple[date, PaymentEvent]] = field(default_factory=list)
    outcomes: dict[int, PaymentOutcome] = field(default_factory=dict)
    fund_payments: list[FundOutcome] = field(default_factory=list)
    distributions: list[LifeDistribution] = field(default_factory=list)
    moves: list[LifeMove] = field(default_factory=list)
    found: list[LoanEvent] = field(default_factory=list)
    moot: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Work out the contract's schedule, and where the loan stands at pay-out."""
        deal = self.contract
        units, monthly, ids = same_length(
            units=deal.units, monthly_e12=deal.monthly_e12, part_id=deal.part_id
        )
        if np.unique(ids).size != ids.size or int(units.sum()) * PENCE_PER_UNIT != deal.amount:
            raise LifeRefused("A loan's parts must differ, and make up its amount.", field="parts")
        schedule = contract_schedule(units, monthly, deal.months)
        self.rates = PartRates(units, monthly)
        self.level, self.anchor, self.since = schedule.level, deal.paid_out_on, deal.paid_out_on
        nothing = np.zeros(ids.shape[0], dtype=np.int64)
        self.totals = (nothing, nothing, nothing)
        self.rows = [
            Row(InstalmentKind.REGULAR, self.anchor, self.anchor, step=place + 1)
            for place in range(deal.months)
        ]
        for row, principal, interest in zip(
            self.rows, schedule.principal.tolist(), schedule.interest.tolist(), strict=True
        ):
            row.principal_due, row.interest_planned = principal, interest
        self._date_rows(self.anchor)

    @property
    def outstanding(self) -> int:
        """Principal that no payment covers yet, pence."""
        return self.contract.amount - self.principal_paid

    @property
    def not_due(self) -> int:
        """Principal that has not fallen due, pence."""
        return self.contract.amount - self.principal_fallen

    @property
    def open(self) -> int:
        """What has fallen due and no payment covers, pence."""
        return self.principal_fallen - self.principal_paid + self.accrued - self.interest_paid

    @property
    def can_fall_due(self) -> bool:
        """Whether something may still fall due."""
        return self.state in SCHEDULED and self.fallen < len(self.rows)

    def move(self, on: date, after: LoanState, reason: str) -> None:
        """Move to another state by the table of allowed moves.

        Raises:
            MoveRefused: a move that the table doesn't have.
        """
        require_move(self.state, after)
        self.moves.append(LifeMove(on, self.state, after, reason))
        self.state, self.since = after, on
        if after not in (LoanState.ARRANGEMENT, LoanState.HARDSHIP):
            self.spell = None

    def fall_due(self, row: Row) -> None:
        """Let the next row fall due: fix its interest by what is outstanding."""
        if self.state is not LoanState.HARDSHIP:
            self.pence_months += growth(self.outstanding, row.period)
        self._fix(row)
        self.skipped.clear()

    def make_all_due(self) -> None:
        """Make all principal due, and no more interest."""
        for row in self.rows[self.fallen :]:
            row.interest_due, row.pence_months = 0, self.pence_months
        self.fallen, self.principal_fallen = len(self.rows), self.contract.amount

    def prepay(self, on: date, amount: int, *, level: int | None) -> Row:
        """Repay principal before its time, and work the rest of the schedule out anew.

        Args:
            on: the business date.
            amount: pence, less than what has not fallen due.
            level: the instalment to keep, for a shorter loan; ``None`` for a smaller one.
        """
        row = Row(InstalmentKind.PREPAYMENT, on, on, days=0, principal_due=amount)
        row.interest_due, row.pence_months = 0, self.pence_months
        following = self.rows[self.fallen]
        deferred = self._deferred()
        if on >= following.begins:
            following.weight += amount * min((on - following.begins).days, following.days)
        else:
            deferred -= min(self._unaccrued(amount, on), deferred)
        self.rows.insert(self.fallen, row)
        self.fallen += 1
        self.principal_fallen += amount
        self._reschedule(deferred, level=level)
        return row

    def settle(self, on: date) -> None:
        """Replace what has not fallen due by one row, with the interest of the days gone by."""
        if self.fallen == len(self.rows):
            return
        stub = self.stub(on)
        row = Row(InstalmentKind.SETTLEMENT, on, on, days=stub.days, month_days=stub.month_days)
        row.principal_due = self.not_due
        self.pence_months += stub.months
        self.rows[self.fallen :] = [row]
        self._fix(row)
        row.interest_planned = row.interest_due or 0

    def stub(self, on: date) -> Stub:
        """Return what ``S`` grows by if the loan is settled on a day; it doesn't in hardship."""
        if self.fallen == len(self.rows):
            return Stub(0, 0, 1)
        row = self.rows[self.fallen]
        days = min(max((on - row.begins).days, 0), row.days)
        deferred = self._deferred()
        if self.state is LoanState.HARDSHIP:
            months = 0
        elif on >= row.begins:
            months = growth(self.outstanding, row.own_period, days) + deferred
        else:
            # What is overdue bears no interest in skipped months: no due date comes.
            months = max(deferred - self._unaccrued(self.not_due, on), 0)
        return Stub(months, days, row.month_days)

    def stub_interest(self, stub: Stub) -> int:
        """Return the interest that a stub comes to, pence."""
        return self.rates.interest(self.pence_months + stub.months) - self.accrued

    def take_holiday(self, months: int) -> None:
        """Skip the next due dates; their pence-months come with the remaining instalments."""
        first = self.rows[self.fallen]
        self.skipped.append(Skipped(first.begins, first.days, first.month_days))
        deferred = self._deferred() + (months - 1) * self.not_due
        deferred += growth(self.not_due, first.own_period)
        dates = [add_months(self.anchor, first.step + extra) for extra in range(months + 1)]
        for begins, ends in list(pairwise(dates))[:-1]:
            self.skipped.append(Skipped(begins, (ends - begins).days, (ends - begins).days))
        for row in self.rows[self.fallen :]:
            row.step += months
        first.weight = 0
        self._date_rows(dates[-2])
        self._reschedule(deferred)

    def move_due_day(self, day: int) -> bool:
        """Move the due day of the month, and say whether that changes anything."""
        first = self.rows[self.fallen]
        coming, begins = first.nominal_on, first.begins
        moved = next_such_day(coming, day)
        if moved == coming and self.anchor.day == day:
            return False
        month_days = first.month_days
        self.anchor = moved
        for step, row in enumerate(self.rows[self.fallen :]):
            row.step = step
        self._date_rows(begins)
        first.month_days = month_days
        self._reschedule(self._deferred())
        return True

    def _fix(self, row: Row) -> None:
        """Fix the interest of the next row at ``S`` as it is now, and count the row as fallen."""
        fixed = self.rates.interest(self.pence_months)
        row.interest_due, self.accrued = fixed - self.accrued, fixed
        row.pence_months = self.pence_months
        self.fallen += 1
        self.principal_fallen += row.principal_due

    def _deferred(self) -> int:
        """Pence-months of skipped months that are still to be released."""
        return sum(row.released for row in self.rows[self.fallen :])

    def _unaccrued(self, principal: int, on: date) -> int:
        """Pence-months that the principal would yet cost in months that are skipped."""
        left = Fraction()
        for month in self.skipped:
            gone = min(max((on - month.begins).days, 0), month.days)
            left += Fraction(month.days - gone, month.month_days)
        return floor(principal * left + Fraction(1, 2))

    def _date_rows(self, begins: date) -> None:
        """Date the rows that have not fallen due, from the anchor; the first begins on a day."""
        for row in self.rows[self.fallen :]:
            row.nominal_on = add_months(self.anchor, row.step)
            row.due_on = following_business_day(row.nominal_on, self.holidays)
            row.days = row.month_days = (row.nominal_on - begins).days
            begins = row.nominal_on

    def _reschedule(self, deferred: int, *, level: int | None = None) -> None:
        """Work out anew what the rows that have not fallen due are to repay."""
        first = self.rows[self.fallen]
        plan = remaining_schedule(
            self.rates,
            balance=self.not_due,
            pence_months=self.pence_months,
            first=first.own_period,
            count=len(self.rows) - self.fallen,
            level=level,
            deferred=deferred,
        )
        self.level = plan.level
        del self.rows[self.fallen + plan.principal.size :]
        columns = (plan.principal.tolist(), plan.interest.tolist(), plan.released.tolist())
        for row, *values in zip(self.rows[self.fallen :], *columns, strict=True):
            row.principal_due, row.interest_planned, row.released = values
