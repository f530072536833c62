"""The documentation's table of allowed moves is the code's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from marketplace.core.drawing_moves import BEGIN, END, moves_markdown, with_moves
from marketplace.core.states import LOAN_MOVES, LoanState

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "servicing.md"


def test_the_document_is_current() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert with_moves(text) == text, "run python manage.py moves"


def test_table_and_diagram_have_every_move_and_no_other() -> None:
    text = moves_markdown()
    every = {(before.value, after.value) for before in LoanState for after in LOAN_MOVES[before]}
    rows = re.findall(r"^\| `(\w+)` \| (.*) \|$", text, re.MULTILINE)
    assert [before for before, _ in rows] == [state.value for state in LoanState]
    table = {(before, after) for before, cell in rows for after in re.findall(r"`(\w+)`", cell)}
    arrows = re.findall(r"^    (\w+) --> (\w+)$", text, re.MULTILINE)
    assert table == every
    assert sorted(arrows) == sorted(every)
    ends = re.findall(r"^    (\w+) --> \[\*\]$", text, re.MULTILINE)
    assert set(ends) == {state.value for state in LoanState if not LOAN_MOVES[state]}


def test_only_what_lies_between_the_marks_is_written() -> None:
    document = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    written = with_moves(document)
    assert written == f"before\n{moves_markdown()}\nafter\n"
    assert with_moves(written) == written


@pytest.mark.parametrize("document", ["", BEGIN, END, f"{END}{BEGIN}", f"{BEGIN}{BEGIN}{END}"])
def test_a_document_without_the_marks_is_refused(document: str) -> None:
    with pytest.raises(ValueError, match="mark"):
        with_moves(document)
