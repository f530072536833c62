"""Validation: the report is made once, kept, and shown again as it was."""

from __future__ import annotations

from datetime import date

import pytest

from risk.core.content import content_hash
from risk.core.errors import HandleRefused, MoveRefused, NotReady
from risk.core.plain import StoredRefused
from risk.core.states import ModelState
from risk.core.validation import figures_from_json
from risk.models import DataSet, ModelVersion
from risk.selectors.reports import validation_report
from risk.services.training import train_model
from risk.services.validating import validate_model
from tests.risk.conftest import ON, QUICK

pytestmark = pytest.mark.django_db


@pytest.fixture
def draft(data_set: DataSet) -> ModelVersion:
    return train_model(
        data_set=data_set, name="invented", seed=7, author="officer-1", on=ON, settings=QUICK
    )


def test_the_report_is_kept_with_its_digest(validated: ModelVersion) -> None:
    assert (validated.state, validated.validator) == (ModelState.VALIDATED.value, "officer-1")
    assert validated.validated_on == ON
    assert validated.report is not None
    assert validated.report_digest == content_hash(validated.report)


def test_it_is_shown_again_as_it_was(validated: ModelVersion) -> None:
    report = validation_report(model_version=validated)
    assert report.to_json() == validated.report
    assert (report.name, report.made_on, report.outcome_months) == ("invented 1", ON, 24)
    assert report.holdout.figures == figures_from_json(validated.figures)
    assert [group.column for group in report.groups] == ["sex"]


def test_the_same_model_gets_the_same_report(draft: ModelVersion, data_set: DataSet) -> None:
    first = validate_model(model_version=draft, validator="officer-1", on=ON)
    with pytest.raises(MoveRefused, match="validated can't become validated"):
        validate_model(model_version=draft, validator="officer-1", on=ON)
    ModelVersion.objects.get(pk=first.pk)
    again = train_model(
        data_set=data_set, name="invented", seed=7, author="officer-9", on=ON, settings=QUICK
    )
    assert (again.pk, again.report_digest) == (first.pk, first.report_digest)


def test_another_day_is_another_report(draft: ModelVersion, validated: ModelVersion) -> None:
    later = validate_model(model_version=draft, validator="officer-1", on=date(2016, 5, 1))
    assert later.report is not None
    assert later.report["made_on"] == "2016-05-01"


def test_a_draft_has_no_report(draft: ModelVersion) -> None:
    with pytest.raises(NotReady, match="not validated yet"):
        validation_report(model_version=draft)


def test_a_validator_is_named(draft: ModelVersion) -> None:
    with pytest.raises(HandleRefused):
        validate_model(model_version=draft, validator="", on=ON)


def test_a_report_that_can_not_be_read_is_refused(draft: ModelVersion) -> None:
    ModelVersion.objects.filter(pk=draft.pk).update(
        state=ModelState.VALIDATED.value,
        validator="ann",
        validated_on=ON,
        report={"name": 3},
        report_digest="0" * 64,
    )
    with pytest.raises(StoredRefused, match="ModelReport"):
        validation_report(model_version=draft)
