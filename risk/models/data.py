"""Data sets of past applications, as loaded."""

from __future__ import annotations

from django.db import models


class DataSet(models.Model):
    """A file of past applications with outcomes: ``spec`` says what its columns mean.

    ``file_digest`` is the SHA-256 of the file's bytes, ``digest`` the one over that and the
    specification. ``columns`` are the file's, in its order, without the outcome. ``notes`` are
    sentences on what reading it had to do. Never changed once loaded.
    """

    name = models.CharField(max_length=200)
    digest = models.CharField(max_length=64, unique=True)
    file_digest = models.CharField(max_length=64)
    spec = models.JSONField()
    columns = models.JSONField()
    row_count = models.IntegerField()
    notes = models.JSONField(default=list)
    loaded_on = models.DateField()

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return self.name


class PastApplication(models.Model):
    """One row of a data set: ``row_number`` is its line in the file (1 is the header).

    ``facts`` hold every column but the outcome, price columns too; a missing value is null.
    """

    data_set = models.ForeignKey(
        DataSet, on_delete=models.PROTECT, related_name="applications", db_index=False
    )
    row_number = models.IntegerField()
    facts = models.JSONField()
    is_bad = models.BooleanField()

    class Meta:
        ordering = ["data_set", "row_number"]
        constraints = [
            models.UniqueConstraint(
                fields=["data_set", "row_number"], name="risk_past_application_one_a_row"
            ),
        ]

    def __str__(self) -> str:
        return f"row {self.row_number} of data set {self.data_set_id}"
