"""What is alarming in what was found: drafts of alarms, in words that an officer can act on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import date
from enum import Enum, IntEnum, StrEnum

from risk.core.monitoring import FALSE_ALARM_RATE, Cohort, Finding, holm
from risk.core.monthly_stability import SCORE, MonthStability
from risk.core.roll_rates import Worsening
from risk.core.stability import Verdict

# A shift of a month long past is no news: what was said of it stands in the alarm of its time.
NEWEST_MONTHS = 2
_DIGITS = 12


class AlarmKind(StrEnum):
    """What stopped being true."""

    PREDICTION = "prediction"
    ROLL_RATE = "roll_rate"
    STABILITY = "stability"


@dataclass(frozen=True, slots=True)
class AlarmDraft:
    """An alarm to be raised: ``subject`` is for people, ``subject_key`` the same for programs."""

    kind: AlarmKind
    subject: str
    subject_key: str
    words: str
    figures: object


def prediction_alarms(cohorts: Sequence[Cohort]) -> list[AlarmDraft]:
    """One for each cohort whose outcome is beyond what chance allows."""
    return [
        AlarmDraft(
            AlarmKind.PREDICTION,
            one.name,
            one.key,
            f"{one.actual:,} of {one.loans:,} loans defaulted where {one.expected:,.1f} were"
            f" expected by now (chance {one.chance:.2g}); by amount"
            f" £{one.actual_amount / 100:,.0f} where £{one.expected_amount / 100:,.0f} were"
            f" expected (chance {one.amount_chance:.2g}): {one.finding.value}.",
            plain(one),
        )
        for one in cohorts
        if one.finding is not Finding.AS_EXPECTED
    ]


def roll_alarms(found: Sequence[Worsening], *, rate: float = FALSE_ALARM_RATE) -> list[AlarmDraft]:
    """One for each bucket from which more loans got worse than in the window before.

    All buckets are one family under Holm's procedure. Fewer is no alarm.
    """
    speaks = holm([one.chance for one in found], rate)
    return [
        AlarmDraft(
            AlarmKind.ROLL_RATE,
            f"loans that began a month {_standing(one)}",
            one.bucket.label,
            f"{one.worse:,} of {one.of:,} loan-months got worse"
            f" ({one.worse / one.of:.1%}), after {one.worse_before:,} of {one.of_before:,}"
            f" ({one.worse_before / one.of_before:.1%}) in the window before"
            f" (chance {one.chance:.2g}).",
            plain(one),
        )
        for one, spoken in zip(found, speaks.tolist(), strict=True)
        if spoken and one.worse * one.of_before > one.worse_before * one.of
    ]


def stability_alarms(found: Sequence[MonthStability], model: str) -> list[AlarmDraft]:
    """One for the score and for each input that is red in one of the newest months.

    Args:
        found: comparisons by month.
        model: name and number of the model version, part of the subject.
    """
    newest = sorted({one.month for one in found})[-NEWEST_MONTHS:]
    red = [one for one in found if one.month in newest and one.stability.verdict is Verdict.RED]
    drafts = []
    for what in dict.fromkeys(one.what for one in red):
        worst = max((one for one in red if one.what == what), key=lambda one: one.stability.index)
        result = worst.stability
        shown = "the score" if what == SCORE else f"the input {what}"
        drafts.append(
            AlarmDraft(
                AlarmKind.STABILITY,
                f"{shown} of {model}"[:120],
                f"{model}/{what}"[:120],
                f"The {result.recent_rows:,} applications of {worst.month} are not those that the"
                f" model learnt from: index {result.index:.2f}, red above {result.red:.2f} at this"
                " number.",
                plain(worst),
            )
        )
    return drafts


def plain(value: object) -> object:
    """Dataclasses, enumerations, days and numbers as what JSON holds; floats to 12 digits.

    So a figure is the same text wherever it was computed.

    Raises:
        TypeError: for anything else.
    """
    made: object
    if is_dataclass(value) and not isinstance(value, type):
        made = {each.name: plain(getattr(value, each.name)) for each in fields(value)}
    elif isinstance(value, tuple | list):
        made = [plain(each) for each in value]
    elif isinstance(value, IntEnum):
        made = value.name.lower()
    elif isinstance(value, Enum):
        made = value.value
    elif isinstance(value, float):
        made = float(f"{value:.{_DIGITS}g}")
    elif isinstance(value, date):
        made = value.isoformat()
    elif value is None or isinstance(value, str | int):
        made = value
    else:
        raise TypeError(f"{type(value).__name__} has no plain form")
    return made


def _standing(one: Worsening) -> str:
    return "current" if one.bucket == 0 else f"{one.bucket.label} days past due"
