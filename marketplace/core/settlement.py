"""What may be done with a loan in which state, and what it costs to settle it on a day.

The figure for settling early is interest and principal that have fallen due and are not paid, the
principal that has not, and interest for the days since the last due date. It never costs more than
waiting for the next due date. No charge. Source: the house design, "A loan's life".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from marketplace.core.arrays import whole
from marketplace.core.house import HOUSE, House
from marketplace.core.life_records import Life, LifeRow
from marketplace.core.life_refusals import (
    ArrangementRefused,
    DefaultRefused,
    DueDayRefused,
    HardshipRefused,
    HolidayRefused,
    LoanActionRefused,
    PaymentRefused,
    RescissionRefused,
    SettledShortRefused,
    SettlementRefused,
    WriteOffRefused,
)
from marketplace.core.loan_events import Excess
from marketplace.core.schedule import add_months, next_such_day
from marketplace.core.states import PAYABLE, SCHEDULED, LoanState

__all__ = [
    "ArrangementRefused",
    "DefaultRefused",
    "DueDayRefused",
    "HardshipRefused",
    "HolidayRefused",
    "LoanActionRefused",
    "PaymentRefused",
    "RescissionRefused",
    "SettledShortRefused",
    "SettlementQuote",
    "SettlementRefused",
    "WriteOffRefused",
    "check_arrangement",
    "check_default",
    "check_due_day",
    "check_hardship",
    "check_holiday",
    "check_payment",
    "check_rescission",
    "check_settled_short",
    "check_settlement",
    "check_write_off",
    "most_payable",
    "rescission_quote",
    "settlement_quote",
]

FIRST_DUE_DAY, LAST_DUE_DAY = 1, 28
LONGEST_PUT_OFF_DAYS = 30  # as far as one change of the due day can move an instalment
LONGEST_ARRANGEMENT_MONTHS = 60
LONGEST_HARDSHIP_MONTHS = 12

_S = LoanState
_CAN_SETTLE_SHORT = (*SCHEDULED[1:], _S.DEFAULT, _S.WRITTEN_OFF)


@dataclass(frozen=True, slots=True)
class SettlementQuote:
    """What settles a loan on a day, pence.

    Attributes:
        on: the day for which it holds.
        interest_overdue, principal_overdue: what has fallen due and no payment covers.
        principal_not_due: principal that has not fallen due.
        interest_stub: interest for the days since the last due date.
        days, month_days: how many days that are, of how many that count as a month.
        waiting: what has been paid and waits for something to fall due.
    """

    on: date
    interest_overdue: int
    principal_overdue: int
    principal_not_due: int
    interest_stub: int
    days: int
    month_days: int
    waiting: int

    @property
    def total(self) -> int:
        """All of it together, pence."""
        principal = self.principal_overdue + self.principal_not_due
        return self.interest_overdue + principal + self.interest_stub

    @property
    def to_pay(self) -> int:
        """The total less what has been paid and waits, pence."""
        return max(self.total - self.waiting, 0)


def settlement_quote(life: Life, on: date) -> SettlementQuote:
    """Return what settles a loan on a day.

    Args:
        life: the loan as of that day, its payments and events taken (stage ``TAKEN``).
        on: the day that it was told for.

    Raises:
        SettlementRefused: the loan's state doesn't allow settling early.
    """
    check_settlement(life)
    return _quote(life, on)


def rescission_quote(
    life: Life,
    *,
    accepted_on: date | None,
    on: date,
    earlier: Iterable[date] = (),
    house: House = HOUSE,
) -> SettlementQuote:
    """Return what a borrower who steps back has to pay: principal, and interest since pay-out.

    The arrangement fee is given back beside it.

    Args:
        life: the loan as of that day, its payments and events taken.
        accepted_on: when the borrower accepted the terms.
        on: the day.
        earlier: when the borrower stepped back already.
        house: the house's settings.

    Raises:
        RescissionRefused: the state doesn't allow it, it is done already, or the days to do so are
            over.
    """
    check_rescission(life, accepted_on=accepted_on, on=on, earlier=earlier, house=house)
    return _quote(life, on)


def _quote(life: Life, on: date) -> SettlementQuote:
    not_due = sum(row.principal_due for row in life.rows if row.interest_due is None)
    return SettlementQuote(
        on=on,
        interest_overdue=life.interest_owed,
        principal_overdue=life.principal_owed - not_due,
        principal_not_due=not_due,
        interest_stub=life.stub_interest,
        days=life.stub_days,
        month_days=life.stub_month_days,
        waiting=life.waiting,
    )


def most_payable(life: Life) -> int:
    """Return all that a loan can still come to, pence: what is owed, and interest as planned.

    What has been paid and waits is taken off.
    """
    planned = sum(row.interest_planned for row in life.rows if row.interest_due is None)
    owed = life.principal_owed + life.interest_owed + planned
    return owed + life.written_off_principal + life.written_off_interest - life.waiting


def check_payment(
    life: Life, amount: int, *, received_on: date, on: date, excess: Excess = Excess.KEEP
) -> None:
    """Refuse a payment that a loan can't take.

    Args:
        life: the loan as of the day the payment was received, what came before it taken.
        amount: pence.
        received_on: the day it was received.
        on: the business date.
        excess: what becomes of what is beyond what is due.

    Raises:
        PaymentRefused: says why, and what would be taken.
    """
    _require(life, PAYABLE, PaymentRefused, "take a payment")
    if received_on > on:
        raise PaymentRefused(
            f"A payment can't be received on {received_on}: today is {on}.", field="received_on"
        )
    if not whole(amount) or amount <= 0:
        raise PaymentRefused("A payment is a whole number of pence above zero.", field="amount")
    most = most_payable(life)
    if amount > most:
        raise PaymentRefused(
            f"{amount} pence are more than all that this loan can come to, {most} pence.",
            field="amount",
        )
    if excess is not Excess.KEEP and life.state in SCHEDULED:
        _check_prepayment(life, amount)


def _check_prepayment(life: Life, amount: int) -> None:
    not_due = sum(row.principal_due for row in life.rows if row.interest_due is None)
    due = life.principal_owed - not_due + life.interest_owed
    if not_due and amount - due >= not_due:
        raise PaymentRefused(
            f"This would repay all of the loan before its time: settle it early instead, or pay"
            f" less than {due + not_due} pence.",
            field="amount",
        )


def check_settlement(life: Life) -> None:
    """Refuse an early settlement of a loan that isn't running.

    Raises:
        SettlementRefused: names the state and what is allowed.
    """
    _require(life, SCHEDULED, SettlementRefused, "be settled early")
    if life.principal_owed + life.interest_owed == 0:
        raise SettlementRefused("Everything is paid: there is nothing to settle.")


def check_holiday(
    life: Life,
    months: int,
    *,
    on: date,
    earlier: Iterable[date] = (),
    house: House = HOUSE,
) -> None:
    """Refuse a payment holiday in arrears, one too long, or too soon after another.

    Args:
        life: the loan as of today.
        months: how many due dates would be skipped.
        on: the business date.
        earlier: when the loan's other holidays were taken.
        house: the house's settings.

    Raises:
        HolidayRefused: says why, and what is allowed.
    """
    _require(life, (_S.ACTIVE,), HolidayRefused, "have a payment holiday")
    _require_coming(life, HolidayRefused)
    late = [row.due_on for row in life.rows if row.due_on < on and _unpaid(row)]
    if late:
        raise HolidayRefused(f"The instalment of {late[0]} is overdue: a holiday needs it paid.")
    if not whole(months) or not 1 <= months <= house.holiday_months:
        raise HolidayRefused(
            f"A payment holiday has 1 to {house.holiday_months} months.", field="months"
        )
    for other in earlier:
        free = add_months(other, house.holiday_gap_months)
        if other <= on < free:
            raise HolidayRefused(
                f"A loan has one payment holiday in {house.holiday_gap_months} months: the next"
                f" from {free} on.",
                field="months",
            )


def check_due_day(life: Life, day: int) -> None:
    """Refuse a due day that no month has, the one that the loan has, or a second move too far.

    Raises:
        DueDayRefused: says why, and what is allowed.
    """
    _require(life, (_S.ACTIVE,), DueDayRefused, "change its due day")
    _require_coming(life, DueDayRefused)
    if not whole(day) or not FIRST_DUE_DAY <= day <= LAST_DUE_DAY:
        raise DueDayRefused(
            f"Instalments can fall due on day {FIRST_DUE_DAY} to {LAST_DUE_DAY} of the month.",
            field="day",
        )
    coming = [row for row in life.rows if row.interest_due is None]
    if {row.nominal_on.day for row in coming} == {day}:
        raise DueDayRefused(f"Instalments fall due on day {day} already.", field="day")
    first = coming[0]
    put_off = first.period_days - first.month_days
    put_off += (next_such_day(first.nominal_on, day) - first.nominal_on).days
    if put_off > LONGEST_PUT_OFF_DAYS:
        raise DueDayRefused(
            f"The instalment of {first.due_on} has moved already, and by no more than"
            f" {LONGEST_PUT_OFF_DAYS} days in all: choose another day, or ask once it is due.",
            field="day",
        )


def check_arrangement(life: Life, amount: int, months: int) -> None:
    """Refuse an arrangement to pay for a loan that needs none, or without amount or months.

    Raises:
        ArrangementRefused: says why, and what is allowed.
    """
    allowed = (_S.ARREARS, _S.HARDSHIP, _S.ARRANGEMENT)
    _require(life, allowed, ArrangementRefused, "have an arrangement")
    if not whole(amount) or amount <= 0:
        raise ArrangementRefused(
            "An arrangement needs a whole number of pence above zero a month.", field="amount"
        )
    if not whole(months) or not 1 <= months <= LONGEST_ARRANGEMENT_MONTHS:
        raise ArrangementRefused(
            f"An arrangement has 1 to {LONGEST_ARRANGEMENT_MONTHS} months.", field="months"
        )


def check_hardship(life: Life, until: date, *, on: date) -> None:
    """Refuse hardship for a loan that isn't running, or until a day that is gone or far away.

    Raises:
        HardshipRefused: says why, and what is allowed.
    """
    _require(life, SCHEDULED, HardshipRefused, "be in hardship")
    last = add_months(on, LONGEST_HARDSHIP_MONTHS)
    if not on <= until <= last:
        raise HardshipRefused(f"Hardship lasts until a day from {on} to {last}.", field="until")


def check_default(life: Life) -> None:
    """Refuse a default of a loan that isn't running, or that is paid and only waits for clearing.

    Raises:
        DefaultRefused: names the state and what is allowed.
    """
    _require(life, SCHEDULED, DefaultRefused, "be put in default")
    if life.principal_owed + life.interest_owed == 0:
        raise DefaultRefused("Everything is paid: there is nothing to default on.")


def check_write_off(life: Life) -> None:
    """Refuse to write off a loan that isn't in default.

    Raises:
        WriteOffRefused: names the state and what is allowed.
    """
    _require(life, (_S.DEFAULT,), WriteOffRefused, "be written off")


def check_settled_short(life: Life, amount: int) -> None:
    """Refuse a settlement for less that isn't less, or of a loan that is paid as agreed.

    Raises:
        SettledShortRefused: says why, and what is allowed.
    """
    _require(life, _CAN_SETTLE_SHORT, SettledShortRefused, "be settled for less")
    owed = life.principal_owed + life.interest_owed
    owed += life.written_off_principal + life.written_off_interest
    if not whole(amount) or not 0 <= amount < owed:
        raise SettledShortRefused(
            f"A settlement for less is of 0 to {owed - 1} pence: {owed} are owed.", field="amount"
        )


def check_rescission(
    life: Life,
    *,
    accepted_on: date | None,
    on: date,
    earlier: Iterable[date] = (),
    house: House = HOUSE,
) -> None:
    """Refuse to rescind a loan that isn't running, a second time, or too late.

    Raises:
        RescissionRefused: says why, and until when it is allowed.
    """
    _require(life, SCHEDULED, RescissionRefused, "be rescinded")
    already = max(earlier, default=None)
    if already is not None:
        raise RescissionRefused(
            f"This loan was rescinded on {already} already: it closes once all that is owed is paid"
            " and has cleared."
        )
    last = None if accepted_on is None else accepted_on + timedelta(days=house.rescission_days)
    if last is None or on > last:
        raise RescissionRefused(
            f"A loan can be rescinded within {house.rescission_days} days of its acceptance"
            + (", which is not on record." if last is None else f", until {last}."),
            field="on",
        )


def _unpaid(row: LifeRow) -> int:
    """Pence of a row that have fallen due and no payment covers."""
    if row.interest_due is None:
        return 0
    return row.interest_due + row.principal_due - row.interest_paid - row.principal_paid


def _require_coming(life: Life, refusal: type[LoanActionRefused]) -> None:
    if all(row.interest_due is not None for row in life.rows):
        raise refusal("Every instalment has fallen due: there is none to move.", state=life.state)


def _require(
    life: Life, allowed: Sequence[LoanState], refusal: type[LoanActionRefused], what: str
) -> None:
    if life.state not in allowed:
        raise refusal(
            f"A loan that is {life.state} can't {what}; allowed: {', '.join(allowed)}.",
            state=life.state,
            allowed=allowed,
            field="loan",
        )
