"""From a file of past applications to a validated model version, all of it or nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from django.db import transaction

from risk.core.states import ModelState
from risk.models import ModelVersion
from risk.selectors.past_applications import data_table
from risk.services.loading import load_data_set
from risk.services.training import TrainingPlan, check_plan, train_on
from risk.services.validating import validate_on

StepProgress = Callable[[str, int, int], None]
Report = Callable[[ModelVersion], None]

LOAD, READ, FIT, VALIDATE = "Load", "Read back", "Fit", "Validate"


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file of past applications: its bytes, its name for refusals, and what it means (TOML)."""

    content: bytes
    file_name: str
    spec_text: str


def make_model(
    *,
    source: SourceFile,
    plan: TrainingPlan,
    progress: StepProgress | None = None,
    report: Report | None = None,
) -> ModelVersion:
    """Load a file, train on 70 % of it, judge on the other 30 %, and keep the validation report.

    The author validates; approval is a second person's. The same file, specification and plan
    return the version that is there, in whatever state it is. A refusal leaves nothing behind.

    Args:
        progress: told (step, done, in all).
        report: handed the version, before anything is kept: what it raises leaves nothing behind.

    Raises:
        RiskRefusal: any of :func:`load_data_set`, :func:`train_model` and :func:`validate_model`.
    """
    told = progress or _untold
    check_plan(plan)
    with transaction.atomic():
        data_set = load_data_set(
            content=source.content,
            file_name=source.file_name,
            spec_text=source.spec_text,
            on=plan.on,
            progress=lambda done, total: told(LOAD, done, total),
        )
        table = data_table(data_set)
        told(READ, 1, 1)
        version = train_on(
            table=table,
            data_set=data_set,
            plan=plan,
            progress=lambda done, total: told(FIT, done, total),
        )
        if version.state == ModelState.DRAFT.value:
            version = validate_on(
                table=table, model_version=version, validator=plan.author, on=plan.on
            )
        told(VALIDATE, 1, 1)
        if report:
            report(version)
    return version


def _untold(_step: str, _done: int, _total: int) -> None:
    """Nobody wants to know."""
