"""Scorecards: how well they tell unseen rows apart beside three peers, and how fast they are.

Every figure of accuracy is the mean over five stratified 70/30 splits; all see the same rows and
the same columns, without prices and protected attributes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from django.conf import settings
from scipy.special import logit

from benchmarks.measuring import (
    LeftOut,
    Outcome,
    Result,
    at_least,
    at_most,
    medians_in_turn,
    one_core,
    seconds,
    working,
)
from benchmarks.peers.scorecards import PEERS, scorecards
from benchmarks.workers import Workers
from risk.core.fitting import fit_line
from risk.core.reading import read_table
from risk.core.scorecard import Scorecard, ScorecardSettings, predict_bad
from risk.core.spec import DataSpec, spec_from_mapping, spec_from_toml
from risk.core.split import Split, stratified_split
from risk.core.table import (
    BoolArray,
    Column,
    FloatArray,
    NumberColumn,
    Table,
    TextColumn,
    make_table,
    number_column,
)
from risk.core.training import fit_scorecard
from risk.core.validation import auc, brier
from risk.specs import spec_text

AREA = "risk"
SEEDS = range(5)
FIT_ROWS, FIT_COLUMNS, SCORED_ROWS = 105_000, 10, 1_000_000
RUNS = 3
MOST_FIT_SECONDS, LEAST_SCORED = 10.0, 1e6
LEAST_GERMAN, SLOPES = 0.79, (0.9, 1.15)


@dataclass(frozen=True)
class Accuracy:
    """Means over the splits."""

    auc: float
    brier: float
    slope: float


def risk_accuracy() -> list[Outcome]:
    """Both data sets: ours, and the peers' on the same rows where they can be installed."""
    club, spec = _table("lending_club_2016q1")
    german, german_spec = _table("german_credit")
    ours = _ours(club, spec)
    found: list[Outcome] = []
    with one_core(), scorecards() as peers:
        if isinstance(peers, str):
            names = ("risk-lendingclub-auc", "risk-lendingclub-brier", "risk-german-peers")
            found += [LeftOut(name, peers) for name in names]
        else:
            found += _beside("risk-lendingclub", ours, _theirs(club, spec, peers, "LendingClub"))
            theirs = _theirs(german, german_spec, peers, "German credit")
            best = max(theirs, key=lambda name: theirs[name].auc)
            own = _ours(german, german_spec).auc
            found.append(_shown("risk-german-peers", own, PEERS[best], theirs[best].auc))
    found.append(
        at_least("risk-german-auc", AREA, _ours(german, german_spec).auc, "AUC", LEAST_GERMAN)
    )
    low, high = SLOPES
    found.append(
        Result(
            "risk-slope",
            AREA,
            ours.slope,
            "slope",
            "calibrated",
            1.0,
            ours.slope,
            f"{low} to {high}",
            holds=low <= ours.slope <= high,
        )
    )
    return found


def risk_speed() -> list[Outcome]:
    """Fitting 105,000 rows of ten raw columns, and scoring a million, on one core."""
    spec = _invented_spec()
    training, unseen = _invented(FIT_ROWS, 1), _invented(SCORED_ROWS, 2)
    with one_core():
        (fit,) = medians_in_turn(
            "risk-fit-105k", [lambda: seconds(lambda: _fit(training, spec))], 1
        )
        scorecard = _fit(training, spec)
        (scored,) = medians_in_turn(
            "risk-score-1m", [lambda: seconds(lambda: predict_bad(scorecard, unseen))], RUNS
        )
    return [
        at_most("risk-fit-105k", AREA, fit, "s", MOST_FIT_SECONDS),
        at_least("risk-score-1m", AREA, SCORED_ROWS / scored, "/s", LEAST_SCORED),
    ]


@cache
def _table(name: str) -> tuple[Table, DataSpec]:
    spec = spec_from_toml(spec_text(name))
    path = Path(settings.BASE_DIR) / "data" / f"{name}.csv"
    return read_table(path.read_bytes(), path.name, spec), spec


def _outcomes(table: Table) -> BoolArray:
    if table.is_bad is None:
        raise ValueError("the table has no outcomes")
    return table.is_bad


def _fit(table: Table, spec: DataSpec) -> Scorecard:
    return fit_scorecard(table, spec, ScorecardSettings(), SEEDS[0])


