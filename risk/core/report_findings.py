"""What a validation report says in plain words: one judgement a subject, each by a stated rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from risk.core.report_columns import ColumnReport
from risk.core.report_groups import FOUR_FIFTHS, GroupTable, PeriodRow
from risk.core.stability import Stability, Verdict
from risk.core.validation import CalibrationLine, Figures, Fit, Interval, hosmer_lemeshow

# An AUC under the first is weak; over the last it is too good to be believed.
_WEAK_AUC, _STRONG_AUC, _DOUBTFUL_AUC = 0.6, 0.75, 0.92
# So much more AUC in training than held out is overfitting, where chance doesn't explain it.
_OVERFIT = 0.03
# A slope so near 1 is good enough, however certain; one outside the wider range is bad.
_GOOD_SLOPE, _BAD_SLOPE = (0.9, 1.15), (0.7, 1.4)
# A slope's interval wider than this says nothing.
_WIDEST_SLOPE = 2.0
# Predicted over actual outside this range is bad, where chance doesn't explain it.
_BAD_LEVEL = (0.8, 1.25)
# Chances of a misfit by chance under which one looks, and under which it is bad.
_LOOK_CHANCE, _BAD_CHANCE = 0.05, 0.001
# With fewer bad rows held out than this, intervals are too wide to judge by.
_FEW_BAD = 100


class Level(Enum):
    """How a figure is to be taken."""

    GOOD = "good"
    LOOK = "look"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """One judgement: its subject, how it is to be taken, and a sentence with the figures."""

    subject: str
    level: Level
    sentence: str


def findings(
    *,
    training: Figures,
    holdout: Figures,
    area: Interval,
    line: CalibrationLine,
    by_decile: Fit,
    score: Stability,
    columns: Sequence[ColumnReport],
    by_time: Sequence[PeriodRow],
    groups: Sequence[GroupTable],
) -> tuple[Finding, ...]:
    """All judgements of a report, in the order in which it shows them."""
    made = [
        _separation(area),
        _overfitting(training, area),
        _level(holdout),
        _slope(line.slope),
        _deciles(by_decile),
        _score(score),
        _inputs(columns),
    ]
    if by_time:
        made.append(_time(by_time))
    made += [_group(table) for table in groups if table.compared_with is not None]
    if holdout.bad < _FEW_BAD:
        made.append(
            Finding(
                "Sample",
                Level.LOOK,
                f"Only {holdout.bad:,} of the rows held out went bad: every interval is wide, and "
                "another split could look different.",
            )
        )
    return tuple(made)


def _separation(area: Interval) -> Finding:
    said = f"{_percent(area.value, 0)} of pairs of a bad and a good application are ranked rightly"
    if area.low <= 0.5:
        return Finding("Separation", Level.BAD, f"{said}, which could be chance (50 %).")
    if area.value < _WEAK_AUC:
        return Finding("Separation", Level.LOOK, f"{said}: better than chance (50 %), but weak.")
    if area.value > _DOUBTFUL_AUC:
        return Finding(
            "Separation",
            Level.LOOK,
            f"{said}. That is rarely true of credit: look for a column that knows the outcome.",
        )
    word = "strong" if area.value >= _STRONG_AUC else "usual for credit"
    return Finding("Separation", Level.GOOD, f"{said}: {word}.")


def _overfitting(training: Figures, area: Interval) -> Finding:
    said = (
        f"AUC is {training.auc:.3f} on the rows learnt from and {area.value:.3f} on those held out"
    )
    if training.auc - area.value > _OVERFIT and training.auc > area.high:
        return Finding(
            "Overfitting", Level.LOOK, f"{said}: part of what was learnt was peculiar to them."
        )
    return Finding("Overfitting", Level.GOOD, f"{said}: what was learnt holds.")


def _level(holdout: Figures) -> Finding:
    predicted, actual = _percent(holdout.mean_predicted, 2), _percent(holdout.mean_actual, 2)
    said = f"{predicted} were predicted to go bad, {actual} did"
    spread = (holdout.mean_actual * (1 - holdout.mean_actual) / holdout.rows) ** 0.5
    if abs(holdout.mean_predicted - holdout.mean_actual) <= 2 * spread:
        return Finding("Level", Level.GOOD, f"{said}: no more apart than chance explains.")
    low, high = _BAD_LEVEL
    near = low <= holdout.mean_predicted / holdout.mean_actual <= high
    side = "few" if holdout.mean_predicted < holdout.mean_actual else "many"
    return Finding(
        "Level", Level.LOOK if near else Level.BAD, f"{said}: the model expects too {side}."
    )


def _slope(slope: Interval) -> Finding:
    said = f"The calibration slope is {slope.value:.2f} ({slope.low:.2f} to {slope.high:.2f})"
    if slope.high - slope.low > _WIDEST_SLOPE:
        return Finding("Spread", Level.LOOK, f"{said}: too uncertain to say anything.")
    if slope.holds(1.0) or _GOOD_SLOPE[0] <= slope.value <= _GOOD_SLOPE[1]:
        return Finding("Spread", Level.GOOD, f"{said}: differences of risk are told truly.")
    told = (
        "the model exaggerates differences of risk"
        if slope.value < 1
        else "the model understates differences of risk"
    )
    near = _BAD_SLOPE[0] <= slope.value <= _BAD_SLOPE[1]
    return Finding("Spread", Level.LOOK if near else Level.BAD, f"{said}: {told}.")


def _deciles(fit: Fit) -> Finding:
    level = _by_chance(fit.chance)
    told = "no misfit shows" if level is Level.GOOD else "look at where the groups leave the line"
    return Finding(
        "Fit by decile",
        level,
        "If the model is right, outcomes of its ten risk groups are as far from the predictions "
        f"as here {_chance(fit.chance)}: {told}.",
    )


def _score(score: Stability) -> Finding:
    said = (
        f"The stability index of the score is {score.index:.3f}; "
        f"{score.expected_noise:.3f} is what chance alone gives"
    )
    told = {
        Verdict.STABLE: "the rows held out are like those learnt from",
        Verdict.AMBER: "the rows held out are not quite like those learnt from",
        Verdict.RED: "the rows held out are of another population",
    }
    return Finding("Stability", _BY_VERDICT[score.verdict], f"{said}: {told[score.verdict]}.")


def _inputs(columns: Sequence[ColumnReport]) -> Finding:
    moved = [column for column in columns if column.stability.verdict is not Verdict.STABLE]
    if not moved:
        return Finding("Inputs", Level.GOOD, f"All {len(columns)} inputs are as in training.")
    red = any(column.stability.verdict is Verdict.RED for column in moved)
    return Finding(
        "Inputs",
        Level.BAD if red else Level.LOOK,
        f"{len(moved)} of {len(columns)} inputs have moved: "
        f"{', '.join(column.words for column in moved)}.",
    )


def _time(by_time: Sequence[PeriodRow]) -> Finding:
    fit = hosmer_lemeshow([row.calibration for row in by_time])
    moved = [r.calibration.group for r in by_time if r.stability.verdict is not Verdict.STABLE]
    level = _by_chance(fit.chance)
    told = (
        f"If the model is right, outcomes of the {len(by_time)} periods are as far from the "
        f"predictions as here {_chance(fit.chance)}"
    )
    if not moved:
        return Finding("Time", level, f"{told}; scores are as in training in every period.")
    return Finding(
        "Time",
        Level.LOOK if level is Level.GOOD else level,
        f"{told}; scores have moved in {', '.join(moved)}.",
    )


def _group(table: GroupTable) -> Finding:
    subject = f"Groups by {table.words}"
    below = [row for row in table.rows if row.below_four_fifths]
    if not below:
        return Finding(
            subject,
            Level.GOOD,
            f"Every group is approved at {_percent(FOUR_FIFTHS, 0)} or more of the rate of "
            f"“{table.compared_with}”.",
        )
    certain = [row for row in below if row.certain]
    names = ", ".join(f"“{row.calibration.group}”" for row in certain or below)
    told = "more than chance explains" if certain else "chance could explain it"
    return Finding(
        subject,
        Level.LOOK,
        f"{names}: approved at less than {_percent(FOUR_FIFTHS, 0)} of the rate of "
        f"“{table.compared_with}”; {told}.",
    )


def _by_chance(chance: float) -> Level:
    if chance < _BAD_CHANCE:
        return Level.BAD
    return Level.LOOK if chance < _LOOK_CHANCE else Level.GOOD


def _chance(chance: float) -> str:
    if chance < _BAD_CHANCE:
        return "less than once in 1,000 times"
    return f"{_percent(chance, 1)} of the time"


def _percent(share: float, decimals: int) -> str:
    return f"{100 * share:.{decimals}f}\u00a0%"


_BY_VERDICT = {
    Verdict.STABLE: Level.GOOD,
    Verdict.AMBER: Level.LOOK,
    Verdict.RED: Level.BAD,
}
