"""Late in a loan of small equal parts whole periods bear no interest: the audit knows them."""

from __future__ import annotations

import numpy as np

from marketplace.core.rates import monthly_rate_e12
from marketplace.core.schedule import contract_schedule
from marketplace.models import Instalment
from marketplace.selectors.audit import audit
from marketplace.services.falling_due import fall_due
from tests.marketplace.house import House, paid_out, pay_monthly
from tests.world import ACTOR

RATE = 70_000


def test_an_empty_period_behind_an_unpaid_one_is_no_fault(house: House) -> None:
    """A £10 part near its end owes a quarter of a penny a month: a penny, then nothing for months.

    The instalment before the first such month is missed. Its own interest is then the oldest
    unpaid, though the later period, with nothing due, counts as paid.
    """
    schedule = contract_schedule([1] * 100, [monthly_rate_e12(RATE)] * 100, 36)
    empty = int(np.flatnonzero(schedule.interest == 0)[0])
    assert schedule.interest[empty - 1] == 100
    made = paid_out(house, [(RATE, 1_000)] * 100)
    pay_monthly(made, empty - 1)
    # Instalment numbers count from 1: number `empty` is the one before the empty period.
    for number in (empty, empty + 1):
        due_on = Instalment.objects.get(loan=made.loan_id, number=number).due_on
        fall_due(on=due_on, actor=ACTOR)
    periods = Instalment.objects.filter(loan=made.loan_id, number__gte=empty).order_by("number")
    assert [period.interest_due for period in periods[:2]] == [100, 0]
    assert [finding.rule for finding in audit() if not finding.holds] == []
