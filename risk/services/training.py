"""Training a model version on part of a data set, and judging it on the rest."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date
from typing import Any

from django.db import transaction
from django.db.models import Max

from risk.core.content import content_hash
from risk.core.errors import ModelExists, OutcomeRefused
from risk.core.scorecard import Scorecard, ScorecardSettings, predict_bad
from risk.core.spec import spec_from_mapping
from risk.core.split import TRAINING_SHARE, stratified_split
from risk.core.table import Table
from risk.core.training import Progress, fit_scorecard
from risk.core.validation import Figures, judge
from risk.models import DataSet, ModelVersion
from risk.selectors.past_applications import data_table
from risk.services.people import checked_handle


def train_model(
    *,
    data_set: DataSet,
    name: str,
    seed: int,
    author: str,
    on: date,
    settings: ScorecardSettings | None = None,
    progress: Progress | None = None,
) -> ModelVersion:
    """Fit a scorecard on 70 % of the rows, judge it on the other 30 %, and register it as a draft.

    The same data, settings and seed give the same content hash; training the same again under
    the same name returns the version that is there.

    Args:
        name: of the line of models; versions are numbered within it.
        seed: decides the split and the folds.
        author: handle of who trains it.
        on: the business date.
        settings: of the fit; the house's own when none are given.
        progress: told (steps done, steps in all).

    Raises:
        ColumnRefused: when the settings ask for a price, protected, outcome or unknown column.
        OutcomeRefused: for outcomes that nothing can be learnt from.
        ModelExists: when the very same model has another name.
        HandleRefused: when the author's handle is empty.
    """
    checked_handle(author, "author")
    chosen = settings or ScorecardSettings()
    table = data_table(data_set)
    if table.is_bad is None:
        raise OutcomeRefused("The data set has no outcomes.")
    split = stratified_split(table.is_bad, seed=seed)
    spec = spec_from_mapping(data_set.spec)
    scorecard = fit_scorecard(table.take(split.training), spec, chosen, seed, progress=progress)
    holdout = table.take(split.holdout)
    content = _content(data_set, scorecard, chosen, seed)
    return _register(
        data_set, name, author, on, content, holdout.rows.tolist(), _judge(scorecard, holdout)
    )


def _judge(scorecard: Scorecard, holdout: Table) -> Figures:
    if holdout.is_bad is None:
        raise OutcomeRefused("The rows held out have no outcomes.")
    return judge(holdout.is_bad, predict_bad(scorecard, holdout))


def _content(
    data_set: DataSet, scorecard: Scorecard, settings: ScorecardSettings, seed: int
) -> dict[str, Any]:
    return {
        "data": data_set.digest,
        "settings": {
            "seed": seed,
            "training_share": TRAINING_SHARE,
            "scorecard": asdict(settings),
        },
        "coefficients": scorecard.to_json(),
    }


def _register(
    data_set: DataSet,
    name: str,
    author: str,
    on: date,
    content: dict[str, Any],
    holdout_rows: list[int],
    figures: Figures,
) -> ModelVersion:
    digest = content_hash(content)
    with transaction.atomic():
        same = ModelVersion.objects.filter(content_hash=digest).first()
        if same is not None:
            if same.name != name:
                raise ModelExists(f"This very model is {same} already.", field="name")
            return same
        last = ModelVersion.objects.filter(name=name).aggregate(Max("number"))["number__max"]
        return ModelVersion.objects.create(
            name=name,
            number=(last or 0) + 1,
            data_set=data_set,
            settings=content["settings"],
            coefficients=content["coefficients"],
            holdout_rows=holdout_rows,
            figures=asdict(figures),
            content_hash=digest,
            author=author,
            trained_on=on,
        )
