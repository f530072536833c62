"""Lenders' standing orders."""

from __future__ import annotations

import uuid
from typing import Any

from django.conf import settings
from django.db import models

from marketplace.core.standing import Pricing
from marketplace.core.states import OfferState
from marketplace.models.market import Market


def _only(*names: str, **conditions: Any) -> models.Q:
    """The conditions, and of the four figures just those named."""
    every = ("rate", "margin", "floor", "share")
    return models.Q(**conditions, **{f"{name}__isnull": name not in names for name in every})


class Offer(models.Model):
    """Money on offer: ``amount`` pence placed, of which ``available`` is not yet matched.

    ``available`` includes ``repaid``, what came back from borrowers and was put on offer again.
    ``uninvested`` is what came back since and is not yet a whole step. A pool offer has a share of
    its money (ppm) as its exposure limit, any other an amount.
    """

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    lender = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="offers"
    )
    amount = models.BigIntegerField()
    available = models.BigIntegerField()
    repaid = models.BigIntegerField(default=0)
    uninvested = models.BigIntegerField(default=0)
    exposure_limit = models.BigIntegerField(null=True)
    exposure_share = models.IntegerField(null=True)
    tops_up = models.BooleanField(default=False)
    placed_on = models.DateField()
    state = models.CharField(
        max_length=10, choices=[(s.value, s.value) for s in OfferState], default=OfferState.OPEN
    )

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(
                    amount__gte=0,
                    available__gte=models.F("repaid"),
                    repaid__gte=0,
                    uninvested__gte=0,
                ),
                name="marketplace_offer_amounts",
            ),
            models.CheckConstraint(
                condition=models.Q(exposure_limit__gt=0, exposure_share__isnull=True)
                | models.Q(
                    exposure_limit__isnull=True,
                    exposure_share__gt=0,
                    exposure_share__lte=1_000_000,
                ),
                name="marketplace_offer_limit_or_share",
            ),
        ]

    def __str__(self) -> str:
        return f"offer {self.pk}"

    @property
    def is_pool(self) -> bool:
        """Whether it lends at the guide rate."""
        return self.exposure_share is not None


class OfferRate(models.Model):
    """What an offer asks in one market: a rate, a peg, or a place in the pool's mix.

    Its id says when that was set, which is its place among equal rates; whatever loses the place
    writes a new row. Rates, margins, floors and shares are ppm.
    """

    offer = models.ForeignKey(Offer, on_delete=models.CASCADE, related_name="rates")
    market = models.ForeignKey(Market, on_delete=models.PROTECT, related_name="+")
    pricing = models.SmallIntegerField(choices=[(p.value, p.name.lower()) for p in Pricing])
    rate = models.IntegerField(null=True)
    margin = models.IntegerField(null=True)
    floor = models.IntegerField(null=True)
    share = models.IntegerField(null=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["offer", "market"], name="marketplace_offerrate_one_a_market"
            ),
            models.CheckConstraint(
                condition=_only("rate", pricing=Pricing.OWN, rate__gt=0)
                | _only("margin", "floor", pricing=Pricing.PEG, floor__gt=0)
                | _only("share", pricing=Pricing.POOL, share__gt=0, share__lte=1_000_000),
                name="marketplace_offerrate_by_pricing",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.offer_id} in {self.market_id}"
