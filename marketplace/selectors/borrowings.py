"""What one borrower has: applications, listings and loans."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import date
from functools import cached_property
from uuid import UUID

import numpy as np
from django.db.models import QuerySet

from marketplace.core.agreement import contract_apr
from marketplace.core.schedule import contract_schedules
from marketplace.core.states import ApplicationState, ListingState
from marketplace.models import Application, Listing, Loan
from marketplace.selectors.loan_records import LoanEventView, LoanRecords, PaymentView
from marketplace.selectors.loan_views import LoanView, Schedules, loan_view
from marketplace.selectors.paging import Page, PageWanted, Row, newest_first
from marketplace.selectors.servicing import load_part_rates

PPM = 1_000_000


@dataclass(frozen=True)
class ApplicationView:
    """An application and what was said of it; pence, and rates in annual effective ppm.

    Band, guide rate and reasons are empty until it is assessed; ``key`` stays inside the house.
    """

    key: int = field(repr=False)
    public_id: UUID
    amount: int
    term_months: int
    applied_on: date
    state: ApplicationState
    band: str | None
    guide_rate: int | None
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class ListingView:
    """A listing; pence, and the highest rate in annual effective ppm."""

    application: ApplicationView
    band: str
    term_months: int
    amount: int
    highest_rate: int
    listed_on: date
    expires_on: date
    state: ListingState
    waits_because: str | None

    @property
    def public_id(self) -> UUID:
        """Its application's: an application is listed once."""
        return self.application.public_id


class Contracts:
    """What the loans of one page were contracted to pay: worked out when first asked for.

    From the parts, in one statement: a schedule that was changed meanwhile doesn't change it.
    """

    def __init__(self, terms: Mapping[int, int]) -> None:
        self._terms = dict(sorted(terms.items()))

    def of(self, loan_key: int) -> tuple[int, ...]:
        """One loan's instalments by the contract, pence."""
        return self._by_loan[loan_key]

    @cached_property
    def _by_loan(self) -> dict[int, tuple[int, ...]]:
        parts = load_part_rates(np.array(list(self._terms), dtype=np.int64))
        terms = list(self._terms.values())
        schedules = contract_schedules(parts.units, parts.monthly_e12, parts.offsets, terms)
        return {
            key: tuple((schedule.principal + schedule.interest).tolist())
            for key, schedule in zip(self._terms, schedules, strict=True)
        }


@dataclass(frozen=True)
class BorrowedLoanView(LoanView):
    """A loan as its borrower sees it, with what it costs in all and what happened to it."""

    arrangement_fee: int
    records: LoanRecords = field(repr=False, compare=False)
    contracts: Contracts = field(repr=False, compare=False)

    @property
    def paid_out(self) -> int:
        """What reaches the borrower: the amount less the arrangement fee, pence."""
        return self.amount - self.arrangement_fee

    @property
    def payments(self) -> tuple[PaymentView, ...]:
        """What arrived, by number; read for the whole page at once."""
        return self.records.payments(self.key)

    @property
    def events(self) -> tuple[LoanEventView, ...]:
        """What happened beside payments, by number; read for the whole page at once."""
        return self.records.events(self.key)

    @cached_property
    def total_repayable(self) -> int | None:
        """All instalments by the contract, pence; none before the loan is paid out."""
        return sum(self._contract) or None

    @cached_property
    def apr(self) -> int | None:
        """Annual percentage rate of charge by the contract, ppm; none before pay-out."""
        if not self._contract:
            return None
        return round(contract_apr(self.paid_out, self._contract) * PPM)

    @property
    def _contract(self) -> tuple[int, ...]:
        return () if self.paid_out_on is None else self.contracts.of(self.key)


def applications_page(borrower_id: int, wanted: PageWanted) -> Page[ApplicationView]:
    """A borrower's applications, the newest first; one statement, two with a cursor.

    Raises:
        PageRefused, CursorRefused.
    """
    return newest_first(
        _applications().filter(borrower_id=borrower_id),
        wanted,
        anchor=lambda rows, cursor: _named(rows, "public_id", cursor),
        view=lambda rows: [_application_view(row) for row in rows],
    )


