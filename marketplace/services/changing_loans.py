"""What borrowers and their loan agree on: another due day, a holiday, an arrangement, hardship.

Each writes its event and rebuilds the loan; what it comes to can be asked for before
(``marketplace/selectors/loan_quotes.py``), and is the same.
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
from marketplace.core.errors import MarketplaceRefusal
from marketplace.core.house import HOUSE, House
from marketplace.core.loan_events import LoanEventKind
from marketplace.core.settlement import (
    ArrangementRefused,
    HardshipRefused,
    check_arrangement,
    check_due_day,
    check_hardship,
    check_holiday,
)
from marketplace.core.states import LoanState
from marketplace.models import Instalment, Loan, LoanEvent
from marketplace.selectors.direct_debits import subject_of
from marketplace.selectors.stored_lives import days_of
from marketplace.services.loan_records import EventDraft, LoanNow, add_event, check_text, hold_loan
from marketplace.services.locks import lock_loans
from marketplace.services.rebuilding import Cause, Rebuilt, rebuild_loans


class EventRefused(MarketplaceRefusal):
    """An event that can't be taken back: there is none of this number, or it is taken back."""

    code = "LOAN_EVENT_REFUSED"


@dataclass(frozen=True)
class LoanChanged:
    """A loan after something was agreed, pence.

    Attributes:
        number: of the event.
        state: of the loan.
        instalment: the level instalment from now on.
        next_due_on, last_due_on: of the instalments still to come; none when there are none.
    """

    loan_id: int
    number: int
    state: LoanState
    instalment: int
    next_due_on: date | None
    last_due_on: date | None


def change_due_day(
    *, loan_id: int, day: int, on: date, actor: str, key: str, house: House = HOUSE
) -> LoanChanged:
    """Let instalments fall due on another day of the month, 1 to 28, from the next one on.

    The next due date moves to the first such day on or after the one that is coming. What was
    asked for by direct debit and not yet sent is cancelled, to be asked for again on the new day.

    Raises:
        DueDayRefused: names the state, and what is allowed.
        LoanNotPaidOut, IdempotencyConflict.
    """

    def check(now: LoanNow) -> EventDraft:
        check_due_day(now.life, day)
        return EventDraft(LoanEventKind.DUE_DAY, day=day)

    change = _Change("change_due_day", loan_id, on, actor, key, house, {"day": day})
    return change.carry_out(check)


def take_holiday(
    *, loan_id: int, months: int, on: date, actor: str, key: str, house: House = HOUSE
) -> LoanChanged:
    """Skip the next one to three due dates; all later ones move on by as many months.

    Raises:
        HolidayRefused: names the state, and what is allowed.
        LoanNotPaidOut, IdempotencyConflict.
    """

    def check(now: LoanNow) -> EventDraft:
        earlier = days_of(now.stored, LoanEventKind.HOLIDAY)
        check_holiday(now.life, months, on=on, earlier=earlier, house=house)
        return EventDraft(LoanEventKind.HOLIDAY, months=months)

    change = _Change("take_holiday", loan_id, on, actor, key, house, {"months": months})
    return change.carry_out(check)


def agree_arrangement(
    *,
    loan_id: int,
    amount: int,
    months: int,
    on: date,
    actor: str,
    key: str,
    reason: str = "",
    house: House = HOUSE,
) -> LoanChanged:
    """Agree that a borrower in arrears or hardship pays ``amount`` pence a month for some months.

    What is owed by the contract goes on, and so does interest; the default clock stands still.
    Nothing is collected by direct debit: what was asked for and not yet sent is cancelled.

    Raises:
        ArrangementRefused: names the state, and what is allowed.
        LoanNotPaidOut, IdempotencyConflict, RecordRefused.
    """

    def check(now: LoanNow) -> EventDraft:
        check_arrangement(now.life, amount, months)
        return EventDraft(LoanEventKind.ARRANGEMENT, amount=amount, months=months)

    content = {"amount": amount, "months": months}
    change = _Change("agree_arrangement", loan_id, on, actor, key, house, content, reason)
    return change.carry_out(check)


def end_arrangement(
    *, loan_id: int, on: date, actor: str, key: str, reason: str, house: House = HOUSE
) -> LoanChanged:
    """End an arrangement before its time: the loan is in arrears again, or active.

    Raises:
        ArrangementRefused: the loan is in none.
        LoanNotPaidOut, IdempotencyConflict, RecordRefused.
    """

    def check(now: LoanNow) -> EventDraft:
        if now.life.state is not LoanState.ARRANGEMENT:
            raise ArrangementRefused(
                f"A loan that is {now.life.state} has no arrangement to end.",
                state=now.life.state,
                allowed=(LoanState.ARRANGEMENT,),
            )
        return EventDraft(LoanEventKind.ARRANGEMENT_ENDED)

    change = _Change("end_arrangement", loan_id, on, actor, key, house, {}, reason)
    return change.carry_out(check)


def grant_hardship(
    *,
    loan_id: int,
    until: date,
    on: date,
    actor: str,
    key: str,
    reason: str = "",
    house: House = HOUSE,
) -> LoanChanged:
    """Freeze a loan's interest up to a day; principal goes on falling due, and nobody defaults.

    Nothing is collected by direct debit: what was asked for and not yet sent is cancelled.

    Raises:
        HardshipRefused: names the state, and what is allowed.
        LoanNotPaidOut, IdempotencyConflict, RecordRefused.
    """

    def check(now: LoanNow) -> EventDraft:
        check_hardship(now.life, until, on=on)
        return EventDraft(LoanEventKind.HARDSHIP, until=until)

    change = _Change("grant_hardship", loan_id, on, actor, key, house, {"until": until}, reason)
    return change.carry_out(check)


