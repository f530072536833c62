"""Bank files, what was in them, and payments out.

Names, texts and account numbers of people stay in these tables, out of the ledger. The entry of a
line, an item or a payment is found by its key: ``bank-line/12``, ``suspense-assigned/12``,
``withdrawal_sent/payment/7``.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from enum import StrEnum

from django.db import models
from django.db.models.functions import Now

from accounts.core.bank_booking import OF_A_BANK_LINE
from accounts.core.bank_states import (
    CURRENT_DETAILS,
    UNDER_WAY,
    DetailsState,
    FileFormat,
    FileState,
    LineOutcome,
    OurAccount,
    PaymentKind,
    PaymentState,
    SuspenseState,
)
from accounts.models.member import Member


def _one_of(field: str, values: Iterable[StrEnum], name: str) -> models.CheckConstraint:
    return models.CheckConstraint(
        condition=models.Q(**{f"{field}__in": [value.value for value in values]}), name=name
    )


class BankFile(models.Model):
    """A file as it came, kept for a person to look at, also when it was refused."""

    sha256 = models.BinaryField(max_length=32, unique=True)
    name = models.CharField(max_length=200)
    format = models.CharField(max_length=10)
    content = models.BinaryField()
    received_on = models.DateField()
    actor = models.CharField(max_length=60)
    state = models.CharField(max_length=10)
    refusal_code = models.CharField(max_length=40, blank=True, default="")
    refusal_message = models.TextField(blank=True, default="")
    refusal_where = models.CharField(max_length=200, blank=True, default="")
    recorded_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            _one_of("format", FileFormat, "accounts_bankfile_format"),
            _one_of("state", FileState, "accounts_bankfile_state"),
            models.CheckConstraint(
                condition=models.Q(state=FileState.REFUSED.value) ^ models.Q(refusal_code=""),
                name="accounts_bankfile_refused_with_a_code",
            ),
        ]

    def __str__(self) -> str:
        return f"file {self.pk}"


class BankStatement(models.Model):
    """A statement that was booked; balances in signed pence."""

    file = models.ForeignKey(BankFile, on_delete=models.PROTECT, related_name="statements")
    account = models.CharField(max_length=10)
    statement_id = models.CharField(max_length=35)
    sequence = models.BigIntegerField(null=True)
    opening = models.BigIntegerField()
    opened_on = models.DateField()
    closing = models.BigIntegerField()
    closed_on = models.DateField()
    digest = models.BinaryField(max_length=32)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["account", "statement_id"], name="accounts_bankstatement_once"
            ),
            _one_of("account", OurAccount, "accounts_bankstatement_account"),
        ]

    def __str__(self) -> str:
        return f"{self.account} {self.statement_id}"


class BankLine(models.Model):
    """A line that was booked, in signed pence, and what it turned out to be.

    ``lasting_reference`` is the reference where it is one of the account's life. ``booked_on`` is
    the bank's date, ``effective_on`` ours: a later one where the bank's was closed already.
    """

    statement = models.ForeignKey(BankStatement, on_delete=models.PROTECT, related_name="lines")
    account = models.CharField(max_length=10)
    reference = models.CharField(max_length=60)
    lasting_reference = models.CharField(max_length=60, null=True)  # noqa: DJ001 - not compared
    booked_on = models.DateField()
    effective_on = models.DateField()
    amount = models.BigIntegerField()
    reversal = models.BooleanField()
    end_to_end_id = models.CharField(max_length=35, null=True)  # noqa: DJ001 - not provided
    return_reason = models.CharField(max_length=35, null=True)  # noqa: DJ001 - not a return
    remittance = models.TextField()
    counterparty = models.CharField(max_length=140)
    counterparty_account = models.CharField(max_length=35)
    outcome = models.CharField(max_length=20)
    member_id = models.BigIntegerField(null=True)
    payment = models.ForeignKey("OutgoingPayment", on_delete=models.PROTECT, null=True)
    reverses = models.OneToOneField(
        "self", on_delete=models.PROTECT, null=True, related_name="reversed_by"
    )

    class Meta:
        indexes = [
            models.Index(fields=["account", "amount"], name="accounts_bankline_by_amount"),
            models.Index(fields=["outcome", "id"], name="accounts_bankline_by_outcome"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["statement", "reference"], name="accounts_bankline_once_in_statement"
            ),
            models.UniqueConstraint(
                fields=["account", "lasting_reference"], name="accounts_bankline_once_in_account"
            ),
            models.CheckConstraint(
                condition=~models.Q(amount=0), name="accounts_bankline_moves_money"
            ),
            _one_of("account", OurAccount, "accounts_bankline_account"),
            _one_of("outcome", LineOutcome, "accounts_bankline_outcome"),
        ]

    def __str__(self) -> str:
        return f"line {self.pk}"

    @property
    def entry_key(self) -> str:
        """Key of the ledger's entry that books this line."""
        return f"{OF_A_BANK_LINE}{self.pk}"


