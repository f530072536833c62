"""What a change of a loan would come to, before anybody makes it: pure reads, eight statements.

Each tells the loan's life up to the day with the change in it. What is executed on that day, if
nothing else happens before, comes to the same figures.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date

from marketplace.core.errors import MarketplaceRefusal
from marketplace.core.house import HOUSE, House
from marketplace.core.life_records import Life
from marketplace.core.loan_events import Excess, LoanEvent, LoanEventKind, PaymentEvent
from marketplace.core.settlement import (
    PaymentRefused,
    SettlementQuote,
    check_due_day,
    check_holiday,
    check_payment,
)
from marketplace.core.settlement import rescission_quote as rescission_of
from marketplace.core.settlement import settlement_quote as settlement_of
from marketplace.models import Loan
from marketplace.selectors.stored_lives import (
    StoredLife,
    day_stage,
    days_of,
    last_recorded,
    load_lives,
    replay,
    stage_of,
)


class QuoteRefused(MarketplaceRefusal):
    """A quote for a loan that is not paid out, or for a day that is gone."""

    code = "LOAN_QUOTE_REFUSED"


@dataclass(frozen=True)
class Terms:
    """How a loan would go on, pence.

    Attributes:
        instalment: the level instalment.
        instalments: how many are still to come.
        next_due_on, last_due_on: the first and the last of them; none where none are to come.
        interest_to_come: interest planned with them.
    """

    instalment: int
    instalments: int
    next_due_on: date | None
    last_due_on: date | None
    interest_to_come: int


@dataclass(frozen=True)
class PrepaymentQuote:
    """What a prepayment would do, pence.

    Attributes:
        amount: what is paid.
        due: what of it goes to what is due.
        prepaid: what of it repays principal before its time.
        before: the loan without it, what is due paid as it stands.
        shorter, smaller: the loan with it, by the borrower's choice.
        saved_shorter, saved_smaller: interest that it saves.
    """

    amount: int
    due: int
    prepaid: int
    before: Terms
    shorter: Terms
    smaller: Terms
    saved_shorter: int
    saved_smaller: int


@dataclass(frozen=True)
class ChangeQuote:
    """What a holiday or another due day would do: the loan before and after, pence.

    Attributes:
        before, after: how it goes on without the change, and with it.
        interest_more: interest that it costs more.
    """

    before: Terms
    after: Terms
    interest_more: int


@dataclass(frozen=True)
class RescissionQuote:
    """What stepping back costs, pence: the figure, and the fee that is given back beside it."""

    figure: SettlementQuote
    refunded: int

    @property
    def net(self) -> int:
        """What the borrower is out of pocket, pence; the loan's principal is in it."""
        return self.figure.to_pay - self.refunded


def settlement_quote(loan_id: int, on: date, *, house: House = HOUSE) -> SettlementQuote:
    """The figure that settles a loan on a day, today or later, if nothing else happens before.

    Raises:
        SettlementRefused: names the state, and what is allowed.
        QuoteRefused: an unknown loan, one that is not paid out, or a day that is gone.
    """
    _, life = _now(loan_id, on, house)
    return settlement_of(life, on)


def rescission_quote(loan_id: int, on: date, *, house: House = HOUSE) -> RescissionQuote:
    """What stepping back from a loan costs on a day, and the arrangement fee that comes back.

    Raises:
        RescissionRefused: names the state, or the last day on which it was allowed.
        QuoteRefused: an unknown loan, one that is not paid out, or a day that is gone.
    """
    stored, life = _now(loan_id, on, house)
    figure = rescission_of(
        life,
        accepted_on=stored.loan.accepted_on,
        on=on,
        earlier=days_of(stored, LoanEventKind.RESCISSION),
        house=house,
    )
    return RescissionQuote(figure, stored.loan.arrangement_fee)


