"""Placing offers: cash becomes money on offer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import Any

import numpy as np
from django.db import connection, transaction

from accounts.core.chart import Book, Kind
from accounts.core.posting import EntryDraft, EntryKind, Leg, posting
from accounts.selectors.ledger import account_ids
from accounts.services.idempotency import once
from accounts.services.posting import post
from marketplace.core.house import HOUSE, House
from marketplace.core.offers import Peg, check_amounts, check_pool, check_rates
from marketplace.core.standing import Pricing
from marketplace.models import Offer
from marketplace.selectors.markets import list_markets


@dataclass(frozen=True)
class OfferDraft:
    """A lender's standing order at rates of their own, before it is placed.

    Attributes:
        lender_id: whose.
        amount: pence, a multiple of £10.
        exposure_limit: the most, in pence, for one borrower over all of the lender's offers.
        rates: annual effective ppm, or a peg, by market id; safer bands are implied.
        tops_up: whether what borrowers repay is put on offer again.
    """

    lender_id: int
    amount: int
    exposure_limit: int
    rates: Mapping[int, int | Peg]
    tops_up: bool = False


@dataclass(frozen=True)
class PoolDraft:
    """A lender's money for the pool, which lends at the guide rate.

    Attributes:
        lender_id: whose.
        amount: pence, a multiple of £10.
        exposure_share: the most for one borrower, ppm of the amount.
        mix: the most for each market, ppm of the amount, by market id.
        tops_up: whether what borrowers repay is put on offer again.
    """

    lender_id: int
    amount: int
    exposure_share: int
    mix: Mapping[int, int]
    tops_up: bool = False


Draft = OfferDraft | PoolDraft


@dataclass(frozen=True)
class RateRow:
    """What an offer asks in one market, as it is stored: figures that don't belong are missing."""

    market_id: int
    pricing: Pricing
    figures: Mapping[str, int] = field(default_factory=dict)


def place_offers(
    *,
    drafts: Sequence[Draft],
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
        OfferRefused: an amount, limit, rate, peg or mix that the market doesn't accept.
        NotEnoughMoney: more than a lender has in cash.
        IdempotencyConflict: the key was used for other offers.
    """
    with transaction.atomic():
        answer = once(
            scope=actor,
            name="place_offers",
            key=key,
            content={"drafts": [asdict(draft) for draft in drafts]},
            action=lambda: _place(drafts, on, actor, key, house),
        )
    return [int(offer) for offer in answer["offers"]]


def rate_rows(rates: Mapping[int, int | Peg]) -> list[RateRow]:
    """Own rates and pegs as they are stored."""
    return [
        RateRow(market, Pricing.PEG, {"margin": rate.margin, "floor": rate.floor})
        if isinstance(rate, Peg)
        else RateRow(market, Pricing.OWN, {"rate": rate})
        for market, rate in rates.items()
    ]


def mix_rows(mix: Mapping[int, int]) -> list[RateRow]:
    """A pool offer's mix as it is stored."""
    return [RateRow(market, Pricing.POOL, {"share": share}) for market, share in mix.items()]


def store_rates(rows: Sequence[tuple[int, RateRow]]) -> None:
    """Write what offers (ids) ask: in this order they stand behind all that was set before."""
    figures = ("rate", "margin", "floor", "share")
    columns: list[list[int | None]] = [
        [offer for offer, _ in rows],
        [row.market_id for _, row in rows],
        [int(row.pricing) for _, row in rows],
        *([row.figures.get(name) for _, row in rows] for name in figures),
    ]
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO marketplace_offerrate"
            " (offer_id, market_id, pricing, rate, margin, floor, share)"
            " SELECT offer, market, pricing, rate, margin, floor, share"
            " FROM unnest(%s::bigint[], %s::bigint[], %s::smallint[], %s::integer[],"
            " %s::integer[], %s::integer[], %s::integer[]) WITH ORDINALITY"
            " AS n (offer, market, pricing, rate, margin, floor, share, place) ORDER BY place",
            columns,
        )


def move_cash(
    *,
    kind: EntryKind,
    keys: Sequence[str],
    offer_ids: Sequence[int],
    lender_ids: Sequence[int],
    pence: Sequence[int],
    on: date,
    actor: str,
) -> None:
    """Move pence between lenders' cash and what they have on offer, one entry an offer.

    ``OFFER_PLACED`` puts it on offer, ``OFFER_CANCELLED`` takes it back.

    Raises:
        NotEnoughMoney: more than a lender has in cash.
    """
    lenders = np.array(lender_ids, dtype=np.int64)
    cash, on_offer = account_ids(Kind.CASH, lenders), account_ids(Kind.ON_OFFER, lenders)
    placed = kind is EntryKind.OFFER_PLACED
    entries = [
        EntryDraft(kind, entry, on, actor, f"offer:{offer}")
        for entry, offer in zip(keys, offer_ids, strict=True)
    ]
    leg = Leg(
        np.arange(len(entries)),
        debit=cash if placed else on_offer,
        credit=on_offer if placed else cash,
        amount=np.array(pence, dtype=np.int64),
        book=Book.CASH,
    )
    post(posting(entries, [leg]))


def _place(drafts: Sequence[Draft], on: date, actor: str, key: str, house: House) -> dict[str, Any]:
    """Rules are looked up in here: a key used before is answered even if bounds have moved."""
    bounds = [market.bounds for market in list_markets()]
    rows: list[list[RateRow]] = []
    for draft in drafts:
        if isinstance(draft, PoolDraft):
            check_pool(
                amount=draft.amount,
                exposure_share=draft.exposure_share,
                mix=draft.mix,
                markets=bounds,
                step=house.step,
            )
            rows.append(mix_rows(draft.mix))
        else:
            check_amounts(amount=draft.amount, exposure_limit=draft.exposure_limit, step=house.step)
            check_rates(draft.rates, bounds)
            rows.append(rate_rows(draft.rates))
    offers = Offer.objects.bulk_create([_offer(draft, on) for draft in drafts])
    store_rates([(o.pk, row) for o, asked in zip(offers, rows, strict=True) for row in asked])
    move_cash(
        kind=EntryKind.OFFER_PLACED,
        keys=[f"place/{actor}/{key}/{place}" for place in range(len(drafts))],
        offer_ids=[offer.pk for offer in offers],
        lender_ids=[draft.lender_id for draft in drafts],
        pence=[draft.amount for draft in drafts],
        on=on,
        actor=actor,
    )
    return {"offers": [offer.pk for offer in offers]}


def _offer(draft: Draft, on: date) -> Offer:
    return Offer(
        lender_id=draft.lender_id,
        amount=draft.amount,
        available=draft.amount,
        exposure_limit=None if isinstance(draft, PoolDraft) else draft.exposure_limit,
        exposure_share=draft.exposure_share if isinstance(draft, PoolDraft) else None,
        tops_up=draft.tops_up,
        placed_on=on,
    )
