"""``manage.py score_file``: PD, points, band and reasons of a file of applications."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from django.core.management.base import BaseCommand, CommandParser

from api.management.commands._risk import ensure_tables, progress_bar, refusals
from risk.core.scorecard import MOST_REASONS
from risk.core.table import Table
from risk.selectors.scoring import Scorer, Scores, scorer

# Rows scored at a time: enough to be quick, few enough to keep the reasons' sentences small.
CHUNK = 100_000
_DECIMALS = 9
_NO_REASONS = ("",) * MOST_REASONS


class Command(BaseCommand):
    help = (
        "Scores a table of applications under a model version. It needs no outcome; a value that"
        " training never saw counts as a rare one."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "model", nargs="?", metavar="MODEL", help="name or name:number; the champion without"
        )
        parser.add_argument("data", type=Path, metavar="DATA.csv", help="the table")
        parser.add_argument(
            "--out", type=Path, metavar="FILE.csv", help="where to write; the output without"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        path: Path = options["data"]
        out: Path | None = options["out"]
        with refusals():
            content = path.read_bytes()
            ensure_tables()
            with progress_bar() as progress:
                task = progress.add_task(f"Read {path.name}", total=None)
                found = scorer(model=options["model"])
                table = found.read(content, path.name)
                progress.update(task, description="Score", total=len(table))
                if out is None:
                    for _ in _written(found, table, sys.stdout):
                        progress.advance(task, CHUNK)
                    return
                total = 0.0
                with out.open("w", encoding="utf-8", newline="") as file:
                    for scores in _written(found, table, file):
                        total += float(scores.pd_outcome.sum())
                        progress.advance(task, CHUNK)
        self.stdout.write(f"Scores: {out}")
        self.stdout.write(
            json.dumps(
                {
                    "name": found.name,
                    "number": found.number,
                    "rows": len(table),
                    "mean_pd": total / len(table),
                    "outcome_months": found.scorecard.outcome_months,
                    "out": str(out),
                    "notes": list(table.notes),
                },
                ensure_ascii=False,
                allow_nan=False,
            )
        )


def _written(found: Scorer, table: Table, file: TextIO) -> Iterator[Scores]:
    """Score and write a table chunk by chunk; each chunk's scores once they are written."""
    writer = csv.writer(file, lineterminator="\n")
    for start in range(0, len(table), CHUNK):
        scores = found.score(table.take(np.arange(start, min(start + CHUNK, len(table)))))
        columns = _columns(scores)
        if start == 0:
            writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
        yield scores


def _columns(scores: Scores) -> dict[str, Sequence[object]]:
    columns: dict[str, Sequence[object]] = {
        "row": scores.rows.tolist(),
        "pd": np.round(scores.pd_outcome, _DECIMALS).tolist(),
        "pd12": np.round(scores.pd12, _DECIMALS).tolist(),
        "points": scores.points.tolist(),
    }
    if scores.bands is not None:
        columns["band"] = scores.bands
    padded = [(*said, *_NO_REASONS)[:MOST_REASONS] for said in scores.reasons]
    for place, said in enumerate(zip(*padded, strict=True), start=1):
        columns[f"reason_{place}"] = said
    return columns
