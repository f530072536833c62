"""The house's settings of a rate table, read from TOML: bands, targets, fees and hard rules."""

from __future__ import annotations

from dataclasses import dataclass

from risk.core.errors import SpecRefused
from risk.core.pricing import PPM, LossTerms, PricingTerms
from risk.core.pricing_terms import LONGEST_LAG
from risk.core.toml_values import Values, parse_toml, section, sections, text, whole

LONGEST_TERM = 120
LARGEST_AMOUNT = 10**12  # pence
LARGEST_BUFFER = 10 * PPM


@dataclass(frozen=True, slots=True)
class BandSettings:
    """A band: the upper edge of its 12-month PD (in the band), target return and fee, in ppm.

    ``arrangement_fee_ppm`` is the platform's own part. Where ``covered``, the provision fund
    bears losses, and its contribution is added to the fee.
    """

    name: str
    pd_to_ppm: int
    target_return_ppm: int
    arrangement_fee_ppm: int
    covered: bool


@dataclass(frozen=True, slots=True)
class TermSettings:
    """A term in months, and what it adds to the target return and the fee, in ppm."""

    months: int
    target_addition_ppm: int
    fee_addition_ppm: int


@dataclass(frozen=True, slots=True)
class RuleSettings:
    """Hard rules; shares in ppm, amounts in pence.

    An amount under ``least_amount`` or above ``most_amount`` is declined, where there is such a
    limit. A PD within ``referral_margin_ppm`` (a share) below the last band's edge is referred. An
    instalment above ``refer_share_ppm`` of monthly income is referred, above ``most_share_ppm``
    declined.
    """

    referral_margin_ppm: int
    refer_share_ppm: int
    most_share_ppm: int
    least_amount: int | None = None
    most_amount: int | None = None


@dataclass(frozen=True, slots=True)
class HouseSettings:
    """All settings of a rate table; offers must lie within bounds around the guide rate (ppm).

    ``prepayment_ppm`` is the share of loans repaid early in a year, ``buffer_ppm`` what a
    provision contribution adds to the expected loss.
    """

    losses: LossTerms
    prepayment_ppm: int
    buffer_ppm: int
    bands: tuple[BandSettings, ...]
    terms: tuple[TermSettings, ...]
    below_guide_ppm: int
    above_guide_ppm: int
    lowest_rate_ppm: int
    rules: RuleSettings

    @property
    def pricing(self) -> PricingTerms:
        """All that prices assume: losses, prepayment, the contribution's buffer."""
        return PricingTerms(self.losses, self.prepayment_ppm / PPM, self.buffer_ppm / PPM)

    @property
    def covered_bands(self) -> frozenset[str]:
        """Names of the bands whose losses the provision fund bears."""
        return frozenset(band.name for band in self.bands if band.covered)


def house_from_toml(toml_text: str) -> HouseSettings:
    """Read the house's settings from TOML text.

    Raises:
        SpecRefused: when it is not TOML, or a value is missing, out of bounds or out of order.
    """
    return house_from_mapping(parse_toml(toml_text))


def house_from_mapping(values: Values) -> HouseSettings:
    """Read the house's settings from parsed TOML (or the JSON that it was stored as).

    Settings stored before there were prepayment, a provision fund or limits of the amount mean
    none of them.

    Raises:
        SpecRefused: when a value is missing, out of bounds or out of order.
    """
    pricing, offers = section(values, "pricing"), section(values, "offers")
    provision = section(values, "provision")
    settings = HouseSettings(
        losses=LossTerms(
            _ppm(pricing, "loss_given_default_ppm", "pricing.") / PPM,
            whole(pricing, "recovery_lag_months", least=0, most=LONGEST_LAG, at="pricing."),
            _ppm(pricing, "servicing_fee_ppm", "pricing.") / PPM,
        ),
        prepayment_ppm=_ppm_or_none(pricing, "prepayment_ppm", "pricing.", most=PPM - 1),
        buffer_ppm=_ppm_or_none(provision, "buffer_ppm", "provision.", most=LARGEST_BUFFER),
        bands=tuple(_band(entry) for entry in sections(values, "bands")),
        terms=tuple(_term(entry) for entry in sections(values, "terms")),
        below_guide_ppm=_ppm(offers, "below_guide_ppm", "offers."),
        above_guide_ppm=_ppm(offers, "above_guide_ppm", "offers."),
        lowest_rate_ppm=_ppm(offers, "lowest_rate_ppm", "offers."),
        rules=_rules(values),
    )
    _check(settings)
    return settings


def _ppm(values: Values, key: str, at: str) -> int:
    return whole(values, key, least=0, most=PPM, at=at)


def _ppm_or_none(values: Values, key: str, at: str, *, most: int) -> int:
    """A share that older settings don't have: nothing then."""
    return whole(values, key, least=0, most=most, at=at) if key in values else 0


def _rules(values: Values) -> RuleSettings:
    affordability, amounts = section(values, "affordability"), section(values, "amounts")
    return RuleSettings(
        _ppm(section(values, "referral"), "margin_ppm", "referral."),
        _ppm(affordability, "refer_share_ppm", "affordability."),
        _ppm(affordability, "most_share_ppm", "affordability."),
        _limit(amounts, "least_pence"),
        _limit(amounts, "most_pence"),
    )


def _limit(amounts: Values, key: str) -> int | None:
    if key not in amounts:
        return None
    return whole(amounts, key, least=1, most=LARGEST_AMOUNT, at="amounts.")


def _flag(values: Values, key: str, at: str) -> bool:
    found = values.get(key, False)
    if not isinstance(found, bool):
        raise SpecRefused(f"{at}{key} must be true or false.", field=f"{at}{key}")
    return found


def _band(values: Values) -> BandSettings:
    return BandSettings(
        text(values, "name", "bands."),
        whole(values, "pd_to_ppm", least=1, most=PPM - 1, at="bands."),
        _ppm(values, "target_return_ppm", "bands."),
        _ppm(values, "arrangement_fee_ppm", "bands."),
        _flag(values, "covered", "bands."),
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
    rules = settings.rules
    if rules.least_amount and rules.most_amount and rules.least_amount > rules.most_amount:
        raise SpecRefused("The least amount can't be above the most.", field="amounts.least_pence")
    if rules.refer_share_ppm > rules.most_share_ppm:
        raise SpecRefused(
            "The share of income that is referred can't be above the one that is declined.",
            field="affordability.refer_share_ppm",
        )
    if settings.lowest_rate_ppm < round(settings.losses.servicing_fee * PPM):
        raise SpecRefused(
            "The lowest rate can't be under the servicing fee.", field="offers.lowest_rate_ppm"
        )
