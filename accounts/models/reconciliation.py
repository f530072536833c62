"""Reconciliations, what each rule found, and the breaks that live from day to day.

Reconciliations and their checks are append-only. A break's identity stays, and a closed one is
never changed: see ``accounts/migrations/0004_reconciliation.py``.
"""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from accounts.core.reconciliation import BreakState, ReconciliationKind


class Reconciliation(models.Model):
    """One run, of the book with itself or with the bank, on a business date.

    ``sealed_number`` and ``sealed_hash`` say up to where the journal was derived again and fitted:
    where the next run may start, and what it must find there.
    """

    on = models.DateField()
    kind = models.CharField(max_length=10)
    holds = models.BooleanField()
    sealed_number = models.BigIntegerField(null=True)
    sealed_hash = models.BinaryField(max_length=32, null=True)
    actor = models.CharField(max_length=60)
    made_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [models.Index(fields=["kind", "id"], name="accounts_recon_by_kind")]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(kind__in=[kind.value for kind in ReconciliationKind]),
                name="accounts_reconciliation_kind",
            ),
            models.CheckConstraint(
                condition=models.Q(sealed_number__isnull=True, sealed_hash__isnull=True)
                | models.Q(sealed_number__isnull=False, sealed_hash__isnull=False),
                name="accounts_reconciliation_sealed_both",
            ),
        ]

    def __str__(self) -> str:
        return f"reconciliation {self.pk}"

    @property
    def reference(self) -> str:
        """How it is named as the one who cleared a break."""
        return f"reconciliation:{self.pk}"


class ReconciliationCheck(models.Model):
    """What one rule found in one reconciliation; amounts in pence."""

    reconciliation = models.ForeignKey(
        Reconciliation, on_delete=models.PROTECT, related_name="checks"
    )
    rule = models.CharField(max_length=40)
    title = models.CharField(max_length=200)
    expected = models.BigIntegerField()
    found = models.BigIntegerField()
    checked = models.BigIntegerField()
    wrong = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["reconciliation", "rule"], name="accounts_reconciliationcheck_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.rule} of {self.reconciliation_id}"


class Break(models.Model):
    """A difference with an age: open while it is found, then cleared, unless a person resolves it.

    ``amount`` is the pence found last, less the pence expected. ``follows`` is the break of the
    same rule and reference that was closed before this one was found.
    """

    rule = models.CharField(max_length=40)
    reference = models.CharField(max_length=60)
    amount = models.BigIntegerField()
    detail = models.CharField(max_length=200)
    first_seen_on = models.DateField()
    last_seen_on = models.DateField()
    state = models.CharField(max_length=10)
    resolved_on = models.DateField(null=True)
    resolved_by = models.CharField(max_length=60, blank=True, default="")
    note = models.CharField(max_length=500, blank=True, default="")
    follows = models.OneToOneField(
        "self", on_delete=models.PROTECT, null=True, related_name="followed_by"
    )

    class Meta:
        indexes = [
            models.Index(fields=["rule", "reference"], name="accounts_break_by_identity"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["rule", "reference"],
                condition=models.Q(state=BreakState.OPEN.value),
                name="accounts_break_one_open",
            ),
            models.CheckConstraint(
                condition=models.Q(state__in=[state.value for state in BreakState]),
                name="accounts_break_state",
            ),
            models.CheckConstraint(
                condition=models.Q(
                    state=BreakState.OPEN.value, resolved_on__isnull=True, resolved_by="", note=""
                )
                | models.Q(state=BreakState.CLEARED.value, resolved_on__isnull=False)
                & ~models.Q(resolved_by="")
                | models.Q(state=BreakState.RESOLVED.value, resolved_on__isnull=False)
                & ~models.Q(resolved_by="")
                & ~models.Q(note=""),
                name="accounts_break_closed_by_somebody",
            ),
            models.CheckConstraint(
                condition=models.Q(last_seen_on__gte=models.F("first_seen_on")),
                name="accounts_break_seen_in_order",
            ),
        ]

    def __str__(self) -> str:
        return f"break {self.pk}"
