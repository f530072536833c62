"""Hard rules over a priced application: quoted, referred to a person, or declined, with reasons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

import numpy as np

from risk.core.errors import PricingRefused
from risk.core.house import HouseSettings
from risk.core.pricing import PPM, from_ppm, instalment_share
from risk.core.rate_table import RateRow, place_in_band
from risk.core.scorecard import MOST_REASONS
from risk.core.table import FloatArray, IntArray


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
    """Decide each application by the strictest rule that speaks.

    Declined: PD beyond the last band, an amount outside the house's limits, or an instalment at
    the guide rate above the largest share of income. Referred: PD close under the last band's
    edge, an instalment above the smaller share, or an income not stated. Applications on which the
    same rules speak in the same market share one verdict.

    Args:
        pd12_ppm: 12-month PDs, ppm, shape ``(n,)``.

    Raises:
        PricingRefused: for a term that the rate table has not, or PDs of another number.
    """
    if len(asked) != len(pd12_ppm):
        raise PricingRefused("Each application needs its probability of going bad.")
    market = _markets([one.term_months for one in asked], pd12_ppm, settings, rows)
    amounts = np.array([one.amount_pence for one in asked], dtype=np.float64)
    spoken = [
        _risk_rule(pd12_ppm, settings),
        _amount_rule(amounts, settings),
        np.where(market >= 0, _income_rule(asked, amounts, market, settings, rows), _SILENT),
    ]
    rules = _rules(settings)
    shape = (len(rows) + 1, *[len(rules) + 1] * len(spoken))
    keys, of = np.unique(
        np.ravel_multi_index(tuple(answer + 1 for answer in (market, *spoken)), shape),
        return_inverse=True,
    )
    verdicts = [
        _verdict(
            rows[int(place) - 1] if place else None,
            [rules[int(one) - 1] for one in said if one],
        )
        for place, *said in zip(*np.unravel_index(keys, shape), strict=True)
    ]
    return [verdicts[key] for key in of.tolist()]


def with_score_reasons(verdict: Verdict, scored: Sequence[str]) -> tuple[str, ...]:
    """The rules that spoke, then the score's reasons, at most four in all."""
    return (*verdict.rules, *scored)[:MOST_REASONS]


class _Rule(NamedTuple):
    decision: Decision
    words: str


# Places in the list of rules; silent: the rule has nothing against the application.
_SILENT, _BEYOND, _CLOSE, _TOO_LITTLE, _TOO_MUCH, _NO_INCOME, _LARGE, _TOO_LARGE = range(-1, 7)


def _rules(settings: HouseSettings) -> list[_Rule]:
    least, most = settings.rules.least_amount or 0, settings.rules.most_amount or 0
    return [
        _Rule(Decision.DECLINED, "The risk is above what we lend to."),
        _Rule(Decision.REFERRED, "The risk is close to the most that we lend to."),
        _Rule(Decision.DECLINED, f"The amount is under {_pounds(least)}, the least that we lend."),
        _Rule(Decision.DECLINED, f"The amount is above {_pounds(most)}, the most that we lend."),
        _Rule(Decision.REFERRED, "The income is not known."),
        _Rule(Decision.REFERRED, "The instalment would take a large share of the income."),
        _Rule(Decision.DECLINED, "The instalment would take too large a share of the income."),
    ]


def _pounds(pence: int) -> str:
    return f"£{pence / 100:,.2f}".removesuffix(".00")


def _verdict(row: RateRow | None, rules: Sequence[_Rule]) -> Verdict:
    for decision in (Decision.DECLINED, Decision.REFERRED):
        said = tuple(rule.words for rule in rules if rule.decision is decision)
        if said:
            return Verdict(decision, row, said)
    return Verdict(Decision.QUOTED, row, ())


def _markets(
    months: Sequence[int], pd12_ppm: IntArray, settings: HouseSettings, rows: Sequence[RateRow]
) -> IntArray:
    """The place of each application's market among the rows; -1 beyond the last band."""
    terms = sorted({row.term_months for row in rows})
    column = {term: place for place, term in enumerate(terms)}
    for term in dict.fromkeys(months):
        if term not in column:
            raise PricingRefused(f"There is no market over {term} months.", field="term_months")
    table = np.full((len(settings.bands) + 1, max(len(terms), 1)), -1, dtype=np.int64)
    for place, row in enumerate(rows):
        table[row.position - 1, column[row.term_months]] = place
    columns = np.array([column[term] for term in months], dtype=np.int64)
    found: IntArray = table[place_in_band(pd12_ppm, settings), columns]
    return found


def _risk_rule(pd12_ppm: IntArray, settings: HouseSettings) -> IntArray:
    edge = settings.bands[-1].pd_to_ppm
    close = pd12_ppm * PPM > edge * (PPM - settings.rules.referral_margin_ppm)
    return np.where(pd12_ppm > edge, _BEYOND, np.where(close, _CLOSE, _SILENT))


def _amount_rule(amounts: FloatArray, settings: HouseSettings) -> IntArray:
    least, most = settings.rules.least_amount, settings.rules.most_amount
    little = amounts < (-np.inf if least is None else least)
    much = amounts > (np.inf if most is None else most)
    return np.where(little, _TOO_LITTLE, np.where(much, _TOO_MUCH, _SILENT))


def _income_rule(
    asked: Sequence[Asked],
    amounts: FloatArray,
    market: IntArray,
    settings: HouseSettings,
    rows: Sequence[RateRow],
) -> IntArray:
    """What the instalment at the market's guide rate says; of no market, it says nothing."""
    shares = np.array(
        [float(instalment_share(from_ppm(row.guide_rate), row.term_months)) for row in rows] + [0.0]
    )
    applies = np.array([one.income_known for one in asked], dtype=bool)
    income = np.array([one.monthly_income_pence for one in asked], dtype=np.float64)
    instalment = amounts * shares[market] * PPM
    stated = np.isfinite(income)
    income = np.where(stated, income, 0.0)
    rules = settings.rules
    said = np.where(instalment > income * rules.refer_share_ppm, _LARGE, _SILENT)
    said = np.where(instalment > income * rules.most_share_ppm, _TOO_LARGE, said)
    return np.where(applies, np.where(stated, said, _NO_INCOME), _SILENT)
