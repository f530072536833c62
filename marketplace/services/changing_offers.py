"""Changing, pausing and cancelling offers: at any time, for money that is not yet matched.

What keeps an offer's place in the queue and what doesn't is one rule: nobody gets more at the front
than they waited for. A change that asks more of the market than before (another rate, peg or
floor, more money, a higher limit per borrower) goes to the back of its rate; one that asks less
(less money, a lower limit, a market fewer), a pause, and repayments put on offer again keep the
place. See ``docs/matching.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from django.db import transaction

from accounts.core.posting import EntryKind
from accounts.services.idempotency import once
from marketplace.core.errors import MarketplaceRefusal
from marketplace.core.house import HOUSE, House
from marketplace.core.offers import OfferRefused, Peg, check_amounts, check_pool, check_rates
from marketplace.core.states import OfferState
from marketplace.models import Offer, OfferRate
from marketplace.selectors.markets import list_markets
from marketplace.services.locks import share_offers
from marketplace.services.offering import RateRow, mix_rows, move_cash, rate_rows, store_rates


class OfferUnknown(MarketplaceRefusal):
    """An offer that is not this lender's, or not open any more."""

    code = "OFFER_UNKNOWN"


@dataclass(frozen=True)
class OfferChange:
    """What is to be different; what is ``None`` stays.

    Attributes:
        available: pence on offer and not matched, a multiple of £10.
        exposure_limit: pence for one borrower; of an offer with rates.
        rates: all rates and pegs by market id, in place of the ones before; of an offer with rates.
        exposure_share: ppm of the amount for one borrower; of a pool offer.
        mix: all shares (ppm) by market id, in place of the ones before; of a pool offer.
        tops_up: whether what borrowers repay is put on offer again.
    """

    available: int | None = None
    exposure_limit: int | None = None
    rates: Mapping[int, int | Peg] | None = None
    exposure_share: int | None = None
    mix: Mapping[int, int] | None = None
    tops_up: bool | None = None


@dataclass(frozen=True)
class ChangedOffer:
    """What a change did: pence that came from cash (negative: went back), and the place."""

    moved: int
    keeps_place: bool


def change_offer(
    *,
    offer_id: int,
    lender_id: int,
    change: OfferChange,
    on: date,
    actor: str,
    key: str,
    house: House = HOUSE,
) -> ChangedOffer:
    """Change an offer.

    Raises:
        OfferUnknown: not this lender's, or cancelled.
        OfferRefused: what would not be accepted of a new offer either, or nothing to change.
        NotEnoughMoney: more than the lender has in cash.
        IdempotencyConflict: the key was used for another change.
    """
    answer = _once(
        "change_offer",
        actor,
        key,
        {"offer": offer_id, "lender": lender_id, **asdict(change)},
        lambda: _change(_locked(offer_id, lender_id), change, on, actor, key, house),
    )
    return ChangedOffer(**answer)


def pause_offer(*, offer_id: int, lender_id: int, actor: str, key: str) -> None:
    """Take an offer out of the queues for a while: its money stays on offer, its place is kept.

    Raises:
        OfferUnknown: not this lender's, or cancelled.
        OfferRefused: it is paused already.
        IdempotencyConflict: the key was used for another offer.
    """
    _set_state("pause_offer", offer_id, lender_id, OfferState.PAUSED, actor, key)


def resume_offer(*, offer_id: int, lender_id: int, actor: str, key: str) -> None:
    """Put a paused offer back where it stood.

    Raises:
        OfferUnknown: not this lender's, or cancelled.
        OfferRefused: it is not paused.
        IdempotencyConflict: the key was used for another offer.
    """
    _set_state("resume_offer", offer_id, lender_id, OfferState.OPEN, actor, key)


def cancel_offer(*, offer_id: int, lender_id: int, on: date, actor: str, key: str) -> int:
    """Take an offer out of the order book; what is not matched goes back to cash.

    Returns:
        Pence that went back.

    Raises:
        OfferUnknown: not this lender's, or cancelled before under another key.
        IdempotencyConflict: the key was used for another offer.
    """
    answer = _once(
        "cancel_offer",
        actor,
        key,
        {"offer": offer_id, "lender": lender_id},
        lambda: _cancel(_locked(offer_id, lender_id), on, actor, key),
    )
    return int(answer["returned"])


def _once(
    name: str,
    actor: str,
    key: str,
    content: Mapping[str, Any],
    action: Callable[[], dict[str, Any]],
) -> dict[str, Any]:
    with transaction.atomic():
        share_offers()
        return once(scope=actor, name=name, key=key, content=content, action=action)


def _locked(offer_id: int, lender_id: int) -> Offer:
    offer = (
        Offer.objects.select_for_update()
        .filter(pk=offer_id, lender_id=lender_id, state__in=(OfferState.OPEN, OfferState.PAUSED))
        .first()
    )
    if offer is None:
        raise OfferUnknown("You have no open offer of that number.", field="offer")
    return offer


def _set_state(
    name: str, offer_id: int, lender_id: int, state: OfferState, actor: str, key: str
) -> None:
    def move() -> dict[str, Any]:
        offer = _locked(offer_id, lender_id)
        if offer.state == state:
            raise OfferRefused(f"The offer is {state} already.", field="offer")
        offer.state = state
        offer.save(update_fields=["state"])
        return {}

    _once(name, actor, key, {"offer": offer_id, "lender": lender_id}, move)


