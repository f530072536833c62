"""What other model versions say of an assessed application, beside its frozen assessment."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from risk.models.assessment import Assessment
from risk.models.registry import ModelVersion

_CHANCE = (0, 1_000_000)


class ShadowScore(models.Model):
    """An assessed application's facts under another model version: written once, never changed.

    Challengers score when the champion assesses; any version may score an old loan later.
    ``pd_outcome_ppm`` is over the version's own months, ``pd12_ppm`` over twelve; ``band`` is that
    of the assessment's rate table, empty beyond the last. A version that can't read the facts
    leaves the scores null, and ``refusal`` is its code and sentence.
    """

    assessment = models.ForeignKey(
        Assessment, on_delete=models.PROTECT, related_name="shadow_scores", db_index=False
    )
    model_version = models.ForeignKey(
        ModelVersion, on_delete=models.PROTECT, related_name="shadow_scores"
    )
    pd_outcome_ppm = models.IntegerField(null=True)
    pd12_ppm = models.IntegerField(null=True)
    points = models.IntegerField(null=True)
    band = models.CharField(max_length=4, blank=True)
    refusal = models.TextField(blank=True)
    scored_on = models.DateField()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["assessment", "model_version"], name="risk_shadow_score_once_a_model"
            ),
            models.CheckConstraint(
                condition=Q(
                    refusal="",
                    pd_outcome_ppm__isnull=False,
                    pd12_ppm__isnull=False,
                    points__isnull=False,
                )
                | (
                    ~Q(refusal="")
                    & Q(
                        pd_outcome_ppm__isnull=True,
                        pd12_ppm__isnull=True,
                        points__isnull=True,
                        band="",
                    )
                ),
                name="risk_shadow_score_or_refusal",
            ),
            models.CheckConstraint(
                condition=Q(pd12_ppm__range=_CHANCE, pd_outcome_ppm__range=_CHANCE),
                name="risk_shadow_score_pd_is_a_chance",
            ),
        ]

    def __str__(self) -> str:
        return f"assessment {self.assessment_id} under model version {self.model_version_id}"
