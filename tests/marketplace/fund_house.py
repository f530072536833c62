"""A provision fund with money in it, and covered loans that go bad, for its tests."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from marketplace.core.loan_events import DefaultCause
from marketplace.models import FundClaim, Loan
from marketplace.selectors.provision_fund import fund_balance
from marketplace.services.defaulting import declare_default
from marketplace.services.falling_due import fall_due
from marketplace.services.paying_out import pay_out
from marketplace.services.provision_fund import propose_claims
from tests.marketplace.house import DESIGN_PARTS, Funded, House, funded, key
from tests.world import ACTOR, DAY, FIRST_DUE

# The day after the first instalment fell due, unpaid.
DIED = date(2016, 5, 4)


def covered(
    house: House,
    parts: Sequence[tuple[int, int]] = DESIGN_PARTS,
    *,
    contribution: int = 0,
    expected_loss: int = 20_000,
    paid: bool = True,
) -> Funded:
    """A covered loan, accepted and, unless told otherwise, paid out; its contribution is its fee.

    The tests' rate table covers no market, so the loan is told before it is paid out.
    """
    made = funded(house, parts)
    Loan.objects.filter(pk=made.loan_id).update(
        covered=True,
        contribution=contribution,
        arrangement_fee=contribution,
        expected_loss=expected_loss,
        accepted_on=DAY,
    )
    if paid:
        pay_out(loan_ids=[made.loan_id], on=DAY, actor=ACTOR, key=key())
    return made


def feed(house: House, pence: int) -> Funded:
    """Put so much into the fund: the contribution of a loan of a pound a penny more, and more."""
    amount = max(100_000, -(-pence // 1_000) * 1_000 + 1_000)
    made = covered(house, [(70_000, amount)], contribution=pence, expected_loss=0)
    assert fund_balance() >= pence
    return made


def declared_dead(made: Funded, on: date = DIED) -> None:
    """The borrower dies after the first instalment fell due, and the loan is in default."""
    fall_due(on=FIRST_DUE, actor=ACTOR)
    declare_default(
        loan_id=made.loan_id,
        cause=DefaultCause.DEATH,
        on=on,
        actor=ACTOR,
        key=key(),
        reason="a death certificate",
    )


def dies(made: Funded, on: date = DIED) -> int:
    """The same of a covered loan; the claim on the fund."""
    declared_dead(made, on)
    propose_claims(on=on, actor=ACTOR, key=key())
    return FundClaim.objects.get(loan=made.loan_id).pk
