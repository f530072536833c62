"""Loading a file of past applications."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

from django.db import transaction

from risk.core.content import bytes_hash, content_hash
from risk.core.reading import read_table
from risk.core.spec import spec_from_mapping
from risk.core.table import Table
from risk.core.toml_values import parse_toml
from risk.core.training import Progress
from risk.models import DataSet, PastApplication
from risk.services.copying import copy_rows

_TOLD_EVERY = 500
_LONGEST_NAME = 200


def load_data_set(
    *,
    content: bytes,
    file_name: str,
    spec_text: str,
    name: str | None = None,
    on: date,
    progress: Progress | None = None,
) -> DataSet:
    """Load a CSV file of past applications with outcomes, all of it or nothing.

    The same file under the same specification is loaded once: again, the first one is returned.
    Three statements, whatever the number of rows.

    Args:
        content: the file's bytes; ``file_name`` is for refusals.
        spec_text: TOML that says what its columns mean.
        name: of the data set; the specification's name if there is none, else the file's.
        on: the business date.
        progress: told (rows written, rows in all).

    Raises:
        SpecRefused: for a specification that can't be used.
        ColumnRefused: for one that asks for a price, protected or outcome column as an input.
        DataRefused: naming file, row and column, for a file that can't be.
        OutcomeRefused: when all outcomes are of one class.
    """
    values = parse_toml(spec_text)
    spec = spec_from_mapping(values)
    table = read_table(content, file_name, spec)
    file_digest = bytes_hash(content)
    with transaction.atomic():
        data_set, created = DataSet.objects.get_or_create(
            digest=content_hash({"file": file_digest, "spec": values}),
            defaults={
                "name": (name or spec.name or Path(file_name).stem)[:_LONGEST_NAME],
                "file_digest": file_digest,
                "spec": values,
                "columns": list(table.columns),
                "row_count": len(table),
                "notes": list(table.notes),
                "loaded_on": on,
            },
        )
        if created:
            copy_rows(
                PastApplication,
                ("data_set_id", "row_number", "facts", "is_bad"),
                _rows(data_set.pk, table, progress),
            )
    return data_set


def _rows(
    data_set_id: int, table: Table, progress: Progress | None
) -> Iterator[tuple[object, ...]]:
    total = len(table)
    outcomes = [] if table.is_bad is None else table.is_bad.tolist()
    rows = zip(table.rows.tolist(), table.json_facts(), outcomes, strict=True)
    for done, (number, facts, is_bad) in enumerate(rows, start=1):
        yield data_set_id, number, facts, is_bad
        if progress is not None and (done % _TOLD_EVERY == 0 or done == total):
            progress(done, total)
