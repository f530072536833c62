"""Agreements: of a funded loan as it would be accepted on a day, or as it was accepted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from uuid import UUID

import numpy as np
from django.db.models import Count

from marketplace.core.agreement import CURRENT, Terms, agreement_digest, render_agreement
from marketplace.core.house import HOUSE, House
from marketplace.core.schedule import contract_schedules, due_date, following_business_day
from marketplace.core.states import LoanState
from marketplace.models import Loan, Part
from marketplace.models.agreements import Agreement
from marketplace.selectors.calendar import bank_holidays_around
from marketplace.selectors.servicing import load_part_rates


@dataclass(frozen=True)
class AgreementView:
    """An agreement as its borrower sees it; ``accepted_on`` is none while it is offered."""

    loan: UUID
    version: int
    text: str
    digest: str
    offered_on: date
    accept_by: date
    accepted_on: date | None


def accept_by(funded_on: date, house: House = HOUSE) -> date:
    """The last day on which a loan funded on that day can be accepted."""
    return funded_on + timedelta(days=house.acceptance_days)


def offered_agreements(
    loans: Sequence[Loan], on: date, house: House = HOUSE
) -> dict[int, AgreementView]:
    """What the borrowers of funded loans would agree to on a day, by loan's id; two statements.

    Args:
        loans: with their ``borrower`` loaded.
        on: the day of acceptance.
        house: settings.
    """
    if not loans:
        return {}
    ordered = sorted(loans, key=lambda loan: loan.pk)
    ids = np.array([loan.pk for loan in ordered], dtype=np.int64)
    rates = load_part_rates(ids)
    schedules = contract_schedules(
        rates.units, rates.monthly_e12, rates.offsets, [loan.term_months for loan in ordered]
    )
    people = Part.objects.filter(loan__in=ids.tolist()).order_by().values_list("loan")
    lenders = dict(people.annotate(Count("lender", distinct=True)))
    longest = max(loan.term_months for loan in ordered)
    closed = bank_holidays_around(on, longest // 12 + 1)
    days = tuple(following_business_day(due_date(on, n), closed) for n in range(1, longest + 1))
    found = {}
    for loan, schedule in zip(ordered, schedules, strict=True):
        terms = Terms(
            loan=str(loan.public_id),
            borrower=str(loan.borrower.public_id),
            amount=loan.amount,
            arrangement_fee=loan.arrangement_fee,
            rate=loan.rate,
            lenders=lenders[loan.pk],
            principal=tuple(schedule.principal.tolist()),
            interest=tuple(schedule.interest.tolist()),
            due_on=days[: loan.term_months],
            paid_out_on=on,
            offered_on=loan.funded_on,
            accept_by=accept_by(loan.funded_on, house),
            withdrawal_days=house.rescission_days,
            default_months=house.default_months,
        )
        text = render_agreement(terms)
        found[loan.pk] = AgreementView(
            loan=loan.public_id,
            version=CURRENT,
            text=text,
            digest=agreement_digest(text),
            offered_on=terms.offered_on,
            accept_by=terms.accept_by,
            accepted_on=None,
        )
    return found


def find_agreement(
    borrower_id: int, public_id: UUID, on: date, house: House = HOUSE
) -> AgreementView | None:
    """The agreement of a borrower's own loan, or none; two statements, four while it is offered.

    It is the one accepted, else the one offered, as it would be accepted on that day. A loan that
    was not accepted in time, or was cancelled before, has none.
    """
    loan = (
        Loan.objects.filter(borrower_id=borrower_id, public_id=public_id)
        .select_related("borrower")
        .first()
    )
    if loan is None:
        return None
    row = Agreement.objects.filter(loan=loan).first()
    if row is not None:
        return AgreementView(
            loan=loan.public_id,
            version=row.version,
            text=row.text,
            digest=row.digest,
            offered_on=row.offered_on,
            accept_by=row.accept_by,
            accepted_on=row.accepted_on,
        )
    if loan.state != LoanState.FUNDED or not loan.funded_on <= on <= accept_by(
        loan.funded_on, house
    ):
        return None
    return offered_agreements([loan], on, house)[loan.pk]
