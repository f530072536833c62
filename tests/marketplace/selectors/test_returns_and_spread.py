"""What lenders earned, how money is spread, and what is to be collected, on cases for the hand."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from accounts.selectors.ledger import member_balances
from marketplace.models import Distribution, Part, Payment
from marketplace.selectors.collecting import collectable
from marketplace.selectors.packed import fetch_packed, packed_runs
from marketplace.selectors.returns import band_names, returns_by_band, returns_by_lender
from marketplace.selectors.spread import idle, loans_by_state, spread
from marketplace.services.ageing import age_loans
from marketplace.services.falling_due import fall_due
from marketplace.services.payments import distribute_cleared
from tests.marketplace.house import House, paid_out, pay, pay_monthly
from tests.world import ACTOR, CLEARED, DAY, FIRST_DUE


def test_a_lender_who_is_repaid_at_once_earns_by_the_days(house: House) -> None:
    """£1,000 out on 1 April, everything back on one day: (back / out) ^ (365 / days) - 1.

    Nothing was paid before, so the loan was in default from 3 September 2016 on: interest fell due
    five times, .56541 % of £1,000 each: £28.27.
    """
    made = paid_out(house, [(70_000, 100_000)])
    last = date(2019, 4, 1)
    fall_due(on=last, actor=ACTOR)
    pay(made.loan_id, 102_827, last)
    cleared = date(2019, 4, 4)
    distribute_cleared(on=cleared, actor=ACTOR)
    [lender] = made.lenders
    back = member_balances(lender.pk).cash
    part = Part.objects.get(loan=made.loan_id)
    got = Distribution.objects.filter(loan=made.loan_id).latest("number")
    assert back == 100_000 + got.interest_total - got.fee_total
    found = returns_by_lender(cleared)
    assert found.group.tolist() == [lender.pk]
    days = (cleared - DAY).days
    assert found.earned[0] == pytest.approx((back / 100_000) ** (365 / days) - 1, abs=1e-9)
    assert found.told[0] == part.expected_return / 1_000_000
    assert found.gross[0] == 0.07
    assert (found.lent[0], found.outstanding[0], found.lost[0]) == (100_000, 0, 0)
    assert (found.parts[0], found.borrowers[0]) == (1, 1)


def test_principal_in_default_is_lost_in_full(house: House) -> None:
    """In default something comes once, and then no more: what is left is worth nothing."""
    made = paid_out(house, [(70_000, 60_000), (72_000, 40_000)])
    fall_due(on=FIRST_DUE, actor=ACTOR)
    age_loans(on=date(2016, 9, 3))
    pay(made.loan_id, 60_000, date(2016, 10, 3))
    came, on = date(2016, 10, 6), date(2017, 3, 1)
    distribute_cleared(on=came, actor=ACTOR)
    assert loans_by_state() == {"default": 1}
    by_lender = returns_by_lender(on)
    parts = Part.objects.filter(loan=made.loan_id).order_by("lender_id")
    got = Distribution.objects.get(loan=made.loan_id)
    principal = [got.principal[part.number - 1] for part in parts]
    assert by_lender.lost.tolist() == [
        part.size - one for part, one in zip(parts, principal, strict=True)
    ]
    assert by_lender.outstanding.tolist() == [0, 0]
    days = (came - DAY).days
    for place, part in enumerate(parts):
        row = part.number - 1
        back = got.principal[row] + got.interest[row] - got.fee[row]
        expected = (back / part.size) ** (365 / days) - 1
        assert by_lender.earned[place] == pytest.approx(expected, abs=1e-9)
    by_band = returns_by_band(on)
    assert [band_names()[int(group)] for group in by_band.group] == ["A"]
    assert by_band.lent.tolist() == [100_000]
    assert by_band.lost.tolist() == [by_lender.lost.sum()]


def test_a_loan_that_runs_counts_what_is_outstanding_at_its_face_value(house: House) -> None:
    made = paid_out(house, [(70_000, 100_000)])
    fall_due(on=FIRST_DUE, actor=ACTOR)
    pay(made.loan_id, made.loan.instalment, FIRST_DUE)
    distribute_cleared(on=CLEARED, actor=ACTOR)
    found = returns_by_lender(CLEARED)
    [share] = Distribution.objects.filter(loan=made.loan_id)
    got = share.principal_total + share.interest_total - share.fee_total
    # Everything is back on one day, 35 days on: in cash, or outstanding.
    whole = got + int(found.outstanding[0])
    assert whole == 100_000 + share.interest_total - share.fee_total
    assert found.earned[0] == pytest.approx((whole / 100_000) ** (365 / 35) - 1, abs=1e-9)


def test_what_came_on_several_days_counts_on_each(house: House) -> None:
    """Two parts, two payments: a lender's flows are the differences of the totals, by day."""
    made = paid_out(house, [(70_000, 60_000), (72_000, 40_000)])
    pay_monthly(made, 2)
    first, second = Distribution.objects.filter(loan=made.loan_id).order_by("number")
    found = returns_by_lender(second.spread_on)
    for place, part in enumerate(Part.objects.filter(loan=made.loan_id).order_by("lender_id")):
        row = part.number - 1
        nets = [one.principal[row] + one.interest[row] - one.fee[row] for one in (first, second)]
        outstanding = part.size - second.principal[row]
        assert found.outstanding[place] == outstanding
        assert found.interest[place] == second.interest[row]
        rate = 1 + found.earned[place]
        flows = [
            (first.spread_on, nets[0]),
            (second.spread_on, nets[1] - nets[0] + outstanding),
        ]
        worth = sum(pence / rate ** ((day - DAY).days / 365) for day, pence in flows)
        assert worth == pytest.approx(part.size, abs=0.01)


