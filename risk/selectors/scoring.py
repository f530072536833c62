"""Scoring a file of applications under a model version: nothing is stored."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from django.db.models import Q

from risk.core.house import HouseSettings, house_from_mapping
from risk.core.pricing import pd_in_year, to_ppm
from risk.core.rate_table import place_in_band
from risk.core.reading import read_applications
from risk.core.scorecard import Scorecard, points, predict_bad, reasons, scorecard_from_json
from risk.core.spec import DataSpec, Kind, spec_from_mapping
from risk.core.states import RateTableState
from risk.core.table import FloatArray, IntArray, Table
from risk.models import ModelVersion, RateTable
from risk.selectors.model_versions import named_version, versions_in_use


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """What a model version says of applications in their order, each of shape ``(n,)``.

    ``pd_outcome`` is over the model's months, ``pd12`` over twelve. ``bands`` are names, empty
    beyond the last; none without a rate table. ``reasons`` are at most four each.
    """

    rows: IntArray
    pd_outcome: FloatArray
    pd12: FloatArray
    points: IntArray
    bands: tuple[str, ...] | None
    reasons: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Scorer:
    """A model version ready to score, with the bands of its rate table, if there is one."""

    name: str
    number: int
    scorecard: Scorecard
    spec: DataSpec
    house: HouseSettings | None

    def read(self, content: bytes, file_name: str) -> Table:
        """The columns that the model reads, from a CSV file; an outcome is not needed.

        Raises:
            DataRefused: naming file, row and column of what can't be read.
        """
        kinds = {name: kind or Kind.TEXT for name, kind in self.scorecard.kinds().items()}
        return read_applications(content, file_name, self.spec, kinds)

    def score(self, table: Table) -> Scores:
        """Score a table; unseen values count as rare ones, missing as missing, none is NaN."""
        chance = predict_bad(self.scorecard, table)
        pd12 = pd_in_year(chance, self.scorecard.outcome_months)
        return Scores(
            rows=table.rows,
            pd_outcome=chance,
            pd12=pd12,
            points=np.rint(points(self.scorecard, table)).astype(np.int64),
            bands=self._bands(to_ppm(pd12)),
            reasons=tuple(reasons(self.scorecard, table, self.spec)),
        )

    def _bands(self, pd12_ppm: IntArray) -> tuple[str, ...] | None:
        if self.house is None:
            return None
        names = [*(band.name for band in self.house.bands), ""]
        return tuple(names[place] for place in place_in_band(pd12_ppm, self.house).tolist())


def scorer(*, model: str | None) -> Scorer:
    """The version called ``name`` or ``name:number``, or the champion; two or three queries.

    The bands are those of the version's own rate table, the approved one before newer drafts, or
    else of the approved one.

    Raises:
        NotFound: when there is no such model.
        NotReady: when none is named, and none is champion.
    """
    version = versions_in_use().champion if model is None else named_version(model=model)
    return Scorer(
        name=version.name,
        number=version.number,
        scorecard=scorecard_from_json(version.coefficients),
        spec=spec_from_mapping(version.data_set.spec),
        house=_house(version),
    )


def _house(version: ModelVersion) -> HouseSettings | None:
    approved = RateTableState.APPROVED.value
    tables = RateTable.objects.filter(Q(model_version=version) | Q(state=approved))
    best = max(
        tables,
        key=lambda table: (
            table.model_version_id == version.pk,
            table.state == approved,
            table.number,
        ),
        default=None,
    )
    return None if best is None else house_from_mapping(best.settings)
