"""Loans, the parts that lenders hold in them, and the instalments that fall due."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models

from marketplace.core.standing import Pricing
from marketplace.core.states import LoanState
from marketplace.models.borrowing import Application, Listing
from marketplace.models.market import Cycle, Market
from marketplace.models.offers import Offer
from risk.models import Assessment


class Loan(models.Model):
    """A funded loan.

    ``rate`` is the blend shown, annual effective ppm.
    ``balance_months`` is the sum of the principal outstanding at each due date so far, in
    pence-months: the one figure from which every part's interest is known. ``contribution`` is
    the provision fund's part of the arrangement fee, nothing where the fund doesn't cover.
    """

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    application = models.OneToOneField(Application, on_delete=models.PROTECT)
    listing = models.OneToOneField(Listing, on_delete=models.PROTECT)
    assessment = models.ForeignKey(Assessment, on_delete=models.PROTECT)
    borrower = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="loans"
    )
    market = models.ForeignKey(Market, on_delete=models.PROTECT, related_name="loans")
    cycle = models.ForeignKey(Cycle, on_delete=models.PROTECT, related_name="loans")
    amount = models.BigIntegerField()
    term_months = models.SmallIntegerField()
    rate = models.IntegerField()
    instalment = models.BigIntegerField()
    arrangement_fee = models.BigIntegerField()
    contribution = models.BigIntegerField()
    servicing_fee = models.IntegerField()
    expected_loss = models.IntegerField()
    state = models.CharField(
        max_length=12, choices=[(s.value, s.value) for s in LoanState], default=LoanState.FUNDED
    )
    funded_on = models.DateField()
    paid_out_on = models.DateField(null=True)
    closed_on = models.DateField(null=True)
    defaulted_on = models.DateField(null=True)
    payments = models.SmallIntegerField(default=0)
    balance_months = models.BigIntegerField(default=0)
    principal_paid = models.BigIntegerField(default=0)
    interest_paid = models.BigIntegerField(default=0)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(
                    principal_paid__gte=0,
                    principal_paid__lte=models.F("amount"),
                    interest_paid__gte=0,
                ),
                name="marketplace_loan_paid_within_owed",
            ),
            models.CheckConstraint(
                condition=models.Q(
                    contribution__gte=0,
                    contribution__lte=models.F("arrangement_fee"),
                    arrangement_fee__lt=models.F("amount"),
                ),
                name="marketplace_loan_contribution_within_fee",
            ),
        ]

    def __str__(self) -> str:
        return f"loan {self.pk}"

    @property
    def outstanding(self) -> int:
        """Principal not yet repaid, in pence."""
        return self.amount - self.principal_paid


class LoanMove(models.Model):
    """One change of a loan's state, and why; never changed afterwards."""

    loan = models.ForeignKey(Loan, on_delete=models.PROTECT, related_name="moves")
    state_before = models.CharField(max_length=12)
    state_after = models.CharField(max_length=12)
    moved_on = models.DateField()
    reason = models.CharField(max_length=200)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.loan_id}: {self.state_before} -> {self.state_after}"


class Part(models.Model):
    """One lender's fraction of one loan, in steps of ten pounds.

    ``rate`` is what the lender asked (annual effective ppm) and is paid; ``pricing`` is how it came
    about; ``limit`` the exposure limit per borrower (pence) that counted; ``expected_return`` what
    they were told to expect when they were matched (annual effective ppm, after fee and losses).
    Running totals are pence received so far.

    Parts are written in bulk, so instead of a foreign key's check for each row a statement-level
    trigger checks set-wise that loans and offers exist, and that the offer is the lender's.
    """

    # The constraint of loan and number begins with the loan, so it needs no index of its own.
    loan = models.ForeignKey(
        Loan,
        on_delete=models.PROTECT,
        related_name="parts",
        db_index=False,
        db_constraint=False,
    )
    number = models.IntegerField()
    lender = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="parts",
        db_constraint=False,
    )
    offer = models.ForeignKey(
        Offer, on_delete=models.PROTECT, related_name="parts", db_constraint=False
    )
    size = models.BigIntegerField()
    rate = models.IntegerField()
    pricing = models.SmallIntegerField(choices=[(p.value, p.name.lower()) for p in Pricing])
    limit = models.BigIntegerField()
    monthly_rate = models.BigIntegerField()
    expected_return = models.IntegerField()
    principal_received = models.BigIntegerField(db_default=0)
    interest_received = models.BigIntegerField(db_default=0)
    fee_paid = models.BigIntegerField(db_default=0)

    class Meta:
        ordering = ["loan", "number"]
        constraints = [
            models.UniqueConstraint(
                fields=["loan", "number"], name="marketplace_part_number_in_loan"
            ),
            models.CheckConstraint(
                condition=models.Q(
                    size__gt=0,
                    principal_received__gte=0,
                    principal_received__lte=models.F("size"),
                    fee_paid__gte=0,
                    fee_paid__lte=models.F("interest_received"),
                ),
                name="marketplace_part_received_within_due",
            ),
        ]

    def __str__(self) -> str:
        return f"part {self.number} of loan {self.loan_id}"


