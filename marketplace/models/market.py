"""Markets: a band of risk over a term, with the limits of its loans."""

from __future__ import annotations

from django.db import models

from marketplace.core.states import CycleState


class Market(models.Model):
    """Where one band's loans over one term meet offers; ``position`` counts from the safest."""

    band = models.CharField(max_length=4)
    position = models.SmallIntegerField()
    term_months = models.SmallIntegerField()
    minimum_amount = models.BigIntegerField()
    maximum_amount = models.BigIntegerField()

    class Meta:
        ordering = ["term_months", "position"]
        constraints = [
            models.UniqueConstraint(
                fields=["band", "term_months"], name="marketplace_market_band_and_term"
            ),
            models.CheckConstraint(
                condition=models.Q(
                    minimum_amount__gt=0, maximum_amount__gte=models.F("minimum_amount")
                ),
                name="marketplace_market_limits",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.band}/{self.term_months}"


class Cycle(models.Model):
    """One batch run of matching over all markets, with what it saw."""

    run_on = models.DateField()
    key = models.CharField(max_length=120, unique=True)
    state = models.CharField(
        max_length=10, choices=[(s.value, s.value) for s in CycleState], default=CycleState.RUNNING
    )
    market_order = models.JSONField(default=list)
    input_digest = models.BinaryField(max_length=32)
    outcome = models.JSONField(default=dict)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"cycle {self.pk} of {self.run_on}"
