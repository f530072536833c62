"""Running loans day by day, and comparing twins: loans alike in all but what happened to one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from accounts.core.chart import Kind
from accounts.models import Account
from accounts.selectors.ledger import check_book
from marketplace.core.loan_events import Excess, PaymentKind
from marketplace.models import Distribution, Instalment, Loan, LoanEvent, Payment
from marketplace.selectors.loan_lives import replay_findings
from marketplace.services.ageing import age_loans
from marketplace.services.bouncing import Bounced, bounce_payments
from marketplace.services.distributing import distribute_cleared
from marketplace.services.falling_due import fall_due
from marketplace.services.paying_out import pay_out
from marketplace.services.single_payments import PaymentTaken, take_payment
from tests.marketplace.house import DESIGN_PARTS, Funded, House, funded, key
from tests.world import ACTOR, DAY

_LEDGER = (Kind.CLEARING, Kind.PRINCIPAL_OWED, Kind.INTEREST_DUE)
_OF_A_LOAN = (
    "state",
    "instalment",
    "balance_months",
    "principal_paid",
    "interest_paid",
    "defaulted_on",
    "closed_on",
    "written_off_on",
    "fund_principal",
    "fund_interest",
)
_OF_A_ROW = (
    "number",
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


def running(
    house: House, parts: Sequence[tuple[int, int]] = DESIGN_PARTS, *, term: int = 36
) -> Funded:
    """A loan accepted and paid out on the first day."""
    made = funded(house, parts, term=term)
    Loan.objects.filter(pk=made.loan_id).update(accepted_on=DAY)
    pay_out(loan_ids=[made.loan_id], on=DAY, actor=ACTOR, key=key())
    return made


def work(on: date) -> None:
    """What the close of a day does for loans."""
    fall_due(on=on, actor=ACTOR)
    distribute_cleared(on=on, actor=ACTOR)
    age_loans(on=on)


def work_until(first: date, last: date, *, every_day: bool = False) -> None:
    """The days from ``first`` to ``last``, both included.

    Of a loan without arrangement, hardship or default to come, only days on which an instalment
    falls due or is first overdue, or a payment clears, make a difference: others are left out.
    """
    due = set(Instalment.objects.filter(due_on__range=(DAY, last)).values_list("due_on", flat=True))
    telling = due | {day + timedelta(days=1) for day in due} | {first, last}
    telling |= set(Payment.objects.values_list("clears_on", flat=True))
    while first <= last:
        if every_day or first in telling:
            work(first)
        first += timedelta(days=1)


def take(
    made: Funded,
    amount: int,
    on: date,
    *,
    received_on: date | None = None,
    kind: PaymentKind = PaymentKind.COLLECTION,
    excess: Excess = Excess.KEEP,
) -> PaymentTaken:
    """One payment, today unless it came before."""
    return take_payment(
        loan_id=made.loan_id,
        amount=amount,
        received_on=received_on or on,
        on=on,
        actor=ACTOR,
        key=key(),
        kind=kind,
        excess=excess,
    )


def bounce(made: Funded, number: int, on: date) -> Bounced:
    """One of its payments bounces."""
    payment = Payment.objects.get(loan=made.loan_id, number=number)
    return bounce_payments(payments=[payment.pk], on=on, actor=ACTOR, key=key(), reason="no funds")


def owed(loan_id: int) -> int:
    """What has fallen due and is not covered, pence."""
    rows = Instalment.objects.filter(loan=loan_id, interest_due__isnull=False)
    return sum(
        row.interest_due + row.principal_due - row.interest_paid - row.principal_paid
        for row in rows
        if row.interest_due is not None
    )


def balance(kind: Kind, owner: int) -> int:
    """What an account of a member or a loan holds, pence."""
    return Account.objects.get(kind=kind.value, owner_id=owner).balance


def worth(member_id: int) -> int:
    """A member's cash less their debt, pence."""
    return balance(Kind.CASH, member_id) - balance(Kind.DEBT, member_id)


def received(loan_id: int) -> list[tuple[int, int, int]]:
    """Principal, interest and fee that each part has had in all."""
    latest = Distribution.objects.filter(loan=loan_id).order_by("-number").first()
    if latest is None:
        return []
    return list(zip(latest.principal, latest.interest, latest.fee, strict=True))


def picture(made: Funded) -> dict[str, object]:
    """All that a loan is and has done to its people, without ids, numbers and records."""
    nothing = [(0, 0, 0)] * len(made.lenders)
    return {
        "loan": Loan.objects.values(*_OF_A_LOAN).get(pk=made.loan_id),
        "rows": list(
            Instalment.objects.filter(loan=made.loan_id).order_by("number").values(*_OF_A_ROW)
        ),
        "parts": received(made.loan_id) or nothing,
        "ledger": [balance(kind, made.loan_id) for kind in _LEDGER],
        "lenders": [worth(lender.pk) for lender in made.lenders],
        "borrower": worth(made.borrower.pk),
    }


def kinds_of_events(made: Funded) -> list[str]:
    """Kinds of its events that stand, by number."""
    rows = LoanEvent.objects.filter(loan=made.loan_id, voided_on__isnull=True)
    return list(rows.order_by("number").values_list("kind", flat=True))


def assert_sound(on: date) -> None:
    """The book adds up, and every loan is what its life says."""
    assert check_book().holds
    found = replay_findings(on=on)
    assert found.differences == (), found.differences
    assert found.loans == Loan.objects.filter(paid_out_on__isnull=False).count()
