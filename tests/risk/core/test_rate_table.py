"""The rate table and the house's settings."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk.core.errors import RateTableRefused, SpecRefused
from risk.core.house import HouseSettings, house_from_toml
from risk.core.pricing import LossTerms, PricingTerms, from_ppm, net_return
from risk.core.rate_table import RateRow, build_rates, place_in_band, representative_pds
from risk.specs import spec_text

HOUSE_TEXT = spec_text("house")
PDS = np.array([9_000, 15_000, 21_000, 30_000, 42_000, 66_000])


@pytest.fixture
def house() -> HouseSettings:
    return house_from_toml(HOUSE_TEXT)


@pytest.fixture
def rows(house: HouseSettings) -> tuple[RateRow, ...]:
    return build_rates(house, PDS)


def test_six_bands_over_two_terms(rows: tuple[RateRow, ...]) -> None:
    assert [(row.band, row.term_months) for row in rows] == [
        (band, term) for term in (36, 60) for band in ("A*", "A", "B", "C", "D", "E")
    ]
    assert [row.position for row in rows[:6]] == [1, 2, 3, 4, 5, 6]


def test_bands_are_ranges_without_gaps(rows: tuple[RateRow, ...]) -> None:
    assert rows[0].pd_from_ppm == 0
    for safer, riskier in pairwise(rows[:6]):
        assert safer.pd_to_ppm == riskier.pd_from_ppm


def test_guide_rates_earn_the_target(house: HouseSettings, rows: tuple[RateRow, ...]) -> None:
    for row in rows:
        pd12, guide = from_ppm(row.representative_pd_ppm), from_ppm(row.guide_rate)
        earned = net_return(guide, pd12, house.losses, covered=row.covered)
        # Within half a part per million of the rounded guide rate.
        assert float(earned) == pytest.approx(row.target_return_ppm / 1e6, abs=1e-6)
        assert row.expected_return_ppm == pytest.approx(row.target_return_ppm, abs=1)
        alone = net_return(guide, pd12, house.losses)
        assert row.uncovered_return_ppm == pytest.approx(float(alone) * 1e6, abs=1)


def test_a_to_c_are_covered_by_the_fund(rows: tuple[RateRow, ...]) -> None:
    assert {row.band for row in rows if row.covered} == {"A*", "A", "B", "C"}
    for row in rows:
        own = {"A*": 5_000, "A": 7_500, "B": 10_000, "C": 12_500, "D": 30_000, "E": 40_000}
        longer = 5_000 if row.term_months == 60 else 0
        assert row.arrangement_fee_ppm == own[row.band] + longer + row.contribution_ppm
        # A tenth more than is expected to be lost, to the nearest part per million.
        expected = 1.1 * row.expected_loss_ppm if row.covered else 0
        assert row.contribution_ppm == pytest.approx(expected, abs=1.1)
        assert (row.uncovered_return_ppm < row.expected_return_ppm) == row.covered


def test_a_safe_covered_market_by_hand(rows: tuple[RateRow, ...]) -> None:
    # A* over 36 months: 4 % a year is .327374 % a month and the fee .083333 %: r = .00410707 in
    # all, and (1 + r)^12 - 1 = 12 r + 66 r^2 + 220 r^3 + 495 r^4 = .0492848 + .0011133 + .0000152 +
    # .0000001 = .0504135. The lender bears no risk, so whatever represents the band is no matter.
    first = rows[0]
    assert first.guide_rate == pytest.approx(50_413.5, abs=1)
    # 36 months of it discount by .862818: £1,000 costs 4.10711 / .137182 = £29.94 a month.
    rate = 1.050414 ** (1 / 12) - 1
    instalment = rate / (1 - (1 + rate) ** -36)
    assert round(1_000 * instalment, 2) == 29.94
    # What is paid out is the amount less the arrangement fee.
    apr = first.apr_ppm / 1e6
    worth = sum(instalment / (1 + apr) ** (month / 12) for month in range(1, 37))
    assert worth == pytest.approx(1 - first.arrangement_fee_ppm / 1e6, abs=3e-6)


def test_the_house_s_prices_are_plausible(rows: tuple[RateRow, ...]) -> None:
    for row in rows:
        assert 40_000 <= row.guide_rate <= 150_000
        assert row.guide_rate < row.apr_ppm < 180_000
        # If the fund paid nothing, a lender who asked the guide rate would still earn something.
        assert row.uncovered_return_ppm > 25_000


def test_guide_rates_rise_with_band_and_bounds_hold_them(rows: tuple[RateRow, ...]) -> None:
    for term in (36, 60):
        guides = [row.guide_rate for row in rows if row.term_months == term]
        assert guides == sorted(set(guides))
        aprs = [row.apr_ppm for row in rows if row.term_months == term]
        assert aprs == sorted(set(aprs))
    for row in rows:
        assert 15_000 <= row.lowest_rate < row.guide_rate < row.highest_rate
        assert row.highest_rate == row.guide_rate + 40_000


def test_a_band_holds_its_upper_edge(house: HouseSettings) -> None:
    pds = np.array([0, 12_000, 12_001, 90_000, 90_001])
    assert place_in_band(pds, house).tolist() == [0, 0, 1, 5, 6]


def test_a_band_is_represented_by_its_mean_or_its_middle(house: HouseSettings) -> None:
    pds = np.array([8_000, 10_000, 20_000, 500_000])
    found = representative_pds(pds, house).tolist()
    assert found == [9_000, 15_000, 20_000, 30_000, 43_750, 71_250]


@given(st.lists(st.integers(0, 999_999), min_size=1, max_size=50))
def test_a_representative_lies_in_its_band(pds: list[int]) -> None:
    house = house_from_toml(HOUSE_TEXT)
    found = representative_pds(np.array(pds), house)
    assert place_in_band(found, house).tolist() == list(range(6))


def test_a_riskier_band_that_costs_less_is_refused() -> None:
    bad = HOUSE_TEXT.replace("target_return_ppm = 70_000", "target_return_ppm = 10_000")
    with pytest.raises(RateTableRefused, match="Band E"):
        build_rates(house_from_toml(bad), PDS)


def test_a_riskier_band_that_costs_the_borrower_less_is_refused() -> None:
    # D without a fee of its own costs less than C, which carries a contribution and 20 %.
    bad = HOUSE_TEXT.replace("arrangement_fee_ppm = 12_500", "arrangement_fee_ppm = 200_000")
    with pytest.raises(RateTableRefused, match=r"Band D over 36 months.*APR"):
        build_rates(house_from_toml(bad), PDS)


def test_a_market_without_a_price_is_refused() -> None:
    bad = HOUSE_TEXT.replace("arrangement_fee_ppm = 12_500", "arrangement_fee_ppm = 990_000")
    with pytest.raises(RateTableRefused, match="36 months: The arrangement fee"):
        build_rates(house_from_toml(bad), PDS)


def test_settings_stored_before_there_was_a_fund_mean_none() -> None:
    dropped = ("covered", "prepayment_ppm", "buffer_ppm", "least_pence", "most_pence")
    kept = [line for line in HOUSE_TEXT.splitlines() if not line.startswith(dropped)]
    house = house_from_toml("\n".join(kept))
    assert (house.prepayment_ppm, house.buffer_ppm, house.covered_bands) == (0, 0, frozenset())
    assert (house.rules.least_amount, house.rules.most_amount) == (None, None)
    for row in build_rates(house, PDS):
        assert (row.covered, row.contribution_ppm) == (False, 0)
        assert row.expected_return_ppm == row.uncovered_return_ppm


def test_what_the_house_assumes_of_prices(house: HouseSettings) -> None:
    assert house.covered_bands == {"A*", "A", "B", "C"}
    assert house.pricing == PricingTerms(LossTerms(0.8, 12, 0.01), prepayment=0.06, buffer=0.1)


def test_a_guide_rate_under_the_floor_is_refused() -> None:
    bad = HOUSE_TEXT.replace("lowest_rate_ppm = 15_000", "lowest_rate_ppm = 90_000")
    with pytest.raises(RateTableRefused, match="A\\*"):
        build_rates(house_from_toml(bad), PDS)


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("pd_to_ppm = 18_000", "pd_to_ppm = 12_000", "bands.pd_to_ppm"),
        ('name = "B"', 'name = "A"', "bands.name"),
        ("months = 60", "months = 36", "terms.months"),
        ("recovery_lag_months = 12", "recovery_lag_months = -1", "pricing.recovery_lag_months"),
        ("most_share_ppm = 300_000", "most_share_ppm = 100_000", "affordability.refer_share_ppm"),
        ("lowest_rate_ppm = 15_000", "lowest_rate_ppm = 5_000", "offers.lowest_rate_ppm"),
        ("margin_ppm = 100_000", "margin_ppm = 0.1", "referral.margin_ppm"),
        ("prepayment_ppm = 60_000", "prepayment_ppm = 1_000_000", "pricing.prepayment_ppm"),
        ("buffer_ppm = 100_000", "buffer_ppm = -1", "provision.buffer_ppm"),
        ("covered = true", "covered = 1", "bands.covered"),
        ("least_pence = 100_000", "least_pence = 0", "amounts.least_pence"),
        ("least_pence = 100_000", "least_pence = 2_500_001", "amounts.least_pence"),
    ],
)
def test_bad_settings_are_refused_by_place(old: str, new: str, field: str) -> None:
    with pytest.raises(SpecRefused) as refused:
        house_from_toml(HOUSE_TEXT.replace(old, new, 1))
    assert refused.value.field == field


def test_settings_without_bands_are_refused() -> None:
    with pytest.raises(SpecRefused) as refused:
        house_from_toml(HOUSE_TEXT[: HOUSE_TEXT.index("[[bands]]")])
    assert refused.value.field == "bands"
