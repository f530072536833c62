"""Applying, being assessed, and listing a loan."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django.db import transaction
from django.db.utils import IntegrityError

from accounts.services.idempotency import once
from marketplace.core.errors import MarketplaceRefusal
from marketplace.core.house import HOUSE, House
from marketplace.core.states import LATE, ApplicationState, ListingState
from marketplace.models import Application, Listing, Loan, Market
from marketplace.selectors.markets import MarketView, list_markets
from marketplace.selectors.quotes import default_highest_rate
from risk.core.decision import Decision
from risk.core.facts import ApplicationFacts
from risk.services.assessing import assess_applications


class ApplicationRefused(MarketplaceRefusal):
    """An application outside the house's limits; the message says what would be accepted."""

    code = "APPLICATION_REFUSED"


class ListingRefused(MarketplaceRefusal):
    """A loan that can't be listed, and why."""

    code = "LISTING_REFUSED"


@dataclass(frozen=True)
class ApplicationDraft:
    """What a borrower tells us.

    Attributes:
        borrower_id: who.
        amount: pence, a multiple of £10 within the house's limits.
        term_months: one of the house's terms.
        facts: the model's inputs by column name.
    """

    borrower_id: int
    amount: int
    term_months: int
    facts: Mapping[str, Any]


_ONE_OPEN = "A borrower has one listing open at a time."
_STATE_AFTER = {
    Decision.QUOTED: ApplicationState.QUOTED,
    Decision.REFERRED: ApplicationState.REFERRED,
    Decision.DECLINED: ApplicationState.DECLINED,
}


def apply_for_loans(
    *,
    drafts: Sequence[ApplicationDraft],
    on: date,
    actor: str,
    key: str,
    house: House = HOUSE,
) -> list[int]:
    """Take applications in and assess them under the champion model: a fixed number of statements.

    Returns:
        Ids of the applications, in the order given; the first ones again for a key used before.

    Raises:
        ApplicationRefused: an amount or term outside the house's limits.
        RiskRefusal: no approved model or rate table, or facts that the model can't read.
        IdempotencyConflict: the key was used for other applications.
    """
    with transaction.atomic():
        answer = once(
            scope=actor,
            name="apply_for_loans",
            key=key,
            content={
                "drafts": [[d.borrower_id, d.amount, d.term_months, dict(d.facts)] for d in drafts],
            },
            action=lambda: {"applications": _apply(drafts, on, house)},
        )
    return [int(application) for application in answer["applications"]]


def _check_limits(draft: ApplicationDraft, house: House) -> None:
    if draft.amount % house.step or not house.smallest_loan <= draft.amount <= house.largest_loan:
        raise ApplicationRefused(
            f"A loan is £{house.smallest_loan // 100:,} to £{house.largest_loan // 100:,}, "
            f"in steps of £{house.step // 100}.",
            field="amount",
        )
    if draft.term_months not in house.terms:
        terms = " or ".join(str(term) for term in house.terms)
        raise ApplicationRefused(f"A loan runs over {terms} months.", field="term_months")


def _apply(drafts: Sequence[ApplicationDraft], on: date, house: House) -> list[int]:
    for draft in drafts:
        _check_limits(draft, house)
    applications = Application.objects.bulk_create(
        [
            Application(
                borrower_id=draft.borrower_id,
                amount=draft.amount,
                term_months=draft.term_months,
                facts=dict(draft.facts),
                applied_on=on,
            )
            for draft in drafts
        ]
    )
    views = assess_applications(
        applications=[
            ApplicationFacts(
                reference=str(application.public_id),
                amount=application.amount,
                term_months=application.term_months,
                facts=application.facts,
            )
            for application in applications
        ],
        on=on,
    )
    markets = {(m.band, m.term_months): m.pk for m in Market.objects.all()}
    for application, view in zip(applications, views, strict=True):
        application.assessment_id = view.id
        application.state = _STATE_AFTER[view.decision]
        application.market_id = markets.get((view.band or "", view.term_months))
    Application.objects.bulk_update(applications, ["assessment", "state", "market"])
    return [application.pk for application in applications]


@dataclass(frozen=True)
class ListingDraft:
    """An application to be listed; ``highest_rate`` in annual effective ppm, or the default."""

    application_id: int
    highest_rate: int | None = None


