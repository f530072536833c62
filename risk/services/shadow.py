"""Scoring assessed applications under other model versions, beside their frozen assessments.

Challengers score what the champion assesses; any version may score an old loan later.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date

import numpy as np
from django.db import connection, transaction

from risk.core.content import canonical_json
from risk.core.errors import FactsRefused, NotFound, RiskRefusal
from risk.core.facts import ApplicationFacts, prepare_facts
from risk.core.house import HouseSettings, house_from_mapping
from risk.core.pricing import pd_in_year, to_ppm
from risk.core.rate_table import place_in_band
from risk.core.scorecard import Scorecard, points, predict_bad, scorecard_from_json
from risk.core.spec import DataSpec, spec_from_mapping
from risk.core.table import Fact, table_from_facts
from risk.models import Assessment, ModelVersion
from risk.selectors.assessments import ShadowView, shadow_scores

# The rows travel as one JSON parameter, so that there is one statement whatever their number.
_INSERT = """
INSERT INTO risk_shadowscore (
    assessment_id, model_version_id, pd_outcome_ppm, pd12_ppm, points, band, refusal, scored_on)
SELECT
    assessment_id, model_version_id, pd_outcome_ppm, pd12_ppm, points, band, refusal, scored_on
FROM jsonb_to_recordset(%s::jsonb) AS new (
    assessment_id bigint, model_version_id bigint, pd_outcome_ppm integer, pd12_ppm integer,
    points integer, band text, refusal text, scored_on date)
ON CONFLICT (assessment_id, model_version_id) DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class Assessed:
    """An assessed application: what was asked, and the columns that its facts could name.

    ``house`` are the settings of the rate table that it was assessed under.
    """

    assessment_id: int
    application: ApplicationFacts
    columns: frozenset[str]
    house: HouseSettings


@dataclass(frozen=True, slots=True)
class _Score:
    """A score, or why there is none."""

    pd_outcome_ppm: int | None = None
    pd12_ppm: int | None = None
    points: int | None = None
    band: str = ""
    refusal: str = ""


def score_under(
    *, model_version: ModelVersion, assessment_ids: Collection[int], on: date
) -> list[ShadowView]:
    """Score assessed applications under another model version; their assessments stay as they are.

    A version scores an application once: again, what is there is returned. One that can't read the
    facts keeps its refusal instead of a score. Four statements, whatever the number.

    Args:
        model_version: in any state.
        on: the business date.

    Returns:
        A score each, in the order of the assessments' keys.

    Raises:
        NotFound: an assessment that there is not.
    """
    wanted = sorted(set(assessment_ids))
    with transaction.atomic():
        version = ModelVersion.objects.select_related("data_set").get(pk=model_version.pk)
        assessed = _assessed(wanted)
        if len(assessed) != len(wanted):
            raise NotFound("One of the assessments is not there.", field="assessment")
        store_shadows(versions=[version], assessed=assessed, on=on)
        return shadow_scores(assessment_ids=wanted, model_version_id=version.pk)


def score_applications_under(
    *, model_version: ModelVersion, references: Collection[str], on: date
) -> list[ShadowView]:
    """Score the newest assessment of each application under another model version.

    As :func:`score_under`, by what people know an application by; one statement more.

    Raises:
        NotFound: an application that was never assessed.
    """
    newest = dict(
        Assessment.objects.filter(application_reference__in=references)
        .order_by("id")
        .values_list("application_reference", "id")
    )
    for reference in references:
        if reference not in newest:
            raise NotFound(f"{reference} was never assessed.", field="reference")
    return score_under(model_version=model_version, assessment_ids=newest.values(), on=on)


