"""Whole lives of loans as they are stored, and as a replay tells them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Protocol, TypeVar

import numpy as np

from accounts.selectors.bulk import fetch_columns
from marketplace.core.arrays import PENCE_PER_UNIT, IntArray
from marketplace.core.closing import Step
from marketplace.core.house import HOUSE, House
from marketplace.core.life import live
from marketplace.core.life_records import Contract, DayStage, Life, LifeRefused
from marketplace.core.loan_events import DefaultCause, Excess, LoanEventKind, PaymentEvent
from marketplace.core.loan_events import LoanEvent as Happened
from marketplace.core.states import LoanState
from marketplace.models import DayStep, Instalment, Loan, LoanEvent, LoanMove, Payment
from marketplace.selectors.calendar import bank_holidays
from marketplace.selectors.packed import packed_totals

# A loan may run on beyond its term: by holidays, and due days that moved.
_YEARS_BEYOND = 6
# Nobody services a loan for longer; a later day is a slip of the hand.
_LONGEST_YEARS = 100

# What a replay decides of an instalment, of a payment and of a loan, by the columns' names.
_ROW = (
    "kind",
    "nominal_on",
    "due_on",
    "period_days",
    "month_days",
    "pence_days",
    "principal_due",
    "interest_planned",
    "interest_due",
    "balance_months",
    "principal_paid",
    "interest_paid",
)
_OUTCOME = (
    "allocated_on",
    "distributed_on",
    "principal",
    "interest",
    "to_fund_principal",
    "to_fund_interest",
    "cost_principal",
    "cost_interest",
    "returned",
)
_LOAN = (
    "state",
    "instalment",
    "balance_months",
    "principal_paid",
    "interest_paid",
    "fund_principal",
    "fund_interest",
    "defaulted_on",
    "closed_on",
    "written_off_on",
)
Columns = dict[str, Any]


@dataclass(frozen=True, eq=False)
class StoredLife:
    """All that is stored of a paid-out loan, pence.

    Attributes:
        loan: the loan itself.
        part, lender: id and holder of each part, by its number, ``int64 [P]``.
        size, monthly_e12: each part's pence and monthly rate in 10⁻¹², ``[P]``.
        principal, interest, fee: what each part has had in all, ``[P]``; interest is gross.
        instalments, payments, events: by number; bounced and voided ones too.
        last_move: its last recorded change of state.
    """

    loan: Loan
    part: IntArray
    lender: IntArray
    size: IntArray
    monthly_e12: IntArray
    principal: IntArray
    interest: IntArray
    fee: IntArray
    instalments: tuple[Instalment, ...]
    payments: tuple[Payment, ...]
    events: tuple[LoanEvent, ...]
    last_move: LoanMove

    @property
    def position(self) -> Position:
        """The figures that a replay decides, as they are stored."""
        return Position(
            {name: getattr(self.loan, name) for name in _LOAN},
            {row.number: {name: getattr(row, name) for name in _ROW} for row in self.instalments},
            {row.number: {name: getattr(row, name) for name in _OUTCOME} for row in self.payments},
            self.principal,
            self.interest,
            self.fee,
        )


@dataclass(frozen=True, eq=False)
class Position:
    """Every figure of a loan that its replay decides.

    Attributes:
        loan: columns of the loan.
        instalments, payments: their columns, by number.
        principal, interest, fee: what each part has had in all, pence ``int64 [P]``.
    """

    loan: Columns
    instalments: Mapping[int, Columns]
    payments: Mapping[int, Columns]
    principal: IntArray
    interest: IntArray
    fee: IntArray

    def same_totals(self, other: Position) -> bool:
        """Whether every part has had the same in both."""
        return (
            np.array_equal(self.principal, other.principal)
            and np.array_equal(self.interest, other.interest)
            and np.array_equal(self.fee, other.fee)
        )


def load_lives(loan_ids: Collection[int]) -> list[StoredLife]:
    """The lives of paid-out loans, by id; others are left out. Seven statements."""
    loans = list(
        Loan.objects.filter(pk__in=list(loan_ids), paid_out_on__isnull=False).order_by("pk")
    )
    ids = [loan.pk for loan in loans]
    owner, *columns = fetch_columns(
        "SELECT loan_id, id, lender_id::bigint, size, monthly_rate FROM marketplace_part"
        " WHERE loan_id = ANY (%s) ORDER BY loan_id, number",
        [ids],
        5,
    )
    totals = packed_totals("l.id = ANY (%s)", [ids])
    instalments = _by_loan(Instalment.objects.filter(loan__in=ids).order_by("loan_id", "number"))
    payments = _by_loan(Payment.objects.filter(loan__in=ids).order_by("loan_id", "number"))
    events = _by_loan(LoanEvent.objects.filter(loan__in=ids).order_by("loan_id", "number"))
    moves = LoanMove.objects.filter(loan__in=ids).order_by("loan_id", "-pk").distinct("loan_id")
    last_moves = {move.loan_id: move for move in moves}
    lives = []
    for loan in loans:
        first, end = np.searchsorted(owner, [loan.pk, loan.pk + 1]).tolist()
        part, lender, size, monthly = (column[first:end] for column in columns)
        numbers = np.arange(1, end - first + 1)
        principal, interest, fee = totals.of(np.full_like(numbers, loan.pk), numbers)
        lives.append(
            StoredLife(
                loan=loan,
                part=part,
                lender=lender,
                size=size,
                monthly_e12=monthly,
                principal=principal,
                interest=interest,
                fee=fee,
                instalments=tuple(instalments[loan.pk]),
                payments=tuple(payments[loan.pk]),
                events=tuple(events[loan.pk]),
                last_move=last_moves[loan.pk],
            )
        )
    return lives


def last_recorded(stored: StoredLife) -> date:
    """The last business date on which something was recorded of a loan."""
    # What falls due before its time, at default or when the loan ends, has its day still to come.
    ends = [day for day in (stored.loan.defaulted_on, stored.loan.closed_on) if day is not None]
    fallen_due = [row.due_on for row in stored.instalments if row.interest_due is not None]
    days = [
        stored.last_move.recorded_on,
        *(day for day in fallen_due if not ends or day <= min(ends)),
        *(row.recorded_on for row in stored.events),
        *(row.voided_on for row in stored.events),
    ]
    for row in stored.payments:
        days += [row.recorded_on, row.allocated_on, row.distributed_on, row.bounced_on]
    return max(day for day in days if day is not None)


class _OfLoan(Protocol):
    loan_id: int


_Row = TypeVar("_Row", bound=_OfLoan)


def _by_loan(rows: Iterable[_Row]) -> dict[int, list[_Row]]:
    found: dict[int, list[_Row]] = defaultdict(list)
    for row in rows:
        found[row.loan_id].append(row)
    return found


def day_stage(on: date) -> DayStage:
    """How far the close of a day has gone in the life of loans; one statement."""
    done = set(
        DayStep.objects.filter(run_id=on, done_at__isnull=False).values_list("name", flat=True)
    )
    if Step.AGE.value in done:
        return DayStage.AGED
    return DayStage.SPREAD if Step.DISTRIBUTE.value in done else DayStage.TAKEN


def stage_of(stored: StoredLife, on: date, closed: DayStage) -> DayStage:
    """How far the day has gone for a loan: no less than what is recorded of it on that day.

    Arrears, default by the clock, and the end of an arrangement or of hardship belong to the end of
    a day, so once one is recorded the day has gone that far; a default may be declared at any time.

    Args:
        stored: the loan.
        on: the day.
        closed: how far its close has gone for all loans.
    """
    declared = any(
        row.kind == LoanEventKind.DEFAULT.value
        and row.cause != DefaultCause.OVERDUE.value
        and row.effective_on == on
        and row.voided_on is None
        for row in stored.events
    )
    late = (
        [LoanState.ARREARS.value]
        if declared
        else [LoanState.ARREARS.value, LoanState.DEFAULT.value]
    )
    if stored.last_move.moved_on == on and stored.last_move.state_after in late:
        return DayStage.AGED
    ends = (LoanEventKind.ARRANGEMENT_ENDED.value, LoanEventKind.HARDSHIP_ENDED.value)
    if any(
        row.kind in ends and row.effective_on == on and row.voided_on is None
        for row in stored.events
    ):
        return DayStage.AGED
    if any(payment.distributed_on == on for payment in stored.payments):
        return max(closed, DayStage.SPREAD)
    return closed


def contract_of(stored: StoredLife) -> Contract:
    """What was agreed at pay-out."""
    loan = stored.loan
    if loan.paid_out_on is None:
        raise ValueError("a loan has no life before it is paid out")
    return Contract(
        amount=loan.amount,
        paid_out_on=loan.paid_out_on,
        months=loan.term_months,
        units=stored.size // PENCE_PER_UNIT,
        monthly_e12=stored.monthly_e12,
        part_id=stored.part,
        fee_ppm=loan.servicing_fee,
    )


def payments_of(stored: StoredLife) -> list[PaymentEvent]:
    """The payments that did not bounce."""
    return [
        PaymentEvent(
            number=row.number,
            received_on=row.received_on,
            clears_on=row.clears_on,
            amount=row.amount,
            excess=Excess(row.excess),
            cost=row.cost,
        )
        for row in stored.payments
        if row.bounced_on is None
    ]


def events_of(stored: StoredLife) -> list[Happened]:
    """The events that were not taken back."""
    return [
        Happened(
            number=row.number,
            kind=LoanEventKind(row.kind),
            on=row.effective_on,
            amount=row.amount,
            interest=row.interest,
            months=row.months,
            day=row.day,
            until=row.until,
            cause=DefaultCause(row.cause) if row.cause else None,
        )
        for row in stored.events
        if row.voided_on is None
    ]


def days_of(stored: StoredLife, kind: LoanEventKind) -> list[date]:
    """The days from which the loan's events of a kind count, of those that stand."""
    return [
        event.effective_on
        for event in stored.events
        if event.kind == kind and event.voided_on is None
    ]


