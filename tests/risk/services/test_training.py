"""Training: what is registered, and that it can be repeated."""

from __future__ import annotations

import pytest

from risk.core.errors import ColumnRefused, HandleRefused, ModelExists
from risk.core.scorecard import ScorecardSettings, predict_bad, scorecard_from_json
from risk.core.states import ModelState
from risk.core.validation import figures_from_json, judge
from risk.models import DataSet, ModelVersion
from risk.selectors.model_versions import training_report
from risk.selectors.past_applications import data_table, holdout_places, holdout_rows
from risk.services.training import train_model
from tests.risk.conftest import ON, QUICK, Registered

pytestmark = pytest.mark.django_db


def _train(
    data_set: DataSet,
    name: str = "invented",
    seed: int = 1,
    author: str = "officer-1",
    settings: ScorecardSettings = QUICK,
) -> ModelVersion:
    return train_model(
        data_set=data_set, name=name, seed=seed, author=author, on=ON, settings=settings
    )


def test_a_new_model_is_a_draft_judged_on_the_unseen_part(draft: ModelVersion) -> None:
    assert (draft.state, draft.number, draft.approver) == (ModelState.DRAFT.value, 1, None)
    assert draft.settings["seed"] == 1
    table = data_table(draft.data_set)
    unseen = table.take(holdout_places(draft, table))
    assert len(unseen) == pytest.approx(0.3 * len(table), abs=1)
    assert unseen.is_bad is not None
    chance = predict_bad(scorecard_from_json(draft.coefficients), unseen)
    assert figures_from_json(draft.figures) == judge(unseen.is_bad, chance)


def test_the_same_seed_gives_the_same_content(data_set: DataSet, draft: ModelVersion) -> None:
    assert _train(data_set).pk == draft.pk
    with pytest.raises(ModelExists, match="invented 1"):
        _train(data_set, name="other")


def test_another_seed_is_another_version(data_set: DataSet, draft: ModelVersion) -> None:
    other = _train(data_set, seed=2)
    assert (other.number, draft.number) == (2, 1)
    assert other.content_hash != draft.content_hash
    assert other.holdout_rows != draft.holdout_rows


@pytest.mark.usefixtures("draft")
@pytest.mark.parametrize("column", ["price", "sex"])
def test_a_refused_column_asked_for_is_refused(data_set: DataSet, column: str) -> None:
    with pytest.raises(ColumnRefused):
        _train(data_set, settings=ScorecardSettings(inputs=(column,)))
    assert ModelVersion.objects.count() == 1


@pytest.mark.parametrize("author", ["", " officer-1", "x" * 61])
def test_an_author_must_be_named(data_set: DataSet, author: str) -> None:
    with pytest.raises(HandleRefused):
        _train(data_set, author=author)


def test_holdout_rows_are_real_people_without_prices(draft: ModelVersion) -> None:
    rows = holdout_rows(model_version=draft)
    assert [row.row_number for row in rows] == sorted(draft.holdout_rows)
    first = rows[0]
    assert not {"price", "sex", "outcome"} & set(first.facts)
    assert first.amount == first.facts["amount"]
    assert first.term_months == {"short": 36, "long": 60}[str(first.facts["term"])]
    assert {row.is_bad for row in rows} == {True, False}


def test_the_report_shows_calibration_by_band_once_there_is_a_rate_table(
    registered: Registered,
) -> None:
    report = training_report(model_version=registered.model_version)
    assert report.training_rows == 629
    assert report.model.outcome_months == 24
    assert report.by_band is not None
    assert [row.group for row in report.by_band] == ["A*", "A", "B", "C", "D", "E", "beyond"]
    assert sum(row.rows for row in report.by_band) == report.figures.rows
    assert sum(row.bad for row in report.by_band) == report.figures.bad


def test_without_a_rate_table_there_is_no_calibration_by_band(data_set: DataSet) -> None:
    assert training_report(model_version=_train(data_set, seed=3)).by_band is None
