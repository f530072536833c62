"""Expected credit loss: stages and amounts by hand, and what must hold for any book."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from risk.core.credit_loss import (
    Exposures,
    Stage,
    StageRules,
    by_stage_and_band,
    expected_credit_loss,
    stages,
)
from risk.core.monitoring import MonitoringRefused
from risk.core.table import FloatArray, IntArray


def _exposures(
    stage: Stage,
    *,
    balance: int = 100_000,
    months_left: int = 36,
    rate: float = 0.01,
    hazard: float = 0.01,
    lgd: float = 0.8,
    lag: int = 0,
    recovered: int = 0,
    in_default: float = 0.0,
) -> Exposures:
    """One loan."""

    def whole(value: int) -> IntArray:
        return np.array([value], dtype=np.int64)

    def real(value: float) -> FloatArray:
        return np.array([value], dtype=np.float64)

    return Exposures(
        whole(stage),
        whole(balance),
        whole(months_left),
        real(rate),
        real(hazard),
        real(lgd),
        whole(lag),
        whole(recovered),
        real(in_default),
    )


def test_one_loan_over_two_months_by_hand() -> None:
    # £201 at 10 % a month over two months: the level instalment is 201 x .1 / (1 - 1.1**-2) =
    # 115.814..., so 201 x 1.1 - 115.814 = 105.286 is owed in the second month.
    # Month 1: .5 x 201 / 1.1 = 91.3636. Month 2: .5 x .5 x 105.286 / 1.21 = 21.7532.
    # Times a loss of .8: .8 x 113.117 = 90.493, £90.49.
    loss = expected_credit_loss(
        _exposures(Stage.INCREASED, balance=20_100, months_left=2, rate=0.1, hazard=0.5)
    )
    assert loss.tolist() == [9_049]


def test_what_comes_back_late_is_worth_less_by_hand() -> None:
    # One month left, default certain, at 10 %: of £110 owed 20 % come back two months after, so
    # 1 - .2 / 1.21 = .834711 is lost, a month from now: 110 x .834711 / 1.1 = 83.4711.
    one = _exposures(Stage.PERFORMING, balance=11_000, months_left=1, rate=0.1, hazard=1.0, lag=2)
    assert expected_credit_loss(one).tolist() == [8_347]


def test_an_impaired_loan_by_hand() -> None:
    # £900 owed at default, £100 came back, £800 are owed: 20 % of 900 less 100 = £80 still to come,
    # in one month of a lag of three: 80 / 1.1 = 72.73. Lost: 800 - 72.73 = 727.27.
    one = _exposures(
        Stage.IMPAIRED, balance=80_000, rate=0.1, lag=3, recovered=10_000, in_default=2.0
    )
    assert expected_credit_loss(one).tolist() == [72_727]
    # Once the lag is over nothing more is expected.
    assert expected_credit_loss(replace(one, months_in_default=np.array([3.1]))) == [80_000]
    # More came back than was ever expected: nothing more is.
    assert expected_credit_loss(replace(one, recovered=np.array([50_000]))) == [80_000]


def test_nothing_at_a_rate_of_nothing_by_hand() -> None:
    # £120 over twelve months, hazard 1 % a month, no discount: the balance falls by £10 a month.
    # The sum over k = 0..11 of .99**k x .01 x (120 - 10 k), times .8.
    expected = 0.8 * sum(0.99**k * 0.01 * (120 - 10 * k) for k in range(12))
    one = _exposures(Stage.PERFORMING, balance=12_000, months_left=12, rate=0.0)
    assert expected_credit_loss(one).tolist() == [round(100 * expected)]


def test_a_loan_off_the_balance_sheet_loses_nothing() -> None:
    assert expected_credit_loss(_exposures(Stage.NONE)).tolist() == [0]


@settings(deadline=None)
@given(
    months=st.integers(0, 60),
    rate=st.floats(0, 0.05),
    hazard=st.floats(0, 1),
    lgd=st.floats(0, 1),
    lag=st.integers(0, 36),
    balance=st.integers(0, 2_500_000),
)
def test_later_stages_lose_no_less_and_never_more_than_is_owed(
    months: int, rate: float, hazard: float, lgd: float, lag: int, balance: int
) -> None:
    given_ = {
        "months_left": months,
        "rate": rate,
        "hazard": hazard,
        "lgd": lgd,
        "lag": lag,
        "balance": balance,
    }
    [performing, increased, impaired] = [
        int(expected_credit_loss(_exposures(stage, **given_))[0])  # type: ignore[arg-type]
        for stage in (Stage.PERFORMING, Stage.INCREASED, Stage.IMPAIRED)
    ]
    # A penny for rounding.
    assert 0 <= performing <= increased <= impaired + 1
    assert impaired <= balance
    if months <= 12:
        assert performing == increased


def test_when_a_loan_changes_its_stage() -> None:
    def one(**changed: object) -> int:
        told = {"late": 0, "defaulted": False, "forborne": False, "now": float("nan")} | changed
        return int(
            stages(
                days_past_due=np.array([told["late"]]),
                defaulted=np.array([told["defaulted"]]),
                forborne=np.array([told["forborne"]]),
                pd_frozen=np.array([0.02]),
                pd_now=np.array([told["now"]]),
                rules=StageRules(),
            )[0]
        )

    assert [one(late=days) for days in (0, 30, 31, 89, 90, 200)] == [1, 1, 2, 2, 3, 3]
    assert one(forborne=True) == Stage.INCREASED
    assert one(defaulted=True) == Stage.IMPAIRED
    # Twice the frozen 2 % and half a point above it; nearly twice isn't enough.
    assert [one(now=pd) for pd in (0.01, 0.039, 0.041)] == [1, 1, 2]
    # Three times a tiny PD is less than half a point: no significant increase.
    tiny = stages(
        days_past_due=np.zeros(1, dtype=np.int64),
        defaulted=np.zeros(1, dtype=np.bool_),
        forborne=np.zeros(1, dtype=np.bool_),
        pd_frozen=np.array([0.001]),
        pd_now=np.array([0.003]),
        rules=StageRules(),
    )
    assert tiny.tolist() == [Stage.PERFORMING]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 9)), max_size=20))
def test_rows_add_up_to_all_loans_on_the_balance_sheet(rows: list[tuple[int, int, int]]) -> None:
    stage, band, loss = (np.array([row[at] for row in rows], dtype=np.int64) for at in range(3))
    made = by_stage_and_band(stage, band, ("A", "B", "C"), loss * 10, loss)
    held = [row for row in rows if row[0] != Stage.NONE]
    assert sum(row.loans for row in made) == len(held)
    assert sum(row.loss for row in made) == sum(row[2] for row in held)
    assert sum(row.balance for row in made) == 10 * sum(row[2] for row in held)
    assert len({(row.stage, row.band) for row in made}) == len(made)


def test_what_is_refused() -> None:
    for wrong in ({"hazard": 1.5}, {"lgd": -0.1}, {"balance": -1}, {"rate": float("nan")}):
        with pytest.raises(MonitoringRefused):
            expected_credit_loss(_exposures(Stage.PERFORMING, **wrong))
    with pytest.raises(MonitoringRefused):
        expected_credit_loss(replace(_exposures(Stage.PERFORMING), balance=np.zeros(2, np.int64)))
