"""What one lender has: parts of loans, and their totals."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from django.db import connection
from django.db.models import QuerySet

from marketplace.core.states import LOST
from marketplace.models import Loan, Part
from marketplace.selectors.loan_views import LoanView, Schedules, loan_view
from marketplace.selectors.paging import Page, PageWanted, newest_first


@dataclass(frozen=True)
class PartView:
    """A lender's part of a loan; pence, and rates in annual effective ppm.

    ``expected_return`` is what the lender was told to expect when matched, after fee and losses.
    """

    loan: LoanView
    number: int
    size: int
    rate: int
    expected_return: int
    principal_received: int
    interest_received: int
    fee_paid: int

    @property
    def public_id(self) -> str:
        """The loan's public id and the part's number in it."""
        return f"{self.loan.public_id}/{self.number}"

    @property
    def outstanding(self) -> int:
        """Principal not yet received, in pence."""
        return self.size - self.principal_received


@dataclass(frozen=True)
class PortfolioTotals:
    """Sums over a lender's parts of loans that were paid out, in pence.

    ``lent = principal_received + outstanding + defaulted``: what is open of a loan in default,
    written off, settled or in recovery is counted as ``defaulted``, of any other as
    ``outstanding``. ``interest_received`` is before the servicing fee (``fee_paid``).
    """

    parts: int
    borrowers: int
    lent: int
    outstanding: int
    defaulted: int
    principal_received: int
    interest_received: int
    fee_paid: int


def portfolio_page(lender_id: int, wanted: PageWanted) -> Page[PartView]:
    """A lender's parts, the newest first, with their loans.

    One statement (two with a cursor), and one more for the instalments of all loans of the page
    if anyone asks for them. The cursor is a part's ``public_id``.

    Raises:
        PageRefused, CursorRefused.
    """
    return newest_first(_parts_of(lender_id), wanted, anchor=_named, view=_part_views)


def find_part(lender_id: int, public_id: str) -> PartView | None:
    """A lender's own part, or none; one statement."""
    return next(iter(_part_views(list(_named(_parts_of(lender_id), public_id)))), None)


def find_loan_as_lender(lender_id: int, public_id: UUID) -> LoanView | None:
    """A loan of which the lender holds a part, or none; one statement."""
    loan = (
        Loan.objects.filter(public_id=public_id, parts__lender_id=lender_id)
        .select_related("market")
        .first()
    )
    return None if loan is None else loan_view(loan, Schedules([loan.pk]))


def portfolio_totals(lender_id: int) -> PortfolioTotals:
    """A lender's totals; one statement."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*), count(DISTINCT l.borrower_id), coalesce(sum(p.size), 0)::bigint,"
            " coalesce(sum(p.size - p.principal_received) FILTER (WHERE l.state <> ALL (%s)),"
            " 0)::bigint,"
            " coalesce(sum(p.size - p.principal_received) FILTER (WHERE l.state = ANY (%s)),"
            " 0)::bigint,"
            " coalesce(sum(p.principal_received), 0)::bigint,"
            " coalesce(sum(p.interest_received), 0)::bigint, coalesce(sum(p.fee_paid), 0)::bigint"
            " FROM marketplace_part AS p JOIN marketplace_loan AS l ON l.id = p.loan_id"
            " WHERE p.lender_id = %s AND l.paid_out_on IS NOT NULL",
            [list(LOST), list(LOST), lender_id],
        )
        return PortfolioTotals(*cursor.fetchone())


def _parts_of(lender_id: int) -> QuerySet[Part]:
    return Part.objects.filter(lender_id=lender_id).select_related("loan__market")


def _named(parts: QuerySet[Part], public_id: str) -> QuerySet[Part]:
    loan, _, number = public_id.partition("/")
    try:
        return parts.filter(loan__public_id=UUID(loan), number=int(number))
    except (ValueError, OverflowError):
        return parts.none()


def _part_views(parts: list[Part]) -> list[PartView]:
    schedules = Schedules({part.loan_id for part in parts})
    return [
        PartView(
            loan=loan_view(part.loan, schedules),
            number=part.number,
            size=part.size,
            rate=part.rate,
            expected_return=part.expected_return,
            principal_received=part.principal_received,
            interest_received=part.interest_received,
            fee_paid=part.fee_paid,
        )
        for part in parts
    ]
