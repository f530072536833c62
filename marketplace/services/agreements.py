"""A funded loan until it is paid out: the borrower accepts its exact terms, withdraws, or waits.

A loan that isn't accepted in time is cancelled, as one is whose borrower withdraws: the lenders'
money goes on offer again, where it stood in the queues.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Any

from django.db import transaction

from accounts.services.idempotency import once
from marketplace.core.errors import MarketplaceRefusal
from marketplace.core.house import HOUSE, House
from marketplace.core.states import ApplicationState, ListingState, LoanState
from marketplace.core.wording import long_date
from marketplace.models import Application, Listing, Loan
from marketplace.models.agreements import Agreement
from marketplace.selectors.agreements import AgreementView, accept_by, offered_agreements
from marketplace.services.cancelling import Cancelled, cancel_loans
from marketplace.services.locks import lock_servicing, share_offers
from marketplace.services.paying_out import LoanUnknown, pay_out


class AgreementRefused(MarketplaceRefusal):
    """A loan whose agreement can't be accepted, or that can't be cancelled, in its state."""

    code = "AGREEMENT_REFUSED"


class AgreementLapsed(MarketplaceRefusal):
    """An agreement that was not accepted in time."""

    code = "AGREEMENT_LAPSED"


class AgreementChanged(MarketplaceRefusal):
    """The text that was seen is not the one that would be accepted now."""

    code = "AGREEMENT_CHANGED"


@dataclass(frozen=True)
class Lapsed:
    """Loans cancelled because nobody accepted them: how many, of how many parts, and pence."""

    loans: int
    parts: int
    pence: int


@dataclass(frozen=True)
class PaidOutAccepted:
    """Accepted loans paid out: how many, and pence that reached the borrowers."""

    loans: int
    pence: int


def accept_agreements(
    *,
    loan_ids: Sequence[int],
    on: date,
    actor: str,
    key: str,
    borrower_id: int | None = None,
    digest: str | None = None,
    house: House = HOUSE,
) -> int:
    """Accept the terms of funded loans, all or none; each text is stored with its hash.

    The text names the days of a loan paid out on ``on``, so one seen on another day is another
    text. A fixed number of statements.

    Args:
        loan_ids: which loans.
        on: the day of acceptance.
        actor: who asks.
        key: idempotency key.
        borrower_id: only this member's loans may be accepted, when given.
        digest: SHA-256 (hexadecimal) of the text that the borrower saw; of one loan.
        house: settings.

    Returns:
        How many were accepted.

    Raises:
        LoanUnknown: a loan that isn't there, or is somebody else's.
        AgreementRefused: a loan that isn't funded any more, or is accepted already; a digest for
            several loans.
        AgreementLapsed: the time to accept is over.
        AgreementChanged: the borrower saw another text.
        IdempotencyConflict: the key was used for other loans.
    """
    seen = None if digest is None else digest.strip().lower()
    with transaction.atomic():
        answer = once(
            scope=actor,
            name="accept_agreements",
            key=key,
            content={"loans": sorted(loan_ids), "digest": seen},
            action=lambda: _accept(loan_ids, borrower_id, seen, on, actor, house),
        )
    return int(answer["accepted"])


def cancel_funded(
    *,
    loan_id: int,
    on: date,
    actor: str,
    key: str,
    borrower_id: int | None = None,
    reason: str = "The borrower withdrew before the pay-out.",
) -> int:
    """Cancel a loan before its pay-out, accepted or not; its borrower owes nothing.

    Returns:
        Pence that went back to lenders.

    Raises:
        LoanUnknown: a loan that isn't there, or is somebody else's.
        AgreementRefused: it is paid out, or cancelled already.
        IdempotencyConflict: the key was used for another loan.
    """
    with transaction.atomic():
        share_offers()
        answer = once(
            scope=actor,
            name="cancel_funded",
            key=key,
            content={"loan": loan_id},
            action=lambda: _cancel(loan_id, borrower_id, on, actor, reason),
        )
    return int(answer["returned"])


def lapse_unaccepted(*, on: date, actor: str, key: str, house: House = HOUSE) -> Lapsed:
    """Cancel the loans whose last day of acceptance lies before ``on``; sets, not loops.

    Raises:
        IdempotencyConflict: the key was used for another day.
    """
    with transaction.atomic():
        share_offers()
        answer = once(
            scope="platform",
            name="lapse_unaccepted",
            key=key,
            content={"on": on},
            action=lambda: _lapse(on, actor, house),
        )
    return Lapsed(**answer)


def pay_out_accepted(*, on: date, actor: str, key: str) -> PaidOutAccepted:
    """Pay out every funded loan that was accepted by the end of ``on``.

    Raises:
        IdempotencyConflict: the key was used for another day.
    """
    with transaction.atomic():
        lock_servicing()
        answer = once(
            scope="platform",
            name="pay_out_accepted",
            key=key,
            content={"on": on},
            action=lambda: _pay_out(on, actor, key),
        )
    return PaidOutAccepted(**answer)


def expire_listings(*, on: date) -> int:
    """Listings whose last day lies before ``on`` leave, with nothing taken; returns how many."""
    with transaction.atomic():
        # First: a cycle has the offers before it takes listings.
        share_offers()
        expired = list(
            Listing.objects.select_for_update(of=("self",))
            .filter(state=ListingState.OPEN, expires_on__lt=on)
            .order_by("pk")
            .values_list("pk", flat=True)
        )
        Application.objects.filter(listing__in=expired).update(state=ApplicationState.EXPIRED)
        Listing.objects.filter(pk__in=expired).update(state=ListingState.EXPIRED)
    return len(expired)


def _accept(
    loan_ids: Sequence[int],
    borrower_id: int | None,
    seen: str | None,
    on: date,
    actor: str,
    house: House,
) -> dict[str, Any]:
    if seen is not None and len(set(loan_ids)) != 1:
        raise AgreementRefused("A digest is of one loan's text.", field="digest")
    loans = _locked(loan_ids, borrower_id)
    for loan in loans:
        _check_acceptable(loan, on, house)
    offered = offered_agreements(loans, on, house)
    if seen is not None and any(view.digest != seen for view in offered.values()):
        raise AgreementChanged(
            "The terms are not the ones that you saw. Read them again, and accept those.",
            field="digest",
        )
    Agreement.objects.bulk_create(
        [_stored(loan_id, view, on, actor) for loan_id, view in offered.items()]
    )
    Loan.objects.filter(pk__in=[loan.pk for loan in loans]).update(accepted_on=on)
    return {"accepted": len(loans)}


def _stored(loan_id: int, view: AgreementView, on: date, actor: str) -> Agreement:
    return Agreement(
        loan_id=loan_id,
        version=view.version,
        text=view.text,
        digest=view.digest,
        offered_on=view.offered_on,
        accept_by=view.accept_by,
        accepted_on=on,
        actor=actor,
    )


def _locked(loan_ids: Sequence[int], borrower_id: int | None) -> list[Loan]:
    loans = list(
        Loan.objects.select_for_update(of=("self",), no_key=True)
        .select_related("borrower")
        .filter(pk__in=loan_ids)
        .order_by("pk")
    )
    mine = [loan for loan in loans if borrower_id in (None, loan.borrower_id)]
    if not mine or len(mine) != len(set(loan_ids)):
        raise LoanUnknown("You have no such loan.", field="loan")
    return mine


def _check_acceptable(loan: Loan, on: date, house: House) -> None:
    if loan.state != LoanState.FUNDED:
        raise AgreementRefused(
            f"This loan is {loan.state}; only a funded one can be accepted.", field="loan"
        )
    if loan.accepted_on is not None:
        raise AgreementRefused(
            f"You accepted this loan on {long_date(loan.accepted_on)}; it is being paid out.",
            field="loan",
        )
    last = accept_by(loan.funded_on, house)
    if on > last:
        raise AgreementLapsed(
            f"This loan could be accepted until {long_date(last)}. Apply again for a new one.",
            field="loan",
        )
    if on < loan.funded_on:
        raise AgreementRefused(
            f"This loan can be accepted from {long_date(loan.funded_on)} until {long_date(last)}.",
            field="on",
        )


def _cancel(
    loan_id: int, borrower_id: int | None, on: date, actor: str, reason: str
) -> dict[str, Any]:
    [loan] = _locked([loan_id], borrower_id)
    if loan.state != LoanState.FUNDED:
        raise AgreementRefused(
            f"This loan is {loan.state}; only a funded one can be cancelled. A loan that is paid "
            "out can be withdrawn from within 14 days of acceptance, or settled early.",
            field="loan",
        )
    done = cancel_loans(
        loan_ids=[loan_id],
        listing=ListingState.CANCELLED,
        application=ApplicationState.CANCELLED,
        on=on,
        actor=actor,
        reason=reason,
    )
    return {"returned": done.pence}


def _lapse(on: date, actor: str, house: House) -> dict[str, Any]:
    waiting = (
        Loan.objects.select_for_update(no_key=True)
        .filter(
            state=LoanState.FUNDED,
            accepted_on__isnull=True,
            funded_on__lt=on - timedelta(days=house.acceptance_days),
        )
        .order_by("pk")
        .values_list("pk", flat=True)
    )
    loans = list(waiting)
    done = (
        cancel_loans(
            loan_ids=loans,
            listing=ListingState.EXPIRED,
            application=ApplicationState.EXPIRED,
            on=on,
            actor=actor,
            reason="Its terms were not accepted in time.",
        )
        if loans
        else Cancelled(0, 0)
    )
    return asdict(Lapsed(len(loans), done.parts, done.pence))


def _pay_out(on: date, actor: str, key: str) -> dict[str, Any]:
    accepted = (
        Loan.objects.select_for_update(no_key=True)
        .filter(state=LoanState.FUNDED, accepted_on__lte=on)
        .order_by("pk")
        .values_list("pk", flat=True)
    )
    loans = list(accepted)
    paid = pay_out(loan_ids=loans, on=on, actor=actor, key=key) if loans else 0
    return asdict(PaidOutAccepted(len(loans), paid))
