"""How figures are written."""

from __future__ import annotations

import pytest

from api.wording import answered, percent, pounds, short_percent
from marketplace.core.match_answers import MatchAnswer


@pytest.mark.parametrize(
    ("ppm", "exact", "short"),
    [
        (71_250, "7.125", "7.12"),  # halves to even
        (71_251, "7.1251", "7.13"),
        (70_000, "7.00", "7.00"),
        (70_500, "7.05", "7.05"),
        (70_040, "7.004", "7.00"),
        (1, "0.0001", "0.00"),
        (0, "0.00", "0.00"),
        (-12_345, "-1.2345", "-1.23"),
        (1_000_000, "100.00", "100.00"),
    ],
)
def test_rates(ppm: int, exact: str, short: str) -> None:
    assert percent(ppm) == exact
    assert short_percent(ppm) == short


@pytest.mark.parametrize(
    ("pence", "written"),
    [(0, "£0.00"), (5, "£0.05"), (123_456, "£1,234.56"), (-1, "-£0.01")],
)
def test_amounts(pence: int, written: str) -> None:
    assert pounds(pence) == written


def test_every_answer_has_a_sentence_of_its_own() -> None:
    sentences = {answered(answer) for answer in MatchAnswer}
    assert len(sentences) == len(MatchAnswer)
    assert all(sentence.endswith(".") for sentence in sentences)