class SuspenseItem(models.Model):
    """Money that arrived and is nobody's yet; its line says how much came from whom."""

    line = models.OneToOneField(
        BankLine, on_delete=models.PROTECT, primary_key=True, related_name="item"
    )
    amount = models.BigIntegerField()
    state = models.CharField(max_length=10)
    member = models.ForeignKey(Member, on_delete=models.PROTECT, null=True)
    actor = models.CharField(max_length=60)
    arrived_on = models.DateField()
    changed_on = models.DateField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(amount__gt=0), name="accounts_suspenseitem_amount_above_zero"
            ),
            _one_of("state", SuspenseState, "accounts_suspenseitem_state"),
            models.CheckConstraint(
                condition=models.Q(state=SuspenseState.ASSIGNED.value)
                ^ models.Q(member__isnull=True),
                name="accounts_suspenseitem_assigned_to_a_member",
            ),
        ]

    def __str__(self) -> str:
        return f"suspense {self.pk}"


class BankDetails(models.Model):
    """Where a member's withdrawals go; one of them is current."""

    member = models.ForeignKey(Member, on_delete=models.PROTECT, related_name="bank_details")
    holder = models.CharField(max_length=140)
    identification = models.CharField(max_length=34)
    state = models.CharField(max_length=10)
    registered_on = models.DateField()
    verified_on = models.DateField(null=True)
    verified_by = models.CharField(max_length=60, blank=True, default="")
    usable_from = models.DateField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["member"],
                condition=models.Q(state__in=[state.value for state in CURRENT_DETAILS]),
                name="accounts_bankdetails_one_current",
            ),
            _one_of("state", DetailsState, "accounts_bankdetails_state"),
            models.CheckConstraint(
                condition=~models.Q(state=DetailsState.VERIFIED.value)
                | models.Q(verified_on__isnull=False, usable_from__gte=models.F("verified_on")),
                name="accounts_bankdetails_verified_on_a_day",
            ),
        ]

    def __str__(self) -> str:
        return f"bank details {self.pk}"


class PaymentFileStored(models.Model):
    """A file of payment orders as it was given to the bank; never changed."""

    message_id = models.CharField(max_length=35, unique=True)
    content = models.BinaryField()
    count = models.IntegerField()
    total = models.BigIntegerField()
    requested_on = models.DateField()
    actor = models.CharField(max_length=60)
    recorded_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(count__gt=0, total__gt=0), name="accounts_paymentfile_pays"
            ),
        ]

    def __str__(self) -> str:
        return self.message_id


class OutgoingPayment(models.Model):
    """A payment out of client money, to whom it was when it was asked for; pence."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    kind = models.CharField(max_length=10)
    member = models.ForeignKey(
        Member, on_delete=models.PROTECT, null=True, related_name="outgoing_payments"
    )
    item = models.ForeignKey(
        SuspenseItem, on_delete=models.PROTECT, null=True, related_name="payments"
    )
    amount = models.BigIntegerField()
    holder = models.CharField(max_length=140)
    identification = models.CharField(max_length=34)
    end_to_end_id = models.CharField(max_length=35, unique=True)
    state = models.CharField(max_length=10)
    file = models.ForeignKey(
        PaymentFileStored, on_delete=models.PROTECT, null=True, related_name="payments"
    )
    requested_on = models.DateField()
    actor = models.CharField(max_length=60)

    class Meta:
        indexes = [models.Index(fields=["state", "id"], name="accounts_outgoing_by_state")]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(amount__gt=0), name="accounts_outgoing_amount_above_zero"
            ),
            _one_of("kind", PaymentKind, "accounts_outgoing_kind"),
            _one_of("state", PaymentState, "accounts_outgoing_state"),
            models.CheckConstraint(
                condition=models.Q(kind=PaymentKind.WITHDRAWAL.value, item__isnull=True)
                & models.Q(member__isnull=False)
                | models.Q(kind=PaymentKind.RETURN.value, item__isnull=False)
                & models.Q(member__isnull=True)
                | models.Q(kind=PaymentKind.SWEEP.value, item__isnull=True, member__isnull=True),
                name="accounts_outgoing_of_its_kind",
            ),
            models.CheckConstraint(
                condition=models.Q(
                    state__in=[PaymentState.REQUESTED.value, PaymentState.CANCELLED.value]
                )
                ^ models.Q(file__isnull=False),
                name="accounts_outgoing_sent_in_a_file",
            ),
            models.UniqueConstraint(
                fields=["kind"],
                condition=models.Q(
                    kind=PaymentKind.SWEEP.value, state__in=[state.value for state in UNDER_WAY]
                ),
                name="accounts_outgoing_one_sweep",
            ),
            models.UniqueConstraint(
                fields=["item"],
                condition=models.Q(state__in=[state.value for state in UNDER_WAY]),
                name="accounts_outgoing_one_return",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"
