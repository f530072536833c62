"""Building a rate table on a model version: guide rates, and calibration by band."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date
from typing import Any

import numpy as np
from django.db import transaction
from django.db.models import Max

from risk.core.content import content_hash
from risk.core.errors import OutcomeRefused
from risk.core.house import HouseSettings, house_from_mapping
from risk.core.pricing import pd_in_year, to_ppm
from risk.core.rate_table import (
    BEYOND,
    RateRow,
    build_rates,
    place_in_band,
    representative_pds,
)
from risk.core.scorecard import predict_bad, scorecard_from_json
from risk.core.toml_values import parse_toml
from risk.core.validation import calibration_table
from risk.models import ModelVersion, RateTable, RateTableRow
from risk.selectors.past_applications import data_table, holdout_places
from risk.services.numbering import hold_numbers
from risk.services.people import checked_handle


def build_rate_table(
    *, model_version: ModelVersion, settings_text: str, author: str, on: date
) -> RateTable:
    """Solve a guide rate for each market, and register the rate table as a draft.

    A band is represented by the mean 12-month PD of the training applications in it. Predicted
    and actual outcomes by band, on rows that the model has not seen, are kept with it. The same
    settings on the same model return the rate table that is there.

    Args:
        settings_text: TOML of the house's settings.
        author: handle of who builds it.
        on: the business date.

    Raises:
        SpecRefused: for settings that can't be used.
        RateTableRefused: when they give no usable rate table.
        HandleRefused: when the author's handle is empty.
    """
    checked_handle(author, "author")
    values = parse_toml(settings_text)
    settings = house_from_mapping(values)
    rows, figures = _solve(model_version, settings)
    digest = content_hash(
        {
            "model": model_version.content_hash,
            "settings": values,
            "rows": [asdict(row) for row in rows],
        }
    )
    with transaction.atomic():
        hold_numbers()
        same = RateTable.objects.filter(content_hash=digest).first()
        if same is not None:
            return same
        last = RateTable.objects.aggregate(Max("number"))["number__max"]
        table = RateTable.objects.create(
            number=(last or 0) + 1,
            model_version=model_version,
            settings=values,
            figures=figures,
            content_hash=digest,
            author=author,
            built_on=on,
        )
        RateTableRow.objects.bulk_create(
            [RateTableRow(rate_table=table, **asdict(row)) for row in rows]
        )
    return table


def _solve(
    model_version: ModelVersion, settings: HouseSettings
) -> tuple[tuple[RateRow, ...], dict[str, Any]]:
    """The rows, and calibration by band on the rows held out."""
    scorecard = scorecard_from_json(model_version.coefficients)
    table = data_table(model_version.data_set)
    unseen = holdout_places(model_version, table)
    chance = predict_bad(scorecard, table)
    pd12 = to_ppm(pd_in_year(chance, scorecard.outcome_months))
    learnt = np.setdiff1d(np.arange(len(table)), unseen)
    rows = build_rates(settings, representative_pds(pd12[learnt], settings))
    if table.is_bad is None:
        raise OutcomeRefused("The data set has no outcomes.")
    by_band = calibration_table(
        table.is_bad[unseen],
        chance[unseen],
        place_in_band(pd12[unseen], settings),
        [*(band.name for band in settings.bands), BEYOND],
    )
    return rows, {"by_band": [asdict(row) for row in by_band]}
