"""The registry: model versions and rate tables, immutable but for their approval.

Triggers refuse any change of their content, whoever writes (``migrations/0002_immutable.py``).
"""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from risk.core.states import ModelState, RateTableState
from risk.models.data import DataSet


class ModelVersion(models.Model):
    """A fitted model: ``coefficients`` are a scorecard as JSON, ``figures`` judge it on new rows.

    ``holdout_rows`` are the row numbers of the data set that it has not seen. ``content_hash`` is
    the SHA-256 over data digest, specification, settings and coefficients. ``author`` and
    ``approver`` are handles of people.
    """

    name = models.CharField(max_length=100)
    number = models.IntegerField()
    data_set = models.ForeignKey(DataSet, on_delete=models.PROTECT, related_name="model_versions")
    settings = models.JSONField()
    coefficients = models.JSONField()
    holdout_rows = models.JSONField()
    figures = models.JSONField()
    content_hash = models.CharField(max_length=64, unique=True)
    author = models.CharField(max_length=60)
    trained_on = models.DateField()
    state = models.CharField(
        max_length=12,
        choices=[(s.value, s.value) for s in ModelState],
        default=ModelState.DRAFT.value,
    )
    approver = models.CharField(max_length=60, null=True)  # noqa: DJ001 - null: nobody yet
    approved_on = models.DateField(null=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["name", "number"], name="risk_model_version_one_number"
            ),
            models.UniqueConstraint(
                fields=["state"],
                condition=Q(state=ModelState.CHAMPION.value),
                name="risk_model_version_one_champion",
            ),
            models.CheckConstraint(
                condition=Q(approver__isnull=True) | ~Q(approver=F("author")),
                name="risk_model_version_second_person",
            ),
            models.CheckConstraint(
                condition=Q(state=ModelState.DRAFT.value)
                | Q(approver__isnull=False, approved_on__isnull=False),
                name="risk_model_version_approved_before_use",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.number}"


class RateTable(models.Model):
    """A set of guide rates built on one model version. ``figures`` hold calibration by band."""

    number = models.IntegerField(unique=True)
    model_version = models.ForeignKey(
        ModelVersion, on_delete=models.PROTECT, related_name="rate_tables"
    )
    settings = models.JSONField()
    figures = models.JSONField()
    content_hash = models.CharField(max_length=64, unique=True)
    author = models.CharField(max_length=60)
    built_on = models.DateField()
    state = models.CharField(
        max_length=12,
        choices=[(s.value, s.value) for s in RateTableState],
        default=RateTableState.DRAFT.value,
    )
    approver = models.CharField(max_length=60, null=True)  # noqa: DJ001 - null: nobody yet
    approved_on = models.DateField(null=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["state"],
                condition=Q(state=RateTableState.APPROVED.value),
                name="risk_rate_table_one_approved",
            ),
            models.CheckConstraint(
                condition=Q(approver__isnull=True) | ~Q(approver=F("author")),
                name="risk_rate_table_second_person",
            ),
            models.CheckConstraint(
                condition=Q(state=RateTableState.DRAFT.value)
                | Q(approver__isnull=False, approved_on__isnull=False),
                name="risk_rate_table_approved_before_use",
            ),
        ]

    def __str__(self) -> str:
        return f"rate table {self.number}"


class RateTableRow(models.Model):
    """One market of a rate table, as :class:`risk.core.rate_table.RateRow` describes it."""

    rate_table = models.ForeignKey(
        RateTable, on_delete=models.PROTECT, related_name="rows", db_index=False
    )
    band = models.CharField(max_length=4)
    position = models.SmallIntegerField()
    term_months = models.SmallIntegerField()
    pd_from_ppm = models.IntegerField()
    pd_to_ppm = models.IntegerField()
    representative_pd_ppm = models.IntegerField()
    guide_rate = models.IntegerField()
    lowest_rate = models.IntegerField()
    highest_rate = models.IntegerField()
    arrangement_fee_ppm = models.IntegerField()
    expected_loss_ppm = models.IntegerField()
    target_return_ppm = models.IntegerField()

    class Meta:
        ordering = ["rate_table", "term_months", "position"]
        constraints = [
            models.UniqueConstraint(
                fields=["rate_table", "term_months", "position"],
                name="risk_rate_table_row_one_a_market",
            ),
            models.CheckConstraint(
                condition=Q(pd_from_ppm__lt=F("pd_to_ppm")), name="risk_rate_table_row_pd_range"
            ),
            models.CheckConstraint(
                condition=Q(lowest_rate__lte=F("guide_rate"), highest_rate__gte=F("guide_rate")),
                name="risk_rate_table_row_bounds",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.band}/{self.term_months} of rate table {self.rate_table_id}"
