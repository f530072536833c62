"""Assessing applications in bulk: answers, refusals, repeatability."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pytest_django import DjangoAssertNumQueries

from risk.core.decision import Decision
from risk.core.errors import (
    AlreadyAssessed,
    ColumnRefused,
    FactsRefused,
    NotFound,
    NotReady,
    PricingRefused,
)
from risk.core.facts import ApplicationFacts
from risk.core.pricing import from_ppm, pd_in_year, to_ppm
from risk.core.scorecard import predict_bad, scorecard_from_json
from risk.models import Assessment
from risk.selectors.assessments import (
    assessment,
    assessments,
    assessments_by_id,
    expected_returns,
)
from risk.selectors.past_applications import data_table, holdout_places, holdout_rows
from risk.selectors.rate_tables import current_rate_table
from risk.services.assessing import assess_applications
from tests.risk.conftest import ON, Registered

pytestmark = pytest.mark.django_db

ONE = ApplicationFacts(
    "application-1", 300_000, 36, {"income": 60_000, "searches": 0, "home": "owns"}
)


def _holdout(registered: Registered) -> list[ApplicationFacts]:
    return [
        ApplicationFacts(
            f"row-{row.row_number}",
            round(float(row.amount or 0) * 100),
            row.term_months or 0,
            row.facts,
        )
        for row in holdout_rows(model_version=registered.model_version)
    ]


@pytest.mark.usefixtures("registered")
def test_one_application() -> None:
    (found,) = assess_applications(applications=[ONE], on=ON)
    assert found.application_reference == "application-1"
    assert (found.amount, found.term_months, found.assessed_on) == (300_000, 36, ON)
    assert found.decision is Decision.QUOTED
    assert found.band is not None
    assert found.guide_rate == current_rate_table().row(found.band, 36).guide_rate
    assert len(found.reasons) <= 4
    assert assessment(reference="application-1") == found
    assert assessments_by_id(ids=[found.id]) == {found.id: found}


def test_many_are_scored_as_the_core_scores_them(registered: Registered) -> None:
    found = assess_applications(applications=_holdout(registered), on=ON)
    table = data_table(registered.data_set)
    unseen = table.take(holdout_places(registered.model_version, table))
    scorecard = scorecard_from_json(registered.model_version.coefficients)
    chance = predict_bad(scorecard, unseen)
    assert [view.pd_outcome_ppm for view in found] == to_ppm(chance).tolist()
    assert [view.pd12_ppm for view in found] == to_ppm(pd_in_year(chance, 24)).tolist()
    bands = {row.band: row for row in current_rate_table().rows}
    for view in found:
        if view.band is not None:
            assert bands[view.band].pd_from_ppm < view.pd12_ppm <= bands[view.band].pd_to_ppm
        else:
            assert (view.decision, view.guide_rate) == (Decision.DECLINED, None)
    assert {view.decision for view in found} == set(Decision)


def test_the_number_of_statements_does_not_grow(
    registered: Registered, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    applications = _holdout(registered)
    for batch in (applications[:1], applications[1:200]):
        # Champion, rate table, known ones, insert, read back (two), and a savepoint's two.
        with django_assert_num_queries(8):
            assess_applications(applications=batch, on=ON)
    references = [application.reference for application in applications]
    with django_assert_num_queries(2):
        assert len(assessments(references=references)) == 200


@pytest.mark.usefixtures("registered")
def test_the_same_application_again_keeps_its_assessment() -> None:
    first = assess_applications(applications=[ONE], on=ON)
    two = replace(ONE, reference="application-2")
    again = assess_applications(applications=[two, ONE], on=ON)
    assert again[1] == first[0]
    assert again[0].pd12_ppm == first[0].pd12_ppm
    assert Assessment.objects.count() == 2


@pytest.mark.usefixtures("registered")
def test_other_facts_for_a_known_application_are_refused() -> None:
    assess_applications(applications=[ONE], on=ON)
    with pytest.raises(AlreadyAssessed, match="application-1"):
        assess_applications(applications=[replace(ONE, amount=400_000)], on=ON)


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize(
    ("application", "refusal"),
    [
        (replace(ONE, facts={"price": 9.0}), ColumnRefused),
        (replace(ONE, facts={"sex": "f"}), ColumnRefused),
        (replace(ONE, facts={"shoe_size": 43}), FactsRefused),
        (replace(ONE, facts={"income": "lots"}), FactsRefused),
        (replace(ONE, facts={"home": 3}), FactsRefused),
        (replace(ONE, facts={"income": float("inf")}), FactsRefused),
        (replace(ONE, amount=0), FactsRefused),
        (replace(ONE, term_months=48), FactsRefused),
        (replace(ONE, reference=""), FactsRefused),
    ],
)
def test_one_bad_application_refuses_the_batch(
    application: ApplicationFacts, refusal: type[Exception]
) -> None:
    good = replace(ONE, reference="application-0")
    with pytest.raises(refusal):
        assess_applications(applications=[good, application], on=ON)
    assert not Assessment.objects.exists()


@pytest.mark.usefixtures("registered")
def test_a_reference_used_twice_is_refused() -> None:
    with pytest.raises(FactsRefused, match="twice"):
        assess_applications(applications=[ONE, ONE], on=ON)


@pytest.mark.usefixtures("registered")
def test_missing_and_unseen_facts_are_scored() -> None:
    bare = ApplicationFacts("bare", 100_000, 60, {})
    odd = ApplicationFacts("odd", 100_000, 36, {"home": "lighthouse", "searches": 100})
    for view in assess_applications(applications=[bare, odd], on=ON):
        assert 0 < view.pd_outcome_ppm < 1_000_000
        assert view.decision is not Decision.QUOTED
        assert any("income is not known" in reason.lower() for reason in view.reasons) or (
            view.band is None
        )


def test_without_an_approved_model_nothing_is_assessed() -> None:
    with pytest.raises(NotReady):
        assess_applications(applications=[ONE], on=ON)


@pytest.mark.usefixtures("registered")
def test_no_applications_no_assessments() -> None:
    assert assess_applications(applications=[], on=ON) == []


def test_an_unknown_reference_is_not_found() -> None:
    with pytest.raises(NotFound):
        assessment(reference="nobody")


def test_expected_returns_use_each_loan_s_own_risk(registered: Registered) -> None:
    quoted = [
        view
        for view in assess_applications(applications=_holdout(registered), on=ON)
        if view.guide_rate is not None
    ]
    expected = expected_returns(
        rates_ppm=np.array([view.guide_rate for view in quoted], dtype=np.int64),
        assessment_ids=np.array([view.id for view in quoted], dtype=np.int64),
    )
    for view, earned in zip(quoted, expected.tolist(), strict=True):
        row = current_rate_table().row(view.band or "", view.term_months)
        safer = view.pd12_ppm < row.representative_pd_ppm
        # What the fund would pay is not counted: so a covered loan earns less than its target.
        target = float(from_ppm(row.uncovered_return_ppm))
        assert (earned > target - 1e-6) if safer else (earned < target + 1e-6)
    with pytest.raises(PricingRefused):
        expected_returns(rates_ppm=np.array([70_000]), assessment_ids=np.zeros(0, dtype=np.int64))
    with pytest.raises(NotFound):
        expected_returns(rates_ppm=np.array([70_000]), assessment_ids=np.array([10**9]))
