"""What was frozen with assessments that an expectation is made from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from risk.core.errors import NotFound
from risk.core.house import house_from_mapping
from risk.core.pricing import from_ppm
from risk.core.scorecard import ScorecardSettings
from risk.core.table import BoolArray, FloatArray, IntArray
from risk.models import Assessment, ModelVersion, RateTable


@dataclass(frozen=True, slots=True, eq=False)
class ExpectationTerms:
    """One entry an assessment asked for, in that order, shape ``(n,)``.

    ``pd12`` and ``loss_given_default`` are shares; ``covered`` says whether the provision fund
    bears the losses of its band; ``correlation`` is its model version's.
    """

    pd12: FloatArray
    loss_given_default: FloatArray
    recovery_lag_months: IntArray
    covered: BoolArray
    correlation: FloatArray


def expectation_terms(*, assessment_ids: IntArray) -> ExpectationTerms:
    """Frozen PDs with what their rate tables and model versions assume; three queries.

    Raises:
        NotFound: an assessment that there is not.
    """
    ids, place = np.unique(assessment_ids, return_inverse=True)
    rows = list(
        Assessment.objects.filter(pk__in=ids.tolist())
        .order_by("pk")
        .values_list("pd12_ppm", "band", "rate_table_id", "model_version_id")
    )
    if len(rows) != len(ids):
        raise NotFound("One of the assessments is not there.", field="assessment")
    tables = RateTable.objects.in_bulk({row[2] for row in rows})
    houses = {key: house_from_mapping(table.settings) for key, table in tables.items()}
    covered = {
        (key, band.name): band.covered for key, house in houses.items() for band in house.bands
    }
    settings = ModelVersion.objects.filter(pk__in={row[3] for row in rows})
    correlation = {
        version: values.get("asset_correlation", ScorecardSettings().asset_correlation)
        for version, values in settings.values_list("pk", "settings")
    }
    losses = [houses[row[2]].losses for row in rows]
    return ExpectationTerms(
        pd12=from_ppm([row[0] for row in rows])[place],
        loss_given_default=np.array([of.loss_given_default for of in losses], float)[place],
        recovery_lag_months=np.array([of.recovery_lag_months for of in losses], np.int64)[place],
        covered=np.array([covered.get((row[2], row[1]), False) for row in rows], bool)[place],
        correlation=np.array([correlation[row[3]] for row in rows], float)[place],
    )
