"""Paying before the time: settling a loan early, prepaying a part of it, stepping back from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.db import transaction

from accounts.core.posting import EntryKind
from accounts.services.collecting import cancel_asked
from accounts.services.idempotency import once
from marketplace.core.errors import MarketplaceRefusal
from marketplace.core.house import HOUSE, House
from marketplace.core.loan_events import Excess, LoanEventKind, PaymentKind
from marketplace.core.settlement import (
    PaymentRefused,
    SettlementQuote,
    rescission_quote,
    settlement_quote,
)
from marketplace.core.states import LoanState
from marketplace.selectors.direct_debits import subject_of
from marketplace.selectors.stored_lives import days_of
from marketplace.services.loan_records import (
    EventDraft,
    LoanNow,
    PaymentRecord,
    add_event,
    add_payment,
    hold_loan,
)
from marketplace.services.rebuilding import Cause, rebuild_loans
from marketplace.services.single_payments import PaymentTaken, take_payment


class FigureChanged(MarketplaceRefusal):
    """The figure that somebody agreed to is not the one of the day any more."""

    code = "FIGURE_CHANGED"


@dataclass(frozen=True)
class Settled:
    """A loan that was settled, or stepped back from.

    Attributes:
        number: of the event.
        payment: number of the payment that came with it; none where what waited was enough.
        paid: pence of that payment.
        interest_stub: pence of interest by days in the figure.
        refunded: pence of the arrangement fee that were given back.
        state: of the loan; it closes once the payment has cleared and is spread.
    """

    loan_id: int
    number: int
    payment: int | None
    paid: int
    interest_stub: int
    refunded: int
    state: LoanState


def settle_early(
    *,
    loan_id: int,
    on: date,
    actor: str,
    key: str,
    kind: PaymentKind = PaymentKind.CASH,
    figure: int | None = None,
    reference: str = "",
    house: House = HOUSE,
) -> Settled:
    """Settle a loan at the figure of the day: what is due, the principal, and interest by days.

    Args:
        loan_id: which loan.
        on: the business date.
        actor: who settles it.
        key: idempotency key, unique for the actor.
        kind: from the borrower's cash, or collected from outside.
        figure: pence that were quoted; refused if it is another one now.
        reference: the payer's or the bank's.
        house: the house's rules.

    Raises:
        SettlementRefused: names the state, and what is allowed.
        FigureChanged: names the figure of the day.
        NotEnoughMoney: it is to come from cash that is not there.
        LoanNotPaidOut, IdempotencyConflict, RecordRefused.
    """

    def quote(now: LoanNow) -> SettlementQuote:
        return settlement_quote(now.life, on)

    closing = _Closing(
        "settle_early", LoanEventKind.SETTLEMENT, loan_id, on, actor, key, kind, figure, house
    )
    return closing.carry_out(quote, reference)


def rescind(
    *,
    loan_id: int,
    on: date,
    actor: str,
    key: str,
    kind: PaymentKind = PaymentKind.CASH,
    figure: int | None = None,
    reference: str = "",
    house: House = HOUSE,
) -> Settled:
    """Step back from a loan within 14 days of its acceptance: principal and interest by days.

    The arrangement fee goes back to the borrower's cash, the provision fund's part of it too, and
    may pay a part of it. Args and refusals as of :func:`settle_early`.

    Raises:
        RescissionRefused: names the state or the last day on which it was allowed.
    """

    def quote(now: LoanNow) -> SettlementQuote:
        return rescission_quote(
            now.life,
            accepted_on=now.loan.accepted_on,
            on=on,
            earlier=days_of(now.stored, LoanEventKind.RESCISSION),
            house=house,
        )

    closing = _Closing(
        "rescind", LoanEventKind.RESCISSION, loan_id, on, actor, key, kind, figure, house
    )
    return closing.carry_out(quote, reference)


def prepay(
    *,
    loan_id: int,
    amount: int,
    excess: Excess,
    on: date,
    actor: str,
    key: str,
    kind: PaymentKind = PaymentKind.CASH,
    reference: str = "",
    house: House = HOUSE,
) -> PaymentTaken:
    """Repay principal before its time; what is due is paid first.

    Args:
        loan_id: which loan.
        amount: pence.
        excess: ``shorter`` ends the loan earlier, ``smaller`` makes its instalments smaller.
        on: the business date.
        actor: who pays.
        key: idempotency key, unique for the actor.
        kind: from the borrower's cash, or collected from outside.
        reference: the payer's or the bank's.
        house: the house's rules.

    Raises:
        PaymentRefused: says why, and what would be taken; all of the loan is settled instead.
        NotEnoughMoney, LoanNotPaidOut, IdempotencyConflict, RecordRefused.
    """
    if excess is Excess.KEEP:
        raise PaymentRefused(
            "A prepayment makes the loan shorter or its instalments smaller: choose one.",
            field="excess",
        )
    return take_payment(
        loan_id=loan_id,
        amount=amount,
        on=on,
        actor=actor,
        key=key,
        kind=kind,
        excess=excess,
        reference=reference,
        house=house,
    )


@dataclass(frozen=True)
class _Closing:
    """An event that makes all of a loan due, and the payment that comes with it."""

    name: str
    event: LoanEventKind
    loan_id: int
    on: date
    actor: str
    key: str
    kind: PaymentKind
    figure: int | None
    house: House

    def carry_out(self, quote: Callable[[LoanNow], SettlementQuote], reference: str) -> Settled:
        """Quote it as of now, write event and payment, rebuild; once for the key."""
        with transaction.atomic():
            answer = once(
                scope=self.actor,
                name=self.name,
                key=self.key,
                content={
                    "loan": self.loan_id,
                    "kind": self.kind,
                    "figure": self.figure,
                    "reference": reference,
                },
                action=lambda: self._carry_out(quote, reference),
            )
        return Settled(**(answer | {"state": LoanState(answer["state"])}))

    def _carry_out(
        self, quote: Callable[[LoanNow], SettlementQuote], reference: str
    ) -> dict[str, Any]:
        now = hold_loan(loan_id=self.loan_id, on=self.on, house=self.house)
        quoted = quote(now)
        if self.figure not in (None, quoted.to_pay):
            raise FigureChanged(
                f"On {self.on} it is {quoted.to_pay} pence, not {self.figure}.", field="figure"
            )
        number = add_event(
            loan_id=self.loan_id,
            draft=EventDraft(self.event),
            on=self.on,
            actor=self.actor,
            with_payment=quoted.to_pay > 0,
        )
        added = {number}
        if quoted.to_pay:
            record = PaymentRecord(quoted.to_pay, self.kind, self.on, reference=reference)
            paid = add_payment(
                loan=now.loan, record=record, on=self.on, actor=self.actor, house=self.house
            )
            added.add(paid)
        cancel_asked(subjects=[subject_of(self.loan_id)])
        [rebuilt] = rebuild_loans(
            causes=[Cause(self.loan_id, added=frozenset(added))],
            on=self.on,
            actor=self.actor,
            kind=EntryKind.LOAN_CHANGED,
            reason=self.event.value,
            house=self.house,
        )
        rescinded = self.event is LoanEventKind.RESCISSION
        return {
            "loan_id": self.loan_id,
            "number": number,
            "payment": max(added) if quoted.to_pay else None,
            "paid": quoted.to_pay,
            "interest_stub": quoted.interest_stub,
            "refunded": now.loan.arrangement_fee if rescinded else 0,
            "state": rebuilt.after.value,
        }