def find_application(borrower_id: int, public_id: UUID) -> ApplicationView | None:
    """A borrower's own application, or none; one statement."""
    found = _applications().filter(borrower_id=borrower_id, public_id=public_id).first()
    return None if found is None else _application_view(found)


def application_by_key(key: int) -> ApplicationView:
    """An application just made; one statement."""
    return _application_view(_applications().get(pk=key))


def listings_page(borrower_id: int, wanted: PageWanted) -> Page[ListingView]:
    """A borrower's listings, the newest first; one statement, two with a cursor.

    Raises:
        PageRefused, CursorRefused.
    """
    return newest_first(
        _listings().filter(borrower_id=borrower_id),
        wanted,
        anchor=lambda rows, cursor: _named(rows, "application__public_id", cursor),
        view=lambda rows: [_listing_view(row) for row in rows],
    )


def find_listing(borrower_id: int, public_id: UUID) -> ListingView | None:
    """A borrower's own listing, or none; one statement."""
    found = _listings().filter(borrower_id=borrower_id, application__public_id=public_id).first()
    return None if found is None else _listing_view(found)


def listing_by_key(key: int) -> ListingView:
    """A listing just made; one statement."""
    return _listing_view(_listings().get(pk=key))


def loans_page(borrower_id: int, wanted: PageWanted) -> Page[BorrowedLoanView]:
    """A borrower's loans, the newest first: one statement, two with a cursor.

    Instalments, payments, events and contracts are read for the whole page, each in one more
    statement, when they are first asked for.

    Raises:
        PageRefused, CursorRefused.
    """
    return newest_first(
        Loan.objects.filter(borrower_id=borrower_id).select_related("market"),
        wanted,
        anchor=lambda rows, cursor: _named(rows, "public_id", cursor),
        view=_loan_views,
    )


def find_borrowed_loan(borrower_id: int, public_id: UUID) -> BorrowedLoanView | None:
    """A borrower's own loan, or none; one statement."""
    found = Loan.objects.filter(borrower_id=borrower_id, public_id=public_id)
    return next(iter(_loan_views(list(found.select_related("market")))), None)


def _named(rows: QuerySet[Row], lookup: str, cursor: str) -> QuerySet[Row]:
    try:
        return rows.filter(**{lookup: UUID(cursor)})
    except ValueError:
        return rows.none()


def _applications() -> QuerySet[Application]:
    return Application.objects.select_related("assessment").defer("facts", "assessment__facts")


def _listings() -> QuerySet[Listing]:
    return Listing.objects.select_related("market", "application__assessment").defer(
        "application__facts", "application__assessment__facts"
    )


def _application_view(row: Application) -> ApplicationView:
    said = row.assessment
    return ApplicationView(
        key=row.pk,
        public_id=row.public_id,
        amount=row.amount,
        term_months=row.term_months,
        applied_on=row.applied_on,
        state=ApplicationState(row.state),
        band=(said.band or None) if said else None,
        guide_rate=said.guide_rate if said else None,
        reasons=tuple(said.reasons) if said else (),
    )


def _listing_view(row: Listing) -> ListingView:
    return ListingView(
        application=_application_view(row.application),
        band=row.market.band,
        term_months=row.market.term_months,
        amount=row.amount,
        highest_rate=row.highest_rate,
        listed_on=row.listed_on,
        expires_on=row.expires_on,
        state=ListingState(row.state),
        waits_because=row.waits_because or None,
    )


def _loan_views(rows: list[Loan]) -> list[BorrowedLoanView]:
    keys = [row.pk for row in rows]
    schedules, records = Schedules(keys), LoanRecords(keys)
    contracts = Contracts({row.pk: row.term_months for row in rows})
    views = []
    for row in rows:
        plain = loan_view(row, schedules)
        shared = {one.name: getattr(plain, one.name) for one in fields(plain)}
        views.append(
            BorrowedLoanView(
                **shared,
                arrangement_fee=row.arrangement_fee,
                records=records,
                contracts=contracts,
            )
        )
    return views
