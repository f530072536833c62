"""A fitted scorecard: probabilities, points and reasons from a table of applications."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from scipy.special import expit

from risk.core.encoding import Coding, NumberCoding, TextCoding, bin_places
from risk.core.errors import FactsRefused, ScorecardRefused
from risk.core.spec import DataSpec, Direction, Kind
from risk.core.table import FloatArray, Table

MOST_REASONS = 4


@dataclass(frozen=True, slots=True)
class ScorecardSettings:
    """How a scorecard is fitted and how its points are shown.

    ``inputs`` are the columns asked for, none for all that the specification allows. Numeric
    columns get at most ``most_steps`` steps; text levels under ``rare_share`` of the rows or
    ``rare_rows`` rows are pooled. The penalty on steps (``ridge``, ``lasso``) and on text levels
    (``text_ridge``) is scaled by the one of ``strengths`` that does best over ``folds`` folds.
    ``base_points`` mean odds of ``base_odds`` good to one bad, and ``double_points`` more double
    the odds.
    """

    inputs: tuple[str, ...] | None = None
    most_steps: int = 12
    rare_share: float = 0.005
    rare_rows: int = 30
    folds: int = 5
    ridge: float = 10.0
    lasso: float = 5.0
    text_ridge: float = 50.0
    strengths: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
    base_points: float = 600.0
    base_odds: float = 20.0
    double_points: float = 40.0

    @property
    def points_a_log_odds(self) -> float:
        """Points for each unit of log-odds."""
        return self.double_points / math.log(2.0)


@dataclass(frozen=True, slots=True)
class Effect:
    """One column's part of the log-odds of bad: a value a bin, and their average in training."""

    coding: Coding
    values: tuple[float, ...]
    average: float
    direction: Direction | None = None


@dataclass(frozen=True, slots=True)
class Scorecard:
    """An additive, calibrated model of the log-odds of bad within ``outcome_months``.

    ``strength`` is the penalty chosen; ``calibration_slope`` the slope of the out-of-fold
    recalibration, which ``intercept`` and the effects already hold.
    """

    outcome_months: int
    intercept: float
    effects: tuple[Effect, ...]
    settings: ScorecardSettings
    seed: int
    strength: float
    calibration_slope: float
    training_rows: int
    training_bad: int

    def kinds(self) -> dict[str, Kind | None]:
        """The columns that it reads, with their kinds."""
        return {
            effect.coding.column: Kind.NUMBER
            if isinstance(effect.coding, NumberCoding)
            else Kind.TEXT
            for effect in self.effects
        }

    def to_json(self) -> dict[str, Any]:
        """As plain values that JSON can hold; :func:`scorecard_from_json` reads them back."""
        return {
            **{f.name: getattr(self, f.name) for f in fields(self) if f.name not in _NESTED},
            "settings": asdict(self.settings),
            "effects": [_effect_to_json(effect) for effect in self.effects],
        }


_NESTED = {"settings", "effects"}


def _effect_to_json(effect: Effect) -> dict[str, Any]:
    cut: dict[str, Any] = (
        {"edges": list(effect.coding.edges)}
        if isinstance(effect.coding, NumberCoding)
        else {"levels": list(effect.coding.levels)}
    )
    return {
        "column": effect.coding.column,
        **cut,
        "values": list(effect.values),
        "average": effect.average,
        "direction": effect.direction.value if effect.direction else None,
    }


