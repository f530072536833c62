"""Direct debits: who allowed them, which were asked for, and the files given to the bank.

The entry that takes a collection in is of the loan's payment whose reference is the collection's
end-to-end id (``payment/12/3`` for loan 12); those of the bank's lines are found by the line
(``bank-line/7``).
"""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from accounts.core.collecting import LONGEST_REASON, CollectionState
from accounts.models.banking import BankDetails, BankLine
from accounts.models.member import Member

_UNTAKEN = (CollectionState.ASKED, CollectionState.SENT, CollectionState.CANCELLED)
_TAKEN = (CollectionState.COLLECTED, CollectionState.BOUNCED)


class Mandate(models.Model):
    """A member's leave to collect from one bank account; another account needs another mandate."""

    member = models.ForeignKey(Member, on_delete=models.PROTECT, related_name="mandates")
    details = models.ForeignKey(BankDetails, on_delete=models.PROTECT, related_name="mandates")
    reference = models.CharField(max_length=35, unique=True)
    signed_on = models.DateField()
    cancelled_on = models.DateField(null=True)
    last_changed = models.DateField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["member"],
                condition=models.Q(cancelled_on__isnull=True),
                name="accounts_mandate_one_current",
            ),
            models.CheckConstraint(
                condition=models.Q(cancelled_on__isnull=True)
                | models.Q(
                    cancelled_on__gte=models.F("signed_on"),
                    last_changed__gte=models.F("cancelled_on"),
                ),
                name="accounts_mandate_signed_first",
            ),
        ]

    def __str__(self) -> str:
        return self.reference


class CollectionFileStored(models.Model):
    """A file of direct debits as it was given to the bank; never changed."""

    message_id = models.CharField(max_length=35, unique=True)
    content = models.BinaryField()
    digest = models.BinaryField(max_length=32)
    count = models.IntegerField()
    total = models.BigIntegerField()
    made_on = models.DateField()
    actor = models.CharField(max_length=60)
    recorded_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(count__gt=0, total__gt=0),
                name="accounts_collectionfile_collects",
            ),
        ]

    def __str__(self) -> str:
        return self.message_id


class Collection(models.Model):
    """One direct debit, or other money that is taken in before the bank's line says so; pence.

    ``subject`` names what it pays, as a reference (``loan:12``), ``due_on`` which of its due dates,
    ``attempt`` the how-many-eth try of that. ``taken_on`` is the day from which it counted as
    collected. ``credited_line`` is the bank's line that brought it, alone or with its batch, and
    ``returned_line`` the one that took it back: both stand beside the state, since a statement may
    come before or after what it tells. Without a mandate it is in no file.

    One that ``is_recorded`` was not asked for here: somebody took in money that arrived.

    ``rest`` is what its subject could not take, since a file is made days before: that became the
    member's cash on ``rest_on``, and was taken back on ``rest_back_on`` if it came back.
    """

    end_to_end_id = models.CharField(max_length=35, unique=True)
    member = models.ForeignKey(Member, on_delete=models.PROTECT, related_name="collections")
    mandate = models.ForeignKey(
        Mandate, on_delete=models.PROTECT, null=True, related_name="collections"
    )
    amount = models.BigIntegerField()
    subject = models.CharField(max_length=60)
    due_on = models.DateField()
    attempt = models.SmallIntegerField()
    collect_on = models.DateField()
    state = models.CharField(max_length=10)
    reason = models.CharField(max_length=LONGEST_REASON, blank=True, db_default="")
    taken_on = models.DateField(null=True)
    rest = models.BigIntegerField(db_default=0)
    rest_on = models.DateField(null=True)
    rest_back_on = models.DateField(null=True)
    file = models.ForeignKey(
        CollectionFileStored, on_delete=models.PROTECT, null=True, related_name="collections"
    )
    batch = models.CharField(max_length=35, blank=True, db_default="")
    credited_line = models.ForeignKey(
        BankLine, on_delete=models.PROTECT, null=True, related_name="credits"
    )
    returned_line = models.OneToOneField(
        BankLine, on_delete=models.PROTECT, null=True, related_name="returns"
    )
    is_recorded = models.BooleanField(db_default=False)
    asked_on = models.DateField()
    actor = models.CharField(max_length=60)

    class Meta:
        indexes = [
            models.Index(fields=["state", "collect_on"], name="accounts_collection_by_state"),
            models.Index(
                fields=["batch"],
                condition=~models.Q(batch=""),
                name="accounts_collection_by_batch",
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["subject", "due_on", "attempt"], name="accounts_collection_asked_once"
            ),
            models.CheckConstraint(
                condition=models.Q(amount__gt=0, attempt__gt=0),
                name="accounts_collection_amount_above_zero",
            ),
            models.CheckConstraint(
                condition=models.Q(state__in=[state.value for state in CollectionState]),
                name="accounts_collection_state",
            ),
            models.CheckConstraint(
                condition=models.Q(file__isnull=True, batch="")
                | models.Q(file__isnull=False, mandate__isnull=False) & ~models.Q(batch=""),
                name="accounts_collection_sent_by_mandate",
            ),
            models.CheckConstraint(
                condition=~models.Q(state=CollectionState.ASKED.value)
                & ~models.Q(state=CollectionState.SENT.value)
                | models.Q(state=CollectionState.ASKED.value, file__isnull=True)
                | models.Q(state=CollectionState.SENT.value, file__isnull=False),
                name="accounts_collection_sent_in_a_file",
            ),
            models.CheckConstraint(
                condition=models.Q(state=CollectionState.UNPAID.value)
                | models.Q(state__in=[state.value for state in _UNTAKEN], taken_on__isnull=True)
                | models.Q(state__in=[state.value for state in _TAKEN], taken_on__isnull=False),
                name="accounts_collection_taken_in",
            ),
            models.CheckConstraint(
                condition=models.Q(rest=0, rest_on__isnull=True)
                | models.Q(rest__gt=0, rest__lte=models.F("amount"), taken_on__isnull=False),
                name="accounts_collection_rest_of_taken",
            ),
            models.CheckConstraint(
                condition=models.Q(rest_back_on__isnull=True)
                | models.Q(rest_back_on__gte=models.F("rest_on")),
                name="accounts_collection_rest_back_later",
            ),
            models.CheckConstraint(
                condition=models.Q(returned_line__isnull=True)
                | models.Q(credited_line__isnull=False),
                name="accounts_collection_credited_before_returned",
            ),
        ]

    def __str__(self) -> str:
        return self.end_to_end_id
