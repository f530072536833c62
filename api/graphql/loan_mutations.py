"""What borrowers change in a loan that is paid out: payments beside the plan, dates, its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import graphene

from api.graphql.access import borrower
from api.graphql.agreement_mutations import own_loan
from api.graphql.keyed import Asked, KeyedInput, KeyedMutation
from api.graphql.types.loan import MyLoan
from api.graphql.wire import MoneyInput, pence
from marketplace.core.loan_events import Excess, PaymentKind
from marketplace.selectors.borrowings import find_borrowed_loan
from marketplace.services.changing_loans import change_due_day, take_holiday
from marketplace.services.settling_loans import prepay, rescind, settle_early
from marketplace.services.single_payments import take_payment

_FIGURE = "What the quote said: another figure of the day is refused."


class PrepaymentChoice(graphene.Enum):
    """What a prepayment changes: SHORTER ends earlier, SMALLER lowers the instalment."""

    SHORTER = Excess.SHORTER.value
    SMALLER = Excess.SMALLER.value


class LoanInput(KeyedInput):
    """Which loan."""

    loan_id = graphene.ID(required=True)


class PayLoanInput(LoanInput):
    """How much is paid, from the borrower's cash."""

    amount = MoneyInput(required=True)


class PrepayLoanInput(PayLoanInput):
    """How much, and what it changes."""

    choice = PrepaymentChoice(required=True)


class FigureInput(LoanInput):
    """Which loan, at which figure."""

    figure = MoneyInput(required=True, description=_FIGURE)


class DueDayInput(LoanInput):
    """On which day of the month."""

    day = graphene.Int(required=True, description="1 to 28.")


class HolidayInput(LoanInput):
    """For how long."""

    months = graphene.Int(required=True, description="1 to 3.")


class _LoanMutation(KeyedMutation):
    """A change of one loan of the borrower who asks, which is read back."""

    class Meta:
        abstract = True

    allows = borrower
    loan = graphene.Field(MyLoan)

    @classmethod
    def changed(cls, asked: Asked, service: Callable[..., Any], **given: Any) -> Any:
        """Call the service for the borrower's own loan, and read it back."""
        own = own_loan(asked)
        service(loan_id=own.key, on=asked.on, actor=asked.actor, key=asked.key, **given)
        return cls(loan=find_borrowed_loan(asked.member.pk, own.public_id))


class PayLoan(_LoanMutation):
    """Pay towards what is due, from cash; what is beyond it comes back."""

    takes = PayLoanInput

    @classmethod
    def change(cls, asked: Asked) -> Any:
        """One payment, today."""
        return cls.changed(
            asked,
            take_payment,
            amount=pence(asked.input.amount, field="amount"),
            kind=PaymentKind.CASH,
        )


class PrepayLoan(_LoanMutation):
    """Repay principal before its time, from cash; what is due is paid first."""

    takes = PrepayLoanInput

    @classmethod
    def change(cls, asked: Asked) -> Any:
        """One prepayment, today."""
        return cls.changed(
            asked,
            prepay,
            amount=pence(asked.input.amount, field="amount"),
            excess=Excess(asked.input.choice.value),
        )


class SettleLoan(_LoanMutation):
    """Settle a loan early, from cash, at the figure of the day. There is no charge."""

    takes = FigureInput

    @classmethod
    def change(cls, asked: Asked) -> Any:
        """Settle, today."""
        figure = pence(asked.input.figure, field="figure")
        return cls.changed(asked, settle_early, figure=figure)


class RescindLoan(_LoanMutation):
    """Step back from a loan within 14 days of accepting it, from cash."""

    takes = FigureInput

    @classmethod
    def change(cls, asked: Asked) -> Any:
        """Step back, today."""
        figure = pence(asked.input.figure, field="figure")
        return cls.changed(asked, rescind, figure=figure)


class ChangeDueDay(_LoanMutation):
    """Let instalments fall due on another day of the month."""

    takes = DueDayInput

    @classmethod
    def change(cls, asked: Asked) -> Any:
        """From the next one on."""
        return cls.changed(asked, change_due_day, day=asked.input.day)


class TakeHoliday(_LoanMutation):
    """Skip the next instalments; all later ones move on by as many months."""

    takes = HolidayInput

    @classmethod
    def change(cls, asked: Asked) -> Any:
        """From the next one on."""
        return cls.changed(asked, take_holiday, months=asked.input.months)
