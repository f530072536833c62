"""What recoveries of a loan in default bring to lenders, the fund and costs, by arithmetic."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from marketplace.core.life import Contract, live
from marketplace.core.loan_events import DefaultCause, LoanEvent, LoanEventKind, PaymentEvent
from marketplace.core.provision_fund import pay_claims
from marketplace.core.rates import monthly_rate_e12

PAID_OUT, DIED = date(2016, 4, 1), date(2016, 5, 4)
AMOUNT, INTEREST = 100_000, 566  # £480 at 6.9 % and £520 at 7.1 %: 268p and 298p a month


def _contract() -> Contract:
    return Contract(
        amount=AMOUNT,
        paid_out_on=PAID_OUT,
        months=36,
        units=np.array([48, 52]),
        monthly_e12=np.array([monthly_rate_e12(69_000), monthly_rate_e12(71_000)]),
        part_id=np.array([1, 2]),
        fee_ppm=10_000,
    )


@given(
    proportion=st.integers(0, 1_000_000),
    recoveries=st.lists(st.tuples(st.integers(1, 60_000), st.integers(0, 4_000)), max_size=6),
)
def test_recoveries_are_shared_by_what_each_owns_and_nothing_is_lost(
    proportion: int, recoveries: list[tuple[int, int]]
) -> None:
    events = [LoanEvent(1, LoanEventKind.DEFAULT, DIED, cause=DefaultCause.DEATH)]
    paid = pay_claims([AMOUNT], [INTEREST], balance=10**9, proportion_ppm=proportion)
    owned = [int(paid.principal[0]), int(paid.interest[0])]
    number = 2
    if paid.total:
        events.append(
            LoanEvent(2, LoanEventKind.FUND_PAYMENT, DIED, amount=owned[0], interest=owned[1])
        )
        number = 3
    payments, left = [], AMOUNT + INTEREST
    for place, (wanted, cost) in enumerate(recoveries):
        amount = min(wanted, left)
        left -= amount
        if amount:
            day = DIED + timedelta(days=1 + place)
            payments.append(PaymentEvent(number, day, day, amount, cost=min(cost, amount)))
            number += 1
    on = DIED + timedelta(days=10)
    life = live(_contract(), payments, events, on, holidays=frozenset())

    remaining = [AMOUNT, INTEREST]
    for payment, outcome in zip(payments, life.payments, strict=True):
        interest = min(payment.amount, remaining[1])
        principal = payment.amount - interest
        assert (outcome.principal, outcome.interest) == (principal, interest)
        shares = [
            part * own // rest if rest else 0
            for part, own, rest in zip((principal, interest), owned, remaining, strict=True)
        ]
        cost_interest = payment.cost * interest // payment.amount
        costs = [payment.cost - cost_interest, cost_interest]
        net = [
            share - (cost * share // part if part else 0)
            for share, cost, part in zip(shares, costs, (principal, interest), strict=True)
        ]
        assert [outcome.to_fund_principal, outcome.to_fund_interest] == net
        assert [outcome.cost_principal, outcome.cost_interest] == costs
        owned = [own - share for own, share in zip(owned, shares, strict=True)]
        remaining = [remaining[0] - principal, remaining[1] - interest]
        assert all(0 <= own <= rest for own, rest in zip(owned, remaining, strict=True))
    assert [life.fund_principal, life.fund_interest] == owned
    # Lenders had what the fund paid, and of recoveries all that was neither the fund's nor a cost.
    to_fund = sum(each.to_fund_principal + each.to_fund_interest for each in life.payments)
    costs_in_all = sum(payment.cost for payment in payments)
    came = sum(payment.amount for payment in payments)
    lenders = int(life.principal.sum() + life.interest.sum())
    assert lenders == paid.total + came - to_fund - costs_in_all
