"""Notices: what members have to be told, waiting to be delivered."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models

from marketplace.models.loan import Loan


class Notice(models.Model):
    """One thing that one member is told, once: an outbox.

    ``occasion`` says what it is about, such as a move or a day, and is unique for the template,
    member and loan, so that whoever writes notices again writes none twice. ``attempts`` counts
    deliveries tried, ``failure`` names the last one's error.
    """

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    member = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="notices", db_index=False
    )
    loan = models.ForeignKey(Loan, on_delete=models.PROTECT, null=True, related_name="notices")
    template = models.CharField(max_length=40)
    version = models.SmallIntegerField()
    occasion = models.CharField(max_length=60)
    subject = models.CharField(max_length=200)
    body = models.TextField()
    written_on = models.DateField()
    created_at = models.DateTimeField(auto_now_add=True)
    delivered_at = models.DateTimeField(null=True)
    attempts = models.SmallIntegerField(default=0)
    failure = models.CharField(max_length=100, blank=True)

    class Meta:
        ordering = ["id"]
        indexes = [
            models.Index(fields=["member", "id"], name="marketplace_notice_member"),
            models.Index(
                fields=["attempts", "id"],
                condition=models.Q(delivered_at__isnull=True),
                name="marketplace_notice_to_deliver",
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["occasion", "template", "member", "loan"],
                nulls_distinct=False,
                name="marketplace_notice_once",
            ),
            models.CheckConstraint(
                condition=models.Q(attempts__gte=0), name="marketplace_notice_attempts"
            ),
        ]

    def __str__(self) -> str:
        return f"notice {self.pk}"