def test_totals_read_in_runs_are_those_read_at_once(house: House) -> None:
    """Five rows of totals, of two parts and of one, in runs of two: a run may end inside a loan."""
    pay_monthly(paid_out(house, [(70_000, 60_000), (72_000, 40_000)]), 3)
    pay_monthly(paid_out(house, [(70_000, 100_000)]), 2)
    query = (
        "SELECT loan_id, number::bigint, principal, fee FROM marketplace_distribution"
        " ORDER BY loan_id, number"
    )
    (loan, number), (principal, fee), offsets = fetch_packed(query, [], (2, 2))
    runs = list(packed_runs(query, [], (2, 2), rows=2))
    assert [len(run[0][0]) for run in runs] == [2, 2, 1]
    for place, whole in enumerate((loan, number)):
        assert np.array_equal(np.concatenate([run[0][place] for run in runs]), whole)
    for place, whole in enumerate((principal, fee)):
        assert np.array_equal(np.concatenate([run[1][place] for run in runs]), whole)
    lengths = np.concatenate([np.diff(run[2]) for run in runs])
    assert lengths.tolist() == np.diff(offsets).tolist() == [2, 2, 2, 1, 1]


def test_how_far_money_is_spread_and_what_lies_idle(house: House) -> None:
    paid_out(house, [(70_000, 60_000), (72_000, 40_000)])
    paid_out(house, [(70_000, 100_000)])
    found = spread()
    assert found.parts_per_loan.tolist() == [2, 1]
    assert found.lenders_per_loan.tolist() == [2, 1]
    assert found.borrowers_per_lender.tolist() == [1, 1, 1]
    assert found.largest.tolist() == [1_000_000] * 3
    money = idle()
    assert (money.cash, money.on_offer, money.matched, money.lent) == (0, 0, 0, 200_000)
    assert money.share == 0


def test_what_is_to_be_collected_leaves_out_what_is_on_its_way(house: House) -> None:
    made, other = paid_out(house), paid_out(house)
    assert len(collectable(FIRST_DUE).loan) == 0
    fall_due(on=FIRST_DUE, actor=ACTOR)
    pay(made.loan_id, 1_000, FIRST_DUE)
    due = collectable(FIRST_DUE)
    assert dict(zip(due.loan.tolist(), due.amount.tolist(), strict=True)) == {
        made.loan_id: 2_078,
        other.loan_id: 3_078,
    }
    pay(made.loan_id, 2_078, FIRST_DUE)
    assert collectable(FIRST_DUE).loan.tolist() == [other.loan_id]
    assert Payment.objects.count() == 2
