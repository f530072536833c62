"""A lender's standing orders: what they ask, and where they stand today."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from uuid import UUID

import numpy as np
from django.db.models import QuerySet

from marketplace.core.arrays import PENCE_PER_UNIT
from marketplace.core.standing import NamedRates, Orders, Pricing, standing
from marketplace.core.states import OfferState
from marketplace.models import Offer, OfferRate
from marketplace.selectors.answers import OfferAnswers, QueueView
from marketplace.selectors.markets import MarketView, list_markets
from marketplace.selectors.order_book import load_markets
from marketplace.selectors.paging import Page, PageWanted, newest_first


@dataclass(frozen=True)
class AskedRateView:
    """What an offer asks in one market; ppm, and only what belongs to its pricing is there."""

    band: str
    term_months: int
    pricing: Pricing
    rate: int | None
    margin: int | None
    floor: int | None
    share: int | None


@dataclass(frozen=True)
class StandingRateView:
    """A rate at which an offer stands in a market today, annual effective ppm.

    ``named_in`` is the band whose rate the lender named: another one where this is implied.
    """

    band: str
    term_months: int
    rate: int
    pricing: Pricing
    named_in: str


class OfferRates:
    """The rates of all offers of a page: read when first asked for, in four statements at most."""

    def __init__(self, offer_keys: Sequence[int], on: date) -> None:
        self._keys = sorted(offer_keys)
        self._on = on

    @cached_property
    def views(self) -> list[MarketView]:
        """Every market, by term and band."""
        return list_markets()

    @cached_property
    def _rows(self) -> list[OfferRate]:
        return list(
            OfferRate.objects.filter(offer__in=self._keys)
            .select_related("market")
            .order_by("market__term_months", "market__position")
        )

    @cached_property
    def _standing(self) -> dict[int, list[StandingRateView]]:
        """Worked out as the cycle does it, as if each offer had money left and its whole mix."""
        views = self.views
        keys = np.array(self._keys, dtype=np.int64)
        whole = np.full(len(keys), PENCE_PER_UNIT)
        none = np.zeros_like(keys)
        orders = Orders(keys, keys, whole, whole, none, whole, none)
        columns = [
            (
                row.offer_id,
                row.market_id,
                row.pricing,
                row.rate or 0,
                row.margin or 0,
                row.floor or 0,
                1_000_000,
                0,
                row.pk,
            )
            for row in self._rows
        ]
        named = NamedRates(*np.array(columns, dtype=np.int64).reshape(-1, 9).T)
        found = standing(orders, named, load_markets(views, self._on))
        stands: dict[int, list[StandingRateView]] = {key: [] for key in self._keys}
        for row in np.argsort(found.market, kind="stable").tolist():
            view = views[found.market[row]]
            stands[self._keys[found.order[row]]].append(
                StandingRateView(
                    band=view.band,
                    term_months=view.term_months,
                    rate=int(found.rate[row]),
                    pricing=Pricing(found.pricing[row]),
                    named_in=views[found.origin[row]].band,
                )
            )
        return stands

    def asked_by(self, offer_key: int) -> tuple[AskedRateView, ...]:
        """What one offer asks, by term and band."""
        return tuple(
            AskedRateView(
                band=row.market.band,
                term_months=row.market.term_months,
                pricing=Pricing(row.pricing),
                rate=row.rate,
                margin=row.margin,
                floor=row.floor,
                share=row.share,
            )
            for row in self._rows
            if row.offer_id == offer_key
        )

    def of(self, offer_key: int) -> tuple[StandingRateView, ...]:
        """Where one offer stands, by term and band."""
        return tuple(self._standing[offer_key])

    def named_by(self, offer_key: int) -> Mapping[tuple[str, int], int | None]:
        """The markets (band and term) in which an offer asks or would stand, and at what rate."""
        asks = {(row.band, row.term_months): None for row in self.asked_by(offer_key)}
        return {**asks, **{(row.band, row.term_months): row.rate for row in self.of(offer_key)}}


@dataclass(frozen=True)
class OfferView:
    """A lender's standing order, in pence. ``key`` stays inside the house.

    A pool offer has ``exposure_share`` (ppm of its money), any other ``exposure_limit``.
    """

    key: int = field(repr=False)
    public_id: UUID
    amount: int
    available: int
    repaid: int
    exposure_limit: int | None
    exposure_share: int | None
    tops_up: bool
    placed_on: date
    state: OfferState
    standing: OfferRates = field(repr=False, compare=False)
    answers: OfferAnswers = field(repr=False, compare=False)

    @property
    def is_pool(self) -> bool:
        """Whether it lends at the guide rate."""
        return self.exposure_share is not None

    @property
    def asked(self) -> tuple[AskedRateView, ...]:
        """What it asks; shared with the page's other offers."""
        return self.standing.asked_by(self.key)

    @property
    def rates(self) -> tuple[StandingRateView, ...]:
        """Where it stands, and at which rates; shared with the page's other offers."""
        return self.standing.of(self.key)

    @property
    def queue(self) -> tuple[QueueView, ...]:
        """Its place in each market, and the answers; shared with the page's other offers."""
        return self.answers.of(self.key)


def offers_page(lender_id: int, wanted: PageWanted, on: date) -> Page[OfferView]:
    """A lender's offers, the newest first; the cursor is an offer's public id.

    One statement (two with a cursor), and a few more for the page's rates and for its places and
    answers, if asked for: see :class:`OfferRates` and
    :class:`marketplace.selectors.answers.OfferAnswers`.

    Raises:
        PageRefused, CursorRefused.
    """
    offers = Offer.objects.filter(lender_id=lender_id)
    return newest_first(
        offers, wanted, anchor=_offer_named, view=lambda found: _offer_views(found, on)
    )


def find_offer(lender_id: int, public_id: UUID, on: date) -> OfferView | None:
    """A lender's own offer, or none; one statement."""
    found = Offer.objects.filter(lender_id=lender_id, public_id=public_id)
    return next(iter(_offer_views(list(found), on)), None)


def offer_by_key(key: int, on: date) -> OfferView:
    """An offer just placed or changed; one statement."""
    return _offer_views([Offer.objects.get(pk=key)], on)[0]


def _offer_named(offers: QuerySet[Offer], public_id: str) -> QuerySet[Offer]:
    try:
        return offers.filter(public_id=UUID(public_id))
    except ValueError:
        return offers.none()


def _offer_views(offers: Sequence[Offer], on: date) -> list[OfferView]:
    rates = OfferRates([offer.pk for offer in offers], on)
    answers = OfferAnswers(offers, rates, on)
    return [
        OfferView(
            key=offer.pk,
            public_id=offer.public_id,
            amount=offer.amount,
            available=offer.available,
            repaid=offer.repaid,
            exposure_limit=offer.exposure_limit,
            exposure_share=offer.exposure_share,
            tops_up=offer.tops_up,
            placed_on=offer.placed_on,
            state=OfferState(offer.state),
            standing=rates,
            answers=answers,
        )
        for offer in offers
    ]