def end_hardship(
    *, loan_id: int, on: date, actor: str, key: str, reason: str, house: House = HOUSE
) -> LoanChanged:
    """End hardship before its time: the loan is in arrears then, or active.

    Raises:
        HardshipRefused: the loan is in none.
        LoanNotPaidOut, IdempotencyConflict, RecordRefused.
    """

    def check(now: LoanNow) -> EventDraft:
        if now.life.state is not LoanState.HARDSHIP:
            raise HardshipRefused(
                f"A loan that is {now.life.state} has no hardship to end.",
                state=now.life.state,
                allowed=(LoanState.HARDSHIP,),
            )
        return EventDraft(LoanEventKind.HARDSHIP_ENDED)

    change = _Change("end_hardship", loan_id, on, actor, key, house, {}, reason)
    return change.carry_out(check)


def void_event(
    *,
    loan_id: int,
    number: int,
    on: date,
    actor: str,
    key: str,
    reason: str,
    house: House = HOUSE,
) -> Rebuilt:
    """Take back an event that was entered by mistake, and replay what came after it.

    A payment that came with it stays: it was made. What it brought beyond what is due then goes
    back to the borrower's cash. What follows from the loan's life by itself is found again.

    Args:
        loan_id: which loan.
        number: of the event, in the loan's list.
        on: the business date.
        actor: who takes it back.
        key: idempotency key, unique for the actor.
        reason: why, without personal data, up to 200 characters.
        house: the house's rules.

    Raises:
        EventRefused: there is no such event, or it is taken back already.
        LoanNotPaidOut, IdempotencyConflict, RecordRefused.
    """
    check_text(reason=reason, needed=True)

    def void() -> dict[str, Any]:
        lock_loans([loan_id])
        event = LoanEvent.objects.filter(loan=loan_id, number=number).first()
        if event is None or event.voided_on is not None:
            raise EventRefused(
                f"Loan {loan_id} has no event {number}."
                if event is None
                else f"Event {number} was taken back already, on {event.voided_on}.",
                field="number",
            )
        LoanEvent.objects.filter(pk=event.pk).update(voided_on=on, voided_by=actor)
        [rebuilt] = rebuild_loans(
            causes=[Cause(loan_id, undone=frozenset({number}))],
            on=on,
            actor=actor,
            kind=EntryKind.LOAN_CORRECTED,
            reason=f"{event.kind} was taken back: {reason}",
            house=house,
        )
        return asdict(rebuilt)

    with transaction.atomic():
        answer = once(
            scope=actor,
            name="void_event",
            key=key,
            content={"loan": loan_id, "number": number, "reason": reason},
            action=void,
        )
    states = {name: LoanState(answer[name]) for name in ("before", "after")}
    return Rebuilt(**(answer | states))


@dataclass(frozen=True)
class _Change:
    """One event that changes a loan, asked for under a key."""

    name: str
    loan_id: int
    on: date
    actor: str
    key: str
    house: House
    content: dict[str, Any]
    reason: str = ""

    def carry_out(self, check: Callable[[LoanNow], EventDraft]) -> LoanChanged:
        """Check it against the loan as it is, write its event, rebuild; once for the key."""
        with transaction.atomic():
            answer = once(
                scope=self.actor,
                name=self.name,
                key=self.key,
                content={"loan": self.loan_id, "reason": self.reason, **self.content},
                action=lambda: self._carry_out(check),
            )
        days = {
            name: date.fromisoformat(answer[name]) if answer[name] else None
            for name in ("next_due_on", "last_due_on")
        }
        return LoanChanged(**(answer | days | {"state": LoanState(answer["state"])}))

    def _carry_out(self, check: Callable[[LoanNow], EventDraft]) -> dict[str, Any]:
        now = hold_loan(loan_id=self.loan_id, on=self.on, house=self.house)
        draft = check(now)
        number = add_event(
            loan_id=self.loan_id, draft=draft, on=self.on, actor=self.actor, reason=self.reason
        )
        # It was asked for by what the loan was before.
        cancel_asked(subjects=[subject_of(self.loan_id)])
        [rebuilt] = rebuild_loans(
            causes=[Cause(self.loan_id, added=frozenset({number}))],
            on=self.on,
            actor=self.actor,
            kind=EntryKind.LOAN_CHANGED,
            reason=draft.kind.value,
            house=self.house,
        )
        return {"number": number} | _answer(rebuilt)


def _answer(rebuilt: Rebuilt) -> dict[str, Any]:
    """What a loan is after its rebuild, as JSON."""
    coming = list(
        Instalment.objects.filter(loan=rebuilt.loan_id, interest_due__isnull=True)
        .order_by("number")
        .values_list("due_on", flat=True)
    )
    return {
        "loan_id": rebuilt.loan_id,
        "state": rebuilt.after.value,
        "instalment": Loan.objects.values_list("instalment", flat=True).get(pk=rebuilt.loan_id),
        "next_due_on": coming[0].isoformat() if coming else None,
        "last_due_on": coming[-1].isoformat() if coming else None,
    }
