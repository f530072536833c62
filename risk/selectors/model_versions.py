"""Reading the registry: versions in use, by name, and what is known of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from django.db.models import QuerySet

from risk.core.errors import NotFound, NotReady
from risk.core.scorecard import scorecard_from_json
from risk.core.states import ModelState
from risk.core.validation import (
    CalibrationRow,
    Figures,
    calibration_from_json,
    figures_from_json,
)
from risk.models import ModelVersion, RateTable

_LONGEST_NUMBER = 9


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
    validator: str | None
    validated_on: date | None
    report_digest: str | None
    approver: str | None
    approved_on: date | None
    leak_overrides: Mapping[str, str]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MoveView:
    """A move of a model version from one state to another: by whom, and on which date."""

    old: ModelState
    new: ModelState
    by: str
    on: date


@dataclass(frozen=True, slots=True)
class InUse:
    """The champion and the challengers by age, each with its data set."""

    champion: ModelVersion
    challengers: tuple[ModelVersion, ...]


@dataclass(frozen=True, slots=True)
class TrainingReport:
    """How a model version was trained, and how it did on rows that it has not seen.

    ``rows`` are all of the data set, ``inputs`` the columns that its scorecard reads.
    ``by_band`` compares predicted with actual outcomes by band of the newest rate table built on
    it, with a last group for those beyond the last band; none when there is no rate table.
    """

    model: ModelVersionView
    rows: int
    training_rows: int
    training_bad: int
    inputs: tuple[str, ...]
    strength: float
    figures: Figures
    by_band: tuple[CalibrationRow, ...] | None


def versions_in_use() -> InUse:
    """The champion and the challengers; one query.

    Raises:
        NotReady: when no model is champion.
    """
    found = _light().filter(state__in=[ModelState.CHAMPION.value, ModelState.CHALLENGER.value])
    versions = list(found.order_by("pk"))
    champions = [v for v in versions if v.state == ModelState.CHAMPION.value]
    if not champions:
        raise NotReady("No model is champion: train one and have a second person approve it.")
    return InUse(champions[0], tuple(v for v in versions if v is not champions[0]))


def named_version(*, model: str) -> ModelVersion:
    """The version called ``name:number``, or the newest of ``name``; one query, or two.

    Raises:
        NotFound: when there is none.
    """
    newest = _light().order_by("-number")
    name, _, number = model.rpartition(":")
    # A name may hold a colon itself.
    version = newest.filter(name=name, number=int(number)).first() if _is_number(number) else None
    version = version or newest.filter(name=model).first()
    if version is None:
        raise NotFound(
            f"There is no model '{model}': say a name, or a name and a number as in house:2.",
            field="model",
        )
    return version


def model_versions() -> tuple[ModelVersionView, ...]:
    """All versions by name and number; one query."""
    return tuple(_view(version) for version in _light().order_by("name", "number"))


def model_moves(*, model_version: ModelVersion) -> tuple[MoveView, ...]:
    """What became of a version, oldest move first; one query."""
    moves = model_version.moves.order_by("pk").values_list("old", "new", "by", "on")
    return tuple(MoveView(ModelState(old), ModelState(new), by, on) for old, new, by, on in moves)


def champion() -> ModelVersionView:
    """What is known of the champion; one query.

    Raises:
        NotReady: when no model is champion.
    """
    return _view(versions_in_use().champion)


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
        rows=model_version.data_set.row_count,
        training_rows=coefficients["training_rows"],
        training_bad=coefficients["training_bad"],
        inputs=tuple(scorecard_from_json(coefficients).kinds()),
        strength=coefficients["strength"],
        figures=figures_from_json(model_version.figures),
        by_band=None if newest is None else calibration_from_json(newest["by_band"]),
    )


def _light() -> QuerySet[ModelVersion]:
    """Versions with their data sets, without what is long and seldom needed."""
    return ModelVersion.objects.select_related("data_set").defer("holdout_rows", "report")


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= _LONGEST_NUMBER


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
        validator=version.validator,
        validated_on=version.validated_on,
        report_digest=version.report_digest,
        approver=version.approver,
        approved_on=version.approved_on,
        leak_overrides=version.leak_overrides,
        notes=tuple(version.notes),
    )
