"""Training a model version on part of a data set, and judging it on the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import Any, ClassVar

import numpy as np
from django.db import transaction
from django.db.models import Max

from risk.core.content import content_hash
from risk.core.errors import (
    ColumnRefused,
    OutcomeRefused,
    RiskRefusal,
    ScorecardRefused,
)
from risk.core.leaks import find_leaks, require_no_leaks
from risk.core.scorecard import Scorecard, ScorecardSettings, predict_bad
from risk.core.spec import spec_from_mapping
from risk.core.split import TRAINING_SHARE, stratified_split
from risk.core.table import MISSING, NumberColumn, Table
from risk.core.training import Progress, fit_scorecard
from risk.core.validation import Figures, judge
from risk.models import DataSet, ModelVersion
from risk.selectors.past_applications import data_table
from risk.services.numbering import hold_numbers
from risk.services.people import checked_handle

LONGEST_NAME = 100


class NameRefused(RiskRefusal):
    """A name of a line of models that is empty, too long, or not printable."""

    code: ClassVar[str] = "RISK_NAME_REFUSED"


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """What is to be trained, as :func:`train_model` describes it."""

    name: str
    seed: int
    author: str
    on: date
    settings: ScorecardSettings = field(default_factory=ScorecardSettings)
    leak_overrides: Mapping[str, str] = field(default_factory=dict)


def train_model(
    *,
    data_set: DataSet,
    name: str,
    seed: int,
    author: str,
    on: date,
    settings: ScorecardSettings | None = None,
    leak_overrides: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> ModelVersion:
    """Fit a scorecard on 70 % of the rows, judge it on the other 30 %, and register it as a draft.

    Reasons that were needed to let a column in are kept with the version. The same data, settings,
    reasons and seed give the same content hash; training the same again under the same name
    returns the version that is there. A column that is the same in every row,
    or missing in all, has no effect, and a note says so.

    Args:
        name: of the line of models; versions are numbered within it.
        seed: decides the split and the folds; from 0 up.
        author: handle of who trains it.
        on: the business date.
        settings: of the fit; the house's own when none are given.
        leak_overrides: the officer's reason for each column to be let in although it separates
            too well; beside those of the specification.
        progress: told (steps done, steps in all).

    Raises:
        ColumnRefused: when the settings ask for a price, protected, outcome or unknown column, or
            a reason is given for an unknown one.
        LikelyLeak: when a column gives the outcome away, and no reason lets it in.
        OutcomeRefused: for outcomes that nothing can be learnt from.
        ScorecardRefused: for settings or a seed that can't be used.
        NameRefused: for a name that can't be used.
        HandleRefused: when the author's handle is empty.
    """
    plan = TrainingPlan(
        name, seed, author, on, settings or ScorecardSettings(), leak_overrides or {}
    )
    check_plan(plan)
    return train_on(table=data_table(data_set), data_set=data_set, plan=plan, progress=progress)


def check_plan(plan: TrainingPlan) -> None:
    """Refuse a plan that can't be carried out on any data.

    Raises:
        NameRefused, HandleRefused, ScorecardRefused: for a name, author or seed of no use.
    """
    checked_handle(plan.author, "author")
    if not plan.name.strip() or plan.name != plan.name.strip() or len(plan.name) > LONGEST_NAME:
        raise NameRefused(
            f"A model's name has 1 to {LONGEST_NAME} characters, no space around them.",
            field="name",
        )
    if not plan.name.isprintable():
        raise NameRefused("A model's name holds printable characters only.", field="name")
    if plan.seed < 0:
        raise ScorecardRefused("A seed is a whole number from 0 up.", field="seed")


def train_on(
    *, table: Table, data_set: DataSet, plan: TrainingPlan, progress: Progress | None = None
) -> ModelVersion:
    """As :func:`train_model`, for a checked plan, on the data set's table read before."""
    if table.is_bad is None:
        raise OutcomeRefused("The data set has no outcomes.")
    spec = spec_from_mapping(data_set.spec)
    columns = spec.input_columns(table.columns, plan.settings.inputs)
    overrides = {**spec.leak_reasons, **plan.leak_overrides}
    for name in overrides:
        if name not in table.columns:
            raise ColumnRefused(f"A reason is given for {name}: no such column.", field=name)
    split = stratified_split(table.is_bad, seed=plan.seed)
    training, holdout = table.take(split.training), table.take(split.holdout)
    barred = (*spec.price_columns, *spec.protected_columns)
    let_in = require_no_leaks(find_leaks(training, columns, refused=barred), overrides)
    scorecard = fit_scorecard(training, spec, plan.settings, plan.seed, progress=progress)
    content = _content(data_set, plan, let_in, scorecard)
    return _register(
        ModelVersion(
            name=plan.name,
            data_set=data_set,
            settings=content["settings"],
            leak_overrides=content["leak_overrides"],
            coefficients=content["coefficients"],
            holdout_rows=holdout.rows.tolist(),
            figures=asdict(_judge(scorecard, holdout)),
            notes=_notes(training, columns),
            content_hash=content_hash(content),
            author=plan.author,
            trained_on=plan.on,
        )
    )


def _content(
    data_set: DataSet, plan: TrainingPlan, let_in: Mapping[str, str], scorecard: Scorecard
) -> dict[str, Any]:
    return {
        "data": data_set.digest,
        "settings": {
            "seed": plan.seed,
            "training_share": TRAINING_SHARE,
            "scorecard": asdict(plan.settings),
        },
        "leak_overrides": dict(let_in),
        "coefficients": scorecard.to_json(),
    }


def _notes(training: Table, columns: Sequence[str]) -> list[str]:
    """A sentence for each input that can have no effect."""
    notes = []
    for name in columns:
        column = training.columns[name]
        if isinstance(column, NumberColumn):
            known = column.values[~np.isnan(column.values)]
            differ = bool(len(known)) and bool((known != known[0]).any())
        else:
            codes = column.codes[column.codes != MISSING]
            known, differ = codes, bool(len(codes)) and bool((codes != codes[0]).any())
        if not len(known):
            notes.append(f"{name}: every value is missing, so it has no effect.")
        elif not differ and len(known) == len(training):
            notes.append(f"{name}: it is the same in every row, so it has no effect.")
    return notes


def _judge(scorecard: Scorecard, holdout: Table) -> Figures:
    if holdout.is_bad is None:
        raise OutcomeRefused("The rows held out have no outcomes.")
    return judge(holdout.is_bad, predict_bad(scorecard, holdout))


def _register(version: ModelVersion) -> ModelVersion:
    """Give the version the next number of its name, or return the same one that is there."""
    with transaction.atomic():
        hold_numbers()
        same = (
            ModelVersion.objects.select_related("data_set")
            .filter(name=version.name, content_hash=version.content_hash)
            .first()
        )
        if same is not None:
            return same
        last = ModelVersion.objects.filter(name=version.name).aggregate(Max("number"))
        version.number = (last["number__max"] or 0) + 1
        version.save(force_insert=True)
    return version
