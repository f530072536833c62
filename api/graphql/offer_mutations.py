"""What lenders change: placing, changing, pausing, resuming and cancelling their offers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import graphene

from api.errors import InputRefused, NotFound
from api.graphql.access import lender
from api.graphql.ids import NOTHING_THERE, public_id_of
from api.graphql.keyed import Asked, KeyedInput, KeyedMutation
from api.graphql.types.lending import Offer
from api.graphql.wire import Money, MoneyInput, RateInput, ShareInput, pence
from marketplace.core.offers import Peg
from marketplace.selectors.depth import market_keys
from marketplace.selectors.offers import OfferView, find_offer, offer_by_key
from marketplace.services.changing_offers import (
    OfferChange,
    cancel_offer,
    change_offer,
    pause_offer,
    resume_offer,
)
from marketplace.services.offering import Draft, OfferDraft, PoolDraft, place_offers

_Read = TypeVar("_Read")

_TOPS_UP = "Whether what borrowers repay is put on offer again, in £10 steps."
_CASCADE = "A riskier band's rate stands in the safer bands of its term too."
_MIX = "The most for each market; together at least all of it."


class PegInput(graphene.InputObjectType):
    """A rate that follows the market: its traded rate and a margin, never below a floor."""

    margin = RateInput(required=True, description="Over the traded rate; below nothing: under it.")
    floor = RateInput(required=True)


class MarketRateInput(graphene.InputObjectType):
    """What is asked in one market: either a rate, or a peg."""

    band = graphene.String(required=True)
    term_months = graphene.Int(required=True)
    rate = RateInput()
    peg = PegInput()


class MarketShareInput(graphene.InputObjectType):
    """How much of a pool offer may lie in one market."""

    band = graphene.String(required=True)
    term_months = graphene.Int(required=True)
    share = ShareInput(required=True)


class PlaceOfferInput(KeyedInput):
    """A standing order at rates of one's own."""

    amount = MoneyInput(required=True, description="A multiple of £10.")
    exposure_limit = MoneyInput(required=True, description="The most for one borrower.")
    rates = graphene.List(graphene.NonNull(MarketRateInput), required=True, description=_CASCADE)
    tops_up = graphene.Boolean(required=True, default_value=False, description=_TOPS_UP)


class PlacePoolOfferInput(KeyedInput):
    """Money for the pool, which lends at the guide rate."""

    amount = MoneyInput(required=True, description="A multiple of £10.")
    exposure_share = ShareInput(required=True, description="The most for one borrower.")
    mix = graphene.List(graphene.NonNull(MarketShareInput), required=True, description=_MIX)
    tops_up = graphene.Boolean(required=True, default_value=False, description=_TOPS_UP)


class OfferInput(KeyedInput):
    """Which offer is meant."""

    offer_id = graphene.ID(required=True)


class PauseOfferInput(OfferInput):
    """Which offer to take out of the queues."""


class ResumeOfferInput(OfferInput):
    """Which offer to put back."""


class CancelOfferInput(OfferInput):
    """Which offer to take back."""


class ChangeOfferInput(OfferInput):
    """What is to be different; what is left out stays."""

    available = MoneyInput(description="On offer and not matched, a multiple of £10.")
    exposure_limit = MoneyInput(description="Of an offer with rates.")
    rates = graphene.List(
        graphene.NonNull(MarketRateInput), description="All of them, in place of those before."
    )
    exposure_share = ShareInput(description="Of a pool offer.")
    mix = graphene.List(
        graphene.NonNull(MarketShareInput), description="The whole mix of a pool offer."
    )
    tops_up = graphene.Boolean(description=_TOPS_UP)


class PlaceOffer(KeyedMutation):
    """Put cash on offer, at rates of one's own or pegged to the market."""

    takes = PlaceOfferInput
    allows = lender
    offer = graphene.Field(Offer)

    @classmethod
    def change(cls, asked: Asked) -> Any:
        """Place one offer of the lender who asks."""
        given = asked.input
        draft = OfferDraft(
            lender_id=asked.member.pk,
            amount=pence(given.amount, field="amount"),
            exposure_limit=pence(given.exposure_limit, field="exposure_limit"),
            rates=_rates(given.rates),
            tops_up=given.tops_up,
        )
        return cls(offer=_placed(draft, asked))


class PlacePoolOffer(KeyedMutation):
    """Put cash into the pool, which lends at the guide rate."""

    takes = PlacePoolOfferInput
    allows = lender
    offer = graphene.Field(Offer)

    @classmethod
    def change(cls, asked: Asked) -> Any:
        """Place one pool offer of the lender who asks."""
        given = asked.input
        draft = PoolDraft(
            lender_id=asked.member.pk,
            amount=pence(given.amount, field="amount"),
            exposure_share=given.exposure_share.ppm,
            mix=_mix(given.mix),
            tops_up=given.tops_up,
        )
        return cls(offer=_placed(draft, asked))


