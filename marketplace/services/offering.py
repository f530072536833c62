"""Placing and cancelling offers: cash becomes money on offer, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

import numpy as np
from django.db import connection, transaction

from accounts.core.chart import Book, Kind
from accounts.core.posting import EntryDraft, EntryKind, Leg, posting
from accounts.selectors.ledger import account_ids
from accounts.services.bulk import copy_rows
from accounts.services.idempotency import once
from accounts.services.posting import post
from marketplace.core.errors import MarketplaceRefusal
from marketplace.core.house import HOUSE, House
from marketplace.core.offers import StandingRate, check_amounts, standing_rates
from marketplace.core.states import OfferState
from marketplace.models import Offer
from marketplace.selectors.markets import list_markets


class OfferUnknown(MarketplaceRefusal):
    """An offer that is not this lender's, or not open any more."""

    code = "OFFER_UNKNOWN"


@dataclass(frozen=True)
class OfferDraft:
    """A lender's standing order, before it is placed.

    Attributes:
        lender_id: whose.
        amount: pence, a multiple of £10.
        exposure_limit: the most, in pence, for one borrower over all of the lender's offers.
        rates: annual effective ppm by market id; safer bands are implied.
    """

    lender_id: int
    amount: int
    exposure_limit: int
    rates: Mapping[int, int]


def place_offers(
    *,
    drafts: Sequence[OfferDraft],
    on: date,
    actor: str,
    key: str,
    house: House = HOUSE,
) -> list[int]:
    """Place offers, all or none; their order is their order in the queues.

    A fixed number of statements, whatever the number of offers.

    Args:
        drafts: the offers.
        on: business date.
        actor: who places them, such as ``member:7``; keys are kept apart by it.
        key: idempotency key.
        house: settings.

    Returns:
        Ids of the offers, in the order given; the first ones again for a key used before.

    Raises:
        OfferRefused: an amount, limit or rate that the market doesn't accept.
        NotEnoughMoney: more than a lender has in cash.
        IdempotencyConflict: the key was used for other offers.
    """
    with transaction.atomic():
        answer = once(
            scope=actor,
            name="place_offers",
            key=key,
            content={"drafts": [asdict(draft) for draft in drafts]},
            action=lambda: _place(drafts, _standing(drafts, house), on, actor, key),
        )
    return [int(offer) for offer in answer["offers"]]


def _standing(drafts: Sequence[OfferDraft], house: House) -> list[list[StandingRate]]:
    """The rates with which the offers stand, once their amounts and rates are accepted.

    Looked up inside the idempotent step: a key used before is answered even if bounds have moved.
    """
    bounds = [market.bounds for market in list_markets()]
    for draft in drafts:
        check_amounts(amount=draft.amount, exposure_limit=draft.exposure_limit, step=house.step)
    return [standing_rates(draft.rates, bounds) for draft in drafts]


def _place(
    drafts: Sequence[OfferDraft],
    standing: Sequence[Sequence[StandingRate]],
    on: date,
    actor: str,
    key: str,
) -> dict[str, Any]:
    offers = _store(drafts, standing, on)
    lenders = np.array([draft.lender_id for draft in drafts], dtype=np.int64)
    post(
        posting(
            [
                EntryDraft(
                    EntryKind.OFFER_PLACED,
                    f"place/{actor}/{key}/{place}",
                    on,
                    actor,
                    f"offer:{offer.pk}",
                )
                for place, offer in enumerate(offers)
            ],
            [
                Leg(
                    np.arange(len(drafts)),
                    debit=account_ids(Kind.CASH, lenders),
                    credit=account_ids(Kind.ON_OFFER, lenders),
                    amount=np.array([draft.amount for draft in drafts], dtype=np.int64),
                    book=Book.CASH,
                )
            ],
        )
    )
    return {"offers": [offer.pk for offer in offers]}


def _store(
    drafts: Sequence[OfferDraft], standing: Sequence[Sequence[StandingRate]], on: date
) -> list[Offer]:
    """Write the offers and the rates with which they stand."""
    offers = Offer.objects.bulk_create(
        [
            Offer(
                lender_id=draft.lender_id,
                amount=draft.amount,
                available=draft.amount,
                exposure_limit=draft.exposure_limit,
                placed_on=on,
            )
            for draft in drafts
        ]
    )
    rows = [
        (offer.pk, rate.market_id, rate.original_market_id, rate.rate)
        for offer, rates in zip(offers, standing, strict=True)
        for rate in rates
    ]
    columns = np.array(rows, dtype=np.int64).reshape(-1, 4)
    copy_rows(
        connection,
        "marketplace_offerrate",
        {
            "offer_id": columns[:, 0],
            "market_id": columns[:, 1],
            "original_market_id": columns[:, 2],
            "rate": columns[:, 3].astype(np.int32),
        },
    )
    return offers


def cancel_offer(*, offer_id: int, lender_id: int, on: date, actor: str, key: str) -> int:
    """Take an offer out of the order book; what is not matched goes back to cash.

    Returns:
        Pence that went back.

    Raises:
        OfferUnknown: not this lender's, or cancelled before under another key.
        IdempotencyConflict: the key was used for another offer.
    """
    with transaction.atomic():
        answer = once(
            scope=actor,
            name="cancel_offer",
            key=key,
            content={"offer": offer_id},
            action=lambda: _cancel(offer_id, lender_id, on, actor, key),
        )
    return int(answer["returned"])


def _cancel(offer_id: int, lender_id: int, on: date, actor: str, key: str) -> dict[str, Any]:
    offer = (
        Offer.objects.select_for_update()
        .filter(pk=offer_id, lender_id=lender_id, state=OfferState.OPEN)
        .first()
    )
    if offer is None:
        raise OfferUnknown("You have no open offer of that number.", field="offer")
    returned = offer.available
    offer.state = OfferState.CANCELLED
    offer.available = 0
    offer.save(update_fields=["state", "available"])
    if returned:
        lender = np.array([lender_id], dtype=np.int64)
        post(
            posting(
                [
                    EntryDraft(
                        EntryKind.OFFER_CANCELLED,
                        f"cancel/{actor}/{key}",
                        on,
                        actor,
                        f"offer:{offer_id}",
                    )
                ],
                [
                    Leg(
                        0,
                        debit=account_ids(Kind.ON_OFFER, lender),
                        credit=account_ids(Kind.CASH, lender),
                        amount=returned,
                        book=Book.CASH,
                    )
                ],
            )
        )
    return {"returned": returned}
