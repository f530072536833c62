"""Training: what is registered, and that it can be repeated."""

from __future__ import annotations

import numpy as np
import pytest

from risk.core.errors import ColumnRefused, HandleRefused, ScorecardRefused
from risk.core.leaks import LikelyLeak
from risk.core.scorecard import ScorecardSettings, predict_bad, scorecard_from_json
from risk.core.states import ModelState
from risk.core.table import table_from_facts
from risk.core.validation import figures_from_json, judge
from risk.models import DataSet, ModelVersion
from risk.selectors.model_versions import training_report
from risk.selectors.past_applications import data_table, holdout_places, holdout_rows
from risk.services.loading import load_data_set
from risk.services.training import NameRefused, train_model
from tests.risk.conftest import ON, QUICK, Registered
from tests.risk.examples import csv_bytes

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


def test_a_new_model_is_a_draft_judged_on_the_unseen_part(data_set: DataSet) -> None:
    draft = _train(data_set, seed=4)
    assert (draft.state, draft.number) == (ModelState.DRAFT.value, 2)
    assert (draft.validator, draft.report, draft.approver) == (None, None, None)
    assert draft.settings["seed"] == 4
    table = data_table(draft.data_set)
    unseen = table.take(holdout_places(draft, table))
    assert len(unseen) == pytest.approx(0.3 * len(table), abs=1)
    assert unseen.is_bad is not None
    chance = predict_bad(scorecard_from_json(draft.coefficients), unseen)
    assert figures_from_json(draft.figures) == judge(unseen.is_bad, chance)


def test_the_same_seed_gives_the_same_content(data_set: DataSet, validated: ModelVersion) -> None:
    assert _train(data_set).pk == validated.pk
    other = _train(data_set, name="other")
    assert (other.name, other.number, other.content_hash) == ("other", 1, validated.content_hash)


def test_another_seed_is_another_version(data_set: DataSet, validated: ModelVersion) -> None:
    other = _train(data_set, seed=2)
    assert (other.number, validated.number) == (2, 1)
    assert other.content_hash != validated.content_hash
    assert other.holdout_rows != validated.holdout_rows


@pytest.mark.usefixtures("validated")
@pytest.mark.parametrize("column", ["price", "sex"])
def test_a_refused_column_asked_for_is_refused(data_set: DataSet, column: str) -> None:
    with pytest.raises(ColumnRefused):
        _train(data_set, settings=ScorecardSettings(inputs=(column,)))
    assert ModelVersion.objects.count() == 1


@pytest.mark.parametrize("name", ["", " house", "x" * 101, "two\nlines"])
def test_a_name_must_be_of_use(data_set: DataSet, name: str) -> None:
    with pytest.raises(NameRefused):
        _train(data_set, name=name)


def test_a_seed_is_not_negative(data_set: DataSet) -> None:
    with pytest.raises(ScorecardRefused, match="from 0 up"):
        _train(data_set, seed=-1)


@pytest.mark.parametrize("author", ["", " officer-1", "x" * 61, "a\0b"])
def test_an_author_must_be_named(data_set: DataSet, author: str) -> None:
    with pytest.raises(HandleRefused):
        _train(data_set, author=author)


def test_holdout_rows_are_real_people_without_prices(validated: ModelVersion) -> None:
    rows = holdout_rows(model_version=validated)
    assert [row.row_number for row in rows] == sorted(validated.holdout_rows)
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


def _load(lines: list[str], header: str, spec_text: str) -> DataSet:
    return load_data_set(
        content=csv_bytes(*lines, header=header),
        file_name="odd.csv",
        spec_text=spec_text,
        name="odd",
        on=ON,
    )


ODD_SPEC = """
[outcome]
column = "outcome"
bad = "bad"
good = "good"
months = 12
"""


def _odd_rows() -> list[str]:
    """Age tells something, told everything, same and none nothing."""
    generator = np.random.default_rng(3)
    rows = []
    for number in range(600):
        bad = generator.random() < (0.5 if number % 60 < 20 else 0.2)
        told = 5 if bad else 1
        rows.append(f"{number % 60},7,,{told + number % 3},{'bad' if bad else 'good'}")
    return rows


def test_what_says_nothing_has_no_effect_and_is_noted() -> None:
    data_set = _load(
        _odd_rows(), "age,same,none,told,outcome", ODD_SPEC + '[set_aside]\ncolumns = ["told"]\n'
    )
    model = _train(data_set, name="odd")
    assert model.notes == [
        "same: it is the same in every row, so it has no effect.",
        "none: every value is missing, so it has no effect.",
    ]
    scorecard = scorecard_from_json(model.coefficients)
    rows = [
        {"age": 5, "same": 7},
        {"age": 5, "same": 9, "none": 3},
        {"age": 5},
        {"age": 50, "same": 7},
    ]
    first, other, neither, older = predict_bad(
        scorecard, table_from_facts(rows, scorecard.kinds())
    ).tolist()
    # The optimiser stops within a millionth of the log-odds.
    assert [other, neither] == pytest.approx([first] * 2, abs=1e-6)
    assert older < first


def test_a_likely_leak_is_let_in_with_a_reason_only() -> None:
    data_set = _load(_odd_rows(), "age,same,none,told,outcome", ODD_SPEC)
    with pytest.raises(LikelyLeak, match="told"):
        _train(data_set, name="odd")
    reason = {"told": "The bureau knows it when somebody applies."}
    model = train_model(
        data_set=data_set,
        name="odd",
        seed=1,
        author="officer-1",
        on=ON,
        settings=QUICK,
        leak_overrides=reason,
    )
    assert model.leak_overrides == reason
    other = train_model(
        data_set=data_set,
        name="odd",
        seed=1,
        author="officer-1",
        on=ON,
        settings=QUICK,
        leak_overrides={"told": "Another reason."},
    )
    assert (other.number, other.content_hash != model.content_hash) == (2, True)


def test_a_reason_for_an_unknown_column_is_refused(data_set: DataSet) -> None:
    with pytest.raises(ColumnRefused, match="shoe_size"):
        train_model(
            data_set=data_set,
            name="invented",
            seed=1,
            author="officer-1",
            on=ON,
            settings=QUICK,
            leak_overrides={"shoe_size": "known"},
        )
