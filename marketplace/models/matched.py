"""What a cycle took of pool money that stood at the front, should a match be cancelled."""

from __future__ import annotations

from django.db import models

from marketplace.models.market import Cycle
from marketplace.models.offers import Offer


class RepaidMatched(models.Model):
    """Pence that a cycle took of an offer out of what had come back from borrowers.

    In the pool such money stands before new money. Of matches that are cancelled, ``returned``
    pence of it are back there.
    """

    cycle = models.ForeignKey(Cycle, on_delete=models.PROTECT, related_name="+", db_index=False)
    offer = models.ForeignKey(Offer, on_delete=models.PROTECT, related_name="+")
    taken = models.BigIntegerField()
    returned = models.BigIntegerField(db_default=0)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["cycle", "offer"], name="marketplace_repaidmatched_once"
            ),
            models.CheckConstraint(
                condition=models.Q(taken__gt=0, returned__gte=0, returned__lte=models.F("taken")),
                name="marketplace_repaidmatched_returned_within_taken",
            ),
        ]

    def __str__(self) -> str:
        return f"cycle {self.cycle_id} of offer {self.offer_id}"
