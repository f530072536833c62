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
    """One batch run of matching over all markets: what it saw by digest, and what came of it.

    ``settings`` are the house's figures and the engine's version that it ran with.
    """

    run_on = models.DateField()
    key = models.CharField(max_length=120, unique=True)
    state = models.CharField(
        max_length=10, choices=[(s.value, s.value) for s in CycleState], default=CycleState.RUNNING
    )
    market_order = models.JSONField(default=list)
    settings = models.JSONField(default=dict)
    input_digest = models.BinaryField(max_length=32)
    outcome = models.JSONField(default=dict)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"cycle {self.pk} of {self.run_on}"


class CycleSight(models.Model):
    """All that a cycle saw, packed, so that it can be replayed; never changed."""

    cycle = models.OneToOneField(
        Cycle, on_delete=models.CASCADE, primary_key=True, related_name="sight"
    )
    packed = models.BinaryField()

    def __str__(self) -> str:
        return f"what cycle {self.cycle_id} saw"


class CycleMarket(models.Model):
    """What one market did in one cycle; never changed. Amounts in pence, rates in ppm.

    ``deviation`` is the amount-weighted standard deviation of the loans' blended rates, in
    thousandths of a ppm. ``own_amount`` and ``own_weighted`` (amount times rate) are of parts at
    their lenders' own rates alone: what the traded rate is made from.
    """

    cycle = models.ForeignKey(Cycle, on_delete=models.CASCADE, related_name="markets")
    market = models.ForeignKey(Market, on_delete=models.PROTECT, related_name="cycles")
    turn = models.SmallIntegerField()
    guide_rate = models.IntegerField()
    traded_rate = models.IntegerField()
    entries = models.IntegerField()
    on_offer = models.BigIntegerField()
    best_rate = models.IntegerField(null=True)
    listings = models.IntegerField()
    asked = models.BigIntegerField()
    loans = models.IntegerField()
    parts = models.IntegerField()
    lent = models.BigIntegerField()
    marginal_rate = models.IntegerField(null=True)
    blend_rate = models.IntegerField(null=True)
    lowest_blend = models.IntegerField(null=True)
    highest_blend = models.IntegerField(null=True)
    deviation = models.BigIntegerField()
    path = models.CharField(max_length=20)
    runs = models.IntegerField()
    own_amount = models.BigIntegerField()
    own_weighted = models.DecimalField(max_digits=30, decimal_places=0)

    class Meta:
        ordering = ["cycle", "turn"]
        constraints = [
            models.UniqueConstraint(
                fields=["cycle", "market"], name="marketplace_cyclemarket_one_a_cycle"
            ),
        ]

    def __str__(self) -> str:
        return f"market {self.market_id} in cycle {self.cycle_id}"
