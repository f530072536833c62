"""The registry: model versions and rate tables, immutable but for validation and approval.

Triggers refuse any change of their content, whoever writes (``migrations/0002_immutable.py``).
"""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower
from django.db.models.lookups import Exact

from risk.core.states import ModelState, RateTableState
from risk.models.data import DataSet

# In capitals or not, it is the same person.
_BY_ITS_AUTHOR = Exact(Lower("approver"), Lower("author"))


class ModelVersion(models.Model):
    """A fitted model: ``coefficients`` are a scorecard as JSON, ``figures`` judge it on new rows.

    ``holdout_rows`` are the row numbers of the data set that it has not seen. ``leak_overrides``
    hold the officer's reason for each column that was let in although it looked like a leak;
    ``notes`` are sentences on what training left out. ``content_hash`` is the SHA-256 over data
    digest (file and specification), settings, overrides and coefficients. ``report`` is the
    validation report as it was, ``report_digest`` its SHA-256. ``author``, ``validator`` and
    ``approver`` are handles of people.
    """

    name = models.CharField(max_length=100)
    number = models.IntegerField()
    data_set = models.ForeignKey(DataSet, on_delete=models.PROTECT, related_name="model_versions")
    settings = models.JSONField()
    leak_overrides = models.JSONField(default=dict)
    coefficients = models.JSONField()
    holdout_rows = models.JSONField()
    figures = models.JSONField()
    notes = models.JSONField(default=list)
    content_hash = models.CharField(max_length=64)
    author = models.CharField(max_length=60)
    trained_on = models.DateField()
    state = models.CharField(
        max_length=12,
        choices=[(s.value, s.value) for s in ModelState],
        default=ModelState.DRAFT.value,
    )
    validator = models.CharField(max_length=60, null=True)  # noqa: DJ001 - null: nobody yet
    validated_on = models.DateField(null=True)
    report = models.JSONField(null=True)
    report_digest = models.CharField(max_length=64, null=True)  # noqa: DJ001 - null: no report yet
    approver = models.CharField(max_length=60, null=True)  # noqa: DJ001 - null: nobody yet
    approved_on = models.DateField(null=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["name", "number"], name="risk_model_version_one_number"
            ),
            models.UniqueConstraint(
                fields=["name", "content_hash"], name="risk_model_version_once_a_name"
            ),
            models.UniqueConstraint(
                fields=["state"],
                condition=Q(state=ModelState.CHAMPION.value),
                name="risk_model_version_one_champion",
            ),
            models.CheckConstraint(
                condition=Q(approver__isnull=True) | ~Q(_BY_ITS_AUTHOR),
                name="risk_model_version_second_person",
            ),
            models.CheckConstraint(
                condition=Q(state=ModelState.DRAFT.value)
                | Q(
                    validator__isnull=False,
                    validated_on__isnull=False,
                    report__isnull=False,
                    report_digest__isnull=False,
                ),
                name="risk_model_version_validated_before_approval",
            ),
            models.CheckConstraint(
                condition=Q(state__in=[ModelState.DRAFT.value, ModelState.VALIDATED.value])
                | Q(approver__isnull=False, approved_on__isnull=False),
                name="risk_model_version_approved_before_use",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.number}"


class ModelMove(models.Model):
    """A model version's move from state ``old`` to ``new``: by whom, and when. Never changed."""

    model_version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="moves")
    old = models.CharField(max_length=12)
    new = models.CharField(max_length=12)
    by = models.CharField(max_length=60)
    on = models.DateField()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["model_version", "new"], name="risk_model_move_once_into_a_state"
            ),
        ]

    def __str__(self) -> str:
        return f"model version {self.model_version_id} became {self.new}"


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
                condition=Q(approver__isnull=True) | ~Q(_BY_ITS_AUTHOR),
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
    covered = models.BooleanField()
    contribution_ppm = models.IntegerField()
    expected_return_ppm = models.IntegerField()
    uncovered_return_ppm = models.IntegerField()
    apr_ppm = models.IntegerField()

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