def holidays_of(stored: StoredLife, on: date) -> frozenset[date]:
    """The days without banking, as far as a loan may run."""
    contract = contract_of(stored)
    last = contract.paid_out_on.year + contract.months // 12 + _YEARS_BEYOND
    return bank_holidays(contract.paid_out_on.year, max(on.year, last))


def replay(
    stored: StoredLife,
    on: date,
    *,
    through: DayStage,
    house: House = HOUSE,
    payments: Sequence[PaymentEvent] = (),
    events: Sequence[Happened] = (),
) -> Life:
    """The loan's life up to a day, from its contract, payments and events alone.

    An event that found nothing to act on after all, now that a payment bounced or was found, does
    nothing: what the bank says can't be refused for it.

    Args:
        stored: the loan.
        on: the last day.
        through: how far that day goes.
        house: the house's rules.
        payments, events: more of them, to see what they would do.

    Raises:
        MarketplaceRefusal: see :func:`marketplace.core.life.live`; or a day out of sight.
    """
    last = date(stored.loan.funded_on.year + _LONGEST_YEARS, 12, 31)
    if on > last:
        raise LifeRefused(f"A loan's life can be told up to {last}.", field="on")
    return live(
        contract_of(stored),
        [*payments_of(stored), *payments],
        [*events_of(stored), *events],
        on,
        holidays=holidays_of(stored, on),
        house=house,
        through=through,
        lenient=True,
    )


