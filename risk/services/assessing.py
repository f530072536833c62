"""Assessing applications: the champion's PD, the approved rate table's price, the hard rules.

Challengers score what is assessed in the champion's shadow, in the same transaction.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from django.db import connection, transaction

from risk.core.content import canonical_json, content_hash
from risk.core.decision import Verdict, decide, with_score_reasons
from risk.core.errors import AlreadyAssessed, FactsRefused, NotReady
from risk.core.facts import ApplicationFacts, prepare_facts, what_is_asked
from risk.core.pricing import pd_in_year, to_ppm
from risk.core.scorecard import Scorecard, points, predict_bad, reasons, scorecard_from_json
from risk.core.spec import DataSpec, spec_from_mapping
from risk.core.table import Fact, IntArray, table_from_facts
from risk.models import Assessment, ModelVersion
from risk.selectors.assessments import AssessmentView, assessments
from risk.selectors.model_versions import versions_in_use
from risk.selectors.rate_tables import RateTableView, current_rate_table
from risk.services.shadow import Assessed, store_shadows

LONGEST_REFERENCE = 64
# The rows travel as one JSON parameter, so that there is one statement whatever their number.
_INSERT = """
INSERT INTO risk_assessment (
    id_ref, application_reference, model_version_id, rate_table_id, amount, term_months, facts,
    digest, pd_outcome_ppm, pd12_ppm, points, band, decision, guide_rate, reasons, assessed_on)
SELECT
    id_ref, application_reference, model_version_id, rate_table_id, amount, term_months, facts,
    digest, pd_outcome_ppm, pd12_ppm, points, band, decision, guide_rate, reasons, assessed_on
FROM jsonb_to_recordset(%s::jsonb) AS new (
    id_ref uuid, application_reference text, model_version_id bigint, rate_table_id bigint,
    amount bigint, term_months smallint, facts jsonb, digest text, pd_outcome_ppm integer,
    pd12_ppm integer, points integer, band text, decision text, guide_rate integer,
    reasons jsonb, assessed_on date)
ON CONFLICT (application_reference, model_version_id) DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class _Prepared:
    """An application with its facts completed and the digest of what was asked."""

    application: ApplicationFacts
    facts: dict[str, Fact]
    digest: str


@dataclass(frozen=True, slots=True, eq=False)
class _Scored:
    """The core's answers for applications in their order: ppm, points, verdicts, reasons."""

    pd_outcome: IntArray
    pd12: IntArray
    points: IntArray
    verdicts: list[Verdict]
    reasons: list[tuple[str, ...]]


def assess_applications(
    *, applications: Sequence[ApplicationFacts], on: date
) -> list[AssessmentView]:
    """Assess applications by the champion and the approved rate table, all or none.

    An application that the champion assessed before on the same facts keeps that assessment.
    Every challenger scores what is new; one that can't read the facts leaves its refusal and
    stops nothing. Six statements, and one more when there are challengers, whatever the number of
    either.

    Args:
        applications: amount in pence, term in months, facts by the data's columns.
        on: the business date.

    Returns:
        Their assessments, in the same order.

    Raises:
        NotReady: without a champion, or an approved rate table of it.
        ColumnRefused: for a price, protected or outcome column among the facts.
        FactsRefused: for facts that the model can't read, or a reference used twice.
        AlreadyAssessed: when the champion assessed one before on other facts.
        PricingRefused: for a term that the rate table has not.
    """
    references = [application.reference for application in applications]
    _check_references(references)
    with transaction.atomic():
        in_use, table = versions_in_use(), current_rate_table()
        version = in_use.champion
        if table.model_version_id != version.pk:
            raise NotReady("The approved rate table is not the champion's.")
        spec = spec_from_mapping(version.data_set.spec)
        prepared = _prepare(applications, spec, version.data_set.columns)
        new = _without_known(prepared, version)
        if new:
            scored = _score(new, spec, scorecard_from_json(version.coefficients), table)
            if _insert(_rows(new, scored, version, table, on)) < len(new):
                # Someone else assessed one of them meanwhile: on the same facts, or refused.
                _without_known(prepared, version)
        found = assessments(references=references, model_version_id=version.pk)
        by_reference = {view.application_reference: view for view in found}
        assessed = [_assessed(one, by_reference, version, table) for one in new]
        store_shadows(versions=in_use.challengers, assessed=assessed, on=on)
    return [by_reference[reference] for reference in references]


