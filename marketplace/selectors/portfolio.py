"""What one lender has: parts of loans, and their totals."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from functools import cached_property
from uuid import UUID

from django.db import connection
from django.db.models import QuerySet

from accounts.selectors.bulk import fetch_columns
from marketplace.core.states import LOST
from marketplace.models import Loan, Part
from marketplace.selectors.loan_views import LoanView, Schedules, loan_view
from marketplace.selectors.packed import LATEST
from marketplace.selectors.paging import Page, PageWanted, newest_first
from marketplace.selectors.receipts import Receipt, receipts_of_parts


class PartReceipts:
    """What the parts of one page received: read when first asked for, in one statement."""

    def __init__(self, part_keys: list[int]) -> None:
        self._keys = part_keys

    @cached_property
    def _by_part(self) -> dict[str, list[Receipt]]:
        found: dict[str, list[Receipt]] = defaultdict(list)
        for receipt in receipts_of_parts(self._keys):
            found[receipt.part_id].append(receipt)
        return found

    def of(self, part_id: str) -> tuple[Receipt, ...]:
        """One part's receipts, the newest first, by the part's public id."""
        return tuple(self._by_part.get(part_id, ()))


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
    page: PartReceipts = field(repr=False, compare=False)

    @property
    def public_id(self) -> str:
        """The loan's public id and the part's number in it."""
        return f"{self.loan.public_id}/{self.number}"

    @property
    def outstanding(self) -> int:
        """Principal not yet received, in pence."""
        return self.size - self.principal_received

    @property
    def receipts(self) -> tuple[Receipt, ...]:
        """What came of each distribution, the newest first; read for the whole page at once."""
        return self.page.of(self.public_id)


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

    Two statements (three with a cursor), and one more each for the instalments of all loans of the
    page and for what its parts received, if anyone asks for them. The cursor is a part's
    ``public_id``.

    Raises:
        PageRefused, CursorRefused.
    """
    return newest_first(_parts_of(lender_id), wanted, anchor=_named, view=_part_views)


def find_part(lender_id: int, public_id: str) -> PartView | None:
    """A lender's own part, or none; two statements."""
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
            # Materialised, or each array is unpacked again for each sum.
            "WITH held AS MATERIALIZED (SELECT l.borrower_id, l.state = ANY (%s) AS lost, p.size,"
            " coalesce(d.principal[p.number], 0) AS principal, d.interest[p.number] AS interest,"
            " d.fee[p.number] AS fee"
            f" FROM marketplace_part AS p JOIN marketplace_loan AS l ON l.id = p.loan_id{LATEST}"
            " WHERE p.lender_id = %s AND l.paid_out_on IS NOT NULL)"
            " SELECT count(*), count(DISTINCT borrower_id), coalesce(sum(size), 0)::bigint,"
            " coalesce(sum(size - principal) FILTER (WHERE NOT lost), 0)::bigint,"
            " coalesce(sum(size - principal) FILTER (WHERE lost), 0)::bigint,"
            " coalesce(sum(principal), 0)::bigint, coalesce(sum(interest), 0)::bigint,"
            " coalesce(sum(fee), 0)::bigint FROM held",
            [list(LOST), lender_id],
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
    keys = [part.pk for part in parts]
    schedules, page, received = (
        Schedules({part.loan_id for part in parts}),
        PartReceipts(keys),
        _received(keys),
    )
    return [
        PartView(
            loan=loan_view(part.loan, schedules),
            number=part.number,
            size=part.size,
            rate=part.rate,
            expected_return=part.expected_return,
            principal_received=principal,
            interest_received=interest,
            fee_paid=fee,
            page=page,
        )
        for part, (principal, interest, fee) in (
            (part, received.get(part.pk, (0, 0, 0))) for part in parts
        )
    ]


def _received(part_keys: list[int]) -> dict[int, tuple[int, int, int]]:
    """Principal, interest and fee of parts so far, pence; those without any are left out."""
    key, *columns = fetch_columns(
        "SELECT p.id, d.principal[p.number], d.interest[p.number], d.fee[p.number]"
        " FROM marketplace_part AS p JOIN marketplace_loan AS l ON l.id = p.loan_id"
        " JOIN marketplace_distribution AS d ON d.loan_id = l.id AND d.number = l.distributions"
        " WHERE p.id = ANY (%s)",
        [part_keys],
        4,
    )
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return dict(zip(key.tolist(), rows, strict=True))