def replay_to(
    stored: StoredLife,
    day: date,
    *,
    through: DayStage = DayStage.TAKEN,
    house: House = HOUSE,
) -> Life:
    """The loan's life up to an earlier day: what came by then is taken, and nothing after it."""
    return live(
        contract_of(stored),
        [payment for payment in payments_of(stored) if payment.received_on <= day],
        [event for event in events_of(stored) if event.on <= day],
        day,
        holidays=holidays_of(stored, day),
        house=house,
        through=through,
        lenient=True,
    )


def position_of(life: Life, bounced: Iterable[int] = ()) -> Position:
    """The figures that a life decides; payments that bounced have brought nothing.

    Args:
        life: the life.
        bounced: numbers of the payments that bounced.
    """
    loan = {name: getattr(life, name) for name in _LOAN[3:]}
    loan |= {
        "state": life.state.value,
        "instalment": life.level,
        "balance_months": life.pence_months,
    }
    names = [name for name in _ROW if name not in {"kind", "balance_months"}]
    rows = {
        row.number: {name: getattr(row, name) for name in names}
        | {"kind": row.kind.value, "balance_months": row.pence_months}
        for row in life.rows
    }
    nothing: Columns = dict.fromkeys(_OUTCOME, 0) | {"allocated_on": None, "distributed_on": None}
    payments = {number: dict(nothing) for number in bounced}
    payments |= {
        outcome.number: {name: getattr(outcome, name) for name in _OUTCOME}
        for outcome in life.payments
    }
    return Position(loan, rows, payments, life.principal, life.interest, life.fee)
