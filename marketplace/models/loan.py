"""Loans, their states, and the parts that lenders hold in them."""

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
    the provision fund's part of the arrangement fee, nothing where the fund doesn't cover;
    ``covered`` says whether it does.

    ``principal_paid`` and ``interest_paid`` are what payments were allocated to, cleared or not:
    the borrower's side. ``events`` is the last number that a payment or an event of the loan has,
    ``distributions`` that of its last distribution. ``fund_principal`` and ``fund_interest`` are
    the claim that the provision fund still owns, pence.
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
    covered = models.BooleanField(default=False)
    state = models.CharField(
        max_length=12, choices=[(s.value, s.value) for s in LoanState], default=LoanState.FUNDED
    )
    funded_on = models.DateField()
    accepted_on = models.DateField(null=True)
    paid_out_on = models.DateField(null=True)
    closed_on = models.DateField(null=True)
    defaulted_on = models.DateField(null=True)
    written_off_on = models.DateField(null=True)
    events = models.SmallIntegerField(default=0)
    distributions = models.IntegerField(default=0)
    balance_months = models.BigIntegerField(default=0)
    principal_paid = models.BigIntegerField(default=0)
    interest_paid = models.BigIntegerField(default=0)
    fund_principal = models.BigIntegerField(default=0)
    fund_interest = models.BigIntegerField(default=0)

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
                    fund_principal__gte=0,
                    fund_principal__lte=models.F("amount"),
                    fund_interest__gte=0,
                ),
                name="marketplace_loan_fund_owns_within_owed",
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
    """One change of a loan's state, and why; never changed afterwards.

    ``moved_on`` is the day from which it counts, ``recorded_on`` the business date of its record.
    """

    loan = models.ForeignKey(Loan, on_delete=models.PROTECT, related_name="moves")
    state_before = models.CharField(max_length=12)
    state_after = models.CharField(max_length=12)
    moved_on = models.DateField()
    recorded_on = models.DateField()
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
    What a part has received is in its loan's latest distribution.

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

    class Meta:
        ordering = ["loan", "number"]
        constraints = [
            models.UniqueConstraint(
                fields=["loan", "number"], name="marketplace_part_number_in_loan"
            ),
            models.CheckConstraint(
                condition=models.Q(size__gt=0), name="marketplace_part_has_a_size"
            ),
        ]

    def __str__(self) -> str:
        return f"part {self.number} of loan {self.loan_id}"
