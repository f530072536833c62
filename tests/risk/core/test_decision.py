"""Hard rules: quoted, referred or declined, with reasons."""

from __future__ import annotations

import numpy as np
import pytest

from risk.core.decision import Asked, Decision, Verdict, decide, with_score_reasons
from risk.core.errors import PricingRefused
from risk.core.house import house_from_toml
from risk.core.rate_table import build_rates
from risk.specs import spec_text

HOUSE = house_from_toml(spec_text("house"))
ROWS = build_rates(HOUSE, np.array([9_000, 15_000, 21_000, 30_000, 42_000, 66_000]))
EASY = Asked(100_000, 36, 300_000.0, income_known=True)


def _decide(asked: Asked, pd12_ppm: int) -> Verdict:
    (verdict,) = decide([asked], np.array([pd12_ppm]), HOUSE, ROWS)
    return verdict


@pytest.mark.parametrize(
    ("pd12_ppm", "band", "decision"),
    [
        (5_000, "A*", Decision.QUOTED),
        (12_000, "A*", Decision.QUOTED),
        (12_001, "A", Decision.QUOTED),
        (81_000, "E", Decision.QUOTED),
        (81_001, "E", Decision.REFERRED),
        (90_000, "E", Decision.REFERRED),
    ],
)
def test_risk_decides_band_and_decision(pd12_ppm: int, band: str, decision: Decision) -> None:
    verdict = _decide(EASY, pd12_ppm)
    assert verdict.row is not None
    assert (verdict.row.band, verdict.decision) == (band, decision)


def test_beyond_the_last_band_is_declined_without_a_price() -> None:
    verdict = _decide(EASY, 90_001)
    assert (verdict.decision, verdict.row) == (Decision.DECLINED, None)
    assert verdict.rules == ("The risk is above what we lend to.",)


@pytest.mark.parametrize(
    ("income", "decision"),
    # £1,000 over 36 months at about 5.8 % is about £30.30 a month: 20 % of £151, 30 % of £101.
    [
        (16_000.0, Decision.QUOTED),
        (14_000.0, Decision.REFERRED),
        (9_000.0, Decision.DECLINED),
        (0.0, Decision.DECLINED),
        (None, Decision.REFERRED),
        (float("nan"), Decision.REFERRED),
    ],
)
def test_the_instalment_must_leave_enough_of_the_income(
    income: float | None, decision: Decision
) -> None:
    assert _decide(Asked(100_000, 36, income, income_known=True), 9_000).decision is decision


def test_without_a_column_of_income_there_is_no_such_rule() -> None:
    asked = Asked(100_000, 36, None, income_known=False)
    assert _decide(asked, 9_000).decision is Decision.QUOTED


@pytest.mark.parametrize(
    ("pence", "decision", "words"),
    [
        (99_000, Decision.DECLINED, "The amount is under £1,000, the least that we lend."),
        (100_000, Decision.QUOTED, ""),
        (2_500_000, Decision.QUOTED, ""),
        (2_501_000, Decision.DECLINED, "The amount is above £25,000, the most that we lend."),
    ],
)
def test_the_amount_must_be_within_the_house_s_limits(
    pence: int, decision: Decision, words: str
) -> None:
    verdict = _decide(Asked(pence, 36, None, income_known=False), 9_000)
    assert (verdict.decision, "".join(verdict.rules)) == (decision, words)
    assert verdict.row is not None


def test_a_limit_in_pence_is_said_in_pence() -> None:
    odd = house_from_toml(
        spec_text("house").replace("least_pence = 100_000", "least_pence = 1_050")
    )
    (verdict,) = decide([Asked(1_000, 36, None, income_known=False)], np.array([0]), odd, ROWS)
    assert verdict.rules == ("The amount is under £10.50, the least that we lend.",)


def test_every_rule_that_declines_is_told() -> None:
    verdict = _decide(Asked(2_600_000, 36, 100.0, income_known=True), 9_000)
    assert verdict.rules == (
        "The amount is above £25,000, the most that we lend.",
        "The instalment would take too large a share of the income.",
    )
    beyond = _decide(Asked(50_000, 36, 0.0, income_known=True), 95_000)
    assert beyond.rules == (
        "The risk is above what we lend to.",
        "The amount is under £1,000, the least that we lend.",
    )


def test_a_crowd_is_decided_as_each_alone() -> None:
    rng = np.random.default_rng(3)
    incomes = [None, float("nan"), 0.0, 10_000.0, 60_000.0, 200_000.0]
    asked = [
        Asked(
            int(rng.integers(50_000, 2_600_000)),
            int(rng.choice([36, 60])),
            incomes[int(rng.integers(len(incomes)))],
            income_known=bool(rng.random() < 0.8),
        )
        for _ in range(400)
    ]
    pds = rng.integers(0, 100_000, len(asked))
    together = decide(asked, pds, HOUSE, ROWS)
    alone = [_decide(one, pd) for one, pd in zip(asked, pds.tolist(), strict=True)]
    assert together == alone
    assert {verdict.decision for verdict in together} == set(Decision)


def test_nobody_asked_is_nobody_decided() -> None:
    assert decide([], np.zeros(0, dtype=np.int64), HOUSE, ROWS) == []


def test_each_application_needs_its_chance() -> None:
    with pytest.raises(PricingRefused, match="Each application"):
        decide([EASY], np.array([1, 2]), HOUSE, ROWS)


def test_a_decline_outweighs_a_referral() -> None:
    verdict = _decide(Asked(100_000, 36, 0.0, income_known=True), 85_000)
    assert verdict.decision is Decision.DECLINED
    assert len(verdict.rules) == 1


def test_rules_come_before_the_score_and_four_reasons_are_enough() -> None:
    verdict = _decide(EASY, 90_001)
    assert with_score_reasons(verdict, ["a", "b", "c", "d"]) == (*verdict.rules, "a", "b", "c")


def test_a_term_without_a_market_is_refused() -> None:
    with pytest.raises(PricingRefused, match="48 months"):
        _decide(Asked(100_000, 48, None, income_known=False), 9_000)
