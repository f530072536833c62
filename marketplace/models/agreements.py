"""Accepted agreements: what a borrower saw and said yes to, kept for good."""

from __future__ import annotations

from django.db import models

from marketplace.models.loan import Loan


class Agreement(models.Model):
    """The text that a borrower accepted, and its SHA-256 (hexadecimal); never changed.

    It is the template of that version filled in, and names people by reference alone.
    """

    loan = models.OneToOneField(Loan, on_delete=models.PROTECT, related_name="agreement")
    version = models.SmallIntegerField()
    text = models.TextField()
    digest = models.CharField(max_length=64)
    offered_on = models.DateField()
    accept_by = models.DateField()
    accepted_on = models.DateField()
    actor = models.CharField(max_length=60)
    recorded_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["loan"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(
                    accepted_on__gte=models.F("offered_on"),
                    accepted_on__lte=models.F("accept_by"),
                ),
                name="marketplace_agreement_accepted_in_time",
            ),
            models.CheckConstraint(
                condition=models.Q(digest__regex=r"^[0-9a-f]{64}$"),
                name="marketplace_agreement_digest",
            ),
        ]

    def __str__(self) -> str:
        return f"agreement of loan {self.loan_id}"
