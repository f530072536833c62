"""Lenders' standing orders."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models

from marketplace.core.states import OfferState
from marketplace.models.market import Market


class Offer(models.Model):
    """Money on offer: ``amount`` pence placed, of which ``available`` is not yet matched."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    lender = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="offers"
    )
    amount = models.BigIntegerField()
    available = models.BigIntegerField()
    exposure_limit = models.BigIntegerField()
    placed_on = models.DateField()
    state = models.CharField(
        max_length=10, choices=[(s.value, s.value) for s in OfferState], default=OfferState.OPEN
    )

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(
                    available__gte=0,
                    available__lte=models.F("amount"),
                    exposure_limit__gt=0,
                    exposure_limit__lte=models.F("amount"),
                ),
                name="marketplace_offer_amounts",
            ),
        ]

    def __str__(self) -> str:
        return f"offer {self.pk}"


class OfferRate(models.Model):
    """The rate at which an offer stands in one market's queue: rate, then id, is the order.

    ``original_market`` differs from ``market`` where the rate is implied by a riskier band's.
    """

    offer = models.ForeignKey(Offer, on_delete=models.CASCADE, related_name="rates")
    market = models.ForeignKey(Market, on_delete=models.PROTECT, related_name="+")
    original_market = models.ForeignKey(Market, on_delete=models.PROTECT, related_name="+")
    rate = models.IntegerField()

    class Meta:
        ordering = ["market", "rate", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["offer", "market"], name="marketplace_offerrate_one_a_market"
            ),
            models.CheckConstraint(
                condition=models.Q(rate__gt=0), name="marketplace_offerrate_above_zero"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.offer_id} in {self.market_id} at {self.rate}"
