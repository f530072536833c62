"""Validating a model version: its report is made and kept with it, as it was."""

from __future__ import annotations

from datetime import date

import numpy as np
from django.db import transaction

from risk.core.content import content_hash
from risk.core.house import HouseSettings, house_from_toml
from risk.core.model_report import ModelReport, bands_of, build_model_report
from risk.core.scorecard import scorecard_from_json
from risk.core.spec import spec_from_mapping
from risk.core.states import MODEL_MOVES, ModelState, require_move
from risk.core.table import Table
from risk.models import ModelMove, ModelVersion
from risk.selectors.past_applications import data_table, holdout_places
from risk.services.people import checked_handle
from risk.specs import spec_text


def validate_model(
    *, model_version: ModelVersion, validator: str, on: date, settings_text: str | None = None
) -> ModelVersion:
    """Make the validation report of a draft, keep it, and call the draft validated.

    Args:
        validator: handle of who looks at the report; the author may.
        on: the business date.
        settings_text: TOML of the house's settings, for the bands; the house's own without.

    Raises:
        MoveRefused: when the model version is no draft.
        SpecRefused: for settings that can't be used.
        HandleRefused: when the validator's handle is empty.
    """
    return validate_on(
        table=data_table(model_version.data_set),
        model_version=model_version,
        validator=validator,
        on=on,
        settings_text=settings_text,
    )


def validate_on(
    *,
    table: Table,
    model_version: ModelVersion,
    validator: str,
    on: date,
    settings_text: str | None = None,
) -> ModelVersion:
    """As :func:`validate_model`, on the data set's table where the caller has it already."""
    checked_handle(validator, "validator")
    settings = house_from_toml(spec_text("house") if settings_text is None else settings_text)
    with transaction.atomic():
        version = (
            ModelVersion.objects.select_for_update(of=("self",))
            .select_related("data_set")
            .get(pk=model_version.pk)
        )
        old = ModelState(version.state)
        require_move(MODEL_MOVES, old, ModelState.VALIDATED)
        report = _report(version, table, on, settings).to_json()
        version.state = ModelState.VALIDATED.value
        version.validator, version.validated_on = validator, on
        version.report, version.report_digest = report, content_hash(report)
        version.save(
            update_fields=["state", "validator", "validated_on", "report", "report_digest"]
        )
        ModelMove.objects.create(
            model_version=version, old=old.value, new=version.state, by=validator, on=on
        )
    return version


def _report(version: ModelVersion, table: Table, on: date, settings: HouseSettings) -> ModelReport:
    spec = spec_from_mapping(version.data_set.spec)
    unseen = holdout_places(version, table)
    learnt = np.setdiff1d(np.arange(len(table)), unseen)
    overrides = [
        f"{column}: let in although it may look like a leak, because: {reason}"
        for column, reason in sorted(version.leak_overrides.items())
    ]
    return build_model_report(
        name=str(version),
        scorecard=scorecard_from_json(version.coefficients),
        spec=spec,
        training=table.take(learnt),
        holdout=table.take(unseen),
        made_on=on,
        bands=bands_of(settings),
        time_column=spec.time_column,
        notes=[*overrides, *version.notes, *version.data_set.notes],
    )
