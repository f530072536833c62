"""The snapshots of both schemas."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from api.management.commands import schemas


def test_snapshots_are_current() -> None:
    call_command("schemas", "--check")


def test_a_stale_snapshot_fails_the_check_and_is_written_anew(
    tmp_path: Path, settings: object, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.BASE_DIR = tmp_path  # type: ignore[attr-defined]
    for place in (schemas.GRAPHQL, schemas.OPENAPI):
        (tmp_path / place).parent.mkdir(parents=True)
    (tmp_path / schemas.GRAPHQL).write_text("type Query { nothing: Int }\n")
    with pytest.raises(CommandError, match=r"schema\.graphql, api/rest/openapi\.yaml"):
        call_command("schemas", "--check")
    call_command("schemas")
    assert capsys.readouterr().out.count("wrote ") == 2
    call_command("schemas", "--check")
    assert "type Query" in (tmp_path / schemas.GRAPHQL).read_text()
