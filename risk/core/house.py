"""The house's settings of a rate table, read from TOML: bands, targets, fees and hard rules."""

from __future__ import annotations

from dataclasses import dataclass

from risk.core.errors import SpecRefused
from risk.core.pricing import PPM, LossTerms
from risk.core.toml_values import Values, parse_toml, section, sections, text, whole

LONGEST_TERM = 120


@dataclass(frozen=True, slots=True)
class BandSettings:
    """A band: the upper edge of its 12-month PD (in the band), target return and fee, in ppm."""

    name: str
    pd_to_ppm: int
    target_return_ppm: int
    arrangement_fee_ppm: int


@dataclass(frozen=True, slots=True)
class TermSettings:
    """A term in months, and what it adds to the target return and the fee, in ppm."""

    months: int
    target_addition_ppm: int
    fee_addition_ppm: int


@dataclass(frozen=True, slots=True)
class RuleSettings:
    """Hard rules, in ppm.

    A PD within ``referral_margin_ppm`` (a share) below the last band's edge is referred. An
    instalment above ``refer_share_ppm`` of monthly income is referred, above ``most_share_ppm``
    declined.
    """

    referral_margin_ppm: int
    refer_share_ppm: int
    most_share_ppm: int


@dataclass(frozen=True, slots=True)
class HouseSettings:
    """All settings of a rate table; offers must lie within bounds around the guide rate (ppm)."""

    losses: LossTerms
    bands: tuple[BandSettings, ...]
    terms: tuple[TermSettings, ...]
    below_guide_ppm: int
    above_guide_ppm: int
    lowest_rate_ppm: int
    rules: RuleSettings


def house_from_toml(toml_text: str) -> HouseSettings:
    """Read the house's settings from TOML text.

    Raises:
        SpecRefused: when it is not TOML, or a value is missing, out of bounds or out of order.
    """
    return house_from_mapping(parse_toml(toml_text))


def house_from_mapping(values: Values) -> HouseSettings:
    """Read the house's settings from parsed TOML (or the JSON that it was stored as).

    Raises:
        SpecRefused: when a value is missing, out of bounds or out of order.
    """
    pricing, offers = section(values, "pricing"), section(values, "offers")
    affordability = section(values, "affordability")
    settings = HouseSettings(
        losses=LossTerms(
            _ppm(pricing, "loss_given_default_ppm", "pricing.") / PPM,
            whole(pricing, "recovery_lag_months", least=0, most=120, at="pricing."),
            _ppm(pricing, "servicing_fee_ppm", "pricing.") / PPM,
        ),
        bands=tuple(_band(entry) for entry in sections(values, "bands")),
        terms=tuple(_term(entry) for entry in sections(values, "terms")),
        below_guide_ppm=_ppm(offers, "below_guide_ppm", "offers."),
        above_guide_ppm=_ppm(offers, "above_guide_ppm", "offers."),
        lowest_rate_ppm=_ppm(offers, "lowest_rate_ppm", "offers."),
        rules=RuleSettings(
            _ppm(section(values, "referral"), "margin_ppm", "referral."),
            _ppm(affordability, "refer_share_ppm", "affordability."),
            _ppm(affordability, "most_share_ppm", "affordability."),
        ),
    )
    _check(settings)
    return settings


def _ppm(values: Values, key: str, at: str) -> int:
    return whole(values, key, least=0, most=PPM, at=at)


def _band(values: Values) -> BandSettings:
    return BandSettings(
        text(values, "name", "bands."),
        whole(values, "pd_to_ppm", least=1, most=PPM - 1, at="bands."),
        _ppm(values, "target_return_ppm", "bands."),
        _ppm(values, "arrangement_fee_ppm", "bands."),
    )


def _term(values: Values) -> TermSettings:
    return TermSettings(
        whole(values, "months", least=1, most=LONGEST_TERM, at="terms."),
        _ppm(values, "target_addition_ppm", "terms."),
        _ppm(values, "fee_addition_ppm", "terms."),
    )


def _check(settings: HouseSettings) -> None:
    names = [band.name for band in settings.bands]
    edges = [band.pd_to_ppm for band in settings.bands]
    months = [term.months for term in settings.terms]
    if len(set(names)) < len(names):
        raise SpecRefused("Two bands have the same name.", field="bands.name")
    if sorted(set(edges)) != edges:
        raise SpecRefused("The bands' edges must rise.", field="bands.pd_to_ppm")
    if sorted(set(months)) != months:
        raise SpecRefused("The terms must rise.", field="terms.months")
    if settings.rules.refer_share_ppm > settings.rules.most_share_ppm:
        raise SpecRefused(
            "The share of income that is referred can't be above the one that is declined.",
            field="affordability.refer_share_ppm",
        )
    if settings.lowest_rate_ppm < round(settings.losses.servicing_fee * PPM):
        raise SpecRefused(
            "The lowest rate can't be under the servicing fee.", field="offers.lowest_rate_ppm"
        )
