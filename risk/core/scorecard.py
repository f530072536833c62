"""A fitted scorecard: probabilities, points and reasons from a table of applications."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any

import numpy as np
from scipy.special import expit

from risk.core.encoding import Coding, NumberCoding, TextCoding, bin_places
from risk.core.errors import FactsRefused, ScorecardRefused
from risk.core.scorecard_calibration import Calibration, through_knots
from risk.core.scorecard_words import sentences
from risk.core.spec import DataSpec, Direction, Kind
from risk.core.table import Column, FloatArray, NumberColumn, Table, TextColumn

MOST_REASONS = 4
# Rows scored at a time: their arrays stay in the processor's cache.
_CHUNK = 16_384


class Method(StrEnum):
    """How columns are coded and fitted: jointly, or as bins of evidence one at a time."""

    ADDITIVE = "additive"
    BINNED = "binned"


@dataclass(frozen=True, slots=True)
class ScorecardSettings:
    """How a scorecard is fitted and how its points are shown.

    ``inputs`` are the columns asked for, none for all that the specification allows. Numeric
    columns get ``most_steps`` steps, fewer where rows or values are few, up to 2.5 times as many
    where there are many outcomes of the rarer class for each numeric column, and three more at
    either end. Text levels under ``rare_share`` of the rows or ``rare_rows`` rows are pooled. The
    penalty on steps (``ridge``, ``lasso``) and on text levels (``text_ridge``) is scaled by the
    one of ``strengths`` that does best over ``folds`` folds. ``calibration`` says how
    probabilities are made of out-of-fold log-odds. ``base_points`` mean odds of ``base_odds`` good
    to one bad, and ``double_points`` more double the odds. ``asset_correlation`` is the one-factor
    correlation of the loans' outcomes, from 0 to under 1; it has no part in the fit.
    """

    inputs: tuple[str, ...] | None = None
    most_steps: int = 12
    rare_share: float = 0.005
    rare_rows: int = 30
    folds: int = 5
    ridge: float = 10.0
    lasso: float = 5.0
    text_ridge: float = 50.0
    strengths: tuple[float, ...] = (0.0625, 0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
    method: Method = Method.ADDITIVE
    calibration: Calibration = Calibration.PLATT
    asset_correlation: float = 0.04
    base_points: float = 600.0
    base_odds: float = 20.0
    double_points: float = 40.0

    @property
    def points_a_log_odds(self) -> float:
        """Points for each unit of log-odds."""
        return self.double_points / math.log(2.0)


@dataclass(frozen=True, slots=True)
class Effect:
    """One column's part of the log-odds of bad: a value a bin, and their average in training.

    A numeric column without ``direction`` bends.
    """

    coding: Coding
    values: tuple[float, ...]
    average: float
    direction: Direction | None = None


@dataclass(frozen=True, slots=True)
class Scorecard:
    """An additive, calibrated model of the log-odds of bad within ``outcome_months``.

    ``strength`` is the penalty chosen; ``calibration_slope`` the slope of the out-of-fold
    recalibration, which ``intercept`` and the effects already hold. ``knots`` are of an isotonic
    calibration: pairs of additive and calibrated log-odds. They change probabilities only; points
    and reasons stay sums over columns.
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
    knots: tuple[tuple[float, float], ...] = ()

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
            "knots": [list(knot) for knot in self.knots],
        }


_NESTED = {"settings", "effects", "knots"}