def list_loans(
    *,
    drafts: Sequence[ListingDraft],
    on: date,
    actor: str,
    key: str,
    borrower_id: int | None = None,
    house: House = HOUSE,
) -> list[int]:
    """List assessed loans, all or none; they arrive in the order given.

    Args:
        drafts: what to list.
        on: business date.
        actor: who asks.
        key: idempotency key.
        borrower_id: only this member's applications may be listed, when given.
        house: settings.

    Returns:
        Ids of the listings, in the order given; the first ones again for a key used before.

    Raises:
        ListingRefused: an application that is not quoted, is somebody else's, whose borrower has
            another open listing or is in arrears, or a highest rate out of bounds or off its step.
        IdempotencyConflict: the key was used for other listings.
    """
    with _one_open_listing(), transaction.atomic():
        answer = once(
            scope=actor,
            name="list_loans",
            key=key,
            content={"drafts": [[d.application_id, d.highest_rate] for d in drafts]},
            action=lambda: {"listings": _list(drafts, borrower_id, on, house)},
        )
    return [int(listing) for listing in answer["listings"]]


@contextmanager
def _one_open_listing() -> Iterator[None]:
    """Two listings of one borrower at the same instant: the database refuses the later one."""
    try:
        yield
    except IntegrityError as error:
        if "marketplace_listing_one_open_a_borrower" not in str(error):
            raise
        raise ListingRefused(_ONE_OPEN, field="application") from error


def _list(
    drafts: Sequence[ListingDraft], borrower_id: int | None, on: date, house: House
) -> list[int]:
    wanted = [draft.application_id for draft in drafts]
    found = (
        Application.objects.select_related("market").select_for_update(of=("self",)).in_bulk(wanted)
    )
    markets = {market.market_id: market for market in list_markets()}
    _check_listable(drafts, found, borrower_id)
    _check_market(found.values(), markets)
    defaults = default_highest_rate([found[key] for key in wanted], markets, on, house)
    listings = Listing.objects.bulk_create(
        [
            Listing(
                application=found[draft.application_id],
                borrower_id=found[draft.application_id].borrower_id,
                market=found[draft.application_id].market,
                amount=found[draft.application_id].amount,
                highest_rate=_highest_rate(
                    draft, markets[found[draft.application_id].market_id or 0], default, house
                ),
                listed_on=on,
                expires_on=on + timedelta(days=house.listing_days),
            )
            for draft, default in zip(drafts, defaults, strict=True)
        ]
    )
    Application.objects.filter(pk__in=wanted).update(state=ApplicationState.LISTED)
    return [listing.pk for listing in listings]


def _check_listable(
    drafts: Sequence[ListingDraft], found: Mapping[int, Application], borrower_id: int | None
) -> None:
    borrowers: set[int] = set()
    for draft in drafts:
        application = found.get(draft.application_id)
        if application is None or borrower_id not in (None, application.borrower_id):
            raise ListingRefused("You have no such application.", field="application")
        if application.state != ApplicationState.QUOTED:
            raise ListingRefused(
                f"This application is {application.state}; only a quoted one can be listed.",
                field="application",
            )
        borrowers.add(application.borrower_id)
    busy = Listing.objects.filter(borrower__in=borrowers, state=ListingState.OPEN).exists()
    if busy or len(borrowers) != len(drafts):
        raise ListingRefused(_ONE_OPEN, field="application")
    late = Loan.objects.filter(borrower__in=borrowers, state__in=LATE)
    if late.exists():
        raise ListingRefused(
            "A borrower in arrears or default can't list another loan.", field="application"
        )


def _check_market(applications: Collection[Application], markets: Mapping[int, MarketView]) -> None:
    for application in applications:
        market = markets.get(application.market_id or 0)
        if market is None:
            raise ListingRefused("The market of this loan is closed.", field="application")
        if not market.minimum_amount <= application.amount <= market.maximum_amount:
            raise ListingRefused(
                f"A loan in {market.name} is £{market.minimum_amount // 100:,} to "
                f"£{market.maximum_amount // 100:,}.",
                field="amount",
            )


def _highest_rate(draft: ListingDraft, market: MarketView, default: int, house: House) -> int:
    rate = default if draft.highest_rate is None else draft.highest_rate
    if rate % house.highest_rate_step or not market.lowest_rate <= rate <= market.highest_rate:
        step = house.highest_rate_step / 10_000
        raise ListingRefused(
            f"A highest rate in {market.name} is a multiple of {step:.2f} % between "
            f"{market.lowest_rate / 10_000:.2f} % and {market.highest_rate / 10_000:.2f} %.",
            field="highest_rate",
        )
    return rate
