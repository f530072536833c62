"""Default, and what may follow: recoveries, a settlement for less, a write-off.

A loan whose oldest due date is four months past goes into default by itself (ageing); on a
borrower's death or insolvency somebody declares it, at once. Each of these writes what happened
and rebuilds the loan.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from django.db import transaction

from accounts.core.posting import EntryKind
from accounts.services.collecting import cancel_asked
from accounts.services.idempotency import once
from marketplace.core.house import HOUSE, House
from marketplace.core.life_refusals import DefaultRefused, LoanActionRefused
from marketplace.core.loan_events import DefaultCause, LoanEventKind, PaymentKind
from marketplace.core.settlement import (
    check_default,
    check_payment,
    check_settled_short,
    check_write_off,
)
from marketplace.core.states import LoanState
from marketplace.models import Payment
from marketplace.selectors.direct_debits import subject_of
from marketplace.services.loan_records import (
    EventDraft,
    LoanNow,
    PaymentRecord,
    add_event,
    add_payment,
    check_text,
    hold_loan,
)
from marketplace.services.rebuilding import Cause, Rebuilt, rebuild_loans
from marketplace.services.single_payments import check_cost, pay

RECOVERABLE = (LoanState.DEFAULT, LoanState.WRITTEN_OFF)


class RecoveryRefused(LoanActionRefused):
    """A recovery on a loan that is not in default."""

    code = "RECOVERY_REFUSED"


@dataclass(frozen=True)
class Recovered:
    """What a recovery brought, and whose it is; pence.

    Attributes:
        number: of the payment, in the loan's list of payments and events.
        state: of the loan.
        principal, interest: of the claim, by which it fell.
        cost: kept for the recovery's cost.
        to_fund: the provision fund's, by what it owns of the claim.
        to_lenders: theirs who held the parts at default, before the servicing fee, once cleared.
        returned: beyond what was owed, back to the borrower.
    """

    number: int
    state: LoanState
    principal: int
    interest: int
    cost: int
    to_fund: int
    to_lenders: int
    returned: int


@dataclass(frozen=True)
class _Request:
    """One use case about one loan, asked for under a key."""

    name: str
    loan_id: int
    on: date
    actor: str
    key: str
    house: House
    content: dict[str, Any]

    def carry_out(self, action: Callable[[LoanNow], dict[str, Any]]) -> dict[str, Any]:
        """Hold the loan and do it; once for the key."""
        with transaction.atomic():
            return once(
                scope=self.actor,
                name=self.name,
                key=self.key,
                content={"loan": self.loan_id, **self.content},
                action=lambda: action(
                    hold_loan(loan_id=self.loan_id, on=self.on, house=self.house)
                ),
            )

    def happened(self, draft: EventDraft, kind: EntryKind, reason: str) -> dict[str, Any]:
        """Write an event that comes alone, and rebuild the loan."""
        number = add_event(
            loan_id=self.loan_id, draft=draft, on=self.on, actor=self.actor, reason=reason
        )
        return asdict(self.rebuild(kind, reason, number))

    def rebuild(self, kind: EntryKind, reason: str, *added: int) -> Rebuilt:
        """Make the loan what its life says now; posts, so it comes last.

        Nothing is collected by direct debit any more.
        """
        cancel_asked(subjects=[subject_of(self.loan_id)])
        [rebuilt] = rebuild_loans(
            causes=[Cause(self.loan_id, added=frozenset(added))],
            on=self.on,
            actor=self.actor,
            kind=kind,
            reason=reason,
            house=self.house,
        )
        return rebuilt


def declare_default(
    *,
    loan_id: int,
    cause: DefaultCause,
    on: date,
    actor: str,
    key: str,
    reason: str,
    house: House = HOUSE,
) -> Rebuilt:
    """Put a running loan in default at once, on its borrower's death or insolvency.

    All principal is due from then on, and no more interest falls due.

    Args:
        loan_id: which loan.
        cause: death or insolvency; overdue loans default by themselves.
        on: business date, from which it counts.
        actor: who declares it.
        key: idempotency key, unique for the actor.
        reason: how it is known, without personal data, up to 200 characters.
        house: the house's rules.

    Raises:
        DefaultRefused: another cause, or a loan that doesn't run; names its state.
        LoanNotPaidOut, RecordRefused, IdempotencyConflict.
    """
    check_text(reason=reason, needed=True)
    if cause not in (DefaultCause.DEATH, DefaultCause.INSOLVENCY):
        raise DefaultRefused(
            "A default is declared on death or insolvency; overdue loans default by themselves.",
            field="cause",
        )
    content = {"cause": cause.value, "reason": reason}
    request = _Request("declare_default", loan_id, on, actor, key, house, content)

    def declare(now: LoanNow) -> dict[str, Any]:
        check_default(now.life)
        draft = EventDraft(LoanEventKind.DEFAULT, cause=cause)
        return request.happened(draft, EntryKind.LOAN_CHANGED, reason)

    return _rebuilt(request.carry_out(declare))


def write_off(
    *, loan_id: int, on: date, actor: str, key: str, reason: str, house: House = HOUSE
) -> Rebuilt:
    """Write off what is owed on a loan in default: nobody expects it any more.

    What comes nonetheless is still taken, and is the lenders' and the fund's.

    Raises:
        WriteOffRefused: names the state, and what is allowed.
        LoanNotPaidOut, RecordRefused, IdempotencyConflict.
    """
    check_text(reason=reason, needed=True)
    request = _Request("write_off", loan_id, on, actor, key, house, {"reason": reason})

    def write(now: LoanNow) -> dict[str, Any]:
        check_write_off(now.life)
        draft = EventDraft(LoanEventKind.WRITTEN_OFF)
        return request.happened(draft, EntryKind.CLAIM_WRITTEN_OFF, reason)

    return _rebuilt(request.carry_out(write))


def settle_for_less(
    *,
    loan_id: int,
    amount: int,
    on: date,
    actor: str,
    key: str,
    reason: str,
    kind: PaymentKind = PaymentKind.RECOVERY,
    cost: int = 0,
    reference: str = "",
    house: House = HOUSE,
) -> Rebuilt:
    """Take a lump sum for all that is owed, and write the rest off: the loan is closed.

    Args:
        loan_id: which loan, in arrears, an arrangement, hardship, default or written off.
        amount: pence, less than is owed; 0 where nothing is paid.
        on: business date, on which it is received.
        actor: who agreed to it.
        key: idempotency key, unique for the actor.
        reason: why, without personal data, up to 200 characters.
        kind: how it is paid.
        cost: pence of it that the recovery cost.
        reference: the payer's or the bank's.
        house: the house's rules.

    Raises:
        SettledShortRefused: names the state, or what a settlement for less may be.
        PaymentRefused: a cost below nothing or above the amount, or of what is no recovery.
        NotEnoughMoney: it is to come from cash that is not there.
        LoanNotPaidOut, RecordRefused, IdempotencyConflict.
    """
    check_text(reason=reason, needed=True)
    record = PaymentRecord(amount, kind, on, cost=cost, reference=reference)
    content = {
        "amount": amount,
        "kind": kind.value,
        "cost": cost,
        "reference": reference,
        "reason": reason,
    }
    request = _Request("settle_for_less", loan_id, on, actor, key, house, content)

    def settle(now: LoanNow) -> dict[str, Any]:
        check_settled_short(now.life, amount)
        check_cost(record)
        paid = amount > 0
        draft = EventDraft(LoanEventKind.SETTLED_SHORT, amount=amount)
        added = [
            add_event(
                loan_id=loan_id, draft=draft, on=on, actor=actor, reason=reason, with_payment=paid
            )
        ]
        if paid:
            added.append(add_payment(loan=now.loan, record=record, on=on, actor=actor, house=house))
        return asdict(request.rebuild(EntryKind.CLAIM_WRITTEN_OFF, reason, *added))

    return _rebuilt(request.carry_out(settle))


def recover(
    *,
    loan_id: int,
    amount: int,
    on: date,
    actor: str,
    key: str,
    received_on: date | None = None,
    cost: int = 0,
    reference: str = "",
    house: House = HOUSE,
) -> Recovered:
    """Take what was recovered of a loan in default or written off.

    The claim falls by the whole amount. Its cost is taken off, and the rest is shared by who owns
    the claim: the provision fund by what it has paid, and those who held the parts at default.

    Args:
        loan_id: which loan.
        amount: pence, cost included.
        on: business date.
        actor: who takes it.
        key: idempotency key, unique for the actor.
        received_on: the day on which it came; ``on`` when not given.
        cost: pence of it that recovering cost, such as an agency's share.
        reference: the payer's or the bank's.
        house: the house's rules.

    Raises:
        RecoveryRefused: the loan is in another state; names it, and what is allowed.
        PaymentRefused: an amount, a cost or a date that can't be.
        LoanNotPaidOut, RecordRefused, IdempotencyConflict.
    """
    came_on = received_on or on
    record = PaymentRecord(amount, PaymentKind.RECOVERY, came_on, cost=cost, reference=reference)
    content = {
        "amount": amount,
        "cost": cost,
        "reference": reference,
        "received_on": received_on,
    }
    request = _Request("recover", loan_id, on, actor, key, house, content)

    def take(now: LoanNow) -> dict[str, Any]:
        state = now.life.state
        if state not in RECOVERABLE:
            allowed = " or ".join(each.value for each in RECOVERABLE)
            raise RecoveryRefused(
                f"A loan that is {state} has nothing to recover; it must be {allowed}.",
                state=state,
                allowed=RECOVERABLE,
            )
        check_payment(now.life, amount, received_on=came_on, on=on)
        check_cost(record)
        number, rebuilt = pay(now, record, on=on, actor=actor, house=house)
        return {"number": number, "state": rebuilt.after.value} | _shares(loan_id, number)

    answer = request.carry_out(take)
    return Recovered(**(answer | {"state": LoanState(answer["state"])}))


def _shares(loan_id: int, number: int) -> dict[str, int]:
    """How the claim fell by a payment, and whose it is."""
    paid = Payment.objects.get(loan=loan_id, number=number)
    cost = paid.cost_principal + paid.cost_interest
    to_fund = paid.to_fund_principal + paid.to_fund_interest
    return {
        "principal": paid.principal,
        "interest": paid.interest,
        "cost": cost,
        "to_fund": to_fund,
        "to_lenders": paid.principal + paid.interest - cost - to_fund,
        "returned": paid.returned,
    }


def _rebuilt(answer: dict[str, Any]) -> Rebuilt:
    states = {name: LoanState(answer[name]) for name in ("before", "after")}
    return Rebuilt(**(answer | states))