class Instalment(models.Model):
    """What falls due on one day: principal by the contract, interest once the day has come."""

    loan = models.ForeignKey(
        Loan, on_delete=models.PROTECT, related_name="instalments", db_index=False
    )
    number = models.SmallIntegerField()
    due_on = models.DateField()
    principal_due = models.BigIntegerField()
    interest_planned = models.BigIntegerField()
    interest_due = models.BigIntegerField(null=True)
    balance_months = models.BigIntegerField(null=True)
    principal_paid = models.BigIntegerField(db_default=0)
    interest_paid = models.BigIntegerField(db_default=0)

    class Meta:
        ordering = ["loan", "number"]
        indexes = [models.Index(fields=["due_on"], name="marketplace_inst_due_on")]
        constraints = [
            models.UniqueConstraint(
                fields=["loan", "number"], name="marketplace_instalment_number_in_loan"
            ),
            models.CheckConstraint(
                condition=models.Q(
                    principal_paid__gte=0,
                    principal_paid__lte=models.F("principal_due"),
                    interest_paid__gte=0,
                )
                & (
                    models.Q(interest_due__isnull=True, interest_paid=0)
                    | models.Q(
                        interest_due__isnull=False, interest_paid__lte=models.F("interest_due")
                    )
                ),
                name="marketplace_instalment_paid_within_due",
            ),
        ]

    def __str__(self) -> str:
        return f"instalment {self.number} of loan {self.loan_id}"


class Payment(models.Model):
    """What arrived from a borrower, and how much of it went where once it had cleared."""

    loan = models.ForeignKey(
        Loan, on_delete=models.PROTECT, related_name="received", db_index=False
    )
    number = models.SmallIntegerField()
    amount = models.BigIntegerField()
    received_on = models.DateField()
    clears_on = models.DateField()
    distributed_on = models.DateField(null=True)
    topped_up_on = models.DateField(null=True)
    principal = models.BigIntegerField(db_default=0)
    interest = models.BigIntegerField(db_default=0)

    class Meta:
        ordering = ["loan", "number"]
        indexes = [
            # What lenders received and was not yet put on offer again: never more than some days'.
            models.Index(
                fields=["id"],
                condition=models.Q(distributed_on__isnull=False, topped_up_on__isnull=True),
                name="marketplace_pay_to_top_up",
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["loan", "number"], name="marketplace_payment_number_in_loan"
            ),
            models.CheckConstraint(
                condition=models.Q(amount__gt=0, principal__gte=0, interest__gte=0)
                & models.Q(amount__gte=models.F("principal") + models.F("interest")),
                name="marketplace_payment_amounts",
            ),
        ]

    def __str__(self) -> str:
        return f"payment {self.number} of loan {self.loan_id}"


class Distribution(models.Model):
    """One part's share of one payment, in pence; written once, summed up by the database.

    No per-row foreign keys: a statement-level trigger checks payments and parts set-wise. The key
    begins with the payment, so rows arrive in its order; a part's history is found through the
    payments of its loan.
    """

    pk = models.CompositePrimaryKey("payment_id", "part_id")
    payment = models.ForeignKey(
        Payment, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    part = models.ForeignKey(
        Part,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="distributions",
    )
    principal = models.BigIntegerField()
    interest = models.BigIntegerField()
    fee = models.BigIntegerField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(
                    principal__gte=0, interest__gte=0, fee__gte=0, fee__lte=models.F("interest")
                ),
                name="marketplace_distribution_amounts",
            ),
        ]

    def __str__(self) -> str:
        return f"payment {self.payment_id} to part {self.part_id}"