def _effect_to_json(effect: Effect) -> dict[str, Any]:
    cut: dict[str, Any] = (
        {"edges": list(effect.coding.edges), "apart": list(effect.coding.apart)}
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
        # What older versions did not store yet has its default.
        for name, kind in (("method", Method), ("calibration", Calibration)):
            if name in settings:
                settings[name] = kind(settings[name])
        return Scorecard(
            **plain,
            settings=ScorecardSettings(**settings),
            effects=tuple(_effect_from_json(effect) for effect in values["effects"]),
            knots=tuple((float(place), float(value)) for place, value in values.get("knots", ())),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ScorecardRefused(f"The stored scorecard can't be read: {error!r}.") from error


def _effect_from_json(values: Mapping[str, Any]) -> Effect:
    coding: Coding = (
        NumberCoding(values["column"], tuple(values["edges"]), tuple(values.get("apart", ())))
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
    return through_knots(_added(scorecard, table), scorecard.knots)


def predict_bad(scorecard: Scorecard, table: Table) -> FloatArray:
    """Probability of bad within the outcome's months, shape ``(n,)``, above 0 and below 1.

    Raises:
        FactsRefused: when the table lacks a column of the scorecard.
    """
    return np.asarray(expit(log_odds(scorecard, table)), dtype=np.float64)


def points(scorecard: Scorecard, table: Table) -> FloatArray:
    """Score points, shape ``(n,)``: more is better. They add up over columns.

    Raises:
        FactsRefused: when the table lacks a column of the scorecard.
    """
    settings = scorecard.settings
    above_base = -_added(scorecard, table) - math.log(settings.base_odds)
    return settings.base_points + settings.points_a_log_odds * above_base


def reasons(
    scorecard: Scorecard, table: Table, spec: DataSpec, *, most: int = MOST_REASONS
) -> list[tuple[str, ...]]:
    """For each row the principal points lost against the average of training, in plain words.

    At most ``most`` a row, the largest loss first; a loss under one point is no reason. Columns
    that the specification refuses are never named.

    Raises:
        FactsRefused: when the table lacks a column of the scorecard.
    """
    barred = {*spec.price_columns, *spec.protected_columns, spec.outcome_column}
    effects = [effect for effect in scorecard.effects if effect.coding.column not in barred]
    columns = _columns(scorecard, table)
    scale = scorecard.settings.points_a_log_odds
    said = [
        np.array(sentences(effect.coding, effect.values, effect.average, spec), dtype=object)
        for effect in effects
    ]
    lost = [(np.array(effect.values) - effect.average) * scale for effect in effects]
    found: list[tuple[str, ...]] = []
    for rows in _chunks(len(table)):
        size = rows.stop - rows.start
        bins = np.empty((len(effects), size), dtype=np.int64)
        loss = np.empty((len(effects), size))
        for place, effect in enumerate(effects):
            bins[place] = bin_places(effect.coding, _part(columns[effect.coding.column], rows))
            loss[place] = lost[place].take(bins[place])
        order = np.argsort(-loss, axis=0, kind="stable")[:most]
        words = np.full((size, len(order)), None, dtype=object)
        for place in np.unique(order).tolist():
            rank, row = np.nonzero((order == place) & (loss[place] >= 1.0))
            words[row, rank] = said[place][bins[place, row]]
        found += [tuple(word for word in row if word is not None) for row in words.tolist()]
    return found


def _added(scorecard: Scorecard, table: Table) -> FloatArray:
    """The intercept and each column's part, added up, shape ``(n,)``."""
    columns = _columns(scorecard, table)
    total = np.full(len(table), scorecard.intercept)
    chunks = list(_chunks(len(table)))
    for effect in scorecard.effects:
        _add(total, effect, columns[effect.coding.column], chunks)
    return total


def _add(total: FloatArray, effect: Effect, column: Column, chunks: Sequence[slice]) -> None:
    """Add one column's part to every row's total. A column of the other kind is missing."""
    coding, missing = effect.coding, effect.values[-1]
    if isinstance(coding, NumberCoding) and isinstance(column, NumberColumn):
        known = len(coding.edges) + 1
        # Above the infinite edge there is only what is missing: it sorts last.
        edges = np.array([*coding.edges, math.inf])
        worth = np.array([*effect.values[:known], missing])
        codes = list(zip(coding.apart, effect.values[known:-1], strict=True))
        for rows in chunks:
            values = column.values[rows]
            part = worth.take(edges.searchsorted(values))
            for code, value in codes:
                part[values == code] = value
            total[rows] += part
    elif isinstance(coding, TextCoding) and isinstance(column, TextColumn):
        worth_of = dict(zip(coding.levels, effect.values, strict=False))
        worth = np.array([*(worth_of.get(x, effect.values[-2]) for x in column.levels), missing])
        for rows in chunks:
            # MISSING is -1, which picks the value added last.
            total[rows] += worth[column.codes[rows]]
    else:
        total += missing


def _columns(scorecard: Scorecard, table: Table) -> dict[str, Column]:
    """The scorecard's columns of the table."""
    for effect in scorecard.effects:
        name = effect.coding.column
        if name not in table.columns:
            raise FactsRefused(f"The scorecard needs the column {name}.", field=name)
    return {
        effect.coding.column: table.columns[effect.coding.column] for effect in scorecard.effects
    }


def _part(column: Column, rows: slice) -> Column:
    if isinstance(column, NumberColumn):
        return NumberColumn(column.values[rows])
    return TextColumn(column.levels, column.codes[rows])


def _chunks(size: int) -> Iterator[slice]:
    for start in range(0, size, _CHUNK):
        yield slice(start, min(start + _CHUNK, size))
