"""One loan as staff who service it see it: everything that is known of it, and no name."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from marketplace.core.errors import MarketplaceRefusal
from marketplace.models import Loan, LoanMove, Payment
from marketplace.selectors.loan_records import LoanEventView, LoanRecords, PaymentView
from marketplace.selectors.loan_views import LoanView, Schedules, loan_view


class LoanPaymentUnknown(MarketplaceRefusal):
    """A number that is none of a loan's payments."""

    code = "LOAN_PAYMENT_UNKNOWN"


@dataclass(frozen=True)
class MoveView:
    """A change of a loan's state: from when it counts, when it was recorded, and why."""

    before: str
    after: str
    moved_on: date
    recorded_on: date
    reason: str


@dataclass(frozen=True)
class LoanSheet:
    """A loan with its payments and events by number, and its moves in order.

    ``borrower`` is a reference such as ``member:7``.
    """

    loan: LoanView
    borrower: str
    payments: tuple[PaymentView, ...]
    events: tuple[LoanEventView, ...]
    moves: tuple[MoveView, ...]


def loan_sheet(loan_id: int) -> LoanSheet | None:
    """Everything about a loan, or none if there is no such loan; five statements."""
    loan = Loan.objects.select_related("market", "borrower").filter(pk=loan_id).first()
    if loan is None:
        return None
    records = LoanRecords([loan_id])
    return LoanSheet(
        loan=loan_view(loan, Schedules([loan_id])),
        borrower=loan.borrower.reference,
        payments=records.payments(loan_id),
        events=records.events(loan_id),
        moves=tuple(
            MoveView(row.state_before, row.state_after, row.moved_on, row.recorded_on, row.reason)
            for row in LoanMove.objects.filter(loan=loan_id).order_by("pk")
        ),
    )


def payment_key(loan_id: int, number: int) -> int:
    """The key of a loan's payment; one statement.

    Raises:
        LoanPaymentUnknown: no payment of the loan has this number.
    """
    found = Payment.objects.filter(loan=loan_id, number=number).values_list("pk", flat=True)
    for key in found:
        return int(key)
    raise LoanPaymentUnknown(f"Loan {loan_id} has no payment {number}.", field="number")
