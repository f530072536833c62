"""What a model version said of an application: written once, never changed."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q

from risk.core.decision import Decision
from risk.models.registry import ModelVersion, RateTable


class Assessment(models.Model):
    """An application under a model version and a rate table.

    ``amount`` is pence; ``pd_outcome_ppm`` the PD over the data set's months, ``pd12_ppm`` over
    twelve; ``guide_rate`` annual effective ppm. ``band`` is empty, and the guide rate null, beyond
    the last band. ``digest`` is the SHA-256 over amount, term and facts.
    """

    id_ref = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    application_reference = models.CharField(max_length=64)
    model_version = models.ForeignKey(
        ModelVersion, on_delete=models.PROTECT, related_name="assessments"
    )
    rate_table = models.ForeignKey(RateTable, on_delete=models.PROTECT, related_name="assessments")
    amount = models.BigIntegerField()
    term_months = models.SmallIntegerField()
    facts = models.JSONField()
    digest = models.CharField(max_length=64)
    pd_outcome_ppm = models.IntegerField()
    pd12_ppm = models.IntegerField()
    points = models.IntegerField()
    band = models.CharField(max_length=4, blank=True)
    decision = models.CharField(max_length=8, choices=[(d.value, d.value) for d in Decision])
    guide_rate = models.IntegerField(null=True)
    reasons = models.JSONField()
    assessed_on = models.DateField()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["application_reference", "model_version"],
                name="risk_assessment_once_a_model",
            ),
            models.CheckConstraint(
                condition=Q(decision=Decision.DECLINED.value)
                | (Q(guide_rate__isnull=False) & ~Q(band="")),
                name="risk_assessment_priced_unless_declined",
            ),
            models.CheckConstraint(
                condition=Q(pd12_ppm__range=(0, 1_000_000), pd_outcome_ppm__range=(0, 1_000_000)),
                name="risk_assessment_pd_is_a_chance",
            ),
        ]

    def __str__(self) -> str:
        return f"assessment of {self.application_reference}"