def _cancel(offer: Offer, on: date, actor: str, key: str) -> dict[str, Any]:
    returned = offer.available
    offer.state = OfferState.CANCELLED
    offer.available = offer.repaid = offer.uninvested = 0
    offer.save(update_fields=["state", "available", "repaid", "uninvested"])
    _move(offer, -returned, f"cancel/{actor}/{key}", on, actor)
    return {"returned": returned}


def _change(
    offer: Offer, change: OfferChange, on: date, actor: str, key: str, house: House
) -> dict[str, Any]:
    _check_fits(offer, change)
    before = offer.available, offer.exposure_limit or offer.exposure_share or 0
    if change.available is not None:
        offer.amount = max(offer.amount + change.available - offer.available, 0)
        offer.available = change.available
        offer.repaid = min(offer.repaid, change.available)
    if change.exposure_limit is not None:
        offer.exposure_limit = change.exposure_limit
    if change.exposure_share is not None:
        offer.exposure_share = change.exposure_share
    if change.tops_up is not None:
        offer.tops_up = change.tops_up
    after = offer.available, offer.exposure_limit or offer.exposure_share or 0
    asks_more = after[0] > before[0] or after[1] > before[1]
    _check(offer, change, house)
    offer.save()
    rows = _rows(change)
    keeps = not _set_rates(offer, rows, asks_more=asks_more)
    moved = after[0] - before[0]
    _move(offer, moved, f"change/{actor}/{key}", on, actor)
    return {"moved": moved, "keeps_place": keeps}


def _check_fits(offer: Offer, change: OfferChange) -> None:
    """Refuse a change of nothing, and of what this sort of offer doesn't have."""
    if change == OfferChange():
        raise OfferRefused("Say what is to be different.", field="offer")
    strange = (
        {"rates": change.rates, "exposure_limit": change.exposure_limit}
        if offer.is_pool
        else {"mix": change.mix, "exposure_share": change.exposure_share}
    )
    for name, value in strange.items():
        if value is not None:
            sort = "a pool offer" if offer.is_pool else "an offer with rates"
            raise OfferRefused(f"There is no {name.replace('_', ' ')} in {sort}.", field=name)


def _check(offer: Offer, change: OfferChange, house: House) -> None:
    """Refuse what would not be accepted of a new offer: the whole of it, as it is to be."""
    step, money = house.step, offer.available
    if money % step or money < 0:
        raise OfferRefused(f"Money on offer is a multiple of £{step // 100}.", field="available")
    bounds = [market.bounds for market in list_markets()]
    if offer.is_pool:
        mix = change.mix
        if mix is None and (change.exposure_share is not None or (change.available or 0) > 0):
            mix = {row.market_id: row.share or 0 for row in offer.rates.all()}
        if mix is None:
            return
        check_pool(
            amount=max(offer.amount // step * step, step),
            exposure_share=offer.exposure_share or 0,
            mix=mix,
            markets=bounds,
            step=step,
        )
        return
    if change.exposure_limit is not None:
        whole = max(offer.amount // step * step, step)
        check_amounts(amount=whole, exposure_limit=change.exposure_limit, step=step)
    if change.rates is not None:
        check_rates(change.rates, bounds)


def _rows(change: OfferChange) -> list[RateRow] | None:
    """What is asked from now on, or ``None`` where that stays."""
    if change.rates is not None:
        return rate_rows(change.rates)
    return None if change.mix is None else mix_rows(change.mix)


def _set_rates(offer: Offer, rows: Sequence[RateRow] | None, *, asks_more: bool) -> bool:
    """Store what the offer asks; returns whether it went to the back anywhere.

    A row that stays keeps its id, which is the place; one that loses it is written anew.
    """
    known = {row.market_id: row for row in OfferRate.objects.filter(offer=offer)}
    wanted = [_stored(row) for row in known.values()] if rows is None else rows
    fresh = [
        row
        for row in wanted
        if asks_more or row.market_id not in known or _stored(known[row.market_id]) != row
    ]
    kept = {row.market_id for row in wanted} - {row.market_id for row in fresh}
    OfferRate.objects.filter(offer=offer).exclude(market_id__in=kept).delete()
    if fresh:
        store_rates([(offer.pk, row) for row in fresh])
    return bool(fresh)


def _stored(row: OfferRate) -> RateRow:
    """A stored row as it was asked."""
    [asked] = (
        mix_rows({row.market_id: row.share})
        if row.share is not None
        else rate_rows({row.market_id: _rate(row)})
    )
    return asked


def _rate(row: OfferRate) -> int | Peg:
    if row.rate is not None:
        return row.rate
    return Peg(row.margin or 0, row.floor or 0)


def _move(offer: Offer, pence: int, key: str, on: date, actor: str) -> None:
    """Move money into the offer, or back to cash where ``pence`` is negative."""
    if not pence:
        return
    move_cash(
        kind=EntryKind.OFFER_PLACED if pence > 0 else EntryKind.OFFER_CANCELLED,
        keys=[key],
        offer_ids=[offer.pk],
        lender_ids=[offer.lender_id],
        pence=[abs(pence)],
        on=on,
        actor=actor,
    )
