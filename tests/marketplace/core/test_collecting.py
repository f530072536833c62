"""The sandbox's bank: drawn by seed, loan, due date and attempt, and by nothing else."""

from __future__ import annotations

import random
from collections import Counter
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.core.collecting import (
    PPM,
    CollectorRefused,
    FileCollector,
    Presented,
    SandboxCollector,
    SandboxRates,
)

DUE = date(2016, 5, 3)
MANY = [
    Presented(loan, DUE + timedelta(days=30 * month))
    for loan in range(1, 2_001)
    for month in range(10)
]


@given(st.integers(), st.integers(1, 2**40), st.dates(), st.integers(1, 99), st.randoms())
def test_any_order_and_any_run_answers_the_same(
    seed: int, loan: int, due_on: date, attempt: int, order: random.Random
) -> None:
    rates = SandboxRates(fails=300_000, bounces=300_000)
    asked = [Presented(loan, due_on, attempt + more) for more in range(5)]
    first = {one: SandboxCollector(seed, rates).answer(one) for one in asked}
    shuffled = order.sample(asked, len(asked))
    again = SandboxCollector(seed, rates)
    assert {one: again.answer(one) for one in shuffled} == first


def test_as_often_as_the_rates_say() -> None:
    """Of 20,000, 5 % fail and 2 % bounce, to within five standard deviations."""
    collector = SandboxCollector(7, SandboxRates(fails=50_000, bounces=20_000, latest_bounce=4))
    answers = [collector.answer(one) for one in MANY]
    failed = sum(not answer.collected for answer in answers)
    bounced = Counter(answer.bounces_after for answer in answers if answer.bounces_after)
    # sqrt(20000 x 0.05 x 0.95) = 30.8 and sqrt(20000 x 0.02 x 0.98) = 19.8.
    assert abs(failed - 1_000) < 5 * 30.8
    assert abs(bounced.total() - 400) < 5 * 19.8
    # Each of four days is as likely: 100 of them, give or take 5 x sqrt(400 x 1/4 x 3/4) = 43.
    assert sorted(bounced) == [1, 2, 3, 4]
    assert all(abs(count - 100) < 5 * 8.7 + 20 for count in bounced.values())
    assert all(answer.collected for answer in answers if answer.bounces_after)
    assert all(
        bool(answer.reason) == (not answer.collected or answer.bounces_after > 0)
        for answer in answers
    )


def test_seeds_loans_days_and_attempts_draw_apart() -> None:
    rates = SandboxRates(fails=PPM // 2, bounces=0)

    def drawn(seed: int, attempt: int) -> list[bool]:
        collector = SandboxCollector(seed, rates)
        return [
            collector.answer(Presented(one.loan_id, one.due_on, attempt)).collected
            for one in MANY[:2_000]
        ]

    first = drawn(1, 1)
    for other in (drawn(2, 1), drawn(1, 2)):
        same = sum(one == two for one, two in zip(first, other, strict=True))
        # Half of 2,000 agree by chance: 1,000, give or take five times sqrt(500) = 22.4.
        assert abs(same - 1_000) < 5 * 22.4
    assert 0 < sum(first) < len(first)


def test_nobody_and_everybody() -> None:
    for rates, collected, bounces in (
        (SandboxRates(0, 0), True, False),
        (SandboxRates(PPM, 0), False, False),
        (SandboxRates(0, PPM, 1), True, True),
    ):
        answers = [SandboxCollector(3, rates).answer(one) for one in MANY[:200]]
        assert {answer.collected for answer in answers} == {collected}
        assert {bool(answer.bounces_after) for answer in answers} == {bounces}


@pytest.mark.parametrize(
    "rates",
    [
        {"fails": -1},
        {"bounces": -1},
        {"fails": PPM, "bounces": 1},
        {"latest_bounce": 0},
        {"latest_bounce": 21},
    ],
)
def test_rates_that_cannot_be(rates: dict[str, Any]) -> None:
    with pytest.raises(CollectorRefused):
        SandboxRates(**rates)


def test_a_bank_answers_later() -> None:
    collector = FileCollector(2)
    assert collector.by_file
    assert collector.answer(MANY[0]).collected
    assert not collector.answer(MANY[0]).bounces_after
    for days in (0, -1, 21):
        with pytest.raises(CollectorRefused):
            FileCollector(days)
