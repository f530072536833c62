"""The arrears report from the book: as of several days, and the same whenever it is asked for."""

from __future__ import annotations

from datetime import date

from marketplace.core.arrears import ArrearsBucket
from marketplace.core.bad_debt import Count, Group
from marketplace.selectors.arrears_report import arrears_report
from marketplace.services.defaulting import recover
from marketplace.services.falling_due import fall_due
from marketplace.services.payments import distribute_cleared
from tests.marketplace.fund_house import DIED, covered, declared_dead, dies
from tests.marketplace.house import House, key, paid_out, pay
from tests.marketplace.statements import statements
from tests.world import ACTOR, DAY, FIRST_DUE
from tests.world import CLEARED as FIRST_CLEARED

CLEARED = date(2016, 5, 10)


def _bucket(group: Group, bucket: ArrearsBucket) -> Count:
    return dict(group.buckets)[bucket]


def test_a_book_before_anything_is_paid_out(house: House) -> None:
    report = arrears_report(DAY)
    assert report.all.running == Count(0, 0)
    assert report.years == ()
    assert "A" in [group.name for group in report.bands]
    assert "A/36" in [group.name for group in report.markets]


def test_the_book_on_several_days(house: House) -> None:
    good, late = paid_out(house), paid_out(house)
    fall_due(on=FIRST_DUE, actor=ACTOR)
    pay(good.loan_id, 3_078, FIRST_DUE)
    distribute_cleared(on=FIRST_CLEARED, actor=ACTOR)
    paid = 2_512  # of £30.78, £5.66 were interest
    dead = covered(house)
    dies(dead, date(2016, 5, 11))
    # On the due date nothing is past due yet.
    assert _bucket(arrears_report(FIRST_DUE).all, ArrearsBucket.NONE).loans == 3
    # 45 days after 3 May is 17 June: late, but not in arrears by the industry's measure.
    report = arrears_report(date(2016, 6, 17))
    assert _bucket(report.all, ArrearsBucket.DAYS_31_60) == Count(1, 100_000)
    assert report.all.industry_arrears.loans == 0
    report = arrears_report(date(2016, 6, 18))
    assert report.all.industry_arrears == Count(1, 100_000)
    # Death is a default at once, for the house and the industry.
    assert report.all.house_default == Count(1, 100_000)
    assert report.all.industry_default == Count(1, 100_000)
    assert report.all.running == Count(2, 200_000 - paid)
    [year] = report.years
    assert (year.year, year.loans, year.lent) == (2016, 3, 300_000)
    assert (year.outstanding, year.arrears) == (200_000 - paid, 100_000)
    assert year.defaults == 100_000
    assert year.defaults_ppm == 333_333
    # 120 days after 3 May is 31 August; the house has it in default only once it was aged.
    report = arrears_report(date(2016, 8, 31))
    assert report.all.industry_default.loans >= 2
    assert report.all.house_default.loans == 1
    assert late.loan.state == "active"


def test_what_is_recovered_and_what_it_cost(house: House) -> None:
    made = paid_out(house)
    declared_dead(made)
    recover(loan_id=made.loan_id, amount=10_566, cost=1_000, on=DIED, actor=ACTOR, key=key())
    distribute_cleared(on=CLEARED, actor=ACTOR)
    [year] = arrears_report(CLEARED).years
    # £100 of £1,000 came back at a cost of £10: £910 are lost.
    assert year.defaults == 91_000
    # As of the day before it was spread, it hadn't.
    assert arrears_report(DIED).years[0].defaults == 100_000


def test_statements_do_not_grow_with_loans(house: House) -> None:
    paid_out(house)
    few = statements(lambda: arrears_report(FIRST_DUE))
    paid_out(house)
    assert statements(lambda: arrears_report(FIRST_DUE)) == few
    assert few <= 8
