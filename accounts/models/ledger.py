"""The ledger's tables. Their rules are kept by the database itself: see the SQL in migrations.

Balances are moved by a trigger on ``Transfer`` alone; the application's role can't write them.
"""

from __future__ import annotations

from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models.functions import Now

from accounts.core.money import LARGEST_PENCE


class ChartLine(models.Model):
    """A kind of account, as in :mod:`accounts.core.chart`; written by migrations only."""

    kind = models.CharField(max_length=20, primary_key=True)
    book = models.SmallIntegerField()
    side = models.SmallIntegerField()
    owner = models.CharField(max_length=10)
    floored = models.BooleanField()
    stripes = models.SmallIntegerField()
    meaning = models.TextField()

    def __str__(self) -> str:
        return self.kind


class Account(models.Model):
    """A pot of money, or of claims, with a stored balance in pence.

    ``balance = side x (credits - debits)``. ``owner_id`` is a member's or a loan's id, 0 for the
    platform. Book, side and floor are set from the chart by a trigger when the row is inserted.
    A ``pooled`` account is one stripe of a kind that is floored as the sum of its stripes.
    """

    # Four bytes: two thousand million accounts are enough, and every transfer names two of them,
    # in its row and in its indexes.
    id = models.AutoField(primary_key=True)
    kind = models.ForeignKey(ChartLine, on_delete=models.PROTECT, db_column="kind")
    owner_id = models.BigIntegerField()
    stripe = models.SmallIntegerField(db_default=0)
    book = models.SmallIntegerField(db_default=0)
    side = models.SmallIntegerField(db_default=0)
    floor = models.BigIntegerField(null=True)
    pooled = models.BooleanField(db_default=False)
    balance = models.BigIntegerField(db_default=0)
    closed_on = models.DateField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "owner_id", "stripe"], name="accounts_account_one_of_a_kind"
            ),
            models.CheckConstraint(
                condition=models.Q(floor__isnull=True) | models.Q(balance__gte=models.F("floor")),
                name="accounts_account_no_overdraft",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind_id}:{self.owner_id}"


class Entry(models.Model):
    """What happened: one business event, with the transfers that it made."""

    kind = models.CharField(max_length=30)
    key = models.CharField(max_length=200, unique=True)
    digest = models.BinaryField(max_length=32)
    effective_on = models.DateField()
    recorded_at = models.DateTimeField(db_default=Now())
    actor = models.CharField(max_length=60)
    reference = models.CharField(max_length=60)
    reverses = models.OneToOneField(
        "self", on_delete=models.PROTECT, null=True, related_name="reversed_by"
    )

    def __str__(self) -> str:
        return f"{self.kind} {self.key}"


class Transfer(models.Model):
    """One amount from one account to another, balanced by its shape; never changed or deleted.

    A table partitioned by year of business date, made by SQL in a migration. No per-row foreign
    keys: the statement-level trigger checks entries, accounts and dates set-wise. Its two indexes
    by account are what statements read by (``docs/decisions/0007-transfers-by-account.md``);
    ``id`` is unique by its sequence, which nobody else may write, and needs no index of its own.
    """

    entry = models.ForeignKey(
        Entry, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False
    )
    book = models.SmallIntegerField()
    debit = models.ForeignKey(
        Account,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="debits",
    )
    credit = models.ForeignKey(
        Account,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="credits",
    )
    amount = models.BigIntegerField()
    effective_on = models.DateField()

    class Meta:
        indexes = [
            models.Index(fields=["debit", "effective_on", "id"], name="accounts_transfer_by_debit"),
            models.Index(
                fields=["credit", "effective_on", "id"], name="accounts_transfer_by_credit"
            ),
            BrinIndex(
                fields=["entry"],
                name="accounts_transfer_by_entry",
                pages_per_range=16,
                autosummarize=True,
            ),
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(amount__range=(1, LARGEST_PENCE))
                & ~models.Q(debit=models.F("credit")),
                name="accounts_transfer_moves_money",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.debit_id}->{self.credit_id}: {self.amount}"


class Operation(models.Model):
    """A use case that was carried out under an idempotency key, and the answer it gave.

    Scope is who asked (``member:7``) and which operation; the answer is kept for good.
    """

    scope = models.CharField(max_length=60)
    name = models.CharField(max_length=40)
    key = models.CharField(max_length=120)
    digest = models.BinaryField(max_length=32)
    answer = models.JSONField(null=True)
    recorded_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["scope", "name", "key"], name="accounts_operation_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.scope}/{self.name}/{self.key}"


class ClosedDay(models.Model):
    """A business date that was closed: nothing is booked on it or before it any more."""

    day = models.DateField(primary_key=True)
    actor = models.CharField(max_length=60)
    closed_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return self.day.isoformat()
