"""The industry's figures of bad debt: a book counted by hand, and laws over random books."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.core.arrears import ArrearsBucket, arrears_bucket
from marketplace.core.bad_debt import Count, DebtBook, arrears_report_of
from marketplace.core.errors import ShapeRefused

ON = date(2018, 4, 30)


def _book(rows: list[dict[str, object]]) -> DebtBook:
    plain = {
        "market": "A/36",
        "band": "A",
        "year": 2017,
        "lent": 100_000,
        "outstanding": 50_000,
        "days_past_due": 0,
        "lost": False,
        "closed": False,
        "forborne": False,
        "expected_loss": 20_000,
        "loss_given_default": 0.8,
        "cost": 0,
    }
    columns = {name: [(plain | row)[name] for row in rows] for name in plain}
    kinds = {
        name: object if name in ("market", "band") else np.asarray([value]).dtype
        for name, value in plain.items()
    }
    return DebtBook(**{name: np.array(column, kinds[name]) for name, column in columns.items()})


def test_a_book_counted_by_hand() -> None:
    report = arrears_report_of(
        ON,
        _book(
            [
                {"outstanding": 90_000},
                {"outstanding": 80_000, "days_past_due": 30},
                {"outstanding": 70_000, "days_past_due": 45},
                {"outstanding": 60_000, "days_past_due": 46},
                {"outstanding": 40_000, "days_past_due": 120, "year": 2016},
                {"outstanding": 30_000, "days_past_due": 121, "lost": True, "cost": 1_000},
                {"outstanding": 20_000, "forborne": True, "market": "B/60", "band": "B"},
                {"outstanding": 0, "closed": True, "year": 2016},
            ]
        ),
        bands=["A", "B"],
        markets=["A/36", "B/60"],
    )
    whole = report.all
    assert dict(whole.buckets) == {
        ArrearsBucket.NONE: Count(2, 110_000),
        ArrearsBucket.DAYS_1_30: Count(1, 80_000),
        ArrearsBucket.DAYS_31_60: Count(2, 130_000),
        ArrearsBucket.DAYS_61_90: Count(0, 0),
        ArrearsBucket.DAYS_91_120: Count(1, 40_000),
        ArrearsBucket.OVER_120: Count(0, 0),
    }
    assert whole.running == Count(6, 360_000)
    assert whole.forborne == Count(1, 20_000)
    # The house has one in default; the industry also the one 120 days late, which still runs here.
    assert whole.house_default == Count(1, 30_000)
    assert whole.industry_default == Count(2, 70_000)
    # More than 45 days late, or renegotiated: 46 days is, 45 is not.
    assert whole.industry_arrears == Count(2, 80_000)
    assert [group.name for group in report.bands] == ["A", "B"]
    assert report.bands[1].running == Count(1, 20_000)
    assert report.markets[1].industry_arrears == Count(1, 20_000)

    by_year = {year.year: year for year in report.years}
    # 2016: two loans of £1,000. Outside default nothing is outstanding; £400 defaulted, 20 %.
    earlier = by_year[2016]
    assert (earlier.loans, earlier.lent, earlier.outstanding) == (2, 200_000, 0)
    assert earlier.arrears_ppm is None
    assert earlier.defaults_ppm == 200_000
    # A lifetime loss of 2 % at 80 % lost means that 2.5 % default: £25 of each £1,000.
    assert (earlier.expected_defaults, earlier.expected_ppm) == (5_000, 25_000)
    # 2017: six loans. £3,200 outstanding of five that run, £800 of it in arrears, a quarter.
    later = by_year[2017]
    assert (later.loans, later.lent) == (6, 600_000)
    assert (later.outstanding, later.arrears, later.arrears_ppm) == (320_000, 80_000, 250_000)
    # £300 in default and £10 that recovering cost, of £6,000: 5.1666 %.
    assert (later.defaults, later.defaults_ppm) == (31_000, 51_666)


def test_a_book_without_loans() -> None:
    report = arrears_report_of(ON, _book([]), bands=["A"], markets=["A/36"])
    assert report.all.running == Count()
    assert report.bands[0].industry_default == Count()
    assert report.years == ()


def test_recovered_loans_and_settled_ones() -> None:
    # Recovered in full: no longer owed. Settled for less: what was let go stays a default.
    report = arrears_report_of(
        ON,
        _book(
            [
                {"outstanding": 0, "lost": True, "closed": True, "days_past_due": 300},
                {"outstanding": 7_000, "lost": True, "days_past_due": 300},
            ]
        ),
    )
    assert report.all.house_default == Count(1, 7_000)
    assert report.years[0].defaults == 7_000


def test_columns_belong_together() -> None:
    book = _book([{}, {}])
    short = DebtBook(
        **{name: getattr(book, name) for name in book.__slots__ if name != "cost"},
        cost=np.zeros(1, np.int64),
    )
    with pytest.raises(ShapeRefused):
        arrears_report_of(ON, short)
    with pytest.raises(ShapeRefused):
        arrears_report_of(ON, book, bands=["B"])


LOANS = st.lists(
    st.fixed_dictionaries(
        {
            "market": st.sampled_from(["A/36", "A/60", "B/36"]),
            "year": st.integers(2014, 2017),
            "lent": st.integers(100_000, 2_500_000),
            "outstanding": st.integers(0, 100_000),
            "days_past_due": st.integers(0, 200),
            "lost": st.booleans(),
            "closed": st.booleans(),
            "forborne": st.booleans(),
            "expected_loss": st.integers(0, 900_000),
            "cost": st.integers(0, 1_000),
        }
    ),
    max_size=30,
)


@given(rows=LOANS)
def test_every_loan_is_counted_once_and_the_parts_make_the_whole(
    rows: list[dict[str, object]],
) -> None:
    for row in rows:
        row["band"] = str(row["market"])[0]
    report = arrears_report_of(ON, _book(rows), bands=["A", "B"], markets=["A/36", "A/60", "B/36"])
    for groups in (report.bands, report.markets):
        for name in ("running", "forborne", "house_default", "industry_arrears"):
            counts = [getattr(group, name) for group in groups]
            assert sum(count.loans for count in counts) == getattr(report.all, name).loans
            assert sum(count.principal for count in counts) == getattr(report.all, name).principal
    running = [row for row in rows if not row["closed"] and not row["lost"]]
    for bucket, count in report.all.buckets:
        mine = [row for row in running if arrears_bucket(int(str(row["days_past_due"]))) is bucket]
        assert count == Count(len(mine), sum(int(str(row["outstanding"])) for row in mine))
    assert sum(year.loans for year in report.years) == len(rows)
    assert sum(year.lent for year in report.years) == sum(int(str(row["lent"])) for row in rows)
    for year in report.years:
        assert year.arrears <= year.outstanding
        assert 0 <= (year.expected_ppm or 0) <= 1_000_000