def store_shadows(
    *, versions: Sequence[ModelVersion], assessed: Sequence[Assessed], on: date
) -> None:
    """Score applications under each version, and store that: one statement, or none for no rows.

    The caller's transaction must be open; each version's data set is loaded. What a version can't
    read never raises: the refusal is stored.

    Raises:
        RuntimeError: outside a transaction: a mistake in the calling code.
    """
    if not connection.in_atomic_block:
        raise RuntimeError("scores must be stored inside an open transaction")
    rows = [
        {
            "assessment_id": one.assessment_id,
            "model_version_id": version.pk,
            "scored_on": on.isoformat(),
            **asdict(score),
        }
        for version in versions
        for one, score in zip(assessed, _scores(version, assessed), strict=True)
    ]
    if rows:
        with connection.cursor() as cursor:
            cursor.execute(_INSERT, [canonical_json(rows)])


def _assessed(ids: Sequence[int]) -> list[Assessed]:
    """What the assessments were made of, by their keys; one query."""
    rows = Assessment.objects.filter(pk__in=ids).order_by("pk")
    stored = rows.values_list(
        "pk",
        "application_reference",
        "amount",
        "term_months",
        "facts",
        "model_version__data_set__columns",
        "rate_table__settings",
        "rate_table_id",
    )
    houses: dict[int, HouseSettings] = {}
    made = []
    for key, reference, amount, term, facts, columns, settings, table_id in stored:
        if table_id not in houses:
            houses[table_id] = house_from_mapping(settings)
        application = ApplicationFacts(reference, amount, term, facts)
        made.append(Assessed(key, application, frozenset(columns), houses[table_id]))
    return made


def _scores(version: ModelVersion, assessed: Sequence[Assessed]) -> list[_Score]:
    """A score for each application, or the refusal that stands in its way."""
    try:
        scorecard = scorecard_from_json(version.coefficients)
        spec = spec_from_mapping(version.data_set.spec)
    except RiskRefusal as refusal:
        return [_refused(refusal)] * len(assessed)
    read: list[dict[str, Fact] | RiskRefusal] = [
        _facts_for(one, scorecard, spec, version.data_set.columns) for one in assessed
    ]
    places = [place for place, facts in enumerate(read) if isinstance(facts, dict)]
    scored = iter(
        _score(
            scorecard,
            [facts for facts in read if isinstance(facts, dict)],
            [assessed[place].house for place in places],
        )
    )
    return [_refused(facts) if isinstance(facts, RiskRefusal) else next(scored) for facts in read]


def _facts_for(
    one: Assessed, scorecard: Scorecard, spec: DataSpec, columns: Sequence[str]
) -> dict[str, Fact] | RiskRefusal:
    """The facts as the version's own data would hold them, or why it can't read them."""
    known = frozenset(columns)
    needed = scorecard.kinds()
    own = {spec.amount_column, spec.term_column}
    barred = spec.barred_columns()
    try:
        for name in needed:
            if name not in one.columns and name not in own:
                raise FactsRefused(f"The facts have no column {name}.", field=name)
        facts = {
            name: value
            for name, value in one.application.facts.items()
            if name in known and name not in barred
        }
        prepared = prepare_facts(replace(one.application, facts=facts), spec, known)
        table_from_facts([prepared], needed)
    except RiskRefusal as refusal:
        return refusal
    return prepared


def _score(
    scorecard: Scorecard, facts: Sequence[dict[str, Fact]], houses: Sequence[HouseSettings]
) -> list[_Score]:
    if not facts:
        return []
    data = table_from_facts(facts, scorecard.kinds())
    chance = predict_bad(scorecard, data)
    pd12 = to_ppm(pd_in_year(chance, scorecard.outcome_months))
    scored = np.rint(points(scorecard, data)).astype(np.int64)
    outcome = to_ppm(chance)
    return [
        _Score(
            pd_outcome_ppm=int(outcome[place]),
            pd12_ppm=int(pd12[place]),
            points=int(scored[place]),
            band=_band(int(pd12[place]), house),
        )
        for place, house in enumerate(houses)
    ]


def _band(pd12_ppm: int, house: HouseSettings) -> str:
    place = int(place_in_band(np.array([pd12_ppm]), house)[0])
    return house.bands[place].name if place < len(house.bands) else ""


def _refused(refusal: RiskRefusal) -> _Score:
    return _Score(refusal=f"{refusal.code}: {refusal.message}")
