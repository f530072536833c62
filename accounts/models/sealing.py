"""The chain over the journal, and the balances that statements start from. All append-only."""

from __future__ import annotations

from django.db import models

from accounts.models.ledger import Account, Entry


class Seal(models.Model):
    """One batch of entries that was numbered and chained at an instant.

    ``horizon`` is the transaction id below which every entry is sealed. ``sealed_at`` rises from
    seal to seal, so that "known at an instant" is "sealed by a seal of that instant or earlier".
    """

    last_number = models.BigIntegerField(unique=True)
    entries = models.BigIntegerField()
    transfers = models.BigIntegerField()
    horizon = models.BigIntegerField()
    hash = models.BinaryField(max_length=32)
    sealed_at = models.DateTimeField(unique=True)

    def __str__(self) -> str:
        return f"seal up to {self.last_number}"


class SealedEntry(models.Model):
    """An entry's place in the journal, and the hash of everything up to it."""

    number = models.BigIntegerField(primary_key=True)
    entry = models.OneToOneField(Entry, on_delete=models.PROTECT, related_name="sealed")
    hash = models.BinaryField(max_length=32)

    def __str__(self) -> str:
        return str(self.number)


class DayBalance(models.Model):
    """An account's balance in pence at the end of a business date, as known up to a number.

    A later row of the same date, with a higher number, knows more; none is ever changed.
    ``latest_on`` is the account's latest business date known by then.
    """

    pk = models.CompositePrimaryKey("account_id", "effective_on", "number")
    account = models.ForeignKey(
        Account, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False
    )
    effective_on = models.DateField()
    number = models.BigIntegerField()
    balance = models.BigIntegerField()
    latest_on = models.DateField()

    class Meta:
        indexes = [models.Index(fields=["account", "number"], name="accounts_daybalance_by_number")]

    def __str__(self) -> str:
        return f"{self.account_id} on {self.effective_on}"