def scorecard_from_json(values: Mapping[str, Any]) -> Scorecard:
    """Read back what :meth:`Scorecard.to_json` wrote.

    Raises:
        ScorecardRefused: when something is missing or doesn't fit.
    """
    try:
        plain = {f.name: values[f.name] for f in fields(Scorecard) if f.name not in _NESTED}
        settings = dict(values["settings"])
        settings["strengths"] = tuple(settings["strengths"])
        if settings["inputs"] is not None:
            settings["inputs"] = tuple(settings["inputs"])
        return Scorecard(
            **plain,
            settings=ScorecardSettings(**settings),
            effects=tuple(_effect_from_json(effect) for effect in values["effects"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ScorecardRefused(f"The stored scorecard can't be read: {error!r}.") from error


def _effect_from_json(values: Mapping[str, Any]) -> Effect:
    coding: Coding = (
        NumberCoding(values["column"], tuple(values["edges"]))
        if "edges" in values
        else TextCoding(values["column"], tuple(values["levels"]))
    )
    if len(values["values"]) != coding.bins:
        raise ValueError(f"{coding.column} has {len(values['values'])} values")
    direction = values["direction"]
    return Effect(
        coding,
        tuple(values["values"]),
        values["average"],
        Direction(direction) if direction else None,
    )


def log_odds(scorecard: Scorecard, table: Table) -> FloatArray:
    """Calibrated log-odds of bad within the outcome's months, shape ``(n,)``, always finite.

    Raises:
        FactsRefused: when the table lacks a column of the scorecard.
    """
    total: FloatArray = _contributions(scorecard, table).sum(axis=1) + scorecard.intercept
    return total


def predict_bad(scorecard: Scorecard, table: Table) -> FloatArray:
    """Probability of bad within the outcome's months, shape ``(n,)``, above 0 and below 1.

    Raises:
        FactsRefused: when the table lacks a column of the scorecard.
    """
    return np.asarray(expit(log_odds(scorecard, table)), dtype=np.float64)


def points(scorecard: Scorecard, table: Table) -> FloatArray:
    """Score points, shape ``(n,)``: more is better.

    Raises:
        FactsRefused: when the table lacks a column of the scorecard.
    """
    settings = scorecard.settings
    good_odds = -log_odds(scorecard, table)
    above_base = good_odds - math.log(settings.base_odds)
    return settings.base_points + settings.points_a_log_odds * above_base


def reasons(
    scorecard: Scorecard, table: Table, spec: DataSpec, *, most: int = MOST_REASONS
) -> list[tuple[str, ...]]:
    """For each row the principal points lost against the average of training, in plain words.

    At most ``most`` a row, the largest loss first; a loss under one point is no reason.

    Raises:
        FactsRefused: when the table lacks a column of the scorecard.
    """
    averages = np.array([effect.average for effect in scorecard.effects])
    lost = (_contributions(scorecard, table) - averages) * scorecard.settings.points_a_log_odds
    order = np.argsort(-lost, axis=1, kind="stable")[:, :most]
    sentences = {
        place: _sentences(scorecard.effects[place], spec) for place in np.unique(order).tolist()
    }
    bins = {
        place: bin_places(
            scorecard.effects[place].coding,
            table.columns[scorecard.effects[place].coding.column],
        )
        for place in sentences
    }
    return [
        tuple(
            sentences[place][bins[place][row]]
            for place in order[row].tolist()
            if lost[row, place] >= 1.0
        )
        for row in range(len(table))
    ]


def _sentences(effect: Effect, spec: DataSpec) -> tuple[str, ...]:
    """What is said of each bin of a column."""
    column = spec.column(effect.coding.column)
    unknown = f"The {column.words} is not known."
    if isinstance(effect.coding, TextCoding):
        said = [
            f"The {column.words}: {column.levels.get(level, level)}."
            for level in effect.coding.levels
        ]
        return (*said, f"The {column.words} is an unusual one.", unknown)
    side = "low" if effect.direction is Direction.FALLING else "high"
    return (*[f"The {column.words} is {side}."] * (effect.coding.bins - 1), unknown)


def _contributions(scorecard: Scorecard, table: Table) -> FloatArray:
    """Each column's part of the log-odds, shape ``(n, columns)``."""
    parts = np.empty((len(table), len(scorecard.effects)))
    for place, effect in enumerate(scorecard.effects):
        name = effect.coding.column
        if name not in table.columns:
            raise FactsRefused(f"The scorecard needs the column {name}.", field=name)
        found = bin_places(effect.coding, table.columns[name])
        parts[:, place] = np.array(effect.values)[found]
    return parts
