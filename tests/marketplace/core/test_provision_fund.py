"""What the provision fund pays of claims: worked by hand, and laws over random claims."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.core.errors import ShapeRefused
from marketplace.core.provision_fund import (
    PPM,
    ClaimState,
    FundRefused,
    FundTooSmall,
    pay_claims,
    recoveries_to_come,
    state_after,
)

CLAIMS = st.lists(
    st.tuples(st.integers(0, 3_000_000), st.integers(0, 300_000)), min_size=1, max_size=12
).filter(lambda rows: sum(map(sum, rows)) > 0)


def _columns(rows: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    principal, interest = np.array(rows, dtype=np.int64).T
    return principal, interest


def test_a_fund_with_enough_pays_all() -> None:
    paid = pay_claims([80_000, 40_000], [1_500, 500], balance=122_000)
    assert paid.principal.tolist() == [80_000, 40_000]
    assert paid.interest.tolist() == [1_500, 500]
    assert paid.proportion_ppm == PPM
    assert paid.total == 122_000


def test_a_fund_with_too_little_pays_one_proportion_of_each() -> None:
    # £1,000 + £10 and £500 + £10 are claimed: 152,000p. The fund has £380.00, a quarter of it:
    # £250.00 and £2.50, £125.00 and £2.50.
    paid = pay_claims([100_000, 50_000], [1_000, 1_000], balance=38_000)
    assert paid.proportion_ppm == 250_000
    assert paid.principal.tolist() == [25_000, 12_500]
    assert paid.interest.tolist() == [250, 250]


def test_pennies_that_do_not_come_out_go_to_the_largest_remainders() -> None:
    # 100p for 300p are 333,333 ppm, rounded down; of 300p that is 99.9999p. So 99p are paid, 33p
    # each: at one proportion the 100th penny can't be.
    paid = pay_claims([100, 100, 100], [0, 0, 0], balance=100)
    assert paid.proportion_ppm == 333_333
    assert paid.principal.tolist() == [33, 33, 33]
    # Half of 1p + 2p + 4p is 3.5p: 3p, exactly .43p, .86p and 1.71p. Two remainders are large
    # enough for a penny: .86 and .71.
    half = pay_claims([1, 2, 4], [0, 0, 0], balance=7, proportion_ppm=500_000)
    assert half.principal.tolist() == [0, 1, 2]


def test_nothing_is_a_decision_when_somebody_says_so() -> None:
    paid = pay_claims([100_000], [1_000], balance=0, proportion_ppm=0)
    assert paid.total == 0
    assert paid.proportion_ppm == 0


def test_more_than_the_fund_has_is_refused_with_what_it_could_pay() -> None:
    with pytest.raises(FundTooSmall) as refused:
        pay_claims([100_000], [0], balance=40_000, proportion_ppm=500_000)
    assert refused.value.most_ppm == 400_000
    assert "40000 pence" in refused.value.message
    paid = pay_claims([100_000], [0], balance=40_000, proportion_ppm=refused.value.most_ppm)
    assert paid.total == 40_000


@pytest.mark.parametrize(
    ("principal", "interest", "balance", "proportion", "field"),
    [
        ([100], [0], 0, None, "proportion"),
        ([100], [0], 100, -1, "proportion"),
        ([100], [0], 100, PPM + 1, "proportion"),
        ([0, 0], [0, 0], 100, None, "claims"),
        ([-1], [5], 100, None, "claims"),
        ([1], [5], -1, None, "claims"),
        ([], [], 100, None, "claims"),
    ],
)
def test_what_is_no_decision_is_refused(
    principal: list[int], interest: list[int], balance: int, proportion: int | None, field: str
) -> None:
    with pytest.raises(FundRefused) as refused:
        pay_claims(principal, interest, balance=balance, proportion_ppm=proportion)
    assert refused.value.field == field


def test_claims_need_both_figures_in_whole_pence() -> None:
    with pytest.raises(ShapeRefused):
        pay_claims([1, 2], [1], balance=3)
    with pytest.raises(ShapeRefused):
        pay_claims([1.5], [1.0], balance=3)


@given(rows=CLAIMS, balance=st.integers(0, 40_000_000), ppm=st.integers(0, PPM))
def test_it_never_pays_more_than_it_has_or_than_is_claimed(
    rows: list[tuple[int, int]], balance: int, ppm: int
) -> None:
    principal, interest = _columns(rows)
    claimed = sum(map(sum, rows))
    pot = claimed * ppm // PPM
    if pot > balance:
        with pytest.raises(FundTooSmall):
            pay_claims(principal, interest, balance=balance, proportion_ppm=ppm)
        return
    paid = pay_claims(principal, interest, balance=balance, proportion_ppm=ppm)
    assert paid.total == pot <= balance
    for owed, got in (
        *zip(principal.tolist(), paid.principal.tolist(), strict=True),
        *zip(interest.tolist(), paid.interest.tolist(), strict=True),
    ):
        assert 0 <= got <= owed
        assert abs(got - Fraction(pot * owed, claimed)) < 1
        # The total is rounded down, which may cost a claim another fraction of a penny.
        assert abs(got - Fraction(owed * ppm, PPM)) < 2


@given(rows=CLAIMS, balance=st.integers(1, 40_000_000))
def test_as_far_as_it_goes_is_the_largest_proportion_that_it_can_pay(
    rows: list[tuple[int, int]], balance: int
) -> None:
    principal, interest = _columns(rows)
    claimed = sum(map(sum, rows))
    try:
        paid = pay_claims(principal, interest, balance=balance)
    except FundRefused:
        assert claimed * min(PPM, balance * PPM // claimed) < PPM  # not a penny at any proportion
        return
    assert paid.total <= min(balance, claimed)
    if balance >= claimed:
        assert paid.total == claimed
        assert paid.proportion_ppm == PPM
    else:
        assert claimed * (paid.proportion_ppm + 1) > balance * PPM


@given(rows=CLAIMS, one=st.integers(0, PPM), other=st.integers(0, PPM))
def test_a_larger_proportion_never_pays_less(
    rows: list[tuple[int, int]], one: int, other: int
) -> None:
    principal, interest = _columns(rows)
    low, high = sorted((one, other))
    enough = sum(map(sum, rows))
    less = pay_claims(principal, interest, balance=enough, proportion_ppm=low)
    more = pay_claims(principal, interest, balance=enough, proportion_ppm=high)
    assert more.total >= less.total
    # Largest remainders may move a single penny from one claim to another.
    assert (more.principal - less.principal).min() >= -1
    assert (more.interest - less.interest).min() >= -1


@given(rows=CLAIMS, ppm=st.lists(st.integers(0, PPM), min_size=1, max_size=4))
def test_later_top_ups_never_exceed_the_claim(rows: list[tuple[int, int]], ppm: list[int]) -> None:
    principal, interest = _columns(rows)
    left_principal, left_interest = principal, interest
    paid_in_all = 0
    for each in (*ppm, PPM):
        unpaid = int(left_principal.sum() + left_interest.sum())
        if unpaid == 0:
            break
        paid = pay_claims(left_principal, left_interest, balance=unpaid, proportion_ppm=each)
        left_principal = left_principal - paid.principal
        left_interest = left_interest - paid.interest
        paid_in_all += paid.total
    assert paid_in_all == principal.sum() + interest.sum()


def test_where_a_claim_stands_after_a_decision() -> None:
    assert state_after(0, 500) is ClaimState.PAID
    assert state_after(100, 400) is ClaimState.PAID_IN_PART
    assert state_after(500, 0) is ClaimState.DECLINED


def test_recoveries_still_to_come() -> None:
    # £1,000 paid, 20 % of it expected back within 12 months: £200. Of that £150 have come, so £50
    # are left; after the lag nothing is; and never more than is still owned.
    found = recoveries_to_come(
        paid=[100_000, 100_000, 100_000, 100_000],
        owned=[100_000, 85_000, 85_000, 75_000],
        loss_given_default=[0.8] * 4,
        months_in_default=[0, 6, 13, 3],
        recovery_lag=[12] * 4,
    )
    assert found.tolist() == [20_000, 5_000, 0, 0]


def test_a_fund_that_owns_more_than_it_paid_is_refused() -> None:
    with pytest.raises(ShapeRefused):
        recoveries_to_come([100], [101], [0.8], [0], [12])
