"""The faces translate: they write nothing through the ORM, and know no table but the members'."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

API = Path(__file__).resolve().parents[2] / "api"
FACES = sorted([*API.glob("graphql/**/*.py"), *API.glob("rest/**/*.py"), API / "views.py"])
# Who asks, and what their role is.
KNOWN = {"Member", "Role"}
WRITING = {"save", "delete", "create", "bulk_create", "bulk_update", "update_or_create"}


def imported_models(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[2] == "models":
            yield from (name.name for name in node.names)


@pytest.mark.parametrize("face", FACES, ids=lambda path: str(path.relative_to(API)))
def test_a_face_only_translates(face: Path) -> None:
    tree = ast.parse(face.read_text(encoding="utf-8"))
    assert set(imported_models(tree)) <= KNOWN
    called = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not called & {"objects", *WRITING}
