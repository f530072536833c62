"""The table of a loan's allowed moves as a document shows it: drawn from the code that keeps it."""

from __future__ import annotations

from marketplace.core.states import LOAN_MOVES, LoanState

BEGIN = "<!-- moves: written by `python manage.py moves` -->"
END = "<!-- /moves -->"


def moves_markdown() -> str:
    """A table of the moves from each state, and a mermaid diagram of them, between two marks."""
    table = [
        f"| `{before}` | {', '.join(f'`{after}`' for after in _ordered(before)) or '(an end)'} |"
        for before in LoanState
    ]
    arrows = [f"    {before} --> {after}" for before in LoanState for after in _ordered(before)]
    ends = [f"    {before} --> [*]" for before in LoanState if not LOAN_MOVES[before]]
    return "\n".join(
        [
            BEGIN,
            "| from | to |",
            "|---|---|",
            *table,
            "",
            "```mermaid",
            "stateDiagram-v2",
            f"    [*] --> {LoanState.FUNDED}",
            *arrows,
            *ends,
            "```",
            END,
        ]
    )


def with_moves(document: str) -> str:
    """The document with what lies between the two marks drawn anew.

    Raises:
        ValueError: it doesn't have the two marks, once each and in their order.
    """
    if document.count(BEGIN) != 1 or document.count(END) != 1:
        raise ValueError(f"The document needs the marks '{BEGIN}' and '{END}', once each.")
    before, _, rest = document.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise ValueError(f"The mark '{END}' comes after '{BEGIN}'.")
    return before + moves_markdown() + after


def _ordered(before: LoanState) -> list[LoanState]:
    """Where it may go, in the order of the states."""
    return [state for state in LoanState if state in LOAN_MOVES[before]]
