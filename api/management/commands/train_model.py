"""``manage.py train_model``: from a file of past applications to a validated model version."""

from __future__ import annotations

import json
import time
from argparse import ArgumentTypeError
from dataclasses import replace
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from rich.progress import Progress, TaskID

from api.management.commands._common import parsed_date
from api.management.commands._risk import (
    business_date,
    ensure_tables,
    progress_bar,
    refusals,
)
from api.risk_report import render_model_report
from risk.core.scorecard import Method, ScorecardSettings
from risk.core.scorecard_calibration import Calibration
from risk.models import ModelVersion
from risk.selectors.model_versions import TrainingReport, training_report
from risk.selectors.reports import validation_report
from risk.services.modelling import SourceFile, make_model
from risk.services.training import TrainingPlan

AUTHOR = "risk-officer"
REPORTS = Path("var/reports")


class Command(BaseCommand):
    help = (
        "Trains a scorecard on 70 % of a table of past applications, validates it on the other"
        " 30 %, writes the report, and prints the figures as a line of JSON."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("data", type=Path, metavar="DATA.csv", help="the table")
        parser.add_argument("--spec", type=Path, required=True, help="what its columns mean (TOML)")
        parser.add_argument("--name", required=True, help="of the line of models")
        parser.add_argument("--seed", type=int, default=0, help="of the split and the folds")
        parser.add_argument(
            "--author", default=AUTHOR, metavar="HANDLE", help="who trains it; can't approve it"
        )
        parser.add_argument(
            "--inputs", type=_columns, metavar="A,B", help="columns to learn from; all without"
        )
        parser.add_argument(
            "--allow",
            type=_override,
            action="append",
            default=[],
            metavar="COLUMN=REASON",
            help="let in a column that looks like a leak, with the reason that is kept",
        )
        parser.add_argument(
            "--method",
            choices=[method.value for method in Method],
            default=Method.ADDITIVE.value,
            help="additive steps fitted together, or columns binned one by one with weights of"
            " evidence",
        )
        parser.add_argument(
            "--calibration",
            choices=[calibration.value for calibration in Calibration],
            default=Calibration.PLATT.value,
            help="how out-of-fold scores become probabilities",
        )
        parser.add_argument(
            "--report", type=Path, metavar="PATH", help=f"the report (HTML); {REPORTS}/ without"
        )
        parser.add_argument(
            "--on", type=parsed_date, metavar="DATE", help="business date; today's without"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        began = time.perf_counter()
        with refusals():
            source = _source(options)
            _require_place(options["report"] or REPORTS / "report.html")
            ensure_tables()
            with progress_bar() as progress:
                bar = _Bars(progress)
                version = make_model(
                    source=source,
                    plan=_plan(options),
                    progress=bar.told,
                    report=lambda version: _report(version, options["report"], bar),
                )
        trained = training_report(model_version=version)
        file = _place(version, options["report"])
        self.stdout.write(f"{version}: {trained.model.state.value}.")
        notes = list(dict.fromkeys((*version.data_set.notes, *version.notes)))
        for note in notes:
            self.stdout.write(f"Note: {note}")
        self.stdout.write(f"Report: {file}")
        seconds = round(time.perf_counter() - began, 3)
        self.stdout.write(_line(trained, notes, file, seconds))


class _Bars:
    """A progress bar for each step, made when the step is first told of."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def told(self, step: str, done: int, total: int) -> None:
        if step not in self._tasks:
            self._tasks[step] = self._progress.add_task(step, total=total)
        self._progress.update(self._tasks[step], completed=done, total=total)


def _columns(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(","))
    if not all(names):
        raise ArgumentTypeError("columns are named with commas between them, as in age,income")
    return names


def _override(text: str) -> tuple[str, str]:
    column, _, reason = text.partition("=")
    if not column.strip() or not reason.strip():
        raise ArgumentTypeError("a column and a reason are needed, as in score=known beforehand")
    return column.strip(), reason.strip()


def _source(options: dict[str, Any]) -> SourceFile:
    path: Path = options["data"]
    return SourceFile(
        content=path.read_bytes(),
        file_name=path.name,
        spec_text=options["spec"].read_text(encoding="utf-8"),
    )


def _plan(options: dict[str, Any]) -> TrainingPlan:
    return TrainingPlan(
        name=options["name"],
        seed=options["seed"],
        author=options["author"],
        on=business_date(options),
        settings=replace(
            ScorecardSettings(),
            inputs=options["inputs"],
            method=Method(options["method"]),
            calibration=Calibration(options["calibration"]),
        ),
        leak_overrides=dict(options["allow"]),
    )


def _require_place(file: Path) -> None:
    """Refuse a report that can't be written before anything else is done.

    Raises:
        OSError: when it is a folder, or where it should go is none.
    """
    if file.is_dir():
        raise IsADirectoryError(21, "it is a folder", str(file))
    for folder in file.absolute().parents:
        if folder.exists():
            if not folder.is_dir():
                raise NotADirectoryError(20, "it is no folder", str(folder))
            return


def _report(version: ModelVersion, asked: Path | None, bar: _Bars) -> None:
    bar.told("Write the report", 0, 1)
    file = _place(version, asked)
    file.parent.mkdir(parents=True, exist_ok=True)
    html = render_model_report(validation_report(model_version=version))
    file.write_text(html, encoding="utf-8")
    bar.told("Write the report", 1, 1)


def _place(version: ModelVersion, asked: Path | None) -> Path:
    """Where the report goes: as asked, or after the version, no sign in it a folder's."""
    plain = "".join(c if c.isalnum() or c in "-_." else "-" for c in version.name)
    return asked or REPORTS / f"{plain}-{version.number}.html"


def _line(trained: TrainingReport, notes: list[str], file: Path, seconds: float) -> str:
    figures = trained.figures
    return json.dumps(
        {
            "name": trained.model.name,
            "number": trained.model.number,
            "content_hash": trained.model.content_hash,
            "rows": trained.rows,
            "bad": trained.training_bad + figures.bad,
            "training_rows": trained.training_rows,
            "holdout_rows": figures.rows,
            "auc": figures.auc,
            "gini": figures.gini,
            "ks": figures.ks,
            "brier": figures.brier,
            "calibration_slope": figures.calibration_slope,
            "calibration_intercept": figures.calibration_intercept,
            "mean_predicted": figures.mean_predicted,
            "mean_actual": figures.mean_actual,
            "seconds": seconds,
            "report": str(file),
            "state": trained.model.state.value,
            "inputs": list(trained.inputs),
            "notes": notes,
        },
        ensure_ascii=False,
        allow_nan=False,
    )
