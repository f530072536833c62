"""What happened to loans, for their borrowers: payments with what became of them, and events."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import cached_property

from marketplace.core.loan_events import Excess, LoanEventKind, PaymentKind
from marketplace.models import LoanEvent, Payment


class PaymentOutcome(StrEnum):
    """How far a payment has come.

    It waits while nothing is due; counts once it is allocated to what is due; is cleared once its
    money was spread over the parts; or it bounced, and counts for nothing.
    """

    WAITING = "waiting"
    ALLOCATED = "allocated"
    CLEARED = "cleared"
    BOUNCED = "bounced"


@dataclass(frozen=True)
class PaymentView:
    """A payment, and what became of it; pence.

    ``principal`` and ``interest`` are what it was allocated to, ``returned`` what went back to the
    borrower's cash. ``number`` is its place among the loan's payments and events.
    """

    number: int
    kind: PaymentKind
    amount: int
    reference: str
    excess: Excess
    received_on: date
    clears_on: date
    allocated_on: date | None
    distributed_on: date | None
    bounced_on: date | None
    principal: int
    interest: int
    returned: int

    @property
    def outcome(self) -> PaymentOutcome:
        """How far it has come."""
        if self.bounced_on is not None:
            return PaymentOutcome.BOUNCED
        if self.distributed_on is not None:
            return PaymentOutcome.CLEARED
        return PaymentOutcome.WAITING if self.allocated_on is None else PaymentOutcome.ALLOCATED


@dataclass(frozen=True)
class LoanEventView:
    """Something that happened to a loan beside payments; what its kind doesn't have is none.

    ``amount`` and ``interest`` are pence; ``effective_on`` is the day from which it counts;
    ``voided_on`` the day on which it was taken back. Who did it, and why, stays inside the house.
    """

    number: int
    kind: LoanEventKind
    effective_on: date
    recorded_on: date
    amount: int | None
    interest: int | None
    months: int | None
    day: int | None
    until: date | None
    voided_on: date | None


class LoanRecords:
    """The payments and events of all loans of one page: each read when first asked for, at once."""

    def __init__(self, loan_keys: Iterable[int]) -> None:
        self._keys = tuple(loan_keys)

    def payments(self, loan_key: int) -> tuple[PaymentView, ...]:
        """One loan's payments by number; the whole page's in one statement."""
        return tuple(self._payments.get(loan_key, ()))

    def events(self, loan_key: int) -> tuple[LoanEventView, ...]:
        """One loan's events by number; the whole page's in one statement."""
        return tuple(self._events.get(loan_key, ()))

    @cached_property
    def _payments(self) -> dict[int, list[PaymentView]]:
        found: dict[int, list[PaymentView]] = defaultdict(list)
        for row in Payment.objects.filter(loan__in=self._keys).order_by("loan", "number"):
            found[row.loan_id].append(
                PaymentView(
                    number=row.number,
                    kind=PaymentKind(row.kind),
                    amount=row.amount,
                    reference=row.reference,
                    excess=Excess(row.excess),
                    received_on=row.received_on,
                    clears_on=row.clears_on,
                    allocated_on=row.allocated_on,
                    distributed_on=row.distributed_on,
                    bounced_on=row.bounced_on,
                    principal=row.principal,
                    interest=row.interest,
                    returned=row.returned,
                )
            )
        return found

    @cached_property
    def _events(self) -> dict[int, list[LoanEventView]]:
        found: dict[int, list[LoanEventView]] = defaultdict(list)
        for row in LoanEvent.objects.filter(loan__in=self._keys).order_by("loan", "number"):
            found[row.loan_id].append(
                LoanEventView(
                    number=row.number,
                    kind=LoanEventKind(row.kind),
                    effective_on=row.effective_on,
                    recorded_on=row.recorded_on,
                    amount=row.amount or None,
                    interest=row.interest or None,
                    months=row.months or None,
                    day=row.day or None,
                    until=row.until,
                    voided_on=row.voided_on,
                )
            )
        return found
