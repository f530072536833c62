"""Reading assessments, shadow scores, and what a lender should expect of a rate asked."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from uuid import UUID

import numpy as np
from django.db.models import QuerySet

from risk.core.decision import Decision
from risk.core.errors import NotFound, PricingRefused
from risk.core.house import house_from_mapping
from risk.core.pricing import LossTerms, from_ppm, net_return
from risk.core.table import FloatArray, IntArray
from risk.models import Assessment, RateTable, ShadowScore


@dataclass(frozen=True, slots=True)
class AssessmentView:
    """What a model version and a rate table said of an application.

    ``amount`` is pence; PDs and the guide rate (annual effective, gross) are ppm. ``band`` and
    ``guide_rate`` are none beyond the last band. ``losses`` are the rate table's assumptions.
    """

    id: int
    id_ref: UUID
    application_reference: str
    model_version_id: int
    model_name: str
    model_number: int
    rate_table_id: int
    rate_table_number: int
    amount: int
    term_months: int
    pd_outcome_ppm: int
    pd12_ppm: int
    points: int
    band: str | None
    decision: Decision
    guide_rate: int | None
    reasons: tuple[str, ...]
    losses: LossTerms
    assessed_on: date


@dataclass(frozen=True, slots=True)
class ShadowView:
    """What another model version says of an assessed application; its assessment is unchanged.

    PDs are ppm, ``pd_outcome_ppm`` over that version's own months; ``band`` is none beyond the
    last. ``refusal`` says why it could not read the facts; the scores are none then.
    """

    assessment_id: int
    application_reference: str
    model_version_id: int
    model_name: str
    model_number: int
    pd_outcome_ppm: int | None
    pd12_ppm: int | None
    points: int | None
    band: str | None
    refusal: str | None
    scored_on: date


def assessment(*, reference: str) -> AssessmentView:
    """The newest assessment of an application; two queries.

    Raises:
        NotFound: when the application was never assessed.
    """
    found = _views(Assessment.objects.filter(application_reference=reference).order_by("-id")[:1])
    if not found:
        raise NotFound(f"{reference} was never assessed.", field="reference")
    return found[0]


def assessments(
    *, references: Collection[str], model_version_id: int | None = None
) -> list[AssessmentView]:
    """All assessments of applications, oldest first, or one model version's; two queries."""
    found = Assessment.objects.filter(application_reference__in=references)
    if model_version_id is not None:
        found = found.filter(model_version_id=model_version_id)
    return _views(found.order_by("id"))


def assessments_by_id(*, ids: Collection[int]) -> dict[int, AssessmentView]:
    """Assessments by their key; two queries."""
    return {view.id: view for view in _views(Assessment.objects.filter(pk__in=ids))}


def shadow_scores(
    *, assessment_ids: Collection[int], model_version_id: int | None = None
) -> list[ShadowView]:
    """What other model versions say of assessed applications, or one of them; one query.

    In the order of the assessments' keys, then of the versions'.
    """
    found = ShadowScore.objects.filter(assessment_id__in=assessment_ids)
    if model_version_id is not None:
        found = found.filter(model_version_id=model_version_id)
    rows = found.order_by("assessment_id", "model_version_id").values_list(
        "assessment_id",
        "assessment__application_reference",
        "model_version_id",
        "model_version__name",
        "model_version__number",
        "pd_outcome_ppm",
        "pd12_ppm",
        "points",
        "band",
        "refusal",
        "scored_on",
    )
    return [
        ShadowView(*row[:8], band=row[8] or None, refusal=row[9] or None, scored_on=row[10])
        for row in rows
    ]


def expected_returns(*, rates_ppm: IntArray, assessment_ids: IntArray) -> FloatArray:
    """Expected net annual return of each gross rate asked of the assessed loan beside it.

    Each loan's own frozen PD, with the losses and fee that its rate table assumed, and nothing
    from the provision fund. Two queries, whatever the number of rates.

    Args:
        rates_ppm: gross annual effective rates, ppm, shape ``(n,)``.
        assessment_ids: of the assessments, shape ``(n,)``.

    Returns:
        Annual effective returns as shares, shape ``(n,)``.

    Raises:
        NotFound: an assessment that there is not.
        PricingRefused: when lengths differ, or a rate is negative.
    """
    if len(rates_ppm) != len(assessment_ids):
        raise PricingRefused("Each rate needs its assessment.", field="rate")
    ids, place = np.unique(assessment_ids, return_inverse=True)
    rows = Assessment.objects.filter(pk__in=ids.tolist()).order_by("pk")
    known = list(rows.values_list("pd12_ppm", "rate_table_id"))
    if len(known) != len(ids):
        raise NotFound("One of the assessments is not there.", field="assessment")
    pd12 = from_ppm([pd for pd, _ in known])[place]
    table = np.array([of for _, of in known], dtype=np.int64)[place]
    tables = RateTable.objects.in_bulk(np.unique(table).tolist())
    gross, expected = from_ppm(rates_ppm), np.zeros(len(rates_ppm))
    for key, found in tables.items():
        own = table == key
        losses = house_from_mapping(found.settings).losses
        expected[own] = net_return(gross[own], pd12[own], losses)
    return expected


def _views(found: QuerySet[Assessment]) -> list[AssessmentView]:
    rows = list(
        found.select_related("model_version").defer(
            "facts",
            "model_version__coefficients",
            "model_version__holdout_rows",
            "model_version__figures",
            "model_version__settings",
            "model_version__report",
        )
    )
    tables = RateTable.objects.in_bulk({row.rate_table_id for row in rows})
    losses = {key: house_from_mapping(table.settings).losses for key, table in tables.items()}
    return [
        AssessmentView(
            id=row.pk,
            id_ref=row.id_ref,
            application_reference=row.application_reference,
            model_version_id=row.model_version_id,
            model_name=row.model_version.name,
            model_number=row.model_version.number,
            rate_table_id=row.rate_table_id,
            rate_table_number=tables[row.rate_table_id].number,
            amount=row.amount,
            term_months=row.term_months,
            pd_outcome_ppm=row.pd_outcome_ppm,
            pd12_ppm=row.pd12_ppm,
            points=row.points,
            band=row.band or None,
            decision=Decision(row.decision),
            guide_rate=row.guide_rate,
            reasons=tuple(row.reasons),
            losses=losses[row.rate_table_id],
            assessed_on=row.assessed_on,
        )
        for row in rows
    ]
