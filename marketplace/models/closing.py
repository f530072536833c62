"""Closing business days: which are closed, what each step of it did, and drafts made by workers."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from marketplace.core.closing import STEPS


class DayRun(models.Model):
    """The close of one business day. It is finished once all its steps are done."""

    day = models.DateField(primary_key=True)
    actor = models.CharField(max_length=60)
    started_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["day"]

    def __str__(self) -> str:
        return f"close of {self.day}"


class DayStep(models.Model):
    """One step of closing a day, written in the transactions that did its work.

    A step that takes several transactions adds up ``counts`` (JSON: whole numbers by name, pence
    among them) and ``milliseconds`` until ``done_at`` is set. From then on it stays as it is.
    """

    run = models.ForeignKey(DayRun, on_delete=models.PROTECT, related_name="steps", db_column="day")
    name = models.CharField(max_length=20)
    counts = models.JSONField(default=dict)
    note = models.CharField(max_length=200, blank=True, default="")
    milliseconds = models.BigIntegerField(default=0)
    done_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["run", "id"]
        constraints = [
            models.UniqueConstraint(fields=["run", "name"], name="marketplace_daystep_once"),
            models.CheckConstraint(
                condition=models.Q(name__in=[step.value for step in STEPS]),
                name="marketplace_daystep_name",
            ),
            models.CheckConstraint(
                condition=models.Q(milliseconds__gte=0), name="marketplace_daystep_time"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} of {self.run_id}"


class StagedSlice(models.Model):
    """How a slice of the loans would have its payments spread, computed by a worker.

    It is a draft: whoever posts takes of it what still fits the loans, computes the rest again,
    and removes it. Nothing is lost with it.
    """

    day = models.DateField()
    number = models.SmallIntegerField()
    slices = models.SmallIntegerField()
    loans = models.IntegerField()
    packed = models.BinaryField()
    staged_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["day", "number", "slices"], name="marketplace_stagedslice_once"
            ),
            models.CheckConstraint(
                condition=models.Q(number__gte=0, number__lt=models.F("slices")),
                name="marketplace_stagedslice_number",
            ),
        ]

    def __str__(self) -> str:
        return f"slice {self.number} of {self.slices} of {self.day}"