def _splits(table: Table) -> list[Split]:
    return [stratified_split(_outcomes(table), seed=seed) for seed in SEEDS]


def _accuracy(table: Table, chances: list[FloatArray]) -> Accuracy:
    figures = []
    for split, chance in zip(_splits(table), chances, strict=True):
        is_bad = _outcomes(table)[split.holdout]
        inside = np.clip(chance, 1e-9, 1 - 1e-9)
        figures.append(
            (auc(is_bad, chance), brier(is_bad, chance), fit_line(logit(inside), is_bad)[1])
        )
    return Accuracy(*np.mean(figures, axis=0).tolist())


def _ours(table: Table, spec: DataSpec) -> Accuracy:
    chances = []
    for seed, split in zip(SEEDS, _splits(table), strict=True):
        scorecard = fit_scorecard(table.take(split.training), spec, ScorecardSettings(), seed)
        chances.append(predict_bad(scorecard, table.take(split.holdout)))
    return _accuracy(table, chances)


def _theirs(table: Table, spec: DataSpec, peers: Workers, label: str) -> dict[str, Accuracy]:
    columns = {name: _plain(table.columns[name]) for name in spec.input_columns(table.columns)}
    outcome = _outcomes(table).astype(int).tolist()
    found = {}
    with working(label, len(PEERS) * len(SEEDS)) as step:
        for name in PEERS:
            chances = []
            for split in _splits(table):
                (chance,) = peers.ask(
                    "predict",
                    method=name,
                    columns=columns,
                    outcome=outcome,
                    training=split.training.tolist(),
                    holdout=split.holdout.tolist(),
                )
                chances.append(np.array(chance))
                step()
            found[name] = _accuracy(table, chances)
    return found


def _plain(column: Column) -> list[float | str | None]:
    if isinstance(column, NumberColumn):
        finite = np.isfinite(column.values)
        return [x if ok else None for x, ok in zip(column.values.tolist(), finite, strict=True)]
    return [column.levels[code] if code >= 0 else None for code in column.codes.tolist()]


def _beside(name: str, ours: Accuracy, theirs: dict[str, Accuracy]) -> list[Outcome]:
    """AUC and Brier beside the best of the peers: better than all of them."""
    by_auc = max(theirs, key=lambda peer: theirs[peer].auc)
    by_brier = min(theirs, key=lambda peer: theirs[peer].brier)
    area, score = theirs[by_auc].auc, theirs[by_brier].brier
    return [
        Result(
            f"{name}-auc",
            AREA,
            ours.auc,
            "AUC",
            PEERS[by_auc],
            area,
            ours.auc / area,
            "> 1",
            holds=ours.auc > area,
        ),
        Result(
            f"{name}-brier",
            AREA,
            ours.brier,
            "Brier",
            PEERS[by_brier],
            score,
            score / ours.brier,
            "> 1",
            holds=ours.brier < score,
        ),
    ]


def _shown(name: str, ours: float, peer: str, theirs: float) -> Result:
    return Result(
        name, AREA, ours, "AUC", peer, theirs, ours / theirs, "shown, no limit", holds=True
    )


def _invented_spec() -> DataSpec:
    return spec_from_mapping(
        {"name": "Invented", "outcome": {"column": "bad", "bad": "1", "good": "0", "months": 12}}
    )


def _invented(rows: int, seed: int) -> Table:
    """Eight columns of numbers, one in twenty missing, and two of words; about one in ten bad."""
    rng = np.random.default_rng(seed)
    odds = np.full(rows, -3.0)
    columns: dict[str, Column] = {}
    for place in range(FIT_COLUMNS - 2):
        heavy = place % 2 == 0
        values = rng.lognormal(0, 1, rows) if heavy else rng.poisson(2, rows).astype(np.float64)
        odds += np.minimum(values, 5) * (0.2 if place < FIT_COLUMNS // 2 else 0.02)
        values[rng.random(rows) < 0.05] = np.nan
        columns[f"number_{place}"] = number_column(values)
    for place in range(2):
        codes = rng.integers(-1, 8, rows)
        odds += 0.2 * (codes == place)
        columns[f"word_{place}"] = TextColumn(tuple("abcdefgh"), codes)
    return make_table(columns, is_bad=rng.random(rows) < 1 / (1 + np.exp(-odds)))
