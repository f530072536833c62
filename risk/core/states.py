"""States of models and rate tables, and the moves between them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import TypeVar

from risk.core.errors import MoveRefused


class ModelState(Enum):
    """A model version: the champion is the one that assesses."""

    DRAFT = "draft"
    CHAMPION = "champion"
    RETIRED = "retired"


class RateTableState(Enum):
    """A rate table: the approved one prices."""

    DRAFT = "draft"
    APPROVED = "approved"
    RETIRED = "retired"


MODEL_MOVES: Mapping[ModelState, frozenset[ModelState]] = {
    ModelState.DRAFT: frozenset({ModelState.CHAMPION}),
    ModelState.CHAMPION: frozenset({ModelState.RETIRED}),
    ModelState.RETIRED: frozenset(),
}
RATE_TABLE_MOVES: Mapping[RateTableState, frozenset[RateTableState]] = {
    RateTableState.DRAFT: frozenset({RateTableState.APPROVED}),
    RateTableState.APPROVED: frozenset({RateTableState.RETIRED}),
    RateTableState.RETIRED: frozenset(),
}

State = TypeVar("State", ModelState, RateTableState)


def require_move(moves: Mapping[State, frozenset[State]], old: State, new: State) -> None:
    """Check a move against the table of allowed ones.

    Raises:
        MoveRefused: when it isn't there.
    """
    if new not in moves[old]:
        raise MoveRefused(f"What is {old.value} can't become {new.value}.", field="state")
