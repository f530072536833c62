"""The rate table and the house's settings."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk.core.errors import RateTableRefused, SpecRefused
from risk.core.house import HouseSettings, house_from_toml
from risk.core.pricing import from_ppm, net_return
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
        pd12 = from_ppm(row.representative_pd_ppm)
        earned = net_return(from_ppm(row.guide_rate), pd12, house.losses)
        # Within half a part per million of the rounded guide rate.
        assert float(earned) == pytest.approx(row.target_return_ppm / 1e6, abs=1e-6)


def test_guide_rates_rise_with_band_and_bounds_hold_them(rows: tuple[RateRow, ...]) -> None:
    for term in (36, 60):
        guides = [row.guide_rate for row in rows if row.term_months == term]
        assert guides == sorted(set(guides))
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
