"""Predicted against actual: exact chances, and no more false alarms than promised."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from risk.core.monitoring import (
    Cohort,
    Finding,
    MonitoringRefused,
    Outcomes,
    amount_tail,
    central_range,
    chance_by_now,
    count_tail,
    default_distribution,
    holm,
    months_on_book,
    predicted_against_actual,
)

CHANCES = st.lists(st.floats(0, 1), min_size=1, max_size=8)


def _outcomes(
    chance: list[float], bad: list[bool], *, amount: list[int] | None = None, mature: bool = True
) -> Outcomes:
    """Loans of one vintage and band."""
    size = len(chance)
    return Outcomes(
        vintages=("2016 Q2",),
        bands=("A",),
        vintage=np.zeros(size, dtype=np.int64),
        band=np.zeros(size, dtype=np.int64),
        chance=np.array(chance),
        defaulted=np.array(bad),
        amount=np.array(amount or [100_000] * size),
        mature=np.full(size, mature),
    )


def _cohort(cohorts: tuple[Cohort, ...], key: str) -> Cohort:
    return {one.key: one for one in cohorts}[key]


def test_two_loans_by_hand() -> None:
    # Chances .1 and .3. None: .9 x .7 = .63; both: .1 x .3 = .03; one: 1 - .63 - .03 = .34.
    assert default_distribution([0.1, 0.3]) == pytest.approx([0.63, 0.34, 0.03])
    tail = count_tail([0.1, 0.3], 1)
    # At most one: .97; at least one: .37; as far out: twice the smaller, .74.
    assert (tail.lower, tail.upper, tail.two_sided) == pytest.approx((0.97, 0.37, 0.74))
    # The second loan, of £3,000, defaults and the first, of £1,000, doesn't. At most £3,000:
    # all but both, .97; at least £3,000: the second with or without the first, .3.
    money = amount_tail([0.1, 0.3], [100_000, 300_000], [False, True])
    assert (money.lower, money.upper, money.two_sided) == pytest.approx((0.97, 0.3, 0.6))


def test_a_forecast_of_two_years_after_one() -> None:
    # .8 x .8 = .64 survive two years, so 1 - .8 = .2 default within one.
    assert chance_by_now([0.36], 24, [12.0, 24.0, 0.0]) == pytest.approx([0.2, 0.36, 0.0])
    # 1 April 2016 to 1 April 2018 is 730 days: 730 x 12 / 365.25 months. One day at least.
    days = np.array(["2018-04-01", "2016-04-01"], dtype="datetime64[D]")
    months = months_on_book(np.datetime64("2016-04-01"), days)
    assert months == pytest.approx([730 * 12 / 365.25, 12 / 365.25])


@settings(deadline=None)
@given(CHANCES, st.data())
def test_every_way_it_could_have_come(chances: list[float], data: st.DataObject) -> None:
    size = len(chances)
    bad = data.draw(st.lists(st.booleans(), min_size=size, max_size=size))
    # Whole steps of a thousandth of the sum at most, so that amounts aren't rounded.
    amounts = data.draw(st.lists(st.integers(0, 100), min_size=size, max_size=size))
    seen = sum(bad), sum(a for a, b in zip(amounts, bad, strict=True) if b)
    below, above = [0.0, 0.0], [0.0, 0.0]
    for way in product((False, True), repeat=size):
        chance = float(np.prod([p if b else 1 - p for p, b in zip(chances, way, strict=True)]))
        came = sum(way), sum(a for a, b in zip(amounts, way, strict=True) if b)
        for place in (0, 1):
            below[place] += chance * (came[place] <= seen[place])
            above[place] += chance * (came[place] >= seen[place])
    tails = count_tail(chances, seen[0]), amount_tail(chances, amounts, bad)
    for place, tail in enumerate(tails):
        assert tail.lower == pytest.approx(below[place], abs=1e-12)
        assert tail.upper == pytest.approx(above[place], abs=1e-12)


@pytest.mark.parametrize("size", [1, 2, 37, 1_000, 20_000])
def test_equal_chances_are_binomial(size: int) -> None:
    got = default_distribution(np.full(size, 0.03))
    assert got == pytest.approx(binom.pmf(np.arange(size + 1), size, 0.03), abs=1e-13)
    assert central_range(got) == (binom.ppf(0.025, size, 0.03), binom.ppf(0.975, size, 0.03))


@pytest.mark.parametrize("size", [300, 3_000])
def test_equal_amounts_have_the_chances_of_the_number(size: int) -> None:
    rng = np.random.default_rng(1)
    chance = rng.uniform(0.01, 0.2, size)
    bad = rng.random(size) < chance
    one, other = count_tail(chance, int(bad.sum())), amount_tail(chance, np.full(size, 5_000), bad)
    # Beyond 2,000 loans the normal stands in: the step of one loan is .02 of a spread of 16.
    tolerance = 1e-12 if size <= 2_000 else 0.03
    assert other.lower == pytest.approx(one.lower, abs=tolerance)
    assert other.upper == pytest.approx(one.upper, abs=tolerance)


def test_holm_by_hand() -> None:
    # Of four at 5 %: .005 <= .0125, .01 <= .0167, .03 > .025 stops, and .04 with it.
    assert holm([0.01, 0.04, 0.03, 0.005], 0.05).tolist() == [True, False, False, True]
    assert holm([], 0.05).tolist() == []


def test_which_cohorts_there_are() -> None:
    loans = Outcomes(
        vintages=("2016 Q1", "2016 Q2"),
        bands=("A", "B"),
        vintage=np.array([0, 0, 1]),
        band=np.array([0, 1, 1]),
        chance=np.array([0.1, 0.2, 0.3]),
        defaulted=np.array([False, True, False]),
        amount=np.array([100_000, 200_000, 300_000]),
        mature=np.array([True, True, False]),
    )
    got = predicted_against_actual(loans)
    # 2016 Q2 has no loan of band A.
    keys = ["*/*", "2016 Q1/*", "2016 Q2/*", "*/A", "*/B", "2016 Q1/A", "2016 Q1/B", "2016 Q2/B"]
    assert [one.key for one in got] == keys
    everyone = got[0]
    assert (everyone.loans, everyone.actual, everyone.mature) == (3, 1, False)
    assert everyone.expected == pytest.approx(0.6)
    # .1 x £1,000 + .2 x £2,000 + .3 x £3,000 = £1,400.
    assert everyone.expected_amount == pytest.approx(140_000)
    assert (everyone.amount, everyone.actual_amount) == (600_000, 200_000)
    assert _cohort(got, "2016 Q1/*").mature


def test_too_few_speaks_only_when_a_cohort_is_mature() -> None:
    # 100 loans of 10 % without a default: .9**100 = 2.7e-5, twice that under any limit here.
    for mature, finding in ((True, Finding.TOO_FEW), (False, Finding.AS_EXPECTED)):
        [everyone, *_] = predicted_against_actual(
            _outcomes([0.1] * 100, [False] * 100, mature=mature)
        )
        assert everyone.chance == pytest.approx(2 * 0.9**100)
        assert everyone.finding is finding
    many = predicted_against_actual(_outcomes([0.02] * 100, [True] * 15 + [False] * 85))
    assert {one.finding for one in many} == {Finding.TOO_MANY}
    young = _outcomes([0.02] * 100, [True] * 15 + [False] * 85, mature=False)
    assert predicted_against_actual(young)[0].finding is Finding.TOO_MANY


def test_the_amount_speaks_where_the_number_does_not() -> None:
    # Two of 200 loans of 1 % default, as expected, but they are the two of £25,000 among £1,000s:
    # both of two chances of 1 % is 1e-4.
    chance, amount = [0.01] * 200, [2_500_000] * 2 + [100_000] * 198
    got = predicted_against_actual(_outcomes(chance, [True] * 2 + [False] * 198, amount=amount))
    assert got[0].chance > 0.9
    assert got[0].amount_chance < 3e-4
    assert got[0].finding is Finding.TOO_MANY


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31))
def test_the_order_of_rows_does_not_matter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    size = 60
    vintage, band = rng.integers(0, 3, size), rng.integers(0, 2, size)
    chance, bad = rng.uniform(0, 0.3, size), rng.random(size) < 0.1
    amount, mature = rng.integers(1, 9, size) * 100_000, rng.random(size) < 0.9

    def seen(order: np.ndarray[tuple[int], np.dtype[np.int64]]) -> tuple[Cohort, ...]:
        return predicted_against_actual(
            Outcomes(
                ("x", "y", "z"),
                ("A", "B"),
                vintage[order],
                band[order],
                chance[order],
                bad[order],
                amount[order],
                mature[order],
            )
        )

    for one, other in zip(seen(np.arange(size)), seen(rng.permutation(size)), strict=True):
        assert (one.key, one.actual, one.finding) == (other.key, other.actual, other.finding)
        assert one.chance == pytest.approx(other.chance, rel=1e-9)
        assert one.amount_chance == pytest.approx(other.amount_chance, rel=1e-9)


def _simulated(rng: np.random.Generator, worse: float) -> bool:
    """Whether any cohort of a book of 180 loans speaks, all chances being so many times worse."""
    size = 180
    chance = rng.uniform(0.02, 0.2, size)
    got = predicted_against_actual(
        Outcomes(
            ("x", "y"),
            ("A", "B", "C"),
            np.arange(size) % 2,
            np.arange(size) % 3,
            chance,
            rng.random(size) < chance * worse,
            rng.integers(1, 25, size) * 100_000,
            np.ones(size, dtype=np.bool_),
        )
    )
    return any(one.finding is not Finding.AS_EXPECTED for one in got)


def test_no_more_false_alarms_than_promised() -> None:
    rng = np.random.default_rng(20)
    false = sum(_simulated(rng, 1.0) for _ in range(120))
    # At most 5 % of 120 books, plus three standard errors: 6 + 3 x sqrt(120 x .05 x .95) = 13.2.
    assert false <= 13
    # Two and a half times the defaults are hardly ever missed.
    assert sum(_simulated(rng, 2.5) for _ in range(20)) >= 18


def test_what_is_refused() -> None:
    for bad in (-0.1, 1.1, float("nan")):
        with pytest.raises(MonitoringRefused):
            default_distribution([bad])
    with pytest.raises(MonitoringRefused):
        chance_by_now([1.0], 24, [1.0])
    with pytest.raises(MonitoringRefused):
        chance_by_now([0.1], 0, [1.0])
    with pytest.raises(MonitoringRefused):
        count_tail([0.1], 2)
    with pytest.raises(MonitoringRefused):
        amount_tail([0.1], [1, 2], [True])
    with pytest.raises(MonitoringRefused):
        holm([0.1], 0.0)
    with pytest.raises(MonitoringRefused):
        months_on_book(np.datetime64("NaT", "D"), np.datetime64("2016-04-01"))


def test_no_loans_are_no_cohorts() -> None:
    assert predicted_against_actual(_outcomes([], [])) == ()
