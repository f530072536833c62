"""Approval by a second person, and what it does to what was approved before."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from pytest_django import DjangoAssertNumQueries

from risk.core.errors import (
    HandleRefused,
    MoveRefused,
    NotFound,
    NotReady,
    RateTableRefused,
    SelfApproval,
)
from risk.core.states import ModelState, RateTableState
from risk.models import DataSet, ModelVersion, RateTable
from risk.selectors.model_versions import (
    champion,
    model_moves,
    model_versions,
    named_version,
    versions_in_use,
)
from risk.selectors.rate_tables import current_rate_table, rate_table
from risk.services.approving import (
    approve_model,
    approve_rate_table,
    promote_model,
    retire_model,
)
from risk.services.rate_tables import build_rate_table
from risk.services.training import train_model
from tests.risk.conftest import ON, QUICK, WIDE_HOUSE, Registered, trained

pytestmark = pytest.mark.django_db

LATER = date(2016, 7, 1)


def _build(model_version: ModelVersion, settings_text: str = WIDE_HOUSE) -> RateTable:
    return build_rate_table(
        model_version=model_version, settings_text=settings_text, author="officer-1", on=ON
    )


def test_an_approved_model_is_champion(validated: ModelVersion) -> None:
    with pytest.raises(NotReady):
        champion()
    approved = approve_model(model_version=validated, approver="officer-2", on=ON)
    assert (approved.state, approved.approver) == (ModelState.CHAMPION.value, "officer-2")
    assert champion().id == validated.pk
    assert champion().approved_on == ON


def test_what_comes_next_can_not_be_earlier(validated: ModelVersion) -> None:
    with pytest.raises(MoveRefused, match="became validated on"):
        approve_model(model_version=validated, approver="officer-2", on=ON - timedelta(days=1))
    validated.refresh_from_db()
    assert (validated.state, validated.approver) == (ModelState.VALIDATED.value, None)
    approve_model(model_version=validated, approver="officer-2", on=LATER, as_=None)
    with pytest.raises(MoveRefused, match="became approved on"):
        retire_model(model_version=validated, by="officer-2", on=ON)


@pytest.mark.parametrize("approver", ["officer-1", "Officer-1"])
def test_the_author_can_not_approve(
    validated: ModelVersion, draft_table: RateTable, approver: str
) -> None:
    with pytest.raises(SelfApproval):
        approve_model(model_version=validated, approver=approver, on=ON)
    approve_model(model_version=validated, approver="officer-2", on=ON)
    with pytest.raises(SelfApproval):
        approve_rate_table(rate_table=draft_table, approver=approver, on=ON)


@pytest.mark.parametrize("approver", ["", " officer-1", "\u043efficer-1", "officer-1\u200b"])
def test_an_approver_must_be_named(validated: ModelVersion, approver: str) -> None:
    """The third begins with a Cyrillic o."""
    with pytest.raises(HandleRefused):
        approve_model(model_version=validated, approver=approver, on=ON)


def test_a_new_champion_retires_the_old_one_and_its_rate_table(registered: Registered) -> None:
    second = trained(registered.data_set, seed=2)
    approve_model(model_version=second, approver="officer-2", on=ON)
    registered.model_version.refresh_from_db()
    registered.rate_table.refresh_from_db()
    assert registered.model_version.state == ModelState.RETIRED.value
    assert registered.rate_table.state == RateTableState.RETIRED.value
    assert champion().id == second.pk
    with pytest.raises(NotReady):
        current_rate_table()
    with pytest.raises(MoveRefused):
        approve_model(model_version=registered.model_version, approver="officer-2", on=ON)


def test_a_draft_is_validated_before_it_is_approved(data_set: DataSet) -> None:
    draft = train_model(
        data_set=data_set, name="invented", seed=9, author="officer-1", on=ON, settings=QUICK
    )
    with pytest.raises(MoveRefused, match="draft can't become approved"):
        approve_model(model_version=draft, approver="officer-2", on=ON)


def test_a_challenger_leaves_the_champion_and_takes_its_place_later(
    registered: Registered,
) -> None:
    second = trained(registered.data_set, seed=2)
    approve_model(model_version=second, approver="officer-2", on=ON, as_=ModelState.CHALLENGER)
    assert champion().id == registered.model_version.pk
    assert [one.pk for one in versions_in_use().challengers] == [second.pk]
    with pytest.raises(SelfApproval):
        promote_model(model_version=second, to=ModelState.CHAMPION, promoter="officer-1", on=LATER)
    promote_model(model_version=second, to=ModelState.CHAMPION, promoter="officer-3", on=LATER)
    assert champion().id == second.pk
    assert versions_in_use().challengers == ()
    assert [
        (move.old, move.new, move.by, move.on) for move in model_moves(model_version=second)
    ] == [
        (ModelState.DRAFT, ModelState.VALIDATED, "officer-1", ON),
        (ModelState.VALIDATED, ModelState.APPROVED, "officer-2", ON),
        (ModelState.APPROVED, ModelState.CHALLENGER, "officer-2", ON),
        (ModelState.CHALLENGER, ModelState.CHAMPION, "officer-3", LATER),
    ]


def test_an_approved_version_waits_to_be_put_to_use(validated: ModelVersion) -> None:
    waiting = approve_model(model_version=validated, approver="officer-2", on=ON, as_=None)
    assert waiting.state == ModelState.APPROVED.value
    for no_use in (ModelState.RETIRED, ModelState.APPROVED, ModelState.DRAFT):
        with pytest.raises(MoveRefused, match="champion or challenger"):
            promote_model(model_version=waiting, to=no_use, promoter="officer-2", on=ON)
    promote_model(model_version=waiting, to=ModelState.CHALLENGER, promoter="officer-2", on=ON)
    with pytest.raises(NotReady):
        champion()


def test_a_retired_champion_takes_its_rate_table_along(registered: Registered) -> None:
    retire_model(model_version=registered.model_version, by="officer-1", on=ON)
    with pytest.raises(NotReady):
        champion()
    with pytest.raises(NotReady):
        current_rate_table()
    with pytest.raises(MoveRefused):
        retire_model(model_version=registered.model_version, by="officer-1", on=ON)


def test_a_version_is_found_by_name_and_number(data_set: DataSet, validated: ModelVersion) -> None:
    second = trained(data_set, seed=2)
    assert named_version(model="invented:1").pk == validated.pk
    assert named_version(model="invented").pk == second.pk
    assert [(one.name, one.number) for one in model_versions()] == [
        ("invented", 1),
        ("invented", 2),
    ]
    for unknown in ("other", "invented:3", "invented:", ":1", "invented:9999999999999", ""):
        with pytest.raises(NotFound):
            named_version(model=unknown)


def test_a_rate_table_is_approved_after_its_model(draft_table: RateTable) -> None:
    with pytest.raises(MoveRefused, match="champion"):
        approve_rate_table(rate_table=draft_table, approver="officer-2", on=ON)


def test_the_approved_rate_table_is_the_current_one(registered: Registered) -> None:
    current = current_rate_table()
    assert current.id == registered.rate_table.pk
    assert current.bands == ("A*", "A", "B", "C", "D", "E")
    assert current.terms == (36, 60)
    assert current.row("A*", 36).guide_rate < current.row("E", 36).guide_rate
    assert current.losses.servicing_fee == 0.01
    assert rate_table(rate_table=registered.rate_table) == current


@pytest.mark.usefixtures("registered")
def test_it_takes_one_query(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_num_queries(1):
        current_rate_table()
    with django_assert_num_queries(1):
        champion()


def test_a_new_rate_table_retires_the_old_one(registered: Registered) -> None:
    changed = WIDE_HOUSE.replace("target_return_ppm = 40_000", "target_return_ppm = 41_000")
    second = _build(registered.model_version, changed)
    assert second.number == registered.rate_table.number + 1
    approve_rate_table(rate_table=second, approver="officer-2", on=ON)
    registered.rate_table.refresh_from_db()
    assert registered.rate_table.state == RateTableState.RETIRED.value
    assert current_rate_table().id == second.pk


def test_the_same_settings_give_the_rate_table_that_is_there(registered: Registered) -> None:
    assert _build(registered.model_version).pk == registered.rate_table.pk


def test_nothing_of_an_unusable_rate_table_is_stored(validated: ModelVersion) -> None:
    bad = WIDE_HOUSE.replace("target_return_ppm = 70_000", "target_return_ppm = 0")
    with pytest.raises(RateTableRefused):
        _build(validated, bad)
    assert RateTable.objects.count() == 1
