"""``manage.py model``: the registry, a version's report and scores, promotion, retirement."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from rich.console import Console
from rich.table import Table

from api.management.commands._risk import (
    add_date,
    add_person_and_date,
    business_date,
    ensure_tables,
    refusals,
)
from api.risk_report import render_model_report
from risk.core.states import ModelState
from risk.models import ModelVersion
from risk.selectors.assessments import ShadowView
from risk.selectors.model_versions import (
    ModelVersionView,
    model_moves,
    model_versions,
    named_version,
    training_report,
)
from risk.selectors.reports import validation_report
from risk.services.approving import USES, promote_model, retire_model
from risk.services.shadow import score_applications_under


class Command(BaseCommand):
    help = "Lists model versions, shows, reports, scores with, promotes or retires one."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        actions.add_parser("list", help="all versions")
        show = actions.add_parser("show", help="what is known of a version")
        report = actions.add_parser("report", help="write the validation report as it was")
        report.add_argument("--output", type=Path, required=True, metavar="FILE.html")
        promote = actions.add_parser("promote", help="put an approved version to use")
        retire = actions.add_parser("retire", help="take a version out of use for good")
        score = actions.add_parser("score", help="score assessed applications with any version")
        for action in (show, report, promote, retire, score):
            action.add_argument("model", metavar="MODEL", help="name, or name:number")
        score.add_argument("reference", nargs="+", metavar="APPLICATION", help="its reference")
        add_date(score)
        add_person_and_date(promote, "who promotes: not the author")
        add_person_and_date(retire, "who retires it")
        promote.add_argument("--to", choices=[use.value for use in USES], required=True)

    def handle(self, *args: Any, **options: Any) -> None:
        with refusals():
            ensure_tables()
            if options["action"] == "list":
                _show_all(model_versions())
                return
            version = named_version(model=options["model"])
            match options["action"]:
                case "show":
                    self._show(version)
                case "report":
                    file: Path = options["output"]
                    html = render_model_report(validation_report(model_version=version))
                    file.write_text(html, encoding="utf-8")
                    self.stdout.write(f"Report: {file}")
                case "score":
                    found = score_applications_under(
                        model_version=version,
                        references=options["reference"],
                        on=business_date(options),
                    )
                    _show_scores(found)
                case "promote":
                    version = promote_model(
                        model_version=version,
                        to=ModelState(options["to"]),
                        promoter=options["by"],
                        on=business_date(options),
                    )
                    self.stdout.write(f"{version}: {version.state}.")
                case _:
                    version = retire_model(
                        model_version=version, by=options["by"], on=business_date(options)
                    )
                    self.stdout.write(f"{version}: {version.state}.")

    def _show(self, version: ModelVersion) -> None:
        known = training_report(model_version=version)
        figures, model = known.figures, known.model
        lines = [
            f"{version}: {model.state.value}, content {model.content_hash}",
            f"data: {model.data_set_name}, {known.rows:,} rows; seed {model.seed}",
            f"inputs: {', '.join(known.inputs)}",
            f"unseen rows: {figures.rows:,}, AUC {figures.auc:.4f}, Brier {figures.brier:.4f},"
            f" calibration slope {figures.calibration_slope:.3f}",
            *(f"let in: {name}, because: {why}" for name, why in model.leak_overrides.items()),
            *(f"note: {note}" for note in model.notes),
            f"{model.trained_on}: trained by {model.author}",
            *(
                f"{move.on}: {move.new.value} by {move.by}"
                for move in model_moves(model_version=version)
            ),
        ]
        for line in lines:
            self.stdout.write(line)


def _show_scores(scores: list[ShadowView]) -> None:
    table = Table("Application", "PD in 12 months", "Points", "Band", "Refused because", "Scored")
    for one in scores:
        table.add_row(
            one.application_reference,
            "" if one.pd12_ppm is None else f"{one.pd12_ppm / 10_000:.2f} %",
            "" if one.points is None else str(one.points),
            one.band or "",
            one.refusal or "",
            str(one.scored_on),
        )
    Console(width=160).print(table)


def _show_all(versions: tuple[ModelVersionView, ...]) -> None:
    table = Table("Model", "State", "Data", "Trained", "By", "Approved", "By", "Content")
    for one in versions:
        table.add_row(
            f"{one.name} {one.number}",
            one.state.value,
            one.data_set_name,
            str(one.trained_on),
            one.author,
            str(one.approved_on or ""),
            one.approver or "",
            one.content_hash[:12],
        )
    Console(width=160).print(table)
