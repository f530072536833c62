"""Hard rules over a priced application: quoted, referred to a person, or declined, with reasons."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from risk.core.errors import PricingRefused
from risk.core.house import HouseSettings
from risk.core.pricing import PPM, from_ppm, instalment_share
from risk.core.rate_table import RateRow, place_in_band
from risk.core.scorecard import MOST_REASONS
from risk.core.table import IntArray


class Decision(Enum):
    """What becomes of an application."""

    QUOTED = "quoted"
    REFERRED = "referred"
    DECLINED = "declined"


@dataclass(frozen=True, slots=True)
class Asked:
    """What one application asks for: pence, months, and the monthly income in pence.

    ``income_known`` tells a specification without income (no rule) from an income not stated.
    """

    amount_pence: int
    term_months: int
    monthly_income_pence: float | None
    income_known: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """A decision; the market's row, none beyond the last band; the rules that spoke, in words."""

    decision: Decision
    row: RateRow | None
    rules: tuple[str, ...]


def decide(
    asked: Sequence[Asked],
    pd12_ppm: IntArray,
    settings: HouseSettings,
    rows: Sequence[RateRow],
) -> list[Verdict]:
    """Decide each application by the riskiest rule that speaks.

    Declined: PD beyond the last band, or an instalment at the guide rate above the largest share
    of income. Referred: PD close under the last band's edge, an instalment above the smaller
    share, or an income not stated.

    Args:
        pd12_ppm: 12-month PDs, ppm, shape ``(n,)``.

    Raises:
        PricingRefused: for a term that the rate table has not.
    """
    markets = {(row.position - 1, row.term_months): row for row in rows}
    shares = {
        row: float(instalment_share(from_ppm(row.guide_rate), row.term_months)) for row in rows
    }
    terms = {row.term_months for row in rows}
    verdicts = []
    places = place_in_band(pd12_ppm, settings).tolist()
    for one, place, pd_ppm in zip(asked, places, pd12_ppm.tolist(), strict=True):
        if one.term_months not in terms:
            raise PricingRefused(
                f"There is no market over {one.term_months} months.", field="term_months"
            )
        row = markets.get((place, one.term_months))
        spoken = [_risk_rule(pd_ppm, settings)]
        if row is not None:
            spoken.append(_income_rule(one, shares[row], settings))
        verdicts.append(_verdict(row, [rule for rule in spoken if rule is not None]))
    return verdicts


def with_score_reasons(verdict: Verdict, scored: Sequence[str]) -> tuple[str, ...]:
    """The rules that spoke, then the score's reasons, at most four in all."""
    return (*verdict.rules, *scored)[:MOST_REASONS]


Rule = tuple[Decision, str]


def _verdict(row: RateRow | None, rules: Sequence[Rule]) -> Verdict:
    for decision in (Decision.DECLINED, Decision.REFERRED):
        said = tuple(words for ruled, words in rules if ruled is decision)
        if said:
            return Verdict(decision, row, said)
    return Verdict(Decision.QUOTED, row, ())


def _risk_rule(pd_ppm: int, settings: HouseSettings) -> Rule | None:
    edge = settings.bands[-1].pd_to_ppm
    if pd_ppm > edge:
        return Decision.DECLINED, "The risk is above what we lend to."
    if pd_ppm * PPM > edge * (PPM - settings.rules.referral_margin_ppm):
        return Decision.REFERRED, "The risk is close to the most that we lend to."
    return None


def _income_rule(asked: Asked, share: float, settings: HouseSettings) -> Rule | None:
    if not asked.income_known:
        return None
    income = asked.monthly_income_pence
    if income is None or not math.isfinite(income):
        return Decision.REFERRED, "The income is not known."
    instalment = asked.amount_pence * share * PPM
    if instalment > income * settings.rules.most_share_ppm:
        return Decision.DECLINED, "The instalment would take too large a share of the income."
    if instalment > income * settings.rules.refer_share_ppm:
        return Decision.REFERRED, "The instalment would take a large share of the income."
    return None
