"""Challengers in the champion's shadow, and old loans under other versions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pytest_django import DjangoAssertNumQueries

from risk.core.errors import NotFound
from risk.core.facts import ApplicationFacts
from risk.core.pricing import pd_in_year, to_ppm
from risk.core.scorecard import points, predict_bad, scorecard_from_json
from risk.core.states import ModelState
from risk.core.table import table_from_facts
from risk.models import Assessment, ModelVersion, ShadowScore
from risk.selectors.assessments import AssessmentView, shadow_scores
from risk.selectors.rate_tables import current_rate_table
from risk.services.approving import approve_model
from risk.services.assessing import assess_applications
from risk.services.loading import load_data_set
from risk.services.shadow import score_under
from risk.services.training import train_model
from risk.services.validating import validate_model
from tests.risk.conftest import ON, QUICK, Registered, trained
from tests.risk.examples import HEADER, SPEC, invented_csv

pytestmark = pytest.mark.django_db

ONE = ApplicationFacts(
    "application-1", 300_000, 36, {"income": 60_000, "searches": 0, "home": "owns"}
)
TWO = ApplicationFacts("application-2", 900_000, 60, {"income": 9_000, "searches": 9})


def _challenger(version: ModelVersion) -> ModelVersion:
    return approve_model(
        model_version=version, approver="officer-2", on=ON, as_=ModelState.CHALLENGER
    )


def _assess(*applications: ApplicationFacts) -> list[AssessmentView]:
    return assess_applications(applications=applications, on=ON)


@pytest.fixture
def challenger(registered: Registered) -> ModelVersion:
    return _challenger(trained(registered.data_set, seed=2))


@pytest.fixture
def foreign(registered: Registered) -> ModelVersion:
    """A challenger from another data set: searches are called enquiries there."""
    renamed = invented_csv().replace(
        HEADER.encode(), HEADER.replace("searches", "enquiries").encode()
    )
    other = load_data_set(
        content=renamed,
        file_name="renamed.csv",
        spec_text=SPEC.replace("[columns.searches]", "[columns.enquiries]"),
        name="renamed",
        on=ON,
    )
    model = train_model(
        data_set=other, name="foreign", seed=1, author="officer-1", on=ON, settings=QUICK
    )
    return _challenger(validate_model(model_version=model, validator="officer-1", on=ON))


def test_a_challenger_scores_what_the_champion_assesses(challenger: ModelVersion) -> None:
    views = _assess(ONE, TWO)
    scores = shadow_scores(assessment_ids=[view.id for view in views])
    assert [score.assessment_id for score in scores] == [view.id for view in views]
    scorecard = scorecard_from_json(challenger.coefficients)
    table = table_from_facts(
        [
            {**ONE.facts, "amount": 3_000, "term": "short"},
            {**TWO.facts, "amount": 9_000, "term": "long"},
        ],
        scorecard.kinds(),
    )
    chance = predict_bad(scorecard, table)
    assert [score.pd_outcome_ppm for score in scores] == to_ppm(chance).tolist()
    assert [score.pd12_ppm for score in scores] == to_ppm(pd_in_year(chance, 24)).tolist()
    assert [score.points for score in scores] == np.rint(points(scorecard, table)).tolist()
    ranges = {row.band: row for row in current_rate_table().rows}
    for score in scores:
        assert score.pd12_ppm is not None
        if score.band is not None:
            row = ranges[score.band]
            assert row.pd_from_ppm < score.pd12_ppm <= row.pd_to_ppm
        assert (score.model_name, score.model_number, score.scored_on) == ("invented", 2, ON)
        assert score.refusal is None


def test_without_challengers_nothing_is_in_the_shadow(registered: Registered) -> None:
    assert registered.model_version.state == ModelState.CHAMPION.value
    _assess(ONE)
    assert not ShadowScore.objects.exists()


@pytest.mark.usefixtures("foreign", "challenger")
def test_a_challenger_that_can_not_read_the_facts_stops_nothing() -> None:
    [view] = _assess(ONE)
    scored, refused = sorted(
        shadow_scores(assessment_ids=[view.id]), key=lambda score: score.refusal or ""
    )
    assert (scored.model_name, scored.refusal) == ("invented", None)
    assert refused.model_name == "foreign"
    assert (refused.pd_outcome_ppm, refused.pd12_ppm, refused.points, refused.band) == (None,) * 4
    assert refused.refusal == "RISK_FACTS_REFUSED: The facts have no column enquiries."


def test_a_value_that_a_challenger_calls_absurd_is_refused_by_it_alone(
    registered: Registered,
) -> None:
    narrow = load_data_set(
        content=invented_csv(),
        file_name="narrow.csv",
        spec_text=SPEC.replace("least = 0\nmost = 100\n", "least = 0\nmost = 50\n"),
        name="narrow",
        on=ON,
    )
    model = train_model(
        data_set=narrow, name="narrow", seed=1, author="officer-1", on=ON, settings=QUICK
    )
    _challenger(validate_model(model_version=model, validator="officer-1", on=ON))
    views = _assess(ONE, replace(TWO, facts={"searches": 80}))
    first, second = shadow_scores(assessment_ids=[view.id for view in views])
    assert (first.refusal, first.points is None) == (None, False)
    assert second.refusal is not None
    assert second.refusal.startswith("RISK_FACTS_REFUSED: application-2: searches is 80")


@pytest.mark.usefixtures("challenger")
def test_statements_grow_neither_with_applications_nor_with_challengers(
    registered: Registered, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    def batch(size: int, name: str) -> list[ApplicationFacts]:
        return [replace(ONE, reference=f"{name}-{number}") for number in range(size)]

    for size, name in ((1, "a"), (50, "b")):
        # The eight of an assessment, and one for all scores of all challengers.
        with django_assert_num_queries(9):
            _assess(*batch(size, name))
    _challenger(trained(registered.data_set, seed=3))
    with django_assert_num_queries(9):
        _assess(*batch(50, "c"))
    # Nothing is new: champion, rate table, known ones, read back (two), a savepoint's two.
    with django_assert_num_queries(7):
        _assess(*batch(50, "c"))
    assert ShadowScore.objects.count() == 1 + 50 + 2 * 50


def test_an_old_loan_is_scored_beside_its_frozen_assessment(registered: Registered) -> None:
    views = _assess(ONE, TWO)
    before = list(Assessment.objects.order_by("pk").values())
    other = trained(registered.data_set, seed=5, inputs=("searches", "income"))
    found = score_under(model_version=other, assessment_ids=[view.id for view in views], on=ON)
    assert [score.assessment_id for score in found] == [view.id for view in views]
    assert {score.model_version_id for score in found} == {other.pk}
    assert [score.pd12_ppm for score in found] != [view.pd12_ppm for view in views]
    assert list(Assessment.objects.order_by("pk").values()) == before
    assert (
        score_under(model_version=other, assessment_ids=[view.id for view in views], on=ON) == found
    )


def test_under_its_own_version_it_scores_as_it_was_assessed(registered: Registered) -> None:
    views = _assess(ONE, TWO)
    found = score_under(
        model_version=registered.model_version, assessment_ids=[view.id for view in views], on=ON
    )
    assert [(s.pd_outcome_ppm, s.pd12_ppm, s.points, s.band) for s in found] == [
        (v.pd_outcome_ppm, v.pd12_ppm, v.points, v.band) for v in views
    ]


def test_scoring_again_takes_so_many_statements(
    registered: Registered, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    views = _assess(*(replace(ONE, reference=f"old-{number}") for number in range(40)))
    ids = [view.id for view in views]
    for some in (ids[:1], ids):
        # Version, assessments, insert, read back, and a savepoint's two.
        with django_assert_num_queries(6):
            score_under(model_version=registered.model_version, assessment_ids=some, on=ON)


def test_an_assessment_that_is_not_there(registered: Registered) -> None:
    with pytest.raises(NotFound):
        score_under(model_version=registered.model_version, assessment_ids=[10**9], on=ON)
    assert score_under(model_version=registered.model_version, assessment_ids=[], on=ON) == []
