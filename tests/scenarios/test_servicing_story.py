"""Two months of fifty loans in every run, two years of a thousand in the nightly setting."""

from __future__ import annotations

import os
from datetime import date

import pytest

from marketplace.core.states import LoanState
from tests.scenarios.servicing_story import Plan, Story, audited

pytestmark = pytest.mark.usefixtures("committed_db")


def test_sixty_days_of_fifty_loans() -> None:
    days: list[date] = []

    def each_day(day: date) -> None:
        audited(day)
        days.append(day)

    story = Story(Plan())
    story.live(each_day)
    assert len(days) == 60
    # The story is about what it says: all of these happened, and bad requests were refused.
    for name in ("accept", "pay", "prepay, shorter", "prepay, smaller", "settle", "due day"):
        assert story.done[name], (name, story.done, story.refused)
    assert story.done["holiday"]
    assert story.done["decide"]
    assert story.done["recover"]
    assert story.refused
    assert {LoanState.ARREARS, LoanState.DEFAULT, LoanState.REPAID} <= story.seen


@pytest.mark.skipif("TENNER_NIGHTLY" not in os.environ, reason="minutes: set TENNER_NIGHTLY")
def test_days_are_missed_while_people_work_on_loans() -> None:
    """Every other day nobody closes: what people did meanwhile stays in order, and counts once."""
    story = Story(Plan(seed=3, loans=30, days=90, missed=0.5))
    story.live(audited)
    assert story.done["bounced"]
    assert LoanState.ARREARS in story.seen


@pytest.mark.skipif("TENNER_NIGHTLY" not in os.environ, reason="hours: set TENNER_NIGHTLY")
def test_two_years_of_a_thousand_loans() -> None:
    plan = Plan(seed=20, loans=1_000, lenders=60, days=730, busy=0.01, applied_within=300)
    story = Story(plan)
    story.live(audited)
    assert set(LoanState) <= {LoanState(state) for state in story.seen}
