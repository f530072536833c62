"""Approval by a second person: of model versions and of rate tables."""

from __future__ import annotations

from datetime import date

from django.db import transaction
from django.db.models import Q

from risk.core.errors import MoveRefused
from risk.core.states import (
    MODEL_MOVES,
    RATE_TABLE_MOVES,
    ModelState,
    RateTableState,
    require_move,
)
from risk.models import ModelVersion, RateTable
from risk.services.people import require_second_person

_MOVED = ["state", "approver", "approved_on"]


def approve_model(*, model_version: ModelVersion, approver: str, on: date) -> ModelVersion:
    """Make a draft the champion. The champion before it retires, and its rate table with it.

    Until a rate table of the new champion is approved nothing can be assessed: approve both in
    one transaction to leave no gap.

    Args:
        approver: handle of a second person.
        on: the business date.

    Raises:
        SelfApproval: when the approver is the author.
        MoveRefused: when the model version is not a draft.
        HandleRefused: when the approver's handle is empty.
    """
    with transaction.atomic():
        locked = {
            version.pk: version
            for version in ModelVersion.objects.select_for_update()
            .filter(Q(pk=model_version.pk) | Q(state=ModelState.CHAMPION.value))
            .order_by("pk")
        }
        version = locked.pop(model_version.pk)
        require_second_person(version.author, approver)
        require_move(MODEL_MOVES, ModelState(version.state), ModelState.CHAMPION)
        for old in locked.values():
            require_move(MODEL_MOVES, ModelState(old.state), ModelState.RETIRED)
            old.state = ModelState.RETIRED.value
            old.save(update_fields=["state"])
        _retire_rate_tables()
        version.state = ModelState.CHAMPION.value
        version.approver, version.approved_on = approver, on
        version.save(update_fields=_MOVED)
    return version


def approve_rate_table(*, rate_table: RateTable, approver: str, on: date) -> RateTable:
    """Make a draft of the champion's the approved rate table; the one before it retires.

    Args:
        approver: handle of a second person.
        on: the business date.

    Raises:
        SelfApproval: when the approver is the author.
        MoveRefused: when it is not a draft, or its model is not the champion.
        HandleRefused: when the approver's handle is empty.
    """
    with transaction.atomic():
        champions = ModelVersion.objects.select_for_update().filter(state=ModelState.CHAMPION.value)
        champion_ids = [version.pk for version in champions]
        table = RateTable.objects.select_for_update().get(pk=rate_table.pk)
        require_second_person(table.author, approver)
        require_move(RATE_TABLE_MOVES, RateTableState(table.state), RateTableState.APPROVED)
        if table.model_version_id not in champion_ids:
            raise MoveRefused(
                "A rate table is approved once its model is the champion.", field="model_version"
            )
        _retire_rate_tables()
        table.state = RateTableState.APPROVED.value
        table.approver, table.approved_on = approver, on
        table.save(update_fields=_MOVED)
    return table


def _retire_rate_tables() -> None:
    """Retire the approved rate table, if there is one: its place is taken."""
    RateTable.objects.filter(state=RateTableState.APPROVED.value).update(
        state=RateTableState.RETIRED.value
    )
