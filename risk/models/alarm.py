"""What watching found: its runs, and the alarms that an officer closes with a word."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from risk.core.states import AlarmState


class MonitoringRun(models.Model):
    """What watching saw on a business date: ``scope`` is what it looked at, ``figures`` the rest.

    ``digest`` is the SHA-256 over both. Never changed.
    """

    on = models.DateField()
    scope = models.JSONField()
    figures = models.JSONField()
    digest = models.CharField(max_length=64)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["on", "digest"], name="risk_monitoring_run_once_a_day"),
        ]

    def __str__(self) -> str:
        return f"monitoring of {self.on}"


class Alarm(models.Model):
    """Something that stopped being true: one open alarm of a kind for each subject.

    ``subject`` is for people, ``subject_key`` the same for programs. Never changed, but for being
    closed once: by whom, when, and with what word.
    """

    kind = models.CharField(max_length=40)
    subject = models.CharField(max_length=120)
    subject_key = models.CharField(max_length=120)
    figures = models.JSONField()
    words = models.TextField()
    raised_on = models.DateField()
    state = models.CharField(
        max_length=6,
        choices=[(s.value, s.value) for s in AlarmState],
        default=AlarmState.OPEN.value,
    )
    closed_by = models.CharField(max_length=60, null=True)  # noqa: DJ001 - null: nobody yet
    closed_on = models.DateField(null=True)
    closing_word = models.TextField(null=True)  # noqa: DJ001 - null: not said yet

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "subject_key"],
                condition=Q(state=AlarmState.OPEN.value),
                name="risk_alarm_one_open",
            ),
            models.CheckConstraint(
                condition=Q(
                    state=AlarmState.OPEN.value,
                    closed_by__isnull=True,
                    closed_on__isnull=True,
                    closing_word__isnull=True,
                )
                | Q(
                    state=AlarmState.CLOSED.value,
                    closed_by__isnull=False,
                    closed_on__isnull=False,
                    closing_word__isnull=False,
                ),
                name="risk_alarm_closed_by_someone",
            ),
            models.CheckConstraint(
                condition=Q(closing_word__regex=r"\S"), name="risk_alarm_closed_with_a_word"
            ),
            models.CheckConstraint(
                condition=Q(closed_on__gte=F("raised_on")), name="risk_alarm_closed_afterwards"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind}: {self.subject}"
