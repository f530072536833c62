"""Approval by a second person: of model versions and of rate tables; who is put to use."""

from __future__ import annotations

from datetime import date

from django.db import transaction
from django.db.models import Max, Q

from risk.core.errors import MoveRefused
from risk.core.states import (
    MODEL_MOVES,
    RATE_TABLE_MOVES,
    ModelState,
    RateTableState,
    require_move,
)
from risk.models import ModelMove, ModelVersion, RateTable
from risk.services.numbering import hold_moves
from risk.services.people import checked_handle, require_second_person

USES = (ModelState.CHAMPION, ModelState.CHALLENGER)


def approve_model(
    *,
    model_version: ModelVersion,
    approver: str,
    on: date,
    as_: ModelState | None = ModelState.CHAMPION,
) -> ModelVersion:
    """Sign a validated model version, and put it to use at once unless ``as_`` is none.

    A new champion retires the one before it, and that one's rate table. Until a rate table of the
    new champion is approved nothing can be assessed: approve both in one transaction to leave no
    gap.

    Args:
        approver: handle of a second person.
        on: the business date.
        as_: champion, challenger, or none to leave it approved.

    Raises:
        SelfApproval: when the approver is the author.
        MoveRefused: when the model version is not validated, or ``as_`` is no use.
        HandleRefused: when the approver's handle is empty.
    """
    with transaction.atomic():
        version, champion = _locked(model_version)
        require_second_person(version.author, approver)
        version.approver, version.approved_on = approver, on
        _move(version, ModelState.APPROVED, approver, on)
        if as_ is not None:
            _put_to_use(version, as_, champion, approver, on)
    return version


def promote_model(
    *, model_version: ModelVersion, to: ModelState, promoter: str, on: date
) -> ModelVersion:
    """Make an approved version or a challenger the champion, or an approved one a challenger.

    Args:
        to: champion or challenger.
        promoter: handle of a second person.
        on: the business date.

    Raises:
        SelfApproval: when the promoter is the author.
        MoveRefused: when the table of moves doesn't hold it, or ``to`` is no use.
        HandleRefused: when the promoter's handle is empty.
    """
    with transaction.atomic():
        version, champion = _locked(model_version)
        require_second_person(version.author, promoter)
        _put_to_use(version, to, champion, promoter, on)
    return version


def retire_model(*, model_version: ModelVersion, by: str, on: date) -> ModelVersion:
    """Take an approved version, a challenger or the champion out of use for good.

    Without a champion nothing can be assessed; its rate table retires with it.

    Args:
        by: handle of whoever retires it.
        on: the business date.

    Raises:
        MoveRefused: when the model version was never approved, or is retired already.
        HandleRefused: when the handle is empty.
    """
    checked_handle(by, "by")
    with transaction.atomic():
        version, champion = _locked(model_version)
        _move(version, ModelState.RETIRED, by, on)
        if champion is not None and champion.pk == version.pk:
            _retire_rate_tables()
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
        hold_moves()
        champions = ModelVersion.objects.select_for_update().filter(state=ModelState.CHAMPION.value)
        champion_ids = list(champions.values_list("pk", flat=True))
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
        table.save(update_fields=["state", "approver", "approved_on"])
    return table


def _locked(model_version: ModelVersion) -> tuple[ModelVersion, ModelVersion | None]:
    """The version and the champion, which may be the same, locked in the order of their keys."""
    hold_moves()
    rows = (
        ModelVersion.objects.select_for_update(of=("self",))
        .select_related("data_set")
        .defer("coefficients", "holdout_rows", "report")
        .filter(Q(pk=model_version.pk) | Q(state=ModelState.CHAMPION.value))
        .order_by("pk")
    )
    locked = {version.pk: version for version in rows}
    champions = [v for v in locked.values() if v.state == ModelState.CHAMPION.value]
    return locked[model_version.pk], champions[0] if champions else None


def _put_to_use(
    version: ModelVersion, use: ModelState, champion: ModelVersion | None, by: str, on: date
) -> None:
    if use not in USES:
        raise MoveRefused("A model is put to use as champion or challenger.", field="as")
    require_move(MODEL_MOVES, ModelState(version.state), use)
    if use is ModelState.CHAMPION:
        if champion is not None:
            _move(champion, ModelState.RETIRED, by, on)
        _retire_rate_tables()
    _move(version, use, by, on)


def _move(version: ModelVersion, new: ModelState, by: str, on: date) -> None:
    """Move a locked version, and write down who did it."""
    old = ModelState(version.state)
    require_move(MODEL_MOVES, old, new)
    moves = ModelMove.objects.filter(model_version=version)
    last = moves.aggregate(Max("on"))["on__max"] or version.validated_on or version.trained_on
    if on < last:
        raise MoveRefused(
            f"It became {old.value} on {last}: what comes next can't be earlier.", field="on"
        )
    version.state = new.value
    version.save(update_fields=["state", "approver", "approved_on"])
    ModelMove.objects.create(model_version=version, old=old.value, new=new.value, by=by, on=on)


def _retire_rate_tables() -> None:
    """Retire the approved rate table, if there is one: its place is taken."""
    RateTable.objects.filter(state=RateTableState.APPROVED.value).update(
        state=RateTableState.RETIRED.value
    )