def prepayment_quote(
    loan_id: int, amount: int, on: date, *, house: House = HOUSE
) -> PrepaymentQuote:
    """How a loan would go on after a payment beyond what is due, for both choices.

    Raises:
        PaymentRefused: nothing would be prepaid, or all of the loan, or the state takes none.
        QuoteRefused: an unknown loan, one that is not paid out, or a day that is gone.
    """
    stored, life = _now(loan_id, on, house)
    check_payment(life, amount, received_on=on, on=on, excess=Excess.SHORTER)
    payment = PaymentEvent(stored.loan.events + 1, on, on, amount, Excess.SHORTER)
    shorter, smaller = (
        replay(
            stored,
            on,
            through=stage_of(stored, on, day_stage(on)),
            house=house,
            payments=[replace(payment, excess=excess)],
        )
        for excess in (Excess.SHORTER, Excess.SMALLER)
    )
    due = _open(life)
    if amount <= due:
        raise PaymentRefused(
            f"{due} pence are due: only what is paid beyond them is prepaid.", field="amount"
        )
    return PrepaymentQuote(
        amount=amount,
        due=due,
        prepaid=amount - due,
        before=_terms(life),
        shorter=_terms(shorter),
        smaller=_terms(smaller),
        saved_shorter=_to_come(life) - _to_come(shorter),
        saved_smaller=_to_come(life) - _to_come(smaller),
    )


def holiday_quote(loan_id: int, months: int, on: date, *, house: House = HOUSE) -> ChangeQuote:
    """How a loan would go on after a payment holiday.

    Raises:
        HolidayRefused: names the state, and what is allowed.
        QuoteRefused: an unknown loan, one that is not paid out, or a day that is gone.
    """
    stored, life = _now(loan_id, on, house)
    check_holiday(life, months, on=on, earlier=days_of(stored, LoanEventKind.HOLIDAY), house=house)
    return _change(stored, life, on, LoanEvent(0, LoanEventKind.HOLIDAY, on, months=months), house)


def due_day_quote(loan_id: int, day: int, on: date, *, house: House = HOUSE) -> ChangeQuote:
    """How a loan would go on with another due day.

    Raises:
        DueDayRefused: names the state, and what is allowed.
        QuoteRefused: an unknown loan, one that is not paid out, or a day that is gone.
    """
    stored, life = _now(loan_id, on, house)
    check_due_day(life, day)
    return _change(stored, life, on, LoanEvent(0, LoanEventKind.DUE_DAY, on, day=day), house)


def _now(loan_id: int, on: date, house: House) -> tuple[StoredLife, Life]:
    lives = load_lives([loan_id])
    if not lives:
        state = Loan.objects.filter(pk=loan_id).values_list("state", flat=True).first()
        raise QuoteRefused(
            f"This loan is {state or 'unknown'}; quotes are for loans that are paid out.",
            field="loan",
        )
    [stored] = lives
    begun = last_recorded(stored)
    if on < begun:
        raise QuoteRefused(f"A quote holds for a day from {begun} on.", field="on")
    return stored, replay(stored, on, through=stage_of(stored, on, day_stage(on)), house=house)


def _change(
    stored: StoredLife, life: Life, on: date, event: LoanEvent, house: House
) -> ChangeQuote:
    numbered = replace(event, number=stored.loan.events + 1)
    after = replay(
        stored,
        on,
        through=stage_of(stored, on, day_stage(on)),
        house=house,
        events=[numbered],
    )
    return ChangeQuote(_terms(life), _terms(after), _to_come(after) - _to_come(life))


def _open(life: Life) -> int:
    """Pence that have fallen due and nothing covers."""
    due = sum(
        row.principal_due + row.interest_due for row in life.rows if row.interest_due is not None
    )
    return due - life.principal_paid - life.interest_paid


def _to_come(life: Life) -> int:
    """Interest of the rows still to come, as planned, pence."""
    return sum(row.interest_planned for row in life.rows if row.interest_due is None)


def _terms(life: Life) -> Terms:
    coming = [row for row in life.rows if row.interest_due is None]
    return Terms(
        instalment=life.level,
        instalments=len(coming),
        next_due_on=coming[0].due_on if coming else None,
        last_due_on=coming[-1].due_on if coming else None,
        interest_to_come=_to_come(life),
    )
