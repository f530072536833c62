"""What falls due and arrives, what happens to a loan, who gets what: see docs/servicing.md."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models

from marketplace.core.loan_events import (
    DefaultCause,
    DistributionKind,
    Excess,
    InstalmentKind,
    LoanEventKind,
    PaymentKind,
)
from marketplace.models.loan import Loan


class Instalment(models.Model):
    """What falls due on one day: principal by the contract, interest once the day has come.

    ``nominal_on`` is the due date before it is moved to a business day, which ``due_on`` is. The
    principal of a loan's rows sums to its amount, always. A row on which something is paid is not
    deleted; the rest may be written anew.

    On its day the loan's ``balance_months`` grows by ``balance * period_days + pence_days`` over
    ``month_days``: by the balance, unless the period is longer than its month, something was repaid
    before its time inside it, or a holiday's months are made good in it (``pence_days``).
    """

    loan = models.ForeignKey(
        Loan, on_delete=models.PROTECT, related_name="instalments", db_index=False
    )
    number = models.SmallIntegerField()
    kind = models.CharField(
        max_length=10,
        choices=[(k.value, k.value) for k in InstalmentKind],
        db_default=InstalmentKind.REGULAR.value,
    )
    nominal_on = models.DateField()
    due_on = models.DateField()
    period_days = models.SmallIntegerField()
    month_days = models.SmallIntegerField()
    pence_days = models.BigIntegerField(db_default=0)
    principal_due = models.BigIntegerField()
    interest_planned = models.BigIntegerField()
    interest_due = models.BigIntegerField(null=True)
    balance_months = models.BigIntegerField(null=True)
    principal_paid = models.BigIntegerField(db_default=0)
    interest_paid = models.BigIntegerField(db_default=0)

    class Meta:
        ordering = ["loan", "number"]
        indexes = [
            # What is still to fall due, and what has fallen due and is open: both small.
            models.Index(
                fields=["due_on"],
                condition=models.Q(interest_due__isnull=True),
                name="marketplace_inst_to_come",
            ),
            models.Index(
                fields=["loan", "due_on"],
                condition=models.Q(interest_due__isnull=False)
                & (
                    models.Q(interest_paid__lt=models.F("interest_due"))
                    | models.Q(principal_paid__lt=models.F("principal_due"))
                ),
                name="marketplace_inst_open",
            ),
        ]
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
            models.CheckConstraint(
                condition=models.Q(period_days__gte=0, month_days__gt=0),
                name="marketplace_instalment_period",
            ),
        ]

    def __str__(self) -> str:
        return f"instalment {self.number} of loan {self.loan_id}"


class Payment(models.Model):
    """What arrived from a borrower, and how much of it went where.

    ``number`` is its place in the loan's one list of payments and events. ``principal`` and
    ``interest`` are what it was allocated to, on ``allocated_on``; of them, ``to_fund_principal``
    and ``to_fund_interest`` went to the provision fund and ``cost_principal`` and
    ``cost_interest`` paid for its recovery, so the rest is the lenders'. ``returned`` is what went
    back to the borrower's cash. ``reference`` is the payer's or the bank's.
    """

    loan = models.ForeignKey(
        Loan, on_delete=models.PROTECT, related_name="received", db_index=False
    )
    number = models.SmallIntegerField()
    kind = models.CharField(max_length=10, choices=[(k.value, k.value) for k in PaymentKind])
    excess = models.CharField(
        max_length=8,
        choices=[(e.value, e.value) for e in Excess],
        db_default=Excess.KEEP.value,
    )
    amount = models.BigIntegerField()
    cost = models.BigIntegerField(db_default=0)
    reference = models.CharField(max_length=60, blank=True, db_default="")
    actor = models.CharField(max_length=60)
    received_on = models.DateField()
    recorded_on = models.DateField()
    clears_on = models.DateField()
    allocated_on = models.DateField(null=True)
    distributed_on = models.DateField(null=True)
    bounced_on = models.DateField(null=True)
    principal = models.BigIntegerField(db_default=0)
    interest = models.BigIntegerField(db_default=0)
    to_fund_principal = models.BigIntegerField(db_default=0)
    to_fund_interest = models.BigIntegerField(db_default=0)
    cost_principal = models.BigIntegerField(db_default=0)
    cost_interest = models.BigIntegerField(db_default=0)
    returned = models.BigIntegerField(db_default=0)

    class Meta:
        ordering = ["loan", "number"]
        indexes = [
            # What waits for something to fall due, or to clear: never more than some days'.
            models.Index(
                fields=["loan"],
                condition=models.Q(distributed_on__isnull=True, bounced_on__isnull=True),
                name="marketplace_payment_waiting",
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["loan", "number"], name="marketplace_payment_number_in_loan"
            ),
            models.CheckConstraint(
                condition=models.Q(
                    amount__gt=0,
                    principal__gte=0,
                    interest__gte=0,
                    to_fund_principal__gte=0,
                    to_fund_interest__gte=0,
                    cost_principal__gte=0,
                    cost_interest__gte=0,
                    returned__gte=0,
                    cost__gte=0,
                )
                & models.Q(
                    amount__gte=models.F("principal") + models.F("interest") + models.F("returned")
                )
                & models.Q(
                    principal__gte=models.F("to_fund_principal") + models.F("cost_principal")
                )
                & models.Q(interest__gte=models.F("to_fund_interest") + models.F("cost_interest")),
                name="marketplace_payment_amounts",
            ),
        ]

    def __str__(self) -> str:
        return f"payment {self.number} of loan {self.loan_id}"


class LoanEvent(models.Model):
    """Something that happened to a loan beside payments; only taking it back changes it, once.

    ``number`` is its place in the loan's one list of payments and events; ``payment`` the number
    of the payment that it comes with. ``effective_on`` is the day from which it counts,
    ``recorded_on`` the business date of its record. Money in pence; what a kind doesn't have is
    nothing.
    """

    loan = models.ForeignKey(
        Loan, on_delete=models.PROTECT, related_name="happened", db_index=False
    )
    number = models.SmallIntegerField()
    kind = models.CharField(max_length=20, choices=[(k.value, k.value) for k in LoanEventKind])
    effective_on = models.DateField()
    recorded_on = models.DateField()
    actor = models.CharField(max_length=60)
    reason = models.CharField(max_length=200, blank=True, db_default="")
    amount = models.BigIntegerField(db_default=0)
    interest = models.BigIntegerField(db_default=0)
    months = models.SmallIntegerField(db_default=0)
    day = models.SmallIntegerField(db_default=0)
    until = models.DateField(null=True)
    cause = models.CharField(
        max_length=10,
        blank=True,
        choices=[(c.value, c.value) for c in DefaultCause],
        db_default="",
    )
    payment = models.SmallIntegerField(null=True)
    voided_on = models.DateField(null=True)
    voided_by = models.CharField(max_length=60, blank=True, db_default="")

    class Meta:
        ordering = ["loan", "number"]
        constraints = [
            models.UniqueConstraint(
                fields=["loan", "number"], name="marketplace_loanevent_number_in_loan"
            ),
            models.CheckConstraint(
                condition=models.Q(amount__gte=0, interest__gte=0, months__gte=0)
                & models.Q(day__gte=0, day__lte=28)
                & (
                    models.Q(voided_on__isnull=True, voided_by="")
                    | (models.Q(voided_on__isnull=False) & ~models.Q(voided_by=""))
                ),
                name="marketplace_loanevent_sound",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of loan {self.loan_id}"


class Distribution(models.Model):
    """The running totals of a loan's parts after something was spread over them, packed.

    ``principal``, ``interest`` (gross) and ``fee`` have an element for each part, by its number;
    the ``*_total`` are their sums. What a distribution brought is the difference from the row
    before, so the latest row has what each part has received. Written once; the database checks
    that it follows on, and moves ``Loan.distributions``. ``topped_up_on`` is set once, when it was
    put on offer again.

    Rows come in bulk: in place of foreign keys, a statement-level trigger looks for the loans and
    payments set-wise.
    """

    loan = models.ForeignKey(
        Loan,
        on_delete=models.PROTECT,
        related_name="spread",
        db_index=False,
        db_constraint=False,
    )
    number = models.IntegerField()
    payment = models.ForeignKey(
        Payment,
        on_delete=models.PROTECT,
        null=True,
        db_index=False,
        db_constraint=False,
        related_name="+",
    )
    kind = models.CharField(max_length=10, choices=[(k.value, k.value) for k in DistributionKind])
    spread_on = models.DateField()
    topped_up_on = models.DateField(null=True)
    principal_total = models.BigIntegerField()
    interest_total = models.BigIntegerField()
    fee_total = models.BigIntegerField()
    principal = ArrayField(models.BigIntegerField())
    interest = ArrayField(models.BigIntegerField())
    fee = ArrayField(models.BigIntegerField())

    class Meta:
        ordering = ["loan", "number"]
        indexes = [
            # What lenders received and was not yet put on offer again: never more than some days'.
            models.Index(
                fields=["id"],
                condition=models.Q(topped_up_on__isnull=True),
                name="marketplace_dist_to_top_up",
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["loan", "number"], name="marketplace_distribution_number_in_loan"
            ),
            models.CheckConstraint(
                condition=models.Q(
                    principal_total__gte=0,
                    fee_total__gte=0,
                    fee_total__lte=models.F("interest_total"),
                )
                & (
                    models.Q(kind=DistributionKind.PAYMENT, payment__isnull=False)
                    | (~models.Q(kind=DistributionKind.PAYMENT) & models.Q(payment__isnull=True))
                ),
                name="marketplace_distribution_amounts",
            ),
        ]

    def __str__(self) -> str:
        return f"distribution {self.number} of loan {self.loan_id}"
