"""What was said with borrowers: a log of contacts, and what they promised to pay.

Notes are personal data: they stay here, and never go into the ledger or a log.
"""

from __future__ import annotations

from django.conf import settings
from django.db import models

from marketplace.core.promises import Channel, Direction, PromiseState
from marketplace.models.loan import Loan


class Contact(models.Model):
    """One contact with a loan's borrower; ``staff`` had it."""

    loan = models.ForeignKey(Loan, on_delete=models.PROTECT, related_name="contacts")
    on = models.DateField()
    channel = models.CharField(max_length=10, choices=[(c.value, c.value) for c in Channel])
    direction = models.CharField(max_length=3, choices=[(d.value, d.value) for d in Direction])
    note = models.TextField()
    staff = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    recorded_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"contact {self.pk} about loan {self.loan_id}"


class Promise(models.Model):
    """Pence that a borrower promised to pay by a day, and what became of it."""

    loan = models.ForeignKey(Loan, on_delete=models.PROTECT, related_name="promises")
    amount = models.BigIntegerField()
    due_on = models.DateField()
    made_on = models.DateField()
    state = models.CharField(
        max_length=6,
        choices=[(s.value, s.value) for s in PromiseState],
        default=PromiseState.OPEN,
    )
    judged_on = models.DateField(null=True)
    actor = models.CharField(max_length=60)

    class Meta:
        ordering = ["id"]
        indexes = [
            models.Index(
                fields=["due_on"],
                condition=models.Q(state=PromiseState.OPEN),
                name="marketplace_promise_open",
            ),
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(amount__gt=0, due_on__gte=models.F("made_on")),
                name="marketplace_promise_amount_and_day",
            ),
            models.CheckConstraint(
                condition=models.Q(state=PromiseState.OPEN, judged_on__isnull=True)
                | models.Q(
                    state__in=[PromiseState.KEPT, PromiseState.BROKEN], judged_on__isnull=False
                ),
                name="marketplace_promise_judged",
            ),
        ]

    def __str__(self) -> str:
        return f"promise {self.pk} of loan {self.loan_id}"