def _assessed(
    one: _Prepared,
    views: Mapping[str, AssessmentView],
    version: ModelVersion,
    table: RateTableView,
) -> Assessed:
    return Assessed(
        views[one.application.reference].id,
        one.application,
        frozenset(version.data_set.columns),
        table.settings,
    )


def _check_references(references: Sequence[str]) -> None:
    seen: set[str] = set()
    for reference in references:
        if not reference or len(reference) > LONGEST_REFERENCE:
            raise FactsRefused(f"'{reference}' is not a reference.", field="reference")
        if reference in seen:
            raise FactsRefused(f"{reference} is there twice.", field="reference")
        seen.add(reference)


def _prepare(
    applications: Sequence[ApplicationFacts], spec: DataSpec, columns: Sequence[str]
) -> list[_Prepared]:
    known = frozenset(columns)
    made = []
    for application in applications:
        facts = prepare_facts(application, spec, known)
        digest = content_hash(
            {
                "amount": application.amount,
                "term_months": application.term_months,
                "facts": facts,
            }
        )
        made.append(_Prepared(application, facts, digest))
    return made


def _without_known(prepared: Sequence[_Prepared], version: ModelVersion) -> list[_Prepared]:
    """Those that the model version has not assessed before."""
    known = dict(
        Assessment.objects.filter(
            model_version=version,
            application_reference__in=[one.application.reference for one in prepared],
        ).values_list("application_reference", "digest")
    )
    for one in prepared:
        if known.get(one.application.reference, one.digest) != one.digest:
            raise AlreadyAssessed(
                f"{one.application.reference} was assessed before on other facts: "
                "an assessment is never changed.",
                field="reference",
            )
    return [one for one in prepared if one.application.reference not in known]


def _score(
    new: Sequence[_Prepared], spec: DataSpec, scorecard: Scorecard, table: RateTableView
) -> _Scored:
    data = table_from_facts(
        [one.facts for one in new],
        scorecard.kinds(),
        labels=[one.application.reference for one in new],
    )
    chance = predict_bad(scorecard, data)
    pd12 = to_ppm(pd_in_year(chance, scorecard.outcome_months))
    asked = [what_is_asked(one.application, one.facts, spec) for one in new]
    return _Scored(
        pd_outcome=to_ppm(chance),
        pd12=pd12,
        points=np.rint(points(scorecard, data)).astype(np.int64),
        verdicts=decide(asked, pd12, table.settings, table.rows),
        reasons=reasons(scorecard, data, spec),
    )


def _insert(rows: list[dict[str, object]]) -> int:
    """Write assessments that are not there yet; how many were written."""
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, [canonical_json(rows)])
        return int(cursor.rowcount)


def _rows(
    new: Sequence[_Prepared],
    scored: _Scored,
    version: ModelVersion,
    table: RateTableView,
    on: date,
) -> list[dict[str, object]]:
    return [
        {
            "id_ref": str(uuid.uuid4()),
            "application_reference": one.application.reference,
            "model_version_id": version.pk,
            "rate_table_id": table.id,
            "amount": one.application.amount,
            "term_months": one.application.term_months,
            "facts": one.facts,
            "digest": one.digest,
            "pd_outcome_ppm": int(scored.pd_outcome[place]),
            "pd12_ppm": int(scored.pd12[place]),
            "points": int(scored.points[place]),
            "band": verdict.row.band if verdict.row else "",
            "decision": verdict.decision.value,
            "guide_rate": verdict.row.guide_rate if verdict.row else None,
            "reasons": with_score_reasons(verdict, scored.reasons[place]),
            "assessed_on": on.isoformat(),
        }
        for place, (one, verdict) in enumerate(zip(new, scored.verdicts, strict=True))
    ]
