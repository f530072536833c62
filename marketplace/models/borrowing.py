"""Applications and listings: what a borrower asks for, before it is a loan."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models

from marketplace.core.states import ApplicationState, ListingState
from marketplace.models.market import Market
from risk.models import Assessment


class Application(models.Model):
    """What a borrower told us. ``facts`` are the model's inputs, as given."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    borrower = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="applications"
    )
    amount = models.BigIntegerField()
    term_months = models.SmallIntegerField()
    facts = models.JSONField()
    applied_on = models.DateField()
    state = models.CharField(
        max_length=12,
        choices=[(s.value, s.value) for s in ApplicationState],
        default=ApplicationState.APPLIED,
    )
    assessment = models.ForeignKey(Assessment, on_delete=models.PROTECT, null=True)
    market = models.ForeignKey(Market, on_delete=models.PROTECT, null=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(amount__gt=0), name="marketplace_application_amount"
            )
        ]

    def __str__(self) -> str:
        return f"application {self.pk}"


class Listing(models.Model):
    """An assessed loan looking for money; arrives in order of id.

    ``highest_rate`` is the most its borrower will pay, annual effective ppm.
    """

    application = models.OneToOneField(Application, on_delete=models.PROTECT)
    borrower = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="listings"
    )
    market = models.ForeignKey(Market, on_delete=models.PROTECT, related_name="listings")
    amount = models.BigIntegerField()
    highest_rate = models.IntegerField()
    listed_on = models.DateField()
    expires_on = models.DateField()
    state = models.CharField(
        max_length=10,
        choices=[(s.value, s.value) for s in ListingState],
        default=ListingState.OPEN,
    )
    waits_because = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["borrower"],
                condition=models.Q(state=ListingState.OPEN),
                name="marketplace_listing_one_open_a_borrower",
            ),
            models.CheckConstraint(
                condition=models.Q(amount__gt=0), name="marketplace_listing_amount"
            ),
        ]

    def __str__(self) -> str:
        return f"listing {self.pk}"
