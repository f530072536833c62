"""Claims on the provision fund, what was decided of them, and what it gave to each."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Lower, Now
from django.db.models.lookups import Exact

from marketplace.core.provision_fund import PPM, ClaimState
from marketplace.models.loan import Loan

# In capitals or not, it is the same person.
_BY_THE_SAME = Exact(Lower("second"), Lower("decided_by"))


class FundClaim(models.Model):
    """What a covered loan in default owes its lenders, proposed to the fund; one a loan.

    ``principal`` and ``interest`` are pence as of the proposal; what is unpaid now follows from the
    loan. ``state`` is the one column that changes.
    """

    loan = models.OneToOneField(Loan, on_delete=models.PROTECT, related_name="fund_claim")
    claimed_on = models.DateField()
    recorded_at = models.DateTimeField(db_default=Now())
    actor = models.CharField(max_length=60)
    principal = models.BigIntegerField()
    interest = models.BigIntegerField()
    state = models.CharField(
        max_length=12,
        choices=[(s.value, s.value) for s in ClaimState],
        db_default=ClaimState.PROPOSED.value,
    )

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(principal__gte=0, interest__gte=0)
                & (models.Q(principal__gt=0) | models.Q(interest__gt=0)),
                name="marketplace_fundclaim_amounts",
            ),
            models.CheckConstraint(
                condition=models.Q(state__in=[s.value for s in ClaimState]),
                name="marketplace_fundclaim_state",
            ),
        ]

    def __str__(self) -> str:
        return f"claim of loan {self.loan_id} on the fund"


class FundDecision(models.Model):
    """What somebody decided that the fund pays of some claims; never changed afterwards.

    ``proportion`` is ppm of what was unpaid of each of ``claims`` claims, ``claimed`` pence in all;
    ``paid`` pence were paid of ``balance_before``. ``decided_by`` and ``second`` are references to
    people without personal data; ``second`` is empty where one person decided.
    """

    decided_on = models.DateField()
    recorded_at = models.DateTimeField(db_default=Now())
    proportion = models.IntegerField()
    claims = models.IntegerField()
    claimed = models.BigIntegerField()
    paid = models.BigIntegerField()
    balance_before = models.BigIntegerField()
    decided_by = models.CharField(max_length=60)
    second = models.CharField(max_length=60, blank=True, db_default="")
    reason = models.CharField(max_length=200)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(proportion__range=(0, PPM), claims__gt=0, claimed__gt=0)
                & models.Q(paid__gte=0, paid__lte=models.F("claimed"))
                & models.Q(paid__lte=models.F("balance_before")),
                name="marketplace_funddecision_amounts",
            ),
            models.CheckConstraint(
                condition=~models.Q(reason="") & ~models.Q(decided_by=""),
                name="marketplace_funddecision_has_a_reason",
            ),
            models.CheckConstraint(
                condition=models.Q(second="") | ~models.Q(_BY_THE_SAME),
                name="marketplace_funddecision_second_person",
            ),
        ]

    def __str__(self) -> str:
        return f"decision {self.pk} of {self.decided_on}"


class FundAward(models.Model):
    """What a decision gave to a claim, in pence; never changed afterwards.

    ``number`` is that of the loan's event by which it was paid, none where nothing was.
    """

    decision = models.ForeignKey(FundDecision, on_delete=models.PROTECT, related_name="awards")
    claim = models.ForeignKey(FundClaim, on_delete=models.PROTECT, related_name="awards")
    number = models.SmallIntegerField(null=True)
    principal = models.BigIntegerField()
    interest = models.BigIntegerField()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["decision", "claim"], name="marketplace_fundaward_once"
            ),
            models.UniqueConstraint(
                fields=["claim", "number"], name="marketplace_fundaward_one_event"
            ),
            models.CheckConstraint(
                condition=models.Q(principal__gte=0, interest__gte=0)
                & (
                    models.Q(number__isnull=True, principal=0, interest=0)
                    | (
                        models.Q(number__isnull=False)
                        & (models.Q(principal__gt=0) | models.Q(interest__gt=0))
                    )
                ),
                name="marketplace_fundaward_amounts",
            ),
        ]

    def __str__(self) -> str:
        return f"decision {self.decision_id} of claim {self.claim_id}"