class ChangeOffer(KeyedMutation):
    """Change what is not yet matched of an offer, or what it asks."""

    takes = ChangeOfferInput
    allows = lender
    offer = graphene.Field(Offer)
    moved = graphene.Field(Money, description="What came from cash; below nothing: went back.")
    keeps_place = graphene.Boolean(description="Whether it kept its place in every queue.")

    @classmethod
    def change(cls, asked: Asked) -> Any:
        """Change an offer of the lender who asks."""
        offer, given = _own(asked), asked.input
        share = given.get("exposure_share")
        changed = change_offer(
            offer_id=offer.key,
            lender_id=asked.member.pk,
            change=OfferChange(
                available=_pence(given, "available"),
                exposure_limit=_pence(given, "exposure_limit"),
                rates=_given(given, "rates", _rates),
                exposure_share=None if share is None else share.ppm,
                mix=_given(given, "mix", _mix),
                tops_up=given.get("tops_up"),
            ),
            on=asked.on,
            actor=asked.actor,
            key=asked.key,
        )
        return cls(
            offer=offer_by_key(offer.key, asked.on),
            moved=changed.moved,
            keeps_place=changed.keeps_place,
        )


class PauseOffer(KeyedMutation):
    """Take an offer out of the queues for a while; its money and its place are kept."""

    takes = PauseOfferInput
    allows = lender
    offer = graphene.Field(Offer)

    @classmethod
    def change(cls, asked: Asked) -> Any:
        """Pause an offer of the lender who asks."""
        offer = _own(asked)
        pause_offer(offer_id=offer.key, lender_id=asked.member.pk, actor=asked.actor, key=asked.key)
        return cls(offer=offer_by_key(offer.key, asked.on))


class ResumeOffer(KeyedMutation):
    """Put a paused offer back where it stood."""

    takes = ResumeOfferInput
    allows = lender
    offer = graphene.Field(Offer)

    @classmethod
    def change(cls, asked: Asked) -> Any:
        """Resume an offer of the lender who asks."""
        offer = _own(asked)
        resume_offer(
            offer_id=offer.key, lender_id=asked.member.pk, actor=asked.actor, key=asked.key
        )
        return cls(offer=offer_by_key(offer.key, asked.on))


class CancelOffer(KeyedMutation):
    """Take an offer out of the order book; what is not matched is cash again."""

    takes = CancelOfferInput
    allows = lender
    offer = graphene.Field(Offer)
    returned = graphene.Field(Money, description="What went back to cash.")

    @classmethod
    def change(cls, asked: Asked) -> Any:
        """Cancel an offer of the lender who asks."""
        offer = _own(asked)
        returned = cancel_offer(
            offer_id=offer.key,
            lender_id=asked.member.pk,
            on=asked.on,
            actor=asked.actor,
            key=asked.key,
        )
        return cls(offer=offer_by_key(offer.key, asked.on), returned=returned)


def _placed(draft: Draft, asked: Asked) -> OfferView:
    [placed] = place_offers(drafts=[draft], on=asked.on, actor=asked.actor, key=asked.key)
    return offer_by_key(placed, asked.on)


def _own(asked: Asked) -> OfferView:
    """The offer that is meant, if it is the lender's who asks."""
    meant = public_id_of(asked.input.offer_id, "Offer", field="offer")
    offer = find_offer(asked.member.pk, meant, asked.on)
    if offer is None:
        raise NotFound(NOTHING_THERE, field="offer")
    return offer


def _pence(given: Any, field: str) -> int | None:
    money = given.get(field)
    return None if money is None else pence(money, field=field)


def _given(given: Any, field: str, read: Callable[[Any], _Read]) -> _Read | None:
    rows = given.get(field)
    return None if rows is None else read(rows)


def _rates(given: Sequence[MarketRateInput]) -> Mapping[int, int | Peg]:
    return dict(zip(_markets(given, "rates"), [_rate(one) for one in given], strict=True))


def _rate(given: MarketRateInput) -> int | Peg:
    rate, peg = given.get("rate"), given.get("peg")
    if (rate is None) == (peg is None):
        raise InputRefused("In each market there is either a rate or a peg.", field="rates")
    if rate is not None:
        own: int = rate.ppm
        return own
    return Peg(margin=peg.margin.ppm, floor=peg.floor.ppm)


def _mix(given: Sequence[MarketShareInput]) -> Mapping[int, int]:
    return dict(zip(_markets(given, "mix"), [one.share.ppm for one in given], strict=True))


def _markets(given: Sequence[MarketRateInput | MarketShareInput], field: str) -> list[int]:
    names = [(one.band, one.term_months) for one in given]
    if len(set(names)) < len(names):
        raise InputRefused("A market is named twice.", field=field)
    return market_keys(names, field=field)
