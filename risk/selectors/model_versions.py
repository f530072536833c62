"""Reading the registry: the champion, and what is known of a model version."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from risk.core.errors import NotReady
from risk.core.states import ModelState
from risk.core.validation import (
    CalibrationRow,
    Figures,
    calibration_from_json,
    figures_from_json,
)
from risk.models import ModelVersion, RateTable


@dataclass(frozen=True, slots=True)
class ModelVersionView:
    """A model version without its coefficients; ``outcome_months`` is what its PD covers."""

    id: int
    name: str
    number: int
    state: ModelState
    content_hash: str
    seed: int
    outcome_months: int
    data_set_id: int
    data_set_name: str
    author: str
    trained_on: date
    approver: str | None
    approved_on: date | None


@dataclass(frozen=True, slots=True)
class TrainingReport:
    """How a model version was trained, and how it did on rows that it has not seen.

    ``by_band`` compares predicted with actual outcomes by band of the newest rate table built on
    it, with a last group for those beyond the last band; none when there is no rate table.
    """

    model: ModelVersionView
    training_rows: int
    training_bad: int
    strength: float
    figures: Figures
    by_band: tuple[CalibrationRow, ...] | None


def champion_version() -> ModelVersion:
    """The champion with its data set; one query.

    Raises:
        NotReady: when no model is champion.
    """
    version = (
        ModelVersion.objects.select_related("data_set")
        .filter(state=ModelState.CHAMPION.value)
        .first()
    )
    if version is None:
        raise NotReady("No model is approved: train one and have a second person approve it.")
    return version


def champion() -> ModelVersionView:
    """What is known of the champion; one query.

    Raises:
        NotReady: when no model is champion.
    """
    return _view(champion_version())


def training_report(*, model_version: ModelVersion) -> TrainingReport:
    """How a model version was trained and judged.

    One query, or two when the model version's data set is not loaded yet.
    """
    newest = (
        RateTable.objects.filter(model_version=model_version)
        .order_by("-number")
        .values_list("figures", flat=True)
        .first()
    )
    coefficients = model_version.coefficients
    return TrainingReport(
        model=_view(model_version),
        training_rows=coefficients["training_rows"],
        training_bad=coefficients["training_bad"],
        strength=coefficients["strength"],
        figures=figures_from_json(model_version.figures),
        by_band=None if newest is None else calibration_from_json(newest["by_band"]),
    )


def _view(version: ModelVersion) -> ModelVersionView:
    return ModelVersionView(
        id=version.pk,
        name=version.name,
        number=version.number,
        state=ModelState(version.state),
        content_hash=version.content_hash,
        seed=version.settings["seed"],
        outcome_months=version.coefficients["outcome_months"],
        data_set_id=version.data_set_id,
        data_set_name=version.data_set.name,
        author=version.author,
        trained_on=version.trained_on,
        approver=version.approver,
        approved_on=version.approved_on,
    )
