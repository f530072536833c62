"""States of models, rate tables and alarms, and the moves between them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import TypeVar

from risk.core.errors import MoveRefused


class ModelState(Enum):
    """A model version: the champion assesses, challengers score the same facts in its shadow.

    Validated means that its report is kept; approved that a second person signed it.
    """

    DRAFT = "draft"
    VALIDATED = "validated"
    APPROVED = "approved"
    CHALLENGER = "challenger"
    CHAMPION = "champion"
    RETIRED = "retired"


class RateTableState(Enum):
    """A rate table: the approved one prices."""

    DRAFT = "draft"
    APPROVED = "approved"
    RETIRED = "retired"


class AlarmState(Enum):
    """An alarm: open until an officer closes it, once."""

    OPEN = "open"
    CLOSED = "closed"


MODEL_MOVES: Mapping[ModelState, frozenset[ModelState]] = {
    ModelState.DRAFT: frozenset({ModelState.VALIDATED}),
    ModelState.VALIDATED: frozenset({ModelState.APPROVED}),
    ModelState.APPROVED: frozenset(
        {ModelState.CHALLENGER, ModelState.CHAMPION, ModelState.RETIRED}
    ),
    ModelState.CHALLENGER: frozenset({ModelState.CHAMPION, ModelState.RETIRED}),
    ModelState.CHAMPION: frozenset({ModelState.RETIRED}),
    ModelState.RETIRED: frozenset(),
}
RATE_TABLE_MOVES: Mapping[RateTableState, frozenset[RateTableState]] = {
    RateTableState.DRAFT: frozenset({RateTableState.APPROVED}),
    RateTableState.APPROVED: frozenset({RateTableState.RETIRED}),
    RateTableState.RETIRED: frozenset(),
}

ALARM_MOVES: Mapping[AlarmState, frozenset[AlarmState]] = {
    AlarmState.OPEN: frozenset({AlarmState.CLOSED}),
    AlarmState.CLOSED: frozenset(),
}

State = TypeVar("State", ModelState, RateTableState, AlarmState)


def require_move(moves: Mapping[State, frozenset[State]], old: State, new: State) -> None:
    """Check a move against the table of allowed ones.

    Raises:
        MoveRefused: when it isn't there.
    """
    if new not in moves[old]:
        raise MoveRefused(f"What is {old.value} can't become {new.value}.", field="state")
