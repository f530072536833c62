"""The public loan book in Zopa's fourteen columns. Source: its monthly extract, 2016 to 2020."""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import date

from accounts.core.money import text_from_pence
from marketplace.core.states import LoanState

COLUMNS = (
    "Snapshot Date",
    "Encrypted Loan ID",
    "Encrypted Member ID",
    "Disbursal date",
    "Original Loan Amount",
    "Principal Collected",
    "Interest Collected",
    "Total number of payments",
    "Last payment date",
    "Term",
    "Lending rate",
    "Latest Status",
    "Date of Default",
    "PostCode",
)

# A loan that is not paid out is not in the book.
STATUS: dict[LoanState, str] = {
    LoanState.ACTIVE: "Active",
    LoanState.ARREARS: "Active",
    LoanState.ARRANGEMENT: "Active",
    LoanState.HARDSHIP: "Active",
    LoanState.REPAID: "Completed",
    LoanState.RESCINDED: "Completed",
    LoanState.SETTLED: "Completed",
    LoanState.DEFAULT: "Default",
    LoanState.WRITTEN_OFF: "Default",
    LoanState.RECOVERED: "Default",
}

_DISTRICT = re.compile(r"^([A-Z]{1,2}[0-9][A-Z0-9]?)\s*(?:[0-9][A-Z]{2})?$")


@dataclass(frozen=True)
class BookLoan:
    """One paid-out loan as of a day; amounts in pence, rate in annual effective ppm."""

    loan_id: str
    member_id: str
    paid_out_on: date
    amount: int
    principal_paid: int
    interest_paid: int
    payments: int
    last_payment_on: date | None
    term_months: int
    rate: int
    state: LoanState
    defaulted_on: date | None
    postcode: str


def postal_district(postcode: str) -> str:
    """The outward part of a UK postcode (``LS1 4AP`` is ``LS1``); empty when it is not one.

    Only the district leaves the house: a full postcode can point to a single home.
    """
    match = _DISTRICT.match(postcode.strip().upper())
    return match.group(1) if match else ""


def encrypted(identifier: str, secret: bytes) -> str:
    """A stable pseudonym of an identifier: 32 hexadecimal digits of HMAC-SHA-256."""
    return hmac.new(secret, identifier.encode(), hashlib.sha256).hexdigest()[:32]


def book_row(loan: BookLoan, *, on: date, secret: bytes) -> tuple[str, ...]:
    """One line of the loan book, in the order of :data:`COLUMNS`.

    Dates are ISO, the rate a fraction, amounts pounds with two decimals.
    """
    return (
        on.isoformat(),
        encrypted(f"loan:{loan.loan_id}", secret),
        encrypted(f"member:{loan.member_id}", secret),
        loan.paid_out_on.isoformat(),
        text_from_pence(loan.amount),
        text_from_pence(loan.principal_paid),
        text_from_pence(loan.interest_paid),
        str(loan.payments),
        loan.last_payment_on.isoformat() if loan.last_payment_on else "",
        str(loan.term_months),
        f"{loan.rate // 1_000_000}.{loan.rate % 1_000_000:06d}",
        STATUS[loan.state],
        loan.defaulted_on.isoformat() if loan.defaulted_on else "",
        postal_district(loan.postcode),
    )
